"""The programme's plan, and how far each unit is with it.

- `plans`: one row per milestone and load of a plan; the last load of each plan is in force, earlier
  ones are its history. A load is one insert, so no reader sees half of it. `waits_for` has the
  prerequisites of its prerequisites as well.
- `plan_kinds`: the kinds of events that any load ever waited for.
- `plan_events`: the part of the ledger that these conditions need, copied by the materialized view
  `plan_events_feed` as rows arrive: rows of those kinds, and every version above the first, since a
  correction may change an entity to another kind. It replaces as the ledger does, so a chunk that
  is folded again changes nothing.
- `plan_done`: for each unit and milestone that was met, the day on which the last of its conditions
  was first met, and when the broker took in the event that says so.
"""

from sinks.migrate import Schema
from sinks.migrations.m0001_ledger_and_journal import LEVEL
from sinks.plan_views import AS_OF, NOW, plan_done, plan_progress, plan_status

PLAN_EVENTS = """
    key LowCardinality(String), entity String CODEC(ZSTD(1)), version UInt64, partition Int32,
    offset UInt64, op Enum8('report' = 1, 'retract' = 2), unit LowCardinality(String),
    kind LowCardinality(String), occurred_at DateTime64(6, 'Asia/Kolkata'), day Date,
    verification Enum8('unverified' = 1, 'verified' = 2, 'rejected' = 3),
    data String CODEC(ZSTD(1)), metrics Array(LowCardinality(String)),
    appended_at DateTime64(3, 'Asia/Kolkata'), correction UInt32, deleted UInt8
"""
COPIED = (
    "key, entity, version, partition, offset, op, unit, kind, occurred_at, day, verification, "
    "data, metrics, appended_at, correction, deleted"
)
_DONE = "plan_done"


def forward(schema: Schema) -> list[str]:
    """Create the tables and the views."""
    database = schema.database
    return [
        *schema.create_table(
            "plans",
            f"""
            plan LowCardinality(String), loaded_at DateTime64(6, 'Asia/Kolkata'), author String,
            reason String, fingerprint String, position UInt16, milestone String, level {LEVEL},
            name_en String, name_hi String, deadline Date, responsible String,
            responsible_hi String, prerequisites Array(String), waits_for Array(String),
            needs Array(Tuple(
                kind String, names_unit UInt8, fields Array(String), options Array(Array(String))
            ))
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
            f"""
            SELECT {COPIED}
            FROM {{source}}
            WHERE kind IN (SELECT kind FROM {database}.plan_kinds) OR version > 1 OR deleted
            """,
        ),
        schema.create_view(
            "milestones",
            f"""
            SELECT plan, milestone, level, name_en, name_hi, deadline, responsible, responsible_hi,
                   prerequisites, waits_for, needs, position, loaded_at
            FROM {database}.plans
            WHERE (plan, loaded_at) IN (
                SELECT plan, max(loaded_at) FROM {database}.plans GROUP BY plan
            )
            """,
        ),
        schema.create_view("plan_done", plan_done(database)),
        schema.create_view("plan_status_at", plan_status(database, done=_DONE, as_of=AS_OF)),
        schema.create_view("plan_status", plan_status(database, done=_DONE, as_of=NOW)),
        schema.create_view("plan_progress_at", plan_progress(database, done=_DONE, as_of=AS_OF)),
        schema.create_view("plan_progress", plan_progress(database, done=_DONE, as_of=NOW)),
    ]


def backward(schema: Schema) -> list[str]:
    """Drop the tables and views, with the plans that were loaded."""
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
