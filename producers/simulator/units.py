"""The units that take part in a simulated campaign: how active each one is, which tool it uses, who stands below whom."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import NamedTuple

from pravah.units import RANK, Level, state_of
from schemas.registry import Registry, Unit

LEVEL_SHARES: dict[Level, float] = {
    "national": 0.005,
    "state": 0.03,
    "division": 0.015,
    "district": 0.08,
    "assembly": 0.15,
    "booth": 0.72,
}
"""Of what is reported day by day, so much comes from the units of a level."""


class Tool(NamedTuple):
    """A field tool as its deliveries show it."""

    name: str
    prefix: str
    median_minutes: float
    """Between what happened and its delivery."""
    share: float


TOOLS = (
    Tool("kobotoolbox", "kobo", 90, 0.34),
    Tool("odk", "odk", 180, 0.14),
    Tool("commcare", "commcare", 60, 0.14),
    Tool("rapidpro", "rapidpro", 3, 0.10),
    Tool("glific", "glific", 2, 0.12),
    Tool("spreadsheet", "sheet", 2_000, 0.08),
    Tool("script", "script", 5, 0.08),
)
_TOOL_SHARES = list(accumulate(tool.share for tool in TOOLS))


class Habit(NamedTuple):
    """What a unit is like."""

    weight: float
    """How active it is among the units of its level; 0 is silent."""
    tool: Tool


class Territory:
    """The units of one state (or of all), seen by a simulation."""

    def __init__(self, registry: Registry, state: str | None, rng: Random, silent: float) -> None:
        """Give every unit its habit.

        Args:
            registry: the units; those of `state` are used, all if it is None.
            state: a state's code.
            rng: where chance comes from.
            silent: share of the booths that never report.

        Raises:
            ValueError: the registry has no unit of that state.
        """
        self.registry = registry
        self.units: dict[str, Unit] = {
            code: unit
            for code, unit in sorted(registry.units.items())
            if state is None or state_of(code) == state
        }
        if not self.units:
            msg = f"the registry has no unit of state {state!r}"
            raise ValueError(msg)
        self.below: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
        """Unit → direct children with the days, both inclusive, on which they stand below it."""
        for code, unit in self.units.items():
            for edge in unit.parents:
                self.below[edge.parent].append((code, edge.first, edge.last))
        self.habits = {code: self._habit(unit, rng, silent) for code, unit in self.units.items()}

    def _habit(self, unit: Unit, rng: Random, silent: float) -> Habit:
        """Big units are more active, and within a level activity is spread as lognormal: a few report much, many little."""
        quiet = unit.level == "booth" and rng.random() < silent
        weight = (
            0.0
            if quiet
            else (1 + len(self.below.get(unit.code, ()))) ** 0.5 * rng.lognormvariate(0, 0.7)
        )
        return Habit(weight, rng.choices(TOOLS, cum_weights=_TOOL_SHARES)[0])

    def is_open(self, code: str, day: int) -> bool:
        """Whether the unit exists on that day."""
        unit = self.units.get(code)
        return unit is not None and unit.first <= day <= unit.last

    def children(self, code: str, day: int) -> list[str]:
        """The units directly below `code` on a day."""
        return [child for child, first, last in self.below.get(code, ()) if first <= day <= last]

    def parent(self, code: str, level: Level, day: int) -> str | None:
        """The unit's direct parent of a level on a day."""
        return next(
            (
                e.parent
                for e in self.units[code].parents
                if e.first <= day <= e.last and self.registry.units[e.parent].level == level
            ),
            None,
        )

    def reporting(self, day: int) -> "Reporting":
        """The units that report on a day, ready to draw from."""
        total = dict.fromkeys(RANK, 0.0)
        open_units = [
            unit
            for code, unit in self.units.items()
            if unit.first <= day <= unit.last and self.habits[code].weight
        ]
        for unit in open_units:
            total[unit.level] += self.habits[unit.code].weight
        weights = [
            LEVEL_SHARES[unit.level] * self.habits[unit.code].weight / total[unit.level]
            for unit in open_units
        ]
        return Reporting([unit.code for unit in open_units], list(accumulate(weights)))

    def changes(self, first: int, last: int) -> Iterator[int]:
        """The days from `first` to `last` on which the open units differ from the day before, `first` included."""
        days = {unit.first for unit in self.units.values()} | {
            unit.last + 1 for unit in self.units.values()
        }
        yield first
        yield from sorted(day for day in days if first < day <= last)


class Reporting(NamedTuple):
    """Units with cumulative weights, as `random.choices` takes them."""

    codes: list[str]
    cumulative: list[float]
