"""A table always gives the same events; rows that are no events are reported with the reason."""

import csv
import os
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path

import openpyxl
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import producers
from pravah.events import EventError, Membership, Report
from producers.mapping.conversions import ConversionError, to_identifier
from producers.mapping.pseudonyms import Pseudonymiser
from producers.tables import (
    Importer,
    ImportMapping,
    MappingError,
    TableError,
    open_mapped_table,
    open_table,
)
from producers.tables.cells import is_filled
from tests.support import small_world

EXAMPLES = Path(producers.__file__).parent / "examples"

MAPPING = """
kind = "membership"
producer = "test-office"

[unit]
column = "Booth"

[occurred_at]
column = "Date"
format = "%d/%m/%Y"

[entity]
prefix = "sheet:test"
columns = ["Form"]

[version]
column = "Version"

[fields.count]
column = "New"
type = "integer"

[fields.mode]
column = "Drive"
values = { "Paper" = "manual", "App" = "digital" }

[envelope.evidence]
column = "Photo"
optional = true
"""
COLUMNS = ["Form", "Version", "Date", "Booth", "New", "Drive", "Photo"]
ROW = ["R-1", "1", "03/03/2022", "CG-AC001-B0001", "12", "Paper", ""]


def mapping(text: str = MAPPING) -> ImportMapping:
    return ImportMapping.from_toml(text)


def row(**changes: object) -> list[object]:
    return [changes.get(column, cell) for column, cell in zip(COLUMNS, ROW, strict=True)]


def event(cells: list[object], how: ImportMapping | None = None, **options: object) -> Report:
    converted = Importer(how or mapping(), COLUMNS, **options).convert(2, cells).event  # type: ignore[arg-type]
    assert converted.op == "report"
    return converted  # type: ignore[return-value]


def catch_error(
    cells: list[object], how: ImportMapping | None = None, **options: object
) -> EventError:
    with pytest.raises(EventError) as caught:
        event(cells, how, **options)
    return caught.value


def findings(text: str) -> list[str]:
    with pytest.raises(MappingError) as caught:
        mapping(text)
    return caught.value.findings


def imported(path: Path, how: ImportMapping) -> tuple[list[bytes], dict[int, str]]:
    """The events, and the rejected rows with their reasons."""
    good, bad = [], {}
    with open_table(path, sheet=how.sheet, delimiter=how.delimiter) as table:
        importer = Importer(how, table.columns)
        for number, cells in table.rows:
            try:
                good.append(importer.convert(number, cells).value)
            except EventError as error:
                bad[number] = error.reason
    return good, bad


def workbook(path: Path, rows: Iterable[Iterable[object]]) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for cells in rows:
        sheet.append(list(cells))
    book.save(path)
    return path


def test_a_row_becomes_an_event_of_its_day_and_unit() -> None:
    converted = event(row(New="1,204", Photo="https://media.example.org/1.jpg"))
    assert isinstance(converted, Membership)
    assert (
        converted.unit,
        converted.entity,
        converted.version,
        converted.data.count,
        converted.data.mode,
    ) == (
        "CG-AC001-B0001",
        "sheet:test:R-1",
        1,
        1_204,
        "manual",
    )
    assert converted.occurred_at == datetime.fromisoformat("2022-03-03T12:00:00+05:30")
    assert converted.evidence == "https://media.example.org/1.jpg"


def test_the_example_that_comes_with_pravah_is_valid() -> None:
    good, bad = imported(
        EXAMPLES / "members.csv", mapping((EXAMPLES / "members.toml").read_text(encoding="utf-8"))
    )
    assert (len(good), bad) == (6, {})


def test_importing_a_file_again_gives_the_same_bytes(tmp_path: Path) -> None:
    table = workbook(tmp_path / "t.xlsx", [COLUMNS, ROW, row(Form="R-2")])
    assert imported(table, mapping()) == imported(table, mapping())


def test_a_higher_version_of_a_row_is_another_event_of_the_same_entity() -> None:
    first, second, third = (
        event(row()),
        event(row(Version="2", New="13")),
        event(row(), as_version=3),
    )
    assert first.entity == second.entity == third.entity
    assert len({first.event_id, second.event_id, third.event_id}) == 3
    assert (second.version, third.version) == (2, 3)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Form": ""}, "Form: is empty"),
        ({"Version": "new"}, "Version: 'new' is not a whole number"),
        ({"Version": "0"}, "version"),
        ({"Date": "2022-03-03"}, "Date: '2022-03-03' is not written as %d/%m/%Y"),
        ({"Date": ""}, "Date: is empty"),
        ({"Booth": ""}, "Booth: is empty"),
        ({"Booth": "Booth 17"}, "unit: is not a unit code"),
        ({"New": "many"}, "New: 'many' is not a whole number"),
        ({"New": 1.5}, "New: '1.5' is not a whole number"),
        ({"New": True}, "New: True is not a whole number"),
        ({"New": "-4"}, "count"),
        ({"Drive": "Fax"}, "Drive: 'Fax' is not among its values: Paper, App"),
        ({"Photo": "photo.jpg"}, "evidence"),
    ],
)
def test_a_bad_cell_is_reported_with_its_column_or_field(
    changes: dict[str, object], expected: str
) -> None:
    assert expected in catch_error(row(**changes)).detail


