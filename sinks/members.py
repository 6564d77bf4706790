"""Members as reported, verified, and as different persons."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from clickhouse_driver import Client

from schemas import defaults
from sinks.control_room import millis

EXACT_UP_TO = defaults.EXACT_UP_TO


@dataclass(frozen=True)
class Members:
    """Members of one unit with all below it, up to a day.

    `members` and `verified` are the totals of `members_manual` and `members_digital` together.
    """

    level: str
    unit: str
    members: int
    """As reported: a person who was reported twice counts twice."""
    verified: int
    named: int
    """How many of them came with a keyed hash."""
    persons: int
    """How many different persons these are."""
    verified_persons: int
    method: Literal["exact", "approximate"]
    """Of the last two."""


@dataclass(frozen=True)
class NamedTwice:
    """A person whose keyed hash is in more than one membership that counts."""

    member_key: str
    memberships: int
    units: list[str]
    first_day: date
    last_day: date


def members(
    client: Client,
    unit: str,
    as_of: datetime,
    *,
    below: bool = False,
    exact_up_to: int = EXACT_UP_TO,
) -> list[Members]:
    """Members of a unit up to the evening of a day, as known now.

    Args:
        client: of any account.
        unit: a code.
        as_of: an instant; only its day in Asia/Kolkata matters.
        below: of each unit below it on that day as well.
        exact_up_to: see `EXACT_UP_TO`.
    """
    query = """
        SELECT toString(level), unit, members, verified, named, persons, verified_persons,
               toString(method)
        FROM members_at(as_of = fromUnixTimestamp64Milli(%(as_of)s), exact_up_to = %(exact_up_to)s)
        WHERE unit = %(unit)s OR (%(below)s AND unit IN (
            SELECT unit FROM unit_ancestors
            WHERE ancestor = %(unit)s
              AND toDate(fromUnixTimestamp64Milli(%(as_of)s), 'Asia/Kolkata')
                  BETWEEN valid_from AND valid_to
        ))
        ORDER BY level, unit
    """
    wanted = {"unit": unit, "as_of": millis(as_of), "below": int(below), "exact_up_to": exact_up_to}
    return [Members(*row) for row in client.execute(query, wanted)]


def named_twice(
    client: Client, unit: str, as_of: datetime, *, limit: int = 1_000
) -> list[NamedTwice]:
    """Persons who were reported more than once at or below a unit, the most frequent first."""
    query = """
        SELECT member_key, memberships, units, first_day, last_day
        FROM members_named_twice(as_of = fromUnixTimestamp64Milli(%(as_of)s), unit = %(unit)s)
        ORDER BY memberships DESC, member_key LIMIT %(limit)s
    """
    return [
        NamedTwice(*row)
        for row in client.execute(query, {"unit": unit, "as_of": millis(as_of), "limit": limit})
    ]
