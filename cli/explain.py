"""`pravah explain`: a figure, the chunks and repairs it is made of, and the events behind it."""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Annotated, Any

import orjson
import typer
from clickhouse_driver import Client
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pravah.days import day_of, instant_micros
from pravah.settings import Settings
from rollup.contribution import Version
from rollup.explanation import judge
from sinks import explanation as reads
from sinks.connection import connect
from sinks.explanation import Origin, StoredEvent, Subject

_WIDE = 100
_EVENT_COLUMNS = (
    "amount",
    "verified",
    "unit / इकाई",
    "occurred (IST)",
    "entity",
    "version",
    "tool",
    "partition:offset",
)
_OTHER_COLUMNS = (
    "said",
    "unit / इकाई",
    "occurred (IST)",
    "entity",
    "version",
    "why it does not count",
)


@dataclass(frozen=True)
class Counted:
    """A version that counts in the figure."""

    event: StoredEvent
    value: int
    verified_value: int


@dataclass(frozen=True)
class Uncounted:
    """A version that does not, and why."""

    event: StoredEvent
    reason: str


@dataclass(frozen=True)
class Explanation:
    """A figure down to its events. The sums of origins and of counted events equal it."""

    subject: Subject
    row: tuple[date, int, int] | None
    """Its row in `rollups`: day, all, verified; None if nothing was reported."""
    origins: list[Origin]
    counted: list[Counted]
    uncounted: list[Uncounted]

    @property
    def figure(self) -> tuple[int, int]:
        """All and verified; (0, 0) if nothing was reported."""
        return self.row[1:] if self.row else (0, 0)

    @property
    def agrees(self) -> bool:
        """Whether what its origins and its events come to is the figure."""
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
    """Read and judge everything about one figure.

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


def explain(
    *,
    unit: Annotated[str, typer.Option(help="A unit code, such as CG-D-RPR.")],
    metric: Annotated[
        str, typer.Option(help="A metric of the metric dictionary, such as members_digital.")
    ],
    day: Annotated[str, typer.Option(metavar="DAY", help="Such as 2022-05-03, in Asia/Kolkata.")],
    limit: Annotated[int, typer.Option(min=0, help="How many rows of each table to show.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Tell everything as JSON.")] = False,
) -> None:
    """Explain a figure of the view `rollups`: the chunks and repairs it is made of, the events that count in it, and those that do not, with the reason.

    Exit 1 if origins or events do not come to the figure.
    """
    try:
        on = date.fromisoformat(day)
    except ValueError:
        msg = f"{day!r} is no day; write it like 2022-05-03"
        raise typer.BadParameter(msg, param_hint="--day") from None
    with connect(Settings().clickhouse, "writer") as client:
        try:
            found = explain_figure(client, unit, metric, on)
        except LookupError as error:
            raise typer.BadParameter(str(error)) from None
    if as_json:
        typer.echo(orjson.dumps(_as_json(found)).decode())
    else:
        console = Console()
        _show(
            found,
            limit,
            console if console.is_terminal else Console(width=max(_WIDE, console.width)),
        )
    raise typer.Exit(0 if found.agrees else 1)


def _as_json(found: Explanation) -> dict[str, Any]:
    return {
        **asdict(found.subject),
        "reported": found.row is not None,
        "figure_of": found.row[0] if found.row else None,
        "value": found.row[1] if found.row else None,
        "verified_value": found.row[2] if found.row else None,
        "agrees": found.agrees,
        "origins": [asdict(one) for one in found.origins],
        "counted": [
            {**asdict(one.event), "value": one.value, "verified_value": one.verified_value}
            for one in found.counted
        ],
        "not_counted": [{**asdict(one.event), "reason": one.reason} for one in found.uncounted],
    }


def _show(found: Explanation, limit: int, console: Console) -> None:
    about = found.subject
    console.print(
        f"[bold]{about.unit}[/bold] {escape(about.unit_en)} {about.unit_hi} · [bold]{about.metric}[/bold] {escape(about.metric_en)} {about.metric_hi} · {about.day}"
    )
    if found.row is None:
        console.print(
            "not reported / रिपोर्ट नहीं: no row stands for this figure. That is not the same as zero"
        )
    else:
        since = f", unchanged since {found.row[0]}" if found.row[0] != about.day else ""
        meaning = f"at the end of the day{since}" if about.is_stock else "on that day"
        console.print(
            f"[bold]{found.row[1]:,}[/bold] {meaning} / कुल; {found.row[2]:,} verified / सत्यापित"
        )
    _print(
        console,
        limit,
        "made of / स्रोत",
        ("partition", "chunk", "all", "verified", "what"),
        [_origin(one) for one in found.origins],
    )
    _print(
        console,
        limit,
        "events that count / गिनी गई घटनाएँ",
        _EVENT_COLUMNS,
        [_event(one) for one in found.counted],
    )
    _print(
        console,
        limit,
        "versions that do not count / न गिने गए",
        _OTHER_COLUMNS,
        [_other(one, about.metric) for one in found.uncounted],
    )
    if found.agrees:
        console.print("[green]✓ the origins and the events both come to the figure / जोड़ मेल खाता है")
        return
    by_origin, by_event = (
        sum(one.value for one in found.origins),
        sum(one.value for one in found.counted),
    )
    console.print(
        f"[red]✗ the figure is {found.figure[0]:,}, its origins come to {by_origin:,}, its events to {by_event:,} / जोड़ मेल नहीं खाता"
    )
    console.print(
        "records that are being folded may explain it: ask again in a moment. Else `pravah reconcile` tells every figure that is not what the ledger says"
    )


def _print(
    console: Console, limit: int, title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]
) -> None:
    if not rows:
        return
    table = Table(*columns, title=title, title_justify="left")
    for row in rows[:limit]:
        table.add_row(*map(escape, row))
    if len(rows) > limit:
        table.caption = f"the first {limit} of {len(rows):,}; --limit shows more, --json all"
    console.print(table)


def _origin(one: Origin) -> tuple[str, ...]:
    place = ("repair", "") if one.partition < 0 else (str(one.partition), str(one.chunk))
    return (*place, f"{one.value:+,}", f"{one.verified_value:+,}", one.told)


def _event(one: Counted) -> tuple[str, ...]:
    event = one.event
    when = f"{event.occurred_at:%Y-%m-%d %H:%M}"
    return (
        f"{one.value:,}",
        f"{one.verified_value:,}",
        event.unit,
        when,
        event.entity,
        str(event.version),
        event.tool,
        f"{event.partition}:{event.offset}",
    )


def _other(one: Uncounted, metric: str) -> tuple[str, ...]:
    event = one.event
    said = "retraction" if event.op == "retract" else f"{event.amounts.get(metric, 0):,}"
    return (
        said,
        event.unit,
        f"{event.occurred_at:%Y-%m-%d %H:%M}",
        event.entity,
        str(event.version),
        one.reason,
    )
