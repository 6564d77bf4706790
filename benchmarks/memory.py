"""Measure a worker's resident size by partitions, booths, and entities in the filter.

    .venv/bin/python benchmarks/memory.py [--only partitions,booths,filter] [--events 300000]

Each row is a new worker: idle with the registry, after it has folded a full log, and the maximum.
For the filter the ledger is filled first with entities of random names, which the worker reads when
its partitions are assigned. India's registry takes minutes and gigabytes, so it is measured only
with `--booths 24109,1052664`.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass

from clickhouse_driver import Client

import reference
from benchmarks.ledger_size import fill as fill_ledger
from benchmarks.measuring import load, running, say, settle, table, watched_workers, writer
from benchmarks.national import national_registry
from benchmarks.producing import Mix
from operations.registry_files import read_registry_files
from operations.worker_processes import StallWatch
from pravah.days import day_of
from pravah.settings import Settings
from schemas.registry import Registry
from sinks.lag import Lag

CURVES = ("partitions", "booths", "filter")


@dataclass(frozen=True)
class Measured:
    """The memory of a worker. Sizes are in MiB."""

    curve: str
    label: str
    at_rest: int
    """With the registry and its partitions, before the first record."""
    after: int
    """After all records are folded and their chunks are closed."""
    highest: int
    filters: float
    """Size of the filters of all partitions."""
    filter_entities: int
    filter_seconds: float
    """Time of filling them, one partition after another."""


def main() -> int:
    """Measure, and print a table and one line of JSON."""
    options = _parse_options()
    wanted = options.only.split(",")
    state = read_registry_files(reference.registry_files())
    found: list[Measured] = []
    for partitions in map(int, options.partitions.split(",")) if "partitions" in wanted else ():
        with running(state, partitions=partitions) as settings, writer(settings) as clickhouse:
            found.append(
                _fold(
                    settings,
                    clickhouse,
                    state,
                    options.events,
                    ("partitions", f"{partitions}"),
                    seed=1,
                )
            )
    for size in map(int, options.booths.split(",")) if "booths" in wanted else ():
        registry = national_registry(size, say)
        with running(registry) as settings, writer(settings) as clickhouse:
            count = sum(unit.level == "booth" for unit in registry.units.values())
            found.append(
                _fold(
                    settings, clickhouse, registry, options.events, ("booths", f"{count:,}"), seed=1
                )
            )
    if "filter" in wanted:
        with running(state) as settings, writer(settings) as clickhouse:
            # so that the next workers do not begin at offset 0
            _fold(settings, clickhouse, state, 1_000, ("", ""), seed=1)
            have = 0
            for number, entities in enumerate(sorted(map(int, options.entities.split(",")))):
                # offset 0 is below the one at which the next worker begins
                fill_ledger(clickhouse, have, entities, offset="0")
                have = entities
                found.append(
                    _fold(
                        settings,
                        clickhouse,
                        state,
                        options.events,
                        ("filter", f"{entities:,}"),
                        seed=number + 2,
                    )
                )
    print(
        table(
            (
                "of",
                "size",
                "idle, MiB",
                "after, MiB",
                "maximum, MiB",
                "filters, MiB",
                "entities in them",
                "filled in, s",
            ),
            [
                (
                    one.curve,
                    one.label,
                    one.at_rest,
                    one.after,
                    one.highest,
                    f"{one.filters:.1f}",
                    f"{one.filter_entities:,}",
                    f"{one.filter_seconds:.1f}",
                )
                for one in found
            ],
        )
    )
    print(json.dumps({"events": options.events, "workers": [asdict(one) for one in found]}))
    return 0


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(CURVES))
    parser.add_argument("--events", type=int, default=300_000, help="events that each worker folds")
    parser.add_argument("--partitions", default="1,12,48")
    parser.add_argument("--booths", default="24109")
    parser.add_argument(
        "--entities", default="0,1000000,10000000", help="entities in the ledger, for the filter"
    )
    options = parser.parse_args()
    if unknown := set(options.only.split(",")) - {*CURVES}:
        parser.error(f"no such curve: {', '.join(sorted(unknown))}")
    return options


def _fold(
    settings: Settings,
    clickhouse: Client,
    registry: Registry,
    events: int,
    named: tuple[str, str],
    *,
    seed: int,
) -> Measured:
    """Start a worker, fill the log, and measure the worker."""
    day = day_of(Mix(()).day)
    booths = [
        code
        for code, unit in registry.units.items()
        if unit.level == "booth" and unit.first <= day <= unit.last
    ]
    with watched_workers(settings) as (worker,), Lag(settings.kafka, clickhouse) as lag:
        worker.wait_until_assigned()
        at_rest, _ = worker.memory()
        load(settings, Mix(booths).records(events, seed=seed))
        watch = StallWatch()
        while (position := lag.position()).behind:
            watch.check(position.durable, "the worker")
            worker.wait_for("pravah_rebalances_total")  # exits if the worker has ended
        settle(settings, clickhouse, lag)
        metrics, (after, highest) = worker.metrics(), worker.memory()
    measured = Measured(
        *named,
        at_rest,
        after,
        highest,
        metrics.get("pravah_filter_bytes", 0.0) / 2**20,
        int(metrics.get("pravah_filter_entries", 0.0)),
        metrics.get("pravah_filter_build_seconds_sum", 0.0),
    )
    say(str(measured))
    return measured


if __name__ == "__main__":
    sys.exit(main())
