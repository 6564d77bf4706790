"""The outbox: a SQLite file between a producer and Kafka, so that an event that was taken is not lost, whatever happens to either.

    with OutboxProducer(Path("outbox.sqlite"), Settings().kafka) as producer:   # Kafka need not be there
        producer.send({"event_id": "…", "unit": "CG-AC084-B0017", …})           # on the disk when it returns

What was put is on the disk (WAL, `synchronous=FULL`) before `put` or `send` returns. A forwarder thread hands it to Kafka in the order in which it was put, and removes what Kafka
confirmed. It holds a lock on the file, so one forwards, however many processes put. A record waits until the one before it of its entity is confirmed, so an entity's order holds
also when a delivery fails. A process that dies between Kafka's confirmation and the removal hands over again: the same bytes under the same event id, which count once.
"""

import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self
from uuid import UUID

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential_jitter,
)

from pravah.errors import PravahError
from pravah.events import MAX_EVENT_BYTES, Event
from pravah.producer import EventProducer, ProducerError, validate_event
from pravah.settings import KafkaSettings
from pravah.topics import EVENTS
from pravah.units import routing_key

_log = logging.getLogger(__name__)

_BATCH_ROWS, _BATCH_BYTES = 2_000, 8 * 1024 * 1024
_BUSY_SECONDS = 10.0
_PRUNED = 2_000
"""So many forgotten event ids go in one transaction."""
_LOOK_SECONDS = 0.25
"""So often the forwarder looks whether another process has put something."""
_CONNECT_SECONDS = 5.0
_STOP_SECONDS = 5.0
_PATIENCE = wait_exponential_jitter(multiplier=0.2, max=5.0)


class OutboxFullError(PravahError):
    """The outbox, or the disk below it, has no room. Nothing was taken; try again later."""


class OutboxBusyError(PravahError):
    """Another process holds the file for too long. Nothing was taken; try again later."""


class OutboxRecord(NamedTuple):
    """A record on its way to Kafka."""

    event_id: UUID
    key: str
    """Its routing key."""
    entity: str
    value: bytes


class Bounds(NamedTuple):
    """How much may wait, and how long event ids are remembered after their event was put."""

    rows: int = 5_000_000
    bytes: int = 4 * 1024**3
    """Of the values that wait; the file is larger by about a third, and keeps its size when it empties."""
    memory_days: float = 30.0


class Depth(NamedTuple):
    """What waits."""

    rows: int
    bytes: int
    oldest_at: float | None
    """Epoch seconds."""
    handed_over: int
    handed_over_at: float | None
    """Epoch seconds; when Kafka last confirmed something."""
    trouble: str
    """Why nothing can be handed over now; empty if it can."""


_TABLES = """
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, event_id BLOB NOT NULL, key TEXT NOT NULL, entity TEXT NOT NULL, value BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS outbox_ids (event_id BLOB PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS outbox_ids_at ON outbox_ids (at);
CREATE TABLE IF NOT EXISTS outbox_state (
    one INTEGER PRIMARY KEY CHECK (one = 1), rows INTEGER NOT NULL, bytes INTEGER NOT NULL, handed_over INTEGER NOT NULL, handed_over_at REAL, trouble TEXT NOT NULL
) STRICT;
INSERT OR IGNORE INTO outbox_state VALUES (1, 0, 0, 0, NULL, '');
"""


# --- the tables, inside the caller's transaction ----------------------------------------------------------------------------------------------------------


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the outbox's tables if they are not there."""
    connection.executescript(_TABLES)


