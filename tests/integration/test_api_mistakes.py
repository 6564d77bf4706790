"""Every parameter of every path that does not exist, or has a wrong value, is refused in one way.

The paths and their parameters are those of the OpenAPI description.
"""

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from api.app import build
from api.descriptions import first_example
from pravah.settings import Settings
from tests.support.api_world import api_client, deploy_api_world, get, make_secrets
from tests.support.deployment import Deployment

DESCRIPTION = build(Settings(_env_file=None)).openapi()
PATHS = sorted(DESCRIPTION["paths"])
PARAMETERS = {
    path: {one["name"]: one for one in DESCRIPTION["paths"][path]["get"].get("parameters", [])}
    for path in PATHS
}
WRONG_DAYS = (
    "2022-02-30",
    "2022-13-01",
    "30.6.2022",
    "20220630",
    "1656547200",
    "2022-06-30T10:00:00",
    "2022-06-30T10:00:00 05:30",
    "",
    "1969-12-31",
)
# Parameter → values that no path takes, and whether the problem offers what may be meant.
WRONG = {
    "unit": (("CG-D-ZZ", "CG-D-A,CG-D-B", "Atlantis", "", "CG-AC999-B0001"), True),
    "metric": (("member_digital", "moonshots", "", "Members Digital"), True),
    "milestone": (("booth_group", "moonshots", ""), True),
    "date": (WRONG_DAYS, False),
    "from": (WRONG_DAYS, False),
    "to": (WRONG_DAYS, False),
    "as_of": ((*WRONG_DAYS, "2022-06-30"), False),
    "level": (("village", "", "Booth"), False),
    "reporting_level": (("village",), False),
    "grain": (("year", ""), False),
    "boundaries": (("tomorrow",), False),
    "state": (("sleepy",), False),
    "lang": (("fr",), False),
    "format": (("doc", ""), False),
    "limit": (("0", "-1", "many", "1000000"), False),
    "days": (("-1", "many", "100000"), False),
    "share": (("0", "2", "all"), False),
    "exact_up_to": (("-1", "all"), False),
    "detail": (("perhaps",), False),
    "cursor": (("nonsense",), False),
    "q": (("",), False),
    "day": (WRONG_DAYS, False),
    "names": (("perhaps", "", "2"), False),
}
# Parameters that a path cannot do without, with an example of each.
REQUIRED = {
    path: {name: first_example(one) for name, one in PARAMETERS[path].items() if one["required"]}
    for path in PATHS
}
# Words of a validator, and signs of a regular expression.
NOT_FOR_READERS = re.compile(r"[\^\\]|\[[A-Za-z0-9]-|Input should|should (have|match|be)|parse")


