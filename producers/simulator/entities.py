"""Simulated entities and the events that report them."""

from dataclasses import dataclass
from random import Random

from pravah.events import Kind
from producers.mapping.delivery_ids import derive_event_id
from producers.simulator.clock import format_instant
from producers.simulator.payloads import Data
from producers.simulator.units import Tool


@dataclass(slots=True)
class Entity:
    """The subject of reports, in its last reported state."""

    name: str
    unit: str
    kind: Kind
    occurred_at: int
    """Second since 1970-01-01T00:00Z."""
    data: Data
    tool: Tool
    reporter: str | None
    evidence: str | None
    is_named: bool
    """False: its first delivery leaves `entity` out, so its `event_id` is its name."""
    version: int = 1
    has_ended: bool = False
    """Whether nothing more is reported of it."""

    def make_event(
        self, rng: Random, sent: int, *, op: str = "report", verification: str | None = None
    ) -> Data:
        """Return the event of the present state, with the fields that its tool would write.

        Args:
            rng: draws which optional fields the tool writes.
            sent: second of sending.
            op: `report` or `retract`.
            verification: the result of a back-check, if there was one.
        """
        random, tool, version = rng.random, self.tool, self.version
        has_entity = self.is_named or version > 1
        event: Data = {
            "event_id": str(derive_event_id(self.name, version)) if has_entity else self.name
        }
        if has_entity:
            event["entity"] = self.name
            event["version"] = version
        if op != "report" or random() < 0.3:  # some tools write defaults out
            event["op"] = op
        event["unit"] = self.unit
        event["kind"] = self.kind
        event["occurred_at"] = format_instant(self.occurred_at, tool)
        if random() < 0.8:
            reported_at = max(self.occurred_at, sent - int(random() * 90))
            event["reported_at"] = format_instant(reported_at, tool)
        event["source"] = {
            "tool": tool.name,
            "producer": f"{tool.prefix}:{self.unit[:2].lower()}-1",
        }
        if self.reporter:
            event["reporter"] = self.reporter
        if self.evidence:
            event["evidence"] = self.evidence
        if verification or random() < 0.05:
            event["verification"] = verification or "unverified"
        if op == "report" or random() < 0.5:
            event["data"] = self.data
        return event