def put(
    connection: sqlite3.Connection, letters: Sequence[OutboxRecord], bounds: Bounds, now: float
) -> list[bool]:
    """Put letters behind all others.

    Returns:
        For each whether it is new; False: its event id waits, or was put within `memory_days`.

    Raises:
        OutboxFullError: not all of them have room; the transaction must be rolled back.
        ValueError: an event is larger than the log takes.
    """
    new, size = [], 0
    for letter in letters:
        if len(letter.value) > MAX_EVENT_BYTES:
            msg = (
                f"an event of {len(letter.value):,} bytes; at most {MAX_EVENT_BYTES:,} are allowed"
            )
            raise ValueError(msg)
        is_new = (
            connection.execute(
                "INSERT OR IGNORE INTO outbox_ids VALUES (?, ?)", (letter.event_id.bytes, now)
            ).rowcount
            == 1
        )
        new.append(is_new)
        if is_new:
            connection.execute(
                "INSERT INTO outbox (at, event_id, key, entity, value) VALUES (?, ?, ?, ?, ?)",
                (now, letter.event_id.bytes, letter.key, letter.entity, letter.value),
            )
            size += len(letter.value)
    if any(new):
        rows, total = connection.execute(
            "UPDATE outbox_state SET rows = rows + ?, bytes = bytes + ? RETURNING rows, bytes",
            (sum(new), size),
        ).fetchone()
        if rows > bounds.rows or total > bounds.bytes:
            msg = (
                f"the outbox is full: {rows - sum(new):,} events ({total - size:,} bytes) wait for Kafka, at most {bounds.rows:,} ({bounds.bytes:,} bytes) may; "
                "this was not taken. Send it again when Kafka has taken some, or raise the bounds"
            )
            raise OutboxFullError(msg)
    return new


def depth(connection: sqlite3.Connection) -> Depth:
    """What waits."""
    rows, size, handed_over, handed_over_at, trouble = connection.execute(
        "SELECT rows, bytes, handed_over, handed_over_at, trouble FROM outbox_state"
    ).fetchone()
    oldest = connection.execute("SELECT at FROM outbox ORDER BY seq LIMIT 1").fetchone()
    return Depth(rows, size, oldest[0] if oldest else None, handed_over, handed_over_at, trouble)


def forget(connection: sqlite3.Connection, bounds: Bounds, now: float) -> int:
    """Forget some event ids that were put too long ago; those of waiting events stay.

    Returns:
        How many; call again while there are any.
    """
    oldest = connection.execute("SELECT at FROM outbox ORDER BY seq LIMIT 1").fetchone()
    before = min(now - bounds.memory_days * 86_400, oldest[0] if oldest else now)
    return connection.execute(
        "DELETE FROM outbox_ids WHERE event_id IN (SELECT event_id FROM outbox_ids WHERE at < ? ORDER BY at LIMIT ?)",
        (before, _PRUNED),
    ).rowcount


# --- a file of its own ------------------------------------------------------------------------------------------------------------------------------------


def open_file(path: Path) -> sqlite3.Connection:
    """A connection whose transactions are on the disk when they end; the file is its owner's alone. Transactions are begun and ended by hand.

    Raises:
        OSError: the file cannot be made.
        sqlite3.DatabaseError: it is no SQLite file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(
        path,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, on the disk when the block is left.

    Raises:
        OutboxFullError: the disk is full.
        OutboxBusyError: another process holds the file for too long.
    """
    with refusals():
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite ends some by itself
                connection.execute("ROLLBACK")
            raise


