"""The producer SDK: sends events to Kafka so that none is lost and none is sent under a wrong key.

    with EventProducer(Settings().kafka) as producer:
        producer.send({"event_id": "…", "unit": "CG-AC084-B0017", "kind": "social_post", …})

Leaving the block waits until Kafka has everything, or raises a `ProducerError` that holds what it does not have. Where Kafka is not always there, or this process may die:
`producers.outbox.OutboxProducer` has the same `send`.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson
from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.partitioner import murmur2
from pydantic import BaseModel

from pravah.errors import PravahError
from pravah.events import MAX_EVENT_BYTES, Event, EventError, parse_event
from pravah.kafka import client_options
from pravah.settings import KafkaSettings
from pravah.topics import EVENTS, TICK_KEY
from pravah.units import routing_key


class DeliveryReport(NamedTuple):
    """What became of one record. Exactly one of `offset` and `error` is set."""

    key: str | None
    value: bytes | None
    partition: int | None
    """None: Kafka was to choose one, and did not get to it."""
    offset: int | None
    error: Exception | None


class ProducerError(PravahError):
    """Kafka does not have everything that was sent; `undelivered` holds what it did not confirm, to be kept and sent again.

    Sending again is safe: an event that did arrive counts once.
    """

    def __init__(self, message: str, undelivered: Iterable[DeliveryReport] = ()) -> None:
        """Keep the reports; the message shows the first error."""
        self.undelivered = list(undelivered)
        if self.undelivered:
            first = self.undelivered[0]
            message += f": {len(self.undelivered):,} records, the first under key {first.key!r}: {type(first.error).__name__}: {first.error}"
        super().__init__(message)


class BufferFullError(ProducerError):
    """Kafka takes records more slowly than they are sent; this record was not taken, earlier ones are still on their way."""


class _Waiting(NamedTuple):
    key: str | None
    value: bytes | None
    partition: int | None
    size: int


class EventProducer:
    """Sends records to one topic. Thread-safe.

    Idempotent, `acks=all`: Kafka's retries neither lose, repeat nor reorder records of a partition.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        topic: str = EVENTS,
        on_delivery: Callable[[DeliveryReport], None] | None = None,
        buffer_bytes: int = 64 * 1024 * 1024,
        block_seconds: float = 60.0,
        delivery_seconds: float = 120.0,
        connect_seconds: float = 15.0,
    ) -> None:
        """Connect.

        Args:
            kafka: where Kafka is.
            topic: must exist; `stack.topics` makes it.
            on_delivery: is called once for every record, from the thread that talks to Kafka: it must be quick and must not raise.
            buffer_bytes: values and keys that may wait for Kafka; `send` blocks beyond it.
            block_seconds: so long `send` waits for room before it raises.
            delivery_seconds: a record that Kafka has not confirmed by then has failed.
            connect_seconds: so long an answer of Kafka is awaited now.

        Raises:
            ProducerError: no answer, or no such topic.
        """
        self._topic, self._on_delivery, self._buffer_bytes, self._block_seconds = (
            topic,
            on_delivery,
            buffer_bytes,
            block_seconds,
        )
        self._changed = threading.Condition()
        self._waiting: dict[int, _Waiting] = {}
        self._waiting_bytes = 0
        self._number = 0
        self._sleepers = 0
        self._failed: list[DeliveryReport] = []
        self._partitions: dict[str, int] = {}
        self._closed = False
        self.delivered = 0
        """Records that Kafka has confirmed."""
        try:
            self._producer = KafkaProducer(
                **client_options(kafka),
                client_id="pravah-producer",
                enable_idempotence=True,
                acks="all",
                compression_type="lz4",
                linger_ms=20,
                batch_size=128 * 1024,
                max_request_size=8 * MAX_EVENT_BYTES,
                delivery_timeout_ms=int(delivery_seconds * 1000),
                request_timeout_ms=int(min(30.0, delivery_seconds / 2) * 1000),
                max_block_ms=int(connect_seconds * 1000),
                bootstrap_timeout_ms=int(connect_seconds * 1000),
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )
        except KafkaError as error:
            msg = (
                f"no Kafka answers at {kafka.bootstrap_servers} within {connect_seconds:g} s ({error}); "
                "start one with `pravah up`, or set PRAVAH_KAFKA__BOOTSTRAP_SERVERS"
            )
            raise ProducerError(msg) from error
        try:
            self._count = len(self._producer.partitions_for(topic))
        except KafkaError as error:
            self._producer.close(timeout=1)
            msg = f"Kafka at {kafka.bootstrap_servers} has no topic {topic!r} ({type(error).__name__}); `pravah up` makes it"
            raise ProducerError(msg) from error

    @property
    def waiting(self) -> int:
        """Records that Kafka has neither confirmed nor refused yet."""
        return len(self._waiting)

    @property
    def failed(self) -> int:
        """Records that failed since the last `flush`."""
        return len(self._failed)

    def send(self, event: Event | Mapping[str, Any] | bytes) -> Event:
        """Check an event and send it under its unit's routing key.

        Args:
            event: a model of `pravah.events`, what would be its JSON, or that JSON as UTF-8. Bytes are sent as they are.

        Returns:
            The event as it was understood.

        Raises:
            pravah.events.EventError: it is no event; nothing was sent.
            BufferFullError: Kafka does not keep up; nothing was sent.
        """
        checked, value = checked_event(event)
        self.send_raw(value, routing_key(checked.unit))
        return checked

    def send_raw(self, value: bytes | None, key: str | None) -> None:
        """Send a record as it is, unchecked: for replays and simulations.

        Args:
            value: the record's value; None is Kafka's null.
            key: the record's key; its hash gives the partition, as with every Kafka client. None: Kafka's choice.

        Raises:
            ValueError: both are None.
            BufferFullError: Kafka does not keep up; nothing was sent.
            ProducerError: the producer is closed, or the record is larger than any broker takes.
        """
        if value is None and key is None:
            msg = "a record needs a key or a value"
            raise ValueError(msg)
        self._send(value, key, None if key is None else self._partition(key))

    def _send(self, value: bytes | None, key: str | None, partition: int | None) -> None:
        number = self._reserve(_Waiting(key, value, partition, len(value or b"") + len(key or "")))
        try:
            future = self._producer.send(
                self._topic, value, None if key is None else key.encode(), partition=partition
            )
        except (KafkaError, ValueError) as error:
            with self._changed:
                self._release(number)
            msg = "Kafka's client does not take the record"
            raise ProducerError(
                msg, [DeliveryReport(key, value, partition, None, error)]
            ) from error
        future.add_callback(partial(self._confirmed, number))
        future.add_errback(partial(self._refused, number))

    def tick(self) -> None:
        """Send a tick into every partition of `activity.events`: it ends the open chunk, and counts nowhere.

        Raises:
            ProducerError: as for `send_raw`.
        """
        for partition in range(self._count):
            self._send(None, TICK_KEY.decode(), partition)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until Kafka has confirmed or refused everything sent so far.

        Args:
            timeout: seconds; by default as long as it takes, which `delivery_seconds` bounds.

        Raises:
            ProducerError: with what failed since the last `flush`; or, when the time is over, with what is still on its way as well.
        """
        with self._changed:
            last = self._number
            done = self._sleep_until(lambda: next(iter(self._waiting), last + 1) > last, timeout)
            failed, self._failed = self._failed, []
            if not done:
                error = KafkaTimeoutError(f"not confirmed within {timeout:g} s")
                failed += [
                    DeliveryReport(w.key, w.value, w.partition, None, error)
                    for w in self._waiting.values()
                ]
        if failed:
            msg = "Kafka does not have everything"
            raise ProducerError(msg, failed)

    def close(self, timeout: float | None = None) -> None:
        """Flush, then disconnect. A second call does nothing.

        Raises:
            ProducerError: with everything that Kafka did not confirm; the connection is closed all the same.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self.flush(timeout)
        finally:
            if self._waiting:
                sender = self._producer._sender  # noqa: SLF001
                sender.force_close()
                sender.join(5)
            self._producer.close(timeout=5)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close. If the block raised, its error stays the one that is seen and what was not delivered is noted on it."""
        try:
            self.close()
        except ProducerError as undelivered:
            if error is None:
                raise
            error.add_note(str(undelivered))

    # --- accounting: what waits, what failed ------------------------------------------------------------------------------------------------------------

    def _partition(self, key: str) -> int:
        partition = self._partitions.get(key)
        if partition is None:
            # as Kafka's own clients do; remembered because hashing in Python for every record is slow
            partition = self._partitions[key] = (murmur2(key.encode()) & 0x7FFFFFFF) % self._count
        return partition

    def _reserve(self, record: _Waiting) -> int:
        """Wait for room, then count the record as waiting."""
        with self._changed:
            if self._closed:
                msg = "the producer is closed"
                raise ProducerError(msg)
            if not self._room(record.size) and not self._sleep_until(
                lambda: self._room(record.size), self._block_seconds
            ):
                msg = (
                    f"Kafka has taken too little for {self._block_seconds:g} s: {len(self._waiting):,} records ({self._waiting_bytes:,} bytes) wait; "
                    "this one was not taken. Is Kafka up (`pravah status`)? Send again later"
                )
                raise BufferFullError(msg)
            self._number += 1
            self._waiting[self._number] = record
            self._waiting_bytes += record.size
            return self._number

    def _confirmed(self, number: int, metadata: Any) -> None:
        with self._changed:
            self.delivered += 1
            record = self._release(number)
        if self._on_delivery:
            self._on_delivery(
                DeliveryReport(record.key, record.value, metadata.partition, metadata.offset, None)
            )

    def _refused(self, number: int, error: Exception) -> None:
        with self._changed:
            record = self._release(number)
            report = DeliveryReport(record.key, record.value, record.partition, None, error)
            self._failed.append(report)
        if self._on_delivery:
            self._on_delivery(report)

    def _room(self, size: int) -> bool:
        return (
            self._waiting_bytes + size <= self._buffer_bytes or not self._waiting
        )  # a record larger than the buffer goes alone

    def _sleep_until(self, condition: Callable[[], bool], seconds: float | None) -> bool:
        """Wait for other threads to make a condition true; False when the time is over. The caller holds the lock."""
        self._sleepers += 1
        try:
            return self._changed.wait_for(condition, seconds)
        finally:
            self._sleepers -= 1

    def _release(self, number: int) -> _Waiting:
        """The record waits no longer. The caller holds the lock."""
        record = self._waiting.pop(number)
        self._waiting_bytes -= record.size
        if self._sleepers:
            self._changed.notify_all()
        return record


def checked_event(event: Event | Mapping[str, Any] | bytes) -> tuple[Event, bytes]:
    """The event as it is understood, and the bytes that are sent for it: what `EventProducer.send` takes.

    Raises:
        pravah.events.EventError: it is no event.
    """
    if isinstance(event, BaseModel):
        return event, event.model_dump_json(exclude_unset=True).encode()
    value = event if isinstance(event, bytes) else _json(event)
    return parse_event(value), value


def _json(event: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(event)
    except TypeError as error:
        reason = "not_json"
        raise EventError(reason, f"the event cannot be written as JSON: {error}") from None
