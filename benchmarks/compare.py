"""Compare Pravah's worker with other engines: the same topic on the same machine in one run.

    .venv/bin/python benchmarks/compare.py [--events 1000000] [--rounds 5]
        [--engines pravah,quix] [--chart FILE] [--json FILE]

**Speed.** The script starts a stack in a temporary folder and fills the log once. Then all engines
count it, one after another, in interleaved rounds. Before each, tables and foreign topics are
dropped, and Kafka and ClickHouse are idle. Pravah does its whole job: it validates, looks for
repeats, folds corrections, writes ledger and journal. The others do not validate. They are in
`peers/`; `peers/peer.py` describes how one is run.

Pravah's time runs from its first open chunk to the last durable record, that of the others from
their first record to their last durable figure, each for at most `--seconds`. Processor time is
measured over the same time: of the engine's own processes, of Kafka and of ClickHouse, in
microseconds an event.

**Exactness.** On a second stack each engine counts the same stream, is killed with SIGKILL in the
middle of it and started again; `exactness.py` compares the figures. ClickHouse's engine is killed
with its server.

The last line is JSON. Exit 1 if a ratio is below its target, if one of Pravah's figures is wrong,
or if an engine did not run.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from rich.console import Console
from rich.table import Table

import reference
from benchmarks.engines import (
    CEILINGS,
    PEERS,
    PRAVAH,
    EngineError,
    Run,
    engine_name,
    engine_title,
    reset_stack,
    run_id,
    run_peer,
    run_pravah,
    stack_with_events,
)
from benchmarks.exactness import Exactness, measure_exactness
from benchmarks.measuring import say
from benchmarks.producing import campaign
from operations.gc_tuning import tune_collector
from operations.registry_files import read_registry_files
from pravah.settings import Settings
from reference.defaults import default_plan
from schemas.registry import Registry

# The minimum ratio of Pravah's events a second to those of an engine.
TARGETS = {
    "faust_tables": 100.0,
    "quix": 6.0,
    "bytewax_dataflow": 4.0,
    "kafka_streams": 2.5,
    "clickhouse_engine": 1.0,
    "aiokafka_loop": 0.35,
}


@dataclass(frozen=True)
class Round:
    """The run of an engine in a round."""

    engine: str
    round: int
    run: Run


def compare(
    settings: Settings, registry: Registry, engines: list[str], options: argparse.Namespace
) -> list[Round]:
    """Run all engines in interleaved rounds.

    Each round begins with another engine. An engine that fails is reported, and left out of the
    following rounds.
    """
    rounds: list[Round] = []
    failed: set[str] = set()
    for number in range(options.rounds):
        first = number % len(engines)
        for engine in (*engines[first:], *engines[:first]):
            if engine in failed:
                continue
            reset_stack(settings, registry)
            run = run_id(engine, str(number))
            try:
                done = (
                    run_pravah(settings, run, options.seconds, options.workers)
                    if engine == PRAVAH
                    else run_peer(settings, engine, run, options.seconds)
                )
            except EngineError as error:
                say(f"left out: {error}")
                failed.add(engine)
                continue
            rounds.append(Round(engine, number, done))
            say(
                f"round {number + 1} of {options.rounds}  {engine:18} "
                f"{done.events:>10,} events in {done.seconds:6.2f} s  "
                f"{done.rate:>9,.0f} a second   µs an event: engine {done.engine_micros:.1f} "
                f"kafka {done.kafka_micros:.1f} clickhouse {done.clickhouse_micros:.1f}"
            )
    return rounds


@dataclass(frozen=True)
class Result:
    """The result of an engine over all rounds."""

    engine: str
    rate: float
    """Events a second, the median of the rounds."""
    slowest: float
    fastest: float
    ratio: float | None
    """Pravah's rate divided by this one: the median of the rounds that have both."""
    target: float | None
    engine_micros: float
    kafka_micros: float
    clickhouse_micros: float

    @property
    def missed(self) -> bool:
        """Whether the ratio is below the target."""
        return self.target is not None and self.ratio is not None and self.ratio < self.target


