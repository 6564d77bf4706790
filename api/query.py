"""The queries behind the paths, as SQL with bound parameters: pure, so that they can be read and tested by themselves.

Whatever is asked, `restricted` leaves only what lies at or below the token's unit, by the hierarchy of the row's own day.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Literal

import orjson

from api.clickhouse import Value
from pravah.days import KOLKATA
from pravah.problems import Problem
from pravah.units import Level
from sinks.recount import figures_by

Grain = Literal["day", "week", "month", "to_date"]
Boundaries = Literal["then", "now"]
Activity = Literal["silent", "zero", "active"]

_TODAY = "toDate(now(), 'Asia/Kolkata')"
_STOCKS = "(SELECT metric FROM metrics WHERE type = 'stock')"


@dataclass(frozen=True)
class Query:
    """SQL, its parameters, the columns of the answer, and those of them by which it is sorted: each row has its own."""

    sql: str
    parameters: Mapping[str, Value]
    columns: tuple[str, ...]
    sorted_by: tuple[str, ...]

    def page(self, limit: int, after: Sequence[str] | None) -> "Query":
        """At most so many rows, behind the one with these values of `sorted_by`."""
        behind = self.behind(after)
        return replace(
            behind,
            sql=f"{behind.sql} LIMIT {{page_limit:UInt64}}",
            parameters={**behind.parameters, "page_limit": limit},
        )

    def behind(self, after: Sequence[str] | None) -> "Query":
        """All rows in order, behind the one with these values of `sorted_by`. Keys are texts or days, and a day is in the order of its text: so a cursor may hold texts alone."""
        order = ", ".join(self.sorted_by)
        if after is None:
            return replace(self, sql=f"SELECT * FROM ({self.sql}) ORDER BY {order}")
        keys = ", ".join(f"toString({column})" for column in self.sorted_by)
        values = ", ".join(f"{{after_{number}:String}}" for number in range(len(after)))
        parameters = {
            **self.parameters,
            **{f"after_{number}": value for number, value in enumerate(after)},
        }
        return replace(
            self,
            sql=f"SELECT * FROM ({self.sql}) WHERE ({keys}) > ({values}) ORDER BY {order}",
            parameters=parameters,
        )


def cursor_text(values: Sequence[str]) -> str:
    """A row's `sorted_by` as it stands in a URL."""
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def cursor_values(text: str, count: int) -> list[str]:
    """Back.

    Raises:
        Problem: it is none of ours, or of another path.
    """
    try:
        values = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        values = None
    if (
        not isinstance(values, list)
        or len(values) != count
        or not all(isinstance(value, str) for value in values)
    ):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "cursor: it was not given out for this path, or was cut off; begin without one",
        )
    return values


@dataclass(frozen=True)
class Selection:
    """Which figures."""

    scope: str
    """The token's unit."""
    units: tuple[str, ...] = ()
    """These, or what is below them if `level` says so; the token's unit if there are none."""
    level: Level | None = None
    metrics: tuple[str, ...] = ()
    """All if there are none."""
    first: date | None = None
    last: date | None = None
    everything: bool = False
    """All that is at or below the units, of every level."""

    @property
    def chosen(self) -> tuple[str, ...]:
        """The units asked about."""
        return self.units or (self.scope,)


_FIGURES = ("day", "level", "unit", "metric", "value", "verified_value")
_NOW = f"""
    (SELECT a.unit AS unit, a.ancestor AS ancestor, a.ancestor_level AS ancestor_level, u.valid_from AS valid_from, u.valid_to AS valid_to
     FROM unit_ancestors AS a INNER JOIN units AS u ON u.unit = a.unit
     WHERE greatest(least({_TODAY}, u.valid_to), u.valid_from) BETWEEN a.valid_from AND a.valid_to)
"""
"""Who stands above whom today, for all days of a unit; above a unit that was closed, who stood there on its last day."""


