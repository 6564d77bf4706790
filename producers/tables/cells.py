"""Cells that have no value: errors of formulas, formulas without a result, merged cells."""

import re
from typing import NamedTuple

from producers.mapping.conversions import Cell, to_text

# What spreadsheets show instead of a value: Excel's errors, LibreOffice's `Err:502`, and the row
# of hashes that a too narrow column shows and some programs export.
_ERROR = re.compile(
    r"#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NULL!|NUM!|SPILL!|CALC!|FIELD!|BLOCKED!|CONNECT!|BUSY!"
    r"|UNKNOWN!|EXTERNAL!|PYTHON!|GETTING_DATA|N/A N/A)|Err:\d{3}|#{3,}"
)
# `="00123"`: how exports keep a spreadsheet from reading a text as a number.
_TEXT_FORMULA = re.compile(r'="((?:[^"]|"")*)"')
_FORMULA = re.compile(
    r"=\s*[@+-]?\s*(?:[A-Za-z_.$][\w.$:!]*\s*[(+*/&:-]|\$?[A-Z]{1,3}\$?\d|\(|\d).*", re.DOTALL
)


class FaultyCell(NamedTuple):
    """A cell whose value is unknown."""

    text: str
    """As the spreadsheet shows it."""
    reason: str
    """Completes the sentence "<column>: …"."""
    is_covered: bool = False
    """Whether the cell lies below or beside the value of a merged cell."""

    def __str__(self) -> str:
        return self.text


def make_error_cell(text: str) -> FaultyCell:
    """Return the cell for a spreadsheet's error, such as `#REF!`."""
    if text.startswith("###"):
        reason = f"{text!r} is not the value: the column was too narrow when it was saved; widen it"
    else:
        reason = f"{text!r} is an error of the spreadsheet's formula; correct it there, save again"
    return FaultyCell(text, reason)


def make_formula_cell(text: str = "") -> FaultyCell:
    """Return the cell for a formula whose result the file does not have."""
    reason = (
        "has a formula and no result, since no spreadsheet program has calculated it; "
        "open the file in Excel or LibreOffice and save it again"
    )
    return FaultyCell(text, reason)


def make_percent_cell(text: str) -> FaultyCell:
    """Return the cell for a number that the spreadsheet shows as a percentage.

    Args:
        text: the number as the file has it, 1 for 100 %.
    """
    try:
        shown = f"{float(text):.10%}".rstrip("%").rstrip("0").rstrip(".") + " %"
    except ValueError:  # the reader reports the damage
        shown = text
    reason = f"{shown!r} is a percentage, as its cell is formatted; a whole number is wanted"
    return FaultyCell(shown, reason)


def check_text(text: str) -> Cell:
    """Return a CSV file's text as a cell: an error or a formula becomes a faulty cell."""
    if not text or text[0] not in " =#E":
        return text
    stripped = text.strip()
    if _ERROR.fullmatch(stripped):
        return make_error_cell(stripped)
    if found := _TEXT_FORMULA.fullmatch(stripped):
        return found[1].replace('""', '"')
    if _FORMULA.fullmatch(stripped):
        return FaultyCell(
            stripped,
            "is a formula and not its result; save the file with formulas not shown",
        )
    return text


def is_filled(cell: Cell) -> bool:
    """Whether there is something in a cell. The rest of a merged cell is empty."""
    if isinstance(cell, FaultyCell):
        return not cell.is_covered
    return bool(to_text(cell))
