"""Which events a new state of a submission needs. Pure: no clock, no file.

See docs/adr/0014. After any sequence of edits, moves, deletions and repeats, in any order of
arrival, the figures are those of the submissions that exist at the tools now. Where several
submissions observe one entity under one routing key, the one changed last decides (a flow's amount,
the verification, two events of one instant), so it must have the highest version. The rules
for versions and keys are those of `docs/events.md`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from pravah.units import routing_key
from producers.mapping.delivery_ids import derive_event_id
from producers.mapping.submissions import MappedEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Fields that a retraction copies from the event it retracts.
_RETRACTION_FIELDS = ("kind", "occurred_at", "source")


class SubmissionId(NamedTuple):
    """Identifies a filled-in form."""

    source: str
    form: str
    name: str


class Slot(NamedTuple):
    """Events in one slot replace each other."""

    key: str
    entity: str
    at: datetime

    @property
    def group(self) -> tuple[str, str]:
        """(key, entity): a retraction takes out all slots of a group."""
        return self.key, self.entity


@dataclass(frozen=True)
class VersionedEvent:
    """An event of a submission that counts, with the highest version sent for it."""

    submission: SubmissionId
    number: int
    """Its index among the submission's events, from 0."""
    changed_at: datetime
    """When the submission came into its present state."""
    version: int
    """0: not sent yet."""
    mapped: MappedEvent

    @cached_property
    def slot(self) -> Slot:
        """Where it counts."""
        return Slot(
            routing_key(self.mapped.unit),
            self.mapped.entity,
            datetime.fromisoformat(str(self.mapped.content["occurred_at"])).astimezone(UTC),
        )

    @property
    def payload(self) -> tuple[str, Mapping[str, Any]]:
        """Unit and content; an equal payload is not sent again."""
        return self.mapped.unit, self.mapped.content

    @property
    def rank(self) -> tuple[datetime, SubmissionId, int]:
        """The event of the highest rank decides for its entity."""
        return self.changed_at, self.submission, self.number


class Decision(NamedTuple):
    """The result of a change: events to send and rows to store."""

    events: list[dict[str, Any]]
    """In the order in which they must reach Kafka."""
    current: list[VersionedEvent]
    """All events of the submission, by number; they replace the stored ones."""
    resent: list[VersionedEvent]
    """Events of other submissions that are sent again, with their new versions."""
    versions: dict[str, int]
    """Entity → the highest version among `events`."""


class SubmissionDiff(NamedTuple):
    """A new state of a submission compared with the stored one."""

    submission: SubmissionId
    changed_at: datetime
    current: list[VersionedEvent]
    """Events of the new state, with the version of an equal stored one, or 0."""
    removed: list[VersionedEvent]
    """Stored events whose slot is empty now."""

    @property
    def groups(self) -> dict[tuple[str, str], set[datetime] | None]:
        """Group → the instants at which others may have to be sent again.

        None means every instant: the group is retracted first.
        """
        found: dict[tuple[str, str], set[datetime] | None] = dict.fromkeys(
            one.slot.group for one in self.removed
        )
        for one in self.current:
            instants = found.setdefault(one.slot.group, set())
            if instants is not None:
                instants.add(one.slot.at)
        return found

    @property
    def entities(self) -> set[str]:
        """Entities that events may be sent for."""
        return {entity for _, entity in self.groups}


def diff(
    submission: SubmissionId,
    changed_at: datetime,
    mapped_events: Sequence[MappedEvent],
    stored: Iterable[VersionedEvent],
) -> SubmissionDiff:
    """Compare a new state of a submission with its stored events.

    Args:
        submission: its identity.
        changed_at: when the new state came about; later than the stored state.
        mapped_events: those of the new state; empty if it was deleted.
        stored: the submission's stored events.
    """
    current, removed = _match(
        submission, changed_at, mapped_events, sorted(stored, key=lambda one: one.number)
    )
    return SubmissionDiff(submission, changed_at, current, removed)


def decide(
    change: SubmissionDiff, others: Iterable[VersionedEvent], versions: Mapping[str, int]
) -> Decision:
    """Decide which events a change needs.

    Args:
        change: of one submission.
        others: stored events of other submissions in the change's groups: all of a group that
            is retracted; else, of the group and of each of its instants, the one changed last and
            the one with the highest version.
        versions: entity → the highest version ever sent, for the change's entities.
    """
    others_by_group = defaultdict[tuple[str, str], list[VersionedEvent]](list)
    for one in others:
        others_by_group[one.slot.group].append(one)
    counter = _VersionCounter(change.changed_at, versions)
    sent: dict[tuple[SubmissionId, int], VersionedEvent] = {}
    events: list[dict[str, Any]] = []
    for group in change.groups:
        removed = [one for one in change.removed if one.slot.group == group]
        ranked = sorted(
            [*others_by_group[group], *(one for one in change.current if one.slot.group == group)],
            key=lambda one: one.rank,
        )
        if removed:
            newest = max(removed, key=lambda one: one.version)
            events.append(_event(newest, counter.next(group[1]), is_retraction=True))
        for one in ranked if removed else _select_to_send(ranked):
            versioned = replace(one, version=counter.next(group[1]))
            events.append(_event(versioned, versioned.version))
            sent[versioned.submission, versioned.number] = versioned
    return Decision(
        events,
        [sent.get((one.submission, one.number), one) for one in change.current],
        [one for one in sent.values() if one.submission != change.submission],
        counter.sent,
    )


