"""Facts about ClickHouse: the server, our accounts, the schema, the contents of our tables.

Changes nothing.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from clickhouse_driver import Client
from clickhouse_driver.errors import Error as DriverError
from clickhouse_driver.errors import ServerException

from doctor.facts.disk import Disk
from pravah.settings import ClickHouseSettings, Role
from sinks.connection import connect, first_line
from sinks.migrate import Schema, applied, migrations

READERS: tuple[Role, ...] = tuple(role for role in get_args(Role) if role != "writer")
_WRITES = ("INSERT", "ALTER", "TRUNCATE", "DROP TABLE", "CREATE TABLE")
_WRITER_NEEDS = ("SELECT", *_WRITES, "DROP VIEW", "CREATE VIEW", "OPTIMIZE")
# A reader's write grant on one of these tables is as bad as on all tables.
_WRITTEN_TABLES = ("*", "ledger", "journal", "chunks", "deployment")
_CLOCK_READINGS = 5
_ACCESS_DENIED = 497


class PartCount(NamedTuple):
    """Active parts of a table, in the partition that has the most."""

    table: str
    active: int


class DetachedPart(NamedTuple):
    """A detached part: its rows are not read."""

    table: str
    name: str
    reason: str
    """As ClickHouse states it; empty if a person detached the part."""


class Replica(NamedTuple):
    """A replicated table on this server."""

    table: str
    readonly: bool
    delay_seconds: int


@dataclass(frozen=True)
class Account:
    """One of our accounts."""

    problem: str = ""
    """Why it cannot log in; empty if it can."""
    missing_grants: tuple[str, ...] = ()
    """Grants that the writer lacks; `SELECT` for a reader that cannot read."""
    excess_grants: tuple[str, ...] = ()
    """Write grants that a reader has and should not have."""


@dataclass(frozen=True)
class ServerFacts:
    """State of a ClickHouse server."""

    version: str
    clock_ahead_seconds: float
    """Lower bound of how far its clock is ahead of ours (negative: behind), less the latency."""
    accounts: Mapping[Role, Account]
    """Role → account, for the configured ones."""
    migration: int
    """The newest applied migration."""
    newest_migration: int
    """The newest migration that this code knows."""
    part_counts: tuple[PartCount, ...]
    parts_to_delay: int
    """`parts_to_delay_insert`: inserts are slowed down from here on; 0 if unknown."""
    parts_to_throw: int
    """`parts_to_throw_insert`: inserts are refused from here on; 0 if unknown."""
    disks: tuple[Disk, ...]
    detached_parts: tuple[DetachedPart, ...]
    replicas: tuple[Replica, ...]
    unreadable_tables: tuple[str, ...]
    """System tables that the writer may not read; facts from them are missing above."""


class Chunk(NamedTuple):
    """One chunk of the log, as its furthest attempt left it."""

    partition: int
    start: int
    next_offset: int
    closed: bool


class Reconciliation(NamedTuple):
    """The newest reconciliation."""

    at: str
    """Asia/Kolkata."""
    different: int
    """Figures that differed from the recount."""
    repair: int
    """The repair that corrected them; 0 if there was none."""


class IncompleteRepair(NamedTuple):
    """A repair that was begun and not completed, with no successful reconciliation since."""

    number: int
    kind: str
    reason: str
    age_seconds: int


@dataclass(frozen=True)
class TableFacts:
    """Contents of our tables; needs the newest schema."""

    deployment: Mapping[str, str]
    """Deployment facts by name, as `sinks.deployment` sets them."""
    closed_to: Mapping[int, int]
    """Partition → the offset behind its last closed chunk."""
    durable_to: Mapping[int, int]
    """Partition → the offset up to which records are in the figures."""
    seconds_since_write: Mapping[int, int]
    """Partition → age of the newest write to its chunks, by ClickHouse's clock."""
    open_chunks: tuple[Chunk, ...]
    oversized_chunks: tuple[Chunk, ...]
    """Closed chunks that span a boundary of the configured chunk size."""
    overlapping_chunks: tuple[Chunk, ...]
    """Chunks that begin before an earlier chunk of the partition ends."""
    metrics: tuple[tuple[Any, ...], ...]
    """(metric, type, unit, name_en, name_hi), in the dictionary's order."""
    unit_count: int
    """Unit codes in the table `units`."""
    incomplete_repairs: tuple[IncompleteRepair, ...]
    reconciliation: Reconciliation | None
    """None if figures were never reconciled."""


