"""`pravah` in processes that are forked from one that has imported it already.

A command that starts as a program takes more than a second of a core to import what it needs, and
the tests start some hundred. What a forked one does after its imports is the same; a worker that
restarts itself does so as a program.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.parent import bind_to_parent

WORKER = ("-m", "pravah", "worker")

# Forks processes that have the imports of `pravah worker`.
FORK_SERVER = multiprocessing.get_context("forkserver")
FORK_SERVER.set_forkserver_preload(["tests.support.forked_imports"])


class ForkedProcess:
    """A program in a forked process, with the methods of `subprocess.Popen` in use."""

    def __init__(
        self,
        program: Sequence[str],
        environment: Mapping[str, str],
        *,
        output: Path,
        errors: Path | None = None,
        given: Path | None = None,
    ) -> None:
        """Start the program.

        Args:
            program: arguments of Python: `-m pravah …`, `-c CODE` or a file with its arguments.
            environment: all of its variables.
            output: its standard output is appended to this file.
            errors: the same for its standard error; by default that goes to `output`.
            given: its standard input; by default it is empty.
        """
        output.parent.mkdir(parents=True, exist_ok=True)
        output.touch()
        files = [str(given or os.devnull), str(output), str(errors or output)]
        self._program = list(program)
        self._process = FORK_SERVER.Process(
            target=_run, args=(self._program, dict(environment), files), daemon=True
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
            raise subprocess.TimeoutExpired(self._program, timeout or 0)
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


def run_pravah(
    arguments: Sequence[object],
    environment: Mapping[str, str],
    *,
    given: bytes = b"",
    timeout: float = 180,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as a person would in a pipe.

    Args:
        arguments: of `pravah`.
        environment: all of its variables.
        given: its standard input.
        timeout: maximum time to wait, in seconds.

    Raises:
        subprocess.TimeoutExpired: the command was killed because it took longer.
    """
    words = list(map(str, arguments))
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("input", "output", "errors")]
        files[0].write_bytes(given)
        process = ForkedProcess(
            ["-m", "pravah", *words],
            environment,
            given=files[0],
            output=files[1],
            errors=files[2],
        )
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        output, errors = (file.read_text(encoding="utf-8") for file in files[1:])
    return subprocess.CompletedProcess(words, code, output, errors)


def _run(program: list[str], environment: dict[str, str], files: list[str]) -> None:
    bind_to_parent(os.getppid())
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(files[0], os.O_RDONLY), 0)
    for number in (1, 2):
        os.dup2(os.open(files[number], os.O_WRONLY | os.O_APPEND | os.O_CREAT), number)
    # multiprocessing has closed it
    sys.stdin = os.fdopen(0, encoding="utf-8")
    # A worker restarts itself with these arguments.
    sys.orig_argv = [sys.executable, *program]
    match program:
        case ["-m", module, *arguments]:
            sys.argv = [module, *arguments]
            runpy.run_module(module, run_name="__main__", alter_sys=False)
        case ["-c", code]:
            sys.argv = ["-c"]
            exec(code, {"__name__": "__main__"})  # noqa: S102 -- of a test
        case [script, *arguments]:
            sys.argv = [script, *arguments]
            runpy.run_path(script, run_name="__main__")