def test_all_errors_of_a_row_are_reported_at_once() -> None:
    detail = catch_error(row(Date="?", New="?", Drive="?")).detail
    assert all(column in detail for column in ("Date", "New", "Drive"))


def test_a_short_row_lacks_its_last_cells() -> None:
    assert "Drive: is empty" in catch_error(ROW[:5]).detail


def test_units_are_checked_on_the_day_if_the_registry_is_known() -> None:
    registry = small_world.registry()
    assert event(row(), registry=registry).unit == "CG-AC001-B0001"
    assert catch_error(row(Booth="CG-AC001-B0999"), registry=registry).reason == "unknown_unit"
    assert catch_error(row(Booth="CG-AC002-B0005"), registry=registry).reason == "closed_unit"


def test_a_second_row_of_the_same_entity_and_version_is_rejected_because_it_would_not_count() -> (
    None
):
    importer = Importer(mapping(), COLUMNS)
    importer.convert(2, row())
    importer.convert(3, row(Version="2"))
    with pytest.raises(EventError, match="as row 2") as caught:
        importer.convert(4, row(New="99"))
    assert caught.value.reason == "repeated_row"


@pytest.mark.parametrize(
    ("cell", "instant"),
    [
        ("2022-03-03", "2022-03-03T12:00:00+05:30"),
        (date(2022, 3, 3), "2022-03-03T12:00:00+05:30"),
        (datetime(2022, 3, 3), "2022-03-03T12:00:00+05:30"),
        (datetime(2022, 3, 3, 18, 5), "2022-03-03T18:05:00+05:30"),
        ("2022-03-03T18:05:00", "2022-03-03T18:05:00+05:30"),
        ("2022-03-03T18:05:00Z", "2022-03-03T18:05:00+00:00"),
    ],
)
def test_days_and_instants_are_understood_as_workbooks_and_tools_write_them(
    cell: object, instant: str
) -> None:
    how = mapping(MAPPING.replace('format = "%d/%m/%Y"', ""))
    assert event(row(Date=cell), how).occurred_at == datetime.fromisoformat(instant)


def test_csv_and_workbook_give_the_same_events(tmp_path: Path) -> None:
    rows = [
        COLUMNS,
        ROW,
        row(Form="R-2", New="7", Drive="App"),
        ["", "", "", "", "", "", ""],
        row(Form="आर-3", New="१२"),
    ]
    (tmp_path / "t.csv").write_text(
        "\ufeff" + "".join(",".join(map(str, cells)) + "\r\n" for cells in rows), encoding="utf-8"
    )
    numbers = [
        [
            int(cell) if isinstance(cell, str) and cell.isascii() and cell.isdigit() else cell
            for cell in cells
        ]
        for cells in rows
    ]
    from_csv, from_workbook = (
        imported(tmp_path / "t.csv", mapping()),
        imported(workbook(tmp_path / "t.xlsx", numbers), mapping()),
    )
    assert from_csv == from_workbook
    assert len(from_csv[0]) == 3


def test_rejected_rows_have_the_number_that_the_spreadsheet_shows(tmp_path: Path) -> None:
    table = workbook(
        tmp_path / "t.xlsx",
        [COLUMNS, ROW, [None] * 7, row(Form="R-2", New="?"), row(Form="R-3", Booth="x")],
    )
    good, bad = imported(table, mapping())
    assert (len(good), bad) == (1, {4: "invalid", 5: "invalid"})


def test_a_person_is_hashed_under_the_installations_key_and_never_sent() -> None:
    text = MAPPING.replace('kind = "membership"', 'kind = "incharge_appointed"').replace(
        "[fields.mode]", "[fields.role]"
    )
    text = text.replace(
        '"Paper" = "manual", "App" = "digital"', '"Paper" = "head", "App" = "incharge"'
    )
    text = text.replace(
        '[fields.count]\ncolumn = "New"\ntype = "integer"',
        '[fields.person]\ncolumn = "New"\ntype = "hash"',
    )
    one, other = (
        Importer(mapping(text), COLUMNS, pseudonymiser=Pseudonymiser([key])).convert(
            2, row(New="9000000000")
        )
        for key in (b"one", b"other")
    )
    assert b"9000000000" not in one.value
    assert one.event.data != other.event.data
    with pytest.raises(MappingError, match="PRAVAH_PERSON_KEY"):
        Importer(mapping(text), COLUMNS)


