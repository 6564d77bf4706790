"""The SQLite file of an outbox: connections, durable transactions, and errors in our own types."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from producers.outbox.table import (
    Bounds,
    OutboxBusyError,
    OutboxDepth,
    OutboxFullError,
    OutboxRecord,
    make_tables,
    prune_event_ids,
    put,
    read_depth,
)

_BUSY_TIMEOUT_S = 10.0
_PRUNE_INTERVAL_S = 1.0


def open_file(path: Path) -> sqlite3.Connection:
    """Open a connection whose transactions are on disk when they end; see `transaction`.

    The file is created with access for its owner only.

    Raises:
        OSError: the file cannot be created.
        sqlite3.DatabaseError: it is not an SQLite file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(
        path,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit everything in the block, durably, or nothing.

    Raises:
        OutboxFullError: the disk is full.
        OutboxBusyError: another process locks the file for too long.
    """
    with translate_sqlite_errors():
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite rolls back by itself after some errors
                connection.execute("ROLLBACK")
            raise


@contextmanager
def translate_sqlite_errors() -> Iterator[None]:
    """Raise our own errors for SQLite's "disk full" and "database is locked".

    Raises:
        OutboxFullError: the disk is full.
        OutboxBusyError: another process locks the file for too long.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
            msg = (
                f"the disk is full or does not take what is written ({error}); this was not "
                "taken. Make room; nothing else is needed"
            )
            raise OutboxFullError(msg) from error
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            msg = (
                f"another process holds the file for more than {_BUSY_TIMEOUT_S:.0f} s; "
                "this was not taken"
            )
            raise OutboxBusyError(msg) from error
        raise


class Outbox:
    """A file that several processes may put events into. Thread-safe."""

    def __init__(self, path: Path, bounds: Bounds | None = None) -> None:
        """Open or create the file.

        Raises:
            OSError: it cannot be created.
            sqlite3.DatabaseError: it is not an SQLite file.
            OutboxFullError: the disk is full.
        """
        self.path, self._bounds = path, bounds or Bounds()
        self._lock = threading.Lock()
        with translate_sqlite_errors():
            self._connection = open_file(path)
            make_tables(self._connection)
        self._pruned_at = 0.0

    def put(self, records: Sequence[OutboxRecord]) -> list[bool]:
        """Put records, all or none; they are on disk when it returns.

        Returns:
            Per record whether it is new, or a repeat by its event id.

        Raises:
            OutboxFullError, OutboxBusyError: nothing was stored.
        """
        with self._lock, transaction(self._connection):
            now = time.time()
            if now - self._pruned_at > _PRUNE_INTERVAL_S:
                self._pruned_at = now
                prune_event_ids(self._connection, self._bounds, now)
            return put(self._connection, records, self._bounds, now)

    def depth(self) -> OutboxDepth:
        """Pending records and the state of delivery."""
        with self._lock:
            return read_depth(self._connection)

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        with self._lock:
            self._connection.close()
