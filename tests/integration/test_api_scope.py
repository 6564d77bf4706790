"""No answer of any path has a row beyond its token's scope, while units move and straddle.

The oracle is the hierarchy of each row's day; rows that a district's ClickHouse account may read
are a second one. Assembly 1 lies in districts A and B, booth 2 moves from A to D, booth 4 closes.
"""

import csv
import io
import json
import os
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import pytest
from clickhouse_driver import Client
from fastapi.testclient import TestClient
from openpyxl import load_workbook

from api.explain import apply_scope as scoped_explanation
from operations.bootstrap import prepare
from pravah.settings import Settings
from reports.facts import read_situation
from reports.formats import render
from schemas.access import DATA_KINDS, Scope
from schemas.contacts import Contact
from schemas.scopes import name_database
from sinks.api_tokens import create_token, revoke_token
from sinks.control_room import load_contacts
from sinks.explanation import Counted, Explanation, Origin, StoredEvent, Subject, Uncounted
from sinks.migrate import Schema
from tests.integration.test_members import reported, standing
from tests.integration.test_plan import any_event
from tests.support import oracle, small_world
from tests.support.api_world import api_client, get, pages
from tests.support.deployment import Deployment, empty
from tests.support.folding import fold

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

REQUESTS = int(os.environ.get("PRAVAH_TEST_SCOPE_REQUESTS", "100"))
TOKENS = (
    "CG-V-N",
    "CG-D-A",
    "CG-D-B",
    "CG-D-D",
    "CG-AC001",
    "CG-AC001-B0002",
    "CG-AC001-B0004",
)
UNITS = sorted(small_world.registry().units)
PHONES = {unit: f"+9198765{number:05}" for number, unit in enumerate(UNITS)}
CODE = re.compile(r"\b(?:IN|CG(?:-V-[A-Z]+|-D-[A-Z]+|-AC\d{3}(?:-B\d{4})?)?)\b")
FAR = date(2100, 1, 1)


@dataclass
class World:
    deployment: Deployment
    client: TestClient
    secrets: dict[str, str]
    events: list[dict]
    hierarchy: oracle.Hierarchy

    def is_within(self, unit: str, scope: str, day: date) -> bool:
        return scope in self.hierarchy.ancestors(unit, day).values()

    def days(self, unit: str, scope: str) -> set[date]:
        """Of the days of the small world, those on which a unit was at or below another."""
        days = [small_world.FIRST_DAY + timedelta(days=number) for number in range(-30, 90)]
        return {day for day in [*days, FAR] if self.is_within(unit, scope, day)}


def contacts() -> list[Contact]:
    return [
        Contact(unit=unit, role=role, name=f"Holder {unit}", phone=PHONES[unit], language="hi")
        for unit in UNITS
        for role in ("in-charge", "head")
    ]


