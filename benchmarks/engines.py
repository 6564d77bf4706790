"""Pravah and its peers as processes: starting, measuring, killing; resetting the stack between."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from clickhouse_driver import Client
from kafka.admin import KafkaAdminClient

import stack
from benchmarks.measuring import say
from benchmarks.producing import Record, fill
from operations.bootstrap import prepare
from operations.worker_processes import StallWatch, last_lines, start_worker, stop_worker
from pravah.kafka import client_options
from pravah.settings import Settings
from pravah.topics import ALERTS, EVENTS, REJECTED, UNITS
from schemas.registry import Registry
from sinks.connection import connect
from sinks.lag import Lag
from stack.clickhouse_accounts import UNCONFINED

ROOT = Path(__file__).resolve().parent.parent
PEERS_PYTHON = ROOT / ".tools" / "bench" / "bin" / "python"
PRAVAH = "pravah"
# These count nothing.
CEILINGS = ("aiokafka_loop", "librdkafka_loop")
PEERS = (
    "faust_tables",
    "quix",
    "bytewax_dataflow",
    "kafka_streams",
    "clickhouse_engine",
    *CEILINGS,
)
TITLES = {
    PRAVAH: "Pravah",
    "faust_tables": "Faust, tables",
    "quix": "Quix Streams, state",
    "bytewax_dataflow": "Bytewax",
    "kafka_streams": "Kafka Streams",
    "clickhouse_engine": "ClickHouse, Kafka engine",
    "aiokafka_loop": "aiokafka loop (parses only)",
    "librdkafka_loop": "librdkafka loop (parses only)",
}


def engine_name(engine: str) -> str:
    """The name of an engine without its options, such as `kafka_streams --exactly-once`."""
    return engine.split(maxsplit=1)[0]


def engine_title(engine: str) -> str:
    """The name of an engine for people, with its options."""
    return " ".join([TITLES.get(engine_name(engine), engine_name(engine)), *engine.split()[1:]])


def run_id(engine: str, suffix: str) -> str:
    """Make the name of a run from letters, digits and hyphens."""
    return "-".join(re.findall(r"[A-Za-z0-9]+", f"bench {engine} {suffix}"))


SAMPLE_SECONDS = 0.1
# Interval of reading Pravah's progress from Kafka and ClickHouse. Each query costs both of them
# time, and the other engines are not queried.
_POLL_SECONDS = 1.0
# Maximum time of an engine to its first record, and from its last record to its end.
START_SECONDS = 120.0
_QUIET_SECONDS = 30.0
# Idle servers use less of one core together.
_QUIET_SHARE = 0.15


class EngineError(RuntimeError):
    """An engine did not run."""


@dataclass(frozen=True)
class Run:
    """The result of an engine's run."""

    events: int
    seconds: float
    engine_micros: float
    """Processor time of the engine, in microseconds an event."""
    kafka_micros: float
    clickhouse_micros: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


@contextmanager
def stack_with_events(registry: Registry, records: Iterable[Record]) -> Iterator[Settings]:
    """Run a stack whose log has records, for the length of a block.

    Its ClickHouse is not confined, because ClickHouse's Kafka engine reads from a broker.
    """
    os.environ[UNCONFINED] = "1"
    with (
        tempfile.TemporaryDirectory(prefix="pravah-compare-") as folder,
        stack.running(Path(folder) / "home", say) as settings,
    ):
        prepare(settings, lambda _: None, registry=registry)
        began = time.monotonic()
        count = fill(settings.kafka, records, say=say)
        say(f"{count:,} events in the log after {time.monotonic() - began:.0f} s")
        yield settings


