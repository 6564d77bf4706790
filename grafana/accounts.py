"""SQL for ClickHouse accounts that see the rows of one unit only."""

from schemas.scopes import list_grants, row_filters

# Tables that a cluster distributes; row policies are needed on their local tables too.
_DISTRIBUTED = ("journal", "ledger", "membership_events", "plan_events")


def account_statements(unit: str, database: str, cluster: str | None) -> list[str]:
    """Statements that create a unit's account on a ClickHouse with SQL accounts.

    Raises:
        ValueError: `unit` is not a unit code.
    """
    on_cluster, user = f" ON CLUSTER {cluster}" if cluster else "", f"`pravah_{unit}`"
    filters = row_filters(unit, database)
    local = {f"{table}_local": filters[table] for table in _DISTRIBUTED if cluster}
    create_user = (
        f"CREATE USER {user}{on_cluster} IDENTIFIED WITH sha256_password BY '<password>'"
        " SETTINGS readonly = 2;"
    )
    return [
        create_user,
        *(
            f"CREATE ROW POLICY `pravah_{unit}_{table}`{on_cluster} ON {database}.{table}"
            f" FOR SELECT USING {condition} TO {user};"
            for table, condition in {**filters, **local}.items()
        ),
        *(f"GRANT{on_cluster} {grant} TO {user};" for grant in list_grants(database)),
        *(f"GRANT{on_cluster} SELECT ON {database}.{table} TO {user};" for table in local),
    ]
