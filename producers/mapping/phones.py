"""One normaliser for phone numbers: E.164, or the reason why a text is no phone number.

`type = "phone"` and `type = "hash"` use it, so a person has one hash however the number is written:
with a country code or without, in Devanagari digits, with labels such as (WA) or मो., in quotation
marks, with invisible direction marks, or as a spreadsheet's 9000000001.0. Pure.
"""

import re
import unicodedata

import phonenumbers

from producers.mapping.text import fold_text, to_ascii_digits

INDIA = "IN"
# Regions whose numbers can be read, as ISO 3166 names them.
REGIONS = frozenset(phonenumbers.SUPPORTED_REGIONS)
_INDIAN_CODE, _INDIAN_DIGITS = 91, 10

# Indian mobile numbers begin with 6 to 9 and have ten digits: Department of Telecommunications,
# National Numbering Plan. They need not be in the metadata of `phonenumbers`, so that a new series
# is known before an update.
_INDIAN_MOBILE = re.compile(r"(?:(?:\+|00)?91)?0?([6-9]\d{9})")
_ONE_NUMBER = re.compile(rf"(?<![\d+]){_INDIAN_MOBILE.pattern}(?!\d)")
_INTERNATIONAL = re.compile(r"(?:\+|00)([1-9]\d{6,14})")
_ADDRESS = re.compile(
    r"(?:https?://)?(?:wa\.me/|(?:api|web)\.whatsapp\.com/send/?\?phone=)\+?(\d+).*|"
    r"(?:whatsapp:)\+?(\d+)|\+?(\d+)@(?:c\.us|s\.whatsapp\.net)"
)
_URN = re.compile(r"(?:tel|whatsapp|sms|callto):(?://)?")
# Words beside a number. Short ones must not stand right before it: M9000000001 is another number.
_LABELS = (
    "whatsapp|whats app|whatsaap|whatsup|watsapp|watsup|wattsapp"
    "|jio|airtel|bsnl|vodafone|idea|mobile|mobil|mob|mbl|telephone|phone|phon|tel"
    "|cellphone|cell|contact|calling|call|numbers|number|num|nos|sms|home|office|personal|self|only"
    "|india|मोबाइल|मोबाईल|मोबा|मोब|मो|फोन|फ़ोन|दूरभाष|नंबर|नम्बर|नं|न|संपर्क|सम्पर्क|व्हाट्सएप्प|व्हाट्सएप|व्हाट्सऐप|व्हाट्सअप"
    "|व्हाट्सप|वाट्सएप|वाट्सअप|वॉट्सऐप|व्हॉट्सएप|व्हॉट्सऐप|निजी|घर|केवल|क्रमांक|क्र|भारत"
)
_SHORT_LABELS = r"w/a|wa|mo|ph|no|nr|(?<=\()[a-z](?=\))|[mpt](?=\s*[.:)\]]|\s+\D|\s*$)|m(?=\s)"
LABEL = re.compile(
    rf"(?:(?<![^\W\d])(?:{fold_text(_LABELS)})(?![^\W\d_])|(?<!\w)(?:{_SHORT_LABELS})(?!\w))[.:°]*"
)
# Between the digits of one number, and around it.
_SEPARATORS = re.compile(
    "[\\s().\\-\u2010-\u2015\u2212\u00b7\u2022\u2043\uff0d\uff08\uff09\\[\\]{}<>:_~#!=।"
    "'\"`\u00b4\u2018-\u201f\u2032\u2033\u00ab\u00bb\u2039\u203a\uff07\uff02]+"
)
_BETWEEN_NUMBERS = re.compile(
    r"[/,;|&\n\\]|(?<=\d)\s*\+\s*(?=\d)|(?<!\w)(?:or|and|also|alt|alternate|या|और|व|एवं|तथा|अथवा)(?!\w)"
)
# 9,000,000,001 and 90,00,00,00,01, as a spreadsheet shows a number.
_WITH_COMMAS = re.compile(r"\d{1,3}(?:,\d{2,3})+|\d{5},\d{5}")
_FRACTION = re.compile(r"(?<=\d{10})[.,]0+(?!\d)")
_LETTERS_FOR_DIGITS = str.maketrans({"o": "0", "l": "1", "i": "1", "|": "1", "s": "5"})
_MIN_DIGITS, _MAX_DIGITS = 7, 15
# A number that belongs to letters, as in MEM-9000000001 and CG/9000000001.
_OTHER_NUMBER = re.compile(r"[^\W\d_][-/_#]?\d|\d[^\W\d_]")
_WORDS = re.compile(r"[^\W\d_]+[.:]?")
_WORD = re.compile(r"[^\W\d_]")
_HIDDEN = re.compile(r"\+?\d*[x*•●]{2,}[\dx*•●]*\d*")


