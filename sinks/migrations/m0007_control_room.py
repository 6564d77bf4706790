"""Views of the control room: overdue units and what they block, silent units, whom to call.

- `contacts`: who holds which office in which unit, and how to reach them. The one table with names
  and phone numbers: only the writer's and the state's own account may read it.
- `unit_activity(as_of, days)`: for each open unit the last day it reported anything, and whether it
  was silent in the last `days` days, or reported nothing but zeros, which is another thing.
- `reporting_rates(reporting_level, first, last, days)`: completeness and timeliness as DHIS2 has
  them, for each day and ancestor: how many units of a level were open, how many of them reported
  anything for that day, and how many did so by the end of the `days`-th day after it. A unit is
  counted where it stood on that day, and only while it was open, so no rate passes 1.
- `defaulters_at(as_of)`: every overdue unit and milestone. `blocks` is how many units, itself and
  those below it, cannot have a later milestone of theirs before this one.
"""

from sinks.migrate import Schema
from sinks.plan_views import AS_OF, defaulters


def forward(schema: Schema) -> list[str]:
    """Create the table and the views."""
    database = schema.database
    as_of = f"(as_of = {AS_OF})"
    return [
        *schema.create_table(
            "contacts",
            """
            unit String, role LowCardinality(String), name String, phone String,
            language Enum8('hi' = 1, 'en' = 2)
            """,
            engine="MergeTree()",
            order_by="unit, role",
        ),
        schema.create_view("unit_activity", activity(database)),
        schema.create_view("reporting_rates", rates(database)),
        schema.create_view(
            "defaulters_at",
            defaulters(
                database, status=f"plan_status_at{as_of}", progress=f"plan_progress_at{as_of}"
            ),
        ),
        schema.create_view(
            "defaulters", defaulters(database, status="plan_status", progress="plan_progress")
        ),
    ]


def activity(database: str, as_of: str = AS_OF) -> str:
    """Query of `unit_activity`; `as_of` is SQL of a `DateTime64(3)`."""
    return f"""
        WITH toDate({as_of}, 'Asia/Kolkata') AS on_day, on_day - {{days:UInt16}} AS before
        SELECT u.unit AS unit, u.level AS level,
               nullIf(r.last_day, toDate(0)) AS last_report,
               if(r.last_day = toDate(0), NULL, toInt32(on_day - r.last_day)) AS days_since,
               CAST(
                   multiIf(r.recent = 0, 1, r.amount = 0, 2, 3)
                   AS Enum8('silent' = 1, 'zero' = 2, 'active' = 3)
               ) AS state
        FROM {database}.units AS u
        LEFT JOIN (
            SELECT level, unit, max(day) AS last_day, sumIf(reports, day > before) AS recent,
                   sumIf(amount, day > before) AS amount
            FROM (
                -- a stock that was reported is no zero report, whether it changed or not
                SELECT level, unit, metric, day, sum(reports) AS reports,
                       if(
                           metric IN (SELECT metric FROM {database}.metrics WHERE type = 'stock'),
                           reports,
                           toInt64(abs(sum(value)))
                       ) AS amount
                FROM {database}.journal FINAL
                WHERE day <= on_day
                GROUP BY level, unit, metric, day
                HAVING reports > 0
            )
            GROUP BY level, unit
        ) AS r ON r.unit = u.unit AND r.level = u.level
        WHERE on_day BETWEEN u.valid_from AND u.valid_to
    """


def rates(database: str, first: str = "{first:Date}", last: str = "{last:Date}") -> str:
    """Query of `reporting_rates`; `first` and `last` are SQL of a `Date`."""
    days = (
        f"arrayMap(offset -> {first} + offset, range(toUInt32(greatest(0, {last} - {first} + 1))))"
    )
    units = f"""
        SELECT u.unit FROM {database}.units AS u
        WHERE toString(u.level) = {{reporting_level:String}}
    """
    return f"""
        SELECT e.day AS day, e.level AS level, e.unit AS unit, e.expected AS expected,
               r.reported AS reported, r.on_time AS on_time,
               r.reported / e.expected AS reporting_rate, r.on_time / e.expected AS on_time_rate
        FROM (
            SELECT day, a.ancestor_level AS level, a.ancestor AS unit, count() AS expected
            FROM {database}.unit_ancestors AS a
            ARRAY JOIN {days} AS day
            WHERE a.unit IN ({units}) AND day BETWEEN a.valid_from AND a.valid_to
            GROUP BY day, level, unit
        ) AS e
        LEFT JOIN (
            SELECT s.day AS day, a.ancestor AS unit, count() AS reported,
                   countIf(s.arrived <= s.day + {{days:UInt16}}) AS on_time
            FROM (
                SELECT l.unit AS unit, l.day AS day,
                       min(toDate(l.appended_at, 'Asia/Kolkata')) AS arrived
                FROM {database}.ledger AS l FINAL
                WHERE l.op = 'report' AND l.day BETWEEN {first} AND {last} AND l.unit IN ({units})
                GROUP BY unit, day
            ) AS s
            INNER JOIN {database}.unit_ancestors AS a ON a.unit = s.unit
            WHERE s.day BETWEEN a.valid_from AND a.valid_to
            GROUP BY day, unit
        ) AS r ON r.day = e.day AND r.unit = e.unit
    """


def backward(schema: Schema) -> list[str]:
    """Drop the tables and views of this step."""
    views = ("defaulters", "defaulters_at", "reporting_rates", "unit_activity")
    return [*(schema.drop_view(name) for name in views), *schema.drop_table("contacts")]
