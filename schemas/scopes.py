"""Which rows an account may read that belongs to one unit: a district's, a state's. Its viewers may send any query, so the database decides, not a dashboard.

A row belongs to the unit if its unit stands, or ever stood, at or below it. A unit that moved away is seen up to its last day there; one that came brings its history with it, since the level of a stock comes with it.
What is not named here such an account may not read at all.
"""

import re

from pravah.units import UNIT_CODE_PATTERN

_BELOW = "unit IN (SELECT unit FROM {database}.scopes)"
_UNTIL = (
    "(unit IN (SELECT unit FROM {database}.scopes WHERE until = toDate('2149-06-06'))"
    " OR day <= (SELECT CAST((groupArray(unit), groupArray(until)), 'Map(String, Date)') FROM {database}.scopes WHERE until != toDate('2149-06-06'))[unit])"
)

_FILTERS: dict[str, str] = {
    "scopes": "scope = '{unit}'",
    "units": _BELOW,
    "unit_ancestors": f"{_BELOW} AND ancestor IN (SELECT unit FROM {{database}}.scopes)",
    "ledger": _UNTIL,
    "journal": _UNTIL,
    "plan_events": _UNTIL,
    "membership_events": _UNTIL,
    "board_done": _BELOW,
    "contacts": _BELOW,
    "repairs": "0",
}
"""Table → which of its rows; `scopes` first, since the others ask it."""

_OPEN = ("plans", "plan_kinds", "metrics")
"""The words of the field: nobody's rows."""
_FRESHNESS = "chunks(partition, chunk, attempt, updated_at, last_appended_at)"
"""How old the figures are, and nothing about whose they are."""
_VIEWS = (
    *(
        "events",
        "rollups",
        "totals",
        "milestones",
        "unit_activity",
        "reporting_rates",
        "unusual_values",
        "members_at",
        "members_named_twice",
    ),
    *(
        "plan_done",
        "plan_status",
        "plan_status_at",
        "plan_progress",
        "plan_progress_at",
        "plan_forecast",
        "plan_forecast_at",
        "defaulters",
        "defaulters_at",
    ),
    *("board_status", "board_progress", "board_defaulters", "board_forecast"),
)
"""They read their tables with the rights of whoever asks."""


def row_filters(unit: str, database: str) -> dict[str, str]:
    """Table → the condition that its rows must meet for an account of a unit.

    Raises:
        ValueError: it is no unit code.
    """
    if not re.fullmatch(UNIT_CODE_PATTERN, unit):
        msg = f"{unit!r} is no unit code; one is written CG-D-RPR"
        raise ValueError(msg)
    return {
        table: condition.format(unit=unit, database=database)
        for table, condition in _FILTERS.items()
    }


def readable(database: str) -> list[str]:
    """What such an account may read: `SELECT` targets, tables filtered as above."""
    names = [*_FILTERS, *_OPEN, *_VIEWS]
    return [f"SELECT, SHOW ON {database}.{name}" for name in names] + [
        f"SELECT{_FRESHNESS.removeprefix('chunks')} ON {database}.chunks"
    ]
