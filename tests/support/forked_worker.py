"""Workers forked from a process that has imported the worker already.

A worker that starts as a program takes more than a second of a core to import what it needs, and
the tests start some hundred. What a forked one does after its imports is the same: it runs
`pravah worker`, and one that restarts itself does so as a program.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pravah.__main__
from stack.parent import bind_to_parent

_PROGRAM = ["-m", "pravah", "worker"]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.support.worker_imports"])


class ForkedWorker:
    """`pravah worker` in a forked process, with the methods of `subprocess.Popen` in use."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        """Start the worker.

        Args:
            log: its output is appended to this file.
            environment: all of its variables.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        self._process = _context.Process(
            target=_run, args=(str(log), dict(environment)), daemon=True
        )
        self._process.start()
        assert self._process.pid
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while the process runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit code; None while the process runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code.

        Raises:
            subprocess.TimeoutExpired: the process still runs after `timeout` seconds.
        """
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(_PROGRAM, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _run(log: str, environment: dict[str, str]) -> None:
    bind_to_parent(os.getppid())
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number in (1, 2):
        os.dup2(output, number)
    # A worker restarts itself with these arguments.
    sys.orig_argv = [sys.executable, *_PROGRAM]
    sys.argv = ["pravah", "worker"]
    pravah.__main__.main()
