"""`pravah.Client` against the API: pages, the change feed, retries, errors, and a hidden token."""

import logging
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import polars as pl
import pytest
from fastapi.testclient import TestClient

import pravah.client
from api.app import build
from operations.bootstrap import prepare
from pravah import ApiError, Client, MissingPolarsError, PravahError
from pravah.settings import Settings
from schemas.access import DATA_KINDS
from sinks.api_tokens import create_token
from sinks.deployment import mark_rebuilt
from tests.integration.test_members import reported
from tests.integration.test_plan import any_event
from tests.support import small_world
from tests.support.deployment import Deployment, empty
from tests.support.folding import fold

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
URL = "http://state.example"


class ToApp(httpx2.BaseTransport):
    """Sends requests to the application in this process, after the answers in `before`."""

    def __init__(self, app: TestClient, *before: httpx2.Response | Exception) -> None:
        self._app, self._before = app, list(before)
        self.requests: list[httpx2.Request] = []
        self.statuses: list[int] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if self._before:
            answer = self._before.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        found = self._app.get(
            f"{request.url.path}?{request.url.query.decode()}",
            headers={
                name: value
                for name, value in request.headers.items()
                if name in {"authorization", "if-none-match"}
            },
        )
        self.statuses.append(found.status_code)
        return httpx2.Response(
            found.status_code,
            headers={
                name: value
                for name, value in found.headers.items()
                if name in {"content-type", "etag"}
            },
            content=found.content,
        )


