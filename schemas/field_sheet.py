"""The sheet of a back-check: what goes to the field, and what comes back.

A line has the unit's name, whom to call, what was claimed in words, and room for what was found.
Keys and hashes are in a file of their own, which stays where the sheet was drawn: a line of the
sheet is found there by its number.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pravah.languages import Lang, languages_of
from schemas.back_check import CheckedEntity, Outcome, SheetError
from schemas.unit_names import parse_code

# Field of a line → its headings in Hindi and English.
HEADINGS: dict[str, tuple[str, str]] = {
    "number": ("क्रम", "no."),
    "unit": ("इकाई", "unit"),
    "code": ("इकाई कोड", "unit code"),
    "call": ("किससे बात करें", "whom to call"),
    "phone": ("फ़ोन", "phone"),
    "day": ("दिन", "day"),
    "claim": ("क्या बताया गया", "what was claimed"),
    "checked_on": ("जाँच की तिथि", "checked on"),
    "found": ("सही मिला? (हाँ/नहीं)", "found? (yes/no)"),
    "remark": ("टिप्पणी", "remark"),
}
# Columns of the file for the machine.
KEY_COLUMNS = ("number", "key", "entity", "version", "unit", "kind", "day", "data")

_YES = ("yes", "y", "true", "1", "verified", "ok", "हाँ", "हां", "हा", "जी हाँ", "सही", "✓")
_NO = ("no", "n", "false", "0", "rejected", "नहीं", "नही", "न", "गलत", "ग़लत", "✗", "x")
_OUTCOMES: dict[str, Outcome] = {
    **dict.fromkeys(_YES, "verified"),
    **dict.fromkeys(_NO, "rejected"),
}
_MAX_SHOWN = 40


class FieldLine(NamedTuple):
    """A line of the sheet as it goes to the field; the room for the finding is empty."""

    number: int
    unit: str
    """Its name, and those of units above it where the name says little."""
    code: str
    call: str
    phone: str
    day: str
    claim: str
    checked_on: str = ""
    found: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Findings:
    """What a sheet that came back says."""

    outcomes: list[CheckedEntity]
    open: int
    """Lines without a finding."""


def headings(lang: Lang) -> list[str]:
    """The headings of a sheet; with both languages in one line."""
    return [_heading(field, lang) for field in HEADINGS]


def is_field_sheet(columns: Sequence[str]) -> bool:
    """Whether a file with these columns is a sheet for the field, in any language."""
    places = _find_columns(columns)
    return "number" in places and "found" in places


def read_findings(
    columns: Sequence[str],
    rows: Iterable[tuple[int, Sequence[str]]],
    keys: Iterable[Mapping[str, str]],
) -> Findings:
    """Match the lines of a sheet with the keys of the sample.

    Args:
        columns: of the sheet, in any language and order.
        rows: number of the row, and its cells as text.
        keys: rows of the file for the machine.

    Raises:
        SheetError: with all findings, by row.
    """
    places = _find_columns(columns)
    if missing := [
        _heading(name, "both") for name in ("number", "code", "found") if name not in places
    ]:
        raise SheetError([f"the columns {', '.join(missing)} are missing"])
    known = {row["number"]: row for row in keys}
    problems: list[str] = []
    outcomes: dict[str, CheckedEntity] = {}
    open_lines = 0
    for row, cells in rows:
        line = {name: cells[at].strip() if at < len(cells) else "" for name, at in places.items()}
        if not line["found"]:
            open_lines += 1
            continue
        number = line["number"].removesuffix(".0").removesuffix(".")
        problem = _find_problem(line, number, known)
        if number in outcomes:
            problem = problem or f"number {number} has a finding already, in a row above"
        if problem:
            problems.append(f"row {row}: {problem}")
            continue
        key = known[number]
        outcomes[number] = CheckedEntity(
            key=key["key"],
            entity=key["entity"],
            version=int(key["version"]),
            outcome=_OUTCOMES[_fold(line["found"])],
        )
    if problems:
        raise SheetError(problems)
    return Findings(list(outcomes.values()), open_lines)


def _find_problem(
    line: Mapping[str, str], number: str, known: Mapping[str, Mapping[str, str]]
) -> str:
    if number not in known:
        return f"{line['number']!r} is not a number of this sample; it has 1 to {len(known)}"
    if (unit := known[number]["unit"]) != (parse_code(line["code"]) or ""):
        return (
            f"number {number} is of {unit}, not of {line['code']!r}: "
            "is this the sheet of another sample, or was it sorted without its numbers?"
        )
    if _fold(line["found"]) not in _OUTCOMES:
        shown = line["found"][:_MAX_SHOWN]
        return f"{shown!r} is neither yes nor no (हाँ, नहीं); write what else there is as a remark"
    return ""


def _find_columns(columns: Sequence[str]) -> dict[str, int]:
    """Field → place of its column, whatever language its heading is in."""
    return dict(_iter_places(columns))


def _iter_places(columns: Sequence[str]) -> Iterator[tuple[str, int]]:
    by_heading = {
        _fold(_heading(field, lang)): field for field in HEADINGS for lang in ("hi", "en", "both")
    }
    for place, column in enumerate(columns):
        field = by_heading.get(_fold(column))
        if field is not None:
            yield field, place


def _heading(field: str, lang: Lang) -> str:
    hindi, english = HEADINGS[field]
    return " / ".join(hindi if one == "hi" else english for one in languages_of(lang))


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().strip(" .!।").split())
