"""Tables as other programs and people write them are read right, or refused with the reason."""

import gzip
import io
import zipfile
from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.chart import BarChart

from pravah.events import EventError
from producers.tables import Importer, ImportMapping, MappingError, TableError, open_mapped_table
from producers.tables.headers import ColumnNames
from tests.support.workbooks import by_hand

FOLDER = Path(by_hand.__file__).parent
MAPPING = """
kind = "membership"
producer = "test-office"
unit = { column = "Booth" }
entity = { prefix = "sheet:test", columns = ["Form"] }
constants = { mode = "manual" }

[occurred_at]
column = "Date"
format = "%d/%m/%Y"

[fields.count]
column = "New"
type = "integer"
"""
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
HEADER = ["Form", "Date", "Booth", "New"]
BOOTH = "CG-AC084-B0017"
GOOD = ["R1", "03/05/2022", BOOTH, "12"]


def mapping(text: str = MAPPING, **keys: str) -> ImportMapping:
    """A mapping, with more keys at its top."""
    top = "".join(f"{name} = {value}\n" for name, value in keys.items())
    return ImportMapping.from_toml(top + text)


def read(path: Path, how: ImportMapping | None = None) -> tuple[list[bytes], dict[int, str]]:
    """The events of a table, and the rejected rows with the reasons."""
    how = how or mapping()
    good, bad = [], {}
    with open_mapped_table(path, how) as table:
        importer = Importer(how, table.columns)
        for number, row in table.rows:
            try:
                good.append(importer.convert(number, row).value)
            except EventError as error:
                bad[number] = error.detail
    return good, bad


def counts(path: Path, how: ImportMapping | None = None) -> list[tuple[str, str, int]]:
    """Day, entity and count of all events; no row may be rejected."""
    how = how or mapping()
    found = []
    with open_mapped_table(path, how) as table:
        importer = Importer(how, table.columns)
        for number, row in table.rows:
            event = importer.convert(number, row).event
            found.append((str(event.occurred_at.date()), str(event.entity), event.data.count))  # type: ignore[union-attr]
    return found


def refusal(path: Path, how: ImportMapping | None = None) -> str:
    with pytest.raises((TableError, MappingError)) as caught:
        read(path, how)
    return str(caught.value)


def write_csv(path: Path, rows: Iterable[Iterable[object]], delimiter: str = ",") -> Path:
    path.write_text("".join(delimiter.join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return path


def write_workbook(path: Path, rows: Iterable[Iterable[object]], *merged: str) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(list(row))
    for cells in merged:
        book.worksheets[0].merge_cells(cells)
    book.save(path)
    return path


def write_sheet(path: Path, rows_xml: str, **options: str) -> Path:
    path.write_bytes(by_hand.make_book(by_hand.make_sheet(rows_xml), **options))
    return path


# --- workbooks as other programs write them -------------------------------------------------------


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


# --- rows that do not fit the header --------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (f"R3,03/05/2022,{BOOTH},1,204", "5 cells for 4 columns; probably a comma within a number"),
        (f"R3,03/05/2022,{BOOTH},1,04,204", "6 cells for 4 columns; probably a comma within a num"),
        (f"R3,03/05/2022,{BOOTH},१,२०४", "a comma within a number, as 1,204"),
        (f"Sahu, R,03/05/2022,{BOOTH},7", "5 cells for 4 columns; probably a comma within a text"),
        (f"R3,03/05/2022,{BOOTH},7,", "5 cells for 4 columns"),
        (f"R3,03/05/2022,{BOOTH},7,,", "6 cells for 4 columns"),
    ],
)
def test_a_row_with_more_cells_than_columns_is_refused_with_both_counts(
    tmp_path: Path, row: str, expected: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"Form,Date,Booth,New\n{','.join(GOOD)}\n{row}\n", encoding="utf-8")
    good, bad = read(path)
    assert len(good) == 1
    assert expected in bad[3]


def test_a_comma_at_the_end_of_every_row_shifts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    line = ",".join(GOOD)
    path.write_text(f"Form,Date,Booth,New\n{line},\nR2{line[2:]},\n", encoding="utf-8")
    assert len(counts(path)) == 2
    path.write_text(f"Form,Date,Booth,New,\n{line},\nR2{line[2:]}\n", encoding="utf-8")
    assert len(counts(path)) == 2


