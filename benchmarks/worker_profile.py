"""Where a microsecond of an event goes in one worker, step by step, kept as data.

    .venv/bin/python benchmarks/worker_profile.py [--events 300000] [--rounds 3]
        [--json benchmarks/profiles/worker.json]

The log is filled with the dense day of the comparison and fetched once by the worker's own
consumer. Then this process folds the records as a worker does, in batches, with a flush each second
into a real ClickHouse. A step's time is the processor time of its thread, without the steps inside
it: the median of the rounds. The rest of the process is the event loop and this measurement.
"""

import argparse
import asyncio
import json
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiokafka
from rich.console import Console
from rich.table import Table

import reference
import rollup.batch_validation
from benchmarks.measuring import running, say
from benchmarks.producing import campaign, fill
from operations.gc_tuning import tune_collector
from operations.registry_files import read_registry_files
from pravah.settings import Settings
from pravah.topics import EVENTS
from reference.defaults import default_dictionary, default_plan
from rollup.batch_validation import BatchValidator
from rollup.engine import RollupEngine
from rollup.entity_cache import EntityCache, EntityVersions
from rollup.flush import Outgoing
from rollup.fold import Rollup
from rollup.open_chunk import OpenChunk
from rollup.record_batch import RecordBatch
from rollup.seen_filter import SeenFilter
from schemas.registry import Registry
from sinks.connection import connect
from sinks.rollup_store import RollupStore
from streams.app import partition_of
from streams.transport import as_batch, fetch_columns
from streams.worker import Worker

BATCH = 5_000
TABLES = ("ledger", "journal", "chunks", "plan_events", "membership_events", "rejected_records")
Log = dict[int, RecordBatch]

# The measured steps, and the function of each.
STEPS: tuple[tuple[str, Any, str], ...] = (
    ("parse: JSON to columns", rollup.batch_validation, "decode"),
    ("validate: in columns", BatchValidator, "_columns"),
    ("validate: which are as usual", BatchValidator, "validate"),
    ("validate: amounts by metric", BatchValidator, "_amounts"),
    ("validate: what is not as usual, singly", BatchValidator, "_validate_singly"),
    ("de-duplicate: filter", SeenFilter, "add"),
    ("de-duplicate: recent chunks", EntityCache, "copy_to"),
    ("de-duplicate: ledger", RollupStore, "find_versions"),
    ("fold: what entities contribute", EntityVersions, "fold"),
    ("fold: kept for the ledger", OpenChunk, "fold"),
    ("fold: up the hierarchy", Rollup, "_add_to_ancestors"),
    ("insert: columns to bytes, and sent", RollupStore, "write"),
)


class Clock:
    """Processor time by step, of all threads; a step inside another one is not the other one's."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inside = threading.local()

    def timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function with its time taken."""

        def run(*arguments: Any, **named: Any) -> Any:
            outer: list[float] | None = getattr(self._inside, "time", None)
            inner = [0.0]
            self._inside.time = inner
            began = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                took = time.thread_time() - began
                self.seconds[step] += took - inner[0]
                self._inside.time = outer
                if outer is not None:
                    outer[0] += took

        return run


@contextmanager
def watched_workers(clock: Clock) -> Iterator[None]:
    """All steps with their time taken, until the end of the block."""
    kept = []
    for step, owner, name in STEPS:
        function = owner.__dict__[name]
        kept.append((owner, name, function))
        plain = function.__func__ if isinstance(function, classmethod) else function
        run = clock.timed(step, plain)
        setattr(owner, name, classmethod(run) if isinstance(function, classmethod) else run)
    try:
        yield
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)


