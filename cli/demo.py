"""`pravah demo`: the main job from end to end, on real parts and real units, and the proof that its figures are exact."""

import shutil
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import uuid4

import orjson
import typer
from clickhouse_driver import Client
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import reference
import stack
from cli.reconcile import differences_table
from operations.bootstrap import prepare
from operations.gc_tuning import tune_collector
from operations.registry import read_registry_files
from operations.worker_processes import StalledError, StallWatch, last_lines, running_worker
from pravah.producer import EventProducer
from pravah.settings import Settings
from producers.simulator import SimulationOptions, simulate
from schemas.plan import Plan
from schemas.registry import Registry
from sinks.connection import connect
from sinks.lag import Lag
from sinks.recount import Recount, durable_cut, recount

FIRST, LAST = date(2022, 2, 1), date(2022, 9, 30)
WIDE = 150
"""Columns that the whole situation table needs; on a narrower screen it shows the most important ones."""
PROBES = 10
"""Single events whose way to a queryable figure is timed."""

_SITUATION = """
    WITH now AS (
        SELECT a.ancestor AS unit, count() AS booths FROM unit_ancestors AS a
        INNER JOIN units AS u ON u.unit = a.unit AND u.level = 'booth'
        WHERE today() BETWEEN a.valid_from AND a.valid_to GROUP BY a.ancestor
    )
    SELECT u.level, u.unit, u.name_en, u.name_hi, any(now.booths),
           sumIf(t.value, t.metric = 'incharges'),
           sumIf(t.value, t.metric = 'whatsapp_groups'), sumIf(t.value, t.metric = 'whatsapp_group_members'),
           sumIf(t.value, t.metric = 'trainings'), sumIf(t.value, startsWith(t.metric, 'posts_')), sumIf(t.value, startsWith(t.metric, 'members_')),
           sum(t.verified_value) / nullIf(sum(t.value), 0)
    FROM totals AS t INNER JOIN units AS u ON u.unit = t.unit INNER JOIN now ON now.unit = u.unit
    WHERE u.level IN ('state', 'division', 'district') AND today() BETWEEN u.valid_from AND u.valid_to
    GROUP BY u.level, u.unit, u.name_en, u.name_hi
"""
_ABOVE = "SELECT unit, ancestor FROM unit_ancestors WHERE ancestor_level = 'division' AND today() BETWEEN valid_from AND valid_to"
_COLUMNS = (
    ("booths", "बूथ"),
    ("in-charges", "प्रभारी"),
    ("WhatsApp groups", "व्हाट्सएप समूह"),
    ("… members", "… सदस्य"),
    ("trainings", "प्रशिक्षण"),
    ("posts", "पोस्ट"),
    ("new members", "नए सदस्य"),
    ("verified", "सत्यापित"),
)

_ON_A_NARROW_SCREEN = (0, 1, 2, 5, 6)


