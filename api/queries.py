"""The queries behind the paths: each takes a selection and returns SQL with bound parameters. Pure.

Every query reads rows within the token's scope, from `query.apply_scope` or its like.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Literal

from api.clickhouse import Value
from api.query import Query, Selection, apply_scope, read_open_table, units_in_scope
from pravah.days import KOLKATA
from pravah.units import Level
from sinks.lookup import CONTAINS, search_parameters
from sinks.members import memberships
from sinks.recount import figures_by

Grain = Literal["day", "week", "month", "to_date"]
Boundaries = Literal["then", "now"]
Activity = Literal["silent", "zero", "active"]

_TODAY = "toDate(now(), 'Asia/Kolkata')"
_STOCKS = "(SELECT metric FROM metrics WHERE type = 'stock')"

_FIGURE_COLUMNS = ("day", "level", "unit", "metric", "value", "verified_value")
# The hierarchy of today, for all days of a unit; of a closed unit, that of its last day.
_TODAYS_HIERARCHY = f"""(
    SELECT
        a.unit AS unit, a.ancestor AS ancestor, a.ancestor_level AS ancestor_level,
        u.valid_from AS valid_from, u.valid_to AS valid_to
    FROM unit_ancestors AS a
    INNER JOIN units AS u ON u.unit = a.unit
    WHERE greatest(least({_TODAY}, u.valid_to), u.valid_from) BETWEEN a.valid_from AND a.valid_to
)"""


def rollups(
    selection: Selection,
    *,
    grain: Grain = "day",
    boundaries: Boundaries = "then",
    as_of: datetime | None = None,
) -> Query:
    """Figures by day, week (its Monday), month (its first day), or one row to date.

    Of a week or month, a flow is the sum of its days and a stock its value at the end. To date, a
    flow is the sum up to `selection.last` (by default today), a stock its value on that day.

    Args:
        selection: units, metrics and days.
        grain: what a row covers.
        boundaries: roll up by the hierarchy of each figure's day (`then`), or of today (`now`).
        as_of: figures as known at this instant; now if None.
    """
    parameters: dict[str, Value] = {}
    source = "rollups"
    if as_of is not None:
        source = "rollups_as_known(as_of = {as_of:DateTime64(3)})"
        parameters["as_of"] = (
            f"{as_of.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{as_of.microsecond // 1000:03}"
        )
    if boundaries == "now":
        source = f"({figures_by(_TODAYS_HIERARCHY)})"
    conditions = []
    if selection.first and grain != "to_date":
        conditions.append("day >= {first:Date}")
        parameters["first"] = selection.first
    if selection.last or grain == "to_date":
        conditions.append(f"day <= {'{last:Date}' if selection.last else _TODAY}")
        parameters |= {"last": selection.last} if selection.last else {}
    rows = apply_scope(
        source,
        selection,
        conditions,
        hierarchy=_TODAYS_HIERARCHY if boundaries == "now" else "unit_ancestors",
    )
    if grain == "day":
        sql = f"""
            SELECT day, toString(level) AS level, unit, metric, value, verified_value
            FROM ({rows.sql})
        """
    else:
        begin = {
            "week": "toMonday(day)",
            "month": "toStartOfMonth(day)",
            "to_date": "{last:Date}" if selection.last else _TODAY,
        }[grain]
        sql = f"""
            SELECT
                begin AS day, level, unit, metric,
                if(metric IN {_STOCKS}, argMax(value, of_day), sum(value)) AS value,
                if(
                    metric IN {_STOCKS}, argMax(verified_value, of_day), sum(verified_value)
                ) AS verified_value
            FROM (
                SELECT
                    {begin} AS begin, day AS of_day, toString(level) AS level, unit, metric, value,
                    verified_value
                FROM ({rows.sql})
            )
            GROUP BY begin, level, unit, metric
        """
    return rows.query(sql, _FIGURE_COLUMNS, ("day", "level", "unit", "metric"), parameters)


# DHIS2's names of periods: `20220630`, `2022W26` (ISO), `202206`.
_PERIODS: dict[Grain, str] = {
    "day": "formatDateTime(day, '%Y%m%d')",
    "week": "concat(toString(toISOYear(day)), 'W', toString(toISOWeek(day)))",
    "month": "formatDateTime(day, '%Y%m')",
}


def data_values(figures: Query, grain: Grain) -> Query:
    """Figures as DHIS2's data values: a data element per metric, and one `…_verified`."""
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
    return figures.over(sql, columns, ("period", "orgUnit", "dataElement"))


def totals(selection: Selection) -> Query:
    """Flows to date and stocks now, by today's hierarchy."""
    rows = apply_scope(f"(SELECT *, {_TODAY} AS day FROM totals)", selection, [])
    sql = f"SELECT toString(level) AS level, unit, metric, value, verified_value FROM ({rows.sql})"
    return rows.query(
        sql, ("level", "unit", "metric", "value", "verified_value"), ("level", "unit", "metric")
    )


