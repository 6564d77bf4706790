"""What chunks know of the entities that occurred in them, the open one and those closed lately.

A repeat or a correction mostly follows its entity's last version closely: an outbox sends again, a verification comes in. What the last chunks knew of these entities spares the
ledger the question. It is the ledger's own answer, carried from a closed chunk into the next one, so it never changes a figure.
"""

from collections import deque
from typing import NamedTuple

import numpy as np

from columnar.arrays import Array, GrowableArray
from columnar.columns import expand_ranges
from columnar.texts import HashedTexts, NameTable
from rollup import contribution
from rollup.contribution import AMOUNT_DTYPE, NONE, VERSION_DTYPE, Columns, OpCodes, VersionArena
from rollup.version_columns import REFUSED, REPORT, VERIFIED, Encodings, VersionColumns


class Counted(NamedTuple):
    """What became of some versions."""

    accepted: Array
    """Which are no repeats."""
    changes: Array
    """What they change, shape (changes, 6): unit, metric, day, value, verified value, number of reports. A cell may come more than once."""
    corrections: int
    """How many of the accepted ones are of entities that had a version before."""


class EntityVersions:
    """Of one chunk: all versions up to its last offset of the entities that occurred in it, those before the chunk included. Entities are numbered from 0."""

    def __init__(self, encodings: Encodings, expected: int = 0) -> None:
        """Begin with none; `expected` is how many are to come, about."""
        self._codes = OpCodes(REPORT, REFUSED, VERIFIED, encodings.is_stock)
        self._names = NameTable(expected=expected)
        self._last = GrowableArray(np.int64, expected)
        """Of each entity the place of the version that came last; `NONE` if it has none."""
        self._known, self._items = (
            GrowableArray(VERSION_DTYPE, expected),
            GrowableArray(AMOUNT_DTYPE, 2 * expected),
        )
        self.is_in_ledger = False
        """Whether the ledger can be asked instead: all of it is written, and the chunk is closed."""

    def __len__(self) -> int:
        """How many entities."""
        return len(self._names)

    def find(self, entities: HashedTexts) -> Array:
        """The numbers of entities; `NONE` where the versions are not known."""
        return self._names.find(entities)

    def tell(self, entities: HashedTexts, versions: VersionColumns) -> None:
        """Take entities that are not known yet, each once, and all versions that they have."""
        self._enter(entities)
        contribution.keep(_of(versions), self.find(versions.entities), self._room(versions))
        self._known.count += len(versions)
        self._items.count += len(versions.metrics)

    def count(self, columns: VersionColumns, fresh: Array) -> Counted:
        """Take versions in the order of the log.

        Args:
            columns: the versions.
            fresh: which are the first of their entity that was ever seen; the entities of all others are known, or among these.
        """
        entities = np.empty(len(columns), np.int32)
        entities[fresh] = np.arange(len(self), len(self) + np.count_nonzero(fresh))
        self._enter(columns.entities[fresh])
        entities[~fresh] = self.find(columns.entities[~fresh])
        assert (entities != NONE).all()
        begin = self._known.count
        accepted, changes, self._known.count, self._items.count = contribution.count(
            _of(columns), entities, self._codes, self._room(columns)
        )
        return Counted(
            accepted, changes, int(np.count_nonzero(self._known.values["previous"][begin:] != NONE))
        )

    def take_over(self, entities: Array, other: "EntityVersions") -> None:
        """Take all versions of entities that are not known yet, as another one has them under these numbers."""
        places, counts = contribution.places_of(other._last.buffer[entities], other._known.buffer)  # noqa: SLF001
        begin, known = self._known.count, other._known.buffer[places]  # noqa: SLF001
        # from an entity's last version back to its first
        known["previous"] = np.where(
            known["previous"] == NONE, NONE, begin + 1 + np.arange(len(places))
        )
        lengths = known["length"].astype(np.int64)
        items = other._items.buffer[expand_ranges(known["begin"], lengths)]  # noqa: SLF001
        known["begin"] = self._items.count + np.cumsum(lengths) - lengths
        self._items.extend(items)
        self._known.extend(known)
        self._names.insert(other._names.select(entities))  # noqa: SLF001
        self._last.extend(np.where(counts > 0, begin + np.cumsum(counts) - counts, NONE))

    def trim(self) -> None:
        """Give back what room is left, if it is much: no more is to come."""
        for growing in (self._known, self._items, self._last):
            growing.trim()
        self._names.trim()

    def _enter(self, entities: HashedTexts) -> None:
        self._names.insert(entities)
        self._last.extend(np.full(len(entities), NONE))

    def _room(self, coming: VersionColumns) -> VersionArena:
        known, items = self._known.reserve(len(coming)), self._items.reserve(len(coming.metrics))
        return VersionArena(self._last.buffer, known, self._known.count, items, self._items.count)


class EntityCache:
    """Of one partition: what its last complete chunks knew."""

    def __init__(self, limit: int) -> None:
        """Begin empty; at most `limit` entities are known, or those of one chunk if these are more, or those that the ledger does not have yet."""
        self._limit = limit
        self._chunks: deque[EntityVersions] = deque()

    def keep(self, known: EntityVersions) -> None:
        """Take over what a chunk knew when it was complete: all versions of its entities below the offset where the next chunk begins. When it is too much, the oldest goes."""
        known.trim()
        self._chunks.appendleft(known)
        while (
            len(self._chunks) > 1
            and self._chunks[-1].is_in_ledger
            and sum(map(len, self._chunks)) > self._limit
        ):
            self._chunks.pop()

    def tell(self, entities: HashedTexts, chunk: EntityVersions) -> None:
        """Tell an open chunk what is known of some entities that it does not know."""
        for known in self._chunks:  # the newest knows most
            if not len(entities):
                return
            numbers = known.find(entities)
            found = numbers != NONE
            if found.any():
                chunk.take_over(np.unique(numbers[found]), known)
                entities = entities[~found]


def _of(columns: VersionColumns) -> Columns:
    begins = np.cumsum(columns.lengths) - columns.lengths
    return Columns(
        *(
            columns.version,
            columns.op,
            columns.verification,
            columns.unit,
            columns.occurred_at,
            columns.day,
        ),
        *(begins, columns.lengths, columns.metrics, columns.amounts),
    )
