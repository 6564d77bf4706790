"""Transcripts in the docs: commands and their output, run in a terminal of 80 columns.

A transcript is a block of a page that begins with ```console. A line that begins with `$ ` is a
command, with further lines of it up to the one that ends it; all others are its output. A line of
output that is `…` stands for any lines. What differs between two runs is masked: times, ports,
paths, sizes and process numbers.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Self

from stack.parent import bind_to_parent
from tests.support.forked import FORK_SERVER

ROWS, COLUMNS = 40, 80
ANY_LINES = "…"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<'(\w+)'$")
# What only a shell can run: redirections, pipes, variables.
_SHELL = re.compile(r"[|<>&$*;]")
_EXPORT = re.compile(r"export (\w+)=(\S+)")
_STYLES = re.compile(r"\x1b\[[\d;]*m")
_MASKS = (
    (re.compile(r"20[2-9][3-9]-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?([.]\d+)?(\+05:30)?"), "TIME"),
    (re.compile(r"\bto \d\d:\d\d:\d\d\b"), "to TIME"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
    (re.compile(r"\b[\d,.]+ KiB"), "SIZE"),
    (re.compile(r"\bby [\w.-]+:\d+"), "by WORKER"),
)


@dataclass
class Step:
    """A command of a page, and its output there."""

    command: str
    output: str

    @property
    def is_in_background(self) -> bool:
        return self.command.endswith("&")


def read_steps(page: str) -> list[Step]:
    """All commands of a page's transcripts, in order."""
    steps: list[Step] = []
    for block in _BLOCK.findall(page):
        end = None
        for line in block.splitlines():
            if end is not None:
                steps[-1].command += f"\n{line}"
                end = None if line == end else end
            elif line.startswith("$ "):
                steps.append(Step(line.removeprefix("$ "), ""))
                heredoc = _HEREDOC.search(line)
                end = heredoc[1] if heredoc else None
            else:
                steps[-1].output += f"{line}\n"
    return steps


def write_outputs(page: str, outputs: Sequence[str]) -> str:
    """The page with the outputs of its commands, in order."""
    found = iter(zip(read_steps(page), outputs, strict=True))

    def fill(block: re.Match[str]) -> str:
        count = len(read_steps(block[0]))
        steps = [next(found) for _ in range(count)]
        body = "".join(f"$ {step.command}\n{output}" for step, output in steps)
        return f"```console\n{body}```"

    return _BLOCK.sub(fill, page)


def matches(expected: str, output: str) -> bool:
    """Whether an output is the page's, but for what is masked and lines that are left out."""
    lines = [re.escape(mask(line)) for line in expected.splitlines()]
    pattern = "".join(
        r"(?:.*\n)*?" if line == re.escape(ANY_LINES) else f"{line}\n" for line in lines
    )
    return re.fullmatch(pattern, mask(output)) is not None


def mask(text: str) -> str:
    """Replace what differs between two runs; spaces, since the widths of columns depend on it."""
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return re.sub(r" {2,}", "  ", text)


class Terminal:
    """A terminal of 80 columns without colours, in which commands run one after the other.

    `pravah` is forked from a process that has imported it; all else is run by Bash.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Open a terminal.

        Args:
            folder: in which commands run.
            environment: of the commands.
        """
        self._folder = folder
        self._environment = {
            **environment,
            "TERM": "dumb",
            "NO_COLOR": "1",
            "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        }
        for name in ("COLUMNS", "LINES"):
            self._environment.pop(name, None)
        self._background: list[ForkServerProcess] = []

    def run(self, command: str) -> tuple[int, str]:
        """Run a command to its end; returns its exit code and what the terminal shows."""
        if exported := _EXPORT.fullmatch(command):
            self._environment[exported[1]] = exported[2]
            return 0, ""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        pieces: list[bytes] = []
        reader = threading.Thread(target=_read, args=(leader, pieces))
        reader.start()
        try:
            if command.startswith("pravah ") and not _SHELL.search(command):
                process = self._fork(command.split(), os.ttyname(follower))
                process.join()
                code = process.exitcode or 0
            else:
                code = self._run_shell(command, follower)
        finally:
            os.close(follower)
            reader.join()
            os.close(leader)
        text = b"".join(pieces).decode().replace("\r\n", "\n")
        return code, _STYLES.sub("", text).lstrip("\n")

    def start(self, command: str) -> None:
        """Start a command that ends with `&`, such as `pravah worker 2> worker.log &`."""
        arguments = re.sub(r"2?> (\S+)|&", "", command).split()
        log = self._folder / command.split()[-2]
        log.touch()
        self._background.append(self._fork(arguments, str(log)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._background:
            process.terminate()
        for process in self._background:
            process.join()

    def _fork(self, arguments: list[str], terminal: str) -> ForkServerProcess:
        process = FORK_SERVER.Process(
            target=_run_pravah,
            args=(arguments, str(self._folder), self._environment, terminal),
            daemon=True,
        )
        process.start()
        return process

    def _run_shell(self, command: str, follower: int) -> int:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env=self._environment,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            check=False,
        ).returncode


def _read(leader: int, pieces: list[bytes]) -> None:
    while True:
        try:
            piece = os.read(leader, 65_536)
        except OSError:  # nobody has the other end open any more
            return
        if not piece:
            return
        pieces.append(piece)


def _run_pravah(
    arguments: list[str], folder: str, environment: dict[str, str], terminal: str
) -> None:
    import pravah.__main__

    bind_to_parent(os.getppid())
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    follower = os.open(terminal, os.O_RDWR | os.O_APPEND)
    for number in (0, 1, 2):
        os.dup2(follower, number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = (
        open(number, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        for number in (1, 2)
    )
    # A worker restarts itself with these arguments.
    sys.orig_argv = [sys.executable, "-m", "pravah", *arguments[1:]]
    sys.argv = arguments
    pravah.__main__.main()
