"""Measure the cost of an event while one quantity grows: processor time and rate.

    .venv/bin/python benchmarks/curves.py [--only late,workers] [--events 600000] [--rounds 3]

- `events`: the number of events in the log.
- `late`: the share of events that occurred on one of the 42 days before.
- `levels`: events of booths, assemblies, districts, the state. Higher levels have fewer routing
  keys; the state has one, and so one partition.
- `repeats`, `corrections`: their share, drawn from the last 50,000 events.
- `workers`: the number of workers that share the partitions, and the machine's cores.
- `booths`: the size of the registry, up to India's. It takes minutes and gigabytes, so it runs only
  by name or with `--all`.

`ledger_size.py` has the curve of the ledger's size. Each point is a run of real workers on a log
that was filled while they were paused. The points take turns; the table has the medians of the
rounds, and beside each point the measurements that explain it.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import reference
from benchmarks.measuring import (
    SESSION_SECONDS,
    DrainResult,
    count_differences,
    drain,
    running,
    say,
    table,
    truncate_figures,
    writer,
)
from benchmarks.national import BOOTHS, national_registry
from benchmarks.producing import Mix, Record
from operations.registry_files import read_registry_files
from pravah.units import Level, routing_key
from schemas.registry import Registry

STATE_CURVES = ("events", "late", "levels", "repeats", "corrections", "workers")


@dataclass(frozen=True)
class Point:
    """A point on one or several curves."""

    curves: tuple[tuple[str, str], ...]
    """The name of each curve, and the label of the point on it."""
    records: Callable[[int], Iterable[Record]]
    """Generates the records, by seed."""
    workers: int = 1


def main() -> int:
    """Run the points and print a table for each curve and one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", default="", help=f"comma-separated: {', '.join((*STATE_CURVES, 'booths'))}"
    )
    parser.add_argument("--all", action="store_true", help="the curve `booths`, too")
    parser.add_argument("--events", type=int, default=600_000, help="events of each point")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--booths", default=f"24109,250000,{BOOTHS}", help="sizes on the curve `booths`"
    )
    parser.add_argument("--workers", type=int, default=4, help="maximum of the curve `workers`")
    options = parser.parse_args()
    wanted = (
        options.only.split(",")
        if options.only
        else [*STATE_CURVES, *(["booths"] if options.all else [])]
    )
    if unknown := set(wanted) - {*STATE_CURVES, "booths"}:
        parser.error(f"no such curve: {', '.join(sorted(unknown))}")
    found: dict[str, dict[str, list[DrainResult]]] = {}
    different = 0
    registry = read_registry_files(reference.registry_files())
    if points := _wanted(_state_points(registry, options), wanted):
        different += _run(registry, points, options, found)
    if "booths" in wanted:
        for size in map(int, options.booths.split(",")):
            registry = national_registry(size, say)
            booths = _units(registry, "booth")
            different += _run(
                registry,
                [_mixed("booths", f"{len(booths):,}", Mix(booths), options.events)],
                options,
                found,
            )
    result = {
        curve: {label: _median(runs) for label, runs in labels.items()}
        for curve, labels in found.items()
    }
    for curve, labels in result.items():
        print(f"\n{_format_curve(curve, labels)}")
    print(
        json.dumps(
            {
                "events": options.events,
                "rounds": options.rounds,
                "curves": result,
                "different_figures": different,
            }
        )
    )
    return 1 if different else 0


