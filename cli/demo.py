"""`pravah demo`: the main job from end to end on real units, and the proof of its figures."""

import shutil
import statistics
import time
from contextlib import ExitStack
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.language import Words, say
from cli.tables import Cell, Column, open_console, print_table

if TYPE_CHECKING:
    from clickhouse_driver import Client
    from rich.console import Console

    from operations.demo import CampaignResult, Situation
    from pravah.settings import Settings
    from producers.simulator import SimulationOptions
    from schemas.registry import Registry
    from sinks.recount import Recount

FIRST, LAST = date(2022, 2, 1), date(2022, 9, 30)
# Number of single events whose latency is measured.
PROBES = 10

SITUATION_COLUMNS = (
    Column("name_hi", rank=4),
    Column("name_en"),
    Column("booths", "number"),
    Column("in_charges", "number"),
    Column("whatsapp_groups", "number"),
    Column("group_members", "number", rank=2),
    Column("trainings", "number", rank=3),
    Column("posts", "number", rank=1),
    Column("new_members", "number"),
    Column("verified", "number", rank=1),
)


def demo(
    *,
    events: Annotated[
        int, typer.Option(min=1000, help="Number of deliveries to simulate.")
    ] = 205_000,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal campaigns.")] = 2022,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run the 2022 campaign from end to end, and prove its figures.

    Simulates the campaign in Chhattisgarh, rolls it up, and prints the situation by district, the
    latency of single events, and the result of an independent recount. Starts Kafka and ClickHouse
    in PRAVAH_HOME/demo, afresh each time and only for this run.
    Exit 1 if a figure differs from the ledger.
    """
    import orjson

    import reference
    import stack
    from cli.progress import progress, steps
    from operations.bootstrap import prepare
    from operations.demo import probe_latency, read_situation, record_counts
    from operations.gc_tuning import tune_collector
    from operations.registry_files import read_registry_files
    from operations.worker_processes import StalledError, last_lines, running_worker
    from pravah.settings import Settings
    from producers.simulator import SimulationOptions
    from sinks.connection import connect
    from sinks.recount import durable_cut, recount

    console = open_console(stderr=as_json)
    home = Settings().home / "demo"
    shutil.rmtree(home, ignore_errors=True)
    began = time.monotonic()
    registry = read_registry_files(reference.registry_files())
    tune_collector()
    with ExitStack() as opened:
        with steps("starting") as say:
            settings = opened.enter_context(stack.running(home, say))
            prepare(settings, say, registry=registry)
        log = home / "logs" / "worker.log"
        clickhouse = opened.enter_context(connect(settings.clickhouse, "writer"))
        with running_worker(settings, log) as worker:
            try:
                options = SimulationOptions(seed=seed, first=FIRST, last=LAST, events=events)
                campaign = _run_campaign(settings, clickhouse, registry, console, options)
                with progress("timing single events", None):
                    delays = list(probe_latency(settings, clickhouse, PROBES))
            except StalledError as error:
                console.print(f"[red]{error}; the worker's log {log} ends:\n{last_lines(log)}")
                raise typer.Exit(1) from None
            if worker.poll() is not None:
                console.print(
                    f"[red]the worker ended by itself; its log {log} ends:\n{last_lines(log)}"
                )
                raise typer.Exit(1)
        result: dict[str, Any] = {
            "deliveries": dict(campaign.deliveries),
            "seconds_to_roll_up": round(campaign.seconds, 1),
            "counts": record_counts(clickhouse),
            "event_to_figure_seconds": {
                "median": round(statistics.median(delays), 2),
                "worst": round(max(delays), 2),
                "probes": len(delays),
            },
        }
        if not as_json:
            _print_situation(read_situation(clickhouse), console)
            _print_result(result, console)
        with progress("recounting every figure", None):
            outcome = recount(clickhouse, durable_cut(clickhouse))
        result |= {
            "recount": {"figures": outcome.figures, "different": outcome.different},
            "seconds": round(time.monotonic() - began, 1),
        }
    if as_json:
        typer.echo(orjson.dumps(result).decode())
    else:
        _print_end(outcome, result["seconds"], console)
    raise typer.Exit(0 if outcome.equal else 1)


def _run_campaign(
    settings: "Settings",
    clickhouse: "Client",
    registry: "Registry",
    console: "Console",
    options: "SimulationOptions",
) -> "CampaignResult":
    """Run the campaign with a bar for what is sent and one for what is in the figures."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from cli.progress import progress
    from operations.demo import CampaignProgress, run_campaign

    if not console.is_terminal:
        in_figures = 0
        with progress("rolling up", options.events) as advance:

            def say(now: CampaignProgress) -> None:
                nonlocal in_figures
                advance(now.in_figures - in_figures, f"{now.sent:,} sent, {now.in_figures:,} in")
                in_figures = now.in_figures

            return run_campaign(settings, clickhouse, registry, options, say)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        sending = bars.add_task("events sent          भेजी गईं", total=options.events)
        rolled = bars.add_task("in the figures       आँकड़ों में", total=options.events)

        def update(now: CampaignProgress) -> None:
            total = now.sent if now.is_sent else options.events
            bars.update(sending, completed=now.sent, total=total)
            end = now.end if now.is_sent else options.events
            bars.update(rolled, completed=now.in_figures, total=end)

        return run_campaign(settings, clickhouse, registry, options, update)


def _print_situation(situation: "Situation", console: "Console") -> None:
    rows, divisions = situation
    table: list[tuple[Cell, ...]] = []
    for division in sorted(
        (row for row in rows.values() if row[0] == "division"), key=lambda row: row[2]
    ):
        table.append(_cells(division, ""))
        table += [
            _cells(district, "  ")
            for district in sorted(
                (
                    r
                    for r in rows.values()
                    if r[0] == "district" and divisions.get(r[1]) == division[1]
                ),
                key=lambda row: row[2],
            )
        ]
    if state := rows.get("CG"):
        table.append(_cells(state, ""))
    print_table(
        SITUATION_COLUMNS,
        table,
        title=Words("छत्तीसगढ़", "Chhattisgarh"),
        note=Words(
            "प्रवाह अपने दिन के ज़िलों में रहते हैं; स्तर अपनी इकाइयों के साथ आज के ज़िलों में जाते हैं।",
            "Flows stay with the districts of their day; stocks follow their units into today's "
            "districts.",
        ),
        console=console,
    )


def _cells(row: tuple[Any, ...], indent: str) -> tuple[Cell, ...]:
    return (f"{indent}{row[3]}", f"{indent}{row[2]}", *row[4:-1], f"{row[-1] or 0:.0%}")


def _print_result(result: dict[str, Any], console: "Console") -> None:
    counts, delay = result["counts"], result["event_to_figure_seconds"]
    console.print(
        f"{counts['records']:,} records in {result['seconds_to_roll_up']} s: "
        f"{counts['accepted']:,} versions accepted, {counts['duplicates']:,} duplicates counted "
        "once, "
        f"{counts['rejected']:,} rejected with a reason, {counts['forwarded']:,} sent on to "
        "their partition"
    )
    say(
        f"घटना से आँकड़े तक: {delay['median']} s ({delay['probes']} अलग-अलग घटनाओं का मध्य मान), "
        f"सबसे देर {delay['worst']} s",
        f"from event to queryable figure: {delay['median']} s (median of "
        f"{delay['probes']} single events), {delay['worst']} s at worst",
    )


def _print_end(outcome: "Recount", seconds: float, console: "Console") -> None:
    from cli.progress import print_next

    _print_recount(outcome, console)
    console.print(f"[dim]{seconds:.0f} s in all")
    print_next(
        ("pravah up", "a stack that stays, with everything ready"),
        ("pravah worker", "rolls events up; in a terminal of its own"),
        ("pravah simulate", "sends a made-up campaign up to today, to look around in"),
    )


def _print_recount(outcome: "Recount", console: "Console") -> None:
    from cli.reconcile import print_differences

    if outcome.equal:
        say(
            f"✓ {outcome.figures:,} आँकड़े, हर स्तर, सूचक और दिन, बही से स्वतंत्र पुनर्गणना के बराबर",
            f"✓ {outcome.figures:,} figures, every level, metric and day, equal an "
            "independent recount from the ledger",
            color="green",
        )
        return
    console.print(
        f"[red]✗ {outcome.different:,} of {outcome.figures:,} figures differ from the recount"
    )
    print_differences(outcome, console=console)
