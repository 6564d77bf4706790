"""Start, stop and inspect the stack of a home folder."""

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

from pravah.child_environment import child_environment
from pravah.settings import Settings
from schemas.scopes import row_filters
from stack.clickhouse_server import DATABASE, find_weakness
from stack.errors import StackError
from stack.install import ensure_installed
from stack.supervisor import READY_SECONDS, STOP_SECONDS, accounts

_SERVERS = {"kafka": "kafka.Kafka", "clickhouse": "stack serve-clickhouse"}

# Supervisors that outlive this process; without a reference Python would warn about them.
_LEFT_RUNNING: list["subprocess.Popen[bytes]"] = []


@dataclass(frozen=True)
class Running:
    """One running server of a stack."""

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
    """State of a home's stack."""

    home: Path
    pid: int | None
    """The supervisor's process id; None if the stack is down."""
    is_ready: bool
    servers: tuple[Running, ...]


def up(home: Path, report: Callable[[str], None]) -> Status:
    """Start the stack of a home if it does not run; it outlives this process.

    Args:
        home: of the stack.
        report: called with one line for each step that takes time.

    Raises:
        StackError: it cannot start; the message says why and what to do.
    """
    _make_home(home)
    with _lock(home):
        if _find_supervisor(home) is not None:
            try:
                _wait_until_ready(home)
            except StackError:
                if _find_supervisor(home) is not None:
                    raise  # Otherwise it was ending, and this start follows.
        if _find_supervisor(home) is None:
            # Here and not in the supervisor: a download is reported, and has no time limit.
            ensure_installed(report)
            report("starting Kafka and ClickHouse …")
            _LEFT_RUNNING.append(_spawn(home, parent=None))
        _wait_until_ready(home)
    if weakness := find_weakness():
        report(f"warning: {weakness}")
    return status(home)


def down(home: Path) -> bool:
    """Stop the stack of a home; its data stay, `stack.json` goes.

    A start that follows waits until it has ended. One that is in progress is stopped, too.

    Returns:
        False if it was down.
    """
    if not home.is_dir():
        return False
    with _lock(home, wait=False) as is_locked:
        if _stop_supervisor(home):
            return True
        if is_locked:
            (home / "stack.json").unlink(missing_ok=True)  # left by a stack that was killed
            return False
    # A start has begun, and its supervisor is not known yet: it holds the lock until it is ready.
    with _lock(home):
        return _stop_supervisor(home)


def status(home: Path) -> Status:
    """Return the state of a home's stack."""
    supervisor = _find_supervisor(home)
    if supervisor is None:
        return Status(home, None, is_ready=False, servers=())
    endpoints = _endpoints(home)
    servers = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in supervisor.children(recursive=True):
            command = " ".join(child.cmdline())
            for name, mark in _SERVERS.items():
                if mark in command and "stack run-bound" not in command:
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
    return Status(home, supervisor.pid, is_ready=bool(endpoints), servers=tuple(servers))


def scoped_account(home: Path, unit: str) -> bool:
    """Give a unit a ClickHouse account of its own in the stack of a home, if it has none.

    Args:
        home: of the stack.
        unit: a unit code.

    Returns:
        Whether the running server knows the account. Otherwise it does from its next start on: the
        embedded server reads its accounts once.

    Raises:
        StackError: it is no unit code, or the file with the passwords cannot be read.
    """
    try:
        row_filters(unit, DATABASE)
    except ValueError as error:
        raise StackError(str(error)) from None
    _make_home(home)
    with _lock(home):
        _, scoped = accounts(home, unit)
    return Settings(home=home).clickhouse.scoped.get(unit) == scoped[unit]


