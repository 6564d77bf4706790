"""`pravah reconcile`: compare every figure with the ledger, and repair what differs."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.language import LEVEL_WORDS, first_of, say
from cli.tables import AsPlain, Column, open_console, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from operations.reconcile import Reconciliation
    from sinks.recount import Amounts, Recount

DIFFERENCES_COLUMNS = (
    Column("day", "day"),
    Column("level", rank=3),
    Column("unit", "key"),
    Column("metric", "key"),
    Column("ledger", "number"),
    Column("verified", "number", rank=1),
    Column("reports", "number", rank=2),
    Column("figures", "number"),
    Column("figures_verified", "number", rank=1),
    Column("figures_reports", "number", rank=2),
)


def reconcile(
    *,
    with_repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Correct the figures that differ, by entries of a repair.",
        ),
    ] = False,
    reason: Annotated[
        str, typer.Option(help="With --repair: recorded for those who ask why a figure moved.")
    ] = "figures differed from the ledger",
    limit: Annotated[int, typer.Option(min=0, help="How many differences to show.")] = 20,
    wait: Annotated[
        float,
        typer.Option(min=0, help="Seconds without progress after which open chunks are left out."),
    ] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    plain: AsPlain = False,
) -> None:
    """Recount every figure from the ledger and compare.

    Compares every level, metric and day, and prints how many figures differ, with examples.
    Workers may run meanwhile: the comparison is made behind the closed chunks. Open chunks are
    closed first, by a tick in the log, so that it reaches to this moment.
    Exit 1 if a figure differs and was not repaired.
    """
    import orjson

    from cli.progress import steps
    from operations.reconcile import reconcile as reconcile_figures
    from pravah.settings import Settings

    with steps("recounting every figure") as report:
        found = reconcile_figures(
            Settings(),
            reason=reason if with_repair else None,
            wait=wait,
            examples=limit,
            report=report,
        )
    outcome, done = found.outcome, found.repair
    if as_json:
        result = {
            "records": outcome.cut.records,
            "records_not_compared": found.records_not_compared,
            "figures": outcome.figures,
            "different": outcome.different,
            "differences": [asdict(difference) for difference in outcome.examples],
            "repair": asdict(done) if done else None,
            "seconds": round(found.seconds, 2),
        }
        typer.echo(orjson.dumps(result).decode())
    elif plain:
        print_differences(outcome, plain=True)
    else:
        _print_result(found, open_console())
        if done:
            say(
                f"सुधार {done.number}: {done.entries:,} प्रविष्टियाँ लिखी गईं; rollups_as_known अब भी "
                "पहले के आँकड़े दिखाता है",
                f"repair {done.number}: {done.entries:,} entries written; "
                "rollups_as_known still shows the figures before it",
            )
    raise typer.Exit(0 if outcome.equal else 1)


def _print_result(found: "Reconciliation", console: "Console") -> None:
    outcome, left_out = found.outcome, found.records_not_compared
    scope = f"{outcome.cut.records:,} records of the log"
    scope_hi = f"लॉग के {outcome.cut.records:,} रिकॉर्ड"
    if left_out:
        scope += (
            f"; {left_out:,} newer ones are in open chunks and are left out (does a worker run?)"
        )
        scope_hi += f"; {left_out:,} नए रिकॉर्ड खुले खंडों में हैं और छोड़े गए (क्या worker चल रहा है?)"
    if outcome.equal:
        say(
            f"✓ {outcome.figures:,} आँकड़े बही के बराबर: हर स्तर, सूचक और दिन, {scope_hi}",
            f"✓ {outcome.figures:,} figures equal the ledger: every level, metric and day, {scope}",
            color="green",
        )
        return
    say(
        f"✗ {outcome.figures:,} में से {outcome.different:,} आँकड़े बही से भिन्न: {scope_hi}",
        f"✗ {outcome.different:,} of {outcome.figures:,} figures differ from the ledger: {scope}",
        color="red",
    )
    print_differences(outcome, console=console)
    say(
        "`pravah explain --unit … --metric … --day …` किसी आँकड़े के पीछे की घटनाएँ दिखाता है; "
        "`pravah reconcile --repair` आँकड़े सुधारता है",
        "`pravah explain --unit … --metric … --day …` shows the events behind a figure; "
        "`pravah reconcile --repair` corrects the figures",
    )


def print_differences(
    outcome: "Recount", *, plain: bool = False, console: "Console | None" = None
) -> None:
    """Print a table of the first differences."""
    rows = [
        (
            one.day,
            LEVEL_WORDS[one.level],
            one.unit,
            one.metric,
            *(*_amounts(one.expected), *_amounts(one.found)),
        )
        for one in outcome.examples
    ]
    note = first_of(len(rows), outcome.different)
    print_table(DIFFERENCES_COLUMNS, rows, note=note, plain=plain, console=console)


def _amounts(amounts: "Amounts") -> tuple[int, int, int]:
    return amounts.value, amounts.verified_value, amounts.reports
