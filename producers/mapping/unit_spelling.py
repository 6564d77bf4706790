"""What a text says of a unit, as people write it: `ac84-b17`, `Booth No. 17`, `084-Narayanpur`.

Nothing is guessed here: the gazetteer looks up what was read. Pure.
"""

import re
from typing import NamedTuple

from pravah.units import Level
from producers.mapping.text import normalise_text, to_ascii_digits
from schemas.unit_names import normalise_name, parse_code

_NUMBER_WORDS = "no|num|nr|number|sr|sl|क्रमांक|क्र|क्रं|नंबर|नम्बर|नं|संख्या|सं"
_WORDS: dict[Level, str] = {
    "booth": (
        f"{_NUMBER_WORDS}|booth|b|ps|polling|station|part|matdan|kendra|बूथ|बू|मतदान|म|केंद्र|के|भाग"
    ),
    "assembly": (
        f"{_NUMBER_WORDS}|ac|assembly|constituency|vidhan|sabha|vidhansabha|vs|st|sc|gen|general|seat"
        "|विधानसभा|विधान|वि|सभा|स|क्षेत्र|निर्वाचन|सीट|अ|ज|जा|अजजा|अजा|सामान्य"
    ),
    "district": "district|distt|dist|zila|zilla|jila|jilla|जिला|ज़िला|जिले",
    "division": "division|div|sambhag|संभाग|मंडल",
    "state": "state|rajya|राज्य|प्रदेश",
    "national": "",
}
# Words that say the level of a unit and are none of its name, by level.
LEVEL_WORDS = {
    level: frozenset(map(normalise_name, words.split("|"))) for level, words in _WORDS.items()
}
# 17, B17, B0017; AC084: not 17A, which is another booth than 17.
_NUMBERS: dict[Level, re.Pattern[str]] = {
    "booth": re.compile(r"(?:b|ps|booth|बूथ)?0*(\d{1,4})"),
    "assembly": re.compile(r"(?:ac|विधानसभा)?0*(\d{1,3})"),
}
_ANY_NUMBER = re.compile(r"\d+")
# A spreadsheet's 17.0.
_FRACTION = re.compile(r"^(\d+)\.0+$")
_CODE = re.compile(
    r"(?:(?P<state>[A-Z]{2})-?)?AC-?0*(?P<assembly>\d{1,3})"
    r"(?:-?(?:BOOTH|B|PS|PART)-?(?:NO-?)?0*(?P<booth>\d{1,4}))?"
)
_GAPS = re.compile(r"[\s_\-\u2010-\u2015\u2212/.,]+")


class CodeSpelling(NamedTuple):
    """A code of which zeros or the state may be missing."""

    state: str | None
    rest: str
    """As in the code: `AC084` or `AC084-B0017`."""

    def complete(self, state: str) -> str:
        """Return the code, of a state if the spelling names none."""
        return f"{self.state or state}-{self.rest}"


class NameSpelling(NamedTuple):
    """What a text says besides words such as `booth` and `no.`."""

    name: str
    """Normalised; empty if there is only a number."""
    number: int | None


def read_code(text: str) -> str | CodeSpelling | None:
    """Return the code that a text spells, with a missing state or zeros; None if it is no code.

    Case, blanks, dashes and invisible characters do not matter.
    """
    if (code := parse_code(normalise_text(text))) is not None:
        return code
    compact = _GAPS.sub("-", to_ascii_digits(normalise_text(text))).strip("-").upper()
    found = _CODE.fullmatch(compact)
    if found is None:
        return None
    booth = f"-B{int(found['booth']):04}" if found["booth"] else ""
    spelling = CodeSpelling(found["state"], f"AC{int(found['assembly']):03}{booth}")
    return spelling.complete("") if spelling.state else spelling


def read_name(text: str, level: Level) -> NameSpelling | None:
    """Return the name and number of a unit of a level; None if the text has several numbers."""
    pattern = _NUMBERS.get(level, _ANY_NUMBER)
    plain = _FRACTION.sub(r"\1", to_ascii_digits(normalise_text(text)))
    # P.S. is a polling station, A.C. an assembly constituency
    words = re.sub(r"\b([pa]) ([sc])\b", r"\1\2", normalise_name(plain)).split()
    words = [word for word in words if word not in LEVEL_WORDS[level]]
    numbers = [found for word in words if (found := pattern.fullmatch(word)) is not None]
    if len(numbers) > 1:
        return None
    name = " ".join(word for word in words if not pattern.fullmatch(word))
    return NameSpelling(name, int(numbers[0][numbers[0].re.groups]) if numbers else None)


def is_number(text: str) -> bool:
    """Whether a text is the number of an assembly or a booth and no more."""
    return any(
        spelling is not None and spelling.number is not None and not spelling.name
        for spelling in (read_name(text, "booth"), read_name(text, "assembly"))
    )


def make_suffix(level: Level, number: int) -> str | None:
    """Return how the code of a unit with a number ends; None if codes of the level have none."""
    return {"assembly": f"-AC{number:03}", "booth": f"-B{number:04}"}.get(level)