@pytest.fixture(scope="module")
def deployment(
    services: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    empty(services)
    prepare(services, lambda _: None, registry=small_world.registry())
    choose = random.Random(5)
    events = [any_event(choose) for _ in range(400)]
    events += [{**reported(choose, n), "entity": f"m:{n}"} for n in range(100)]
    fold(services.clickhouse, small_world.registry(), events)
    made = Deployment(services, tmp_path_factory.mktemp("client"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def app(deployment: Deployment) -> Iterator[TestClient]:
    settings = deployment.settings.model_copy(update={"api_rate": "100000/minute"})
    with TestClient(build(settings), raise_server_exceptions=False) as app:
        yield app


@pytest.fixture(scope="module")
def token(deployment: Deployment) -> str:
    return create_token(deployment.clickhouse, name="client", unit="IN", kinds=DATA_KINDS, days=1)


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the client waited between attempts; it waits none of them."""
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waited.append)
    return waited


def client(
    app: TestClient, token: str, *before: httpx2.Response | Exception, **more: int
) -> Client:
    return Client(URL, token, transport=ToApp(app, *before), **more)  # type: ignore[arg-type]


def test_rollups_of_all_pages_are_the_rollups(
    deployment: Deployment, app: TestClient, token: str
) -> None:
    expected = {
        (str(day), level, unit, metric, *figure)
        for (day, level, unit, metric), figure in deployment.rollups().items()
    }
    found = []
    with client(app, token, page_size=37) as figures:
        for level in ("national", "state", "division", "district", "assembly", "booth"):
            found += [tuple(row.values()) for row in figures.rollups(level=level)]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_parameters_are_dates_lists_and_flags(app: TestClient, token: str) -> None:
    transport = ToApp(app)
    figures = Client(URL, token, transport=transport)
    list(figures.rollups(unit=["CG-D-A", "CG-D-B"], from_=small_world.FIRST_DAY, to=None))
    list(figures.plan(detail=True, unit="CG"))
    first, second = (dict(request.url.params.multi_items()) for request in transport.requests)
    units = transport.requests[0].url.params.get_list("unit")
    assert units == ["CG-D-A", "CG-D-B"]
    assert first["from"] == "2022-03-01"
    assert not {"to", "from_"} & first.keys()
    assert second["detail"] == "true"


def test_every_list_of_the_api_can_be_read(app: TestClient, token: str) -> None:
    with client(app, token, page_size=2) as figures:
        assert {row["metric"] for row in figures.metrics()} == set(small_world.dictionary().metrics)
        assert {row["unit"] for row in figures.units()} == set(small_world.registry().units)
        assert {row["unit"] for row in figures.totals(level="state")} <= {"CG", "MP"}
        assert all(row["expected"] for row in figures.plan(unit="CG", level="state"))
        assert all(row["days_overdue"] > 0 for row in figures.defaulters(unit="CG"))
        assert figures.get("/v1/freshness")


def test_a_table_of_members_by_district_over_time(
    deployment: Deployment, app: TestClient, token: str
) -> None:
    with client(app, token, page_size=7) as figures:
        rows = figures.rollups(level="district", metric="members_digital", names=True)
        table = rows.to_polars().pivot("unit_name_en", index="day", values="value")
    expected = {
        (day, small_world.registry().units[unit].name_en): figure[0]
        for (day, level, unit, metric), figure in deployment.rollups().items()
        if level == "district" and metric == "members_digital"
    }
    assert table.schema["day"] == pl.Date
    found = {
        (row["day"], district): row[district]
        for row in table.iter_rows(named=True)
        for district in table.columns[1:]
        if row[district] is not None
    }
    assert found == expected != {}


def test_data_frames_have_dates_and_numbers_also_without_rows(app: TestClient, token: str) -> None:
    with client(app, token) as figures:
        full = figures.rollups(level="district").to_polars()
        none = figures.rollups(level="district", from_="2100-01-01").to_polars()
        assert none.height == 0 < full.height
        assert none.schema == full.schema
        request = {"level": "district", "from_": "2100-01-01", "names": True}
        assert {"unit_name_en", "metric_name_hi"} <= set(
            figures.rollups(**request).to_polars().columns
        )
        assert full.schema["value"] == pl.Int64
        overdue = figures.defaulters(unit="CG", names=True).to_polars()
        assert overdue.schema["last_report"] == overdue.schema["deadline"] == pl.Date
        states = figures.plan(unit="CG", detail=True).to_polars()
        assert states.schema["done_at"] == pl.Date
        assert figures.rows("/v1/forecast").to_polars().schema["earliest"] == pl.Date
        assert figures.units().to_polars().schema["latitude"] == pl.Float64
        assert (
            figures.rows("/v1/activity", state="active", date="2030-01-01").to_polars().height == 0
        )


def test_without_polars_one_line_names_the_extra(
    app: TestClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with client(app, token) as figures, pytest.raises(MissingPolarsError) as caught:
        figures.metrics().to_polars()
    assert str(caught.value) == "to_polars() needs Polars: pip install 'pravah[polars]'"


def test_an_answer_that_has_not_changed_is_not_sent_again(
    deployment: Deployment, app: TestClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = ToApp(app)
    figures = Client(URL, token, transport=transport, page_size=50)
    first = list(figures.rollups(level="district"))
    pages = len(transport.statuses)
    first[0]["value"] = -1
    again = list(figures.rollups(level="district"))
    assert again[1:] == first[1:]
    assert again[0] != first[0], "what the caller changes is his own"
    assert transport.statuses == [200] * pages + [304] * pages
    mark_rebuilt(deployment.clickhouse)
    list(figures.rollups(level="district"))
    assert transport.statuses[-pages:] == [200] * pages
    monkeypatch.setattr("pravah.client.MAX_CACHE_BYTES", 100)
    list(figures.metrics())
    list(figures.metrics())
    assert transport.statuses[-2:] == [200, 200], "an answer that is too large is not kept"


def test_a_row_is_explained_with_its_own_values(app: TestClient, token: str) -> None:
    with client(app, token) as figures:
        row = next(figures.rollups(unit="CG", metric="members_digital"))
        found = figures.explain(row["unit"], row["metric"], row["day"], names=True)
    assert sum(one["value"] for one in found["counted"]) == row["value"]


def test_the_change_feed_goes_on_from_its_cursor_and_ends_with_a_rebuild(
    deployment: Deployment, app: TestClient, token: str
) -> None:
    with client(app, token, page_size=150) as figures:
        page = figures.changes()
        count = len(page.rows)
        while page.has_more:
            page = figures.changes(page.cursor)
            count += len(page.rows)
        assert count == len(deployment.rollups())
        assert figures.changes(page.cursor).rows == []
        mark_rebuilt(deployment.clickhouse)
        with pytest.raises(ApiError, match="410") as caught:
            figures.changes(page.cursor)
        assert caught.value.status == 410


def test_requests_are_repeated_when_the_network_or_the_server_fails(
    app: TestClient, token: str, delays: list[float]
) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    failures = (
        httpx2.ConnectError("no route"),
        httpx2.Response(429, headers={"Retry-After": "7"}),
        httpx2.Response(503, headers={"Retry-After": soon}),
        httpx2.Response(503, text="overloaded"),
        httpx2.ReadError("reset"),
    )
    with client(app, token, *failures) as figures:
        assert list(figures.metrics())
    assert len(delays) == len(failures)
    assert delays[1] == 7
    assert 25 < delays[2] <= 30
    assert all(0 <= delays[place] <= 21 for place in (0, 3, 4))


def test_a_server_that_stays_away_is_one_clear_error(
    app: TestClient, token: str, delays: list[float]
) -> None:
    always = [httpx2.ConnectError("no route")] * pravah.client.MAX_ATTEMPTS
    with (
        client(app, token, *always) as figures,
        pytest.raises(ApiError, match=r"state\.example does not answer: no route") as caught,
    ):
        list(figures.metrics())
    assert caught.value.status is None
    refused = [httpx2.Response(429, json={"detail": "more than 600/minute"})] * 3
    with (
        client(app, token, *refused, max_attempts=3) as figures,
        pytest.raises(ApiError, match="429: more than 600/minute"),
    ):
        list(figures.metrics())
    assert len(delays) == pravah.client.MAX_ATTEMPTS - 1 + 2


def test_a_problem_is_raised_with_its_detail_and_members(app: TestClient, token: str) -> None:
    with client(app, token) as figures:
        with pytest.raises(ApiError, match="404: metric: nonsense") as caught:
            list(figures.totals(metric="nonsense"))
        assert caught.value.problem["title"] == "Not Found"
        with pytest.raises(PravahError, match="400") as wrong:
            list(figures.rollups(level="village"))
        assert wrong.value.problem["errors"][0]["name"] == "level"  # type: ignore[attr-defined]
    page = httpx2.Response(502, text="<html>proxy</html>")
    with client(app, token, page) as figures, pytest.raises(ApiError, match="502: <html>proxy"):
        figures.get("/v1/freshness")
    page = httpx2.Response(200, text="<html>login</html>", headers={"Content-Type": "text/html"})
    with client(app, token, page) as figures, pytest.raises(ApiError, match="text/html, not JSON"):
        figures.get("/v1/freshness")
    page = httpx2.Response(302, headers={"Location": "http://elsewhere.example"})
    with client(app, token, page) as figures, pytest.raises(ApiError, match="302"):
        figures.get("/v1/freshness")


def test_the_token_may_be_in_the_environment(
    app: TestClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PRAVAH_TOKEN", raising=False)
    with pytest.raises(ValueError, match="the token is empty"):
        Client(URL)
    monkeypatch.setenv("PRAVAH_TOKEN", token)
    assert list(Client(URL, transport=ToApp(app)).metrics())


def test_the_token_is_in_no_url_log_error_or_repr(
    app: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "pravah_wrong_secret"
    transport = ToApp(app)
    figures = Client(URL, secret, transport=transport)
    with pytest.raises(ApiError, match="401") as caught:
        list(figures.metrics())
    assert [request.headers["Authorization"] for request in transport.requests] == [
        f"Bearer {secret}"
    ]
    shown = [str(caught.value), repr(caught.value), str(caught.value.problem), repr(figures)]
    shown += [str(request.url) for request in transport.requests]
    assert not any(secret in text for text in [*shown, caplog.text])
    for broken in (
        "",
        f"{secret}\n",
        f"{secret} x",
        f"{secret}\N{LATIN SMALL LETTER E WITH ACUTE}",
    ):
        with pytest.raises(ValueError, match="the token is empty") as unusable:
            Client(URL, broken)
        assert secret not in str(unusable.value)
