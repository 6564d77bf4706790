"""Every figure again, from the ledger alone: an independent way to the same rows as `rollups`.

It shares nothing with the fold. Python folds changes, chunk by chunk; here ClickHouse looks at each entity's versions at once, gives every stock the days on which it
held, and joins the dated ancestors. Both must come to the same.
"""

from dataclasses import dataclass
from datetime import date

from clickhouse_driver import Client

_EXPECTED = """
    -- what each entity comes to, by its highest version and its highest retraction
    entities AS (
        SELECT key, entity, max(version) AS highest, maxIf(version, op = 'retract') AS retracted,
               argMax(op, version) = 'report' AND argMax(verification, version) != 'rejected' AS counts,
               argMax(verification, version) = 'verified' AS verified
        FROM events GROUP BY key, entity
    ),
    live AS (
        SELECT key, entity, version, version = highest AS is_highest, verified, unit, day, occurred_at, metrics, amounts
        FROM events INNER JOIN entities USING (key, entity)
        WHERE counts AND version > retracted
    ),
    -- a flow counts with the highest version, for the ancestors of its day
    flows AS (
        SELECT toString(a.ancestor_level) AS level, a.ancestor AS unit, metric, f.day AS day, toInt64(amount) AS value, toInt64(amount * verified) AS verified_value
        FROM (SELECT unit, day, verified, metric, amount FROM live ARRAY JOIN metrics AS metric, amounts AS amount
              WHERE is_highest AND metric NOT IN (SELECT metric FROM metrics WHERE type = 'stock')) AS f
        INNER JOIN unit_ancestors AS a ON a.unit = f.unit
        WHERE f.day BETWEEN a.valid_from AND a.valid_to
    ),
    -- a stock holds from its observation to the day before the next one, and for an ancestor only while that stands above the unit
    observations AS (
        SELECT key, entity, day, any(verified) AS verified, argMax(unit, (occurred_at, version)) AS unit,
               argMax(metrics, (occurred_at, version)) AS metrics, argMax(amounts, (occurred_at, version)) AS amounts
        FROM live GROUP BY key, entity, day
    ),
    held AS (
        SELECT unit, verified, metrics, amounts, day AS first,
               leadInFrame(day, 1, toDate('1970-01-01')) OVER (
                   PARTITION BY key, entity ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
               ) AS following
        FROM observations
    ),
    spans AS (
        SELECT toString(a.ancestor_level) AS level, a.ancestor AS unit, metric, amount, verified,
               greatest(h.first, a.valid_from) AS first, least(if(h.following <= h.first, toDate('2149-06-06'), h.following - 1), a.valid_to) AS last
        FROM (SELECT unit, verified, first, following, metric, amount FROM held ARRAY JOIN metrics AS metric, amounts AS amount
              WHERE metric IN (SELECT metric FROM metrics WHERE type = 'stock')) AS h
        INNER JOIN unit_ancestors AS a ON a.unit = h.unit
        WHERE first <= last
    ),
    stocks AS (
        SELECT level, unit, metric, first AS day, toInt64(amount) AS value, toInt64(amount * verified) AS verified_value FROM spans
        UNION ALL
        SELECT level, unit, metric, last + 1 AS day, toInt64(-amount), toInt64(-amount * verified) FROM spans WHERE last < toDate('2149-06-06')
    ),
    reported AS (
        SELECT DISTINCT toString(a.ancestor_level) AS level, a.ancestor AS unit, metric, r.day AS day
        FROM (SELECT unit, day, metric FROM events ARRAY JOIN metrics AS metric WHERE op = 'report') AS r
        INNER JOIN unit_ancestors AS a ON a.unit = r.unit
        WHERE r.day BETWEEN a.valid_from AND a.valid_to
    ),
    changes AS (
        SELECT level, unit, metric, day, sum(value) AS total, sum(verified_value) AS verified_total, max(was_reported) AS is_reported
        FROM (
            SELECT level, unit, metric, day, value, verified_value, 0 AS was_reported FROM flows
            UNION ALL SELECT level, unit, metric, day, value, verified_value, 0 FROM stocks
            UNION ALL SELECT level, unit, metric, day, 0, 0, 1 FROM reported
        )
        GROUP BY level, unit, metric, day
        HAVING total != 0 OR verified_total != 0 OR is_reported
    ),
    expected AS (
        SELECT day, level, unit, metric, total AS value, verified_total AS verified_value FROM changes
        WHERE metric NOT IN (SELECT metric FROM metrics WHERE type = 'stock')
        UNION ALL
        SELECT day, level, unit, metric, sum(total) OVER running, sum(verified_total) OVER running FROM changes
        WHERE metric IN (SELECT metric FROM metrics WHERE type = 'stock')
        WINDOW running AS (PARTITION BY level, unit, metric ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    )
"""

_COMPARED = """
    compared AS (
        SELECT day, level, unit, metric,
               sumIf(value, side = 1) AS expected_value, sumIf(verified_value, side = 1) AS expected_verified, countIf(side = 1) AS expected_rows,
               sumIf(value, side = 2) AS found_value, sumIf(verified_value, side = 2) AS found_verified, countIf(side = 2) AS found_rows
        FROM (
            SELECT day, level, unit, metric, value, verified_value, 1 AS side FROM expected
            UNION ALL
            SELECT day, toString(level) AS level, unit, metric, value, verified_value, 2 AS side FROM rollups
        )
        GROUP BY day, level, unit, metric
    )
"""


@dataclass(frozen=True)
class Difference:
    """A figure that is not what the ledger says. A missing row has None."""

    day: date
    level: str
    unit: str
    metric: str
    expected: tuple[int, int] | None
    """All and verified, recounted from the ledger."""
    found: tuple[int, int] | None
    """All and verified, as `rollups` has them."""


@dataclass(frozen=True)
class Recount:
    """The outcome of a recount."""

    figures: int
    """How many rows were compared, over every level, metric and day."""
    different: int
    examples: tuple[Difference, ...]
    """The first differences, at most as many as asked for."""

    @property
    def equal(self) -> bool:
        """Whether every figure is what the ledger says."""
        return self.different == 0


def recount(client: Client, examples: int = 20) -> Recount:
    """Recount all figures from the ledger and compare them with `rollups`.

    The ledger and the figures must be at rest: while a worker writes, the two are a moment apart.

    Args:
        client: of an account that reads all views.
        examples: how many differences to bring.
    """
    differ = "(expected_value, expected_verified, expected_rows) != (found_value, found_verified, found_rows)"
    with_tables = f"WITH {_EXPECTED}, {_COMPARED}"
    ((figures, different),) = client.execute(f"{with_tables} SELECT count(), countIf({differ}) FROM compared")
    rows = client.execute(f"{with_tables} SELECT * FROM compared WHERE {differ} ORDER BY level, unit, metric, day LIMIT {examples}") if different else []
    return Recount(figures, different, tuple(_difference(row) for row in rows))


def _difference(row: tuple[date, str, str, str, int, int, int, int, int, int]) -> Difference:
    day, level, unit, metric, value, verified, rows, found_value, found_verified, found_rows = row
    return Difference(day, level, unit, metric, (value, verified) if rows else None, (found_value, found_verified) if found_rows else None)
