"""`pravah units apply`: a change of the registry that also moves the figures of past days."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.language import LEVEL_WORDS, Words, first_of, say
from cli.tables import Column, open_console, print_table
from pravah.days import FIRST_DAY, LAST_DAY, date_of
from pravah.units import LEVELS

if TYPE_CHECKING:
    from rich.console import Console

    from schemas.moves import Difference
    from schemas.registry import Registry, Unit
    from sinks.recount import Movement

UNITS_COLUMNS = (
    Column("unit", "key"),
    Column("name_hi", rank=2),
    Column("name_en", rank=1),
    Column("before", "key"),
    Column("after", "key"),
)
FIGURES_COLUMNS = (
    Column("level", rank=2),
    Column("unit", "key"),
    Column("name_hi", rank=4),
    Column("name_en", rank=3),
    Column("metric", "key"),
    Column("days", "number", rank=1),
    Column("all", "number"),
    Column("verified", "number"),
)
# A recount of everything may take minutes.
_QUERY_SECONDS = 3_600

Source = Annotated[
    Path,
    typer.Argument(
        metavar="FILE|FOLDER",
        help=(
            "Moves as CSV (unit,parent,valid_from,valid_to), or a whole registry: a folder with "
            "*.units.csv and *.parents.csv."
        ),
        exists=True,
    ),
]


def apply(
    source: Source,
    *,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="Apply the change. Without it, only show what would change.",
        ),
    ] = False,
    reason: Annotated[
        str,
        typer.Option(
            help="Recorded for those who ask why a figure moved; default: the file's name."
        ),
    ] = "",
    limit: Annotated[int, typer.Option(min=0, help="Number of units and figures to show.")] = 20,
    wait: Annotated[
        float,
        typer.Option(min=0, help="Seconds without progress after which open chunks are left out."),
    ] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Move units to other parents, from any day on, and move past figures with them.

    Prints the units and figures that change. In a moves file, each row gives a unit another parent
    from a day on; the parent of the same level that it had on those days ends. Figures are moved
    by entries of their own, with this reason: `rollups` shows them as they are now,
    `rollups_as_known(as_of = …)` as they were known before. Workers may run meanwhile.
    Exit 1 if something must be repaired first.
    """
    import orjson

    from cli.progress import steps
    from operations.reconcile import author
    from operations.registry import apply_change, current_registry, preview_change
    from pravah.settings import Settings
    from sinks.connection import connect

    settings = Settings()
    present = current_registry(settings)
    following = _read(source, present)
    with (
        steps("comparing with the figures") as report,
        connect(settings.clickhouse, "writer", send_receive_timeout=_QUERY_SECONDS) as client,
    ):
        change = preview_change(settings, client, present, following, wait=wait, report=report)
        done = None
        if yes and change.units:
            done = apply_change(
                settings,
                client,
                change,
                reason=reason or source.name,
                author=author(),
                report=report,
            )
    units, figures = change.units, change.figures
    if as_json:
        result = {
            "applied": done is not None,
            "units": [
                {"unit": one.unit, "before": _unit_json(one.before), "after": _unit_json(one.after)}
                for one in units
            ],
            "figures": [asdict(one) for one in figures],
            "repairs": [] if done is None else [asdict(one) for one in done],
        }
        typer.echo(orjson.dumps(result).decode())
        return
    _print_change(units, figures, limit, open_console(), following)
    if done is not None:
        moved = " and ".join(f"repair {one.number} ({one.entries:,} entries)" for one in done)
        moved_hi = " और ".join(f"सुधार {one.number} ({one.entries:,} प्रविष्टियाँ)" for one in done)
        say(
            f"लागू: {len(units):,} इकाइयाँ बदलीं; आँकड़े बदले: {moved_hi or 'कोई नहीं'}",
            f"applied: {len(units):,} units changed; figures moved by {moved or 'nothing'}",
        )
    elif units:
        say(
            "केवल परख: कुछ नहीं बदला। करने के लिए --yes जोड़ें",
            "a dry run: nothing was changed. Add --yes to do it",
        )


