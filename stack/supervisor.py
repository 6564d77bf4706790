"""The supervisor: a process with Kafka and ClickHouse as children, which start and end with it.

`python -m stack supervise HOME [PARENT]` runs until SIGTERM or SIGINT, until the process PARENT
ends, or until a server keeps dying; a server that dies is restarted. However the supervisor ends,
by SIGKILL too, its children end with it: each one asks the kernel for a signal at its parent's
death before it executes the server.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import get_args

import psutil
from pydantic import SecretStr

from pravah.child_environment import child_environment
from pravah.settings import ClickHouseUser, Role
from stack.clickhouse_server import DATABASE, ClickHouseServer
from stack.errors import StackError
from stack.install import ensure_installed
from stack.kafka_server import KafkaServer

PORTS = {
    "kafka": 9092,
    "kafka_controller": 9093,
    "clickhouse_native": 9000,
    "clickhouse_http": 8123,
}
READY_SECONDS = 90.0
STOP_SECONDS = 20.0
MAX_RESTARTS, RESTART_WINDOW_SECONDS = 5, 60.0
_MIN_MEMORY_BYTES = 1200 * 1024 * 1024
_MIN_DISK_BYTES = 500 * 1024 * 1024
_MIN_PORT, _MAX_PORT = 1024, 65535


@dataclass
class Supervisor:
    """Runs both servers of one home."""

    home: Path
    parent: int | None = None
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _reservations: list[socket.socket] = field(default_factory=list)
    _is_stopping: bool = False
    _parent_process: psutil.Process | None = None

    def run(self) -> int:
        """Start the servers, keep them running, and stop them at the end.

        Returns:
            0 after a signal or the end of the parent, 1 if a server kept dying.

        Raises:
            StackError: a server could not start.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        if self.parent is not None:
            try:
                self._parent_process = psutil.Process(self.parent)
            except psutil.NoSuchProcess:
                return 0
        try:
            _check_resources(self.home)
            ports = self._choose_ports()
            users, scoped = accounts(self.home)
            tools = ensure_installed(lambda text: print(text, flush=True))
            servers: Sequence[KafkaServer | ClickHouseServer] = (
                KafkaServer(tools, self.home, ports["kafka"], ports["kafka_controller"]),
                ClickHouseServer(
                    tools,
                    self.home,
                    ports["clickhouse_native"],
                    ports["clickhouse_http"],
                    users,
                    scoped,
                ),
            )
            for server in servers:
                server.prepare()
                self._start(server)
            self._wait_until_ready(servers)
            if not self._must_stop():
                write_private(self.home / "stack.json", _endpoints(ports, users, scoped))
            return self._serve(servers)
        finally:
            (self.home / "stack.json").unlink(missing_ok=True)
            self._stop()
            self.release_ports()

    def _choose_ports(self) -> dict[str, int]:
        """Choose the ports of the last run if they are free, else the default ones, else any.

        The environment variable `PRAVAH_PORT_<NAME>` demands a port.

        Raises:
            StackError: a demanded port is taken, or is no port.
        """
        remembered = self.home / "ports.json"
        try:
            before: dict[str, int] = json.loads(remembered.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = {}  # the first run, or a file that a power failure has cut short
        ports: dict[str, int] = {}
        for name, default in PORTS.items():
            variable = f"PRAVAH_PORT_{name.upper()}"
            if demanded := os.environ.get(variable):
                ports[name] = _parse_port(demanded, variable)
                if not self.reserve(ports[name]):
                    msg = (
                        f"port {demanded} ({variable}) is taken: free it, or leave {variable} "
                        "unset and a free port is chosen"
                    )
                    raise StackError(msg)
                continue
            wanted = [port for port in (before.get(name), default) if port]
            ports[name] = next(
                port for port in chain(wanted, iter(_free_port, 0)) if self.reserve(port)
            )
        write_private(remembered, ports)
        return ports

    def reserve(self, port: int) -> bool:
        """Reserve a port for this stack.

        A stack that is starting may have chosen a port and not opened it yet, so each stack also
        binds an abstract socket with the port in its name.

        Returns:
            Whether the port was free.
        """
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(
                f"\0pravah-port-{port}"
            )  # An abstract name: it ends with this process.
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            return False
        self._reservations.append(reservation)
        return True

    def release_ports(self) -> None:
        """Release the reserved ports for other stacks."""
        while self._reservations:
            self._reservations.pop().close()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True

    def _must_stop(self) -> bool:
        """Whether a signal came or the parent ended; a zombie has ended too."""
        if self._parent_process is not None and not self._is_stopping:
            try:
                self._is_stopping = (
                    not self._parent_process.is_running()
                    or self._parent_process.status() == psutil.STATUS_ZOMBIE
                )
            except psutil.NoSuchProcess:
                self._is_stopping = True
        return self._is_stopping

    def _start(self, server: KafkaServer | ClickHouseServer) -> None:
        server.log_file.parent.mkdir(parents=True, exist_ok=True)
        with server.log_file.open("ab") as log:
            run_bound = [sys.executable, "-m", "stack", "run-bound", str(os.getpid())]
            self._children[server.name] = subprocess.Popen(
                [*run_bound, *server.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=child_environment(),
                start_new_session=True,
            )

    def _wait_until_ready(self, servers: Sequence[KafkaServer | ClickHouseServer]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        starting = list(servers)
        while starting and not self._must_stop():
            for server in list(starting):
                if (code := self._children[server.name].poll()) is not None:
                    msg = (
                        f"{server.name} ended with {code} while starting; its log "
                        f"{server.log_file} ends:\n{_tail(server.log_file)}"
                    )
                    raise StackError(msg)
                if server.is_ready():
                    starting.remove(server)
            if time.monotonic() > deadline:
                msg = (
                    f"{starting[0].name} did not answer within {READY_SECONDS:.0f} s; see "
                    f"{starting[0].log_file}"
                )
                raise StackError(msg)
            if starting:
                time.sleep(0.1)

    def _serve(self, servers: Sequence[KafkaServer | ClickHouseServer]) -> int:
        """Restart servers that die, until the end; both keep their data through that."""
        died: list[float] = []
        while not self._must_stop():
            for server in servers:
                if (code := self._children[server.name].poll()) is not None:
                    now = time.monotonic()
                    died = [*(at for at in died if now - at < RESTART_WINDOW_SECONDS), now]
                    if len(died) > MAX_RESTARTS:
                        print(
                            f"{server.name} keeps ending, now with {code}: stopping the stack; "
                            f"see {server.log_file}",
                            flush=True,
                        )
                        return 1
                    print(
                        f"{server.name} ended by itself with {code}: starting it again", flush=True
                    )
                    self._start(server)
            time.sleep(0.2)
        return 0

    def _stop(self) -> None:
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self._children.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _check_resources(home: Path) -> None:
    memory, disk = psutil.virtual_memory().available, psutil.disk_usage(str(home)).free
    if memory < _MIN_MEMORY_BYTES:
        msg = (
            f"only {memory >> 20:,} MiB of memory are free, Kafka and ClickHouse need "
            f"{_MIN_MEMORY_BYTES >> 20:,}: end other programs, or use servers elsewhere"
        )
        raise StackError(msg)
    if disk < _MIN_DISK_BYTES:
        msg = (
            f"only {disk >> 20:,} MiB are free where {home} lies, at least "
            f"{_MIN_DISK_BYTES >> 20:,} are needed: set PRAVAH_HOME to a larger disk"
        )
        raise StackError(msg)


def _parse_port(text: str, variable: str) -> int:
    if not (text.isascii() and text.isdecimal() and _MIN_PORT <= int(text) <= _MAX_PORT):
        msg = (
            f"{variable} is {text!r}: give a port from {_MIN_PORT} to {_MAX_PORT}, or leave it "
            "unset and a free port is chosen"
        )
        raise StackError(msg)
    return int(text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accounts(
    home: Path, *also: str
) -> tuple[dict[Role, ClickHouseUser], dict[str, ClickHouseUser]]:
    """Return ClickHouse accounts by role, and accounts of units by unit code.

    A password is generated once and stored in `credentials.json`.

    Args:
        home: of the stack.
        also: codes of units that get an account.

    Raises:
        StackError: the file cannot be read as JSON.
    """
    file = home / "credentials.json"
    try:
        stored: dict[str, str] = (
            json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        )
    except ValueError:
        msg = (
            f"{file} is broken: bring it back from a copy, or delete it and new passwords are "
            "made, which Grafana and others then need"
        )
        raise StackError(msg) from None
    roles: tuple[Role, ...] = get_args(Role)
    missing = [name for name in ((*also,) if stored else (*roles, *also)) if name not in stored]
    if missing:
        stored |= {name: secrets.token_urlsafe(24) for name in missing}
        write_private(file, stored)
    made = {
        name: ClickHouseUser(user=f"pravah_{name}", password=SecretStr(password))
        for name, password in stored.items()
    }
    return {role: made[role] for role in roles if role in made}, {
        name: account for name, account in made.items() if name not in roles
    }


def _endpoints(
    ports: dict[str, int], users: dict[Role, ClickHouseUser], scoped: dict[str, ClickHouseUser]
) -> dict[str, object]:
    return {
        "kafka": {"bootstrap_servers": f"127.0.0.1:{ports['kafka']}"},
        "clickhouse": {
            "host": "127.0.0.1",
            "native_port": ports["clickhouse_native"],
            "http_port": ports["clickhouse_http"],
            "database": DATABASE,
            "users": {role: _account_json(user) for role, user in users.items()},
            "scoped": {unit: _account_json(user) for unit, user in scoped.items()},
        },
    }


def _account_json(account: ClickHouseUser) -> dict[str, str]:
    return {"user": account.user, "password": account.password.get_secret_value()}


def write_private(file: Path, content: object) -> None:
    """Write a JSON file atomically, readable by its owner only."""
    partial = file.with_suffix(".part")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(content, out, indent=2)
    partial.rename(file)


def _tail(file: Path, lines: int = 5) -> str:
    return "\n".join(file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