def test_all_missing_and_double_columns_of_a_mapping_are_reported() -> None:
    with pytest.raises(MappingError) as caught:
        Importer(mapping(), ["Form", "Version", "Date", "Date", "New"])
    findings = "\n".join(caught.value.findings)
    assert all(
        finding in findings
        for finding in (
            "no column 'Booth'",
            "no column 'Drive'",
            "no column 'Photo'",
            "2 columns 'Date'",
        )
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('kind = "membership"', 'kind = "rally"', "kind"),
        ('kind = "membership"', 'kind = "membership"\ncolour = "red"', "colour"),
        ('producer = "test-office"', "", "producer"),
        (
            'column = "Date"',
            'column = "Date"\nzone = "Asia/Raipur"',
            "zone: 'Asia/Raipur' is no time zone",
        ),
        ('column = "Date"', 'column = "Date"\ntime = "25:00"', "time"),
        (
            'column = "Version"',
            'column = "Version"\nvalue = 1',
            "version: give either column or value",
        ),
        ("[fields.mode]", "[fields.mood]", "mood: membership has no such field"),
        ("[fields.mode]", "[fields.mood]", "mode: membership needs it"),
        ('"Paper" = "manual"', '"Paper" = "by hand"', "mode: membership can never have 'by hand'"),
        ("[fields.count]", "[constants]\ncount = 1\n\n[fields.count]", "count: stands under both"),
        ("[envelope.evidence]", "[envelope.event_id]", "envelope"),
        ("[unit]", "[unit", "not TOML"),
    ],
)
def test_an_invalid_mapping_is_refused(old: str, new: str, expected: str) -> None:
    found = findings(MAPPING.replace(old, new, 1))
    assert any(expected in finding for finding in found), found


def test_all_errors_of_a_mapping_are_reported_at_once() -> None:
    assert (
        len(
            findings(
                MAPPING.replace("[fields.mode]", "[fields.mood]").replace(
                    "[fields.count]", "[fields.cuont]"
                )
            )
        )
        >= 4
    )


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("t.csv", b"", "first row"),
        ("t.csv", b"\n1,2\n", "first row"),
        ("t.csv", "Form\nकेंद्र\n".encode("utf-16"), "not UTF-8"),
        ("t.csv", b'Form,New\n"R-1"x,2\n', "row 2 is not CSV"),
        ("t.xlsx", b"no workbook", "no workbook"),
        ("t.ods", b"", "expected a .csv"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=expected), open_table(tmp_path / name) as table:
        list(table.rows)


