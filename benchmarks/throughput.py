"""Events a second of one Pravah worker, beside Kafka and ClickHouse on the same cores, against a table-per-event Faust app on the same topic in the same run.

    .venv/bin/python benchmarks/throughput.py [--events 200000] [--at-least 20]

The log is filled first, so that neither waits for a producer. Pravah's worker does its whole job: it validates, de-duplicates against the ledger, folds to all levels and
writes ledger and journal. Its time runs from its first open chunk to the last durable record. The other one's runs from its first event. Exit 1 if the ratio is lower
than asked for.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import reference
import stack
from cli.prepare import prepare, read_registry_files
from cli.workers import StallWatch, working
from producers.sdk import EventProducer
from producers.simulator import SimulationOptions, simulate
from schemas.plan import Plan
from settings import Settings
from sinks.connection import connect
from sinks.lag import Lag


def main() -> int:
    """Run both and print one line of JSON.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the table-per-event app counts")
    parser.add_argument("--at-least", type=float, default=20.0, help="the ratio below which this fails")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pravah-bench-") as folder, stack.running(Path(folder) / "home", print) as settings:
        registry = read_registry_files(reference.registry_files())
        prepare(settings, print, registry=registry)
        plan = Plan.from_toml(reference.plan_file().read_text(encoding="utf-8"))
        options = SimulationOptions(seed=1, first=date(2022, 2, 1), last=date(2022, 9, 30), events=arguments.events)
        with EventProducer(settings.kafka) as producer:
            for delivery in simulate(registry, plan, options):
                producer.send_raw(delivery.value, delivery.key)
        print(f"{arguments.events:,} events in the log", flush=True)
        ours = pravah(settings)
        theirs = table_per_event(settings, arguments.seconds)
    ratio = ours / theirs
    print(json.dumps({"pravah_events_per_second": round(ours), "table_per_event_events_per_second": round(theirs), "ratio": round(ratio, 1)}))
    return 0 if ratio >= arguments.at_least else 1


def pravah(settings: Settings) -> float:
    """Events a second of one worker, from its first open chunk until all of the log is durable in the figures."""
    watch = StallWatch()
    with connect(settings.clickhouse, "writer") as clickhouse, Lag(settings.kafka, clickhouse) as lag:
        with working(settings, settings.home / "logs" / "worker.log"):
            while (position := lag.position()).behind:
                watch.check(position.durable, "the worker")
                time.sleep(0.2)
        query = "SELECT sum(records), (max(toUnixTimestamp64Micro(updated_at)) - min(toUnixTimestamp64Milli(opened_at)) * 1000) / 1e6 FROM chunks FINAL"
        records, seconds = clickhouse.execute(query)[0]
    print(f"pravah: {records:,} records in {seconds:.1f} s", flush=True)
    return float(records / seconds)


def table_per_event(settings: Settings, seconds: float) -> float:
    """Events a second of the other app."""
    command = [sys.executable, str(Path(__file__).parent / "table_per_event.py"), str(seconds)]
    log = settings.home / "logs" / "table-per-event.log"
    with log.open("w+", encoding="utf-8") as out:
        environment = {**os.environ, "PRAVAH_HOME": str(settings.home)}
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=out, text=True, check=False, env=environment, timeout=seconds + 120)  # noqa: S603
    if not done.stdout.strip():
        sys.exit(f"the table-per-event app counted nothing:\n{log.read_text(encoding='utf-8')[-2000:]}")
    counted = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"table per event: {counted['events']:,} events in {counted['seconds']:.1f} s", flush=True)
    return float(counted["events"] / counted["seconds"])


if __name__ == "__main__":
    sys.exit(main())
