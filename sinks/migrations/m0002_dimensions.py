"""Dimensions of the figures: units, their dated ancestors, metrics.

They are loaded whole from the registry and the metric dictionary. `deployment` holds facts that
must not change under the figures, by name: the number of partitions that they were counted from,
the active registry.
"""

from sinks.migrate import Schema
from sinks.migrations.m0001_ledger_and_journal import LEVEL


def forward(schema: Schema) -> list[str]:
    """Create the tables.

    An open `valid_from` is 1970-01-01, an open `valid_to` 2149-06-06, so that
    `day BETWEEN valid_from AND valid_to` always holds.
    """
    return [
        *schema.create_table(
            "units",
            f"""
            unit String, level {LEVEL}, name_en String, name_hi String,
            valid_from Date, valid_to Date, latitude Nullable(Float64), longitude Nullable(Float64)
            """,
            engine="MergeTree()",
            order_by="level, unit",
        ),
        *schema.create_table(
            "unit_ancestors",
            f"""
            unit LowCardinality(String), ancestor LowCardinality(String), ancestor_level {LEVEL},
            valid_from Date, valid_to Date
            """,
            engine="MergeTree()",
            order_by="unit, ancestor_level, valid_from",
        ),
        *schema.create_table(
            "metrics",
            """
            metric String, type Enum8('flow' = 1, 'stock' = 2), unit String, name_en String,
            name_hi String, position UInt16
            """,
            engine="MergeTree()",
            order_by="metric",
        ),
        *schema.create_table(
            "deployment",
            "name String, value String, at DateTime64(6, 'UTC') DEFAULT now64(6)",
            engine="ReplacingMergeTree(at)",
            order_by="name",
        ),
    ]


def backward(schema: Schema) -> list[str]:
    """Drop the tables and views of this step."""
    return [
        statement
        for name in ("deployment", "metrics", "unit_ancestors", "units")
        for statement in schema.drop_table(name)
    ]
