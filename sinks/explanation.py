"""Explains one figure: the chunks and repairs it is made of, and the events behind it.

Its queries read the figure, its origins in the journal, and every version of the entities that may
count in it; `rollup.explanation` decides which version of each counts.
"""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from clickhouse_driver import Client

from pravah.days import day_of, instant_micros
from rollup.explanation import judge
from rollup.versions import Version


class TooManyEventsError(ValueError):
    """A figure is made of more events than its reader reads at once."""


@dataclass(frozen=True)
class Subject:
    """The figure to explain."""

    unit: str
    level: str
    unit_en: str
    unit_hi: str
    metric: str
    is_stock: bool
    metric_en: str
    metric_hi: str
    day: date


@dataclass(frozen=True)
class Origin:
    """One part of a figure: the addition of a chunk of the log, or of a repair."""

    partition: int
    """-1 for a repair."""
    chunk: int
    """The chunk's first offset, or the repair's number."""
    value: int
    verified_value: int
    description: str
    """Author and time, and the reason of a repair."""


@dataclass(frozen=True)
class StoredEvent:
    """One accepted version in the ledger."""

    key: str
    entity: str
    version: int
    op: str
    verification: str
    unit: str
    occurred_at: datetime
    day: int
    amounts: dict[str, int]
    event_id: str
    tool: str
    producer: str
    partition: int
    offset: int
    appended_at: datetime


@dataclass(frozen=True)
class Counted:
    """A version that counts in the figure."""

    event: StoredEvent
    value: int
    verified_value: int


@dataclass(frozen=True)
class Uncounted:
    """A version that does not count in the figure, and the reason."""

    event: StoredEvent
    reason: str


@dataclass(frozen=True)
class Explanation:
    """A figure, its origins and its events; the sums of both equal the figure."""

    subject: Subject
    row: tuple[date, int, int] | None
    """Its row in `rollups`: day, value, verified value; None if nothing was reported."""
    origins: list[Origin]
    counted: list[Counted]
    uncounted: list[Uncounted]

    @property
    def figure(self) -> tuple[int, int]:
        """Value and verified value; (0, 0) if nothing was reported."""
        return self.row[1:] if self.row else (0, 0)

    @property
    def agrees(self) -> bool:
        """Whether both its origins and its events add up to the figure."""
        by_origin = (
            sum(one.value for one in self.origins),
            sum(one.verified_value for one in self.origins),
        )
        by_event = (
            sum(one.value for one in self.counted),
            sum(one.verified_value for one in self.counted),
        )
        return by_origin == by_event == self.figure

    def as_json(self) -> dict[str, Any]:
        """The explanation as `pravah explain --json` prints it."""
        return {
            **asdict(self.subject),
            "reported": self.row is not None,
            "figure_of": self.row[0] if self.row else None,
            "value": self.row[1] if self.row else None,
            "verified_value": self.row[2] if self.row else None,
            "agrees": self.agrees,
            "origins": [asdict(one) for one in self.origins],
            "counted": [
                {**asdict(one.event), "value": one.value, "verified_value": one.verified_value}
                for one in self.counted
            ],
            "not_counted": [{**asdict(one.event), "reason": one.reason} for one in self.uncounted],
        }


def explain_figure(
    client: Client, unit: str, metric: str, day: date, *, max_events: int | None = None
) -> Explanation:
    """Read everything about one figure, and decide which events count in it.

    Args:
        client: any reader's.
        unit: a unit code.
        metric: of the metric dictionary.
        day: in Asia/Kolkata.
        max_events: how many versions to read at most; None: all.

    Raises:
        LookupError: unknown unit or metric.
        TooManyEventsError: the figure has more versions than `max_events`.
    """
    about = subject(client, unit, metric, day)
    below = spans(client, about.unit)
    counted, uncounted = [], []
    for events in versions(client, about, max_events).values():
        verdict = judge(
            [_version(event) for event in events],
            spans=below,
            metric=metric,
            day=day_of(day),
            is_stock=about.is_stock,
        )
        for event in events:
            if event.version == verdict.counted:
                counted.append(Counted(event, verdict.value, verdict.verified_value))
            else:
                uncounted.append(Uncounted(event, verdict.reasons[event.version]))
    return Explanation(about, figure(client, about), origins(client, about), counted, uncounted)


def _version(event: StoredEvent) -> Version:
    return Version(
        event.version,
        event.op,  # type: ignore[arg-type]
        event.verification,  # type: ignore[arg-type]
        event.unit,
        instant_micros(event.occurred_at),
        event.day,
        event.amounts,
    )


def subject(client: Client, unit: str, metric: str, day: date) -> Subject:
    """Look the unit and the metric up.

    Raises:
        LookupError: there is no such unit, or no such metric.
    """
    units = client.execute(
        "SELECT toString(level), name_en, name_hi FROM units WHERE unit = %(unit)s", {"unit": unit}
    )
    if not units:
        msg = f"unit {unit!r} is not in the registry; `pravah units show` looks at one"
        raise LookupError(msg)
    metrics = client.execute(
        "SELECT type = 'stock', name_en, name_hi FROM metrics WHERE metric = %(metric)s",
        {"metric": metric},
    )
    if not metrics:
        known = ", ".join(
            row[0] for row in client.execute("SELECT metric FROM metrics ORDER BY position")
        )
        msg = f"metric {metric!r} is not in the metric dictionary; it has {known}"
        raise LookupError(msg)
    level, unit_en, unit_hi = units[0]
    return Subject(
        unit,
        level,
        unit_en,
        unit_hi,
        metric,
        bool(metrics[0][0]),
        metrics[0][1],
        metrics[0][2],
        day,
    )


