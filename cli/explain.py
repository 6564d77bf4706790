"""`pravah explain`: a figure, its chunks and repairs, and the events behind it."""

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.options import AsJson, check_metric, find_unit, read_day
from operations.explain import Counted, Explanation, Uncounted, explain_figure
from pravah.settings import Settings
from sinks.connection import connect
from sinks.explanation import Origin

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
_UNCOUNTED_COLUMNS = (
    "value",
    "unit / इकाई",
    "occurred (IST)",
    "entity",
    "version",
    "why it does not count",
)


def explain(
    *,
    unit: Annotated[
        str, typer.Option(help="A unit's code, such as CG-D-RPR, or its name in English or Hindi.")
    ],
    metric: Annotated[
        str, typer.Option(help="A metric of the metric dictionary, such as members_digital.")
    ],
    day: Annotated[
        date,
        typer.Option(metavar="DAY", parser=read_day, help="Such as 2022-05-03, in Asia/Kolkata."),
    ],
    limit: Annotated[int, typer.Option(min=0, help="How many rows of each table to show.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the chunks, repairs and events behind a figure.

    Prints the figure as in the view `rollups`, the chunks and repairs it is made of, the events
    that count in it, and those that do not count, with the reason.
    Exit 1 if origins or events do not add up to the figure.
    """
    with connect(Settings().clickhouse, "writer") as client:
        unit = find_unit(client, unit)
        check_metric(client, metric)
        found = explain_figure(client, unit, metric, day)
    if as_json:
        typer.echo(orjson.dumps(_as_json(found)).decode())
    else:
        console = Console()
        _print_explanation(
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


def _print_explanation(found: Explanation, limit: int, console: Console) -> None:
    about = found.subject
    console.print(
        f"[bold]{about.unit}[/bold] {escape(about.unit_en)} {about.unit_hi} · "
        f"[bold]{about.metric}[/bold] {escape(about.metric_en)} {about.metric_hi} · {about.day}"
    )
    if found.row is None:
        console.print(
            "not reported / रिपोर्ट नहीं: `rollups` has no row for this figure. That is not the "
            "same as zero"
        )
    else:
        since = f", unchanged since {found.row[0]}" if found.row[0] != about.day else ""
        meaning = f"at the end of the day{since}" if about.is_stock else "on that day"
        console.print(
            f"[bold]{found.row[1]:,}[/bold] {meaning} / कुल; {found.row[2]:,} verified / सत्यापित"
        )
    _print_table(
        console,
        limit,
        "made of / स्रोत",
        ("partition", "chunk", "all", "verified", "what"),
        [_origin_row(one) for one in found.origins],
    )
    _print_table(
        console,
        limit,
        "events that count / गिनी गई घटनाएँ",
        _EVENT_COLUMNS,
        [_counted_row(one) for one in found.counted],
    )
    _print_table(
        console,
        limit,
        "versions that do not count / न गिने गए",
        _UNCOUNTED_COLUMNS,
        [_uncounted_row(one, about.metric) for one in found.uncounted],
    )
    if found.agrees:
        console.print(
            "[green]✓ the origins and the events both add up to the figure / जोड़ मेल खाता है"
        )
        return
    by_origin, by_event = (
        sum(one.value for one in found.origins),
        sum(one.value for one in found.counted),
    )
    console.print(
        f"[red]✗ the figure is {found.figure[0]:,}, its origins add up to {by_origin:,}, its "
        f"events to {by_event:,} / जोड़ मेल नहीं खाता"
    )
    console.print(
        "records that are being folded may be the reason: try again in a moment. Otherwise "
        "`pravah reconcile` lists every figure that differs from the ledger"
    )


def _print_table(
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


def _origin_row(one: Origin) -> tuple[str, ...]:
    place = ("repair", "") if one.partition < 0 else (str(one.partition), str(one.chunk))
    return (*place, f"{one.value:+,}", f"{one.verified_value:+,}", one.description)


def _counted_row(one: Counted) -> tuple[str, ...]:
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


def _uncounted_row(one: Uncounted, metric: str) -> tuple[str, ...]:
    event = one.event
    value = "retraction" if event.op == "retract" else f"{event.amounts.get(metric, 0):,}"
    return (
        value,
        event.unit,
        f"{event.occurred_at:%Y-%m-%d %H:%M}",
        event.entity,
        str(event.version),
        one.reason,
    )
