"""Look-up of the unit that a row names."""

import re
import unicodedata
from collections.abc import Callable
from datetime import datetime

from pravah.days import day_of_micros, instant_micros
from pravah.units import UNIT_CODE_PATTERN
from producers.mapping.conversions import (
    Cell,
    ConversionError,
    find_value,
    to_identifier,
    to_text,
)
from producers.mapping.gazetteer import Gazetteer, UnitError, redact
from producers.mapping.text import to_ascii_digits
from producers.tables.mapping import UnitMapping

_CODE = re.compile(UNIT_CODE_PATTERN)
_GAPS = re.compile(r"[\s_-]+")


def find_unit(
    mapping: UnitMapping,
    get_cell: Callable[[str], Cell],
    occurred_at: datetime | None,
    gazetteer: Gazetteer | None,
) -> str:
    """Return the code of the unit that a row names; a text that is no code as it is.

    Args:
        mapping: where and how the row names the unit.
        get_cell: column → the row's cell.
        occurred_at: when it happened: names are looked up on that day. None if it is unknown.
        gazetteer: finds units; only codes are found without it.

    Raises:
        UnitError: the cell is empty, or names no unit or several.
    """
    text = _read_name(mapping.column, get_cell(mapping.column))
    if not text:
        msg = f"{mapping.column}: is empty; it must say which unit reports"
        raise UnitError(msg)
    if mapping.values is not None:
        found = find_value(mapping.values, text)
        if found is None:
            msg = f"{mapping.column}: {redact(text)} is not among unit.values"
            raise UnitError(msg)
        text = found
    if mapping.by == "code" or gazetteer is None:
        return normalise_code(text)
    if occurred_at is None:
        return ""  # the row is refused for its date
    day = day_of_micros(instant_micros(occurred_at))
    within = []
    for level, column in mapping.above.items():
        name = _read_name(column, get_cell(column))
        if not name:
            msg = f"{column}: is empty; it must name the {level} of the unit"
            raise UnitError(msg)
        try:
            within.append(gazetteer.find_at_level(name, day, level))
        except UnitError as error:
            msg = f"{column}: {error}"
            raise UnitError(msg) from None
    try:
        return gazetteer.find(text, day, by=mapping.by, level=mapping.level, within=within)
    except UnitError as error:
        msg = f"{mapping.column}: {error}"
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


def normalise_code(text: str) -> str:
    """Return a unit's code without what people do to it: lower case, blanks, invisible characters.

    A text that is no code even so is returned as it is.
    """
    visible = "".join(
        "-" if unicodedata.category(letter) == "Pd" else letter
        for letter in unicodedata.normalize("NFKC", to_ascii_digits(text))
        if unicodedata.category(letter) != "Cf"
    )
    code = _GAPS.sub("-", visible.strip()).upper()
    return code if _CODE.fullmatch(code) else text
