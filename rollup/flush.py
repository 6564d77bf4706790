"""The synchronous steps of a flush: take what is unwritten, then repair and close complete chunks.

The order of the steps and the thread of each are `streams.worker`'s.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from columnar.columns import Block, Blocks
from rollup.assigned_partition import AssignedPartition
from rollup.chunk_attempt import NOT_WRITTEN, ChunkAttempt
from rollup.open_chunk import OpenChunk
from rollup.storage import Attempt, Rows, Storage
from rollup.validation import Misrouted, Rejected, rejection_row
from rollup.version_columns import Encodings, LedgerColumns

# Time that a flush spends on comparing chunks with earlier attempts; the rest is left to the next
# flush. A comparison that has begun is completed.
_REPAIR_BUDGET_S = 0.3


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Records of one partition that are sent to other topics or partitions."""

    partition: int
    rejected: Sequence[Rejected]
    misrouted: Sequence[Misrouted]


@dataclass(slots=True)
class FlushSnapshot:
    """What a flush writes and sends. Rows are made of it while folding goes on."""

    partitions: list[AssignedPartition] = field(default_factory=list)
    """Partitions with a chunk that is not closed."""
    complete: list[tuple[AssignedPartition, ChunkAttempt]] = field(default_factory=list)
    """Chunks that may be closed after the write."""
    outgoing: list[Outgoing] = field(default_factory=list)
    chunks: list[tuple[Any, ...]] = field(default_factory=list)
    """Rows of `chunks` that say how far each chunk is durable: written after all else."""
    _reached: list[int] = field(default_factory=list)
    _opened: list[tuple[Any, ...]] = field(default_factory=list)
    _journal: list[Block] = field(default_factory=list)
    _ledger: list[LedgerColumns] = field(default_factory=list)
    _rejected: list[tuple[Rejected, Attempt]] = field(default_factory=list)

    @classmethod
    def take(cls, partitions: Iterable[AssignedPartition]) -> "FlushSnapshot":
        """Take everything that changed in some partitions since the last snapshot."""
        snapshot = cls()
        for partition in partitions:
            attempts = partition.chunks
            if not attempts:
                continue
            for attempt in attempts:
                snapshot._add(partition, attempt)
            snapshot.partitions.append(partition)
            snapshot.complete += [(partition, attempt) for attempt in partition.complete_chunks]
            snapshot._reached.append(attempts[-1].next_offset)
            progress = partition.progress
            progress.writing_since, progress.unwritten_since = progress.unwritten_since, None
        return snapshot

    def _add(self, partition: AssignedPartition, attempt: ChunkAttempt) -> None:
        chunk = attempt.chunk
        unwritten = chunk.take_unwritten()
        self._journal += [unwritten.journal] if unwritten.journal else []
        self._ledger += unwritten.ledger
        rejected, misrouted = attempt.take_outgoing()
        self._rejected += [(one, attempt.identity) for one in rejected]
        if rejected or misrouted:
            self.outgoing.append(Outgoing(partition.number, rejected, misrouted))
        if chunk.last_offset == attempt.written_offset:
            return
        if attempt.written_offset == NOT_WRITTEN:
            # Not beyond the durable offset: figures of the previous chunk may be in this write.
            durable = partition.progress.durable_offset
            reach = partition.start_offset if durable is None else durable
            assert reach is not None
            self._opened.append(attempt.row(min(chunk.start, reach), closed=False))
        self.chunks.append(attempt.row(attempt.next_offset, closed=False))
        attempt.written_offset = chunk.last_offset

    def rows(self, encodings: Encodings) -> dict[str, Rows]:
        """Return the arguments of `Storage.write`, without `chunks`."""
        return {
            "opened": self._opened,
            "journal": Blocks(self._journal) if self._journal else (),
            "ledger": Blocks([columns.ledger(encodings) for columns in self._ledger])
            if self._ledger
            else (),
            "rejected": [rejection_row(one, *attempt) for one, attempt in self._rejected],
        }

    def mark_durable(self) -> None:
        """Record in the partitions' progress that all of this was written."""
        for partition, offset in zip(self.partitions, self._reached, strict=True):
            progress = partition.progress
            progress.durable_offset = max(offset, progress.durable_offset or 0)
            progress.writing_since = None


class Repair(NamedTuple):
    """How many rows of an earlier attempt at a chunk were corrected."""

    partition: int
    chunk: int
    entries: int
    ledger_rows: int


def close_chunks(
    storage: Storage, complete: Sequence[ChunkAttempt]
) -> tuple[list[ChunkAttempt], list[Repair]]:
    """Repair and close chunks whose rows are written, those of a partition in order.

    After a crash many chunks must be compared with an earlier attempt. So that flushes do not wait
    for all of them, some may be left to the next flush.

    Returns:
        The chunks that are closed, and the repairs.
    """
    contested = storage.contested_attempts([attempt.identity for attempt in complete])
    closed, repairs, postponed = [], [], set()
    deadline = time.monotonic() + _REPAIR_BUDGET_S
    for attempt in complete:
        is_contested = attempt.identity in contested
        if time.monotonic() > deadline and is_contested:
            postponed.add(attempt.chunk.partition)
        if attempt.chunk.partition in postponed:
            continue
        if is_contested and (repair := repair_chunk(storage, attempt.chunk)):
            repairs.append(repair)
        closed.append(attempt)
    storage.write(chunks=[attempt.row(attempt.next_offset, closed=True) for attempt in closed])
    return closed, repairs


def repair_chunk(storage: Storage, chunk: OpenChunk) -> Repair | None:
    """Correct what another attempt at a chunk wrote differently; None if nothing differs."""
    journal = chunk.journal_repairs(
        ((e.level, e.metric, e.unit, e.day), e[4:7], e.version)  # type: ignore[misc]
        for e in storage.journal_entries(chunk.partition, chunk.start)
    )
    stray, missing = chunk.ledger_repairs(
        storage.ledger_corrections(chunk.partition, chunk.start, chunk.last_offset)
    )
    if not (len(journal) or stray or missing):
        return None
    storage.write(
        journal=journal,
        ledger=missing or (),
        ledger_deletions=[(*row[:3], chunk.partition, *row[3:], 1) for row in stray],
    )
    return Repair(chunk.partition, chunk.start, len(journal), len(stray) + len(missing or ()))
