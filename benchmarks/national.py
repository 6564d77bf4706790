"""Measure the registry of all of India.

    .venv/bin/python benchmarks/national.py [--booths 60000] [--events-a-booth 1]

The parts: loading the registry, starting a worker with it, folding a day on which every booth
reports, recovery after a kill, and the dashboard of a state beside all other states.

The complete run takes a quarter of an hour or more and some 12 GiB of memory; `--booths` takes only
as many states as are needed. Two stacks run at the end: India's, and one with Chhattisgarh alone
that has the same events of Chhattisgarh. The queries of the state's wall are sent to both in turns,
as Grafana's user. Exit 1 if the wall takes longer than `--at-most` times its time with the state
alone, a booth is missing in `rollups`, or a figure differs from the recount.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from clickhouse_driver import Client

import reference
import reference.national
from benchmarks.dashboards import Viewer, queries_of
from benchmarks.measuring import (
    ASSIGNED,
    LOADED,
    SESSION_SECONDS,
    WatchedWorker,
    count_differences,
    drain,
    load,
    running,
    say,
    settle,
    table,
    watched_workers,
    writer,
)
from benchmarks.producing import Mix, campaign
from benchmarks.recovery import recover
from operations.gc_tuning import tune_collector
from operations.registry_files import read_registry_files
from pravah.days import KOLKATA, day_of
from pravah.settings import Settings
from producers.topics.registry import publish_registry
from reference.defaults import default_plan
from schemas.registry import Registry
from schemas.registry_readers import registry_from_csv
from sinks.connection import connect
from sinks.deployment import REGISTRY, set_fact
from sinks.dimensions import load_registry
from sinks.lag import Lag
from sinks.migrate import Schema

# Booths of the whole registry.
BOOTHS = 1_052_664
DAY = date(2022, 6, 20)
# Events of a dense day of Chhattisgarh's simulated campaign, in both stacks.
STATE_EVENTS = 100_000
WALL = "pravah-wall"


def national_files(booths: int, say: Callable[[str], None]) -> dict[str, list[str]]:
    """Generate a registry of Chhattisgarh and the fewest other states that have enough booths.

    Args:
        booths: the minimum; all of India from `BOOTHS` on.
        say: called with progress.

    Returns:
        The lines of each file, by its name.
    """
    with tempfile.TemporaryDirectory(prefix="pravah-bench-") as folder:
        counts = reference.national.generate(Path(folder))
        states, count = {"IN", *counts}, sum(counts.values())
        for state in sorted(counts, key=counts.__getitem__, reverse=True):
            if state != "CG" and count - counts[state] >= booths:
                states.remove(state)
                count -= counts[state]
        say(f"a registry of {len(states) - 1} states and {count:,} booths")
        default = {path.name for path in reference.registry_files()}
        files = {}
        for path in sorted(Path(folder).glob("*.csv")):
            head, *lines = path.read_text(encoding="utf-8").splitlines()
            files[path.name] = [
                head,
                *(line for line in lines if path.name in default or line[:2] in states),
            ]
        return files


def national_registry(booths: int, say: Callable[[str], None]) -> Registry:
    """Read and check the registry that `national_files` generates."""
    return registry_from_csv(national_files(booths, say))


class Report:
    """The figures of all parts, reported as they are measured."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Measure the seconds of a block."""
        began = time.monotonic()
        yield
        self.record(part, time.monotonic() - began)

    def record(self, part: str, value: float) -> None:
        """Add a figure."""
        self.found[part] = value
        say(f"{part}: {value:,.2f}")


