"""Recount of every figure from the ledger alone: an independent way to the rows of `rollups`.

It shares nothing with the fold. Python folds changes, chunk by chunk; here ClickHouse takes all
versions of an entity at once, gives every stock the days on which it held, and joins the dated
ancestors. Both must have the same result.

Ledger and journal are compared at a *cut*, one offset for each partition: only what the log has
below it counts. So workers can go on meanwhile.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from clickhouse_driver import Client

_CUT = "CAST(mapFromArrays(%(partitions)s, %(offsets)s), 'Map(Int32, UInt64)')[partition]"
_BELOW_THE_CUT = f"WHERE offset < {_CUT}"

_EXPECTED = f"""
    accepted AS (
        SELECT key, entity, version, op, unit, day, occurred_at, verification, metrics, amounts
        FROM ledger FINAL
        {_BELOW_THE_CUT}
    ),
    -- the state of each entity, by its highest version and its highest retraction
    entities AS (
        SELECT key, entity, max(version) AS highest, maxIf(version, op = 'retract') AS retracted,
               argMax(op, version) = 'report'
                   AND argMax(verification, version) != 'rejected' AS counts,
               argMax(verification, version) = 'verified' AS verified
        FROM accepted
        GROUP BY key, entity
    ),
    live AS (
        SELECT key, entity, version, version = highest AS is_highest, verified, unit, day,
               occurred_at, metrics, amounts
        FROM accepted
        INNER JOIN entities USING (key, entity)
        WHERE counts AND version > retracted
    ),
    -- a flow counts with the highest version, for the ancestors of its day
    flows AS (
        SELECT toString(a.ancestor_level) AS level, a.ancestor AS unit, metric, f.day AS day,
               toInt64(amount) AS value, toInt64(amount * verified) AS verified_value
        FROM (
            SELECT unit, day, verified, metric, amount
            FROM live
            ARRAY JOIN metrics AS metric, amounts AS amount
            WHERE is_highest AND metric NOT IN (SELECT metric FROM metrics WHERE type = 'stock')
        ) AS f
        INNER JOIN {{ancestors}} AS a ON a.unit = f.unit
        WHERE f.day BETWEEN a.valid_from AND a.valid_to
    ),
    -- a stock holds from its observation to the day before the next one, and for an ancestor only
    -- while that is above the unit
    observations AS (
        SELECT key, entity, day, any(verified) AS verified,
               argMax(unit, (occurred_at, version)) AS unit,
               argMax(metrics, (occurred_at, version)) AS metrics,
               argMax(amounts, (occurred_at, version)) AS amounts
        FROM live
        GROUP BY key, entity, day
    ),
    held AS (
        SELECT unit, verified, metrics, amounts, day AS first,
               leadInFrame(day, 1, toDate('1970-01-01')) OVER (
                   PARTITION BY key, entity ORDER BY day
                   ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
               ) AS following
        FROM observations
    ),
    spans AS (
        SELECT toString(a.ancestor_level) AS level, a.ancestor AS unit, metric, amount, verified,
               greatest(h.first, a.valid_from) AS first,
               least(
                   if(h.following <= h.first, toDate('2149-06-06'), h.following - 1), a.valid_to
               ) AS last
        FROM (
            SELECT unit, verified, first, following, metric, amount
            FROM held
            ARRAY JOIN metrics AS metric, amounts AS amount
            WHERE metric IN (SELECT metric FROM metrics WHERE type = 'stock')
        ) AS h
        INNER JOIN {{ancestors}} AS a ON a.unit = h.unit
        WHERE first <= last
    ),
    stocks AS (
        SELECT level, unit, metric, first AS day, toInt64(amount) AS value,
               toInt64(amount * verified) AS verified_value
        FROM spans
        UNION ALL
        SELECT level, unit, metric, last + 1 AS day, toInt64(-amount), toInt64(-amount * verified)
        FROM spans
        WHERE last < toDate('2149-06-06')
    ),
    reported AS (
        SELECT toString(a.ancestor_level) AS level, a.ancestor AS unit, metric, r.day AS day,
               toInt64(count()) AS reports
        FROM (
            SELECT unit, day, metric
            FROM accepted
            ARRAY JOIN metrics AS metric
            WHERE op = 'report'
        ) AS r
        INNER JOIN {{ancestors}} AS a ON a.unit = r.unit
        WHERE r.day BETWEEN a.valid_from AND a.valid_to
        GROUP BY level, unit, metric, day
    )