def rollups(
    selection: Selection,
    *,
    grain: Grain = "day",
    boundaries: Boundaries = "then",
    as_of: datetime | None = None,
) -> Query:
    """Figures by day, week (its Monday), month (its first day), or one row to date.

    A week's or month's flow is the sum of its days, a stock's the value at its end. To date, a flow is the sum up to the last day asked for (today), a stock its value then.
    With the boundaries of now, every unit counts for those who stand above it today.
    """
    parameters: dict[str, Value] = {}
    source = "rollups"
    if as_of is not None:
        source = "rollups_as_known(as_of = {as_of:DateTime64(3)})"
        parameters["as_of"] = (
            f"{as_of.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{as_of.microsecond // 1000:03}"
        )
    if boundaries == "now":
        source = f"({figures_by(_NOW)})"
    conditions = []
    if selection.first and grain != "to_date":
        conditions.append("day >= {first:Date}")
        parameters["first"] = selection.first
    if selection.last or grain == "to_date":
        conditions.append(f"day <= {'{last:Date}' if selection.last else _TODAY}")
        parameters |= {"last": selection.last} if selection.last else {}
    inner, more = restricted(
        source, selection, conditions, hierarchy=_NOW if boundaries == "now" else "unit_ancestors"
    )
    if grain == "day":
        sql = (
            "SELECT day, toString(level) AS level, unit, metric, value, verified_value FROM"
            f" ({inner})"
        )
    else:
        begin = {
            "week": "toMonday(day)",
            "month": "toStartOfMonth(day)",
            "to_date": "{last:Date}" if selection.last else _TODAY,
        }[grain]
        sql = f"""
            SELECT begin AS day, level, unit, metric,
                   if(metric IN {_STOCKS}, argMax(value, of_day), sum(value)) AS value,
                   if(
                       metric IN {_STOCKS}, argMax(verified_value, of_day), sum(verified_value)
                   ) AS verified_value
            FROM (
                SELECT
                    {begin} AS begin, day AS of_day, toString(level) AS level, unit, metric, value,
                    verified_value
                FROM ({inner})
            )
            GROUP BY begin, level, unit, metric
        """
    return Query(sql, {**parameters, **more}, _FIGURES, ("day", "level", "unit", "metric"))


_PERIODS: dict[Grain, str] = {
    "day": "formatDateTime(day, '%Y%m%d')",
    "week": "concat(toString(toISOYear(day)), 'W', toString(toISOWeek(day)))",
    "month": "formatDateTime(day, '%Y%m')",
}
"""DHIS2's names of periods: `20220630`, `2022W26` (ISO), `202206`."""


def data_values(figures: Query, grain: Grain) -> Query:
    """Figures as DHIS2's data values: a data element for all, and one with `_verified` for what was verified."""
    columns = ("dataElement", "period", "orgUnit", "value")
    sql = f"""
        SELECT
            element.1 AS dataElement, {_PERIODS[grain]} AS period, unit AS orgUnit,
            toString(element.2) AS value
        FROM (
            SELECT
                day, unit,
                arrayJoin(
                    [(toString(metric), value), (concat(metric, '_verified'), verified_value)]
                ) AS element
            FROM ({figures.sql})
        )
    """
    return Query(sql, figures.parameters, columns, ("period", "orgUnit", "dataElement"))


def totals(selection: Selection) -> Query:
    """Flows to date and stocks now, by today's hierarchy."""
    inner, parameters = restricted(f"(SELECT *, {_TODAY} AS day FROM totals)", selection, [])
    sql = f"SELECT toString(level) AS level, unit, metric, value, verified_value FROM ({inner})"
    return Query(
        sql,
        parameters,
        ("level", "unit", "metric", "value", "verified_value"),
        ("level", "unit", "metric"),
    )


def plan_progress(selection: Selection, as_of: datetime, milestones: tuple[str, ...] = ()) -> Query:
    """How far the units below each unit are, as on the day of an instant."""
    source = """(
        SELECT
            p.*, m.name_en AS name_en, m.name_hi AS name_hi, m.deadline AS deadline,
            {on:Date} AS day, p.milestone AS metric
        FROM plan_progress_at(as_of = {as_of:DateTime64(3)}) AS p
        INNER JOIN (SELECT * FROM milestones ORDER BY plan, position LIMIT 1 BY milestone) AS m
          ON m.milestone = p.milestone
    )"""
    inner, parameters = restricted(source, replace(selection, metrics=milestones), [])
    columns = (
        "milestone",
        "name_en",
        "name_hi",
        "deadline",
        "level",
        "unit",
        "expected",
        "done_on_time",
        "done_late",
        "overdue",
        "due",
        "known_late",
    )
    sql = f"SELECT {_as_text(columns, 'level')} FROM ({inner})"
    return Query(sql, {**parameters, **_instant(as_of)}, columns, ("unit", "milestone"))