def summarize(rounds: list[Round], engines: list[str]) -> list[Result]:
    """Compute medians and ratios, the slowest engine first."""
    ours = {one.round: one.run.rate for one in rounds if one.engine == PRAVAH}
    found = []
    for engine in engines:
        own = [one for one in rounds if one.engine == engine]
        if not own:
            continue
        rates = [one.run.rate for one in own]
        ratios = [
            ours[one.round] / one.run.rate for one in own if one.round in ours and engine != PRAVAH
        ]
        found.append(
            Result(
                engine,
                statistics.median(rates),
                min(rates),
                max(rates),
                statistics.median(ratios) if ratios else None,
                TARGETS.get(engine_name(engine)),
                *(
                    statistics.median(getattr(one.run, f"{part}_micros") for one in own)
                    for part in ("engine", "kafka", "clickhouse")
                ),
            )
        )
    return sorted(found, key=lambda one: one.rate)


def print_rates(found: list[Result]) -> None:
    """Print the table of rates."""
    table = Table(title="Events a second")
    for head in (
        "engine",
        "median",
        "slowest",
        "fastest",
        "Pravah : engine",
        "target",
        "µs engine",
        "µs Kafka",
        "µs ClickHouse",
    ):
        table.add_column(head, justify="left" if head == "engine" else "right")
    for one in found:
        style = "bold" if one.engine == PRAVAH else "red" if one.missed else ""
        ratio, target = map(_format_ratio, (one.ratio, one.target))
        micros = (
            f"{value:.1f}" for value in (one.engine_micros, one.kafka_micros, one.clickhouse_micros)
        )
        table.add_row(
            engine_title(one.engine),
            *(f"{value:,.0f}" for value in (one.rate, one.slowest, one.fastest)),
            ratio,
            target,
            *micros,
            style=style,
        )
    _print(table)


def print_exactness(found: list[Exactness]) -> None:
    """Print the table of wrong figures."""
    table = Table(
        title="Figures after repeats, corrections, retractions, broken records and a kill "
        "(flows by day, all levels; of Pravah its stocks too)"
    )
    for head in (
        "engine",
        "killed at",
        "figures",
        "wrong",
        "wrong, %",
        "by the kill",
        "national total off, %",
        "worst metric",
        "off, %",
        "stocks wrong",
    ):
        table.add_column(head, justify="left" if head in {"engine", "worst metric"} else "right")
    for one in sorted(found, key=lambda one: (one.wrong, abs(one.national_percent))):
        stocks = "not kept" if one.stocks_wrong is None else f"{one.stocks_wrong:,}"
        by_the_kill = "" if one.by_the_kill is None else f"{one.by_the_kill:,}"
        shares = (
            f"{one.killed_at:.0%}",
            f"{one.figures:,}",
            f"{one.wrong:,}",
            f"{100 * one.wrong / one.figures:.2f}",
            by_the_kill,
            f"{one.national_percent:+.2f}",
        )
        table.add_row(
            engine_title(one.engine),
            *shares,
            one.worst_metric,
            f"{one.worst_percent:+.2f}",
            stocks,
            style="bold" if one.engine == PRAVAH else "",
        )
    _print(table)


def _format_ratio(ratio: float | None) -> str:
    """Two decimals below 10, one above."""
    return "" if ratio is None else f"{ratio:.{2 if ratio < 10 else 1}f}"


def _print(table: Table) -> None:
    Console(width=170 if not sys.stdout.isatty() else None).print(table)


