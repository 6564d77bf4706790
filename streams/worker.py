"""The roll-up worker: the shell around the pure core, without Faust.

The life of a chunk, step by step; a crash between any two of them loses nothing and counts nothing twice:

1. open: the chunk begins at the first record behind the last one.
2. fold: records are admitted, on a thread of their own while those before are folded. Versions of entities that are new to the chunk but known to the filter wait until the ledger is asked for versions at offsets before the chunk; that is done for many of them at once, before a flush and
   when the chunk is complete, because a question costs ten milliseconds, however few it is about.
3. send: with the flush rejected records go to `activity.rejected`, misrouted ones to their partition; it waits until they are durable there before it tells how far a chunk has come.
4. complete: the log enters the next chunk. Folding goes on there at once if the registry is still the one in force. Until the complete chunk is closed, the ledger is asked for versions before it alone, because another attempt
   may have left something astray in it; what it has itself is known here.
5. flush, about every second: absolute rows of what changed in all chunks, open and complete, all idempotent.
6. close, after the flush: if another attempt at a complete chunk has written, what differs from this fold is mended; of many such chunks some are left to the next flush.
7. release: only now may the offset behind the chunk be committed.

A chunk is closed only under the registry that is in force, and a partition is begun only where its last closed chunk ended: what the log has lost meanwhile stops the worker.
"""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast
from uuid import UUID, uuid4

import numpy as np

from columnar.arrays import Array
from columnar.columns import Block, Blocks
from columnar.texts import HashedTexts
from rollup.batch_validation import BatchValidator, Verdicts
from rollup.chunks import HOUR_MS, Record, is_tick
from rollup.contribution import NONE
from rollup.entity_cache import EntityCache
from rollup.ledger_rows import entity_of, version_of
from rollup.open_chunk import Counts, OpenChunk
from rollup.record_batch import RecordBatch, cut
from rollup.seen_filter import SeenFilter, first_rows
from rollup.storage import Attempt, EntityLookup, Rows, StoppedError, Storage, StoredVersion
from rollup.validation import Misrouted, Rejected, Validator, rejection_row
from rollup.version_columns import Encodings, Entity, LedgerColumns
from rollup.warm_up import warm_up
from streams.telemetry import Telemetry

log = logging.getLogger(__name__)
T = TypeVar("T")


class ValidatedBatch(NamedTuple):
    """Consecutive records of a partition, and what was decided about them."""

    records: RecordBatch
    verdicts: Verdicts
    times_lost: int
    """How often the partition had been taken away when they came: later it is not ours to fold them."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Records of one batch that go elsewhere."""

    partition: int
    rejected: list[Rejected]
    misrouted: list[Misrouted]


class LogError(RuntimeError):
    """The log does not continue where it should: folding on would count wrongly, so the worker stops."""


@dataclass(slots=True)
class Progress:
    """How far a partition has come here. Offsets are the next ones; times are the broker's append times, milliseconds since 1970-01-01T00:00Z."""

    durable: int | None = None
    """Below it all is in the figures."""
    released: int | None = None
    """Below it all chunks are closed."""
    unwritten_since: int | None = None
    """Of the oldest record that is folded and not on its way to the figures."""
    writing_since: int | None = None
    """Of the oldest record that is on its way."""
    opened_at: int | None = None
    """When the open chunk was begun, by this machine's clock."""


_NEVER = -1
_QUIET_MS = 60_000
_LOOK_AGAIN_SECONDS = 0.5
_TELL_SECONDS = 10.0
_MEND_SECONDS = 0.3
"""So long a flush looks through chunks that another attempt had begun, and a little longer: for the last one that it began within that time."""
_MOST_COMPLETE = 480_000
"""So many records of all partitions may wait to be closed; then folding waits, so that memory is bounded while ClickHouse is away."""


_MOST_EXPECTED = 100_000
"""Room is made beforehand for the entities of a chunk of this size; in a larger one it grows."""


