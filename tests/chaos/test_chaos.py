"""The fault suite in short: every case once, one after the other, in one deployment.

After each case, everything that was ever sent is compared. `make chaos` is the long form.
"""

import gc
from collections.abc import Iterator

import pytest

from pravah.settings import Settings
from tests.chaos.cases import CASES
from tests.chaos.world import World

SEED = 42
# Kafka's client leaks sockets when its broker dies while it connects.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collect_garbage() -> Iterator[None]:
    yield
    gc.collect()  # sockets are reported here, where `pytestmark` ignores them


@pytest.fixture(scope="module")
def world(services: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    deployment = World(services, tmp_path_factory.mktemp("chaos"))
    yield deployment
    deployment.stop()


@pytest.mark.parametrize("case", CASES)
def test_a_fault_changes_no_figure(world: World, case: str) -> None:
    world.begin(list(CASES).index(case), SEED)
    CASES[case](world)
    world.drain()
    outcome = world.check()
    assert outcome.figures > 100
    assert outcome.differences == []
