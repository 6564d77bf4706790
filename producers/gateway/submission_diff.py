"""What was told before and what stands now → events. Pure: it looks at no clock and no file.

See docs/adr/0014. The aim: whatever edits, moves, deletions and repeats there were, and in whatever order they came, the figures are those of what stands at the tools now. Where
several submissions observe one entity under one key, the one that was changed last speaks for it (a flow's amount, the verification, one moment told twice), so it must have the
highest version; everything else is in `contract.md`.
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
_CARRIED = ("kind", "occurred_at", "source")
"""What a retraction has of the observation it takes back."""


class SubmissionId(NamedTuple):
    """Which filled-in form."""

    source: str
    form: str
    name: str


@dataclass(frozen=True)
class Told:
    """An observation that stands: the highest version that was sent of it."""

    submission: SubmissionId
    number: int
    """Its place among the submission's observations, from 0."""
    changed_at: datetime
    """When the submission came to its present state."""
    version: int
    """0: not sent yet."""
    mapped_event: MappedEvent

    @cached_property
    def place(self) -> "Place":
        """Where it counts."""
        return Place(
            routing_key(self.mapped_event.unit),
            self.mapped_event.entity,
            datetime.fromisoformat(str(self.mapped_event.content["occurred_at"])).astimezone(UTC),
        )

    @property
    def says(self) -> tuple[str, Mapping[str, Any]]:
        """Unit and content."""
        return self.mapped_event.unit, self.mapped_event.content

    @property
    def rank(self) -> tuple[datetime, SubmissionId, int]:
        """The later in this order speaks for the entity."""
        return self.changed_at, self.submission, self.number


class Place(NamedTuple):
    """Observations with an equal place replace each other."""

    key: str
    entity: str
    at: datetime

    @property
    def group(self) -> tuple[str, str]:
        """Within a group a retraction takes out everything."""
        return self.key, self.entity


class Decision(NamedTuple):
    """What is to be done about a new state of a submission."""

    events: list[dict[str, Any]]
    """In the order in which they must reach Kafka."""
    stands: list[Told]
    """The submission's own observations, in the order of their numbers; they replace all that it had."""
    again: list[Told]
    """Other submissions' observations that were sent again, with their new versions."""
    versions: dict[str, int]
    """Entity → the highest version that was now sent."""


class Change(NamedTuple):
    """A state of a submission against the one before."""

    me: SubmissionId
    changed_at: datetime
    now: list[Told]
    """What it stands for now, with the version of what it equals or 0."""
    gone: list[Told]
    """What no longer stands where it did."""

    @property
    def groups(self) -> dict[tuple[str, str], set[datetime] | None]:
        """Group → the moments at which others may have to speak again; None: at all of them, behind a retraction."""
        found: dict[tuple[str, str], set[datetime] | None] = dict.fromkeys(
            one.place.group for one in self.gone
        )
        for one in self.now:
            moments = found.setdefault(one.place.group, set())
            if moments is not None:
                moments.add(one.place.at)
        return found

    @property
    def entities(self) -> set[str]:
        """All that it may send something of."""
        return {entity for _, entity in self.groups}


def compare(
    me: SubmissionId, changed_at: datetime, wanted: Sequence[MappedEvent], mine: Iterable[Told]
) -> Change:
    """Compare a state of a submission, newer than the known one, with what was told of it.

    Args:
        me: the submission.
        changed_at: when this state came about.
        wanted: what it stands for now; empty if it was deleted.
        mine: what was told of it.
    """
    now, gone = _match(me, changed_at, wanted, sorted(mine, key=lambda one: one.number))
    return Change(me, changed_at, now, gone)


def decide(change: Change, others: Iterable[Told], versions: Mapping[str, int]) -> Decision:
    """Decide which events a change needs.

    Args:
        change: of one submission.
        others: what other submissions have told in its groups: all of it behind a retraction; else, of the group and of each of its moments, what was changed last and what has the highest version.
        versions: entity → the highest version ever sent, for its entities.
    """
    beside = defaultdict[tuple[str, str], list[Told]](list)
    for one in others:
        beside[one.place.group].append(one)
    clock = _Versions(change.changed_at, versions)
    sent: dict[tuple[SubmissionId, int], Told] = {}
    events: list[dict[str, Any]] = []
    for group in change.groups:
        lost = [one for one in change.gone if one.place.group == group]
        stands = sorted(
            [*beside[group], *(one for one in change.now if one.place.group == group)],
            key=lambda one: one.rank,
        )
        if lost:
            events.append(
                _event(
                    max(lost, key=lambda one: one.version), clock.following(group[1]), retract=True
                )
            )
        for one in stands if lost else _to_send(stands):
            told = replace(one, version=clock.following(group[1]))
            events.append(_event(told, told.version))
            sent[told.submission, told.number] = told
    return Decision(
        events,
        [sent.get((one.submission, one.number), one) for one in change.now],
        [one for one in sent.values() if one.submission != change.me],
        clock.sent,
    )


