"""`pravah plan`: deadlines, progress, forecasts and defaulters."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.language import NEVER, Words, say
from cli.options import AsJson, On, Unit, check_milestone, find_open_unit, print_end
from cli.tables import AsPlain, Cell, Column, print_table
from pravah.days import end_of_day
from pravah.languages import Language
from schemas.defaults import MAX_BAND_DAYS, SHARE

if TYPE_CHECKING:
    from schemas.plan import Plan
    from sinks.control_room import Call, Defaulter
    from sinks.forecast import Forecast

plan = typer.Typer(
    no_args_is_help=True,
    help="Load the plan; show progress, forecasts and defaulters.",
)

File = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]", help="A plan as TOML; default: the plan of 2022 that comes with Pravah."
    ),
]
MAX_SHOWN_IN_TEXT = 10
HISTORY_COLUMNS = (
    Column("plan", "key"),
    Column("milestone", "key"),
    Column("before", "day"),
    Column("after", "day"),
    Column("loaded", "day", rank=1),
    Column("author", rank=2),
    Column("reason", rank=3),
)
STATUS_COLUMNS = (
    Column("milestone", "key"),
    Column("milestone_hi", rank=5),
    Column("milestone_en", rank=4),
    Column("deadline", "day"),
    Column("expected", "number", rank=2),
    Column("on_time", "number", rank=1),
    Column("late", "number", rank=3),
    Column("overdue", "number"),
    Column("due", "number", rank=2),
    Column("done_percent", "number"),
)
FORECAST_COLUMNS = (
    Column("milestone", "key"),
    Column("milestone_hi", rank=8),
    Column("milestone_en", rank=7),
    Column("deadline", "day"),
    Column("expected", "number", rank=4),
    Column("done", "number", rank=2),
    Column("recent", "number", rank=5),
    Column("goal", "number", rank=3),
    Column("outlook", rank=1),
    Column("reached_at", "day"),
    Column("earliest", "day", rank=6),
    Column("latest", "day", rank=6),
)
DEFAULTERS_COLUMNS = (
    Column("unit", "key"),
    Column("name_hi", rank=5),
    Column("name_en", rank=4),
    Column("milestone", "key"),
    Column("milestone_hi", rank=9),
    Column("milestone_en", rank=8),
    Column("days_overdue", "number"),
    Column("blocks", "number", rank=3),
    Column("last_report", "day", rank=6),
    Column("responsible", rank=7),
    Column("call", rank=2),
    Column("phone", "key", rank=1),
)
OUTLOOKS = {
    "reached": Words("पूरा हुआ", "reached"),
    "forecast": Words("अनुमान", "forecast"),
    "not_in_sight": Words("दिखता नहीं", "not in sight"),
    "too_little": Words("जानकारी कम", "too little data"),
}
NOT_BEFORE = Words("इससे पहले नहीं", "not before")
NEW, TAKEN_OUT = Words("नया", "new"), Words("हटाया गया", "taken out")


@plan.command()
def check(file: File = None) -> None:
    """Check a plan file.

    Checks fields, levels, prerequisites, and conditions that no event can meet. Prints all findings
    at once. Exit 1 if there are any.
    """
    found = _read(file)
    count = len(found.milestones)
    say(
        f"{found.state} की योजना: {count} लक्ष्य, कोई कमी नहीं",
        f"plan of {found.state}: {count} milestones, no findings",
    )


@plan.command()
def load(
    file: File = None,
    *,
    reason: Annotated[
        str, typer.Option(help="Recorded for those who ask why a deadline moved.")
    ] = "loaded by hand",
) -> None:
    """Check a plan file and put it in force for its state.

    Prints the deadlines that moved; the previous plan stays in the history.
    """
    from operations.reconcile import author
    from pravah.settings import Settings
    from sinks.connection import connect
    from sinks.migrate import Schema
    from sinks.plan import load_plan, moved_deadlines

    found, settings = _read(file), Settings()
    with connect(settings.clickhouse, "writer") as client:
        before = len(moved_deadlines(client))
        if not load_plan(
            client,
            Schema(settings.clickhouse.database, settings.clickhouse.cluster),
            found,
            author=author(),
            reason=reason,
        ):
            say(
                f"{found.state} की यही योजना पहले से लागू है",
                f"this plan of {found.state} is in force already",
            )
            return
        moved = moved_deadlines(client)[before:]
    count = len(found.milestones)
    say(
        f"{found.state} की योजना लागू: {count} लक्ष्य",
        f"plan of {found.state} loaded: {count} milestones",
    )
    for one in moved:
        say(
            f"  {one.milestone}: {one.before or NEW.hi} → {one.deadline or TAKEN_OUT.hi}",
            f"  {one.milestone}: {one.before or NEW.en} → {one.deadline or TAKEN_OUT.en}",
        )


@plan.command()
def history(*, as_json: AsJson = False, plain: AsPlain = False) -> None:
    """Show which deadlines were moved, when, by whom and why."""
    import orjson

    from pravah.settings import Settings
    from sinks.connection import connect
    from sinks.plan import moved_deadlines

    with connect(Settings().clickhouse, "grafana") as client:
        moved = moved_deadlines(client)
    if as_json:
        typer.echo(orjson.dumps([asdict(one) for one in moved]).decode())
        return
    if not moved and not plain:
        say("कोई अंतिम तिथि कभी नहीं बदली", "no deadline was ever moved")
        return
    rows = [
        (
            one.plan,
            one.milestone,
            one.before or NEW,
            one.deadline or TAKEN_OUT,
            f"{one.loaded_at:%Y-%m-%d %H:%M}",
            one.author,
            one.reason,
        )
        for one in moved
    ]
    print_table(HISTORY_COLUMNS, rows, plain=plain)


@plan.command()
def status(
    *, unit: Unit = "IN", on: On = None, as_json: AsJson = False, plain: AsPlain = False
) -> None:
    """Show the progress of a unit and those below it, by milestone."""
    import orjson

    from pravah.settings import Settings
    from sinks.connection import connect
    from sinks.control_room import ended_campaign, milestone_progress

    as_of = end_of_day(on)
    with connect(Settings().clickhouse, "grafana") as client:
        unit = find_open_unit(client, unit, as_of)
        found = milestone_progress(client, unit, as_of)
        ended = None if on else ended_campaign(client)
    if as_json:
        typer.echo(
            orjson.dumps(
                {
                    "unit": unit,
                    "as_of": as_of.isoformat(),
                    "ended": ended and asdict(ended),
                    "milestones": [asdict(one) for one in found],
                }
            ).decode()
        )
        return
    print_end(ended)
    if not found and not plain:
        say(
            f"{as_of.date()} को {unit} में कोई लक्ष्य अपेक्षित नहीं है",
            f"no milestone is expected at or below {unit} on {as_of.date()}",
        )
        return
    rows = [
        (
            one.milestone,
            one.name_hi,
            one.name_en,
            one.deadline,
            *(one.expected, one.done_on_time, one.done_late, one.overdue, one.due),
            100 * (one.done_on_time + one.done_late) / one.expected,
        )
        for one in found
    ]
    print_table(STATUS_COLUMNS, rows, title=f"{unit} · {as_of.date()}", plain=plain)


@plan.command()
def forecast(
    *,
    unit: Unit = "IN",
    on: On = None,
    share: Annotated[
        float,
        typer.Option(
            min=0.01, max=1.0, help="Forecast the day by which this share of the units is done."
        ),
    ] = SHARE,
    as_json: AsJson = False,
    plain: AsPlain = False,
) -> None:
    """Forecast the day on which each milestone is reached.

    Prints the day by which a share of the units is done at the pace of the last week, with a band
    that holds in about four of five cases. docs/plan.md states the measured errors.
    """
    import orjson

    from pravah.settings import Settings
    from sinks.connection import connect
    from sinks.control_room import ended_campaign
    from sinks.forecast import forecasts
    from sinks.names import milestone_names

    as_of = end_of_day(on)
    with connect(Settings().clickhouse, "grafana") as client:
        unit = find_open_unit(client, unit, as_of)
        found = forecasts(client, unit, as_of, share=share)
        names = milestone_names(client)
        ended = None if on else ended_campaign(client)
    if as_json:
        typer.echo(
            orjson.dumps(
                {
                    "unit": unit,
                    "as_of": as_of.isoformat(),
                    "share": share,
                    "ended": ended and asdict(ended),
                    "milestones": [asdict(one) for one in found],
                }
            ).decode()
        )
        return
    print_end(ended)
    rows = [
        (
            one.milestone,
            *names[one.milestone],
            one.deadline,
            *(one.expected, one.done, one.recent, one.goal),
            *_forecast_cells(one, plain=plain),
        )
        for one in found
    ]
    title = f"{unit} · {as_of.date()} · {share:.0%}"
    print_table(FORECAST_COLUMNS, rows, title=title, plain=plain)


@plan.command("defaulters")
def show_defaulters(
    *,
    unit: Unit = "IN",
    milestone: Annotated[str | None, typer.Option(help="Only this milestone.")] = None,
    on: On = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
    text: Annotated[
        Language | None, typer.Option(help="Print a text to send, in hi or en.")
    ] = None,
    as_json: AsJson = False,
    plain: AsPlain = False,
) -> None:
    """Show the overdue units, those first that block most.

    Prints how long each is overdue, how many milestones it blocks, its last report, and whom to
    call.
    """
    import orjson

    from pravah.settings import Settings
    from sinks.connection import connect
    from sinks.control_room import calls, defaulters, ended_campaign, unit_name

    as_of = end_of_day(on)
    with connect(Settings().clickhouse, "grafana") as client:
        unit = find_open_unit(client, unit, as_of)
        check_milestone(client, milestone)
        found = defaulters(client, unit, as_of, milestone=milestone, limit=limit)
        ended = None if on else ended_campaign(client)
        whom = calls(client, found)
        title = unit_name(client, unit, text or "en")
    if as_json:
        rows = [
            {**asdict(one), "call": asdict(call) if call else None}
            for one, call in zip(found, whom, strict=True)
        ]
        result = {
            "unit": unit,
            "as_of": as_of.isoformat(),
            "ended": ended and asdict(ended),
            "defaulters": rows,
        }
        typer.echo(orjson.dumps(result).decode())
        return
    print_end(ended)
    if text:
        typer.echo(defaulters_text(found, whom, title, as_of, text))
    elif found or plain:
        table = [_defaulter_row(one, call) for one, call in zip(found, whom, strict=True)]
        print_table(DEFAULTERS_COLUMNS, table, plain=plain)
    else:
        say(
            f"{as_of.date()} को {unit} में किसी पर कुछ बकाया नहीं है",
            f"nobody at or below {unit} is overdue on {as_of.date()}",
        )


def defaulters_text(
    found: "Sequence[Defaulter]",
    whom: "Sequence[Call | None]",
    title: str,
    as_of: datetime,
    language: Language,
) -> str:
    """Render defaulters as a text for a messenger, in Hindi or English."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    texts = Environment(
        loader=PackageLoader("cli"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701
    )
    shown = list(zip(found, whom, strict=True))[:MAX_SHOWN_IN_TEXT]
    return (
        texts.get_template(f"defaulters.{language}.txt")
        .render(shown=shown, more=len(found) - len(shown), title=title, day=as_of.date())
        .strip()
    )


def _read(file: Path | None) -> "Plan":
    import reference
    from schemas.plan import Plan

    return Plan.from_toml((file or reference.plan_file()).read_text(encoding="utf-8"))


def _forecast_cells(one: "Forecast", *, plain: bool) -> tuple[Cell, Cell, Cell, Cell]:
    """Outlook and days; of a band that is too wide for people, its first day alone."""
    if one.earliest and not plain:
        is_wide = one.latest is None or (one.latest - one.earliest).days > MAX_BAND_DAYS
        if is_wide:
            return NOT_BEFORE, one.earliest, None, None
    return OUTLOOKS[one.outlook], one.reached_at, one.earliest, one.latest


def _defaulter_row(one: "Defaulter", call: "Call | None") -> tuple[Cell, ...]:
    return (
        one.unit,
        one.name_hi,
        one.name_en,
        one.milestone,
        one.milestone_hi,
        one.milestone_en,
        one.days_overdue,
        one.blocks,
        one.last_report or NEVER,
        Words(
            " · ".join(filter(None, (one.office_hi, one.responsible_hi))),
            " · ".join(filter(None, (one.responsible, one.responsible_en))),
        ),
        call.name if call else "",
        call.phone if call else "",
    )
