"""A file that is no table, or not the one it says, tells what it is and how to save it."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.tables import MappingError, TableError
from tests.support.tables import (
    BOOTH,
    GOOD,
    HEADER,
    counts,
    read,
    refusal,
    write_csv,
)
from tests.support.workbooks import by_hand

FOLDER = Path(by_hand.__file__).parent


def make_zip(**parts: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name.replace("__", "/"), text)
    return content.getvalue()


TABLE = f"Form,Date,Booth,New\n{','.join(GOOD)}\n"
HINDI = f"Form,Date,Booth,New\nप्रपत्र,03/05/2022,{BOOTH},12\n"
WORKBOOK = by_hand.write_with_dimension([HEADER, GOOD], "A1")


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    assert "is a folder; name a file in it" in refusal(tmp_path / "t.csv")


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
        ("t.csv", gzip.compress(TABLE.encode(), mtime=0), "compressed by gzip: unpack it"),
        ("t.csv", make_zip(**{"t.csv": TABLE}), "a ZIP archive that holds t.csv: unpack it"),
        ("t.xlsx", make_zip(xl__workbook="x", word__document="y"), "a Word or PowerPoint"),
        ("t.csv", b"%PDF-1.4", "a PDF document"),
        ("t.csv", b"\xef\xbb\xbf<!DOCTYPE html><html><body>Log in</body>", "a web page (HTML)"),
        ("t.csv", b"<table><tr><td>Form</td></tr></table>", "a web page (HTML)"),
        ("t.csv", b'[{"Form": "R1"}]', "JSON"),
        ("t.csv", b'[["Form", "Date"], ["R1", "03/05/2022"]]', "JSON"),
        ("t.gsheet", b'{"url": "https://docs.example.org/open"}', "JSON"),
        ("t.xls", b"<center><table><tr><td>Form", "a web page (HTML)"),
        ("t.xls", b"MIME-Version: 1.0\nContent-Type: multipart/related", "a web archive (.mht)"),
        ("t.numbers", make_zip(Index__Document="x").replace(b"Document", b"Docu.iwa"), "Numbers"),
        ("t.dbf", b"\x03\x7a\x05\x05" + bytes(60), "it is a binary file: open it in Excel"),
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
        ("t.csv", TABLE.encode() + b"\n" * 300_000 + b"R2\0", "has NUL bytes"),
        (
            "t.csv",
            TABLE.encode() + "Müller – Größe “Straße”,03/05/2022,x,1\n".encode("cp1252"),
            "not UTF-8 after row",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
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