def _match(
    me: SubmissionId, changed_at: datetime, wanted: Sequence[MappedEvent], mine: list[Told]
) -> tuple[list[Told], list[Told]]:
    """What stands now, with the version of what it equals or 0; and what no longer stands at its place."""
    before: dict[Place, list[Told]] = defaultdict(list)
    for one in mine:
        before[one.place].append(one)
    now = [
        Told(me, number, changed_at, 0, mapped_event) for number, mapped_event in enumerate(wanted)
    ]
    by_place: dict[Place, list[Told]] = defaultdict(list)
    for one in now:
        by_place[one.place].append(one)
    gone: list[Told] = []
    for place, earlier in before.items():
        later = by_place.get(place, [])
        if (
            len(earlier) > 1 or len(later) > 1
        ):  # told twice at one place: the last one speaks for it, and none may stay behind it
            same = [one.says for one in earlier] == [one.says for one in later]
            pairs = list(zip(later, earlier, strict=True)) if same else []
            gone += earlier if not same and len(later) < len(earlier) else []
        else:
            pairs = [
                (new, old) for new, old in zip(later, earlier, strict=False) if new.says == old.says
            ]
            gone += earlier if not later else []
        for new, old in pairs:
            now[new.number] = replace(new, version=old.version)
    return now, gone


def _to_send(stands: Sequence[Told]) -> list[Told]:
    """Of observations in the order of their ranks: those that are new, and whoever speaks for a moment or the entity and would otherwise no longer have its highest version."""
    chosen = {number for number, one in enumerate(stands) if one.version == 0}
    moments = defaultdict[datetime, list[int]](list)
    for number, one in enumerate(stands):
        moments[one.place.at].append(number)
    for numbers in (*moments.values(), range(len(stands))):
        last = numbers[-1]
        if any(
            number in chosen or stands[number].version > stands[last].version
            for number in numbers[:-1]
        ):
            chosen.add(last)
    return [stands[number] for number in sorted(chosen)]


class _Versions:
    """Gives versions: the instant of the change, or one more than the last, whichever is higher. An entity's are never given twice, whatever the key."""

    def __init__(self, changed_at: datetime, known: Mapping[str, int]) -> None:
        since = changed_at - _EPOCH
        self._floor = max(
            (since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000) * 1_000,
            1,
        )
        self._known = known
        self.sent: dict[str, int] = {}

    def following(self, entity: str) -> int:
        last = self.sent.get(entity, self._known.get(entity, 0))
        self.sent[entity] = max(self._floor, last + 1)
        return self.sent[entity]


def _event(told: Told, version: int, *, retract: bool = False) -> dict[str, Any]:
    mapped_event = told.mapped_event
    content = (
        {name: mapped_event.content[name] for name in _CARRIED} if retract else mapped_event.content
    )
    names = {
        "event_id": str(derive_event_id(mapped_event.entity, version)),
        "entity": mapped_event.entity,
        "version": version,
        "unit": mapped_event.unit,
    }
    return {**names, "op": "retract" if retract else "report", **content}


# --- events that come ready -------------------------------------------------------------------------------------------------------------------------------


class Ready(NamedTuple):
    """What is remembered of the highest version that came of an entity whose events come ready."""

    unit: str
    version: int
    kind: str
    occurred_at: str
    source: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Its routing key."""
        return routing_key(self.unit)


def follows(event: Ready, known: Ready | None) -> bool:
    """Whether an event is to be sent. If not, its entity is known under another key with this version or a higher one: it would count beside that."""
    return known is None or event.key == known.key or event.version > known.version


def left_behind(entity: str, event: Ready, known: Ready | None) -> list[dict[str, Any]]:
    """The retractions that a change of the routing key needs, whichever of the two versions came first.

    Under each of the two keys nothing may count that is older than the version which stood under the other one, also if it comes later.
    """
    if known is None or event.key == known.key or event.version == known.version:
        return []
    if event.version < known.version:
        return [_taken_back(entity, known, event.version)]
    return [_taken_back(entity, known, event.version), _taken_back(entity, event, known.version)]


def _taken_back(entity: str, ready: Ready, version: int) -> dict[str, Any]:
    return {
        "event_id": str(
            derive_event_id(f"{ready.key}:{entity}", version)
        ),  # the sender may have taken the usual name for an event of its own
        "entity": entity,
        "version": version,
        "unit": ready.unit,
        "op": "retract",
        "kind": ready.kind,
        "occurred_at": ready.occurred_at,
        "source": dict(ready.source),
    }
