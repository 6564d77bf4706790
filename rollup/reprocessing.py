"""Reprocessing of rejected records: which of them can be counted now.

Some can under the current registry and dictionary, others after people corrected them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import UUID

from rollup.validation import Accepted, Rejected, Validator
from schemas.metrics import MetricDictionary
from schemas.registry import Registry

# - `send`: it can be counted now.
# - `counted`: the ledger has this very event.
# - `superseded`: another event with this entity and version is in the ledger, or comes first among
#   these records; a corrected event needs a higher version.
# - `repeat`: it is the same event as an earlier one of these records.
# - `rejected`: it still cannot be counted.
Outcome = Literal["send", "counted", "superseded", "repeat", "rejected"]

# Routing key, entity, version.
Identity = tuple[str, str, int]


class ReprocessResult(NamedTuple):
    """The outcome for one record."""

    outcome: Outcome
    reason: str = ""
    """Reason for which it is still rejected."""
    detail: str = ""
    """What a person can do about it."""
    key: str = ""
    """The routing key to send it under, if it can be sent."""


@dataclass(frozen=True, slots=True)
class ReplayedRecord:
    """A rejected record as if it arrived now."""

    timestamp: int
    value: bytes | None
    offset: int = 0
    key: bytes | None = None


class Reprocessor:
    """Decides about records one by one, and remembers the events that can be sent."""

    def __init__(
        self, registry: Registry, dictionary: MetricDictionary, *, max_future_hours: float, now: int
    ) -> None:
        """Create the validator.

        Args:
            registry: the current units.
            dictionary: the current metrics.
            max_future_hours: how long after its arrival an event may have occurred.
            now: time of the records' arrival, milliseconds since 1970-01-01T00:00Z.
        """
        self._validator = Validator(
            registry, dictionary, partition_of=lambda _: 0, max_future_hours=max_future_hours
        )
        self._now = now
        self._seen: dict[Identity, UUID] = {}

    def decide(self, value: bytes | None) -> Accepted | Rejected:
        """Validate a record as if it arrived now, without the ledger."""
        decision = self._validator.validate(0, ReplayedRecord(self._now, value))
        assert isinstance(decision, Accepted | Rejected)
        return decision

    def conclude(
        self, decision: Accepted | Rejected, ledger: Mapping[Identity, UUID]
    ) -> ReprocessResult:
        """Compare a decision with the ledger.

        Args:
            decision: about the record.
            ledger: the event that counts for each identity; at least for the decision's own.
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
                detail=f"event {standing} counts as version {identity[2]} of {identity[1]}: "
                "give this one a higher version",
            )
        return ReprocessResult("counted" if identity in ledger else "repeat")


def identity_of(accepted: Accepted) -> Identity:
    """Return the identity of a version in the ledger."""
    return accepted.key, accepted.entity, accepted.version.version
