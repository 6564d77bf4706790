"""An open chunk of one partition: the pure state between two closes.

It takes admitted records in the order of the log, decides which are new versions, and keeps what has to be written. All of it is a function of the log's prefix, the
registry and the metric dictionary: the same records give the same rows, however often they are read and in whatever batches.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from schemas.days import date_of
from schemas.registry import Registry
from streams.admission import Accepted, ledger_row
from streams.contribution import Version, change, contribution
from streams.filter import Entity
from streams.rollup import EntryKey, Rollup


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


@dataclass(slots=True)
class Unwritten:
    """Rows that changed since they were last written."""

    journal: list[tuple[Any, ...]]
    ledger: list[tuple[Any, ...]]


class OpenChunk:
    """One chunk while it is folded."""

    def __init__(self, partition: int, start: int, *, registry: Registry, stocks: Collection[str]) -> None:
        """Begin at the offset `start` with nothing folded."""
        self.partition = partition
        self.start = start
        self.last_offset = start - 1
        """The last offset folded; `start - 1` before the first."""
        self.counts = Counts()
        self._stocks = stocks
        self._rollup = Rollup(registry, stocks)
        self.versions: dict[Entity, dict[int, Version]] = {}
        """Of the entities that occurred in it: all versions up to `last_offset`, those before the chunk included."""
        self._ledger: list[tuple[Any, ...]] = []
        self._accepted: dict[tuple[str, str, int, int], tuple[Any, ...]] = {}

    def unknown(self, entities: Iterable[Entity]) -> list[Entity]:
        """Those entities whose earlier versions this chunk has not been told yet; each once."""
        return list({entity: None for entity in entities if entity not in self.versions})

    def tell(self, entities: Iterable[Entity], versions: Iterable[tuple[Entity, Version]]) -> None:
        """Take the ledger's answer about some entities: all their versions at offsets before this chunk."""
        for entity in entities:
            self.versions[entity] = {}
        for entity, version in versions:
            self.versions[entity][version.version] = version

    def fold(self, item: Accepted) -> bool:
        """Fold one admitted version, and keep its row for the ledger; its entity must be known by `tell`.

        Returns:
            False for a duplicate, which changes nothing: the first version with a number stands.
        """
        if not self.count((item.key, item.entity), item.version):
            return False
        row = ledger_row(item, self.partition)
        self._ledger.append(row)
        self._accepted[item.key, item.entity, item.version.version, item.record.offset] = row
        return True

    def count(self, entity: Entity, version: Version) -> bool:
        """Let the figures follow a version; False if its entity has one with this number, which stands."""
        known = self.versions[entity]
        if version.version in known:
            self.counts.duplicates += 1
            return False
        self.counts.accepted += 1
        if known:
            self.counts.corrections += 1
            before = contribution(known.values(), self._stocks)
            known[version.version] = version
            reported = [(metric, version.unit, version.day) for metric in version.amounts]
            self._rollup.fold(change(before, contribution(known.values(), self._stocks)), reported)
        else:
            known[version.version] = version
            self._rollup.fold_first(version)
        return True

    def take_unwritten(self) -> Unwritten:
        """The rows that changed since the last call: absolute journal entries as of `last_offset`, and new ledger rows."""
        partition, start, version = self.partition, self.start, self.last_offset
        journal = [
            (level, metric, unit, _date(day), partition, start, value, verified, reports, version)
            for (level, metric, unit, day), (value, verified, reports) in self._rollup.take_changed().items()
        ]
        ledger, self._ledger = self._ledger, []
        return Unwritten(journal, ledger)

    def mended_journal(self, stored: Iterable[tuple[EntryKey, Sequence[int], int]]) -> list[tuple[Any, ...]]:
        """What must be written so that the database has this chunk's entries and no others.

        Args:
            stored: the chunk's entries in the database: key, (value, verified value, reports), version.

        Returns:
            Journal rows with a version above the stored one: strays of an earlier attempt as zero, differing ones as they should be, missing ones.
        """
        entries = self._rollup.entries
        rows, seen = [], set()
        for key, amounts, version in stored:
            seen.add(key)
            wanted = entries.get(key, [0, 0, 0])
            if list(amounts) != wanted:
                rows.append(self._journal_row(key, wanted, version + 1))
        rows += [self._journal_row(key, entry, self.last_offset) for key, entry in entries.items() if key not in seen]
        return rows

    def mended_ledger(self, stored: dict[tuple[str, str, int, int], tuple[int, bool]]) -> tuple[list[tuple[str, str, int, int, int]], list[tuple[Any, ...]]]:
        """The same for the ledger, from (key, entity, version, offset) → (last correction, taken out).

        Returns:
            Rows to take out, as (key, entity, version, offset, new correction); and whole rows to put in.
        """
        stray = [(*identity, correction + 1) for identity, (correction, out) in stored.items() if not out and identity not in self._accepted]
        missing = []
        for identity, row in self._accepted.items():
            correction, out = stored.get(identity, (-1, True))
            if out:
                missing.append((*row[:-2], correction + 1, 0))
        return stray, missing

    def _journal_row(self, key: EntryKey, entry: Sequence[int], version: int) -> tuple[Any, ...]:
        level, metric, unit, day = key
        return (level, metric, unit, _date(day), self.partition, self.start, *entry, version)


_date = lru_cache(maxsize=10_000)(date_of)
