"""Kafka and ClickHouse on one machine, without containers: for trying, for tests, and for a small control room.

| module | what it is |
| --- | --- |
| `install` | brings Kafka's jars by Maven and ClickHouse by npm, once |
| `control` | `up`, `down`, `status`, and `running` for tests |
| `supervisor` | the process that has both servers as children and ends with them |
| `kafka_server`, `clickhouse_server` | configuration, command line and readiness of each |
| `topics` | Pravah's topics, on this or any Kafka |

Real clusters take the place of all this by settings alone (`settings`).
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
