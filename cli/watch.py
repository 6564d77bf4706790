"""`pravah watch`: silent units, unusual values, completeness and members."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.language import LEVEL_WORDS, NEVER, Words
from cli.options import AsJson, On, Unit, find_open_unit, find_unit, print_end
from cli.tables import AsPlain, Column, print_table
from pravah.days import FIRST_DAY, date_of, end_of_day
from pravah.units import Level
from schemas.defaults import EXACT_UP_TO, SILENT_DAYS

if TYPE_CHECKING:
    from sinks.arrivals import LateArrival
    from sinks.control_room import ReportingRate

watch = typer.Typer(
    no_args_is_help=True,
    help="Show silent units, unusual values, completeness and members.",
)

_MAX_LATE = 365
Days = Annotated[int, typer.Option(min=1, max=400, help="Number of days, up to the date.")]

STATES = {"silent": Words("मौन", "silent"), "zero": Words("ने शून्य बताया", "reported zero")}
UNUSUAL = Words("असामान्य आँकड़े", "unusual values")
REPEATED = Words("एक से अधिक बार बताए गए", "reported more than once")
SILENT_COLUMNS = (
    Column("unit", "key"),
    Column("level", rank=3),
    Column("name_hi", rank=2),
    Column("name_en", rank=1),
    Column("last_report", "day"),
    Column("days_silent", "number"),
)
UNUSUAL_COLUMNS = (
    Column("day", "day"),
    Column("unit", "key"),
    Column("name_hi", rank=3),
    Column("name_en", rank=2),
    Column("metric", "key"),
    Column("metric_hi", rank=6),
    Column("metric_en", rank=5),
    Column("value", "number"),
    Column("usual", "number", rank=1),
    Column("own_z", "number", rank=4),
    Column("peer_z", "number", rank=4),
)
COMPLETENESS_COLUMNS = (
    Column("day", "day"),
    Column("expected", "number"),
    Column("reported", "number"),
    Column("reported_percent", "number"),
    Column("in_time", "number"),
    Column("in_time_percent", "number"),
)
MEMBERS_COLUMNS = (
    Column("unit", "key"),
    Column("members", "number"),
    Column("verified", "number"),
    Column("with_key", "number", rank=2),
    Column("persons", "number"),
    Column("persons_verified", "number", rank=1),
)
TWICE_COLUMNS = (
    Column("key", "key"),
    Column("times", "number"),
    Column("units"),
    Column("first_day", "day", rank=1),
    Column("last_day", "day", rank=1),
)


@watch.command()
def silent(
    *,
    unit: Unit = "IN",
    on: On = None,
    days: Annotated[
        int,
        typer.Option(min=1, max=400, help="A unit without a report for this many days is silent."),
    ] = SILENT_DAYS,
    zero: Annotated[
        bool, typer.Option("--zero", help="Show instead the units that reported zeros only.")
    ] = False,
    level: Annotated[Level | None, typer.Option(help="Only units of this level.")] = None,
    as_json: AsJson = False,
    plain: AsPlain = False,
) -> None:
    """Show the open units that have not reported for some days, the longest silent first."""
    import orjson

    from pravah.settings import Settings
    from sinks.connection import connect
    from sinks.control_room import activity, ended_campaign

    state: Literal["silent", "zero"] = "zero" if zero else "silent"
    as_of = end_of_day(on)
    with connect(Settings().clickhouse, "grafana") as client:
        unit = find_open_unit(client, unit, as_of)
        ended = None if on else ended_campaign(client)
        found = [
            one
            for one in activity(client, unit, as_of, days=days, state=state)
            if level in {None, one["level"]}
        ]
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    print_end(ended)
    rows = [
        (
            one["unit"],
            LEVEL_WORDS[one["level"]],
            one["name_hi"],
            one["name_en"],
            one["last_report"] or NEVER,
            one["days_since"],
        )
        for one in found
    ]
    print_table(
        SILENT_COLUMNS,
        rows,
        title=_count(len(found), STATES[state]),
        plain=plain,
    )


@watch.command()
def unusual(
    *,
    unit: Unit = "IN",
    on: On = None,
    days: Days = 1,
    level: Annotated[Level | None, typer.Option(help="Only units of this level.")] = None,
    as_json: AsJson = False,
    plain: AsPlain = False,
) -> None:
    """Show reported values that differ from the unit's past or its peers.

    Prints each value with the usual one and its z-scores. Unusual values count all the same.
    """
    import orjson

    from pravah.settings import Settings
    from sinks.connection import connect
    from sinks.control_room import ended_campaign
    from sinks.names import metric_names
    from sinks.unusual import unusual_values

    first, last = _span(on, days)
    with connect(Settings().clickhouse, "grafana") as client:
        unit = find_unit(client, unit)
        ended = None if on else ended_campaign(client)
        found = unusual_values(client, unit, first, last, level=level)
        names = metric_names(client)
    if as_json:
        typer.echo(orjson.dumps([asdict(one) for one in found]).decode())
        return
    print_end(ended)
    rows = [
        (
            one.day,
            one.unit,
            one.name_hi,
            one.name_en,
            one.metric,
            *names.get(one.metric, ("", "")),
            one.amount,
            None if one.usual is None else round(one.usual),
            one.own_z,
            one.peer_z,
        )
        for one in found
    ]
    print_table(
        UNUSUAL_COLUMNS,
        rows,
        title=_count(len(found), UNUSUAL),
        plain=plain,
    )


@watch.command()
def completeness(
    *,
    unit: Unit = "IN",
    on: On = None,
    days: Days = 7,
    level: Annotated[Level, typer.Option(help="The units that are expected to report.")] = "booth",
    late: Annotated[
        int,
        typer.Option(
            min=0,
            max=_MAX_LATE,
            help="A report is in time until the end of this many days after its day.",
        ),
    ] = 1,
    as_json: AsJson = False,
    plain: AsPlain = False,
) -> None:
    """Show the share of units that reported for each day, and in time.

    These are DHIS2's reporting rates.
    """
    import orjson

    from pravah.settings import Settings
    from sinks.arrivals import late_arrival
    from sinks.connection import connect
    from sinks.control_room import ended_campaign, reporting_rates

    first, last = _span(on, days)
    with connect(Settings().clickhouse, "grafana") as client:
        unit = find_unit(client, unit)
        ended = None if on else ended_campaign(client)
        found = reporting_rates(client, [unit], first, last, level=level, days=late)
        arrival = late_arrival(client, unit, found, level=level)
    if as_json:
        typer.echo(orjson.dumps([asdict(one) for one in found]).decode())
        return
    print_end(ended)
    rows = [
        (
            one.day,
            one.expected,
            one.reported,
            100 * one.reported / one.expected,
            one.on_time,
            100 * one.on_time / one.expected,
        )
        for one in found
    ]
    print_table(
        COMPLETENESS_COLUMNS,
        rows,
        title=Words(f"{unit} · {LEVEL_WORDS[level].hi}", f"{unit} · {level}"),
        note=_explain_zeros(found, arrival),
        plain=plain,
    )


def _explain_zeros(
    rates: "Sequence[ReportingRate]", arrival: "LateArrival | None"
) -> Words | Literal[""]:
    """Why nothing was in time on some days, or nothing was reported at all."""
    if not rates:
        return Words(
            "इन दिनों यहाँ इस स्तर की कोई इकाई नहीं थी",
            "on these days no unit of this level was here",
        )
    if not any(one.reported for one in rates):
        return Words(
            "इन दिनों की कोई सूचना नहीं आई; --date से दूसरे दिन देखें",
            "nothing was reported for these days; --date shows others",
        )
    if arrival is None:
        return ""
    first, last = arrival.first_arrival, arrival.last_arrival
    english = f"on {last}" if first == last else f"from {first} to {last}"
    hindi = f"{last} को" if first == last else f"{first} से {last} तक"
    enough = arrival.needed <= _MAX_LATE
    return Words(
        f"{arrival.days} दिनों में समय पर 0: उनकी सारी सूचनाएँ {hindi} आईं, यानी देर से। "
        "'प्राप्त' में वे गिनी गई हैं"
        + (f"; --late {arrival.needed} से वे समय पर गिनी जाएँगी" if enough else ""),
        f"in time is 0 on {arrival.days} of these days: all that was reported for them arrived "
        f"{english}, too late for them, as after an import or a simulation. 'reported' counts it"
        + (f"; with --late {arrival.needed} it is in time" if enough else ""),
    )


@watch.command("members")
def show_members(
    *,
    unit: Unit = "IN",
    on: On = None,
    below: Annotated[
        Level | None, typer.Option(help="Show each unit of this level below it, too.")
    ] = None,
    exact_up_to: Annotated[
        int,
        typer.Option(
            min=0, help="With more keys than this, distinct persons are counted approximately."
        ),
    ] = EXACT_UP_TO,
    twice: Annotated[
        bool,
        typer.Option("--twice", help="Show keys that were reported more than once, and where."),
    ] = False,
    as_json: AsJson = False,
    plain: AsPlain = False,
) -> None:
    """Show reported, verified and distinct members.

    Prints them side by side; persons are distinct by their keyed hashes.
    """
    import orjson

    from pravah.settings import Settings
    from sinks.connection import connect
    from sinks.members import members, named_twice

    as_of = end_of_day(on)
    with connect(Settings().clickhouse, "grafana") as client:
        unit = find_unit(client, unit)
        if twice:
            _print_twice(named_twice(client, unit, as_of), as_json=as_json, plain=plain)
            return
        found = [
            one
            for one in members(
                client, unit, as_of, below=below is not None, exact_up_to=exact_up_to
            )
            if one.unit == unit or one.level == below
        ]
    if as_json:
        typer.echo(orjson.dumps([asdict(one) for one in found]).decode())
        return
    rows = [
        (
            one.unit,
            *(one.members, one.verified, one.named),
            f"≈ {one.persons:,}" if one.method == "approximate" else one.persons,
            one.verified_persons,
        )
        for one in found
    ]
    print_table(MEMBERS_COLUMNS, rows, title=f"{as_of.date()}", plain=plain)


def _print_twice(found: Sequence[Any], *, as_json: bool, plain: bool) -> None:
    import orjson

    if as_json:
        typer.echo(orjson.dumps([asdict(one) for one in found]).decode())
        return
    rows = [
        (
            one.member_key,
            one.memberships,
            ", ".join(one.units),
            one.first_day,
            one.last_day,
        )
        for one in found
    ]
    print_table(
        TWICE_COLUMNS,
        rows,
        title=_count(len(found), REPEATED),
        plain=plain,
    )


def _count(number: int, words: Words) -> Words:
    return Words(f"{number:,} {words.hi}", f"{number:,} {words.en}")


def _span(on: date | None, days: int) -> tuple[date, date]:
    """The first and the last of so many days up to a day, by default today."""
    last = on or end_of_day(None).date()
    return max(last - timedelta(days=days - 1), date_of(FIRST_DAY)), last
