"""Cost of an event with a ledger of 1, 10 and 50 million rows, with and without the seen filter.

    python benchmarks/ledger_size.py [--rows 1000000 10000000 50000000] [--json]

A real worker folds batches of one partition into a real ClickHouse, without Kafka. Four fifths of
the events are about new entities; a fifth repeat recent events, or any events of the ledger. The
time to fill the filter is measured as well.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from clickhouse_driver import Client
from rich.console import Console
from rich.table import Table

import reference
import stack
from columnar.arrays import Array
from operations.bootstrap import prepare
from operations.registry_files import read_registry_files
from pravah.settings import Settings
from reference.defaults import default_dictionary
from rollup.engine import RollupEngine
from rollup.flush import Outgoing
from rollup.seen_filter import SeenFilter
from schemas.registry import Registry
from sinks.connection import connect
from sinks.rollup_store import RollupStore
from streams.worker import Worker

PARTITIONS = 12
# Of the events that are folded here: beyond all offsets in the ledger.
FIRST_OFFSET = 1_000_000_000
BATCH, BATCHES = 2_000, 15
# In each round all four kinds of work are measured, one after the other.
ROUNDS = 5
UNIT, KEY = "CG-AC001-B0001", "CG-AC001"
STEP = 5_000_000


@dataclass
class Record:
    """The attributes of a Kafka record that the worker reads."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass
class Measured:
    """Results at one size of the ledger.

    Microseconds per event are medians over the batches of all rounds.
    """

    rows: int
    micros_new: float
    """Without repeats."""
    micros_recent: float
    """A fifth repeats what came in the batch before."""
    micros_any: float
    """A fifth repeats any event of the ledger."""
    micros_without_filter: float
    """The same, with a lookup of every entity."""
    lookups: int
    """Entities that were looked up with the filter, where a fifth repeat any event; `entities` is
    the number of all that were new to their chunk."""
    entities: int
    filter_fill_seconds: float
    filter_mib: float
    parts: int
    """Parts of the ledger's table: a lookup reads each of them."""


def fill(client: Client, first: int, behind: int, *, offset: str = "number") -> None:
    """Add rows to the ledger: entities with random names, spread over keys and partitions.

    Args:
        client: of the writer.
        first: number of the first entity.
        behind: number after the last entity.
        offset: SQL expression of a row's offset, by default its number.
    """
    for begin in range(first, behind, STEP):
        client.execute(
            f"""
            INSERT INTO ledger
                (key, entity, version, partition, offset, event_id, op, unit, kind, occurred_at,
                 day, tool, producer, verification, data, metrics, amounts, appended_at)
            SELECT concat('CG-AC', leftPad(toString(number % {PARTITIONS} + 1), 3, '0')),
                   hex(sipHash128(number)), 1, number % {PARTITIONS}, {offset}, generateUUIDv4(),
                   'report', '{UNIT}', 'social_post',
                   toDateTime64('2022-09-01 10:00:00', 6, 'Asia/Kolkata'), '2022-09-01', 'bench',
                   'x', 'unverified', '{{"platform":"facebook","posts":3}}', ['posts_facebook'],
                   [3], now64(3)
            FROM numbers({begin}, {min(STEP, behind - begin)})
            """
        )


