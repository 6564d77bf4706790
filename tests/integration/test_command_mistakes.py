"""Every unit, metric and milestone of every command that does not exist is refused in one way."""

import json
import random
from collections.abc import Iterator

import pytest

from cli.main import main
from operations.bootstrap import prepare
from pravah.settings import Settings
from tests.integration.test_plan import any_event
from tests.support import small_world
from tests.support.commands import Parameter, parameters, run
from tests.support.deployment import Deployment, empty
from tests.support.folding import fold

LOOKED_UP = [one for one in parameters() if one.looked_up]
# Kind → values that do not exist, and the nearest one of the small world.
WRONG = {
    "unit": {"NOPE": "", "CG-D-AA": "CG-D-A", "Chhatisgarh": "CG", "": "", "एकक": "CG-AC001"},
    "metric": {"member_digital": "members_digital", "NOPE": "", "": ""},
    "milestone": {"booth_group": "booth_groups", "NOPE": "", "": ""},
}


@pytest.fixture(scope="module")
def deployment(
    services: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    empty(services)
    prepare(services, lambda _: None, registry=small_world.registry())
    choose = random.Random(3)
    fold(services.clickhouse, small_world.registry(), [any_event(choose) for _ in range(100)])
    made = Deployment(services, tmp_path_factory.mktemp("mistakes"))
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def environment(
    deployment: Deployment,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))
    for name, value in {**deployment.environment(), "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)


def _name(one: Parameter) -> str:
    return f"{one.command} {one.option or one.name}"


def test_units_are_found_in_the_tree() -> None:
    commands = {one.command for one in LOOKED_UP}
    assert {"plan status", "watch silent", "report", "explain", "api token create"} <= commands


@pytest.mark.parametrize("parameter", LOOKED_UP, ids=_name)
def test_what_does_not_exist_is_refused_with_the_nearest(
    parameter: Parameter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for value, nearest in WRONG[parameter.looked_up].items():
        code, said = run(parameter.arguments(value), monkeypatch, capsys)
        assert code == 2, (value, said)
        hint = parameter.option or "UNIT"
        assert f"Invalid value for '{hint}': {value or repr(value)}" in said.replace("'एकक'", "एकक")
        if parameter.command != "simulate":  # of the registry that comes with Pravah
            assert f"; nearest: {nearest}" in said, (value, said)


@pytest.mark.parametrize("unit", ["CG-D-A", "cg-d-a", "CG_D_A"])
@pytest.mark.parametrize(
    "command", ["plan status", "plan forecast", "plan defaulters", "watch silent", "watch members"]
)
def test_a_code_is_taken_however_it_is_typed_and_a_name_too(
    command: str,
    unit: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def result(unit: str, day: str) -> object:
        arguments = ["pravah", *command.split(), "--unit", unit, "--date", day, "--json"]
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit, match="0"):
            main()
        return json.loads(capsys.readouterr().out)

    expected = result("CG-D-A", "2022-04-10")
    for day in ("2022-04-10T23:59:59+05:30", "2022-04-09T18:30:00Z", "2022-04-10 10:00:00Z"):
        assert result(unit, day) == expected
    assert (
        result("One", "2022-04-10")
        == result("CG-AC001", "2022-04-10")
        == result("एक", "2022-04-10")
    )


def test_a_campaign_that_is_over_says_so_and_offers_its_last_day(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (
        "plan status",
        "plan forecast",
        "plan defaulters",
        "report",
        "watch silent",
        "watch unusual",
        "watch completeness",
    ):
        code, said = run(command.split(), monkeypatch, capsys)
        assert code == 0
        assert "note: the plan's last deadline was 2022-06-30" in said, command
        assert "--date 2022-06-30 is the campaign's last day" in said
        code, said = run([*command.split(), "--date", "2022-06-30"], monkeypatch, capsys)
        assert (code, "note:" in said) == (0, False)
    monkeypatch.setattr("sys.argv", ["pravah", "plan", "status", "--json"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert json.loads(capsys.readouterr().out)["ended"]["last_day"] == "2022-06-30"


@pytest.mark.parametrize("command", ["plan status", "plan defaulters", "watch silent"])
@pytest.mark.parametrize(
    ("unit", "day", "why"),
    [
        ("CG-D-D", "2022-03-02", "it begins on 2022-03-31"),
        ("CG-AC001-B0004", "2022-07-01", "it ended on 2022-04-10"),
    ],
)
def test_a_unit_that_does_not_exist_on_the_day_is_refused(
    command: str,
    unit: str,
    day: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, said = run([*command.split(), "--unit", unit, "--date", day], monkeypatch, capsys)
    assert code == 2
    assert f"Invalid value for '--unit': {unit} does not exist on {day}: {why}" in said


def test_units_of_the_deployment_are_shown_and_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["pravah", *arguments])
        with pytest.raises(SystemExit, match="0"):
            main()
        return capsys.readouterr().out

    shown = json.loads(printed("units", "show", "booth 2", "--json"))
    assert shown["unit"] == "CG-AC001-B0002"
    assert [one["unit"] for one in shown["ancestors"] if one["level"] == "district"] == [
        "CG-D-A",
        "CG-D-D",
    ]
    shown = json.loads(printed("units", "show", "booth 2", "--on", "2022-03-02", "--json"))
    assert "CG-D-D" not in str(shown)
    assert printed("units", "find", "केंद्र २", "--plain").splitlines()[1:] == [
        "CG-AC001-B0002\tbooth\tकेंद्र 2\tBooth 2"
    ]
    assert printed("units", "tree", "CG", "--date", "2022-03-02").splitlines() == [
        "CG  छत्तीसगढ़ (प्रदेश)  Chhattisgarh (state)",
        "  CG-V-N  उत्तर (संभाग)  North (division)",
        "    CG-D-A  अ (ज़िला)  A (district)",
        "    CG-D-B  ब (ज़िला)  B (district)",
        "  CG-V-S  दक्षिण (संभाग)  South (division)",
        "    CG-D-C  स (ज़िला)  C (district)",
    ]
