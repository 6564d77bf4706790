"""The roll-up worker: threads, locks and the order of a flush around the pure core. No Faust here.

The life of a chunk. A crash between any two steps loses nothing and counts nothing twice:

1. Open: the chunk begins at the first record after the previous chunk.
2. Fold: records are validated on a thread of their own while earlier ones are folded. Versions of
   entities that are new to the chunk but known to the seen filter wait for a lookup in the ledger
   of versions before the chunk. Lookups are batched, before a flush and when the chunk is complete:
   one query costs ten milliseconds, however few entities it is about.
3. Send: the flush sends rejected records to `activity.rejected` and misrouted records to their own
   partition. Only when they are durable there does it write how far the chunk has come.
4. Complete: the log enters the next chunk. Folding goes on there at once if the worker's registry
   is still the active one. Until the complete chunk is closed, lookups ask for versions before it
   alone, because another attempt may have left rows in it that do not count; its own versions are
   in the entity cache.
5. Flush, about every second: absolute rows of all changes in all chunks, open and complete. All
   writes are idempotent.
6. Close, after the flush: if another attempt at a complete chunk has written, the differences are
   repaired. Of many such chunks some are left to the next flush.
7. Commit: only now may the offset after the chunk be committed.

A chunk is closed only under the active registry, and a partition starts only where its last closed
chunk ended: records that the log lost meanwhile stop the worker.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from rollup.assigned_partition import AssignedPartition, LogError, Progress, pending_lookups
from rollup.chunk_attempt import ChunkAttempt
from rollup.chunks import Record, is_tick
from rollup.engine import RollupEngine, ValidatedBatch
from rollup.errors import StoppedError
from rollup.flush import FlushSnapshot, Outgoing, close_chunks
from rollup.record_batch import RecordBatch
from rollup.storage import Storage
from streams.lookups import LedgerLookups
from streams.telemetry import Telemetry

log = logging.getLogger(__name__)
T = TypeVar("T")

_POLL_INTERVAL_S = 0.5
_LOG_INTERVAL_S = 10.0

# Maximum number of records in complete chunks of all partitions. Above it folding waits, so that
# memory is bounded while ClickHouse is away.
_MAX_COMPLETE_RECORDS = 480_000


class Worker:
    """Folds the batches of its partitions. All coroutines must run on one event loop."""

    def __init__(
        self,
        engine: RollupEngine,
        *,
        storage: Storage,
        writer: Storage,
        send: Callable[[Sequence[Outgoing]], Awaitable[None]],
        commit: Callable[[int, int], None],
        telemetry: Telemetry | None = None,
    ) -> None:
        """Start the threads.

        Args:
            engine: validates and folds.
            storage: the figures and the ledger, for lookups; called on the fold thread only.
            writer: the same storage by a connection of its own, for flushes; called on the writer
                thread only.
            send: sends records elsewhere, and returns when they are durable there.
            commit: called with (partition, offset) when everything below the offset is durable
                for good.
            telemetry: the worker's metrics.
        """
        self.last_progress = time.time()
        """Time of the last progress, seconds since 1970-01-01T00:00Z."""
        self.failure: str | None = None
        """Why this worker does not count any more; None while it does."""
        self._engine = engine
        self._storage = storage
        self._writer = writer
        self._send = send
        self._commit = commit
        self._telemetry = telemetry or Telemetry()
        self._lookups = LedgerLookups(self._telemetry)
        self._is_stopped = False
        # Time of the last warning that another registry is active.
        self._last_warned = -_LOG_INTERVAL_S
        # One batch at a time.
        self._batch_lock = asyncio.Lock()
        # The state of chunks: one piece of a batch, or the snapshot of a flush.
        self._state_lock = asyncio.Lock()
        # One flush at a time.
        self._flush_lock = asyncio.Lock()
        self._validation_thread = ThreadPoolExecutor(1, thread_name_prefix="validate")
        self._fold_thread = ThreadPoolExecutor(1, thread_name_prefix="fold")
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="write")

    @property
    def progress(self) -> dict[int, Progress]:
        """How far each partition has come."""
        return {number: one.progress for number, one in self._engine.partitions.items()}

    def validate(
        self, partition: int, records: Sequence[Record]
    ) -> "asyncio.Future[ValidatedBatch]":
        """Validate consecutive records of a partition while earlier ones are folded."""
        batch, epoch = RecordBatch.of(records), self._engine.assign(partition).epoch
        return self._run(
            self._validation_thread, lambda: self._engine.validate(partition, batch, epoch)
        )

    async def process(self, partition: int, batch: ValidatedBatch | Sequence[Record]) -> None:
        """Fold consecutive records of a partition; they are validated first if they are not yet.

        Raises:
            LogError: the batch does not continue the log, or an earlier one failed.
        """
        if not isinstance(batch, ValidatedBatch):
            batch = await self.validate(partition, batch)
        async with self._batch_lock:
            if self.failure:
                msg = (
                    f"partition {partition}: a batch failed before; "
                    "what follows it must not be folded without it"
                )
                raise LogError(msg)
            try:
                await self._process(partition, batch)
            except BaseException as error:
                self._fail(error)
                raise

    async def _process(self, number: int, batch: ValidatedBatch) -> None:
        records, verdicts, _ = batch
        partition = self._engine.resume(number, batch)
        if partition is None:
            return
        for begins_chunk, piece in partition.cut(records):
            if begins_chunk and partition.open_chunk and not await self._complete_chunk(partition):
                return
            if partition.start_offset is None:
                await self._on_fold_thread(lambda: self._start(partition, records[0].offset))
            async with self._state_lock:
                if partition.is_revoked:
                    return
                if begins_chunk:
                    partition.begin_chunk(piece[0])
                if partition.progress.unwritten_since is None:
                    partition.progress.unwritten_since = piece[0].timestamp
                outcome = verdicts if len(piece) == len(records) else verdicts.of(piece)
                counts = await self._on_fold_thread(partial(partition.fold, piece, outcome))
                self._telemetry.count_records(counts, outcome.rejected)
                self.last_progress = time.time()
            if is_tick(piece[-1]) and not await self._complete_chunk(partition):
                return  # revoked

    async def _complete_chunk(self, partition: AssignedPartition) -> bool:
        """Complete the open chunk; wait until the next one may be opened.

        Returns:
            False if the partition was revoked meanwhile.
        """
        async with self._state_lock:
            await self._on_fold_thread(lambda: self._lookups.run(self._storage, [partition]))
        if partition.is_revoked:
            return False
        partition.complete_chunk()
        while not partition.is_revoked:
            active = await self._on_fold_thread(self._storage.active_registry)
            if self._is_active(active) and self._engine.complete_records <= _MAX_COMPLETE_RECORDS:
                break
            await self.flush()
            if not self._is_active(active):
                await asyncio.sleep(_POLL_INTERVAL_S)
        return not partition.is_revoked

    def _is_active(self, active: str | None) -> bool:
        """Whether the worker folds under the active registry.

        A worker with an older registry is about to be restarted; until then it neither opens nor
        closes a chunk.
        """
        if active in {None, self._engine.registry}:
            return True
        if time.monotonic() - self._last_warned > _LOG_INTERVAL_S:
            self._last_warned = time.monotonic()
            log.warning(
                "no chunk is closed under registry %s: %s is active. "
                "If this goes on, load the registry again: `pravah units load`",
                self._engine.registry,
                active,
            )
        self.last_progress = time.time()  # a restart would not help
        return False

    def _fail(self, error: BaseException) -> None:
        text = str(error).strip().partition("\n")[0]
        self.failure = self.failure or f"{type(error).__name__}: {text}"

    async def flush(self) -> None:
        """Write what was folded, for all partitions at once, and close complete chunks.

        Folding goes on meanwhile.

        Raises:
            LogError: something failed before; what was folded then must not be written without it.
        """
        async with self._flush_lock:
            if self.failure and not self._is_stopped:
                msg = f"something failed before, so nothing more is written: {self.failure}"
                raise LogError(msg)
            try:
                await self._flush()
            except BaseException as error:
                self._fail(error)
                raise

    async def _flush(self) -> None:
        began = time.monotonic()
        await self._look_up_ahead()
        async with self._state_lock:
            partitions = list(self._engine.partitions.values())
            await self._on_fold_thread(lambda: self._lookups.run(self._storage, partitions))
            snapshot = await self._on_fold_thread(lambda: FlushSnapshot.take(partitions))
        if self._is_stopped:
            return
        encodings = self._engine.encodings
        await asyncio.gather(
            self._on_writer_thread(lambda: self._writer.write(**snapshot.rows(encodings))),
            self._send(snapshot.outgoing),
        )
        await self._on_writer_thread(lambda: self._writer.write(chunks=snapshot.chunks))
        snapshot.mark_durable()
        if snapshot.complete:
            await self._close(snapshot)
        for partition in snapshot.partitions:
            label, seen = str(partition.number), partition.seen_filter
            self._telemetry.filter_entries.labels(label).set(len(seen))
            self._telemetry.filter_bytes.labels(label).set(seen.size)
        if snapshot.chunks:
            self._telemetry.flush_seconds.observe(time.monotonic() - began)
            self.last_progress = time.time()

    async def _close(self, snapshot: FlushSnapshot) -> None:
        """Close complete chunks that are written, if the worker's registry is the active one."""
        if not self._is_active(await self._on_writer_thread(self._writer.active_registry)):
            return
        owners = {
            attempt: partition
            for partition, attempt in snapshot.complete
            if not partition.is_revoked
        }
        if not owners:
            return
        for attempt in await self._on_writer_thread(lambda: self._close_chunks(list(owners))):
            partition = owners[attempt]
            if not partition.is_revoked:
                partition.close_chunk(attempt)
                self._telemetry.chunks_closed_total.inc()
                self._commit(partition.number, attempt.next_offset)

    def revoke(self, partitions: Iterable[int]) -> None:
        """Drop partitions; their next owner folds the open chunks from their start."""
        self._engine.revoke(partitions)

    async def closed_offsets(self) -> dict[int, int]:
        """Return the offset after each partition's last closed chunk: where a reader begins."""
        return await self._on_fold_thread(self._storage.closed_offsets)

    def idle_partitions(self, now: int) -> list[int]:
        """Return the partitions that need a tick: only that would complete their open chunk.

        Args:
            now: milliseconds since 1970-01-01T00:00Z.
        """
        return [number for number, one in self._engine.partitions.items() if one.is_idle(now)]

    def stop(self) -> None:
        """Stop the threads. Later calls raise `StoppedError`; open chunks stay open in the log."""
        self._is_stopped = True
        for thread in (self._writer_thread, self._fold_thread, self._validation_thread):
            thread.shutdown(wait=False, cancel_futures=True)

    async def _look_up_ahead(self) -> None:
        """Make the lookups of all open chunks while folding goes on.

        Few are left for the time when the state lock is held.
        """
        partitions = list(self._engine.partitions.values())
        lookups = await self._on_fold_thread(lambda: pending_lookups(partitions))
        if not lookups:
            return
        found = await self._on_writer_thread(lambda: self._lookups.find(self._writer, lookups))
        for one, versions in zip(lookups, found, strict=True):
            await self._on_fold_thread(partial(self._lookups.fold, one, versions))

    def _on_fold_thread(self, call: Callable[[], T]) -> "asyncio.Future[T]":
        return self._run(self._fold_thread, call)

    def _on_writer_thread(self, call: Callable[[], T]) -> "asyncio.Future[T]":
        return self._run(self._writer_thread, call)

    def _run(self, thread: ThreadPoolExecutor, call: Callable[[], T]) -> "asyncio.Future[T]":
        if self._is_stopped:
            msg = "the worker was stopped"
            raise StoppedError(msg)
        return asyncio.get_running_loop().run_in_executor(thread, call)

    # --- on the threads --------------------------------------------------------------------------

    def _start(self, partition: AssignedPartition, offset: int) -> None:
        partition.check_start(self._storage, offset)
        if partition.seen_filter.complete_to < offset:
            with self._telemetry.filter_build_seconds.time():
                partition.fill_filter(self._storage, offset)
        self.last_progress = time.time()

    def _close_chunks(self, complete: Sequence[ChunkAttempt]) -> list[ChunkAttempt]:
        closed, repairs = close_chunks(self._writer, complete)
        for one in repairs:
            self._telemetry.chunks_repaired_total.inc()
            log.warning(
                "partition %d: chunk %d differed from an earlier attempt: "
                "%d entries and %d ledger rows repaired",
                *one,
            )
        return closed
