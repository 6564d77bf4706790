"""What a long command says while it works, on standard error, and what may follow it.

In a terminal a bar is redrawn. Elsewhere, in a pipe, a log or a service, a line is written every
few seconds, by a thread of its own: so one also sees that a step still goes on that reports nothing
by itself. Standard output has the result alone.
"""

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# Least time between two lines.
LINE_INTERVAL_S = 5.0
_REDRAW_INTERVAL_S = 0.1
# Columns of a usual terminal.
_NARROW = 80
_POLL_INTERVAL_S = 0.5
# What is shown now: the display of a terminal, or the lines of what goes on, the innermost last.
_bars: list[Progress] = []
_open_lines: list["ProgressLines"] = []


class Advance(Protocol):
    """Moves the bar."""

    def __call__(self, done: int, note: str = "") -> None:
        """Advance by what was done since the last call, with a note beside the bar."""


class ProgressLines:
    """Progress as lines: one for each step, and one for every `LINE_INTERVAL_S` in between."""

    def __init__(
        self,
        title: str,
        total: int | None,
        *,
        write: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin.

        Args:
            title: what is being done.
            total: of all work; None if unknown.
            write: called with each line.
            clock: seconds.
        """
        self._title = self._first_title = title
        self._total, self._write, self._clock = total, write, clock
        self._done, self._note = 0, ""
        self._began = self._written = clock()

    def advance(self, done: int, note: str = "") -> None:
        """Count what was done; the next line says so."""
        self._done += done
        self._note = note

    def step(self, text: str) -> None:
        """Write a step's line now. One that ends in … begins: the next lines say it goes on."""
        self._write(text)
        self._title = _title_of(text, self._first_title)
        self._began = self._written = self._clock()

    def tick(self) -> None:
        """Write a line if the last one is old enough."""
        now = self._clock()
        if now - self._written < LINE_INTERVAL_S:
            return
        self._written = now
        share = f"{min(100, 100 * self._done // self._total)} %" if self._total else ""
        parts = [share, self._note, f"{now - self._began:.0f} s"]
        self._write(f"{self._title}: " + ", ".join(filter(None, parts)))


def keep_ticking(tick: Callable[[], None], is_over: Callable[[float], bool]) -> None:
    """Call `tick` until the work is over.

    Args:
        tick: writes a line if it is time.
        is_over: waits for so many seconds at most, and returns whether the work is over.
    """
    while not is_over(_POLL_INTERVAL_S):
        with suppress(OSError, ValueError):  # nobody reads standard error any more
            tick()


@contextmanager
def progress(title: str, total: int | None, *, quiet: bool = False) -> Iterator[Advance]:
    """Show the progress of a long command.

    Args:
        title: what is being done.
        total: of all work; None if unknown.
        quiet: show nothing.
    """
    console = Console(stderr=True)
    if quiet:
        yield _ignore
    elif console.is_terminal:
        with _task(console, title, total) as (bar, task):
            yield _advance_bar(bar, task)
    else:
        with _lines(title, total) as lines:
            yield lines.advance


@contextmanager
def steps(title: str) -> Iterator[Callable[[str], None]]:
    """Show the steps of a long command: yields a function that is called with each step's line.

    Args:
        title: what is being done before the first step.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        with _lines(title, None) as lines:
            yield lines.step
        return
    with _task(console, title, None) as (bar, task):

        def show(text: str) -> None:
            bar.console.print(text, markup=False, highlight=False)
            bar.reset(task, description=_title_of(text, title), total=None)

        yield show


def print_next(*commands: tuple[str, str]) -> None:
    """Say what may follow, on standard error.

    Args:
        commands: commands that work as they are printed, each with what it does.
    """
    shown = [(_as_called(command), purpose) for command, purpose in commands]
    width = max(len(command) for command, _ in shown)
    typer.echo("next:", err=True)
    fits = all(width + len(purpose) + 4 <= _NARROW for _, purpose in shown)
    between = "  " if fits else "\n      "
    for command, purpose in shown:
        typer.echo(f"  {command:{width if fits else 0}}{between}{purpose}", err=True)


def _title_of(step: str, otherwise: str) -> str:
    """What goes on after a step's line: that step, if the line says that it begins."""
    return step.removesuffix("…").rstrip() if step.endswith("…") else otherwise


def _ignore(done: int, note: str = "") -> None: ...


def _as_called(command: str) -> str:
    """The command as this shell finds it: `pravah` need not be on its path."""
    program = Path(sys.argv[0])
    found = shutil.which("pravah")
    is_elsewhere = program.name == "pravah" and program.parent != Path()
    if is_elsewhere and (found is None or Path(found).resolve() != program.resolve()):
        return f"{program}{command.removeprefix('pravah')}"
    return command


@contextmanager
def _task(console: Console, title: str, total: int | None) -> Iterator[tuple[Progress, TaskID]]:
    """Show a task in the bars that are open, or open them: a terminal has one display."""
    with ExitStack() as opened:
        if not _bars:
            _bars.append(opened.enter_context(_open_bars(console)))
            opened.callback(_bars.pop)
        bar = _bars[0]
        task = bar.add_task(title, total=total, note="")
        yield bar, task
        bar.remove_task(task)


def _open_bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _advance_bar(bar: Progress, task: TaskID) -> Advance:
    waiting, shown = 0, 0.0

    def advance(done: int, note: str = "") -> None:
        nonlocal waiting, shown
        waiting += done
        now = time.monotonic()
        # Drawing for every record would take longer than the record.
        if now - shown > _REDRAW_INTERVAL_S:
            bar.update(task, advance=waiting, note=note)
            waiting, shown = 0, now

    return advance


@contextmanager
def _lines(title: str, total: int | None) -> Iterator[ProgressLines]:
    lines = ProgressLines(title, total, write=lambda text: typer.echo(text, err=True))
    over = threading.Event()

    def tick() -> None:
        if _open_lines[-1] is lines:  # else a part of it says how far it is
            lines.tick()

    ticker = threading.Thread(target=keep_ticking, args=(tick, over.wait), daemon=True)
    _open_lines.append(lines)
    ticker.start()
    try:
        yield lines
    finally:
        over.set()
        ticker.join()
        _open_lines.remove(lines)
