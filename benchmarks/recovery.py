"""Measure the recovery after a worker was killed or stopped in the middle of a full log.

    .venv/bin/python benchmarks/recovery.py [--events 1000000] [--rounds 3] [--signals KILL,TERM]

A worker drains a full log. It gets the signal, and another worker is started as soon as its process
is gone. The progress of both is polled every tenth of a second. Times count from the signal:

- *gone*: the process has ended;
- *loaded*: the new one has loaded its code and the registry;
- *assigned*: Kafka has assigned the partitions to it, after SIGKILL at the session timeout;
- *folds*: its first record is folded;
- *full speed*: from here on, for `--window` seconds, it folds at least 90 % of the first worker's
  rate;
- *regained*: everything that was in the figures at the signal is folded again and durable.

The target is full speed and everything regained within the time of the rebalance and of folding one
chunk of every partition. Exit 1 if a figure differs from the recount at the end, and, with
`--strict`, if a round is later than the target.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from clickhouse_driver import Client

import reference
from benchmarks.measuring import (
    ASSIGNED,
    LOADED,
    WatchedWorker,
    count_differences,
    load,
    running,
    say,
    settle,
    table,
    watched_workers,
    writer,
)
from benchmarks.producing import campaign
from operations.registry_files import read_registry_files
from operations.worker_processes import StallWatch
from pravah.settings import Settings
from reference.defaults import default_plan
from schemas.registry import Registry
from sinks.lag import Lag

POLL_SECONDS = 0.1
# Full speed is this share of the rate before the signal.
FULL_SHARE = 0.9
DURABLE = "SELECT partition, max(next_offset) FROM chunks GROUP BY partition"
CLOSED = "SELECT partition, max(next_offset) FROM chunks WHERE closed GROUP BY partition"
OWN = """
    SELECT partition, max(next_offset) FROM chunks WHERE endsWith(worker, %(process)s)
    GROUP BY partition
