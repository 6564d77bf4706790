"""The producer SDK: sends events to Kafka without loss and under the right keys.

    with EventProducer(Settings().kafka) as producer:
        producer.send({"event_id": "…", "unit": "CG-AC084-B0017", "kind": "social_post", …})

Leaving the block waits until Kafka has confirmed every record, or raises a `ProducerError` with
those that it did not confirm. For a process that may die, or a Kafka that is not always reachable,
`producers.outbox.OutboxProducer` has the same `send` and keeps events on disk.
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
    """Result of sending one record. Either `offset` or `error` is set."""

    key: str | None
    value: bytes | None
    partition: int | None
    """None for a record without a key that Kafka's client had not assigned to a partition yet."""
    offset: int | None
    error: Exception | None


class ProducerError(PravahError):
    """Kafka did not confirm every record. Keep those in `undelivered` and send them again.

    Sending again is safe: an event that did arrive counts once.
    """

    def __init__(self, message: str, undelivered: Iterable[DeliveryReport] = ()) -> None:
        self.undelivered = list(undelivered)
        if self.undelivered:
            first = self.undelivered[0]
            message += (
                f": {len(self.undelivered):,} records, the first under key {first.key!r}: "
                f"{type(first.error).__name__}: {first.error}"
            )
        super().__init__(message)


class BufferFullError(ProducerError):
    """The buffer is full: this record was not accepted, earlier ones are still being sent."""