class PhoneError(ValueError):
    """A text is no phone number, or more than one; the message completes "… ".

    It never repeats the text.
    """

    def __init__(self, reason: str, *, is_meant: bool = False) -> None:
        """Describe why.

        Args:
            reason: what is wrong and what to do.
            is_meant: whether the text is certainly meant as a phone number, so that it must not
                count as a person's name or other number either.
        """
        super().__init__(reason)
        self.is_meant = is_meant


def parse_phone(text: str, region: str = INDIA) -> str | None:
    """Return a phone number in E.164, or None if the text is no phone number.

    Args:
        text: however it is written.
        region: ISO 3166 code of the country of numbers without a country code.
    """
    try:
        return to_e164(text, region)
    except PhoneError:
        return None


def to_e164(text: str, region: str = INDIA) -> str:
    """Return a phone number in E.164.

    Args:
        text: however it is written.
        region: ISO 3166 code of the country of numbers without a country code.

    Raises:
        PhoneError: it is no phone number, or more than one.
    """
    plain = to_ascii_digits(fold_text(_to_one_line(text)))
    if address := _ADDRESS.fullmatch(plain.strip(" '\"<>()")):
        # a WhatsApp address has the country code without a plus
        digits = next(filter(None, address.groups()))
        mobile = _INDIAN_MOBILE.fullmatch(digits)
        return f"+91{mobile[1]}" if mobile else _read_international(f"+{digits}")
    unlabelled = LABEL.sub(" ", _FRACTION.sub("", _URN.sub(" ", plain)))
    if _WITH_COMMAS.fullmatch(unlabelled.strip()):
        unlabelled = unlabelled.replace(",", "")
    parts = [part for part in _BETWEEN_NUMBERS.split(unlabelled) if re.search(r"\w", part)]
    if len(parts) == 1:
        unlabelled = parts[0]
    elif all(re.search(r"\d", part) for part in parts) and parts:
        return _read_one_of(parts, region)
    spaced = _SEPARATORS.sub(" ", unlabelled)
    numbers = _ONE_NUMBER.findall(spaced)
    if (
        region == INDIA
        and len(numbers) > 1
        and len(set(numbers)) == 1
        and not _ONE_NUMBER.sub("", spaced).strip()
    ):
        return f"+91{numbers[0]}"
    compact = _SEPARATORS.sub("", unlabelled.strip(" ,;/|&*\\\n"))
    try:
        return _read_compact(compact, region)
    except PhoneError as error:
        if error.is_meant:
            raise
    raise _explain(plain, compact, region)


def _to_one_line(text: str) -> str:
    """Return a text in NFKC without signs, in one line whose parts are separated by slashes."""
    lines = [line for line in text.splitlines() if line.strip()]
    joined = " / ".join(lines) if len(lines) > 1 else text
    # signs such as a telephone are labels
    return "".join(
        " " if unicodedata.category(letter) == "So" else letter
        for letter in unicodedata.normalize("NFKC", joined)
    )


def _read_compact(compact: str, region: str) -> str:
    """Read digits without separators, with a plus or without."""
    if region == INDIA and (mobile := _INDIAN_MOBILE.fullmatch(compact)):
        return f"+91{mobile[1]}"
    if international := _INTERNATIONAL.fullmatch(compact):
        return _read_international(f"+{international[1]}")
    if region != INDIA and compact.isascii() and compact.isdigit():
        try:
            number = phonenumbers.parse(compact, region)
        except phonenumbers.NumberParseException:
            number = None
        if number is not None and phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    msg = "is no phone number"
    raise PhoneError(msg)