def known_entities(client: Client, rows: int, choose: random.Random, count: int) -> list[str]:
    """Return some entities of partition 0."""
    # The first number only makes it an array of 64-bit numbers, which `fill` hashes.
    numbers = [choose.randrange(rows // PARTITIONS) * PARTITIONS for _ in range(count)]
    return [
        row[0]
        for row in client.execute(
            "SELECT hex(sipHash128(arrayJoin(%(numbers)s)))",
            {"numbers": [numbers[0] + 2**33, *numbers]},
        )
    ][1:]


def batches(
    choose: random.Random, at: int, repeats: Iterable[str] = (), *, recent: bool = False
) -> list[list[Record]]:
    """Make batches of one chunk each, so that the open chunk knows no entity.

    Every fifth event is about one of `repeats`, or about an entity of the batch before.
    """
    made = []
    remaining = iter(repeats)
    now = time.time_ns() // 1_000_000
    before: list[str] = []
    for number in range(BATCHES):
        records, entities = [], []
        for index in range(BATCH):
            repeated = None
            if index % 5 == 0:
                repeated = choose.choice(before) if recent and before else next(remaining, None)
            entity = repeated or f"{choose.getrandbits(128):032X}"
            entities.append(entity)
            event = {
                "event_id": f"00000000-0000-4000-8000-{choose.getrandbits(48):012x}",
                "entity": entity,
                "version": 1,
                "unit": UNIT,
                "kind": "social_post",
                "occurred_at": "2022-09-01T10:00:00+05:30",
                "source": {"tool": "bench", "producer": "x"},
                "data": {"platform": "facebook", "posts": 3},
            }
            records.append(
                Record(at + number * BATCH + index, now, KEY.encode(), json.dumps(event).encode())
            )
        made.append(records)
        before = entities
    return made


async def fold(
    settings: Settings, registry: Registry, work: list[list[Record]]
) -> tuple[list[float], Worker]:
    """Fold; return the seconds of each batch, and the worker."""
    stop = threading.Event()

    async def send(_: Sequence[Outgoing]) -> None:
        return None

    engine = RollupEngine(
        registry,
        default_dictionary(),
        partition_of=lambda _: 0,
        max_future_hours=24 * 10_000,
        chunk_size=BATCH,
    )
    worker = Worker(
        engine,
        storage=RollupStore(settings.clickhouse, stop),
        writer=RollupStore(settings.clickhouse, stop),
        send=send,
        commit=lambda *_: None,
    )
    took = []
    for records in work:
        began = time.perf_counter()
        await worker.process(0, records)
        took.append(time.perf_counter() - began)
    worker.stop()
    return took[1:], worker  # the first one fills the filter


def _contains_all(_: SeenFilter, fingerprints: Array) -> Array:
    return np.ones(len(fingerprints), bool)


def settle(client: Client) -> None:
    """Wait until the server has no merges left."""
    while client.execute("SELECT count() FROM system.merges WHERE database = currentDatabase()")[0][
        0
    ]:
        time.sleep(0.5)


def measure(settings: Settings, registry: Registry, client: Client, rows: int, at: int) -> Measured:
    """Measure at one size, in rounds. Without the filter means: a filter that contains all."""
    choose = random.Random(rows)
    needed = BATCH * BATCHES // 5
    micros: dict[str, list[float]] = defaultdict(list)

    def run(what: str, repeats: Iterable[str] = (), *, recent: bool = False) -> Worker:
        nonlocal at
        client.execute(
            "TRUNCATE TABLE chunks"
        )  # else the open chunk of the run before would have to be folded first
        took, worker = asyncio.run(
            fold(settings, registry, batches(choose, at, repeats, recent=recent))
        )
        at += BATCH * BATCHES
        micros[what] += [seconds / BATCH * 1e6 for seconds in took]
        return worker

    for _ in range(ROUNDS):
        run("new")
        run("recent", recent=True)
        worker = run("any", known_entities(client, rows, choose, needed))
        with mock.patch.object(SeenFilter, "contains", _contains_all):
            run("without filter", known_entities(client, rows, choose, needed))
    metrics = {
        sample.name: sample.value
        for family in worker._telemetry.registry.collect()
        for sample in family.samples
        if not sample.labels
    }
    (partition,) = worker._engine.partitions.values()
    return Measured(
        rows,
        statistics.median(micros["new"]),
        statistics.median(micros["recent"]),
        statistics.median(micros["any"]),
        statistics.median(micros["without filter"]),
        int(metrics["pravah_ledger_lookups_total"]),
        BATCH * BATCHES,
        metrics["pravah_filter_build_seconds_sum"],
        partition.seen_filter.size / 2**20,
        client.execute(
            "SELECT count() FROM system.parts "
            "WHERE active AND database = currentDatabase() AND table = 'ledger'"
        )[0][0],
    )


def main() -> int:
    """Measure at growing sizes and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000, 50_000_000])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    registry = read_registry_files(reference.registry_files())
    found: list[Measured] = []
    with (
        tempfile.TemporaryDirectory(prefix="pravah-ledger-") as folder,
        stack.running(Path(folder) / "home") as settings,
    ):
        prepare(settings, lambda _: None, registry=registry)
        with connect(settings.clickhouse, "writer", send_receive_timeout=3_600) as client:
            have = 0
            for number, rows in enumerate(sorted(options.rows)):
                fill(client, have, rows)
                settle(client)
                have = rows
                found.append(
                    measure(
                        settings,
                        registry,
                        client,
                        rows,
                        FIRST_OFFSET + number * 4 * ROUNDS * BATCH * BATCHES,
                    )
                )
                print(found[-1], file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps([asdict(one) for one in found]))
        return 0
    table = Table(
        *(
            "ledger rows",
            "parts",
            "µs an event: new only",
            "ratio",
            "a fifth repeats recent ones",
            "ratio",
            "a fifth repeats any",
            "ratio",
            "no filter",
        ),
        *("looked up", "filter filled", "filter"),
    )
    for one in found:
        table.add_row(
            f"{one.rows:,}",
            f"{one.parts}",
            f"{one.micros_new:.0f}",
            f"{one.micros_new / found[0].micros_new:.2f}",
            f"{one.micros_recent:.0f}",
            f"{one.micros_recent / found[0].micros_recent:.2f}",
            f"{one.micros_any:.0f}",
            f"{one.micros_any / found[0].micros_any:.2f}",
            f"{one.micros_without_filter:.0f}",
            f"{one.lookups:,} of {one.entities:,}",
            f"{one.filter_fill_seconds:.1f} s",
            f"{one.filter_mib:.1f} MiB",
        )
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
