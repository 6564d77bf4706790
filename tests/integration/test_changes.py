"""The change feed while workers write, die and repair.

A copy that follows it equals the figures at the end, and gets no row twice within a range.
"""

import json
import random
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from api.app import build
from operations.close_chunks import close_chunks
from pravah.settings import Settings
from schemas.access import DATA_KINDS
from sinks.api_tokens import create_token
from sinks.deployment import mark_rebuilt
from tests.chaos.cases import CASES
from tests.chaos.world import World
from tests.support.deployment import until

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::DeprecationWarning"
)


class Puller:
    """Headquarters' copy. It dies at random between a page and storing its cursor, and resumes."""

    def __init__(self, client: TestClient, secret: str, choose: random.Random) -> None:
        self._client, self._headers, self._choose = (
            client,
            {"Authorization": f"Bearer {secret}"},
            choose,
        )
        self.copy: dict[tuple, tuple] = {}
        self.cursor: str | None = None
        self._served: set[tuple] = set()
        self.deaths = self.tombstones = self.pages = 0

    def pull(self) -> bool:
        """One page; False if nothing is new."""
        wanted = {
            "limit": self._choose.choice([7, 50, 400]),
            "format": self._choose.choice(["json", "ndjson"]),
            **({"cursor": self.cursor} if self.cursor else {}),
        }
        answer = self._client.get("/v1/changes", params=wanted, headers=self._headers)
        assert answer.status_code == 200, answer.text
        rows = (
            answer.json()["data"]
            if wanted["format"] == "json"
            else [json.loads(line) for line in answer.text.splitlines()]
        )
        self.pages += 1
        keys = [(row["day"], row["level"], row["unit"], row["metric"]) for row in rows]
        assert len(keys) == len(set(keys))
        for key, row in zip(keys, rows, strict=True):
            if row["deleted"]:
                self.tombstones += 1
                self.copy.pop(key, None)
            else:
                self.copy[key] = (row["value"], row["verified_value"])
        if self._choose.random() < 0.2:
            self.deaths += 1  # the cursor was not stored: the same page comes again
            return True
        assert not self._served & set(keys), "served twice within one range"
        self._served |= set(keys)
        self.cursor = answer.headers["pravah-next"]
        more = answer.headers["pravah-more"] == "true"
        if not more:
            self._served = set()
        return more or bool(rows)


@pytest.fixture
def world(services: Settings, tmp_path) -> Iterator[World]:
    made = World(services, tmp_path)
    yield made
    made.stop()


def copy_of(world: World) -> dict:
    return {
        (str(day), level, unit, metric): figure
        for (day, level, unit, metric), figure in world.deployment.rollups().items()
    }


def test_a_copy_that_follows_the_feed_equals_the_figures(world: World) -> None:
    choose = random.Random(5)
    world.begin(0, 5)
    secret = create_token(
        world.clickhouse, name="headquarters", unit="IN", kinds=DATA_KINDS, days=1
    )
    with TestClient(
        build(world.settings.model_copy(update={"api_rate": "100000/minute"}))
    ) as client:
        puller = Puller(client, secret, choose)
        for _ in range(8):
            world.ensure(2)
            world.send(80)
            before = world.durable()
            until(
                lambda before=before: world.durable() > before or not world.behind(),
                "the workers get on",
                90,
            )
            for _ in range(choose.randrange(4)):
                puller.pull()
            if choose.random() < 0.4:
                worker = choose.choice(world.alive())
                worker.kill()
                worker.wait()
        # a booth moves: chunks are repaired at their close, and a repair moves those closed before
        CASES["registry_change"](world)
        world.drain()
        close_chunks(world.settings, world.clickhouse, wait=30, report=lambda _: None)
        while puller.pull():
            pass
        assert puller.copy == copy_of(world)
        assert world.check().differences == []
        assert puller.deaths > 2
        assert puller.pages > 20
        # a rebuild makes cursors invalid
        mark_rebuilt(world.clickhouse)
        gone = client.get(
            "/v1/changes",
            params={"cursor": puller.cursor},
            headers={"Authorization": f"Bearer {secret}"},
        )
        assert gone.status_code == 410
