"""Measure the latency from a producer's send to a figure that a query returns, at several rates.

    .venv/bin/python benchmarks/latency.py [--rates 10,100,1000] [--half-of-max] [--seconds 30]

The events are those of a dense day of the simulated campaign. Each has the time at which it was
handed to the producer (`reported_at`), which its row in the ledger has, too. An event is queryable
when the table `chunks` has an offset beyond it; `chunks` is polled every few milliseconds. This is
verified as well: about every hundredth event is a probe with a metric of its own, and the view
`rollups` must show at least as many probes as `chunks` has just guaranteed.

The result has p50, p99 and the ratio of p99 to the flush interval. `--half-of-max` drains a full
log first, and adds half of the rate that the worker sustains. A producer that falls behind its
schedule is reported.

Exit 1 if a p99 is above `--at-most` flush intervals, `rollups` shows fewer probes than guaranteed,
or a figure differs from the recount.
"""

import argparse
import bisect
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from uuid import uuid4

import orjson
from clickhouse_driver import Client

import reference
from benchmarks.measuring import (
    SESSION_SECONDS,
    WatchedWorker,
    count_differences,
    drain,
    percentile,
    running,
    say,
    settle,
    table,
    writer,
)
from benchmarks.producing import RateProducer, Record, campaign, save, with_send_time
from operations.registry_files import read_registry_files
from operations.worker_processes import StallWatch
from pravah.settings import Settings
from pravah.units import routing_key
from reference.defaults import default_plan
from schemas.registry import Registry
from sinks.connection import connect
from sinks.lag import Lag

