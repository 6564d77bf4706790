"""Row by row reading of workbooks (XLSX), by calamine."""

import io
import re
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, time
from pathlib import Path

import python_calamine

from producers.mapping.conversions import Cell
from producers.tables.cells import FaultyCell
from producers.tables.errors import TableError
from producers.tables.workbook_facts import MAX_CELLS, Sheet, SheetFacts, WorkbookParts

_DIMENSION = re.compile(rb"<(?:\w+:)?dimension\b[^>]*?(?:/>|>\s*</(?:\w+:)?dimension>)")
_ERROR_TYPE = re.compile(rb"(<(?:\w+:)?c\b[^>]*?\st=)([\"'])e\2")

# First row, first column, last row, last column, from 0.
Range = tuple[int, int, int, int]


class Workbook:
    """The chosen sheet of a workbook. Its rows can be read several times."""

    def __init__(self, path: Path, sheet: str | None) -> None:
        """Read a sheet.

        Args:
            path: the file.
            sheet: the sheet's name; None for the first visible one with values.

        Raises:
            TableError: the workbook is damaged, or has no such sheet.
            OSError: the file cannot be read.
        """
        with closing(WorkbookParts(path)) as parts:
            self.name, self._facts, self.other_sheets = _choose_sheet(path, parts, sheet)
            if self._facts.rows * self._facts.columns > MAX_CELLS:
                msg = (
                    f"{path}: sheet {self.name!r} has a value far from its table, in row "
                    f"{self._facts.rows:,} or column {self._facts.columns:,}; delete it"
                )
                raise TableError(msg)
            self._sheet = _load(path, parts, self.name)
        self.total = self._facts.rows
        self.hidden_rows = self._facts.hidden_rows
        self.hidden_sheets = [
            one.name for one in parts.sheets if one.is_worksheet and not one.is_visible
        ]
        self.merged = sorted(
            (first[0], first[1], last[0], last[1])
            for first, last in self._sheet.merged_cell_ranges or ()
        )

    def iter_data(self, skipped: int) -> Iterator[list[Cell]]:
        """Yield rows, with cells marked that are empty since they are merged with one above.

        Args:
            skipped: the number of rows, from the first, that are left out.
        """
        pending = list(reversed(self.merged))
        active: list[Range] = []
        for number, row in enumerate(self.iter_rows()):
            while pending and pending[-1][0] < number:
                active.append(pending.pop())
            if active:
                active = [merged for merged in active if merged[2] >= number]
                _cover(row, active)
            if number >= skipped:
                yield row

    def iter_rows(self) -> Iterator[list[Cell]]:
        """Yield the cells of each row, from the first row and column on."""
        if self._facts.rows == 0:
            return
        overrides = self._facts.overrides
        faulty_rows = {row for row, _ in overrides}
        number = -1
        first = (self._sheet.start or (0, 0))[1]
        for number, cells in enumerate(self._sheet.iter_rows()):
            row: list[Cell] = [None] * first
            row += [
                # a day's midnight, as workbooks store it; identities are made of it
                datetime.combine(cell, time.min) if type(cell) is date else cell
                for cell in cells
            ]
            if number in faulty_rows:
                self._override(number, row)
            yield row
        # Rows whose cells are all faulty are empty for calamine.
        for after in range(number + 1, self._facts.rows):
            row = []
            self._override(after, row)
            yield row

    def _override(self, number: int, row: list[Cell]) -> None:
        for column in range(self._facts.columns):
            if (cell := self._facts.overrides.get((number, column))) is not None:
                row.extend([None] * (column + 1 - len(row)))
                row[column] = cell


def _cover(row: list[Cell], ranges: list[Range]) -> None:
    for top, left, _, right in ranges:
        for column in range(left, min(right + 1, len(row))):
            row[column] = FaultyCell(
                "",
                f"is merged with row {top + 1}, so it has no value of its own; "
                "undo the merge and fill in each row",
                is_covered=True,
            )


def _choose_sheet(
    path: Path, parts: WorkbookParts, wanted: str | None
) -> tuple[str, SheetFacts, list[str]]:
    """Return the sheet's name and facts, and the names of the other visible worksheets."""
    names = [sheet.name for sheet in parts.sheets]
    if wanted is not None:
        found = [sheet for sheet in parts.sheets if sheet.name == wanted] or [
            sheet for sheet in parts.sheets if _make_key(sheet.name) == _make_key(wanted)
        ]
        if len(found) != 1 or not found[0].is_worksheet:
            msg = f"{path} has no sheet {wanted!r}; it has {', '.join(names)}"
            raise TableError(msg)
        return found[0].name, parts.scan(found[0]), []
    sheets = [sheet for sheet in parts.sheets if sheet.is_worksheet and sheet.is_visible]
    if not sheets:
        msg = f"{path} has no visible worksheet; it has {', '.join(names) or 'no sheets'}"
        raise TableError(msg)
    chosen: tuple[Sheet, SheetFacts] | None = None
    for sheet in sheets:
        facts = parts.scan(sheet)
        if facts.rows:
            chosen = sheet, facts
            break
        chosen = chosen or (sheet, facts)
    assert chosen is not None
    return chosen[0].name, chosen[1], [sheet.name for sheet in sheets if sheet is not chosen[0]]


def _load(path: Path, parts: WorkbookParts, name: str) -> python_calamine.CalamineSheet:
    try:
        return _open(path.read_bytes(), name)
    except python_calamine.CalamineError:
        pass
    # calamine refuses a workbook for a malformed dimension, for an error that it does not know, and
    # for unusual names of parts. So it gets a copy without these.
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as archive:
        sheets = {sheet.part for sheet in parts.sheets}
        for part, content in parts.iter_parts():
            cleaned = content
            if part in sheets:
                cleaned = _ERROR_TYPE.sub(rb'\1"str"', _DIMENSION.sub(b"", content))
            archive.writestr(parts.usual_names.get(part, part), cleaned)
    try:
        return _open(copy.getvalue(), name)
    except python_calamine.CalamineError as error:
        msg = (
            f"{path} is a damaged workbook ({error}); "
            "open it in Excel or LibreOffice and save it again as .xlsx"
        )
        raise TableError(msg) from None


def _open(content: bytes, name: str) -> python_calamine.CalamineSheet:
    try:
        return python_calamine.load_workbook(io.BytesIO(content)).get_sheet_by_name(name)
    except python_calamine.CalamineError:
        raise
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # it is no Exception, and has no module
            raise
        raise python_calamine.CalamineError(str(error)) from None


def _make_key(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())
