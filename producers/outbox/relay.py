"""The relay: a thread that sends the pending records of an outbox file to Kafka."""

import fcntl
import logging
import sqlite3
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential_jitter,
)

from pravah.producer import EventProducer, ProducerError
from pravah.settings import KafkaSettings
from pravah.topics import EVENTS
from producers.outbox.file import open_file, transaction
from producers.outbox.table import OutboxBusyError, OutboxFullError

_log = logging.getLogger(__name__)

_BATCH_ROWS, _BATCH_BYTES = 2_000, 8 * 1024 * 1024
# How often the relay polls for records of other processes, and for the lock.
_POLL_INTERVAL_S = 0.25
_CONNECT_TIMEOUT_S = 5.0
_STOP_TIMEOUT_S = 5.0
_BACKOFF = wait_exponential_jitter(multiplier=0.2, max=5.0)


class OutboxRelay:
    """Sends pending records to Kafka in its own thread, and retries while Kafka is down."""

    def __init__(
        self,
        path: Path,
        kafka: KafkaSettings,
        *,
        topic: str = EVENTS,
        delivery_seconds: float = 30.0,
    ) -> None:
        """Prepare; `start` begins to send.

        Args:
            path: the file, which has the outbox's tables.
            kafka: the brokers; they need not be up.
            topic: the destination.
            delivery_seconds: records that Kafka has not confirmed by then are sent again.
        """
        self._path, self._kafka, self._topic = path, kafka, topic
        self._delivery_seconds = delivery_seconds
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox-relay", daemon=True)
        self._producer: EventProducer | None = None
        # (seq, size) of records that Kafka confirmed and the file still holds; never sent again
        self._confirmed: list[tuple[int, int]] = []

    def start(self) -> None:
        """Start the thread. It waits for the lock if another process runs a relay."""
        self._thread.start()

    def wake(self) -> None:
        """Send new records now instead of at the next poll."""
        self._wake.set()

    def stop(self) -> None:
        """Stop the thread; unconfirmed records stay in the file. A second call does nothing."""
        self._stop.set()
        self._wake.set()
        if self._thread.ident is None:
            return
        self._thread.join(_STOP_TIMEOUT_S if self._producer is not None else _POLL_INTERVAL_S)
        if self._thread.is_alive() and self._producer is not None:  # it waits for a confirmation
            with suppress(ProducerError):
                self._producer.close(timeout=0.0)
            self._thread.join(_STOP_TIMEOUT_S)
        # a thread that still waits for Kafka holds nothing that could be lost, and ends by itself

    def _run(self) -> None:
        # the lock file keeps its old name, so that relays of two releases exclude each other
        with (self._path.parent / f"{self._path.name}.forwarder").open("w") as lock:
            if not self._acquire(lock):
                return
            connection = open_file(self._path)
            try:
                retrying = Retrying(
                    wait=_BACKOFF,
                    retry=retry_if_exception_type(Exception),
                    stop=stop_when_event_set(self._stop),
                    sleep=sleep_using_event(self._stop),
                    before_sleep=lambda state: self._record_failure(connection, state),
                    retry_error_callback=lambda _: None,
                )
                retrying(self._connect_and_relay, connection)
            finally:
                connection.close()

    def _acquire(self, lock: IO[str]) -> bool:
        while not self._stop.is_set():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._stop.wait(_POLL_INTERVAL_S)
            else:
                return True
        return False

    def _record_failure(self, connection: sqlite3.Connection, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        trouble = f"{type(error).__name__}: {error}"[:500]
        attempt = state.attempt_number
        if attempt & (attempt - 1) == 0:  # at powers of two only: Kafka may be down for days
            expected = isinstance(error, (ProducerError, OutboxFullError, OutboxBusyError))
            _log.warning(
                "cannot relay the outbox, attempt %d: %s",
                attempt,
                trouble,
                exc_info=None if expected else error,
            )
        with suppress(OutboxFullError, OutboxBusyError), transaction(connection):
            connection.execute("UPDATE outbox_state SET trouble = ?", (trouble,))

    def _connect_and_relay(self, connection: sqlite3.Connection) -> None:
        """Relay until `stop`, or until something fails.

        Raises:
            ProducerError: Kafka is down, or did not confirm everything; confirmed records are
                deleted.
            OutboxFullError: confirmed records cannot be deleted now.
        """
        self._delete_confirmed(connection)
        with EventProducer(
            self._kafka,
            topic=self._topic,
            delivery_seconds=self._delivery_seconds,
            connect_seconds=_CONNECT_TIMEOUT_S,
        ) as producer:
            self._producer = producer
            try:
                self._relay(connection, producer)
            finally:
                self._producer = None

    def _relay(self, connection: sqlite3.Connection, producer: EventProducer) -> None:
        with transaction(connection):
            connection.execute("UPDATE outbox_state SET trouble = '' WHERE trouble != ''")
        while not self._stop.is_set():
            self._wake.clear()
            batch = _next_batch(connection)
            if not batch:
                self._wake.wait(_POLL_INTERVAL_S)
                continue
            self._send(connection, producer, batch)

    def _send(
        self,
        connection: sqlite3.Connection,
        producer: EventProducer,
        batch: list[tuple[int, str, bytes]],
    ) -> None:
        sent: list[tuple[int, str, bytes]] = []
        undelivered: set[bytes | None] = set()
        failure: ProducerError | None = None
        try:
            for row in batch:
                producer.send_raw(row[2], row[1])
                sent.append(row)
        except ProducerError as error:
            failure = error
        try:
            producer.flush()
        except ProducerError as error:
            failure, undelivered = error, {report.value for report in error.undelivered}
        self._confirmed += [(seq, len(value)) for seq, _, value in sent if value not in undelivered]
        self._delete_confirmed(connection)
        if failure is not None:
            raise failure

    def _delete_confirmed(self, connection: sqlite3.Connection) -> None:
        if not self._confirmed:
            return
        with transaction(connection):
            connection.executemany(
                "DELETE FROM outbox WHERE seq = ?", [(seq,) for seq, _ in self._confirmed]
            )
            connection.execute(
                """
                UPDATE outbox_state SET
                    rows = rows - ?,
                    bytes = bytes - ?,
                    handed_over = handed_over + ?,
                    handed_over_at = ?
                """,
                (
                    len(self._confirmed),
                    sum(size for _, size in self._confirmed),
                    len(self._confirmed),
                    time.time(),
                ),
            )
        self._confirmed = []


def _next_batch(connection: sqlite3.Connection) -> list[tuple[int, str, bytes]]:
    """(seq, key, value) of the records that may be sent now: the first of each entity."""
    batch, entities, size = [], set(), 0
    for seq, key, entity, value in connection.execute(
        "SELECT seq, key, entity, value FROM outbox ORDER BY seq LIMIT ?", (_BATCH_ROWS,)
    ):
        if (key, entity) in entities:
            continue
        entities.add((key, entity))
        size += len(value)
        batch.append((seq, key, value))
        if size >= _BATCH_BYTES:
            break
    return batch