def _match(
    submission: SubmissionId,
    changed_at: datetime,
    mapped_events: Sequence[MappedEvent],
    stored: list[VersionedEvent],
) -> tuple[list[VersionedEvent], list[VersionedEvent]]:
    """`SubmissionDiff.current` and `SubmissionDiff.removed`."""
    stored_by_slot: dict[Slot, list[VersionedEvent]] = defaultdict(list)
    for one in stored:
        stored_by_slot[one.slot].append(one)
    current = [
        VersionedEvent(submission, number, changed_at, 0, mapped)
        for number, mapped in enumerate(mapped_events)
    ]
    current_by_slot: dict[Slot, list[VersionedEvent]] = defaultdict(list)
    for one in current:
        current_by_slot[one.slot].append(one)
    removed: list[VersionedEvent] = []
    for slot, earlier in stored_by_slot.items():
        later = current_by_slot.get(slot, [])
        if len(earlier) > 1 or len(later) > 1:
            # the last event of a slot decides, and no other may remain with a higher version
            is_same = [one.payload for one in earlier] == [one.payload for one in later]
            pairs = list(zip(later, earlier, strict=True)) if is_same else []
            removed += earlier if not is_same and len(later) < len(earlier) else []
        else:
            pairs = [
                (new, old)
                for new, old in zip(later, earlier, strict=False)
                if new.payload == old.payload
            ]
            removed += earlier if not later else []
        for new, old in pairs:
            current[new.number] = replace(new, version=old.version)
    return current, removed


def _select_to_send(ranked: Sequence[VersionedEvent]) -> list[VersionedEvent]:
    """Which events of a group, in the order of their ranks, must be sent.

    Those that are new, and the last one of an instant or of the entity if it would not have the
    highest version there.
    """
    chosen = {number for number, one in enumerate(ranked) if one.version == 0}
    by_instant = defaultdict[datetime, list[int]](list)
    for number, one in enumerate(ranked):
        by_instant[one.slot.at].append(number)
    for numbers in (*by_instant.values(), range(len(ranked))):
        last = numbers[-1]
        if any(
            number in chosen or ranked[number].version > ranked[last].version
            for number in numbers[:-1]
        ):
            chosen.add(last)
    return [ranked[number] for number in sorted(chosen)]


class _VersionCounter:
    """Assigns versions: microseconds of the change, or the last version + 1 if that is higher.

    Versions of an entity are never assigned twice, whatever the routing key.
    """

    def __init__(self, changed_at: datetime, known: Mapping[str, int]) -> None:
        since = changed_at - _EPOCH
        milliseconds = since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000
        self._floor = max(milliseconds * 1_000, 1)
        self._known = known
        self.sent: dict[str, int] = {}

    def next(self, entity: str) -> int:
        last = self.sent.get(entity, self._known.get(entity, 0))
        self.sent[entity] = max(self._floor, last + 1)
        return self.sent[entity]


def _event(
    versioned: VersionedEvent, version: int, *, is_retraction: bool = False
) -> dict[str, Any]:
    mapped = versioned.mapped
    content = (
        {name: mapped.content[name] for name in _RETRACTION_FIELDS}
        if is_retraction
        else mapped.content
    )
    names = {
        "event_id": str(derive_event_id(mapped.entity, version)),
        "entity": mapped.entity,
        "version": version,
        "unit": mapped.unit,
    }
    return {**names, "op": "retract" if is_retraction else "report", **content}


# --- events sent to /v1/events ------------------------------------------------


class EntityState(NamedTuple):
    """The highest version of an entity received through `/v1/events`."""

    unit: str
    version: int
    kind: str
    occurred_at: str
    source: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Its routing key."""
        return routing_key(self.unit)


def is_current(event: EntityState, known: EntityState | None) -> bool:
    """Whether an event is to be sent.

    False: its entity is known under another routing key with this or a higher version, and would
    count twice.
    """
    return known is None or event.key == known.key or event.version > known.version


def retractions(entity: str, event: EntityState, known: EntityState | None) -> list[dict[str, Any]]:
    """The retractions that a change of the routing key needs, in either order of arrival.

    Under each of the two keys, nothing may count that is older than the version under the other
    key, also if it arrives later.
    """
    if known is None or event.key == known.key or event.version == known.version:
        return []
    if event.version < known.version:
        return [_retraction(entity, known, event.version)]
    return [_retraction(entity, known, event.version), _retraction(entity, event, known.version)]


def _retraction(entity: str, state: EntityState, version: int) -> dict[str, Any]:
    # the key is part of the id: the sender may use `derive_event_id(entity, version)` itself
    return {
        "event_id": str(derive_event_id(f"{state.key}:{entity}", version)),
        "entity": entity,
        "version": version,
        "unit": state.unit,
        "op": "retract",
        "kind": state.kind,
        "occurred_at": state.occurred_at,
        "source": dict(state.source),
    }
