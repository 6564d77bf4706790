"""The roll-up worker: the shell around the pure core, without Faust.

The life of a chunk, step by step; a crash between any two of them loses nothing and counts nothing twice:

1. open: the chunk begins at the first record behind the last closed one.
2. fold: records are admitted; for entities that are new to the chunk but known to the filter the ledger is asked for versions at offsets before it.
3. send: rejected records go to `activity.rejected`, misrouted ones to their partition; both are awaited.
4. flush, about every second: absolute rows of what changed, all idempotent.
5. close, when the log enters the next chunk: the rest is flushed; if another attempt at the same chunk has written, what differs from this fold is mended.
6. release: only now may the offset of the next chunk be committed.

A chunk is closed only under the registry that is in force, and a partition is begun only where its last closed chunk ended: what the log has lost meanwhile stops the worker.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast
from uuid import UUID, uuid4

from sinks.connection import StoppedError
from sinks.tables import Rows, StoredEntry, StoredVersion
from streams.admission import Accepted, Admission, Misrouted, Rejected, rejection_row
from streams.chunks import HOUR_MS, Record, cut, is_tick
from streams.filter import Entity, EntityFilter
from streams.open_chunk import Counts, OpenChunk
from streams.recent import RecentEntities
from streams.stored import version_of
from streams.telemetry import Telemetry

log = logging.getLogger(__name__)


class Store(Protocol):
    """What the worker needs of the place where figures are kept: all idempotent. `sinks.rollup_store.RollupStore` is the real one."""

    def versions(self, partition: int, before: int, entities: Sequence[Entity]) -> list[StoredVersion]:
        """Accepted versions of some entities at offsets of the partition below `before`."""
        ...

    def covering_chunk(self, partition: int, offset: int) -> int | None:
        """The start of an earlier chunk that reaches to or beyond an offset."""
        ...

    def counted_to(self) -> dict[int, int]:
        """Partition → the offset behind its last closed chunk."""
        ...

    def registry_in_force(self) -> str | None:
        """The fingerprint of the registry under which chunks may be closed now; None if any."""
        ...

    def fingerprints(self, partition: int, first: int, bits: int) -> Iterable[Iterable[int]]:
        """Fingerprints, as `EntityFilter` makes them, of the entities that the ledger has from an offset on; in blocks."""
        ...

    def other_attempts(self, partition: int, chunk: int, attempt: str) -> int:
        """How many other attempts at a chunk have written something."""
        ...

    def journal_of(self, partition: int, chunk: int) -> list[StoredEntry]:
        """Every journal entry of a chunk."""
        ...

    def ledger_offsets(self, partition: int, first: int, last: int) -> dict[tuple[str, str, int, int], tuple[int, bool]]:
        """The ledger's rows of a stretch of the log, with their last correction and whether they are taken out."""
        ...

    def write(self, *, opened: Rows = (), journal: Rows = (), ledger: Rows = (), ledger_out: Rows = (), rejected: Rows = (), chunks: Rows = ()) -> None:
        """Make rows durable, in this order."""
        ...


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
_TELL_EVERY = 20


