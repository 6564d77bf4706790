"""A long run on a real stack: exact figures while workers are killed, flat memory, bounded parts.

    python benchmarks/soak.py --events 2000000 --kill-every 5 --oracle
    python benchmarks/soak.py --events 10000000

Events come from all booths of Chhattisgarh over some weeks; a fifth of the deliveries are repeats,
some are corrections. At the end every figure is recounted from the ledger. With `--oracle` it is
also compared with the tests' oracle, which computes it from the events that were sent and reads no
table.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from clickhouse_driver import Client

import reference
import stack
from operations.bootstrap import prepare
from operations.gc_tuning import tune_collector
from operations.registry_files import read_registry_files
from operations.worker_processes import start_worker, stop_worker
from pravah.producer import EventProducer
from pravah.settings import Settings
from pravah.units import routing_key
from schemas.registry import Registry
from sinks.connection import connect
from sinks.lag import Lag
from sinks.recount import durable_cut, recount

FIRST = date(2022, 8, 25)
SOURCE = {"tool": "soak", "producer": "cg"}
REPEATS, CORRECTIONS = 0.2, 0.02
# A repeat is one of so many last deliveries, so that some repeats are old.
RECENT = 100_000


def deliveries(registry: Registry, count: int, days: int, seed: int) -> Iterator[dict[str, Any]]:
    """Generate events in the order of sending; a repeat is the same object again."""
    choose = random.Random(seed)
    booths = [code for code, unit in registry.units.items() if unit.level == "booth"]
    recent: deque[dict[str, Any]] = deque(maxlen=RECENT)
    for number in range(count):
        if recent and choose.random() < REPEATS:
            yield recent[choose.randrange(len(recent))]
            continue
        if recent and choose.random() < CORRECTIONS:
            earlier = recent[choose.randrange(len(recent))]
            event = {
                **earlier,
                "event_id": str(UUID(int=choose.getrandbits(128))),
                "version": earlier["version"] + 1 + number,
            }
        else:
            unit = booths[choose.randrange(len(booths))]
            day = FIRST + timedelta(days=number * days // count)
            event_id = str(UUID(int=choose.getrandbits(128)))
            kind, data = _content(choose)
            event = {
                "event_id": event_id,
                "entity": event_id,
                "version": 1,
                "unit": unit,
                "kind": kind,
                "source": SOURCE,
                "data": data,
                "occurred_at": (
                    f"{day}T{choose.randrange(24):02}:{choose.randrange(60):02}:00+05:30"
                ),
            }
        recent.append(event)
        yield event


def _content(choose: random.Random) -> tuple[str, dict[str, Any]]:
    draw = choose.random()
    if draw < 0.6:
        return "social_post", {
            "platform": choose.choice(["facebook", "twitter", "whatsapp"]),
            "posts": choose.randrange(1, 6),
            "reach": choose.randrange(500),
        }
    if draw < 0.9:
        return "membership", {
            "mode": choose.choice(["manual", "digital"]),
            "count": choose.randrange(1, 9),
        }
    return "messaging_group", {"group_type": "whatsapp", "members": choose.randrange(5, 250)}


def main() -> int:
    """Run it; returns 1 if a figure differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--days", type=int, default=42)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--chunk-size",
        type=int,
        default=20_000,
        help="a worker must run long enough to fold the open chunks of its partitions",
    )
    parser.add_argument("--kill-every", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument(
        "--oracle",
        action="store_true",
        help="compare with the tests' oracle, too; takes a gigabyte of memory a million events",
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    registry = read_registry_files(reference.registry_files())
    tune_collector()
    with (
        tempfile.TemporaryDirectory(prefix="pravah-soak-") as folder,
        stack.running(Path(folder) / "home") as running,
    ):
        settings = running.model_copy(
            update={"session_timeout_seconds": 2.0, "chunk_size": options.chunk_size}
        )
        prepare(settings, lambda _: None, registry=registry)
        with connect(settings.clickhouse, "writer", send_receive_timeout=3_600) as clickhouse:
            return _run(options, settings, registry, clickhouse, Path(folder) / "logs")


def _run(
    options: argparse.Namespace,
    settings: Settings,
    registry: Registry,
    clickhouse: Client,
    logs: Path,
) -> int:
    sent_events: list[dict[str, Any]] = []
    sent = threading.Event()

    def send() -> None:
        with EventProducer(settings.kafka) as producer:
            for event in deliveries(registry, options.events, options.days, options.seed):
                producer.send_raw(
                    json.dumps(event, separators=(",", ":")).encode(), routing_key(event["unit"])
                )
                if options.oracle:
                    sent_events.append(event)
        sent.set()

    workers = [start_worker(settings, logs / f"{number}.log") for number in range(options.workers)]
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    kills, began, killed_at, next_report = 0, time.monotonic(), time.monotonic(), 0.0
    with Lag(settings.kafka, clickhouse) as lag:
        while True:
            position = lag.position()
            if sent.is_set() and not position.behind:
                break
            if options.kill_every and time.monotonic() - killed_at > options.kill_every:
                chosen = kills % len(workers)
                workers[chosen].kill()
                workers[chosen].wait()
                workers[chosen] = start_worker(settings, logs / f"{chosen}.log")
                kills, killed_at = kills + 1, time.monotonic()
            if position.durable / options.events >= next_report:
                next_report = position.durable / options.events + 0.05
                _print_status(
                    position.durable, position.end, workers, clickhouse, time.monotonic() - began
                )
            time.sleep(0.2)
    seconds = time.monotonic() - began
    _print_status(position.durable, position.end, workers, clickhouse, seconds)
    for worker in workers:
        stop_worker(worker)
    ((folded, accepted, duplicates),) = clickhouse.execute(
        """
        SELECT (SELECT sum(records) FROM chunks FINAL), sum(a), sum(d) FROM (
            SELECT argMax(accepted, updated_at) AS a, argMax(duplicates, updated_at) AS d
            FROM chunks WHERE next_offset > 0 GROUP BY partition, chunk
        )
        """
    )
    print(
        f"{kills} workers killed; {position.end:,} records in the log, "
        f"{folded - position.end:,} of them folded again; "
        f"{accepted:,} accepted, {duplicates:,} duplicates; {seconds:.0f} s"
    )
    outcome = recount(clickhouse, durable_cut(clickhouse))
    print(
        f"recount from the ledger: {outcome.figures:,} figures, {outcome.different:,} differences"
    )
    different = outcome.different
    if options.oracle:
        different += _against_oracle(clickhouse, sent_events)
    return 1 if different else 0


def _print_status(
    durable: int, end: int, workers: list[Any], clickhouse: Client, seconds: float
) -> None:
    memory = []
    for worker in workers:
        try:
            memory.append(psutil.Process(worker.pid).memory_info().rss >> 20)
        except psutil.NoSuchProcess:
            memory.append(0)
    parts = dict(
        clickhouse.execute(
            "SELECT table, count() FROM system.parts WHERE active AND database = currentDatabase() "
            "AND table IN ('ledger', 'journal', 'chunks') GROUP BY table"
        )
    )
    shown = " ".join(f"{table} {parts.get(table, 0)}" for table in ("ledger", "journal", "chunks"))
    print(
        f"{datetime.now():%H:%M:%S} {durable:>11,} of {end:>11,}  "  # noqa: DTZ005
        f"{seconds:6.0f} s  workers {memory} MiB  parts {shown}",
        flush=True,
    )


def _against_oracle(clickhouse: Client, sent_events: list[dict[str, Any]]) -> int:
    from tests.support import oracle

    expected = oracle.figures(
        sent_events, oracle.Hierarchy.read(reference.registry_files()[0].parent)
    )
    rows = clickhouse.execute(
        "SELECT day, toString(level), unit, metric, value, verified_value FROM rollups"
    )
    found = {row[:4]: row[4:] for row in rows}
    different: int = sum(
        expected.get(key) != found.get(key) for key in expected.keys() | found.keys()
    )
    print(f"oracle from what was sent: {len(expected):,} figures, {different:,} differences")
    return different


if __name__ == "__main__":
    sys.exit(main())