def plan_progress(selection: Selection, as_of: datetime, milestones: tuple[str, ...] = ()) -> Query:
    """Number of units by state of each milestone, below each unit, on the day of an instant."""
    source = """(
        SELECT
            p.*, m.name_en AS name_en, m.name_hi AS name_hi, m.deadline AS deadline,
            {on:Date} AS day, p.milestone AS metric
        FROM plan_progress_at(as_of = {as_of:DateTime64(3)}) AS p
        INNER JOIN (SELECT * FROM milestones ORDER BY plan, position LIMIT 1 BY milestone) AS m
          ON m.milestone = p.milestone
    )"""
    rows = apply_scope(source, replace(selection, metrics=milestones), [])
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
    sql = f"SELECT {_as_text(columns, 'level')} FROM ({rows.sql})"
    return rows.query(sql, columns, ("unit", "milestone"), _as_of(as_of))


def plan_status(selection: Selection, as_of: datetime, milestones: tuple[str, ...] = ()) -> Query:
    """State of each milestone of each unit at or below the chosen ones, on a day."""
    source = """(
        SELECT s.*, {on:Date} AS day, s.milestone AS metric
        FROM plan_status_at(as_of = {as_of:DateTime64(3)}) AS s
    )"""
    rows = apply_scope(source, replace(selection, metrics=milestones, include_descendants=True), [])
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
    sql = f"SELECT {_as_text(columns, 'level', 'state')} FROM ({rows.sql})"
    return rows.query(sql, columns, ("unit", "milestone"), _as_of(as_of))


def defaulters(
    selection: Selection,
    as_of: datetime,
    milestones: tuple[str, ...] = (),
    *,
    persons: bool = False,
) -> Query:
    """Units that are overdue.

    With `persons` also whom to call, if the office is within the token's scope; the query then
    needs an account that may read `contacts`.
    """
    source = """(
        SELECT d.*, {on:Date} AS day, d.milestone AS metric
        FROM defaulters_at(as_of = {as_of:DateTime64(3)}) AS d
    )"""
    rows = apply_scope(source, replace(selection, metrics=milestones, include_descendants=True), [])
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
            d.milestone AS milestone, d.deadline AS deadline, d.days_overdue AS days_overdue,
            d.blocks AS blocks, d.responsible AS responsible, a.last_report AS last_report
        FROM ({rows.sql}) AS d INNER JOIN units AS u ON u.unit = d.unit
        LEFT JOIN unit_activity(as_of = {{as_of:DateTime64(3)}}, days = 14) AS a ON a.unit = d.unit
    """
    if persons:
        columns += ("call_name", "call_phone", "call_language")
        # the office is a level and a role, as in `district in-charge`; it may lie above the scope
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
                      AND ancestor IN (
                          SELECT unit FROM unit_ancestors
                          WHERE ancestor = {{token_unit:String}}
                            AND {{on:Date}} BETWEEN valid_from AND valid_to
                      )
                ) AS s ON s.unit = w.unit AND s.ancestor_level = w.office_level
            ) AS o
            LEFT JOIN contacts AS c ON c.unit = o.office_unit AND c.role = o.office_role
        """
    bound = {**_as_of(as_of), **({"token_unit": selection.holder.unit} if persons else {})}
    return rows.query(sql, columns, ("unit", "milestone"), bound)


def completeness(selection: Selection, *, reporting_level: Level, days: int) -> Query:
    """Of the units open on each day, how many reported for it, and how many in time.

    Args:
        selection: units, and the days from `first` to `last`.
        reporting_level: level of the units that are to report.
        days: a report is in time until the end of this many days after its day.
    """
    source = """(
        SELECT *, '' AS metric
        FROM reporting_rates(
            reporting_level = {reporting_level:String},
            first = {first:Date}, last = {last:Date}, days = {days:UInt16}
        )
    )"""
    rows = apply_scope(source, selection, [])
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
    sql = f"SELECT {_as_text(columns, 'level')} FROM ({rows.sql})"
    first, last = _days(selection)
    bound: dict[str, Value] = {
        "reporting_level": reporting_level,
        "first": first,
        "last": last,
        "days": days,
    }
    return rows.query(sql, columns, ("day", "level", "unit"), bound)


def forecast(
    selection: Selection, as_of: datetime, milestones: tuple[str, ...] = (), *, share: float
) -> Query:
    """Day by which a share of the units will have each milestone, at the last week's pace."""
    source = """(
        SELECT f.*, {on:Date} AS day, f.milestone AS metric
        FROM plan_forecast_at(as_of = {as_of:DateTime64(3)}, share = {share:Float64}) AS f
    )"""
    rows = apply_scope(source, replace(selection, metrics=milestones), [])
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
    sql = f"SELECT {_as_text(columns, 'level', 'outlook')} FROM ({rows.sql})"
    return rows.query(sql, columns, ("unit", "milestone"), {**_as_of(as_of), "share": share})


