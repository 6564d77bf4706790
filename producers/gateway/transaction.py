"""The gateway's tables inside one transaction: everything that a job may read and write."""

import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from pravah.days import instant_micros
from pravah.units import routing_key
from producers.gateway.archive import Archive
from producers.gateway.results import ItemResult
from producers.gateway.schema import instant
from producers.gateway.submission_diff import (
    Decision,
    EntityState,
    SubmissionDiff,
    SubmissionId,
    VersionedEvent,
)
from producers.mapping.submissions import MappedEvent
from producers.outbox import Bounds, OutboxRecord
from producers.outbox import table as outbox_table

# How long the minutes of a source's deliveries are kept.
_DELIVERY_MINUTES = 400 * 24 * 60

_COLUMNS = "source, form, name, number, changed_at, version, part, entity, unit, content"


# `aliases.stage`: linked if only another state or a refused one has named it.
_LINKED, _CURRENT, _REPLACED = 0, 1, 2


class KnownState(NamedTuple):
    """The stored state of a submission."""

    changed_at: datetime
    deleted: bool


class Alias(NamedTuple):
    """The link from the name of a state to its submission."""

    name: str
    stage: int

    @property
    def is_current(self) -> bool:
        """Whether the submission is in that state."""
        return self.stage == _CURRENT

    @property
    def is_replaced(self) -> bool:
        """Whether a later state of the submission is known."""
        return self.stage == _REPLACED


