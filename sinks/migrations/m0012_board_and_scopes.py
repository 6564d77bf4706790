"""What dashboards need: the plan's status fast enough for a wall, and which rows belong to a unit whose viewers must see no others.

- `board_done`: `plan_done` as it was at most a minute ago, made anew by `board_done_refresh`. The conditions of the plan are matched over all its events each time that `plan_done` is read, which is too slow for a wall
  with ten viewers.
- `board_status(as_of)`, `board_progress(as_of)`, `board_defaulters(as_of)`, `board_forecast(as_of, share)`: `plan_status_at` and its kin over that table. They see everything else as it is now.
- `scopes`: for each unit and everything that ever stood at or below it, the last day on which it did. `schemas/scopes.py` filters the rows of scoped accounts by it. A table of its own, because a filter on
  `unit_ancestors` cannot ask `unit_ancestors`.
"""

import re

from sinks.migrate import Schema
from sinks.migrations import m0006_plan, m0007_control_room, m0009_forecast_and_unusual_values

_COUNTERPARTS = {
    "plan_done": "board_done",
    "plan_status_at": "board_status",
    "plan_progress_at": "board_progress",
    "defaulters_at": "board_defaulters",
    "plan_forecast_at": "board_forecast",
}
_VIEWS = ("board_status", "board_progress", "board_defaulters", "board_forecast")


def forward(schema: Schema) -> list[str]:
    """Make the tables and the views, and fill `scopes` from what is loaded."""
    database = schema.database
    done = "plan LowCardinality(String), milestone LowCardinality(String), unit String, done_at Date, known_at DateTime64(3, 'Asia/Kolkata')"
    return [
        *schema.create_table(
            "board_done", done, engine="MergeTree()", order_by="plan, milestone, unit"
        ),
        schema.create_refresh(
            "board_done_refresh",
            "board_done",
            f"SELECT plan, milestone, unit, done_at, known_at FROM {database}.plan_done",
            "1 MINUTE",
        ),
        *_views(schema),
        *schema.create_table(
            "scopes",
            "scope LowCardinality(String), unit String, until Date",
            engine="MergeTree()",
            order_by="scope, unit",
        ),
        f"INSERT INTO {database}.scopes SELECT ancestor, unit, max(valid_to) FROM {database}.unit_ancestors GROUP BY ancestor, unit",
    ]


def _views(schema: Schema) -> list[str]:
    """The statements that made the views, with the names of their counterparts."""
    made = [
        *m0006_plan.forward(schema),
        *m0007_control_room.forward(schema),
        *m0009_forecast_and_unusual_values.forward(schema),
    ]
    views = [
        re.sub(
            r"\b(" + "|".join(_COUNTERPARTS) + r")\b", lambda found: _COUNTERPARTS[found[0]], one
        )
        for one in made
        if one.startswith("CREATE VIEW")
    ]
    return [
        one
        for name in _VIEWS
        for one in views
        if one.startswith(f"CREATE VIEW {schema.database}.{name}{schema.on_cluster} ")
    ]


def backward(schema: Schema) -> list[str]:
    """Drop them."""
    return [
        *schema.drop_table("scopes"),
        *(schema.drop_view(name) for name in (*reversed(_VIEWS), "board_done_refresh")),
        *schema.drop_table("board_done"),
    ]
