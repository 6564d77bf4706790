"""Days: everything that Pravah counts belongs to a day in Asia/Kolkata.

Internally a day is an integer, days since 1970-01-01. India has kept UTC+05:30 without daylight
saving since 1945 (IANA time zone database, Asia/Kolkata), so the day of an instant is one division.
`tests/property/test_registry.py` compares that with the time zone database.
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone

KOLKATA_OFFSET_SECONDS = 19_800
KOLKATA = timezone(timedelta(seconds=KOLKATA_OFFSET_SECONDS), "Asia/Kolkata")
# 1970-01-01, the first day of ClickHouse's `Date`. An empty `valid_from` means this day.
FIRST_DAY = 0
# 2149-06-06, the last day of ClickHouse's `Date`. An empty `valid_to` means this day.
LAST_DAY = 65_535

_DAY_TEXT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_LOCAL_TEXT = _DAY_TEXT + r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?"
_INSTANT_TEXT = _LOCAL_TEXT + r"(Z|[+-][0-9]{2}:?[0-9]{2})"
_ZONE_HINT = (
    "a time needs its zone, such as 2022-06-30T23:59:59+05:30 or 2022-06-30T18:29:59Z "
    "(in a URL + is written %2B)"
)

_EPOCH = date(1970, 1, 1)
_EPOCH_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)


def day_of(day: date) -> int:
    """Convert a calendar day to days since 1970-01-01."""
    return (day - _EPOCH).days


def date_of(day: int) -> date:
    """Convert days since 1970-01-01 to a calendar day."""
    return _EPOCH + timedelta(days=day)


def instant_micros(instant: datetime) -> int:
    """Convert an aware datetime to microseconds since 1970-01-01T00:00Z, without rounding."""
    since = instant - _EPOCH_INSTANT
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def day_of_micros(micros: int) -> int:
    """Return the day in Asia/Kolkata of microseconds since 1970-01-01T00:00Z."""
    return (micros // 1_000_000 + KOLKATA_OFFSET_SECONDS) // 86_400


def parse_day(text: str) -> date:
    """Read a day in Asia/Kolkata.

    Args:
        text: a day, such as 2022-06-30, or an instant with its zone, such as
            2022-06-30T23:59:59+05:30, whose day in Asia/Kolkata is meant.

    Raises:
        ValueError: it is neither, or lies outside 1970-01-01 to 2149-06-06.
    """
    text = text.strip()
    if re.match(_LOCAL_TEXT, text):
        return parse_instant(text).astimezone(KOLKATA).date()
    if not re.fullmatch(_DAY_TEXT, text):
        msg = f"{text!r} is no day; a day is written 2022-05-03 (in Asia/Kolkata)"
        raise ValueError(msg)
    try:
        return _check_range(date.fromisoformat(text))
    except ValueError as error:
        msg = f"{text!r} is no day: {error}"
        raise ValueError(msg) from None


def parse_instant(text: str) -> datetime:
    """Read an instant with its zone.

    Raises:
        ValueError: it is none, has no zone, or lies outside 1970-01-01 to 2149-06-06.
    """
    text = text.strip()
    if not re.fullmatch(_INSTANT_TEXT, text):
        msg = f"{text!r} is no instant: {_ZONE_HINT}"
        raise ValueError(msg)
    try:
        instant = datetime.fromisoformat(text)
        _check_range(instant.astimezone(KOLKATA).date())
    except (ValueError, OverflowError) as error:
        msg = f"{text!r} is no instant: {error}"
        raise ValueError(msg) from None
    return instant


def end_of_day(day: date | None) -> datetime:
    """Return the last second of a day in Asia/Kolkata; the present instant without a day."""
    return (
        datetime.now(KOLKATA)
        if day is None
        else datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=KOLKATA)
    )


def _check_range(day: date) -> date:
    if not FIRST_DAY <= day_of(day) <= LAST_DAY:
        msg = f"days from {date_of(FIRST_DAY)} to {date_of(LAST_DAY)} are known"
        raise ValueError(msg)
    return day
