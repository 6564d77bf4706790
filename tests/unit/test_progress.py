"""What long commands say when nobody watches a terminal: lines on standard error, and what next."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import cli
from cli import progress as progress_module
from cli.lazy import load
from cli.main import COMMANDS
from cli.progress import LINE_INTERVAL_S, ProgressLines, keep_ticking, print_next, progress, steps


class FakeClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_a_line_every_few_seconds_says_how_far_it_is(clock: FakeClock) -> None:
    written: list[str] = []
    lines = ProgressLines("importing", 400, write=written.append, clock=clock)
    for _ in range(10):
        lines.advance(10, "some rows")
        clock.now += 1
        lines.tick()
    assert LINE_INTERVAL_S == 5
    assert written == ["importing: 12 %, some rows, 5 s", "importing: 25 %, some rows, 10 s"]
    clock.now += LINE_INTERVAL_S
    lines.advance(500)
    lines.tick()
    assert written[-1] == "importing: 100 %, 15 s", "never more than all"


def test_a_step_is_said_at_once_and_then_that_it_goes_on(clock: FakeClock) -> None:
    written: list[str] = []
    lines = ProgressLines("starting", None, write=written.append, clock=clock)
    clock.now += LINE_INTERVAL_S - 1
    lines.step("starting Kafka and ClickHouse …")
    clock.now += LINE_INTERVAL_S - 1
    lines.tick()
    clock.now += 1
    lines.tick()
    lines.step("plan: 9 milestones")
    clock.now += LINE_INTERVAL_S
    lines.tick()
    assert written == [
        "starting Kafka and ClickHouse …",
        "starting Kafka and ClickHouse: 5 s",
        "plan: 9 milestones",
        "starting: 5 s",
    ], "what is done does not go on"


def test_ticking_ends_with_the_work_and_survives_a_closed_standard_error() -> None:
    waits = iter([False, False, True])
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        raise BrokenPipeError

    keep_ticking(tick, lambda _seconds: next(waits))
    assert len(ticks) == 2


def test_standard_output_has_the_result_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # each thread says one line at once, without waiting for it
    monkeypatch.setattr(progress_module, "LINE_INTERVAL_S", 0.0)
    monkeypatch.setattr(progress_module, "keep_ticking", lambda tick, _is_over: tick())
    app = typer.Typer()

    @app.command()
    def work() -> None:
        with steps("beginning") as say, progress("counting", 10) as advance:
            say("one")
            advance(10, "ten")
        typer.echo("result")
        print_next(("pravah status", "shows it"))

    done = CliRunner().invoke(app)
    assert done.stdout == "result\n"
    said = done.stderr.splitlines()
    assert "one" in said
    assert any(line.startswith("counting: ") for line in said)
    assert said[-2:] == ["next:", "  pravah status  shows it"]


def test_nothing_is_said_if_it_is_to_be_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("counting", 10, quiet=True) as advance:
        advance(10)
    assert capsys.readouterr() == ("", "")


def test_next_commands_are_printed_as_this_shell_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "bin" / "pravah"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(program), "up"])
    monkeypatch.setenv("PATH", str(tmp_path))
    print_next(("pravah worker", "counts"))
    assert capsys.readouterr().err.splitlines()[1].split("  ")[1] == f"{program} worker"
    monkeypatch.setenv("PATH", str(program.parent))
    print_next(("pravah worker", "counts"))
    assert "  pravah worker  counts" in capsys.readouterr().err


def test_what_may_follow_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_next(("pravah " + "a" * 50, "does something that is told at length"), ("pravah b", "c"))
    assert capsys.readouterr().err.splitlines() == [
        "next:",
        f"  pravah {'a' * 50}",
        "      does something that is told at length",
        "  pravah b",
        "      c",
    ]


def _printed_commands() -> list[str]:
    """Every text of the commands' modules that is a command to copy, with names for what varies."""
    found = set()
    for path in Path(cli.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print_next":
                found |= {_text(pair.elts[0]) for pair in node.args if isinstance(pair, ast.Tuple)}
    return sorted(found)


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.JoinedStr), ast.dump(node)
    return "".join(_text(one) if isinstance(one, ast.Constant) else " X " for one in node.values)


PRINTED = _printed_commands()


@pytest.mark.parametrize("command", PRINTED)
def test_the_next_commands_exist_with_their_options(command: str) -> None:
    program, name, *rest = shlex.split(command.replace(" -- ", " "))
    assert program == "pravah"
    found = load(name, COMMANDS[name])
    while hasattr(found, "commands"):
        found = found.commands[rest.pop(0)]
    options = {option for one in found.params for option in [*one.opts, *one.secondary_opts]}
    assert {word for word in rest if re.match("--[a-z]", word)} <= options
