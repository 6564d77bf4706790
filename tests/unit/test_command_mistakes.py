"""Every option of every command that has a wrong value is refused in one way: exit 2, and why.

Nothing runs here, so it is refused before a server is queried.
`tests/integration/test_command_mistakes.py` has the units, metrics and milestones.
"""

from pathlib import Path

import pytest

from cli.main import main
from tests.support.commands import REQUIRED, Parameter, parameters, run

ALL = list(parameters())
DAYS = [one for one in ALL if one.is_day]
CHOICES = [one for one in ALL if one.is_choice]
NUMBERS = [one for one in ALL if one.annotation in {int, float} and one.option]
NO_DAY = (
    "30.6.2022",
    "2022-02-30",
    "20220630",
    "1656547200",
    "2022-06-30T10:00:00",
    "2022-06-30 10:00:00",
    "",
    "yesterday",
    "2150-01-01",
)
# A command whose figures need a server.
NEED_A_STACK = (
    "plan status",
    "plan forecast",
    "plan defaulters",
    "plan history",
    "watch silent",
    "watch unusual",
    "watch completeness",
    "watch members",
    "report",
    "worker",
    "reconcile",
    "explain",
    "api",
    "api token list",
    "api token create",
    "rebuild ledger",
    "backcheck result x",
    "simulate",
)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRAVAH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")


def _name(one: Parameter) -> str:
    return f"{one.command} {one.option or one.name}"


def test_days_are_found_in_the_tree() -> None:
    named = {_name(one) for one in DAYS}
    assert {"plan status --date", "report --date", "explain --day", "simulate --from"} <= named
    days = {"date", "day", "on", "first", "last", "since", "until", "as_of", "at"}
    for one in ALL:
        assert one.name not in days or one.is_day, _name(one)


@pytest.mark.parametrize("parameter", DAYS, ids=_name)
def test_what_is_no_day_is_refused(
    parameter: Parameter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in NO_DAY:
        code, said = run(parameter.arguments(value), monkeypatch, capsys)
        assert code == 2, (value, said)
        assert f"Invalid value for '{parameter.option}': '{value}' is no" in said, value


@pytest.mark.parametrize("parameter", CHOICES, ids=_name)
def test_what_is_no_choice_is_refused_with_the_choices(
    parameter: Parameter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(parameter.arguments("nonsense"), monkeypatch, capsys)
    assert code == 2
    assert parameter.option in said
    assert "is not one of" in said


@pytest.mark.parametrize("parameter", NUMBERS, ids=_name)
def test_what_is_no_number_is_refused_in_words(
    parameter: Parameter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in ("many", "-1000000000000"):
        if value != "many" and parameter.option == "--seed":
            continue  # any whole number is a seed
        code, said = run(parameter.arguments(value), monkeypatch, capsys)
        assert code == 2, (value, said)
        assert f"Invalid value for '{parameter.option}': '{value}' is " in said


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["reprot"], "report"),
        *(([name, "statsu"], "status") for name in ("plan", "gateway")),
        (["units", "fnd"], "find"),
        (["api", "token", "creat"], "create"),
    ],
)
def test_a_command_that_does_not_exist_is_refused_with_the_nearest(
    arguments: list[str],
    nearest: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, said = run(arguments, monkeypatch, capsys)
    assert code == 2
    assert f"No such command '{arguments[-1]}'. Did you mean '{nearest}'?" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["gateway", "pull", "none"],
        ["gateway", "reconcile", "none"],
        ["gateway", "replay", "--source", "none", "--from", "2022-05-01"],
        ["gateway", "rejected", "send", "--source", "none"],
    ],
)
def test_where_there_are_no_sources_one_line_says_so(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRAVAH_PERSON_KEY", "k" * 32)
    code, said = run(arguments, monkeypatch, capsys)
    assert code in {1, 2}
    assert said.startswith("error: "), said


def test_a_reason_that_no_record_is_rejected_for_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before, it printed that nothing was rejected."""
    code, said = run(["replay", "rejected", "--reason", "unknown unit"], monkeypatch, capsys)
    assert code == 2
    assert "Invalid value for '--reason': 'unknown unit' is no reason" in said
    assert "unknown_unit" in said


@pytest.mark.parametrize("command", sorted({one.command for one in ALL}))
def test_an_option_that_does_not_exist_is_refused(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run([*command.split(), "--unti", "CG"], monkeypatch, capsys)
    assert code == 2
    assert "No such option: --unti" in said


@pytest.mark.parametrize(
    "parameter", [one for one in ALL if one.option and not one.is_repeatable], ids=_name
)
def test_an_option_for_one_value_is_refused_if_given_twice(
    parameter: Parameter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*parameter.arguments("1"), parameter.option, "1"]
    code, said = run(arguments, monkeypatch, capsys)
    assert code == 2
    assert f"Invalid value for '{parameter.option}': may be given once only" in said


@pytest.mark.parametrize("command", NEED_A_STACK)
def test_where_nothing_runs_one_line_says_so_and_how_to_start_it(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*command.split(), *REQUIRED.get(command, [])]
    code, said = run(arguments, monkeypatch, capsys)
    assert code == 1
    assert said.startswith("error: nothing runs here: `pravah up` starts"), said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["units", "show", "Narayanpur"], "is the name of 2 units: CG-D-NRP (district Narayanpur"),
        (["units", "show", "CG-D-NPR"], "is not in the registry; nearest: CG-D-NRP"),
        (["units", "tree", "Narayanpr"], "is not in the registry; nearest: CG-D-NRP"),
        (["simulate", "--state", "Chhatisgarh"], "nearest: CG (state Chhattisgarh"),
        (["simulate", "--state", "CG-D-NRP"], "CG-D-NRP is a unit of the level district"),
        (["grafana", "accounts", "Foo"], "is no unit code"),
    ],
)
def test_units_of_the_registry_that_comes_with_pravah(
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, error = run(arguments, monkeypatch, capsys)
    assert code == 2
    assert said in error


def test_units_are_found_by_any_part_of_a_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("narayan", "नारायण", "NRP"):
        monkeypatch.setattr("sys.argv", ["pravah", "units", "find", text])
        with pytest.raises(SystemExit, match="0"):
            main()
        found = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert ["CG-D-NRP", "ज़िला", "district", "नारायणपुर", "Narayanpur"] in found
    assert run(["units", "find", "xyzzy"], monkeypatch, capsys)[0] == 1
