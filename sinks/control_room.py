"""Queries of the control room: progress of the programme, overdue units, whom to call."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from clickhouse_driver import Client

from pravah.units import Level
from schemas import defaults
from schemas.contacts import COLUMNS, Contact, Language, parse_responsible
from sinks.completions import Completions
from sinks.dimensions import replace_table
from sinks.migrate import Schema

SILENT_DAYS = defaults.SILENT_DAYS

# A campaign is over when no deadline lies ahead and nothing was reported for this many days.
_QUIET_DAYS = 30


@dataclass(frozen=True)
class MilestoneProgress:
    """Progress of the units below a unit in one milestone; the four states sum to `expected`."""

    milestone: str
    level: str
    name_en: str
    name_hi: str
    deadline: date
    expected: int
    done_on_time: int
    done_late: int
    overdue: int
    due: int
    known_late: int
    """Of those done on time, the number that was reported only after the deadline."""


@dataclass(frozen=True)
class Defaulter:
    """A unit that is overdue with a milestone."""

    milestone: str
    milestone_en: str
    milestone_hi: str
    level: str
    unit: str
    name_en: str
    name_hi: str
    deadline: date
    days_overdue: int
    blocks: int
    """Number of later milestones, its own or of units below it, that wait for this one."""
    last_report: date | None
    """The last day on which it, or a unit below it, reported anything."""
    responsible: str
    """The office, as the plan names it."""
    office_hi: str
    responsible_unit: str
    """The unit of that office; empty if the plan names no level."""
    responsible_en: str
    responsible_hi: str


@dataclass(frozen=True)
class Office:
    """An office, and how many overdue milestones it is responsible for."""

    responsible: str
    """The office, as the plan names it."""
    office_hi: str
    responsible_unit: str
    """The unit of that office; empty if the plan names no level."""
    responsible_en: str
    responsible_hi: str
    level: str
    """Of the overdue units."""
    overdue: int
    days_overdue: int
    """Of the one that is overdue longest."""
    milestones: list[str]
    """Those of which units are overdue, the one with most of them first."""


@dataclass(frozen=True)
class Call:
    """Whom to call about a defaulter."""

    name: str
    phone: str
    language: Language


@dataclass(frozen=True)
class CampaignEnd:
    """The end of a campaign that is over: its figures of today say little."""

    last_deadline: date
    last_report: date | None
    """The last day for which anything was reported."""
    last_day: date
    """The later of the two."""


def ended_campaign(client: Client) -> CampaignEnd | None:
    """The end of the campaign, if all deadlines have passed and reports have stopped; else None."""
    ((deadline, report, today),) = client.execute(
        """
        SELECT (SELECT maxOrNull(deadline) FROM milestones),
               (SELECT maxOrNull(day) FROM journal WHERE reports > 0), toDate(now(), 'Asia/Kolkata')
        """
    )
    if deadline is None:
        return None
    last = max(deadline, report or deadline)
    return CampaignEnd(deadline, report, last) if (today - last).days > _QUIET_DAYS else None


def milestone_progress(client: Client, unit: str, as_of: datetime) -> list[MilestoneProgress]:
    """Progress at or below a unit in each milestone, in the order of the plan."""
    query = """
        SELECT m.milestone, toString(m.level), m.name_en, m.name_hi, m.deadline, p.expected,
               p.done_on_time, p.done_late, p.overdue, p.due, p.known_late
        FROM plan_progress_at(as_of = fromUnixTimestamp64Milli(%(as_of)s)) AS p
        INNER JOIN (
            SELECT * FROM milestones ORDER BY plan, position LIMIT 1 BY milestone
        ) AS m ON m.milestone = p.milestone
        WHERE p.unit = %(unit)s
        ORDER BY m.position
    """
    return [
        MilestoneProgress(*row)
        for row in client.execute(query, {"unit": unit, "as_of": millis(as_of)})
    ]


def defaulters(
    client: Client,
    unit: str,
    as_of: datetime,
    *,
    milestone: str | None = None,
    limit: int = 1_000,
    offset: int = 0,
    within: str | None = None,
    completions: Completions | None = None,
) -> list[Defaulter]:
    """Overdue units at or below a unit: first those that block most, then the longest overdue.

    Args:
        client: of any account.
        unit: a code.
        as_of: an instant; only its day in Asia/Kolkata matters.
        milestone: only this one.
        limit: maximum number.
        offset: number to skip.
        within: only at or below this unit, too, on that day.
        completions: those of the plan, if the caller has them already.
    """
    completions = completions or Completions.read(client)
    below = """
        SELECT unit FROM unit_ancestors
        WHERE ancestor = %(unit)s
          AND toDate(fromUnixTimestamp64Milli(%(as_of)s), 'Asia/Kolkata')
              BETWEEN valid_from AND valid_to
    """
    overdue = completions.defaulters(f"SELECT * FROM unit_ancestors WHERE ancestor IN ({below})")
    query = f"""
        WITH toDate(fromUnixTimestamp64Milli(%(as_of)s), 'Asia/Kolkata') AS on_day
        SELECT d.milestone, d.milestone_en, d.milestone_hi, toString(d.level), d.unit, u.name_en,
               u.name_hi, d.deadline, d.days_overdue, d.blocks, d.responsible,
               d.office_hi, r.ancestor AS responsible_unit, above.name_en, above.name_hi
        FROM (
            SELECT d.*, m.name_en AS milestone_en, m.name_hi AS milestone_hi,
                   m.responsible_hi AS office_hi, m.position AS position,
                   splitByChar(' ', d.responsible)[1] AS responsible_level
            FROM {overdue} AS d
            INNER JOIN milestones AS m ON m.plan = d.plan AND m.milestone = d.milestone
            WHERE (%(milestone)s = '' OR d.milestone = %(milestone)s)
              AND d.unit IN ({below})
              AND d.unit IN (
                  SELECT unit FROM unit_ancestors
                  WHERE ancestor = %(within)s AND on_day BETWEEN valid_from AND valid_to
              )
            ORDER BY d.blocks DESC, d.days_overdue DESC, position, d.unit
            LIMIT %(limit)s OFFSET %(offset)s
        ) AS d
        INNER JOIN units AS u ON u.unit = d.unit
        LEFT JOIN (
            SELECT unit, ancestor, toString(ancestor_level) AS ancestor_level
            FROM unit_ancestors
            WHERE on_day BETWEEN valid_from AND valid_to
        ) AS r ON r.unit = d.unit AND r.ancestor_level = d.responsible_level
        LEFT JOIN units AS above ON above.unit = r.ancestor
        ORDER BY d.blocks DESC, d.days_overdue DESC, d.position, d.unit
    """
    wanted = {
        "unit": unit,
        "as_of": millis(as_of),
        "milestone": milestone or "",
        "limit": limit,
        "offset": offset,
        "within": within or unit,
    }
    rows = completions.execute(client, query, wanted)
    last = last_reports(client, [row[4] for row in rows], as_of)
    whole: list[tuple[Any, ...]] = [(*row[:10], last.get(row[4]), *row[10:]) for row in rows]
    return [Defaulter(*row) for row in whole]


def last_reports(client: Client, units: Sequence[str], as_of: datetime) -> dict[str, date]:
    """The last day, up to that of `as_of`, on which a unit or one below it reported anything.

    As in `unit_activity`; units that never reported are missing.
    """
    query = """
        SELECT unit, max(day)
        FROM (
            SELECT unit, day FROM journal FINAL
            WHERE unit IN %(units)s
              AND day <= toDate(fromUnixTimestamp64Milli(%(as_of)s), 'Asia/Kolkata')
            GROUP BY level, unit, metric, day
            HAVING sum(reports) > 0
        )
        GROUP BY unit
    """
    wanted = {"units": sorted({*units, ""}), "as_of": millis(as_of)}
    return dict(client.execute(query, wanted))


def offices(
    client: Client,
    unit: str,
    as_of: datetime,
    completions: Completions,
    *,
    limit: int,
    within: str | None = None,
) -> list[Office]:
    """The offices that are responsible for most overdue milestones at or below a unit."""
    query = f"""
        WITH toDate(fromUnixTimestamp64Milli(%(as_of)s), 'Asia/Kolkata') AS on_day
        SELECT o.responsible, o.office_hi, o.office_unit, u.name_en, u.name_hi, toString(o.level),
               o.overdue_units, o.longest, o.overdue_milestones
        FROM (
            SELECT responsible, office_hi, office_unit, level, sum(units) AS overdue_units,
                   max(longest_of_one) AS longest,
                   arrayMap(x -> x.2, arrayReverseSort(groupArray((units, milestone))))
                       AS overdue_milestones
            FROM (
                SELECT s.milestone AS milestone, s.responsible AS responsible,
                       m.responsible_hi AS office_hi, r.ancestor AS office_unit,
                       s.level AS level, count() AS units, max(s.days_overdue) AS longest_of_one
                FROM {completions.status} AS s
                INNER JOIN milestones AS m ON m.plan = s.plan AND m.milestone = s.milestone
                LEFT JOIN (
                    SELECT unit, ancestor, toString(ancestor_level) AS ancestor_level
                    FROM unit_ancestors
                    WHERE on_day BETWEEN valid_from AND valid_to
                ) AS r ON r.unit = s.unit
                    AND r.ancestor_level = splitByChar(' ', s.responsible)[1]
                WHERE s.state = 'overdue'
                  AND s.unit IN (
                      SELECT unit FROM unit_ancestors
                      WHERE ancestor = %(unit)s AND on_day BETWEEN valid_from AND valid_to
                  )
                  AND s.unit IN (
                      SELECT unit FROM unit_ancestors
                      WHERE ancestor = %(within)s AND on_day BETWEEN valid_from AND valid_to
                  )
                GROUP BY milestone, responsible, office_hi, office_unit, level
            )
            GROUP BY responsible, office_hi, office_unit, level
            ORDER BY overdue_units DESC, longest DESC, office_unit
            LIMIT %(limit)s
        ) AS o
        LEFT JOIN units AS u ON u.unit = o.office_unit
        ORDER BY o.overdue_units DESC, o.longest DESC, o.office_unit
    """
    wanted = {"unit": unit, "as_of": millis(as_of), "limit": limit, "within": within or unit}
    return [Office(*row) for row in completions.execute(client, query, wanted)]


def unit_name(client: Client, unit: str, language: Language) -> str:
    """A unit's name, or its code if there is no such unit."""
    rows = client.execute(
        f"SELECT name_{language} FROM units WHERE unit = %(unit)s", {"unit": unit}
    )
    return str(rows[0][0]) if rows else unit


