"""The state of one partition between its assignment to this worker and its revocation.

One object per assignment: it is made at the first batch and dropped when the partition is revoked;
a rewind replaces it as well. Work that is still under way on an old object changes nothing outside
of it. No threads, locks or event loops here: `streams.worker` decides which call runs where.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from columnar.arrays import Array
from columnar.texts import HashedTexts
from rollup.batch_validation import Verdicts
from rollup.chunk_attempt import ChunkAttempt
from rollup.chunks import HOUR_MS, Record
from rollup.contribution import NONE
from rollup.entity_cache import EntityCache
from rollup.open_chunk import Counts, OpenChunk
from rollup.record_batch import RecordBatch, cut
from rollup.seen_filter import SeenFilter, first_rows
from rollup.storage import EntityLookup, Storage
from rollup.version_columns import Encodings, LedgerColumns

# An open chunk whose hour is over gets a tick after this time without a record.
IDLE_MS = 60_000

# Arrays are allocated for the entities of a chunk up to this size; for a larger one they grow.
_MAX_EXPECTED_ENTITIES = 100_000


class LogError(RuntimeError):
    """The log does not continue where it should: folding on would count wrongly."""


@dataclass(slots=True)
class Progress:
    """How far a partition has come. Times are milliseconds since 1970-01-01T00:00Z."""

    durable_offset: int | None = None
    """All records below it are in the figures."""
    unwritten_since: int | None = None
    """Append time of the oldest record that is folded but not yet being written."""
    writing_since: int | None = None
    """Append time of the oldest record that is being written."""
    opened_at: int | None = None
    """Time at which this worker opened the open chunk, by this machine's clock."""


@dataclass(frozen=True, slots=True)
class FoldOptions:
    """Options that all partitions of a worker share."""

    encodings: Encodings
    registry: str
    """Fingerprint of the unit registry."""
    chunk_size: int
    """Maximum number of offsets in a chunk."""
    recent_entities: int
    """Limit of each partition's `EntityCache`."""
    worker: str
    """Name of the worker in the table `chunks`."""


class Lookup(NamedTuple):
    """Entities whose earlier versions a chunk needs from the ledger."""

    attempt: ChunkAttempt
    request: EntityLookup


