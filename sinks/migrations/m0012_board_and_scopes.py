"""What dashboards need: the plan's status at the speed of a wall, and rows for scoped accounts.

- `board_done`: `plan_done` of at most a minute ago, refreshed by `board_done_refresh`. Each read of
  `plan_done` matches the conditions of the plan over all its events, which is too slow for a wall
  with ten viewers.
- `board_status(as_of)`, `board_progress(as_of)`, `board_defaulters(as_of)`,
  `board_forecast(as_of, share)`: `plan_status_at` and its kin over that table. They see everything
  else as it is now.
- `scopes`: for each unit and everything that was ever at or below it, the last day on which it was.
  `schemas/scopes.py` filters the rows of scoped accounts by it. It is a table of its own, because a
  filter on `unit_ancestors` cannot query `unit_ancestors`.
"""

from sinks.migrate import Schema
from sinks.plan_views import AS_OF, defaulters, plan_forecast, plan_progress, plan_status

_DONE = "board_done"


def forward(schema: Schema) -> list[str]:
    """Create the tables and the views, and fill `scopes` from the registry that is loaded."""
    database = schema.database
    as_of = f"(as_of = {AS_OF})"
    return [
        *schema.create_table(
            _DONE,
            """
            plan LowCardinality(String), milestone LowCardinality(String), unit String,
            done_at Date, known_at DateTime64(3, 'Asia/Kolkata')
            """,
            engine="MergeTree()",
            order_by="plan, milestone, unit",
        ),
        schema.create_refresh(
            "board_done_refresh",
            _DONE,
            f"SELECT plan, milestone, unit, done_at, known_at FROM {database}.plan_done",
            "1 MINUTE",
        ),
        schema.create_view("board_status", plan_status(database, done=_DONE, as_of=AS_OF)),
        schema.create_view("board_progress", plan_progress(database, done=_DONE, as_of=AS_OF)),
        schema.create_view(
            "board_defaulters",
            defaulters(database, status=f"board_status{as_of}", progress=f"board_progress{as_of}"),
        ),
        schema.create_view(
            "board_forecast",
            plan_forecast(database, done=_DONE, as_of=AS_OF, share="{share:Float64}"),
        ),
        *schema.create_table(
            "scopes",
            "scope LowCardinality(String), unit String, until Date",
            engine="MergeTree()",
            order_by="scope, unit",
        ),
        (
            f"INSERT INTO {database}.scopes SELECT ancestor, unit, max(valid_to) "
            f"FROM {database}.unit_ancestors GROUP BY ancestor, unit"
        ),
    ]


def backward(schema: Schema) -> list[str]:
    """Drop the tables and views of this step."""
    views = (
        "board_forecast",
        "board_defaulters",
        "board_progress",
        "board_status",
        "board_done_refresh",
    )
    return [
        *schema.drop_table("scopes"),
        *(schema.drop_view(name) for name in views),
        *schema.drop_table(_DONE),
    ]
