"""`pravah reconcile`: prove every figure against the ledger, and repair what differs."""

import getpass
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import orjson
import typer
from clickhouse_driver import Client
from rich.console import Console
from rich.table import Table

from operations.close_chunks import close_chunks
from pravah.settings import Settings
from sinks.connection import connect
from sinks.deployment import REGISTRY, get_fact
from sinks.recount import (
    Amounts,
    Difference,
    Recount,
    durable_cut,
    is_at_rest,
    record_reconciliation,
    recount,
)
from sinks.repair import repair


def reconcile(
    *,
    repair_them: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Write what differs as entries of a repair, so that the figures are what the ledger says.",
        ),
    ] = False,
    reason: Annotated[
        str, typer.Option(help="Why, for those who ask later why a figure moved.")
    ] = "figures differed from the ledger",
    limit: Annotated[int, typer.Option(min=0, help="How many differences to show.")] = 20,
    wait: Annotated[
        float,
        typer.Option(min=0, help="Seconds without progress after which open chunks are left out."),
    ] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")] = False,
) -> None:
    """Recount every figure from the ledger, at every level, for every metric and day, and compare.

    Workers may go on meanwhile: the comparison is made below a cut, behind the chunks that are closed. To reach to this moment, open chunks are closed first by a tick in the log.
    Exit 1 if a figure differs and was not repaired.
    """
    settings = Settings()
    began = time.monotonic()
    with connect(settings.clickhouse, "writer", send_receive_timeout=3_600) as clickhouse:
        registry = get_fact(clickhouse, REGISTRY) or ""
        outcome, end = _compare(
            settings,
            clickhouse,
            wait,
            limit,
            say=lambda text: typer.echo(text, err=True),
            closed_only=repair_them,
        )
        done = None
        if repair_them and not outcome.equal:
            done = repair(
                clickhouse,
                outcome.cut,
                kind="reconcile",
                reason=reason,
                author=author(),
                registry=registry,
            )
            outcome = recount(clickhouse, outcome.cut, examples=limit)
        seconds = time.monotonic() - began
        record_reconciliation(
            clickhouse,
            outcome,
            repair=done.number if done else 0,
            registry=registry,
            seconds=seconds,
        )
    if as_json:
        result = {
            "records": outcome.cut.records,
            "records_not_compared": max(0, end - outcome.cut.records),
            "figures": outcome.figures,
            "different": outcome.different,
            "differences": [asdict(difference) for difference in outcome.examples],
            "repair": asdict(done) if done else None,
            "seconds": round(seconds, 2),
        }
        typer.echo(orjson.dumps(result).decode())
    else:
        _show(outcome, end, Console())
        if done:
            typer.echo(
                f"repair {done.number}: {done.entries:,} entries written; what was known before stays in rollups_as_known"
            )
    raise typer.Exit(0 if outcome.equal else 1)


def author() -> str:
    """Who repairs: the account on this machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _compare(
    settings: Settings,
    clickhouse: Client,
    wait: float,
    limit: int,
    *,
    say: Callable[[str], None],
    closed_only: bool,
) -> tuple[Recount, int]:
    """Compare as much as can be compared now; gives the outcome, and how many records the log had."""
    closing = close_chunks(settings, clickhouse, wait=wait, say=say)
    if not closing.complete and not closed_only:
        # no worker closes them: then what stands in open chunks may be at rest, and can be compared as well
        cut = durable_cut(clickhouse)
        outcome = recount(clickhouse, cut, examples=limit)
        if is_at_rest(clickhouse, cut):
            return outcome, closing.end
    return recount(clickhouse, closing.cut, examples=limit), closing.end


def _show(outcome: Recount, end: int, console: Console) -> None:
    left_out = max(0, end - outcome.cut.records)
    scope = f"{outcome.cut.records:,} records of the log" + (
        f"; {left_out:,} newer ones lie in open chunks and are left out (does a worker run?)"
        if left_out
        else ""
    )
    if outcome.equal:
        console.print(
            f"[green]✓ {outcome.figures:,} figures equal the ledger / बही के बराबर[/green]: every level, metric and day, {scope}"
        )
        return
    console.print(
        f"[red]✗ {outcome.different:,} of {outcome.figures:,} figures differ from the ledger / बही से भिन्न[/red]: {scope}"
    )
    console.print(differences_table(outcome))
    console.print(
        "`pravah explain --unit … --metric … --day …` shows the events behind a figure; `pravah reconcile --repair` moves the figures to what the ledger says"
    )


def differences_table(outcome: Recount) -> Table:
    """The first differences, as a person reads them."""
    table = Table(
        "day / दिन", "level", "unit / इकाई", "metric / माप", "ledger / बही", "figures / आँकड़े"
    )
    for one in outcome.examples:
        table.add_row(str(one.day), one.level, one.unit, one.metric, *_told(one))
    if outcome.different > len(outcome.examples):
        table.caption = f"the first {len(outcome.examples)} of {outcome.different:,}"
    return table


def _told(one: Difference) -> tuple[str, str]:
    return _amounts(one.expected), _amounts(one.found)


def _amounts(amounts: Amounts) -> str:
    return f"{amounts.value:,} ({amounts.verified_value:,} verified, {amounts.reports:,} reports)"
