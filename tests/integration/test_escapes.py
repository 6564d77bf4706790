"""Nobody comes to more than they were given: every escape, as every account."""

import http.client
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from clickhouse_driver import Client
from clickhouse_driver.clientinfo import ClientInfo
from clickhouse_driver.errors import ServerException

import stack
from doctor import diagnose, gather
from doctor.escapes import Kind, find_escapes, list_escapes
from operations.bootstrap import prepare
from pravah.settings import ClickHouseUser, Settings
from schemas.readers import SETTING_LIMITS, SETTINGS, list_readable
from schemas.scopes import list_names, name_database, name_definer
from stack import mount_namespace
from stack.clickhouse_server import ClickHouseServer
from stack.confinement import OWN_USER, landlock_version
from stack.install import ensure_installed
from stack.supervisor import accounts
from tests.support import small_world
from tests.support.deployment import SCOPED, Deployment, empty, until

UNIT = SCOPED[0]
ACCOUNTS: dict[str, Kind] = {
    "writer": "writer",
    "grafana": "state",
    "aicc": "headquarters",
    UNIT: "unit",
}


@pytest.fixture(scope="module")
def deployment(
    services: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A deployment without events, shared by all tests."""
    empty(services)
    prepare(services, lambda _: None, registry=small_world.registry())
    made = Deployment(services, tmp_path_factory.mktemp("escapes"))
    yield made
    made.stop()


def account(deployment: Deployment, name: str) -> ClickHouseUser:
    clickhouse = deployment.settings.clickhouse
    return clickhouse.scoped[name] if name == UNIT else clickhouse.users[name]  # type: ignore[index]


def connect_as(deployment: Deployment, user: str, password: str, database: str = "") -> Client:
    clickhouse = deployment.settings.clickhouse
    return Client(
        clickhouse.host,
        port=clickhouse.native_port,
        user=user,
        password=password,
        database=database,
    )


def client_of(deployment: Deployment, name: str) -> Client:
    one = account(deployment, name)
    return connect_as(deployment, one.user, one.password.get_secret_value())


def files_of(deployment: Deployment) -> tuple[str, ...]:
    """Files of the server's user, of the stack, and of the server itself."""
    home = Path(deployment.settings.home)
    contacts = deployment.clickhouse.execute(
        "SELECT data_paths[1] FROM system.tables WHERE database = 'pravah' AND name = 'contacts'"
    )[0][0]
    files = (
        home / "credentials.json",
        home / "stack.json",
        home / "clickhouse-users.xml",
        home / "clickhouse" / "status",
        home / "clickhouse-logs" / "clickhouse-server.log",
        Path(contacts) / "format_version.txt",
        Path("/etc/passwd"),
        Path("/proc/self/environ"),
    )
    assert all(file.exists() for file in files[:-1])
    return (*map(str, files), "../status", "user_defined/function_file.sql")


@pytest.mark.parametrize("name", ACCOUNTS)
def test_no_escape_succeeds(deployment: Deployment, name: str) -> None:
    deployment.clickhouse.execute(
        "INSERT INTO api_tokens (hash, name, unit) VALUES", [("0" * 64, "headquarters", "IN")]
    )
    escapes = list(list_escapes(ACCOUNTS[name], "pravah", files_of(deployment)))
    assert len(escapes) > 300
    with client_of(deployment, name) as client:
        assert list(find_escapes(client, iter(escapes))) == []


@pytest.mark.parametrize("kind", ACCOUNTS.values())
def test_an_escape_would_leave_nothing_behind(kind: Kind) -> None:
    """They are tried on servers elsewhere too, where one may succeed."""
    lasting = re.compile(
        r"CREATE (?!TEMPORARY TABLE)|DROP|ALTER|TRUNCATE|RENAME|INSERT INTO (?!FUNCTION null\()"
        r"|GRANT (?!SELECT ON pravah_escape\.nothing )|SYSTEM (?!RELOAD|FLUSH LOGS)"
    )
    statements = [one.what for one in list_escapes(kind, "pravah", ("x",)) if not one.is_privilege]
    assert [one for one in statements if lasting.match(one)] == []


def test_an_escape_that_succeeds_is_reported(deployment: Deployment) -> None:
    """The writer may do some of what a unit's reader must not."""
    allowed = (
        "INSERT ON pravah.*",
        "SELECT 1 SETTINGS readonly = 2",
        "CREATE TEMPORARY TABLE escape (n UInt8)",
        "SELECT * FROM pravah.migrations",
        "SELECT * FROM mergeTreeIndex('pravah', 'migrations')",
    )
    escapes = [one for one in list_escapes("unit", "pravah", ("x",)) if one.what in allowed]
    assert len(escapes) == len(allowed)
    assert len(list(find_escapes(deployment.clickhouse, iter(escapes)))) == len(allowed)


def test_the_doctor_tries_them(deployment: Deployment) -> None:
    facts = gather(deployment.settings, embedded=True, escapes=True)
    checks = {check.name: check for check in diagnose(facts)}
    assert checks["escapes"].found.startswith("every attempt is refused, as writer, grafana, aicc")
    assert checks["escapes"].verdict == "ok"
    assert checks["confinement"].verdict == ("ok" if landlock_version() > 1 else "warning")


@pytest.mark.parametrize("user", ["default", "", "pravah_admin", name_definer(UNIT)])
def test_there_is_no_account_without_a_secret(deployment: Deployment, user: str) -> None:
    with pytest.raises(ServerException) as refusal:  # noqa: PT012
        client = connect_as(deployment, user, "")
        client.execute("SELECT 1")
    # no name at all, a wrong password, or the session that `default` has already
    assert refusal.value.code in {101, 516, 700}
    status, _, body = ask(deployment, "/?query=SELECT+1", user=user)
    assert status in {403, 500}
    assert "Authentication failed" in body or "session count" in body


def ask(
    deployment: Deployment,
    path: str,
    *,
    method: str = "GET",
    user: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], str]:
    """One HTTP request; with an account's name, that account's."""
    clickhouse = deployment.settings.clickhouse
    connection = http.client.HTTPConnection(clickhouse.host, clickhouse.http_port, timeout=10)
    sent = dict(headers or {})
    if user is None:
        reader = clickhouse.users["aicc"]
        sent["X-ClickHouse-User"] = reader.user
        sent["X-ClickHouse-Key"] = reader.password.get_secret_value()
    elif user:
        sent["X-ClickHouse-User"] = user
    connection.request(method, path, headers=sent)
    response = connection.getresponse()
    body = response.read().decode(errors="replace")
    connection.close()
    return response.status, {name.lower(): text for name, text in response.getheaders()}, body


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/?query=SELECT+1", "GET", {"Origin": "https://example.org"}),
        ("/?query=SELECT+1&add_http_cors_header=1", "GET", {"Origin": "https://example.org"}),
        ("/?query=SELECT+1", "GET", {"Origin": "null"}),
        ("/?query=SELECT+1", "POST", {"Origin": "http://127.0.0.1"}),
        ("/?query=SELECT+1", "GET", {"Host": "example.org"}),
        ("/?query=SELECT+1", "GET", {"Host": "127.0.0.1.example.org"}),
        ("/?query=SELECT+1", "GET", {"Host": ""}),
        ("/?query=SELECT+1", "GET", {"Sec-Fetch-Site": "cross-site"}),
        ("/?query=SELECT+1", "GET", {"Sec-Fetch-Site": "same-origin"}),
        ("/", "OPTIONS", {"Origin": "https://example.org"}),
        ("/play", "GET", {}),
        ("/dashboard", "GET", {}),
        ("/replicas_status", "GET", {}),
        ("/metrics", "GET", {}),
        ("/ping", "GET", {"Host": "example.org"}),
        ("/other?query=SELECT+1", "GET", {}),
        ("/?query=SELECT+1", "PUT", {}),
    ],
)
def test_a_page_of_a_browser_is_refused(
    deployment: Deployment, path: str, method: str, headers: dict[str, str]
) -> None:
    status, answered, body = ask(deployment, path, method=method, headers=headers)
    assert (status, body[:8]) == (403, "refused:")
    assert not [name for name in answered if name.startswith("access-control-allow")]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 INTO OUTFILE '/tmp/pravah-escape'",
        "SELECT 1 FORMAT Template SETTINGS format_template_resultset = '{path}'",
        "SELECT 1 FORMAT Protobuf SETTINGS format_schema = '{path}:Message'",
        "SELECT 1 SETTINGS add_http_cors_header = 1",
    ],
)
def test_the_format_of_an_answer_writes_and_reads_no_file(
    deployment: Deployment, query: str
) -> None:
    """These are the server's over HTTP, and the client's over the native protocol."""
    path = deployment.settings.home / "clickhouse" / "status"
    status, _, body = ask(deployment, f"/?query={quote(query.format(path=path))}")
    assert status >= 400
    assert "PID" not in body


