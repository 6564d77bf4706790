"""Columns of text read at once: instants, UUIDs, keyed hashes.

Only the usual forms are read here. A text that is not one of them is marked, and whoever asks looks at it singly: `schemas.events` has the rule, this is a short cut to the same value.
"""

from collections.abc import Sequence

import numpy as np

from schemas.columns import Numbers
from schemas.days import day_of

INSTANT_LENGTHS = (20, 32)
"""Of RFC 3339 from `2022-03-31T18:05:00Z` to `2022-03-31T18:05:00.123456+05:30`."""
UUID_LENGTH, HASH_LENGTH = 36, 64

_MICROS, _DAY_SECONDS = 1_000_000, 86_400
_FIRST_YEAR, _LAST_YEAR = 2000, 2149


def _days_before_months() -> tuple[Numbers, Numbers]:
    """Of each month from January of the first year: the day since 1970-01-01 before its first, and how many days it has."""
    months = np.arange(np.datetime64(f"{_FIRST_YEAR}-01"), np.datetime64(f"{_LAST_YEAR + 1}-02")).astype("datetime64[D]").astype(np.int64)
    return months[:-1] - 1, np.diff(months)


_BEFORE, _LENGTHS = _days_before_months()
EARLIEST_MICROS = day_of(np.datetime64(f"{_FIRST_YEAR}-01-01").astype(object)) * _DAY_SECONDS * _MICROS

_NIBBLE = np.full(256, 255, np.uint8)
_NIBBLE[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_HYPHENS = [8, 13, 18, 23]
_HEX = [place for place in range(UUID_LENGTH) if place not in _HYPHENS]


def _letters(texts: Sequence[str], width: int) -> Numbers:
    """Shape (texts, width): each text's ASCII codes, filled up with 0; longer texts are cut, and a text that is not ASCII is all 0."""
    try:
        joined = np.array(texts, dtype=f"S{width}")
    except UnicodeEncodeError:
        joined = np.array([text if text.isascii() else "" for text in texts], dtype=f"S{width}")
    return joined.view(np.uint8).reshape(len(texts), width)


def _equally_long(texts: Sequence[str], length: int) -> Numbers:
    """The same for texts of that very length."""
    joined = "".join(texts)
    return np.frombuffer(joined.encode(), np.uint8).reshape(len(texts), length) if joined.isascii() else _letters(texts, length)


def _number(digits: Numbers, *places: int) -> Numbers:
    value = digits[:, places[0]].astype(np.int64)
    for place in places[1:]:
        value = value * 10 + digits[:, place]
    return value


def instants(texts: Sequence[str]) -> tuple[Numbers, Numbers]:
    """Microseconds since 1970-01-01T00:00Z, and which texts were read.

    Read are RFC 3339 texts of the years 2000 to 2149 with no fraction or one of three or six digits.
    """
    letters = _letters(texts, INSTANT_LENGTHS[1])
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    digits = letters - np.uint8(ord("0"))  # anything that is no digit is above 9
    is_digit = digits <= 9  # noqa: PLR2004 - the digits
    read = is_digit[:, [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]].all(axis=1)
    read &= (letters[:, 4] == ord("-")) & (letters[:, 7] == ord("-")) & (letters[:, 13] == ord(":")) & (letters[:, 16] == ord(":"))
    read &= (letters[:, 10] == ord("T")) | (letters[:, 10] == ord(" ")) | (letters[:, 10] == ord("t"))
    year, month, day = _number(digits, 0, 1, 2, 3), _number(digits, 5, 6), _number(digits, 8, 9)
    hour, minute, second = _number(digits, 11, 12), _number(digits, 14, 15), _number(digits, 17, 18)
    read &= (year >= _FIRST_YEAR) & (year <= _LAST_YEAR) & (month >= 1) & (month <= 12) & (hour < 24) & (minute < 60) & (second < 60)  # noqa: PLR2004 - the calendar
    months = np.where(read, (year - _FIRST_YEAR) * 12 + month - 1, 0)
    read &= (day >= 1) & (day <= _LENGTHS[months])
    micros = ((_BEFORE[months] + day) * _DAY_SECONDS + hour * 3600 + minute * 60 + second) * _MICROS
    # what follows the seconds: a fraction of three or six digits, or none; then the zone
    zone = np.full(len(texts), 19)
    has_fraction = letters[:, 19] == ord(".")
    if has_fraction.any():
        three = has_fraction & is_digit[:, 20:23].all(axis=1)
        six = three & is_digit[:, 23:26].all(axis=1)
        three &= ~is_digit[:, 23]
        micros += np.where(three, _number(digits, 20, 21, 22) * 1000, 0) + np.where(six, _number(digits, 20, 21, 22, 23, 24, 25), 0)
        zone += 4 * three + 7 * six
        read &= ~has_fraction | three | six
    rows = np.arange(len(texts))
    sign = letters[rows, zone]
    in_utc = ((sign == ord("Z")) | (sign == ord("z"))) & (lengths == zone + 1)
    begins = np.minimum(zone, INSTANT_LENGTHS[1] - 6)
    offset = digits[rows[:, None], begins[:, None] + np.array([1, 2, 4, 5])]
    offset_hours, offset_minutes = offset[:, 0].astype(np.int64) * 10 + offset[:, 1], offset[:, 2].astype(np.int64) * 10 + offset[:, 3]
    has_offset = ((sign == ord("+")) | (sign == ord("-"))) & (lengths == zone + 6) & (offset <= 9).all(axis=1)  # noqa: PLR2004
    has_offset &= (letters[rows, begins + 3] == ord(":")) & (offset_hours < 24) & (offset_minutes < 60)  # noqa: PLR2004
    ahead = (offset_hours * 60 + offset_minutes) * np.where(sign == ord("-"), -60, 60)
    micros -= np.where(has_offset, ahead, 0) * _MICROS
    return micros, read & (in_utc | has_offset) & (micros >= EARLIEST_MICROS)


def uuids(texts: Sequence[str]) -> tuple[Numbers, Numbers]:
    """Shape (texts, 2): upper and lower 64 bits; and which texts are UUIDs in their usual form, in small letters. The texts must be `UUID_LENGTH` long."""
    letters = _equally_long(texts, UUID_LENGTH)
    nibbles = _NIBBLE[letters[:, _HEX]]
    read = (letters[:, _HYPHENS] == ord("-")).all(axis=1) & (nibbles < 16).all(axis=1)  # noqa: PLR2004 - the hex digits
    whole = (nibbles[:, 0::2] << 4 | nibbles[:, 1::2] & 15).astype(np.uint8)
    return np.ascontiguousarray(whole).view(">u8").astype(np.uint64), read


def are_hashes(texts: Sequence[str]) -> Numbers:
    """Which texts are keyed hashes in small letters. The texts must be `HASH_LENGTH` long."""
    if not texts:
        return np.ones(0, bool)
    read: Numbers = np.logical_and.reduce(_NIBBLE[_equally_long(texts, HASH_LENGTH)] < 16, axis=1)  # noqa: PLR2004 - the hex digits
    return read
