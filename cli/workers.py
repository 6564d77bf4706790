"""Roll-up workers as processes of their own, that end with this one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from settings import Settings

STOP_SECONDS = 15.0


def start_worker(
    settings: Settings, log: Path, *, program: tuple[str, ...] = ("-m", "cli.main", "worker"), environment: Mapping[str, str] | None = None
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
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **given, **(environment or {})})  # noqa: S603


def stop_worker(process: "subprocess.Popen[bytes]") -> int:
    """Ask a worker to end, and make it end.

    Returns:
        Its exit code; 0 if it ended as asked.
    """
    process.send_signal(signal.SIGTERM)
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
