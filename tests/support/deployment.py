"""A deployment for a test: fresh topics and tables on the shared servers, and workers."""

import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kafka.admin import KafkaAdminClient

from operations.worker_processes import (
    STALL_SECONDS,
    last_lines,
    stop_worker,
    worker_environment,
)
from pravah.kafka import client_options
from pravah.settings import Settings
from pravah.topics import ALERTS, EVENTS, REJECTED, UNITS
from sinks.connection import connect
from sinks.lag import Lag
from sinks.migrate import Schema, migrate
from tests.support.forked import WORKER, ForkedProcess

if TYPE_CHECKING:
    from clickhouse_driver import Client

# Units that have a ClickHouse account of their own: three of the small world, one of Chhattisgarh's
# registry.
SCOPED = ("CG-D-A", "CG-D-B", "CG-D-D", "CG-D-NRP")


def until(condition: Callable[[], object], what: str, seconds: float = STALL_SECONDS) -> None:
    """Wait until a condition is true; fail the test after some seconds.

    Args:
        condition: called every 50 ms.
        what: name of the condition, for the failure's text.
        seconds: maximum time to wait.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)


class Deployment:
    """Fresh topics and tables with a registry loaded, and the workers of a test."""

    def __init__(self, settings: Settings, logs: Path) -> None:
        self.settings = settings
        self.clickhouse = connect(settings.clickhouse, "writer")
        self._logs = logs
        self._workers: list = []

    def start_worker(self, *program: str, **environment: str) -> ForkedProcess:
        """Start `pravah worker`, or another program with Python; returns the process."""
        log = self._logs / f"worker-{time.time_ns()}.log"
        process = ForkedProcess(
            program or WORKER, worker_environment(self.settings) | environment, output=log
        )
        self._workers.append(process)
        return process

    def wait_until_rolled_up(self, seconds: float = 120) -> None:
        """Wait until every record of the log is in the figures."""
        with Lag(self.settings.kafka, self.clickhouse) as lag:
            deadline = time.monotonic() + seconds
            while lag.position().behind:
                assert not self._workers or any(one.poll() is None for one in self._workers), (
                    f"no worker is left; the newest one's log ends:\n{self.log_end()}"
                )
                assert time.monotonic() < deadline, (
                    f"not rolled up within {seconds:.0f} s; "
                    f"the newest worker's log ends:\n{self.log_end()}"
                )
                time.sleep(0.1)

    def durable(self) -> int:
        """Number of records of the log that are in the figures."""
        with Lag(self.settings.kafka, self.clickhouse) as lag:
            return lag.position().durable

    def log_end(self, lines: int = 8) -> str:
        """The end of the newest worker's log."""
        return (
            last_lines(max(self._logs.glob("worker-*.log")), lines)
            if self._workers
            else "(no worker)"
        )

    def rollups(self, as_of: datetime | None = None) -> dict:
        """(day, level, unit, metric) → (value, verified value), now or as known at an instant."""
        source = "rollups"
        if as_of:
            milliseconds = int(as_of.timestamp() * 1000)
            source = f"rollups_as_known(as_of = fromUnixTimestamp64Milli({milliseconds}))"
        rows = self.clickhouse.execute(
            f"SELECT day, toString(level), unit, metric, value, verified_value FROM {source}"
        )
        figures = {row[:4]: row[4:] for row in rows}
        assert len(figures) == len(rows), "two rows of one figure"
        return figures

    def environment(self) -> dict[str, str]:
        """Environment of a command that works on this deployment."""
        return {
            **os.environ,
            "PRAVAH_HOME": str(self.settings.home.resolve()),
            "PRAVAH_CONSUMER_GROUP": self.settings.consumer_group,
        }

    def stop_workers(self) -> None:
        for process in self._workers:
            if process.poll() is None:
                stop_worker(process)
        self._workers = [process for process in self._workers if process.poll() is None]

    def stop(self) -> None:
        self.stop_workers()
        self.clickhouse.disconnect()


def empty(services: Settings) -> None:
    """Delete all topics, and all rows; keep the tables if they are as migrations made them."""
    admin = KafkaAdminClient(**client_options(services.kafka))
    topics = [name for name in (EVENTS, REJECTED, ALERTS, UNITS) if name in admin.list_topics()]
    if topics:
        admin.delete_topics(topics)
        until(lambda: not set(topics) & set(admin.list_topics()), "deletion of topics")
    admin.close()
    database = services.clickhouse.database
    with connect(services.clickhouse, "writer", database="default") as clickhouse:
        if _tables(clickhouse, database) == _migrated.get(services.home):
            _truncate(clickhouse, database)
        else:
            clickhouse.execute(f"DROP DATABASE IF EXISTS {database} SYNC")
            list(migrate(clickhouse, Schema(database, services.clickhouse.cluster)))
            _migrated[services.home] = _tables(clickhouse, database)


# Home of a stack → its tables and their definitions after all migrations.
_migrated: dict[Path, list[tuple[str, str]]] = {}


def _tables(clickhouse: "Client", database: str) -> list[tuple[str, str]]:
    # A view that is being refreshed has a table beside it for a moment.
    return clickhouse.execute(
        "SELECT name, create_table_query FROM system.tables"
        " WHERE database = %(database)s AND name NOT LIKE '.tmp%%' ORDER BY name",
        {"database": database},
    )


def _truncate(clickhouse: "Client", database: str) -> None:
    """Delete all rows, which takes a fourth of the time of all migrations."""
    of_database = {"database": database}
    views = clickhouse.execute(
        "SELECT view FROM system.view_refreshes WHERE database = %(database)s", of_database
    )
    for (view,) in views:  # a refresh would bring back what it has read
        clickhouse.execute(f"SYSTEM STOP VIEW {database}.{view}")
    for (table,) in clickhouse.execute(
        "SELECT name FROM system.tables WHERE database = %(database)s AND total_rows > 0"
        " AND engine LIKE '%%MergeTree' AND name != 'migrations'",
        of_database,
    ):
        clickhouse.execute(f"TRUNCATE TABLE {database}.{table} SYNC")
    for (view,) in views:
        clickhouse.execute(f"SYSTEM START VIEW {database}.{view}")
