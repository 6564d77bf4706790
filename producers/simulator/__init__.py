"""A simulated campaign: the deliveries of field tools over a span of days, reproducible by a seed.

`campaign` is the entry point. It draws on `units` (who reports), `schedule` (reports of the plan),
`payloads` (the `data` of a report), `revisions` (corrections, checks, retractions), `corruption`
(broken deliveries) and `deliveries` (the queue). `scenario` makes a campaign that is in its middle
on a day, `persons` its contacts. The package is pure, without clock, files or network, and imports
`pravah`, `schemas` and `producers.mapping.delivery_ids`. Equal options must give equal bytes: every
draw from the random generator keeps its place.
"""

from producers.simulator.campaign import simulate
from producers.simulator.deliveries import Delivery
from producers.simulator.options import SimulationOptions

__all__ = ["Delivery", "SimulationOptions", "simulate"]
