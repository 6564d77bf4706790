"""`pravah report`: the situation report of a unit as HTML, PDF, PNG, XLSX or JSON."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from pravah.settings import Settings
from reports.formats import FORMATS, Format, render
from reports.labels import Lang
from sinks.connection import connect

_STANDARD_OUTPUT = Path("-")


def report(
    *,
    unit: Annotated[
        str | None, typer.Option(help="A unit code; by default the state whose plan is in force.")
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--date",
            metavar="DAY",
            help="Status at the end of this day, such as 2022-06-30; by default today.",
        ),
    ] = None,
    lang: Annotated[Lang, typer.Option(help="Hindi, English, or both side by side.")] = "both",
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

    It has progress per milestone, what changed since the day before, the units furthest ahead and
    behind, defaulters, and how current the figures are. html is a page for a phone, pdf the same on
    A4, png a card to forward, xlsx a workbook, json the data.
    """
    from reports.facts import FutureDayError, default_unit, read_situation

    format_ = format_ or _format_of(to)
    day = _parse_day(on)
    with connect(Settings().clickhouse, "grafana") as client:
        try:
            situation = read_situation(
                client, unit or default_unit(client), day, contacts=with_contacts
            )
        except FutureDayError as error:
            raise typer.BadParameter(str(error), param_hint="--date") from None
    content = render(situation, format_, lang)
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


def _format_of(to: Path | None) -> Format:
    """The format that a file's extension names.

    Raises:
        typer.BadParameter: the extension names no format.
    """
    if to is None or to == _STANDARD_OUTPUT:
        return "html"
    extension = to.suffix.removeprefix(".").lower()
    if extension not in FORMATS:
        msg = f"{to}: the extension names no format; give --format, or use .{', .'.join(FORMATS)}"
        raise typer.BadParameter(msg, param_hint="--to")
    return extension


def _parse_day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        msg = f"{text!r}: {error}; a day is written 2022-06-30"
        raise typer.BadParameter(msg, param_hint="--date") from None
