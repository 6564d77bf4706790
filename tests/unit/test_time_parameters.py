"""docs/days.md lists every parameter that names a time: of views, commands and the API."""

import re
from pathlib import Path

from api.app import build
from pravah.settings import Settings
from sinks.migrate import Schema, migrations
from tests.support.commands import parameters

ROWS = [
    line
    for line in (Path(__file__).parents[2] / "docs" / "days.md").read_text("utf-8").splitlines()
    if line.startswith("| `")
]
# Types that name a time, and the names of texts that do.
TIME = re.compile(r"\{(\w+):(?:Date|DateTime64\(3\))\}|\{(day|first|last|instant):String\}")
VIEW = re.compile(r"CREATE VIEW \w+\.(\w+)")


def listed(name: str, parameter: str) -> bool:
    return any(f"`{name}`" in row and f"`{parameter}`" in row for row in ROWS)


def test_views() -> None:
    found = {
        (view[1], next(filter(None, parameter)))
        for migration in migrations()
        for statement in migration.module.forward(Schema("pravah"))
        if (view := VIEW.match(statement))
        for parameter in TIME.findall(statement)
    }
    assert ("plan_progress_at", "as_of") in found
    assert ("plan_progress_on", "day") in found
    assert not [pair for pair in sorted(found) if not listed(*pair)]


def test_commands() -> None:
    found = {(one.command, one.option) for one in parameters() if one.is_day}
    assert ("plan status", "--date") in found
    assert not [pair for pair in sorted(found) if not listed(*pair)]


def test_api() -> None:
    found = set()
    for path, operations in build(Settings(_env_file=None)).openapi()["paths"].items():
        for one in operations["get"].get("parameters", []):
            forms = [one["schema"], *one["schema"].get("anyOf", [])]
            if {form.get("format") for form in forms} & {"date", "date-time"}:
                found.add((path, one["name"]))
    assert ("/v1/rollups", "as_of") in found
    assert ("/v1/report", "date") in found
    assert not [pair for pair in sorted(found) if not listed(*pair)]
