"""Days: everything that Pravah counts belongs to a day in Asia/Kolkata.

Inside, a day is an integer: days since 1970-01-01. India has kept UTC+05:30 without daylight saving since 1945 (IANA tz database, Asia/Kolkata), so the day
of an instant is one division; `tests/property/test_registry.py` holds it against the zone's own data.
"""

from datetime import UTC, date, datetime, timedelta, timezone

KOLKATA_OFFSET_SECONDS = 19_800
KOLKATA = timezone(timedelta(seconds=KOLKATA_OFFSET_SECONDS), "Asia/Kolkata")
FIRST_DAY = 0
"""1970-01-01: what an empty `valid_from` means. The first day of ClickHouse's `Date`."""
LAST_DAY = 65_535
"""2149-06-06: what an empty `valid_to` means. The last day of ClickHouse's `Date`."""

_EPOCH = date(1970, 1, 1)
_EPOCH_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)


def day_of(day: date) -> int:
    """A calendar day as days since 1970-01-01."""
    return (day - _EPOCH).days


def date_of(day: int) -> date:
    """Days since 1970-01-01 as a calendar day."""
    return _EPOCH + timedelta(days=day)


def instant_micros(instant: datetime) -> int:
    """An aware instant as microseconds since 1970-01-01T00:00Z, exactly."""
    since = instant - _EPOCH_INSTANT
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def day_of_micros(micros: int) -> int:
    """The day in Asia/Kolkata of an instant given in microseconds since 1970-01-01T00:00Z."""
    return (micros // 1_000_000 + KOLKATA_OFFSET_SECONDS) // 86_400