"""

_COMPARED = f"""
    compared AS (
        SELECT level, metric, unit, day,
               sumIf(value, is_expected) AS expected_value,
               sumIf(verified_value, is_expected) AS expected_verified,
               sumIf(reports, is_expected) AS expected_reports,
               sumIf(value, NOT is_expected) AS found_value,
               sumIf(verified_value, NOT is_expected) AS found_verified,
               sumIf(reports, NOT is_expected) AS found_reports
        FROM (
            SELECT level, unit, metric, day, value, verified_value, 0 AS reports,
                   true AS is_expected
            FROM flows
            UNION ALL
            SELECT level, unit, metric, day, value, verified_value, 0, true FROM stocks
            UNION ALL
            SELECT level, unit, metric, day, 0, 0, reports, true FROM reported
            UNION ALL
            SELECT toString(level), unit, metric, day, value, verified_value, reports, false
            FROM journal FINAL
            WHERE partition = -1 OR chunk < {_CUT}
        )
        GROUP BY level, metric, unit, day
        HAVING (expected_value, expected_verified, expected_reports) != (0, 0, 0)
            OR (found_value, found_verified, found_reports) != (0, 0, 0)
    )
"""


def figures_by(ancestors: str) -> str:
    """SQL of rows like those of `rollups`, from the ledger, for another hierarchy.

    Args:
        ancestors: a relation with the columns of `unit_ancestors`.
    """
    expected = _EXPECTED.format(ancestors=ancestors).replace(_BELOW_THE_CUT, "")
    return f"""
        WITH {expected},
        changes AS (
            SELECT level, metric, unit, day, sum(value) AS value,
                   sum(verified_value) AS verified_value, sum(reports) AS reports
            FROM (
                SELECT level, unit, metric, day, value, verified_value, 0 AS reports FROM flows
                UNION ALL
                SELECT level, unit, metric, day, value, verified_value, 0 FROM stocks
                UNION ALL
                SELECT level, unit, metric, day, 0, 0, reports FROM reported
            )
            GROUP BY level, metric, unit, day
            HAVING reports != 0 OR value != 0 OR verified_value != 0
        )
        SELECT day, level, unit, metric, value, verified_value
        FROM changes
        WHERE metric NOT IN (SELECT metric FROM metrics WHERE type = 'stock')
        UNION ALL
        SELECT day, level, unit, metric, sum(value) OVER running AS value,
               sum(verified_value) OVER running AS verified_value
        FROM changes
        WHERE metric IN (SELECT metric FROM metrics WHERE type = 'stock')
        WINDOW running AS (
            PARTITION BY level, metric, unit ORDER BY day
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )
    """


_DIFFER = (
    "(expected_value, expected_verified, expected_reports) "
    "!= (found_value, found_verified, found_reports)"
)

# Above these sizes a query spills to disk.
_SPARING = {
    "max_bytes_before_external_group_by": 2_000_000_000,
    "max_bytes_before_external_sort": 2_000_000_000,
}


@dataclass(frozen=True)
class Cut:
    """The part of the log below one offset of each partition."""

    offsets: Mapping[int, int]

    @property
    def records(self) -> int:
        """Number of records of the log below it."""
        return sum(self.offsets.values())


def closed_cut(client: Client) -> Cut:
    """Behind the last closed chunk of each partition. Workers change nothing below it."""
    return Cut(
        dict(
            client.execute(
                "SELECT partition, max(next_offset) FROM chunks FINAL "
                "WHERE closed GROUP BY partition"
            )
        )
    )


def durable_cut(client: Client) -> Cut:
    """The end of the figures, open chunks included. It is consistent while no worker writes."""
    return Cut(
        dict(
            client.execute(
                "SELECT partition, max(next_offset) FROM chunks FINAL GROUP BY partition"
            )
        )
    )


def is_at_rest(client: Client, cut: Cut) -> bool:
    """Whether nothing was written beyond a durable cut: a comparison there was of one moment."""
    counts = client.execute(
        f"""
        SELECT (SELECT count() FROM journal WHERE partition >= 0 AND version >= {_CUT})
             + (SELECT count() FROM ledger WHERE offset >= {_CUT})
        """,
        _parameters(cut),
    )
    return durable_cut(client) == cut and not counts[0][0]


@dataclass(frozen=True)
class Amounts:
    """Additions to a figure on a day.

    A flow's figure is its value; a stock's is the sum of the values up to that day.
    """

    value: int
    verified_value: int
    reports: int
    """Number of accepted reports, those that no longer count included.

    Where it is not 0 there is a row, also for a figure of 0.
    """


@dataclass(frozen=True)
class Difference:
    """An entry that differs from the ledger."""

    level: str
    metric: str
    unit: str
    day: date
    expected: Amounts
    """Recounted from the ledger."""
    found: Amounts
    """The sum over the journal's origins."""


