"""Names and codes of units as people write them, and the error for a name that does not exist.

Pure. `sinks/lookup.py` finds units, metrics and milestones by them in ClickHouse; its `fold`
is `normalise_name` in SQL.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import NamedTuple

from pravah.errors import PravahError
from pravah.units import RANK, UNIT_CODE_PATTERN
from schemas.registry import Registry, Unit

# A nasal before a consonant of its own class may be written as anusvara: केन्द्र and केंद्र are one
# word.
NASALS = (("ङ", "कखगघ"), ("ञ", "चछजझ"), ("ण", "टठडढ"), ("न", "तथदध"), ("म", "पफबभ"))
MAX_NEAREST = 5

_NASAL = re.compile("|".join(f"{nasal}्(?=[{following}])" for nasal, following in NASALS))
_CODE = re.compile(UNIT_CODE_PATTERN)
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_GAPS = re.compile(r"[\s_-]+")
_MAX_QUOTED_LENGTH = 60
_UNIT = "unit"
# Units that are less alike are not compared in detail.
_MIN_SIMILARITY = 0.5


class Named(NamedTuple):
    """A unit, metric or milestone to choose from."""

    code: str
    description: str = ""
    """What it is called, such as `district Narayanpur नारायणपुर`."""
    level: str = ""
    """Of a unit; of a metric or milestone, this and the names are empty."""
    name_en: str = ""
    name_hi: str = ""

    def __str__(self) -> str:
        return f"{self.code} ({self.description})" if self.description else self.code


class UnknownNameError(PravahError):
    """A unit, metric or milestone that does not exist, or a name that several units have."""

    def __init__(
        self,
        kind: str,
        text: str,
        nearest: Sequence[Named],
        *,
        several: int = 0,
        where: str = "",
    ) -> None:
        """Describe the mistake.

        Args:
            kind: `unit`, `metric` or `milestone`.
            text: as it was given.
            nearest: what may have been meant, the likeliest first.
            several: how many units have this name, if it is the name of more than one.
            where: where it was looked for, such as `the registry`.
        """
        self.kind, self.text, self.nearest, self.several = kind, text, list(nearest), several
        shown = ", ".join(map(str, nearest))
        short = text if len(text) <= _MAX_QUOTED_LENGTH else text[: _MAX_QUOTED_LENGTH - 1] + "…"
        quoted = short if _WORD.fullmatch(short) else repr(short)
        if several:
            rest = several - len(nearest)
            more = f" and {rest:,} more" if rest > 0 else ""
            self.detail = f"{quoted} is the name of {several:,} units: {shown}{more}; give the code"
        else:
            hint = f"; nearest: {shown}" if nearest else ""
            self.detail = f"{quoted} is not in {where}{hint}"
        super().__init__(f"{kind}: {self.detail}")


@lru_cache(maxsize=100_000)
def normalise_name(name: str) -> str:
    """Return the form in which names of units are compared.

    Without case, punctuation and invisible characters; digits as 0 to 9; nasals in Devanagari as
    anusvara.
    """
    text = "".join(
        sign
        for sign in unicodedata.normalize("NFC", name).casefold()
        if unicodedata.category(sign) != "Cf"
    )
    text = _NASAL.sub("ं", text).replace("ँ", "ं")
    return " ".join("".join(map(_fold_sign, text)).split())


def _fold_sign(sign: str) -> str:
    if sign.isdecimal():
        return str(unicodedata.decimal(sign))
    return sign if unicodedata.category(sign)[0] in "LMN" else " "


def parse_code(text: str) -> str | None:
    """Return the unit code that a text spells; None if it spells none.

    Case, blanks, underscores, dashes of any kind and invisible characters do not matter.
    """
    visible = "".join(
        "-" if unicodedata.category(sign) == "Pd" else sign
        for sign in unicodedata.normalize("NFKC", text)
        if unicodedata.category(sign) != "Cf"
    )
    digits = "".join(
        str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in visible
    )
    code = _GAPS.sub("-", digits.strip()).upper()
    return code if _CODE.fullmatch(code) else None


def find_nearest(text: str, known: Iterable[Named]) -> list[Named]:
    """Return what is most alike, by code or description; the likeliest first."""
    wanted = normalise_name(text)

    def similarity(one: Named) -> float:
        names = (normalise_name(one.code), normalise_name(one.description))
        return max(SequenceMatcher(None, wanted, name).ratio() for name in names)

    return sorted(known, key=similarity, reverse=True)[:MAX_NEAREST]


def find_unit_in(registry: Registry, text: str) -> str:
    """Return the code of the unit that a text names in a registry: `sinks.lookup` without a server.

    Raises:
        UnknownNameError: the text names no unit, or several.
    """
    code = parse_code(text)
    if code in registry.units:
        return code
    name = normalise_name(text)
    named = [
        unit
        for unit in registry.units.values()
        if name and name in {normalise_name(unit.name_en), normalise_name(unit.name_hi)}
    ]
    if len(named) == 1:
        return named[0].code
    if named:
        named.sort(key=lambda unit: (RANK[unit.level], unit.code))
        choices = list(map(describe, named[:MAX_NEAREST]))
        raise UnknownNameError(_UNIT, text, choices, several=len(named))
    raise UnknownNameError(_UNIT, text, search_units_in(registry, text), where="the registry")


def search_units_in(
    registry: Registry, text: str, limit: int = MAX_NEAREST, *, only_containing: bool = False
) -> list[Named]:
    """Return the units whose code or name contains a text, and then those that are alike."""
    name, code = normalise_name(text), parse_code(text) or text.strip().upper()

    def distance(unit: Unit) -> float:
        names = (normalise_name(unit.name_en), normalise_name(unit.name_hi))
        if (code and code in unit.code) or (name and any(name in one for one in names)):
            return 0.0
        alike = (
            SequenceMatcher(None, code, unit.code),
            *(SequenceMatcher(None, name, one) for one in names),
        )
        return 1.0 - max(
            one.ratio() if one.real_quick_ratio() > _MIN_SIMILARITY else 0.0 for one in alike
        )

    found = sorted(
        (distance(unit), RANK[unit.level], unit.code) for unit in registry.units.values()
    )
    return [
        describe(registry.units[code])
        for far, _, code in found[:limit]
        if not (only_containing and far)
    ]


def describe(unit: Unit) -> Named:
    """Describe a unit as an error offers it."""
    description = f"{unit.level} {unit.name_en} {unit.name_hi}"
    return Named(unit.code, description, unit.level, unit.name_en, unit.name_hi)