def test_a_program_is_answered(deployment: Deployment) -> None:
    for headers in ({}, {"Host": "localhost:1"}, {"Host": "[::1]"}, {"Sec-Fetch-Site": "none"}):
        assert ask(deployment, "/?query=SELECT+1", headers=headers)[0::2] == (200, "1\n")
    assert ask(deployment, "/ping", user="")[0::2] == (200, "Ok.\n")


def test_settings_that_clients_send_are_accepted(deployment: Deployment) -> None:
    """Of Grafana's plugin (clickhouse-go), of the API, of the driver."""
    with client_of(deployment, "grafana") as client:
        assert client.execute("SELECT 1", settings={"max_execution_time": 65}) == [(1,)]
        assert client.execute("SELECT 1 SETTINGS join_use_nulls = 1") == [(1,)]
    query = (
        "/?query=SELECT+1&max_execution_time=65&enable_http_compression=1&default_format=Native"
        "&client_protocol_version=54460&database=pravah&wait_end_of_query=1&session_id=1"
    )
    assert ask(deployment, query)[0] == 200


def test_a_query_that_claims_to_be_a_part_of_anothers_gets_no_more(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any client can send it so; the server then adapts settings instead of refusing them."""
    write = ClientInfo.write

    def write_as_a_part(self: ClientInfo, *arguments: object) -> None:
        self.query_kind = ClientInfo.QueryKind.SECONDARY_QUERY
        self.initial_user = "pravah_writer"
        write(self, *arguments)

    monkeypatch.setattr(ClientInfo, "write", write_as_a_part)
    with client_of(deployment, "aicc") as client:
        wanted = {"readonly": 0, "max_memory_usage": 0, "max_execution_time": 100_000}
        assert client.execute(
            "SELECT getSetting('readonly'), getSetting('max_memory_usage'),"
            " getSetting('max_execution_time')",
            settings=wanted,
        ) == [(1, SETTINGS["max_memory_usage"], SETTING_LIMITS["max_execution_time"])]
        escapes = list(list_escapes("headquarters", "pravah", ("/etc/passwd",)))
        assert list(find_escapes(client, iter(escapes))) == []


@pytest.mark.skipif(landlock_version() < 2, reason="this kernel has no Landlock")
def test_the_process_has_no_rights_but_its_own(deployment: Deployment) -> None:
    [pid] = [
        server.pid
        for server in stack.status(deployment.settings.home).servers
        if server.name == "clickhouse"
    ]
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    assert "NoNewPrivs:\t1" in status
    process = psutil.Process(pid)
    if os.geteuid() == 0:
        assert process.uids().real == process.uids().effective == OWN_USER
        assert "CapEff:\t0000000000000004" in status, "it may pass folders, and nothing else"
    home = deployment.settings.home
    own = {home / "clickhouse", home / "clickhouse-logs", home / "logs" / "clickhouse.log"}
    opened = {Path(file.path) for file in process.open_files()}
    foreign = {file for file in opened if file.is_relative_to(home)} - {
        file for file in opened if own & {file, *file.parents}
    }
    assert not foreign


_WITHOUT_LANDLOCK = """
import sys
from stack import clickhouse_server
clickhouse_server.landlock_version = lambda: 0
clickhouse_server.serve(*sys.argv[1:])
"""


@pytest.mark.skipif(not mount_namespace.is_available(), reason="no namespaces for this user")
def test_without_landlock_the_server_runs_in_a_mount_namespace(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "logs").mkdir(parents=True)
    with socket.socket() as native, socket.socket() as web:
        native.bind(("127.0.0.1", 0))
        web.bind(("127.0.0.1", 0))
        ports = native.getsockname()[1], web.getsockname()[1]
    users, scoped = accounts(home)
    server = ClickHouseServer(ensure_installed(), home, *ports, users, scoped)
    server.prepare()
    arguments = server.command()[-2:]
    with (
        server.log_file.open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-c", _WITHOUT_LANDLOCK, *arguments],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            until(server.is_ready, "the server answers")
            writer = users["writer"]
            with Client(
                "127.0.0.1",
                port=ports[0],
                user=writer.user,
                password=writer.password.get_secret_value(),
            ) as client:
                client.execute("CREATE DATABASE pravah")
                client.execute("CREATE TABLE pravah.n (n UInt8) ENGINE = MergeTree ORDER BY n")
                client.execute("INSERT INTO pravah.n SELECT number FROM numbers(9)")
                assert client.execute("SELECT sum(n) FROM pravah.n") == [(36,)]
                client.execute("DROP TABLE pravah.n SYNC")
            seen = Path(f"/proc/{process.pid}/root")
            assert {one.name for one in (seen / home.relative_to("/")).iterdir()} == {
                "clickhouse",
                "clickhouse-logs",
                "clickhouse-users.xml",
                "clickhouse.xml",
            }
            assert not (seen / "etc").exists()
        finally:
            process.terminate()


def test_every_table_and_view_is_open_to_named_accounts_only(deployment: Deployment) -> None:
    """A new table is closed until somebody names it in `schemas.readers` or `schemas.scopes`."""
    known = {
        name
        for (name,) in deployment.clickhouse.execute(
            "SELECT name FROM system.tables WHERE database = 'pravah' AND NOT startsWith(name, '.')"
        )
    }
    closed = {
        "api_tokens",
        "leases",
        "migrations",
        "plan_events_feed",
        "membership_events_feed",
        "board_done_refresh",
    }
    expected = {
        "grafana": known - closed - {"api_token"},
        "aicc": known - closed,
        UNIT: set(),
        "writer": known,
    }
    for name, tables in expected.items():
        with client_of(deployment, name) as client:
            readable = {
                table
                for table in known
                if client.execute(f"CHECK GRANT SELECT ON pravah.`{table}`")[0][0]
            }
        assert readable == tables, name
    copies = {"pulled_rollups", "pulled_cursors"}
    assert set(list_readable("aicc")) - copies == expected["aicc"]
    with client_of(deployment, UNIT) as client:
        assert {row[0] for row in client.execute("SHOW DATABASES")} == {
            name_database(UNIT, "pravah")
        }
        views = {
            row[0] for row in client.execute(f"SHOW TABLES FROM pravah_{UNIT}".replace("-", "_"))
        }
    assert views == {*list_names(), "chunks"}
