"""Queries of the plan's views, one function a view.

Migrations build views with them, several with different relations. They are part of released
migrations: what a function returns today must stay what it is, apart from white space and comments.
"""

# Parameter of the views that show the plan as of a moment.
AS_OF = "{as_of:DateTime64(3)}"
NOW = "now64(3)"

_FORECAST_DAYS = 7
_MIN_RECENT = 5
_MAX_DAYS = 365


def plan_done(database: str) -> str:
    """For each unit and milestone that was met: the day, and when the broker got the event."""
    return f"""
        WITH
            -- an entity counts unless its highest version is a retraction or was rejected
            entities AS (
                SELECT key, entity, max(version) AS highest,
                       maxIf(version, op = 'retract') AS retracted
                FROM {database}.plan_events FINAL
                GROUP BY key, entity
                HAVING argMax(op, version) = 'report'
                   AND argMax(verification, version) != 'rejected'
            ),
            -- of a stock every observation above the last retraction stands, the highest version of
            -- each moment; of a flow the highest version alone
            standing AS (
                SELECT unit, kind, data, day, appended_at
                FROM (
                    SELECT e.unit AS unit, e.kind AS kind, e.data AS data, e.day AS day,
                           e.appended_at AS appended_at, e.metrics AS metrics,
                           e.version = c.highest AS is_highest
                    FROM {database}.plan_events AS e FINAL
                    INNER JOIN entities AS c ON e.key = c.key AND e.entity = c.entity
                    WHERE e.version > c.retracted
                    ORDER BY e.version DESC
                    LIMIT 1 BY e.key, e.entity, e.occurred_at
                )
                WHERE is_highest OR hasAny(
                    metrics,
                    (SELECT groupArray(metric) FROM {database}.metrics WHERE type = 'stock')
                )
            ),
            conditions AS (
                SELECT plan, milestone, level, number, length(needs) AS needed,
                       need.kind AS kind, need.names_unit AS names_unit,
                       need.fields AS fields, need.options AS options
                FROM {database}.milestones
                ARRAY JOIN needs AS need, arrayEnumerate(needs) AS number
            ),
            met AS (
                SELECT c.plan AS plan, c.milestone AS milestone, c.number AS number,
                       c.needed AS needed,
                       arrayJoin(arrayDistinct(arrayPushFront(
                           if(
                               c.names_unit = 1,
                               JSONExtract(s.data, 'trained_units', 'Array(String)'),
                               []
                           ),
                           toString(s.unit)
                       ))) AS unit,
                       min((s.day, s.appended_at)) AS first
                FROM standing AS s
                INNER JOIN conditions AS c ON s.kind = c.kind
                WHERE NOT (JSONHas(s.data, 'active') AND NOT JSONExtractBool(s.data, 'active'))
                  AND arrayAll(
                      (field, options) -> has(
                          arrayMap(option -> JSONExtractRaw(option), options),
                          JSONExtractRaw(s.data, field)
                      ),
                      c.fields,
                      c.options
                  )
                GROUP BY plan, milestone, number, needed, unit
            )
        SELECT plan, milestone, unit, max(first.1) AS done_at, max(first.2) AS known_at
        FROM met
        WHERE splitByChar('-', unit)[1] = plan
        GROUP BY plan, milestone, needed, unit
        HAVING count() = needed
    """


def _relation(database: str, name: str) -> str:
    """A relation of a database, or one that needs none: an external table `_…` or a query `(…)`."""
    return name if name.startswith(("_", "(")) else f"{database}.{name}"


