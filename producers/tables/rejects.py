"""Files of rejected rows.

A workbook (`RejectedRows`) can be corrected and imported again by the same mapping. A CSV file
(`RejectedLines`) is for programs.
"""

import csv
import re
from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Protocol, Self

from openpyxl import Workbook
from openpyxl.cell.cell import ERROR_CODES, WriteOnlyCell
from openpyxl.cell.cell import Cell as SheetCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from producers.mapping.conversions import Cell
from producers.tables.cells import FaultyCell
from producers.tables.mapping import ImportMapping
from producers.tables.reasons import to_hindi

# The last column. No mapping names it, so it is ignored when the rows are imported again.
REASON_COLUMN = "क्यों नहीं भेजी गई (why not sent)"
_TITLE = "अस्वीकृत पंक्तियाँ: ठीक करके फिर इम्पोर्ट करें (rejected rows: correct and import again)"
_SHEET = "Rejected rows"
_MAX_TEXT = 32_767  # of a cell
_MAX_SHEET_NAME = 31
# What XML cannot hold.
_NO_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_BOLD, _WRAP = Font(bold=True), Alignment(wrap_text=True, vertical="top")
_RED = PatternFill("solid", fgColor="FDE9E7")


class RejectsFile(Protocol):
    """A file of rejected rows."""

    def add(self, number: int | None, reason: str, detail: str, row: Sequence[Cell]) -> None:
        """Append a row.

        Args:
            number: the row's number in the table that was imported.
            reason: the kind, as `EventError.reason`.
            detail: all problems of the row.
            row: its cells.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class RejectedLines:
    """A CSV file with row number, reason and detail before the cells."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(["row", "reason", "detail", *columns])

    def add(self, number: int | None, reason: str, detail: str, row: Sequence[Cell]) -> None:
        """Append a row."""
        self._writer.writerow([number, reason, detail, *row])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class RejectedRows:
    """A workbook of rejected rows, written when it is closed."""

    def __init__(
        self, path: Path, columns: Sequence[str], mapping: ImportMapping, *, sheet: str | None
    ) -> None:
        """Begin the workbook with the header where the mapping expects it.

        Args:
            path: the file; it is replaced.
            columns: the table's column names.
            mapping: its `header_row`, `header_rows` and `sheet` hold for the new workbook too.
            sheet: the sheet's name, instead of the mapping's.

        Raises:
            OSError: the file cannot be written.
        """
        path.write_bytes(b"")  # a place where nothing can be written is known before rows are sent
        self._path = path
        # Rows that were rejected again have the column already.
        self._columns = [name for name in columns if name != REASON_COLUMN]
        self._width = len(self._columns)
        self._old = [index for index, name in enumerate(columns) if name == REASON_COLUMN]
        self._book = Workbook(write_only=True)
        self._sheet = self._book.create_sheet(_name_sheet(sheet or mapping.sheet))
        first = mapping.header_row or 1
        rows = _make_header(self._columns, mapping.header_rows or 1)
        self._sheet.freeze_panes = f"A{first + len(rows)}"
        for index, name in enumerate(self._columns, start=1):
            width = min(max(len(name) + 2, 12), 40)
            self._sheet.column_dimensions[get_column_letter(index)].width = width
        self._sheet.column_dimensions[get_column_letter(self._width + 1)].width = 80
        for number in range(1, first):
            self._sheet.append([self._make_cell(_TITLE)] if number == 1 else [])
        for row in rows:
            cells = [self._make_cell(text) for text in row]
            for cell in cells:
                if cell is not None:
                    cell.font = _BOLD
            self._sheet.append(cells)

    def add(self, number: int | None, reason: str, detail: str, row: Sequence[Cell]) -> None:
        """Append a row with the reason in Hindi and English.

        Args:
            number: the row's number in the table that was imported.
            reason: the kind, as `EventError.reason`.
            detail: all problems of the row.
            row: its cells. Cells beyond the table's columns stand beyond the reason, so that the
                row is refused again as long as they are there.
        """
        cells = [self._make_cell(cell) for index, cell in enumerate(row) if index not in self._old]
        cells += [None] * (self._width - len(cells))
        place = "?" if number is None else f"{number:,}"
        why = self._make_cell(
            f"पंक्ति {place}: {to_hindi(reason, detail)}\nrow {place}: {reason}: {detail}"
        )
        if why is not None:
            why.alignment, why.fill = _WRAP, _RED
        self._sheet.append([*cells[: self._width], why, *cells[self._width :]])

    def close(self) -> None:
        """Write the file.

        Raises:
            OSError: the file cannot be written.
        """
        self._book.save(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_cell(self, value: Cell) -> SheetCell | None:
        """Return a cell of the same type. A text stays a text, whatever it begins with.

        A cell without a value becomes a spreadsheet's error, so that it is refused again until it
        is corrected, also in an optional column.
        """
        if isinstance(value, FaultyCell):
            text = value.text if value.text in ERROR_CODES else "#N/A"
            return None if value.is_covered else WriteOnlyCell(self._sheet, value=text)
        if value is None or value == "":
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        cell = WriteOnlyCell(self._sheet)
        if isinstance(value, datetime):
            is_day = value.time() == time.min
            cell.value = value.replace(tzinfo=None)
            cell.number_format = "dd/mm/yyyy" if is_day else "dd/mm/yyyy hh:mm:ss"
        elif isinstance(value, date | bool | int | float):
            cell.value = value
        else:
            cell.value = _NO_XML.sub("\ufffd", str(value))[:_MAX_TEXT]
            cell.data_type = "s"  # not a formula
            cell.number_format = "@"  # what is typed into it stays text
            cell.quotePrefix = True
        return cell


def _make_header(columns: Sequence[str], rows: int) -> list[list[str]]:
    """Return the rows of a header, the last column included."""
    if rows == 1:
        return [[*columns, REASON_COLUMN]]
    parts = [name.partition(" / ") for name in columns]
    return [
        [*(upper for upper, _, _ in parts), REASON_COLUMN],
        [*(lower for _, _, lower in parts), ""],
    ]


def _name_sheet(name: str | None) -> str:
    if not name or len(name) > _MAX_SHEET_NAME or re.search(r"[\[\]:*?/\\]", name):
        return _SHEET
    return name
