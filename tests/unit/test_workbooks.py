"""Workbooks are read right, whichever program wrote them, or refused with the reason."""

import io
import zipfile
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.chart import BarChart

from producers.tables import MappingError, TableError, open_mapped_table
from tests.support.tables import (
    BOOTH,
    GOOD,
    HEADER,
    MAPPING,
    counts,
    mapping,
    read,
    refusal,
    write_sheet,
    write_workbook,
)
from tests.support.workbooks import by_hand

FOLDER = Path(by_hand.__file__).parent
MEMBERS = """
kind = "membership"
producer = "test-office"
unit = { column = "Booth" }
occurred_at = { column = "Date" }
entity = { prefix = "sheet:test", columns = ["Form"] }
version = { column = "Version" }

[fields.count]
column = "New members"
type = "integer"

[fields.mode]
column = "Drive"
values = { "Paper" = "manual", "App" = "digital" }

[envelope.evidence]
column = "Photo"
optional = true
"""


def test_the_folder_has_workbooks_of_each_program() -> None:
    names = {path.stem for path in FOLDER.glob("*.xlsx")}
    assert names >= {"openpyxl", "xlsxwriter", "libreoffice", "libreoffice-again", "wps"}
    assert all(path.stat().st_size < 20_000 for path in FOLDER.rglob("*.*"))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.xlsx")), ids=lambda path: path.stem)
def test_workbooks_of_all_programs_give_the_same_events(path: Path) -> None:
    how = mapping(MEMBERS)
    expected = read(FOLDER / "members.csv", how)
    assert len(expected[0]) == 6
    assert expected[1] == {}
    assert read(path, how) == expected


@pytest.mark.parametrize("dimension", ["A1:D3", "A1", "", "B2:C3", "A1:XFD1048576", "Z9", "oops"])
def test_what_a_sheet_says_of_its_size_is_not_believed(tmp_path: Path, dimension: str) -> None:
    rows = [HEADER, *([f"R{number}", "03/05/2022", BOOTH, number] for number in range(1, 8))]
    path = tmp_path / "t.xlsx"
    path.write_bytes(by_hand.write_with_dimension(rows, dimension))
    assert [count for _, _, count in counts(path)] == [1, 2, 3, 4, 5, 6, 7]


def test_a_value_far_from_the_table_is_refused_before_memory_is_reserved(tmp_path: Path) -> None:
    rows = by_hand.make_rows([HEADER, GOOD])
    stray = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    path = write_sheet(tmp_path / "t.xlsx", rows + stray)
    assert "far from its table, in row 1,048,576 or column 16,384" in refusal(path)
    formatted = stray.replace("<v>1</v>", "")
    assert len(counts(write_sheet(tmp_path / "t.xlsx", rows + formatted))) == 1


@pytest.mark.parametrize(
    "extra",
    ['<row r="2"><c r="E2"><v>1</v></c></row>', '<row r="3"><c r="A3"/><c r="A3"/></row>'],
)
def test_a_row_or_cell_that_is_twice_in_a_sheet_is_not_overwritten(
    tmp_path: Path, extra: str
) -> None:
    path = write_sheet(tmp_path / "t.xlsx", by_hand.make_rows([HEADER, GOOD]) + extra)
    assert "damaged workbook" in refusal(path)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ('t="e"><v>#REF!</v>', "New: '#REF!' is an error of the spreadsheet's formula"),
        ('t="e"><v>#N/A</v>', "New: '#N/A' is an error"),
        ('t="e"><f>NEW()</f><v>#SPILL!</v>', "New: '#SPILL!' is an error"),
        ("><f>SUM(D1:D1)</f>", "New: has a formula and no result"),
        ("><f>SUM(D1:D1)</f><v></v>", "New: has a formula and no result"),
        ('t="str"><f>A1</f><v></v>', "New: is empty"),
    ],
)
def test_formulas_without_a_value_are_refused_with_the_reason(
    tmp_path: Path, cell: str, reason: str
) -> None:
    rows = by_hand.make_rows([HEADER, GOOD[:3]]).replace("</row>", "|")
    first, second = rows.split("|")[:2]
    path = write_sheet(tmp_path / "t.xlsx", f'{first}</row>{second}<c r="D2" {cell}</c></row>')
    good, bad = read(path)
    assert good == []
    assert reason in bad[2]


