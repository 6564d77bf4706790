"""Row by row reading of CSV files and workbooks."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from producers.mapping.conversions import Cell, to_text


class TableError(ValueError):
    """A file that cannot be read as a table."""


class Table(NamedTuple):
    """An open table."""

    columns: list[str]
    rows: Iterator[tuple[int, list[Cell]]]
    """Row number as a spreadsheet shows it (the header is 1), and cells. Empty rows are left
    out."""
    total: int | None
    """Number of rows with the header, if known."""


@contextmanager
def open_table(path: Path, *, sheet: str | None = None, delimiter: str = ",") -> Iterator[Table]:
    """Open a CSV file (UTF-8) or a workbook (XLSX) whose first row names the columns.

    Args:
        path: the file; its suffix says which of both it is.
        sheet: the sheet of a workbook; None for the first.
        delimiter: of a CSV file.

    Raises:
        TableError: the file is neither, has no such sheet, or no header.
        OSError: the file cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in {".xlsx", ".xlsm"}:
        with _open_workbook(path, sheet) as table:
            yield table
    elif suffix in {".csv", ".tsv", ".txt"}:
        with path.open("rb") as lines:
            total = sum(1 for _ in lines)
        with path.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(
                text, delimiter="\t" if suffix == ".tsv" else delimiter, strict=True
            )
            yield _make_table(path, _iter_csv_rows(path, reader), total)
    else:
        msg = f"{path}: expected a .csv, .tsv or .xlsx file"
        raise TableError(msg)


@contextmanager
def _open_workbook(path: Path, sheet: str | None) -> Iterator[Table]:
    try:
        workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError) as error:
        msg = f"{path} is no workbook that can be read: {error}"
        raise TableError(msg) from error
    try:
        if sheet is not None and sheet not in workbook.sheetnames:
            msg = f"{path} has no sheet {sheet!r}; it has {', '.join(workbook.sheetnames)}"
            raise TableError(msg)
        chosen = workbook[sheet or workbook.sheetnames[0]]
        yield _make_table(
            path, (list(row) for row in chosen.iter_rows(values_only=True)), chosen.max_row
        )
    finally:
        workbook.close()


def _iter_csv_rows(path: Path, reader: Iterator[list[str]]) -> Iterator[list[Cell]]:
    number = 0
    try:
        for row in reader:
            number += 1
            yield [*row]
    except UnicodeDecodeError as error:
        msg = f"{path}: not UTF-8 after row {number}: {error.reason}; save it as 'CSV UTF-8'"
        raise TableError(msg) from None
    except csv.Error as error:
        msg = f"{path}: row {number + 1} is not CSV: {error}"
        raise TableError(msg) from None


def _make_table(path: Path, rows: Iterator[list[Cell]], total: int | None) -> Table:
    header = next(rows, None)
    if header is None or not any(to_text(cell) for cell in header):
        msg = f"{path}: the first row must name the columns, and is empty"
        raise TableError(msg)
    filled = (
        (number, row)
        for number, row in enumerate(rows, start=2)
        if any(to_text(cell) for cell in row)
    )
    return Table([to_text(cell) for cell in header], filled, total)
