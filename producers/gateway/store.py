"""The gateway's SQLite file, and the one thread of this process that writes it.

Everything written in answer to a request is one job: durable as a whole or not at all. Pending jobs
are committed together, so one flush to disk serves many. Other processes (`pravah gateway pull`,
`rejected send`) may write the file at the same time: SQLite admits one writer after the other.
"""

import logging
import queue
import sqlite3
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from pravah.settings import Settings
from producers.gateway import archive, schema
from producers.gateway.edits import Place, find_place
from producers.gateway.schema import (
    KnownSubmission,
    PullState,
    gateway_file,
    make_tables,
    open_read_only,
)
from producers.gateway.transaction import Transaction
from producers.mapping.submissions import Submission
from producers.outbox import Bounds, OutboxBusyError, OutboxFullError
from producers.outbox import file as outbox_file
from producers.outbox.table import prune_event_ids

_log = logging.getLogger(__name__)
T = TypeVar("T")

_MAX_PENDING_JOBS = 2_000
_MAX_JOBS_PER_COMMIT = 256
_PRUNE_INTERVAL_S = 1.0
# Old rows deleted per statement, and the time limit of one round, so that no request waits for it.
_PRUNE_ROWS, _PRUNE_BUDGET_S = 500, 0.1

Job = Callable[[Transaction], T]


class StoreBusyError(RuntimeError):
    """The writer does not keep up, or is closed. Nothing was stored; try again later."""


class _PendingJob(NamedTuple):
    job: Job[Any]
    future: "Future[Any]"


