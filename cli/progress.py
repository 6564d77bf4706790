"""A progress bar on standard error, if a person is watching."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_REDRAW_INTERVAL_S = 0.1


class Advance(Protocol):
    """Moves the bar."""

    def __call__(self, done: int, note: str = "") -> None:
        """Advance by what was done since the last call, with a note beside the bar."""


@contextmanager
def progress(title: str, total: int | None, *, quiet: bool = False) -> Iterator[Advance]:
    """Show the progress of a long command; nothing if standard error is no terminal.

    Args:
        title: shown before the bar.
        total: of all work; None if unknown.
        quiet: show nothing.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, disable=quiet or not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task(title, total=total, note="")
        waiting, shown = 0, 0.0

        def advance(done: int, note: str = "") -> None:
            nonlocal waiting, shown
            waiting += done
            now = time.monotonic()
            # Drawing for every record would take longer than the record.
            if now - shown > _REDRAW_INTERVAL_S:
                bar.update(task, advance=waiting, note=note)
                waiting, shown = 0, now

        yield advance
