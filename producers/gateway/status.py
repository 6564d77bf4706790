"""What came from whom, what became of it, and who is silent: read from the gateway's file, also while a gateway writes it, or while none runs."""

import sqlite3
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from producers.outbox import Depth, depth

_HABIT_MINUTES = 14 * 24 * 60
"""The last two weeks in which a source sent something say what its habit is; and at least its last deliveries, for one that sends seldom."""
_DELIVERIES = 20
_FEWEST = 5
"""With fewer gaps there is no habit yet."""
_LONGER = 3.0


class Habit(NamedTuple):
    """How often a source sends. Seconds."""

    median: float
    longest: float


@dataclass(frozen=True)
class SourceStatus:
    """One source. Counts are of events that came ready and of submissions, since the file was made."""

    name: str
    last_seen: float | None
    """Epoch seconds; when anything came from it, refused or not."""
    last_accepted: float | None
    accepted: int
    repeated: int
    superseded: int
    refused: dict[str, int] = field(default_factory=dict)
    """Reason → count."""
    waiting: int = 0
    """Bodies that were refused and are neither mended nor dropped."""
    silence: float | None = None
    """Seconds since it last sent something that was accepted."""
    habit: Habit | None = None

    @property
    def is_silent(self) -> bool:
        """Whether it has sent nothing for longer than it ever did of late, and for much longer than usual."""
        return (
            self.silence is not None
            and self.habit is not None
            and self.silence > max(self.habit.longest, _LONGER * self.habit.median)
        )


@dataclass(frozen=True)
class Status:
    """Everything."""

    sources: list[SourceStatus]
    outbox: Depth
    archive_bytes: int
    registry_at: float | None
    """When the unit registry was last found to be another one."""
    unknown_senders: int
    """Requests to `/v1/events` with no source's secret."""


def status(connection: sqlite3.Connection, names: Iterable[str], now: float) -> Status:
    """Read it.

    Args:
        connection: to the gateway's file.
        names: of the sources there should be; those that once were are told as well.
        now: epoch seconds.
    """
    counts: dict[str, list[tuple[str, str, int, float]]] = {name: [] for name in names}
    for source, outcome, reason, count, at in connection.execute(
        "SELECT source, outcome, reason, count, at FROM counts ORDER BY source"
    ):
        counts.setdefault(source, []).append((outcome, reason, count, at))
    waiting = dict(
        connection.execute(
            "SELECT source, count(*) FROM archive WHERE outcome = 'refused' GROUP BY source"
        )
    )
    unknown = sum(count for _, _, count, _ in counts.pop("", []))
    registry = connection.execute("SELECT at FROM registry").fetchone()
    (archive_bytes,) = connection.execute("SELECT bytes FROM archive_size").fetchone()
    sources = [
        _source(name, rows, waiting.get(name, 0), _habit(connection, name), now)
        for name, rows in counts.items()
    ]
    return Status(
        sources, depth(connection), archive_bytes, registry[0] if registry else None, unknown
    )


def _source(
    name: str,
    rows: list[tuple[str, str, int, float]],
    waiting: int,
    habit: Habit | None,
    now: float,
) -> SourceStatus:
    totals = {
        outcome: sum(count for one, _, count, _ in rows if one == outcome)
        for outcome in ("accepted", "repeated", "superseded")
    }
    accepted_at = max((at for outcome, _, _, at in rows if outcome == "accepted"), default=None)
    return SourceStatus(
        name,
        max((at for _, _, _, at in rows), default=None),
        accepted_at,
        **totals,
        refused={reason: count for outcome, reason, count, _ in rows if outcome == "refused"},
        waiting=waiting,
        silence=None if accepted_at is None else max(0.0, now - accepted_at),
        habit=habit,
    )


def _habit(connection: sqlite3.Connection, name: str) -> Habit | None:
    """What comes within a minute is one delivery."""
    newest = "SELECT minute FROM deliveries WHERE source = ? ORDER BY minute DESC LIMIT ?"
    minutes = [row[0] for row in connection.execute(newest, (name, _DELIVERIES))]
    if minutes and minutes[-1] > minutes[0] - _HABIT_MINUTES:
        lately = (
            "SELECT minute FROM deliveries WHERE source = ? AND minute >= ? ORDER BY minute DESC"
        )
        minutes = [
            row[0] for row in connection.execute(lately, (name, minutes[0] - _HABIT_MINUTES))
        ]
    gaps = [60.0 * (later - earlier) for later, earlier in pairwise(minutes)]
    return Habit(statistics.median(gaps), max(gaps)) if len(gaps) >= _FEWEST else None