@contextlib.contextmanager
def running(home: Path, report: Callable[[str], None] = lambda _: None) -> Iterator[Settings]:
    """Run a stack for the length of a block; it ends with this process, however that ends.

    Args:
        home: of the stack.
        report: called with one line for each step that takes time.

    Raises:
        StackError: it cannot start, or one runs already.
    """
    _make_home(home)
    with _lock(home):
        if _find_supervisor(home) is not None:
            msg = (
                f"a stack runs in {home} already; stop it with `pravah down`, or choose another "
                "PRAVAH_HOME"
            )
            raise StackError(msg)
        ensure_installed(report)
        report("starting Kafka and ClickHouse …")
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
def _lock(home: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock under which one process at a time starts or stops the stack of a home.

    Yields:
        Whether it is held; False only without `wait`, while another process holds it.
    """
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_locked = True
        except BlockingIOError:
            is_locked = False
        yield is_locked


def _stop_supervisor(home: Path) -> bool:
    """Stop the supervisor of a home, by SIGKILL if it takes too long; False if none runs."""
    supervisor = _find_supervisor(home)
    if supervisor is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        supervisor.terminate()
    try:
        supervisor.wait(STOP_SECONDS + 5)
    except psutil.TimeoutExpired:
        supervisor.kill()
        supervisor.wait(5)
        (home / "stack.json").unlink(missing_ok=True)
    return True


def _spawn(home: Path, *, parent: int | None) -> "subprocess.Popen[bytes]":
    arguments = [str(home), *([] if parent is None else [str(parent)])]
    (home / "stack.json").unlink(missing_ok=True)  # left by a stack that was killed
    with (home / "logs" / "supervisor.log").open("wb") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "stack", "supervise", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=child_environment(),
            start_new_session=True,
        )
    identity = {"pid": supervisor.pid, "started": _start_time(supervisor.pid)}
    (home / "supervisor.json").write_text(json.dumps(identity), encoding="utf-8")
    return supervisor


def _wait_until_ready(home: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS + 10
    while not (home / "stack.json").exists():
        if _find_supervisor(home) is None:
            output = (
                (home / "logs" / "supervisor.log")
                .read_text(encoding="utf-8", errors="replace")
                .strip()
            )
            reason = re.search(r"(?ms)^error: (.*)", output)
            raise StackError(
                reason[1]
                if reason
                else f"the stack ended while starting; see {home / 'logs' / 'supervisor.log'}"
            )
        if time.monotonic() > deadline:
            msg = f"the stack was not ready in time; see {home / 'logs'}"
            raise StackError(msg)
        time.sleep(0.1)


def _find_supervisor(home: Path) -> psutil.Process | None:
    """Return the running supervisor of a home.

    A file left from before a reboot names no process, or one with another start time.
    """
    try:
        identity = json.loads((home / "supervisor.json").read_text(encoding="utf-8"))
        process = psutil.Process(identity["pid"])
        is_alive = (
            _start_time(process.pid) == identity["started"]
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
        return None
    return process if is_alive else None


def _start_time(pid: int) -> str:
    """Return when a process started, as boot id and ticks since boot.

    Not the time of day: the clock may be corrected while a stack runs.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    after_name = (
        Path(f"/proc/{pid}/stat")
        .read_text(encoding="utf-8", errors="replace")
        .rpartition(")")[2]
        .split()
    )
    # proc(5): field 22, in clock ticks since boot. Field 2, the name, may contain blanks.
    return f"{boot} {after_name[19]}"


def _endpoints(home: Path) -> dict[str, str]:
    try:
        endpoints = json.loads((home / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    clickhouse = endpoints["clickhouse"]
    return {
        "kafka": endpoints["kafka"]["bootstrap_servers"],
        "clickhouse": (
            f"{clickhouse['host']}:{clickhouse['native_port']}, http {clickhouse['http_port']}"
        ),
    }


_SERVER_VARIABLES = ("PRAVAH_KAFKA__BOOTSTRAP_SERVERS", "PRAVAH_CLICKHOUSE__HOST")


def is_embedded() -> bool:
    """Whether the home folder's servers are used: no environment variable names others."""
    return not any(name in os.environ for name in _SERVER_VARIABLES)