_CHUNKS = """
    SELECT partition, chunk, argMax(next_offset, (closed, updated_at)) AS reach, max(closed) AS done
    FROM {database}.chunks FINAL GROUP BY partition, chunk
"""
_CHUNKS_WITH_PREVIOUS = f"""
    SELECT *, lagInFrame(reach, 1, chunk) OVER (
        PARTITION BY partition ORDER BY chunk
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS reach_before
    FROM ({_CHUNKS})
"""
_INCOMPLETE_REPAIRS = """
    SELECT repair, toString(kind), reason, dateDiff('second', updated_at, now64(6))
    FROM repairs FINAL
    WHERE NOT complete AND updated_at > (
        SELECT max(at) FROM reconciliations WHERE different = 0 OR repair != 0
    )
    ORDER BY repair
"""
# Of each kind, the newest chunks are read; there are about as many open chunks as partitions.
_MAX_CHUNKS = 10_000


def gather_server(clickhouse: ClickHouseSettings) -> ServerFacts:
    """Gather facts about the server, our accounts and the schema. Changes nothing.

    Raises:
        LookupError: the settings have no writer account.
        clickhouse_driver.errors.Error, OSError, EOFError: ClickHouse is unreachable or refuses
            the writer.
    """
    schema = Schema(clickhouse.database, clickhouse.cluster)
    ours = {"database": clickhouse.database}
    unreadable_tables: list[str] = []

    def system(table: str, query: str) -> list[tuple[Any, ...]]:
        try:
            return list(client.execute(query, ours))
        except ServerException as error:
            if error.code != _ACCESS_DENIED:
                raise
            unreadable_tables.append(f"system.{table}")
            return []

    with connect(clickhouse, "writer", database="default") as client:
        limits = dict(
            system(
                "merge_tree_settings",
                "SELECT name, value FROM system.merge_tree_settings "
                "WHERE name IN ('parts_to_delay_insert', 'parts_to_throw_insert')",
            )
        )
        return ServerFacts(
            version=str(client.execute("SELECT version()")[0][0]),
            clock_ahead_seconds=_clock_ahead(client),
            accounts={
                "writer": Account(
                    missing_grants=_denied(client, f"{clickhouse.database}.*", _WRITER_NEEDS)
                ),
                **_readers(clickhouse),
            },
            migration=applied(client, schema),
            newest_migration=len(migrations()),
            part_counts=tuple(
                PartCount(*row)
                for row in system(
                    "parts",
                    """
                    SELECT table, max(parts) FROM (
                        SELECT table, partition_id, count() AS parts FROM system.parts
                        WHERE database = %(database)s AND active GROUP BY table, partition_id
                    ) GROUP BY table ORDER BY table
                    """,
                )
            ),
            parts_to_delay=int(limits.get("parts_to_delay_insert", 0)),
            parts_to_throw=int(limits.get("parts_to_throw_insert", 0)),
            disks=tuple(
                Disk(*row)
                for row in system(
                    "disks",
                    "SELECT name, unreserved_space, total_space FROM system.disks "
                    "WHERE type = 'Local'",
                )
            ),
            detached_parts=tuple(
                DetachedPart(*row)
                for row in system(
                    "detached_parts",
                    "SELECT table, name, ifNull(reason, '') FROM system.detached_parts "
                    "WHERE database = %(database)s",
                )
            ),
            replicas=tuple(
                Replica(row[0], bool(row[1]), int(row[2]))
                for row in system(
                    "replicas",
                    "SELECT table, is_readonly, absolute_delay FROM system.replicas "
                    "WHERE database = %(database)s",
                )
            ),
            unreadable_tables=tuple(unreadable_tables),
        )


