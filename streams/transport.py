"""Faust's Kafka transport, changed in two ways: batches instead of single records, and offsets that are committed only when we say so.

Batches. Faust spends two tasks and a queue on every record; one overridden method folds what was fetched of a partition into one message whose value is the tuple of
its records.

Commits. Acknowledging cannot express "everything below this offset is durable" (`docs/adr/0003-batched-faust-transport.md`): nothing of a batched topic is ever
acknowledged. `BatchApp.release` keeps one number per partition, and only these numbers are committed; they are chunk boundaries and nothing else.

Everything here leans on the inside of faust-streaming 0.15; `tests/test_faust_traps.py` fails when an upgrade changes what it leans on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

import faust
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

_COMMIT_SECONDS = 10
_FETCH_WAIT_MS = 50


class Batch(NamedTuple):
    """Consecutive records of one partition, looking to Faust like one record that ends at the last one's offset."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: None
    value: tuple[Any, ...]
    """aiokafka's own records as `LeanRecords` leaves them, in order: offset, timestamp, key, value."""
    headers: tuple[()] = ()
    checksum: None = None
    serialized_key_size: int = -1
    serialized_value_size: int = -1


def as_batch(tp: TP, records: list[Any]) -> Batch:
    """Fold what was fetched of one partition."""
    last = records[-1]
    return Batch(tp.topic, tp.partition, last.offset, last.timestamp, last.timestamp_type, None, tuple(records))


class LeanRecords(fetcher.PartitionRecords):
    """What was fetched of a partition of the batched topic, record by record as aiokafka's C code reads it. Making a `ConsumerRecord` of each took longer than all the rest of fetching."""

    batched_topic = ""
    next_fetch_offset: int

    def __iter__(self) -> Iterator[Any]:
        """The records without a call of Python between each two."""
        return cast("Iterator[Any]", self._records_iterator) if self._tp.topic == self.batched_topic else self

    def _unpack_records(self) -> Iterator[Any]:
        if self._tp.topic != self.batched_topic or self._isolation_level == READ_COMMITTED:
            yield from super()._unpack_records()
            return
        records = self._records
        while records.has_next():
            batch = records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                msg = f"Invalid CRC - {self._tp}"
                raise CorruptRecordException(msg)
            if not batch.is_control_batch:
                for record in batch:
                    offset = record.offset
                    if offset >= self.next_fetch_offset:  # a batch may begin before what was asked for
                        self.next_fetch_offset = offset + 1
                        yield record
            self.next_fetch_offset = batch.next_offset


class BatchThread(driver.AIOKafkaConsumerThread):
    """Faust's thread for the consumer, which lets the broker wait less.

    aiokafka has one request on its way to a broker, and Faust lets that wait 1.5 s for records. One that asks only for partitions that are read to their end holds up all others for so long: a worker in a long log stood still for a third of
    its time.
    """

    def _create_worker_consumer(self, transport: Any) -> Any:  # noqa: ANN401 - Faust's
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MS  # noqa: SLF001 - it is read when the consumer starts
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

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ANN401, ASYNC109 - Faust's signature
        fetched = await super()._getmany(active_partitions, timeout)
        return {tp: [as_batch(tp, records)] if tp.topic == self.app.batched_topic and records else records for tp, records in fetched.items()}

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        others = super()._filter_committable_offsets([tp for tp in tps if tp.topic != self.app.batched_topic])
        return {**others, **{tp: offset for tp, offset in self.app.released.items() if self._should_commit(tp, offset)}}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit, if Faust's consumer thread still listens: where it ended first, as in a crash, a call to it would never return, and the process would not end."""
        try:
            return await asyncio.wait_for(super()._commit(offsets), _COMMIT_SECONDS)
        except TimeoutError:
            self.log.warning("no answer to a commit within %d s: going on without it", _COMMIT_SECONDS)
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
        counted = await self.app.counted_to() if ours else {}
        # Faust leaves a partition without a committed offset where it happens to stand: what was fetched and dropped before the first commit would be lost
        fresh = [tp for tp in ours if tp.partition not in counted and self._committed_offset[tp] is None]
        begins = await self.earliest_offsets(*fresh) if fresh else {}
        begins.update({tp: counted[tp.partition] for tp in ours if tp.partition in counted})
        for tp, offset in begins.items():
            await self.seek(tp, offset)
        self.app.begun = {tp: begins.get(tp, self._committed_offset[tp]) for tp in ours}

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was released: the next owner commits."""
        for tp in revoked:
            self.app.released.pop(tp, None)
        await super().on_partitions_revoked(revoked)


class BatchTransport(driver.Transport):
    """The aiokafka transport with `BatchConsumer`."""

    Consumer = BatchConsumer


class RawBatchSchema(faust.Schema):
    """Hands the records through as they came: a value that Faust fails to decode would be acknowledged and lost."""

    def compile(self, app: Any, **_: Any) -> Any:  # noqa: ANN401
        """Give Faust's decoder, which decodes nothing."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ANN401, ARG001
            return app.create_event(None, message.value, message.headers, message)

        return decode


async def _nothing_counted() -> dict[int, int]:
    return {}


class BatchApp(faust.App):
    """A Faust app one of whose topics comes in batches and is committed by `release`."""

    def __init__(self, *args: Any, batched_topic: str, counted_to: Callable[[], Awaitable[dict[int, int]]] = _nothing_counted, **options: Any) -> None:  # noqa: ANN401
        """Take Faust's arguments, the topic that comes in batches, and who knows up to which offset its partitions were counted."""
        super().__init__(*args, **options)
        self.batched_topic = batched_topic
        self.counted_to = counted_to
        self.released: dict[TP, int] = {}
        self.begun: dict[TP, int] = {}
        """Where the last rebalance made us begin."""

    def release(self, partition: int, offset: int) -> None:
        """Let Faust commit `offset` for a partition of the batched topic: everything below it is durable for good."""
        self.released[TP(self.batched_topic, partition)] = offset

    def _new_transport(self) -> BatchTransport:
        # aiokafka's fetcher takes the class from its module
        fetcher.PartitionRecords = type("LeanRecords", (LeanRecords,), {"batched_topic": self.batched_topic})
        return BatchTransport(self.conf.broker_consumer, self)