class Store:
    """The gateway's file and its writer thread. Thread-safe."""

    def __init__(
        self,
        path: Path,
        bounds: Bounds | None = None,
        *,
        archive_days: float = 90.0,
        archive_bytes: int = 8 * 1024**3,
        memory_days: float = 400.0,
    ) -> None:
        """Open or create the file.

        Args:
            path: the file.
            bounds: of the outbox.
            archive_days: how long received bodies are kept.
            archive_bytes: of compressed bodies; the oldest go first.
            memory_days: how long the states of entities of `/v1/events` are kept.

        Raises:
            OSError: it cannot be created.
            sqlite3.DatabaseError: it is not an SQLite file.
            OutboxFullError: the disk is full.
        """
        self.path, self._bounds = path, bounds or Bounds()
        self._archive_days, self._archive_bytes = archive_days, archive_bytes
        self._memory_days = memory_days
        with outbox_file.translate_sqlite_errors():
            self._connection = outbox_file.open_file(path)
            make_tables(self._connection)
        self._jobs: queue.Queue[_PendingJob | None] = queue.Queue(_MAX_PENDING_JOBS)
        self._uncounted: Counter[tuple[str, str, str]] = Counter()
        self._lock = threading.Lock()
        self._pruned_at = 0.0
        self._closed = False
        # called after each commit
        self.on_commit: Callable[[], None] = lambda: None
        # start of the commit in progress (`time.monotonic`), or None
        self.commit_started_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="gateway-writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open the file of an installation.

        Raises:
            OSError, sqlite3.DatabaseError, OutboxFullError: as the constructor.
        """
        return cls(
            gateway_file(settings),
            Bounds(settings.outbox_rows, settings.outbox_bytes, settings.outbox_memory_days),
            archive_days=settings.gateway_archive_days,
            archive_bytes=settings.gateway_archive_bytes,
            memory_days=settings.gateway_memory_days,
        )

    def submit(self, job: Job[T]) -> "Future[T]":
        """Run a job in the next transaction.

        Returns:
            The job's result once it is on disk. OutboxFullError, OutboxBusyError or the job's own
            error: nothing was written. A job whose future is cancelled in time does not run.

        Raises:
            StoreBusyError: too many jobs are pending, or the store is closed.
        """
        future: Future[T] = Future()
        try:
            if self._closed:
                raise queue.Full  # noqa: TRY301
            self._jobs.put_nowait(_PendingJob(job, future))
        except queue.Full:
            msg = "the gateway's file is not written fast enough; this was not taken"
            raise StoreBusyError(msg) from None
        return future

    def count_later(self, source: str, outcome: str, reason: str) -> None:
        """Count something that writes nothing else, such as a wrong secret.

        It is written with the next transaction, and lost if the process dies before.
        """
        with self._lock:
            self._uncounted[source, outcome, reason] += 1

    @contextmanager
    def open_read_only(self) -> Iterator[sqlite3.Connection]:
        """Open a connection of its own that can only read."""
        with open_read_only(self.path) as connection:
            yield connection

    def get_cursor(self, source: str) -> str | None:
        """The stored cursor of a source's pull."""
        with self.open_read_only() as connection:
            row = connection.execute(
                "SELECT cursor FROM cursors WHERE source = ?", (source,)
            ).fetchone()
        return None if row is None else str(row[0])

    def pull_states(self) -> dict[str, PullState]:
        """Source → its last pulls, for sources that were pulled at least once."""
        with self.open_read_only() as connection:
            return schema.pull_states(connection)

    def known_submissions(self, source: str) -> Iterator[KnownSubmission]:
        """Every submission of a source in the file, deleted ones included."""
        with self.open_read_only() as connection:
            yield from schema.known_submissions(connection, source)

    def places(self, source: str, submissions: Iterable[Submission]) -> list[Place]:
        """Where states of submissions belong now, in their order."""
        with self.open_read_only() as connection:
            transaction = Transaction(connection, self._bounds, 0.0)
            return [find_place(transaction, source, one) for one in submissions]

    def issued_hashes(self, hashes: Iterable[str]) -> set[str]:
        """Those of some hashes of persons that were issued before."""
        with self.open_read_only() as connection:
            return {
                one
                for one in hashes
                if connection.execute(
                    "SELECT 1 FROM issued_hashes WHERE hash = ?", (bytes.fromhex(one),)
                ).fetchone()
            }

    def load_registry(self) -> bytes | None:
        """The stored unit registry, as encoded entries."""
        with self.open_read_only() as connection:
            row = connection.execute("SELECT entries FROM registry").fetchone()
        return None if row is None else zlib.decompress(row[0])

    def close(self) -> None:
        """Run the pending jobs, then close the file. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()

    def __enter__(self) -> Self:
        """Return this store."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- the writer thread

    def _run(self) -> None:
        while True:
            try:
                pending = self._jobs.get(timeout=_PRUNE_INTERVAL_S)
            except queue.Empty:
                self._commit([])
                continue
            batch = [] if pending is None else [pending]
            while pending is not None and len(batch) < _MAX_JOBS_PER_COMMIT:
                try:
                    pending = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if pending is not None:
                    batch.append(pending)
            self._commit(batch)
            if pending is None:
                return

    def _commit(self, batch: list[_PendingJob]) -> None:
        jobs = [pending for pending in batch if pending.future.set_running_or_notify_cancel()]
        is_prune_due = time.time() - self._pruned_at >= _PRUNE_INTERVAL_S
        if not jobs and not self._uncounted and not is_prune_due:
            return
        results: list[tuple[Future[Any], Any, BaseException | None]] = []
        counted: Counter[tuple[str, str, str]] = Counter()
        self.commit_started_at = time.monotonic()
        try:
            with outbox_file.transaction(self._connection):
                now = time.time()
                transaction = Transaction(self._connection, self._bounds, now)
                results += [
                    (pending.future, *self._run_job(pending.job, transaction)) for pending in jobs
                ]
                with self._lock:
                    counted, self._uncounted = self._uncounted, Counter()
                for (source, outcome, reason), number in counted.items():
                    transaction.count(source, outcome, reason, number)
                if now - self._pruned_at >= _PRUNE_INTERVAL_S:
                    self._pruned_at = now
                    self._prune(now)
        except Exception as error:  # noqa: BLE001
            if not isinstance(error, (OutboxFullError, OutboxBusyError)):
                _log.exception("the gateway's file could not be written")
            with self._lock:
                self._uncounted.update(counted)
            results = [(pending.future, None, error) for pending in jobs]
        finally:
            self.commit_started_at = None
        for future, result, failure in results:
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)
        if jobs:
            self.on_commit()

    def _run_job(self, job: Job[Any], transaction: Transaction) -> tuple[Any, Exception | None]:
        """Run one job. If it fails, its own writes are rolled back and the others stay."""
        self._connection.execute("SAVEPOINT job")
        try:
            with outbox_file.translate_sqlite_errors():
                result, failure = job(transaction), None
        except Exception as error:  # the job's future raises it
            # SQLite rolls back the whole transaction by itself, for example on a full disk
            if not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK TO job")
            result, failure = None, error
        self._connection.execute("RELEASE job")
        return result, failure

    def _prune(self, now: float) -> None:
        """Delete expired rows until the time is up; the rest waits for the next round."""
        deadline = time.monotonic() + _PRUNE_BUDGET_S
        while time.monotonic() < deadline and self._prune_some(now):
            pass

    def _prune_some(self, now: float) -> bool:
        """Delete some expired rows; whether there may be more."""
        deleted = prune_event_ids(self._connection, self._bounds, now)
        deleted += self._connection.execute(
            """
            DELETE FROM ready WHERE entity IN (
                SELECT entity FROM ready WHERE at < ? ORDER BY at LIMIT ?
            )
            """,
            (now - self._memory_days * 86_400, _PRUNE_ROWS),
        ).rowcount
        deleted += archive.prune(
            self._connection, now - self._archive_days * 86_400, self._archive_bytes, _PRUNE_ROWS
        )
        return bool(deleted)
