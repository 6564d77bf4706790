"""The fault suite in short: every case once, one after the other in one deployment; after each, everything that was ever sent is compared. `make chaos` is the long form."""

import gc
from collections.abc import Iterator

import pytest
from chaos.cases import CASES
from chaos.world import World
from conftest import until
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from schemas.topics import EVENTS
from settings import Settings
from settings.kafka import client_options
from sinks.recount import closed_cut

SEED = 42
# Kafka's client leaves sockets behind when its broker dies while it connects
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _left_behind() -> Iterator[None]:
    yield
    gc.collect()  # here, where the mark above holds


@pytest.fixture(scope="module")
def world(services: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(services, tmp_path_factory.mktemp("chaos"))
    yield made
    made.stop()


@pytest.mark.parametrize("case", CASES)
def test_a_fault_changes_no_figure(world: World, case: str) -> None:
    world.begin(list(CASES).index(case), SEED)
    CASES[case](world)
    world.drain()
    outcome = world.check()
    assert outcome.figures > 100
    assert outcome.differences == []


def test_records_that_are_gone_before_they_were_counted_stop_the_worker(services: Settings, tmp_path) -> None:
    """It must not go on behind them as if they had never been; it says which are gone, and what to do."""
    world = World(services, tmp_path)
    try:
        world.begin(0, SEED)
        world.ensure()
        world.send(400)
        world.drain()
        for worker in world.alive():
            worker.kill()
            worker.wait()
        world.send(400)
        counted = closed_cut(world.clickhouse).offsets
        partition = max(counted, key=lambda one: counted[one])
        admin = KafkaAdminClient(**client_options(world.settings.kafka))
        admin.delete_records({TopicPartition(EVENTS, partition): counted[partition] + 7})
        admin.close()
        worker = world.start()
        until(lambda: worker.poll() is not None, "the worker stops", 60)
        assert worker.returncode != 0
        said = worker.log.read_text(encoding="utf-8")
        assert (
            f"partition {partition}: the figures stand at offset {counted[partition]}, the log begins at {counted[partition] + 7}: 7 records are gone" in said
        )
    finally:
        world.stop()