def demo(
    *,
    events: Annotated[
        int, typer.Option(min=1000, help="How many deliveries to simulate.")
    ] = 205_000,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal campaigns.")] = 2022,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")] = False,
) -> None:
    """Roll up the 2022 campaign in Chhattisgarh, show where it stands, and prove the figures.

    Starts Kafka and ClickHouse in PRAVAH_HOME/demo, afresh each time and only for this run. Exit 1 if a figure is not what the ledger says.
    """
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console = Console(stderr=as_json, width=WIDE)
    home = Settings().home / "demo"
    shutil.rmtree(home, ignore_errors=True)
    began = time.monotonic()
    registry = read_registry_files(reference.registry_files())
    tune_collector()
    with ExitStack() as opened:
        settings = opened.enter_context(
            stack.running(home, lambda text: console.print(f"[dim]{text}"))
        )
        prepare(settings, lambda text: console.print(f"[dim]{text}"), registry=registry)
        log = home / "logs" / "worker.log"
        clickhouse = opened.enter_context(connect(settings.clickhouse, "writer"))
        with running_worker(settings, log) as worker:
            try:
                sent, rolling = _campaign(
                    settings,
                    clickhouse,
                    registry,
                    console,
                    SimulationOptions(seed=seed, first=FIRST, last=LAST, events=events),
                )
                delays = list(_probe(settings, clickhouse))
            except StalledError as error:
                console.print(f"[red]{error}; the worker's log {log} ends:\n{last_lines(log)}")
                raise typer.Exit(1) from None
            if worker.poll() is not None:
                console.print(
                    f"[red]the worker ended by itself; its log {log} ends:\n{last_lines(log)}"
                )
                raise typer.Exit(1)
        result: dict[str, Any] = {
            "deliveries": dict(sent),
            "seconds_to_roll_up": round(rolling, 1),
            "counts": _counts(clickhouse),
            "event_to_figure_seconds": {
                "median": round(statistics.median(delays), 2),
                "worst": round(max(delays), 2),
                "probes": len(delays),
            },
        }
        if not as_json:
            _show_situation(clickhouse, console)
            _show_result(result, console)
        outcome = recount(clickhouse, durable_cut(clickhouse))
        result["recount"] = {"figures": outcome.figures, "different": outcome.different}
        result["seconds"] = round(time.monotonic() - began, 1)
    if as_json:
        typer.echo(orjson.dumps(result).decode())
    else:
        _show_recount(outcome, console)
        console.print(f"[dim]{result['seconds']:.0f} s in all.[/dim] {_NEXT}")
    raise typer.Exit(0 if outcome.equal else 1)


_NEXT = """Try next:
  pravah up                          a stack that stays, with everything ready
  pravah worker                      rolls events up (in a terminal of its own)
  pravah simulate --live             events as they would come now, 14 a second
  pravah units show CG-AC043         a constituency that changed district and division
  pravah emit events.jsonl           your own events; `pravah import` takes CSV and XLSX
  pravah status                      how far the figures are behind the log"""


def _campaign(
    settings: Settings,
    clickhouse: Client,
    registry: Registry,
    console: Console,
    options: SimulationOptions,
) -> tuple[Counter[str], float]:
    """Send the campaign while the worker rolls it up; both are shown.

    Returns:
        Deliveries by sort, and the seconds from the first one sent until the last one was in the figures.
    """
    plan = Plan.from_toml(reference.plan_file().read_text(encoding="utf-8"))
    sent: Counter[str] = Counter()
    failed: list[BaseException] = []

    def send() -> None:
        try:
            with EventProducer(settings.kafka) as producer:
                for delivery in simulate(registry, plan, options):
                    producer.send_raw(delivery.value, delivery.key)
                    sent[delivery.sort] += 1
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    sender = threading.Thread(target=send, name="simulator")
    watch, began = StallWatch(), time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Lag(settings.kafka, clickhouse) as lag, Progress(*columns, console=console) as bars:
        sending = bars.add_task("events sent          भेजी गईं", total=options.events)
        rolled = bars.add_task("in the figures       आँकड़ों में", total=options.events)
        sender.start()
        while True:
            over = not sender.is_alive()
            position = lag.position()
            bars.update(
                sending, completed=sent.total(), total=sent.total() if over else options.events
            )
            bars.update(
                rolled, completed=position.durable, total=position.end if over else options.events
            )
            if failed:
                raise failed[0]
            if over and not position.behind:
                break
            watch.check(position.durable + sent.total(), "the roll-up")
            time.sleep(0.2)
    return sent, time.monotonic() - began


