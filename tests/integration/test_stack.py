"""The stack on one machine: what it keeps, who may see what, and that nothing outlives it."""

import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException
from kafka import KafkaConsumer

import stack
from pravah.kafka import client_options
from pravah.producer import EventProducer
from pravah.settings import Settings
from pravah.topics import EVENTS
from sinks.connection import connect, is_retryable
from stack.errors import StackError
from stack.install import ensure_installed, tools_folder
from stack.supervisor import Supervisor
from stack.topics import create_topics
from tests.support.deployment import Deployment, until


def family(home: Path) -> list[psutil.Process]:
    """Every process that has to do with a home."""
    everything = psutil.process_iter(["cmdline"])
    return [
        process
        for process in everything
        if process.pid != os.getpid()
        and any(str(home) in part for part in process.info["cmdline"] or [])
    ]


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("own") / "home"
    yield home
    stack.down(home)


def test_up_down_and_up_again_keeps_data_ports_and_passwords(own_home: Path) -> None:
    said: list[str] = []
    first = stack.up(own_home, said.append)
    assert first.is_ready
    assert {server.name for server in first.servers} == {"kafka", "clickhouse"}
    before = Settings(home=own_home)
    create_topics(before.kafka)
    with EventProducer(before.kafka) as producer:
        producer.send_raw(b"kept", "CG-AC001")
    with connect(before.clickhouse, "writer", database="default") as client:
        client.execute("CREATE DATABASE pravah")
        client.execute("CREATE TABLE pravah.kept (n UInt8) ENGINE = MergeTree ORDER BY n")
        client.execute("INSERT INTO pravah.kept VALUES", [(7,)])

    assert stack.up(own_home, said.append).pid == first.pid, "a second up finds the first"
    assert stack.down(own_home)
    assert family(own_home) == []
    assert not (own_home / "stack.json").exists()
    assert not stack.down(own_home)

    stack.up(own_home, said.append)
    after = Settings(home=own_home)
    assert (after.kafka, after.clickhouse) == (before.kafka, before.clickhouse)
    consumer = KafkaConsumer(
        EVENTS,
        **client_options(after.kafka),
        auto_offset_reset="earliest",
        consumer_timeout_ms=20_000,
    )
    assert next(iter(consumer)).value == b"kept"
    consumer.close()
    with connect(after.clickhouse, "writer") as client:
        assert client.execute("SELECT n FROM kept") == [(7,)]


def test_a_start_waits_for_a_stop_and_a_stop_ends_a_start_in_progress(own_home: Path) -> None:
    first = stack.up(own_home, lambda _: None)
    stopper = threading.Thread(target=stack.down, args=(own_home,))
    stopper.start()
    until(lambda: not _is_lock_free(own_home) or not stopper.is_alive(), "the stop has begun")
    second = stack.up(own_home, lambda _: None)
    stopper.join()
    assert second.is_ready
    assert second.pid != first.pid
    assert stack.down(own_home)

    failures: list[StackError] = []

    def start() -> None:
        try:
            stack.up(own_home, lambda _: None)
        except StackError as error:
            failures.append(error)

    starter = threading.Thread(target=start)
    starter.start()
    until(lambda: stack.status(own_home).pid is not None, "the supervisor of the start runs")
    assert stack.down(own_home)
    starter.join()
    assert [str(error)[:32] for error in failures] == ["the stack ended while starting; "]
    assert stack.status(own_home).pid is None
    assert family(own_home) == []
    stack.up(own_home, lambda _: None)


def _is_lock_free(home: Path) -> bool:
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_what_holds_secrets_is_the_owners_alone(own_home: Path) -> None:
    assert stat.S_IMODE(own_home.stat().st_mode) == 0o700
    for name in ("stack.json", "credentials.json", "clickhouse-users.xml"):
        assert stat.S_IMODE((own_home / name).stat().st_mode) == 0o600
    settings = Settings(home=own_home)
    password = settings.clickhouse.users["writer"].password.get_secret_value()
    assert password not in repr(settings)
    for file in (
        *own_home.glob("*.xml"),
        *own_home.glob("*.properties"),
        *(own_home / "logs").iterdir(),
    ):
        assert password not in file.read_text(encoding="utf-8", errors="replace"), file
    assert all(password not in " ".join(process.cmdline()) for process in family(own_home))


def kill_clickhouse(home: Path) -> None:
    """Kill it, and wait until it is back."""
    settings = Settings(home=home)
    dead = next(server.pid for server in stack.status(home).servers if server.name == "clickhouse")
    os.kill(dead, signal.SIGKILL)
    until(lambda: dead not in [server.pid for server in stack.status(home).servers], "it is gone")

    def answers() -> bool:
        try:
            with connect(settings.clickhouse, "writer") as client:
                return client.execute("SELECT n FROM kept") == [(7,)]
        except Exception as error:
            assert is_retryable(error)
            return False

    until(answers, "ClickHouse is back")


def test_a_server_that_dies_is_started_again(own_home: Path) -> None:
    kill_clickhouse(own_home)


