"""What chunks know of the entities that occurred in them, the open one and those closed lately.

Nearly every entity has one version, or several that came in their order, so it is known as places in columns; only the others are kept singly.

A repeat or a correction mostly follows its entity's last version closely: an outbox sends again, a verification comes in. What the last chunks knew of these entities spares the
ledger the question. It is the ledger's own answer, carried from a closed chunk into the next one, so it never changes a figure.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import chain

import numpy as np

from schemas.loops import Numbers
from streams.accepted import RAGGED, Entity, VersionColumns, Vocabulary
from streams.contribution import Version
from streams.next_version import have_stocks

Versions = dict[int, Version]
"""An entity's versions by their number."""
_NUMBERS = tuple(one.name for one in fields(VersionColumns) if one.name != "entities")


class _Growing:
    """Numbers that are added to at the end; the room doubles when it is full."""

    def __init__(self) -> None:
        self._room = np.empty(0, np.int64)
        self.count = 0

    def extend(self, numbers: Numbers) -> None:
        end = self.count + len(numbers)
        if end > len(self._room):
            room = np.empty(max(end, 2 * len(self._room)), numbers.dtype)
            room[: self.count] = self._room[: self.count]
            self._room = room
        self._room[self.count : end] = numbers
        self.count = end

    def __getitem__(self, places: Numbers) -> Numbers:
        return self._room[places]


class KnownEntities:
    """Of one chunk: all versions up to its last offset of the entities that occurred in it, those before the chunk included.

    An entity is *plain* while its versions came in their order (`streams.next_version.follows`). Then its last version says all that the next one changes.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Begin with none."""
        self._vocabulary = vocabulary
        self._versions: dict[Entity, Versions] = {}
        """Of entities that are not plain."""
        self._last: dict[Entity, int] = {}
        """Of plain ones the place of their last version in the columns."""
        self._earlier: dict[Entity, list[int]] = {}
        """And the places of those before, if there are any."""
        self._columns = {name: _Growing() for name in (*_NUMBERS, "starts", "has_stocks")}
        self.in_ledger = False
        """Whether the ledger can be asked instead: all of it is written, and the chunk is closed."""
        self._count = 0

    def __len__(self) -> int:
        """How many entities."""
        return len(self._last) + len(self._versions)

    def __contains__(self, entity: Entity) -> bool:
        """Whether its versions are known."""
        return entity in self._last or entity in self._versions

    def tell(self, entity: Entity, versions: Versions) -> None:
        """Take all versions of an entity; what is added to them later is added to this very dictionary."""
        self._versions[entity] = versions

    def add_first(self, columns: VersionColumns) -> None:
        """Take the only versions of entities that are not known yet."""
        self._last.update(zip(columns.entities, range(self._count, self._count + len(columns)), strict=True))
        self._add(columns, have_stocks(columns, self._vocabulary))

    def add_next(self, columns: VersionColumns, has_stocks: Numbers, stays_plain: Numbers) -> None:
        """Take another version of entities that are plain, whether each has or had stocks, and whether it stays plain."""
        begin = self._count
        self._add(columns, has_stocks)
        for place, (entity, plain) in enumerate(zip(columns.entities, stays_plain.tolist(), strict=True), start=begin):
            self._earlier.setdefault(entity, []).append(self._last[entity])
            self._last[entity] = place
            if not plain:
                self.find(entity)

    def take_over(self, entities: Sequence[Entity], other: "KnownEntities") -> None:
        """Take all versions of entities that are not known yet and are plain in another one."""
        places = [[*other._earlier.get(entity, ()), other._last[entity]] for entity in entities]  # noqa: SLF001 - of its own kind
        flat = list(chain.from_iterable(places))
        self._add(other.at([], flat), other.have_stocks(flat))
        end = self._count - len(flat)
        for entity, one in zip(entities, places, strict=True):
            begin, end = end, end + len(one)
            self._last[entity] = end - 1
            if len(one) > 1:
                self._earlier[entity] = list(range(begin, end - 1))

    def last(self, entity: Entity) -> int | None:
        """The place of an entity's last version, if it is plain."""
        return self._last.get(entity)

    def is_only(self, entity: Entity) -> bool:
        """Whether a plain entity has one version."""
        return entity not in self._earlier

    def have_stocks(self, places: Sequence[int]) -> Numbers:
        """Of the entities with these last places, which have or had stocks."""
        return self._columns["has_stocks"][np.array(places, np.int64)]

    def at(self, entities: list[Entity], places: Sequence[int]) -> VersionColumns:
        """The versions at some places; the entities are theirs."""
        rows = np.array(places, np.int64)
        columns = self._columns
        lengths = columns["lengths"][rows]
        ends = np.cumsum(lengths)
        items = np.repeat(columns["starts"][rows] - (ends - lengths), lengths) + np.arange(lengths.sum())
        return VersionColumns(entities, **{name: columns[name][items if name in RAGGED else rows] for name in _NUMBERS})

    def find(self, entity: Entity) -> Versions | None:
        """All versions of an entity, or None if it did not occur. The dictionary is the one that is kept; the entity is not plain any more."""
        found = self._versions.get(entity)
        if found is None:
            last = self._last.pop(entity, None)
            if last is None:
                return None
            places = [*self._earlier.pop(entity, ()), last]
            versions = self.at([entity] * len(places), places).each(self._vocabulary)
            found = self._versions[entity] = {version.version: version for version in versions}
        return found

    def _add(self, columns: VersionColumns, has_stocks: Numbers) -> None:
        starts = self._columns["metrics"].count + np.cumsum(columns.lengths) - columns.lengths
        for name in _NUMBERS:
            self._columns[name].extend(getattr(columns, name))
        self._columns["starts"].extend(starts)
        self._columns["has_stocks"].extend(has_stocks)
        self._count += len(columns.lengths)


class RecentEntities:
    """Of one partition: what its last complete chunks knew."""

    def __init__(self, limit: int) -> None:
        """Begin empty; at most `limit` entities are known, or those of one chunk if these are more, or those that the ledger does not have yet."""
        self._limit = limit
        self._chunks: deque[KnownEntities] = deque()

    def keep(self, known: KnownEntities) -> None:
        """Take over what a chunk knew when it was complete: all versions of its entities below the offset where the next chunk begins. When it is too much, the oldest goes."""
        self._chunks.appendleft(known)
        while len(self._chunks) > 1 and self._chunks[-1].in_ledger and sum(map(len, self._chunks)) > self._limit:
            self._chunks.pop()

    def tell(self, entities: Iterable[Entity], chunk: KnownEntities) -> None:
        """Tell an open chunk what is known of some entities. It adds to their versions, so if it is given up, all of this must be."""
        plain: defaultdict[int, list[Entity]] = defaultdict(list)
        for entity in entities:
            for number, known in enumerate(self._chunks):  # the newest knows most
                if known.last(entity) is not None:
                    plain[number].append(entity)
                    break
                versions = known.find(entity)
                if versions is not None:
                    chunk.tell(entity, versions)
                    break
        for number, found in plain.items():
            chunk.take_over(found, self._chunks[number])