@dataclass(frozen=True)
class Recount:
    """The outcome of a recount."""

    cut: Cut
    figures: int
    """Number of compared figures, over every level, metric and day."""
    different: int
    examples: tuple[Difference, ...]
    """The first differences, up to the requested number."""

    @property
    def equal(self) -> bool:
        """Whether every figure equals the recount from the ledger."""
        return self.different == 0


# Table of the active registry.
ANCESTORS = "unit_ancestors"


def recount(client: Client, cut: Cut, *, ancestors: str = ANCESTORS, examples: int = 20) -> Recount:
    """Recount all figures from the ledger and compare them with the journal, both below a cut.

    Args:
        client: the writer's.
        cut: of closed chunks, or at rest.
        ancestors: the table of dated ancestors to count under.
        examples: number of differences to return.
    """
    ((figures, different),) = client.execute(
        f"{_query(ancestors)} SELECT count(), countIf({_DIFFER}) FROM compared",
        _parameters(cut),
        settings=_SPARING,
    )
    found = differences(client, cut, ancestors=ancestors, most=examples) if different else ()
    return Recount(cut, figures, different, tuple(found))


def differences(
    client: Client, cut: Cut, *, ancestors: str = ANCESTORS, most: int | None = None
) -> Iterator[Difference]:
    """Differences at a cut, in the order of level, unit, metric and day."""
    limit = "" if most is None else f"LIMIT {most}"
    query = f"""
        {_query(ancestors)}
        SELECT * FROM compared WHERE {_DIFFER} ORDER BY level, unit, metric, day {limit}
    """
    for level, metric, unit, day, *amounts in client.execute_iter(
        query, _parameters(cut), settings=_SPARING
    ):
        yield Difference(level, metric, unit, day, Amounts(*amounts[:3]), Amounts(*amounts[3:]))


@dataclass(frozen=True)
class Movement:
    """Gain or loss of a unit in one metric, all days together."""

    level: str
    unit: str
    metric: str
    figures: int
    """Number of days whose entries change."""
    value: int
    verified_value: int


def movements(client: Client, cut: Cut, *, ancestors: str) -> list[Movement]:
    """Movements by a repair at a cut under the registry of a table of ancestors.

    From the top level down, the largest first.
    """
    levels = "['national', 'state', 'division', 'district', 'assembly', 'booth']"
    query = f"""
        {_query(ancestors)}
        SELECT level, unit, metric, count(), sum(expected_value - found_value) AS gained,
               sum(expected_verified - found_verified)
        FROM compared
        WHERE {_DIFFER}
        GROUP BY level, unit, metric
        ORDER BY indexOf({levels}, level), abs(gained) DESC, unit, metric
    """
    return [Movement(*row) for row in client.execute(query, _parameters(cut), settings=_SPARING)]


def record_reconciliation(
    client: Client, outcome: Recount, *, repair: int, registry: str, seconds: float
) -> None:
    """Record the outcome, so that readers see when the figures were last proved.

    Args:
        client: the writer's.
        outcome: after the repair, if there was one.
        repair: its number, else 0.
        registry: the fingerprint of the active registry.
        seconds: how long it took.
    """
    row = (
        dict(outcome.cut.offsets),
        outcome.cut.records,
        outcome.figures,
        outcome.different,
        repair,
        registry,
        seconds,
    )
    client.execute(
        "INSERT INTO reconciliations "
        "(cut, records, figures, different, repair, registry, seconds) VALUES",
        [row],
    )


def insert_differences(
    client: Client, cut: Cut, repair: int, *, condition: str, comment: str
) -> None:
    """Write the differences at a cut as entries of a repair: then the journal equals the ledger.

    Args:
        client: the writer's.
        cut: of closed chunks.
        repair: its number.
        condition: SQL that raises an error if nothing may be written.
        comment: value of the setting `log_comment`.
    """
    client.execute(
        f"""
        INSERT INTO journal
            (level, metric, unit, day, partition, chunk, value, verified_value, reports, version)
        {_query(ANCESTORS)}
        SELECT level, metric, unit, day, -1, %(repair)s, expected_value - found_value,
               expected_verified - found_verified, expected_reports - found_reports, 1
        FROM compared WHERE {_DIFFER} AND {condition}
        """,
        {**_parameters(cut), "repair": repair},
        settings={**_SPARING, "insert_distributed_sync": 1, "log_comment": comment},
    )


def _query(ancestors: str) -> str:
    return f"WITH {_EXPECTED.format(ancestors=ancestors)}, {_COMPARED}"


def _parameters(cut: Cut) -> dict[str, Any]:
    # Never empty: the type of an empty array is unknown.
    return {"partitions": [-2, *cut.offsets], "offsets": [0, *cut.offsets.values()]}
