"""`pravah report`: where a unit's programme stands, as a page, on paper, as a card to forward, as a workbook, or as data."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from pravah.settings import Settings
from reports.formats import FORMS, Form, rendered
from reports.labels import Tongue
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
            help="As on the evening of this day, such as 2022-06-30; today by default.",
        ),
    ] = None,
    lang: Annotated[Tongue, typer.Option(help="Hindi, English, or both side by side.")] = "both",
    form: Annotated[
        Form | None,
        typer.Option("--format", help="By default what the ending of --to says, else html."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=(
                "Where to; by default a file named by unit and day in this folder. - is standard"
                " output."
            ),
        ),
    ] = None,
    with_contacts: Annotated[
        bool, typer.Option("--with-contacts", help="Say whom to call: names and phone numbers.")
    ] = False,
) -> None:
    """Make the situation report of a unit: how far each milestone is, what changed, who is ahead and who behind, who is overdue, how current the figures are.

    html is one page for a phone, pdf the same on A4, png a card to forward, xlsx a workbook, json the data.
    """
    from reports.facts import FutureDayError, default_unit, read_situation

    form = form or _by_ending(to)
    day = _day(on)
    with connect(Settings().clickhouse, "grafana") as client:
        try:
            situation = read_situation(
                client, unit or default_unit(client), day, contacts=with_contacts
            )
        except FutureDayError as error:
            raise typer.BadParameter(str(error), param_hint="--date") from None
    content = rendered(situation, form, lang)
    if to == _STANDARD_OUTPUT or (to is None and form == "json"):
        typer.echo(content, nl=form == "json")
        return
    path = to or Path(f"report-{situation.unit}-{situation.day}.{form}")
    try:
        path.write_bytes(content)
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise typer.BadParameter(msg, param_hint="--to") from None
    typer.echo(
        f"{path}: {situation.name_hi} · {situation.name_en}, {situation.day},"
        f" {len(content) / 1024:,.0f} KiB"
    )


def _by_ending(to: Path | None) -> Form:
    """The format that a file's name asks for.

    Raises:
        typer.BadParameter: its ending is none of a format.
    """
    if to is None or to == _STANDARD_OUTPUT:
        return "html"
    ending = to.suffix.removeprefix(".").lower()
    if ending not in FORMS:
        msg = (
            f"{to}: the ending says no format; choose one by --format, or end it with"
            f" .{', .'.join(FORMS)}"
        )
        raise typer.BadParameter(msg, param_hint="--to")
    return ending


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        msg = f"{text!r}: {error}; a day is written 2022-06-30"
        raise typer.BadParameter(msg, param_hint="--date") from None
