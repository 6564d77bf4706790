"""Fixtures that all tests share.

One Kafka and one ClickHouse serve a whole run, on free ports of 127.0.0.1.
"""

import gc
import os
import re
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path

import pytest
from clickhouse_driver import Client
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings

import stack
from operations.bootstrap import prepare
from pravah.settings import Settings
from schemas.registry import Registry
from sinks.connection import connect
from tests.support import small_world
from tests.support.deployment import SCOPED, Deployment, empty

hypothesis_settings.register_profile(
    "pravah",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
hypothesis_settings.register_profile(
    "mutation",
    hypothesis_settings.get_profile("pravah"),
    derandomize=True,
    max_examples=40,
    phases=[Phase.explicit, Phase.generate],
    database=None,
)
hypothesis_settings.register_profile(
    "fast", hypothesis_settings.get_profile("pravah"), max_examples=20
)
PROFILE = os.environ.get("PRAVAH_HYPOTHESIS_PROFILE", "pravah")
hypothesis_settings.load_profile(PROFILE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start workers or commands, so that `make flaky` finds them.

    With another profile than the default one, no property has more examples than the profile.
    """
    for item in items:
        if PROFILE != "pravah":
            limit_examples(item)
        if starts_processes(item.path):
            item.add_marker("worker")
    alternate(items)


def alternate(items: list[pytest.Item]) -> None:
    """Order the files so that one that waits for workers follows one that computes.

    Pytest processes that run beside each other leave no core idle then.
    """
    by_file: dict[Path, list[pytest.Item]] = {}
    for item in items:
        by_file.setdefault(item.path, []).append(item)
    waiting = [file for file in by_file if starts_processes(file)]
    others = [file for file in by_file if not starts_processes(file)]
    pairs = zip_longest(waiting, others)
    items[:] = [item for pair in pairs for file in pair if file for item in by_file[file]]


def pytest_collection_finish() -> None:
    """Let the garbage collector leave out the thousands of tests themselves: they stay."""
    gc.collect()
    gc.freeze()


@cache
def starts_processes(module: Path) -> bool:
    """Whether tests of a module start workers or commands."""
    starts = r"start_worker|ForkedProcess|run_pravah|Popen|tests\.chaos\.(world|gateway)"
    return re.search(starts, module.read_text(encoding="utf-8")) is not None


def limit_examples(item: pytest.Item) -> None:
    """Limit a property with a number of examples of its own to the profile's number."""
    profile = hypothesis_settings.get_profile(PROFILE)
    test, machine = getattr(item, "obj", None), getattr(item, "cls", None)
    own = getattr(test, "_hypothesis_internal_use_settings", None)
    if own is not None:
        test._hypothesis_internal_use_settings = hypothesis_settings(  # type: ignore[union-attr]
            profile, max_examples=min(own.max_examples, profile.max_examples)
        )
    steps = getattr(machine, "settings", None)
    if isinstance(steps, hypothesis_settings):
        machine.settings = hypothesis_settings(  # type: ignore[union-attr]
            steps, max_examples=min(steps.max_examples, profile.max_examples)
        )


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A running stack without topics and tables: `deployment` makes those."""
    for name in [
        name for name in os.environ if name.startswith("PRAVAH_") and name != "PRAVAH_TOOLS"
    ]:
        del os.environ[name]  # tests must not use the caller's own stack
    # Kafka lives for minutes here: its compiler would take a third of its time.
    os.environ["JDK_JAVA_OPTIONS"] = "-XX:TieredStopAtLevel=1"
    home = tmp_path_factory.mktemp("stack") / "home"
    for unit in SCOPED:
        stack.scoped_account(home, unit)
    with stack.running(home) as settings:
        yield settings


@pytest.fixture
def writer(services: Settings) -> Iterator[Client]:
    """A connection of the writer's account to the database `default`."""
    with connect(services.clickhouse, "writer", database="default") as client:
        yield client


@pytest.fixture
def deploy(services: Settings, tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    """Makes deployments: an empty log, empty tables and a loaded registry.

    The function's arguments are a registry (by default that of the small world) and settings.
    """
    made: list[Deployment] = []

    def make(registry: Registry | None = None, **changes: object) -> Deployment:
        empty(services)
        settings = services.model_copy(
            update={
                "consumer_group": f"test-{time.time_ns()}",
                "session_timeout_seconds": 6.0,
                **changes,
            }
        )
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