def _state_points(registry: Registry, options: argparse.Namespace) -> list[Point]:
    booths, count = _units(registry, "booth"), options.events

    def plain(seed: int) -> Iterator[Record]:
        return Mix(booths).records(count, seed=seed)

    base = {
        "events": f"{count:,}",
        "late": "0 %",
        "levels": "booth, 90 keys",
        "repeats": "0 %",
        "corrections": "0 %",
        "workers": "1",
    }
    points = [
        _mixed("events", f"{count // 4:,}", Mix(booths), count // 4),
        Point(tuple(base.items()), plain),
        _mixed("events", f"{count * 4:,}", Mix(booths), count * 4),
        *(
            _mixed("late", f"{share} %", Mix(booths, late=share / 100), count)
            for share in (2, 20, 50)
        ),
        *(
            _mixed("repeats", f"{share} %", Mix(booths, repeats=share / 100), count)
            for share in (5, 20, 50)
        ),
        *(
            _mixed("corrections", f"{share} %", Mix(booths, corrections=share / 100), count)
            for share in (3, 10, 30)
        ),
        *(
            Point((("workers", f"{number}"),), plain, number)
            for number in range(2, options.workers + 1)
        ),
    ]
    levels: tuple[Level, ...] = ("assembly", "district", "state")
    for level in levels:
        units = [code for code in _units(registry, level) if code.startswith("CG")]
        points.append(
            _mixed(
                "levels", f"{level}, {len(set(map(routing_key, units)))} keys", Mix(units), count
            )
        )
    return points


def _mixed(curve: str, label: str, mix: Mix, count: int) -> Point:
    return Point(((curve, label),), lambda seed: mix.records(count, seed=seed))


def _units(registry: Registry, level: Level) -> list[str]:
    """The units of a level that are open on all days of the events."""
    first, last = Mix(()).day_numbers
    return [
        code
        for code, unit in registry.units.items()
        if unit.level == level and unit.first <= first and last <= unit.last
    ]


def _wanted(points: list[Point], curves: Iterable[str]) -> list[Point]:
    """The points on some of the curves, without their other curves."""
    cut = (
        Point(tuple(one for one in point.curves if one[0] in curves), point.records, point.workers)
        for point in points
    )
    return [point for point in cut if point.curves]


def _run(
    registry: Registry,
    points: list[Point],
    options: argparse.Namespace,
    found: dict[str, dict[str, list[DrainResult]]],
) -> int:
    """Run points in turns on empty tables, and return how many figures differ from recounts."""
    different = 0
    with (
        running(registry, session_timeout_seconds=SESSION_SECONDS) as settings,
        writer(settings) as clickhouse,
    ):
        for turn in range(options.rounds):
            for number, point in enumerate(points):
                names = ", ".join(f"{curve} {label}" for curve, label in point.curves)
                truncate_figures(clickhouse)
                drained = drain(
                    settings,
                    clickhouse,
                    point.records(turn * len(points) + number + 1),
                    workers=point.workers,
                )
                different += count_differences(clickhouse)
                say(f"round {turn + 1}, {names}: {drained}")
                for curve, label in point.curves:
                    found.setdefault(curve, {}).setdefault(label, []).append(drained)
    return different


def _median(runs: list[DrainResult]) -> dict[str, float]:
    rows = [
        {name: value for name, value in asdict(run).items() if name != "samples"} for run in runs
    ]
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def _format_curve(curve: str, labels: dict[str, dict[str, float]]) -> str:
    first = next(iter(labels.values()))
    rows = []
    for label, one in labels.items():
        measured = [
            f"{one['journal_rows']:.2f} journal rows an event",
            f"{one['ledger_rows']:.2f} ledger rows an event",
            f"{one['ledger_lookups']:.1%} looked up in the ledger",
            f"{one['inserting']:.2f} s of inserts a second",
            f"{one['rate'] * one['worker_micros'] / 1e6:.2f} cores of workers",
            f"{one['cpu_wait_micros']:.1f} µs waited for a core",
            f"idle {one['idle']:.0%} of the time",
        ]
        rows.append(
            (
                label,
                f"{one['rate']:,.0f}",
                f"{one['rate'] / first['rate']:.2f}",
                f"{one['worker_micros']:.1f}",
                f"{one['worker_micros'] / first['worker_micros']:.2f}",
                f"{one['clickhouse_micros']:.1f}",
                f"{one['clickhouse_micros'] / first['clickhouse_micros']:.2f}",
                f"{one['highest_mib']:,.0f}",
                "; ".join(measured),
            )
        )
    return table(
        (
            curve,
            "events/s",
            "ratio",
            "worker, µs",
            "ratio",
            "ClickHouse, µs",
            "ratio",
            "worker, MiB",
            "measured beside it",
        ),
        rows,
    )


if __name__ == "__main__":
    sys.exit(main())
