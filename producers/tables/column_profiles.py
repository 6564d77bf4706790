"""What the heading and the first values of a column say of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from producers.mapping.conversions import Cell, ConversionError, TimeFormat, to_integer, to_text
from producers.mapping.phones import parse_phone
from producers.tables.cells import FaultyCell, is_filled
from producers.tables.headings import HeadingMeaning, Meaning, find_meanings
from producers.tables.mapping import SEPARATORS
from schemas.unit_names import parse_code

# Share of a column's filled values that must have a form, so that the column counts as of that
# form.
ENOUGH = 0.8
# Formats of days and instants in the order in which they are tried; None is ISO. With day and month
# in figures the day comes first, as people write in India.
_DAY_FIRST = [f"%d{sign}%m{sign}{year}" for year in ("%Y", "%y") for sign in "/-."]
_TIMES = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
_NAMED = ("%d-%b-%Y", "%d %b %Y", "%d-%b-%y", "%d %B %Y", "%d-%B-%Y", "%b %d, %Y", "%B %d, %Y")
FORMATS: tuple[str | None, ...] = (
    None,
    *_DAY_FIRST,
    *_NAMED,
    *("%Y/%m/%d", "%Y.%m.%d"),
    *(f"{day} {time}" for day in _DAY_FIRST for time in _TIMES),
    *(f"%Y/%m/%d {time}" for time in _TIMES),
    "%Y/%m/%d %I:%M:%S %p GMT+5:30",  # Google Forms
)


def put_month_first(form: str) -> str:
    """Return a format with day and month exchanged."""
    return form.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")


_MONTH_FIRST = [put_month_first(form) for form in FORMATS if form and form.startswith("%d")]
_MONTH_FIRST = [form for form in _MONTH_FIRST if form not in FORMATS]


@dataclass
class ColumnProfile:
    """A column of a table: its heading, and its values in the first rows."""

    index: int
    name: str
    """As a mapping names it."""
    heading: str
    cells: Sequence[Cell]
    """Of every row that was looked at."""

    @cached_property
    def meanings(self) -> list[HeadingMeaning]:
        """What the heading may mean."""
        return find_meanings(self.heading)

    @cached_property
    def values(self) -> list[Cell]:
        """The filled cells."""
        return [cell for cell in self.cells if is_filled(cell) and not isinstance(cell, FaultyCell)]

    @cached_property
    def texts(self) -> list[str]:
        """The filled cells' texts."""
        return list(map(to_text, self.values))

    def means(self, *meanings: Meaning) -> HeadingMeaning | None:
        """Return the heading's first meaning among some; None if it has none of them."""
        return next((one for one in self.meanings if one.meaning in meanings), None)

    @cached_property
    def phones(self) -> int:
        """Number of values with a phone number."""
        return sum(any(map(parse_phone, [text, *SEPARATORS.split(text)])) for text in self.texts)

    @cached_property
    def several(self) -> int:
        """Number of values with more than one phone number."""
        return sum(
            len(set(filter(None, map(parse_phone, SEPARATORS.split(text))))) > 1
            for text in self.texts
        )

    @cached_property
    def numbers(self) -> int:
        """Number of values that are whole numbers."""
        return sum(map(_is_number, self.values))

    @cached_property
    def codes(self) -> int:
        """Number of values that are unit codes below a state."""
        return sum("-" in (parse_code(text) or "") for text in self.texts)

    @cached_property
    def links(self) -> int:
        """Number of values that are addresses of pages."""
        return sum(text.startswith(("http://", "https://")) for text in self.texts)

    @cached_property
    def date_cells(self) -> int:
        """Number of a workbook's date cells."""
        return sum(isinstance(value, date) for value in self.values)

    @cached_property
    def format(self) -> tuple[str | None, int]:
        """The format that reads most of the texts, and how many; None is ISO."""
        texts = [value for value in self.values if not isinstance(value, date)]
        best: tuple[str | None, int] = None, 0
        for form in (*FORMATS, *_MONTH_FIRST):
            count = sum(_parses(text, form) for text in texts)
            if count > best[1]:
                best = form, count
            if count == len(texts):
                break
        return best

    @property
    def days(self) -> int:
        """Number of values that are days or instants."""
        return self.date_cells + self.format[1]

    def is_mostly(self, count: int) -> bool:
        """Whether a number of values are most of the values."""
        return bool(self.values) and count >= ENOUGH * len(self.values)

    def count_days_in(self, form: str) -> int:
        """Return how many values a format reads."""
        return sum(_parses(value, form) for value in self.values)


def iter_profiles(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]]
) -> Iterator[ColumnProfile]:
    """Yield the profile of each column with a name.

    Args:
        columns: the table's column names.
        rows: its first rows.
    """
    for index, heading in enumerate(columns):
        if not heading:
            continue
        same = [other for other, name in enumerate(columns) if name == heading]
        name = heading if len(same) == 1 else f"{heading} ({same.index(index) + 1})"
        cells = [row[index] if index < len(row) else None for row in rows]
        yield ColumnProfile(index, name, heading, cells)


def _is_number(value: Cell) -> bool:
    try:
        to_integer(value)
    except ConversionError:
        return False
    return True


def _parses(value: Cell, form: str | None) -> bool:
    if isinstance(value, date | bool | int | float):
        return False
    try:
        TimeFormat(format=form).parse(value)
    except ConversionError:
        return False
    return True
