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

units = typer.Typer(
    no_args_is_help=True, help="The unit registry: check files, load them, look at a unit."
)

units.command()(apply)

Folder = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FOLDER]",
        help="With *.units.csv and *.parents.csv; by default the registry that comes with Pravah.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")]


@units.command()
def check(folder: Folder = None, *, as_json: AsJson = False) -> None:
    """Check registry files: codes, levels, circles, overlaps, orphans, gaps. All findings at once, with file and line; exit 1 if there are any."""
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
    """Check registry files and make them the registry in force: for readers at once, for workers within seconds.

    Figures of past days are not moved by this: it is for what holds from now on. `pravah units apply` moves them too.
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
    """Check a contacts file and make it the contacts in force: who holds which office, and how to reach them. All findings at once; exit 1 if there are any.

    Names and phone numbers stand in this table alone; the AICC's account may not read it.
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
        typer.Option(metavar="DAY", help="Only what holds on this day, such as 2022-03-15."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a unit and who stands above it on which days."""
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
                "valid_from": _shown(s.first),
                "valid_to": _shown(s.last),
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
            _shown(span.first) or "",
            _shown(span.last) or "",
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


def _shown(day: int) -> str | None:
    return None if day in {FIRST_DAY, LAST_DAY} else date_of(day).isoformat()
