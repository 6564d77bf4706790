"""The sheet of a back-check as a file: a workbook to print or to fill in, or CSV."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from openpyxl import Workbook
from openpyxl.cell.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Border, Font, Side
from openpyxl.utils import get_column_letter

from producers.mapping.conversions import to_text
from producers.tables.reader import TableFile

_BOLD, _WRAP = Font(bold=True), Alignment(wrap_text=True, vertical="top")
_LINE = Side(style="thin", color="999999")
_BORDER = Border(left=_LINE, right=_LINE, top=_LINE, bottom=_LINE)
_A4 = 9  # ECMA-376, ST_PaperSize
_MIN_WIDTH, _MAX_WIDTH = 8, 34


def write_field_sheet(
    path: Path, headings: Sequence[str], rows: Iterable[Sequence[str | int]], *, title: str
) -> None:
    """Write a sheet; a name that ends in .xlsx gives a workbook that prints on A4, others CSV.

    Args:
        path: the file.
        headings: of the columns.
        rows: cells; an empty one is room for writing.
        title: of the printed page.

    Raises:
        OSError: the file cannot be written.
    """
    if path.suffix.lower() != ".xlsx":
        # The mark at its beginning tells spreadsheets that it is UTF-8.
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(headings)
            lines.writerows([_as_text(cell) for cell in row] for row in rows)
        return
    _write_workbook(path, headings, list(rows), title)


def _as_text(cell: str | int) -> str | int:
    """A cell of CSV that a spreadsheet does not take for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "@", "-")) else cell


def _write_workbook(
    path: Path, headings: Sequence[str], rows: Sequence[Sequence[str | int]], title: str
) -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("back-check")
    sheet.freeze_panes = "A2"
    sheet.print_title_rows = "1:1"
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", _A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.oddHeader.left.text = title
    for place, heading in enumerate(headings):
        texts = [heading, *(str(row[place]) for row in rows)]
        width = max(len(line) for text in texts for line in text.split("\n")) + 2
        letter = get_column_letter(place + 1)
        sheet.column_dimensions[letter].width = min(max(width, _MIN_WIDTH), _MAX_WIDTH)
    for number, row in enumerate([headings, *rows]):
        cells = []
        for text in row:
            cell = WriteOnlyCell(sheet, value=text)
            if isinstance(text, str):
                cell.data_type = "s"  # a text is never a formula
            cell.alignment, cell.border = _WRAP, _BORDER
            if number == 0:
                cell.font = _BOLD
            cells.append(cell)
        sheet.append(cells)
    book.save(path)


def read_field_sheet(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Read a sheet that came back, from whatever spreadsheet: its columns, and its rows as text.

    Raises:
        TableError: it is no table.
        OSError: it cannot be read.
    """
    file = TableFile(path)
    rows = ((number, [to_text(cell) for cell in row]) for number, row in file.iter_rows())
    return [str(name) for name in file.header.columns], rows
