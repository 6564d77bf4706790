"""Phone numbers that stand open in the name of an entity, which is kept for ever.

`producers.mapping.phones` reads a cell that is meant as a phone number. Here nothing is said about
the text, so more must speak for it: the form of an Indian mobile number, with the digits grouped as
people group them, or a mark such as +91, `tel:` or a WhatsApp address. A number that belongs to
letters, as MEM-9000000001, is another number. Pure.
"""

import re
import unicodedata

from producers.mapping.phones import LABEL, parse_phone
from producers.mapping.text import fold_text, to_ascii_digits

ADVICE = (
    "looks like a phone number, and an entity's name is kept for ever: write hash = [{name}] under "
    "entity in the mapping, or numbers = [{name}] if it is the number of something else"
)
_SEPARATOR = "[\\s().\\-\u2010-\u2015\u2212\u00b7]"
# Marks that say that a number is for calling. `whatsapp:` also begins the ids of groups.
_MARKED = re.compile(
    rf"(?:\+|%2b)\s*91{_SEPARATOR}*0?[6-9](?:{_SEPARATOR}*\d){{9}}(?!\d)"
    r"|(?<!\w)(?:tel|sms|callto|whatsapp)(?::|%3a)(?://)?(?:\+?91|0)?[6-9]\d{9}(?![\d@-])"
    r"|(?<!\w)(?:tel|sms|callto)(?::|%3a)(?://)?\+[1-9]\d{7,14}(?!\d)"
    r"|wa\.me/\+?\d{10,15}|whatsapp\.com/send/?\?phone=\+?\d{10,15}"
    r"|(?<!\d)\d{10,15}@(?:c\.us|s\.whatsapp\.net)"
)
# Ids whose digits are by chance, or a group's: not a number that somebody calls.
_IDS = re.compile(
    r"(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])"
    r"|(?<![\d-])\d+(?:-\d+)?@g\.us"
)
_CLUSTER = re.compile(rf"\d(?:{_SEPARATOR}*\d)*")
_GROUP = re.compile(r"\d+")
_MOBILE = re.compile(r"(?:(?:00)?91)?0?[6-9]\d{9}")
_YEAR = re.compile(r"(?:19|20)\d\d")
_DECIMAL = re.compile(r"\d{1,3}\.\d+")
_PREFIX = re.compile(r"(?:0|(?:00)?91)")
_OF_LETTERS = re.compile(r"[^\W\d_][-/_#]?$")


def is_marked_phone(text: str) -> bool:
    """Whether a text has a phone number that cannot be another number: +91…, tel:, an address."""
    return _MARKED.search(_fold(text)) is not None


def has_open_phone(text: str) -> bool:
    """Whether a text is, or has in it, what looks like an Indian mobile number.

    So does a number of another country with its plus. The number may be written with +91, 91, 0,
    blanks, dashes, brackets, and digits of any script.
    """
    folded = _fold(text)
    if _MARKED.search(folded):
        return True
    if "+" in folded and parse_phone(text) is not None:
        return True
    plain = LABEL.sub(" ", _IDS.sub(" ", folded))
    if re.fullmatch(r"\s*\d{1,3}(?:,\d{2,3})+(?:\.0+)?\s*", plain):  # as a spreadsheet shows it
        plain = plain.replace(",", "")
    return any(_is_mobile(plain, found) for found in _CLUSTER.finditer(plain))


def _is_mobile(plain: str, cluster: re.Match[str]) -> bool:
    """Whether one group of a cluster of digits, or all of them together, is a mobile number."""
    for group in _GROUP.finditer(plain, cluster.start(), cluster.end()):
        is_of_letters = _is_of_letters(plain, group.start(), group.end())
        if not is_of_letters and _MOBILE.fullmatch(group[0]):
            return True
    groups = _GROUP.findall(cluster[0])
    if not _MOBILE.fullmatch("".join(groups)) or _DECIMAL.fullmatch(cluster[0]):
        return False
    if len(groups) > 1 and _PREFIX.fullmatch(groups[0]):
        groups = groups[1:]
    is_date = len(groups) > 2 and any(map(_YEAR.fullmatch, groups))  # noqa: PLR2004
    is_grouped = all(len(group) > 1 for group in groups)
    return is_grouped and not is_date and not _is_of_letters(plain, *cluster.span())


def _is_of_letters(plain: str, begin: int, end: int) -> bool:
    """Whether letters stand right before or after some digits, so that they are no phone number."""
    is_before = _OF_LETTERS.search(plain[max(begin - 2, 0) : begin]) is not None
    return is_before or plain[end : end + 1].isalpha()


def _fold(text: str) -> str:
    return to_ascii_digits(fold_text(unicodedata.normalize("NFKC", text)))
