"""The API as a service: problems, tokens, rates, entity tags, freshness, failures, the command."""

import asyncio
import json
import socket
from collections.abc import Iterator

import httpx2
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from api.app import build
from api.clickhouse import BrokenStreamError, Reader
from cli.main import app
from operations.worker_processes import start_worker, stop_worker
from pravah.settings import Settings
from sinks.api_tokens import create_token, revoke_token
from tests.support.api_world import api_client, deploy_api_world, get, make_secrets
from tests.support.deployment import Deployment, until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def deployment(
    services: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A deployment with random events, shared by tests that only read."""
    with deploy_api_world(services, tmp_path_factory.mktemp("api")) as deployed:
        yield deployed


@pytest.fixture(scope="module")
def client(deployment: Deployment) -> Iterator[TestClient]:
    with api_client(deployment) as client:
        yield client


@pytest.fixture(scope="module")
def secrets(deployment: Deployment) -> dict[str, str]:
    return make_secrets(deployment)


@pytest.mark.parametrize(
    ("path", "parameters", "status", "said"),
    [
        ("/v1/rollups", {"unit": "CG-D-ZZ"}, 404, "CG-D-ZZ"),
        ("/v1/rollups", {"unit": "booth 7"}, 404, "unit"),
        ("/v1/rollups", {"metric": "moonshots"}, 404, "moonshots"),
        ("/v1/rollups", {"from": "2022-06-30", "to": "2022-06-01"}, 400, "lies before"),
        ("/v1/rollups", {"as_of": "2022-06-30T10:00:00Z", "boundaries": "now"}, 400, "as_of"),
        ("/v1/rollups", {"cursor": "nonsense"}, 400, "cursor"),
        ("/v1/rollups", {"cursor": "WyJhIl0"}, 400, "cursor"),
        ("/v1/changes", {"cursor": "nonsense"}, 400, "cursor"),
        ("/v1/changes", {"format": "parquet"}, 406, "NDJSON"),
        ("/v1/nothing", {}, 404, ""),
    ],
)
def test_a_mistake_is_answered_with_a_problem_that_says_which(
    client: TestClient, secrets: dict[str, str], path: str, parameters: dict, status: int, said: str
) -> None:
    answer = get(client, path, secrets["IN"], **parameters)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert said in answer.json()["detail"]


def test_tokens_are_needed_scoped_expiring_and_revocable(
    deployment: Deployment, client: TestClient
) -> None:
    assert client.get("/v1/rollups").status_code == 401
    assert get(client, "/v1/rollups", "pravah_wrong").status_code == 401
    figures = create_token(
        deployment.clickhouse, name="figures only", unit="IN", kinds=["figures"], days=1
    )
    assert get(client, "/v1/rollups", figures).status_code == 200
    assert get(client, "/v1/plan", figures).status_code == 403
    deployment.clickhouse.execute(
        "INSERT INTO api_tokens (hash, name, unit, kinds, created_at, expires_at, revoked) SELECT"
        " hash, name, unit, kinds, created_at, now64(3), 0 FROM api_tokens FINAL WHERE name ="
        " 'figures only'"
    )
    until(
        lambda: get(client, "/v1/rollups", figures).status_code == 401,
        "an expired token is refused",
        30,
    )
    other = create_token(
        deployment.clickhouse, name="another", unit="IN", kinds=["figures"], days=1
    )
    assert get(client, "/v1/rollups", other).status_code == 200
    revoke_token(deployment.clickhouse, "another")
    until(
        lambda: get(client, "/v1/rollups", other).status_code == 401,
        "a revoked token is refused",
        30,
    )
    stored = deployment.clickhouse.execute("SELECT * FROM api_tokens")
    assert other not in str(stored)


def test_a_token_over_its_rate_gets_429_with_retry_after(
    deployment: Deployment, secrets: dict[str, str]
) -> None:
    with TestClient(
        build(deployment.settings.model_copy(update={"api_rate": "3/minute"}))
    ) as client:
        answers = [get(client, "/v1/metrics", secrets["IN"]) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) > 0


def test_an_answer_that_has_not_changed_is_not_sent_again(
    client: TestClient, secrets: dict[str, str]
) -> None:
    headers = {"Authorization": f"Bearer {secrets['IN']}"}
    first = client.get("/v1/totals", headers=headers)
    again = client.get("/v1/totals", headers={**headers, "If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    other = client.get(
        "/v1/totals",
        params={"unit": "CG"},
        headers={**headers, "If-None-Match": first.headers["etag"]},
    )
    assert other.status_code == 200
    assert (
        client.get("/v1/totals", headers={**headers, "Accept-Encoding": "zstd"}).headers[
            "content-encoding"
        ]
        == "zstd"
    )


def test_freshness_says_how_current_and_proved_the_figures_are(
    client: TestClient, secrets: dict[str, str]
) -> None:
    answer = get(client, "/v1/freshness", secrets["CG"]).json()
    (state,) = answer["states"]
    assert state["state"] == "CG"
    assert state["tools"] == {"test": state["events"]}
    assert state["median_delay_seconds"] is None, (
        "nothing arrived in the last seven days: the log of this test is of 2023"
    )
    assert state["rejected"] == {}
    assert answer["deployment"]["records"] == 1_000
    assert answer["deployment"]["records_behind"] == 0, "the topic is empty"
    assert get(client, "/v1/freshness", secrets["CG-D-A"]).status_code == 403


def test_a_database_that_is_away_is_a_503(deployment: Deployment) -> None:
    away = deployment.settings.clickhouse.model_copy(update={"http_port": 1})
    with TestClient(
        build(deployment.settings.model_copy(update={"clickhouse": away})),
        raise_server_exceptions=False,
    ) as client:
        answer = get(client, "/v1/metrics", "pravah_x")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


def test_a_database_that_fails_midway_breaks_the_answer_off(deployment: Deployment) -> None:
    """Else a client would take the part for the whole."""

    async def read() -> int:
        reader, size = Reader(deployment.settings.clickhouse), 0
        try:
            query = (
                "SELECT throwIf(number = 3000000), number FROM numbers(4000000) SETTINGS"
                " max_threads = 1"
            )
            async for piece in reader.stream(query, {}, "JSONEachRow"):
                size += len(piece)
                assert b"__exception__" not in piece
        except BrokenStreamError:
            return size
        finally:
            await reader.close()
        return -1

    assert asyncio.run(read()) > 1_000_000


def test_the_command_serves_and_logs_requests_without_tokens(
    deployment: Deployment, tmp_path
) -> None:
    run = CliRunner(env={**deployment.environment(), "COLUMNS": "200"})
    made = run.invoke(
        app, ["api", "token", "create", "by hand", "--unit", "CG-D-A", "--kind", "figures"]
    )
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip().splitlines()[-1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "api.log"
    process = start_worker(
        deployment.settings, log, program=("-m", "pravah", "api", "--port", str(port))
    )
    try:
        base = f"http://127.0.0.1:{port}"
        until(lambda: process.poll() is not None or is_served(base), "it serves", 30)
        assert is_served(base), log.read_text()
        answer = httpx2.get(
            f"{base}/v1/rollups",
            params={"level": "booth", "limit": 3},
            headers={"Authorization": f"Bearer {secret}"},
        )
        assert answer.status_code == 200
        assert len(answer.json()["data"]) == 3
        assert httpx2.get(f"{base}/v1/rollups").status_code == 401
        assert "/v1/changes" in httpx2.get(f"{base}/openapi.json").json()["paths"]
        assert (
            'pravah_api_requests_total{path="/v1/rollups",status="200"} 1.0'
            in httpx2.get(f"{base}/metrics").text
        )
    finally:
        assert stop_worker(process) == 0
    lines = [
        json.loads(line)
        for line in (
            (deployment.settings.home / "logs" / "api-audit.jsonl")
            .read_text(encoding="utf-8")
            .splitlines()
        )
    ]
    assert [(line["holder"], line["path"], line["status"]) for line in lines] == [
        ("by hand", "/v1/rollups", 200),
        (None, "/v1/rollups", 401),
    ]
    assert secret not in str(lines) + log.read_text()
    assert "by hand" in run.invoke(app, ["api", "token", "list"]).output
    assert run.invoke(app, ["api", "token", "revoke", "by hand"]).exit_code == 0
    assert (
        run.invoke(app, ["api", "token", "create", "x", "--kind", "secrets"]).exception is not None
    )


def is_served(base: str) -> bool:
    try:
        return httpx2.get(f"{base}/readyz").status_code == 200
    except httpx2.TransportError:
        return False