def test_a_value_beside_the_table_is_refused_in_a_workbook_too(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "t.xlsx", [HEADER, GOOD, ["R2", *GOOD[1:3], 1, 204]])
    good, bad = read(path)
    assert len(good) == 1
    assert "5 cells for 4 columns" in bad[3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'"R1"x,03/05/2022,{BOOTH},1\n', "row 3 is not CSV"),
        (f'"R1,03/05/2022,{BOOTH},1\n', "row 3 is not CSV"),
        (
            f'R3,03/05/2022,"{BOOTH},1\nR4,03/05/2022,{BOOTH}",1\n',
            "row 3 swallows 1 further lines",
        ),
        (
            f'R3,03/05/2022,"{BOOTH},1\nR4,03/05/2022,{BOOTH},1\nR5,03/05/2022,{BOOTH}",1\n',
            "row 3 swallows 2 further lines",
        ),
    ],
)
def test_a_stray_quotation_mark_refuses_the_file_before_a_row_is_given(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"Form,Date,Booth,New\n{','.join(GOOD)}\n{text}", encoding="utf-8")
    with (
        pytest.raises(TableError, match=expected),
        open_mapped_table(path, mapping()),
    ):
        pytest.fail("the table was opened")


def test_a_cell_of_several_lines_is_one_cell(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        f'Form,Date,Booth,New,Note\nR1,03/05/2022,{BOOTH},12,"near\nthe school, gate 2"\n'
        f'R2,03/05/2022,{BOOTH},"1,204",\n',
        encoding="utf-8",
    )
    assert [count for _, _, count in counts(path)] == [12, 1204]


# --- dates that a spreadsheet converted in part ---------------------------------------------------

HALF_CONVERTED = [
    HEADER,
    ["R1", datetime(2022, 3, 5), BOOTH, 1],
    ["R2", "13/05/2022", BOOTH, 2],
    ["R3", "03/05/2022", BOOTH, 3],
]


def test_a_column_of_date_cells_and_texts_is_refused_with_counts_and_rows(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "t.xlsx", HALF_CONVERTED)
    expected = "1 date of a spreadsheet (row 2) and 2 texts such as 13/05/2022 (rows 3, 4)"
    for form in ('format = "%d/%m/%Y"', 'format = "%m/%d/%Y"', ""):
        how = mapping(MAPPING.replace('format = "%d/%m/%Y"', form))
        assert expected in refusal(path, how)


@pytest.mark.parametrize(("setting", "day"), [("right", "2022-03-05"), ("swapped", "2022-05-03")])
def test_a_setting_says_which_of_both_is_right(tmp_path: Path, setting: str, day: str) -> None:
    path = write_workbook(tmp_path / "t.xlsx", HALF_CONVERTED)
    how = mapping(MAPPING.replace("[occurred_at]", f'[occurred_at]\ndate_cells = "{setting}"'))
    assert [found for found, _, _ in counts(path, how)] == [day, "2022-05-13", "2022-05-03"]
    rows = [HEADER, ["R1", datetime(2022, 3, 25), BOOTH, 1]]
    if setting == "swapped":
        bad = read(write_workbook(path, rows), how)[1]
        assert "cannot have its day and month exchanged" in bad[2]


def test_rows_given_one_by_one_are_refused_from_the_first_that_contradicts() -> None:
    importer = Importer(mapping(), HEADER)
    importer.convert(2, list(HALF_CONVERTED[1]))
    with pytest.raises(EventError, match="1 date of a spreadsheet"):
        importer.convert(3, list(HALF_CONVERTED[2]))


def test_only_date_cells_or_formats_that_cannot_be_exchanged_are_no_mixture(tmp_path: Path) -> None:
    cells = [HEADER, HALF_CONVERTED[1], ["R2", date(2022, 5, 13), BOOTH, 2]]
    assert len(counts(write_workbook(tmp_path / "t.xlsx", cells))) == 2
    texts = [HEADER, HALF_CONVERTED[1], ["R2", "2022-05-13", BOOTH, 2]]
    path = write_workbook(tmp_path / "t.xlsx", texts)
    for form in ("", 'format = "%Y-%m-%d"'):
        assert len(counts(path, mapping(MAPPING.replace('format = "%d/%m/%Y"', form)))) == 2