def gather_tables(clickhouse: ClickHouseSettings, chunk_size: int) -> TableFacts:
    """Gather facts from our tables. Changes nothing.

    Args:
        clickhouse: connection settings; the schema must be the newest.
        chunk_size: the configured chunk size.

    Raises:
        clickhouse_driver.errors.Error, OSError, EOFError: a query failed.
    """
    with connect(clickhouse, "writer") as client:

        def chunks(source: str, where: str) -> tuple[Chunk, ...]:
            query = f"SELECT partition, chunk, reach, done FROM ({source}) WHERE {where} "
            query += f"ORDER BY chunk DESC LIMIT {_MAX_CHUNKS}"
            rows = client.execute(query.format(database=clickhouse.database), {"size": chunk_size})
            return tuple(Chunk(row[0], row[1], row[2], bool(row[3])) for row in rows)

        closed = dict(
            client.execute(
                "SELECT partition, max(next_offset) FROM chunks FINAL "
                "WHERE closed GROUP BY partition"
            )
        )
        progress = client.execute(
            "SELECT partition, max(next_offset), dateDiff('second', max(updated_at), now64(6)) "
            "FROM chunks GROUP BY partition"
        )
        newest = client.execute(
            "SELECT toString(at, 'Asia/Kolkata'), different, repair "
            "FROM reconciliations ORDER BY at DESC LIMIT 1"
        )
        return TableFacts(
            deployment=dict(client.execute("SELECT name, value FROM deployment FINAL")),
            closed_to=closed,
            durable_to={partition: reach for partition, reach, _ in progress},
            seconds_since_write={partition: int(age) for partition, _, age in progress},
            # An open chunk below the last closed one is left over from an attempt with other
            # boundaries; it is among the overlapping chunks.
            open_chunks=tuple(
                one
                for one in chunks(_CHUNKS, "NOT done")
                if one.start >= closed.get(one.partition, 0)
            ),
            oversized_chunks=chunks(
                _CHUNKS,
                "done AND reach > chunk AND intDiv(chunk, %(size)s) != intDiv(reach - 1, %(size)s)",
            ),
            overlapping_chunks=chunks(_CHUNKS_WITH_PREVIOUS, "chunk < reach_before"),
            metrics=tuple(
                client.execute(
                    "SELECT metric, toString(type), unit, name_en, name_hi "
                    "FROM metrics ORDER BY position"
                )
            ),
            unit_count=int(client.execute("SELECT uniqExact(unit) FROM units")[0][0]),
            incomplete_repairs=tuple(
                IncompleteRepair(*row) for row in client.execute(_INCOMPLETE_REPAIRS)
            ),
            reconciliation=Reconciliation(*newest[0]) if newest else None,
        )


def _clock_ahead(client: Client) -> float:
    """Lower bound of the server's lead over our clock, from the reading with the least latency."""
    readings = []
    for _ in range(_CLOCK_READINGS):
        before = time.time()
        theirs = client.execute("SELECT toUnixTimestamp64Micro(now64(6))")[0][0] / 1_000_000
        after = time.time()
        readings.append((after - before, theirs - before, theirs - after))
    _, at_most, at_least = min(readings)
    return float(max(at_least, 0.0) + min(at_most, 0.0))


def _readers(clickhouse: ClickHouseSettings) -> dict[Role, Account]:
    return {role: _reader(clickhouse, role) for role in READERS if role in clickhouse.users}


def _reader(clickhouse: ClickHouseSettings, role: Role) -> Account:
    try:
        with connect(clickhouse, role, database="default") as client:
            # A read-only profile forbids writes even where a grant allows them.
            readonly = int(client.execute("SELECT getSetting('readonly')")[0][0])
            tables = () if readonly else _WRITTEN_TABLES
            excess = tuple(
                right
                for right in _WRITES
                if any(
                    _is_granted(client, right, f"{clickhouse.database}.{table}") for table in tables
                )
            )
            return Account(
                missing_grants=_denied(client, f"{clickhouse.database}.rollups", ("SELECT",)),
                excess_grants=excess,
            )
    except (DriverError, OSError, EOFError) as error:
        return Account(problem=first_line(error))


def _denied(client: Client, where: str, rights: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(right for right in rights if not _is_granted(client, right, where))


def _is_granted(client: Client, right: str, where: str) -> bool:
    """Whether the client's account has a grant. Asks the server; tries nothing out."""
    return bool(client.execute(f"CHECK GRANT {right} ON {where}")[0][0])
