"""Days: everything that Pravah counts belongs to a day in Asia/Kolkata.

Internally a day is an integer, days since 1970-01-01. India has kept UTC+05:30 without daylight
saving since 1945 (IANA time zone database, Asia/Kolkata), so the day of an instant is one division.
`tests/property/test_registry.py` compares that with the time zone database.
"""

from datetime import UTC, date, datetime, timedelta, timezone

KOLKATA_OFFSET_SECONDS = 19_800
KOLKATA = timezone(timedelta(seconds=KOLKATA_OFFSET_SECONDS), "Asia/Kolkata")
# 1970-01-01, the first day of ClickHouse's `Date`. An empty `valid_from` means this day.
FIRST_DAY = 0
# 2149-06-06, the last day of ClickHouse's `Date`. An empty `valid_to` means this day.
LAST_DAY = 65_535

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
