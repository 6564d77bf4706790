"""An open chunk of one partition: the pure state between two closes.

It takes accepted versions in the order of the log, decides which are new, and keeps what has to be
written. All of it is a function of the log's prefix, the registry and the metric dictionary: the
same records give the same rows, however often they are read and in whatever batches.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from columnar.arrays import Array
from columnar.columns import Block
from columnar.texts import HashedTexts
from rollup.contribution import NONE
from rollup.entity_cache import EntityVersions
from rollup.fold import EntryKey, Rollup, journal_block
from rollup.version_columns import Encodings, Entity, LedgerColumns, VersionColumns
from rollup.versions import Version


@dataclass(slots=True)
class Counts:
    """Number of records by outcome."""

    records: int = 0
    accepted: int = 0
    corrections: int = 0
    """Accepted versions of an entity that had a version before."""
    duplicates: int = 0
    rejected: int = 0
    forwarded: int = 0
    ticks: int = 0

    def __sub__(self, other: "Counts") -> "Counts":
        """Return the records that were counted since `other`."""
        return Counts(
            **{one.name: getattr(self, one.name) - getattr(other, one.name) for one in fields(self)}
        )


class Unwritten(NamedTuple):
    """Changes since the last write."""

    journal: Block | None
    """None if no entry changed."""
    ledger: list[LedgerColumns]


class OpenChunk:
    """One chunk while it is folded."""

    def __init__(
        self, partition: int, start: int, encodings: Encodings, *, expected: int = 0
    ) -> None:
        """Begin a chunk without records.

        Args:
            partition: its partition.
            start: offset of its first record.
            encodings: what the numbers in columns stand for.
            expected: estimate of the number of entities; memory is reserved for them.
        """
        self.partition = partition
        self.start = start
        self.last_offset = start - 1
        """The last offset folded; `start - 1` before the first."""
        self.counts = Counts()
        self.entities = EntityVersions(encodings, expected)
        self._encodings = encodings
        self._rollup = Rollup(encodings)
        self._unwritten: list[LedgerColumns] = []
        self._accepted: list[LedgerColumns] = []

    def unknown_entities(self, entities: Iterable[Entity]) -> list[Entity]:
        """Return those entities, each once, whose earlier versions were not added yet."""
        names = list(dict.fromkeys(entities))
        numbers = self.entities.find(HashedTexts.of(names)).tolist()
        return [name for name, number in zip(names, numbers, strict=True) if number == NONE]

    def add_known(
        self, entities: Sequence[Entity], versions: Iterable[tuple[Entity, Version]]
    ) -> None:
        """Add what the ledger has of some `unknown_entities`.

        Args:
            entities: the entities.
            versions: all their versions at offsets before this chunk.
        """
        if entities:
            each_once = {
                (entity, version.version): (entity, version) for entity, version in versions
            }
            self.entities.add(
                HashedTexts.of(entities), VersionColumns.of(each_once.values(), self._encodings)
            )

    def fold(self, columns: LedgerColumns, fresh: Array) -> None:
        """Fold versions in the order of the log, and keep the new ones for the ledger.

        Of two versions with the same entity and number the first one counts.

        Args:
            columns: the versions.
            fresh: mask of those that are the first of their entity ever. The entities of all
                others must be known by `add_known`, or be among the fresh ones.
        """
        accepted = self.fold_figures(columns, fresh)
        if accepted.any():
            new = columns if accepted.all() else columns.where(accepted)
            self._unwritten.append(new)
            self._accepted.append(new)

    def fold_figures(self, columns: VersionColumns, fresh: Array) -> Array:
        """Fold versions into the figures alone, not for the ledger; see `fold`.

        Returns:
            Mask of the accepted versions; the others are duplicates.
        """
        accepted, changes, corrections = self.entities.fold(columns, fresh)
        self._rollup.add(changes)
        number = int(np.count_nonzero(accepted))
        self.counts.accepted += number
        self.counts.corrections += corrections
        self.counts.duplicates += len(accepted) - number
        return accepted

    def take_unwritten(self) -> Unwritten:
        """Return the changes since the last call.

        Journal entries are absolute sums as of `last_offset`; the ledger gets new versions.
        """
        changed, sums = self._rollup.take_changed()
        ledger, self._unwritten = self._unwritten, []
        journal = (
            self._rollup.journal(changed, sums, self.partition, self.start, self.last_offset)
            if len(changed)
            else None
        )
        return Unwritten(journal, ledger)

    def journal_repairs(self, stored: Iterable[tuple[EntryKey, Sequence[int], int]]) -> Block:
        """Return what must be written so that the database has this chunk's entries and no others.

        Args:
            stored: the chunk's entries in the database: key, (value, verified value, reports),
                version.

        Returns:
            Rows of the journal: entries of an earlier attempt alone as zero and differing entries
            with this chunk's sums, both with a version above the stored one; and missing entries.
        """
        entries = self._rollup.entries()
        rows: list[tuple[EntryKey, Sequence[int], int]] = []
        seen = set()
        for key, amounts, version in stored:
            seen.add(key)
            wanted = entries.get(key, [0, 0, 0])
            if list(amounts) != wanted:
                rows.append((key, wanted, version + 1))
        rows += [
            (key, entry, self.last_offset) for key, entry in entries.items() if key not in seen
        ]
        return journal_block(rows, self.partition, self.start)

    def ledger_repairs(
        self, stored: dict[tuple[str, str, int, int], tuple[int, bool]]
    ) -> tuple[list[tuple[str, str, int, int, int]], Block | None]:
        """Return what must be written so that the ledger has this chunk's versions and no others.

        Args:
            stored: (key, entity, version, offset) → (last correction, whether it is deleted).

        Returns:
            Rows to delete, as (key, entity, version, offset, new correction); and whole rows to
            insert, None if there are none.
        """
        identities: dict[tuple[str, str, int, int], int] = {}
        accepted = LedgerColumns.join(self._accepted) if self._accepted else None
        if accepted is not None:
            columns = (
                accepted.entities.values(),
                accepted.version.tolist(),
                accepted.offset.tolist(),
            )
            for row, (entity, version, offset) in enumerate(zip(*columns, strict=True)):
                key, _, name = entity.partition("\n")
                identities[key, name, version, offset] = row
        stray = [
            (*identity, correction + 1)
            for identity, (correction, is_deleted) in stored.items()
            if not is_deleted and identity not in identities
        ]
        missing, corrections = [], []
        for identity, row in identities.items():
            correction, is_deleted = stored.get(identity, (-1, True))
            if is_deleted:
                missing.append(row)
                corrections.append(correction + 1)
        if accepted is None or not missing:
            return stray, None
        return stray, accepted.take(np.array(missing)).ledger(
            self._encodings, correction=np.array(corrections)
        )
