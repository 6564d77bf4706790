"""`pravah reconcile`: compare every figure with the ledger, and repair what differs."""

from dataclasses import asdict
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from operations.reconcile import Reconciliation
from operations.reconcile import reconcile as reconcile_figures
from pravah.settings import Settings
from sinks.recount import Amounts, Recount


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
) -> None:
    """Recount every figure from the ledger and compare.

    Compares every level, metric and day, and prints how many figures differ, with examples.
    Workers may run meanwhile: the comparison is made behind the closed chunks. Open chunks are
    closed first, by a tick in the log, so that it reaches to this moment.
    Exit 1 if a figure differs and was not repaired.
    """
    found = reconcile_figures(
        Settings(),
        reason=reason if with_repair else None,
        wait=wait,
        examples=limit,
        report=lambda text: typer.echo(text, err=True),
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
    else:
        _print_result(found, Console())
        if done:
            typer.echo(
                f"repair {done.number}: {done.entries:,} entries written; "
                "rollups_as_known still shows the figures before it"
            )
    raise typer.Exit(0 if outcome.equal else 1)


def _print_result(found: Reconciliation, console: Console) -> None:
    outcome, left_out = found.outcome, found.records_not_compared
    scope = f"{outcome.cut.records:,} records of the log"
    if left_out:
        scope += (
            f"; {left_out:,} newer ones are in open chunks and are left out (does a worker run?)"
        )
    if outcome.equal:
        console.print(
            f"[green]✓ {outcome.figures:,} figures equal the ledger / बही के बराबर[/green]: "
            f"every level, metric and day, {scope}"
        )
        return
    console.print(
        f"[red]✗ {outcome.different:,} of {outcome.figures:,} figures differ from the ledger "
        f"/ बही से भिन्न[/red]: {scope}"
    )
    console.print(differences_table(outcome))
    console.print(
        "`pravah explain --unit … --metric … --day …` shows the events behind a figure; "
        "`pravah reconcile --repair` corrects the figures"
    )


def differences_table(outcome: Recount) -> Table:
    """A table of the first differences."""
    table = Table(
        "day / दिन", "level", "unit / इकाई", "metric / माप", "ledger / बही", "figures / आँकड़े"
    )
    for one in outcome.examples:
        amounts = (_format_amounts(one.expected), _format_amounts(one.found))
        table.add_row(str(one.day), one.level, one.unit, one.metric, *amounts)
    if outcome.different > len(outcome.examples):
        table.caption = f"the first {len(outcome.examples)} of {outcome.different:,}"
    return table


def _format_amounts(amounts: Amounts) -> str:
    return f"{amounts.value:,} ({amounts.verified_value:,} verified, {amounts.reports:,} reports)"
