"""SQL for ClickHouse accounts that see the rows of one unit only."""

from schemas.readers import SETTING_LIMITS, SETTINGS
from schemas.scopes import list_grants, name_database, name_definer, row_filters

# Tables that a cluster distributes; row policies are needed on their local tables too.
_DISTRIBUTED = ("journal", "ledger", "membership_events", "plan_events")


def account_statements(
    unit: str, database: str, cluster: str | None, *, writer: str = "pravah_writer"
) -> list[str]:
    """Statements that create a unit's account on a ClickHouse with SQL accounts.

    `pravah up` then creates the unit's views.

    Args:
        unit: a unit code.
        database: of the deployment.
        cluster: its name, if there is one.
        writer: the writer's account, which creates the views.

    Raises:
        ValueError: `unit` is not a unit code.
    """
    on_cluster, user = f" ON CLUSTER {cluster}" if cluster else "", f"`pravah_{unit}`"
    filters = row_filters(unit, database)
    local = {f"{table}_local": filters[table] for table in _DISTRIBUTED if cluster}
    definer, views = f"`{name_definer(unit)}`", f"{name_database(unit, database)}.*"
    reader = (
        f"CREATE USER {user}{on_cluster} IDENTIFIED WITH sha256_password BY '<password>'"
        f" SETTINGS {_settings()};"
    )
    return [
        reader,
        # nobody logs in as the definer
        f"CREATE USER {definer}{on_cluster} HOST NONE SETTINGS readonly = 1;",
        *(
            f"CREATE ROW POLICY `pravah_{unit}_{table}`{on_cluster} ON {database}.{table}"
            f" FOR SELECT USING {condition} TO {definer};"
            for table, condition in {**filters, **local}.items()
        ),
        *(f"GRANT{on_cluster} {grant} TO {definer};" for grant in list_grants(database)),
        *(f"GRANT{on_cluster} SELECT ON {database}.{table} TO {definer};" for table in local),
        f"GRANT{on_cluster} SELECT, SHOW ON {views} TO {user};",
        f"GRANT{on_cluster} ALL ON {views} TO `{writer}`;",
        f"GRANT{on_cluster} SET DEFINER ON {definer} TO `{writer}`;",
    ]


def _settings() -> str:
    """The settings of a reader, and what it may change."""
    limits = {
        name: "" if limit is None else f" MIN 1 MAX {limit}"
        for name, limit in SETTING_LIMITS.items()
    }
    return ", ".join(
        f"{name}{f' = {SETTINGS[name]}' if name in SETTINGS else ''}{limits.get(name, '')}"
        f"{' CHANGEABLE_IN_READONLY' if name in limits else ''}"
        for name in SETTINGS | limits
    )
