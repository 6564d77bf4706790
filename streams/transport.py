"""Faust's Kafka transport with two changes: batches of records, and explicit commits.

Batches. Faust spends two tasks and a queue on every record. One overridden method joins the fetched
records of a partition into one message, whose value is a `RecordBatch`.

Commits. Acknowledging cannot express "everything below this offset is durable"
(`docs/adr/0003-batched-faust-transport.md`), so nothing of a batched topic is ever acknowledged.
`BatchApp.commit_offset` stores one offset per partition, always a chunk boundary, and only these
are committed.

All of this relies on internals of faust-streaming 0.15; `tests/integration/test_faust_traps.py`
fails when an upgrade changes them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import faust
import numpy as np
from aiokafka import codec
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from rollup.record_batch import CODEC, HEADER, RecordBatch

_COMMIT_SECONDS = 10

# The type of a timestamp that the broker set.
_APPEND_TIME = 1

# A record batch begins with its offset and size, which that size does not count; the byte that has
# its format; and the format of which `RecordBatch` reads whole batches.
_SIZE_BYTES, _FORMAT, _COLUMNS_FORMAT = 12, 16, 2

# By their numbers in a record batch.
_CODECS = (bytes, codec.gzip_decode, codec.snappy_decode, codec.lz4_decode, codec.zstd_decode)

_FETCH_WAIT_MS, _FETCH_BYTES = 200, 1024 * 1024


class Batch(NamedTuple):
    """Consecutive records of one partition, in the shape of one record at their last offset."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: None
    value: RecordBatch
    headers: tuple[()] = ()
    checksum: None = None
    serialized_key_size: int = -1
    serialized_value_size: int = -1


def as_batch(tp: TP, fetched: list[Any]) -> Batch:
    """Join the fetched records of one partition: `RecordBatch` objects, or single records."""
    records = (
        RecordBatch.join(fetched)
        if isinstance(fetched[0], RecordBatch)
        else RecordBatch.of(fetched)
    )
    last = records[-1]
    return Batch(tp.topic, tp.partition, last.offset, last.timestamp, _APPEND_TIME, None, records)


class RawRecords(MemoryRecords):
    """The broker's response for a partition, as aiokafka reads it, with its bytes."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.raw = raw


class ColumnRecords(fetcher.PartitionRecords):
    """The fetched records of a partition of the batched topic as one `RecordBatch`.

    To make an object of each record took longer than all the rest of fetching.
    """

    batched_topic = ""
    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[Any]:
        if self._tp.topic != self.batched_topic or self._isolation_level == READ_COMMITTED:
            yield from super()._unpack_records()
            return
        raw, begin, following = memoryview(self._records.raw), 0, self.next_fetch_offset
        parts: list[RecordBatch] = []
        packed: list[memoryview] = []
        while self._records.has_next():
            batch = self._records.next_batch()
            end = begin + _SIZE_BYTES + int.from_bytes(raw[begin + 8 : begin + _SIZE_BYTES], "big")
            if self._check_crcs and not batch.validate_crc():
                msg = f"Invalid CRC - {self._tp}"
                raise CorruptRecordException(msg)
            if raw[begin + _FORMAT] < _COLUMNS_FORMAT:
                parts += [*self._unpacked(packed), RecordBatch.of(list(batch))]
                packed = []
            elif not batch.is_control_batch:
                packed.append(raw[begin:end])
            begin, following = end, batch.next_offset
        parts += self._unpacked(packed)
        requested, self.next_fetch_offset = self.next_fetch_offset, following
        if parts:
            records = RecordBatch.join(parts)
            # a batch may begin before the requested offset
            first = int(np.searchsorted(records.offsets, requested))
            if first < len(records):
                yield records[first:] if first else records

    def _unpacked(self, batches: list[memoryview]) -> Iterator[RecordBatch]:
        if not batches:
            return
        headers = np.frombuffer(b"".join([batch[: HEADER.itemsize] for batch in batches]), HEADER)
        codecs = (headers["attributes"] & CODEC).tolist()
        try:
            yield RecordBatch.from_batches(
                headers,
                [
                    _CODECS[codec](batch[HEADER.itemsize :])
                    for codec, batch in zip(codecs, batches, strict=True)
                ],
            )
        except ValueError as error:
            msg = f"{self._tp}: {error}"
            raise CorruptRecordException(msg) from error


def fetch_columns(topic: str) -> None:
    """Make aiokafka's fetcher, which takes both classes from its module, read a topic by batch."""
    fetcher.MemoryRecords = RawRecords
    fetcher.PartitionRecords = type("ColumnRecords", (ColumnRecords,), {"batched_topic": topic})


class BatchThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread with other fetch settings: larger responses, and a shorter wait.

    aiokafka has one request in flight to a broker, and Faust lets the broker wait 1.5 s for
    records. A request for partitions that are all read to their end holds up the others for so
    long: a worker in a long log stood still for a third of its time. At the end of the log the
    broker answers Faust for every record: batches then have a few records, and cost as much as
    batches of hundreds.
    """

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms, consumer._fetch_min_bytes = _FETCH_WAIT_MS, _FETCH_BYTES  # noqa: SLF001
        return consumer


class BatchConsumer(driver.Consumer):
    """Fetches batches, commits `BatchApp.committable_offsets`, and starts where the figures end."""

    app: "BatchApp"

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    def on_buffer_full(self, tp: TP) -> None:
        """Keep fetching a partition whose stream is full.

        The fetcher waits for space in the stream in any case. Faust resumes paused partitions one
        by one, at random, when the stream is nearly empty: in a long log some stood still for ten
        seconds while others went on.
        """

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109
        fetched = await super()._getmany(active_partitions, timeout)
        return {
            tp: [as_batch(tp, records)]
            if tp.topic == self.app.batched_topic and records
            else records
            for tp, records in fetched.items()
        }

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        others = super()._filter_committable_offsets(
            [tp for tp in tps if tp.topic != self.app.batched_topic]
        )
        return {
            **others,
            **{
                tp: offset
                for tp, offset in self.app.committable_offsets.items()
                if self._should_commit(tp, offset)
            },
        }

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit with a timeout.

        Where Faust's consumer thread ended first, as in a crash, a call to it never returns, and
        the process would not end.
        """
        try:
            return await asyncio.wait_for(super()._commit(offsets), _COMMIT_SECONDS)
        except TimeoutError:
            self.log.warning(
                "no answer to a commit within %d s: continuing without it", _COMMIT_SECONDS
            )
            return False

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        # Between the last offsets of two batches there is no gap.
        if tp.topic != self.app.batched_topic:
            await super()._add_gap(tp, offset_from, offset_to)

    async def perform_seek(self) -> None:
        """Seek to the end of the figures; else to the committed offset, or to the earliest.

        The figures are more reliable than Kafka's offsets: a committed offset may have expired, and
        a database that was restored from a backup is further back.
        """
        await super().perform_seek()
        ours = [tp for tp in self.assignment() if tp.topic == self.app.batched_topic]
        closed = await self.app.closed_offsets() if ours else {}
        # Faust leaves a partition without a committed offset at its current position: records that
        # were fetched and dropped before the first commit would be lost.
        fresh = [
            tp for tp in ours if tp.partition not in closed and self._committed_offset[tp] is None
        ]
        starts = await self.earliest_offsets(*fresh) if fresh else {}
        starts.update({tp: closed[tp.partition] for tp in ours if tp.partition in closed})
        for tp, offset in starts.items():
            await self.seek(tp, offset)
        self.app.start_offsets = {tp: starts.get(tp, self._committed_offset[tp]) for tp in ours}

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Drop the offsets that were not committed yet: the next owner commits."""
        for tp in revoked:
            self.app.committable_offsets.pop(tp, None)
        await super().on_partitions_revoked(revoked)


class BatchTransport(driver.Transport):
    """The aiokafka transport with `BatchConsumer`."""

    Consumer = BatchConsumer


class RawBatchSchema(faust.Schema):
    """Passes records on without decoding: Faust acknowledges a value that it fails to decode."""

    def compile(self, app: Any, **_: Any) -> Any:
        """Return a decoder that decodes nothing."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001
            return app.create_event(None, message.value, message.headers, message)

        return decode


async def _no_closed_offsets() -> dict[int, int]:
    return {}


class BatchApp(faust.App):
    """A Faust app that reads one topic in batches and commits it by `commit_offset`."""

    def __init__(
        self,
        *args: Any,
        batched_topic: str,
        closed_offsets: Callable[[], Awaitable[dict[int, int]]] = _no_closed_offsets,
        **options: Any,
    ) -> None:
        """Create the app.

        Args:
            args: Faust's.
            batched_topic: the topic that is read in batches.
            closed_offsets: returns partition → offset up to which the figures are final.
            options: Faust's.
        """
        super().__init__(*args, **options)
        self.batched_topic = batched_topic
        self.closed_offsets = closed_offsets
        self.committable_offsets: dict[TP, int] = {}
        """Offsets below which everything is durable for good."""
        self.start_offsets: dict[TP, int] = {}
        """Where each partition started after the last rebalance."""

    def commit_offset(self, partition: int, offset: int) -> None:
        """Let Faust commit an offset of the batched topic: everything below it is durable."""
        self.committable_offsets[TP(self.batched_topic, partition)] = offset

    def _new_transport(self) -> BatchTransport:
        fetch_columns(self.batched_topic)
        return BatchTransport(self.conf.broker_consumer, self)