@pytest.fixture(scope="module")
def deployment(
    services: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    with deploy_api_world(services, tmp_path_factory.mktemp("api")) as deployed:
        yield deployed


@pytest.fixture(scope="module")
def client(deployment: Deployment) -> Iterator[TestClient]:
    with api_client(deployment) as client:
        yield client


@pytest.fixture(scope="module")
def secrets(deployment: Deployment) -> dict[str, str]:
    return make_secrets(deployment)


def refused(client: TestClient, secret: str, path: str, name: str, value: object) -> dict:
    answer = get(client, path, secret, **{**REQUIRED[path], name: value})
    case = f"{path}?{name}={value!r}"
    assert answer.status_code in {400, 404}, f"{case}: {answer.status_code} {answer.text[:300]}"
    assert answer.headers["content-type"] == "application/problem+json", case
    problem = answer.json()
    assert name in problem["detail"], case
    assert [one["name"].partition(".")[0] for one in problem["errors"]] == [name], case
    assert problem["errors"][0]["in"] == "query"
    assert not NOT_FOR_READERS.search(problem["detail"]), problem["detail"]
    return problem


def test_every_parameter_has_a_wrong_value_here() -> None:
    assert {name for path in PATHS for name in PARAMETERS[path]} == set(WRONG)


@pytest.mark.parametrize("path", PATHS)
def test_a_wrong_value_is_refused(client: TestClient, secrets: dict[str, str], path: str) -> None:
    for name in PARAMETERS[path]:
        values, is_looked_up = WRONG[name]
        for value in values:
            if name == "cursor" and path == "/v1/report":
                continue
            problem = refused(client, secrets["IN"], path, name, value)
            if name != "cursor" and not (is_looked_up and value):
                assert problem["errors"][0]["example"] == first_example(PARAMETERS[path][name])
            if is_looked_up and value:
                assert problem["nearest"], f"{path}?{name}={value}"
                assert problem["nearest"][0]["code"] in problem["detail"]


@pytest.mark.parametrize("path", PATHS)
def test_the_example_of_every_parameter_is_taken(
    client: TestClient, secrets: dict[str, str], path: str
) -> None:
    examples = {name: first_example(one) for name, one in PARAMETERS[path].items()}
    for name, example in examples.items():
        assert example, f"{path} {name}"
        if name == "cursor":  # that of another service
            continue
        others = dict(REQUIRED[path])
        if name in {"from", "to"}:  # the days of one range
            others |= {"from": examples["from"], "to": examples["to"]}
        if path == "/v1/report":  # the form that takes the least time
            others |= {"format": "json", "lang": "en"}
        answer = get(client, path, secrets["IN"], **{**others, name: example})
        # the small world has no such unit
        statuses = {200, 404} if name == "unit" else {200}
        assert answer.status_code in statuses, (path, name, answer.text)


def test_a_path_that_does_not_exist_offers_the_nearest(client: TestClient) -> None:
    answer = client.get("/v1/rollup")
    assert answer.status_code == 404
    assert "did you mean /v1/rollups?" in answer.json()["detail"]
    assert "/docs" in client.get("/figures").json()["detail"]
    answer = client.post("/v1/rollups")
    assert (answer.status_code, "GET" in answer.json()["detail"]) == (405, True)


@pytest.mark.parametrize("path", PATHS)
def test_an_unknown_or_repeated_parameter_is_refused(
    client: TestClient, secrets: dict[str, str], path: str
) -> None:
    known = PARAMETERS[path]
    for name in ("unti", "Unit", "dates", "form", "x", "unit[]", ""):
        problem = refused(client, secrets["IN"], path, name, "CG")
        assert problem["status"] == 400
        assert problem["parameters"] == sorted(known)
        assert all(one in problem["detail"] for one in known)
    if "unit" in known:
        assert "did you mean unit?" in refused(client, secrets["IN"], path, "unti", "CG")["detail"]
    for name, described in known.items():
        if described["schema"].get("type") != "array":
            problem = refused(client, secrets["IN"], path, name, ["1", "1"])
            assert "once" in problem["detail"]


def test_probes_take_no_parameters(client: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path).status_code == 200
        assert client.get(path, params={"unit": "CG"}).status_code == 400


def test_a_token_of_a_district_learns_nothing_of_others(
    client: TestClient, secrets: dict[str, str]
) -> None:
    for unit in ("CG-D-B", "B", "Atlantis", "CG-D-ZZ", "उत्तर"):
        answer = get(client, "/v1/rollups", secrets["CG-D-A"], unit=unit)
        assert answer.status_code == 403, unit
        offered = {one["code"] for one in answer.json()["nearest"]}
        assert offered <= {"CG-D-A", "CG-AC001"} | {f"CG-AC001-B000{n}" for n in (1, 2, 4)}


def test_units_by_name_and_search(client: TestClient, secrets: dict[str, str]) -> None:
    by_code = get(client, "/v1/totals", secrets["IN"], unit="CG-AC001").json()
    for name in ("One", "one", "एक", "cg-ac001", "CG_AC001"):
        assert get(client, "/v1/totals", secrets["IN"], unit=name).json() == by_code, name
    report = get(client, "/v1/report", secrets["IN"], unit="एक", format="json", date="2022-04-01")
    assert report.json()["unit"] == "CG-AC001"
    found = get(client, "/v1/units", secrets["IN"], q="केंद्र").json()["data"]
    assert [one["level"] for one in found] == ["booth"] * 5
    found = get(client, "/v1/units", secrets["IN"], q="booth 2", level="booth").json()["data"]
    assert [one["unit"] for one in found] == ["CG-AC001-B0002"]
    own, below = (
        get(client, "/v1/units", secrets[unit], q="booth", **more).json()["data"]
        for unit, more in (("CG-D-B", {}), ("IN", {"unit": "CG-D-B"}))
    )
    assert own == below != []
    assert get(client, "/v1/units", secrets["IN"], q="%").json()["data"] == []


@pytest.mark.parametrize("path", [path for path in PATHS if "date" in PARAMETERS[path]])
def test_all_spellings_of_a_day_give_the_same_figures(
    client: TestClient, secrets: dict[str, str], path: str
) -> None:
    as_json = {"format": "json"} if path == "/v1/report" else {}

    def rows(date: str) -> object:
        answer = get(client, path, secrets["IN"], date=date, **as_json)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        body.pop("made_at", None)
        return body

    expected = rows("2022-03-20")
    for text in (
        "2022-03-20T23:59:59.999+05:30",
        "2022-03-20T00:00:00+05:30",
        "2022-03-19T18:30:00Z",
        "2022-03-20 18:29:59Z",
        "2022-03-20T10:29:59-08:00",
    ):
        assert rows(text) == expected, text


def test_all_spellings_of_an_instant_give_the_same_figures(
    client: TestClient, secrets: dict[str, str]
) -> None:
    for texts in (
        ("2022-03-21T00:00:00+05:30", "2022-03-20T18:30:00Z", "2022-03-20 18:30:00Z"),
        ("2149-01-01T05:30:00+05:30", "2149-01-01T00:00:00.000Z"),
    ):
        answers = [get(client, "/v1/rollups", secrets["IN"], as_of=text) for text in texts]
        assert [answer.status_code for answer in answers] == [200] * len(texts)
        assert len({answer.text for answer in answers}) == 1
