"""The tables of the gateway's SQLite file, and read-only access to them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from pravah.settings import Settings
from producers.outbox import table as outbox_table

FILE = "gateway.sqlite"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# `issued_events` has the events that were sent for submissions, `aliases` the names of states of
# edited submissions, `held_states` the events of a state that may still be the last one, `ready`
# the states of entities of /v1/events, `issued_hashes` the hashes of persons.
_TABLES = """
CREATE TABLE IF NOT EXISTS archive (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    headers TEXT NOT NULL,
    digest BLOB NOT NULL,
    body BLOB NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    times INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX IF NOT EXISTS archive_source ON archive (source, at);
CREATE UNIQUE INDEX IF NOT EXISTS archive_refused
    ON archive (source, digest) WHERE outcome = 'refused';
CREATE TABLE IF NOT EXISTS archive_size (
    one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO archive_size VALUES (1, 0);
CREATE TABLE IF NOT EXISTS submissions (
    source TEXT NOT NULL,
    form TEXT NOT NULL,
    name TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    PRIMARY KEY (source, form, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS aliases (
    source TEXT NOT NULL,
    form TEXT NOT NULL,
    alias TEXT NOT NULL,
    name TEXT NOT NULL,
    stage INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (source, form, alias)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS aliases_name ON aliases (source, form, name);
CREATE TABLE IF NOT EXISTS held_states (
    source TEXT NOT NULL,
    form TEXT NOT NULL,
    alias TEXT NOT NULL,
    events TEXT NOT NULL,
    PRIMARY KEY (source, form, alias)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS issued_events (
    source TEXT NOT NULL,
    form TEXT NOT NULL,
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    part TEXT NOT NULL,
    key TEXT NOT NULL,
    entity TEXT NOT NULL,
    at INTEGER NOT NULL,
    unit TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (source, form, name, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS issued_events_at ON issued_events (entity, key, at);
CREATE INDEX IF NOT EXISTS issued_events_changed_at
    ON issued_events (entity, key, changed_at);
CREATE INDEX IF NOT EXISTS issued_events_version ON issued_events (entity, key, version);
CREATE TABLE IF NOT EXISTS versions (
    entity TEXT PRIMARY KEY, version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ready (
    entity TEXT PRIMARY KEY,
    at REAL NOT NULL,
    unit TEXT NOT NULL,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    source TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ready_at ON ready (at);
CREATE TABLE IF NOT EXISTS cursors (
    source TEXT PRIMARY KEY, cursor TEXT NOT NULL, at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pulls (
    source TEXT PRIMARY KEY, succeeded_at REAL, failed_at REAL, trouble TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (
    source TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (source, outcome, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
    source TEXT NOT NULL, minute INTEGER NOT NULL, PRIMARY KEY (source, minute)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS issued_hashes (hash BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS registry (
    one INTEGER PRIMARY KEY CHECK (one = 1), entries BLOB NOT NULL, at REAL NOT NULL
) STRICT;
"""

# Names in files of earlier versions.
_OLD_TABLES = {"told": "issued_events", "given_out": "issued_hashes"}
_OLD_INDEXES = ("told_at", "told_changed_at", "told_version")


class NoGatewayError(LookupError):
    """There is no gateway file at a path."""


class KnownSubmission(NamedTuple):
    """A submission in the gateway's file."""

    form: str
    name: str
    changed_at: datetime
    deleted: bool


class PullState(NamedTuple):
    """The last pulls of a source."""

    succeeded_at: float | None
    """Epoch seconds of the last pull that completed."""
    failed_at: float | None
    """Epoch seconds of the last pull that failed."""
    trouble: str
    """Why the last pull failed; empty if it completed."""


def gateway_file(settings: Settings) -> Path:
    """The path of an installation's gateway file."""
    return settings.home / "gateway" / FILE


def make_tables(connection: sqlite3.Connection) -> None:
    """Create the tables of the gateway and of its outbox unless they exist."""
    outbox_table.make_tables(connection)
    _rename_old_tables(connection)
    connection.executescript(_TABLES)


def _rename_old_tables(connection: sqlite3.Connection) -> None:
    """Give the tables and values of an earlier version's file their new names."""
    found = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    } & _OLD_TABLES.keys()
    if not found:
        return
    renames = [f"ALTER TABLE {old} RENAME TO {_OLD_TABLES[old]};" for old in sorted(found)]
    indexes = [f"DROP INDEX IF EXISTS {name};" for name in _OLD_INDEXES]
    outcomes = "UPDATE archive SET outcome = 'corrected' WHERE outcome = 'mended';"
    connection.executescript("\n".join(["BEGIN;", *renames, *indexes, outcomes, "COMMIT;"]))


@contextmanager
def open_read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a gateway's file for reading, also while a gateway writes it.

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


def pull_states(connection: sqlite3.Connection) -> dict[str, PullState]:
    """Source → its last pulls, for sources that were pulled at least once."""
    return {
        source: PullState(*state)
        for source, *state in connection.execute(
            "SELECT source, succeeded_at, failed_at, trouble FROM pulls"
        )
    }


def known_submissions(connection: sqlite3.Connection, source: str) -> Iterator[KnownSubmission]:
    """Every submission of a source in the file, deleted ones included."""
    for form, name, changed_at, deleted in connection.execute(
        "SELECT form, name, changed_at, deleted FROM submissions WHERE source = ?", (source,)
    ):
        yield KnownSubmission(form, name, instant(changed_at), bool(deleted))


def instant(micros: int) -> datetime:
    """Microseconds since 1970 as an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=micros)
