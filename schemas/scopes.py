"""Row policies and grants of a ClickHouse account that belongs to one unit, such as a district.

Viewers of a dashboard can send any query, so the database restricts the rows. A row policy alone
does not do it: functions such as `mergeTreeIndex` show the keys of rows that a policy withholds. So
a unit has two accounts and a database:

- its reader logs in and may read the views of the unit's database, and no table;
- its definer, with whose rights these views read, has the grants and row policies on the tables.
  Nobody can log in as it.

A row belongs to the account's unit if the row's unit is, or once was, that unit or a unit below it.
A unit that moved away is visible up to its last day there; one that joined brings its history,
because the level of a stock moves with it. The account can read no table or view that is not named
here.
"""

import re

from pravah.units import UNIT_CODE_PATTERN

_BELOW = "unit IN (SELECT unit FROM {database}.scopes)"
_UNTIL = (
    "(unit IN (SELECT unit FROM {database}.scopes WHERE until = toDate('2149-06-06'))"
    " OR day <= (SELECT CAST((groupArray(unit), groupArray(until)), 'Map(String, Date)')"
    " FROM {database}.scopes WHERE until != toDate('2149-06-06'))[unit])"
)

# Condition on the rows of each table. `scopes` comes first, because the others select from it.
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

# Tables without data of units.
OPEN_TABLES = ("plans", "plan_kinds", "metrics")
# Columns that tell how fresh the figures are, and nothing about units.
FRESHNESS = ("partition", "chunk", "attempt", "updated_at", "last_appended_at")
# Views, which read their tables with the rights of the account that queries them.
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
        "unit_activity_on",
        "members_on",
        "members_named_twice_on",
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
        "plan_status_on",
        "plan_progress_on",
        "plan_forecast_on",
        "defaulters_on",
    ),
    *("board_status", "board_progress", "board_defaulters", "board_forecast"),
)


def row_filters(unit: str, database: str) -> dict[str, str]:
    """Build the row policies of a unit's definer.

    Returns:
        By table the condition that rows must meet to be visible.

    Raises:
        ValueError: `unit` is not a unit code.
    """
    if not re.fullmatch(UNIT_CODE_PATTERN, unit):
        msg = f"{unit!r} is no unit code; one is written CG-D-RPR"
        raise ValueError(msg)
    return {
        table: condition.format(unit=unit, database=database)
        for table, condition in _FILTERS.items()
    }


def list_names() -> list[str]:
    """List the tables and views of which an account of a unit reads whole rows."""
    return [*_FILTERS, *OPEN_TABLES, *_VIEWS]


def name_database(unit: str, database: str) -> str:
    """Name the database with the views of a unit: `pravah_CG_D_RPR`."""
    return f"{database}_{unit.replace('-', '_')}"


def name_definer(unit: str) -> str:
    """Name the account with whose rights the views of a unit read: `pravah_CG-D-RPR_rows`."""
    return f"pravah_{unit}_rows"


def list_grants(database: str) -> list[str]:
    """List the privileges of a unit's definer, as they stand after `GRANT`.

    Tables that it names are filtered by `row_filters`.
    """
    return [f"SELECT, SHOW ON {database}.{name}" for name in list_names()] + [
        f"SELECT({', '.join(FRESHNESS)}) ON {database}.chunks"
    ]
