"""The header of a table: which rows it is, and which column a name means."""

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date
from typing import NamedTuple

from producers.mapping.conversions import Cell, to_text
from producers.mapping.text import fold_text, normalise_text
from producers.tables.cells import is_filled

# Rows that are searched for the header.
SEARCHED_ROWS = 50
_NUMBERED = re.compile(r"(.*\S)\s*\((\d{1,3})\)", re.DOTALL)
_NUMBER = re.compile(r"[\d.,/:+\- ]+")
_SEPARATOR = " / "


class Header(NamedTuple):
    """The names of a table's columns."""

    columns: list[str]
    first_row: int
    """From 1."""
    rows: int
    """One, or two for a header with groups of columns."""
    width: int
    """Number of cells of its longest row, empty ones at the end included."""

    @property
    def end(self) -> int:
        """The last row of the header, from 1."""
        return self.first_row + self.rows - 1


class ColumnNames:
    """Finds the column that a mapping names."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = [to_text(name) for name in names]
        self._by_name = _group(self._names)
        self._by_key = _group([_make_key(name) for name in self._names])
        # `New` of `Members / New`
        self._by_lower = _group([_make_key(name.rpartition(_SEPARATOR)[2]) for name in self._names])

    def find(self, name: str) -> int:
        """Return the index of a column.

        The name may differ in Unicode form, case, blanks, line breaks and invisible characters.
        `Name (2)` is the second of several equal columns. In a header of two rows, `New` finds
        `Members / New` if there is no other `New`.

        Raises:
            LookupError: there is no such column, or more than one; with the reason.
        """
        indexes = self._find_all(name)
        if len(indexes) == 1:
            return indexes[0]
        if indexes:
            shown = self._names[indexes[0]]
            msg = (
                f"the table has {len(indexes)} columns {shown!r}; "
                f"say {f'{shown} (1)'!r} for the first, {f'{shown} (2)'!r} for the second"
            )
            raise LookupError(msg)
        msg = f"the table has no column {name!r}; it has {', '.join(self._names)}"
        raise LookupError(msg)

    def has(self, name: str) -> bool:
        """Whether there is such a column, or more than one."""
        return bool(self._find_all(name))

    def is_one(self, name: str) -> bool:
        """Whether there is exactly one such column."""
        return len(self._find_all(name)) == 1

    def _find_all(self, name: str) -> list[int]:
        plain = to_text(name)
        return (
            self._by_name.get(plain)
            or self._find_numbered(plain)
            or self._by_key.get(_make_key(plain))
            or self._by_lower.get(_make_key(plain))
            or []
        )

    def _find_numbered(self, name: str) -> list[int]:
        found = _NUMBERED.fullmatch(name)
        if found is None:
            return []
        same = self._by_key.get(_make_key(found[1]), [])
        number = int(found[2])
        return [same[number - 1]] if len(same) > 1 and 1 <= number <= len(same) else []


def find_header(
    rows: Sequence[list[Cell]],
    *,
    columns: Collection[str] = (),
    first_row: int | None = None,
    height: int | None = None,
    merged: Collection[tuple[int, int, int, int]] = (),
) -> Header | None:
    """Find the header among a table's first rows.

    With the names of the columns, it is the first row that has them all, alone or together with the
    row below it; else the row that has most. Without, it is the first row of several texts that is
    about as wide as the table.

    Args:
        rows: the first rows.
        columns: names that the mapping uses.
        first_row: the header's first row, from 1, if it is known.
        height: the header's number of rows, 1 or 2, if it is known.
        merged: ranges of merged cells: first row and column, last row and column, from 0.

    Returns:
        The header, None if there is none.
    """
    if first_row is not None:
        starts = [first_row - 1] if first_row <= len(rows) else []
    else:
        starts = [index for index, row in enumerate(rows) if any(map(is_filled, row))]
    candidates = [
        _make_header(rows, start, count, merged)
        for start in starts
        for count in ([height] if height else [1, 2])
        # a title above the names is one cell, however wide
        if count == 1 or (start + count <= len(rows) and _count_filled(rows[start]) > 1)
    ]
    candidates = [header for header in candidates if any(header.columns)]
    if not candidates:
        return None
    if columns:
        # max returns the first of the best
        best = max(candidates, key=lambda header: _count_found(header, columns))
        if _count_found(best, columns) > 0:
            return best
    if first_row is not None:
        return candidates[0]
    return _find_by_shape(rows, candidates, merged)


def _find_by_shape(
    rows: Sequence[list[Cell]],
    candidates: list[Header],
    merged: Collection[tuple[int, int, int, int]],
) -> Header | None:
    width = max(_count_filled(row) for row in rows)
    for header in candidates:
        cells = [cell for cell in rows[header.first_row - 1] if is_filled(cell)]
        texts = [cell for cell in cells if _is_name(cell)]
        if len(texts) < min(2, width) or len(texts) * 2 < len(cells):
            continue
        if len(texts) * 2 < width:
            continue  # a title
        two = next((other for other in candidates if other[1:3] == (header.first_row, 2)), None)
        if header.rows == 1 and two and _has_groups(rows, header.first_row - 1, merged):
            return two
        return header
    first = candidates[0]
    return first if first.first_row == 1 else None


def _make_header(
    rows: Sequence[list[Cell]],
    start: int,
    count: int,
    merged: Collection[tuple[int, int, int, int]],
) -> Header:
    width = max(len(rows[start + index]) for index in range(count))
    upper = _fill_merged(rows[start], start, width, merged)
    names = upper
    if count == 2:  # noqa: PLR2004 - groups above names
        lower = _fill_merged(rows[start + 1], start + 1, width, merged)
        names, group = [], ""
        for above, below in zip(upper, lower, strict=True):
            group = above or (group if below else "")
            names.append(_SEPARATOR.join(part for part in (group, below) if part))
    while names and not names[-1]:
        names.pop()
    return Header(names, start + 1, count, width)


def _fill_merged(
    row: list[Cell], number: int, width: int, merged: Collection[tuple[int, int, int, int]]
) -> list[str]:
    """Return a row's texts, with the text of a merged cell in all its columns."""
    texts = [to_text(cell) for cell in row]
    texts += [""] * (width - len(texts))
    for top, left, _, right in merged:
        if top == number and left < width:
            for column in range(left + 1, min(right + 1, width)):
                texts[column] = texts[column] or texts[left]
    return texts


def _has_groups(
    rows: Sequence[list[Cell]], start: int, merged: Collection[tuple[int, int, int, int]]
) -> bool:
    """Whether a row's merged cells have names of their own below each part."""
    below = rows[start + 1]
    return any(
        top == bottom == start
        and left < right < len(below)
        and all(_is_name(below[column]) for column in range(left, right + 1))
        for top, left, bottom, right in merged
    )


def _count_found(header: Header, columns: Collection[str]) -> int:
    names = ColumnNames(header.columns)
    return sum(names.has(column) for column in columns)


def _count_filled(row: list[Cell]) -> int:
    return sum(map(is_filled, row))


def _is_name(cell: Cell) -> bool:
    text = to_text(cell)
    return (
        bool(text) and not isinstance(cell, int | float | date) and _NUMBER.fullmatch(text) is None
    )


def _make_key(name: str) -> str:
    """Return a name without what people do not see: case, blanks, invisible characters."""
    return fold_text(normalise_text(name).replace(_SEPARATOR, " "))


def _group(names: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        if name:
            found[name].append(index)
    return dict(found)
