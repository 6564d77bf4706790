"""Dates of a column that a spreadsheet converted in part.

A spreadsheet set to month first reads the text 03/05/2022 as 5 March and makes a date cell of it,
but leaves 13/05/2022 as the text it is. In such a column the same way of writing means two days.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date

from producers.mapping.conversions import Cell, ConversionError, to_text
from producers.mapping.text import to_ascii_digits
from producers.tables.mapping import TimeMapping

_MAX_ROWS_SHOWN = 5
_MONTHS = 12
# A day in figures whose first part is not the year.
_NUMERIC = re.compile(r"\d{1,2}\s*[/.\- ]\s*\d{1,2}\s*[/.\- ]\s*(\d{4}|\d{2})\b.*", re.DOTALL)
_ISO = re.compile(r"\d{4}[/.-]\d{1,2}[/.-]\d{1,2}\b.*", re.DOTALL)
# A code of numbers, of which some look like a day.
_CODE = re.compile(r"\d{1,4}\s*[/.-]\s*\d{1,4}(\s*[/.-]\s*\d{1,4})?")
_MONTH_FIRST = re.compile(r"\d{1,2}[/.-](1[3-9]|2\d|3[01])[/.-]\d{2,4}\b.*", re.DOTALL)


class DateKinds:
    """Whether a column mixes dates of a spreadsheet with texts of figures."""

    def __init__(self, mapping: TimeMapping) -> None:
        self._mapping = mapping
        # Rows of dates whose order of day and month a spreadsheet has fixed, and of texts.
        self.dates: list[int] = []
        self.texts: list[int] = []

    def add(self, number: int, cell: Cell) -> None:
        """Note the kind of a row's cell."""
        if isinstance(cell, date):
            self.dates.append(number)
            return
        text = to_ascii_digits(to_text(cell))
        if _NUMERIC.fullmatch(text):
            self.texts.append(number)
        elif self._mapping.format is None and _ISO.fullmatch(text):
            self.dates.append(number)

    def find_conflict(self) -> str | None:
        """Return why the dates noted so far have no certain meaning, None if they have."""
        if not (self.dates and self.texts) or self._mapping.date_cells is not None:
            return None
        if not _is_order_uncertain(self._mapping.format):
            return None
        return (
            f"column {self._mapping.column!r} has {_count(self.dates, 'date')} of a spreadsheet "
            f"({_show(self.dates)}) and {_count(self.texts, 'text')} such as 13/05/2022 "
            f"({_show(self.texts)}). A spreadsheet set to another order of day and month converts "
            "only some of the texts and exchanges day and month in them. Import the original "
            "file, or say occurred_at.date_cells in the mapping: 'right' if the date cells show "
            "the right day, 'swapped' if day and month are exchanged in them"
        )


def find_mixed_dates(
    mapping: TimeMapping, column: int, rows: Iterable[tuple[int, list[Cell]]]
) -> str | None:
    """Return why a column's dates have no certain meaning, None if they have.

    Args:
        mapping: how the dates are written.
        column: the column's index.
        rows: all rows of the table with their numbers.
    """
    if mapping.date_cells is not None or not _is_order_uncertain(mapping.format):
        return None
    kinds = DateKinds(mapping)
    for number, row in rows:
        if column < len(row):
            kinds.add(number, row[column])
    return kinds.find_conflict()


def find_converted_codes(
    columns: Mapping[str, int], rows: Iterable[tuple[int, list[Cell]]]
) -> str | None:
    """Return why a column of codes has no certain meaning, None if all have.

    A spreadsheet makes a day of the code 5-3 and leaves 5-31 and 17-35 alone.

    Args:
        columns: name of a column that identifies something → its index.
        rows: all rows of the table with their numbers.
    """
    dates: dict[str, list[int]] = {name: [] for name in columns}
    codes: dict[str, list[int]] = {name: [] for name in columns}
    for number, row in rows:
        for name, index in columns.items():
            cell = row[index] if index < len(row) else None
            if isinstance(cell, date):
                dates[name].append(number)
            elif _CODE.fullmatch(to_ascii_digits(to_text(cell))):
                codes[name].append(number)
    for name in columns:
        if dates[name] and codes[name]:
            return (
                f"column {name!r} has {_count(dates[name], 'date')} ({_show(dates[name])}) and "
                f"{_count(codes[name], 'text')} such as 17-35 ({_show(codes[name])}). A "
                "spreadsheet makes days of codes such as 5-3. Format the column as text in the "
                "original, enter these again and save"
            )
    return None


def swap_day_and_month(cell: date) -> date:
    """Return a date with day and month exchanged.

    Raises:
        ConversionError: the day is after the 12th.
    """
    if cell.day > _MONTHS:
        msg = "cannot have its day and month exchanged, as occurred_at.date_cells says"
        raise ConversionError(msg)
    return cell.replace(month=cell.day, day=cell.month)


def explain_date(cell: Cell) -> str:
    """Return a hint on a cell that is no date, to follow the reason."""
    text = to_ascii_digits(to_text(cell))
    if _MONTH_FIRST.fullmatch(text):
        return "; it has the month first: look whether other rows of the same hand have it too"
    return ""


def _is_order_uncertain(form: str | None) -> bool:
    """Whether a format has day and month in figures, and not after the year."""
    if form is None:
        return True
    places = {directive: form.find(directive) for directive in ("%d", "%m", "%Y", "%y")}
    if "%D" in form or "%x" in form or "%c" in form:
        return True
    if places["%d"] < 0 or places["%m"] < 0:
        return False
    year = max(places["%Y"], places["%y"])
    return not 0 <= year < places["%m"] < places["%d"]


def _count(rows: list[int], noun: str) -> str:
    return f"{len(rows):,} {noun}{'' if len(rows) == 1 else 's'}"


def _show(rows: list[int]) -> str:
    shown = ", ".join(f"{row:,}" for row in rows[:_MAX_ROWS_SHOWN])
    more = ", …" if len(rows) > _MAX_ROWS_SHOWN else ""
    return f"row{'' if len(rows) == 1 else 's'} {shown}{more}"