class Meter:
    """Samples processor time: of the servers, and of processes with all their children."""

    def __init__(self, settings: Settings) -> None:
        self._home = settings.home
        self._roots: list[psutil.Process] = []
        self._known: dict[int, tuple[psutil.Process, float]] = {}
        self._refreshed = 0.0
        self._samples: list[tuple[float, float, float, float]] = []

    def watch(self, pid: int) -> None:
        """Measure a process and its children, too."""
        self._roots.append(psutil.Process(pid))
        self._refreshed = 0.0

    def sample(self) -> None:
        """Take a sample."""
        now = time.time()
        if now - self._refreshed > 1:
            self._find_processes(now)
        for pid, (process, _) in list(self._known.items()):
            try:
                times = process.cpu_times()
                self._known[pid] = (process, times.user + times.system)
            except psutil.NoSuchProcess:
                continue  # its last value stays
        servers = servers_cpu(self._home)
        self._samples.append(
            (
                now,
                sum(used for _, used in self._known.values()),
                servers["kafka"],
                servers["clickhouse"],
            )
        )

    def micros(self, begin: float, end: float, events: int) -> tuple[float, float, float]:
        """Compute the processor time of engine, Kafka and ClickHouse between two instants.

        Args:
            begin: seconds since 1970-01-01T00:00Z.
            end: the same.
            events: how many events the engine counted in this time.

        Returns:
            Microseconds an event, of each.
        """
        if not events:
            return 0.0, 0.0, 0.0
        first, last = (min(self._samples, key=lambda one: abs(one[0] - at)) for at in (begin, end))
        stretch = (end - begin) / (last[0] - first[0]) if last[0] > first[0] else 0.0
        engine, kafka, clickhouse = (
            (last[at] - first[at]) * stretch / events * 1e6 for at in (1, 2, 3)
        )
        return engine, kafka, clickhouse

    def _find_processes(self, now: float) -> None:
        for root in self._roots:
            try:
                for process in (root, *root.children(recursive=True)):
                    self._known.setdefault(process.pid, (process, 0.0))
            except psutil.NoSuchProcess:
                continue
        self._refreshed = now


def servers_cpu(home: Path) -> dict[str, float]:
    """Seconds of processor time of the servers so far, by server."""
    found = {}
    for server, process in _servers(home).items():
        times = process.cpu_times()
        found[server] = float(times.user + times.system)
    return found


_SERVERS: dict[Path, dict[str, psutil.Process]] = {}


def _servers(home: Path) -> dict[str, psutil.Process]:
    known = _SERVERS.get(home)
    if known is None or not all(process.is_running() for process in known.values()):
        known = _SERVERS[home] = {
            one.name: psutil.Process(one.pid) for one in stack.status(home).servers
        }
    return known


def reset_stack(settings: Settings, registry: Registry) -> None:
    """Drop all figures and all topics but Pravah's, whose events stay; wait for idle servers."""
    with connect(settings.clickhouse, "writer", database="default") as clickhouse:
        clickhouse.execute(f"DROP DATABASE IF EXISTS {settings.clickhouse.database} SYNC")
    admin = KafkaAdminClient(**client_options(settings.kafka))
    foreign = [
        name
        for name in admin.list_topics()
        if name not in {EVENTS, REJECTED, ALERTS, UNITS} and not name.startswith("__")
    ]
    if foreign:
        admin.delete_topics(foreign)
    admin.close()
    prepare(settings, lambda _: None, registry=registry)
    with connect(settings.clickhouse, "writer") as clickhouse:
        until_quiet(settings, clickhouse)


def until_quiet(settings: Settings, clickhouse: Client) -> None:
    """Wait until ClickHouse merges nothing and both servers are idle, for a limited time.

    The machine may be busy with other work.
    """
    deadline = time.monotonic() + _QUIET_SECONDS
    before, at = sum(servers_cpu(settings.home).values()), time.monotonic()
    while time.monotonic() < deadline:
        time.sleep(1)
        used, now = sum(servers_cpu(settings.home).values()), time.monotonic()
        merges = clickhouse.execute("SELECT count() FROM system.merges")[0][0]
        if not merges and (used - before) / (now - at) < _QUIET_SHARE:
            return
        before, at = used, now
    say(f"the servers were not idle within {_QUIET_SECONDS:.0f} s; going on")


def run_pravah(settings: Settings, run: str, seconds: float, workers: int) -> Run:
    """Let workers count until the whole log is durable, or for some seconds.

    Raises:
        EngineError: a worker ended.
    """
    settings = settings.model_copy(update={"consumer_group": run})
    log = settings.home / "logs" / f"{run}.log"
    meter, watch = Meter(settings), StallWatch()
    started = [start_worker(settings, log) for _ in range(workers)]
    try:
        with (
            connect(settings.clickhouse, "writer") as clickhouse,
            Lag(settings.kafka, clickhouse) as lag,
        ):
            for process in started:
                meter.watch(process.pid)
            polled, begun = 0.0, 0.0
            while not begun or time.time() - begun < seconds:
                time.sleep(SAMPLE_SECONDS)
                meter.sample()
                if any(process.poll() is not None for process in started):
                    msg = f"a worker ended by itself; its log ends:\n{last_lines(log, 15)}"
                    raise EngineError(msg)
                if time.monotonic() - polled < _POLL_SECONDS:
                    continue
                polled, position = time.monotonic(), lag.position()
                watch.check(position.durable, "the worker")
                ((begun,),) = clickhouse.execute(
                    "SELECT min(toUnixTimestamp64Milli(opened_at)) / 1e3 FROM chunks"
                )
                if begun and not position.behind:
                    break
            query = """
                SELECT sum(durable), max(at) / 1e6 FROM (
                    SELECT max(next_offset) AS durable,
                        max(toUnixTimestamp64Micro(updated_at)) AS at
                    FROM chunks GROUP BY partition
                )
            """
            ((durable, ended),) = clickhouse.execute(query)
            meter.sample()
    finally:
        for process in started:
            stop_worker(process)
    return Run(int(durable), ended - begun, *meter.micros(begun, ended, durable))


