"""An open chunk of one partition: the pure state between two closes.

It takes admitted records in the order of the log, decides which are new versions, and keeps what has to be written. All of it is a function of the log's prefix, the
registry and the metric dictionary: the same records give the same rows, however often they are read and in whatever batches.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from columnar.arrays import Array
from columnar.columns import Block
from columnar.texts import HashedTexts
from rollup.contribution import NONE, Version
from rollup.entity_cache import EntityVersions
from rollup.fold import EntryKey, Rollup, journal_block
from rollup.version_columns import Encodings, Entity, LedgerColumns, VersionColumns


@dataclass(slots=True)
class Counts:
    """What became of a chunk's records."""

    records: int = 0
    accepted: int = 0
    corrections: int = 0
    """Of the accepted ones, those whose entity had a version before."""
    duplicates: int = 0
    rejected: int = 0
    forwarded: int = 0


class Unwritten(NamedTuple):
    """What changed since it was last written; no journal if it is None."""

    journal: Block | None
    ledger: list[LedgerColumns]


class OpenChunk:
    """One chunk while it is folded."""

    def __init__(
        self, partition: int, start: int, encodings: Encodings, *, expected: int = 0
    ) -> None:
        """Begin at the offset `start` with nothing folded; `expected` is how many entities will occur, about."""
        self.partition = partition
        self.start = start
        self.last_offset = start - 1
        """The last offset folded; `start - 1` before the first."""
        self.counts = Counts()
        self.known = EntityVersions(encodings, expected)
        self._encodings = encodings
        self._rollup = Rollup(encodings)
        self._unwritten: list[LedgerColumns] = []
        self._accepted: list[LedgerColumns] = []

    def unknown(self, entities: Iterable[Entity]) -> list[Entity]:
        """Those entities whose earlier versions this chunk has not been told yet; each once."""
        names = list(dict.fromkeys(entities))
        return [
            name
            for name, number in zip(
                names, self.known.find(HashedTexts.of(names)).tolist(), strict=True
            )
            if number == NONE
        ]

    def tell(self, entities: Sequence[Entity], versions: Iterable[tuple[Entity, Version]]) -> None:
        """Take the ledger's answer about some entities that are `unknown`: all their versions at offsets before this chunk."""
        if entities:
            each_once = {
                (entity, version.version): (entity, version) for entity, version in versions
            }
            self.known.tell(
                HashedTexts.of(entities), VersionColumns.of(each_once.values(), self._encodings)
            )

    def fold(self, columns: LedgerColumns, fresh: Array) -> None:
        """Fold admitted versions in the order of the log, and keep them for the ledger; of two with the same entity and number the first stands.

        Args:
            columns: the versions.
            fresh: which of them are the first of their entity that was ever seen; the entities of all others must be known by `tell`, or be among the fresh ones.
        """
        accepted = self.count(columns, fresh)
        if accepted.any():
            kept = columns if accepted.all() else columns.where(accepted)
            self._unwritten.append(kept)
            self._accepted.append(kept)

    def count(self, columns: VersionColumns, fresh: Array) -> Array:
        """The same without the ledger: let the figures follow, and say which versions are accepted."""
        accepted, changes, corrections = self.known.count(columns, fresh)
        self._rollup.add(changes)
        number = int(np.count_nonzero(accepted))
        self.counts.accepted += number
        self.counts.corrections += corrections
        self.counts.duplicates += len(accepted) - number
        return accepted

    def take_unwritten(self) -> Unwritten:
        """What changed since the last call: absolute journal entries as of `last_offset`, and new versions."""
        changed, sums = self._rollup.take_changed()
        ledger, self._unwritten = self._unwritten, []
        journal = (
            self._rollup.journal(changed, sums, self.partition, self.start, self.last_offset)
            if len(changed)
            else None
        )
        return Unwritten(journal, ledger)

    def journal_repairs(self, stored: Iterable[tuple[EntryKey, Sequence[int], int]]) -> Block:
        """What must be written so that the database has this chunk's entries and no others.

        Args:
            stored: the chunk's entries in the database: key, (value, verified value, reports), version.

        Returns:
            Rows of the journal with a version above the stored one: strays of an earlier attempt as zero, differing ones as they should be, missing ones.
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
        """The same for the ledger, from (key, entity, version, offset) → (last correction, taken out).

        Returns:
            Rows to take out, as (key, entity, version, offset, new correction); and whole rows to put in.
        """
        identities: dict[tuple[str, str, int, int], int] = {}
        accepted = LedgerColumns.join(self._accepted) if self._accepted else None
        if accepted is not None:
            for row, (entity, version, offset) in enumerate(
                zip(
                    accepted.entities.values(),
                    accepted.version.tolist(),
                    accepted.offset.tolist(),
                    strict=True,
                )
            ):
                key, _, name = entity.partition("\n")
                identities[key, name, version, offset] = row
        stray = [
            (*identity, correction + 1)
            for identity, (correction, out) in stored.items()
            if not out and identity not in identities
        ]
        missing, corrections = [], []
        for identity, row in identities.items():
            correction, out = stored.get(identity, (-1, True))
            if out:
                missing.append(row)
                corrections.append(correction + 1)
        if accepted is None or not missing:
            return stray, None
        return stray, accepted.take(np.array(missing)).ledger(
            self._encodings, correction=np.array(corrections)
        )