def test_formulas_that_openpyxl_and_xlsxwriter_wrote_have_no_result(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "t.xlsx", [HEADER, [*GOOD[:3], "=5+7"]])
    assert "no result" in read(path)[1][2]
    sheet = by_hand.make_rows([HEADER, GOOD[:3]]).removesuffix("</row>")
    sheet += '<c r="D2"><f>5+7</f><v>0</v></c></row>'
    for asks, is_counted in (('<calcPr fullCalcOnLoad="1"/>', False), ("<calcPr/>", True)):
        path = write_sheet(tmp_path / "t.xlsx", sheet, workbook=asks)
        assert bool(read(path)[0]) == is_counted


def test_the_first_visible_sheet_with_values_is_read_and_others_are_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].title = "Empty"
    for name in ("Hidden", "May", "June"):
        sheet = book.create_sheet(name)
        sheet.append(HEADER)
        sheet.append([name, *GOOD[1:]])
    book["Hidden"].sheet_state = "veryHidden"
    book.create_chartsheet("Chart", 0).add_chart(BarChart())
    book.save(tmp_path / "t.xlsx")
    assert [entity for _, entity, _ in counts(tmp_path / "t.xlsx")] == ["sheet:test:May"]
    with open_mapped_table(tmp_path / "t.xlsx", mapping()) as table:
        assert table.notes == ["only sheet 'May' is read, not Empty, June"]
    named = mapping(sheet='" june "')
    assert [entity for _, entity, _ in counts(tmp_path / "t.xlsx", named)] == ["sheet:test:June"]


def test_a_merged_cell_counts_once_and_the_rows_below_say_why_they_do_not(tmp_path: Path) -> None:
    rows = [HEADER, GOOD, ["R2", "03/05/2022", None, "7"], ["R3", "03/05/2022", BOOTH, None]]
    path = write_workbook(
        tmp_path / "t.xlsx", [*rows, ["Note: ask Ram"]], "C2:C3", "D3:D4", "A5:D7"
    )
    good, bad = read(path)
    assert len(good) == 1
    assert "Booth: is merged with row 2" in bad[3]
    assert "New: is merged with row 3" in bad[4]
    assert list(bad) == [3, 4, 5]


@pytest.mark.parametrize(
    ("edits", "names"),
    [
        ([("sharedStrings.xml", "strings.xml")], {"xl/sharedStrings.xml": "xl/strings.xml"}),
        ([], {"xl/sharedStrings.xml": "xl/SharedStrings.xml"}),
        (
            [("xl/workbook.xml", "xl/workbook2.xml")],
            {
                "xl/workbook.xml": "xl/workbook2.xml",
                "xl/_rels/workbook.xml.rels": "xl/_rels/workbook2.xml.rels",
            },
        ),
        ([("worksheets/sheet1.xml", "sheet.xml")], {"xl/worksheets/sheet1.xml": "xl/sheet.xml"}),
    ],
)
def test_parts_may_have_unusual_names(
    tmp_path: Path, edits: list[tuple[str, str]], names: dict[str, str]
) -> None:
    texts: list[str] = []
    sheet = by_hand.make_sheet(by_hand.make_rows([HEADER, GOOD], shared=texts))
    usual = by_hand.make_book(sheet, shared=by_hand.make_shared(texts))
    path = tmp_path / "t.xlsx"
    with zipfile.ZipFile(io.BytesIO(usual)) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            text = source.read(name).decode()
            for old, new in edits:
                text = text.replace(old, new)
            target.writestr(names.get(name, name), text)
    assert counts(path) == [("2022-05-03", "sheet:test:R1", 12)]


def test_a_day_in_a_rows_identity_is_written_as_it_always_was(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "t.xlsx", [HEADER, ["R1", datetime(2022, 5, 3), BOOTH, 1]])
    how = mapping(MAPPING.replace('columns = ["Form"]', 'columns = ["Date"]'))
    assert counts(path, how)[0][1] == "sheet:test:2022-05-03 00%3A00%3A00"


