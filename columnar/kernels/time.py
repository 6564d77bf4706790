"""Parsing RFC 3339 timestamps."""

import numpy as np

from columnar.arrays import Array
from columnar.kernels.ascii import (
    BIG_T,
    BIG_Z,
    BLANK,
    COLON,
    DOT,
    MINUS,
    NINE,
    PLUS,
    SMALL_T,
    SMALL_Z,
    ZERO,
)
from columnar.kernels.jit import compiled, inlined
from pravah.days import day_of

_MICROS, _DAY_SECONDS = 1_000_000, 86_400
_NO_ZONE = 24 * 60
_FIRST_YEAR, _LAST_YEAR = 2000, 2149
_FIRST_DAY = day_of(np.datetime64(f"{_FIRST_YEAR}-01-01").astype(object))
_DAYS_BEFORE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334])
_MONTH_LENGTHS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


@compiled
def _parse_digits(buffer: Array, begin: int, count: int) -> int:
    """Parse `count` decimal digits; below 0 if one of them is no digit."""
    value = 0
    for at in range(begin, begin + count):
        digit = np.int64(buffer[at]) - ZERO
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@inlined
def _days_since_1970(year: int, month: int, day: int) -> int:
    """Convert a date to days since 1970-01-01; -1 if there is no such date in the years read."""
    if year < _FIRST_YEAR or year > _LAST_YEAR or month < 1 or month > 12 or day < 1:
        return -1
    is_leap = year % 4 == 0 and year != 2100
    if day > _MONTH_LENGTHS[month - 1] + (1 if is_leap and month == 2 else 0):
        return -1
    years = year - _FIRST_YEAR
    return int(
        _FIRST_DAY
        + 365 * years
        + (years + 3) // 4
        - (1 if year > 2100 else 0)
        + _DAYS_BEFORE[month - 1]
        + (1 if is_leap and month > 2 else 0)
        + day
        - 1
    )


@inlined
def _parse_zone(buffer: Array, at: int, end: int) -> int:
    """Parse `Z` or an offset such as `+05:30` that ends at `end`.

    Returns:
        Minutes ahead of UTC; `_NO_ZONE` if it is neither.
    """
    if buffer[at] == BIG_Z or buffer[at] == SMALL_Z:
        return 0 if end == at + 1 else _NO_ZONE
    if (buffer[at] != PLUS and buffer[at] != MINUS) or end != at + 6 or buffer[at + 3] != COLON:
        return _NO_ZONE
    hours, minutes = _parse_digits(buffer, at + 1, 2), _parse_digits(buffer, at + 4, 2)
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return _NO_ZONE
    return (hours * 60 + minutes) * (-1 if buffer[at] == MINUS else 1)


@compiled
def _parse_instant(buffer: Array, begin: int, length: int) -> int:
    """Parse one timestamp; -1 if it is not in the usual form."""
    if length < 20 or length > 32:
        return -1
    if (
        buffer[begin + 4] != MINUS
        or buffer[begin + 7] != MINUS
        or buffer[begin + 13] != COLON
        or buffer[begin + 16] != COLON
    ):
        return -1
    separator = buffer[begin + 10]
    if separator != BIG_T and separator != BLANK and separator != SMALL_T:
        return -1
    days = _days_since_1970(
        _parse_digits(buffer, begin, 4),
        _parse_digits(buffer, begin + 5, 2),
        _parse_digits(buffer, begin + 8, 2),
    )
    hour, minute, second = (
        _parse_digits(buffer, begin + 11, 2),
        _parse_digits(buffer, begin + 14, 2),
        _parse_digits(buffer, begin + 17, 2),
    )
    if days < 0:
        return -1
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return -1
    micros = (days * _DAY_SECONDS + hour * 3600 + minute * 60 + second) * _MICROS
    zone, end = begin + 19, begin + length
    if buffer[zone] == DOT:  # a fraction of three or six digits
        if end < zone + 5:
            return -1
        fraction, digits = _parse_digits(buffer, zone + 1, 3) * 1000, 3
        if fraction < 0:
            return -1
        if ZERO <= buffer[zone + 4] <= NINE:
            if end < zone + 8:
                return -1
            fraction, digits = _parse_digits(buffer, zone + 1, 6), 6
            if fraction < 0:
                return -1
        micros += fraction
        zone += 1 + digits
    ahead = _parse_zone(buffer, zone, end)
    if ahead == _NO_ZONE:
        return -1
    micros -= ahead * 60 * _MICROS
    return micros if micros >= _FIRST_DAY * _DAY_SECONDS * _MICROS else -1


@compiled
def parse_instants(buffer: Array, begins: Array, lengths: Array) -> tuple[Array, Array]:
    """Parse RFC 3339 timestamps of the years 2000 to 2149.

    A fraction of a second has three or six digits, the text at most 32 bytes, and the instant is
    not before 2000-01-01T00:00Z. Other forms are left to the caller.

    Args:
        buffer: uint8, the bytes of the texts.
        begins: int64, shape (texts,).
        lengths: int64, shape (texts,).

    Returns:
        int64, shape (texts,): microseconds since 1970-01-01T00:00Z, and bool, shape (texts,):
        which texts were parsed. The others have 0.
    """
    micros, parsed = np.zeros(len(begins), np.int64), np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        value = _parse_instant(buffer, begins[row], lengths[row])
        if value >= 0:
            micros[row], parsed[row] = value, True
    return micros, parsed