def main() -> int:
    """Run all parts and print a table and one line of JSON."""
    options = _parse_options()
    parts = Report()
    files = national_files(options.booths, say)
    with parts.timed("reading and checking the files, s"):
        registry = registry_from_csv(files)
    del files
    tune_collector()
    different = 0
    with (
        running(
            read_registry_files(reference.registry_files()), session_timeout_seconds=SESSION_SECONDS
        ) as settings,
        writer(settings) as clickhouse,
    ):
        _load(settings, clickhouse, registry, parts)
        booths = [
            code
            for code, unit in registry.units.items()
            if unit.level == "booth" and unit.first <= day_of(DAY) <= unit.last
        ]
        del registry
        missing = _day(settings, clickhouse, booths, options, parts)
        if options.recovery_events:
            load(settings, Mix(booths, day=DAY).records(options.recovery_events, seed=2))
            recovery = recover(
                settings.model_copy(update={"session_timeout_seconds": 10.0}),
                clickhouse,
                "KILL",
                before=options.before,
                window=2.0,
            )
            for name in (
                "rate_before",
                "loaded",
                "assigned",
                "folds",
                "full_speed",
                "regained",
                "allowed",
            ):
                parts.record(
                    f"after SIGKILL: {name}" + (", events/s" if name == "rate_before" else ", s"),
                    getattr(recovery, name) or -1.0,
                )
        drain(
            settings,
            clickhouse,
            campaign(read_registry_files(reference.registry_files()), default_plan(), STATE_EVENTS),
        )
        if not options.no_recount:
            with parts.timed("recount of every figure, s"):
                different = count_differences(clickhouse)
        ratio = _walls(settings, clickhouse, options.rounds, parts)
    print(
        table(
            ("part", "figure"),
            [
                (part, "log ended" if value < 0 else f"{value:,.2f}")
                for part, value in parts.found.items()
            ],
        )
    )
    print(
        json.dumps(
            {
                "booths": len(booths),
                **parts.found,
                "missing_booths": missing,
                "different_figures": None if options.no_recount else different,
            }
        )
    )
    return 1 if different or missing or ratio > options.at_most else 0


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--booths", type=int, default=BOOTHS)
    parser.add_argument(
        "--events-a-booth",
        type=int,
        default=1,
        help="events a booth on the day that is folded; each booth has at least one",
    )
    parser.add_argument(
        "--recovery-events",
        type=int,
        default=500_000,
        help="events in the log when the worker is killed; 0 omits this part",
    )
    parser.add_argument(
        "--before",
        type=float,
        default=5.0,
        help="seconds that the worker folds before it is killed",
    )
    parser.add_argument("--rounds", type=int, default=10, help="loads of each wall")
    parser.add_argument("--at-most", type=float, default=3.0, help="maximum ratio of the two walls")
    parser.add_argument("--no-recount", action="store_true", help="omit the recount")
    return parser.parse_args()


def _load(settings: Settings, clickhouse: Client, registry: Registry, parts: Report) -> None:
    """Load the registry into the tables and the topic, as `pravah units load` does."""
    parts.record("units", len(registry))
    with parts.timed("loading the tables, s"):
        load_registry(
            clickhouse, Schema(settings.clickhouse.database, settings.clickhouse.cluster), registry
        )
    with parts.timed("fingerprint, s"):
        fingerprint = registry.fingerprint()
    with parts.timed("publishing the topic, s"):
        publish_registry(settings.kafka, registry)
    set_fact(clickhouse, REGISTRY, fingerprint)
    parts.record(
        "rows of unit_ancestors", clickhouse.execute("SELECT count() FROM unit_ancestors")[0][0]
    )


