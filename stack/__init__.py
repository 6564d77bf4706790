"""Kafka and ClickHouse on one machine, without containers, for tests and small control rooms.

May import `schemas` and `pravah`; settings alone replace it by real clusters. Start reading at
`control.up`: it installs both servers once, and starts the supervisor that runs them.
"""

from stack.control import Running, Status, down, is_embedded, running, scoped_account, status, up
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
