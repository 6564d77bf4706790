"""What can be learnt of a ClickHouse from inside: the server, our accounts, the schema, what the tables say of themselves. It only looks, and judges nothing."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from clickhouse_driver import Client
from clickhouse_driver.errors import Error as DriverError
from clickhouse_driver.errors import ServerException

from pravah.settings import ClickHouseSettings, Role
from sinks.connection import connect, first_line
from sinks.migrate import Schema, applied, migrations

READERS: tuple[Role, ...] = tuple(role for role in get_args(Role) if role != "writer")
_WRITES = ("INSERT", "ALTER", "TRUNCATE", "DROP TABLE", "CREATE TABLE")
_WRITER_NEEDS = ("SELECT", *_WRITES, "DROP VIEW", "CREATE VIEW", "OPTIMIZE")
_WRITTEN = ("*", "ledger", "journal", "chunks", "deployment")
"""A right on one of these is as bad as on all."""
_CLOCK_READINGS = 5
_ACCESS_DENIED = 497


class Disk(NamedTuple):
    """Where the server keeps data; sizes in bytes."""

    name: str
    free: int
    total: int


class Parts(NamedTuple):
    """How many active parts a table has, in that partition of it which has the most."""

    table: str
    active: int


class Detached(NamedTuple):
    """A part that lies beside its table and is not read."""

    table: str
    name: str
    reason: str
    """ClickHouse's own; empty if a person detached it."""


class Replica(NamedTuple):
    """A replicated table on this server."""

    table: str
    readonly: bool
    delay_seconds: int


@dataclass(frozen=True)
class Account:
    """One of our accounts."""

    problem: str = ""
    """Why it does not get in; empty if it does."""
    lacks: tuple[str, ...] = ()
    """What the writer needs and may not do, or `SELECT` for a reader that cannot read."""
    may: tuple[str, ...] = ()
    """What a reader may do and should not."""


@dataclass(frozen=True)
class ServerFacts:
    """A ClickHouse as it was found."""

    version: str
    ahead_seconds: float
    """How far its clock is at least before ours (negative: behind), the way of the question taken off."""
    accounts: Mapping[Role, Account]
    """Those that are configured."""
    migration: int
    """The newest one that is applied."""
    newest_migration: int
    """The newest one that this code knows."""
    parts: tuple[Parts, ...]
    parts_to_delay: int
    """From so many parts of a table on, the server slows inserts down; 0 if it does not tell."""
    parts_to_throw: int
    """From so many on, it refuses them; 0 if it does not tell."""
    disks: tuple[Disk, ...]
    detached: tuple[Detached, ...]
    replicas: tuple[Replica, ...]
    unreadable: tuple[str, ...]
    """System tables that the writer may not read; what they would tell is missing above."""


class Chunk(NamedTuple):
    """One chunk of the log, of whichever of its attempts came furthest."""

    partition: int
    start: int
    next_offset: int
    closed: bool


class Reconciled(NamedTuple):
    """The newest reconciliation."""

    at: str
    """Asia/Kolkata."""
    different: int
    """Figures that differed from the recount."""
    repair: int
    """The repair that mended them; 0 if none did."""


class Repair(NamedTuple):
    """A repair that was begun and not completed, and after which nothing proved or mended the figures."""

    number: int
    kind: str
    reason: str
    age_seconds: int


@dataclass(frozen=True)
class TableFacts:
    """What our tables say; needs the newest schema."""

    deployment: Mapping[str, str]
    """Facts by name, as `sinks.deployment` sets them."""
    counted_to: Mapping[int, int]
    """Partition → the offset behind its last closed chunk."""
    durable_to: Mapping[int, int]
    """Partition → the offset up to which the figures stand."""
    still_seconds: Mapping[int, int]
    """Partition → how long ago a worker last wrote about it, by ClickHouse's clock."""
    open_chunks: tuple[Chunk, ...]
    uncut: tuple[Chunk, ...]
    """Closed chunks that reach over a place where this chunk size cuts."""
    overlapping: tuple[Chunk, ...]
    """Chunks that begin before an earlier one of the partition ends."""
    metrics: tuple[tuple[Any, ...], ...]
    """(metric, type, unit, name_en, name_hi) in their order."""
    units: int
    """Unit codes in the table `units`."""
    repairs: tuple[Repair, ...]
    reconciled: Reconciled | None
    """None if figures were never reconciled."""


_CHUNKS = """
    SELECT partition, chunk, argMax(next_offset, (closed, updated_at)) AS reach, max(closed) AS done
    FROM {database}.chunks FINAL GROUP BY partition, chunk
"""
_IN_ORDER = f"""
    SELECT *, lagInFrame(reach, 1, chunk) OVER (PARTITION BY partition ORDER BY chunk ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS reach_before
    FROM ({_CHUNKS})
"""
_HALF_DONE = """
    SELECT repair, toString(kind), reason, dateDiff('second', updated_at, now64(6)) FROM repairs FINAL
    WHERE NOT complete AND updated_at > (SELECT max(at) FROM reconciliations WHERE different = 0 OR repair != 0)
    ORDER BY repair
"""
_MOST = 10_000
"""So many chunks of one sort are looked at, the newest first; open ones are about as many as partitions."""


