"""A deployment with events for the API, and requests to it."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from fastapi.testclient import TestClient

from api.app import build
from operations.bootstrap import prepare
from pravah.settings import Settings
from schemas.access import DATA_KINDS
from sinks.api_tokens import create_token
from tests.integration.test_members import reported
from tests.integration.test_plan import any_event
from tests.support import small_world
from tests.support.deployment import Deployment, empty
from tests.support.folding import fold


@contextmanager
def deploy_api_world(services: Settings, folder: Path) -> Iterator[Deployment]:
    """A deployment with random events."""
    empty(services)
    prepare(services, lambda _: None, registry=small_world.registry())
    choose = random.Random(11)
    fold(
        services.clickhouse,
        small_world.registry(),
        [any_event(choose) for _ in range(600)]
        + [{**reported(choose, n), "entity": f"m:{n}"} for n in range(400)],
    )
    made = Deployment(services, folder)
    yield made
    made.stop()


@contextmanager
def api_client(deployment: Deployment) -> Iterator[TestClient]:
    """A client of the API that no rate limits."""
    settings = deployment.settings.model_copy(update={"api_rate": "100000/minute"})
    with TestClient(build(settings), raise_server_exceptions=False) as client:
        yield client


def make_secrets(deployment: Deployment) -> dict[str, str]:
    """Unit → the secret of a new token for it."""
    return {
        unit: create_token(
            deployment.clickhouse, name=f"of {unit}", unit=unit, kinds=DATA_KINDS, days=1
        )
        for unit in ("IN", "CG", "CG-D-A", "CG-D-B", "CG-AC001-B0002")
    }


def get(client: TestClient, path: str, secret: str, **parameters: object) -> httpx2.Response:
    return client.get(path, params=parameters, headers={"Authorization": f"Bearer {secret}"})


def pages(client: TestClient, path: str, secret: str, **parameters: object) -> list[dict]:
    rows: list[dict] = []
    cursor = None
    while True:
        answer = get(client, path, secret, **parameters, **({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        rows += answer.json()["data"]
        cursor = answer.json()["next"]
        if cursor is None:
            return rows
