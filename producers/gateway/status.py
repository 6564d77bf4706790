"""The state of every source and of the outbox, read from the gateway's file.

Works while a gateway runs, and while none runs.
"""

import sqlite3
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from producers.gateway.schema import PullState, pull_states
from producers.outbox import OutboxDepth
from producers.outbox.table import read_depth

# A source's habit is computed from the gaps between its deliveries: those of the two weeks before
# its last one, or its last 20 deliveries if it sends seldom.
_HABIT_MINUTES = 14 * 24 * 60
_HABIT_DELIVERIES = 20
# With fewer gaps there is no habit.
_MIN_GAPS = 5
# A source is silent after this many median gaps.
_SILENT_GAPS = 3.0


class Habit(NamedTuple):
    """Gaps between a source's deliveries, in seconds."""

    median: float
    longest: float


@dataclass(frozen=True)
class SourceStatus:
    """One source. Counts events of `/v1/events` and submissions since the file was created."""

    name: str
    last_seen: float | None
    """Epoch seconds of the last request, refused or not."""
    last_accepted: float | None
    accepted: int
    repeated: int
    superseded: int
    refused: dict[str, int] = field(default_factory=dict)
    """Reason → count."""
    waiting: int = 0
    """Refused bodies that are neither corrected nor dropped."""
    silence: float | None = None
    """Seconds since something of it was last accepted."""
    habit: Habit | None = None

    @property
    def is_silent(self) -> bool:
        """Whether its silence exceeds its longest gap, and three times its median gap."""
        return (
            self.silence is not None
            and self.habit is not None
            and self.silence > max(self.habit.longest, _SILENT_GAPS * self.habit.median)
        )


@dataclass(frozen=True)
class GatewayStatus:
    """The state of a gateway."""

    sources: list[SourceStatus]
    outbox: OutboxDepth
    archive_bytes: int
    registry_at: float | None
    """Epoch seconds of the last change of the unit registry."""
    unknown_senders: int
    """Requests to `/v1/events` without the secret of a source."""
    pulls: dict[str, PullState] = field(default_factory=dict)
    """Source → its last pulls, for sources that were pulled at least once."""

    @property
    def is_healthy(self) -> bool:
        """Whether no source is silent, no refused body is pending, and delivery and pulls work."""
        return (
            not self.outbox.trouble
            and not any(source.is_silent or source.waiting for source in self.sources)
            and not any(pull.trouble for pull in self.pulls.values())
        )


def read_status(connection: sqlite3.Connection, names: Iterable[str], now: float) -> GatewayStatus:
    """Read the state of a gateway.

    Args:
        connection: to the gateway's file.
        names: of the configured sources; sources that were removed are included as well.
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
    unknown_senders = sum(count for _, _, count, _ in counts.pop("", []))
    registry = connection.execute("SELECT at FROM registry").fetchone()
    (archive_bytes,) = connection.execute("SELECT bytes FROM archive_size").fetchone()
    sources = [
        _source_status(name, rows, waiting.get(name, 0), _habit(connection, name), now)
        for name, rows in counts.items()
    ]
    return GatewayStatus(
        sources,
        read_depth(connection),
        archive_bytes,
        registry[0] if registry else None,
        unknown_senders,
        pull_states(connection),
    )


def _source_status(
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
    """The habit of a source; everything within one minute is one delivery."""
    newest = "SELECT minute FROM deliveries WHERE source = ? ORDER BY minute DESC LIMIT ?"
    minutes = [row[0] for row in connection.execute(newest, (name, _HABIT_DELIVERIES))]
    if minutes and minutes[-1] > minutes[0] - _HABIT_MINUTES:
        recent = (
            "SELECT minute FROM deliveries WHERE source = ? AND minute >= ? ORDER BY minute DESC"
        )
        minutes = [
            row[0] for row in connection.execute(recent, (name, minutes[0] - _HABIT_MINUTES))
        ]
    gaps = [60.0 * (later - earlier) for later, earlier in pairwise(minutes)]
    return Habit(statistics.median(gaps), max(gaps)) if len(gaps) >= _MIN_GAPS else None
