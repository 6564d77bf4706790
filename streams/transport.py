"""Faust's Kafka transport, changed in two ways: batches instead of single records, and offsets that are committed only when we say so.

Batches. Faust spends two tasks and a queue on every record; one overridden method folds what was fetched of a partition into one message whose value is the tuple of
its records.

Commits. Acknowledging cannot express "everything below this offset is durable" (`docs/adr/0003-batched-faust-transport.md`): nothing of a batched topic is ever
acknowledged. `BatchApp.commit_offset` keeps one number per partition, and only these numbers are committed; they are chunk boundaries and nothing else.

Everything here leans on the inside of faust-streaming 0.15; `tests/integration/test_faust_traps.py` fails when an upgrade changes what it leans on.
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
_APPEND_TIME = 1
"""The type of a timestamp that the broker gave."""
_SIZE_BYTES, _FORMAT, _COLUMNS_FORMAT = 12, 16, 2
"""A batch's offset and its size stand before what that size counts; which byte has the format; and the one that has batches of several records without an object for each."""
_CODECS = (bytes, codec.gzip_decode, codec.snappy_decode, codec.lz4_decode, codec.zstd_decode)
"""By their numbers in a record batch."""
_FETCH_WAIT_MS, _FETCH_BYTES = 200, 1024 * 1024


class Batch(NamedTuple):
    """Consecutive records of one partition, looking to Faust like one record that ends at the last one's offset."""

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
    """Fold what was fetched of one partition: `RecordBatch`, or single ones."""
    records = (
        RecordBatch.join(fetched)
        if isinstance(fetched[0], RecordBatch)
        else RecordBatch.of(fetched)
    )
    last = records[-1]
    return Batch(tp.topic, tp.partition, last.offset, last.timestamp, _APPEND_TIME, None, records)


class RawRecords(MemoryRecords):
    """What the broker sent of a partition, as aiokafka reads it, with its bytes."""

    def __init__(self, raw: bytes) -> None:
        """Keep them."""
        super().__init__(raw)
        self.raw = raw


class ColumnRecords(fetcher.PartitionRecords):
    """What was fetched of a partition of the batched topic, all of it as one `RecordBatch`. Making an object of each record took longer than all the rest of fetching."""

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
        asked, self.next_fetch_offset = self.next_fetch_offset, following
        if parts:
            records = RecordBatch.join(parts)
            first = int(
                np.searchsorted(records.offsets, asked)
            )  # a batch may begin before what was asked for
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
    """Let aiokafka's fetcher, which takes both classes from its module, read a topic so."""
    fetcher.MemoryRecords = RawRecords
    fetcher.PartitionRecords = type("ColumnRecords", (ColumnRecords,), {"batched_topic": topic})


class BatchThread(driver.AIOKafkaConsumerThread):
    """Faust's thread for the consumer, which lets the broker wait for records that are worth an answer, and not for long.

    aiokafka has one request on its way to a broker, and Faust lets that wait 1.5 s for records. One that asks only for partitions that are read to their end holds up all others for so long: a worker in a long log stood still for a third of
    its time. At the log's end Faust is answered for every record: then a batch has a few, and costs as much as one of hundreds.
    """

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms, consumer._fetch_min_bytes = _FETCH_WAIT_MS, _FETCH_BYTES  # noqa: SLF001
        return consumer


class BatchConsumer(driver.Consumer):
    """Fetches batches; commits what was released; starts at the earliest record where nothing was committed."""

    app: "BatchApp"

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    def on_buffer_full(self, tp: TP) -> None:
        """Go on fetching a partition whose stream is full.

        The fetcher waits for room in the stream in any case. Faust lets partitions that it left out come back one by one, at random, when the stream is nearly empty: in a long log some stood still for ten seconds while others went on.
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
        """Commit, if Faust's consumer thread still listens: where it ended first, as in a crash, a call to it would never return, and the process would not end."""
        try:
            return await asyncio.wait_for(super()._commit(offsets), _COMMIT_SECONDS)
        except TimeoutError:
            self.log.warning(
                "no answer to a commit within %d s: going on without it", _COMMIT_SECONDS
            )
            return False

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic != self.app.batched_topic:  # between the ends of two batches there is no gap
            await super()._add_gap(tp, offset_from, offset_to)

    async def perform_seek(self) -> None:
        """Go to where the figures stand; where they say nothing, to the committed offsets, or to the earliest.

        The figures know better than Kafka: a committed offset may have expired, and a database restored from a backup stands further back.
        """
        await super().perform_seek()
        ours = [tp for tp in self.assignment() if tp.topic == self.app.batched_topic]
        counted = await self.app.closed_offsets() if ours else {}
        # Faust leaves a partition without a committed offset where it happens to stand: what was fetched and dropped before the first commit would be lost
        fresh = [
            tp for tp in ours if tp.partition not in counted and self._committed_offset[tp] is None
        ]
        begins = await self.earliest_offsets(*fresh) if fresh else {}
        begins.update({tp: counted[tp.partition] for tp in ours if tp.partition in counted})
        for tp, offset in begins.items():
            await self.seek(tp, offset)
        self.app.begun = {tp: begins.get(tp, self._committed_offset[tp]) for tp in ours}

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was released: the next owner commits."""
        for tp in revoked:
            self.app.committable_offsets.pop(tp, None)
        await super().on_partitions_revoked(revoked)


class BatchTransport(driver.Transport):
    """The aiokafka transport with `BatchConsumer`."""

    Consumer = BatchConsumer


class RawBatchSchema(faust.Schema):
    """Hands the records through as they came: a value that Faust fails to decode would be acknowledged and lost."""

    def compile(self, app: Any, **_: Any) -> Any:
        """Give Faust's decoder, which decodes nothing."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001
            return app.create_event(None, message.value, message.headers, message)

        return decode


async def _nothing_counted() -> dict[int, int]:
    return {}


class BatchApp(faust.App):
    """A Faust app one of whose topics comes in batches and is committed by `commit_offset`."""

    def __init__(
        self,
        *args: Any,
        batched_topic: str,
        closed_offsets: Callable[[], Awaitable[dict[int, int]]] = _nothing_counted,
        **options: Any,
    ) -> None:
        """Take Faust's arguments, the topic that comes in batches, and who knows up to which offset its partitions were counted."""
        super().__init__(*args, **options)
        self.batched_topic = batched_topic
        self.closed_offsets = closed_offsets
        self.committable_offsets: dict[TP, int] = {}
        self.begun: dict[TP, int] = {}
        """Where the last rebalance made us begin."""

    def commit_offset(self, partition: int, offset: int) -> None:
        """Let Faust commit `offset` for a partition of the batched topic: everything below it is durable for good."""
        self.committable_offsets[TP(self.batched_topic, partition)] = offset

    def _new_transport(self) -> BatchTransport:
        fetch_columns(self.batched_topic)
        return BatchTransport(self.conf.broker_consumer, self)