def plan_status(selection: Selection, as_of: datetime, milestones: tuple[str, ...] = ()) -> Query:
    """Each unit at or below the chosen ones with each milestone, as on the day of an instant."""
    source = (
        "(SELECT s.*, {on:Date} AS day, s.milestone AS metric FROM plan_status_at(as_of ="
        " {as_of:DateTime64(3)}) AS s)"
    )
    inner, parameters = restricted(
        source, replace(selection, metrics=milestones, everything=True), []
    )
    columns = (
        "milestone",
        "level",
        "unit",
        "deadline",
        "state",
        "done_at",
        "days_overdue",
        "known_at",
    )
    sql = (
        "SELECT milestone, toString(level) AS level, unit, deadline, toString(state) AS state,"
        f" done_at, days_overdue, known_at FROM ({inner})"
    )
    return Query(sql, {**parameters, **_instant(as_of)}, columns, ("unit", "milestone"))


def defaulters(
    selection: Selection,
    as_of: datetime,
    milestones: tuple[str, ...] = (),
    *,
    persons: bool = False,
) -> Query:
    """Who is overdue; with `persons` also whom to call, which only an account that may read `contacts` can ask."""
    source = (
        "(SELECT d.*, {on:Date} AS day, d.milestone AS metric FROM defaulters_at(as_of ="
        " {as_of:DateTime64(3)}) AS d)"
    )
    inner, parameters = restricted(
        source, replace(selection, metrics=milestones, everything=True), []
    )
    columns: tuple[str, ...] = (
        "unit",
        "level",
        "name_en",
        "name_hi",
        "milestone",
        "deadline",
        "days_overdue",
        "blocks",
        "responsible",
        "last_report",
    )
    sql = f"""
        SELECT
            d.unit AS unit, toString(d.level) AS level, u.name_en AS name_en, u.name_hi AS name_hi,
            d.milestone AS milestone, d.deadline AS deadline,
            d.days_overdue AS days_overdue, d.blocks AS blocks, d.responsible AS responsible,
            a.last_report AS last_report
        FROM ({inner}) AS d INNER JOIN units AS u ON u.unit = d.unit
        LEFT JOIN unit_activity(as_of = {{as_of:DateTime64(3)}}, days = 14) AS a ON a.unit = d.unit
    """
    if persons:
        columns += ("call_name", "call_phone", "call_language")
        # the office is a level and a role, as in `district in-charge`
        sql = f"""
            SELECT
                o.*, c.name AS call_name, c.phone AS call_phone,
                toString(c.language) AS call_language
            FROM (
                SELECT w.*, s.ancestor AS office_unit
                FROM (
                    SELECT
                        *, splitByChar(' ', responsible)[1] AS office_level,
                        substring(responsible, length(office_level) + 2) AS office_role
                    FROM ({sql})
                ) AS w
                LEFT JOIN (
                    SELECT unit, ancestor, toString(ancestor_level) AS ancestor_level
                    FROM unit_ancestors
                    WHERE {{on:Date}} BETWEEN valid_from AND valid_to
                ) AS s ON s.unit = w.unit AND s.ancestor_level = w.office_level
            ) AS o
            LEFT JOIN contacts AS c ON c.unit = o.office_unit AND c.role = o.office_role
        """
    return Query(sql, {**parameters, **_instant(as_of)}, columns, ("unit", "milestone"))


def completeness(selection: Selection, *, reporting_level: Level, days: int) -> Query:
    """How many units reported for each day from `first` to `last`, of those that were open, and how many of them in time."""
    source = (
        "(SELECT *, '' AS metric FROM reporting_rates(reporting_level = {reporting_level:String},"
        " first = {first:Date}, last = {last:Date}, days = {days:UInt16}))"
    )
    inner, parameters = restricted(source, selection, [])
    columns = (
        "day",
        "level",
        "unit",
        "expected",
        "reported",
        "on_time",
        "reporting_rate",
        "on_time_rate",
    )
    sql = f"SELECT {_as_text(columns, 'level')} FROM ({inner})"
    first, last = _span(selection)
    bound: dict[str, Value] = {
        "reporting_level": reporting_level,
        "first": first,
        "last": last,
        "days": days,
    }
    return Query(sql, {**parameters, **bound}, columns, ("day", "level", "unit"))