def _read_international(number: str) -> str:
    """Read a plus, a country code and a number."""
    try:
        found = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        found = None
    if found is not None and (
        phonenumbers.is_valid_number(found)
        # the lengths of other countries' numbers are known better than their series
        or (found.country_code != _INDIAN_CODE and phonenumbers.is_possible_number(found))
        or _INDIAN_MOBILE.fullmatch(f"+{found.country_code}{found.national_number}")
    ):
        return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)
    msg = "is no phone number: no number of that country has these digits; correct it"
    raise PhoneError(msg, is_meant=True)


def _read_one_of(parts: list[str], region: str) -> str:
    """Read a cell whose parts may each be a number: one number, perhaps twice."""
    numbers = [parse_phone(part, region) for part in parts]
    found = set(filter(None, numbers))
    if len(found) == 1 and None not in numbers:
        return found.pop()
    if not found:
        compact = _SEPARATORS.sub("", "".join(parts))
        raise _explain(" ".join(parts), compact, region)
    raise _make_several_error()


def _make_several_error() -> PhoneError:
    msg = (
        "is no phone number: it has more than one, and each would be a person of its own; "
        "give one, the others in a column of their own"
    )
    return PhoneError(msg, is_meant=True)


def _explain(plain: str, compact: str, region: str) -> PhoneError:
    """Return the reason why a text is no phone number.

    Args:
        plain: the text, folded, with ASCII digits.
        compact: the same without labels and separators.
        region: of numbers without a country code.
    """
    series = rf"(?:{_INDIAN_MOBILE.pattern}){{2,}}"
    # vowel signs belong to the letters that they stand at
    plain = "".join(letter for letter in plain if unicodedata.category(letter)[0] != "M")
    numbers = set(_ONE_NUMBER.findall(_SEPARATORS.sub(" ", plain)))
    for part in _WORDS.split(plain):  # numbers with gaps, as 90000 00001
        if mobile := _INDIAN_MOBILE.fullmatch(_SEPARATORS.sub("", part)):
            numbers.add(mobile[1])
    if len(numbers) > 1 or (len(compact) > _MAX_DIGITS and re.fullmatch(series, compact)):
        return _make_several_error()
    is_meant = True
    if numbers and not _OTHER_NUMBER.search(plain):
        reason = ": other words or signs stand beside the number; put them into another column"
    elif _HIDDEN.fullmatch(compact) and any(map(str.isdigit, compact)):
        reason = ": digits are hidden, so others have the same; give all digits"
    elif _WORD.search(compact):
        is_meant = _is_phone_with_letters(compact, region)
        reason = ": it has letters for digits, such as O for 0; correct it" if is_meant else ""
    else:
        is_meant = compact.startswith("+")
        reason = _explain_digits(compact, region)
    return PhoneError(f"is no phone number{reason}", is_meant=is_meant)


def _explain_digits(compact: str, region: str) -> str:
    """Return the reason why digits are no phone number, to follow "is no phone number"."""
    count = sum(map(str.isdigit, compact))
    if compact.startswith("+"):
        return f": it has {count} digits with its country code; correct it"
    if region != INDIA:
        return f": no number of {region} has these digits; correct it"
    rule = (
        "an Indian mobile number begins with 6 to 9"
        if count == _INDIAN_DIGITS
        else f"it has {count} digits, an Indian mobile number has {_INDIAN_DIGITS}"
    )
    return f": {rule}; correct it, or write + and the country code"


def _is_phone_with_letters(compact: str, region: str) -> bool:
    """Whether a text is a phone number in which some digits are letters of the same shape."""
    digits = compact.translate(_LETTERS_FOR_DIGITS)
    if not digits.removeprefix("+").isdigit() or len(digits) < _MIN_DIGITS or compact[0] in "oils":
        return False
    try:
        return bool(_read_compact(digits, region))
    except PhoneError:
        return False
