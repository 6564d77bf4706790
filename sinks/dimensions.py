"""The registry and the metric dictionary as tables, loaded whole and swapped in at once, so that no reader sees half of one."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from clickhouse_driver import Client

from schemas.days import date_of
from schemas.metrics import MetricDictionary
from schemas.registry import Registry
from sinks.migrate import Schema

_BLOCK = 200_000


def load_registry(client: Client, schema: Schema, registry: Registry) -> None:
    """Replace `units`, `unit_ancestors` and `scopes` by what the registry says."""
    replace_table(
        client,
        schema,
        "units",
        ((u.code, u.level, u.name_en, u.name_hi, date_of(u.first), date_of(u.last), u.latitude, u.longitude) for u in registry.units.values()),
    )
    replace_table(client, schema, "unit_ancestors", _ancestors(registry))
    replace_table(client, schema, "scopes", _scopes(registry))


@contextmanager
def proposed(client: Client, schema: Schema, registry: Registry) -> Iterator[str]:
    """A table of the dated ancestors of a registry that is not in force, for the length of a block; gives its name."""
    name = f"unit_ancestors_proposed_{registry.fingerprint()}"
    try:
        _fill(client, schema, "unit_ancestors", name, _ancestors(registry))
        yield name
    finally:
        client.execute(f"DROP TABLE IF EXISTS {schema.database}.{name}{schema.on_cluster} SYNC")


def known_units(client: Client) -> set[str]:
    """The codes of all units of the registry in force, whenever they are open."""
    return {row[0] for row in client.execute("SELECT unit FROM units")}


def load_metrics(client: Client, schema: Schema, dictionary: MetricDictionary) -> None:
    """Replace `metrics` by the dictionary; `position` keeps its order."""
    metrics = dictionary.metrics.values()
    replace_table(client, schema, "metrics", ((m.metric, m.type, m.unit, m.name_en, m.name_hi, position) for position, m in enumerate(metrics)))


def _ancestors(registry: Registry) -> Iterator[Sequence[Any]]:
    return ((code, s.ancestor, s.level, date_of(s.first), date_of(s.last)) for code in registry.units for s in registry.spans(code))


def _scopes(registry: Registry) -> Iterator[Sequence[Any]]:
    """For each unit and what it stands or stood below, the last day on which it does."""
    for code in registry.units:
        until: dict[str, int] = {}
        for span in registry.spans(code):
            until[span.ancestor] = max(span.last, until.get(span.ancestor, 0))
        for scope, last in until.items():
            yield scope, code, date_of(last)


def replace_table(client: Client, schema: Schema, table: str, rows: Iterable[Sequence[Any]]) -> None:
    """Give a table these rows and no others, at once."""
    target, following = f"{schema.database}.{table}", f"{schema.database}.{table}_next"
    _fill(client, schema, table, f"{table}_next", rows)
    client.execute(f"EXCHANGE TABLES {target} AND {following}{schema.on_cluster}")
    client.execute(f"DROP TABLE {following}{schema.on_cluster} SYNC")


def _fill(client: Client, schema: Schema, like: str, name: str, rows: Iterable[Sequence[Any]]) -> None:
    """Make a table like another, with these rows."""
    following = f"{schema.database}.{name}"
    client.execute(f"DROP TABLE IF EXISTS {following}{schema.on_cluster} SYNC")
    client.execute(f"CREATE TABLE {following}{schema.on_cluster} AS {schema.database}.{like}")
    block: list[Sequence[Any]] = []
    for row in rows:
        block.append(row)
        if len(block) >= _BLOCK:
            client.execute(f"INSERT INTO {following} VALUES", block)
            block = []
    if block:
        client.execute(f"INSERT INTO {following} VALUES", block)