def look_at_server(clickhouse: ClickHouseSettings) -> ServerFacts:
    """Gather the facts about server, accounts and schema. Changes nothing.

    Raises:
        LookupError: there is no account for the writer in the settings.
        clickhouse_driver.errors.Error, OSError, EOFError: there is no ClickHouse, or it does not let the writer in.
    """
    schema = Schema(clickhouse.database, clickhouse.cluster)
    ours = {"database": clickhouse.database}
    unreadable: list[str] = []

    def system(table: str, query: str) -> list[tuple[Any, ...]]:
        try:
            return list(client.execute(query, ours))
        except ServerException as error:
            if error.code != _ACCESS_DENIED:
                raise
            unreadable.append(f"system.{table}")
            return []

    with connect(clickhouse, "writer", database="default") as client:
        limits = dict(
            system(
                "merge_tree_settings",
                "SELECT name, value FROM system.merge_tree_settings WHERE name IN ('parts_to_delay_insert', 'parts_to_throw_insert')",
            )
        )
        return ServerFacts(
            version=str(client.execute("SELECT version()")[0][0]),
            ahead_seconds=_ahead(client),
            accounts={
                "writer": Account(lacks=_denied(client, f"{clickhouse.database}.*", _WRITER_NEEDS)),
                **_readers(clickhouse),
            },
            migration=applied(client, schema),
            newest_migration=len(migrations()),
            parts=tuple(
                Parts(*row)
                for row in system(
                    "parts",
                    """
                    SELECT table, max(parts) FROM (
                        SELECT table, partition_id, count() AS parts FROM system.parts WHERE database = %(database)s AND active GROUP BY table, partition_id
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
                    "SELECT name, unreserved_space, total_space FROM system.disks WHERE type = 'Local'",
                )
            ),
            detached=tuple(
                Detached(*row)
                for row in system(
                    "detached_parts",
                    "SELECT table, name, ifNull(reason, '') FROM system.detached_parts WHERE database = %(database)s",
                )
            ),
            replicas=tuple(
                Replica(row[0], bool(row[1]), int(row[2]))
                for row in system(
                    "replicas",
                    "SELECT table, is_readonly, absolute_delay FROM system.replicas WHERE database = %(database)s",
                )
            ),
            unreadable=tuple(unreadable),
        )


def look_at_tables(clickhouse: ClickHouseSettings, chunk_size: int) -> TableFacts:
    """Gather what our tables say. Changes nothing.

    Args:
        clickhouse: where; the schema must be the newest.
        chunk_size: the one that is set now.

    Raises:
        clickhouse_driver.errors.Error, OSError, EOFError: something went wrong on the way.
    """
    with connect(clickhouse, "writer") as client:

        def chunks(source: str, where: str) -> tuple[Chunk, ...]:
            query = f"SELECT partition, chunk, reach, done FROM ({source}) WHERE {where} ORDER BY chunk DESC LIMIT {_MOST}"
            rows = client.execute(query.format(database=clickhouse.database), {"size": chunk_size})
            return tuple(Chunk(row[0], row[1], row[2], bool(row[3])) for row in rows)

        closed = dict(
            client.execute(
                "SELECT partition, max(next_offset) FROM chunks FINAL WHERE closed GROUP BY partition"
            )
        )
        standing = client.execute(
            "SELECT partition, max(next_offset), dateDiff('second', max(updated_at), now64(6)) FROM chunks GROUP BY partition"
        )
        reconciled = client.execute(
            "SELECT toString(at, 'Asia/Kolkata'), different, repair FROM reconciliations ORDER BY at DESC LIMIT 1"
        )
        return TableFacts(
            deployment=dict(client.execute("SELECT name, value FROM deployment FINAL")),
            counted_to=closed,
            durable_to={partition: reach for partition, reach, _ in standing},
            still_seconds={partition: int(still) for partition, _, still in standing},
            # what an earlier attempt began and a later one cut otherwise stands below the last closed chunk, and is told as overlapping
            open_chunks=tuple(
                one
                for one in chunks(_CHUNKS, "NOT done")
                if one.start >= closed.get(one.partition, 0)
            ),
            uncut=chunks(
                _CHUNKS,
                "done AND reach > chunk AND intDiv(chunk, %(size)s) != intDiv(reach - 1, %(size)s)",
            ),
            overlapping=chunks(_IN_ORDER, "chunk < reach_before"),
            metrics=tuple(
                client.execute(
                    "SELECT metric, toString(type), unit, name_en, name_hi FROM metrics ORDER BY position"
                )
            ),
            units=int(client.execute("SELECT uniqExact(unit) FROM units")[0][0]),
            repairs=tuple(Repair(*row) for row in client.execute(_HALF_DONE)),
            reconciled=Reconciled(*reconciled[0]) if reconciled else None,
        )


def _ahead(client: Client) -> float:
    """How far the server's clock is before ours at least: of several readings that with the shortest way."""
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
            # a read-only profile keeps from writing what the grants would allow
            readonly = int(client.execute("SELECT getSetting('readonly')")[0][0])
            tables = () if readonly else _WRITTEN
            may = tuple(
                right
                for right in _WRITES
                if any(
                    _is_granted(client, right, f"{clickhouse.database}.{table}") for table in tables
                )
            )
            return Account(
                lacks=_denied(client, f"{clickhouse.database}.rollups", ("SELECT",)), may=may
            )
    except (DriverError, OSError, EOFError) as error:
        return Account(problem=first_line(error))


def _denied(client: Client, where: str, rights: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(right for right in rights if not _is_granted(client, right, where))


def _is_granted(client: Client, right: str, where: str) -> bool:
    """Whether the client's account has a right. Nothing is tried out: the server is asked."""
    return bool(client.execute(f"CHECK GRANT {right} ON {where}")[0][0])
