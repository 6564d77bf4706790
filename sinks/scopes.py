"""Views of the units that have a ClickHouse account of their own (`schemas.scopes`).

A unit's database has a view for each table and view that the unit may read. It reads with the
rights of the unit's definer, so under its row policies.
"""

import hashlib
import re
from collections.abc import Iterable

from clickhouse_driver import Client

from schemas.scopes import FRESHNESS, list_names, name_database, name_definer
from sinks.migrate import Schema

_PARAMETER = re.compile(r"\{(\w+):([^{}]+)\}")


def create_scoped_views(client: Client, schema: Schema, units: Iterable[str]) -> int:
    """Bring the views of units up to date with the tables and views that they read.

    Args:
        client: the writer's; it needs SET DEFINER on the units' definers.
        schema: the newest, with all migrations applied.
        units: codes of the units that have an account.

    Returns:
        The number of views that were created or changed.
    """
    sources = {
        name: (engine, query)
        for name, engine, query in client.execute(
            "SELECT name, engine, create_table_query FROM system.tables "
            "WHERE database = %(database)s AND name IN %(names)s",
            {"database": schema.database, "names": (*list_names(), "chunks")},
        )
    }
    changed = 0
    for unit in units:
        database, definer = name_database(unit, schema.database), name_definer(unit)
        client.execute(f"CREATE DATABASE IF NOT EXISTS {database}{schema.on_cluster}")
        fingerprints = dict(
            client.execute(
                "SELECT name, comment FROM system.tables WHERE database = %(database)s",
                {"database": database},
            )
        )
        for name in fingerprints.keys() - sources.keys():
            client.execute(f"DROP VIEW IF EXISTS {database}.`{name}`{schema.on_cluster}")
        for name, (engine, query) in sources.items():
            select = _select(schema.database, name, engine, query)
            fingerprint = hashlib.sha256(f"{select}\n{query}".encode()).hexdigest()[:16]
            if fingerprints.get(name) == fingerprint:
                continue
            client.execute(
                f"CREATE OR REPLACE VIEW {database}.{name}{schema.on_cluster} "
                f"DEFINER = `{definer}` SQL SECURITY DEFINER AS {select} "
                f"COMMENT '{fingerprint}'"
            )
            changed += 1
    return changed


def _select(database: str, name: str, engine: str, query: str) -> str:
    """Build the query of a view that reads a table or view whole."""
    columns = ", ".join(FRESHNESS) if name == "chunks" else "*"
    # of rows that replace each other, the newest: a view takes no FINAL from outside
    final = " FINAL" if "Replacing" in engine or engine == "Distributed" else ""
    types = dict(_PARAMETER.findall(query)) if engine == "View" else {}
    arguments = ", ".join(f"{one} = {{{one}:{kind}}}" for one, kind in types.items())
    return f"SELECT {columns} FROM {database}.{name}{f'({arguments})' if types else final}"
