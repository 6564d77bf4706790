"""Queries of the situation report.

Units below a unit are those of the day of `as_of`, and never from outside `within`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from clickhouse_driver import Client

from pravah.units import Level
from sinks.completions import Completions
from sinks.control_room import millis


@dataclass(frozen=True)
class Place:
    """A unit."""

    unit: str
    level: Level
    name_en: str
    name_hi: str
    valid_from: date
    """1970-01-01 if it has no beginning."""
    valid_to: date
    """2149-06-06 if it has no end."""


class Standing(NamedTuple):
    """Number of units below a child in one state of one milestone."""

    child: str
    """Empty for units above the children's level."""
    milestone: str
    state: str
    done_at: date | None
    worst: int
    """Days overdue of the longest overdue."""
    newly_overdue: int
    passed: bool
    """Whether its deadline is before the day."""
    units: int
    known_late: int


@dataclass(frozen=True)
class Milestone:
    """A milestone of the plan in force."""

    milestone: str
    level: Level
    name_en: str
    name_hi: str
    deadline: date


class DayFigure(NamedTuple):
    """A figure of one day: a flow's amount, a stock's value at its end."""

    metric: str
    day: date
    value: int
    verified_value: int


@dataclass(frozen=True)
class Metric:
    """A metric of the dictionary."""

    metric: str
    name_en: str
    name_hi: str
    is_stock: bool


class Activity(NamedTuple):
    """Numbers of booths below a child that reported something, only zeros, or nothing."""

    child: str
    active: int
    zero: int
    silent: int


@dataclass(frozen=True)
class Age:
    """Age of the figures; instants in Asia/Kolkata."""

    newest_event: datetime | None
    """Time of the newest event at or below the unit."""
    newest_record: datetime | None
    """Append time of the newest of them."""
    figures_updated: datetime | None
    reconciled_at: datetime | None
    reconciled_equal: bool | None


_ON = "toDate(fromUnixTimestamp64Milli(%(as_of)s), 'Asia/Kolkata')"
_BELOW = f"""
    SELECT unit FROM unit_ancestors
    WHERE ancestor = %(unit)s AND {_ON} BETWEEN valid_from AND valid_to
      AND unit IN (
          SELECT unit FROM unit_ancestors
          WHERE ancestor = %(within)s AND {_ON} BETWEEN valid_from AND valid_to
      )
"""
_CHILDREN = f"""
    SELECT unit, ancestor FROM unit_ancestors
    WHERE toString(ancestor_level) = %(child_level)s AND {_ON} BETWEEN valid_from AND valid_to
"""
# Rows of a unit; its level is the first column of the sorting key.
_OWN = "unit = %(unit)s AND level = (SELECT any(level) FROM units WHERE unit = %(unit)s)"
# Whether a unit was at or below `within` on a day.
_IS_WITHIN = """
    arrayExists(
        span -> day BETWEEN span.1 AND span.2,
        (
            SELECT groupArray((valid_from, valid_to)) FROM unit_ancestors
            WHERE unit = %(unit)s AND ancestor = %(within)s
        )
    )
"""


def places(client: Client, units: Sequence[str]) -> dict[str, Place]:
    """Units by code; those that are not in the registry are missing."""
    rows = client.execute(
        "SELECT unit, toString(level), name_en, name_hi, valid_from, valid_to "
        "FROM units WHERE unit IN %(units)s",
        {"units": [*units, ""]},
    )
    return {row[0]: Place(*row) for row in rows}


def above(client: Client, unit: str, day: date) -> list[Place]:
    """The units above a unit on a day, the nearest first."""
    query = """
        SELECT u.unit, toString(u.level), u.name_en, u.name_hi, u.valid_from, u.valid_to
        FROM unit_ancestors AS a INNER JOIN units AS u ON u.unit = a.ancestor
        WHERE a.unit = %(unit)s AND a.ancestor != %(unit)s
          AND %(day)s BETWEEN a.valid_from AND a.valid_to
        ORDER BY u.level DESC
    """
    return [Place(*row) for row in client.execute(query, {"unit": unit, "day": day})]


def seen(client: Client, units: Sequence[str], within: str, day: date) -> set[str]:
    """Those of some units that are at or below another on a day."""
    query = """
        SELECT unit FROM unit_ancestors
        WHERE unit IN %(units)s AND ancestor = %(within)s
          AND %(day)s BETWEEN valid_from AND valid_to
    """
    return {
        row[0]
        for row in client.execute(query, {"units": [*units, ""], "within": within, "day": day})
    }


