"""An open chunk of one partition: the pure state between two closes.

It takes admitted records in the order of the log, decides which are new versions, and keeps what has to be written. All of it is a function of the log's prefix, the
registry and the metric dictionary: the same records give the same rows, however often they are read and in whatever batches.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from schemas.columns import Block
from schemas.loops import Numbers
from streams import next_version
from streams.accepted import REFUSED, REPORT, VERIFIED, Entity, LedgerColumns, VersionColumns, Vocabulary
from streams.contribution import Contribution, Version, change, contribution
from streams.recent import KnownEntities, Versions
from streams.rollup import EntryKey, Rollup, cells, journal_of


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

    def __init__(self, partition: int, start: int, vocabulary: Vocabulary) -> None:
        """Begin at the offset `start` with nothing folded."""
        self.partition = partition
        self.start = start
        self.last_offset = start - 1
        """The last offset folded; `start - 1` before the first."""
        self.counts = Counts()
        self.known = KnownEntities(vocabulary)
        self._vocabulary = vocabulary
        self._rollup = Rollup(vocabulary)
        self._contributions: dict[Entity, Contribution] = {}
        """Of entities that were looked at singly: what they contribute now."""
        self._unwritten: list[LedgerColumns] = []
        self._accepted: list[LedgerColumns] = []

    def unknown(self, entities: Iterable[Entity]) -> list[Entity]:
        """Those entities whose earlier versions this chunk has not been told yet; each once."""
        return list({entity: None for entity in entities if entity not in self.known})

    def tell(self, entities: Iterable[Entity], versions: Iterable[tuple[Entity, Version]]) -> None:
        """Take the ledger's answer about some entities: all their versions at offsets before this chunk."""
        told: dict[Entity, Versions] = {entity: {} for entity in entities}
        for entity, version in versions:
            told[entity][version.version] = version
        for entity, known in told.items():
            self.known.tell(entity, known)

    def fold(self, columns: LedgerColumns, fresh: Numbers) -> None:
        """Fold admitted versions in the order of the log, and keep them for the ledger; of two with the same entity and number the first stands.

        Args:
            columns: the versions.
            fresh: which of them are the first of their entity that was ever seen; the entities of all others must be known by `tell`, or be among the fresh ones.
        """
        versions, accepted = columns.versions(), fresh
        if fresh.any():
            self._count_first(versions if fresh.all() else versions.where(fresh))
        if not fresh.all():
            accepted = fresh.copy()
            self._count_others(versions, np.flatnonzero(~fresh), accepted)
        if accepted.any():
            kept = columns if accepted.all() else columns.where(accepted)
            self._unwritten.append(kept)
            self._accepted.append(kept)

    def _count_others(self, columns: VersionColumns, rows: Numbers, accepted: Numbers) -> None:
        """Count versions of entities that had one before, and mark those that are accepted; of one entity one after another, of many entities at once."""
        waiting = rows.tolist()
        while waiting:
            turn: dict[Entity, int] = {}
            later = [row for row in waiting if turn.setdefault(columns.entities[row], row) != row]
            places = {row: self.known.last(entity) for entity, row in turn.items()}
            plain = {row: place for row, place in places.items() if place is not None}
            singly = [row for row, place in places.items() if place is None]
            if plain:
                rows = np.array(list(plain))
                singly += self._count_next(columns.take(rows), rows, list(plain.values()), accepted)
            if singly:
                chosen = columns.take(np.array(singly))
                for row, entity, version in zip(singly, chosen.entities, chosen.each(self._vocabulary), strict=True):
                    accepted[row] = self.count(entity, version)
            waiting = later

    def _count_next(self, new: VersionColumns, rows: Numbers, places: list[int], accepted: Numbers) -> list[int]:
        """Count the next versions of plain entities, whose last ones stand at these places.

        Returns:
            The rows of those that must be looked at singly.
        """
        last = self.known.at(new.entities, places)
        has_stocks = self.known.have_stocks(places) | next_version.have_stocks(new, self._vocabulary)
        same = new.version == last.version
        follows = next_version.follows(last, new, has_stocks)
        only = np.fromiter(map(self.known.is_only, new.entities), bool, len(new))
        counted = ~same & (only | (follows & (~has_stocks | next_version.alike(last, new))))
        self.counts.duplicates += int(same.sum())
        self.counts.accepted += int(counted.sum())
        self.counts.corrections += int(counted.sum())
        accepted[rows[counted]] = True
        chosen = np.flatnonzero(counted)
        if len(chosen):
            taken = new.take(chosen)
            self._rollup.add(*next_version.change(last.take(chosen), taken, self._vocabulary))
            self.known.add_next(taken, has_stocks[chosen], follows[chosen])
        return rows[~same & ~counted].tolist()  # type: ignore[no-any-return]

    def count(self, entity: Entity, version: Version) -> bool:
        """Let the figures follow a version of an entity that is known by `tell`; False if it has one with this number, which stands."""
        known = self.known.find(entity)
        assert known is not None  # noqa: S101 - by `tell`
        if version.version in known:
            self.counts.duplicates += 1
            return False
        self.counts.accepted += 1
        if known:
            self.counts.corrections += 1
        stocks = self._vocabulary.stocks
        before = self._contributions.get(entity)
        if before is None:
            before = contribution(known.values(), stocks)
        known[version.version] = version
        after = self._contributions[entity] = contribution(known.values(), stocks)
        self._rollup.fold(change(before, after), [(metric, version.unit, version.day) for metric in version.amounts])
        return True

    def _count_first(self, columns: VersionColumns) -> None:
        """The same for the first versions of entities, which nearly all are: what they report is what they contribute."""
        self.counts.accepted += len(columns)
        self.known.add_first(columns)
        counts = (columns.op == REPORT) & (columns.verification != REFUSED)
        rows = np.repeat(np.arange(len(columns)), columns.lengths)
        amounts = np.empty((len(rows), 3), np.int64)
        amounts[:, 0] = columns.amounts * counts[rows]
        amounts[:, 1] = amounts[:, 0] * (columns.verification == VERIFIED)[rows]
        amounts[:, 2] = 1
        self._rollup.add(cells(columns.unit[rows], columns.metrics, columns.day[rows]), amounts)

    def take_unwritten(self) -> Unwritten:
        """What changed since the last call: absolute journal entries as of `last_offset`, and new versions."""
        changed, sums = self._rollup.take_changed()
        ledger, self._unwritten = self._unwritten, []
        journal = self._rollup.journal(changed, sums, self.partition, self.start, self.last_offset) if len(changed) else None
        return Unwritten(journal, ledger)

    def mended_journal(self, stored: Iterable[tuple[EntryKey, Sequence[int], int]]) -> Block:
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
        rows += [(key, entry, self.last_offset) for key, entry in entries.items() if key not in seen]
        return journal_of(rows, self.partition, self.start)

    def mended_ledger(self, stored: dict[tuple[str, str, int, int], tuple[int, bool]]) -> tuple[list[tuple[str, str, int, int, int]], Block | None]:
        """The same for the ledger, from (key, entity, version, offset) → (last correction, taken out).

        Returns:
            Rows to take out, as (key, entity, version, offset, new correction); and whole rows to put in.
        """
        identities: dict[tuple[str, str, int, int], int] = {}
        accepted = LedgerColumns.join(self._accepted) if self._accepted else None
        if accepted is not None:
            for row, (entity, version, offset) in enumerate(zip(accepted.entities, accepted.version.tolist(), accepted.offset.tolist(), strict=True)):
                key, _, name = entity.partition("\n")
                identities[key, name, version, offset] = row
        stray = [(*identity, correction + 1) for identity, (correction, out) in stored.items() if not out and identity not in identities]
        missing, corrections = [], []
        for identity, row in identities.items():
            correction, out = stored.get(identity, (-1, True))
            if out:
                missing.append(row)
                corrections.append(correction + 1)
        if accepted is None or not missing:
            return stray, None
        return stray, accepted.take(np.array(missing)).ledger(self._vocabulary, correction=np.array(corrections))