def test_a_missing_sheet_is_reported_with_those_that_exist(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", [COLUMNS])
    with (
        pytest.raises(TableError, match="no sheet 'Members'; it has Sheet"),
        open_table(path, sheet="Members"),
    ):
        pass


def is_identity(text: str) -> bool:
    """Whether a text may identify a row: it is no `???`, no template and no mojibake."""
    try:
        return bool(to_identifier(text))
    except ConversionError:
        return False


PARTS = st.lists(
    st.text(st.characters(blacklist_categories=["C", "Z"]), min_size=1, max_size=120).filter(
        is_identity
    ),
    min_size=2,
    max_size=2,
)


@given(PARTS, PARTS)
def test_rows_with_different_keys_are_different_entities_and_names_are_never_too_long(
    one: list[str], other: list[str]
) -> None:
    how = mapping(MAPPING.replace('["Form"]', '["Form", "Photo"]'))
    how = how.model_copy(update={"envelope": {}})
    entities = [
        event(row(Form=parts[0], Photo=parts[1]), how).entity_name for parts in (one, other)
    ]
    assert (entities[0] == entities[1]) == (
        list(map(to_identifier, one)) == list(map(to_identifier, other))
    )
    assert all(len(entity) <= 200 for entity in entities)


# --- any table -----------------------------------------------------------------------------------

# How many tables `test_any_table_counts_what_it_shows_or_says_why_not` tries: 3,000 by a setting.
TABLES = int(os.environ.get("FIELD_EXAMPLES", "60"))
LIST = """
kind = "membership"
producer = "test-office"
unit = { column = "Booth" }
occurred_at = { column = "Date", format = "%d/%m/%Y" }
entity = { prefix = "sheet:test", columns = ["Form"] }
constants = { mode = "manual" }
fields.count = { column = "New", type = "integer" }
fields.member_keys = { column = "Mobile", type = "phone", many = true, optional = true }
"""
LIST_COLUMNS = ["Form", "Date", "Booth", "New", "Mobile"]
KEY = Pseudonymiser([b"key of the installation"])
DIRT = st.sampled_from(
    [*[""] * 20, " ", "\u200b", "\u202a", "\u00a0", "'", "\ufeff", "\n", "\t", "-", "\u200d"]
)
GARBLED = st.sampled_from([
    "9.19E+11", "????", "\ufffd", "#REF!", "#N/A", "@results.x", "{{booth}}", "${a}", "null",
    "undefined", "NaN", "कुल", "Total", "योग", "=1+1", "Mobile", "Booth", "à¤•", "1,5", "-",
])  # fmt: skip
DAYS = st.dates(date(2021, 12, 1), date(2022, 12, 31))
WRITTEN_DAYS = st.one_of(
    *[DAYS.map(lambda day: f"{day:%d/%m/%Y}")] * 4,
    DAYS.map(lambda day: f"{day.day}/{day.month}/{day.year}"),
    st.sampled_from(["13/13/2022", "03/05/2092", "5-Mar", "44684", "2022-05-03", "00/00/0000"]),
)
BOOTHS = st.sampled_from(
    ["CG-AC001-B0001", "cg-ac001-b0002", "CG_AC001_B0001", "CG-AC001-B00\u200b01", "Booth 1"]
)
NUMBERS = st.one_of(
    st.integers(0, 10**9).map(str),
    st.sampled_from(["1,204", "1,20,000", "१२", "12.0", "1.5", "12%", "1 204", "-3", "007"]),
)
TEN_DIGITS = st.integers(6_000_000_000, 9_999_999_999).map(str)
PHONES = st.one_of(
    TEN_DIGITS,
    TEN_DIGITS.map(lambda ten: f"+91 {ten[:5]} {ten[5:]}"),
    st.sampled_from(["90000 00001 (WA)", "०९०००००००१", "9000000001 / 9000000002", "12345", "नहीं"]),
)


def dirty(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts with dirt around them, or others in their place."""
    with_dirt = st.builds(lambda before, text, after: before + text + after, DIRT, texts, DIRT)
    others = {0: GARBLED, 1: st.just("")}
    return st.integers(0, 24).flatmap(lambda number: others.get(number, with_dirt))


LIST_ROWS = st.lists(
    st.tuples(
        dirty(st.integers(1, 99).map(lambda number: f"R{number}")),
        dirty(WRITTEN_DAYS),
        dirty(BOOTHS),
        dirty(NUMBERS),
        dirty(PHONES),
    ),
    min_size=1,
    max_size=6,
)


def find_digits(text: str) -> str:
    """The digits of a text as 0 to 9, by a reading of its own."""
    return "".join(str(unicodedata.digit(sign)) for sign in text if sign.isdecimal())


def check_row(cells: Sequence[str], value: bytes) -> None:
    """An event says what its row shows, by a reading that shares nothing with the importer's."""
    event = orjson.loads(value)
    form, day, booth, new, mobile = cells
    shown = new.replace(",", "").strip("'")
    assert event["data"]["count"] == int(find_digits(shown.partition(".")[0]))
    assert all(sign.isdecimal() or sign in ".0" or not sign.isalnum() for sign in new)
    assert "%" not in new
    numbers = [int(find_digits(part)) for part in day.split("/")]
    assert event["occurred_at"][:10] == f"{date(numbers[2], numbers[1], numbers[0])}"
    assert find_digits(event["unit"]) == find_digits(booth)
    assert find_digits(event["entity"]) == find_digits(form)
    assert len(event["data"].get("member_keys", [])) <= max(1, mobile.count("/") + 1)
    if "member_keys" in event["data"] and "/" not in mobile:
        assert event["data"]["member_keys"] == [KEY.hash(find_digits(mobile)[-10:])]


@settings(max_examples=TABLES, deadline=None)
@given(LIST_ROWS, st.sampled_from([".csv", ".xlsx"]), st.booleans())
def test_any_table_counts_what_it_shows_or_says_why_not(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, ...]],
    suffix: str,
    has_registry: bool,
) -> None:
    path = tmp_path_factory.mktemp("any") / f"t{suffix}"
    if suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([LIST_COLUMNS, *rows])
    else:
        workbook(path, [LIST_COLUMNS, *rows])
    how = mapping(LIST)
    good, bad = {}, {}
    try:
        with open_mapped_table(path, how) as table:
            registry = small_world.registry() if has_registry else None
            importer = Importer(how, table.columns, registry=registry, pseudonymiser=KEY)
            for number, cells in table.rows:
                try:
                    good[number] = importer.convert(number, cells).value
                except EventError as error:
                    bad[number] = error.detail
    except TableError as error:
        assert str(path) in str(error)
        return
    assert all(bad.values())
    filled = {number for number, row in enumerate(rows, start=2) if any(map(is_filled, row))}
    assert good.keys() | bad.keys() == filled
    for number, value in good.items():
        check_row(rows[number - 2], value)
