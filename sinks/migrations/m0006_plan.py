"""The programme's plan, and how far each unit is with it.

- `plans`: one row per milestone and load of a plan; the last load of each plan is in force, earlier ones are its history. A load is one insert, so nobody sees half of it.
  `waits_for` has the prerequisites of its prerequisites as well.
- `plan_kinds`: the kinds of events that any load ever waited for.
- `plan_events`: what of the ledger these conditions need, copied by the materialized view `plan_events_feed` as rows arrive: rows of those kinds, and every version above the first,
  since a correction may take an entity to another kind. It replaces as the ledger does, so a chunk that is folded again changes nothing.
- `plan_done`: for each unit and milestone that was met, the day on which the last of its conditions was first met, and when the broker took in the event that says so.
"""

from sinks.migrate import Schema
from sinks.migrations.m0001_ledger_and_journal import LEVEL

PLAN_EVENTS = """
    key LowCardinality(String), entity String CODEC(ZSTD(1)), version UInt64, partition Int32, offset UInt64,
    op Enum8('report' = 1, 'retract' = 2), unit LowCardinality(String), kind LowCardinality(String), occurred_at DateTime64(6, 'Asia/Kolkata'), day Date,
    verification Enum8('unverified' = 1, 'verified' = 2, 'rejected' = 3), data String CODEC(ZSTD(1)), metrics Array(LowCardinality(String)),
    appended_at DateTime64(3, 'Asia/Kolkata'), correction UInt32, deleted UInt8
"""
COPIED = "key, entity, version, partition, offset, op, unit, kind, occurred_at, day, verification, data, metrics, appended_at, correction, deleted"

_AS_OF = "{as_of:DateTime64(3)}"
"""What the parameterised views are asked for."""


def forward(schema: Schema) -> list[str]:
    """Make the tables and the views."""
    database = schema.database
    return [
        *schema.create_table(
            "plans",
            f"""
            plan LowCardinality(String), loaded_at DateTime64(6, 'Asia/Kolkata'), author String, reason String, fingerprint String, position UInt16,
            milestone String, level {LEVEL}, name_en String, name_hi String, deadline Date, responsible String, responsible_hi String,
            prerequisites Array(String), waits_for Array(String),
            needs Array(Tuple(kind String, names_unit UInt8, fields Array(String), options Array(Array(String))))
            """,
            engine="MergeTree()",
            order_by="plan, loaded_at, position",
        ),
        *schema.create_table(
            "plan_kinds", "kind String", engine="ReplacingMergeTree()", order_by="kind"
        ),
        *schema.create_table(
            "plan_events",
            PLAN_EVENTS,
            engine="ReplacingMergeTree(correction, deleted)",
            order_by="key, entity, version, partition, offset",
            shard_by="partition",
        ),
        schema.create_feed(
            "plan_events_feed",
            "ledger",
            "plan_events",
            f"SELECT {COPIED} FROM {{source}} WHERE kind IN (SELECT kind FROM {database}.plan_kinds) OR version > 1 OR deleted",
        ),
        schema.create_view(
            "milestones",
            f"""
            SELECT plan, milestone, level, name_en, name_hi, deadline, responsible, responsible_hi, prerequisites, waits_for, needs,
                   position, loaded_at FROM {database}.plans
            WHERE (plan, loaded_at) IN (SELECT plan, max(loaded_at) FROM {database}.plans GROUP BY plan)
            """,
        ),
        schema.create_view("plan_done", _DONE.format(database=database)),
        schema.create_view("plan_status_at", status(database, _AS_OF)),
        schema.create_view("plan_status", status(database, "now64(3)")),
        schema.create_view("plan_progress_at", _progress(database, _AS_OF)),
        schema.create_view("plan_progress", _progress(database, "now64(3)")),
    ]