def test_a_csv_that_a_spreadsheet_rewrote_in_part_is_refused(tmp_path: Path) -> None:
    rows = [HEADER, ["R1", "2022-03-05 00:00:00", BOOTH, 1], ["R2", "13/05/2022", BOOTH, 2]]
    path = write_csv(tmp_path / "t.csv", rows)
    assert "1 date of a spreadsheet (row 2) and 1 text" in refusal(
        path, mapping(MAPPING.replace('format = "%d/%m/%Y"', ""))
    )
    good, bad = read(path)
    assert len(good) == 1
    assert "is not written as %d/%m/%Y" in bad[2]


def test_a_date_with_the_month_first_is_refused_with_a_hint(tmp_path: Path) -> None:
    rows = [HEADER, GOOD, ["R2", "05/13/2022", BOOTH, 1], ["R3", "41/05/2022", BOOTH, 1]]
    good, bad = read(write_csv(tmp_path / "t.csv", rows))
    assert len(good) == 1
    assert "it has the month first" in bad[3]
    assert "month first" not in bad[4]


def test_a_day_as_a_spreadsheets_number_is_refused_with_a_hint(tmp_path: Path) -> None:
    for path in (
        write_csv(tmp_path / "t.csv", [HEADER, ["R1", "44625", BOOTH, "1"]]),
        write_workbook(tmp_path / "t.xlsx", [HEADER, ["R1", 44625, BOOTH, 1]]),
    ):
        assert "a spreadsheet's number of a day" in read(path)[1][2]


# --- files that are not what they say -------------------------------------------------------------


def make_zip(**parts: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name.replace("__", "/"), text)
    return content.getvalue()


TABLE = f"Form,Date,Booth,New\n{','.join(GOOD)}\n"
HINDI = f"Form,Date,Booth,New\nप्रपत्र,03/05/2022,{BOOTH},12\n"
WORKBOOK = by_hand.write_with_dimension([HEADER, GOOD], "A1")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("encrypted.xlsx", None, "protected by a password: open it with the password"),
        ("old.xls", None, "an old Excel workbook (.xls"),
        ("libreoffice.ods", None, "an OpenDocument spreadsheet (.ods): open it in Excel or Libre"),
        ("page.xls", None, "a web page (HTML)"),
        ("text.xlsx", None, "no workbook, though its name says so; it is plain text, perhaps CSV"),
        ("workbook.csv", None, "no CSV file, though its name says so; it is an Excel workbook"),
        ("t.xls", TABLE.encode(), "expected a .csv, .tsv or .xlsx file; it is plain text"),
        ("t.xls", WORKBOOK, "it is an Excel workbook: rename it to .xlsx"),
        ("t.xlsx", WORKBOOK[:-100], "a workbook that is cut off or damaged"),
        ("t.xlsx", b"", "an empty file"),
        ("~$t.xlsx", b"\x03Ram" + bytes(100), "lock file"),
        ("t.csv", gzip.compress(TABLE.encode()), "compressed by gzip: unpack it"),
        ("t.csv", make_zip(**{"t.csv": TABLE}), "a ZIP archive that holds t.csv: unpack it"),
        ("t.xlsx", make_zip(xl__workbook="x", word__document="y"), "a Word or PowerPoint"),
        ("t.csv", b"%PDF-1.4", "a PDF document"),
        ("t.csv", b"\xef\xbb\xbf<!DOCTYPE html><html><body>Log in</body>", "a web page (HTML)"),
        ("t.csv", b"<table><tr><td>Form</td></tr></table>", "a web page (HTML)"),
        ("t.csv", b'[{"Form": "R1"}]', "JSON"),
        (
            "t.xls",
            (
                b'<?xml version="1.0"?>\n'
                b'<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">'
            ),
            "an XML spreadsheet (Excel 2003)",
        ),
        (
            "t.csv",
            HINDI.encode("utf-16"),
            "not UTF-8, but UTF-16 (Excel's 'Unicode Text'); save it",
        ),
        ("t.csv", HINDI.encode("utf-16-le"), "not UTF-8, but UTF-16 little-endian"),
        ("t.csv", HINDI.encode("utf-16-be"), "not UTF-8, but UTF-16 big-endian"),
        ("t.csv", TABLE.encode("utf-16-le"), "not UTF-8, but UTF-16 little-endian"),
        ("t.csv", TABLE.encode() + b"R2\0", "has NUL bytes"),
        (
            "t.csv",
            TABLE.encode() + "Müller – Größe “Straße”,03/05/2022,x,1\n".encode("cp1252"),
            "not UTF-8 after row",
        ),
    ],
)
def test_a_file_says_what_it_is_and_how_to_save_it(
    tmp_path: Path, name: str, content: bytes | None, expected: str
) -> None:
    path = tmp_path / name if content is not None else FOLDER / "refused" / name
    if content is not None:
        path.write_bytes(content)
    assert expected in refusal(path)


