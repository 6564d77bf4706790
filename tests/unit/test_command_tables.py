"""Tables of commands, with the longest codes and names, in each width and in a pipe."""

import io
import re
import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

import reference
from cli.tables import Cell, Column, print_table
from operations.registry import read_registry_files
from schemas.plan import Plan

CLI = Path(import_module("cli").__file__ or "").parent
DAY, NUMBER = "2022-06-30", 16_434_567


def tables() -> dict[str, tuple[Column, ...]]:
    found = {}
    for path in sorted(CLI.rglob("*.py")):
        name = ".".join(("cli", *path.relative_to(CLI).with_suffix("").parts))
        if path.stem in {"__init__", "main", "tables"}:
            continue
        module = import_module(name)
        for variable, value in vars(module).items():
            if isinstance(value, tuple) and value and isinstance(value[0], Column):
                found[f"{name.removeprefix('cli.')}.{variable}"] = value
    return found


TABLES = tables()


@cache
def longest() -> dict[str, str]:
    units = read_registry_files(reference.registry_files()).units.values()
    plan = Plan.from_toml(reference.plan_file().read_text(encoding="utf-8"))
    names = {
        "unit": (one.code for one in units),
        "name": (one.name_en for one in units),
        "नाम": (one.name_hi for one in units),
        "milestone": (one.milestone for one in plan.milestones),
        "लक्ष्य": (one.name_hi for one in plan.milestones),
        "milestone's name": (one.name_en for one in plan.milestones),
    }
    metrics = tomllib.loads(reference.metrics_file().read_text(encoding="utf-8"))["metric"]
    names["metric"] = (one["metric"] for one in metrics)
    return {heading: max(texts, key=len) for heading, texts in names.items()} | {
        "phone": "+911234567890",
        "level": "mandal_committee",
        "entity": "odk:uuid:6f1c9d1e-7f2b-4c52-9d5d-0c4c7a3c2f11"[:24],
        "occurred (IST)": f"{DAY} 23:59",
        "key": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    }


def cell(column: Column, *, plain: bool = False) -> Cell:
    heading = column.heading.partition("\n")[0]
    if heading in longest():
        return longest()[heading]
    if column.kind == "number":
        return NUMBER
    if column.kind == "day":
        return DAY
    return "CG-AC001-B0001" if column.kind == "key" else "a text of several words, some longer"


def printed(columns: tuple[Column, ...], width: int | None, *, plain: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width or 80, force_terminal=width is not None, color_system=None
    )
    rows = [[cell(column) for column in columns]] * 2
    print_table(columns, rows, title="title", plain=plain, console=console)
    return out.getvalue()


def is_whole(value: Cell, output: str) -> bool:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return re.search(rf"(?<![^\s]){re.escape(text)}(?![^\s])", output) is not None


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", TABLES)
def test_no_key_day_or_number_is_cut_in_a_terminal(name: str, width: int) -> None:
    columns = TABLES[name]
    output = printed(columns, width)
    assert "…" not in output
    left_out = re.search(r"left out at this width: (.*) \(`", output.replace("\n", " "))
    absent = set(left_out[1].split(", ")) if left_out else set()
    assert absent <= {column.name for column in columns if column.rank}
    for column in columns:
        if column.name not in absent and column.kind != "text":
            assert is_whole(cell(column), output), (column, output)
    table = output.partition("left out at this width")[0]
    if " day" not in table.splitlines()[1]:  # else each cell has a line
        assert max(cell_len(line.rstrip()) for line in table.splitlines()) <= width, output


@pytest.mark.parametrize("name", TABLES)
def test_in_a_pipe_a_row_is_one_line_with_all_columns(name: str) -> None:
    columns = TABLES[name]
    title, headings, *rows = printed(columns, None).splitlines()
    assert (title, len(rows)) == ("title", 2)
    assert all(column.name in headings for column in columns)
    assert all(is_whole(cell(column), rows[0]) for column in columns), rows[0]


@pytest.mark.parametrize("name", TABLES)
def test_plain_rows_are_separated_by_tabs(name: str) -> None:
    columns = TABLES[name]
    for width in (60, None):
        headings, *rows = printed(columns, width, plain=True).splitlines()
        assert headings.count("\t") == len(columns) - 1
        assert len(set(headings.split("\t"))) == len(columns)
        assert [row.split("\t") for row in rows] == [[str(cell(one)) for one in columns]] * 2


def test_all_commands_print_tables_in_this_way() -> None:
    others = [
        path.name
        for path in CLI.rglob("*.py")
        if "rich.table" in path.read_text(encoding="utf-8") and path.name != "tables.py"
    ]
    assert others == []


def test_cells_of_several_lines_and_with_tabs_stay_one_row() -> None:
    columns = (Column("unit", "key"), Column("data"))
    out = io.StringIO()
    for plain in (True, False):
        print_table(columns, [("CG", "a\tb\nc")], plain=plain, console=Console(file=out))
    assert out.getvalue() == "unit\tdata\nCG\ta b; c\nunit  data\nCG    a b; c\n"


def test_markup_in_names_is_text() -> None:
    out = io.StringIO()
    print_table((Column("name", "key"),), [("[red]Raipur[/x]",)], console=Console(file=out))
    assert "[red]Raipur[/x]" in out.getvalue()