def plan_status(database: str, *, done: str, as_of: str) -> str:
    """One row for each milestone and unit of its level that is open on the day of `as_of`.

    What happened later is not seen.

    Args:
        database: name.
        done: relation with the columns of `plan_done`.
        as_of: SQL of a `DateTime64(3)`.
    """
    return f"""
        WITH toDate({as_of}, 'Asia/Kolkata') AS on_day
        SELECT milestone, level, unit, deadline,
               CAST(
                   multiIf(
                       done != toDate(0) AND done <= deadline, 1,
                       done != toDate(0), 2,
                       deadline < on_day, 3,
                       4
                   )
                   AS Enum8('done_on_time' = 1, 'done_late' = 2, 'overdue' = 3, 'due' = 4)
               ) AS state,
               nullIf(done, toDate(0)) AS done_at,
               if(state = 'overdue', toInt32(on_day - deadline), 0) AS days_overdue,
               if(done != toDate(0), known, NULL) AS known_at,
               plan, responsible, prerequisites, position
        FROM (
            SELECT e.plan AS plan, e.milestone AS milestone, e.level AS level, e.unit AS unit,
                   e.deadline AS deadline, e.responsible AS responsible,
                   e.prerequisites AS prerequisites, e.position AS position,
                   if(d.done_at <= on_day, d.done_at, toDate(0)) AS done, d.known_at AS known
            FROM (
                SELECT m.plan AS plan, m.milestone AS milestone, m.level AS level, u.unit AS unit,
                       m.deadline AS deadline, m.responsible AS responsible,
                       m.prerequisites AS prerequisites, m.position AS position
                FROM {database}.units AS u
                INNER JOIN {database}.milestones AS m ON u.level = m.level
                WHERE on_day BETWEEN u.valid_from AND u.valid_to
                  AND splitByChar('-', u.unit)[1] = m.plan
            ) AS e
            LEFT JOIN {_relation(database, done)} AS d
                ON d.plan = e.plan AND d.milestone = e.milestone AND d.unit = e.unit
        )
    """


def plan_progress(
    database: str, *, done: str, as_of: str, ancestors: str = "unit_ancestors"
) -> str:
    """`plan_status`, counted below every ancestor of that day.

    Args:
        database: name.
        done: relation with the columns of `plan_done`.
        as_of: SQL of a `DateTime64(3)`.
        ancestors: relation with the columns of `unit_ancestors`.
    """
    return f"""
        SELECT s.milestone AS milestone, a.ancestor_level AS level, a.ancestor AS unit,
               count() AS expected,
               countIf(s.state = 'done_on_time') AS done_on_time,
               countIf(s.state = 'done_late') AS done_late,
               countIf(s.state = 'overdue') AS overdue, countIf(s.state = 'due') AS due,
               countIf(
                   s.state = 'done_on_time' AND toDate(s.known_at, 'Asia/Kolkata') > s.deadline
               ) AS known_late
        FROM ({plan_status(database, done=done, as_of=as_of)}) AS s
        INNER JOIN {_relation(database, ancestors)} AS a ON a.unit = s.unit
        WHERE toDate({as_of}, 'Asia/Kolkata') BETWEEN a.valid_from AND a.valid_to
        GROUP BY milestone, level, unit
    """


def defaulters(database: str, *, status: str, progress: str) -> str:
    """Every overdue unit and milestone, and how many later milestones it blocks.

    Args:
        database: name.
        status: relation with the columns of `plan_status`, with its arguments if it has any.
        progress: relation with the columns of `plan_progress`, likewise.
    """
    return f"""
        SELECT s.milestone AS milestone, s.level AS level, s.unit AS unit, s.deadline AS deadline,
               s.days_overdue AS days_overdue, s.responsible AS responsible, s.plan AS plan,
               b.blocks AS blocks
        FROM {_relation(database, status)} AS s
        LEFT JOIN (
            SELECT milestone, unit, sum(open) AS blocks
            FROM (
                SELECT p.unit AS unit, p.overdue + p.due AS open,
                       arrayJoin(m.waits_for) AS milestone
                FROM {_relation(database, progress)} AS p
                INNER JOIN {database}.milestones AS m ON m.milestone = p.milestone
                WHERE startsWith(p.unit, m.plan)
            )
            GROUP BY milestone, unit
        ) AS b ON b.milestone = s.milestone AND b.unit = s.unit
        WHERE s.state = 'overdue'
    """