"""


class Observation(NamedTuple):
    """The progress at a time. Times are seconds since the signal."""

    at: float
    folded: float
    """Records folded by the running worker."""
    durable: int
    """Durable records of all partitions, by any worker."""
    behind: int


@dataclass
class Recovery:
    """The result of a round. Times are seconds since the signal; None if the log ended before."""

    signal: str
    rate_before: float
    """Records a second."""
    gone: float
    loaded: float
    assigned: float
    folds: float
    full_speed: float | None
    regained: float | None
    refolded: int
    """Records that had to be folded again: those of the chunks that were open."""
    lookups: int
    """Entities that the second worker looked up in the ledger."""
    lookup_seconds: float
    """Time of these look-ups."""
    allowed: float
    """The target: the end of the rebalance, and the time of folding one chunk of every partition at
    the rate before."""
    timeline: list[Observation] = field(repr=False)

    @property
    def recovered(self) -> float | None:
        """When full speed was reached and everything regained."""
        return (
            None
            if self.full_speed is None or self.regained is None
            else max(self.full_speed, self.regained)
        )


def main() -> int:
    """Run the rounds and print a table and one line of JSON."""
    options = _parse_options()
    registry = read_registry_files(reference.registry_files())
    found: list[Recovery] = []
    with (
        running(registry, session_timeout_seconds=options.session_timeout) as settings,
        writer(settings) as clickhouse,
    ):
        for number in range(options.rounds):
            for name in options.signals.split(","):
                found.append(
                    _round(settings, clickhouse, registry, name, options, seed=len(found) + 1)
                )
                say(f"round {number + 1}: {found[-1]}")
        different = count_differences(clickhouse)
    print(_format_table(found))
    print(
        json.dumps(
            {
                "session_timeout_seconds": options.session_timeout,
                "rounds": [{**asdict(one), "recovered": one.recovered} for one in found],
                "different_figures": different,
            }
        )
    )
    late = any(one.recovered is None or one.recovered > one.allowed for one in found)
    return 1 if different or (late and options.strict) else 0


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--events",
        type=int,
        default=1_000_000,
        help="events of each round; they must outlast the recovery",
    )
    parser.add_argument(
        "--before",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="how long the first worker folds",
    )
    parser.add_argument(
        "--window", type=float, default=2.0, metavar="SECONDS", help="time of judging full speed"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--signals", default="KILL,TERM")
    parser.add_argument(
        "--session-timeout",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="as PRAVAH_SESSION_TIMEOUT_SECONDS",
    )
    parser.add_argument("--strict", action="store_true")
    return parser.parse_args()


def _format_table(found: list[Recovery]) -> str:
    return table(
        (
            "signal",
            "rate before",
            "gone s",
            "loaded s",
            "assigned s",
            "folds s",
            "full speed s",
            "regained s",
            "folded again",
            "ledger look-ups (s)",
            "allowed s",
            "recovered / allowed",
        ),
        [
            (
                f"SIG{one.signal}",
                f"{one.rate_before:,.0f}",
                *(f"{value:.1f}" for value in (one.gone, one.loaded, one.assigned, one.folds)),
                *(
                    "log ended" if value is None else f"{value:.1f}"
                    for value in (one.full_speed, one.regained)
                ),
                f"{one.refolded:,}",
                f"{one.lookups:,} ({one.lookup_seconds:.1f})",
                f"{one.allowed:.1f}",
                "-" if one.recovered is None else f"{one.recovered / one.allowed:.2f}",
            )
            for one in found
        ],
    )


def recover(
    settings: Settings, clickhouse: Client, name: str, *, before: float, window: float
) -> Recovery:
    """Run a round on the records in the log, and drain the rest of the log.

    Args:
        settings: of a stack without workers.
        clickhouse: the writer's connection.
        name: the signal, such as KILL.
        before: seconds that the first worker folds.
        window: seconds over which full speed is judged.
    """
    with Lag(settings.kafka, clickhouse) as lag, watched_workers(settings) as (first,):
        first.wait_until_assigned()
        rate = _rate_before(first, lag, before)
        signalled = time.monotonic()
        first.process.send_signal(signal.Signals[f"SIG{name}"])
        first.process.wait(60)
        gone = time.monotonic() - signalled
        durable, closed = (dict(clickhouse.execute(query)) for query in (DURABLE, CLOSED))
        open_ones = {
            partition: offset
            for partition, offset in durable.items()
            if offset > closed.get(partition, 0)
        }
        with watched_workers(settings) as (second,):
            second.wait_for("pravah_records_total")
            folds, began = time.monotonic() - signalled, second.started - signalled
            loaded, assigned = (began + second.logged(text) for text in (LOADED, ASSIGNED))
            timeline: list[Observation] = []
            regained = None
            for observation in _observe(second, lag, signalled):
                timeline.append(observation)
                if regained is None:
                    own = dict(clickhouse.execute(OWN, {"process": f":{second.process.pid}"}))
                    regained = (
                        observation.at
                        if all(
                            own.get(partition, 0) >= offset
                            for partition, offset in open_ones.items()
                        )
                        else None
                    )
                if not observation.behind:
                    break
            metrics = second.metrics()
            settle(settings, clickhouse, lag)
    return Recovery(
        signal=name,
        rate_before=rate,
        gone=gone,
        loaded=loaded,
        assigned=assigned,
        folds=folds,
        full_speed=_full_speed(timeline, FULL_SHARE * rate, window),
        regained=regained,
        refolded=sum(offset - closed.get(partition, 0) for partition, offset in open_ones.items()),
        lookups=int(metrics["pravah_ledger_lookups_total"]),
        lookup_seconds=metrics["pravah_ledger_lookup_seconds_sum"],
        allowed=assigned + settings.kafka.partitions * settings.chunk_size / rate,
        timeline=timeline[::5],
    )


def _round(
    settings: Settings,
    clickhouse: Client,
    registry: Registry,
    name: str,
    options: argparse.Namespace,
    *,
    seed: int,
) -> Recovery:
    load(settings, campaign(registry, default_plan(), options.events, seed=seed))
    return recover(settings, clickhouse, name, before=options.before, window=options.window)


def _observe(worker: WatchedWorker, lag: Lag, since: float) -> Iterator[Observation]:
    """Poll the progress for ever."""
    watch = StallWatch()
    while True:
        position = lag.position()
        observation = Observation(
            time.monotonic() - since,
            worker.metrics().get("pravah_records_total", 0.0),
            position.durable,
            position.behind,
        )
        watch.check(int(observation.folded), "the worker")
        yield observation
        time.sleep(POLL_SECONDS)


def _rate_before(worker: WatchedWorker, lag: Lag, seconds: float) -> float:
    """Let a worker fold for some seconds, and measure its rate in records a second."""
    began: Observation | None = None
    for observation in _observe(worker, lag, time.monotonic()):
        if not observation.behind:
            sys.exit(f"the log was drained within {seconds} s: --events must be more")
        if observation.folded and began is None:
            began = observation
        if began is not None and observation.at > began.at + seconds:
            return (observation.folded - began.folded) / (observation.at - began.at)
    raise AssertionError


def _full_speed(timeline: list[Observation], rate: float, window: float) -> float | None:
    """When a rate was reached that lasted for `window` seconds; None if never."""
    for number, begin in enumerate(timeline):
        end = next(
            (
                observation
                for observation in timeline[number:]
                if observation.at >= begin.at + window
            ),
            None,
        )
        if end is None:
            return None
        if end.folded - begin.folded >= rate * (end.at - begin.at):
            return begin.at
    return None


if __name__ == "__main__":
    sys.exit(main())
