"""The process that has Kafka and ClickHouse as its children: they start together, end together, and never outlive it.

`python -m stack supervise HOME [PARENT]` runs until it gets SIGTERM or SIGINT, until the process PARENT ends, or until a server keeps dying; one that dies is started
again. However it ends, by SIGKILL too, its children end with it: each asked the kernel for a signal at its parent's death before it became the server.
"""

import ctypes
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

from pravah.settings import ClickHouseUser, Role
from stack.clickhouse_server import DATABASE, ClickHouseServer
from stack.errors import StackError
from stack.install import installed
from stack.kafka_server import KafkaServer

PORTS = {
    "kafka": 9092,
    "kafka_controller": 9093,
    "clickhouse_native": 9000,
    "clickhouse_http": 8123,
}
READY_SECONDS = 90.0
STOP_SECONDS = 20.0
RESTARTS, RESTART_WINDOW_SECONDS = 5, 60.0
_NEEDED_MEMORY = 1200 * 1024 * 1024
_NEEDED_DISK = 500 * 1024 * 1024
_PORTS_FROM, _PORTS_TO = 1024, 65535
_PR_SET_PDEATHSIG = 1


@dataclass
class Supervisor:
    """Both servers of one home."""

    home: Path
    parent: int | None = None
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _reservations: list[socket.socket] = field(default_factory=list)
    _ending: bool = False
    _parent_process: psutil.Process | None = None

    def run(self) -> int:
        """Start, serve, end.

        Returns:
            0 if it was told to end, 1 if a server kept dying.

        Raises:
            StackError: it could not start.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        if self.parent is not None:
            try:
                self._parent_process = psutil.Process(self.parent)
            except psutil.NoSuchProcess:
                return 0
        try:
            _check_room(self.home)
            ports = self._choose_ports()
            users, scoped = accounts(self.home)
            tools = installed(lambda text: print(text, flush=True))
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
            if not self._is_over():
                write_private(self.home / "stack.json", _endpoints(ports, users, scoped))
            return self._serve(servers)
        finally:
            (self.home / "stack.json").unlink(missing_ok=True)
            self._stop()
            self.give_ports_back()

    def _choose_ports(self) -> dict[str, int]:
        """The ports of the last run if they are free, else the usual ones, else any; `PRAVAH_PORT_<NAME>` insists on one.

        Raises:
            StackError: a port that was asked for is taken, or is no port.
        """
        remembered = self.home / "ports.json"
        try:
            before: dict[str, int] = json.loads(remembered.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = {}  # the first run, or a file cut short by a power failure: the usual ports will do
        ports: dict[str, int] = {}
        for name, usual in PORTS.items():
            variable = f"PRAVAH_PORT_{name.upper()}"
            if asked := os.environ.get(variable):
                ports[name] = _port(asked, variable)
                if not self.reserve(ports[name]):
                    msg = f"port {asked} ({variable}) is taken: free it, or leave {variable} unset and a free port is chosen"
                    raise StackError(msg)
                continue
            wanted = [port for port in (before.get(name), usual) if port]
            ports[name] = next(
                port for port in chain(wanted, iter(_any_free, 0)) if self.reserve(port)
            )
        write_private(remembered, ports)
        return ports

    def reserve(self, port: int) -> bool:
        """Take a port for this stack if nobody has it. Another stack that is starting may have chosen it and not opened it yet, so stacks tell each other."""
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0pravah-port-{port}")  # an abstract name: gone with this process
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            return False
        self._reservations.append(reservation)
        return True

    def give_ports_back(self) -> None:
        """Let other stacks have the ports again."""
        while self._reservations:
            self._reservations.pop().close()

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending = True

    def _is_over(self) -> bool:
        """Whether it is time to end: a signal came, or the parent ended. A parent that nobody has waited for yet has ended too."""
        if self._parent_process is not None and not self._ending:
            try:
                self._ending = (
                    not self._parent_process.is_running()
                    or self._parent_process.status() == psutil.STATUS_ZOMBIE
                )
            except psutil.NoSuchProcess:
                self._ending = True
        return self._ending

    def _start(self, server: KafkaServer | ClickHouseServer) -> None:
        server.log_file.parent.mkdir(parents=True, exist_ok=True)
        with server.log_file.open("ab") as log:
            bound = [sys.executable, "-m", "stack", "become", str(os.getpid()), *server.command()]
            self._children[server.name] = subprocess.Popen(
                bound, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _wait_until_ready(self, servers: Sequence[KafkaServer | ClickHouseServer]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        waiting = list(servers)
        while waiting and not self._is_over():
            for server in list(waiting):
                if (code := self._children[server.name].poll()) is not None:
                    msg = f"{server.name} ended with {code} while starting; its log {server.log_file} ends:\n{_tail(server.log_file)}"
                    raise StackError(msg)
                if server.ready():
                    waiting.remove(server)
            if time.monotonic() > deadline:
                msg = f"{waiting[0].name} did not answer within {READY_SECONDS:.0f} s; see {waiting[0].log_file}"
                raise StackError(msg)
            if waiting:
                time.sleep(0.1)

    def _serve(self, servers: Sequence[KafkaServer | ClickHouseServer]) -> int:
        """Wait for the end. A server that dies is started again, unless it keeps dying: both keep their data through that."""
        died: list[float] = []
        while not self._is_over():
            for server in servers:
                if (code := self._children[server.name].poll()) is not None:
                    now = time.monotonic()
                    died = [*(at for at in died if now - at < RESTART_WINDOW_SECONDS), now]
                    if len(died) > RESTARTS:
                        print(
                            f"{server.name} keeps ending, now with {code}: stopping the stack; see {server.log_file}",
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


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends; end now if that happened already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def _check_room(home: Path) -> None:
    memory, disk = psutil.virtual_memory().available, psutil.disk_usage(str(home)).free
    if memory < _NEEDED_MEMORY:
        msg = f"only {memory >> 20:,} MiB of memory are free, Kafka and ClickHouse need {_NEEDED_MEMORY >> 20:,}: end other programs, or use servers elsewhere"
        raise StackError(msg)
    if disk < _NEEDED_DISK:
        msg = f"only {disk >> 20:,} MiB are free where {home} lies, at least {_NEEDED_DISK >> 20:,} are needed: set PRAVAH_HOME to a larger disk"
        raise StackError(msg)


def _port(text: str, variable: str) -> int:
    if not (text.isascii() and text.isdecimal() and _PORTS_FROM <= int(text) <= _PORTS_TO):
        msg = f"{variable} is {text!r}: give a port from {_PORTS_FROM} to {_PORTS_TO}, or leave it unset and a free port is chosen"
        raise StackError(msg)
    return int(text)


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accounts(
    home: Path, *also: str
) -> tuple[dict[Role, ClickHouseUser], dict[str, ClickHouseUser]]:
    """The ClickHouse accounts by role, and those of single units by their codes: passwords are made once and kept.

    Args:
        home: of the stack.
        also: codes of units that are to have an account.

    Raises:
        StackError: the file that keeps them is broken.
    """
    file = home / "credentials.json"
    try:
        kept: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except ValueError:
        msg = f"{file} is broken: bring it back from a copy, or delete it and new passwords are made, which Grafana and others must then be told"
        raise StackError(msg) from None
    roles: tuple[Role, ...] = get_args(Role)
    missing = [name for name in ((*also,) if kept else (*roles, *also)) if name not in kept]
    if missing:
        kept |= {name: secrets.token_urlsafe(24) for name in missing}
        write_private(file, kept)
    made = {
        name: ClickHouseUser(user=f"pravah_{name}", password=SecretStr(password))
        for name, password in kept.items()
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
            "users": {role: _told(user) for role, user in users.items()},
            "scoped": {unit: _told(user) for unit, user in scoped.items()},
        },
    }


def _told(account: ClickHouseUser) -> dict[str, str]:
    return {"user": account.user, "password": account.password.get_secret_value()}


def write_private(file: Path, content: object) -> None:
    """Write JSON that only the owner can read, all of it or nothing."""
    partial = file.with_suffix(".part")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(content, out, indent=2)
    partial.rename(file)


def _tail(file: Path, lines: int = 5) -> str:
    return "\n".join(file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
