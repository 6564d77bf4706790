"""What headquarters pulls: the same figures as `rollups`, in every form, and nothing beyond a token's scope."""

import asyncio
import csv
import io
import json
import random
import socket
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from api.app import build
from api.clickhouse import BrokenStreamError, Reader
from cli.main import app
from operations.bootstrap import prepare
from operations.worker_processes import start_worker, stop_worker
from pravah.settings import Settings
from schemas.access import DATA_KINDS
from schemas.contacts import Contact
from sinks.api_tokens import create_token, revoke_token
from sinks.control_room import activity, load_contacts, reporting_rates
from sinks.forecast import forecasts
from sinks.members import members, named_twice
from sinks.migrate import Schema
from sinks.unusual import unusual_values
from tests.integration.test_members import reported
from tests.integration.test_plan import any_event
from tests.support import oracle, small_world
from tests.support.deployment import Deployment, empty, until
from tests.support.folding import fold

PHONE = "+919876543210"
FIELDS = ("day", "level", "unit", "metric", "value", "verified_value")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def deployment(
    services: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """One with random events in it, for all tests here: they only read."""
    empty(services)
    prepare(services, lambda _: None, registry=small_world.registry())
    choose = random.Random(11)
    fold(
        services.clickhouse,
        small_world.registry(),
        [any_event(choose) for _ in range(600)]
        + [{**reported(choose, n), "entity": f"m:{n}"} for n in range(400)],
    )
    made = Deployment(services, tmp_path_factory.mktemp("api"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def client(deployment: Deployment) -> Iterator[TestClient]:
    settings = deployment.settings.model_copy(update={"api_rate": "100000/minute"})
    with TestClient(build(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def secrets(deployment: Deployment) -> dict[str, str]:
    """Unit → the secret of a token for it."""
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


def tuples(rows: list[dict]) -> list[tuple]:
    return [tuple(row[name] for name in FIELDS) for row in rows]


def every_figure(deployment: Deployment) -> set[tuple]:
    return {
        (str(day), level, unit, metric, *figure)
        for (day, level, unit, metric), figure in deployment.rollups().items()
    }


def test_all_levels_together_are_the_rollups_page_by_page(
    deployment: Deployment, client: TestClient, secrets: dict[str, str]
) -> None:
    found: list[tuple] = []
    for level in oracle.LEVEL_ORDER:
        found += tuples(pages(client, "/v1/rollups", secrets["IN"], level=level, limit=37))
    assert len(found) == len(set(found))
    assert set(found) == every_figure(deployment)


def test_every_format_says_the_same(client: TestClient, secrets: dict[str, str]) -> None:
    parameters = {"level": "booth", "from": small_world.on(3), "to": small_world.on(35)}
    expected = tuples(pages(client, "/v1/rollups", secrets["IN"], **parameters))
    assert len(expected) > 50
    lines = get(
        client, "/v1/rollups", secrets["IN"], **parameters, format="ndjson"
    ).text.splitlines()
    assert tuples([json.loads(line) for line in lines]) == expected
    rows = list(
        csv.DictReader(
            io.StringIO(get(client, "/v1/rollups", secrets["IN"], **parameters, format="csv").text)
        )
    )
    assert [
        (
            row["day"],
            row["level"],
            row["unit"],
            row["metric"],
            int(row["value"]),
            int(row["verified_value"]),
        )
        for row in rows
    ] == expected
    parquet = pq.read_table(
        io.BytesIO(
            get(client, "/v1/rollups", secrets["IN"], **parameters, format="parquet").content
        )
    )
    headers = {
        "Authorization": f"Bearer {secrets['IN']}",
        "Accept": "application/vnd.apache.arrow.stream",
    }
    arrow = pa.ipc.open_stream(
        client.get("/v1/rollups", params=parameters, headers=headers).content
    ).read_all()
    for table in (parquet, arrow):
        assert [
            (str(date(1970, 1, 1) + (row["day"] - date(1970, 1, 1))), *tuple(row.values())[1:])
            for row in table.to_pylist()
        ] == expected


@pytest.mark.parametrize("unit", ["CG", "CG-D-A", "CG-D-B", "CG-AC001-B0002"])
def test_a_token_sees_its_subtree_of_each_day_and_nothing_else(
    deployment: Deployment, client: TestClient, secrets: dict[str, str], unit: str, tmp_path
) -> None:
    hierarchy = oracle.Hierarchy.read(small_world.write(tmp_path))
    expected = {
        row
        for row in every_figure(deployment)
        if unit in hierarchy.ancestors(row[2], date.fromisoformat(row[0])).values()
    }
    found: set[tuple] = set()
    for level in oracle.LEVEL_ORDER:
        for output in ("json", "ndjson"):
            answer = get(
                client, "/v1/rollups", secrets[unit], level=level, format=output, limit=100_000
            )
            rows = (
                answer.json()["data"]
                if output == "json"
                else [json.loads(line) for line in answer.text.splitlines()]
            )
            found |= set(tuples(rows))
    assert expected
    assert found == expected
    changed = get(client, "/v1/changes", secrets[unit], limit=100_000).json()["data"]
    assert set(tuples(changed)) == expected
    for path in ("/v1/rollups", "/v1/totals", "/v1/plan", "/v1/defaulters", "/v1/units"):
        outside = get(client, path, secrets[unit], unit="IN")
        assert outside.status_code == 403, path
        assert outside.headers["content-type"] == "application/problem+json"


def test_what_lies_below_a_district_follows_the_day_or_todays_boundaries(
    client: TestClient, secrets: dict[str, str]
) -> None:
    """Booth 2 stood in district A until day 29 and stands in D since."""
    then = pages(client, "/v1/rollups", secrets["IN"], unit="CG-D-A", level="booth")
    now = pages(
        client, "/v1/rollups", secrets["IN"], unit="CG-D-D", level="booth", boundaries="now"
    )
    booth = pages(client, "/v1/rollups", secrets["IN"], unit="CG-AC001-B0002")
    days = {row["day"] for row in booth}
    assert {row["day"] for row in then if row["unit"] == "CG-AC001-B0002"} == {
        day for day in days if day < small_world.on(30)
    }
    assert tuples(now) == tuples(booth)
    of_now = pages(
        client,
        "/v1/rollups",
        secrets["IN"],
        unit="CG-D-D",
        boundaries="now",
        metric=["posts_facebook"],
    )
    assert [(row["day"], row["value"]) for row in of_now] == [
        (row["day"], row["value"]) for row in booth if row["metric"] == "posts_facebook"
    ]


def test_grains_add_flows_up_and_take_a_stocks_last_value(
    deployment: Deployment, client: TestClient, secrets: dict[str, str]
) -> None:
    figures = deployment.rollups()
    posts = {
        day: value
        for (day, _, unit, metric), (value, _) in figures.items()
        if (unit, metric) == ("CG", "posts_facebook")
    }
    held = {
        day: value
        for (day, _, unit, metric), (value, _) in figures.items()
        if (unit, metric) == ("CG", "incharges")
    }
    for grain, begins in (
        ("week", lambda day: date.fromordinal(day.toordinal() - day.weekday())),
        ("month", lambda day: day.replace(day=1)),
    ):
        found = pages(
            client,
            "/v1/rollups",
            secrets["IN"],
            unit="CG",
            metric=["posts_facebook", "incharges"],
            grain=grain,
        )
        flows, stocks = (
            {row["day"]: row["value"] for row in found if row["metric"] == metric}
            for metric in ("posts_facebook", "incharges")
        )
        assert flows == {
            str(begin): sum(value for day, value in posts.items() if begins(day) == begin)
            for begin in {begins(day) for day in posts}
        }
        assert stocks == {
            str(begin): held[max(day for day in held if begins(day) == begin)]
            for begin in {begins(day) for day in held}
        }
    (to_date,) = pages(
        client,
        "/v1/rollups",
        secrets["IN"],
        unit="CG",
        metric=["posts_facebook"],
        grain="to_date",
        to=small_world.on(20),
    )
    assert to_date["value"] == sum(
        value for day, value in posts.items() if str(day) <= small_world.on(20)
    )
    totals = {
        row["metric"]: row["value"] for row in pages(client, "/v1/totals", secrets["IN"], unit="CG")
    }
    assert totals["posts_facebook"] == sum(posts.values())
    assert totals["incharges"] == held[max(held)]


def test_the_plan_and_its_defaulters_are_those_of_the_views(
    deployment: Deployment, client: TestClient, secrets: dict[str, str]
) -> None:
    on = "2022-07-10"
    contact = Contact(
        unit="CG-AC001", role="in-charge", name="Asha Sahu", phone=PHONE, language="hi"
    )
    load_contacts(deployment.clickhouse, Schema(deployment.settings.clickhouse.database), [contact])
    progress = pages(client, "/v1/plan", secrets["IN"], unit="CG", date=on)
    assert len(progress) == 9
    assert all(
        row["expected"] == row["done_on_time"] + row["done_late"] + row["overdue"] + row["due"]
        for row in progress
    )
    detail = pages(client, "/v1/plan", secrets["IN"], unit="CG", detail=True, date=on)
    assert len(detail) == sum(row["expected"] for row in progress)
    late = pages(client, "/v1/defaulters", secrets["IN"], unit="CG", date=on, limit=5)
    assert len(late) == sum(row["overdue"] for row in progress)
    headquarters = create_token(
        deployment.clickhouse, name="no persons", unit="IN", kinds=["plan"], days=1
    )
    for row in pages(client, "/v1/defaulters", headquarters, date=on):
        assert PHONE not in row.values()
        assert not any(name.startswith("call") for name in row)
    called = {
        row["unit"]: (row["call_name"], row["call_phone"])
        for row in late
        if row["responsible"] == "assembly in-charge"
    }
    assert called
    assert set(called.values()) <= {("Asha Sahu", PHONE), ("", "")}
    assert any(
        figure == ("Asha Sahu", PHONE)
        for unit, figure in called.items()
        if unit.startswith("CG-AC001-")
    )


@pytest.mark.parametrize("grain", ["day", "week", "month"])
def test_dhis2_gets_the_same_figures_by_its_own_names(
    client: TestClient, secrets: dict[str, str], grain: str
) -> None:
    figures = pages(client, "/v1/rollups", secrets["CG"], level="district", grain=grain)
    answer = get(client, "/v1/dataValueSets", secrets["CG"], level="district", grain=grain)
    assert answer.status_code == 200, answer.text
    values = {
        (one["dataElement"], one["period"], one["orgUnit"]): one["value"]
        for one in answer.json()["dataValues"]
    }
    names = {
        "day": lambda day: f"{day:%Y%m%d}",
        "week": lambda day: f"{day.isocalendar().year}W{day.isocalendar().week}",
        "month": lambda day: f"{day:%Y%m}",
    }
    expected = {}
    for row in figures:
        period = names[grain](date.fromisoformat(row["day"]))
        expected[row["metric"], period, row["unit"]] = str(row["value"])
        expected[row["metric"] + "_verified", period, row["unit"]] = str(row["verified_value"])
    assert len(expected) > 20
    assert values == expected
    nothing = get(
        client, "/v1/dataValueSets", secrets["CG"], **{"from": "2019-01-01", "to": "2019-01-02"}
    )
    assert nothing.json() == {"dataValues": []}


def test_completeness_is_that_of_the_view(
    deployment: Deployment, client: TestClient, secrets: dict[str, str]
) -> None:
    first, last = small_world.FIRST_DAY, small_world.FIRST_DAY + timedelta(days=40)
    rows = pages(
        client,
        "/v1/completeness",
        secrets["IN"],
        level="district",
        **{"from": first, "to": last},
        limit=50,
    )
    districts = ["CG-D-A", "CG-D-B", "CG-D-C", "CG-D-D"]
    expected = {
        (str(one.day), one.unit): (one.expected, one.reported, one.on_time)
        for one in reporting_rates(deployment.clickhouse, districts, first, last)
    }
    assert {
        (row["day"], row["unit"]): (row["expected"], row["reported"], row["on_time"])
        for row in rows
    } == expected
    assert all(row["reporting_rate"] == row["reported"] / row["expected"] <= 1 for row in rows)
    own = pages(client, "/v1/completeness", secrets["CG-D-B"], **{"from": first, "to": last})
    assert {row["unit"] for row in own} == {"CG-D-B"}
    assert (
        get(
            client, "/v1/completeness", secrets["IN"], **{"from": "2020-01-01", "to": last}
        ).status_code
        == 422
    )


@pytest.mark.parametrize(
    ("path", "parameters", "status", "said"),
    [
        ("/v1/rollups", {"unit": "CG-D-ZZ"}, 404, "CG-D-ZZ"),
        ("/v1/rollups", {"unit": "booth 7"}, 422, "unit"),
        ("/v1/rollups", {"metric": "moonshots"}, 404, "moonshots"),
        ("/v1/rollups", {"from": "2022-06-30", "to": "2022-06-01"}, 422, "lies before"),
        ("/v1/rollups", {"as_of": "2022-06-30T10:00:00Z", "boundaries": "now"}, 422, "as_of"),
        ("/v1/rollups", {"cursor": "nonsense"}, 422, "cursor"),
        ("/v1/rollups", {"cursor": "WyJhIl0"}, 422, "cursor"),
        ("/v1/changes", {"cursor": "nonsense"}, 422, "cursor"),
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


def test_a_token_that_asks_too_often_is_told_to_wait(
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


def test_forecast_members_and_unusual_values_are_what_the_control_room_sees_and_end_at_the_district(
    deployment: Deployment, client: TestClient, secrets: dict[str, str], tmp_path
) -> None:
    evening = datetime.combine(date(2022, 7, 1), time(23, 59, 59), oracle.KOLKATA)
    told = {
        (row["unit"], row["milestone"]): row
        for level in oracle.LEVEL_ORDER
        for row in pages(client, "/v1/forecast", secrets["IN"], level=level, date="2022-07-01")
    }
    for unit in ("IN", "CG", "CG-D-A", "CG-AC001"):
        for one in forecasts(deployment.clickhouse, unit, evening):
            row = told[unit, one.milestone]
            assert (row["expected"], row["done"], row["recent"], row["goal"], row["outlook"]) == (
                one.expected,
                one.done,
                one.recent,
                one.goal,
                one.outlook,
            )
            assert row["reached_at"] == (str(one.reached_at) if one.reached_at else None)
    counted = {
        row["unit"]: row
        for level in oracle.LEVEL_ORDER
        for row in pages(client, "/v1/members", secrets["IN"], level=level)
    }
    assert counted.pop("CG-AC001-B0004")["members"] > 0, "a booth that was closed has had members"
    known = members(deployment.clickhouse, "IN", datetime.now(oracle.KOLKATA), below=True)
    assert {
        unit: (row["members"], row["persons"], row["method"]) for unit, row in counted.items()
    } == {one.unit: (one.members, one.persons, one.method) for one in known}
    assert sum(row["members"] for row in counted.values()) > 0
    twice = pages(client, "/v1/members/twice", secrets["IN"])
    assert [(row["member_key"], row["units"]) for row in twice] == sorted(
        (one.member_key, one.units) for one in named_twice(deployment.clickhouse, "IN", evening)
    )
    assert twice
    span = {"from": small_world.on(10), "to": small_world.on(60)}
    standing_out = pages(client, "/v1/unusual", secrets["IN"], **span)
    found = unusual_values(
        deployment.clickhouse,
        "IN",
        small_world.FIRST_DAY + timedelta(days=10),
        small_world.FIRST_DAY + timedelta(days=60),
    )
    assert {(row["day"], row["unit"], row["metric"]) for row in standing_out} == {
        (str(one.day), one.unit, one.metric) for one in found
    }
    assert standing_out
    hierarchy = oracle.Hierarchy.read(small_world.write(tmp_path))
    own = [
        row
        for row in standing_out
        if "CG-D-A" in hierarchy.ancestors(row["unit"], date.fromisoformat(row["day"])).values()
    ]
    assert pages(client, "/v1/unusual", secrets["CG-D-A"], **span) == own
    assert {
        row["unit"] for row in pages(client, "/v1/members", secrets["CG-D-A"], level="district")
    } <= {"CG-D-A"}
    for unit in {
        unit
        for row in pages(client, "/v1/members/twice", secrets["CG-D-A"])
        for unit in row["units"]
    }:
        assert any(
            "CG-D-A"
            in hierarchy.ancestors(unit, small_world.FIRST_DAY + timedelta(days=day)).values()
            for day in range(61)
        )
    assert get(client, "/v1/members/twice", secrets["CG-D-A"], unit="CG-D-C").status_code == 403


def test_who_is_silent_is_told_within_the_district(
    deployment: Deployment, client: TestClient, secrets: dict[str, str]
) -> None:
    on = small_world.FIRST_DAY + timedelta(days=58)
    as_of = datetime.combine(on, time(23, 59, 59), oracle.KOLKATA)
    for state in ("silent", "zero", "active"):
        for unit in ("IN", "CG-D-A"):
            told = [
                row["unit"]
                for row in pages(
                    client, "/v1/activity", secrets[unit], date=str(on), days=3, state=state
                )
            ]
            assert sorted(told) == sorted(
                row["unit"]
                for row in activity(deployment.clickhouse, unit, as_of, days=3, state=state)
            )
    assert {
        row["state"]
        for row in pages(client, "/v1/activity", secrets["IN"], date=small_world.on(61), days=1)
    } >= {"silent"}


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


def test_the_command_serves_and_writes_down_who_pulled_what_and_never_a_token(
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