@contextmanager
def refusals() -> Iterator[None]:
    """SQLite's word for a full disk or a held file becomes ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
            msg = f"the disk is full or does not take what is written ({error}); this was not taken. Make room; nothing else is needed"
            raise OutboxFullError(msg) from error
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            msg = f"another process holds the file for more than {_BUSY_SECONDS:.0f} s; this was not taken"
            raise OutboxBusyError(msg) from error
        raise


class OutboxRelay:
    """Hands over what waits in a file, in a thread of its own, with patience while Kafka is away."""

    def __init__(
        self,
        path: Path,
        kafka: KafkaSettings,
        *,
        topic: str = EVENTS,
        delivery_seconds: float = 30.0,
    ) -> None:
        """Take where from and where to; `start` begins.

        Args:
            path: the file; its tables are there.
            kafka: need not be there yet.
            topic: where to.
            delivery_seconds: what Kafka has not confirmed by then is sent again.
        """
        self._path, self._kafka, self._topic, self._delivery_seconds = (
            path,
            kafka,
            topic,
            delivery_seconds,
        )
        self._stop, self._more = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox-forwarder", daemon=True)
        self._producer: EventProducer | None = None
        self._confirmed: list[tuple[int, int]] = []
        """(seq, size) of what Kafka has and the file still holds: not to be sent again."""

    def start(self) -> None:
        """Begin; waits for the lock if another process forwards."""
        self._thread.start()

    def wake(self) -> None:
        """Something was put: look now."""
        self._more.set()

    def stop(self) -> None:
        """End; what is not confirmed stays in the file. A second call does nothing."""
        self._stop.set()
        self._more.set()
        if self._thread.ident is None:
            return
        self._thread.join(_STOP_SECONDS if self._producer is not None else _LOOK_SECONDS)
        if self._thread.is_alive() and self._producer is not None:  # it waits for a confirmation
            with suppress(ProducerError):
                self._producer.close(timeout=0.0)
            self._thread.join(_STOP_SECONDS)
        # if it still waits for an answer of Kafka it holds nothing that could be lost, and ends by itself

    def _run(self) -> None:
        with (self._path.parent / f"{self._path.name}.forwarder").open("w") as lock:
            if not self._locked(lock):
                return
            connection = open_file(self._path)
            try:
                retrying = Retrying(
                    wait=_PATIENCE,
                    retry=retry_if_exception_type(Exception),
                    stop=stop_when_event_set(self._stop),
                    sleep=sleep_using_event(self._stop),
                    before_sleep=lambda state: self._tell(connection, state),
                    retry_error_callback=lambda _: None,
                )
                retrying(self._forward, connection)
            finally:
                connection.close()

    def _locked(self, lock: IO[str]) -> bool:
        while not self._stop.is_set():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._stop.wait(_LOOK_SECONDS)
            else:
                return True
        return False

    def _tell(self, connection: sqlite3.Connection, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        trouble = f"{type(error).__name__}: {error}"[:500]
        number = state.attempt_number
        if number & (number - 1) == 0:  # ever more seldom: Kafka may be away for days
            unforeseen = (
                error
                if not isinstance(error, (ProducerError, OutboxFullError, OutboxBusyError))
                else None
            )
            _log.warning(
                "the outbox cannot be handed over now, attempt %d: %s",
                number,
                trouble,
                exc_info=unforeseen,
            )
        with suppress(OutboxFullError, OutboxBusyError), transaction(connection):
            connection.execute("UPDATE outbox_state SET trouble = ?", (trouble,))

    def _forward(self, connection: sqlite3.Connection) -> None:
        """Hand over until it is told to stop, or something fails.

        Raises:
            ProducerError: Kafka is not there, or did not confirm everything; what it confirmed is removed.
            OutboxFullError: what was handed over cannot be removed now.
        """
        self._remove(connection)
        with EventProducer(
            self._kafka,
            topic=self._topic,
            delivery_seconds=self._delivery_seconds,
            connect_seconds=_CONNECT_SECONDS,
        ) as producer:
            self._producer = producer
            try:
                self._forward_by(connection, producer)
            finally:
                self._producer = None

    def _forward_by(self, connection: sqlite3.Connection, producer: EventProducer) -> None:
        with transaction(connection):
            connection.execute("UPDATE outbox_state SET trouble = '' WHERE trouble != ''")
        while not self._stop.is_set():
            self._more.clear()
            batch = self._batch(connection)
            if not batch:
                self._more.wait(_LOOK_SECONDS)
                continue
            self._send(connection, producer, batch)

    def _send(
        self,
        connection: sqlite3.Connection,
        producer: EventProducer,
        batch: list[tuple[int, str, bytes]],
    ) -> None:
        sent: list[tuple[int, str, bytes]] = []
        missing: set[bytes | None] = set()
        failed: ProducerError | None = None
        try:
            for row in batch:
                producer.send_raw(row[2], row[1])
                sent.append(row)
        except ProducerError as error:
            failed = error
        try:
            producer.flush()
        except ProducerError as error:
            failed, missing = error, {report.value for report in error.undelivered}
        self._confirmed += [(seq, len(value)) for seq, _, value in sent if value not in missing]
        self._remove(connection)
        if failed is not None:
            raise failed

    def _batch(self, connection: sqlite3.Connection) -> list[tuple[int, str, bytes]]:
        """(seq, key, value) of what may go now: the first of each entity."""
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

    def _remove(self, connection: sqlite3.Connection) -> None:
        if not self._confirmed:
            return
        with transaction(connection):
            connection.executemany(
                "DELETE FROM outbox WHERE seq = ?", [(seq,) for seq, _ in self._confirmed]
            )
            connection.execute(
                "UPDATE outbox_state SET rows = rows - ?, bytes = bytes - ?, handed_over = handed_over + ?, handed_over_at = ?",
                (
                    len(self._confirmed),
                    sum(size for _, size in self._confirmed),
                    len(self._confirmed),
                    time.time(),
                ),
            )
        self._confirmed = []


class Outbox:
    """A file that producers put events into. Thread-safe; several processes may put into one."""

    def __init__(self, path: Path, bounds: Bounds | None = None) -> None:
        """Open or make the file.

        Raises:
            OSError: it cannot be made.
            sqlite3.DatabaseError: it is no SQLite file.
            OutboxFullError: the disk is full.
        """
        self.path, self._bounds = path, bounds or Bounds()
        self._lock = threading.Lock()
        with refusals():
            self._connection = open_file(path)
            make_tables(self._connection)
        self._forgot = 0.0

    def put(self, letters: Sequence[OutboxRecord]) -> list[bool]:
        """Put letters, all or none; they are on the disk when it returns.

        Returns:
            For each whether it is new, or a repeat by its event id.

        Raises:
            OutboxFullError, OutboxBusyError: nothing was taken.
        """
        with self._lock, transaction(self._connection):
            now = time.time()
            if now - self._forgot > 1.0:
                self._forgot = now
                forget(self._connection, self._bounds, now)
            return put(self._connection, letters, self._bounds, now)

    def depth(self) -> Depth:
        """What waits."""
        with self._lock:
            return depth(self._connection)

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        with self._lock:
            self._connection.close()


class OutboxProducer:
    """The SDK with an outbox: `send` needs no Kafka, and what was sent survives this process. A field device needs nothing else. Thread-safe."""

    def __init__(
        self, path: Path, kafka: KafkaSettings, *, topic: str = EVENTS, bounds: Bounds | None = None
    ) -> None:
        """Open or make the file, and begin to hand over what waits in it.

        Raises:
            OSError, sqlite3.DatabaseError, OutboxFullError: as `Outbox`.
        """
        self._outbox = Outbox(path, bounds)
        self._forwarder = OutboxRelay(path, kafka, topic=topic)
        self._forwarder.start()

    def send(self, event: Event | Mapping[str, Any] | bytes) -> Event:
        """Check an event and put it; it is on the disk when this returns. One that was sent before is not sent again.

        Raises:
            pravah.events.EventError: it is no event.
            OutboxFullError, OutboxBusyError: it was not taken.
        """
        return self.send_all([event])[0]

    def send_all(self, events: Iterable[Event | Mapping[str, Any] | bytes]) -> list[Event]:
        """The same for several in one go, all or none: a write to the disk costs the same for one and for hundreds.

        Raises:
            pravah.events.EventError, OutboxFullError, OutboxBusyError: none was taken.
        """
        checked = [validate_event(event) for event in events]
        self.put([letter(event, value) for event, value in checked])
        return [event for event, _ in checked]

    def put(self, letters: Sequence[OutboxRecord]) -> list[bool]:
        """The same for events that are checked already; for each whether it is new.

        Raises:
            OutboxFullError, OutboxBusyError: none was taken.
        """
        new = self._outbox.put(letters)
        self._forwarder.wake()
        return new

    def depth(self) -> Depth:
        """What waits, and why."""
        return self._outbox.depth()

    def flush(
        self, timeout: float | None = None, tell: Callable[[Depth], None] = lambda _: None
    ) -> bool:
        """Wait until Kafka has everything.

        Args:
            timeout: seconds; by default for ever.
            tell: is called with what waits while it waits.

        Returns:
            Whether it has.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (left := self.depth()).rows:
            if deadline is not None and time.monotonic() >= deadline:
                return False
            tell(left)
            time.sleep(0.02)
        return True

    def close(self) -> None:
        """Stop; what Kafka has not confirmed stays in the file for the next time. A second call does nothing."""
        self._forwarder.stop()
        self._outbox.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


def letter(event: Event, value: bytes) -> OutboxRecord:
    """A checked event and its bytes as they wait in an outbox."""
    return OutboxRecord(event.event_id, routing_key(event.unit), event.entity_name, value)
