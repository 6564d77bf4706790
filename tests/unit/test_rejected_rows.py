"""Rejected rows are a workbook that can be corrected and imported again, so that all count once."""

import os
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pravah.events import EventError
from producers.tables import Importer, ImportMapping, open_mapped_table
from producers.tables.dates import find_converted_codes
from producers.tables.reasons import to_hindi
from producers.tables.rejects import REASON_COLUMN, RejectedRows
from tests.support.tables import BOOTH, GOOD, HEADER, MAPPING, mapping, write_csv, write_workbook


def import_table(
    path: Path, how: ImportMapping, rejects: Path
) -> tuple[dict[str, int], dict[int, str]]:
    """Entity and count of the events, and the rejected rows, which become a workbook."""
    good, bad = {}, {}
    with open_mapped_table(path, how) as table:
        importer = Importer(how, table.columns)
        rejected = RejectedRows(rejects, table.columns, how, sheet=None)
        for number, row in table.rows:
            try:
                event = importer.convert(number, row).event
                good[str(event.entity)] = event.data.count  # type: ignore[union-attr]
            except EventError as error:
                bad[number] = error.detail
                rejected.add(number, error.reason, error.detail, row)
        rejected.close()
    return good, bad


def correct(path: Path, edit: Callable[[list[object]], None]) -> None:
    """Edit the rows below the header in place, as a person does in a spreadsheet."""
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    for row in sheet.iter_rows(min_row=2):
        values: list[object] = [cell.value for cell in row]
        before = list(values)
        edit(values)
        for cell, old, new in zip(row, before, values, strict=True):
            if new is not old:
                cell.value = new  # type: ignore[assignment]
    book.save(path)


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_rows_that_are_corrected_and_imported_again_count_once(tmp_path: Path, suffix: str) -> None:
    day: object = "03/05/2022" if suffix == ".csv" else date(2022, 5, 3)
    rows: list[list[object]] = [
        list[object](HEADER),
        ["R1", day, BOOTH, 12],
        ["R2", day, BOOTH, "many"],
        ["R3", day, "Booth 17", 14],
        ["R1", day, BOOTH, 15],
        ["@R5", day, BOOTH, ""],
        ["R6", "", BOOTH, 16],
    ]
    write = write_csv if suffix == ".csv" else write_workbook
    table, rejects = write(tmp_path / f"t{suffix}", rows), tmp_path / "rejects.xlsx"
    good, bad = import_table(table, mapping(), rejects)
    assert good == {"sheet:test:R1": 12}
    assert list(bad) == [3, 4, 5, 6, 7]

    def edit(row: list[object]) -> None:
        match row[0]:
            case "R2":
                row[3] = 13
            case "R3":
                row[2] = BOOTH
            case "R1":
                row[0] = "R4"
            case "R6":
                row[1] = day
            case _:
                row[3] = 20

    correct(rejects, edit)
    again, rest = import_table(rejects, mapping(), tmp_path / "second.xlsx")
    assert rest == {}
    expected = {"R2": 13, "R3": 14, "R4": 15, "R6": 16, "@R5": 20}
    assert again == {f"sheet:test:{form}": count for form, count in expected.items()}


def test_the_header_stands_and_is_written_as_the_mapping_says(tmp_path: Path) -> None:
    text = MAPPING.replace('column = "New"', 'column = "New (2)"')
    rows: list[list[object]] = [
        ["List of May"],
        [],
        ["Form", "Date", "Booth", "New", "New"],
        [*GOOD, "?"],
    ]
    table = write_workbook(tmp_path / "t.xlsx", rows)
    how = mapping(text, header_row="3", sheet='"Sheet"')
    _, bad = import_table(table, how, tmp_path / "r.xlsx")
    assert list(bad) == [4]
    sheet = openpyxl.load_workbook(tmp_path / "r.xlsx")["Sheet"]
    assert [cell.value for cell in sheet[3]] == [*rows[2], REASON_COLUMN]
    sheet["E4"].value = 5
    assert sheet.parent is not None
    sheet.parent.save(tmp_path / "r.xlsx")
    assert import_table(tmp_path / "r.xlsx", how, tmp_path / "s.xlsx") == ({"sheet:test:R1": 5}, {})


def test_a_header_of_two_rows_stays_one(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        ["Form", "Date", "Booth", "Members", None],
        [None, None, None, "Old", "New"],
        [*GOOD[:3], 4, "?"],
    ]
    table = write_workbook(tmp_path / "t.xlsx", rows, "D1:E1")
    for keys in ({"header_rows": "2"}, {}):
        how = mapping(**keys)
        _, bad = import_table(table, how, tmp_path / "r.xlsx")
        assert list(bad) == [3]
        good, again = import_table(tmp_path / "r.xlsx", how, tmp_path / "s.xlsx")
        assert (good, list(again.values())) == ({}, list(bad.values()))


def test_nothing_is_a_formula_and_dates_stay_dates(tmp_path: Path) -> None:
    rejected = RejectedRows(
        tmp_path / "r.xlsx", ["=cmd|' /C calc'!A0", "B", "C"], mapping(), sheet=None
    )
    moments = datetime(2022, 5, 3), datetime(2022, 5, 3, 18, 5)
    rejected.add(2, "invalid", "New: is empty", ["=1+1", "+91", *moments[:1]])
    rejected.add(3, "invalid", "New: is empty", ["@x", -5.5, *moments[1:], "=far"])
    rejected.add(None, "undelivered", "Kafka did not confirm it", ["-1", True, "\x00\ufffe"])
    rejected.close()
    rows = list(openpyxl.load_workbook(tmp_path / "r.xlsx").worksheets[0].iter_rows())
    assert not [cell for row in rows for cell in row if cell.data_type == "f"]
    assert [cell.value for cell in rows[1]][:3] == ["=1+1", "+91", moments[0]]
    assert [cell.value for cell in rows[2]][:3] == ["@x", -5.5, moments[1]]
    assert rows[2][4].value == "=far"
    assert [cell.value for cell in rows[3]][:3] == ["-1", True, "\ufffd\ufffd"]