class _Pending(NamedTuple):
    """A record that Kafka has neither confirmed nor refused."""

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
        """Connect to Kafka.

        Args:
            kafka: where Kafka is.
            topic: an existing topic; `pravah up` creates those of Pravah.
            on_delivery: called once per record from the thread that talks to Kafka; it must return
                quickly and must not raise.
            buffer_bytes: bound of unconfirmed keys and values; `send` blocks when it is reached.
            block_seconds: time that `send` waits for space in the buffer before it raises.
            delivery_seconds: time after which an unconfirmed record has failed.
            connect_seconds: time to wait for Kafka's first answer.

        Raises:
            ProducerError: Kafka does not answer, or has no such topic.
        """
        self._topic, self._on_delivery, self._buffer_bytes, self._block_seconds = (
            topic,
            on_delivery,
            buffer_bytes,
            block_seconds,
        )
        self._changed = threading.Condition()
        self._pending: dict[int, _Pending] = {}
        self._pending_bytes = 0
        self._last_number = 0
        self._sleepers = 0
        self._failed: list[DeliveryReport] = []
        self._partitions: dict[str, int] = {}
        self._closed = False
        self.delivered = 0
        """Number of records that Kafka has confirmed."""
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
                f"no Kafka answers at {kafka.bootstrap_servers} within {connect_seconds:g} s "
                f"({error}); start one with `pravah up`, or set PRAVAH_KAFKA__BOOTSTRAP_SERVERS"
            )
            raise ProducerError(msg) from error
        try:
            self._partition_count = len(self._producer.partitions_for(topic))
        except KafkaError as error:
            self._producer.close(timeout=1)
            msg = (
                f"Kafka at {kafka.bootstrap_servers} has no topic {topic!r} "
                f"({type(error).__name__}); `pravah up` creates it"
            )
            raise ProducerError(msg) from error

    @property
    def pending(self) -> int:
        """Number of records that Kafka has neither confirmed nor refused yet."""
        return len(self._pending)

    @property
    def failed(self) -> int:
        """Number of records that failed since the last `flush`."""
        return len(self._failed)

    def send(self, event: Event | Mapping[str, Any] | bytes) -> Event:
        """Validate an event and send it under its unit's routing key.

        Args:
            event: a model of `pravah.events`, a mapping of the same fields, or JSON as UTF-8.
                Bytes are sent unchanged.

        Returns:
            The validated event.

        Raises:
            pravah.events.EventError: the event is not valid; nothing was sent.
            BufferFullError: Kafka does not keep up; nothing was sent.
        """
        validated, value = validate_event(event)
        self.send_raw(value, routing_key(validated.unit))
        return validated

    def send_raw(self, value: bytes | None, key: str | None) -> None:
        """Send a record without validation, for replays and simulations.

        Args:
            value: the record's value; None is Kafka's null.
            key: the record's key. Its hash selects the partition, as in every Kafka client; None
                leaves the partition to kafka-python.

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
        number = self._reserve(_Pending(key, value, partition, len(value or b"") + len(key or "")))
        try:
            future = self._producer.send(
                self._topic, value, None if key is None else key.encode(), partition=partition
            )
        except (KafkaError, ValueError) as error:
            with self._changed:
                self._remove(number)
            msg = "Kafka's client does not take the record"
            raise ProducerError(
                msg, [DeliveryReport(key, value, partition, None, error)]
            ) from error
        future.add_callback(partial(self._on_confirmed, number))
        future.add_errback(partial(self._on_refused, number))

    def tick(self) -> None:
        """Send a tick to every partition: it ends the open chunk and counts nowhere.

        Raises:
            ProducerError: as for `send_raw`.
        """
        for partition in range(self._partition_count):
            self._send(None, TICK_KEY.decode(), partition)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until Kafka has confirmed or refused everything sent so far.

        Args:
            timeout: in seconds; None waits as long as it takes, which `delivery_seconds` bounds.

        Raises:
            ProducerError: with the records that failed since the last `flush` and, after the
                timeout, those that are still unconfirmed.
        """
        with self._changed:
            last = self._last_number
            done = self._sleep_until(lambda: next(iter(self._pending), last + 1) > last, timeout)
            failed, self._failed = self._failed, []
            if not done:
                error = KafkaTimeoutError(f"not confirmed within {timeout:g} s")
                failed += [
                    DeliveryReport(record.key, record.value, record.partition, None, error)
                    for record in self._pending.values()
                ]
        if failed:
            msg = "Kafka does not have everything"
            raise ProducerError(msg, failed)

    def close(self, timeout: float | None = None) -> None:
        """Flush, then disconnect. A second call does nothing.

        Raises:
            ProducerError: with the records that Kafka did not confirm; the connection is closed
                in any case.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self.flush(timeout)
        finally:
            if self._pending:
                sender = self._producer._sender  # noqa: SLF001
                sender.force_close()
                sender.join(5)
            self._producer.close(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close. An error of the block is raised with undelivered records as a note on it."""
        try:
            self.close()
        except ProducerError as undelivered:
            if error is None:
                raise
            error.add_note(str(undelivered))

    # Accounting: which records are pending, which failed

    def _partition(self, key: str) -> int:
        partition = self._partitions.get(key)
        if partition is None:
            # Kafka's own hash. Cached, because hashing every record in Python is slow.
            partition = self._partitions[key] = (
                murmur2(key.encode()) & 0x7FFFFFFF
            ) % self._partition_count
        return partition

    def _reserve(self, record: _Pending) -> int:
        """Wait for space in the buffer, then register the record as pending."""
        with self._changed:
            if self._closed:
                msg = "the producer is closed"
                raise ProducerError(msg)
            if not self._has_space(record.size) and not self._sleep_until(
                lambda: self._has_space(record.size), self._block_seconds
            ):
                msg = (
                    f"the buffer has been full for {self._block_seconds:g} s: "
                    f"{len(self._pending):,} records ({self._pending_bytes:,} bytes) are pending; "
                    "this one was not accepted. Is Kafka up (`pravah status`)? Send again later"
                )
                raise BufferFullError(msg)
            self._last_number += 1
            self._pending[self._last_number] = record
            self._pending_bytes += record.size
            return self._last_number

    def _on_confirmed(self, number: int, metadata: Any) -> None:
        with self._changed:
            self.delivered += 1
            record = self._remove(number)
        if self._on_delivery:
            self._on_delivery(
                DeliveryReport(record.key, record.value, metadata.partition, metadata.offset, None)
            )

    def _on_refused(self, number: int, error: Exception) -> None:
        with self._changed:
            record = self._remove(number)
            report = DeliveryReport(record.key, record.value, record.partition, None, error)
            self._failed.append(report)
        if self._on_delivery:
            self._on_delivery(report)

    def _has_space(self, size: int) -> bool:
        # A record larger than the buffer is sent alone.
        return self._pending_bytes + size <= self._buffer_bytes or not self._pending

    def _sleep_until(self, condition: Callable[[], bool], seconds: float | None) -> bool:
        """Wait until the condition holds; False after the timeout. The caller holds the lock."""
        self._sleepers += 1
        try:
            return self._changed.wait_for(condition, seconds)
        finally:
            self._sleepers -= 1

    def _remove(self, number: int) -> _Pending:
        """Remove a record from the pending ones. The caller holds the lock."""
        record = self._pending.pop(number)
        self._pending_bytes -= record.size
        if self._sleepers:
            self._changed.notify_all()
        return record


def validate_event(event: Event | Mapping[str, Any] | bytes) -> tuple[Event, bytes]:
    """Validate an event in any form that `EventProducer.send` accepts.

    Returns:
        The event, and the bytes to send.

    Raises:
        pravah.events.EventError: the event is not valid.
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
