"""What it takes until another worker is back at full speed, after one was killed or ended in the middle of a full log.

    .venv/bin/python benchmarks/recovery.py [--events 1000000] [--rounds 3] [--signals KILL,TERM]

A worker drains a full log. It gets the signal, and when its process is gone another is started at once. Every tenth of a second it is looked how far both came. Times count from the signal:

- *gone*: the process has ended; *loaded*: the new one has its code and the registry; *assigned*: Kafka has given it the partitions, which after SIGKILL takes the session timeout;
- *folds*: its first record is folded; *full speed*: from here on, for `--window` seconds, it folds at least 90 % of what the first one folded a second;
- *regained*: all that was in the figures when the signal came has been folded again and is durable.

The aim: full speed and everything regained no later than the rebalance and the time of folding one chunk of every partition. Exit 1 if a figure differs from the recount at the end; what is
later than the aim is told, and exits with 1 if `--strict`.
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
from operations.bootstrap import default_plan
from operations.registry import read_registry_files
from operations.worker_processes import StallWatch
from pravah.settings import Settings
from schemas.registry import Registry
from sinks.lag import Lag

EVERY_SECONDS = 0.1
FULL = 0.9
"""Of the rate before."""
DURABLE = "SELECT partition, max(next_offset) FROM chunks GROUP BY partition"
CLOSED = "SELECT partition, max(next_offset) FROM chunks WHERE closed GROUP BY partition"
OWN = "SELECT partition, max(next_offset) FROM chunks WHERE endsWith(worker, %(process)s) GROUP BY partition"


class Observation(NamedTuple):
    """How far it was. Seconds since the signal."""

    at: float
    folded: float
    """By the worker that runs."""
    durable: int
    """Of all partitions, by whichever worker."""
    behind: int


@dataclass
class Recovery:
    """One round. Seconds since the signal; None if the log ended before."""

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
    """Entities for which the second worker asked the ledger, and the seconds that took."""
    lookup_seconds: float
    allowed: float
    """Until the rebalance is over, and one chunk of every partition is folded at the rate before."""
    timeline: list[Observation] = field(repr=False)

    @property
    def recovered(self) -> float | None:
        """Until full speed and everything regained."""
        return (
            None
            if self.full_speed is None or self.regained is None
            else max(self.full_speed, self.regained)
        )


def main() -> int:
    """Run the rounds and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--events",
        type=int,
        default=1_000_000,
        help="of each round; must outlast the time before the signal and the recovery",
    )
    parser.add_argument(
        "--before",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="how long the first worker folds",
    )
    parser.add_argument(
        "--window", type=float, default=2.0, metavar="SECONDS", help="over which full speed is told"
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
    options = parser.parse_args()
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
    print(
        table(
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
                "ledger asked for (s)",
                "allowed s",
                "taken / allowed",
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
    )
    print(
        json.dumps(
            {
                "session_timeout_seconds": options.session_timeout,
                "rounds": [{**asdict(one), "taken": one.recovered} for one in found],
                "different_figures": different,
            }
        )
    )
    late = any(one.recovered is None or one.recovered > one.allowed for one in found)
    return 1 if different or (late and options.strict) else 0


def recover(
    settings: Settings, clickhouse: Client, name: str, *, before: float, window: float
) -> Recovery:
    """One round on what is in the log; the rest of it is worked off as well.

    Args:
        settings: of a stack without workers.
        clickhouse: the writer's connection.
        name: the signal, such as KILL.
        before: seconds that the first worker folds.
        window: seconds over which full speed is told.
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
            for look in _observe(second, lag, signalled):
                timeline.append(look)
                if regained is None:
                    own = dict(clickhouse.execute(OWN, {"process": f":{second.process.pid}"}))
                    regained = (
                        look.at
                        if all(
                            own.get(partition, 0) >= offset
                            for partition, offset in open_ones.items()
                        )
                        else None
                    )
                if not look.behind:
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
        full_speed=_full_speed(timeline, FULL * rate, window),
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
    """Without end."""
    watch = StallWatch()
    while True:
        position = lag.position()
        look = Observation(
            time.monotonic() - since,
            worker.metrics().get("pravah_records_total", 0.0),
            position.durable,
            position.behind,
        )
        watch.check(int(look.folded), "the worker")
        yield look
        time.sleep(EVERY_SECONDS)


def _rate_before(worker: WatchedWorker, lag: Lag, seconds: float) -> float:
    """Let a worker fold for so long; records a second from the first second on."""
    began: Observation | None = None
    for look in _observe(worker, lag, time.monotonic()):
        if not look.behind:
            sys.exit(f"the log was worked off within {seconds} s: --events must be more")
        if look.folded and began is None:
            began = look
        if began is not None and look.at > began.at + seconds:
            return (look.folded - began.folded) / (look.at - began.at)
    raise AssertionError


def _full_speed(timeline: list[Observation], rate: float, window: float) -> float | None:
    """The first look from which on at least `rate` records a second are folded for `window` seconds."""
    for number, begin in enumerate(timeline):
        end = next((look for look in timeline[number:] if look.at >= begin.at + window), None)
        if end is None:
            return None
        if end.folded - begin.folded >= rate * (end.at - begin.at):
            return begin.at
    return None


if __name__ == "__main__":
    sys.exit(main())
