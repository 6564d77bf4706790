"""Roll-up workers as child processes that end with this one."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pravah.child_environment import child_environment
from pravah.settings import Settings

STOP_SECONDS = 15.0
MAX_RESTARTS_PER_MINUTE = 5
STALL_SECONDS = 60.0
_POLL_INTERVAL_S = 0.2


def start_worker(
    settings: Settings,
    log: Path,
    *,
    program: tuple[str, ...] = ("-m", "pravah", "worker"),
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a worker on the stack of `settings.home`; the kernel kills it when this process ends.

    Args:
        settings: passed on as environment variables, see `worker_environment`.
        log: its output is appended to this file.
        program: arguments of the Python interpreter.
        environment: further variables.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            _bound_command(*program),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**worker_environment(settings), **(environment or {})},
        )


def worker_environment(settings: Settings) -> dict[str, str]:
    """Environment of a worker on the stack of `settings.home`: this process's, and settings.

    The key of the hashes that stand for persons is left out: a worker makes none.
    """
    return {
        **child_environment(),
        "PRAVAH_HOME": str(settings.home.resolve()),
        "PRAVAH_CONSUMER_GROUP": settings.consumer_group,
        "PRAVAH_CHUNK_SIZE": str(settings.chunk_size),
        "PRAVAH_FLUSH_SECONDS": str(settings.flush_seconds),
        "PRAVAH_SESSION_TIMEOUT_SECONDS": str(settings.session_timeout_seconds),
    }


def _bound_command(*arguments: str) -> list[str]:
    """A Python command that ends with this process."""
    bound = [sys.executable, "-m", "stack", "run-bound", str(os.getpid())]
    return [*bound, sys.executable, *arguments]


def stop_worker(process: "subprocess.Popen[bytes]") -> int:
    """Stop a worker by SIGTERM, and by SIGKILL after `STOP_SECONDS`.

    Returns:
        Its exit code; 0 if it ended in good order.
    """
    process.send_signal(signal.SIGTERM)
    return _wait_or_kill(process)


def _wait_or_kill(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@contextmanager
def running_worker(settings: Settings, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a worker for the length of a block."""
    process = start_worker(settings, log)
    try:
        yield process
    finally:
        stop_worker(process)


def last_lines(log: Path, count: int = 5) -> str:
    """The last lines of a log, for an error message."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


def run_workers(count: int, settings: Settings, report: Callable[[str], None]) -> int:
    """Run workers until a signal, and restart each one that ends by itself.

    Args:
        count: how many.
        settings: the first worker gets `worker_port`, the next ones the ports after it.
        report: called with one line for each worker that ended by itself.

    Returns:
        The exit code: 0 after a signal; 1 if there were more than `MAX_RESTARTS_PER_MINUTE`
        restarts, and all workers were stopped.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    workers = [_start_one(settings, place) for place in range(count)]
    restarts: deque[float] = deque()
    while not stop.wait(_POLL_INTERVAL_S):
        for place, one in enumerate(workers):
            if one.poll() is None:
                continue
            now = time.monotonic()
            while restarts and now - restarts[0] > 60:  # noqa: PLR2004
                restarts.popleft()
            ended = f"worker {place + 1} ended with code {one.returncode}"
            if len(restarts) >= MAX_RESTARTS_PER_MINUTE:
                report(f"{ended}, and {len(restarts)} did within a minute: ending all")
                return _stop_all(workers) or 1
            report(f"{ended}: starting it again")
            restarts.append(now)
            workers[place] = _start_one(settings, place)
    return _stop_all(workers)


def _start_one(settings: Settings, place: int) -> "subprocess.Popen[bytes]":
    port = settings.worker_port + place if settings.worker_port else 0
    command = _bound_command("-m", "pravah", "worker")
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        env={**child_environment(), "PRAVAH_WORKER_PORT": str(port)},
        start_new_session=True,
    )


def _stop_all(workers: Sequence["subprocess.Popen[bytes]"]) -> int:
    for one in workers:
        one.send_signal(signal.SIGTERM)
    return int(any(_wait_or_kill(one) != 0 for one in workers))


class StalledError(RuntimeError):
    """The roll-up makes no progress."""


class StallWatch:
    """Notices that a number no longer grows."""

    def __init__(self) -> None:
        self._best, self._since = -1, time.monotonic()

    def check(self, done: int, what: str) -> None:
        """Compare with the highest number so far.

        Args:
            done: how far it is.
            what: named in the error.

        Raises:
            StalledError: it has not grown for `STALL_SECONDS`.
        """
        if done > self._best:
            self._best, self._since = done, time.monotonic()
        elif time.monotonic() - self._since > STALL_SECONDS:
            msg = f"{what} stands still at {done:,} for {STALL_SECONDS:.0f} s"
            raise StalledError(msg)
