"""`pravah units`: the unit registry."""

from datetime import date
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

import reference
from cli.units_apply import apply
from operations.registry import install_registry, read_registry_files
from pravah.days import FIRST_DAY, LAST_DAY, date_of, day_of
from pravah.settings import Settings
from pravah.units import LEVELS
from schemas.contacts import contacts_from_csv
from schemas.registry import Registry
from sinks.connection import connect
from sinks.control_room import load_contacts
from sinks.dimensions import known_units
from sinks.migrate import Schema

units = typer.Typer(no_args_is_help=True, help="Check, load, show and move units.")

units.command()(apply)

Folder = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FOLDER]",
        help=(
            "Folder with *.units.csv and *.parents.csv; default: the registry that comes with "
            "Pravah."
        ),
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@units.command()
def check(folder: Folder = None, *, as_json: AsJson = False) -> None:
    """Check registry files.

    Checks codes, levels, circles, overlaps, orphans and gaps. Prints all findings at once, with
    file and line, or how many units there are. Exit 1 if there are findings.
    """
    registry = _read(folder)
    counts = {
        level: sum(unit.level == level for unit in registry.units.values()) for level in LEVELS
    }
    if as_json:
        typer.echo(
            orjson.dumps(
                {"units": len(registry), "levels": counts, "fingerprint": registry.fingerprint()}
            ).decode()
        )
    else:
        typer.echo(
            f"{len(registry):,} units, no findings: "
            + ", ".join(f"{count:,} {level}" for level, count in counts.items())
        )


@units.command()
def load(folder: Folder = None) -> None:
    """Check registry files and put them in force.

    Readers see the registry at once, workers within seconds. Figures of past days do not move:
    `pravah units apply` moves them, too. Exit 1 if there are findings, or if somebody else loaded
    another registry at the same time.
    """
    registry = _read(folder)
    changed = install_registry(Settings(), registry)
    typer.echo(f"{len(registry):,} units loaded, {changed:,} entries changed")


@units.command("contacts")
def load_contacts_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="CSV with the columns unit, role, name, phone, language."
        ),
    ],
) -> None:
    """Check a contacts file and put it in force.

    A contacts file says who holds which office, and how to reach them. Names and phone numbers are
    in this table only, which the AICC's account may not read. Exit 1 if there are findings.
    """
    lines, settings = file.read_text(encoding="utf-8-sig").splitlines(), Settings()
    with connect(settings.clickhouse, "writer") as client:
        contacts = contacts_from_csv(lines, known_units(client))
        load_contacts(
            client, Schema(settings.clickhouse.database, settings.clickhouse.cluster), contacts
        )
    typer.echo(f"{len(contacts):,} contacts loaded")


@units.command()
def show(
    code: Annotated[str, typer.Argument(help="A unit code, such as CG-AC043.")],
    *,
    on: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="Only the ancestors of this day, such as 2022-03-15."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a unit and its ancestors with their days."""
    registry = _read(None)
    unit = registry.units.get(code)
    if unit is None:
        msg = f"{code!r} is not in the registry"
        raise typer.BadParameter(msg)
    spans = registry.ancestors(code, day_of(date.fromisoformat(on))) if on else registry.spans(code)
    rows = sorted(spans, key=lambda span: (LEVELS.index(span.level), span.first))
    if as_json:
        ancestors = [
            {
                "unit": s.ancestor,
                "level": s.level,
                "valid_from": _format_day(s.first),
                "valid_to": _format_day(s.last),
            }
            for s in rows
        ]
        typer.echo(
            orjson.dumps(
                {
                    "unit": code,
                    "name_en": unit.name_en,
                    "name_hi": unit.name_hi,
                    "ancestors": ancestors,
                }
            ).decode()
        )
        return
    table = Table(
        "level",
        "unit",
        "name",
        "नाम",
        "from",
        "to",
        title=f"{code}  {unit.name_en}  {unit.name_hi}",
    )
    for span in rows:
        above = registry.units[span.ancestor]
        table.add_row(
            span.level,
            span.ancestor,
            above.name_en,
            above.name_hi,
            _format_day(span.first) or "",
            _format_day(span.last) or "",
        )
    Console().print(table)


def _read(folder: Path | None) -> Registry:
    if folder is None:
        return read_registry_files(reference.registry_files())
    paths = sorted([*folder.glob("*.units.csv"), *folder.glob("*.parents.csv")])
    if not paths:
        msg = f"{folder} has neither *.units.csv nor *.parents.csv"
        raise typer.BadParameter(msg)
    return read_registry_files(paths)


def _format_day(day: int) -> str | None:
    return None if day in {FIRST_DAY, LAST_DAY} else date_of(day).isoformat()