@dataclass(slots=True)
class _Open:
    """An open chunk, and what the shell must remember of it."""

    chunk: OpenChunk
    registry: str
    first_appended_at: int
    recent: RecentEntities
    last: Record | None = None
    flushed: int = _NEVER
    rejected: list[Rejected] = field(default_factory=list)
    """Whose rows are not written yet."""
    attempt: UUID = field(default_factory=uuid4)
    opened_at: int = field(default_factory=lambda: time.time_ns() // 1_000_000)


class Worker:
    """Folds the batches of the partitions that are assigned to it. All its coroutines must run on one event loop."""

    def __init__(  # noqa: PLR0913 - its parts
        self,
        *,
        store: Store,
        writer: Store,
        admission: Admission,
        chunk_size: int,
        filter_bits: int = 32,
        send: Callable[[Outgoing], Awaitable[None]],
        release: Callable[[int, int], None],
        name: str = "worker",
        telemetry: Telemetry | None = None,
    ) -> None:
        """Take the parts.

        Args:
            store: where figures are kept; called on one thread only.
            writer: the same place by a connection of its own, for the writes that go on beside folding.
            admission: decides about records.
            chunk_size: the most offsets of one chunk.
            filter_bits: see `EntityFilter`.
            send: sends records elsewhere and returns when they are durable there.
            release: is told (partition, offset) when everything below the offset is durable for good.
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
        self._admission = admission
        self._registry = admission.registry.fingerprint()
        self._chunk_size = chunk_size
        self._filter_bits = filter_bits
        self._filters: dict[int, EntityFilter] = {}
        """Kept when a partition is taken away: if it comes back, only what others wrote meanwhile is added."""
        self._stamp = 0
        self._send = send
        self._release = release
        self._name = name
        self._recent: dict[int, RecentEntities] = {}
        """Of partitions that were begun here: what their chunks that were closed here knew."""
        self._open: dict[int, _Open] = {}
        self._next: dict[int, int] = {}
        """The offset that must come next, of partitions that were begun here."""
        self._lost: Counter[int] = Counter()
        """How often each partition was taken away: what began before the last time is not ours to go on with."""
        self._stopped = False
        self._turn = asyncio.Lock()
        self._writing: asyncio.Future[None] | None = None
        self._writer_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="write")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fold")

    async def take(self, partition: int, records: Sequence[Record]) -> None:
        """Fold a batch of consecutive records of a partition.

        Raises:
            LogError: the batch does not continue the log, or an earlier one failed.
        """
        times_lost = self._lost[partition]
        async with self._turn:
            if self.failure:
                msg = f"partition {partition}: a batch failed before; what follows it must not be folded without it"
                raise LogError(msg)
            try:
                await self._take(partition, records, times_lost)
            except BaseException as error:
                self._fail(error)
                raise

    async def _take(self, partition: int, records: Sequence[Record], times_lost: int) -> None:
        now, expected = self._open.get(partition), self._next.get(partition)
        if expected is not None and records[0].offset != expected:
            if records[0].offset > expected:
                msg = f"partition {partition}: expected offset {expected}, got {records[0].offset}: records are missing from the log"
                raise LogError(msg)
            # the consumer went back to where a chunk starts: fold it again from there
            log.info("partition %d: back from offset %d to %d", partition, expected, records[0].offset)
            self._forget(partition)
            now = expected = None
        for begins, piece in cut(now.last if now else None, records, self._chunk_size):
            if self._lost[partition] != times_lost:  # taken away while we waited: another worker has it
                return
            if begins:
                if now is not None and not await self._close(now, times_lost):
                    return
                now = await self._begin(partition, piece[0], continues=expected is not None)
                if self._lost[partition] != times_lost:
                    return
                self._open[partition] = now
                self.progress.setdefault(partition, Progress()).opened_at = now.opened_at
            assert now is not None  # noqa: S101 - the first piece of a partition begins a chunk
            progress = self.progress[partition]
            if progress.unwritten_since is None:
                progress.unwritten_since = piece[0].timestamp
            outgoing = await self._in_thread(self._fold, now, piece)
            await self._send(outgoing)
            now.last = piece[-1]
            expected = self._next[partition] = piece[-1].offset + 1
            self.last_progress = time.time()
            if is_tick(piece[-1]):  # nothing can follow in this chunk
                if self._lost[partition] != times_lost or not await self._close(now, times_lost):
                    return
                now = None

    async def _close(self, now: _Open, times_lost: int) -> bool:
        """Close a complete chunk; False if the partition was taken away meanwhile."""
        partition = now.chunk.partition
        await self._written()
        await self._in_force(partition, times_lost)
        if self._lost[partition] != times_lost:
            return False
        await self._in_thread(self._finish, now)
        if self._lost[partition] != times_lost:
            return False
        del self._open[partition]
        self._closed(partition, now.chunk.last_offset + 1)
        return True

    def _closed(self, partition: int, offset: int) -> None:
        """Everything of a partition below an offset is durable for good."""
        progress = self.progress[partition]
        progress.durable = progress.released = offset
        progress.unwritten_since = progress.writing_since = progress.opened_at = None
        self._telemetry.chunks_closed_total.inc()
        self._release(partition, offset)

    def _fail(self, error: BaseException) -> None:
        self.failure = self.failure or f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"

    async def flush(self) -> None:
        """Make what was folded durable, in one write for all partitions. Folding goes on while the rows are on their way."""
        try:
            await self._written()
            began = time.monotonic()
            async with self._turn:
                written = [(self.progress[partition], opened.chunk.last_offset + 1) for partition, opened in self._open.items()]
                rows = await self._in_thread(self._unwritten, list(self._open.values()))
                if self._stopped:
                    return
                for progress, _ in written:
                    progress.writing_since, progress.unwritten_since = progress.unwritten_since, None
                self._writing = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(self._writer_thread, lambda: self._writer.write(**rows)))
            await self._written()
        except BaseException as error:
            self._fail(error)
            raise
        for progress, offset in written:
            progress.durable, progress.writing_since = max(offset, progress.durable or 0), None
        if rows["chunks"]:
            self._telemetry.flush_seconds.observe(time.monotonic() - began)
            self.last_progress = time.time()

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget open chunks of partitions that were taken away; whoever has them next folds them from their start."""
        for partition in partitions:
            self._forget(partition)
            self._lost[partition] += 1

    def _forget(self, partition: int) -> None:
        self._open.pop(partition, None)
        self._recent.pop(partition, None)
        self._next.pop(partition, None)
        self.progress.pop(partition, None)

    async def counted_to(self) -> dict[int, int]:
        """Partition → where its last closed chunk ended, which is where a reader begins."""
        return cast("dict[int, int]", await self._in_thread(self._store.counted_to))

    def quiet(self, now: int) -> list[int]:
        """The partitions whose open chunk has been complete for a minute without a record that would close it: they are sent a tick.

        Args:
            now: milliseconds since 1970-01-01T00:00Z.
        """
        return [
            partition
            for partition, opened in self._open.items()
            if opened.last is not None and now // HOUR_MS > opened.last.timestamp // HOUR_MS and now - opened.last.timestamp > _QUIET_MS
        ]

    def stop(self) -> None:
        """Release the threads; open chunks stay open in the log. What is asked for afterwards raises `StoppedError`."""
        self._stopped = True
        self._writer_thread.shutdown(wait=False, cancel_futures=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _in_force(self, partition: int, times_lost: int) -> None:
        """Wait until this worker's registry is the one in force, or the partition is lost. When it is an older one, the worker is about to be started anew."""
        waited = 0
        while self._lost[partition] == times_lost:
            known = await self._in_thread(self._store.registry_in_force)
            if known in {None, self._registry}:
                return
            if waited % _TELL_EVERY == 0:
                log.warning(
                    "no chunk is closed under registry %s: %s is in force. If this goes on, load the registry again: `pravah units load`", self._registry, known
                )
            waited += 1
            self.last_progress = time.time()  # a restart would not help
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _begin(self, partition: int, first: Record, *, continues: bool) -> _Open:
        offset = first.offset
        if not continues:
            await self._in_thread(self._check_begin, partition, offset)
            await self._in_thread(self._fill_filter, partition, offset)
            self._recent[partition] = RecentEntities(self._chunk_size)
        self._filters[partition].complete_to = offset
        chunk = OpenChunk(partition, offset, registry=self._admission.registry, stocks=self._admission.dictionary.stocks)
        return _Open(chunk, self._registry, first.timestamp, self._recent[partition])

    async def _written(self) -> None:
        """Wait for the write that is on its way; its error is everybody's."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def _in_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        if self._stopped:
            msg = "the worker was stopped"
            raise StoppedError(msg)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    # --- on the thread ---------------------------------------------------------------------------------------------------------------------------------

    def _check_begin(self, partition: int, offset: int) -> None:
        """Refuse an offset from which counting on would count something twice, or leave something out.

        Raises:
            LogError: it lies within a chunk that was counted, or behind records that were not.
        """
        closed_to = self._store.counted_to().get(partition)
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
        known = self._filters.setdefault(partition, EntityFilter(self._filter_bits))
        if known.complete_to < offset:
            with self._telemetry.filter_build_seconds.time():
                for block in self._store.fingerprints(partition, known.complete_to, self._filter_bits):
                    known.add_fingerprints(block)
        self.last_progress = time.time()

    def _fold(self, opened: _Open, records: Sequence[Record]) -> Outgoing:
        chunk = opened.chunk
        outgoing = Outgoing(chunk.partition, [], [])
        accepted: list[Accepted] = []
        ticks = 0
        for record in records:
            decision = self._admission.admit(chunk.partition, record)
            if isinstance(decision, Accepted):
                accepted.append(decision)
            elif isinstance(decision, Rejected):
                outgoing.rejected.append(decision)
            elif isinstance(decision, Misrouted):
                outgoing.misrouted.append(decision)
            else:
                ticks += 1
        unknown = chunk.unknown((item.key, item.entity) for item in accepted)
        recent = opened.recent.find(unknown)
        if recent:
            chunk.versions.update(recent)
            unknown = chunk.unknown(unknown)
        chunk.tell(unknown, (((row.key, row.entity), version_of(row)) for row in self._look_up(chunk, unknown)))
        before = replace(chunk.counts)
        for item in accepted:
            chunk.fold(item)
        chunk.counts.records += len(records)
        chunk.counts.rejected += len(outgoing.rejected)
        chunk.counts.forwarded += len(outgoing.misrouted)
        chunk.last_offset = records[-1].offset
        opened.rejected += outgoing.rejected
        self._tell(before, chunk.counts, outgoing, ticks)
        return outgoing

    def _look_up(self, chunk: OpenChunk, unknown: Sequence[Entity]) -> list[StoredVersion]:
        """What the ledger has of entities that are new to the chunk; it is asked for those only that the filter may have seen."""
        known = self._filters[chunk.partition]
        asked = known.seen(unknown)
        known.add(unknown)
        if not asked:
            return []
        with self._telemetry.ledger_lookup_seconds.time():
            stored = self._store.versions(chunk.partition, chunk.start, asked)
        self._telemetry.ledger_lookups_total.inc(len(asked))
        self._telemetry.ledger_found_total.inc(len({(row.key, row.entity) for row in stored}))
        return stored

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
        known, partition = self._filters[outgoing.partition], str(outgoing.partition)
        self._telemetry.filter_entries.labels(partition).set(len(known))
        self._telemetry.filter_bytes.labels(partition).set(known.size)

    def _unwritten(self, opened: Iterable[_Open]) -> dict[str, Rows]:
        """What `Store.write` takes: the rows of some chunks that changed since they were last taken."""
        opening, chunks, journal, ledger, rejections = [], [], [], [], []
        for one in opened:
            unwritten = one.chunk.take_unwritten()
            journal += unwritten.journal
            ledger += unwritten.ledger
            rejected, one.rejected = one.rejected, []
            rejections += [rejection_row(item, one.chunk.partition, one.chunk.start, one.attempt) for item in rejected]
            if one.chunk.last_offset != one.flushed:
                if one.flushed == _NEVER:
                    opening.append(self._chunk_row(one, one.chunk.start, closed=False))
                chunks.append(self._chunk_row(one, one.chunk.last_offset + 1, closed=False))
                one.flushed = one.chunk.last_offset
        return {"opened": opening, "journal": journal, "ledger": ledger, "rejected": rejections, "chunks": chunks}

    def _finish(self, opened: _Open) -> None:
        chunk = opened.chunk
        self._store.write(**self._unwritten([opened]))
        if self._store.other_attempts(chunk.partition, chunk.start, str(opened.attempt)):
            stored = self._store.journal_of(chunk.partition, chunk.start)
            journal = chunk.mended_journal(((e.level, e.metric, e.unit, e.day), e[4:7], e.version) for e in stored)  # type: ignore[misc]
            stray, missing = chunk.mended_ledger(self._store.ledger_offsets(chunk.partition, chunk.start, chunk.last_offset))
            if journal or stray or missing:
                self._telemetry.chunks_mended_total.inc()
                log.warning(
                    "partition %d: chunk %d differed from an earlier attempt: %d entries and %d ledger rows mended",
                    *(chunk.partition, chunk.start, len(journal), len(stray) + len(missing)),
                )
                self._store.write(journal=journal, ledger=missing, ledger_out=[(*row[:3], chunk.partition, *row[3:], 1) for row in stray])
        self._store.write(chunks=[self._chunk_row(opened, chunk.last_offset + 1, closed=True)])
        opened.recent.keep(chunk.versions)

    def _chunk_row(self, opened: _Open, next_offset: int, *, closed: bool) -> tuple[Any, ...]:
        chunk, counts = opened.chunk, opened.chunk.counts
        # the newest row of an attempt counts, also when the machine's clock was set back between two of them
        self._stamp = max(self._stamp + 1, time.time_ns() // 1_000)
        last = opened.last.timestamp if opened.last else opened.first_appended_at
        return (
            *(chunk.partition, chunk.start, opened.attempt, self._name, opened.registry, next_offset, int(closed)),
            *(counts.records, counts.accepted, counts.duplicates, counts.rejected, counts.forwarded),
            *(opened.first_appended_at, last, opened.opened_at, self._stamp),
        )
