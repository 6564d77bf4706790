"""The views that others rely on: `events`, `rollups`, `totals`."""

from sinks.migrate import Schema


def forward(schema: Schema) -> list[str]:
    """Create the views.

    A figure is the sum over its origins. The journal of a stock holds changes, so its value at the
    end of a day is the running sum over days. There is a row for every day on which something was
    reported or the figure changed; a change that was undone again leaves no row of its own.
    """
    changes = f"""
        SELECT level, metric, unit, day, sum(value) AS value,
               sum(verified_value) AS verified_value, sum(reports) AS reports
        FROM {schema.database}.journal FINAL
        WHERE metric {{}} (SELECT metric FROM {schema.database}.metrics WHERE type = 'stock')
        GROUP BY level, metric, unit, day
        HAVING reports != 0 OR value != 0 OR verified_value != 0
    """
    return [
        schema.create_view(
            "events",
            f"""
            SELECT event_id, entity, version, op, unit, kind, occurred_at, reported_at,
                   verification, data, tool, producer, reporter, evidence, day, metrics, amounts,
                   key, partition, offset, appended_at, written_at
            FROM {schema.database}.ledger FINAL
            """,
        ),
        schema.create_view(
            "rollups",
            f"""
            SELECT day, level, unit, metric, value, verified_value
            FROM ({changes.format("NOT IN")})
            UNION ALL
            SELECT day, level, unit, metric, sum(value) OVER running AS value,
                   sum(verified_value) OVER running AS verified_value
            FROM ({changes.format("IN")})
            WINDOW running AS (
                PARTITION BY level, metric, unit ORDER BY day
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            )
            """,
        ),
        schema.create_view(
            "totals",
            f"""
            SELECT level, unit, metric, sum(value) AS value,
                   sum(verified_value) AS verified_value
            FROM {schema.database}.journal FINAL
            WHERE day <= toDate(now(), 'Asia/Kolkata')
            GROUP BY level, unit, metric
            """,
        ),
    ]


def backward(schema: Schema) -> list[str]:
    """Drop the tables and views of this step."""
    return [schema.drop_view(name) for name in ("totals", "rollups", "events")]