class PeerProcess:
    """A run of a peer, as a process."""

    def __init__(self, settings: Settings, engine: str, run: str, seconds: float) -> None:
        self._log = settings.home / "logs" / f"{run}.log"
        self._engine = engine
        self.process = _start(settings, engine, self._log, "--run", run, "--seconds", str(seconds))
        # its last line of output, as soon as it has printed it
        self.result: dict[str, Any] | None = None
        self.result_at = 0.0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def check(self, begun: float, seconds: float) -> None:
        """Check that it runs or has printed its result.

        Raises:
            EngineError: it ended without a result, or did not end in time.
        """
        if self.process.poll() is not None:
            self._reader.join()
            if self.result is None:
                msg = (
                    f"{self._engine} ended with exit code {self.process.returncode} "
                    f"and no result; its log ends:\n{last_lines(self._log, 15)}"
                )
                raise EngineError(msg)
        elif time.monotonic() - begun > seconds:
            msg = (
                f"{self._engine} did not end within {seconds:.0f} s; "
                f"its log ends:\n{last_lines(self._log, 15)}"
            )
            raise EngineError(msg)

    def kill(self) -> None:
        """Kill it if it runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            try:
                result = json.loads(line)
            except ValueError:
                continue
            if isinstance(result, dict) and {"events", "seconds"} <= result.keys():
                self.result_at, self.result = time.time(), result


def run_peer(settings: Settings, engine: str, run: str, seconds: float) -> Run:
    """Let a peer count, as `run_pravah` does.

    Raises:
        EngineError: it did not end as it should, or counted nothing.
    """
    create(settings, engine, run)
    begun, meter = time.monotonic(), Meter(settings)
    one = PeerProcess(settings, engine, run, seconds)
    try:
        meter.watch(one.process.pid)
        while one.result is None:
            meter.sample()
            time.sleep(SAMPLE_SECONDS)
            one.check(begun, seconds + 2 * START_SECONDS)
        meter.sample()
        ended_at = time.monotonic()
        while one.process.poll() is None:
            time.sleep(SAMPLE_SECONDS)
            one.check(ended_at, START_SECONDS)
    finally:
        one.kill()
    events, passed = int(one.result["events"]), float(one.result["seconds"])
    if not events:
        msg = f"{engine} counted nothing"
        raise EngineError(msg)
    return Run(events, passed, *meter.micros(one.result_at - passed, one.result_at, events))


def create(settings: Settings, engine: str, run: str) -> None:
    """Let a peer create its table.

    Raises:
        EngineError: it failed.
    """
    log = settings.home / "logs" / f"{run}-create.log"
    process = _start(settings, engine, log, "--create", "--run", run)
    process.communicate()
    if process.returncode:
        msg = (
            f"{engine} --create ended with exit code {process.returncode}; "
            f"its log ends:\n{last_lines(log, 15)}"
        )
        raise EngineError(msg)


def _start(settings: Settings, engine: str, log: Path, *options: str) -> "subprocess.Popen[str]":
    program = ROOT / "benchmarks" / "peers" / f"{engine_name(engine)}.py"
    if not program.exists():
        msg = f"there is no engine {engine!r}; there are {', '.join((PRAVAH, *PEERS))}"
        raise EngineError(msg)
    if not PEERS_PYTHON.exists():
        msg = f"{PEERS_PYTHON} is missing: `make .tools/bench/.installed` creates it"
        raise EngineError(msg)
    environment = {
        **os.environ,
        "PRAVAH_HOME": str(settings.home.resolve()),
        "PYTHONPATH": str(ROOT),
    }
    command = [
        sys.executable,
        "-m",
        "stack",
        "run-bound",
        str(os.getpid()),
        str(PEERS_PYTHON),
        str(program),
        *options,
        *engine.split()[1:],
    ]
    with log.open("a", encoding="utf-8") as err:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            env=environment,
            cwd=ROOT,
        )
