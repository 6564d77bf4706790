"""The archive: received bodies as they came, and what became of each."""

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Literal

from producers.gateway.results import Refusal

# What became of a body. A refused body can become corrected or dropped.
Outcome = Literal["accepted", "repeated", "refused", "corrected", "dropped"]
# A body of `/v1/events`, a body of a hook, or a pulled submission as JSON.
Kind = Literal["events", "hook", "submission"]


@dataclass(frozen=True)
class ArchivedBody:
    """A received body."""

    id: int
    at: datetime
    source: str
    kind: Kind
    outcome: Outcome
    reason: str
    detail: str
    times: int
    """How often it was received."""
    headers: Mapping[str, str]
    body: bytes


class Archive:
    """Writes to the archive inside a transaction."""

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self._connection, self._now = connection, now

    def record(
        self,
        source: str,
        kind: Kind,
        body: bytes,
        archive_id: int | None,
        *,
        headers: Mapping[str, str] | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        """Record what became of a body.

        Args:
            source: the sender's name.
            kind: of the body.
            body: as it came, or corrected.
            archive_id: of the archived body that was sent again; None adds a new one.
            headers: stored with a new body; nothing that authenticates the sender.
            refusal: why it was refused; None if it was accepted.
        """
        if archive_id is None:
            reason, detail = refusal or ("", "")
            outcome: Outcome = "refused" if refusal else "accepted"
            self._add(source, kind, body, outcome, headers or {}, reason, detail)
        elif refusal is None:
            self._accept(archive_id, body)
        else:
            self._refuse(archive_id, refusal.reason, refusal.detail)

    def _add(
        self,
        source: str,
        kind: Kind,
        body: bytes,
        outcome: Outcome,
        headers: Mapping[str, str],
        reason: str,
        detail: str,
    ) -> None:
        """Add a body. A body that is refused again updates its row and its counter."""
        digest = blake2b(kind.encode() + b"\0" + body, digest_size=16).digest()
        if outcome == "refused":
            updated = self._connection.execute(
                """
                UPDATE archive SET times = times + 1, at = ?, reason = ?, detail = ?
                WHERE source = ? AND digest = ? AND outcome = 'refused'
                """,
                (self._now, reason, detail, source, digest),
            ).rowcount
            if updated:
                return
        packed = zlib.compress(body, 1)
        row = (
            self._now,
            source,
            kind,
            json.dumps(dict(headers)),
            digest,
            packed,
            outcome,
            reason,
            detail,
        )
        self._connection.execute(
            """
            INSERT INTO archive (at, source, kind, headers, digest, body, outcome, reason, detail)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            row,
        )
        self._connection.execute("UPDATE archive_size SET bytes = bytes + ?", (len(packed),))

    def _accept(self, archive_id: int, body: bytes) -> None:
        """An archived body was accepted when sent again, as it was or with a corrected body."""
        packed = zlib.compress(body, 1)
        (before,) = self._connection.execute(
            "SELECT length(body) FROM archive WHERE id = ?", (archive_id,)
        ).fetchone()
        self._connection.execute(
            """
            UPDATE archive
            SET body = ?, outcome = iif(outcome = 'refused', 'corrected', outcome)
            WHERE id = ?
            """,
            (packed, archive_id),
        )
        self._connection.execute(
            "UPDATE archive_size SET bytes = bytes + ?", (len(packed) - before,)
        )

    def _refuse(self, archive_id: int, reason: str, detail: str) -> None:
        """An archived body was refused when sent again; one accepted before stays accepted."""
        self._connection.execute(
            "UPDATE archive SET reason = ?, detail = ? WHERE id = ? AND outcome = 'refused'",
            (reason, detail, archive_id),
        )

    def drop(self, archive_id: int, reason: str) -> bool:
        """Exclude a refused body from being sent again.

        Returns:
            Whether there was a refused body of this id.
        """
        found = self._connection.execute(
            """
            UPDATE archive SET outcome = 'dropped', detail = ?
            WHERE id = ? AND outcome = 'refused'
            """,
            (reason, archive_id),
        )
        return found.rowcount == 1


def archived_bodies(
    connection: sqlite3.Connection,
    where: str = "1 = 1",
    parameters: Sequence[object] = (),
    *,
    limit: int = -1,
    newest_first: bool = False,
) -> Iterator[ArchivedBody]:
    """Archived bodies in the order in which they came."""
    order = "DESC" if newest_first else "ASC"
    rows = connection.execute(
        f"""
        SELECT id, at, source, kind, outcome, reason, detail, times, headers, body
        FROM archive WHERE {where} ORDER BY id {order} LIMIT ?
        """,
        (*parameters, limit),
    )
    for archive_id, at, source, kind, outcome, reason, detail, times, headers, body in rows:
        yield ArchivedBody(
            archive_id,
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


def prune(connection: sqlite3.Connection, before: float, max_bytes: int, max_rows: int) -> int:
    """Delete some of the oldest bodies.

    Args:
        connection: inside a transaction.
        before: epoch seconds; older bodies go.
        max_bytes: of all compressed bodies; the oldest go until this holds.
        max_rows: deletes no more.

    Returns:
        How many were deleted; call again until it is 0.
    """
    (size,) = connection.execute("SELECT bytes FROM archive_size").fetchone()
    expired = []
    for archive_id, at, length in connection.execute(
        "SELECT id, at, length(body) FROM archive ORDER BY id LIMIT ?", (max_rows,)
    ):
        if at >= before and size <= max_bytes:
            break
        size -= length
        expired.append((archive_id,))
    if expired:
        connection.executemany("DELETE FROM archive WHERE id = ?", expired)
        connection.execute("UPDATE archive_size SET bytes = ?", (size,))
    return len(expired)
