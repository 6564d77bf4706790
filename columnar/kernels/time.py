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
from columnar.kernels.jit import compiled
from pravah.days import day_of

_MICROS, _DAY_SECONDS = 1_000_000, 86_400
_FIRST_YEAR, _LAST_YEAR = 2000, 2149
_FIRST_DAY = day_of(np.datetime64(f"{_FIRST_YEAR}-01-01").astype(object))
_DAYS_BEFORE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334])
_MONTH_LENGTHS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


@compiled
def _parse_digits(buffer: Array, begin: int, count: int) -> int:
    """The number that so many digits make; below 0 if one of them is none."""
    value = 0
    for at in range(begin, begin + count):
        digit = np.int64(buffer[at]) - ZERO
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@compiled
def _parse_instant(buffer: Array, begin: int, length: int) -> int:
    """Microseconds; -1 if it was not read. All that can be read is later than 1970."""
    if length < 20 or length > 32:
        return -1
    if (
        buffer[begin + 4] != MINUS
        or buffer[begin + 7] != MINUS
        or buffer[begin + 13] != COLON
        or buffer[begin + 16] != COLON
    ):
        return -1
    if (
        buffer[begin + 10] != BIG_T
        and buffer[begin + 10] != BLANK
        and buffer[begin + 10] != SMALL_T
    ):
        return -1
    year, month, day = (
        _parse_digits(buffer, begin, 4),
        _parse_digits(buffer, begin + 5, 2),
        _parse_digits(buffer, begin + 8, 2),
    )
    hour, minute, second = (
        _parse_digits(buffer, begin + 11, 2),
        _parse_digits(buffer, begin + 14, 2),
        _parse_digits(buffer, begin + 17, 2),
    )
    if year < _FIRST_YEAR or year > _LAST_YEAR or month < 1 or month > 12 or day < 1:
        return -1
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return -1
    is_leap = year % 4 == 0 and year != 2100
    if day > _MONTH_LENGTHS[month - 1] + (1 if is_leap and month == 2 else 0):
        return -1
    years = year - _FIRST_YEAR
    days = (
        _FIRST_DAY
        + 365 * years
        + (years + 3) // 4
        - (1 if year > 2100 else 0)
        + _DAYS_BEFORE[month - 1]
        + (1 if is_leap and month > 2 else 0)
        + day
        - 1
    )
    micros = (days * _DAY_SECONDS + hour * 3600 + minute * 60 + second) * _MICROS
    zone = begin + 19
    end = begin + length
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
    if buffer[zone] == BIG_Z or buffer[zone] == SMALL_Z:
        return micros if end == zone + 1 else -1
    if (
        (buffer[zone] != PLUS and buffer[zone] != MINUS)
        or end != zone + 6
        or buffer[zone + 3] != COLON
    ):
        return -1
    ahead, minutes = _parse_digits(buffer, zone + 1, 2), _parse_digits(buffer, zone + 4, 2)
    if ahead < 0 or ahead > 23 or minutes < 0 or minutes > 59:
        return -1
    micros += (ahead * 3600 + minutes * 60) * _MICROS * (1 if buffer[zone] == MINUS else -1)
    return micros if micros >= _FIRST_DAY * _DAY_SECONDS * _MICROS else -1


@compiled
def parse_instants(buffer: Array, begins: Array, lengths: Array) -> tuple[Array, Array]:
    """Microseconds since 1970-01-01T00:00Z, and which texts were read."""
    micros, read = np.zeros(len(begins), np.int64), np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        value = _parse_instant(buffer, begins[row], lengths[row])
        if value >= 0:
            micros[row], read[row] = value, True
    return micros, read
