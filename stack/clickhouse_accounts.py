"""ClickHouse accounts of the embedded server, as a users file.

Each account has a password, grants of its own, and a profile that it cannot change.
`docker/clickhouse/users.xml` has the same, but for the number of threads; `schemas.readers` says
what readers may read.
"""

import hashlib
import os
from collections.abc import Iterable
from secrets import token_urlsafe
from xml.sax.saxutils import escape

from pydantic import SecretStr

from pravah.settings import ClickHouseUser, Role
from schemas.readers import SETTING_LIMITS, SETTINGS, list_reader_grants
from schemas.scopes import list_grants, name_database, name_definer, row_filters

DATABASE = "pravah"
# Environment variable of benchmarks that compare Pravah with ClickHouse's own Kafka engine: the
# server is not confined, and the writer has every table engine.
UNCONFINED = "PRAVAH_CLICKHOUSE_UNCONFINED"

# The server's own session is `default` without a password: clickhouse-local has no option for
# another account. It is the one session that `default` may have, begins before the server listens,
# and ends with it, so nobody else gets in as `default`.
_USERS = """\
<clickhouse>
    <profiles>
        <default/>
        <own_session><max_sessions_for_user>1</max_sessions_for_user></own_session>
        <reader>
            {settings}
            <constraints>
                {constraints}
            </constraints>
        </reader>
    </profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password></password>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>own_session</profile>
            <quota>default</quota>
            <grants>
                <query>GRANT SYSTEM LISTEN ON *.*</query>
                <query>GRANT SELECT ON system.numbers</query>
            </grants>
        </default>
{accounts}
    </users>
</clickhouse>
"""

_ACCOUNT = """\
        <{user}>
            <password_sha256_hex>{digest}</password_sha256_hex>
            <networks>{networks}</networks>
            <profile>{profile}</profile>
            <quota>default</quota>
            <grants>{grants}</grants>
{filters}        </{user}>
"""

# Engines of tables that this code, its copies and its clusters have; none reads a file or a URL.
_ENGINES = (
    "MergeTree",
    "ReplacingMergeTree",
    "ReplicatedMergeTree",
    "ReplicatedReplacingMergeTree",
    "Distributed",
    "Memory",
)
_WRITES = (
    "SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP, TRUNCATE,"
    " OPTIMIZE, SYSTEM MERGES, SYSTEM VIEWS, SYSTEM SYNC REPLICA, SYSTEM FLUSH DISTRIBUTED"
)
GRANTS: dict[Role, tuple[str, ...]] = {
    "writer": (
        # its own database, and those with the views of units; no dictionaries and no back-ups
        *(f"GRANT {_WRITES} ON {name}.*" for name in (DATABASE, f"{DATABASE}_*")),
        "GRANT SET DEFINER ON *",
        "GRANT SELECT ON system.*",
        "GRANT CREATE TEMPORARY TABLE ON *.*",
        "GRANT CLUSTER ON *.*",
        *(f"GRANT TABLE ENGINE ON {engine}" for engine in _ENGINES),
    ),
    "grafana": tuple(f"GRANT {grant}" for grant in list_reader_grants("grafana", DATABASE)),
    "aicc": tuple(f"GRANT {grant}" for grant in list_reader_grants("aicc", DATABASE)),
}

_UNCONFINED_GRANTS = (f"GRANT ALL ON {DATABASE}.*", "GRANT TABLE ENGINE ON *")

# Headquarters sees no row of the one table with names and phone numbers. A users file cannot
# revoke; on a server with SQL accounts, `REVOKE SELECT` does the same.
_NO_PERSONS = {"contacts": "0"}


def render_users(users: dict[Role, ClickHouseUser], scoped: dict[str, ClickHouseUser]) -> str:
    """Write the users file.

    Args:
        users: role → account.
        scoped: unit code → an account that sees the rows of this unit.
    """
    is_unconfined = UNCONFINED in os.environ
    accounts = [
        _render_account(
            users[role],
            GRANTS[role] + (_UNCONFINED_GRANTS if is_unconfined and role == "writer" else ()),
            {"aicc": _NO_PERSONS}.get(role, {}),
            "default" if role == "writer" else "reader",
        )
        for role in users
    ]
    for unit, account in scoped.items():
        accounts += [
            _render_account(
                account,
                [f"GRANT SELECT, SHOW ON {name_database(unit, DATABASE)}.*"],
                {},
                "reader",
            ),
            _render_account(
                ClickHouseUser(user=name_definer(unit), password=SecretStr(token_urlsafe(24))),
                [f"GRANT {grant}" for grant in list_grants(DATABASE)],
                row_filters(unit, DATABASE),
                "reader",
                networks="",
            ),
        ]
    return _USERS.format(
        settings="".join(f"<{name}>{value}</{name}>" for name, value in _settings().items()),
        constraints="".join(
            f"<{name}><changeable_in_readonly/>"
            f"{'' if limit is None else f'<min>1</min><max>{limit}</max>'}</{name}>"
            for name, limit in SETTING_LIMITS.items()
        ),
        accounts="".join(accounts),
    )


def _settings() -> dict[str, int]:
    """Settings of readers' queries: more threads than cores only cost time."""
    threads = min(SETTINGS["max_threads"], os.cpu_count() or 1)
    return {**SETTINGS, "max_threads": threads}


def _render_account(
    account: ClickHouseUser,
    grants: Iterable[str],
    filters: dict[str, str],
    profile: str,
    *,
    networks: str = "<ip>127.0.0.1</ip>",
) -> str:
    queries = "".join(f"<query>{grant}</query>" for grant in grants)
    tables = "".join(
        f"<{table}><filter>{escape(condition)}</filter></{table}>"
        for table, condition in filters.items()
    )
    rows = (
        f"            <databases><{DATABASE}>{tables}</{DATABASE}></databases>\n" if tables else ""
    )
    digest = hashlib.sha256(account.password.get_secret_value().encode()).hexdigest()
    return _ACCOUNT.format(
        user=account.user,
        digest=digest,
        networks=networks,
        profile=profile,
        grants=queries,
        filters=rows,
    )
