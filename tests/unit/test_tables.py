"""Tables as people keep them are read right, or refused with the reason."""

from datetime import date, datetime
from pathlib import Path

import pytest

from pravah.events import EventError
from producers.tables import Importer, MappingError, TableError, open_mapped_table
from producers.tables.headers import ColumnNames
from tests.support.tables import (
    BOOTH,
    GOOD,
    HEADER,
    MAPPING,
    counts,
    mapping,
    read,
    refusal,
    write_csv,
    write_workbook,
)

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


# --- tables as people keep them -------------------------------------------------------------------

TITLES = [["Members of Narayanpur"], [], ["Office:", "Raipur"]]


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
@pytest.mark.parametrize("keys", [{}, {"header_row": "4"}])
def test_rows_of_titles_above_the_header_are_passed_over(
    tmp_path: Path, suffix: str, keys: dict[str, str]
) -> None:
    write = write_csv if suffix == "csv" else write_workbook
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
    write = write_csv if suffix == "csv" else write_workbook
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


@pytest.mark.parametrize(
    "total",
    ["G. Total", "Kul", "kul yog", "सर्व योग", "महायोग :", "जोड", "Grand-Total", "कुल\u200d योग"],
)
def test_totals_are_known_in_both_scripts_even_if_the_line_has_unit_and_day(
    tmp_path: Path, total: str
) -> None:
    path = write_csv(tmp_path / "t.csv", [HEADER, GOOD, [total, *GOOD[1:]]])
    good, bad = read(path)
    assert (len(good), list(bad)) == (1, [3])
    assert "looks like a line of totals" in bad[3]


def test_a_repeated_header_is_known_in_other_letters(tmp_path: Path) -> None:
    repeated = [name.upper() for name in HEADER]
    good, bad = read(write_csv(tmp_path / "t.csv", [HEADER, GOOD, repeated]))
    assert (len(good), "repeats the names of the columns" in bad[3]) == (1, True)
