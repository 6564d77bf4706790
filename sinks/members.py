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


def memberships(on: str, rows: str = "1") -> str:
    """SQL of the memberships that count at the end of a day.

    Of each entity the highest version, unless it is a retraction or was rejected.

    Args:
        on: SQL of a day.
        rows: SQL of a condition that has all rows of an entity, or none.
    """
    return f"""
        SELECT key, entity, argMax(unit, version) AS unit, argMax(day, version) AS day,
               argMax(members, version) AS members,
               argMax(verification, version) = 'verified' AS is_verified,
               argMax(member_keys, version) AS member_keys
        FROM membership_events FINAL
        WHERE {rows}
        GROUP BY key, entity
        HAVING argMax(op, version) = 'report'
           AND argMax(verification, version) != 'rejected'
           AND argMax(is_membership, version) = 1
           AND day <= {on}
    """


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


def members_within(client: Client, unit: str, within: str, as_of: datetime) -> Members | None:
    """Members of a unit, only of memberships from units at or below another; None without any.

    Args:
        client: of any account.
        unit: a code.
        within: a code; its units are those of each membership's day.
        as_of: an instant; only its day in Asia/Kolkata matters.
    """
    on_day = "toDate(fromUnixTimestamp64Milli(%(as_of)s), 'Asia/Kolkata')"
    # Of the nation and of a state they are so many that looking for them takes longer.
    rows = (
        """
        (key, entity) IN (
            SELECT key, entity FROM membership_events
            WHERE unit IN (SELECT unit FROM unit_ancestors WHERE ancestor = %(unit)s)
        )
        """
        if "-" in unit
        else "1"
    )
    query = f"""
        SELECT (SELECT any(toString(level)) FROM units WHERE unit = %(unit)s) AS level,
               %(unit)s AS unit_, sum(m.members) AS members_, sumIf(m.members, m.is_verified),
               sum(length(m.member_keys)), uniqExactArray(m.member_keys),
               uniqExactArrayIf(m.member_keys, m.is_verified), 'exact'
        FROM ({memberships(on_day, rows)}) AS m
        INNER JOIN (
            SELECT unit, valid_from, valid_to FROM unit_ancestors WHERE ancestor = %(unit)s
        ) AS u ON u.unit = m.unit
        INNER JOIN (
            SELECT unit, valid_from, valid_to FROM unit_ancestors WHERE ancestor = %(within)s
        ) AS w ON w.unit = m.unit
        WHERE m.day BETWEEN u.valid_from AND u.valid_to
          AND m.day BETWEEN w.valid_from AND w.valid_to
        HAVING count() > 0
    """
    rows = client.execute(query, {"unit": unit, "within": within, "as_of": millis(as_of)})
    return Members(*rows[0]) if rows else None


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
