"""The gateway's one SQLite file: received bodies, what was told of each submission, the outbox, cursors and counts.

All that is written in answer to a request is one job, and one transaction: durable as a whole or not at all. One thread writes; jobs that wait at the same time are committed together, so
a flush to the disk serves many. Other processes (`pravah gateway pull`, `rejected send`) may work on the file at the same time: SQLite lets one write after the other.
"""

import json
import logging
import queue
import sqlite3
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeVar

import orjson

from pravah.days import instant_micros
from pravah.settings import Settings
from pravah.units import routing_key
from producers import outbox
from producers.gateway.submission_diff import Change, Decision, Ready, SubmissionId, Told
from producers.mapping.submissions import MappedEvent
from producers.outbox import Bounds, OutboxBusyError, OutboxFullError, OutboxRecord

_log = logging.getLogger(__name__)
T = TypeVar("T")

Outcome = Literal["accepted", "repeated", "refused", "mended", "dropped"]
"""Of a body. Refused ones can become mended or dropped."""
Kind = Literal["events", "hook", "submission"]
"""What a kept body is: one for `/v1/events`, one for a hook, or a pulled submission as JSON."""

FILE = "gateway.sqlite"
_MOST_WAITING = 2_000
"""So many jobs may wait for the writer."""
_TOGETHER = 256
"""So many of them are committed together at most."""
_HOUSEKEEPING_SECONDS = 1.0
_SWEPT, _SWEEP_SECONDS = 500, 0.1
"""So many old rows go at a time, and for so long, so that nobody waits for it."""
_HABIT_MINUTES = 400 * 24 * 60
"""So long it is known in which minutes a source sent something."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_TABLES = """
CREATE TABLE IF NOT EXISTS archive (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL, headers TEXT NOT NULL, digest BLOB NOT NULL, body BLOB NOT NULL,
    outcome TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, times INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX IF NOT EXISTS archive_source ON archive (source, at);
CREATE UNIQUE INDEX IF NOT EXISTS archive_refused ON archive (source, digest) WHERE outcome = 'refused';
CREATE TABLE IF NOT EXISTS archive_size (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO archive_size VALUES (1, 0);
CREATE TABLE IF NOT EXISTS submissions (
    source TEXT NOT NULL, form TEXT NOT NULL, name TEXT NOT NULL, changed_at INTEGER NOT NULL, deleted INTEGER NOT NULL, PRIMARY KEY (source, form, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (
    source TEXT NOT NULL, form TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, changed_at INTEGER NOT NULL, version INTEGER NOT NULL,
    part TEXT NOT NULL, key TEXT NOT NULL, entity TEXT NOT NULL, at INTEGER NOT NULL, unit TEXT NOT NULL, content TEXT NOT NULL, PRIMARY KEY (source, form, name, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS told_at ON told (entity, key, at);
CREATE INDEX IF NOT EXISTS told_changed_at ON told (entity, key, changed_at);
CREATE INDEX IF NOT EXISTS told_version ON told (entity, key, version);
CREATE TABLE IF NOT EXISTS versions (entity TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ready (
    entity TEXT PRIMARY KEY, at REAL NOT NULL, unit TEXT NOT NULL, version INTEGER NOT NULL, kind TEXT NOT NULL, occurred_at TEXT NOT NULL, source TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ready_at ON ready (at);
CREATE TABLE IF NOT EXISTS cursors (source TEXT PRIMARY KEY, cursor TEXT NOT NULL, at REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pulls (source TEXT PRIMARY KEY, succeeded_at REAL, failed_at REAL, trouble TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (
    source TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, at REAL NOT NULL, PRIMARY KEY (source, outcome, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (source TEXT NOT NULL, minute INTEGER NOT NULL, PRIMARY KEY (source, minute)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS given_out (hash BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS registry (one INTEGER PRIMARY KEY CHECK (one = 1), entries BLOB NOT NULL, at REAL NOT NULL) STRICT;
"""
_TOLD = "source, form, name, number, changed_at, version, part, entity, unit, content"


class NoGatewayError(LookupError):
    """There is no gateway's file where one is looked for."""


class StoreBusyError(RuntimeError):
    """The writer does not keep up, or was closed. Nothing was taken; try again later."""


class Known(NamedTuple):
    """What the gateway knows of a submission."""

    form: str
    name: str
    changed_at: datetime
    deleted: bool


class PullState(NamedTuple):
    """How a source's pull went."""

    succeeded_at: float | None
    """Epoch seconds; when one last came to its end."""
    failed_at: float | None
    """The same of one that did not."""
    trouble: str
    """Why the last one did not; empty if it did."""


@dataclass(frozen=True)
class StoredSubmission:
    """A received body."""

    id: int
    at: datetime
    source: str
    kind: Kind
    outcome: Outcome
    reason: str
    detail: str
    times: int
    """How often it came."""
    headers: Mapping[str, str]
    body: bytes


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the gateway's tables, those of its outbox included, if they are not there."""
    outbox.make_tables(connection)
    connection.executescript(_TABLES)


class Transaction:
    """The tables, inside one transaction."""

    def __init__(self, connection: sqlite3.Connection, bounds: Bounds, now: float) -> None:
        """Take an open transaction."""
        self._connection, self._bounds, self.now = connection, bounds, now

    # --- submissions

    def changed_at(self, me: SubmissionId) -> datetime | None:
        """The instant of the state that is known of a submission; None: none is."""
        row = self._connection.execute(
            "SELECT changed_at FROM submissions WHERE (source, form, name) = (?, ?, ?)", me
        ).fetchone()
        return None if row is None else _instant(row[0])

    def told(self, me: SubmissionId) -> list[Told]:
        """What stands of a submission."""
        rows = self._connection.execute(
            f"SELECT {_TOLD} FROM told WHERE (source, form, name) = (?, ?, ?)", me
        )
        return [_told(row) for row in rows]

    def told_beside(self, change: Change) -> list[Told]:
        """What stands of other submissions in a change's groups, as far as `decide` needs it: an entity may have been observed ten thousand times."""
        found: dict[tuple[SubmissionId, int], Told] = {}
        where = "WHERE entity = ? AND key = ? AND (source, form, name) != (?, ?, ?)"
        for (key, entity), moments in change.groups.items():
            group = (entity, key, *change.me)
            if moments is None:
                rows = self._connection.execute(
                    f"SELECT {_TOLD} FROM told {where}", group
                ).fetchall()
            else:
                rows = []
                for index, order in (
                    (
                        "told_changed_at",
                        "changed_at DESC, source DESC, form DESC, name DESC, number DESC",
                    ),
                    ("told_version", "version DESC"),
                ):
                    last = f"ORDER BY {order} LIMIT 1"
                    rows += self._connection.execute(
                        f"SELECT {_TOLD} FROM told INDEXED BY {index} {where} {last}", group
                    )
                    for moment in moments:
                        rows += self._connection.execute(
                            f"SELECT {_TOLD} FROM told INDEXED BY told_at {where} AND at = ? {last}",
                            (*group, instant_micros(moment)),
                        )
            found.update(((one.submission, one.number), one) for one in map(_told, rows))
        return list(found.values())

    def versions(self, entities: Iterable[str]) -> dict[str, int]:
        """The highest versions ever sent."""
        found = (
            (
                entity,
                self._connection.execute(
                    "SELECT version FROM versions WHERE entity = ?", (entity,)
                ).fetchone(),
            )
            for entity in set(entities)
        )
        return {entity: row[0] for entity, row in found if row is not None}

    def keep(
        self, me: SubmissionId, changed_at: datetime, decision: Decision, *, deleted: bool
    ) -> None:
        """Keep a decision; its events still are to be put."""
        self._connection.execute(
            "INSERT OR REPLACE INTO submissions VALUES (?, ?, ?, ?, ?)",
            (*me, instant_micros(changed_at), deleted),
        )
        self._connection.execute("DELETE FROM told WHERE (source, form, name) = (?, ?, ?)", me)
        self._connection.executemany(
            "INSERT INTO told VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            map(_told_row, decision.stands),
        )
        self._connection.executemany(
            "UPDATE told SET version = ? WHERE (source, form, name, number) = (?, ?, ?, ?)",
            [(one.version, *one.submission, one.number) for one in decision.again],
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO versions VALUES (?, ?)", decision.versions.items()
        )

    def set_cursor(self, source: str, cursor: str) -> None:
        """Keep where a pull goes on."""
        self._connection.execute(
            "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (source, cursor, self.now)
        )

    def keep_pull(self, source: str, trouble: str = "") -> None:
        """Keep that a pull came to its end now, or why it did not."""
        self._connection.execute(
            "INSERT OR IGNORE INTO pulls VALUES (?, NULL, NULL, '')", (source,)
        )
        column = "failed_at" if trouble else "succeeded_at"
        self._connection.execute(
            f"UPDATE pulls SET {column} = ?, trouble = ? WHERE source = ?",
            (self.now, trouble, source),
        )

    # --- ready events and the outbox

    def is_known_id(self, event_id: bytes) -> bool:
        """Whether an event of this id was put before."""
        return (
            self._connection.execute(
                "SELECT 1 FROM outbox_ids WHERE event_id = ?", (event_id,)
            ).fetchone()
            is not None
        )

    def ready(self, entity: str) -> Ready | None:
        """What is remembered of an entity whose events come ready."""
        row = self._connection.execute(
            "SELECT unit, version, kind, occurred_at, source FROM ready WHERE entity = ?", (entity,)
        ).fetchone()
        return None if row is None else Ready(row[0], row[1], row[2], row[3], orjson.loads(row[4]))

    def keep_ready(self, entity: str, ready: Ready) -> None:
        """Remember the highest version of such an entity."""
        row = (
            entity,
            self.now,
            ready.unit,
            ready.version,
            ready.kind,
            ready.occurred_at,
            orjson.dumps(ready.source).decode(),
        )
        self._connection.execute("INSERT OR REPLACE INTO ready VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def put(self, letters: Sequence[OutboxRecord]) -> list[bool]:
        """Put events into the outbox; see `producers.outbox.put`."""
        return outbox.put(self._connection, letters, self._bounds, self.now)

    def probe(self) -> None:
        """Write something that changes nothing.

        Raises:
            OutboxFullError: nothing more can be put.
        """
        rows, size = self._connection.execute(
            "UPDATE outbox_state SET rows = rows RETURNING rows, bytes"
        ).fetchone()
        if rows >= self._bounds.rows or size >= self._bounds.bytes:
            msg = f"the outbox is full: {rows:,} events ({size:,} bytes) wait for Kafka"
            raise OutboxFullError(msg)

    # --- bodies and counts

    def archive(
        self,
        source: str,
        kind: Kind,
        body: bytes,
        outcome: Outcome,
        *,
        headers: Mapping[str, str] | None = None,
        reason: str = "",
        detail: str = "",
    ) -> int:
        """Keep a body; one that was refused before and is refused again is kept once.

        Returns:
            Its number.
        """
        digest = blake2b(kind.encode() + b"\0" + body, digest_size=16).digest()
        if outcome == "refused":
            same = self._connection.execute(
                "UPDATE archive SET times = times + 1, at = ?, reason = ?, detail = ? WHERE source = ? AND digest = ? AND outcome = 'refused' RETURNING id",
                (self.now, reason, detail, source, digest),
            ).fetchone()
            if same is not None:
                return int(same[0])
        packed = zlib.compress(body, 1)
        row = (
            self.now,
            source,
            kind,
            json.dumps(dict(headers or {})),
            digest,
            packed,
            outcome,
            reason,
            detail,
        )
        number = self._connection.execute(
            "INSERT INTO archive (at, source, kind, headers, digest, body, outcome, reason, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        ).lastrowid
        self._connection.execute("UPDATE archive_size SET bytes = bytes + ?", (len(packed),))
        return number or 0

    def mend(self, number: int, body: bytes) -> None:
        """A kept body was taken after all, as it was or as it should have been."""
        packed = zlib.compress(body, 1)
        (before,) = self._connection.execute(
            "SELECT length(body) FROM archive WHERE id = ?", (number,)
        ).fetchone()
        self._connection.execute(
            "UPDATE archive SET body = ?, outcome = iif(outcome = 'refused', 'mended', outcome) WHERE id = ?",
            (packed, number),
        )
        self._connection.execute(
            "UPDATE archive_size SET bytes = bytes + ?", (len(packed) - before,)
        )

    def still_refused(self, number: int, reason: str, detail: str) -> None:
        """A kept body was refused again; one that was taken before stays taken."""
        self._connection.execute(
            "UPDATE archive SET reason = ?, detail = ? WHERE id = ? AND outcome = 'refused'",
            (reason, detail, number),
        )

    def drop(self, number: int, reason: str) -> bool:
        """A refused body is not to be sent again; whether there was such a one."""
        found = self._connection.execute(
            "UPDATE archive SET outcome = 'dropped', detail = ? WHERE id = ? AND outcome = 'refused'",
            (reason, number),
        )
        return found.rowcount == 1

    def count(self, source: str, outcome: str, reason: str = "", number: int = 1) -> None:
        """Count events or submissions by what became of them."""
        if number:
            self._connection.execute(
                "INSERT INTO counts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count, at = excluded.at",
                (source, outcome, reason, number, self.now),
            )
            if outcome == "accepted":
                minute = int(self.now // 60)
                if self._connection.execute(
                    "INSERT OR IGNORE INTO deliveries VALUES (?, ?)", (source, minute)
                ).rowcount:
                    self._connection.execute(
                        "DELETE FROM deliveries WHERE source = ? AND minute < ?",
                        (source, minute - _HABIT_MINUTES),
                    )

    def give_out(self, hashes: Iterable[str]) -> None:
        """Remember hashes of persons for good."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO given_out VALUES (?)", [(bytes.fromhex(one),) for one in hashes]
        )

    def keep_registry(self, entries: bytes) -> None:
        """Keep the unit registry, for a start without Kafka."""
        self._connection.execute(
            "INSERT OR REPLACE INTO registry VALUES (1, ?, ?)", (zlib.compress(entries), self.now)
        )


Job = Callable[[Transaction], T]


class _Order(NamedTuple):
    job: Job[Any]
    future: "Future[Any]"


class Store:
    """The file, and the thread that writes it. Thread-safe."""

    def __init__(
        self,
        path: Path,
        bounds: Bounds | None = None,
        *,
        archive_days: float = 90.0,
        archive_bytes: int = 8 * 1024**3,
        memory_days: float = 400.0,
    ) -> None:
        """Open or make the file.

        Raises:
            OSError: it cannot be made.
            sqlite3.DatabaseError: it is no SQLite file.
            OutboxFullError: the disk is full.
        """
        self.path, self._bounds = path, bounds or Bounds()
        self._archive_days, self._archive_bytes, self._memory_days = (
            archive_days,
            archive_bytes,
            memory_days,
        )
        with outbox.refusals():
            self._connection = outbox.open_file(path)
            make_tables(self._connection)
        self._orders: queue.Queue[_Order | None] = queue.Queue(_MOST_WAITING)
        self._uncounted: Counter[tuple[str, str, str]] = Counter()
        self._lock = threading.Lock()
        self._swept = 0.0
        self._closed = False
        self.on_put: Callable[[], None] = lambda: None
        """Is called after each commit."""
        self.writing_since: float | None = None
        """When the commit in progress began (`time.monotonic`); None: none is."""
        self._thread = threading.Thread(target=self._run, name="gateway-writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The file of an installation.

        Raises:
            OSError, sqlite3.DatabaseError, OutboxFullError: as the constructor.
        """
        return cls(
            settings.home / "gateway" / FILE,
            Bounds(settings.outbox_rows, settings.outbox_bytes, settings.outbox_memory_days),
            archive_days=settings.gateway_archive_days,
            archive_bytes=settings.gateway_archive_bytes,
            memory_days=settings.gateway_memory_days,
        )

    def submit(self, job: Job[T]) -> "Future[T]":
        """Let a job be done in the next transaction.

        Returns:
            What it gives, once that is on the disk; or OutboxFullError, OutboxBusyError or its own error, and nothing was done. One that is cancelled in time is not done.

        Raises:
            StoreBusyError: too many jobs wait, or the store is closed.
        """
        future: Future[T] = Future()
        try:
            if self._closed:
                raise queue.Full  # noqa: TRY301
            self._orders.put_nowait(_Order(job, future))
        except queue.Full:
            msg = "the gateway's file is not written fast enough; this was not taken"
            raise StoreBusyError(msg) from None
        return future

    def count_soon(self, source: str, outcome: str, reason: str) -> None:
        """Count what changes nothing else, such as a wrong secret: written with the next transaction, lost with this process."""
        with self._lock:
            self._uncounted[source, outcome, reason] += 1

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own that only reads, for the length of a block."""
        with reading(self.path) as connection:
            yield connection

    def get_cursor(self, source: str) -> str | None:
        """Where a source's pull goes on, as it was handed in."""
        with self.reading() as connection:
            row = connection.execute(
                "SELECT cursor FROM cursors WHERE source = ?", (source,)
            ).fetchone()
        return None if row is None else str(row[0])

    def pulls(self) -> dict[str, PullState]:
        """How the pull of each source went, of those that were ever tried."""
        with self.reading() as connection:
            return pulls(connection)

    def known_submissions(self, source: str) -> Iterator[Known]:
        """Every submission that the gateway knows of a source, deleted ones as well."""
        with self.reading() as connection:
            for form, name, changed_at, deleted in connection.execute(
                "SELECT form, name, changed_at, deleted FROM submissions WHERE source = ?",
                (source,),
            ):
                yield Known(form, name, _instant(changed_at), bool(deleted))

    def states(self, submissions: Iterable[SubmissionId]) -> dict[SubmissionId, datetime]:
        """The instants of the states that are known of some submissions."""
        with self.reading() as connection:
            looked = Transaction(connection, self._bounds, 0.0)
            found = ((one, looked.changed_at(one)) for one in submissions)
            return {one: at for one, at in found if at is not None}

    def given_out(self, hashes: Iterable[str]) -> set[str]:
        """Those of some hashes of persons that were given out before."""
        with self.reading() as connection:
            return {
                one
                for one in hashes
                if connection.execute(
                    "SELECT 1 FROM given_out WHERE hash = ?", (bytes.fromhex(one),)
                ).fetchone()
            }

    def registry(self) -> bytes | None:
        """The unit registry as it was last kept."""
        with self.reading() as connection:
            row = connection.execute("SELECT entries FROM registry").fetchone()
        return None if row is None else zlib.decompress(row[0])

    def close(self) -> None:
        """Do what waits, then close the file. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._orders.put(None)
        self._thread.join()
        self._connection.close()

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

    # --- the writer's thread

    def _run(self) -> None:
        while True:
            try:
                order = self._orders.get(timeout=_HOUSEKEEPING_SECONDS)
            except queue.Empty:
                self._write([])
                continue
            orders = [] if order is None else [order]
            while order is not None and len(orders) < _TOGETHER:
                try:
                    order = self._orders.get_nowait()
                except queue.Empty:
                    break
                if order is not None:
                    orders.append(order)
            self._write(orders)
            if order is None:
                return

    def _write(self, orders: list[_Order]) -> None:
        begun = [order for order in orders if order.future.set_running_or_notify_cancel()]
        if not begun and not self._uncounted and time.time() - self._swept < _HOUSEKEEPING_SECONDS:
            return
        results: list[tuple[Future[Any], Any, BaseException | None]] = []
        counted: Counter[tuple[str, str, str]] = Counter()
        self.writing_since = time.monotonic()
        try:
            with outbox.transaction(self._connection):
                now = time.time()
                transaction = Transaction(self._connection, self._bounds, now)
                results += [(order.future, *self._do(order.job, transaction)) for order in begun]
                with self._lock:
                    counted, self._uncounted = self._uncounted, Counter()
                for (source, outcome, reason), number in counted.items():
                    transaction.count(source, outcome, reason, number)
                if now - self._swept >= _HOUSEKEEPING_SECONDS:
                    self._swept = now
                    self._sweep(now)
        except Exception as error:  # noqa: BLE001
            if not isinstance(error, (OutboxFullError, OutboxBusyError)):
                _log.exception("the gateway's file could not be written")
            with self._lock:
                self._uncounted.update(counted)
            results = [(order.future, None, error) for order in begun]
        finally:
            self.writing_since = None
        for future, result, failure in results:
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)
        if begun:
            self.on_put()

    def _do(self, job: Job[Any], transaction: Transaction) -> tuple[Any, Exception | None]:
        """Do one job; if it fails, nothing of it stays, and the others are not touched."""
        self._connection.execute("SAVEPOINT job")
        try:
            with outbox.refusals():
                result, failure = job(transaction), None
        except Exception as error:  # it goes to whoever handed the job in
            if (
                not self._connection.in_transaction
            ):  # SQLite has given up all of it, for example on a full disk
                raise
            self._connection.execute("ROLLBACK TO job")
            result, failure = None, error
        self._connection.execute("RELEASE job")
        return result, failure

    def _sweep(self, now: float) -> None:
        """Let what is too old go; what takes longer waits for the next time."""
        until = time.monotonic() + _SWEEP_SECONDS
        while time.monotonic() < until and self._sweep_some(now):
            pass

    def _sweep_some(self, now: float) -> bool:
        """Let some of it go; whether there may be more."""
        forgotten = outbox.forget(self._connection, self._bounds, now)
        forgotten += self._connection.execute(
            "DELETE FROM ready WHERE entity IN (SELECT entity FROM ready WHERE at < ? ORDER BY at LIMIT ?)",
            (now - self._memory_days * 86_400, _SWEPT),
        ).rowcount
        (size,) = self._connection.execute("SELECT bytes FROM archive_size").fetchone()
        gone = []
        for number, at, length in self._connection.execute(
            "SELECT id, at, length(body) FROM archive ORDER BY id LIMIT ?", (_SWEPT,)
        ):
            if at >= now - self._archive_days * 86_400 and size <= self._archive_bytes:
                break
            size -= length
            gone.append((number,))
        if gone:
            self._connection.executemany("DELETE FROM archive WHERE id = ?", gone)
            self._connection.execute("UPDATE archive_size SET bytes = ?", (size,))
        return bool(forgotten or gone)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a gateway's file that only reads, also while a gateway writes it.

    Raises:
        NoGatewayError: there is no such file.
    """
    if not path.is_file():
        msg = f"{path}: no gateway has run here yet; `pravah gateway` makes it"
        raise NoGatewayError(msg)
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro",
        uri=True,
        timeout=10.0,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        yield connection
    finally:
        connection.close()


def pulls(connection: sqlite3.Connection) -> dict[str, PullState]:
    """How the pull of each source went, of those that were ever tried."""
    return {
        source: PullState(*state)
        for source, *state in connection.execute(
            "SELECT source, succeeded_at, failed_at, trouble FROM pulls"
        )
    }


def kept(
    connection: sqlite3.Connection,
    where: str = "1 = 1",
    parameters: Sequence[object] = (),
    *,
    most: int = -1,
    newest_first: bool = False,
) -> Iterator[StoredSubmission]:
    """Received bodies that are still kept, in the order in which they came."""
    order = "DESC" if newest_first else "ASC"
    rows = connection.execute(
        f"SELECT id, at, source, kind, outcome, reason, detail, times, headers, body FROM archive WHERE {where} ORDER BY id {order} LIMIT ?",
        (*parameters, most),
    )
    for number, at, source, kind, outcome, reason, detail, times, headers, body in rows:
        yield StoredSubmission(
            number,
            datetime.fromtimestamp(at, UTC),
            source,
            kind,
            outcome,
            reason,
            detail,
            times,
            json.loads(headers),
            zlib.decompress(body),
        )


def _told(row: tuple[Any, ...]) -> Told:
    source, form, name, number, changed_at, version, part, entity, unit, content = row
    return Told(
        SubmissionId(source, form, name),
        number,
        _instant(changed_at),
        version,
        MappedEvent(part, entity, unit, orjson.loads(content)),
    )


def _told_row(told: Told) -> tuple[Any, ...]:
    one = told.mapped_event
    content = orjson.dumps(one.content).decode()
    changed_at, at = instant_micros(told.changed_at), instant_micros(told.place.at)
    return (
        *told.submission,
        told.number,
        changed_at,
        told.version,
        one.part,
        routing_key(one.unit),
        one.entity,
        at,
        one.unit,
        content,
    )


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