def test_the_reason_is_in_hindi_and_english_and_is_replaced_when_rejected_again(
    tmp_path: Path,
) -> None:
    table = write_csv(tmp_path / "t.csv", [HEADER, ["R1", "2022-05-03", BOOTH, "?"]])
    import_table(table, mapping(), tmp_path / "r.xlsx")
    import_table(tmp_path / "r.xlsx", mapping(), tmp_path / "s.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "s.xlsx").worksheets[0]
    assert [cell.value for cell in sheet[1]] == [*HEADER, REASON_COLUMN]
    reason = str(sheet["E2"].value)
    assert "Date: तारीख इस रूप में नहीं है: %d/%m/%Y; New: पूरी संख्या नहीं है" in reason
    assert "Date: '2022-05-03' is not written as %d/%m/%Y; New: '?' is not a whole number" in reason


def test_a_comma_within_a_number_is_refused_until_it_is_corrected(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "t.csv", [HEADER, [*GOOD[:3], "1,204"]])
    import_table(table, mapping(), tmp_path / "r.xlsx")
    for source, target in (("r", "s"), ("s", "r")):
        good, bad = import_table(
            tmp_path / f"{source}.xlsx", mapping(), tmp_path / f"{target}.xlsx"
        )
        assert (good, list(bad)) == ({}, [2])
    book = openpyxl.load_workbook(tmp_path / "r.xlsx")
    sheet = book.worksheets[0]
    assert [sheet["D2"].value, sheet["F2"].value] == ["1", "204"]
    sheet["D2"].value, sheet["F2"].value = "1,204", None
    book.save(tmp_path / "r.xlsx")
    good, bad = import_table(tmp_path / "r.xlsx", mapping(), tmp_path / "s.xlsx")
    assert (good, bad) == ({"sheet:test:R1": 1_204}, {})


def test_cells_without_a_value_are_refused_again_also_in_optional_columns(tmp_path: Path) -> None:
    how = mapping(MAPPING + '[envelope.evidence]\ncolumn = "Photo"\noptional = true\n')
    rows = [[*HEADER, "Photo"], [*GOOD, "#REF!"], ["R2", *GOOD[1:], "=A1"]]
    _, bad = import_table(write_csv(tmp_path / "t.csv", rows), how, tmp_path / "r.xlsx")
    assert len(bad) == 2
    good, bad = import_table(tmp_path / "r.xlsx", how, tmp_path / "s.xlsx")
    assert (good, len(bad)) == ({}, 2)


# How many tables are tried: 3,000 by a setting.
EXAMPLES = int(os.environ.get("FIELD_EXAMPLES", "60"))
CELLS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["03/05/2022", BOOTH, "=1", "12", "कुल", "#REF!", "R\x0b", "\ufffd"]),
    st.integers(-(10**16), 10**16),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)).map(
        lambda moment: moment.replace(microsecond=0)
    ),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=4, max_size=5), min_size=1, max_size=4))
def test_rows_that_are_not_corrected_are_rejected_again_and_never_get_lost(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[object]]
) -> None:
    how = mapping(MAPPING.replace("[occurred_at]", '[occurred_at]\ndate_cells = "right"'))
    identity = {column: HEADER.index(column) for column in how.iter_identity()}
    # a table with codes of which some became days is not opened at all
    assume(find_converted_codes(identity, enumerate(rows)) is None)
    folder = tmp_path_factory.mktemp("rejects")
    rejected = RejectedRows(folder / "r.xlsx", HEADER, how, sheet=None)
    filled = 0
    for number, row in enumerate(rows, start=2):
        try:
            Importer(how, HEADER).convert(number, row)
        except EventError as error:
            rejected.add(number, error.reason, error.detail, row)
            filled += 1
    rejected.close()
    good, bad = import_table(folder / "r.xlsx", how, folder / "s.xlsx")
    assert (good, len(bad)) == ({}, filled)


@pytest.mark.parametrize(
    "detail",
    [
        "Booth: is empty; it must say which unit reports; New: 'x' is not a whole number",
        "the row has 5 cells for 4 columns; probably a comma within a number",
        "the same Form and version as row 2, so it would count once; add a column",
        "Mobile: is no phone number",
        "Mobile: is no phone number: it has more than one, and each would be a person of its own",
        "Form: '9.19E+11' is a number that a spreadsheet has shortened, so its last digits",
        "Form: '????' has question marks for letters: it was saved in an encoding without them",
        "Booth: '@results.x' is a template's variable that was not filled in, such as @results",
        "Booth: 'null' has a word for no value, such as null or N/A; leave it empty",
        "Form: '5-Mar' is a day such as 5-Mar, which a spreadsheet makes of 5-3 or 3/5",
        "New: '100 %' is a percentage, as its cell is formatted; a whole number is wanted",
        "Booth: is merged with row 2, so it has no value of its own",
        "Drive: 'Fax' is not among its values: Paper, App",
        "New: '#REF!' is an error of the spreadsheet's formula; correct it there, save again",
    ],
)
def test_the_usual_reasons_have_a_hindi_sentence_of_their_own(detail: str) -> None:
    assert to_hindi("invalid", detail) != to_hindi("invalid", "")