class AssignedPartition:
    """A partition while it is assigned to this worker."""

    def __init__(
        self, number: int, epoch: int, options: FoldOptions, seen_filter: SeenFilter
    ) -> None:
        """Begin without any chunk.

        Args:
            number: the partition.
            epoch: number of the assignment. A rewind keeps it, so batches that were validated
                before the rewind stay valid; batches of an earlier assignment do not.
            options: shared by all partitions.
            seen_filter: outlives this object, so that a partition that is assigned again loads
                only what other workers wrote meanwhile.
        """
        self.number = number
        self.epoch = epoch
        self.seen_filter = seen_filter
        self.progress = Progress()
        self.is_revoked = False
        """True after the partition was revoked or rewound: nothing here may be closed any more."""
        self.start_offset: int | None = None
        """Where folding started; everything below it had been closed before."""
        self.next_offset: int | None = None
        """Offset of the record that must come next; None before the first."""
        self.open_chunk: ChunkAttempt | None = None
        self.complete_chunks: list[ChunkAttempt] = []
        """Chunks that wait to be closed, in the order of the log."""
        self._options = options
        self._cache = EntityCache(options.recent_entities)

    @property
    def chunks(self) -> list[ChunkAttempt]:
        """All chunks that are not closed, in the order of the log."""
        return [*self.complete_chunks, *([self.open_chunk] if self.open_chunk else [])]

    def check_start(self, storage: Storage, offset: int) -> None:
        """Refuse an offset from which folding would count something twice, or leave it out.

        Raises:
            LogError: it lies within a chunk that was counted, or after records that were not.
        """
        closed_to = storage.closed_offsets().get(self.number)
        if closed_to is not None and offset > closed_to:
            msg = (
                f"partition {self.number}: the figures stand at offset {closed_to}, the log begins "
                f"at {offset}: {offset - closed_to} records are gone before they were counted for "
                "good. Lengthen the topic's retention; then say with `pravah rebuild lost` that "
                "they cannot be counted, or bring them back by their sources"
            )
            raise LogError(msg)
        covering = storage.covering_chunk(self.number, offset)
        if covering is not None:
            msg = (
                f"partition {self.number}: offset {offset} lies within the chunk that began at "
                f"{covering}, so counting from here would count twice. The group's committed "
                "offset was changed by hand, or PRAVAH_CHUNK_SIZE: put it back, or rebuild the "
                "figures with `pravah rebuild log`"
            )
            raise LogError(msg)

    def fill_filter(self, storage: Storage, offset: int) -> None:
        """Add every entity that the ledger has below the offset of a chunk to the seen filter."""
        known = self.seen_filter
        for block in storage.fingerprints(self.number, known.complete_to, offset, known.bits):
            known.add(block)

    def cut(self, records: RecordBatch) -> Iterator[tuple[bool, RecordBatch]]:
        """Cut the next records at chunk boundaries (`rollup.record_batch.cut`)."""
        last = self.open_chunk.last_record if self.open_chunk else None
        return cut(last, records, self._options.chunk_size)

    def begin_chunk(self, first: Record) -> None:
        """Open a chunk at its first record. The filter must have all entities below it."""
        options, offset = self._options, first.offset
        if self.start_offset is None:
            self.start_offset = offset
        self.seen_filter.complete_to = offset
        expected = options.chunk_size - offset % options.chunk_size
        self.open_chunk = ChunkAttempt(
            OpenChunk(
                self.number,
                offset,
                options.encodings,
                expected=min(_MAX_EXPECTED_ENTITIES, expected),
            ),
            options.registry,
            options.worker,
            first.timestamp,
        )
        self.progress.opened_at = self.open_chunk.opened_at

    def fold(self, records: RecordBatch, verdicts: Verdicts) -> Counts:
        """Fold consecutive records into the open chunk.

        Returns:
            What became of the records; those that wait for a lookup are counted later.
        """
        attempt = self.open_chunk
        assert attempt is not None
        chunk, counts = attempt.chunk, attempt.chunk.counts
        before = replace(counts)
        if verdicts.accepted is not None:
            chunk.fold(*self._resolve(attempt, verdicts.accepted))
        counts.records += len(records)
        counts.rejected += len(verdicts.rejected)
        counts.forwarded += len(verdicts.misrouted)
        counts.ticks += len(verdicts.ticks)
        attempt.rejected += verdicts.rejected
        attempt.misrouted += verdicts.misrouted
        attempt.last_record = records[-1]
        chunk.last_offset = attempt.last_record.offset
        self.next_offset = attempt.next_offset
        return counts - before

    def lookup(self) -> Lookup | None:
        """Return the lookup that the open chunk waits for, if it waits for one.

        Its list of entities may be empty: all became known meanwhile.
        """
        attempt = self.open_chunk
        if attempt is None or not attempt.pending:
            return None
        # Only versions before all chunks that are not closed: in those an earlier attempt may have
        # left rows that do not count. What they have by now is in the cache.
        first = next(iter(list(self.complete_chunks)), attempt)
        return Lookup(
            attempt, EntityLookup(self.number, first.chunk.start, attempt.pending_entities())
        )

    def complete_chunk(self) -> None:
        """Move the open chunk, which must not wait for a lookup, to the complete ones."""
        attempt = self.open_chunk
        assert attempt is not None
        assert not attempt.pending
        self._cache.add(attempt.chunk.entities)
        self.complete_chunks.append(attempt)
        self.open_chunk = None
        self.progress.opened_at = None

    def close_chunk(self, attempt: ChunkAttempt) -> None:
        """Forget a complete chunk that was closed in the storage."""
        self.complete_chunks.remove(attempt)
        attempt.chunk.entities.is_in_ledger = True

    def is_idle(self, now: int) -> bool:
        """Whether the open chunk's hour is over and no record came for `IDLE_MS`.

        Args:
            now: milliseconds since 1970-01-01T00:00Z.
        """
        last = self.open_chunk.last_record if self.open_chunk else None
        return (
            last is not None
            and now // HOUR_MS > last.timestamp // HOUR_MS
            and now - last.timestamp > IDLE_MS
        )

    def _resolve(
        self, attempt: ChunkAttempt, columns: LedgerColumns
    ) -> tuple[LedgerColumns, Array]:
        """Add the earlier versions of entities that the cache has to the chunk.

        Versions of entities that only the ledger may have are moved to `attempt.pending`.

        Returns:
            The versions that can be folded now, and a mask of those that are the first of their
            entity.
        """
        chunk, entities = attempt.chunk, columns.entities
        fingerprints = self.seen_filter.fingerprints(entities)
        seen, first = self.seen_filter.add(fingerprints), first_rows(fingerprints)
        rows = np.arange(len(first))
        fresh: Array = ~seen & (first == rows)
        if fresh.all():
            return columns, fresh
        unknown = _unknown_rows(chunk, entities, np.flatnonzero(seen))
        self._cache.copy_to(chunk.entities, entities[unknown])
        # Two new entities of one batch may share a fingerprint by chance.
        again = rows[~seen & (first != rows)]
        differing = again[~entities.texts.rows_equal(again, first[again])]
        chunk.add_known(chunk.unknown_entities(entities[differing].values()), ())
        pending = _unknown_rows(chunk, entities, unknown)
        if not len(pending):
            return columns, fresh
        is_pending = np.zeros(len(rows), bool)
        is_pending[pending] = True
        attempt.pending.append(columns.where(is_pending))
        return columns.where(~is_pending), fresh[~is_pending]


def pending_lookups(partitions: Iterable[AssignedPartition]) -> list[Lookup]:
    """Return the lookups that open chunks of some partitions wait for."""
    return [lookup for one in partitions if (lookup := one.lookup())]


def _unknown_rows(chunk: OpenChunk, entities: HashedTexts, rows: Array) -> Array:
    """Return those of some rows whose entity's versions the chunk does not know."""
    unknown: Array = rows[chunk.entities.find(entities[rows]) == NONE]
    return unknown
