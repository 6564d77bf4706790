"""`pravah replay`: send rejected records again.

Its former commands `log`, `ledger` and `lost` belong to `pravah rebuild` and still work.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import typer

from cli.rebuild import from_ledger, from_log, lost
from cli.replay.rejected import rejected

replay = typer.Typer(no_args_is_help=True, help="Send rejected records again.")
replay.command()(rejected)


def _moved(name: str, command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command of `pravah rebuild` under its former name."""

    @wraps(command)
    def former(**options: Any) -> None:
        typer.echo(
            f"hint: `pravah replay {name}` is now `pravah rebuild {name}`; "
            "the old name will go away in a later version",
            err=True,
        )
        command(**options)

    return former


for _name, _command in (("log", from_log), ("ledger", from_ledger), ("lost", lost)):
    replay.command(_name, hidden=True)(_moved(_name, _command))


# `pravah replay` with one visible command stays a group.
@replay.callback()
def _group() -> None:
    pass