def reaches_beyond(client: Client, unit: str, as_of: datetime, *, within: str) -> bool:
    """Whether a unit has units below it on a day that are not at or below another."""
    query = f"""
        SELECT count() FROM unit_ancestors
        WHERE ancestor = %(unit)s AND {_ON} BETWEEN valid_from AND valid_to
          AND unit NOT IN ({_BELOW})
    """
    wanted = {"unit": unit, "as_of": millis(as_of), "within": within}
    return within != unit and bool(client.execute(query, wanted)[0][0])


def planned_states(client: Client) -> list[str]:
    """The states that have a plan."""
    return [row[0] for row in client.execute("SELECT DISTINCT plan FROM plans ORDER BY plan")]


def planned(client: Client, state: str) -> list[Milestone]:
    """Milestones in their order; if several plans have one, that of the state's own plan."""
    query = """
        SELECT milestone, toString(level), name_en, name_hi, deadline
        FROM (
            SELECT * FROM milestones
            ORDER BY plan != %(state)s, plan, position
            LIMIT 1 BY milestone
        )
        ORDER BY position
    """
    return [Milestone(*row) for row in client.execute(query, {"state": state})]


def standings(
    client: Client,
    unit: str,
    as_of: datetime,
    completions: Completions,
    *,
    child_level: Level,
    within: str,
) -> list[Standing]:
    """Count the units at or below a unit by child, milestone and state."""
    query = f"""
        SELECT c.ancestor AS child, s.milestone, toString(s.state), s.done_at,
               max(s.days_overdue), countIf(s.days_overdue = 1), s.deadline < {_ON} AS passed,
               count(),
               countIf(
                   s.state = 'done_on_time' AND toDate(s.known_at, 'Asia/Kolkata') > s.deadline
               )
        FROM {completions.status} AS s
        LEFT JOIN ({_CHILDREN}) AS c ON c.unit = s.unit
        WHERE s.unit IN ({_BELOW})
        GROUP BY child, s.milestone, s.state, s.done_at, passed
    """
    return [
        Standing(*row)
        for row in completions.execute(
            client,
            query,
            {"unit": unit, "as_of": millis(as_of), "child_level": child_level, "within": within},
        )
    ]


def units_below(client: Client, unit: str, as_of: datetime) -> set[str]:
    """The units at or below a unit on a day."""
    query = f"""
        SELECT unit FROM unit_ancestors
        WHERE ancestor = %(unit)s AND {_ON} BETWEEN valid_from AND valid_to
    """
    rows = client.execute(query, {"unit": unit, "as_of": millis(as_of)})
    return {row[0] for row in rows}


def children(
    client: Client, unit: str, as_of: datetime, *, child_level: Level, within: str
) -> list[str]:
    """Units of a level that share a unit with those at or below a unit.

    An assembly is a child of every district in which it has booths.
    """
    query = f"""
        SELECT DISTINCT ancestor FROM ({_CHILDREN})
        WHERE unit IN ({_BELOW})
        ORDER BY ancestor
    """
    return [
        row[0]
        for row in client.execute(
            query,
            {"unit": unit, "as_of": millis(as_of), "child_level": child_level, "within": within},
        )
    ]


def assemblies_of(
    client: Client, unit: str, as_of: datetime, *, child_level: Level
) -> dict[str, str]:
    """Assembly → its child on that day, of every assembly at or below a unit."""
    query = f"""
        {_CHILDREN}
          AND unit IN (
              SELECT unit FROM unit_ancestors
              WHERE ancestor = %(unit)s AND {_ON} BETWEEN valid_from AND valid_to
          )
          AND unit IN (SELECT unit FROM units WHERE level = 'assembly')
    """
    return dict(
        client.execute(query, {"unit": unit, "as_of": millis(as_of), "child_level": child_level})
    )


def metrics(client: Client) -> list[Metric]:
    """The metric dictionary, in its order."""
    return [
        Metric(metric, name_en, name_hi, bool(is_stock))
        for metric, name_en, name_hi, is_stock in client.execute(
            "SELECT metric, name_en, name_hi, type = 'stock' FROM metrics ORDER BY position"
        )
    ]