def calls(client: Client, about: Sequence[Defaulter | Office]) -> list[Call | None]:
    """Whom to call about each defaulter, or who holds each office; None without a contact.

    Only the writer's account and the state's own may read contacts.
    """
    offices = [
        (one.responsible_unit, known[1])
        if (known := parse_responsible(one.responsible))
        else ("", "")
        for one in about
    ]
    rows = client.execute(
        "SELECT unit, role, name, phone, language FROM contacts WHERE (unit, role) IN %(offices)s",
        {"offices": [*{*offices, ("", "")}]},
    )
    found = {row[:2]: Call(*row[2:]) for row in rows}
    return [found.get(wanted) for wanted in offices]


def load_contacts(client: Client, schema: Schema, contacts: Iterable[Contact]) -> None:
    """Replace all contacts, at once."""
    replace_table(
        client,
        schema,
        "contacts",
        ((c.unit, c.role, c.name, c.phone, c.language) for c in contacts),
    )


def all_contacts(client: Client) -> list[Contact]:
    """All contacts; for the writer's account."""
    rows = client.execute("SELECT unit, role, name, phone, language FROM contacts")
    return [Contact(**dict(zip(COLUMNS, row, strict=True))) for row in rows]


def activity(
    client: Client, unit: str, as_of: datetime, *, days: int = SILENT_DAYS, state: str = "silent"
) -> list[dict[str, Any]]:
    """Units at or below a unit that were `silent`, `zero` or `active` in the last days.

    The longest silent come first.
    """
    query = """
        SELECT a.unit, toString(a.level), u.name_en, u.name_hi, a.last_report, a.days_since
        FROM unit_activity(
            as_of = fromUnixTimestamp64Milli(%(as_of)s), days = %(days)s
        ) AS a
        INNER JOIN units AS u ON u.unit = a.unit
        WHERE a.state = %(state)s AND a.unit IN (
            SELECT unit FROM unit_ancestors
            WHERE ancestor = %(unit)s
              AND toDate(fromUnixTimestamp64Milli(%(as_of)s), 'Asia/Kolkata')
                  BETWEEN valid_from AND valid_to
        )
        ORDER BY a.days_since DESC NULLS FIRST, a.unit
    """
    names = ("unit", "level", "name_en", "name_hi", "last_report", "days_since")
    return [
        dict(zip(names, row, strict=True))
        for row in client.execute(
            query, {"unit": unit, "as_of": millis(as_of), "days": days, "state": state}
        )
    ]


