"""One attempt at a chunk: its fold, and what must still be looked up, sent or written of it.

A chunk is attempted again after a crash, a rebalance or a rewind. Each attempt has an identity of
its own in the table `chunks`, so that a later attempt knows that it may have to repair.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from rollup.chunks import Record
from rollup.contribution import NONE
from rollup.ledger_rows import entity_of, version_of
from rollup.open_chunk import Counts, OpenChunk
from rollup.storage import Attempt, StoredVersion
from rollup.validation import Misrouted, Rejected
from rollup.version_columns import Entity, LedgerColumns

NOT_WRITTEN = -1


@dataclass(slots=True, eq=False)
class ChunkAttempt:
    """An open or complete chunk of one assigned partition."""

    chunk: OpenChunk
    registry: str
    """Fingerprint of the registry under which the chunk is folded."""
    worker: str
    """Name of the worker in the table `chunks`."""
    first_appended_at: int
    """Append time of the first record, milliseconds since 1970-01-01T00:00Z."""
    last_record: Record | None = None
    pending: list[LedgerColumns] = field(default_factory=list)
    """Versions that are folded after a lookup in the ledger, in the order of the log."""
    rejected: list[Rejected] = field(default_factory=list)
    """Rejected records that are not in a flush yet."""
    misrouted: list[Misrouted] = field(default_factory=list)
    """Misrouted records that are not in a flush yet."""
    id: UUID = field(default_factory=uuid4)
    opened_at: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    """Time of this machine's clock, milliseconds since 1970-01-01T00:00Z."""
    written_offset: int = NOT_WRITTEN
    """Last offset of the chunk's newest row in `chunks`; `NOT_WRITTEN` before the first row."""
    _updated_at: int = 0

    @property
    def identity(self) -> Attempt:
        """Partition, chunk and attempt."""
        return self.chunk.partition, self.chunk.start, self.id

    @property
    def next_offset(self) -> int:
        """Offset after the last record that was folded."""
        return self.chunk.last_offset + 1

    def pending_entities(self) -> list[Entity]:
        """Entities that `pending` versions need from the ledger; may be empty by now."""
        return self.chunk.unknown_entities(
            entity for columns in self.pending for entity in columns.entities.values()
        )

    def fold_pending(self, entities: Iterable[Entity], stored: Iterable[StoredVersion]) -> Counts:
        """Fold the versions that waited for a lookup of these entities.

        Versions that were added meanwhile go on waiting for their own lookup.

        Args:
            entities: the entities that were looked up.
            stored: their versions in the ledger before this chunk.

        Returns:
            What became of the versions.
        """
        chunk = self.chunk
        before = replace(chunk.counts)
        unknown = dict.fromkeys(chunk.unknown_entities(entities))
        chunk.add_known(
            list(unknown),
            ((entity_of(row), version_of(row)) for row in stored if entity_of(row) in unknown),
        )
        pending, self.pending = self.pending, []
        for columns in pending:
            known = chunk.entities.find(columns.entities) != NONE
            if not known.all():
                self.pending.append(columns.where(~known))
            if known.any():
                chunk.fold(columns.where(known), np.zeros(int(known.sum()), bool))
        return chunk.counts - before

    def take_outgoing(self) -> tuple[Sequence[Rejected], Sequence[Misrouted]]:
        """Return the records that leave the partition since the last call."""
        rejected, self.rejected = self.rejected, []
        misrouted, self.misrouted = self.misrouted, []
        return rejected, misrouted

    def row(self, next_offset: int, *, closed: bool) -> tuple[Any, ...]:
        """Return the attempt's row of the table `chunks` (`rollup.storage.CHUNKS`)."""
        chunk, counts = self.chunk, self.chunk.counts
        # The newest row of an attempt counts, also when the clock was set back between two of them.
        self._updated_at = max(self._updated_at + 1, time.time_ns() // 1_000)
        last = self.last_record.timestamp if self.last_record else self.first_appended_at
        return (
            *(chunk.partition, chunk.start, self.id, self.worker, self.registry),
            *(next_offset, int(closed)),
            *(counts.records, counts.accepted, counts.duplicates),
            *(counts.rejected, counts.forwarded),
            *(self.first_appended_at, last, self.opened_at, self._updated_at),
        )