@dataclass(slots=True)
class _Open:
    """An open chunk, and what the shell must remember of it."""

    chunk: OpenChunk
    registry: str
    first_appended_at: int
    recent: EntityCache
    """Of its partition, so that folding goes on when that is taken away meanwhile: the thread has seen nothing of it yet."""
    last: Record | None = None
    flushed: int = _NEVER
    rejected: list[Rejected] = field(default_factory=list)
    """Whose rows are not written yet."""
    waiting: list[LedgerColumns] = field(default_factory=list)
    """Versions that the ledger must be asked about before they are folded, in the order of the log."""
    attempt: UUID = field(default_factory=uuid4)
    opened_at: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    @property
    def identity(self) -> Attempt:
        """What tells it from other attempts."""
        return self.chunk.partition, self.chunk.start, self.attempt


@dataclass(slots=True)
class _FlushSnapshot:
    """What a flush takes out of chunks. Rows are made of it on the writer's thread, while folding goes on."""

    opened: list[tuple[Any, ...]] = field(default_factory=list)
    journal: list[Block] = field(default_factory=list)
    ledger: list[LedgerColumns] = field(default_factory=list)
    rejected: list[tuple[Rejected, Attempt]] = field(default_factory=list)
    chunks: list[tuple[Any, ...]] = field(default_factory=list)

    def rows(self, encodings: Encodings) -> dict[str, Rows]:
        """What `Storage.write` takes, all but how far the chunks have come."""
        return {
            "opened": self.opened,
            "journal": Blocks(self.journal) if self.journal else (),
            "ledger": Blocks([columns.ledger(encodings) for columns in self.ledger])
            if self.ledger
            else (),
            "rejected": [rejection_row(item, *attempt) for item, attempt in self.rejected],
        }