PIECES = [
    "<row>", "</row>", "<c>", "</c>", "<v>", "</v>", "<f/>", "<is><t>x</t></is>", ' t="e"',
    ' t="s"', ' t="d"', ' t="str"', ' r="A1"', ' r="XFD1048576"', ' r="0"', ' s="9"', "#REF!",
    "1e400", "-1", "&#0;", "&lt;", "\U0001f600", "&x;",
]  # fmt: skip


@given(
    st.lists(
        st.tuples(st.integers(0, 2_000), st.integers(0, 20), st.sampled_from(PIECES)), max_size=4
    ),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=2),
)
def test_any_damage_of_a_workbook_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    edits: list[tuple[int, int, str]],
    damage: list[tuple[int, int]],
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.xlsx"
    sheet = by_hand.make_sheet(
        by_hand.make_rows([HEADER, GOOD, ["R2", date(2022, 5, 3), BOOTH, 1]])
    )
    for place, length, piece in edits:
        sheet = sheet[: place % len(sheet)] + piece + sheet[place % len(sheet) + length :]
    content = bytearray(by_hand.make_book(sheet))
    for place, byte in damage:
        content[place % len(content)] = byte
    path.write_bytes(content)
    try:
        good, bad = read(path)
    except (TableError, MappingError):
        return
    assert len(good) <= 2
    assert all(len(detail) > 5 for detail in bad.values())


@given(
    st.lists(
        st.lists(
            st.one_of(
                st.none(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.booleans(),
                st.datetimes(datetime(1900, 3, 1)), st.times(), st.sampled_from([*HEADER, *GOOD]),
                st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=5),
            ),
            max_size=6,
        ),
        max_size=6,
    )
)  # fmt: skip
def test_any_workbook_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[object]]
) -> None:
    path = write_workbook(tmp_path_factory.getbasetemp() / "any.xlsx", [HEADER, GOOD, *rows])
    try:
        good, bad = read(path)
    except (TableError, MappingError):
        return
    filled = [row for row in rows if any(cell not in {None, ""} for cell in row)]
    assert len(good) + len(bad) >= 1
    assert len(good) + len(bad) <= 1 + len(filled)
    assert all(len(detail) > 5 for detail in bad.values())


def test_a_percentage_is_no_number_of_things(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(HEADER)
    formats = ["0%", "0.00%", '0 "%"', "0.0 %;-0.0 %", "0\\%", "General", "[Red]0%"]
    for number, form in enumerate(formats):
        sheet.append([f"R{number}", *GOOD[1:3], 1])
        sheet.cell(number + 2, 4).number_format = form
    book.save(tmp_path / "t.xlsx")
    good, bad = read(tmp_path / "t.xlsx")
    assert len(good) == 3
    assert list(bad) == [2, 3, 5, 8]
    assert all("New: '100 %' is a percentage" in reason for reason in bad.values())


def test_hidden_rows_are_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate([HEADER, GOOD, ["R2", *GOOD[1:]], ["R3", *GOOD[1:]]]):
            sheet.write_row(number, 0, row)
        sheet.autofilter("A1:D4")
        sheet.set_row(2, options={"hidden": True})
        sheet.set_row(9, options={"hidden": True})
    assert len(counts(path)) == 3
    with open_mapped_table(path, mapping()) as table:
        (note,) = table.notes
    assert note == (
        "hidden rows are read too, such as those of a filter: 1 (row 3); "
        "delete them if they must not count"
    )


def test_a_table_on_a_hidden_sheet_is_read_only_if_it_is_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].title = "Data"
    for row in (HEADER, GOOD):
        book["Data"].append(row)
    book["Data"].sheet_state = "hidden"
    book.create_sheet("Print")
    book.active = 1
    book.save(tmp_path / "t.xlsx")
    assert "hidden are 'Data': name one with --sheet" in refusal(tmp_path / "t.xlsx")
    assert len(counts(tmp_path / "t.xlsx", mapping(sheet='"Data"'))) == 1
