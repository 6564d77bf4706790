"""What all tests share: one Kafka and one ClickHouse for the whole run, on free ports of 127.0.0.1, which end with it."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
import small_world
from clickhouse_driver import Client
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from kafka.admin import KafkaAdminClient

import stack
from cli.prepare import prepare
from cli.workers import STALL_SECONDS, last_lines, start_worker, stop_worker
from schemas.registry import Registry
from schemas.topics import ALERTS, EVENTS, REJECTED, UNITS
from settings import Settings
from settings.kafka import client_options
from sinks.connection import connect
from sinks.lag import Lag

hypothesis_settings.register_profile("pravah", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
hypothesis_settings.load_profile("pravah")


SCOPED = ("CG-D-A", "CG-D-B", "CG-D-D", "CG-D-NRP")
"""Units that have a ClickHouse account of their own: three of the small world, one of the registry."""


def until(condition: Callable[[], object], what: str, seconds: float = STALL_SECONDS) -> None:
    """Wait for a condition; the test fails if it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A running stack. What is in it, a test makes itself, most often by `deployment`."""
    for name in [name for name in os.environ if name.startswith("PRAVAH_") and name != "PRAVAH_TOOLS"]:
        del os.environ[name]  # the tests must not depend on the caller's own stack
    home = tmp_path_factory.mktemp("stack") / "home"
    for unit in SCOPED:
        stack.scoped_account(home, unit)
    with stack.running(home) as settings:
        yield settings


@pytest.fixture
def writer(services: Settings) -> Iterator[Client]:
    """The writer's account, outside the database."""
    with connect(services.clickhouse, "writer", database="default") as client:
        yield client


class Deployment:
    """Fresh topics and tables with a registry, and the workers of a test."""

    def __init__(self, settings: Settings, logs: Path) -> None:
        self.settings = settings
        self.clickhouse = connect(settings.clickhouse, "writer")
        self._logs = logs
        self._workers: list = []

    def start_worker(self, *program: str):
        """`pravah worker`, or another program for Python."""
        process = start_worker(self.settings, self._logs / f"worker-{time.time_ns()}.log", **({"program": program} if program else {}))
        self._workers.append(process)
        return process

    def wait_until_rolled_up(self, seconds: float = 120) -> None:
        """Wait until every record of the log is in the figures."""
        with Lag(self.settings.kafka, self.clickhouse) as lag:
            deadline = time.monotonic() + seconds
            while lag.position().behind:
                assert not self._workers or any(one.poll() is None for one in self._workers), f"no worker is left; the newest one's log ends:\n{self.log_end()}"
                assert time.monotonic() < deadline, f"not rolled up within {seconds:.0f} s; the newest worker's log ends:\n{self.log_end()}"
                time.sleep(0.1)

    def durable(self) -> int:
        """How many records of the log are in the figures."""
        with Lag(self.settings.kafka, self.clickhouse) as lag:
            return lag.position().durable

    def log_end(self, lines: int = 8) -> str:
        """The end of the newest worker's log."""
        return last_lines(max(self._logs.glob("worker-*.log")), lines) if self._workers else "(no worker)"

    def rollups(self, as_of: datetime | None = None) -> dict:
        """(day, level, unit, metric) → (value, verified value); as they were known at an instant, if one is given."""
        source = f"rollups_as_known(as_of = fromUnixTimestamp64Milli({int(as_of.timestamp() * 1000)}))" if as_of else "rollups"
        rows = self.clickhouse.execute(f"SELECT day, toString(level), unit, metric, value, verified_value FROM {source}")
        figures = {row[:4]: row[4:] for row in rows}
        assert len(figures) == len(rows), "a figure stands twice"
        return figures

    def environment(self) -> dict[str, str]:
        """For a command that is to work on this deployment."""
        return {**os.environ, "PRAVAH_HOME": str(self.settings.home.resolve()), "PRAVAH_CONSUMER_GROUP": self.settings.consumer_group}

    def stop_workers(self) -> None:
        for process in self._workers:
            if process.poll() is None:
                stop_worker(process)
        self._workers = [process for process in self._workers if process.poll() is None]

    def stop(self) -> None:
        self.stop_workers()
        self.clickhouse.disconnect()


@pytest.fixture
def deploy(services: Settings, tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    """Make a deployment: an empty log and empty tables, with a registry (the small world's by default) and settings."""
    made: list[Deployment] = []

    def make(registry: Registry | None = None, **changes: object) -> Deployment:
        empty(services)
        settings = services.model_copy(update={"consumer_group": f"test-{time.time_ns()}", "session_timeout_seconds": 6.0, **changes})
        prepare(settings, lambda _: None, registry=registry or small_world.registry())
        made.append(Deployment(settings, tmp_path))
        return made[-1]

    yield make
    for deployment in made:
        deployment.stop()


@pytest.fixture
def deployment(deploy: Callable[..., Deployment]) -> Deployment:
    """A deployment with the small world's registry."""
    return deploy()


def empty(services: Settings) -> None:
    """No topics, no tables."""
    admin = KafkaAdminClient(**client_options(services.kafka))
    wanted = [name for name in (EVENTS, REJECTED, ALERTS, UNITS) if name in admin.list_topics()]
    if wanted:
        admin.delete_topics(wanted)
        until(lambda: not set(wanted) & set(admin.list_topics()), "deletion of topics")
    admin.close()
    with connect(services.clickhouse, "writer", database="default") as clickhouse:
        clickhouse.execute(f"DROP DATABASE IF EXISTS {services.clickhouse.database} SYNC")
