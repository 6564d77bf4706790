"""Tables of commands, with the longest codes and names, in each width and in a pipe."""

import io
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
from rich.cells import cell_len
from rich.console import Console

import reference
from cli.headings import HEADINGS
from cli.language import LEVEL_WORDS, Words, select_language
from cli.main import main
from cli.plan import NOT_BEFORE, _forecast_cells
from cli.tables import Cell, Column, _fold, print_table
from operations.registry_files import read_registry_files
from pravah.languages import Lang, Language, languages_of
from schemas.plan import Plan
from sinks.forecast import Forecast

CLI = Path(import_module("cli").__file__ or "").parent
LANGS: tuple[Lang, ...] = get_args(Lang)
DEVANAGARI, LATIN = re.compile("[\u0900-\u097f]"), re.compile("[A-Za-z]{2}")
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
    metrics = tomllib.loads(reference.metrics_file().read_text(encoding="utf-8"))["metric"]
    names = {
        "unit": (one.code for one in units),
        "name_en": (one.name_en for one in units),
        "name_hi": (one.name_hi for one in units),
        "milestone": (one.milestone for one in plan.milestones),
        "milestone_hi": (one.name_hi for one in plan.milestones),
        "milestone_en": (one.name_en for one in plan.milestones),
        "metric": (one["metric"] for one in metrics),
        "metric_hi": (one["name_hi"] for one in metrics),
        "metric_en": (one["name_en"] for one in metrics),
    }
    return {key: max(texts, key=len) for key, texts in names.items()} | {
        "phone": "+911234567890",
        "entity": "odk:uuid:6f1c9d1e-7f2b-4c52-9d5d-0c4c7a3c2f11"[:24],
        "occurred": f"{DAY} 23:59",
        "key": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    }


def cell(column: Column) -> Cell:
    if column.key in longest():
        return longest()[column.key]
    if column.key == "level":
        return LEVEL_WORDS["assembly"]
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


def left_out(output: str, language: Language) -> set[str]:
    said = {"en": r"left out at this width: (.*?) \(`", "hi": r"इस चौड़ाई में छोड़े गए: (.*?) \(`"}
    found = re.search(said[language], output.replace("\n", " "))
    return set(found[1].split(", ")) if found else set()


@pytest.fixture(params=LANGS)
def lang(request: pytest.FixtureRequest) -> Iterator[Lang]:
    select_language(request.param)
    yield request.param
    select_language(None)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", TABLES)
def test_no_key_day_or_number_is_cut_in_a_terminal(name: str, width: int, lang: Lang) -> None:
    columns = TABLES[name]
    output = printed(columns, width)
    assert "…" not in output
    language = languages_of(lang)[0]
    absent = left_out(output, language)
    assert absent <= {column.name(language) for column in columns if column.rank}
    for column in columns:
        if column.name(language) not in absent and column.kind != "text":
            assert is_whole(cell(column), output), (column, output)
    table = output.partition("left out at this width")[0].partition("इस चौड़ाई")[0]
    if "─" in table:  # else each cell has a line
        assert max(cell_len(line.rstrip()) for line in table.splitlines()) <= width, output


@pytest.mark.parametrize("name", TABLES)
def test_headings_have_one_language_a_line(name: str, lang: Lang) -> None:
    for width in (60, 80, 120, 1000, None):
        output = printed(TABLES[name], width)
        headings = output.split("─")[0].splitlines()[1:] if width else output.splitlines()[1:-2]
        if width and "─" not in output:
            continue  # each cell has a line, with its heading in each language beside it
        hindi = [bool(DEVANAGARI.search(line)) for line in headings]
        english = [bool(LATIN.search(line)) for line in headings]
        assert not any(both for both in zip(hindi, english, strict=True) if all(both)), headings
        assert hindi == sorted(hindi, reverse=True), "Hindi first"
        assert {"hi": (True, False), "en": (False, True), "both": (True, True)}[lang] == (
            any(hindi),
            any(english),
        )
        if width in {1000, None}:
            assert len(headings) == len(languages_of(lang))


def test_a_table_in_one_language_has_no_texts_of_the_other() -> None:
    columns = (Column("unit", "key"), Column("level"), Column("name_hi"), Column("name_en"))
    row = ("CG", LEVEL_WORDS["state"], "छत्तीसगढ़", "Chhattisgarh")
    shown = {}
    for lang in LANGS:
        select_language(lang)
        out = io.StringIO()
        title = Words("प्रदेश", "states")
        print_table(columns, [row], title=title, console=Console(file=out))
        shown[lang] = [line.split() for line in out.getvalue().splitlines()]
    select_language(None)
    assert shown == {
        "hi": [["प्रदेश"], ["इकाई", "स्तर", "नाम"], ["CG", "प्रदेश", "छत्तीसगढ़"]],
        "en": [["states"], ["unit", "level", "name"], ["CG", "state", "Chhattisgarh"]],
        "both": [
            ["प्रदेश"],
            ["states"],
            ["इकाई", "स्तर", "नाम"],
            ["unit", "level", "name"],
            ["CG", "प्रदेश", "state", "छत्तीसगढ़", "Chhattisgarh"],
        ],
    }


