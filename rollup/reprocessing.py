"""A second look at rejected records: under the registry and the dictionary of now, or after people mended them, some of them can be counted. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import UUID

from rollup.validation import Accepted, Rejected, Validator
from schemas.metrics import MetricDictionary
from schemas.registry import Registry

Outcome = Literal["send", "counted", "superseded", "repeat", "rejected"]
"""
- `send`: it can be counted now.
- `counted`: the ledger has this very event.
- `superseded`: another event with this entity and version is in the ledger, or comes before it here, and stands; a mended one needs a higher version.
- `repeat`: it is the same event as an earlier one of these records.
- `rejected`: it still cannot be counted.
"""

Identity = tuple[str, str, int]
"""Routing key, entity, version."""


class ReprocessResult(NamedTuple):
    """What came of one record."""

    outcome: Outcome
    reason: str = ""
    """Why it is still rejected."""
    detail: str = ""
    """What a person can do."""
    key: str = ""
    """The routing key to send it under, if it can be sent."""


@dataclass(frozen=True, slots=True)
class ReplayedRecord:
    """A record as it would arrive now."""

    timestamp: int
    value: bytes | None
    offset: int = 0
    key: bytes | None = None


class Reprocessor:
    """Looks at one record after the other, and remembers which events it let through."""

    def __init__(
        self, registry: Registry, dictionary: MetricDictionary, *, max_future_hours: float, now: int
    ) -> None:
        """Take what decides, and the time at which the records would arrive, milliseconds since 1970-01-01T00:00Z."""
        self._admission = Validator(
            registry, dictionary, partition_of=lambda _: 0, max_future_hours=max_future_hours
        )
        self._now = now
        self._seen: dict[Identity, UUID] = {}

    def decide(self, value: bytes | None) -> Accepted | Rejected:
        """Decide about a record as if it arrived now; the ledger is not asked."""
        decision = self._admission.validate(0, ReplayedRecord(self._now, value))
        assert isinstance(decision, Accepted | Rejected)
        return decision

    def conclude(
        self, decision: Accepted | Rejected, ledger: Mapping[Identity, UUID]
    ) -> ReprocessResult:
        """Say what becomes of it.

        Args:
            decision: about the record.
            ledger: which event counts as a version, at least for the decision's own.
        """
        if isinstance(decision, Rejected):
            return ReprocessResult("rejected", decision.reason, decision.detail)
        identity, event = identity_of(decision), decision.event.event_id
        standing = ledger.get(identity, self._seen.get(identity))
        if standing is None:
            self._seen[identity] = event
            return ReprocessResult("send", key=decision.key)
        if standing != event:
            return ReprocessResult(
                "superseded",
                detail=f"event {standing} counts as version {identity[2]} of {identity[1]}: give this one a higher version",
            )
        return ReprocessResult("counted" if identity in ledger else "repeat")


def identity_of(accepted: Accepted) -> Identity:
    """By what the ledger tells versions apart."""
    return accepted.key, accepted.entity, accepted.version.version
