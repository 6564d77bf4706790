"""Apply and undo the numbered migrations of the schema.

A migration is a module `sinks/migrations/m<number>_<name>.py` with `forward(schema)` and
`backward(schema)`, which return SQL statements. Applied ones are recorded in the table
`migrations`. A migration that was released is never changed: a change is a new one.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from clickhouse_driver import Client

import sinks.migrations


@dataclass(frozen=True)
class Schema:
    """Where SQL runs: one server, or a named cluster with replicas and shards."""

    database: str
    cluster: str | None = None

    @property
    def on_cluster(self) -> str:
        """` ON CLUSTER name`, or nothing on one server."""
        return f" ON CLUSTER {self.cluster}" if self.cluster else ""

    def create_table(
        self,
        name: str,
        columns: str,
        *,
        engine: str,
        order_by: str,
        shard_by: str | None = None,
        tail: str = "",
    ) -> list[str]:
        """Statements for a table of the MergeTree family.

        On a cluster the table is replicated. With `shard_by` it is also sharded: the data are in
        `<name>_local`, and `<name>` is the Distributed table over them; rows that replace each
        other must have equal `shard_by`. Without it every replica of every shard has all rows.
        """
        local = f"{name}_local" if self.cluster and shard_by else name
        kind, _, arguments = engine.partition("(")
        if self.cluster:
            # {uuid} gives each table its own path, also the one that is swapped in for another
            path = (
                f"'/clickhouse/tables/{{uuid}}/{'{shard}' if shard_by else 'all'}', '{{replica}}'"
            )
            arguments = f"{path}, {arguments}" if arguments.rstrip(")") else f"{path})"
            kind = f"Replicated{kind}"
        table = (
            f"CREATE TABLE {self.database}.{local}{self.on_cluster} ({columns}) "
            f"ENGINE = {kind}({arguments or ')'} ORDER BY ({order_by}) {tail}"
        )
        return [table, *self._distributed(name, local, shard_by)]

    def create_table_like(self, name: str, like: str, *, shard_by: str | None = None) -> list[str]:
        """Statements for an empty table of the same form as one that `create_table` made."""
        suffix = "_local" if self.cluster and shard_by else ""
        copy = (
            f"CREATE TABLE {self.database}.{name}{suffix}{self.on_cluster} "
            f"AS {self.database}.{like}{suffix}"
        )
        return [copy, *self._distributed(name, f"{name}{suffix}", shard_by)]

    def _distributed(self, name: str, local: str, shard_by: str | None) -> list[str]:
        if local == name:
            return []
        engine = f"Distributed('{self.cluster}', '{self.database}', '{local}', {shard_by})"
        table = f"{self.database}.{name}{self.on_cluster}"
        return [f"CREATE TABLE {table} AS {self.database}.{local} ENGINE = {engine}"]

    def alter_table(self, name: str, change: str, *, sharded: bool = False) -> list[str]:
        """Statements that change a table's columns."""
        tables = [f"{name}_local", name] if self.cluster and sharded else [name]
        return [
            f"ALTER TABLE {self.database}.{table}{self.on_cluster} {change}" for table in tables
        ]

    def set_for_parts(
        self, name: str, setting: str, value: int | None, *, sharded: bool = False
    ) -> str:
        """One statement that sets a setting of a table's future parts; None: its default."""
        change = (
            f"RESET SETTING {setting}" if value is None else f"MODIFY SETTING {setting} = {value}"
        )
        suffix = "_local" if self.cluster and sharded else ""
        return f"ALTER TABLE {self.database}.{name}{suffix}{self.on_cluster} {change}"

    def exchange_tables(self, one: str, other: str, *, sharded: bool = False) -> str:
        """One statement that gives each of two tables the other's data and form."""
        suffix = "_local" if self.cluster and sharded else ""
        return (
            f"EXCHANGE TABLES {self.database}.{one}{suffix} "
            f"AND {self.database}.{other}{suffix}{self.on_cluster}"
        )

    def replace_rows(self, name: str, source: str, *, sharded: bool = False) -> str:
        """One statement that gives a table the rows of another one of the same form."""
        suffix = "_local" if self.cluster and sharded else ""
        return (
            f"ALTER TABLE {self.database}.{name}{suffix}{self.on_cluster} "
            f"REPLACE PARTITION tuple() FROM {self.database}.{source}{suffix}"
        )

    def drop_table(self, name: str, *, sharded: bool = False) -> list[str]:
        """Statements that undo `create_table`."""
        local = (
            [f"DROP TABLE IF EXISTS {self.database}.{name}_local{self.on_cluster} SYNC"]
            if self.cluster and sharded
            else []
        )
        return [f"DROP TABLE IF EXISTS {self.database}.{name}{self.on_cluster} SYNC", *local]

    def create_feed(self, name: str, source: str, target: str, select: str) -> str:
        """One statement for a materialized view that copies arriving rows, each shard its own.

        Args:
            name: of the view.
            source: a sharded table.
            target: another one.
            select: the query, with `{source}` for the table.
        """
        suffix = "_local" if self.cluster else ""
        query = select.format(source=f"{self.database}.{source}{suffix}")
        return (
            f"CREATE MATERIALIZED VIEW {self.database}.{name}{self.on_cluster} "
            f"TO {self.database}.{target}{suffix} AS {query}"
        )

    def create_refresh(self, name: str, target: str, select: str, every: str) -> str:
        """One statement for a refreshable materialized view; on a cluster each replica its own.

        Args:
            name: of the view.
            target: the table whose rows it replaces, all at once.
            select: the query.
            every: interval, such as `1 MINUTE`.
        """
        return (
            f"CREATE MATERIALIZED VIEW {self.database}.{name}{self.on_cluster} "
            f"REFRESH EVERY {every} TO {self.database}.{target} AS {select}"
        )

    def create_view(self, name: str, select: str) -> str:
        """One statement for a plain view."""
        return f"CREATE VIEW {self.database}.{name}{self.on_cluster} AS {select}"

    def drop_view(self, name: str) -> str:
        """One statement that undoes `create_view`."""
        return f"DROP VIEW IF EXISTS {self.database}.{name}{self.on_cluster} SYNC"