def day_figures(
    client: Client, unit: str, first: date, last: date, *, within: str
) -> list[DayFigure]:
    """Figures of a unit on the days on which something was reported or changed.

    Only days on which it was at or below `within`.
    """
    query = f"""
        SELECT metric, day, value, verified_value FROM rollups
        WHERE {_OWN} AND day BETWEEN %(first)s AND %(last)s AND {_IS_WITHIN}
        ORDER BY metric, day
    """
    return [
        DayFigure(*row)
        for row in client.execute(
            query, {"unit": unit, "first": first, "last": last, "within": within}
        )
    ]


def to_date(client: Client, unit: str, last: date, *, within: str) -> list[DayFigure]:
    """Flows of a unit up to a day and its stocks then; `day` is the first day with a report."""
    query = f"""
        SELECT metric, min(day),
               if(
                   metric IN (SELECT metric FROM metrics WHERE type = 'stock'),
                   argMax(value, day),
                   sum(value)
               ),
               if(
                   metric IN (SELECT metric FROM metrics WHERE type = 'stock'),
                   argMax(verified_value, day),
                   sum(verified_value)
               )
        FROM rollups
        WHERE {_OWN} AND day <= %(last)s AND {_IS_WITHIN}
        GROUP BY metric
        ORDER BY metric
    """
    return [
        DayFigure(*row)
        for row in client.execute(query, {"unit": unit, "last": last, "within": within})
    ]


def booth_activity(
    client: Client, unit: str, as_of: datetime, *, days: int, child_level: Level, within: str
) -> list[Activity]:
    """Booths below a unit by child and activity in the last days, as `unit_activity` has them."""
    query = f"""
        SELECT c.ancestor AS child, countIf(r.amount > 0), countIf(r.unit != '' AND r.amount = 0),
               countIf(r.unit = '')
        FROM units AS u
        LEFT JOIN (
            SELECT unit, sum(amount) AS amount
            FROM (
                -- a stock that was reported is no zero report, whether it changed or not
                SELECT unit,
                       if(
                           metric IN (SELECT metric FROM metrics WHERE type = 'stock'),
                           sum(reports),
                           toInt64(abs(sum(value)))
                       ) AS amount
                FROM journal FINAL
                WHERE level = 'booth' AND day > {_ON} - %(days)s AND day <= {_ON}
                GROUP BY unit, metric, day
                HAVING sum(reports) > 0
            )
            GROUP BY unit
        ) AS r ON r.unit = u.unit
        LEFT JOIN ({_CHILDREN}) AS c ON c.unit = u.unit
        WHERE u.level = 'booth' AND {_ON} BETWEEN u.valid_from AND u.valid_to
          AND u.unit IN ({_BELOW})
        GROUP BY child
    """
    wanted = {
        "unit": unit,
        "as_of": millis(as_of),
        "days": days,
        "child_level": child_level,
        "within": within,
    }
    return [Activity(*row) for row in client.execute(query, wanted)]


def age(client: Client, unit: str, as_of: datetime, *, within: str) -> Age:
    """Age of a unit's figures; an event counts for the ancestors of its day."""
    query = f"""
        SELECT count(), max(l.occurred_at), max(l.appended_at)
        FROM ledger AS l
        INNER JOIN (
            SELECT unit, valid_from, valid_to FROM unit_ancestors WHERE ancestor = %(unit)s
        ) AS u ON u.unit = l.unit
        INNER JOIN (
            SELECT unit, valid_from, valid_to FROM unit_ancestors WHERE ancestor = %(within)s
        ) AS w ON w.unit = l.unit
        WHERE l.day <= {_ON}
          AND l.day BETWEEN u.valid_from AND u.valid_to
          AND l.day BETWEEN w.valid_from AND w.valid_to
    """
    count, occurred, appended = client.execute(
        query, {"unit": unit, "as_of": millis(as_of), "within": within}
    )[0]
    (chunks, updated) = client.execute("SELECT count(), max(updated_at) FROM chunks")[0]
    reconciled = client.execute(
        "SELECT at, different = 0 FROM reconciliations ORDER BY at DESC LIMIT 1"
    )
    at, equal = reconciled[0] if reconciled else (None, None)
    return Age(
        occurred if count else None,
        appended if count else None,
        updated if chunks else None,
        at,
        None if equal is None else bool(equal),
    )
