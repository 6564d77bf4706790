"""Simulated time: seconds since 1970-01-01T00:00Z, and days as in `pravah.days`."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from pravah.days import KOLKATA_OFFSET_SECONDS, date_of
from producers.simulator.units import Tool

DAY_SECONDS = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def midnight_of(day: int) -> int:
    """Return the second at which a day begins in Asia/Kolkata."""
    return day * DAY_SECONDS - KOLKATA_OFFSET_SECONDS


def day_at(second: int) -> int:
    """Return the day in Asia/Kolkata of a second."""
    return (second + KOLKATA_OFFSET_SECONDS) // DAY_SECONDS


def to_datetime(second: int) -> datetime:
    """Return a second as a `datetime` in UTC."""
    return _EPOCH + timedelta(seconds=second)


def format_instant(second: int, tool: Tool) -> str:
    """Write a second in RFC 3339 as a tool does: UTC or Indian time, milliseconds or none."""
    utc = tool.prefix in {"rapidpro", "glific", "commcare"}
    day, rest = divmod(second if utc else second + KOLKATA_OFFSET_SECONDS, DAY_SECONDS)
    minutes, seconds = divmod(rest, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = ".000" if tool.prefix in {"kobo", "odk"} else ""
    offset = "Z" if utc else "+05:30"
    return f"{_format_day(day)}T{hours:02}:{minutes:02}:{seconds:02}{fraction}{offset}"


@lru_cache(maxsize=10_000)
def _format_day(day: int) -> str:
    return date_of(day).isoformat()