def figure(client: Client, about: Subject) -> tuple[date, int, int] | None:
    """The figure in `rollups`; None if nothing was reported.

    Returns:
        The day of its row (for a stock the last one up to the day), value and verified value.
    """
    query = f"""
        SELECT day, value, verified_value FROM rollups
        WHERE level = %(level)s AND unit = %(unit)s AND metric = %(metric)s
          AND day {_operator(about)} %(day)s
        ORDER BY day DESC
        LIMIT 1
    """
    rows = client.execute(query, _parameters(about))
    return (rows[0][0], int(rows[0][1]), int(rows[0][2])) if rows else None


def origins(client: Client, about: Subject) -> list[Origin]:
    """Additions of each chunk and each repair; of a stock, all changes up to the day."""
    query = f"""
        SELECT j.partition, j.chunk, j.value, j.verified_value, c.worker, c.closed, c.first_at,
               c.last_at, r.kind, r.reason, r.author, r.at
        FROM (
            SELECT partition, chunk, sum(value) AS value, sum(verified_value) AS verified_value
            FROM journal FINAL
            WHERE level = %(level)s AND unit = %(unit)s AND metric = %(metric)s
              AND day {_operator(about)} %(day)s
            GROUP BY partition, chunk
            HAVING (value, verified_value) != (0, 0)
        ) AS j
        LEFT JOIN (
            SELECT partition, chunk, argMax(worker, updated_at) AS worker, max(closed) AS closed,
                   argMax(first_appended_at, updated_at) AS first_at,
                   max(last_appended_at) AS last_at
            FROM chunks
            GROUP BY partition, chunk
        ) AS c ON c.partition = j.partition AND c.chunk = j.chunk
        LEFT JOIN (
            SELECT toInt32(-1) AS partition, repair, toString(kind) AS kind, reason, author, at
            FROM repairs FINAL
        ) AS r ON r.partition = j.partition AND r.repair = j.chunk
        ORDER BY j.partition, j.chunk
    """
    return [
        Origin(row[0], row[1], row[2], row[3], _describe(row))
        for row in client.execute(query, _parameters(about))
    ]


def _describe(row: tuple[Any, ...]) -> str:
    partition, worker, closed, first, last, kind, reason, author, at = row[0], *row[4:]
    if partition < 0:
        return (
            f"repair ({kind}) by {author}, {at:%Y-%m-%d %H:%M:%S}: {reason}"
            if author
            else "a repair of which nothing is recorded"
        )
    return (
        f"records of {first:%Y-%m-%d %H:%M:%S} to {last:%H:%M:%S}, "
        f"{'closed' if closed else 'still open'}, by {worker}"
    )


def spans(client: Client, ancestor: str) -> dict[str, list[tuple[int, int]]]:
    """Unit → the days on which it is at or below another.

    Days are numbers since 1970-01-01, both ends inclusive.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    query = """
        SELECT unit, toUInt16(valid_from), toUInt16(valid_to)
        FROM unit_ancestors
        WHERE ancestor = %(unit)s
    """
    for unit, first, last in client.execute(query, {"unit": ancestor}):
        found.setdefault(unit, []).append((first, last))
    return found


def versions(
    client: Client, about: Subject, max_events: int | None = None
) -> dict[tuple[str, str], list[StoredEvent]]:
    """(Routing key, entity) → all its versions, of each entity that may count, or once did.

    Raises:
        TooManyEventsError: there are more than `max_events`.
    """
    limit = "" if max_events is None else f"LIMIT {max_events + 1:d}"
    query = f"""
        SELECT key, entity, version, op, verification, unit, occurred_at, toUInt16(day), metrics,
               amounts, toString(event_id), tool, producer, partition, offset, appended_at
        FROM events
        WHERE (key, entity) IN (
            SELECT key, entity FROM events
            WHERE has(metrics, %(metric)s) AND day {_operator(about)} %(day)s
              AND unit IN (SELECT unit FROM unit_ancestors WHERE ancestor = %(unit)s)
        )
        ORDER BY key, entity, version
        {limit}
    """
    found: dict[tuple[str, str], list[StoredEvent]] = {}
    rows = client.execute(query, _parameters(about))
    if max_events is not None and len(rows) > max_events:
        msg = f"more than {max_events:,} events are behind this figure"
        raise TooManyEventsError(msg)
    for row in rows:
        metrics, amounts = row[8:10]
        event = StoredEvent(*row[:8], *(dict(zip(metrics, amounts, strict=True)), *row[10:]))
        found.setdefault((event.key, event.entity), []).append(event)
    return found


def _operator(about: Subject) -> str:
    """A stock's value is the sum of all changes up to the day."""
    return "<=" if about.is_stock else "="


def _parameters(about: Subject) -> dict[str, Any]:
    return {"level": about.level, "unit": about.unit, "metric": about.metric, "day": about.day}
