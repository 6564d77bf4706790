"""`pravah units`: the unit registry."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.language import LEVEL_WORDS, Words, say
from cli.options import AsJson, On, read_day
from cli.tables import AsPlain, Column, print_table
from cli.units_apply import apply
from pravah.days import end_of_day
from pravah.units import LEVELS

if TYPE_CHECKING:
    from operations.unit_directory import Branch, UnitDirectory
    from schemas.registry import Registry

units = typer.Typer(no_args_is_help=True, help="Check, load, show and move units.")

units.command()(apply)

SHOW_COLUMNS = (
    Column("level", rank=3),
    Column("unit", "key"),
    Column("name_hi", rank=2),
    Column("name_en", rank=1),
    Column("valid_from", "day"),
    Column("valid_to", "day"),
)
FIND_COLUMNS = (
    Column("unit", "key"),
    Column("level", rank=3),
    Column("name_hi", rank=2),
    Column("name_en", rank=1),
)
TREE_COLUMNS = (
    Column("unit", "key"),
    Column("level", rank=3),
    Column("name_hi", rank=2),
    Column("name_en", rank=1),
    Column("parent", "key"),
)

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


@units.command()
def check(folder: Folder = None, *, as_json: AsJson = False) -> None:
    """Check registry files.

    Checks codes, levels, circles, overlaps, orphans and gaps. Prints all findings at once, with
    file and line, or how many units there are. Exit 1 if there are findings.
    """
    import orjson

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
        words = [(LEVEL_WORDS[level], count) for level, count in counts.items()]
        say(
            f"{len(registry):,} इकाइयाँ, कोई कमी नहीं: "
            + ", ".join(f"{count:,} {level.hi}" for level, count in words),
            f"{len(registry):,} units, no findings: "
            + ", ".join(f"{count:,} {level.en}" for level, count in words),
        )


@units.command()
def load(folder: Folder = None) -> None:
    """Check registry files and put them in force.

    Readers see the registry at once, workers within seconds. Figures of past days do not move:
    `pravah units apply` moves them, too. Exit 1 if there are findings, or if somebody else loaded
    another registry at the same time.
    """
    from operations.registry import install_registry
    from pravah.settings import Settings

    registry = _read(folder)
    changed = install_registry(Settings(), registry)
    say(
        f"{len(registry):,} इकाइयाँ लागू, {changed:,} प्रविष्टियाँ बदलीं",
        f"{len(registry):,} units loaded, {changed:,} entries changed",
    )


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
    from pravah.settings import Settings
    from schemas.contacts import contacts_from_csv
    from sinks.connection import connect
    from sinks.control_room import load_contacts
    from sinks.dimensions import known_units
    from sinks.migrate import Schema

    lines, settings = file.read_text(encoding="utf-8-sig").splitlines(), Settings()
    with connect(settings.clickhouse, "writer") as client:
        contacts = contacts_from_csv(lines, known_units(client))
        load_contacts(
            client, Schema(settings.clickhouse.database, settings.clickhouse.cluster), contacts
        )
    say(f"{len(contacts):,} संपर्क लागू", f"{len(contacts):,} contacts loaded")


@units.command()
def show(
    code: Annotated[
        str,
        typer.Argument(
            metavar="UNIT", help="A unit's code, such as CG-AC043, or its name in English or Hindi."
        ),
    ],
    *,
    on: Annotated[
        date | None,
        typer.Option(
            metavar="DAY",
            parser=read_day,
            help="Only the ancestors of this day, such as 2022-03-15.",
        ),
    ] = None,
    as_json: AsJson = False,
    plain: AsPlain = False,
) -> None:
    """Show a unit and its ancestors with their days."""
    import orjson

    with _open_directory() as directory:
        code = _find(directory, code)
        spans = directory.spans(code)
    unit = spans[-1]
    rows = [
        one for one in spans if on is None or (one.valid_from or on) <= on <= (one.valid_to or on)
    ]
    if as_json:
        ancestors = [
            {
                "unit": one.unit,
                "level": one.level,
                "valid_from": one.valid_from,
                "valid_to": one.valid_to,
            }
            for one in rows
        ]
        result = {
            "unit": code,
            "name_en": unit.name_en,
            "name_hi": unit.name_hi,
            "ancestors": ancestors,
        }
        typer.echo(orjson.dumps(result).decode())
        return
    print_table(
        SHOW_COLUMNS,
        [
            (
                LEVEL_WORDS[one.level],
                one.unit,
                one.name_hi,
                one.name_en,
                one.valid_from,
                one.valid_to,
            )
            for one in rows
        ],
        title=Words(f"{code}  {unit.name_hi}", f"{code}  {unit.name_en}"),
        plain=plain,
    )


@units.command()
def find(
    name: Annotated[
        str, typer.Argument(help="A name in English or Hindi, a part of one, or a code.")
    ],
    *,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="At most this many.")] = 20,
    as_json: AsJson = False,
    plain: AsPlain = False,
) -> None:
    """Find units whose name or code contains a text.

    Exit 1 if there is none; then it prints those that are alike.
    """
    import orjson

    from schemas.unit_names import MAX_NEAREST

    with _open_directory() as directory:
        found = directory.search(name, limit, only_containing=True)
        is_found = bool(found)
        if not is_found:
            found = directory.search(name, MAX_NEAREST, only_containing=False)
    if as_json:
        listed = [{"unit": one.code, "description": one.description} for one in found]
        typer.echo(orjson.dumps(listed if is_found else []).decode())
    else:
        if not is_found:
            say(
                f"किसी कोड या नाम में {name!r} नहीं; मिलते-जुलते:",
                f"no code or name contains {name!r}; alike:",
                err=True,
            )
        rows = [
            (one.code, LEVEL_WORDS[one.level], one.name_hi, one.name_en)
            for one in found
            if is_found or not plain
        ]
        print_table(FIND_COLUMNS, rows, plain=plain)
    raise typer.Exit(0 if is_found else 1)


@units.command()
def tree(
    code: Annotated[
        str, typer.Argument(metavar="[UNIT]", help="A unit's code or name; default: the nation.")
    ] = "IN",
    *,
    depth: Annotated[int, typer.Option(min=1, max=5, help="Number of levels below it.")] = 2,
    on: On = None,
    as_json: AsJson = False,
    plain: AsPlain = False,
) -> None:
    """Show a unit and the units below it, each under the nearest unit above it."""
    import orjson

    day = on or end_of_day(None).date()
    with _open_directory() as directory:
        code = _find(directory, code)
        found = directory.branches(code, day, depth)
    if not found:
        msg = f"{code} does not exist on {day}; `pravah units show {code}` shows its days"
        raise typer.BadParameter(msg, param_hint="--date")
    if as_json:
        typer.echo(orjson.dumps([one._asdict() for one in found]).decode())
        return
    if plain:
        rows = [
            (one.unit, LEVEL_WORDS[one.level], one.name_hi, one.name_en, one.parent)
            for one in found
        ]
        print_table(TREE_COLUMNS, rows, plain=True)
        return
    below: dict[str, list[Branch]] = {}
    for one in found:
        below.setdefault("" if one.unit == code else one.parent, []).append(one)
    _print_branches(below, "", 0)


def _print_branches(below: "Mapping[str, Sequence[Branch]]", parent: str, indent: int) -> None:
    for one in below.get(parent, ()):
        level = LEVEL_WORDS[one.level]
        texts = Words(f"{one.name_hi} ({level.hi})", f"{one.name_en} ({level.en})").lines()
        typer.echo("  ".join(["  " * indent + one.unit, *texts]))
        _print_branches(below, one.unit, indent + 1)


@contextmanager
def _open_directory() -> "Iterator[UnitDirectory]":
    from operations.unit_directory import open_directory
    from pravah.settings import Settings

    with open_directory(Settings()) as (directory, is_deployed):
        if not is_deployed:
            say(
                "यहाँ कुछ नहीं चल रहा: इकाइयाँ उस रजिस्ट्री की हैं जो Pravah के साथ आती है",
                "nothing runs here: units of the registry that comes with Pravah",
                err=True,
            )
        yield directory


def _find(directory: "UnitDirectory", text: str) -> str:
    from schemas.unit_names import UnknownNameError

    try:
        return directory.find(text)
    except UnknownNameError as error:
        raise typer.BadParameter(error.detail, param_hint="'UNIT'") from None


def _read(folder: Path | None) -> "Registry":
    import reference
    from operations.registry_files import read_registry_files

    if folder is None:
        return read_registry_files(reference.registry_files())
    paths = sorted([*folder.glob("*.units.csv"), *folder.glob("*.parents.csv")])
    if not paths:
        msg = f"{folder} has neither *.units.csv nor *.parents.csv"
        raise typer.BadParameter(msg)
    return read_registry_files(paths)