_DONE = """
    WITH
        -- an entity counts unless its highest version is a retraction or was rejected
        entities AS (
            SELECT key, entity, max(version) AS highest, maxIf(version, op = 'retract') AS retracted
            FROM {database}.plan_events FINAL GROUP BY key, entity
            HAVING argMax(op, version) = 'report' AND argMax(verification, version) != 'rejected'
        ),
        -- of a stock every observation above the last retraction stands, the highest version of each moment; of a flow the highest version alone
        standing AS (
            SELECT unit, kind, data, day, appended_at
            FROM (
                SELECT e.unit AS unit, e.kind AS kind, e.data AS data, e.day AS day, e.appended_at AS appended_at, e.metrics AS metrics, e.version = c.highest AS is_highest
                FROM {database}.plan_events AS e FINAL INNER JOIN entities AS c ON e.key = c.key AND e.entity = c.entity
                WHERE e.version > c.retracted
                ORDER BY e.version DESC LIMIT 1 BY e.key, e.entity, e.occurred_at
            )
            WHERE is_highest OR hasAny(metrics, (SELECT groupArray(metric) FROM {database}.metrics WHERE type = 'stock'))
        ),
        conditions AS (
            SELECT plan, milestone, level, number, length(needs) AS needed, need.kind AS kind, need.names_unit AS names_unit, need.fields AS fields, need.options AS options
            FROM {database}.milestones ARRAY JOIN needs AS need, arrayEnumerate(needs) AS number
        ),
        met AS (
            SELECT c.plan AS plan, c.milestone AS milestone, c.number AS number, c.needed AS needed,
                   arrayJoin(arrayDistinct(arrayPushFront(if(c.names_unit = 1, JSONExtract(s.data, 'trained_units', 'Array(String)'), []), toString(s.unit)))) AS unit,
                   min((s.day, s.appended_at)) AS first
            FROM standing AS s INNER JOIN conditions AS c ON s.kind = c.kind
            WHERE NOT (JSONHas(s.data, 'active') AND NOT JSONExtractBool(s.data, 'active'))
              AND arrayAll((field, options) -> has(arrayMap(option -> JSONExtractRaw(option), options), JSONExtractRaw(s.data, field)), c.fields, c.options)
            GROUP BY plan, milestone, number, needed, unit
        )
    SELECT plan, milestone, unit, max(first.1) AS done_at, max(first.2) AS known_at
    FROM met WHERE splitByChar('-', unit)[1] = plan
    GROUP BY plan, milestone, needed, unit HAVING count() = needed
"""


def status(database: str, as_of: str) -> str:
    """One row per expected unit and milestone: every unit of the milestone's level that is open on the day of `as_of`; what happened later is not seen."""
    return f"""
        WITH toDate({as_of}, 'Asia/Kolkata') AS on_day
        SELECT milestone, level, unit, deadline,
               CAST(multiIf(done != toDate(0) AND done <= deadline, 1, done != toDate(0), 2, deadline < on_day, 3, 4)
                    AS Enum8('done_on_time' = 1, 'done_late' = 2, 'overdue' = 3, 'due' = 4)) AS state,
               nullIf(done, toDate(0)) AS done_at, if(state = 'overdue', toInt32(on_day - deadline), 0) AS days_overdue,
               if(done != toDate(0), known, NULL) AS known_at, plan, responsible, prerequisites, position
        FROM (
            SELECT e.plan AS plan, e.milestone AS milestone, e.level AS level, e.unit AS unit, e.deadline AS deadline, e.responsible AS responsible,
                   e.prerequisites AS prerequisites, e.position AS position,
                   if(d.done_at <= on_day, d.done_at, toDate(0)) AS done, d.known_at AS known
            FROM (
                SELECT m.plan AS plan, m.milestone AS milestone, m.level AS level, u.unit AS unit, m.deadline AS deadline, m.responsible AS responsible,
                       m.prerequisites AS prerequisites, m.position AS position
                FROM {database}.units AS u INNER JOIN {database}.milestones AS m ON u.level = m.level
                WHERE on_day BETWEEN u.valid_from AND u.valid_to AND splitByChar('-', u.unit)[1] = m.plan
            ) AS e
            LEFT JOIN {database}.plan_done AS d ON d.plan = e.plan AND d.milestone = e.milestone AND d.unit = e.unit
        )
    """


def _progress(database: str, as_of: str) -> str:
    """The same, counted below every ancestor of that day."""
    return f"""
        SELECT s.milestone AS milestone, a.ancestor_level AS level, a.ancestor AS unit, count() AS expected,
               countIf(s.state = 'done_on_time') AS done_on_time, countIf(s.state = 'done_late') AS done_late,
               countIf(s.state = 'overdue') AS overdue, countIf(s.state = 'due') AS due,
               countIf(s.state = 'done_on_time' AND toDate(s.known_at, 'Asia/Kolkata') > s.deadline) AS known_late
        FROM ({status(database, as_of)}) AS s
        INNER JOIN {database}.unit_ancestors AS a ON a.unit = s.unit
        WHERE toDate({as_of}, 'Asia/Kolkata') BETWEEN a.valid_from AND a.valid_to
        GROUP BY milestone, level, unit
    """


def backward(schema: Schema) -> list[str]:
    """Drop them; the plans that were loaded are gone with them."""
    views = (
        "plan_progress",
        "plan_status",
        "plan_progress_at",
        "plan_status_at",
        "plan_done",
        "milestones",
        "plan_events_feed",
    )
    return [
        *(schema.drop_view(name) for name in views),
        *schema.drop_table("plan_events", sharded=True),
        *schema.drop_table("plan_kinds"),
        *schema.drop_table("plans"),
    ]
