"""Recognition of texts that lost their meaning on the way: two of them may look the same.

Each reason says how it came about and what to do; it never repeats the text, which may be personal.
Pure.
"""

import re

from producers.mapping.text import fold_text, normalise_text, to_ascii_digits

HALF_CHARACTER = "has half of a character, since it was cut off; enter it again"
_OTHER_ENCODING = (
    "was written as UTF-8 and read in another encoding, as \u00e0\u00a4\u2022 for क; read or "
    "import the original as UTF-8"
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)"

# Pattern of a whole text, folded and with ASCII digits → the reason.
_WHOLE_TEXTS = [
    (
        # in English, German, French and Spanish
        re.compile(
            r"#(?:n/?a|nv|n/d|name\?|getting_data|[a-z\u00df-\u00ff0-9/\u00a1]{2,12}[!?])|err:\d{3}"
        ),
        "is an error of a spreadsheet's formula; correct it there and send it again",
    ),
    (
        re.compile(r"#{3,}"),
        "is only #, as a too narrow column shows; widen the column and save it again",
    ),
    (
        # 9.19E+11, 9,19e11, 1E+12, 9.19 x 10^11; not 5E12, which may be the number of a house
        re.compile(
            r"[+-]?\d(?:[.,]\d+e[+-]?\d{1,3}|e\+\d{1,3}"
            r"|[.,]\d+\s*[x\u00d7*]\s*10\s*\^?\s*\d{1,3})"
        ),
        (
            "is a number that a spreadsheet has shortened, so its last digits are lost; format the "
            "column as text in the original file, enter it again and save"
        ),
    ),
    (
        re.compile(r"(?=(?:\D*\d){2})\d*[x*•●#]{3,}\d*"),
        "has hidden digits, so others have the same; give the whole number",
    ),
]
# Pattern within a text → the reason.
_LETTERS = [
    (
        re.compile("\ufffd"),
        (
            "has the replacement character (U+FFFD): letters were lost when it was read in a wrong "
            "encoding; take the original and save it as UTF-8"
        ),
    ),
    # UTF-8 of Devanagari read as Windows-1252, as code pages 437 and 850, and as Mac Roman
    (re.compile("à[¤¥]|[αÓ][ñÑ]|‡[§•]"), _OTHER_ENCODING),
    (
        re.compile(r"\\u\{?[0-9a-f]{4}|\\x[0-9a-f]{2}|_x[0-9a-f]{4}_", re.IGNORECASE),
        "has letters written as codes, such as \\u0915; send the letters themselves",
    ),
]
_LETTERS_BUT_IN_LINKS = [
    (
        re.compile(r"\?{2,}|(?<=\w)\?(?=\w)|^[\s?.,;:()/-]*\?[\s?.,;:()/-]*$"),
        (
            "has question marks for letters: it was saved in an encoding without them; save the "
            "original as UTF-8 (in Excel: CSV UTF-8)"
        ),
    ),
    (
        re.compile(r"&(?:#\d{2,7}|#x[0-9a-f]{2,6}|[a-z]{2,8});", re.IGNORECASE),
        "has letters written as HTML, such as &#2325;; send the letters themselves",
    ),
    (
        # UTF-8 of Devanagari, as links and e-mails encode it
        re.compile(r"[%=]E0[%=]A[45]", re.IGNORECASE),
        "has letters written as codes, such as %E0%A4%95; send the letters themselves",
    ),
]
_ADDRESS = re.compile(r"\w+://|www\.|\w[\w.-]*\.\w+/", re.IGNORECASE)
# Any UTF-8 of two or three bytes, whose bytes are characters of Latin-1.
_UTF8_BYTES = re.compile("[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")
_CP1252 = {
    ord(bytes([byte]).decode("cp1252")): byte
    for byte in range(0x80, 0xA0)
    if byte not in {0x81, 0x8D, 0x8F, 0x90, 0x9D}
}
# A spreadsheet keeps 15 digits of a number and makes zeros of the others.
_EXACT_DIGITS = 15
_ROUNDED = (
    "is a number of more than 15 digits that a spreadsheet has rounded; format the column as text "
    "in the original file, enter it again and save"
)
# 5-3 as a spreadsheet makes a day of it: 5-Mar, Mar-05, 5. März.
_DAY = re.compile(rf"\d{{1,2}}[-/ ]{_MONTH}|{_MONTH}[-/ ]\d{{1,2}}", re.IGNORECASE)
# Days from 1982 to 2064, as a spreadsheet numbers them.
_SERIAL = re.compile(r"[345]\d{4}(?:\.\d+)?")


def explain_garbled(text: str) -> str | None:
    """Return how a text lost its meaning and what to do, None if it seems to have it.

    Args:
        text: of a field that identifies something, names a unit, or is a number.
    """
    plain = to_ascii_digits(normalise_text(text))
    if _is_rounded(plain):
        return _ROUNDED
    folded = fold_text(plain)
    whole = (reason for pattern, reason in _WHOLE_TEXTS if pattern.fullmatch(folded))
    # a byte of UTF-8 may be a blank or a soft hyphen, and other signs may stand between bytes
    return next(whole, None) or _explain_letters(text) or _explain_letters(normalise_text(text))


def explain_number_cell(cell: object) -> str | None:
    """Return the reason why a spreadsheet's number cannot identify anything, else None."""
    return _ROUNDED if isinstance(cell, float) and abs(cell) >= 10**_EXACT_DIGITS else None


def explain_day(text: str) -> str | None:
    """Return the reason why a text that should be no date is a spreadsheet's day, else None."""
    if _DAY.fullmatch(to_ascii_digits(normalise_text(text))):
        return (
            "is a day such as 5-Mar, which a spreadsheet makes of 5-3 or 3/5; format the column as "
            "text in the original file, enter it again and save"
        )
    return None


def explain_serial(text: str) -> str | None:
    """Return a hint on a text that should be a date and is a spreadsheet's number, else None."""
    if _SERIAL.fullmatch(to_ascii_digits(normalise_text(text))):
        return "it looks like a spreadsheet's number of a day: format the column as date"
    return None


def has_half_character(text: str) -> bool:
    """Whether a text has half of a character, which cannot be written as UTF-8."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _explain_letters(text: str) -> str | None:
    """Return the reason why a text's letters are not those that were written, else None."""
    if has_half_character(text):
        return HALF_CHARACTER
    if _UTF8_BYTES.search(text.translate(_CP1252)):
        return _OTHER_ENCODING
    # links have question marks and percent signs of their own
    patterns = _LETTERS if _ADDRESS.search(text) else _LETTERS + _LETTERS_BUT_IN_LINKS
    return next((reason for pattern, reason in patterns if pattern.search(text)), None)


def _is_rounded(text: str) -> bool:
    """Whether the digits that a spreadsheet cannot keep are zeros, so that it is no chance."""
    rest = text[_EXACT_DIGITS:]
    return (
        text.isdigit()
        and bool(rest)
        and not rest.strip("0")
        and (len(rest) > 1 or text.endswith("000"))
    )