class _Module(Protocol):
    def forward(self, schema: Schema) -> Sequence[str]: ...

    def backward(self, schema: Schema) -> Sequence[str]: ...


@dataclass(frozen=True)
class Migration:
    """One numbered step of the schema."""

    number: int
    name: str
    module: _Module


def migrations() -> list[Migration]:
    """All migrations in order.

    Raises:
        RuntimeError: the numbers do not run 1, 2, 3, ….
    """
    found = []
    for info in pkgutil.iter_modules(sinks.migrations.__path__):
        number, _, name = info.name.removeprefix("m").partition("_")
        found.append(
            Migration(int(number), name, importlib.import_module(f"sinks.migrations.{info.name}"))
        )
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        numbers = [migration.number for migration in found]
        msg = f"migrations must be numbered 1, 2, 3, …; found {numbers}"
        raise RuntimeError(msg)
    return found


def applied(client: Client, schema: Schema) -> int:
    """The number of the newest applied migration, 0 for an empty server."""
    if not client.execute(
        "SELECT count() FROM system.tables WHERE database = %(database)s AND name = 'migrations'",
        {"database": schema.database},
    )[0][0]:
        return 0
    return int(client.execute(f"SELECT argMax(number, at) FROM {schema.database}.migrations")[0][0])


def migrate(client: Client, schema: Schema, to: int | None = None) -> Iterator[str]:
    """Bring the schema to a migration, forward or backward; the newest by default.

    Args:
        client: the writer's, connected to a database that exists (`default`).
        schema: database and cluster.
        to: the number to end at; 0 removes everything but the empty database.

    Yields:
        One line for each step after it was applied.

    Raises:
        ValueError: there is no such number, or the server is newer than this code.
    """
    known = migrations()
    target = len(known) if to is None else to
    if not 0 <= target <= len(known):
        msg = f"there is no migration {target}; the newest is {len(known)}"
        raise ValueError(msg)
    client.execute(f"CREATE DATABASE IF NOT EXISTS {schema.database}{schema.on_cluster}")
    at = applied(client, schema)
    if at > len(known):
        msg = f"the database is at migration {at}, this code knows {len(known)}: update Pravah"
        raise ValueError(msg)
    if at == 0 and target > 0:
        columns = "number UInt32, name String, at DateTime64(6, 'UTC') DEFAULT now64(6)"
        for statement in schema.create_table(
            "migrations", columns, engine="MergeTree()", order_by="at"
        ):
            client.execute(statement.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1))
    for migration in known[at:target]:
        for statement in migration.module.forward(schema):
            client.execute(statement)
        _record(client, schema, migration.number, migration.name)
        yield f"{migration.number:04} {migration.name}"
    for migration in reversed(known[target:at]):
        for statement in migration.module.backward(schema):
            client.execute(statement)
        _record(client, schema, migration.number - 1, f"undone: {migration.name}")
        yield f"{migration.number:04} {migration.name} undone"


def _record(client: Client, schema: Schema, number: int, name: str) -> None:
    client.execute(
        f"INSERT INTO {schema.database}.migrations (number, name) VALUES", [(number, name)]
    )