def render_chart(found: list[Result]) -> str:
    """Draw the events a second of each engine as SVG.

    The bar is the median, the line reaches from the slowest round to the fastest.
    """
    rows = [
        {
            "engine": engine_title(one.engine),
            "rate": one.rate,
            "slowest": one.slowest,
            "fastest": one.fastest,
            "label": f"{one.rate:,.0f}",
            "sort": "Pravah"
            if one.engine == PRAVAH
            else "ceiling"
            if engine_name(one.engine) in CEILINGS
            else "other",
        }
        for one in reversed(found)
    ]
    colours = alt.Scale(
        domain=["Pravah", "other", "ceiling"], range=["#0072B2", "#56B4E9", "#c9c9c9"]
    )
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("engine:N", sort=None, title=None, axis=alt.Axis(labelLimit=220))
    )
    bars = base.mark_bar().encode(
        x=alt.X("rate:Q", title="events a second, median", axis=alt.Axis(format=",d")),
        color=alt.Color("sort:N", scale=colours, legend=None),
    )
    spans = base.mark_rule(strokeWidth=1.5, color="#222222").encode(x="slowest:Q", x2="fastest:Q")
    labels = base.mark_text(align="left", dx=6, fontSize=11).encode(x="fastest:Q", text="label:N")
    return str(
        vl_convert.vegalite_to_svg(
            alt.layer(bars, spans, labels).properties(width=560, height=28 * len(rows)).to_json()
        )
    )


def main() -> int:
    """Compare, and print tables and one line of JSON.

    Returns:
        The exit code.
    """
    options = _options()
    engines: list[str] = options.engines.split(",")
    registry, plan = read_registry_files(reference.registry_files()), default_plan()
    tune_collector()
    rounds: list[Round] = []
    if options.rounds:
        with stack_with_events(registry, campaign(registry, plan, options.events)) as settings:
            rounds = compare(settings, registry, engines, options)
    found = summarize(rounds, engines)
    if found:
        print_rates(found)
        if options.chart:
            options.chart.write_text(render_chart(found), encoding="utf-8")
    counting = (
        [engine for engine in engines if engine_name(engine) not in CEILINGS]
        if options.exactness
        else []
    )
    judged = (
        measure_exactness(registry, plan, counting, options.exactness_events)
        if counting and options.exactness_events
        else []
    )
    if judged:
        print_exactness(judged)
    report = _report(found, rounds, judged, options)
    if options.json:
        options.json.write_text(
            json.dumps({**report, "rounds": [asdict(one) for one in rounds]}, indent=2) + "\n",
            encoding="utf-8",
        )
    print(json.dumps(report))
    complete = len(rounds) == options.rounds * len(engines) and len(judged) == len(counting)
    ours = next((one for one in judged if one.engine == PRAVAH), None)
    inexact = ours is not None and (ours.wrong or ours.stocks_wrong)
    return 1 if not complete or inexact or any(one.missed for one in found) else 0


def _report(
    found: list[Result], rounds: list[Round], judged: list[Exactness], options: argparse.Namespace
) -> Mapping[str, Any]:
    return {
        "events": options.events,
        "workers": options.workers,
        "cores": os.cpu_count(),
        "rounds_of_each": {
            one.engine: sum(other.engine == one.engine for other in rounds) for one in found
        },
        "engines": {one.engine: {**asdict(one), "missed": one.missed} for one in found},
        "exactness": {one.engine: asdict(one) for one in judged},
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000, help="events in the log")
    parser.add_argument("--rounds", type=int, default=5, help="0 omits the comparison of speed")
    parser.add_argument(
        "--engines",
        default=",".join((PRAVAH, *PEERS)),
        metavar="A,B",
        help="by default %(default)s; options of a peer may follow its name: "
        "'kafka_streams --exactly-once'",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=15.0,
        help="maximum time of an engine in a round",
    )
    parser.add_argument("--workers", type=int, default=1, help="workers of Pravah")
    parser.add_argument(
        "--exactness",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare the figures after a kill",
    )
    parser.add_argument(
        "--exactness-events", type=int, default=300_000, help="events in the log for the kill"
    )
    parser.add_argument(
        "--chart", type=Path, metavar="FILE", help="write a chart of events a second there, as SVG"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rounds there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
