"""Rebuild of the figures: the exclusive right to write them, the queries, and the new journal.

`hold_figures` comes first: while it is held, neither workers nor repairs write. A rebuild replaces
tables by tables whose names carry the token of its lease. A process that takes over an interrupted
rebuild drops those tables first, so that statements of the interrupted process fail.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from columnar.columns import Block
from pravah.settings import ClickHouseSettings
from rollup.storage import CHUNKS, StoredVersion
from sinks.connection import connect
from sinks.deployment import (
    EVENTS_PARTITIONS,
    EVENTS_TOPIC,
    REGISTRY,
    get_fact,
    mark_rebuilt,
    set_fact,
)
from sinks.lease import (
    FIGURES,
    Lease,
    LeaseHeldError,
    LeaseState,
    hold_lease,
    read_lease,
    token_comment,
    wait_for_older_statements,
)
from sinks.migrate import Schema
from sinks.native import ColumnClient

log = logging.getLogger(__name__)

_SORT_ON_DISK = {"max_bytes_before_external_sort": 2_000_000_000}
_BLOCK = 65_536
# Tables of a rebuild: a table's name, this, and the token.
_NEXT = "_next_"
# Tables that are counted from the log, and whether they are spread over shards. The order does not
# matter: an interrupted emptying is completed before anyone reads them.
_FROM_LOG = {
    "chunks": True,
    "journal": True,
    "ledger": True,
    "plan_events": True,
    "membership_events": True,
    "rejected_records": True,
    "repairs": False,
}
# Stages of the lease that an interrupted rebuild leaves to its successor.
_EMPTYING, _EXCHANGING = "emptying", "exchanging"
_ALLOW_EMPTY_SOURCE = {"allow_replace_partition_from_empty_source": 1}


class FiguresHold(NamedTuple):
    """The exclusive right to write figures."""

    lease: Lease
    client: ColumnClient
    """For statements of the rebuild: they carry its token."""
    schema: Schema


@contextmanager
def hold_figures(clickhouse: ClickHouseSettings, description: str) -> Iterator[FiguresHold]:
    """Keep workers and repairs from writing figures for the length of a block.

    Waits for writes that have begun, and completes what an interrupted holder left behind.

    Args:
        clickhouse: of the deployment.
        description: who holds it, for messages, such as "a rebuild from the log".

    Raises:
        LeaseHeldError: another process holds it.
        FencedError: the lease was lost within the block.
    """
    schema = Schema(clickhouse.database, clickhouse.cluster)
    with hold_lease(clickhouse, FIGURES, description) as lease:
        comment = token_comment(schema.database, figures=lease.token)
        with connect(clickhouse, "writer", log_comment=comment) as client:
            hold = FiguresHold(lease, client, schema)
            _drop_leftovers(hold)
            wait_for_older_statements(client, schema, lease)
            _finish_interrupted(hold)
            try:
                yield hold
            except ServerException:
                lease.renew()  # raises if the lease was lost, which explains the error
                raise


def settle_figures_lease(clickhouse: ClickHouseSettings) -> LeaseState:
    """Complete an interrupted rebuild, if there is one, and read the lease on the figures.

    Args:
        clickhouse: of the deployment.
    """
    with connect(clickhouse, "writer") as client:
        state = read_lease(client, FIGURES)
        if state.interrupted:
            log.warning("a rebuild was interrupted: completing what it left behind")
            with (
                suppress(LeaseHeldError),
                hold_figures(clickhouse, "the completion of an interrupted rebuild"),
            ):
                pass
            state = read_lease(client, FIGURES)
        return state


def empty_figures(hold: FiguresHold) -> None:
    """Remove everything that was counted from the log, repairs included.

    If it is interrupted, the next holder of the lease completes it.
    """
    hold.lease.enter_stage(_EMPTYING)
    for name, sharded in _FROM_LOG.items():
        _empty(hold, name, sharded=sharded)
    for fact in (EVENTS_TOPIC, EVENTS_PARTITIONS):
        set_fact(hold.client, fact, "", condition=hold.lease.condition)
    mark_rebuilt(hold.client)
    hold.lease.enter_stage("")


def filled_tables(client: Client) -> list[str]:
    """Names of the tables that a rebuild from the log would empty of figures or their sources."""
    return [
        name
        for name in ("ledger", "journal", "chunks", "repairs")
        if client.execute(f"SELECT count() FROM {name}")[0][0]
    ]


def close_gap(hold: FiguresHold, partition: int, first: int, end: int, *, reason: str) -> None:
    """Write a closed chunk without records, and remove what an open one had made durable of them.

    Args:
        hold: of the figures.
        partition: its number.
        first: first offset of the gap.
        end: offset after the gap.
        reason: stored as the chunk's worker.
    """
    where = {"partition": partition, "first": first, "end": end}
    hold.client.execute(
        f"""
        INSERT INTO journal
            (level, metric, unit, day, partition, chunk, value, verified_value, reports, version)
        SELECT level, metric, unit, day, partition, chunk, 0, 0, 0, version + 1
        FROM journal FINAL
        WHERE partition = %(partition)s AND chunk >= %(first)s AND chunk < %(end)s
          AND {hold.lease.condition}
        """,
        where,
    )
    hold.client.execute(
        f"""
        INSERT INTO ledger (key, entity, version, partition, offset, correction, deleted)
        SELECT key, entity, version, partition, offset, correction + 1, 1
        FROM ledger FINAL
        WHERE partition = %(partition)s AND offset >= %(first)s AND offset < %(end)s
          AND {hold.lease.condition}
        """,
        where,
    )
    now = datetime.now(UTC)
    registry = get_fact(hold.client, REGISTRY) or ""
    row = (partition, first, uuid4(), f"lost: {reason}", registry, end, 1, *(0,) * 5, *(now,) * 4)
    hold.client.execute(hold.client.insert_statement("chunks", CHUNKS, hold.lease.condition), [row])


def _drop_leftovers(hold: FiguresHold) -> None:
    """Drop tables of interrupted rebuilds, so that statements that use them fail."""
    names = hold.client.execute(
        "SELECT name FROM system.tables "
        "WHERE database = currentDatabase() AND match(name, %(pattern)s)",
        {"pattern": f"{_NEXT}[0-9]+(_local)?$"},
    )
    for (name,) in names:
        for statement in hold.schema.drop_table(name):
            hold.client.execute(statement)


def _finish_interrupted(hold: FiguresHold) -> None:
    stage = hold.lease.stage
    if stage == _EMPTYING:
        empty_figures(hold)
    elif stage:
        if stage == _EXCHANGING:
            mark_rebuilt(hold.client)
        hold.lease.enter_stage("")


def _empty(hold: FiguresHold, name: str, *, sharded: bool) -> None:
    """Replace a table's rows by those of an empty table, which only the lease's holder has."""
    with _next_table(hold, name, sharded=sharded) as following:
        hold.client.execute(
            hold.schema.replace_rows(name, following, sharded=sharded),
            settings=_ALLOW_EMPTY_SOURCE,
        )


@contextmanager
def _next_table(hold: FiguresHold, name: str, *, sharded: bool) -> Iterator[str]:
    """Create an empty table like another for the length of a block; gives its name."""
    following = f"{name}{_NEXT}{hold.lease.token}"
    shard_by = "partition" if sharded else None
    for statement in hold.schema.create_table_like(following, name, shard_by=shard_by):
        hold.client.execute(statement)
    try:
        yield following
    finally:
        for statement in hold.schema.drop_table(following, sharded=sharded):
            hold.client.execute(statement)


def chunk_spans(client: Client) -> dict[int, list[tuple[int, int]]]:
    """Partition → its chunks in the order of the log, as (first offset, next durable offset)."""
    query = """
        SELECT partition, chunk,
               if(max(closed), maxIf(next_offset, closed), max(next_offset))
        FROM chunks FINAL
        GROUP BY partition, chunk
        ORDER BY partition, chunk
    """
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for partition, start, end in client.execute(query):
        found[partition].append((start, end))
    return dict(found)


def ledger_partitions(client: Client) -> dict[int, int]:
    """Partition → the number of accepted versions that the ledger has of it."""
    query = "SELECT partition, count() FROM events GROUP BY partition ORDER BY partition"
    return dict(client.execute(query))


def accepted_versions(client: Client, partition: int) -> Iterator[StoredVersion]:
    """Accepted versions of a partition by offset. The connection is busy until the last one."""
    query = """
        SELECT key, entity, version, offset, op, unit, verification,
               toUnixTimestamp64Micro(occurred_at), toUInt16(day), metrics, amounts
        FROM ledger FINAL
        WHERE partition = %(partition)s
        ORDER BY offset
    """
    settings = {**_SORT_ON_DISK, "max_block_size": _BLOCK}
    for row in client.execute_iter(query, {"partition": partition}, settings=settings):
        yield StoredVersion(*row)


class JournalWriter:
    """Writes the new journal of a rebuild."""

    def __init__(self, hold: FiguresHold, table: str) -> None:
        self._hold = hold
        self._table = table
        self.entries = 0

    def write(self, journal: Block | None) -> None:
        """Add entries.

        Raises:
            FencedError: the lease on the figures was lost.
        """
        self._hold.lease.check()
        if journal is None:
            return
        self._hold.client.insert(self._table, journal, {"insert_distributed_sync": 1})
        self.entries += len(journal)


@contextmanager
def replace_journal(hold: FiguresHold) -> Iterator[JournalWriter]:
    """Write a new journal, which replaces the current one when the block ends without an error.

    `repairs` are removed with it. After an error the current journal stays.
    """
    with _next_table(hold, "journal", sharded=True) as following:
        yield JournalWriter(hold, following)
        hold.lease.enter_stage(_EXCHANGING)
        hold.client.execute(hold.schema.exchange_tables("journal", following, sharded=True))
        # The entries of repairs are in no journal any more.
        _empty(hold, "repairs", sharded=False)
        mark_rebuilt(hold.client)
        hold.lease.enter_stage("")