@pytest.fixture(scope="module")
def world(services: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    empty(services)
    prepare(services, lambda _: None, registry=small_world.registry())
    choose = random.Random(23)
    memberships = [{**reported(choose, n), "entity": f"m:{n}"} for n in range(500)]
    fold(
        services.clickhouse,
        small_world.registry(),
        [*(any_event(choose) for _ in range(500)), *memberships],
    )
    folder = tmp_path_factory.mktemp("scope")
    made = Deployment(services, folder)
    load_contacts(made.clickhouse, Schema("pravah"), contacts())
    secrets = {
        unit: create_token(made.clickhouse, name=f"of {unit}", unit=unit, kinds=DATA_KINDS, days=1)
        for unit in ("IN", *TOKENS)
    }
    settings = services.model_copy(update={"api_refused_rate": "100000/minute"})
    made.settings = settings
    with api_client(made) as client:
        hierarchy = oracle.Hierarchy.read(small_world.write(folder))
        yield World(made, client, secrets, memberships, hierarchy)
    made.stop()


def twice(world: World, scope: str, unit: str, on: date) -> dict[str, list[str]]:
    """Keys in more than one membership at or below a unit and within a scope, by the oracle."""
    found: dict[str, list[str]] = defaultdict(list)
    for event in standing(world.events, on):
        day = date.fromisoformat(event["occurred_at"][:10])
        if all(world.is_within(event["unit"], one, day) for one in (scope, unit)):
            for key in set(event["data"].get("member_keys", [])):
                found[key].append(event["unit"])
    return {key: sorted(set(units)) for key, units in found.items() if len(units) > 1}


@pytest.mark.parametrize("scope", ["IN", *TOKENS])
def test_keys_reported_twice_are_of_the_units_and_days_of_the_scope(
    world: World, scope: str
) -> None:
    """Before, a district saw those of booths after they had left it, and of its neighbours."""
    for unit in [one for one in UNITS if world.days(one, scope)]:
        for day in (10, 29, 45, 60):
            on = small_world.FIRST_DAY + timedelta(days=day)
            rows = pages(
                world.client, "/v1/members/twice", world.secrets[scope], unit=unit, date=str(on)
            )
            assert {row["member_key"]: row["units"] for row in rows} == twice(
                world, scope, unit, on
            ), (unit, on)


def test_hashes_need_the_kind_persons(world: World) -> None:
    for kinds, status in ((["figures"], 403), (["persons"], 403), (["figures", "persons"], 200)):
        secret = create_token(
            world.deployment.clickhouse, name=f"with {kinds}", unit="IN", kinds=kinds, days=1
        )
        assert get(world.client, "/v1/members/twice", secret).status_code == status


def random_request(choose: random.Random, path: str, known: dict, units: list[str]) -> dict:
    """Parameters that a path takes, a third of them each."""
    on = str(small_world.FIRST_DAY + timedelta(days=choose.randrange(-5, 70)))
    values = {
        "unit": choose.choice(units),
        "level": choose.choice(oracle.LEVEL_ORDER),
        "reporting_level": choose.choice(["booth", "assembly"]),
        "date": on,
        "grain": choose.choice(["day", "week", "month"]),
        "boundaries": "now",
        "as_of": "2149-01-01T00:00:00Z",
        "detail": "true",
        "days": choose.choice([1, 20]),
        "share": "0.5",
        "exact_up_to": choose.choice([0, 1_000_000]),
        "q": choose.choice(["booth", "One", "C"]),
        "limit": choose.choice([3, 1_000]),
        "lang": "both",
        "names": "true",
    }
    chosen = {name: value for name, value in values.items() if name in known}
    request = {name: value for name, value in chosen.items() if choose.random() < 0.34}
    if "as_of" in request:
        request.pop("boundaries", None)
    if path in {"/v1/completeness", "/v1/unusual"}:
        request |= {"from": small_world.on(5), "to": small_world.on(60)}
    if path == "/v1/report":
        request |= {"format": "json"}
    if path == "/v1/explain":
        request |= {"day": on, "metric": choose.choice(["members_digital", "whatsapp_groups"])}
    return request


def allowed_days(world: World, scope: str, path: str, request: dict, row: dict) -> set[date]:
    """The days on one of which the row's unit must be within the scope."""
    today = datetime.now(oracle.KOLKATA).date()
    if request.get("boundaries") == "now":
        return {FAR, world.hierarchy.days[row["unit"]][1]}
    if "day" in row:
        day = date.fromisoformat(row["day"])
        length = {"week": 7, "month": 31}.get(request.get("grain", "day"), 1)
        return {day + timedelta(days=number) for number in range(length)}
    if path == "/v1/units":
        return world.days(row["unit"], scope)
    return {date.fromisoformat(request["date"])} if "date" in request else {today}


def check_groups(world: World, scope: str, report: dict) -> None:
    """Take out what a report names without figures of it.

    Those are the units above, the offices that are responsible, and the assemblies by which a
    district's booths are grouped, though another district has them.
    """
    report.pop("above")
    day = date.fromisoformat(report["day"])
    groups = {child.pop("unit") for child in report["children"]}
    groups |= {unit for pair in report.pop("areas").items() for unit in pair}
    for group in groups:
        assert any(
            world.is_within(unit, group, day) and world.is_within(unit, scope, day)
            for unit in UNITS
        ), group
    for one in (*report["defaulters"], *report["offices"]):
        for name in [name for name in one["about"] if name.startswith("responsible")]:
            one["about"].pop(name)


def check_events(world: World, scope: str, explanation: dict) -> None:
    """Check the events of an explanation, and take out their entities' names, which tools give."""
    for event in (*explanation["counted"], *explanation["not_counted"]):
        event.pop("entity")
        day = date.fromisoformat(event["occurred_at"][:10])
        assert world.is_within(event["unit"], scope, day), event
    whole = explanation["value"] or 0
    listed = sum(event["value"] for event in explanation["counted"])
    if not explanation["more"]["counted"]:
        assert listed + explanation["withheld"]["value"] == whole
    assert explanation["origins"] == []
    assert explanation["agrees"]


def test_the_answers_of_all_paths_stay_within_the_scope(world: World) -> None:
    described = world.client.get("/openapi.json").json()["paths"]
    paths = sorted(set(described) - {"/v1/freshness", "/v1/metrics"})
    choose, answered = random.Random(7), defaultdict(int)
    for number in range(REQUESTS):
        path, scope = paths[number % len(paths)], choose.choice(TOKENS)
        known = {one["name"]: one for one in described[path]["get"].get("parameters", [])}
        ever = [unit for unit in UNITS if world.days(unit, scope)]
        request = random_request(choose, path, known, ever if choose.random() < 0.9 else UNITS)
        answer = get(world.client, path, world.secrets[scope], **request)
        case = f"{scope} {path} {request}"
        assert answer.status_code < 500, f"{case}: {answer.text}"
        if answer.status_code != 200:
            continue
        body = answer.json()
        answered[path] += 1
        if path == "/v1/report":
            check_groups(world, scope, body)
        if path == "/v1/explain":
            check_events(world, scope, body)
        rows = body.get("data", [])
        for row in rows:
            if path != "/v1/members/twice":
                days = allowed_days(world, scope, path, request, row)
                # a unit's own rows are within its scope on every day, after it closed, too
                assert row["unit"] == scope or any(
                    world.is_within(row["unit"], scope, day) for day in days
                ), (case, row)
        text = json.dumps(body)
        assert set(CODE.findall(text)) <= set(ever), case
        for unit, phone in PHONES.items():
            assert phone not in text or unit in ever, (case, unit)
    assert set(answered) == set(paths), "every path has answered"


def test_an_explanation_has_the_events_of_the_scope_and_no_hash_without_persons(
    world: World,
) -> None:
    """Assembly 1 lies in districts A and B: each reads its own booths' events of one figure."""

    def explain(secret: str, **request: str) -> dict:
        answer = get(world.client, "/v1/explain", secret, **request)
        assert answer.status_code == 200, answer.text
        return answer.json()

    withheld = 0
    rows = pages(world.client, "/v1/rollups", world.secrets["IN"], unit="CG-AC001")
    for row in random.Random(2).sample(rows, 25):
        figure = {name: row[name] for name in ("unit", "metric", "day")}
        whole = explain(world.secrets["IN"], **figure)
        assert (whole["value"], whole["withheld"]["events"]) == (row["value"], 0)
        assert whole["agrees"]
        assert sum(one["value"] for one in whole["origins"]) == row["value"]
        part = explain(world.secrets["CG-D-A"], **figure)
        seen = {one["offset"] for one in part["counted"]}
        assert seen <= {one["offset"] for one in whole["counted"]}
        amount = sum(one["value"] for one in part["counted"])
        assert amount + part["withheld"]["value"] == row["value"]
        withheld += part["withheld"]["events"]
    assert withheld
    late = small_world.on(45)
    for unit, day in (("CG-D-B", late), ("CG-AC001-B0002", late), ("CG", late)):
        answer = get(
            world.client,
            "/v1/explain",
            world.secrets["CG-D-A"],
            unit=unit,
            day=day,
            metric="members_digital",
        )
        assert answer.status_code == 403, unit


def test_an_explanation_without_persons_has_no_hash_and_no_author() -> None:
    event = StoredEvent(
        "CG-AC001", f"list:{'ab' * 32}", 1, "report", "unverified", "CG-AC001-B0001",
        datetime(2022, 3, 5, tzinfo=UTC), 19_056, {"members_digital": 3}, "", "", "", 0, 0,
        datetime(2022, 3, 5, tzinfo=UTC),
    )  # fmt: skip
    about = Subject("CG", "state", "", "", "members_digital", False, "", "", date(2022, 3, 5))
    repair = Origin(-1, 4, 3, 0, "repair (ledger) by A. Person, 2022-03-06: a reason")
    found = Explanation(
        about, (about.day, 3, 0), [repair], [Counted(event, 3, 0)], [Uncounted(event, "why")]
    )
    for kinds, is_shown in (({"figures"}, False), ({"figures", "persons"}, True)):
        holder = Scope("one", "IN", frozenset(kinds))
        text = repr(scoped_explanation(found, holder, None))
        assert ("ab" * 32 in text, "A. Person" in text) == (is_shown, is_shown)
    everything = {"CG-AC001-B0001": [(0, 65_535)]}
    text = repr(scoped_explanation(found, Scope("one", "CG-D-A", frozenset()), everything))
    assert "repair" not in text
    assert "CG-AC001'" not in text, "the assembly is not below the district"


@pytest.mark.parametrize("scope", ["CG-D-A", "CG-D-B", "CG-D-D"])
def test_the_answers_are_a_subset_of_what_the_districts_account_reads(
    world: World, scope: str
) -> None:
    settings = world.deployment.settings.clickhouse
    account = settings.scoped[scope]
    secret = world.secrets[scope]
    with Client(
        settings.host,
        port=settings.native_port,
        database=name_database(scope, "pravah"),
        user=account.user,
        password=account.password.get_secret_value(),
    ) as viewer:
        readable = {
            (str(day), level, unit, metric, value, verified)
            for day, level, unit, metric, value, verified in viewer.execute(
                "SELECT day, toString(level), unit, metric, value, verified_value FROM rollups"
            )
        }
        for path in ("/v1/rollups", "/v1/changes"):
            found = set()
            for level in oracle.LEVEL_ORDER:
                body = get(world.client, path, secret, level=level, limit=100_000).json()
                found |= {tuple(row.values())[:6] for row in body["data"]}
            assert found, path
            assert found <= readable, path
        keys = {
            (key, unit)
            for unit, keys in viewer.execute(
                "SELECT unit, arrayMap(key -> lower(hex(key)), member_keys) FROM membership_events"
            )
            for key in keys
        }
        rows = pages(world.client, "/v1/members/twice", secret)
        assert {(row["member_key"], unit) for row in rows for unit in row["units"]} <= keys
        known = {row[0] for row in viewer.execute("SELECT unit FROM units")}
        for path in ("/v1/units", "/v1/activity", "/v1/totals", "/v1/defaulters"):
            assert {row["unit"] for row in pages(world.client, path, secret)} <= known, path


def test_the_reports_members_and_forecast_are_those_within_the_scope(world: World) -> None:
    client, last = world.deployment.clickhouse, small_world.FIRST_DAY + timedelta(days=60)
    for unit, within in (
        ("CG-AC001", "CG-D-A"),
        ("CG-AC001-B0002", "CG-D-D"),
        ("CG-AC001-B0001", "CG-D-A"),
        ("CG-D-B", "CG-V-S"),
    ):
        keys, amount = set(), 0
        for event in standing([*world.events], last):
            day = date.fromisoformat(event["occurred_at"][:10])
            if all(world.is_within(event["unit"], one, day) for one in (unit, within)):
                keys |= set(event["data"].get("member_keys", []))
                amount += event["data"]["count"]
        found = read_situation(client, unit, last, within=within)
        assert found.members is not None
        assert found.members.persons == len(keys), (unit, within)
        assert found.members.level in oracle.LEVEL_ORDER
        straddles = any(
            world.is_within(one, unit, last) and not world.is_within(one, within, last)
            for one in UNITS
        )
        assert straddles == (unit == "CG-AC001")
        assert all((one.forecast is None) == straddles for one in found.milestones if one.expected)
    whole = read_situation(client, "CG-AC001", last)
    assert any(one.forecast for one in whole.milestones)


def test_entity_tags_follow_scope_kinds_dictionary_and_contacts(world: World) -> None:
    clickhouse, client = world.deployment.clickhouse, world.client

    def token(unit: str, kinds: list[str]) -> str:
        return create_token(clickhouse, name="one holder", unit=unit, kinds=kinds, days=1)

    def ask(path: str, secret: str, tag: str = "") -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {secret}", "If-None-Match": tag}
        answer = client.get(path, headers=headers)
        return answer.status_code, answer.headers["etag"]

    path = "/v1/totals?level=booth"
    secret = token("CG-D-A", ["figures", "plan"])
    _, first = ask(path, secret)
    _, late = ask("/v1/defaulters", secret)
    _, report = ask("/v1/report?format=json", secret)
    assert ask(path, secret, first)[0] == 304
    revoke_token(clickhouse, "one holder")
    other = token("CG-D-B", ["figures", "plan"])
    assert ask(path, other, first)[0] == 200, "the same name, another unit"
    revoke_token(clickhouse, "one holder")
    more = token("CG-D-A", ["figures", "plan", "persons"])
    assert ask("/v1/defaulters", more, late)[0] == 200, "the same name and unit, other kinds"
    assert ask("/v1/report?format=json", more, report)[0] == 200
    _, late = ask("/v1/defaulters", more)
    _, report = ask("/v1/report?format=json", more)
    assert ask("/v1/defaulters", more, late)[0] == 304
    assert ask("/v1/report?format=json", more, report)[0] == 304
    changed = [replace_contact(one) for one in contacts()]
    load_contacts(clickhouse, Schema("pravah"), changed)
    assert ask("/v1/defaulters", more, late)[0] == 200, "other contacts"
    assert ask("/v1/report?format=json", more, report)[0] == 200
    load_contacts(clickhouse, Schema("pravah"), contacts())
    _, dictionary = ask("/v1/metrics", world.secrets["IN"])
    clickhouse.execute(
        "INSERT INTO metrics VALUES", [("tags_test", "flow", "", "Tags", "Tags", 60_000)]
    )
    assert ask("/v1/metrics", world.secrets["IN"], dictionary)[0] == 200, "another dictionary"


def replace_contact(one: Contact) -> Contact:
    return one.model_copy(update={"name": one.name + " II"})


def test_text_that_a_spreadsheet_takes_for_a_formula_is_escaped_in_csv(world: World) -> None:
    names = {
        "csv_1": "=1+1",
        "csv_2": "+91",
        "csv_3": "-2",
        "csv_4": "@SUM(A1)",
        "csv_5": "\t=1",
        "csv_6": "\r=1",
        "csv_7": "\uff1d1",
        "csv_8": "plain, with = and -",
        "csv_9": "'quoted",
    }
    world.deployment.clickhouse.execute(
        "INSERT INTO metrics VALUES",
        [(metric, "flow", "", name, "हिंदी", 60_001) for metric, name in names.items()],
    )
    secret = world.secrets["IN"]
    text = get(world.client, "/v1/metrics", secret, format="csv").content.decode()
    rows = {row["metric"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}
    for metric, name in names.items():
        escaped = name if metric in {"csv_8", "csv_9"} else f"'{name}"
        assert rows[metric]["name_en"] == escaped, metric
    plain = {row["metric"]: row["name_en"] for row in pages(world.client, "/v1/metrics", secret)}
    assert names.items() <= plain.items(), "JSON has the text as it is"
    text = get(world.client, "/v1/defaulters", secret, format="csv").text
    phones = {row["call_phone"] for row in csv.DictReader(io.StringIO(text))} - {""}
    assert phones
    assert all(phone.startswith("'+91") for phone in phones)
    span = {"from": small_world.on(0), "to": small_world.on(60)}
    text = get(world.client, "/v1/unusual", secret, format="csv", **span).text
    numbers = [
        row[name]
        for row in csv.DictReader(io.StringIO(text))
        for name in ("amount", "usual", "own_z", "peer_z")
    ]
    assert any(one.startswith("-") for one in numbers), "numbers stay numbers"
    assert all(one == r"\N" or isinstance(float(one), float) for one in numbers)


def test_no_cell_of_a_workbook_is_a_formula(world: World) -> None:
    found = read_situation(world.deployment.clickhouse, "CG-D-A", contacts=True)
    overdue = [
        replace(one, about=replace(one.about, name_en="=1+1", name_hi="=1+1"))
        for one in found.defaulters
    ]
    content = render(replace(found, name_hi="=1+1", defaulters=overdue), "xlsx", "both")
    cells = [
        cell
        for sheet in load_workbook(io.BytesIO(content))
        for row in sheet.iter_rows()
        for cell in row
    ]
    assert any(str(cell.value).startswith("=1+1") for cell in cells)
    assert not [cell for cell in cells if cell.data_type == "f"]


def test_a_made_up_cursor_of_the_feed_is_a_400(world: World) -> None:
    secret = world.secrets["IN"]
    begun = get(world.client, "/v1/changes", secret, limit=3).json()["next"]
    choose, statuses = random.Random(3), set()
    for _ in range(60):
        text = list(begun)
        for _ in range(choose.randrange(1, 4)):
            text[choose.randrange(len(text))] = choose.choice("AZaz09-_")
        answer = get(world.client, "/v1/changes", secret, cursor="".join(text))
        statuses.add(answer.status_code)
        assert answer.status_code in {200, 400, 410}, answer.text
    assert 400 in statuses
