"""ClickHouse from libchdb, serving the native protocol and HTTP on loopback.

libchdb's `query_stable_v2` is the main function of clickhouse-local. With `SYSTEM START LISTEN` and
a query that never ends it serves like a server. It gets a pseudo-terminal and `--interactive`,
because otherwise clickhouse-local aborts when a client resets its connection.

`python -m stack serve-clickhouse LIBRARY CONFIG` runs it.
"""

import ctypes
import hashlib
import os
import pty
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from pravah.settings import ClickHouseUser, Role
from schemas.scopes import list_grants, row_filters
from stack.install import Tools

DATABASE = "pravah"

_CONFIG = """\
<clickhouse>
    <logger><console>false</console><log>{log}</log><size>50M</size><count>2</count></logger>
    <path>{data}/</path>
    <tmp_path>{data}/tmp/</tmp_path>
    <user_files_path>{data}/user_files/</user_files_path>
    <listen_host>127.0.0.1</listen_host>
    <tcp_port>{native_port}</tcp_port>
    <http_port>{http_port}</http_port>
    <timezone>UTC</timezone>
    <mark_cache_size>268435456</mark_cache_size>
    <user_directories><users_xml><path>{users}</path></users_xml></user_directories>
    <!-- A user without a row policy of its own sees every row: rows are withheld by grants and by
         policies written for a user, never because one was forgotten. -->
    <access_control_improvements>
        <users_without_row_policies_can_read_rows>true</users_without_row_policies_can_read_rows>
    </access_control_improvements>
</clickhouse>
"""

_USERS = """\
<clickhouse>
    <profiles>
        <default/>
        <reader><readonly>2</readonly><max_memory_usage>4000000000</max_memory_usage></reader>
    </profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <!-- The session of the server itself: it may listen and sleep, and sees no data. -->
            <password></password>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile>
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
            <networks><ip>127.0.0.1</ip></networks>
            <profile>{profile}</profile>
            <quota>default</quota>
            <grants>{grants}</grants>
{filters}        </{user}>
"""

_GRANTS: dict[Role, tuple[str, ...]] = {
    "writer": (
        f"GRANT ALL ON {DATABASE}.*",
        "GRANT SELECT ON system.*",
        "GRANT CREATE TEMPORARY TABLE ON *.*",
        "GRANT CLUSTER ON *.*",
        "GRANT TABLE ENGINE ON *",
    ),
    "grafana": (f"GRANT SELECT, SHOW ON {DATABASE}.*", "GRANT SELECT ON system.parts"),
    "aicc": (f"GRANT SELECT, SHOW ON {DATABASE}.*",),
}

# Headquarters sees no row of the one table with names and phone numbers. A users file cannot
# revoke; on a server with SQL accounts, `REVOKE SELECT` does the same.
_NO_PERSONS = {"contacts": "0"}

_FOREVER = (
    "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; "
    "SELECT sleepEachRow(1) FROM system.numbers FORMAT Null "
    "SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, max_threads = 1"
)


@dataclass(frozen=True)
class ClickHouseServer:
    """The ClickHouse of a stack."""

    tools: Tools
    home: Path
    native_port: int
    http_port: int
    users: dict[Role, ClickHouseUser]
    scoped: dict[str, ClickHouseUser]
    """Unit code → an account that sees only this unit's rows."""

    name = "clickhouse"

    @property
    def log_file(self) -> Path:
        """Output of the process, which is little."""
        return self.home / "logs" / "clickhouse.log"

    @property
    def server_log(self) -> Path:
        """ClickHouse's own log."""
        return self.home / "logs" / "clickhouse-server.log"

    def prepare(self) -> None:
        """Write the configuration; only the owner can read the users file, which has hashes."""
        data = self.home / "clickhouse"
        for folder in (data / "tmp", data / "user_files"):
            folder.mkdir(parents=True, exist_ok=True)
        users = self.home / "clickhouse-users.xml"
        users.touch(mode=0o600)
        users.write_text(_render_users(self.users, self.scoped), encoding="utf-8")
        paths = {"data": data.resolve(), "users": users.resolve(), "log": self.server_log.resolve()}
        escaped = {name: escape(str(path)) for name, path in paths.items()}
        self._config.write_text(
            _CONFIG.format(native_port=self.native_port, http_port=self.http_port, **escaped),
            encoding="utf-8",
        )

    def command(self) -> list[str]:
        """The command that runs the server in the foreground."""
        return [
            sys.executable,
            "-m",
            "stack",
            "serve-clickhouse",
            str(self.tools.libchdb),
            str(self._config.resolve()),
        ]

    def is_ready(self) -> bool:
        """Whether the server answers."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.http_port}/ping", timeout=2
            ) as response:
                return bool(response.read().strip() == b"Ok.")
        except (urllib.error.URLError, OSError):
            return False

    @property
    def _config(self) -> Path:
        return self.home / "clickhouse.xml"


def _render_users(users: dict[Role, ClickHouseUser], scoped: dict[str, ClickHouseUser]) -> str:
    accounts = [
        _render_account(
            users[role],
            _GRANTS[role],
            {"aicc": _NO_PERSONS}.get(role, {}),
            "default" if role == "writer" else "reader",
        )
        for role in users
    ]
    grants = [f"GRANT {grant}" for grant in list_grants(DATABASE)]
    accounts += [
        _render_account(account, grants, row_filters(unit, DATABASE), "reader")
        for unit, account in scoped.items()
    ]
    return _USERS.format(accounts="".join(accounts))


def _render_account(
    account: ClickHouseUser, grants: Iterable[str], filters: dict[str, str], profile: str
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
        user=account.user, digest=digest, profile=profile, grants=queries, filters=rows
    )


def serve(library: str, config: str) -> None:
    """Run ClickHouse in this process until a signal.

    Args:
        library: path of libchdb.
        config: path of the server's configuration; relative paths in it start at its folder.
    """
    _, terminal = pty.openpty()
    os.dup2(terminal, 0)
    os.chdir(Path(config).parent)
    arguments = [
        "clickhouse",
        "--interactive",
        f"--config-file={config}",
        "--log-level=information",
        "--query",
        _FOREVER,
    ]
    # As for every main function, a NULL follows the last argument.
    argv = (ctypes.c_char_p * (len(arguments) + 1))(*map(str.encode, arguments), None)
    main = ctypes.CDLL(library).query_stable_v2
    main.restype = ctypes.c_void_p
    main(len(arguments), argv)