@pytest.mark.parametrize("text", ["#REF!", "#N/A", "Err:502", "#######", "=SUM(D2:D9)", "=D2+1"])
def test_errors_and_formulas_in_a_csv_are_no_values(tmp_path: Path, text: str) -> None:
    for column in range(4):
        row = [*GOOD]
        row[column] = text
        good, bad = read(write_csv(tmp_path / "t.csv", [HEADER, row]))
        assert good == []
        assert HEADER[column] in bad[2]


def test_a_text_that_an_export_protected_as_a_formula_is_that_text(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", [HEADER, ['="0017"', *GOOD[1:3], '="12"']])
    assert counts(path) == [("2022-05-03", "sheet:test:0017", 12)]


# --- tables as people keep them -------------------------------------------------------------------

TITLES = [["Members of Narayanpur"], [], ["Office:", "Raipur"]]


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
@pytest.mark.parametrize("keys", [{}, {"header_row": "4"}])
def test_rows_of_titles_above_the_header_are_passed_over(
    tmp_path: Path, suffix: str, keys: dict[str, str]
) -> None:
    write: Callable[..., Path] = write_csv if suffix == "csv" else write_workbook
    path = write(tmp_path / f"t.{suffix}", [*TITLES, HEADER, GOOD, ["R2", "x", BOOTH, "1"]])
    good, bad = read(path, mapping(**keys))
    assert (len(good), list(bad)) == (1, [6])


def test_a_wrong_header_row_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", [HEADER, GOOD])
    assert "no column 'Form'" in refusal(path, mapping(header_row="2"))
    assert "row 9 must name the columns" in refusal(path, mapping(header_row="9"))


GROUPED = [
    ["Members by booth", None, None, None, None],
    ["Form", "Date", "Booth", "Members", None],
    [None, None, None, "New", "Left"],
    ["R1", "03/05/2022", BOOTH, 12, 99],
]
MERGED = ["A1:E1", "A2:A3", "B2:B3", "C2:C3", "D2:E2"]


@pytest.mark.parametrize("column", ["New", "Members / New", "Members New", "members\u200b  NEW"])
@pytest.mark.parametrize("keys", [{}, {"header_rows": "2"}])
def test_a_header_of_two_rows_is_joined(tmp_path: Path, column: str, keys: dict[str, str]) -> None:
    how = mapping(MAPPING.replace('"New"', f'"{column}"'), **keys)
    workbook = write_workbook(tmp_path / "t.xlsx", GROUPED, *MERGED)
    rows = [["" if cell is None else cell for cell in row] for row in GROUPED]
    for path in (workbook, write_csv(tmp_path / "t.csv", rows)):
        assert counts(path, how) == [("2022-05-03", "sheet:test:R1", 12)]


def test_a_group_of_columns_is_no_column(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "t.xlsx", GROUPED, *MERGED)
    assert "2 columns 'Members'" in refusal(path, mapping(MAPPING.replace('"New"', '"Members"')))


@pytest.mark.parametrize("first", ["sep=;\n", '"sep=;"\r\n', "SEP=;\n", ""])
def test_a_line_that_names_the_delimiter_is_no_row(tmp_path: Path, first: str) -> None:
    path = tmp_path / "t.csv"
    rows = [HEADER, GOOD, ["R2", "x", BOOTH, "1"]]
    text = "".join(";".join(row) + "\n" for row in rows)
    path.write_text("\ufeff" + first + text, encoding="utf-8")
    good, bad = read(path)
    assert (len(good), list(bad)) == (1, [3])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", ["csv", "txt"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str, suffix: str) -> None:
    rows = [["Members, by booth; May"], HEADER, ["R1", "03/05/2022", BOOTH, '"1,204"']]
    path = write_csv(tmp_path / f"t.{suffix}", rows, delimiter)
    assert counts(path) == [("2022-05-03", "sheet:test:R1", 1204)]


def test_a_wrong_delimiter_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", [HEADER, GOOD], ";")
    assert "the header is one cell that has ';'" in refusal(path, mapping(delimiter='","'))


def test_the_second_of_two_equal_columns_is_named_by_its_number(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", [[*HEADER, "New"], [*GOOD, "34"]])
    assert "2 columns 'New'; say 'New (1)' for the first, 'New (2)' for the" in refusal(path)
    for column, count in (("New (1)", 12), ("New (2)", 34)):
        how = mapping(MAPPING.replace('"New"', f'"{column}"'))
        assert [found for _, _, found in counts(path, how)] == [count]
    assert "no column 'New (3)'" in refusal(path, mapping(MAPPING.replace('"New"', '"New (3)"')))


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("पदाधिकारी का फोन", "पदाधिकारी  का\nफोन"),
        ("\u0918\u095c\u0940", "\u0918\u0921\u093c\u0940"),
        ("\u0918\u0921\u093c\u0940", "\u0918\u095c\u0940"),
        ("new members", "\ufeffNew\u00a0Members "),
    ],
)
def test_column_names_are_compared_as_people_see_them(typed: str, shown: str) -> None:
    assert ColumnNames(["Form", shown]).find(typed) == 1


