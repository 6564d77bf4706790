"""`pravah explain`: a figure, its chunks and repairs, and the events behind it."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from cli.language import Words, say
from cli.options import AsJson, check_metric, find_unit, read_day
from cli.tables import Cell, Column, open_console, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from sinks.explanation import Counted, Explanation, Origin, Uncounted

REPAIR, RETRACTION = Words("सुधार", "repair"), Words("वापसी", "retraction")
ORIGIN_COLUMNS = (
    Column("partition", "key"),
    Column("chunk", "key"),
    Column("all", "number"),
    Column("verified", "number", rank=1),
    Column("what", rank=2),
)
EVENT_COLUMNS = (
    Column("amount", "number"),
    Column("verified", "number", rank=4),
    Column("unit", "key"),
    Column("occurred", "day"),
    Column("entity", "key"),
    Column("version", "number", rank=3),
    Column("tool", rank=1),
    Column("place", "key", rank=2),
)
UNCOUNTED_COLUMNS = (
    Column("value", "number"),
    Column("unit", "key"),
    Column("occurred", "day"),
    Column("entity", "key"),
    Column("version", "number", rank=1),
    Column("why_not"),
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
    import orjson

    from pravah.settings import Settings
    from sinks.connection import connect
    from sinks.explanation import explain_figure

    with connect(Settings().clickhouse, "writer") as client:
        unit = find_unit(client, unit)
        check_metric(client, metric)
        found = explain_figure(client, unit, metric, day)
    if as_json:
        typer.echo(orjson.dumps(found.as_json()).decode())
    else:
        _print_explanation(found, limit, open_console())
    raise typer.Exit(0 if found.agrees else 1)


def _print_explanation(found: "Explanation", limit: int, console: "Console") -> None:
    about = found.subject
    say(
        f"{about.unit} {about.unit_hi} · {about.metric} {about.metric_hi} · {about.day}",
        f"{about.unit} {about.unit_en} · {about.metric} {about.metric_en} · {about.day}",
    )
    if found.row is None:
        say(
            "सूचना नहीं: `rollups` में इस आँकड़े की कोई पंक्ति नहीं है। यह शून्य के बराबर नहीं है",
            "not reported: `rollups` has no row for this figure. That is not the same as zero",
        )
    else:
        is_older = found.row[0] != about.day
        since = f", unchanged since {found.row[0]}" if is_older else ""
        since_hi = f", {found.row[0]} से वही" if is_older else ""
        meaning = f"at the end of the day{since}" if about.is_stock else "on that day"
        meaning_hi = f"दिन के अंत में{since_hi}" if about.is_stock else "उस दिन"
        say(
            f"{found.row[1]:,} {meaning_hi}; सत्यापित {found.row[2]:,}",
            f"{found.row[1]:,} {meaning}; {found.row[2]:,} verified",
        )
    _print_table(
        console,
        limit,
        Words("किनसे बना", "made of"),
        ORIGIN_COLUMNS,
        [_origin_row(one) for one in found.origins],
    )
    _print_table(
        console,
        limit,
        Words("गिनी गई घटनाएँ", "events that count"),
        EVENT_COLUMNS,
        [_counted_row(one) for one in found.counted],
    )
    _print_table(
        console,
        limit,
        Words("न गिने गए संस्करण", "versions that do not count"),
        UNCOUNTED_COLUMNS,
        [_uncounted_row(one, about.metric) for one in found.uncounted],
    )
    if found.agrees:
        say(
            "✓ जोड़ मेल खाता है: स्रोतों का भी, घटनाओं का भी",
            "✓ the origins and the events both add up to the figure",
            color="green",
        )
        return
    by_origin, by_event = (
        sum(one.value for one in found.origins),
        sum(one.value for one in found.counted),
    )
    say(
        f"✗ जोड़ मेल नहीं खाता: आँकड़ा {found.figure[0]:,}, स्रोतों का जोड़ {by_origin:,}, "
        f"घटनाओं का {by_event:,}",
        f"✗ the figure is {found.figure[0]:,}, its origins add up to {by_origin:,}, its "
        f"events to {by_event:,}",
        color="red",
    )
    say(
        "हो सकता है कि अभी कुछ रिकॉर्ड जोड़े जा रहे हों: थोड़ी देर में फिर देखें। नहीं तो "
        "`pravah reconcile` बही से भिन्न हर आँकड़ा दिखाता है",
        "records that are being folded may be the reason: try again in a moment. Otherwise "
        "`pravah reconcile` lists every figure that differs from the ledger",
    )


def _print_table(
    console: "Console",
    limit: int,
    title: Words,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
) -> None:
    if not rows:
        return
    more = Words(
        f"{len(rows):,} में से पहले {limit}; --limit से और, --json से सब",
        f"the first {limit} of {len(rows):,}; --limit shows more, --json all",
    )
    note = more if len(rows) > limit else ""
    print_table(columns, rows[:limit], title=title, note=note, console=console)


def _origin_row(one: "Origin") -> tuple[Cell, ...]:
    place = (REPAIR, "") if one.partition < 0 else (str(one.partition), str(one.chunk))
    return (*place, f"{one.value:+,}", f"{one.verified_value:+,}", one.description)


def _counted_row(one: "Counted") -> tuple[Cell, ...]:
    event = one.event
    when = f"{event.occurred_at:%Y-%m-%d %H:%M}"
    return (
        one.value,
        one.verified_value,
        event.unit,
        when,
        event.entity,
        event.version,
        event.tool,
        f"{event.partition}:{event.offset}",
    )


def _uncounted_row(one: "Uncounted", metric: str) -> tuple[Cell, ...]:
    event = one.event
    value: Cell = RETRACTION if event.op == "retract" else event.amounts.get(metric, 0)
    return (
        value,
        event.unit,
        f"{event.occurred_at:%Y-%m-%d %H:%M}",
        event.entity,
        event.version,
        one.reason,
    )