def test_a_row_filter_binds_its_user_and_nobody_else(own_home: Path) -> None:
    users = own_home / "clickhouse-users.xml"
    opened = users.read_text(encoding="utf-8").replace(
        "<grants>", "<grants><query>GRANT SELECT ON pravah.kept</query>"
    )
    before, contacts, after = opened.partition("<contacts>")
    users.write_text(
        f"{before}<kept><filter>n = 0</filter></kept>{contacts}{after}", encoding="utf-8"
    )
    kill_clickhouse(own_home)  # the users file is read at the start
    settings = Settings(home=own_home)
    seen = {}
    for role in ("writer", "grafana", "aicc"):
        with connect(settings.clickhouse, role) as client:  # type: ignore[arg-type]
            seen[role] = client.execute("SELECT n FROM kept")
    assert seen == {"writer": [(7,)], "grafana": [(7,)], "aicc": []}


def test_two_stacks_do_not_share_a_port(own_home: Path, services: Settings) -> None:
    mine, theirs = Settings(home=own_home), services
    assert mine.kafka.bootstrap_servers != theirs.kafka.bootstrap_servers
    assert mine.clickhouse.native_port != theirs.clickhouse.native_port


def test_a_stack_that_starts_takes_no_port_that_another_has_chosen_and_not_opened_yet(
    tmp_path: Path,
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    first, second = Supervisor(tmp_path / "first"), Supervisor(tmp_path / "second")
    assert first.reserve(port)
    assert not second.reserve(port)
    first.release_ports()
    assert second.reserve(port)
    second.release_ports()


def test_a_killed_supervisor_leaves_no_process(own_home: Path) -> None:
    supervisor = stack.status(own_home).pid
    assert supervisor
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: family(own_home) == [], "all of it ends")
    assert stack.status(own_home).pid is None
    assert not stack.down(own_home)
    assert not (own_home / "stack.json").exists(), "nobody is sent to servers that are gone"


def test_a_killed_parent_leaves_no_process(tmp_path: Path) -> None:
    home = tmp_path / "home"
    code = (
        "import stack, sys, pathlib\n"
        f"with stack.running(pathlib.Path({str(home)!r})):\n"
        "    print('up', flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        assert len(family(home)) >= 3
        parent.kill()
        until(
            lambda: family(home) == [],
            "all of it ends, though nobody has waited for the parent yet",
        )


def test_a_process_of_an_earlier_boot_is_not_taken_for_the_stack(tmp_path: Path) -> None:
    (tmp_path / "supervisor.json").write_text(
        json.dumps({"pid": os.getpid(), "started": "an-earlier-boot 4711"}), encoding="utf-8"
    )
    assert stack.status(tmp_path).pid is None
    assert not stack.down(tmp_path)


def test_a_broken_file_of_passwords_is_reported_and_broken_ports_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text('{"kafka": 90', encoding="utf-8")
    (tmp_path / "credentials.json").touch()
    with pytest.raises(
        StackError,
        match=r"^\S+/credentials\.json is broken: bring it back from a copy, or delete it[^\n]*$",
    ):
        stack.up(tmp_path, lambda _: None)


def test_a_port_that_is_demanded_and_taken_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("PRAVAH_PORT_KAFKA", str(port))
        with pytest.raises(
            StackError, match=rf"port {port} \(PRAVAH_PORT_KAFKA\) is taken: free it"
        ):
            stack.up(tmp_path / "home", lambda _: None)


@pytest.mark.parametrize("port", ["kafka", "70000"])
def test_what_is_no_port_is_reported(
    port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRAVAH_PORT_KAFKA", port)
    with pytest.raises(
        StackError, match=rf"^PRAVAH_PORT_KAFKA is '{port}': give a port from 1024 to 65535[^\n]*$"
    ):
        stack.up(tmp_path / "home", lambda _: None)


def test_the_tools_folder_may_be_named_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tools").symlink_to(tools_folder())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRAVAH_TOOLS", "tools")
    tools = ensure_installed()
    assert tools.libchdb.is_relative_to(tmp_path / "tools")
    assert tools.libchdb.is_file()


def test_readers_cannot_write_and_default_does_not_get_in(deployment: Deployment) -> None:
    settings = deployment.settings
    for role in ("grafana", "aicc"):
        with connect(settings.clickhouse, role) as reader:  # type: ignore[arg-type]
            assert reader.execute("SELECT count() FROM rollups") == [(0,)]
            for statement in (
                "INSERT INTO metrics (metric) VALUES ('x')",
                "CREATE TABLE x (n UInt8) ENGINE = Memory",
                "DROP TABLE journal",
                "TRUNCATE TABLE ledger",
            ):
                with pytest.raises(ServerException, match="Not enough privileges"):
                    reader.execute(statement)
    default = Client("127.0.0.1", port=settings.clickhouse.native_port)
    for table in ("ledger", "journal", "events", "rollups", "units"):
        with pytest.raises(ServerException, match="session count"):
            default.execute(f"SELECT * FROM pravah.{table} LIMIT 1")
    default.disconnect()


def test_topics_are_made_once_and_other_partitions_are_refused(deployment: Deployment) -> None:
    create_topics(deployment.settings.kafka)
    with pytest.raises(StackError, match="has 12 partitions, PRAVAH_KAFKA__PARTITIONS says 6"):
        create_topics(deployment.settings.kafka.model_copy(update={"partitions": 6}))
