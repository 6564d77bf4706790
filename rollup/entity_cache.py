"""Versions of entities in memory: those of the open chunk, and of chunks that were complete lately.

A repeat or a correction mostly follows its entity's last version closely: an outbox sends again, a
verification comes in. The versions that recent chunks have of these entities make a lookup in the
ledger unnecessary. They are the ledger's own answers, carried from one chunk into the next, so the
cache never changes a figure.
"""

from collections import deque
from typing import NamedTuple

import numpy as np

from columnar.arrays import Array, GrowableArray
from columnar.columns import expand_ranges
from columnar.texts import HashedTexts, NameTable
from rollup import contribution
from rollup.contribution import (
    AMOUNT_DTYPE,
    NONE,
    VERSION_DTYPE,
    NewVersions,
    OpCodes,
    VersionArena,
)
from rollup.version_columns import REFUSED, REPORT, VERIFIED, Encodings, VersionColumns


class FoldResult(NamedTuple):
    """Outcome of folding some versions."""

    accepted: Array
    """Mask of the versions that are no repeats."""
    changes: Array
    """Changes of figures, int64, shape (changes, 6): unit, metric, day, value, verified value,
    number of reports. A cell may occur more than once."""
    corrections: int
    """Number of accepted versions whose entity had a version before."""


class EntityVersions:
    """All versions of the entities that occur in one chunk, up to the chunk's last offset.

    Versions before the chunk are included. Entities are numbered from 0.
    """

    def __init__(self, encodings: Encodings, expected: int = 0) -> None:
        """Reserve memory for about `expected` entities."""
        self._codes = OpCodes(REPORT, REFUSED, VERIFIED, encodings.is_stock)
        self._names = NameTable(expected=expected)
        # Index of each entity's last version; `NONE` if it has none.
        self._last = GrowableArray(np.int64, expected)
        self._versions = GrowableArray(VERSION_DTYPE, expected)
        self._amounts = GrowableArray(AMOUNT_DTYPE, 2 * expected)
        self.is_in_ledger = False
        """Whether the chunk is closed, so that the ledger has all of these versions."""

    def __len__(self) -> int:
        """Return the number of entities."""
        return len(self._names)

    def find(self, entities: HashedTexts) -> Array:
        """Return the numbers of entities, `NONE` where the versions are not known."""
        return self._names.find(entities)

    def add(self, entities: HashedTexts, versions: VersionColumns) -> None:
        """Add entities that are not known yet, each once, and all versions that they have."""
        self._add_names(entities)
        contribution.append_versions(
            _new_versions(versions), self.find(versions.entities), self._arena(versions)
        )
        self._versions.count += len(versions)
        self._amounts.count += len(versions.metrics)

    def fold(self, columns: VersionColumns, fresh: Array) -> FoldResult:
        """Fold versions in the order of the log.

        Args:
            columns: the versions.
            fresh: mask of those that are the first of their entity ever. The entities of all
                others are known, or are among the fresh ones.
        """
        entities = np.empty(len(columns), np.int32)
        entities[fresh] = np.arange(len(self), len(self) + np.count_nonzero(fresh))
        self._add_names(columns.entities[fresh])
        entities[~fresh] = self.find(columns.entities[~fresh])
        assert (entities != NONE).all()
        begin = self._versions.count
        accepted, changes, self._versions.count, self._amounts.count = contribution.fold_versions(
            _new_versions(columns), entities, self._codes, self._arena(columns)
        )
        previous = self._versions.values["previous"][begin:]
        return FoldResult(accepted, changes, int(np.count_nonzero(previous != NONE)))

    def copy_from(self, other: "EntityVersions", numbers: Array) -> None:
        """Copy entities that are not known here, with all their versions.

        Args:
            other: where they are known.
            numbers: their numbers there.
        """
        sources, counts = contribution.version_indices(
            other._last.buffer[numbers],  # noqa: SLF001
            other._versions.buffer,  # noqa: SLF001
        )
        begin, versions = self._versions.count, other._versions.buffer[sources]  # noqa: SLF001
        # Each entity's versions come from the last one back to the first.
        versions["previous"] = np.where(
            versions["previous"] == NONE, NONE, begin + 1 + np.arange(len(sources))
        )
        lengths = versions["length"].astype(np.int64)
        amounts = other._amounts.buffer[expand_ranges(versions["begin"], lengths)]  # noqa: SLF001
        versions["begin"] = self._amounts.count + np.cumsum(lengths) - lengths
        self._amounts.extend(amounts)
        self._versions.extend(versions)
        self._names.insert(other._names.select(numbers))  # noqa: SLF001
        self._last.extend(np.where(counts > 0, begin + np.cumsum(counts) - counts, NONE))

    def trim(self) -> None:
        """Release unused memory, if it is much: nothing more will be added."""
        for array in (self._versions, self._amounts, self._last):
            array.trim()
        self._names.trim()

    def _add_names(self, entities: HashedTexts) -> None:
        self._names.insert(entities)
        self._last.extend(np.full(len(entities), NONE))

    def _arena(self, coming: VersionColumns) -> VersionArena:
        """Return the arrays with space for more versions."""
        versions = self._versions.reserve(len(coming))
        amounts = self._amounts.reserve(len(coming.metrics))
        return VersionArena(
            self._last.buffer, versions, self._versions.count, amounts, self._amounts.count
        )


class EntityCache:
    """The versions of the last complete chunks of one partition."""

    def __init__(self, limit: int) -> None:
        """Begin with no chunk.

        Args:
            limit: maximum number of entities. Exceeded only by one large chunk, or by chunks that
                the ledger does not have yet.
        """
        self._limit = limit
        self._chunks: deque[EntityVersions] = deque()

    def add(self, chunk: EntityVersions) -> None:
        """Add the versions of a chunk that is complete, and evict the oldest chunks."""
        chunk.trim()
        self._chunks.appendleft(chunk)
        while (
            len(self._chunks) > 1
            and self._chunks[-1].is_in_ledger
            and sum(map(len, self._chunks)) > self._limit
        ):
            self._chunks.pop()

    def copy_to(self, chunk: EntityVersions, entities: HashedTexts) -> None:
        """Copy the versions of entities that an open chunk does not know into it."""
        for source in self._chunks:  # the newest chunk has all versions of its entities
            if not len(entities):
                return
            numbers = source.find(entities)
            found = numbers != NONE
            if found.any():
                chunk.copy_from(source, np.unique(numbers[found]))
                entities = entities[~found]


def _new_versions(columns: VersionColumns) -> NewVersions:
    begins = np.cumsum(columns.lengths) - columns.lengths
    return NewVersions(
        *(columns.version, columns.op, columns.verification, columns.unit),
        *(columns.occurred_at, columns.day),
        *(begins, columns.lengths, columns.metrics, columns.amounts),
    )