def plan_forecast(
    database: str, *, done: str, as_of: str, share: str, ancestors: str = "unit_ancestors"
) -> str:
    """For each milestone and ancestor: the day on which a share of the units will have it.

    `sinks/migrations/m0009_forecast_and_unusual_values.py` explains the method. A forecast counts
    whole days, up to the evening of the day of `as_of`.

    Args:
        database: name.
        done: relation with the columns of `plan_done`.
        as_of: SQL of a `DateTime64(3)`.
        share: SQL of a number above 0 and at most 1.
        ancestors: relation with the columns of `unit_ancestors`; it has the states.
    """
    days = _FORECAST_DAYS
    return f"""
        WITH
            toDate({as_of}, 'Asia/Kolkata') AS on_day,
            toUInt32(ceil(least(1, {share}) * expected - 0.000001)) AS goal,
            toInt64(goal) - toInt64(done) AS missing,
            expected - done AS open,
            recent / ({days} * (open + recent / 2)) AS chance,
            log(
                (of_all_recent + 1) / (of_all_open + of_all_recent / 2 + 1)
                / (
                    (of_all_before + 1)
                    / (of_all_open + of_all_recent + of_all_before / 2 + 1)
                )
            ) / {days} AS measured,
            greatest(-0.5, least(0.5, if(measured > 0, measured / 2, measured))) AS trend,
            log((open + 0.5) / (open - missing + 0.5)) AS risk,
            1 + trend * risk / (chance * exp(trend * {days} / 2)) AS bend,
            if(abs(trend) < 0.000001, risk / chance, log(greatest(bend, 0.000001)) / trend) AS days,
            1 / recent + (1 / (open - missing + 0.5) - 1 / (open + 0.5)) / pow(risk, 2) AS spread,
            days * exp(-1.2816 * sqrt(spread + 0.5)) AS soonest,
            days * exp(1.2816 * sqrt(spread + 2.25)) AS slowest,
            CAST(
                multiIf(
                    missing <= 0, 1,
                    recent < {_MIN_RECENT}, 4,
                    bend <= 0 OR days > {_MAX_DAYS}, 3,
                    2
                )
                AS Enum8('reached' = 1, 'forecast' = 2, 'not_in_sight' = 3, 'too_little' = 4)
            ) AS outlook
        SELECT milestone, level, unit, plan, deadline, position, expected, done, recent, goal,
               outlook,
               multiIf(
                   outlook = 'reached', arraySort(days_done)[goal],
                   outlook = 'forecast', on_day + toInt32(greatest(ceil(days), 1)),
                   NULL
               ) AS reached_at,
               if(
                   outlook = 'forecast', on_day + toInt32(greatest(floor(soonest), 1)), NULL
               ) AS earliest,
               if(
                   outlook = 'forecast' AND slowest <= {_MAX_DAYS},
                   on_day + toInt32(ceil(slowest)),
                   NULL
               ) AS latest
        FROM (
            SELECT *,
                   sumIf(recent, level = 'state') OVER whole AS of_all_recent,
                   sumIf(before, level = 'state') OVER whole AS of_all_before,
                   sumIf(expected - done, level = 'state') OVER whole AS of_all_open
            FROM (
                SELECT s.milestone AS milestone, a.ancestor_level AS level, a.ancestor AS unit,
                       any(s.plan) AS plan, any(s.deadline) AS deadline,
                       any(s.position) AS position, count() AS expected,
                       count(s.done_at) AS done,
                       countIf(s.done_at > on_day - {days}) AS recent,
                       countIf(
                           s.done_at > on_day - {2 * days} AND s.done_at <= on_day - {days}
                       ) AS before,
                       groupArray(s.done_at) AS days_done
                FROM ({plan_status(database, done=done, as_of=as_of)}) AS s
                INNER JOIN {_relation(database, ancestors)} AS a ON a.unit = s.unit
                WHERE on_day BETWEEN a.valid_from AND a.valid_to
                GROUP BY milestone, level, unit
            )
            WINDOW whole AS (PARTITION BY milestone)
        )
    """
