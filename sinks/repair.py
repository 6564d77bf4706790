"""Repairs: entries of the journal that bring figures to what the ledger says.

They have an origin, a reason and a time of their own, and nothing that a chunk wrote is changed. So
the parts of a figure can be listed, and figures as they were known before the repair as well
(`rollups_as_known`).
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from pravah.errors import PravahError
from pravah.settings import ClickHouseSettings
from sinks.lease import (
    FIGURES,
    REPAIRS,
    FencedError,
    LeaseHeldError,
    hold_lease,
    is_stale,
    read_lease,
    token_comment,
    token_condition,
    wait_for_older_statements,
)
from sinks.migrate import Schema
from sinks.recount import Cut, insert_differences

# Why figures are moved: they were found to differ, or units were moved with effect from a past day.
Kind = Literal["reconcile", "units"]


class RepairRunningError(PravahError):
    """Another repair, or a rebuild, runs. Two at once would both write the same difference."""


@dataclass(frozen=True)
class Repair:
    """One repair. Its entries are in `journal`, with partition -1 and its number as chunk."""

    number: int
    kind: Kind
    reason: str
    author: str
    entries: int


def repair(
    client: Client,
    clickhouse: ClickHouseSettings,
    cut: Cut,
    *,
    kind: Kind,
    reason: str,
    author: str,
    registry: str,
) -> Repair:
    """Write what differs at a cut of closed chunks as entries of a new repair.

    1. It claims the lease on repairs, so that there is one at a time.
    2. It is announced in `repairs`.
    3. The differences are counted again and written, in one statement that fails if a rebuild has
       begun, or another repair has taken over.
    4. It is marked complete. If it ends before that, the next repair finds what is left.

    Args:
        client: the writer's.
        clickhouse: of the deployment.
        cut: of closed chunks: what is in an open one is still being written.
        kind: the cause.
        reason: for people who ask why a figure moved.
        author: who repairs.
        registry: fingerprint of the active registry.

    Raises:
        RepairRunningError: another repair or a rebuild runs.
    """
    schema = Schema(clickhouse.database, clickhouse.cluster)
    try:
        with hold_lease(clickhouse, REPAIRS, f"a repair by {author}") as lease:
            wait_for_older_statements(client, schema, lease)
            lease.enter_stage("")
            token = _figures_token(client)
            _check_cut(client, cut)
            ((newest,),) = client.execute("SELECT max(repair) FROM repairs")
            number = max(time.time_ns() // 1_000_000, newest + 1)
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
            try:
                insert_differences(
                    client,
                    cut,
                    number,
                    condition=f"{lease.condition} AND {token_condition(FIGURES, token)}",
                    comment=token_comment(schema.database, figures=token, repairs=lease.token),
                )
            except ServerException as error:
                if not is_stale(error):
                    raise
                _write(client, row, entries=0, complete=True)
                msg = "a rebuild or another repair has begun meanwhile; compare and repair again"
                raise RepairRunningError(msg) from error
            ((entries,),) = client.execute(
                "SELECT count() FROM journal FINAL WHERE partition = -1 AND chunk = %(repair)s",
                row,
            )
            _write(client, row, entries=entries, complete=True)
    except (LeaseHeldError, FencedError) as error:
        raise RepairRunningError(str(error)) from error
    return Repair(number, kind, reason, author, entries)


def _figures_token(client: Client) -> int:
    state = read_lease(client, FIGURES)
    if not state.is_free:
        msg = f"{state.holder or 'an interrupted rebuild'} holds the figures; repair when it ended"
        raise RepairRunningError(msg)
    return state.token


def _check_cut(client: Client, cut: Cut) -> None:
    """Refuse a cut that lies within a chunk: the figures were rebuilt since it was made."""
    ((boundaries,),) = client.execute(
        """
        SELECT uniqExact(partition) FROM chunks FINAL
        WHERE closed AND (partition, next_offset) IN %(cut)s
        """,
        {"cut": [*cut.offsets.items(), (-2, 0)]},
    )
    if boundaries != len(cut.offsets):
        msg = "the figures were rebuilt since they were compared; compare and repair again"
        raise RepairRunningError(msg)


def _write(client: Client, row: dict[str, object], *, entries: int, complete: bool) -> None:
    client.execute(
        """
        INSERT INTO repairs
            (repair, at, kind, reason, author, registry, cut, entries, complete)
        VALUES
        """,
        [{**row, "entries": entries, "complete": complete}],
    )