def _probe(settings: Settings, clickhouse: Client) -> Iterator[float]:
    """Send single events and wait for each in `totals`: seconds from event to queryable figure."""
    query = "SELECT sum(value) FROM totals WHERE level = 'state' AND unit = 'CG' AND metric = 'doors_visited'"
    watch = StallWatch()
    with EventProducer(settings.kafka) as producer:
        for _ in range(PROBES):
            before = clickhouse.execute(query)[0][0]
            began = time.monotonic()
            producer.send(
                {
                    "event_id": str(uuid4()),
                    "unit": "CG",
                    "kind": "tally",
                    "occurred_at": datetime.now(UTC).isoformat(),
                    "source": {"tool": "pravah", "producer": "demo"},
                    "data": {"metric": "doors_visited", "value": 1},
                }
            )
            producer.flush()
            while clickhouse.execute(query)[0][0] != before + 1:
                watch.check(before, "a single event")
                time.sleep(0.01)
            yield time.monotonic() - began
    with (
        Lag(settings.kafka, clickhouse) as lag
    ):  # a figure is there a moment before its row in the ledger, and both before `chunks` tells of them
        while lag.position().behind:
            watch.check(lag.position().durable, "the last single event")
            time.sleep(0.01)


def _counts(clickhouse: Client) -> dict[str, int]:
    """What became of the records."""
    names = ("records", "accepted", "duplicates", "rejected", "forwarded")
    return dict(
        zip(
            names,
            clickhouse.execute(
                f"SELECT {', '.join(f'sum({name})' for name in names)} FROM chunks FINAL"
            )[0],
            strict=True,
        )
    )


def _show_situation(clickhouse: Client, console: Console) -> None:
    rows = {row[1]: row for row in clickhouse.execute(_SITUATION)}
    divisions = dict(clickhouse.execute(_ABOVE))
    table = Table(
        title="Chhattisgarh छत्तीसगढ़",
        caption="Flows stay with the districts of their day; stocks follow their units into today's districts.",
    )
    shown = range(len(_COLUMNS)) if console.width >= WIDE else _ON_A_NARROW_SCREEN
    table.add_column("unit\nइकाई")
    for number in shown:
        table.add_column("\n".join(_COLUMNS[number]), justify="right", min_width=6)

    def cells(row: tuple[Any, ...], indent: str) -> list[str]:
        name, *figures = _cells(row, indent)
        return [name, *(figures[number] for number in shown)]

    state = rows.get("CG")
    for division in sorted(
        (row for row in rows.values() if row[0] == "division"), key=lambda row: row[2]
    ):
        table.add_row(*cells(division, ""), style="bold")
        for district in sorted(
            (r for r in rows.values() if r[0] == "district" and divisions.get(r[1]) == division[1]),
            key=lambda row: row[2],
        ):
            table.add_row(*cells(district, "  "))
        table.add_section()
    if state:
        table.add_row(*cells(state, ""), style="bold")
    console.print(table)


def _cells(row: tuple[Any, ...], indent: str) -> Iterator[str]:
    yield f"{indent}{row[2]}  {row[3]}"
    yield from (f"{value:,}" for value in row[4:-1])
    yield f"{row[-1] or 0:.0%}"


def _show_result(result: dict[str, Any], console: Console) -> None:
    counts, delay = result["counts"], result["event_to_figure_seconds"]
    console.print(
        f"{counts['records']:,} records in {result['seconds_to_roll_up']} s: {counts['accepted']:,} versions accepted, {counts['duplicates']:,} duplicates counted once, "
        f"{counts['rejected']:,} rejected with a reason, {counts['forwarded']:,} sent on to their partition"
    )
    console.print(
        f"from event to queryable figure / घटना से आँकड़े तक: {delay['median']} s (median of {delay['probes']} single events), {delay['worst']} s at worst"
    )


def _show_recount(outcome: Recount, console: Console) -> None:
    if outcome.equal:
        console.print(
            f"[green]✓ {outcome.figures:,} figures, every level, metric and day, equal an independent recount from the ledger / स्वतंत्र पुनर्गणना के बराबर"
        )
        return
    console.print(
        f"[red]✗ {outcome.different:,} of {outcome.figures:,} figures differ from the recount"
    )
    console.print(differences_table(outcome))
