"""Row by row reading of CSV files and workbooks, as `Table`s with a header."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from producers.mapping.conversions import Cell, to_text
from producers.tables.cells import is_filled
from producers.tables.csv_files import CsvFile, to_cells
from producers.tables.dates import find_converted_codes, find_mixed_dates
from producers.tables.errors import TableError
from producers.tables.file_types import check_type
from producers.tables.headers import (
    SEARCHED_ROWS,
    ColumnNames,
    Header,
    find_header,
)
from producers.tables.mapping import ImportMapping
from producers.tables.workbooks import Workbook

_MAX_ROWS_SHOWN = 5


@dataclass
class Table:
    """An open table."""

    columns: list[str]
    rows: Iterator[tuple[int, list[Cell]]]
    """Row number as a spreadsheet shows it, and cells. Empty rows are left out."""
    total: int | None
    """Number of rows with the header, if known."""
    header_row: int = 1
    """The last row of the header."""
    notes: list[str] = field(default_factory=list)
    """What a person may not expect: a header that was found further down, unread sheets."""
    skipped: list[int] = field(default_factory=list)
    """Rows that the mapping skips. Grows while `rows` is read."""
    similar_sheets: list[str] = field(default_factory=list)
    """The sheets that have all columns of the mapping, if none was named and they are several."""


class TableFile:
    """A table whose rows can be read several times."""

    def __init__(
        self,
        path: Path,
        *,
        sheet: str | None = None,
        delimiter: str | None = None,
        header_row: int | None = None,
        header_rows: int | None = None,
        columns: Collection[str] = (),
    ) -> None:
        """Open a file and find its header; the arguments are those of `open_table`."""
        self.notes: list[str] = []
        self._extra = 0
        self.sheet = ""
        self.other_sheets: list[str] = []
        kind = check_type(path).name
        self._source: Workbook | CsvFile
        if kind == "workbook":
            self._source = Workbook(path, sheet)
            self.sheet, self.other_sheets = self._source.name, self._source.other_sheets
            if self.other_sheets:
                others = ", ".join(self.other_sheets)
                self.notes.append(f"only sheet {self._source.name!r} is read, not {others}")
        else:
            is_tabbed = path.suffix.lower() == ".tsv"
            self._source = CsvFile(path, "\t" if is_tabbed else delimiter)
        first = list(islice(self._iter_all(), max(SEARCHED_ROWS, (header_row or 0) + 1)))
        header = find_header(
            first,
            columns=columns,
            first_row=header_row,
            height=header_rows,
            merged=self._source.merged if isinstance(self._source, Workbook) else (),
        )
        if header is None:
            hidden = self._source.hidden_sheets if isinstance(self._source, Workbook) else []
            raise TableError(_explain_no_header(path, header_row, hidden))
        self.header: Header = header
        self.titles = [
            to_text(cell)
            for row in first[: header.first_row - 1]
            for cell in row
            if is_filled(cell)
        ]
        if header_row is None and header.first_row > 1:
            self.notes.append(f"the column names are in row {header.first_row}")
        if header.rows > 1:
            self.notes.append(f"rows {header.first_row} and {header.end} name the columns together")
        if isinstance(self._source, Workbook):
            self.notes += _note_hidden(self._source.hidden_rows, header.end)
        if isinstance(self._source, CsvFile):
            self.total, self._extra = self._source.check(header.width, header.end)
        else:
            self.total = self._source.total

    def iter_rows(self) -> Iterator[tuple[int, list[Cell]]]:
        """Yield row number and cells of the rows below the header that are not empty."""
        source, end = self._source, self.header.end
        if isinstance(source, Workbook):
            rows: Iterator[list[Cell]] = (
                _trim(row, len(self.header.columns)) for row in source.iter_data(end)
            )
        else:
            # as long as the header's cells, of which the last may have no name
            rows = (
                self._cut(row, self.header.width) for row in islice(self._iter_all(), end, None)
            )
        for number, row in enumerate(rows, start=end + 1):
            if any(map(is_filled, row)):
                yield number, row

    def has_all(self, columns: Collection[str]) -> bool:
        """Whether the table has all of some columns."""
        names = ColumnNames(self.header.columns)
        return all(map(names.has, columns))

    def _cut(self, row: list[Cell], width: int) -> list[Cell]:
        """Remove empty cells beyond the names that cannot have shifted others."""
        if len(row) <= width or (self._extra and len(row) == width + self._extra):
            return _trim(row, len(self.header.columns))
        return row

    def _iter_all(self) -> Iterator[list[Cell]]:
        if isinstance(self._source, Workbook):
            return self._source.iter_rows()
        return (to_cells(row) for row in self._source.iter_rows())


@contextmanager
def open_table(
    path: Path,
    *,
    sheet: str | None = None,
    delimiter: str | None = None,
    header_row: int | None = None,
    header_rows: int | None = None,
    columns: Collection[str] = (),
) -> Iterator[Table]:
    """Open a CSV file (UTF-8) or a workbook (XLSX) that has a row with the names of its columns.

    A CSV file is read once to its end before the first row is given, so that no row is sent of a
    file that breaks off.

    Args:
        path: the file. Name and content must agree on what it is.
        sheet: the sheet of a workbook; None for the first visible one that is not empty.
        delimiter: of a CSV file that is not called .tsv; None to find it.
        header_row: the row that names the columns, from 1; None to find it.
        header_rows: 2 if groups of columns stand above the names; None to find it.
        columns: names of columns by which the header is found.

    Raises:
        TableError: the file is neither, has no such sheet, or no header.
        OSError: the file cannot be read.
    """
    file = TableFile(
        path,
        sheet=sheet,
        delimiter=delimiter,
        header_row=header_row,
        header_rows=header_rows,
        columns=columns,
    )
    yield Table(file.header.columns, file.iter_rows(), file.total, file.header.end, file.notes, [])


@contextmanager
def open_mapped_table(
    path: Path, mapping: ImportMapping, *, sheet: str | None = None
) -> Iterator[Table]:
    """Open a table as its mapping describes it, without the rows that the mapping skips.

    Args:
        path: the file.
        mapping: names the header's row, the delimiter, the rows to skip.
        sheet: the sheet of a workbook, instead of the mapping's.

    Raises:
        TableError: as `open_table`; or a column has both date cells and dates as texts, of which
            a spreadsheet may have exchanged day and month; or codes of which it made days.
        OSError: the file cannot be read.
    """
    file, similar_sheets = _open_sheet(path, mapping, sheet or mapping.sheet)
    names = ColumnNames(file.header.columns)
    # Columns that are missing or there twice are left to the importer, which reports all of them.
    skips = [(rule, names.find(rule.column)) for rule in mapping.skip if names.is_one(rule.column)]
    skipped: list[int] = []

    def iter_rows() -> Iterator[tuple[int, list[Cell]]]:
        skipped.clear()
        for number, row in file.iter_rows():
            if any(
                rule.matches(to_text(row[index] if index < len(row) else None))
                for rule, index in skips
            ):
                skipped.append(number)
            else:
                yield number, row

    days = mapping.occurred_at.column
    if days is not None and names.is_one(days):
        finding = find_mixed_dates(mapping.occurred_at, names.find(days), iter_rows())
        if finding is not None:
            msg = f"{path}: {finding}"
            raise TableError(msg)
    if file.sheet:  # only workbooks have date cells
        codes = {
            column: names.find(column) for column in mapping.iter_identity() if names.is_one(column)
        }
        if (finding := find_converted_codes(codes, iter_rows())) is not None:
            msg = f"{path}: {finding}"
            raise TableError(msg)
    yield Table(
        file.header.columns,
        iter_rows(),
        file.total,
        file.header.end,
        file.notes,
        skipped,
        similar_sheets,
    )


def _open_sheet(
    path: Path, mapping: ImportMapping, sheet: str | None
) -> tuple[TableFile, list[str]]:
    """Open a table by its mapping.

    Of a workbook in which no sheet was named, it is the first sheet that has all columns, or the
    first one.

    Returns:
        The table, and the sheets that have all columns if they are several.
    """
    columns = [column for _, column in mapping.iter_columns()]

    def open_sheet(name: str | None) -> TableFile:
        return TableFile(
            path,
            sheet=name,
            delimiter=mapping.delimiter,
            header_row=mapping.header_row,
            header_rows=mapping.header_rows,
            columns=columns,
        )

    first = open_sheet(sheet)
    if sheet is not None or not first.other_sheets:
        return first, []
    files = {first.sheet: first}
    for name in first.other_sheets:
        with suppress(TableError):  # a sheet without a table
            files[name] = open_sheet(name)
    fitting = {name: file for name, file in files.items() if file.has_all(columns)}
    # an empty form has the columns too
    filled = {name: file for name, file in fitting.items() if next(file.iter_rows(), None)}
    fitting = filled or fitting
    if not fitting:
        return first, []
    name, chosen = next(iter(fitting.items()))
    if chosen is not first:
        others = ", ".join([first.sheet, *(one for one in first.other_sheets if one != name)])
        chosen.notes.insert(0, f"only sheet {name!r} is read, which has the columns, not {others}")
    return chosen, list(fitting) if len(fitting) > 1 else []


def _trim(row: list[Cell], width: int) -> list[Cell]:
    """Remove empty cells at the end that are beyond the columns with a name."""
    end = len(row)
    while end > width and not is_filled(row[end - 1]):
        end -= 1
    return row[:end]


def _note_hidden(rows: list[int], header_end: int) -> Iterator[str]:
    hidden = [row + 1 for row in rows if row >= header_end]
    if hidden:
        shown = ", ".join(f"{row:,}" for row in hidden[:_MAX_ROWS_SHOWN])
        more = ", …" if len(hidden) > _MAX_ROWS_SHOWN else ""
        yield (
            f"hidden rows are read too, such as those of a filter: {len(hidden):,} "
            f"(row {shown}{more}); delete them if they must not count"
        )


def _explain_no_header(path: Path, header_row: int | None, hidden: list[str]) -> str:
    if header_row is None and hidden:
        shown = ", ".join(map(repr, hidden))
        return f"{path}: no visible sheet has a table; hidden are {shown}: name one with --sheet"
    if header_row is None:
        return f"{path}: the first row must name the columns, and is empty"
    return f"{path}: row {header_row} must name the columns (header_row), and is empty"
