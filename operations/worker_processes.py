"""Roll-up workers as processes of their own, that end with this one."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pravah.settings import Settings

STOP_SECONDS = 15.0


def start_worker(
    settings: Settings,
    log: Path,
    *,
    program: tuple[str, ...] = ("-m", "pravah", "worker"),
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a worker on the stack of `settings.home`; the kernel kills it when this process ends.

    Args:
        settings: group, chunk size and time-outs are handed on.
        log: what it says is added here.
        program: what Python runs.
        environment: further variables.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "stack", "become", str(os.getpid()), sys.executable, *program]
    given = {
        "PRAVAH_HOME": str(settings.home.resolve()),
        "PRAVAH_CONSUMER_GROUP": settings.consumer_group,
        "PRAVAH_CHUNK_SIZE": str(settings.chunk_size),
        "PRAVAH_FLUSH_SECONDS": str(settings.flush_seconds),
        "PRAVAH_SESSION_TIMEOUT_SECONDS": str(settings.session_timeout_seconds),
    }
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **given, **(environment or {})},
        )


def stop_worker(process: "subprocess.Popen[bytes]") -> int:
    """Ask a worker to end, and make it end.

    Returns:
        Its exit code; 0 if it ended as asked.
    """
    process.send_signal(signal.SIGTERM)
    return _ended(process)


def _ended(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@contextmanager
def working(settings: Settings, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker for the length of a block."""
    process = start_worker(settings, log)
    try:
        yield process
    finally:
        stop_worker(process)


def last_lines(log: Path, count: int = 5) -> str:
    """The end of a log, for an error message."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


RESTARTS_A_MINUTE = 5
_LOOK_SECONDS = 0.2


def run_several(count: int, settings: Settings) -> int:
    """Run so many workers until a signal, and start again each that ends unasked.

    Returns:
        The exit code: 0 after a signal; 1 if one ended more often than `RESTARTS_A_MINUTE`, and so all were ended.
    """
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    workers = [_start_one(settings, place) for place in range(count)]
    restarts: deque[float] = deque()
    while not asked.wait(_LOOK_SECONDS):
        for place, one in enumerate(workers):
            if one.poll() is None:
                continue
            now = time.monotonic()
            while restarts and now - restarts[0] > 60:  # noqa: PLR2004
                restarts.popleft()
            if len(restarts) >= RESTARTS_A_MINUTE:
                print(  # noqa: T201
                    f"worker {place + 1} ended with code {one.returncode}, and {len(restarts)} did within a minute: ending all",
                    file=sys.stderr,
                    flush=True,
                )
                return _stop_all(workers) or 1
            print(  # noqa: T201
                f"worker {place + 1} ended with code {one.returncode}: starting it again",
                file=sys.stderr,
                flush=True,
            )
            restarts.append(now)
            workers[place] = _start_one(settings, place)
    return _stop_all(workers)


def _start_one(settings: Settings, place: int) -> "subprocess.Popen[bytes]":
    port = settings.worker_port + place if settings.worker_port else 0
    command = [
        sys.executable,
        "-m",
        "stack",
        "become",
        str(os.getpid()),
        sys.executable,
        "-m",
        "pravah",
        "worker",
    ]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PRAVAH_WORKER_PORT": str(port)},
        start_new_session=True,
    )


def _stop_all(workers: Sequence["subprocess.Popen[bytes]"]) -> int:
    for one in workers:
        one.send_signal(signal.SIGTERM)
    return int(any(_ended(one) != 0 for one in workers))


class StalledError(RuntimeError):
    """The roll-up does not get on."""


STALL_SECONDS = 60.0


class StallWatch:
    """Notices that a figure no longer grows."""

    def __init__(self) -> None:
        """Begin now."""
        self._best, self._since = -1, time.monotonic()

    def check(self, done: int, what: str) -> None:
        """Take how far it is.

        Raises:
            StalledError: nothing was added for `STALL_SECONDS`.
        """
        if done > self._best:
            self._best, self._since = done, time.monotonic()
        elif time.monotonic() - self._since > STALL_SECONDS:
            msg = f"{what} stands still at {done:,} for {STALL_SECONDS:.0f} s"
            raise StalledError(msg)