def forecast(
    selection: Selection, as_of: datetime, milestones: tuple[str, ...] = (), *, share: float
) -> Query:
    """By which day a share of the units below each unit will have each milestone, at the pace of the last week."""
    source = (
        "(SELECT f.*, {on:Date} AS day, f.milestone AS metric FROM plan_forecast_at(as_of ="
        " {as_of:DateTime64(3)}, share = {share:Float64}) AS f)"
    )
    inner, parameters = restricted(source, replace(selection, metrics=milestones), [])
    columns = (
        "milestone",
        "level",
        "unit",
        "deadline",
        "expected",
        "done",
        "recent",
        "goal",
        "outlook",
        "reached_at",
        "earliest",
        "latest",
    )
    sql = f"SELECT {_as_text(columns, 'level', 'outlook')} FROM ({inner})"
    return Query(
        sql, {**parameters, **_instant(as_of), "share": share}, columns, ("unit", "milestone")
    )


def unusual(selection: Selection) -> Query:
    """Reported values from `first` to `last` that stand out from the unit's own past or from its peers."""
    first, last = _span(selection)
    inner, parameters = restricted(
        "unusual_values(first = {first:Date}, last = {last:Date})",
        replace(selection, everything=True),
        [],
    )
    columns = ("day", "level", "unit", "metric", "amount", "usual", "own_z", "peer_z")
    sql = (
        "SELECT day, toString(level) AS level, unit, metric, amount, usual, own_z, peer_z FROM"
        f" ({inner})"
    )
    return Query(
        sql,
        {**parameters, "first": first, "last": last},
        columns,
        ("day", "level", "unit", "metric"),
    )


def members(selection: Selection, as_of: datetime, *, exact_up_to: int) -> Query:
    """Members as reported, verified, and how many different persons those with a keyed hash are."""
    source = (
        "(SELECT m.*, {on:Date} AS day, '' AS metric FROM members_at(as_of = {as_of:DateTime64(3)},"
        " exact_up_to = {exact_up_to:UInt64}) AS m)"
    )
    inner, parameters = restricted(source, selection, [])
    columns = (
        "level",
        "unit",
        "members",
        "verified",
        "named",
        "persons",
        "verified_persons",
        "method",
    )
    sql = f"SELECT {_as_text(columns, 'level', 'method')} FROM ({inner})"
    return Query(
        sql,
        {**parameters, **_instant(as_of), "exact_up_to": exact_up_to},
        columns,
        ("level", "unit"),
    )


def named_twice(selection: Selection, as_of: datetime) -> Query:
    """Who was reported more than once at or below one unit; units outside of it are not told."""
    (unit,) = selection.chosen
    columns = ("member_key", "memberships", "units", "first_day", "last_day")
    sql = "SELECT * FROM members_named_twice(as_of = {as_of:DateTime64(3)}, unit = {unit:String})"
    return Query(sql, {**_instant(as_of), "unit": unit}, columns, ("member_key",))


def activity(selection: Selection, as_of: datetime, *, days: int, state: Activity | None) -> Query:
    """Open units with the last day they reported anything, and whether they reported within so many days."""
    source = (
        "(SELECT a.*, {on:Date} AS day, '' AS metric FROM unit_activity(as_of ="
        " {as_of:DateTime64(3)}, days = {days:UInt16}) AS a)"
    )
    conditions = ["toString(state) = {state:String}"] if state else []
    inner, parameters = restricted(
        source, replace(selection, everything=selection.level is None), conditions
    )
    columns = ("unit", "level", "state", "last_report", "days_since")
    bound: dict[str, Value] = {"days": days, **({"state": state} if state else {})}
    return Query(
        f"SELECT {_as_text(columns, 'level', 'state')} FROM ({inner})",
        {**parameters, **_instant(as_of), **bound},
        columns,
        ("unit",),
    )