async def fetched(settings: Settings, events: int) -> tuple[Log, float]:
    """The log, read by the worker's kind of consumer; and the processor time that took, seconds."""
    fetch_columns(EVENTS)
    consumer = aiokafka.AIOKafkaConsumer(
        EVENTS,
        bootstrap_servers=settings.kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=1 << 20,
    )
    await consumer.start()
    parts: dict[int, list[RecordBatch]] = defaultdict(list)
    count, began = 0, time.process_time()
    while count < events:
        for tp, some in (await consumer.getmany(timeout_ms=1_000, max_records=20_000)).items():
            records = as_batch(tp, some).value
            parts[tp.partition].append(records)
            count += len(records)
    took = time.process_time() - began
    await consumer.stop()
    return {partition: RecordBatch.join(some) for partition, some in parts.items()}, took


async def folded(worker: Worker, log: Log) -> None:
    """Fold all of it, in turns of the partitions, and flush each second."""
    done = dict.fromkeys(log, 0)
    flushed = time.monotonic()
    while any(done[partition] < len(records) for partition, records in log.items()):
        for partition, records in log.items():
            batch = records[done[partition] : done[partition] + BATCH]
            if len(batch):
                await worker.process(partition, batch)
                done[partition] += len(batch)
            if time.monotonic() - flushed > 1:
                await worker.flush()
                flushed = time.monotonic()
    await worker.flush()


def profile(settings: Settings, registry: Registry, log: Log) -> dict[str, float]:
    """One round: microseconds an event by step, and `rest`."""
    with connect(settings.clickhouse, "writer") as client:
        for table in TABLES:
            client.execute(f"TRUNCATE TABLE {table}")
    stop, events = threading.Event(), sum(map(len, log.values()))
    engine = RollupEngine(
        registry,
        default_dictionary(),
        partition_of=lambda key: partition_of(key, len(log)),
        max_future_hours=24 * 10_000,
        chunk_size=settings.chunk_size,
    )

    async def send(_: Sequence[Outgoing]) -> None:
        return None

    storage = RollupStore(settings.clickhouse, stop)
    writer = RollupStore(settings.clickhouse, stop)
    worker = Worker(engine, storage=storage, writer=writer, send=send, commit=lambda *_: None)
    clock = Clock()
    with watched_workers(clock):
        began = time.process_time()
        asyncio.run(folded(worker, log))
        took = time.process_time() - began
    worker.stop()
    storage.close()
    writer.close()
    micros = {step: clock.seconds[step] / events * 1e6 for step, _, _ in STEPS}
    return {**micros, "rest": took / events * 1e6 - sum(micros.values())}


def show(micros: dict[str, float]) -> None:
    """Print a row for each step: its share of the time and its cost for each event."""
    total = sum(micros.values())
    table = Table("step", "µs an event", "share", title="One worker, processor time")
    for step, value in micros.items():
        table.add_row(step, f"{value:.2f}", f"{value / total:.0%}")
    table.add_row("all", f"{total:.2f}", "", style="bold")
    Console(file=sys.stderr).print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill, fetch, fold in rounds, and tell the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes the medians there")
    options = parser.parse_args(arguments)
    registry = read_registry_files(reference.registry_files())
    tune_collector()  # as a worker does
    with running(registry) as settings:
        count = fill(settings.kafka, campaign(registry, default_plan(), options.events), say=say)
        log, seconds = asyncio.run(fetched(settings, count))
        rounds = []
        for number in range(options.rounds):
            rounds.append(profile(settings, registry, log))
            say(
                f"round {number + 1} of {options.rounds}: "
                f"{sum(rounds[-1].values()):.2f} µs an event"
            )
    micros = {"fetch": seconds / count * 1e6} | {
        step: statistics.median(one[step] for one in rounds) for step in rounds[0]
    }
    micros = {step: round(value, 3) for step, value in micros.items() if value}
    show(micros)
    if options.json:
        options.json.parent.mkdir(exist_ok=True)
        options.json.write_text(
            json.dumps({"events": count, "batch": BATCH, "micros": micros}, indent=2) + "\n",
            encoding="utf-8",
        )
    print(json.dumps(micros))
    return 0


if __name__ == "__main__":
    sys.exit(main())
