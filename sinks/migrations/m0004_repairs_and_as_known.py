"""Repairs, and what was known when.

- `chunks` gets the times at which the broker appended a chunk's first and last record. A chunk
  never spans two hours of that clock, so the knowledge at the end of an hour is a set of whole
  chunks.
- `repairs`: one row per repair. Its entries are in `journal` with `partition` = -1 and `chunk` =
  the repair's number.
- `rollups_as_known(as_of)`: `rollups` from the chunks that were complete, and the repairs that were
  made, by then.
"""

from sinks.migrate import Schema


def forward(schema: Schema) -> list[str]:
    """Add the columns, the table and the view."""
    return [
        *schema.alter_table(
            "chunks",
            "ADD COLUMN first_appended_at DateTime64(3, 'Asia/Kolkata') DEFAULT opened_at, "
            "ADD COLUMN last_appended_at DateTime64(3, 'Asia/Kolkata') DEFAULT opened_at",
            sharded=True,
        ),
        *schema.create_table(
            "repairs",
            """
            repair UInt64, kind Enum8('reconcile' = 1, 'units' = 2), reason String, author String,
            at DateTime64(3, 'Asia/Kolkata'), registry String, cut Map(Int32, UInt64),
            entries UInt64, complete UInt8,
            updated_at DateTime64(6, 'Asia/Kolkata') DEFAULT now64(6)
            """,
            engine="ReplacingMergeTree(updated_at)",
            order_by="repair",
        ),
        schema.create_view("rollups_as_known", as_known(schema)),
    ]


def backward(schema: Schema) -> list[str]:
    """Drop them; entries of repairs stay in the journal."""
    return [
        schema.drop_view("rollups_as_known"),
        *schema.drop_table("repairs"),
        *schema.alter_table(
            "chunks", "DROP COLUMN last_appended_at, DROP COLUMN first_appended_at", sharded=True
        ),
    ]


def as_known(schema: Schema, as_of: str = "{as_of:DateTime64(3)}") -> str:
    """Query of `rollups_as_known`; `as_of` is SQL of a `DateTime64(3)`."""
    return f"""
            SELECT day, level, unit, metric, value, verified_value
            FROM ({_changes(schema, "NOT IN", as_of)})
            UNION ALL
            SELECT day, level, unit, metric, sum(value) OVER running AS value,
                   sum(verified_value) OVER running AS verified_value
            FROM ({_changes(schema, "IN", as_of)})
            WINDOW running AS (
                PARTITION BY level, metric, unit ORDER BY day
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            )
            """


def _changes(schema: Schema, operator: str, as_of: str) -> str:
    """Additions to figures by `as_of`, by day; of flows (`NOT IN`) or stocks (`IN`)."""
    database = schema.database
    return f"""
        SELECT level, metric, unit, day, sum(value) AS value,
               sum(verified_value) AS verified_value, sum(reports) AS reports
        FROM {database}.journal FINAL
        WHERE metric {operator} (SELECT metric FROM {database}.metrics WHERE type = 'stock')
          AND (partition, chunk) IN (
            SELECT partition, chunk
            FROM {database}.chunks
            GROUP BY partition, chunk
            HAVING max(last_appended_at) <= {as_of}
            UNION ALL
            SELECT toInt32(-1), repair
            FROM {database}.repairs FINAL
            WHERE at <= {as_of}
        )
        GROUP BY level, metric, unit, day
        HAVING reports != 0 OR value != 0 OR verified_value != 0
    """
