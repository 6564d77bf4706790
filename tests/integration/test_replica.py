"""Headquarters' copy of a state: killed pulls continue, and its totals equal the state's."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from tenacity import wait_none
from typer.testing import CliRunner

from api.app import build
from cli.main import app
from replica.pull import Puller, PullError
from replica.sources import Source, SourcesError, sources_from_toml
from replica.store import ClickHouseCopy, ParquetCopy
from schemas.access import DATA_KINDS
from sinks.api_tokens import create_token
from sinks.connection import connect
from sinks.deployment import mark_rebuilt
from tests.integration.test_plan import any_event
from tests.support import small_world
from tests.support.deployment import Deployment
from tests.support.folding import fold

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Unreliable(httpx2.BaseTransport):
    """Sends to the application in this process; some requests fail before it, some after it."""

    def __init__(self, client: TestClient, choose: random.Random) -> None:
        self._client, self._choose, self.dies_after = client, choose, -1

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        draw = self._choose.random()
        if draw < 0.1:
            msg = "the network is away"
            raise httpx2.ConnectError(msg)
        if draw < 0.2:
            return httpx2.Response(503, headers={"Retry-After": "0"}, json={"detail": "later"})
        if self.dies_after == 0:
            raise KeyboardInterrupt
        self.dies_after -= 1
        answer = self._client.get(
            request.url.path,
            params=dict(request.url.params),
            headers={"Authorization": request.headers["Authorization"]},
        )
        if draw < 0.3:
            msg = "the network went away with the answer"
            raise httpx2.ReadError(msg)
        return httpx2.Response(
            answer.status_code, headers={"Content-Type": "application/json"}, content=answer.content
        )


@pytest.fixture
def client(deployment: Deployment) -> Iterator[TestClient]:
    with TestClient(
        build(deployment.settings.model_copy(update={"api_rate": "100000/minute"}))
    ) as client:
        yield client


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pravah.client._BACKOFF", wait_none())


@pytest.fixture
def source(deployment: Deployment) -> Source:
    return Source(
        "CG",
        "http://state",
        create_token(
            deployment.clickhouse, name="headquarters", unit="IN", kinds=DATA_KINDS, days=1
        ),
    )


@pytest.fixture(params=["parquet", "clickhouse"])
def open_copy(
    request: pytest.FixtureRequest, deployment: Deployment, tmp_path: Path
) -> Iterator[Callable]:
    """Opens the copy as a new process would, and returns its rows."""
    with connect(deployment.settings.clickhouse, "writer") as writer:

        def parquet() -> ParquetCopy:
            return ParquetCopy(tmp_path / "copy")

        def clickhouse() -> ClickHouseCopy:
            return ClickHouseCopy(writer, "CG")

        def rows() -> dict:
            if request.param == "parquet":
                found = [
                    tuple(row.values())
                    for row in pq.read_table(tmp_path / "copy" / "rollups.parquet").to_pylist()
                ]
            else:
                found = writer.execute(
                    "SELECT level, unit, metric, day, value, verified_value"
                    " FROM pulled_rollups FINAL WHERE source = 'CG'"
                )
            assert len({row[:4] for row in found}) == len(found)
            return {
                (day, level, unit, metric): tuple(figure)
                for level, unit, metric, day, *figure in found
            }

        yield (parquet if request.param == "parquet" else clickhouse), rows
        writer.execute("DROP TABLE IF EXISTS pulled_rollups SYNC")
        writer.execute("DROP TABLE IF EXISTS pulled_cursors SYNC")


def test_a_copy_survives_its_deaths_and_follows_what_changes(
    deployment: Deployment, client: TestClient, source: Source, open_copy: tuple
) -> None:
    opened, rows = open_copy
    choose = random.Random(3)
    events = [any_event(choose) for _ in range(400)]
    for part in (events[:150], events):  # the second time the whole log is folded again, longer
        deployment.clickhouse.execute("TRUNCATE TABLE chunks")
        for table in ("ledger", "journal", "plan_events", "membership_events"):
            deployment.clickhouse.execute(f"TRUNCATE TABLE {table}")
        fold(deployment.settings.clickhouse, small_world.registry(), part)
        deaths = 0
        while True:
            transport = Unreliable(client, choose)
            transport.dies_after = choose.choice([2, 5, 1_000])
            puller = Puller(source, opened(), page_size=40, transport=transport)
            try:
                done = puller.pull()
            except KeyboardInterrupt:
                deaths += 1
                continue
            break
        assert (done.different, done.moving) == (0, False)
        assert done.figures > 5
        assert rows() == deployment.rollups()
        assert deaths > 0
    mark_rebuilt(deployment.clickhouse)
    done = Puller(source, opened(), page_size=400, transport=Unreliable(client, choose)).pull()
    assert done.began_anew
    assert rows() == deployment.rollups()


def test_a_total_that_differs_is_reported(
    deployment: Deployment, client: TestClient, source: Source, tmp_path: Path
) -> None:
    choose = random.Random(4)
    fold(
        deployment.settings.clickhouse,
        small_world.registry(),
        [any_event(choose) for _ in range(60)],
    )
    copy = ParquetCopy(tmp_path / "copy")
    assert Puller(source, copy, transport=Unreliable(client, choose)).pull().different == 0
    state = {
        "level": "state",
        "unit": "CG",
        "metric": "trainings",
        "day": small_world.on(1),
        "value": 7_000,
        "verified_value": 0,
        "deleted": 0,
    }
    copy.apply([state], copy.cursor() or "")
    assert Puller(source, copy, transport=Unreliable(client, choose)).pull().different == 1


def test_a_token_that_is_refused_ends_the_pull_with_the_reason(
    client: TestClient, tmp_path: Path
) -> None:
    puller = Puller(
        Source("CG", "http://state", "pravah_wrong"),
        ParquetCopy(tmp_path),
        transport=Unreliable(client, random.Random(1)),
    )
    with pytest.raises(PullError, match="CG: 401: this token is unknown") as caught:
        puller.pull()
    assert "pravah_wrong" not in str(caught.value)


def test_a_sources_file_is_checked_whole_and_shows_no_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN_CG", "pravah_secret")
    (source,) = sources_from_toml('[CG]\nurl = "https://cg.example/"\ntoken_env = "TOKEN_CG"')
    assert (source.name, source.url, source.token) == ("CG", "https://cg.example", "pravah_secret")
    assert "pravah_secret" not in repr(source)
    with pytest.raises(SourcesError) as caught:
        sources_from_toml(
            '[CG]\nurl = "cg.example"\n[MP]\nurl = "https://mp.example"\ntoken_env = "TOKEN_MP"'
        )
    assert "[CG]: url" in str(caught.value)
    assert "[MP]: token_env" in str(caught.value)


def test_the_command_says_which_state_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_CG", "pravah_secret")
    monkeypatch.setattr("replica.pull.MAX_ATTEMPTS", 1)
    sources = tmp_path / "sources.toml"
    sources.write_text('[CG]\nurl = "http://127.0.0.1:1"\ntoken_env = "TOKEN_CG"', encoding="utf-8")
    result = CliRunner().invoke(
        app, ["pull", str(sources), "--into", str(tmp_path / "copy"), "--json"]
    )
    assert result.exit_code == 1
    assert "127.0.0.1:1 does not answer" in json.loads(result.stdout)["failures"][0]
    assert "pravah_secret" not in result.output
    assert CliRunner().invoke(app, ["pull", str(sources)]).exit_code == 2