def test_every_heading_is_in_both_languages_and_used() -> None:
    for key, (hindi, english) in HEADINGS.items():
        assert DEVANAGARI.search(hindi), key
        assert LATIN.search(english), key
    used = {column.key for columns in TABLES.values() for column in columns}
    assert used == set(HEADINGS)


def test_the_language_is_that_of_the_option_else_of_the_setting(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PRAVAH_HOME", str(tmp_path))

    def headings(*arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["pravah", *arguments])
        with pytest.raises(SystemExit, match="0"):
            main()
        lines = capsys.readouterr().out.splitlines()
        return [line for line in lines if line.split()[0] in {"unit", "इकाई", "स्तर", "level"}]

    show = ("units", "show", "CG")
    assert [len(headings(*show))] == [2]
    monkeypatch.setenv("PRAVAH_LANG", "en")
    assert headings(*show)[0].split() == ["level", "unit", "name", "from", "to"]
    for arguments in (
        ("--lang", "hi", *show),
        ("units", "--lang", "hi", "show", "CG"),
        (*show, "--lang", "hi"),
        ("--lang", "en", *show, "--lang", "hi"),
    ):
        assert [line.split() for line in headings(*arguments)] == [
            ["स्तर", "इकाई", "नाम", "से", "तक"]
        ]
    monkeypatch.setenv("PRAVAH_LANG", "fr")
    monkeypatch.setattr(sys, "argv", ["pravah", *show])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "PRAVAH_LANG" in capsys.readouterr().err


@pytest.mark.parametrize("name", TABLES)
def test_in_a_pipe_a_row_is_one_line_with_all_columns(name: str, lang: Lang) -> None:
    columns = TABLES[name]
    title, *lines = printed(columns, None).splitlines()
    headings, rows = lines[:-2], lines[-2:]
    assert (title, len(headings)) == ("title", len(languages_of(lang)))
    for column in columns:
        if column.language in {None, *languages_of(lang)}:
            languages = [column.language] if column.language else languages_of(lang)
            assert all(column.name(one) in "\n".join(headings) for one in languages)
            texts = cell(column)
            words = [texts.of(one) for one in languages] if isinstance(texts, Words) else [texts]
            assert all(is_whole(one, rows[0]) for one in words), rows[0]


@pytest.mark.parametrize("name", TABLES)
def test_plain_rows_are_separated_by_tabs(name: str) -> None:
    columns = TABLES[name]
    for width in (60, None):
        headings, *rows = printed(columns, width, plain=True).splitlines()
        assert headings.split("\t") == [column.key for column in columns]
        assert len(set(headings.split("\t"))) == len(columns)
        cells = [one.en if isinstance(one, Words) else str(one) for one in map(cell, columns)]
        assert [row.split("\t") for row in rows] == [cells] * 2


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
    select_language("en")
    for plain in (True, False):
        print_table(columns, [("CG", "a\tb\nc")], plain=plain, console=Console(file=out))
    select_language(None)
    assert out.getvalue() == "unit\tdata\nCG\ta b; c\nunit  data\nCG    a b; c\n"


def test_markup_in_names_is_text() -> None:
    out = io.StringIO()
    print_table((Column("key", "key"),), [("[red]Raipur[/x]",)], console=Console(file=out))
    assert "[red]Raipur[/x]" in out.getvalue()


def test_names_are_broken_at_hyphens_and_codes_nowhere() -> None:
    assert _fold("Khairagarh-Chhuikhadan-Gandai CG-AC001-B0001", 20) == [
        "Khairagarh-",
        "Chhuikhadan-Gandai",
        "CG-AC001-B0001",
    ]
    columns = (Column("unit", "key"), Column("name_en"), Column("verdict"))
    row = ("CG-D-KCG", "Khairagarh-Chhuikhadan-Gandai", "CG-AC001-B0001 and CG-AC002-B0001")
    out = io.StringIO()
    console = Console(file=out, width=40, force_terminal=True, color_system=None)
    print_table(columns, [row], console=console)
    assert all(is_whole(one, out.getvalue()) for one in row[2].split())


def test_the_headings_of_numbers_and_days_are_folded_last() -> None:
    columns = (Column("name_en"), Column("days_overdue", "number"), Column("last_report", "day"))
    out = io.StringIO()
    select_language("en")
    console = Console(file=out, width=60, force_terminal=True, color_system=None)
    print_table(columns, [("many words " * 5, 1, DAY)], console=console)
    select_language(None)
    assert "days overdue  last report" in out.getvalue().splitlines()[0]


def test_a_forecast_whose_band_is_wide_says_only_the_first_day() -> None:
    first, day, last = date(2022, 6, 1), date(2022, 6, 20), date(2022, 12, 1)
    forecast = Forecast(
        "booth_groups", "booth", "CG", first, 9, 2, 1, 8, "forecast", day, first, last
    )
    assert _forecast_cells(forecast, plain=False) == (NOT_BEFORE, first, None, None)
    assert _forecast_cells(forecast, plain=True)[1:] == (day, first, last)
    narrow = replace(forecast, latest=date(2022, 7, 1))
    assert _forecast_cells(narrow, plain=False)[1:] == (day, first, date(2022, 7, 1))