def unusual(selection: Selection) -> Query:
    """Reported values that are outliers, in the unit's past or among its peers."""
    first, last = _days(selection)
    rows = apply_scope(
        "unusual_values(first = {first:Date}, last = {last:Date})",
        replace(selection, include_descendants=True),
        [],
    )
    columns = ("day", "level", "unit", "metric", "amount", "usual", "own_z", "peer_z")
    sql = f"SELECT {_as_text(columns, 'level')} FROM ({rows.sql})"
    return rows.query(
        sql, columns, ("day", "level", "unit", "metric"), {"first": first, "last": last}
    )


def members(selection: Selection, as_of: datetime, *, exact_up_to: int) -> Query:
    """Members as reported, verified, and as distinct persons (of those with a keyed hash).

    Above `exact_up_to` hashes below a unit, its persons are approximate.
    """
    source = """(
        SELECT m.*, {on:Date} AS day, '' AS metric
        FROM members_at(as_of = {as_of:DateTime64(3)}, exact_up_to = {exact_up_to:UInt64}) AS m
    )"""
    rows = apply_scope(source, selection, [])
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
    sql = f"SELECT {_as_text(columns, 'level', 'method')} FROM ({rows.sql})"
    return rows.query(
        sql, columns, ("level", "unit"), {**_as_of(as_of), "exact_up_to": exact_up_to}
    )


def named_twice(selection: Selection, as_of: datetime) -> Query:
    """Members reported more than once at or below one unit.

    Only memberships that a unit within the scope reported on a day on which it was there.
    """
    source = f"""(
        SELECT
            m.unit AS unit, m.day AS day, '' AS level, '' AS metric,
            arrayJoin(arrayDistinct(m.member_keys)) AS member
        FROM ({memberships("{on:Date}")}) AS m
    )"""
    rows = apply_scope(source, replace(selection, include_descendants=True), [])
    columns = ("member_key", "memberships", "units", "first_day", "last_day")
    sql = f"""
        SELECT
            lower(hex(member)) AS member_key, count() AS memberships,
            arraySort(groupUniqArray(toString(unit))) AS units, min(day) AS first_day,
            max(day) AS last_day
        FROM ({rows.sql})
        GROUP BY member
        HAVING memberships > 1
    """
    return rows.query(sql, columns, ("member_key",), {"on": _as_of(as_of)["on"]})


def activity(selection: Selection, as_of: datetime, *, days: int, state: Activity | None) -> Query:
    """Open units: the day of their last report, and whether they reported in the last `days`."""
    source = """(
        SELECT a.*, {on:Date} AS day, '' AS metric
        FROM unit_activity(as_of = {as_of:DateTime64(3)}, days = {days:UInt16}) AS a
    )"""
    conditions = ["toString(state) = {state:String}"] if state else []
    rows = apply_scope(
        source, replace(selection, include_descendants=selection.level is None), conditions
    )
    columns = ("unit", "level", "state", "last_report", "days_since")
    bound: dict[str, Value] = {"days": days, **({"state": state} if state else {})}
    sql = f"SELECT {_as_text(columns, 'level', 'state')} FROM ({rows.sql})"
    return rows.query(sql, columns, ("unit",), {**_as_of(as_of), **bound})


def units(selection: Selection, *, containing: str | None = None) -> Query:
    """Units that are or were at or below the chosen ones.

    Args:
        selection: units and level.
        containing: only those whose code or name contains this text.
    """
    rows = units_in_scope(selection)
    search = "" if containing is None else f"WHERE {CONTAINS}"
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
        FROM ({rows.sql}) {search}
    """
    bound = {} if containing is None else search_parameters(containing)
    return rows.query(sql, columns, ("unit",), bound)


def metrics() -> Query:
    """The metric dictionary."""
    columns = ("metric", "type", "unit", "name_en", "name_hi")
    rows = read_open_table("metrics")
    sql = f"SELECT metric, toString(type) AS type, unit, name_en, name_hi FROM ({rows.sql})"
    return rows.query(sql, columns, ("metric",))


def _as_text(columns: Sequence[str], *names: str) -> str:
    """A list of columns in SQL, with those in `names` (enumerations) as text."""
    return ", ".join(
        f"toString({column}) AS {column}" if column in names else column for column in columns
    )


def _days(selection: Selection) -> tuple[date, date]:
    assert selection.first is not None
    assert selection.last is not None
    return selection.first, selection.last


def _as_of(as_of: datetime) -> dict[str, Value]:
    return {
        "as_of": f"{as_of.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{as_of.microsecond // 1000:03}",
        "on": as_of.astimezone(KOLKATA).date(),
    }
