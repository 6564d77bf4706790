"""ClickHouse from libchdb, serving the native protocol and HTTP on loopback.

libchdb's `query_stable_v2` is the main function of clickhouse-local. With `SYSTEM START LISTEN` and
a query that never ends it serves like a server. It gets a pseudo-terminal and `--interactive`,
because otherwise clickhouse-local aborts when a client resets its connection.

clickhouse-local lets its function `file()` read any file for any account, without a grant. So a
function of the same name shadows it, and the process opens its own folders alone
(`stack.confinement`). docs/security.md has the whole.

`python -m stack serve-clickhouse LIBRARY CONFIG` runs it.
"""

import ctypes
import os
import pty
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from pravah.settings import ClickHouseUser, Role
from stack import mount_namespace
from stack.clickhouse_accounts import DATABASE, UNCONFINED, render_users
from stack.confinement import MIN_VERSION, confine, landlock_version, take_own_identity
from stack.install import Tools
from stack.mount_namespace import isolate
from stack.parent import stay_bound

__all__ = ["DATABASE", "ClickHouseServer", "find_weakness", "serve"]

# A browser sends Origin with each request that a page of another site makes and could read, and
# Sec-Fetch-Site with every request; "none" is an address that a person typed. A foreign Host is
# how a site that resolves to this machine would pass for it.
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
        <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
        <settings_constraints_replace_previous>true</settings_constraints_replace_previous>
    </access_control_improvements>
    <!-- Of HTTP, queries and /ping alone, and nothing that a page of a browser asks. -->
    <http_handlers>
        <rule>
            <url>/ping</url>
            <headers><Host>{own_host}</Host></headers>
            <handler><type>ping</type></handler>
        </rule>
        <rule>
            <url>/</url>
            <methods>GET,POST</methods>
            <headers>
                <Host>{own_host}</Host>
                <Origin>regex:</Origin>
                <Sec-Fetch-Site>regex:(none)?</Sec-Fetch-Site>
            </headers>
            <handler>
                <type>dynamic_query_handler</type><query_param_name>query</query_param_name>
            </handler>
        </rule>
        <rule>
            <handler>
                <type>static</type>
                <status>403</status>
                <content_type>text/plain; charset=UTF-8</content_type>
                <response_content>{refusal}</response_content>
            </handler>
        </rule>
    </http_handlers>
    <!-- Nothing is read from elsewhere. -->
    <remote_url_allow_hosts/>
</clickhouse>
"""
_OWN_HOST = r"regex:(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?"
_REFUSAL = (
    "refused: send queries to / of 127.0.0.1 or localhost by GET or POST, from a program and not "
    "from a page of a browser&#10;"
)
# ClickHouse loads functions at its start without asking whether the name is one of its own, and
# looks for them first. These two read files without a grant.
_SHADOWED = ("file", "catboostEvaluate")
_SHADOW = "CREATE FUNCTION {name} AS (path) -> throwIf(true, 'this server reads no files')"

_FOREVER = (
    "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; "
    "SELECT sleepEachRow(1) FROM system.numbers FORMAT Null "
    "SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, max_threads = 1"
)
# ClickHouse measures its own memory and that of its container.
_READABLE = (
    "/proc/self",
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
    "/dev/urandom",
    "/dev/random",
)
_WRITABLE = ("/dev/null", "/dev/tty", "/dev/pts")


def find_weakness() -> str:
    """Why the server is not confined to its folders; empty if it is."""
    if UNCONFINED in os.environ:
        return f"{UNCONFINED} is set: the embedded ClickHouse reads files and reaches other hosts"
    if landlock_version() >= MIN_VERSION or mount_namespace.is_available():
        return ""
    return (
        f"this kernel offers no Landlock of version {MIN_VERSION} (Linux 5.19, with landlock among "
        "its security modules), and no mount namespaces to this user: the embedded ClickHouse "
        "runs with all rights of its user on files"
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
        """ClickHouse's own log, in a folder of its own: it may write nowhere else."""
        return self.home / "clickhouse-logs" / "clickhouse-server.log"

    def prepare(self) -> None:
        """Write the configuration; only the owner can read the users file, which has hashes."""
        data = self.home / "clickhouse"
        for name in ("tmp", "user_files", "user_defined"):
            (data / name).mkdir(parents=True, exist_ok=True)
        for name in _SHADOWED:
            shadow = data / "user_defined" / f"function_{name}.sql"
            shadow.write_text(_SHADOW.format(name=name), encoding="utf-8")
        for folder in (self.server_log.parent, self.home / "clickhouse-root"):
            folder.mkdir(exist_ok=True)
        users = self.home / "clickhouse-users.xml"
        users.touch(mode=0o600)
        users.write_text(render_users(self.users, self.scoped), encoding="utf-8")
        paths = {"data": data.resolve(), "users": users.resolve(), "log": self.server_log.resolve()}
        escaped = {name: escape(str(path)) for name, path in paths.items()}
        self._config.write_text(
            _CONFIG.format(
                native_port=self.native_port,
                http_port=self.http_port,
                own_host=_OWN_HOST,
                refusal=_REFUSAL,
                **escaped,
            ),
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


def serve(library: str, config: str) -> None:
    """Run ClickHouse in this process until a signal, confined to its own files.

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
    _give_up_rights(Path(config))
    main(len(arguments), argv)


def _give_up_rights(config: Path) -> None:
    """Keep the server's own files and ports, and nothing of the environment."""
    settings = ET.parse(config).getroot()  # noqa: S314 -- our own file

    def text(name: str) -> str:
        return settings.findtext(name) or ""

    data, log = Path(text("path")), Path(text("logger/log")).parent
    weakness = find_weakness()
    for name in list(os.environ):  # may hold secrets of ours
        del os.environ[name]
    os.environ["HOME"] = str(data)
    if weakness:
        sys.stderr.write(f"warning: {weakness}\n")
        return
    writable = (data, log, *map(Path, _WRITABLE))
    readable = (config, Path(text("user_directories/users_xml/path")), *map(Path, _READABLE))
    with stay_bound():
        if landlock_version() < MIN_VERSION:
            isolate(config.parent / "clickhouse-root", writable=writable, readable=readable)
            take_own_identity(data, log)
            os.chdir(config.parent)
            return
        take_own_identity(data, log)
    confine(
        writable=writable,
        readable=readable,
        ports=(int(text("tcp_port")), int(text("http_port"))),
    )
