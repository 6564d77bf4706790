"""Row by row reading of CSV files, whatever separates their cells."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from producers.mapping.conversions import Cell, to_text
from producers.tables.cells import check_text
from producers.tables.errors import TableError
from producers.tables.file_types import find_utf16

_SAMPLE_BYTES = 262_144
_SAMPLE_ROWS = 50
_DELIMITERS = ",;\t|"
# The first line that sets Excel's separator. Spreadsheets do not show it.
_DELIMITER_LINE = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE | re.DOTALL)


class CsvFile:
    """A CSV file in UTF-8. Its rows can be read several times."""

    def __init__(self, path: Path, delimiter: str | None) -> None:
        """Check the encoding of the beginning, and find what separates the cells.

        Args:
            path: the file.
            delimiter: what separates the cells; None to find it.

        Raises:
            TableError: the file is not UTF-8.
            OSError: the file cannot be read.
        """
        self.path = path
        with path.open("rb") as file:
            head = file.read(_SAMPLE_BYTES)
        if (encoding := find_utf16(head)) is not None:
            msg = f"{path}: not UTF-8, but {encoding} (Excel's 'Unicode Text'); {_ADVICE}"
            raise TableError(msg)
        if 0 in head:
            raise _make_nul_error(path)
        sample = head.decode("utf-8-sig", "replace").splitlines(keepends=True)
        found = _DELIMITER_LINE.fullmatch(sample[0]) if sample else None
        self._has_delimiter_line = found is not None
        if delimiter is None:
            named = found[1] if found is not None else None
            delimiter = named or _find_delimiter(sample[: 4 * _SAMPLE_ROWS])
        self.delimiter = delimiter

    def iter_rows(self) -> Iterator[list[str]]:
        """Yield the texts of each row.

        Raises:
            TableError: a row is no CSV or not UTF-8.
            OSError: the file cannot be read.
        """
        number = 0
        with self.path.open(encoding="utf-8-sig", newline="") as text:
            try:
                if self._has_delimiter_line:
                    text.readline()
                reader = csv.reader(text, delimiter=self.delimiter, strict=True)
                for row in reader:
                    number += 1
                    yield row
            except UnicodeDecodeError as error:
                msg = (
                    f"{self.path}: not UTF-8 after row {number}{_guess_encoding(self.path)}; "
                    f"{_ADVICE}"
                )
                raise TableError(msg) from error
            except csv.Error as error:
                msg = (
                    f"{self.path}: row {number + 1} is not CSV: {error}; a cell with a quotation "
                    "mark must stand in quotation marks, with the inner one doubled"
                )
                raise TableError(msg) from None

    def check(self, columns: int, skipped: int) -> tuple[int, int]:
        """Read the file once, so that nothing is sent of one that breaks off later.

        Args:
            columns: the number of cells of the header, empty ones included.
            skipped: the number of rows up to the header, included.

        Returns:
            The number of rows; and by how many cells each row is longer than the header, if it is
            the same number in all rows and these cells are empty, else 0.

        Raises:
            TableError: a row is no CSV or not UTF-8, has a NUL, or a cell has swallowed rows.
            OSError: the file cannot be read.
        """
        with self.path.open("rb") as file:
            while chunk := file.read(_SAMPLE_BYTES):
                if 0 in chunk:
                    raise _make_nul_error(self.path)
        lengths: Counter[int] = Counter()
        number, longest = 0, 0
        for number, row in enumerate(self.iter_rows(), start=1):
            if number <= skipped or not row:
                continue
            if columns > 1:
                self._check_breaks(number, row, columns)
            filled = len(row)
            while filled and not row[filled - 1].strip():
                filled -= 1
            if filled:
                lengths[len(row)] += 1
                longest = max(longest, filled)
        extra = next(iter(lengths), 0) - columns if len(lengths) == 1 else 0
        return number, extra if extra > 0 and longest <= columns else 0

    def _check_breaks(self, number: int, row: list[str], columns: int) -> None:
        """Refuse a row with a cell of several lines that are rows themselves."""
        broken = [index for index, text in enumerate(row) if "\n" in text or "\r" in text]
        if len(broken) != 1:
            return
        index = broken[0]
        lines = row[index].splitlines()
        cells = [line.count(self.delimiter) + 1 for line in lines]
        cells[0] += index
        cells[-1] += len(row) - index - 1
        if all(count == columns for count in cells):
            msg = (
                f"{self.path}: row {number} swallows {len(lines) - 1} further lines, since a "
                "quotation mark opens in it and closes in a later line; remove or double it"
            )
            raise TableError(msg)


_ADVICE = (
    "save it as 'CSV UTF-8' (Excel), or as text CSV with the character set UTF-8 (LibreOffice)"
)


def _make_nul_error(path: Path) -> TableError:
    return TableError(
        f"{path}: has NUL bytes, so it is no text or was damaged; save or copy it again"
    )


def to_cells(row: list[str]) -> list[Cell]:
    """Return a row's texts as cells."""
    return [check_text(text) for text in row]


def find_other_delimiter(header: list[str]) -> str | None:
    """Return what seems to separate the cells of a header that was read as one cell."""
    filled = [to_text(text) for text in header if to_text(text)]
    if len(filled) != 1:
        return None
    found = max(_DELIMITERS, key=filled[0].count)
    return found if found in filled[0] else None


def _find_delimiter(lines: list[str]) -> str:
    """Return the character by which most lines have the same number of cells, above one."""
    best, best_score = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        rows: list[list[str]] = []
        try:
            reader = csv.reader(lines, delimiter=delimiter)
            rows = [row for row in islice(reader, _SAMPLE_ROWS) if any(map(str.strip, row))]
        except csv.Error:
            continue
        widths = Counter(len(row) for row in rows if len(row) > 1)
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        score = round(count / len(rows), 3), width
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _guess_encoding(path: Path) -> str:
    from charset_normalizer import from_bytes

    with path.open("rb") as file:
        found = from_bytes(file.read(_SAMPLE_BYTES)).best()
    return "" if found is None or found.encoding == "ascii" else f", perhaps {found.encoding}"
