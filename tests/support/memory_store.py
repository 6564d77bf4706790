"""`rollup.storage.Storage` in memory, for properties over more orders than real parts can run."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from uuid import UUID
from zlib import crc32

import numpy as np

from columnar.arrays import Array
from pravah.days import day_of
from rollup.storage import (
    CHUNKS,
    JOURNAL,
    LEDGER,
    LEDGER_DELETIONS,
    REJECTED_RECORDS,
    EntityLookup,
    Rows,
    StoredEntry,
    StoredVersion,
)


class MemoryStore:
    """Tables as dictionaries by sorting key; a row replaces another by the engine's version."""

    def __init__(self) -> None:
        self.ledger: dict[tuple, dict] = {}
        self.journal: dict[tuple, dict] = {}
        self.chunks: dict[tuple, dict] = {}
        self.rejected: dict[tuple, dict] = {}

    def find_versions(self, lookups: Sequence[EntityLookup]) -> list[list[StoredVersion]]:
        return [self._versions(*one) for one in lookups]

    def _versions(
        self, partition: int, before: int, entities: Sequence[str]
    ) -> list[StoredVersion]:
        wanted = set(entities)
        return [
            StoredVersion(
                *(
                    row[name]
                    for name in (
                        "key",
                        "entity",
                        "version",
                        "offset",
                        "op",
                        "unit",
                        "verification",
                        "occurred_at",
                    )
                ),
                day_of(row["day"]),
                row["metrics"],
                row["amounts"],
            )
            for row in self.ledger.values()
            if f"{row['key']}\n{row['entity']}" in wanted
            and row["partition"] == partition
            and row["offset"] < before
            and not row["deleted"]
        ]

    def covering_chunk(self, partition: int, offset: int) -> int | None:
        found = [
            r["chunk"]
            for r in self.chunks.values()
            if r["partition"] == partition and r["chunk"] < offset < r["next_offset"]
        ]
        return max(found, default=None)

    def closed_offsets(self) -> dict[int, int]:
        result: dict[int, int] = {}
        for row in self.chunks.values():
            if row["closed"]:
                result[row["partition"]] = max(row["next_offset"], result.get(row["partition"], 0))
        return result

    def active_registry(self) -> str | None:
        return None

    def fingerprints(self, partition: int, first: int, before: int, bits: int) -> Iterator[Array]:
        mask = (1 << bits) - 1
        stored = [
            r
            for r in self.ledger.values()
            if r["partition"] == partition and first <= r["offset"] < before
        ]
        yield np.array(
            [crc32(f"{r['key']}\n{r['entity']}".encode()) & mask for r in stored], np.uint32
        )

    def contested_attempts(
        self, attempts: Sequence[tuple[int, int, UUID]]
    ) -> set[tuple[int, int, UUID]]:
        assert attempts, "ClickHouse refuses an empty set"
        stored = {(r["partition"], r["chunk"], r["attempt"]) for r in self.chunks.values()}
        return {
            one
            for one in attempts
            if any(other[:2] == one[:2] and other != one for other in stored)
        }

    def journal_entries(self, partition: int, chunk: int) -> list[StoredEntry]:
        return [
            StoredEntry(
                r["level"],
                r["metric"],
                r["unit"],
                day_of(r["day"]),
                r["value"],
                r["verified_value"],
                r["reports"],
                r["version"],
            )
            for r in self.journal.values()
            if (r["partition"], r["chunk"]) == (partition, chunk)
        ]

    def ledger_corrections(
        self, partition: int, first: int, last: int
    ) -> dict[tuple[str, str, int, int], tuple[int, bool]]:
        return {
            (r["key"], r["entity"], r["version"], r["offset"]): (
                r["correction"],
                bool(r["deleted"]),
            )
            for r in self.ledger.values()
            if r["partition"] == partition and first <= r["offset"] <= last
        }

    def write(
        self,
        *,
        opened: Rows = (),
        journal: Rows = (),
        ledger: Rows = (),
        ledger_deletions: Rows = (),
        rejected: Rows = (),
        chunks: Rows = (),
    ) -> None:
        self._put(self.chunks, CHUNKS, opened, ("partition", "chunk", "attempt"), "updated_at")
        self._put(
            self.journal,
            JOURNAL,
            journal,
            ("level", "metric", "unit", "day", "partition", "chunk"),
            "version",
        )
        self._put(
            self.ledger,
            LEDGER,
            ledger,
            ("key", "entity", "version", "partition", "offset"),
            "correction",
        )
        self._put(
            self.ledger,
            LEDGER_DELETIONS,
            ledger_deletions,
            ("key", "entity", "version", "partition", "offset"),
            "correction",
        )
        self._put(
            self.rejected, REJECTED_RECORDS, rejected, ("partition", "offset", "attempt"), "offset"
        )
        self._put(self.chunks, CHUNKS, chunks, ("partition", "chunk", "attempt"), "updated_at")

    @staticmethod
    def _put(
        table: dict, columns: Sequence[str], rows: Rows, key: Sequence[str], version: str
    ) -> None:
        for values in rows:
            row = dict(zip(columns, values, strict=True))
            identity = tuple(row[name] for name in key)
            if identity not in table or row[version] >= table[identity][version]:
                table[identity] = {**table.get(identity, {}), **row}

    def figures(self, stocks: set[str]) -> dict:
        """Return the view `rollups`: (day, level, unit, metric) → (value, verified value)."""
        sums: dict[tuple, list[int]] = defaultdict(lambda: [0, 0, 0])
        for row in self.journal.values():
            cell = sums[row["level"], row["unit"], row["metric"], row["day"]]
            for index, name in enumerate(("value", "verified_value", "reports")):
                cell[index] += row[name]
        held: dict[tuple, list[int]] = defaultdict(lambda: [0, 0])
        result = {}
        for (level, unit, metric, day), (value, verified, reports) in sorted(
            sums.items(), key=lambda item: item[0][3]
        ):
            running = held[level, unit, metric]
            running[0], running[1] = running[0] + value, running[1] + verified
            if value or verified or reports:
                result[day, level, unit, metric] = (
                    tuple(running) if metric in stocks else (value, verified)
                )
        return result