def _day(
    settings: Settings,
    clickhouse: Client,
    booths: list[str],
    options: argparse.Namespace,
    parts: Report,
) -> int:
    """Fold a day on which every booth reports, with a worker that starts on a full log.

    Returns:
        How many booths are missing in `rollups`.
    """
    count = load(
        settings,
        Mix(booths, day=DAY, each_unit_once=True).records(
            len(booths) * options.events_a_booth, seed=1
        ),
    )
    with Lag(settings.kafka, clickhouse) as lag, watched_workers(settings) as (worker,):
        worker.wait_for("pravah_rebalances_total")
        parts.record("worker with the registry, MiB", worker.memory()[0])
        worker.wait_for("pravah_records_total")
        parts.record("worker's start to: first record folded, s", time.monotonic() - worker.started)
        parts.record("worker's start to: registry in memory, s", worker.logged(LOADED))
        parts.record("worker's start to: partitions assigned, s", worker.logged(ASSIGNED))
        folding, cpu = time.monotonic(), worker.cpu()
        _until(worker, lambda: lag.position().durable > 0)
        parts.record(
            "worker's start to: first record in the figures, s", time.monotonic() - worker.started
        )
        _until(worker, lambda: not lag.position().behind)
        seconds = time.monotonic() - folding
        parts.record("the day folded and queryable, s", seconds)
        parts.record("events", count)
        parts.record("events/s", count / seconds)
        parts.record("worker's processor time, µs an event", (worker.cpu() - cpu) / count * 1e6)
        settle(settings, clickhouse, lag)
        parts.record("worker after the day, MiB", worker.memory()[0])
        parts.record("worker at its highest, MiB", worker.memory()[1])
    with parts.timed("query: booths that `rollups` shows, s"):
        shown = clickhouse.execute(
            "SELECT uniqExact(unit) FROM rollups WHERE level = 'booth' AND day = %(day)s",
            {"day": DAY},
        )[0][0]
    with parts.timed("query: all states' figures of the day, s"):
        clickhouse.execute(
            "SELECT unit, metric, value FROM rollups WHERE level = 'state' AND day = %(day)s",
            {"day": DAY},
        )
    parts.record("booths in the figures", shown)
    return len(booths) - int(shown)


def _until(worker: WatchedWorker, condition: Callable[[], bool]) -> None:
    while not condition():
        worker.metrics()  # exits if the worker has ended
        time.sleep(0.1)


def _walls(settings: Settings, clickhouse: Client, rounds: int, parts: Report) -> float:
    """Load the state's wall in turns, here and in a stack that has only the state.

    Returns:
        The ratio of the median times.
    """
    to = datetime.combine(DAY, datetime.min.time(), KOLKATA).replace(hour=18)
    state = read_registry_files(reference.registry_files())
    with (
        running(state, session_timeout_seconds=SESSION_SECONDS) as alone,
        writer(alone) as clickhouse_alone,
    ):
        drain(alone, clickhouse_alone, campaign(state, default_plan(), STATE_EVENTS))
        viewers: list[tuple[Viewer, list[str]]] = []
        read: list[dict[str, int]] = []
        for where, client in ((settings, clickhouse), (alone, clickhouse_alone)):
            client.execute("SYSTEM REFRESH VIEW board_done_refresh")
            client.execute("SYSTEM WAIT VIEW board_done_refresh")
            with connect(where.clickhouse, "grafana") as reader:
                queries = queries_of(reader, WALL, to, 30)
                read.append({panel: _rows_read(reader, query) for panel, query in queries.items()})
            viewers.append((Viewer(where), list(queries.values())))
        loads: list[list[tuple[float, list[float]]]] = [[], []]
        for turn in range(rounds + 1):
            for number, (viewer, listed) in enumerate(viewers):
                loaded = viewer.load(listed)
                loads[number] += [loaded] if turn else []  # the first load connects
    whole, by_query = (
        [statistics.median(took for took, _ in one) for one in loads],
        [_medians(one) for one in loads],
    )
    for name, took, each in zip(("beside all states", "alone"), whole, by_query, strict=True):
        parts.record(f"the state's wall, {name}: whole load, s", took)
        parts.record(f"the state's wall, {name}: queries one by one added up, s", sum(each))
    for (panel, rows), national, single in zip(read[0].items(), *by_query, strict=True):
        parts.record(f"wall, panel {panel}: ratio", national / single)
        parts.record(f"wall, panel {panel}: rows read beside all states", rows)
        parts.record(f"wall, panel {panel}: rows read alone", read[1][panel])
    ratio = whole[0] / whole[1]
    parts.record("the state's wall, ratio", ratio)
    return ratio


def _rows_read(reader: Client, query: str) -> int:
    reader.execute(query)
    return int(reader.last_query.progress.rows)


def _medians(loads: list[tuple[float, list[float]]]) -> list[float]:
    each: list[Any] = [took for _, took in loads]
    return [statistics.median(of_query) for of_query in zip(*each, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
