"""`pravah report`: the situation report of a unit as HTML, PDF, PNG, XLSX or JSON."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from cli.language import InLanguage, current_language
from cli.options import On, find_unit, print_end
from reports.choices import Format

_STANDARD_OUTPUT = Path("-")


def report(
    *,
    unit: Annotated[
        str | None,
        typer.Option(
            help="A unit's code, or its name in English or Hindi; by default the state whose plan "
            "is in force."
        ),
    ] = None,
    on: On = None,
    lang: InLanguage = None,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="By default the extension of --to, else html."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=(
                "File to write; by default one named after unit and day in this folder. - is"
                " standard output."
            ),
        ),
    ] = None,
    with_contacts: Annotated[
        bool,
        typer.Option("--with-contacts", help="Include whom to call: names and phone numbers."),
    ] = False,
) -> None:
    """Make the situation report of a unit.

    First what the trouble is and what has changed since the day before, then the units furthest
    behind and whom to call, then the rest. html is a page for phone and desk, pdf the same on A4,
    png a card to forward, xlsx a workbook, json the data.
    """
    from cli.progress import progress
    from pravah.settings import Settings
    from reports.facts import FutureDayError, default_unit, read_situation
    from reports.formats import render
    from sinks.connection import connect
    from sinks.control_room import ended_campaign

    format_ = format_ or _format_of(to)
    clickhouse = Settings().clickhouse
    with connect(clickhouse, "grafana") as client, connect(clickhouse, "grafana") as second:
        unit = find_unit(client, unit) if unit is not None else default_unit(client)
        ended = None if on else ended_campaign(client)
        try:
            with progress(f"reading the figures of {unit}", None):
                situation = read_situation(client, unit, on, contacts=with_contacts, second=second)
        except FutureDayError as error:
            raise typer.BadParameter(str(error), param_hint="--date") from None
    print_end(ended)
    with progress(f"making the report as {format_}", None):
        content = render(situation, format_, lang or current_language())
    if to == _STANDARD_OUTPUT or (to is None and format_ == "json"):
        typer.echo(content, nl=format_ == "json")
        return
    path = to or Path(f"report-{situation.unit}-{situation.day}.{format_}")
    try:
        path.write_bytes(content)
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise typer.BadParameter(msg, param_hint="--to") from None
    typer.echo(
        f"{path}: {situation.name_hi} · {situation.name_en}, {situation.day},"
        f" {len(content) / 1024:,.0f} KiB"
    )
    _print_next(situation.unit, on or (ended.last_day if ended else None), format_)


def _print_next(unit: str, on: date | None, format_: Format) -> None:
    from cli.progress import print_next

    at = f" --date {on}" if on else ""
    other, purpose = ("html", "a page for a phone") if format_ == "pdf" else ("pdf", "to print")
    print_next(
        (f"pravah report --unit {unit}{at} --format {other}", purpose),
        (f"pravah plan defaulters --unit {unit}{at}", "who is overdue, and whom to call"),
    )


def _format_of(to: Path | None) -> Format:
    """The format that a file's extension names.

    Raises:
        typer.BadParameter: the extension names no format.
    """
    from reports.formats import FORMATS

    if to is None or to == _STANDARD_OUTPUT:
        return "html"
    extension = to.suffix.removeprefix(".").lower()
    if extension not in FORMATS:
        msg = f"{to}: the extension names no format; give --format, or use .{', .'.join(FORMATS)}"
        raise typer.BadParameter(msg, param_hint="--to")
    return extension
