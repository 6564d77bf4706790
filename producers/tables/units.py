"""Look-up of the unit that a row names."""

from collections.abc import Callable
from datetime import datetime

from pravah.days import day_of_micros, instant_micros
from producers.mapping.conversions import (
    Cell,
    ConversionError,
    find_value,
    to_identifier,
    to_text,
)
from producers.mapping.gazetteer import Gazetteer, UnitError, redact
from producers.mapping.unit_spelling import read_code
from producers.tables.mapping import UnitLookup


def find_unit(
    lookup: UnitLookup,
    column: str,
    cell: Cell,
    get_cell: Callable[[str], Cell],
    occurred_at: datetime | None,
    gazetteer: Gazetteer | None,
) -> str:
    """Return the code of the unit that a cell names; a text that is no code as it is.

    Args:
        lookup: how the cell names the unit.
        column: the cell's, for messages.
        cell: the cell, or a part of one.
        get_cell: column → the row's cell.
        occurred_at: when it happened: names are looked up on that day. None if it is unknown.
        gazetteer: finds units; only codes are found without it.

    Raises:
        UnitError: the cell is empty, or names no unit or several.
    """
    text = _read_name(column, cell)
    if not text:
        msg = f"{column}: is empty; it must say which unit reports"
        raise UnitError(msg)
    if lookup.values is not None:
        found = find_value(lookup.values, text)
        if found is None:
            msg = f"{column}: {redact(text)} is not among unit.values"
            raise UnitError(msg)
        text = found
    within = [] if lookup.within is None else [lookup.within]
    if gazetteer is None or (lookup.by == "code" and lookup.within is None):
        return _complete_code(column, text, gazetteer)
    if occurred_at is None:
        return ""  # the row is refused for its date
    day = day_of_micros(instant_micros(occurred_at))
    for level, above in lookup.above.items():
        name = _read_name(above, get_cell(above))
        if not name:
            msg = f"{above}: is empty; it must name the {level} of the unit"
            raise UnitError(msg)
        try:
            within.append(gazetteer.find_at_level(name, day, level, within))
        except UnitError as error:
            msg = f"{above}: {error}"
            raise UnitError(msg) from None
    try:
        return gazetteer.find(text, day, by=lookup.by, level=lookup.level, within=within)
    except UnitError as error:
        msg = f"{column}: {error}"
        raise UnitError(msg) from None


def _read_name(column: str, cell: Cell) -> str:
    """Return the text of a cell that names a unit, empty if the cell is.

    Raises:
        UnitError: the text lost its meaning.
    """
    try:
        return to_identifier(cell) if to_text(cell) else ""
    except ConversionError as error:
        msg = f"{column}: {redact(to_text(cell))} {error}"
        raise UnitError(msg) from None


def _complete_code(column: str, text: str, gazetteer: Gazetteer | None) -> str:
    """Return the code that a text spells, or the text if it spells none.

    Raises:
        UnitError: units of several states have the code.
    """
    if gazetteer is None:
        code = read_code(text)
        return code if isinstance(code, str) else text
    try:
        return gazetteer.complete_code(text) or text
    except UnitError as error:
        msg = f"{column}: {error}"
        raise UnitError(msg) from None
