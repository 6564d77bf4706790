"""Forms in which texts are compared. What people do not see makes no difference.

Two texts that look the same may differ in their Unicode form, in blanks and in invisible characters
such as joiners, direction marks and byte order marks. They are compared by `normalise_text` or
`fold_text`, on both sides. Texts that are stored keep their joiners, which Devanagari may need.
Pure.
"""

import re
import unicodedata
from functools import lru_cache

from pravah.control_characters import explain_control_character

# Letters, marks and blanks that have no shape of their own, besides the format characters (Cf) and
# control characters (Cc).
_BLANK_SHAPES = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0\u180b\u180c\u180d\u180f")
_VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
# What surrounds a text and is none of it. A joiner at the end may belong to a half letter.
_EDGE = (
    "[\\s\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]+"
)
_EDGES = re.compile(f"^{_EDGE}|{_EDGE}$")


def to_ascii_digits(text: str) -> str:
    """Replace the digits of any script, such as Devanagari, by 0 to 9."""
    return (
        text
        if text.isascii()
        else "".join(
            str(unicodedata.decimal(letter)) if letter.isdecimal() else letter for letter in text
        )
    )


def is_invisible(character: str) -> bool:
    """Whether a character has no shape and is no blank: joiners, direction marks, selectors."""
    return (
        (unicodedata.category(character) in {"Cf", "Cc"} and not character.isspace())
        or character in _BLANK_SHAPES
        or any(ord(character) in selectors for selectors in _VARIATION_SELECTORS)
    )


def strip_text(text: str) -> str:
    """Return a text in NFC, without blanks and invisible characters around it."""
    if text.isascii() and text.isprintable():
        return text.strip()
    stripped = unicodedata.normalize("NFC", _EDGES.sub("", text))
    return "" if all(map(is_invisible, stripped)) else stripped


def remove_format_characters(text: str) -> str:
    """Return a text without marks of direction, zero-width spaces and the like.

    Joiners stay, and so do line breaks and other control characters: a person sees their effect,
    and corrects them.
    """
    if text.isprintable():
        return text
    return "".join(
        letter
        for letter in text
        if unicodedata.category(letter) != "Cf" or explain_control_character(letter) is None
    )


@lru_cache(maxsize=100_000)
def normalise_text(text: str) -> str:
    """Return a text in NFC, with single blanks and without invisible characters."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    visible = "".join(letter for letter in text if not is_invisible(letter))
    return unicodedata.normalize("NFC", " ".join(visible.split()))


@lru_cache(maxsize=100_000)
def fold_text(text: str) -> str:
    """Return the form in which words that people write are compared: also without case."""
    return " ".join(normalise_text(text).casefold().split())