def _read(source: Path, present: "Registry") -> "Registry":
    from operations.registry_files import read_registry_files
    from schemas.moves import move_units

    if source.is_file():
        return move_units(present, source.name, source.read_text(encoding="utf-8-sig").splitlines())
    paths = sorted([*source.glob("*.units.csv"), *source.glob("*.parents.csv")])
    if not paths:
        msg = f"{source} has neither *.units.csv nor *.parents.csv"
        raise typer.BadParameter(msg)
    return read_registry_files(paths)


def _print_change(
    units: "list[Difference]",
    figures: "list[Movement]",
    limit: int,
    console: "Console",
    following: "Registry",
) -> None:
    if not units:
        say("रजिस्ट्री पहले से यही है: कोई बदलाव नहीं", "the registry is this already: nothing changes")
        return
    rows = [
        (
            one.unit,
            shown.name_hi if shown else "",
            shown.name_en if shown else "",
            _brief(one.before, one.after),
            _brief(one.after, one.before),
        )
        for one, shown in ((one, one.after or one.before) for one in units[:limit])
    ]
    note = first_of(limit, len(units))
    title = Words(f"{len(units):,} इकाइयाँ बदलती हैं", f"{len(units):,} units change")
    print_table(UNITS_COLUMNS, rows, title=title, note=note, console=console)
    counts = {
        level: sum(figure.figures for figure in figures if figure.level == level)
        for level in LEVELS
    }
    moving = [(LEVEL_WORDS[level], count) for level, count in counts.items() if count]
    say(
        "बदलने वाले आँकड़े: " + (", ".join(f"{n:,} {one.hi}" for one, n in moving) or "कोई नहीं"),
        "figures that move: " + (", ".join(f"{n:,} {one.en}" for one, n in moving) or "none"),
    )
    if not figures:
        return
    moves = [
        (
            LEVEL_WORDS[one.level],
            one.unit,
            *((unit.name_hi, unit.name_en) if unit else ("", "")),
            one.metric,
            one.figures,
            f"{one.value:+,}",
            f"{one.verified_value:+,}",
        )
        for one, unit in ((one, following.units.get(one.unit)) for one in figures[:limit])
    ]
    top = Words(
        f"{len(figures):,} में से पहले {limit}, सबसे ऊपर के स्तर से",
        f"the first {limit} of {len(figures):,}, from the top level down",
    )
    note = top if len(figures) > limit else ""
    print_table(FIGURES_COLUMNS, moves, note=note, console=console)


def _brief(unit: "Unit | None", other: "Unit | None") -> str:
    """The days and parents of a unit that the other registry does not have."""
    if unit is None:
        return "-"
    lines = []
    if other is None or (unit.first, unit.last) != (other.first, other.last):
        lines.append(_days(unit.first, unit.last))
    if other is not None and (unit.name_en, unit.name_hi) != (other.name_en, other.name_hi):
        lines.append(f"{unit.name_en} {unit.name_hi}")
    lines += [
        f"{edge.parent} {_days(edge.first, edge.last)}"
        for edge in unit.parents
        if other is None or edge not in other.parents
    ]
    return "\n".join(lines)


def _days(first: int, last: int) -> str:
    begin = "" if first == FIRST_DAY else str(date_of(first))
    end = "" if last == LAST_DAY else str(date_of(last))
    return f"{begin}…{end}"


def _unit_json(unit: "Unit | None") -> dict[str, Any] | None:
    if unit is None:
        return None
    parents = [
        {"unit": edge.parent, "valid_from": date_of(edge.first), "valid_to": date_of(edge.last)}
        for edge in unit.parents
    ]
    return {
        "name_en": unit.name_en,
        "name_hi": unit.name_hi,
        "valid_from": date_of(unit.first),
        "valid_to": date_of(unit.last),
        "parents": parents,
    }
