"""Start, stop and look at the stack of a home folder."""

import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from pravah.settings import Settings
from schemas.scopes import row_filters
from stack.clickhouse_server import DATABASE
from stack.errors import StackError
from stack.install import installed
from stack.supervisor import READY_SECONDS, STOP_SECONDS, accounts

_SERVERS = {"kafka": "kafka.Kafka", "clickhouse": "stack serve-clickhouse"}


_LEFT_RUNNING: list["subprocess.Popen[bytes]"] = []
"""Supervisors that are to outlive this process; Python would warn about them were they forgotten."""


@dataclass(frozen=True)
class Running:
    """One server of a stack that runs."""

    name: str
    pid: int
    since: float
    """Seconds since 1970-01-01T00:00Z."""
    memory: int
    """Resident bytes."""
    address: str
    log: Path


@dataclass(frozen=True)
class Status:
    """A home's stack as it is now."""

    home: Path
    pid: int | None
    """The supervisor's process, None if the stack is down."""
    ready: bool
    servers: tuple[Running, ...]


def up(home: Path, say: Callable[[str], None]) -> Status:
    """Start the stack of a home, or find that it runs; it stays when this process ends.

    Raises:
        StackError: it cannot start; the message says why and what to do.
    """
    _make_home(home)
    with _only_one(home):
        now = status(home)
        if now.pid is None:
            installed(
                say
            )  # here and not in the supervisor: a download is told, and takes as long as it takes
            say("starting Kafka and ClickHouse …")
            _LEFT_RUNNING.append(_spawn(home, parent=None))
        _wait_until_ready(home)
    return status(home)


def down(home: Path) -> bool:
    """Stop the stack of a home; its data stay, `stack.json` goes.

    Returns:
        False if it was down.
    """
    now = status(home)
    if now.pid is None:
        (home / "stack.json").unlink(missing_ok=True)  # left by a stack that was killed
        return False
    supervisor = psutil.Process(now.pid)
    supervisor.terminate()
    try:
        supervisor.wait(STOP_SECONDS + 5)
    except psutil.TimeoutExpired:
        supervisor.kill()
        supervisor.wait(5)
        (home / "stack.json").unlink(missing_ok=True)
    return True


def status(home: Path) -> Status:
    """What runs of a home's stack."""
    supervisor = _supervisor(home)
    if supervisor is None:
        return Status(home, None, ready=False, servers=())
    endpoints = _endpoints(home)
    servers = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in supervisor.children(recursive=True):
            command = " ".join(child.cmdline())
            for name, mark in _SERVERS.items():
                if mark in command and "stack become" not in command:
                    log = home / "logs" / f"{name}.log"
                    servers.append(
                        Running(
                            name,
                            child.pid,
                            child.create_time(),
                            child.memory_info().rss,
                            endpoints.get(name, "starting"),
                            log,
                        )
                    )
    return Status(home, supervisor.pid, ready=bool(endpoints), servers=tuple(servers))


def scoped_account(home: Path, unit: str) -> bool:
    """Give a unit a ClickHouse account of its own in the stack of a home, if it has none.

    Args:
        home: of the stack.
        unit: a unit code.

    Returns:
        Whether the server that runs knows it. If not, it does from the next start on: the embedded server reads its accounts once.

    Raises:
        StackError: it is no unit code, or the file that keeps the passwords is broken.
    """
    try:
        row_filters(unit, DATABASE)
    except ValueError as error:
        raise StackError(str(error)) from None
    _make_home(home)
    with _only_one(home):
        _, scoped = accounts(home, unit)
    return Settings(home=home).clickhouse.scoped.get(unit) == scoped[unit]


@contextlib.contextmanager
def running(home: Path, say: Callable[[str], None] = lambda _: None) -> Iterator[Settings]:
    """A stack that ends with the block, and with this process however that ends.

    Raises:
        StackError: it cannot start.
    """
    _make_home(home)
    with _only_one(home):
        if _supervisor(home) is not None:
            msg = f"a stack runs in {home} already; stop it with `pravah down`, or choose another PRAVAH_HOME"
            raise StackError(msg)
        installed(say)
        say("starting Kafka and ClickHouse …")
        supervisor = _spawn(home, parent=os.getpid())
        try:
            _wait_until_ready(home)
        except BaseException:
            supervisor.terminate()
            supervisor.wait()
            raise
    try:
        yield Settings(home=home)
    finally:
        supervisor.terminate()
        supervisor.wait()


def _make_home(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    (home / "logs").mkdir(exist_ok=True)


@contextlib.contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """Let one process at a time start the stack of a home."""
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _spawn(home: Path, *, parent: int | None) -> "subprocess.Popen[bytes]":
    bound = [] if parent is None else [str(parent)]
    (home / "stack.json").unlink(missing_ok=True)  # left by a stack that was killed
    with (home / "logs" / "supervisor.log").open("wb") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "stack", "supervise", str(home), *bound],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    known = {"pid": supervisor.pid, "started": _started(supervisor.pid)}
    (home / "supervisor.json").write_text(json.dumps(known), encoding="utf-8")
    return supervisor


def _wait_until_ready(home: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS + 10
    while not (home / "stack.json").exists():
        if _supervisor(home) is None:
            said = (
                (home / "logs" / "supervisor.log")
                .read_text(encoding="utf-8", errors="replace")
                .strip()
            )
            told = re.search(r"(?ms)^error: (.*)", said)
            raise StackError(
                told[1]
                if told
                else f"the stack ended while starting; see {home / 'logs' / 'supervisor.log'}"
            )
        if time.monotonic() > deadline:
            msg = f"the stack was not ready in time; see {home / 'logs'}"
            raise StackError(msg)
        time.sleep(0.1)


def _supervisor(home: Path) -> psutil.Process | None:
    """The running supervisor of a home. A file left from before a reboot names no process, or one that started at another time."""
    try:
        known = json.loads((home / "supervisor.json").read_text(encoding="utf-8"))
        process = psutil.Process(known["pid"])
        alive = (
            _started(process.pid) == known["started"] and process.status() != psutil.STATUS_ZOMBIE
        )
    except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
        return None
    return process if alive else None


def _started(pid: int) -> str:
    """When a process started: which boot, and how long after it. Not the time of day, which a machine may set right while a stack runs."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    after_name = (
        Path(f"/proc/{pid}/stat")
        .read_text(encoding="utf-8", errors="replace")
        .rpartition(")")[2]
        .split()
    )
    return f"{boot} {after_name[19]}"  # proc(5): field 22, in clock ticks since boot; the name, field 2, may hold blanks


def _endpoints(home: Path) -> dict[str, str]:
    try:
        known = json.loads((home / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    clickhouse = known["clickhouse"]
    return {
        "kafka": known["kafka"]["bootstrap_servers"],
        "clickhouse": f"{clickhouse['host']}:{clickhouse['native_port']}, http {clickhouse['http_port']}",
    }


_ELSEWHERE = ("PRAVAH_KAFKA__BOOTSTRAP_SERVERS", "PRAVAH_CLICKHOUSE__HOST")


def is_embedded() -> bool:
    """Whether the servers are those of the home folder: no environment variable names others."""
    return not any(name in os.environ for name in _ELSEWHERE)