class Transaction:
    """Reads and writes of one transaction."""

    def __init__(self, connection: sqlite3.Connection, bounds: Bounds, now: float) -> None:
        """Wrap an open transaction.

        Args:
            connection: inside a transaction.
            bounds: of the outbox.
            now: epoch seconds, for every row that is written.
        """
        self._connection, self._bounds, self.now = connection, bounds, now
        self.archive = Archive(connection, now)

    # --- submissions

    def known_state(self, submission: SubmissionId) -> KnownState | None:
        """The stored state of a submission; None if it is unknown."""
        row = self._connection.execute(
            "SELECT changed_at, deleted FROM submissions WHERE (source, form, name) = (?, ?, ?)",
            submission,
        ).fetchone()
        return None if row is None else KnownState(instant(row[0]), bool(row[1]))

    def find_alias(self, source: str, form: str, alias: str) -> Alias | None:
        """The link from a state's name to its submission; None if there is none."""
        row = self._connection.execute(
            "SELECT name, stage FROM aliases WHERE (source, form, alias) = (?, ?, ?)",
            (source, form, alias),
        ).fetchone()
        return None if row is None else Alias(*row)

    def aliases_of(self, source: str, form: str, name: str) -> list[str]:
        """All aliases of a submission."""
        rows = self._connection.execute(
            "SELECT alias FROM aliases WHERE (source, form, name) = (?, ?, ?)", (source, form, name)
        )
        return [row[0] for row in rows]

    def save_aliases(self, source: str, form: str, aliases: Iterable[str], name: str) -> None:
        """Link names of states to a submission; links that exist stay."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO aliases VALUES (?, ?, ?, ?, 0)",
            [(source, form, alias, name) for alias in aliases],
        )

    def set_current_alias(
        self, source: str, form: str, name: str, state: str, *, is_certain: bool
    ) -> None:
        """Record that a submission is in a state.

        Args:
            source: the source's name.
            form: the tool's name of the form.
            name: of the submission.
            state: the name of its state.
            is_certain: whether this state has replaced the one before for good.
        """
        self.save_aliases(source, form, [name], name)
        earlier = _REPLACED if is_certain else _LINKED
        self._connection.execute(
            """
            UPDATE aliases
            SET stage = CASE WHEN alias = ? THEN ? WHEN alias = name THEN ? ELSE ? END
            WHERE (source, form, name) = (?, ?, ?) AND (stage = ? OR alias IN (?, name))
            """,
            (state, _CURRENT, _REPLACED, earlier, source, form, name, _CURRENT, state),
        )

    def hold_current_state(self, source: str, form: str, name: str) -> None:
        """Keep the events of a submission's state, because it may be later than the next one."""
        state = self._current_alias(source, form, name)
        if state is None:
            return
        events = [one.mapped for one in self.stored_events(SubmissionId(source, form, name))]
        content = orjson.dumps(
            [[one.part, one.entity, one.unit, one.content] for one in events]
        ).decode()
        self._connection.execute(
            "INSERT OR REPLACE INTO held_states VALUES (?, ?, ?, ?)", (source, form, state, content)
        )

    def is_held(self, source: str, form: str, state: str) -> bool:
        """Whether the events of a state are held."""
        row = self._connection.execute(
            "SELECT 1 FROM held_states WHERE (source, form, alias) = (?, ?, ?)",
            (source, form, state),
        ).fetchone()
        return row is not None

    def take_held_state(
        self, source: str, form: str, name: str
    ) -> tuple[str, list[MappedEvent]] | None:
        """The held state of a submission that is in none; None if there is none or it is in one.

        It is held no longer.
        """
        if self._current_alias(source, form, name) is not None:
            return None
        row = self._connection.execute(
            """
            SELECT alias, events FROM held_states JOIN aliases USING (source, form, alias)
            WHERE (source, form, name) = (?, ?, ?) AND stage != ?
            """,
            (source, form, name, _REPLACED),
        ).fetchone()
        if row is None:
            return None
        self._connection.execute(
            "DELETE FROM held_states WHERE (source, form, alias) = (?, ?, ?)",
            (source, form, row[0]),
        )
        return row[0], [MappedEvent(*one) for one in orjson.loads(row[1])]

    def _current_alias(self, source: str, form: str, name: str) -> str | None:
        row = self._connection.execute(
            "SELECT alias FROM aliases WHERE (source, form, name, stage) = (?, ?, ?, ?)",
            (source, form, name, _CURRENT),
        ).fetchone()
        return None if row is None else row[0]

    def set_replaced_alias(self, source: str, form: str, state: str) -> None:
        """Record that another state has replaced a state."""
        self._connection.execute(
            "UPDATE aliases SET stage = ? WHERE (source, form, alias) = (?, ?, ?)",
            (_REPLACED, source, form, state),
        )

    def merge_aliases(self, source: str, form: str, merged: str, name: str) -> None:
        """Link the states of one submission to another one, which replaced them."""
        self.save_aliases(source, form, [merged], merged)
        self._connection.execute(
            "UPDATE aliases SET name = ?, stage = ? WHERE (source, form, name) = (?, ?, ?)",
            (name, _REPLACED, source, form, merged),
        )

    def stored_events(self, submission: SubmissionId) -> list[VersionedEvent]:
        """The stored events of a submission."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM issued_events WHERE (source, form, name) = (?, ?, ?)",
            submission,
        )
        return [_versioned(row) for row in rows]

    def related_events(self, change: SubmissionDiff) -> list[VersionedEvent]:
        """Stored events of other submissions in a change's groups, as `decide` needs them.

        Reads a few rows per instant, because an entity may have ten thousand events.
        """
        found: dict[tuple[SubmissionId, int], VersionedEvent] = {}
        where = "WHERE entity = ? AND key = ? AND (source, form, name) != (?, ?, ?)"
        orders = (
            (
                "issued_events_changed_at",
                "changed_at DESC, source DESC, form DESC, name DESC, number DESC",
            ),
            ("issued_events_version", "version DESC"),
        )
        for (key, entity), instants in change.groups.items():
            group = (entity, key, *change.submission)
            if instants is None:
                rows = self._connection.execute(
                    f"SELECT {_COLUMNS} FROM issued_events {where}", group
                ).fetchall()
            else:
                rows = []
                for index, order in orders:
                    last = f"ORDER BY {order} LIMIT 1"
                    rows += self._connection.execute(
                        f"SELECT {_COLUMNS} FROM issued_events INDEXED BY {index} {where} {last}",
                        group,
                    )
                    for at in instants:
                        rows += self._connection.execute(
                            f"""
                            SELECT {_COLUMNS} FROM issued_events INDEXED BY issued_events_at
                            {where} AND at = ? {last}
                            """,
                            (*group, instant_micros(at)),
                        )
            found.update(((one.submission, one.number), one) for one in map(_versioned, rows))
        return list(found.values())

    def versions(self, entities: Iterable[str]) -> dict[str, int]:
        """Entity → the highest version ever sent, for entities that were sent."""
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

    def save_decision(
        self, submission: SubmissionId, changed_at: datetime, decision: Decision, *, deleted: bool
    ) -> None:
        """Store a submission's new state; the caller puts the decision's events."""
        self._connection.execute(
            "INSERT OR REPLACE INTO submissions VALUES (?, ?, ?, ?, ?)",
            (*submission, instant_micros(changed_at), deleted),
        )
        self._connection.execute(
            "DELETE FROM issued_events WHERE (source, form, name) = (?, ?, ?)", submission
        )
        self._connection.executemany(
            "INSERT INTO issued_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            map(_row, decision.current),
        )
        self._connection.executemany(
            """
            UPDATE issued_events SET version = ? WHERE (source, form, name, number) = (?, ?, ?, ?)
            """,
            [(one.version, *one.submission, one.number) for one in decision.resent],
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO versions VALUES (?, ?)", decision.versions.items()
        )

    def set_cursor(self, source: str, cursor: str) -> None:
        """Store where the next pull of a source begins."""
        self._connection.execute(
            "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (source, cursor, self.now)
        )

    def record_pull(self, source: str, trouble: str = "") -> None:
        """Record that a pull completed now, or why it failed."""
        self._connection.execute(
            "INSERT OR IGNORE INTO pulls VALUES (?, NULL, NULL, '')", (source,)
        )
        column = "failed_at" if trouble else "succeeded_at"
        self._connection.execute(
            f"UPDATE pulls SET {column} = ?, trouble = ? WHERE source = ?",
            (self.now, trouble, source),
        )

    # --- events of /v1/events, and the outbox

    def has_event_id(self, event_id: bytes) -> bool:
        """Whether an event of this id was put before."""
        return outbox_table.has_event_id(self._connection, event_id)

    def entity_state(self, entity: str) -> EntityState | None:
        """The stored state of an entity of `/v1/events`."""
        row = self._connection.execute(
            "SELECT unit, version, kind, occurred_at, source FROM ready WHERE entity = ?", (entity,)
        ).fetchone()
        if row is None:
            return None
        unit, version, kind, occurred_at, source = row
        return EntityState(unit, version, kind, occurred_at, orjson.loads(source))

    def save_entity_state(self, entity: str, state: EntityState) -> None:
        """Store the highest version of such an entity."""
        row = (
            entity,
            self.now,
            state.unit,
            state.version,
            state.kind,
            state.occurred_at,
            orjson.dumps(state.source).decode(),
        )
        self._connection.execute("INSERT OR REPLACE INTO ready VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def put(self, records: Sequence[OutboxRecord]) -> list[bool]:
        """Put records into the outbox; see `producers.outbox.table.put`."""
        return outbox_table.put(self._connection, records, self._bounds, self.now)

    def check_space(self) -> None:
        """Check that one more event fits into the outbox, with a write that changes nothing.

        Raises:
            OutboxFullError: it does not.
        """
        outbox_table.check_space(self._connection, self._bounds)

    # --- counts, issued hashes, registry

    def count(self, source: str, outcome: str, reason: str = "", number: int = 1) -> None:
        """Count events or submissions by outcome and reason."""
        if not number:
            return
        self._connection.execute(
            """
            INSERT INTO counts VALUES (?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET count = count + excluded.count, at = excluded.at
            """,
            (source, outcome, reason, number, self.now),
        )
        if outcome != "accepted":
            return
        minute = int(self.now // 60)
        if self._connection.execute(
            "INSERT OR IGNORE INTO deliveries VALUES (?, ?)", (source, minute)
        ).rowcount:
            self._connection.execute(
                "DELETE FROM deliveries WHERE source = ? AND minute < ?",
                (source, minute - _DELIVERY_MINUTES),
            )

    def count_items(self, source: str, items: Iterable[ItemResult]) -> None:
        """Count what became of events or submissions."""
        for (outcome, reason), number in Counter(
            (item.outcome, item.refusal.reason if item.refusal else "") for item in items
        ).items():
            self.count(source, outcome, reason, number)

    def save_issued_hashes(self, hashes: Iterable[str]) -> None:
        """Store hashes of persons for good."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO issued_hashes VALUES (?)",
            [(bytes.fromhex(one),) for one in hashes],
        )

    def save_registry(self, entries: bytes) -> None:
        """Store the unit registry, for a start without Kafka."""
        self._connection.execute(
            "INSERT OR REPLACE INTO registry VALUES (1, ?, ?)", (zlib.compress(entries), self.now)
        )


def _versioned(row: tuple[Any, ...]) -> VersionedEvent:
    source, form, name, number, changed_at, version, part, entity, unit, content = row
    return VersionedEvent(
        SubmissionId(source, form, name),
        number,
        instant(changed_at),
        version,
        MappedEvent(part, entity, unit, orjson.loads(content)),
    )


def _row(versioned: VersionedEvent) -> tuple[Any, ...]:
    one = versioned.mapped
    return (
        *versioned.submission,
        versioned.number,
        instant_micros(versioned.changed_at),
        versioned.version,
        one.part,
        routing_key(one.unit),
        one.entity,
        instant_micros(versioned.slot.at),
        one.unit,
        orjson.dumps(one.content).decode(),
    )
