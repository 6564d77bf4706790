"""Reported values that stand out: to be checked, not to be left out."""

from dataclasses import dataclass
from datetime import date

from clickhouse_driver import Client

from sinks.migrations.m0009_forecast_and_unusual_values import unusual


@dataclass(frozen=True)
class UnusualValue:
    """An unusual amount that one unit reported for one day.

    `sinks/migrations/m0009_forecast_and_unusual_values.py` defines unusual.
    """

    day: date
    level: str
    unit: str
    name_en: str
    name_hi: str
    metric: str
    amount: int
    """Of a stock the change."""
    usual: float | None
    """The median of its own amounts on the 28 days before; None if there are none."""
    own_z: float | None
    """The robust z-score against these; None if there are fewer than seven."""
    peer_z: float | None
    """The same against the units beside it on that day; None if fewer than five reported."""


def unusual_values(
    client: Client, unit: str, first: date, last: date, *, level: str | None = None
) -> list[UnusualValue]:
    """Unusual values at or below a unit, the most unusual first.

    Args:
        client: of any account.
        unit: a code; the units below it are those of each value's day.
        first: day, Asia/Kolkata.
        last: day, included.
        level: only of units of this level.
    """
    # The view reads what all units reported in 29 days. Here the only rows are those of units that
    # reported the metric on one of the days, and of booths beside or below the unit.
    rows = """
        AND (level, metric, unit) IN (
            SELECT level, metric, unit FROM journal
            WHERE day BETWEEN %(first)s AND %(last)s
              AND (level != 'booth' OR unit IN (
                  SELECT unit FROM unit_ancestors
                  WHERE ancestor_level = 'assembly' AND ancestor IN (
                      SELECT ancestor FROM unit_ancestors
                      WHERE unit IN (SELECT unit FROM unit_ancestors WHERE ancestor = %(unit)s)
                  )
              ))
        )
    """
    values = unusual(client.connection.database, "toDate(%(first)s)", "toDate(%(last)s)", rows=rows)
    query = f"""
        SELECT v.day, toString(v.level), v.unit, u.name_en, u.name_hi, v.metric, v.amount, v.usual,
               v.own_z, v.peer_z
        FROM ({values}) AS v
        INNER JOIN units AS u ON u.unit = v.unit
        INNER JOIN (
            SELECT unit, valid_from, valid_to FROM unit_ancestors WHERE ancestor = %(unit)s
        ) AS a ON a.unit = v.unit
        WHERE v.day BETWEEN a.valid_from AND a.valid_to
          AND (%(level)s = '' OR toString(v.level) = %(level)s)
        ORDER BY greatest(abs(ifNull(v.own_z, 0)), abs(ifNull(v.peer_z, 0))) DESC, v.day DESC,
                 v.unit, v.metric
    """
    wanted = {"unit": unit, "first": first, "last": last, "level": level or ""}
    return [UnusualValue(*row) for row in client.execute(query, wanted)]