TOTALS = [
    ["Total", "", "", 24],
    ["कुल योग", "", "", 24],
    ["Grand total:", "31/05/2022", BOOTH, 24],
    ["", "Total", "", 24],
    ["", "", "", 24],
    ["Total Narayanpur", "", "", 24],
    HEADER,
]


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_a_line_of_totals_is_refused_with_the_way_to_skip_it(tmp_path: Path, suffix: str) -> None:
    write: Callable[..., Path] = write_csv if suffix == "csv" else write_workbook
    path = write(tmp_path / f"t.{suffix}", [HEADER, GOOD, *TOTALS])
    good, bad = read(path)
    assert len(good) == 1
    assert list(bad) == [3, 4, 5, 6, 7, 8, 9]
    assert all("[[skip]] column = " in detail for detail in bad.values())


def test_lines_of_totals_are_skipped_if_the_mapping_says_so(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", [HEADER, GOOD, *TOTALS])
    how = mapping(
        MAPPING
        + """
[[skip]]
column = "Form"
is = ["total", "कुल योग", "Form"]
[[skip]]
column = "Form"
starts = ["Grand Total"]
[[skip]]
column = "Booth"
empty = true
"""
    )
    assert len(counts(path, how)) == 1
    with open_mapped_table(path, how) as table:
        assert len(list(table.rows)) == 1
        assert table.skipped == [3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    "rule",
    ['column = "Form"', 'column = "Form"\nis = ["a"]\nempty = true', 'column = "Form"\nis = []'],
)
def test_a_rule_that_skips_everything_or_nothing_is_refused(rule: str) -> None:
    with pytest.raises(MappingError):
        mapping(f"{MAPPING}\n[[skip]]\n{rule}\n")


def test_a_row_whose_text_only_contains_such_a_word_is_data(tmp_path: Path) -> None:
    names = ["कुलदीप", "Totally new", "योग शिविर", "TOTAL-17", "कुल 9"]
    rows = [HEADER, *([name, *GOOD[1:]] for name in names)]
    assert len(counts(write_csv(tmp_path / "t.csv", rows))) == 5


CELLS = st.one_of(
    st.sampled_from([*HEADER, *GOOD, "", "Total", "sep=;", "#REF!", '"', "1,204", "=A1", "\u200b"]),
    st.text(max_size=8),
)


@given(
    st.lists(st.lists(CELLS, max_size=6), max_size=8),
    st.sampled_from([",", ";", "\t"]),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
)
def test_any_text_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    delimiter: str,
    has_header: bool,
    encoding: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    lines = [HEADER, *rows] if has_header else rows
    text = "".join(delimiter.join(row) + "\n" for row in lines)
    path.write_bytes(text.encode(encoding, "surrogatepass"))
    try:
        good, bad = read(path)
    except (TableError, MappingError):
        return
    assert all(len(detail) > 5 for detail in bad.values())
    assert len(good) <= text.count(BOOTH)


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