@dataclass(frozen=True)
class ReportingRate:
    """Completeness and timeliness of one day below one unit."""

    day: date
    level: str
    unit: str
    expected: int
    """Units of the level that were open."""
    reported: int
    on_time: int


def reporting_rates(
    client: Client,
    units: Sequence[str],
    first: date,
    last: date,
    *,
    level: Level = "booth",
    days: int = 1,
) -> list[ReportingRate]:
    """Completeness and timeliness of reports, by day and unit.

    Args:
        client: of any account.
        units: codes; the rates are those below each of them.
        first: day, Asia/Kolkata.
        last: day, included.
        level: of the units that report.
        days: maximum delay, in days, of a report that counts as on time.
    """
    query = """
        SELECT day, toString(level), unit, expected, reported, on_time
        FROM reporting_rates(
            reporting_level = %(level)s, first = %(first)s, last = %(last)s, days = %(days)s
        )
        WHERE unit IN %(units)s
        ORDER BY unit, day
    """
    return [
        ReportingRate(*row)
        for row in client.execute(
            query,
            {"level": level, "first": first, "last": last, "days": days, "units": list(units)},
        )
    ]


def millis(instant: datetime) -> int:
    """Milliseconds since 1970-01-01T00:00Z.

    Raises:
        ValueError: the instant has no zone.
    """
    if instant.tzinfo is None:
        msg = f"{instant} has no zone; a day's end is pravah.days.end_of_day"
        raise ValueError(msg)
    return int(instant.timestamp() * 1000)
