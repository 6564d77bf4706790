"""What benchmarks share: a stack of their own, observed workers, the cost of draining the log."""

import http.client
import json
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from clickhouse_driver import Client

import reference
import stack
from benchmarks.producing import Record, fill, tick
from operations.bootstrap import prepare
from operations.registry_files import read_registry_files
from operations.worker_processes import StallWatch, last_lines, start_worker, stop_worker
from pravah.settings import Settings
from schemas.registry import Registry
from sinks.connection import connect
from sinks.lag import Lag
from sinks.recount import durable_cut, recount

START_SECONDS = 1_800.0
# A session timeout that outlasts the pause of a worker while the log is filled. Faust allows 90.
SESSION_SECONDS = 80.0
# Texts in a worker's log: its code and the registry are loaded; Kafka has assigned partitions.
LOADED, ASSIGNED = "[INFO]", "Setting newly assigned partitions"
_SAMPLE_SECONDS = 0.1
# A worker that uses less of a core is idle: it only serves its metrics.
_IDLE_CORE_SHARE = 0.25
_LINE = re.compile(rb"(?m)^(\w+)(?:\{([^}]*)\})? (\S+)$")


def say(text: str) -> None:
    """Print progress to stderr; stdout is for the result."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def running(
    registry: Registry | None = None,
    *,
    partitions: int = 12,
    **changes: Any,
) -> Iterator[Settings]:
    """Run a stack in a temporary folder, ready for events, for the length of a block.

    Args:
        registry: the units; those of Chhattisgarh if not given.
        partitions: partitions of `activity.events`.
        changes: settings that differ from the stack's.
    """
    with (
        tempfile.TemporaryDirectory(prefix="pravah-bench-") as folder,
        stack.running(Path(folder) / "home", say) as plain,
    ):
        settings = plain.model_copy(
            update={"kafka": plain.kafka.model_copy(update={"partitions": partitions}), **changes}
        )
        prepare(
            settings,
            lambda _: None,
            registry=registry or read_registry_files(reference.registry_files()),
        )
        yield settings


class WatchedWorker:
    """A worker process with its metrics, processor time and memory."""

    def __init__(self, settings: Settings) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.log = settings.home / "logs" / f"worker-{time.time_ns()}.log"
        self.started, self.started_at = time.monotonic(), time.time()
        self.process = start_worker(
            settings, self.log, environment={"PRAVAH_WORKER_PORT": str(self._port)}
        )
        self._system = psutil.Process(self.process.pid)
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)

    def metrics(self) -> dict[str, float]:
        """Read its metrics; empty as long as it does not answer.

        A series with labels is there as `name{labels}`, and in the sum of all series as `name`.
        """
        found: dict[str, float] = {}
        for name, labels, value in (
            (name.decode(), labels.decode(), float(value))
            for name, labels, value in _LINE.findall(self._get("/metrics"))
        ):
            found[name] = found.get(name, 0.0) + value
            if labels:
                found[f"{name}{{{labels}}}"] = value
        return found

    def partitions(self) -> int:
        """Count its partitions; 0 as long as it does not answer."""
        return len(json.loads(self._get("/readyz") or b'{"partitions": []}')["partitions"])

    def _get(self, path: str) -> bytes:
        """Read a page; empty as long as the worker does not answer."""
        try:
            self._connection.request("GET", path)
            return self._connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            if self.process.poll() is not None:
                sys.exit(
                    f"the worker ended with exit code {self.process.returncode}; "
                    f"its log ends:\n{last_lines(self.log, 60)}"
                )
            return b""

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        times = self._system.cpu_times()
        return float(times.user + times.system)

    def cpu_wait(self) -> float:
        """Seconds so far in which its threads were runnable but had no core."""
        delays = (
            path.read_text(encoding="ascii").split()[1]
            for path in Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        )
        return sum(int(delay) for delay in delays) / 1e9

    def memory(self) -> tuple[int, int]:
        """Resident size in MiB: now, and the maximum."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        now, highest = (
            int(re.search(rf"{name}:\s+(\d+)", status)[1]) >> 10  # type: ignore[index]
            for name in ("VmRSS", "VmHWM")
        )
        return now, highest

    def wait_for(self, metric: str, seconds: float = START_SECONDS) -> None:
        """Wait until a metric is there and not 0."""
        deadline = time.monotonic() + seconds
        while not self.metrics().get(metric):
            if time.monotonic() > deadline:
                sys.exit(
                    f"{metric} did not appear within {seconds:.0f} s; "
                    f"the worker's log ends:\n{last_lines(self.log, 60)}"
                )
            time.sleep(0.025)

    def logged(self, text: str) -> float:
        """Seconds from its start to the first line of its log that contains a text."""
        line = next(
            line for line in self.log.read_text(encoding="utf-8").splitlines() if text in line
        )
        return (
            datetime.strptime(line[1:24], "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()
            - self.started_at
        )

    def wait_until_assigned(self) -> None:
        """Wait until Kafka has assigned partitions."""
        self.wait_for("pravah_rebalances_total")

    def stop(self) -> None:
        """Stop it if it runs."""
        if self.process.poll() is None:
            stop_worker(self.process)
        self._connection.close()


@contextmanager
def paused(workers: Sequence[WatchedWorker]) -> Iterator[None]:
    """Pause workers (SIGSTOP) for the length of a block."""
    for worker in workers:
        worker.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in workers:
            worker.process.send_signal(signal.SIGCONT)


def wait_until_shared(
    settings: Settings, workers: Sequence[WatchedWorker], seconds: float = START_SECONDS
) -> None:
    """Wait until every worker has partitions, and all partitions are assigned."""
    began = time.monotonic()
    while True:
        have = [worker.partitions() for worker in workers]
        if all(have) and sum(have) == settings.kafka.partitions:
            return
        if time.monotonic() - began > seconds:
            sys.exit(
                f"the workers have {have} partitions after {seconds:.0f} s; "
                f"a log ends:\n{last_lines(workers[0].log, 15)}"
            )
        time.sleep(0.2)


@contextmanager
def watched_workers(settings: Settings, count: int = 1) -> Iterator[list[WatchedWorker]]:
    """Run workers for the length of a block."""
    workers = [WatchedWorker(settings) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.stop()


class Servers:
    """Processor time of Kafka and ClickHouse."""

    def __init__(self, settings: Settings) -> None:
        self._processes = {
            one.name: psutil.Process(one.pid) for one in stack.status(settings.home).servers
        }

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time so far, by server."""
        return {
            name: float(sum(process.cpu_times()[:2])) for name, process in self._processes.items()
        }


@dataclass(frozen=True)
class Sample:
    """The state of all workers at one time."""

    at: float
    folded: float
    """Records, including those that were folded again."""
    folding: bool
    """Whether every worker has folded a record."""
    worker_cpu: float
    cpu_wait: float
    """Seconds in which the workers' threads waited for a core."""


@dataclass
class DrainResult:
    """The cost of draining the log.

    Workers are measured from the time when a tenth of the log is folded and all of them have begun,
    to the time when the whole log is folded. Servers are measured until all merges are done.
    """

    records: int
    rate: float
    """Records a second of all workers together."""
    worker_micros: float
    """Processor time of all workers, in microseconds a record."""
    clickhouse_micros: float
    kafka_micros: float
    cpu_wait_micros: float
    """Time that the workers waited for a core; close to 0 with one worker on a quiet machine."""
    idle: float
    """Share of the time in which nothing was folded, and no worker ran or waited for a core: they
    waited for Kafka or ClickHouse."""
    journal_rows: float
    """Journal rows a record, over the whole run."""
    ledger_rows: float
    ledger_lookups: float
    """Share of the records whose entities were looked up in the ledger."""
    inserting: float
    """Seconds of inserting for each second of the run; inserts run beside folding."""
    highest_mib: int
    """The maximum resident size of any worker."""
    samples: list[Sample] = field(repr=False)


def drain(
    settings: Settings, clickhouse: Client, records: Iterable[Record], *, workers: int = 1
) -> DrainResult:
    """Fill the log while workers are paused, let them drain it, close its chunks, and stop them.

    So neither their start nor the producer is in the figures. The session timeout of `settings`
    must be longer than filling takes.
    """
    made = list(records)
    watch, servers, samples = StallWatch(), Servers(settings), []
    with Lag(settings.kafka, clickhouse) as lag, watched_workers(settings, workers) as started:
        wait_until_shared(settings, started)
        with paused(started):
            load(settings, made)
            servers_before = servers.cpu()
        waiting = len(made)
        while True:
            metrics = [worker.metrics() for worker in started]
            folded = [one.get("pravah_records_total", 0.0) for one in metrics]
            workers_cpu, cpu_wait = (
                sum(worker.cpu() for worker in started),
                sum(worker.cpu_wait() for worker in started),
            )
            samples.append(
                Sample(time.monotonic(), sum(folded), all(folded), workers_cpu, cpu_wait)
            )
            watch.check(int(samples[-1].folded), "the worker")
            if samples[-1].folded >= waiting and not lag.position().behind:
                break
            time.sleep(_SAMPLE_SECONDS)
        metrics = [worker.metrics() for worker in started]
        highest = max(worker.memory()[1] for worker in started)
        settle(settings, clickhouse, lag)
        servers_after = servers.cpu()
    begin = next((one for one in samples if one.folding and one.folded >= waiting / 10), samples[0])
    end = next(one for one in samples if one.folded >= samples[-1].folded)
    if end.at <= begin.at:
        sys.exit(f"{waiting:,} records were folded within {_SAMPLE_SECONDS} s: send more of them")
    count = end.folded - begin.folded
    idle = sum(
        later.at - one.at
        for one, later in pairwise(samples)
        if begin.at <= one.at < end.at
        and later.folded == one.folded
        and later.worker_cpu - one.worker_cpu + later.cpu_wait - one.cpu_wait
        < _IDLE_CORE_SHARE * (later.at - one.at)
    )

    def total(name: str) -> float:
        return sum(one.get(name, 0.0) for one in metrics)

    def server_micros(name: str) -> float:
        return (servers_after[name] - servers_before[name]) / waiting * 1e6

    def micros(of: str) -> float:
        return float((getattr(end, of) - getattr(begin, of)) / count * 1e6)

    return DrainResult(
        records=waiting,
        rate=count / (end.at - begin.at),
        worker_micros=micros("worker_cpu"),
        clickhouse_micros=server_micros("clickhouse"),
        kafka_micros=server_micros("kafka"),
        cpu_wait_micros=micros("cpu_wait"),
        idle=idle / (end.at - begin.at),
        journal_rows=total('pravah_rows_written_total{table="journal"}') / samples[-1].folded,
        ledger_rows=total('pravah_rows_written_total{table="ledger"}') / samples[-1].folded,
        ledger_lookups=total("pravah_ledger_lookups_total") / samples[-1].folded,
        inserting=total("pravah_insert_seconds_sum")
        / (end.at - next(one.at for one in samples if one.folded)),
        highest_mib=highest,
        samples=samples,
    )


def settle(settings: Settings, clickhouse: Client, lag: Lag) -> None:
    """Close the open chunks and wait for merges, so that the next worker begins afresh."""
    tick(settings.kafka)
    watch = StallWatch()
    while dict(
        clickhouse.execute(
            "SELECT partition, max(next_offset) FROM chunks WHERE closed GROUP BY partition"
        )
    ) != {partition: end for partition, end in lag.ends().items() if end}:
        watch.check(lag.position().durable, "the close of the open chunks")
        time.sleep(0.1)
    while clickhouse.execute(
        "SELECT count() FROM system.merges WHERE database = currentDatabase()"
    )[0][0]:
        time.sleep(0.2)


def truncate_figures(clickhouse: Client) -> None:
    """Delete all figures, because their merges would be measured next; keep the offsets."""
    for name in ("ledger", "journal", "plan_events", "membership_events", "rejected_records"):
        clickhouse.execute(f"TRUNCATE TABLE {name}")


def count_differences(clickhouse: Client) -> int:
    """Recount every figure from the ledger, and return how many differ."""
    outcome = recount(clickhouse, durable_cut(clickhouse))
    say(f"recount from the ledger: {outcome.figures:,} figures, {outcome.different:,} differences")
    return outcome.different


@contextmanager
def writer(settings: Settings) -> Iterator[Client]:
    """Connect as the writer for the length of a block."""
    with connect(settings.clickhouse, "writer", send_receive_timeout=3_600) as client:
        yield client


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of sorted values that is not below a share of them."""
    return values[min(len(values) - 1, max(0, -int(-share * len(values) // 1) - 1))]


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format rows as a Markdown table, as in the README."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def load(
    settings: Settings, records: Iterable[Record], *, progress: Callable[[str], None] = say
) -> int:
    """Fill the log, report the time, and return how many records there were."""
    began = time.monotonic()
    count = fill(settings.kafka, records, say=progress)
    progress(f"{count:,} events in the log after {time.monotonic() - began:.1f} s")
    return count
