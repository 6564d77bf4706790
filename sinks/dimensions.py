"""The registry and the metric dictionary as tables.

They are loaded whole and exchanged at once, so that no reader sees half of one. Only a load imports
`sinks.ancestor_rows`, and with it NumPy.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import islice
from typing import Any
from uuid import uuid4

from clickhouse_driver import Client

from pravah.days import date_of
from schemas.metrics import MetricDictionary
from schemas.registry import Registry
from sinks.migrate import Schema
from sinks.native import ColumnClient

_BLOCK = 200_000


def load_registry(client: ColumnClient, schema: Schema, registry: Registry) -> None:
    """Replace `units`, `unit_ancestors` and `scopes` by a registry."""
    from sinks.ancestor_rows import insert_ancestors

    with _replacing(client, schema, "units") as units:
        given = list(registry.units.values())
        for at in range(0, len(given), _BLOCK):
            code, level, name_en, name_hi, first, last, _, latitude, longitude = map(
                list, zip(*given[at : at + _BLOCK], strict=True)
            )
            days = ([date_of(day) for day in column] for column in (first, last))
            client.execute(
                f"INSERT INTO {units} VALUES",
                [code, level, name_en, name_hi, *days, latitude, longitude],
                columnar=True,
            )
    with _replacing(client, schema, "unit_ancestors") as ancestors:
        insert_ancestors(client, ancestors, registry)
    # For each unit and each of its ancestors, the last day on which it is below that.
    with _replacing(client, schema, "scopes") as scopes:
        client.execute(
            f"""
            INSERT INTO {scopes}
            SELECT ancestor, unit, max(valid_to)
            FROM {schema.database}.unit_ancestors
            GROUP BY ancestor, unit
            """
        )


@contextmanager
def proposed(client: ColumnClient, schema: Schema, registry: Registry) -> Iterator[str]:
    """Create a table of the dated ancestors of a registry that is not active.

    Gives its name; the table is dropped at the end of the block.
    """
    from sinks.ancestor_rows import insert_ancestors

    name = f"unit_ancestors_proposed_{registry.fingerprint()}"
    try:
        insert_ancestors(client, _create_like(client, schema, "unit_ancestors", name), registry)
        yield name
    finally:
        client.execute(f"DROP TABLE IF EXISTS {schema.database}.{name}{schema.on_cluster} SYNC")


def known_units(client: Client) -> set[str]:
    """The codes of all units of the active registry, whenever they are open."""
    return {row[0] for row in client.execute("SELECT unit FROM units")}


def days_of_unit(client: Client, unit: str) -> tuple[date, date]:
    """The first and the last day of a unit of the active registry."""
    ((first, last),) = client.execute(
        "SELECT valid_from, valid_to FROM units WHERE unit = %(unit)s", {"unit": unit}
    )
    return first, last


def load_metrics(client: Client, schema: Schema, dictionary: MetricDictionary) -> None:
    """Replace `metrics` by the dictionary; `position` keeps its order."""
    metrics = dictionary.metrics.values()
    replace_table(
        client,
        schema,
        "metrics",
        (
            (m.metric, m.type, m.unit, m.name_en, m.name_hi, position)
            for position, m in enumerate(metrics)
        ),
    )


def replace_table(
    client: Client, schema: Schema, table: str, rows: Iterable[Sequence[Any]]
) -> None:
    """Give a table these rows and no others, at once."""
    with _replacing(client, schema, table) as following:
        rows = iter(rows)
        while block := list(islice(rows, _BLOCK)):
            client.execute(f"INSERT INTO {following} VALUES", block)


@contextmanager
def _replacing(client: Client, schema: Schema, table: str) -> Iterator[str]:
    """Create an empty table that replaces another at the end of the block; gives its name.

    Each load has a table of its own, so that two at once do not mix their rows.
    """
    _drop_abandoned(client, schema, table)
    following = _create_like(client, schema, table, f"{table}_load_{uuid4().hex}")
    try:
        yield following
        client.execute(
            f"EXCHANGE TABLES {schema.database}.{table} AND {following}{schema.on_cluster}"
        )
    finally:
        client.execute(f"DROP TABLE IF EXISTS {following}{schema.on_cluster} SYNC")


def _drop_abandoned(client: Client, schema: Schema, table: str) -> None:
    """Drop tables of loads that were killed more than an hour ago."""
    rows = client.execute(
        """
        SELECT name FROM system.tables
        WHERE database = %(database)s AND startsWith(name, %(prefix)s)
          AND metadata_modification_time < now() - INTERVAL 1 HOUR
        """,
        {"database": schema.database, "prefix": f"{table}_load_"},
    )
    for (name,) in rows:
        client.execute(f"DROP TABLE IF EXISTS {schema.database}.{name}{schema.on_cluster} SYNC")


def _create_like(client: Client, schema: Schema, like: str, name: str) -> str:
    """Create an empty table like another; gives its name with the database."""
    created = f"{schema.database}.{name}"
    client.execute(f"DROP TABLE IF EXISTS {created}{schema.on_cluster} SYNC")
    client.execute(f"CREATE TABLE {created}{schema.on_cluster} AS {schema.database}.{like}")
    return created