# The metric of the probes; the campaign's own events of this metric are not sent.
PROBE = "doors_visited"
# Shares to try of the rate at which a full log is drained: the producer runs on the same machine.
SHARES = (0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
# The maximum p99 at the sustainable rate, in flush intervals. Beyond it the worker falls behind.
SUSTAINED = 5.0
PROBES_PER_SECOND = 5
# Not measured at the beginning of each rate, while chunks are opened.
WARM_UP_SECONDS = 2.0
ROLLUPS = f"SELECT sum(value) FROM rollups WHERE level = 'national' AND metric = '{PROBE}'"
CHUNKS = "SELECT partition, max(next_offset) FROM chunks GROUP BY partition"


@dataclass
class Measured:
    """The latency at a rate. Times are in seconds."""

    target_rate: float
    rate: float
    producer_late: float
    """The maximum delay of the producer behind its schedule."""
    keeps_up: bool
    """Whether the producer achieved the rate."""
    events: int
    """Accepted events whose latency was measured."""
    p50: float
    p90: float
    p99: float
    highest: float
    ratio: float
    """p99 divided by the flush interval."""
    probes_p50: float
    """Latency of the probes in the view `rollups`: from the send to the response of the first query
    that counts them."""
    probes_p99: float
    observations: int
    """How often `rollups` was read after `chunks`."""
    violations: int
    """How often `rollups` showed fewer probes than `chunks` had guaranteed just before."""
    worker_cpu: float
    """Cores that the worker used."""
    worker_cpu_wait: float
    """Cores for which its threads waited."""
    producer_cpu: float
    query_seconds: float
    """Median time of a query of `chunks`: the error of the measured latency."""
    poll_seconds: float


def main() -> int:
    """Measure at each rate and print a table and one line of JSON."""
    options = _parse_options()
    rates = [float(rate) for rate in options.rates.split(",") if rate]
    registry = read_registry_files(reference.registry_files())
    highest = sustainable = None
    with (
        running(
            registry, flush_seconds=options.flush_seconds, session_timeout_seconds=SESSION_SECONDS
        ) as settings,
        writer(settings) as clickhouse,
    ):
        if options.half_of_max:
            highest = drain(
                settings,
                clickhouse,
                campaign(registry, default_plan(), options.backlog, seed=1_000),
            ).rate
            say(f"a full log is drained at {highest:,.0f} events/s")
        found = []
        for number, rate in enumerate(rates):
            found.append(
                _measure_rate(settings, clickhouse, registry, rate, options, seed=number + 1)
            )
            say(str(found[-1]))
        at_the_limit = []
        limits = [share * highest for share in SHARES] if highest else []
        for number, rate in enumerate(limits):
            at_the_limit.append(
                _measure_rate(settings, clickhouse, registry, rate, options, seed=100 + number)
            )
            say(str(at_the_limit[-1]))
            if at_the_limit[-1].keeps_up and at_the_limit[-1].ratio <= SUSTAINED:
                sustainable = at_the_limit[-1].rate
                found.append(
                    _measure_rate(
                        settings, clickhouse, registry, sustainable / 2, options, seed=200
                    )
                )
                say(str(found[-1]))
                break
        different = count_differences(clickhouse)
    print(_format_table([*found, *at_the_limit]))
    result = {
        "flush_seconds": options.flush_seconds,
        "drained_events_per_second": highest and round(highest),
        "sustainable": sustainable,
        "rates": [asdict(one) for one in found],
    }
    print(json.dumps({**result, "different_figures": different}))
    failed = (
        different
        or (highest and not sustainable)
        or any(one.ratio > options.at_most or one.violations for one in found)
    )
    return 1 if failed else 0


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", default="10,100,1000", help="events a second, comma-separated")
    parser.add_argument(
        "--half-of-max",
        action="store_true",
        help="find the sustainable rate, and measure at half of it, too: the first of some shares "
        "of a full log's rate that the worker sustains beside the producer",
    )
    parser.add_argument(
        "--backlog", type=int, default=1_000_000, help="events of the full log for --half-of-max"
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="time of each rate")
    parser.add_argument(
        "--poll-ms",
        type=float,
        default=25.0,
        help="pause between two queries of `chunks`; each costs ClickHouse some milliseconds",
    )
    parser.add_argument("--flush-seconds", type=float, default=1.0)
    parser.add_argument(
        "--at-most", type=float, default=2.0, help="maximum p99, in flush intervals"
    )
    return parser.parse_args()


def _format_table(measured: list[Measured]) -> str:
    return table(
        (
            "events/s",
            "achieved",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "highest ms",
            "p99 / flush interval",
            "probes in `rollups`, p50 / p99 ms",
            "worker, cores (waited for)",
        ),
        [
            (
                f"{one.target_rate:,.0f}",
                f"{one.rate:,.0f}"
                + (
                    ""
                    if one.keeps_up
                    else f" (producer behind, by up to {one.producer_late:.2f} s)"
                ),
                *(f"{value * 1000:,.0f}" for value in (one.p50, one.p90, one.p99, one.highest)),
                f"{one.ratio:.2f}",
                f"{one.probes_p50 * 1000:,.0f} / {one.probes_p99 * 1000:,.0f}",
                f"{one.worker_cpu:.2f} ({one.worker_cpu_wait:.2f})",
            )
            for one in measured
        ],
    )


def _events(registry: Registry, rate: float, count: int, seed: int) -> Iterator[Record]:
    """Generate the campaign's events with the time of sending, and probes among them."""
    plain = (
        record
        for record in campaign(registry, default_plan(), int(count * 1.2) + 1_000, seed=seed)
        if record.head is None or PROBE.encode() not in record.head
    )
    every = max(2, round(rate / PROBES_PER_SECOND))
    booths = [code for code, unit in registry.units.items() if unit.level == "booth"]
    for number, record in enumerate(islice(plain, count)):
        yield with_send_time(
            _probe(booths[number * 7_919 % len(booths)]) if number % every == 0 else record
        )


def _probe(unit: str) -> Record:
    event = {
        "event_id": str(uuid4()),
        "unit": unit,
        "kind": "tally",
        "occurred_at": "2022-06-20T12:00:00+05:30",
        "source": {"tool": "script", "producer": "probe"},
        "data": {"metric": PROBE, "value": 1},
    }
    return Record(routing_key(unit).encode(), orjson.dumps(event))


@dataclass
class _Observations:
    """The progress that queries showed while events came in.

    Times are those of the responses by this machine's clock, in seconds since 1970-01-01T00:00Z.
    """

    durable: defaultdict[int, list[tuple[int, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """By partition: (offset below which all is durable, time when it was first seen), ascending."""
    probes: list[tuple[int, float]] = field(default_factory=list)
    """(Number of probes in the view, time when it was first seen), ascending."""
    pairs: list[tuple[dict[int, int], int]] = field(default_factory=list)
    """(Offsets in `chunks` by partition, number of probes in the view just after)."""
    seconds: list[float] = field(default_factory=list)
    """Duration of each query of `chunks`."""


def _measure_rate(
    settings: Settings,
    clickhouse: Client,
    registry: Registry,
    rate: float,
    options: argparse.Namespace,
    *,
    seed: int,
) -> Measured:
    count = int(rate * (options.seconds + WARM_UP_SECONDS))
    say(f"{rate:,.0f} events/s: making {count:,} events")
    before = clickhouse.execute(ROLLUPS)[0][0]
    with (
        tempfile.TemporaryDirectory(prefix="pravah-bench-") as folder,
        Lag(settings.kafka, clickhouse) as lag,
    ):
        save(Path(folder) / "records", _events(registry, rate, count, seed))
        worker = WatchedWorker(settings)
        try:
            producer = RateProducer(settings.kafka, Path(folder) / "records", rate)
            worker.wait_until_assigned()
            starts = lag.ends()
            cpu, cpu_wait, began = worker.cpu(), worker.cpu_wait(), time.time()
            producer.begin()
            observations = _observe(settings, producer, lag, options.poll_ms / 1000, before)
            sent, seconds = producer.result(), time.time() - began
            cpu, cpu_wait = worker.cpu() - cpu, worker.cpu_wait() - cpu_wait
            settle(settings, clickhouse, lag)
        finally:
            worker.stop()
    sent_at = clickhouse.execute(
        """
        SELECT partition, offset, toUnixTimestamp64Micro(assumeNotNull(reported_at)) / 1e6,
            has(metrics, %(probe)s)
        FROM ledger WHERE reported_at IS NOT NULL AND offset >=
            CAST(mapFromArrays(%(partitions)s, %(offsets)s), 'Map(Int32, UInt64)')[partition]
        """,
        {"probe": PROBE, "partitions": [-2, *starts], "offsets": [0, *starts.values()]},
    )
    waited = sorted(
        _first_seen(observations.durable[partition], offset) - at
        for partition, offset, at, _ in sent_at
        if at > began + WARM_UP_SECONDS
    )
    probes = sorted(
        (at, partition, offset) for partition, offset, at, is_probe in sent_at if is_probe
    )
    shown = sorted(
        _first_seen(observations.probes, number) - at
        for number, (at, _, _) in enumerate(probes)
        if at > began + WARM_UP_SECONDS
    )
    guaranteed = [
        sum(offset < said.get(partition, 0) for _, partition, offset in probes)
        for said, _ in observations.pairs
    ]
    for least, (said, shown_then) in zip(guaranteed, observations.pairs, strict=True):
        if shown_then < least:
            say(f"`chunks` guaranteed {least} probes ({said}), `rollups` showed {shown_then}")
    p50, p90, p99 = (percentile(waited, share) for share in (0.5, 0.9, 0.99))
    return Measured(
        target_rate=rate,
        rate=sent.rate,
        producer_late=sent.late_seconds,
        keeps_up=sent.rate > 0.98 * rate and sent.late_seconds < 0.5 * options.flush_seconds,
        events=len(waited),
        p50=p50,
        p90=p90,
        p99=p99,
        highest=waited[-1],
        ratio=p99 / options.flush_seconds,
        probes_p50=percentile(shown, 0.5),
        probes_p99=percentile(shown, 0.99),
        observations=len(observations.pairs),
        violations=sum(
            found < least for least, (_, found) in zip(guaranteed, observations.pairs, strict=True)
        ),
        worker_cpu=cpu / seconds,
        worker_cpu_wait=cpu_wait / seconds,
        producer_cpu=sent.cpu_seconds / sent.seconds,
        query_seconds=percentile(sorted(observations.seconds), 0.5),
        poll_seconds=seconds / len(observations.seconds),
    )


def _observe(
    settings: Settings, producer: RateProducer, lag: Lag, pause: float, before: int
) -> _Observations:
    """Poll until everything that was sent is durable."""
    observations, watch = _Observations(), StallWatch()
    ends: dict[int, int] | None = None
    with connect(settings.clickhouse, "writer") as client:
        for number in range(sys.maxsize):
            began = time.time()
            said: dict[int, int] = dict(client.execute(CHUNKS))
            now = time.time()
            observations.seconds.append(now - began)
            for partition, offset in said.items():
                known = observations.durable[partition]
                if not known or offset > known[-1][0]:
                    known.append((offset, now))
            if number % 10 == 0:
                shown = client.execute(ROLLUPS)[0][0] - before
                observations.pairs.append((said, shown))
                if not observations.probes or shown > observations.probes[-1][0]:
                    observations.probes.append((shown, time.time()))
            if ends is None and producer.done:
                ends = lag.ends()
            # some records are sent to other partitions: the end of the log is read again
            if (
                ends
                and all(said.get(partition, 0) >= end for partition, end in ends.items() if end)
                and ends == (ends := lag.ends())
            ):
                shown = client.execute(ROLLUPS)[0][0] - before
                observations.probes.append((shown, time.time()))
                return observations
            watch.check(sum(said.values()), "the worker")
            time.sleep(pause)
    raise AssertionError


def _first_seen(known: list[tuple[int, float]], number: int) -> float:
    """When a value above `number` was first seen."""
    return known[bisect.bisect_right(known, number, key=lambda one: one[0])][1]


if __name__ == "__main__":
    sys.exit(main())
