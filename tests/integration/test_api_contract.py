"""Requests generated from the OpenAPI description: no 5xx, and no row outside the district."""

import json
import random
from collections.abc import Iterator
from datetime import date
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, assume
from hypothesis import settings as hypothesis_settings

from api.app import build
from operations.bootstrap import prepare
from pravah.settings import Settings
from schemas.access import DATA_KINDS
from sinks.api_tokens import create_token
from tests.integration.test_plan import any_event
from tests.support import oracle, small_world
from tests.support.deployment import Deployment, empty
from tests.support.folding import fold

DISTRICT = "CG-D-A"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def served(
    services: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TestClient, str, oracle.Hierarchy]]:
    empty(services)
    prepare(services, lambda _: None, registry=small_world.registry())
    choose = random.Random(12)
    fold(services.clickhouse, small_world.registry(), [any_event(choose) for _ in range(300)])
    deployment = Deployment(services, tmp_path_factory.mktemp("contract"))
    secret = create_token(
        deployment.clickhouse, name="district A", unit=DISTRICT, kinds=DATA_KINDS, days=1
    )
    with TestClient(
        build(services.model_copy(update={"api_rate": "1000000/minute"})),
        raise_server_exceptions=False,
    ) as client:
        yield (
            client,
            secret,
            oracle.Hierarchy.read(small_world.write(tmp_path_factory.mktemp("units"))),
        )
    deployment.stop()


def small_world_days() -> list[date]:
    """A day between each two changes of the hierarchy."""
    return [small_world.FIRST_DAY, date(2022, 4, 5), date(2022, 8, 1), date.today()]


@pytest.fixture(scope="module")
def description() -> Any:
    """Made when the test runs, not by each process that collects it."""
    return schemathesis.openapi.from_dict(build(Settings(_env_file=None)).openapi())


schema = schemathesis.pytest.from_fixture("description")


@pytest.fixture(autouse=True)
def node_id(request: pytest.FixtureRequest) -> None:
    """Set the attribute that schemathesis 4.32 reads, and pytest 9.2 has no longer."""
    request.node._nodeid = request.node.nodeid


@schema.parametrize()
@hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_breaks_the_service_or_reaches_beyond_a_district(
    case: schemathesis.Case, served: tuple
) -> None:
    client, secret, hierarchy = served
    query = {name: value for name, value in (case.query or {}).items() if value is not None}
    assume(len(urlencode(query, doseq=True)) < 30_000)  # no client sends a longer URL
    answer = client.request(
        case.method,
        case.formatted_path,
        params=query,
        headers={"Authorization": f"Bearer {secret}"},
    )
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
        return
    rows = []
    if answer.headers["content-type"] == "application/json":
        rows = answer.json().get("data", [])
    elif answer.headers["content-type"] == "application/x-ndjson":
        rows = [json.loads(line) for line in answer.text.splitlines()]
    for row in rows:
        assert all(
            any(DISTRICT in hierarchy.ancestors(unit, day).values() for day in small_world_days())
            for unit in row.get("units", [])
        ), row
        if "unit" in row and row["unit"] in hierarchy.levels:
            on = date.fromisoformat(row["day"]) if "day" in row else None
            days = [on] if on else small_world_days()
            assert any(
                DISTRICT in hierarchy.ancestors(row["unit"], day).values() for day in days
            ), row
