"""One figure: the chunks and repairs it is made of, and the events behind it."""

from dataclasses import dataclass
from datetime import date

from clickhouse_driver import Client

from pravah.days import day_of, instant_micros
from rollup.contribution import Version
from rollup.explanation import judge
from sinks import explanation as reads
from sinks.explanation import Origin, StoredEvent, Subject


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


def explain_figure(client: Client, unit: str, metric: str, day: date) -> Explanation:
    """Read everything about one figure, and decide which events count in it.

    Args:
        client: any reader's.
        unit: a unit code.
        metric: of the metric dictionary.
        day: in Asia/Kolkata.

    Raises:
        LookupError: unknown unit or metric.
    """
    about = reads.subject(client, unit, metric, day)
    below = reads.spans(client, about)
    counted, uncounted = [], []
    for events in reads.versions(client, about).values():
        versions = [_version(event) for event in events]
        verdict = judge(
            versions, spans=below, metric=metric, day=day_of(day), is_stock=about.is_stock
        )
        for event in events:
            if event.version == verdict.counted:
                counted.append(Counted(event, verdict.value, verdict.verified_value))
            else:
                uncounted.append(Uncounted(event, verdict.reasons[event.version]))
    return Explanation(
        about, reads.figure(client, about), reads.origins(client, about), counted, uncounted
    )


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