def units(selection: Selection) -> Query:
    """Units that were ever at or below the chosen ones, with their ancestors' codes and days."""
    below = "SELECT unit FROM unit_ancestors WHERE ancestor IN {chosen:Array(String)}"
    allowed = (
        ""
        if selection.scope == "IN"
        else "AND unit IN (SELECT unit FROM unit_ancestors WHERE ancestor = {scope:String})"
    )
    level = "AND toString(level) = {level:String}" if selection.level else ""
    columns = (
        "unit",
        "level",
        "name_en",
        "name_hi",
        "valid_from",
        "valid_to",
        "latitude",
        "longitude",
    )
    sql = f"""
        SELECT
            unit, toString(level) AS level, name_en, name_hi,
            nullIf(valid_from, toDate(0)) AS valid_from,
            nullIf(valid_to, toDate('2149-06-06')) AS valid_to,
            latitude, longitude
        FROM units WHERE unit IN ({below}) {allowed} {level}
    """
    parameters: dict[str, Value] = {
        "chosen": selection.chosen,
        "scope": selection.scope,
        **({"level": selection.level} if selection.level else {}),
    }
    return Query(sql, parameters, columns, ("unit",))


def metrics() -> Query:
    """The metric dictionary."""
    columns = ("metric", "type", "unit", "name_en", "name_hi")
    return Query(
        "SELECT metric, toString(type) AS type, unit, name_en, name_hi FROM metrics",
        {},
        columns,
        ("metric",),
    )


def _as_text(columns: Sequence[str], *names: str) -> str:
    """Columns to be selected, those of enumerations as text."""
    return ", ".join(
        f"toString({column}) AS {column}" if column in names else column for column in columns
    )


def _span(selection: Selection) -> tuple[date, date]:
    assert selection.first is not None
    assert selection.last is not None
    return selection.first, selection.last


def _instant(as_of: datetime) -> dict[str, Value]:
    return {
        "as_of": f"{as_of.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{as_of.microsecond // 1000:03}",
        "on": as_of.astimezone(KOLKATA).date(),
    }


def restricted(
    source: str, selection: Selection, conditions: list[str], *, hierarchy: str = "unit_ancestors"
) -> tuple[str, dict[str, Value]]:
    """Rows of a relation with `day`, `level`, `unit` and `metric`, of the chosen units or of a level below them, and never from outside the scope.

    Who is below whom is decided by the hierarchy of the row's day. A unit's own rows are within its scope on every day.
    """
    chosen, scope = selection.chosen, selection.scope
    parameters: dict[str, Value] = {"chosen": chosen}
    joins = []
    conditions = list(conditions)
    if selection.level is None and not selection.everything:
        conditions.append("unit IN {chosen:Array(String)}")
    else:
        if selection.level is not None:
            conditions.append("level = {level:String}")
            parameters["level"] = selection.level
        if chosen != ("IN",):
            conditions.append(
                f"unit IN (SELECT unit FROM {hierarchy} WHERE ancestor IN {{chosen:Array(String)}})"
            )
            joins.append(
                f"SELECT unit, valid_from, valid_to FROM {hierarchy} WHERE ancestor IN"
                " {chosen:Array(String)}"
            )
    if scope != "IN" and (chosen != (scope,)):
        conditions.append(
            f"unit IN (SELECT unit FROM {hierarchy} WHERE ancestor = {{scope:String}})"
        )
        joins.append(
            f"SELECT unit, valid_from, valid_to FROM {hierarchy} WHERE ancestor = {{scope:String}}"
        )
        parameters["scope"] = scope
    if selection.metrics:
        conditions.append("metric IN {metrics:Array(String)}")
        parameters["metrics"] = selection.metrics
    sql = f"SELECT * FROM {source}" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
    for number, join in enumerate(joins):
        spans = f"s{number}"
        on = f"{spans}.unit = r.unit AND r.day >= {spans}.valid_from AND r.day <= {spans}.valid_to"
        sql = f"SELECT r.* FROM ({sql}) AS r SEMI LEFT JOIN ({join}) AS {spans} ON {on}"
    return sql, parameters
