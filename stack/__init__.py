"""Kafka and ClickHouse on one machine, without containers, for tests and small control rooms.

May import `schemas` and `pravah`; settings alone replace it by real clusters. Start reading at
`control.up`: it installs both servers once, and starts the supervisor that runs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stack.control import (
        Running,
        Status,
        down,
        is_embedded,
        running,
        scoped_account,
        status,
        up,
    )
    from stack.errors import StackError

__all__ = [
    "Running",
    "StackError",
    "Status",
    "down",
    "is_embedded",
    "running",
    "scoped_account",
    "status",
    "up",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: `python -m stack run-bound` starts every worker."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module("stack.errors" if name == "StackError" else "stack.control"), name)
