"""The roll-up worker: the shell around the pure core, without Faust.

The life of a chunk, step by step; a crash between any two of them loses nothing and counts nothing twice:

1. open: the chunk begins at the first record behind the last closed one.
2. fold: records are admitted; for entities that are new to the chunk the ledger is asked for versions at offsets before it.
3. send: rejected records go to `activity.rejected`, misrouted ones to their partition; both are awaited.
4. flush, about every second: absolute rows of what changed, all idempotent.
5. close, when the log enters the next chunk: the rest is flushed; if another attempt at the same chunk has written, what differs from this fold is mended.
6. release: only now may the offset of the next chunk be committed.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID, uuid4

from sinks.tables import Rows, StoredEntry, StoredVersion
from streams.admission import Accepted, Admission, Misrouted, Rejected
from streams.chunks import Record, cut
from streams.contribution import Version
from streams.open_chunk import Entity, OpenChunk

log = logging.getLogger(__name__)


class Store(Protocol):
    """What the worker needs of the place where figures are kept: all idempotent. `sinks.rollup_store.RollupStore` is the real one."""

    def versions(self, partition: int, before: int, entities: Sequence[Entity]) -> list[StoredVersion]:
        """Accepted versions of some entities at offsets of the partition below `before`."""
        ...

    def covering_chunk(self, partition: int, offset: int) -> int | None:
        """The start of an earlier chunk that reaches to or beyond an offset."""
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

    def write(self, *, opened: Rows = (), journal: Rows = (), ledger: Rows = (), ledger_out: Rows = (), chunks: Rows = ()) -> None:
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


_NEVER = -1


@dataclass(slots=True)
class _Open:
    """An open chunk, and what the shell must remember of it."""

    chunk: OpenChunk
    registry: str
    last: Record | None = None
    flushed: int = _NEVER
    attempt: UUID = field(default_factory=uuid4)
    opened_at: int = field(default_factory=lambda: time.time_ns() // 1_000_000)


class Worker:
    """Folds the batches of the partitions that are assigned to it. All its coroutines must run on one event loop."""

    def __init__(
        self,
        *,
        store: Store,
        writer: Store,
        admission: Admission,
        chunk_size: int,
        send: Callable[[Outgoing], Awaitable[None]],
        release: Callable[[int, int], None],
        name: str = "worker",
    ) -> None:
        """Take the parts.

        Args:
            store: where figures are kept; called on one thread only.
            writer: the same place by a connection of its own, for the writes that go on beside folding.
            admission: decides about records.
            chunk_size: the most offsets of one chunk.
            send: sends records elsewhere and returns when they are durable there.
            release: is told (partition, offset) when everything below the offset is durable for good.
            name: tells this worker from others in the table `chunks`.
        """
        self._store = store
        self._writer = writer
        self._admission = admission
        self._registry = admission.registry.fingerprint()
        self._chunk_size = chunk_size
        self._send = send
        self._release = release
        self._name = name
        self._open: dict[int, _Open] = {}
        self._lost: Counter[int] = Counter()
        """How often each partition was taken away: what began before the last time is not ours to go on with."""
        self._failed = False
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
            if self._failed:
                msg = f"partition {partition}: a batch failed before; what follows it must not be folded without it"
                raise LogError(msg)
            try:
                await self._take(partition, records, times_lost)
            except BaseException:
                self._failed = True
                raise

    async def _take(self, partition: int, records: Sequence[Record], times_lost: int) -> None:
        now = self._open.get(partition)
        before = now.last if now else None
        if before is not None and records[0].offset != before.offset + 1:
            if records[0].offset > before.offset:
                msg = f"partition {partition}: expected offset {before.offset + 1}, got {records[0].offset}: records are missing from the log"
                raise LogError(msg)
            # the consumer went back to the committed offset, where a chunk starts: fold it again from there
            log.info("partition %d: back from offset %d to %d", partition, before.offset + 1, records[0].offset)
            del self._open[partition]
            now = before = None
        for begins, piece in cut(before, records, self._chunk_size):
            if self._lost[partition] != times_lost:  # taken away while we waited: another worker has it
                return
            if begins:
                if now is not None:
                    await self._written()
                    await self._in_thread(self._finish, now)
                    if self._lost[partition] != times_lost:
                        return
                    del self._open[partition]
                    self._release(partition, now.chunk.last_offset + 1)
                now = await self._begin(partition, piece[0].offset)
                if self._lost[partition] != times_lost:
                    return
                self._open[partition] = now
            outgoing = await self._in_thread(self._fold, now, piece)
            await self._send(outgoing)
            now.last = piece[-1]  # type: ignore[union-attr]

    async def flush(self) -> None:
        """Make what was folded durable, in one write for all partitions. Folding goes on while the rows are on their way."""
        await self._written()
        async with self._turn:
            rows = await self._in_thread(self._unwritten, list(self._open.values()))
            self._writing = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(self._writer_thread, lambda: self._writer.write(**rows)))
        await self._written()

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget open chunks of partitions that were taken away; whoever has them next folds them from their start."""
        for partition in partitions:
            self._open.pop(partition, None)
            self._lost[partition] += 1

    def stop(self) -> None:
        """Release the threads; open chunks stay open in the log."""
        self._writer_thread.shutdown(wait=False, cancel_futures=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _begin(self, partition: int, offset: int) -> _Open:
        covering = await self._in_thread(self._store.covering_chunk, partition, offset)
        if covering is not None:
            msg = (
                f"partition {partition}: offset {offset} lies within the chunk that began at {covering}, so counting from here would count twice. "
                "The committed offset was changed, or the topic lost records to its retention: rebuild the figures from the log, as docs/operations.md says"
            )
            raise LogError(msg)
        chunk = OpenChunk(partition, offset, registry=self._admission.registry, stocks=self._admission.dictionary.stocks)
        return _Open(chunk, self._registry)

    async def _written(self) -> None:
        """Wait for the write that is on its way; its error is everybody's."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def _in_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    # --- on the thread ---------------------------------------------------------------------------------------------------------------------------------

    def _fold(self, opened: _Open, records: Sequence[Record]) -> Outgoing:
        chunk = opened.chunk
        outgoing = Outgoing(chunk.partition, [], [])
        accepted: list[Accepted] = []
        for record in records:
            decision = self._admission.admit(chunk.partition, record)
            if isinstance(decision, Accepted):
                accepted.append(decision)
            elif isinstance(decision, Rejected):
                outgoing.rejected.append(decision)
            else:
                outgoing.misrouted.append(decision)
        unknown = chunk.unknown(accepted)
        stored = self._store.versions(chunk.partition, chunk.start, unknown)
        chunk.tell(unknown, (((row.key, row.entity), _version(row)) for row in stored))
        for item in accepted:
            chunk.fold(item)
        chunk.counts.records += len(records)
        chunk.counts.rejected += len(outgoing.rejected)
        chunk.counts.forwarded += len(outgoing.misrouted)
        chunk.last_offset = records[-1].offset
        return outgoing

    def _unwritten(self, opened: Iterable[_Open]) -> dict[str, Rows]:
        """What `Store.write` takes: the rows of some chunks that changed since they were last taken."""
        opening, chunks, journal, ledger = [], [], [], []
        for one in opened:
            unwritten = one.chunk.take_unwritten()
            journal += unwritten.journal
            ledger += unwritten.ledger
            if one.chunk.last_offset != one.flushed:
                if one.flushed == _NEVER:
                    opening.append(self._chunk_row(one, one.chunk.start, closed=False))
                chunks.append(self._chunk_row(one, one.chunk.last_offset + 1, closed=False))
                one.flushed = one.chunk.last_offset
        return {"opened": opening, "journal": journal, "ledger": ledger, "chunks": chunks}

    def _finish(self, opened: _Open) -> None:
        chunk = opened.chunk
        self._store.write(**self._unwritten([opened]))
        if self._store.other_attempts(chunk.partition, chunk.start, str(opened.attempt)):
            stored = self._store.journal_of(chunk.partition, chunk.start)
            journal = chunk.mended_journal(((e.level, e.metric, e.unit, e.day), e[4:7], e.version) for e in stored)  # type: ignore[misc]
            stray, missing = chunk.mended_ledger(self._store.ledger_offsets(chunk.partition, chunk.start, chunk.last_offset))
            if journal or stray or missing:
                log.warning(
                    "partition %d: chunk %d differed from an earlier attempt: %d entries and %d ledger rows mended",
                    *(chunk.partition, chunk.start, len(journal), len(stray) + len(missing)),
                )
                self._store.write(journal=journal, ledger=missing, ledger_out=[(*row[:3], chunk.partition, *row[3:], 1) for row in stray])
        self._store.write(chunks=[self._chunk_row(opened, chunk.last_offset + 1, closed=True)])

    def _chunk_row(self, opened: _Open, next_offset: int, *, closed: bool) -> tuple[Any, ...]:
        chunk, counts = opened.chunk, opened.chunk.counts
        now = time.time_ns() // 1_000
        return (
            *(chunk.partition, chunk.start, opened.attempt, self._name, opened.registry, next_offset, int(closed)),
            *(counts.records, counts.accepted, counts.duplicates, counts.rejected, counts.forwarded, opened.opened_at, now),
        )


def _version(row: StoredVersion) -> Version:
    amounts = dict(zip(row.metrics, row.amounts, strict=True))
    return Version(row.version, row.op, row.verification, row.unit, row.occurred_at, row.day, amounts)  # type: ignore[arg-type]
