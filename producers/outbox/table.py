"""The outbox's tables, used inside a transaction of the caller."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from pravah.errors import PravahError
from pravah.events import MAX_EVENT_BYTES, Event
from pravah.units import routing_key

# Expired event ids deleted per transaction.
_PRUNE_ROWS = 2_000

_TABLES = """
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    event_id BLOB NOT NULL,
    key TEXT NOT NULL,
    entity TEXT NOT NULL,
    value BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS outbox_ids (
    event_id BLOB PRIMARY KEY, at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS outbox_ids_at ON outbox_ids (at);
CREATE TABLE IF NOT EXISTS outbox_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    handed_over INTEGER NOT NULL,
    handed_over_at REAL,
    trouble TEXT NOT NULL
) STRICT;
INSERT OR IGNORE INTO outbox_state VALUES (1, 0, 0, 0, NULL, '');
"""


class OutboxFullError(PravahError):
    """The outbox is at its bounds, or the disk is full. Nothing was stored; try again later."""


class OutboxBusyError(PravahError):
    """Another process locks the file for too long. Nothing was stored; try again later."""


class OutboxRecord(NamedTuple):
    """A Kafka record in the outbox."""

    event_id: UUID
    key: str
    """Its routing key."""
    entity: str
    value: bytes


class Bounds(NamedTuple):
    """Limits on pending records, and how long event ids are kept for deduplication."""

    rows: int = 5_000_000
    bytes: int = 4 * 1024**3
    """Of pending values. The file is about a third larger, and does not shrink when it empties."""
    memory_days: float = 30.0


class OutboxDepth(NamedTuple):
    """Pending records and the state of delivery."""

    rows: int
    bytes: int
    oldest_at: float | None
    """Epoch seconds at which the oldest pending record was put; None if none is pending."""
    handed_over: int
    handed_over_at: float | None
    """Epoch seconds of Kafka's last confirmation."""
    trouble: str
    """Why delivery fails now; empty if it works."""


def outbox_record(event: Event, value: bytes) -> OutboxRecord:
    """The outbox record of a validated event and its serialised bytes."""
    return OutboxRecord(event.event_id, routing_key(event.unit), event.entity_name, value)


def make_tables(connection: sqlite3.Connection) -> None:
    """Create the outbox's tables unless they exist."""
    connection.executescript(_TABLES)


def put(
    connection: sqlite3.Connection, records: Sequence[OutboxRecord], bounds: Bounds, now: float
) -> list[bool]:
    """Append records.

    Returns:
        Per record whether it is new. False: its event id is pending, or was put within
        `bounds.memory_days`.

    Raises:
        OutboxFullError: not all of them fit; the caller must roll back its transaction.
        ValueError: an event is larger than the log takes.
    """
    new, size = [], 0
    for record in records:
        if len(record.value) > MAX_EVENT_BYTES:
            msg = (
                f"an event of {len(record.value):,} bytes; at most {MAX_EVENT_BYTES:,} are allowed"
            )
            raise ValueError(msg)
        is_new = (
            connection.execute(
                "INSERT OR IGNORE INTO outbox_ids VALUES (?, ?)", (record.event_id.bytes, now)
            ).rowcount
            == 1
        )
        new.append(is_new)
        if is_new:
            connection.execute(
                "INSERT INTO outbox (at, event_id, key, entity, value) VALUES (?, ?, ?, ?, ?)",
                (now, record.event_id.bytes, record.key, record.entity, record.value),
            )
            size += len(record.value)
    if any(new):
        rows, total = connection.execute(
            "UPDATE outbox_state SET rows = rows + ?, bytes = bytes + ? RETURNING rows, bytes",
            (sum(new), size),
        ).fetchone()
        if rows > bounds.rows or total > bounds.bytes:
            msg = (
                f"the outbox is full: {rows - sum(new):,} events ({total - size:,} bytes) wait for "
                f"Kafka, at most {bounds.rows:,} ({bounds.bytes:,} bytes) may; this was not taken. "
                "Send it again when Kafka has taken some, or raise the bounds"
            )
            raise OutboxFullError(msg)
    return new


def check_space(connection: sqlite3.Connection, bounds: Bounds) -> None:
    """Check that one more event fits, with a write that changes nothing.

    Raises:
        OutboxFullError: it does not.
    """
    rows, size = connection.execute(
        "UPDATE outbox_state SET rows = rows RETURNING rows, bytes"
    ).fetchone()
    if rows >= bounds.rows or size >= bounds.bytes:
        msg = f"the outbox is full: {rows:,} events ({size:,} bytes) wait for Kafka"
        raise OutboxFullError(msg)


def has_event_id(connection: sqlite3.Connection, event_id: bytes) -> bool:
    """Whether an event of this id was put within `Bounds.memory_days`."""
    row = connection.execute("SELECT 1 FROM outbox_ids WHERE event_id = ?", (event_id,)).fetchone()
    return row is not None


def read_depth(connection: sqlite3.Connection) -> OutboxDepth:
    """Pending records and the state of delivery."""
    rows, size, handed_over, handed_over_at, trouble = connection.execute(
        "SELECT rows, bytes, handed_over, handed_over_at, trouble FROM outbox_state"
    ).fetchone()
    oldest = connection.execute("SELECT at FROM outbox ORDER BY seq LIMIT 1").fetchone()
    oldest_at = oldest[0] if oldest else None
    return OutboxDepth(rows, size, oldest_at, handed_over, handed_over_at, trouble)


def prune_event_ids(connection: sqlite3.Connection, bounds: Bounds, now: float) -> int:
    """Delete some event ids older than `bounds.memory_days`; those of pending records stay.

    Returns:
        How many were deleted; call again until it is 0.
    """
    oldest = connection.execute("SELECT at FROM outbox ORDER BY seq LIMIT 1").fetchone()
    before = min(now - bounds.memory_days * 86_400, oldest[0] if oldest else now)
    return connection.execute(
        """
        DELETE FROM outbox_ids WHERE event_id IN (
            SELECT event_id FROM outbox_ids WHERE at < ? ORDER BY at LIMIT ?
        )
        """,
        (before, _PRUNE_ROWS),
    ).rowcount