class Worker:
    """Folds the batches of the partitions that are assigned to it. All its coroutines must run on one event loop."""

    def __init__(  # noqa: PLR0913
        self,
        *,
        store: Storage,
        writer: Storage,
        validator: Validator,
        chunk_size: int,
        filter_bits: int = 32,
        recent_entities: int = 100_000,
        send: Callable[[Sequence[Outgoing]], Awaitable[None]],
        commit: Callable[[int, int], None],
        name: str = "worker",
        telemetry: Telemetry | None = None,
    ) -> None:
        """Take the parts.

        Args:
            store: where figures are kept, asked while folding; called on one thread only.
            writer: the same place by a connection of its own, for the writes that go on beside folding.
            validator: decides about records.
            chunk_size: the most offsets of one chunk.
            filter_bits: see `SeenFilter`.
            recent_entities: see `EntityCache`, of one partition.
            send: sends records elsewhere and returns when they are durable there.
            commit: is called with (partition, offset) when everything below the offset is durable for good.
            name: tells this worker from others in the table `chunks`.
            telemetry: is told what happens.
        """
        self._telemetry = telemetry or Telemetry()
        self.progress: dict[int, Progress] = {}
        """How far the partitions have come that this worker has begun."""
        self.last_progress = time.time()
        """When something last went on, seconds since 1970-01-01T00:00Z."""
        self.failure: str | None = None
        """Why this worker counts no more, if it does not."""
        self._store = store
        self._writer = writer
        self._admission = BatchValidator(validator)
        self._registry = validator.registry.fingerprint()
        self._chunk_size = chunk_size
        self._filter_bits = filter_bits
        self._recent_entities = recent_entities
        self._filters: dict[int, SeenFilter] = {}
        """Kept when a partition is taken away: if it comes back, only what others wrote meanwhile is added."""
        self._stamp = 0
        self._send = send
        self._commit = commit
        self._name = name
        self._recent: dict[int, EntityCache] = {}
        """Of partitions that were begun here: what their chunks that were closed here knew."""
        self._begun: dict[int, int] = {}
        """Where partitions were begun here: below it all was closed before."""
        self._open: dict[int, _Open] = {}
        self._complete: defaultdict[int, list[_Open]] = defaultdict(list)
        """Chunks that wait to be closed, in the order of the log."""
        self._next: dict[int, int] = {}
        """The offset that must come next, of partitions that were begun here."""
        self._lost: Counter[int] = Counter()
        """How often each partition was taken away: what began before the last time is not ours to go on with."""
        self._stopped = False
        self._outgoing: list[Outgoing] = []
        """What the next flush sends elsewhere."""
        self._told = -_TELL_SECONDS
        """When it was last told that another registry is in force."""
        self._taking, self._turn, self._flushing = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
        """One batch at a time; one piece of it, or the look at what is to be written; one flush."""
        self._writer_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="write")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fold")
        self._admission_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="admit")

    def warm_up(self) -> None:
        """Be ready to fold at full speed (`rollup.warm_up`)."""
        warm_up(self._admission)

    def validate(
        self, partition: int, records: Sequence[Record]
    ) -> "asyncio.Future[ValidatedBatch]":
        """Decide about a batch of consecutive records of a partition, while others are folded; nothing of it is counted yet."""
        batch, times_lost = RecordBatch.of(records), self._lost[partition]
        return self._on_thread(
            self._admission_thread,
            lambda: ValidatedBatch(batch, self._admission.validate(partition, batch), times_lost),
        )

    async def process(self, partition: int, batch: ValidatedBatch | Sequence[Record]) -> None:
        """Fold a batch of consecutive records of a partition, which is admitted first if it is not.

        Raises:
            LogError: the batch does not continue the log, or an earlier one failed.
        """
        if not isinstance(batch, ValidatedBatch):
            batch = await self.validate(partition, batch)
        async with self._taking:
            if self.failure:
                msg = f"partition {partition}: a batch failed before; what follows it must not be folded without it"
                raise LogError(msg)
            try:
                await self._process(partition, batch)
            except BaseException as error:
                self._fail(error)
                raise

    async def _process(self, partition: int, batch: ValidatedBatch) -> None:
        records, verdicts, times_lost = batch
        if self._lost[partition] != times_lost:  # taken away while they were admitted, or waited
            return
        self._follow(partition, records[0].offset)
        now, expected = self._open.get(partition), self._next.get(partition)
        for begins, piece in cut(now.last if now else None, records, self._chunk_size):
            if begins:
                if now is not None and not await self._completed(now, times_lost):
                    return
                now = await self._begin(partition, piece[0], continues=expected is not None)
            assert now is not None
            async with self._turn:
                if (
                    self._lost[partition] != times_lost
                ):  # taken away while we waited: another worker has it
                    return
                if begins:
                    self._open[partition] = now
                    self.progress.setdefault(partition, Progress()).opened_at = now.opened_at
                progress = self.progress[partition]
                if progress.unwritten_since is None:
                    progress.unwritten_since = piece[0].timestamp
                outgoing = await self._in_thread(
                    self._fold,
                    now,
                    piece,
                    verdicts if len(piece) == len(records) else verdicts.of(piece),
                )
                if outgoing.rejected or outgoing.misrouted:
                    self._outgoing.append(outgoing)
                now.last = piece[-1]
                expected = piece[-1].offset + 1
                if self._lost[partition] == times_lost:
                    self._next[partition] = expected
                self.last_progress = time.time()
            if is_tick(piece[-1]):  # nothing can follow in this chunk
                if not await self._completed(now, times_lost):
                    return
                now = None

    def _follow(self, partition: int, offset: int) -> None:
        """Go back with the consumer, if it went back to where a chunk starts: that is folded again from there."""
        expected = self._next.get(partition)
        if expected is None or offset == expected:
            return
        if offset > expected:
            msg = f"partition {partition}: expected offset {expected}, got {offset}: records are missing from the log"
            raise LogError(msg)
        log.info("partition %d: back from offset %d to %d", partition, expected, offset)
        self._forget(partition)

    async def _completed(self, now: _Open, times_lost: int) -> bool:
        """Put a complete chunk to those that wait to be closed, and wait for it if need be; False if the partition was taken away."""
        partition = now.chunk.partition
        async with self._turn:
            await self._in_thread(self._ask, [now])
        if self._lost[partition] != times_lost:
            return False
        del self._open[partition]
        self.progress[partition].opened_at = None
        now.recent.keep(now.chunk.known)
        self._complete[partition].append(now)
        while self._lost[partition] == times_lost:
            known = await self._in_thread(self._store.active_registry)
            waiting = sum(
                one.chunk.counts.records for complete in self._complete.values() for one in complete
            )
            if self._is_in_force(known) and waiting <= _MOST_COMPLETE:
                return self._lost[partition] == times_lost
            await self.flush()
            if not self._is_in_force(known):
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return False

    def _is_in_force(self, known: str | None) -> bool:
        """Whether this worker's registry is the one in force. When it is an older one, the worker is about to be started anew; until then it begins no chunk and closes none."""
        if known in {None, self._registry}:
            return True
        if time.monotonic() - self._told > _TELL_SECONDS:
            self._told = time.monotonic()
            log.warning(
                "no chunk is closed under registry %s: %s is in force. If this goes on, load the registry again: `pravah units load`",
                self._registry,
                known,
            )
        self.last_progress = time.time()  # a restart would not help
        return False

    def _fail(self, error: BaseException) -> None:
        self.failure = (
            self.failure or f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        )

    async def flush(self) -> None:
        """Make what was folded durable, in one write for all partitions, and close what is complete. Folding goes on meanwhile.

        Raises:
            LogError: something failed before; what was folded then is not to be written without it.
        """
        async with self._flushing:
            if self.failure and not self._stopped:
                msg = f"something failed before, so nothing more is written: {self.failure}"
                raise LogError(msg)
            try:
                await self._flush()
            except BaseException as error:
                self._fail(error)
                raise

    async def _flush(self) -> None:
        began = time.monotonic()
        await self._ask_ahead()
        async with self._turn:
            await self._in_thread(self._ask, list(self._open.values()))
            outgoing, self._outgoing = self._outgoing, []
            complete = [one for waiting in self._complete.values() for one in waiting]
            opened = [*complete, *self._open.values()]
            written = {
                one.chunk.partition: (self.progress[one.chunk.partition], one.chunk.last_offset + 1)
                for one in opened
            }
            taken = await self._in_thread(
                self._unwritten,
                opened,
                {partition: progress.durable for partition, (progress, _) in written.items()},
            )
            for progress, _ in written.values():
                progress.writing_since, progress.unwritten_since = progress.unwritten_since, None
        if self._stopped:
            return
        await asyncio.gather(
            self._on_writer(lambda: self._writer.write(**taken.rows(self._admission.encodings))),
            self._send(outgoing),
        )
        await self._on_writer(
            lambda: self._writer.write(chunks=taken.chunks)
        )  # told last, when all else is durable
        for progress, offset in written.values():
            progress.durable, progress.writing_since = max(offset, progress.durable or 0), None
        if complete:
            await self._close(complete)
        for partition in {one.chunk.partition for one in opened}:
            self._telemetry.filter_entries.labels(str(partition)).set(len(self._filters[partition]))
            self._telemetry.filter_bytes.labels(str(partition)).set(self._filters[partition].size)
        if taken.chunks:
            self._telemetry.flush_seconds.observe(time.monotonic() - began)
            self.last_progress = time.time()

    async def _ask_ahead(self) -> None:
        """Ask the ledger about what waits for it by now, while folding goes on: little is left to ask about when the turn has come."""
        opened = list(self._open.values())
        asked = await self._in_thread(self._asked, opened)
        stored = await self._on_writer(partial(self._look_up, self._writer, asked)) if asked else ()
        for (one, entities), versions in zip(asked, stored, strict=True):
            await self._in_thread(self._answer, one, entities, versions)

    async def _close(self, complete: Sequence[_Open]) -> None:
        """Close chunks that are complete and written, if this worker's registry is the one in force."""
        if not self._is_in_force(await self._on_writer(self._writer.active_registry)):
            return
        ours = [one for one in complete if one in self._complete[one.chunk.partition]]
        if not ours:  # all were taken away meanwhile
            return
        for one in await self._on_writer(lambda: self._finish(ours)):
            partition, offset = one.chunk.partition, one.chunk.last_offset + 1
            if one in self._complete[partition]:
                self._complete[partition].remove(one)
                one.chunk.known.is_in_ledger = True
                progress = self.progress[partition]
                progress.released = offset
                self._telemetry.chunks_closed_total.inc()
                self._commit(partition, offset)

    def revoke(self, partitions: Iterable[int]) -> None:
        """Forget open chunks of partitions that were taken away; whoever has them next folds them from their start."""
        for partition in partitions:
            self._forget(partition)
            self._lost[partition] += 1

    def _forget(self, partition: int) -> None:
        self._open.pop(partition, None)
        self._complete.pop(partition, None)
        self._recent.pop(partition, None)
        self._next.pop(partition, None)
        self.progress.pop(partition, None)

    async def closed_offsets(self) -> dict[int, int]:
        """Partition → where its last closed chunk ended, which is where a reader begins."""
        return cast("dict[int, int]", await self._in_thread(self._store.closed_offsets))

    def idle_partitions(self, now: int) -> list[int]:
        """The partitions whose open chunk has been complete for a minute without a record that would close it: they are sent a tick.

        Args:
            now: milliseconds since 1970-01-01T00:00Z.
        """
        return [
            partition
            for partition, opened in self._open.items()
            if opened.last is not None
            and now // HOUR_MS > opened.last.timestamp // HOUR_MS
            and now - opened.last.timestamp > _QUIET_MS
        ]

    def stop(self) -> None:
        """Release the threads; open chunks stay open in the log. What is asked for afterwards raises `StoppedError`."""
        self._stopped = True
        for thread in (self._writer_thread, self._thread, self._admission_thread):
            thread.shutdown(wait=False, cancel_futures=True)

    async def _begin(self, partition: int, first: Record, *, continues: bool) -> _Open:
        offset = first.offset
        if not continues:
            await self._in_thread(self._check_begin, partition, offset)
            await self._in_thread(self._fill_filter, partition, offset)
            self._begun[partition] = offset
            self._recent[partition] = EntityCache(self._recent_entities)
        self._filters[partition].complete_to = offset
        chunk = OpenChunk(
            partition,
            offset,
            self._admission.encodings,
            expected=min(_MOST_EXPECTED, self._chunk_size - offset % self._chunk_size),
        )
        return _Open(chunk, self._registry, first.timestamp, self._recent[partition])

    async def _in_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await self._on_thread(self._thread, call, *arguments)

    async def _on_writer(self, call: Callable[[], T]) -> T:
        return await self._on_thread(self._writer_thread, call)

    def _on_thread(
        self,
        thread: ThreadPoolExecutor,
        call: Callable[..., T],
        *arguments: Any,
    ) -> "asyncio.Future[T]":
        if self._stopped:
            msg = "the worker was stopped"
            raise StoppedError(msg)
        return asyncio.get_running_loop().run_in_executor(thread, call, *arguments)

    # --- on the threads ---------------------------------------------------------------------------------------------------------------------------------

    def _check_begin(self, partition: int, offset: int) -> None:
        """Refuse an offset from which counting on would count something twice, or leave something out.

        Raises:
            LogError: it lies within a chunk that was counted, or behind records that were not.
        """
        closed_to = self._store.closed_offsets().get(partition)
        if closed_to is not None and offset > closed_to:
            msg = (
                f"partition {partition}: the figures stand at offset {closed_to}, the log begins at {offset}: {offset - closed_to} records are gone before they were counted "
                "for good. Lengthen the topic's retention; then say with `pravah replay lost` that they cannot be counted, or bring them back by their sources"
            )
            raise LogError(msg)
        covering = self._store.covering_chunk(partition, offset)
        if covering is not None:
            msg = (
                f"partition {partition}: offset {offset} lies within the chunk that began at {covering}, so counting from here would count twice. "
                "The group's committed offset was changed by hand, or PRAVAH_CHUNK_SIZE: put it back, or rebuild the figures with `pravah replay log`"
            )
            raise LogError(msg)

    def _fill_filter(self, partition: int, offset: int) -> None:
        """Let the filter know every entity that the ledger has before an offset where a chunk begins."""
        known = self._filters.setdefault(partition, SeenFilter(self._filter_bits))
        if known.complete_to < offset:
            with self._telemetry.filter_build_seconds.time():
                for block in self._store.fingerprints(
                    partition, known.complete_to, offset, self._filter_bits
                ):
                    known.add(block)
        self.last_progress = time.time()

    def _fold(self, opened: _Open, records: RecordBatch, verdicts: Verdicts) -> Outgoing:
        chunk = opened.chunk
        before = replace(chunk.counts)
        if verdicts.accepted is not None:
            columns, fresh = self._acquaint(opened, verdicts.accepted)
            chunk.fold(columns, fresh)
        chunk.counts.records += len(records)
        chunk.counts.rejected += len(verdicts.rejected)
        chunk.counts.forwarded += len(verdicts.misrouted)
        chunk.last_offset = records[-1].offset
        opened.rejected += verdicts.rejected
        outgoing = Outgoing(chunk.partition, verdicts.rejected, verdicts.misrouted)
        self._tell(before, chunk.counts, outgoing, len(verdicts.ticks))
        return outgoing

    def _acquaint(self, opened: _Open, columns: LedgerColumns) -> tuple[LedgerColumns, Array]:
        """Let the chunk know the earlier versions of all entities that are known here, and let those wait that the ledger must be asked about.

        Returns:
            The versions that can be folded now, and for each whether it is the first of its entity that was ever seen.
        """
        chunk, entities = opened.chunk, columns.entities
        known = self._filters[chunk.partition]
        fingerprints = known.fingerprints(entities)
        seen, first = known.add(fingerprints), first_rows(fingerprints)
        rows = np.arange(len(first))
        fresh: Array = ~seen & (first == rows)
        if fresh.all():
            return columns, fresh
        unknown = self._unknown(chunk, entities, np.flatnonzero(seen))
        opened.recent.tell(entities[unknown], chunk.known)
        # two new entities of one batch may share a fingerprint by chance
        again = rows[~seen & (first != rows)]
        chunk.tell(
            chunk.unknown(
                entities[again[~entities.texts.rows_equal(again, first[again])]].values()
            ),
            (),
        )
        asked = self._unknown(chunk, entities, unknown)
        if not len(asked):
            return columns, fresh
        waits = np.zeros(len(rows), bool)
        waits[asked] = True
        opened.waiting.append(columns.where(waits))
        return columns.where(~waits), fresh[~waits]

    @staticmethod
    def _unknown(chunk: OpenChunk, entities: HashedTexts, rows: Array) -> Array:
        """Those of some rows whose entity's versions the chunk does not know."""
        unknown: Array = rows[chunk.known.find(entities[rows]) == NONE]
        return unknown

    def _ask(self, opened: Iterable[_Open]) -> None:
        """Fold all that waits for the ledger's answer."""
        asked = self._asked(opened)
        if asked:
            for (one, entities), stored in zip(
                asked, self._look_up(self._store, asked), strict=True
            ):
                self._answer(one, entities, stored)

    @staticmethod
    def _asked(opened: Iterable[_Open]) -> list[tuple[_Open, list[Entity]]]:
        """Chunks with something that waits, and the entities that the ledger must be asked about; all may be known by now."""
        return [
            (
                one,
                one.chunk.unknown(
                    entity for columns in one.waiting for entity in columns.entities.values()
                ),
            )
            for one in opened
            if one.waiting
        ]

    def _look_up(
        self, store: Storage, asked: Sequence[tuple[_Open, list[Entity]]]
    ) -> list[list[StoredVersion]]:
        """What the ledger has of entities that the filter may have seen, for each chunk; one question for all."""
        # in what is not closed yet another attempt may have rows astray; what it should have was looked for among recent entities
        begins = [
            min(
                (other.chunk.start for other in list(self._complete.get(one.chunk.partition, ()))),
                default=one.chunk.start,
            )
            for one, _ in asked
        ]
        questions = [
            EntityLookup(one.chunk.partition, before, entities)
            for (one, entities), before in zip(asked, begins, strict=True)
        ]
        with self._telemetry.ledger_lookup_seconds.time():
            stored = store.find_versions(questions)
        self._telemetry.ledger_lookups_total.inc(sum(len(entities) for _, entities in asked))
        self._telemetry.ledger_found_total.inc(
            sum(len(set(map(entity_of, versions))) for versions in stored)
        )
        return stored

    def _answer(
        self, opened: _Open, asked: Iterable[Entity], stored: Iterable[StoredVersion]
    ) -> None:
        """Fold what has waited for these answers; what has come since may go on waiting for others."""
        chunk = opened.chunk
        before, told = replace(chunk.counts), dict.fromkeys(chunk.unknown(asked))
        chunk.tell(
            list(told),
            ((entity_of(row), version_of(row)) for row in stored if entity_of(row) in told),
        )
        waiting, opened.waiting = opened.waiting, []
        for columns in waiting:
            known = chunk.known.find(columns.entities) != NONE
            if not known.all():
                opened.waiting.append(columns.where(~known))
            if known.any():
                chunk.fold(columns.where(known), np.zeros(int(known.sum()), bool))
        self._tell(before, chunk.counts, Outgoing(chunk.partition, [], []), 0)

    def _tell(self, before: Counts, after: Counts, outgoing: Outgoing, ticks: int) -> None:
        outcomes = {
            "accepted": after.accepted - before.accepted,
            "duplicate": after.duplicates - before.duplicates,
            "rejected": len(outgoing.rejected),
            "forwarded": len(outgoing.misrouted),
            "tick": ticks,
        }
        for outcome, count in outcomes.items():
            self._telemetry.records_total.labels(outcome).inc(count)
        self._telemetry.corrections_total.inc(after.corrections - before.corrections)
        for rejected in outgoing.rejected:
            self._telemetry.rejected_total.labels(rejected.reason).inc()

    def _unwritten(
        self, opened: Iterable[_Open], durable: Mapping[int, int | None]
    ) -> _FlushSnapshot:
        """Take out of some chunks what changed since it was last taken; `durable` says how far their partitions' figures reach."""
        taken = _FlushSnapshot()
        for one in opened:
            unwritten = one.chunk.take_unwritten()
            taken.journal += [unwritten.journal] if unwritten.journal else []
            taken.ledger += unwritten.ledger
            rejected, one.rejected = one.rejected, []
            taken.rejected += [(item, one.identity) for item in rejected]
            if one.chunk.last_offset != one.flushed:
                if one.flushed == _NEVER:
                    # not further than what is in the figures: those of the chunk before may be in this very write
                    known = durable[one.chunk.partition]
                    reach = self._begun[one.chunk.partition] if known is None else known
                    taken.opened.append(
                        self._chunk_row(one, min(one.chunk.start, reach), closed=False)
                    )
                taken.chunks.append(self._chunk_row(one, one.chunk.last_offset + 1, closed=False))
                one.flushed = one.chunk.last_offset
        return taken

    def _finish(self, complete: Sequence[_Open]) -> list[_Open]:
        """Close chunks, those of a partition in the order of the log. After a crash many must be looked through; so that flushes do not wait for all of them, some may be left to the next one.

        Returns:
            Those that are closed.
        """
        others = self._writer.contested_attempts([one.identity for one in complete])
        closed, left, until = [], set(), time.monotonic() + _MEND_SECONDS
        for one in complete:
            if time.monotonic() > until and one.identity in others:
                left.add(one.chunk.partition)
            if one.chunk.partition not in left:
                if one.identity in others:
                    self._mend(one.chunk)
                closed.append(one)
        self._writer.write(
            chunks=[self._chunk_row(one, one.chunk.last_offset + 1, closed=True) for one in closed]
        )
        return closed

    def _mend(self, chunk: OpenChunk) -> None:
        """Put right what another attempt at a chunk has left otherwise than this one has it."""
        stored = self._writer.journal_entries(chunk.partition, chunk.start)
        journal = chunk.journal_repairs(
            ((e.level, e.metric, e.unit, e.day), e[4:7], e.version)  # type: ignore[misc]
            for e in stored
        )
        stray, missing = chunk.ledger_repairs(
            self._writer.ledger_corrections(chunk.partition, chunk.start, chunk.last_offset)
        )
        if not (len(journal) or stray or missing):
            return
        self._telemetry.chunks_mended_total.inc()
        log.warning(
            "partition %d: chunk %d differed from an earlier attempt: %d entries and %d ledger rows mended",
            *(chunk.partition, chunk.start, len(journal), len(stray) + len(missing or ())),
        )
        self._writer.write(
            journal=journal,
            ledger=missing or (),
            ledger_out=[(*row[:3], chunk.partition, *row[3:], 1) for row in stray],
        )

    def _chunk_row(self, opened: _Open, next_offset: int, *, closed: bool) -> tuple[Any, ...]:
        chunk, counts = opened.chunk, opened.chunk.counts
        # the newest row of an attempt counts, also when the machine's clock was set back between two of them
        self._stamp = max(self._stamp + 1, time.time_ns() // 1_000)
        last = opened.last.timestamp if opened.last else opened.first_appended_at
        return (
            *(
                chunk.partition,
                chunk.start,
                opened.attempt,
                self._name,
                opened.registry,
                next_offset,
                int(closed),
            ),
            *(
                counts.records,
                counts.accepted,
                counts.duplicates,
                counts.rejected,
                counts.forwarded,
            ),
            *(opened.first_appended_at, last, opened.opened_at, self._stamp),
        )
