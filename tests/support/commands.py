"""The tree of commands with their options, and runs of one within the tests' process."""

import sys
from collections.abc import Iterator
from datetime import date
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import pytest

from cli.lazy import load
from cli.main import COMMANDS, main

# Arguments that a command needs besides the one that is wrong.
REQUIRED = {
    "explain": ["--unit", "IN", "--metric", "members_digital", "--day", "2022-05-03"],
    "backcheck draw": ["a", "--sheet", "none.csv", "--from", "2022-05-01", "--to", "2022-05-03"],
    "api token create": ["headquarters"],
    "grafana provision": ["--url", "http://127.0.0.1:1", "--audience", "district"],
    "grafana diff": ["--url", "http://127.0.0.1:1", "--audience", "district"],
    "grafana pull": ["--url", "http://127.0.0.1:1", "--to", "none"],
    "grafana files": ["--to", "none", "--audience", "district"],
    "gateway check": ["none.toml", "none.json"],
    "units show": ["IN"],
    "gateway replay": ["--source", "none"],
    "import": ["none.csv", "--mapping", "none.toml"],
}


class Parameter(NamedTuple):
    """An option or argument of a command."""

    command: str
    name: str
    option: str
    """Empty for an argument."""
    is_repeatable: bool
    """Whether it may be given more than once; a flag may, too."""
    annotation: Any

    @property
    def is_day(self) -> bool:
        return date in _types(self.annotation)

    @property
    def is_choice(self) -> bool:
        return any(get_origin(one) is Literal for one in _types(self.annotation))

    @property
    def looked_up(self) -> str:
        """`unit`, `metric` or `milestone`, if it names one; else empty."""
        kinds = {"state": "unit", "code": "unit", "units": "unit"}
        name = kinds.get(self.name, self.name)
        return name if name in {"unit", "metric", "milestone"} else ""

    def arguments(self, value: str) -> list[str]:
        """A command line with a value for this parameter and good ones for the others."""
        required = list(REQUIRED.get(self.command, []))
        if self.option in required:
            at = required.index(self.option)
            del required[at : at + 2]
        elif not self.option:
            required = []
        given = [self.option, value] if self.option else ["--", value]
        return [*self.command.split(), *required, *given]


def _types(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)


def parameters() -> Iterator[Parameter]:
    """All parameters of all commands."""
    for name, spec in COMMANDS.items():
        yield from _parameters(name, load(name, spec))


def _parameters(path: str, command: Any) -> Iterator[Parameter]:
    for one in command.params:
        if one.name not in {"help", "install_completion", "show_completion"}:
            option = next((opt for opt in one.opts if opt.startswith("--")), "")
            yield Parameter(
                path,
                one.name,
                option,
                one.nargs != 1 or one.multiple or getattr(one, "is_flag", False),
                one.type_descriptor.annotation,
            )
    for name, below in getattr(command, "commands", {}).items():
        yield from _parameters(f"{path} {name}", below)


def run(
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str]:
    """Run a command as a shell would: exit code, and standard error in one line without a frame."""
    monkeypatch.setattr(sys, "argv", ["pravah", *arguments])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    text = "".join(sign for sign in capsys.readouterr().err if sign not in "│╭╮╰╯─")
    return code, " ".join(text.split())
