"""Repairs: entries of the journal that make figures what the ledger says, with an origin, a reason and a time of their own.

Nothing that a chunk wrote is changed. So a figure's parts can still be named, and what was known before the repair can still be told (`rollups_as_known`).
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from clickhouse_driver import Client

from pravah.errors import PravahError
from sinks.recount import Cut, insert_differences

Kind = Literal["reconcile", "units"]
"""Why figures are moved: they were found to differ, or units were moved with effect from a past day."""

_ABANDONED_MINUTES = 60


class RepairRunningError(PravahError):
    """Another repair has begun and not ended. Two at once would both write the same difference."""


@dataclass(frozen=True)
class Repair:
    """One repair. Its entries stand in `journal` with partition -1 and its number as chunk."""

    number: int
    kind: Kind
    reason: str
    author: str
    entries: int


def repair(
    client: Client, cut: Cut, *, kind: Kind, reason: str, author: str, registry: str
) -> Repair:
    """Write what differs at a cut of closed chunks as entries of a new repair.

    1. It is announced, so that there is at most one.
    2. The differences are counted anew and written, in one statement.
    3. It is marked complete. If it dies before, the next one finds what is left.

    Args:
        client: the writer's.
        cut: of closed chunks: what lies in an open one is still being written.
        kind: what sort of repair.
        reason: for people who ask why a figure moved.
        author: who does it.
        registry: the fingerprint of the registry in force.

    Raises:
        RepairRunningError: another one runs.
    """
    number = time.time_ns() // 1_000_000
    row: dict[str, object] = {
        "repair": number,
        "at": datetime.now(UTC),
        "kind": kind,
        "reason": reason,
        "author": author,
        "registry": registry,
        "cut": dict(cut.offsets),
    }
    _write(client, row, entries=0, complete=False)
    others = client.execute(
        "SELECT repair, author, at FROM repairs FINAL WHERE NOT complete AND repair < %(repair)s AND at > now() - toIntervalMinute(%(minutes)s)",
        {"repair": number, "minutes": _ABANDONED_MINUTES},
    )
    if others:
        _write(client, row, entries=0, complete=True)
        other, by, at = others[0]
        msg = f"repair {other} by {by} has run since {at:%Y-%m-%d %H:%M:%S}; wait for it. If it was killed, it counts as ended {_ABANDONED_MINUTES} minutes after its beginning"
        raise RepairRunningError(msg)
    insert_differences(client, cut, number)
    entries = int(
        client.execute(
            "SELECT count() FROM journal FINAL WHERE partition = -1 AND chunk = %(repair)s",
            {"repair": number},
        )[0][0]
    )
    _write(client, row, entries=entries, complete=True)
    return Repair(number, kind, reason, author, entries)


def _write(client: Client, row: dict[str, object], *, entries: int, complete: bool) -> None:
    client.execute(
        "INSERT INTO repairs (repair, at, kind, reason, author, registry, cut, entries, complete) VALUES",
        [{**row, "entries": entries, "complete": complete}],
    )
