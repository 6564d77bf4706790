"""The gateway against its OpenAPI description and random bodies: no 5xx but 503, no crash.

The short form of `tests/chaos/hooks.py`.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from producers.gateway.app import build
from producers.gateway.ingest import IngestService
from producers.gateway.registry import UnitChecker
from producers.gateway.sources import read_field_sources
from producers.gateway.store import Store
from producers.mapping.gazetteer import read_aliases
from producers.mapping.pseudonyms import Pseudonymiser
from tests.chaos.hooks import EXAMPLES, fuzz, headers, registry, sources

BODIES = 600
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("hooks")
    units = UnitChecker(read_aliases(EXAMPLES / "rapidpro"), 24.0)
    units.set_registry(registry())
    with Store(folder / "gateway.sqlite") as store:
        ingest = IngestService(
            store,
            read_field_sources(sources(folder / "sources")),
            units,
            lambda given: Pseudonymiser([b"a key of a test, long enough"], given),
        )
        with TestClient(build(ingest), raise_server_exceptions=False) as client:
            yield client


def test_no_body_breaks_a_hook(client: TestClient) -> None:
    def send(path: str, body: bytes, given: dict[str, str]) -> tuple[int, str, bytes]:
        answer = client.post(path, content=body, headers=given)
        return answer.status_code, answer.headers["content-type"], answer.content

    found = fuzz(send, BODIES, seed=3)
    tools = {tool for tool, _ in found}
    assert {(tool, 422) for tool in tools} <= found.keys()
    assert {
        tool for tool, status in found if status in {200, 202}
    } == tools  # some random bodies are valid


@pytest.fixture(scope="module")
def description() -> Any:
    """Made when the test runs, not by each process that collects it."""
    return schemathesis.openapi.from_dict(build(None).openapi())


schema = schemathesis.pytest.from_fixture("description")


@pytest.fixture(autouse=True)
def node_id(request: pytest.FixtureRequest) -> None:
    """Set the attribute that schemathesis 4.32 reads, and pytest 9.2 has no longer."""
    request.node._nodeid = request.node.nodeid


@schema.parametrize()
@hypothesis_settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_of_the_openapi_description_breaks_the_gateway(
    case: schemathesis.Case, client: TestClient
) -> None:
    tool = (
        "events"
        if case.formatted_path == "/v1/events"
        else str((case.path_parameters or {})["tool"])
    )
    body = (
        case.body if isinstance(case.body, bytes) else json.dumps(case.body, default=str).encode()
    )
    path = case.formatted_path if tool == "events" else f"/v1/hooks/{tool}/{tool}-any"
    answer = client.request(case.method, path, content=body, headers=headers(tool, body))
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
