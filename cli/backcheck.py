"""`pravah backcheck`: draw a sample of what was reported, enter what was found in the field, and see how much of it held."""

import csv
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from operations.reconcile import author
from pravah.days import KOLKATA
from pravah.events import MODELS
from pravah.producer import EventProducer
from pravah.settings import Settings
from pravah.units import LEVELS, Level
from producers.mapping.delivery_ids import derive_event_id
from schemas.back_check import COLUMNS, CheckedEntity, outcomes_from_csv, wilson
from sinks.back_checks import Drawing, current_events, draw, result
from sinks.connection import connect

backcheck = typer.Typer(
    no_args_is_help=True,
    help="Back-checks: draw a sample of what was reported, enter the outcomes, see how much held.",
)

AsJson = Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")]


@backcheck.command("draw")
def draw_sample(
    sample: Annotated[str, typer.Argument(help="Its name, such as members-june.")],
    *,
    sheet: Annotated[
        Path,
        typer.Option(
            help="Write this file, as CSV: one line an entity, with a column for the outcome."
        ),
    ],
    first: Annotated[
        datetime,
        typer.Option(
            "--from", formats=["%Y-%m-%d"], metavar="DAY", help="The first day (Asia/Kolkata)."
        ),
    ],
    last: Annotated[
        datetime,
        typer.Option("--to", formats=["%Y-%m-%d"], metavar="DAY", help="The last day, included."),
    ],
    unit: Annotated[str, typer.Option(help="What was reported at or below it.")] = "IN",
    kind: Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}.")] = "membership",
    size: Annotated[
        int, typer.Option(min=1, help="How many entities; with --each, of each unit of that level.")
    ] = 50,
    each: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL", help=f"So many of each unit of a level: {', '.join(LEVELS)}."
        ),
    ] = None,
    seed: Annotated[
        str | None,
        typer.Option(
            help="The same seed draws the same sample from the same entities; the sample's name by default."
        ),
    ] = None,
) -> None:
    """Draw entities that count and were not checked yet, and write a sheet for the field. Who is drawn follows from the seed alone, so anybody can draw it again.

    Fill in `verified` or `rejected` in the column `outcome`; then `pravah backcheck enter`.
    """
    if kind not in MODELS:
        msg = f"--kind {kind!r}: one of {', '.join(MODELS)}"
        raise typer.BadParameter(msg)
    level: Level | None = next((known for known in LEVELS if known == each), None)
    if each is not None and level is None:
        msg = f"--each {each!r}: one of {', '.join(LEVELS)}"
        raise typer.BadParameter(msg)
    if sheet.exists():
        msg = f"--sheet {sheet}: there is such a file already; name another one"
        raise typer.BadParameter(msg)
    drawing = Drawing(sample, unit, kind, first.date(), last.date(), size, seed or sample, level)
    with connect(Settings().clickhouse, "writer") as client:
        drawn = draw(client, drawing, author=author())
    with sheet.open("x", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow([*COLUMNS, "data"])
        lines.writerows(
            [
                (one.key, one.entity, one.version, one.unit, kind, one.day, "", one.data)
                for one in drawn
            ]
        )
    typer.echo(
        f"{len(drawn):,} drawn, in {len({one.stratum for one in drawn}):,} parts; the sheet is {sheet}"
    )


@backcheck.command()
def enter(
    sheet: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="The sheet as it came back from the field."
        ),
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be entered.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Enter outcomes: each becomes a new version of its entity, the same but for `verification`. A rejected entity counts nowhere from then on.

    What was changed or taken back since it was drawn is not entered: it must be looked at again. Exit 1 if there is such a line.
    """
    outcomes = outcomes_from_csv(sheet.read_text(encoding="utf-8-sig").splitlines())
    settings = Settings()
    with connect(settings.clickhouse, "writer") as client:
        current = current_events(client, outcomes)
    events, changed, entered = [], [], 0
    for one in outcomes:
        now = current.get((one.key, one.entity))
        if now is None or now["version"] != one.version or now["op"] == "retract":
            # entered before: the very next version, and it says so
            if (
                now is not None
                and now["version"] == one.version + 1
                and now["verification"] == one.outcome
            ):
                entered += 1
            else:
                changed.append(one)
        else:
            events.append(_event(one, now))
    if events and not dry_run:
        with EventProducer(settings.kafka) as producer:
            for event in events:
                producer.send(event)
    if as_json:
        told = {
            "entered": len(events),
            "entered_before": entered,
            "changed_since": [one.entity for one in changed],
        }
        typer.echo(orjson.dumps(told).decode())
    else:
        typer.echo(
            f"{'would be entered' if dry_run else 'entered'}: {len(events):,}; entered before: {entered:,}; changed since they were drawn: {len(changed):,}"
        )
        for one in changed[:20]:
            typer.echo(f"  {one.entity} of {one.key}: look at it again", err=True)
    raise typer.Exit(1 if changed else 0)


@backcheck.command("result")
def show_result(
    sample: Annotated[str, typer.Argument(help="Its name.")], *, as_json: AsJson = False
) -> None:
    """Show how much of a sample held: the share that was verified of what was checked, with its 95 % interval."""
    with connect(Settings().clickhouse, "writer") as client:
        found = result(client, sample)
    verified, checked = (
        sum(one.verified for one in found),
        sum(one.verified + one.rejected for one in found),
    )
    low, high = wilson(verified, checked)
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
    table = Table(
        "part भाग",
        *(
            f"{name}"
            for name in (
                "drawn चुने",
                "verified सत्यापित",
                "rejected अस्वीकृत",
                "taken back वापस",
                "waiting शेष",
            )
        ),
        title=sample,
    )
    for one in found:
        table.add_row(
            one.stratum,
            *(
                f"{count:,}"
                for count in (one.drawn, one.verified, one.rejected, one.gone, one.waiting)
            ),
        )
    Console().print(table)
    share = (
        f"{100 * verified / checked:.1f} % ({100 * low:.1f} to {100 * high:.1f} %)"
        if checked
        else "nothing was checked yet"
    )
    typer.echo(f"held of what was checked / जाँच में सही: {share}")


def _event(checked: CheckedEntity, now: dict[str, Any]) -> dict[str, Any]:
    """The next version of an entity, with the outcome."""
    version = checked.version + 1
    return {
        "event_id": str(derive_event_id(f"{checked.key}:{checked.entity}", version)),
        "entity": checked.entity,
        "version": version,
        "unit": now["unit"],
        "kind": now["kind"],
        "occurred_at": now["occurred_at"].isoformat(),
        "reported_at": datetime.now(KOLKATA).isoformat(timespec="seconds"),
        "source": {"tool": "back-check", "producer": author()},
        "verification": checked.outcome,
        "data": orjson.loads(now["data"]),
        **{name: now[name] for name in ("reporter", "evidence") if now[name]},
    }
