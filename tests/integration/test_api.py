"""The AICC API: the figures of `rollups` in every format, and nothing beyond a token's scope."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from cli.main import main
from pravah.settings import Settings
from schemas.contacts import Contact
from sinks.api_tokens import create_token
from sinks.control_room import activity, load_contacts, reporting_rates
from sinks.forecast import forecasts
from sinks.members import members, named_twice
from sinks.migrate import Schema
from sinks.unusual import unusual_values
from tests.support import oracle, small_world
from tests.support.api_world import api_client, deploy_api_world, get, make_secrets, pages
from tests.support.deployment import Deployment

PHONE = "+919876543210"
FIELDS = ("day", "level", "unit", "metric", "value", "verified_value")
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
        == 400
    )


def test_forecast_members_and_unusual_values_are_what_the_control_room_sees_and_end_at_the_district(
    deployment: Deployment, client: TestClient, secrets: dict[str, str], tmp_path
) -> None:
    evening = datetime.combine(date(2022, 7, 1), time(23, 59, 59), oracle.KOLKATA)
    forecast_of = {
        (row["unit"], row["milestone"]): row
        for level in oracle.LEVEL_ORDER
        for row in pages(client, "/v1/forecast", secrets["IN"], level=level, date="2022-07-01")
    }
    for unit in ("IN", "CG", "CG-D-A", "CG-AC001"):
        for one in forecasts(deployment.clickhouse, unit, evening):
            row = forecast_of[unit, one.milestone]
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


def test_silent_units_are_listed_within_the_district(
    deployment: Deployment, client: TestClient, secrets: dict[str, str]
) -> None:
    on = small_world.FIRST_DAY + timedelta(days=58)
    as_of = datetime.combine(on, time(23, 59, 59), oracle.KOLKATA)
    for state in ("silent", "zero", "active"):
        for unit in ("IN", "CG-D-A"):
            listed = [
                row["unit"]
                for row in pages(
                    client, "/v1/activity", secrets[unit], date=str(on), days=3, state=state
                )
            ]
            assert sorted(listed) == sorted(
                row["unit"]
                for row in activity(deployment.clickhouse, unit, as_of, days=3, state=state)
            )
    assert {
        row["state"]
        for row in pages(client, "/v1/activity", secrets["IN"], date=small_world.on(61), days=1)
    } >= {"silent"}


NAMED_PATHS = (
    *("rollups", "totals", "changes", "plan", "defaulters", "forecast", "completeness"),
    *("unusual", "members", "members/twice", "activity", "units", "metrics"),
)


@pytest.mark.parametrize("path", NAMED_PATHS)
def test_names_of_units_metrics_and_milestones_on_request(
    deployment: Deployment, client: TestClient, secrets: dict[str, str], path: str
) -> None:
    span = {"from": small_world.on(5), "to": small_world.on(60)}
    more = {
        "completeness": span,
        "unusual": span,
        "plan": {"detail": "true"},
        "changes": {"level": "district"},
    }.get(path, {})
    path = f"/v1/{path}"
    read = deployment.clickhouse.execute
    known = {
        "unit": {row[0]: row[1:] for row in read("SELECT unit, name_en, name_hi FROM units")},
        "metric": {row[0]: row[1:] for row in read("SELECT metric, name_en, name_hi FROM metrics")},
        "milestone": {
            row[0]: row[1:] for row in read("SELECT milestone, name_en, name_hi FROM milestones")
        },
    }
    plain = get(client, path, secrets["IN"], limit=500, **more).json()
    named = get(client, path, secrets["IN"], limit=500, names="true", **more).json()
    assert plain["next"] == named["next"]
    assert len(plain["data"]) == len(named["data"]) > 0
    for row, with_names in zip(plain["data"], named["data"], strict=True):
        assert row.items() <= with_names.items(), "the same rows in the same order"
        for kind, names in known.items():
            if kind in row and not (kind == "unit" and path == "/v1/metrics"):
                found = with_names[f"{kind}_name_en"], with_names[f"{kind}_name_hi"]
                assert found == names[row[kind]]
        if "units" in row:
            pairs = zip(with_names["unit_names_en"], with_names["unit_names_hi"], strict=True)
            assert list(pairs) == [known["unit"][unit] for unit in row["units"]]
    if path == "/v1/changes":
        return
    text = get(client, path, secrets["IN"], limit=3, names="true", format="csv", **more).text
    assert list(csv.DictReader(io.StringIO(text)).fieldnames or []) == list(named["data"][0])
    for format_, read_table in (("parquet", pq.read_table), ("arrow", read_arrow)):
        answer = get(client, path, secrets["IN"], names="true", format=format_, **more)
        table = read_table(io.BytesIO(answer.content))
        assert table.column_names == list(named["data"][0]), format_


def read_arrow(content: io.BytesIO) -> pa.Table:
    return pa.ipc.open_stream(content).read_all()


def test_pages_with_names_are_the_pages_without(
    client: TestClient, secrets: dict[str, str]
) -> None:
    request = {"level": "booth", "limit": 100}
    plain = pages(client, "/v1/rollups", secrets["IN"], **request)
    named = pages(client, "/v1/rollups", secrets["IN"], names="true", **request)
    assert tuples(plain) == tuples(named)
    assert len(plain) > 200


def test_freshness_and_explanations_have_names_on_request(
    client: TestClient, secrets: dict[str, str]
) -> None:
    (state,) = get(client, "/v1/freshness", secrets["CG"], names="true").json()["states"]
    assert (state["state_name_en"], state["state_name_hi"]) == ("Chhattisgarh", "छत्तीसगढ़")
    row = get(client, "/v1/rollups", secrets["IN"], unit="CG", metric="members_digital").json()
    day = row["data"][0]["day"]
    figure = {"unit": "CG", "metric": "members_digital", "day": day}
    answer = get(client, "/v1/explain", secrets["IN"], names="true", **figure)
    assert {"unit_name_en", "unit_name_hi"} <= answer.json()["counted"][0].keys()


def test_an_explanation_is_that_of_the_command_and_has_a_tag(
    deployment: Deployment,
    client: TestClient,
    secrets: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = get(client, "/v1/rollups", secrets["IN"], unit="CG", metric="members_digital").json()
    row = rows["data"][0]
    figure = {"unit": "Chhattisgarh", "metric": "members_digital", "day": row["day"]}
    answer = get(client, "/v1/explain", secrets["IN"], **figure)
    assert answer.status_code == 200
    found = answer.json()
    assert found["withheld"] == {"events": 0, "value": 0, "verified_value": 0}
    assert sum(one["value"] for one in found["counted"]) == row["value"] == found["value"]
    for name, value in deployment.environment().items():
        monkeypatch.setenv(name, value)
    command = f"pravah explain --unit CG --metric members_digital --day {row['day']} --json"
    monkeypatch.setattr("sys.argv", command.split())
    with pytest.raises(SystemExit, match="0"):
        main()
    printed = json.loads(capsys.readouterr().out)
    assert printed == {name: found[name] for name in printed}
    cut = get(client, "/v1/explain", secrets["IN"], limit=1, **figure).json()
    assert len(cut["counted"]) == 1
    assert cut["more"]["counted"] == len(found["counted"]) - 1
    headers = {
        "Authorization": f"Bearer {secrets['IN']}",
        "If-None-Match": answer.headers["etag"],
    }
    assert client.get("/v1/explain", params=figure, headers=headers).status_code == 304
    headers["Authorization"] = f"Bearer {secrets['CG-D-A']}"
    assert client.get("/v1/explain", params=figure, headers=headers).status_code == 403


def test_a_figure_of_too_many_events_is_refused_with_what_to_do(
    client: TestClient, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.explain.MAX_EVENTS", 2)
    figure = {"unit": "CG", "metric": "whatsapp_groups", "day": small_world.on(50)}
    answer = get(client, "/v1/explain", secrets["IN"], **figure)
    assert answer.status_code == 400
    assert "explain a unit below CG" in answer.json()["detail"]
