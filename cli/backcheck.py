"""`pravah backcheck`: draw samples of reports, enter the outcomes, show how many held."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from cli.language import current_language, say
from cli.options import AsJson, Unit, find_unit, read_day
from cli.tables import AsPlain, Column, print_table
from pravah.events import MODELS
from pravah.units import Level

backcheck = typer.Typer(
    no_args_is_help=True,
    help="Draw samples to verify and enter the outcomes.",
)

# Changed entities that are printed; --json lists all of them.
_MAX_SHOWN = 20
RESULT_COLUMNS = (
    Column("part", "key"),
    Column("drawn", "number"),
    Column("verified", "number"),
    Column("rejected", "number"),
    Column("taken_back", "number", rank=1),
    Column("waiting", "number"),
)


@backcheck.command("draw")
def draw_sample(
    sample: Annotated[str, typer.Argument(help="Name of the sample, such as members-june.")],
    *,
    sheet: Annotated[
        Path,
        typer.Option(
            help="Write this file for the field, .xlsx or .csv: a line for each report, with whom "
            "to call, what was claimed, and room for what was found. Beside it goes a file with "
            "their keys, NAME.keys.csv, for `enter`."
        ),
    ],
    first: Annotated[
        date,
        typer.Option(
            "--from", parser=read_day, metavar="DAY", help="The first day (Asia/Kolkata)."
        ),
    ],
    last: Annotated[
        date,
        typer.Option("--to", parser=read_day, metavar="DAY", help="The last day, inclusive."),
    ],
    unit: Unit = "IN",
    kind: Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}.")] = "membership",
    size: Annotated[
        int,
        typer.Option(min=1, help="Number of entities; with --each, of each unit of that level."),
    ] = 50,
    each: Annotated[Level | None, typer.Option(help="Draw --size of each unit of a level.")] = None,
    seed: Annotated[
        str | None,
        typer.Option(
            help="The same seed draws the same sample from the same entities; default: its name."
        ),
    ] = None,
) -> None:
    """Draw a sample of entities, and write a sheet for the field.

    Draws from the entities that count and were not checked yet. The sample follows from the seed
    alone, so anybody can draw it again. In the field, yes or no is written into the column `found`;
    then `pravah backcheck enter`.
    """
    from cli.progress import print_next
    from operations.back_check import keys_file, write_sheet
    from operations.reconcile import author
    from pravah.settings import Settings
    from sinks.back_checks import Drawing, draw
    from sinks.connection import connect

    if kind not in MODELS:
        msg = f"{kind!r}: one of {', '.join(MODELS)}"
        raise typer.BadParameter(msg, param_hint="'--kind'")
    if last < first:
        msg = f"{last} lies before {first}, the day of --from"
        raise typer.BadParameter(msg, param_hint="'--to'")
    with connect(Settings().clickhouse, "writer") as client, _new_files(sheet, keys_file(sheet)):
        unit = find_unit(client, unit)
        drawing = Drawing(sample, unit, kind, first, last, size, seed or sample, each)
        drawn = draw(client, drawing, author=author())
        write_sheet(sheet, client, drawing, drawn, current_language())
    typer.echo(
        f"{len(drawn):,} drawn, in {len({one.stratum for one in drawn}):,} parts; the sheet for "
        f"the field is {sheet}; {keys_file(sheet)} stays here"
    )
    print_next(
        (f"pravah backcheck enter {shlex.quote(str(sheet))}", "when it has come back"),
        (f"pravah backcheck result {shlex.quote(sample)}", "which share held"),
    )


@contextmanager
def _new_files(*files: Path) -> Iterator[None]:
    """Make files before a sample is drawn for them; they go again if none was."""
    made: list[Path] = []
    try:
        for file in files:
            try:
                file.touch(exist_ok=False)
            except FileExistsError:
                msg = f"--sheet {files[0]}: there is a file {file} already; name another one"
                raise typer.BadParameter(msg) from None
            except OSError as error:
                msg = f"--sheet {files[0]}: {error.strerror}"
                raise typer.BadParameter(msg) from None
            made.append(file)
        yield
    except BaseException:
        for file in made:
            file.unlink()
        raise


@backcheck.command()
def enter(
    sheet: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="The sheet as it came back from the field."
        ),
    ],
    *,
    keys: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="The file with the keys that `draw` wrote; default: the one beside the sheet.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be entered.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Enter the outcomes of a sheet.

    Each outcome becomes a new version of its entity, which differs only in `verification`; a
    rejected entity counts nowhere from then on. Prints how many were entered. An entity that was
    changed or retracted since it was drawn is not entered: it must be checked again.
    Exit 1 if there is such an entity.
    """
    import orjson

    from operations.back_check import outcome_events, read_sheet, send_events
    from pravah.settings import Settings
    from producers.tables import TableError

    try:
        findings = read_sheet(sheet, keys)
    except (TableError, UnicodeDecodeError) as error:
        raise typer.BadParameter(str(error), param_hint="SHEET") from None
    settings = Settings()
    found = outcome_events(settings, findings.outcomes)
    if found.events and not dry_run:
        send_events(settings, found.events)
    if as_json:
        entered_json = {
            "entered": len(found.events),
            "entered_before": found.entered_before,
            "changed_since": [one.entity for one in found.changed],
        }
        typer.echo(orjson.dumps(entered_json).decode())
    else:
        typer.echo(
            f"{'would be entered' if dry_run else 'entered'}: {len(found.events):,}; entered "
            "before: "
            f"{found.entered_before:,}; changed since they were drawn: {len(found.changed):,}"
            + (f"; without a finding: {findings.open:,}" if findings.open else "")
        )
        for one in found.changed[:_MAX_SHOWN]:
            typer.echo(f"  {one.entity} of {one.key}: look at it again", err=True)
    raise typer.Exit(1 if found.changed else 0)


@backcheck.command("result")
def show_result(
    sample: Annotated[str, typer.Argument(help="Name of the sample.")],
    *,
    as_json: AsJson = False,
    plain: AsPlain = False,
) -> None:
    """Show which share of a sample was verified, with its 95 % interval."""
    import orjson

    from pravah.settings import Settings
    from schemas.back_check import wilson_interval
    from sinks.back_checks import result
    from sinks.connection import connect

    with connect(Settings().clickhouse, "writer") as client:
        found = result(client, sample)
    verified, checked = (
        sum(one.verified for one in found),
        sum(one.verified + one.rejected for one in found),
    )
    low, high = wilson_interval(verified, checked)
    if as_json:
        parts = [{**asdict(one), "waiting": one.waiting} for one in found]
        typer.echo(
            orjson.dumps(
                {
                    "sample": sample,
                    "verified": verified,
                    "checked": checked,
                    "low": low,
                    "high": high,
                    "parts": parts,
                }
            ).decode()
        )
        return
    rows = [
        (one.stratum, one.drawn, one.verified, one.rejected, one.gone, one.waiting) for one in found
    ]
    print_table(RESULT_COLUMNS, rows, title=sample, plain=plain)
    if plain:
        return
    share = (
        f"{100 * verified / checked:.1f} % ({100 * low:.1f} to {100 * high:.1f} %)"
        if checked
        else "nothing was checked yet"
    )
    share_hi = (
        f"{100 * verified / checked:.1f} % ({100 * low:.1f} से {100 * high:.1f} %)"
        if checked
        else "अभी कुछ नहीं जाँचा गया"
    )
    say(f"जाँच में सही: {share_hi}", f"held of what was checked: {share}")
