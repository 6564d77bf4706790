"""Pravah's worker beside the engines that one would take instead, on the same topic of the same events, on the same machine, in one run.

    .venv/bin/python benchmarks/compare.py [--events 1000000] [--rounds 5] [--engines pravah,quix] [--chart FILE] [--json FILE]

A stack of its own is started in a temporary folder and the log is filled once. Then all engines count it, one after the other, in interleaved rounds; before each, tables and foreign topics are thrown away,
and Kafka and ClickHouse have come to rest. Pravah does its whole job: it validates, asks for repeats, folds corrections, writes ledger and journal. The others trust what they read and write figures alone;
`benchmarks/peers/` has each of them, and `peer.py` there says how it is run.

Pravah's time runs from its first open chunk to the last durable record, the others' from their first record to their last durable figure, each for `--seconds` at most. Processor time is that of the same
stretch: of the engine's own processes, of Kafka and of ClickHouse, in microseconds an event.

The last line is JSON. Exit 1 if a ratio lies below its target.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from clickhouse_driver import Client
from kafka.admin import KafkaAdminClient
from rich.console import Console
from rich.table import Table

import reference
import stack
from benchmarks.producing import campaign, fill
from cli.memory import collect_seldom
from cli.prepare import default_plan, prepare, read_registry_files
from cli.workers import StallWatch, last_lines, start_worker, stop_worker
from schemas.registry import Registry
from schemas.topics import ALERTS, EVENTS, REJECTED, UNITS
from settings import Settings
from settings.kafka import client_options
from sinks.connection import connect
from sinks.lag import Lag

ROOT = Path(__file__).resolve().parent.parent
PEERS_PYTHON = ROOT / ".tools" / "bench" / "bin" / "python"
PRAVAH = "pravah"
PEERS = ("faust_tables", "quix", "bytewax_dataflow", "kafka_streams", "clickhouse_engine", "aiokafka_loop", "librdkafka_loop")
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
TARGETS = {"faust_tables": 100.0, "quix": 6.0, "bytewax_dataflow": 4.0, "kafka_streams": 2.5, "clickhouse_engine": 1.0, "aiokafka_loop": 0.35}
"""The least ratio of Pravah's events a second to an engine's."""

_SAMPLE_SECONDS = 0.1
_QUIET_SECONDS = 30.0
_QUIET_SHARE = 0.15
"""Of one core: what servers at rest take between them."""
_START_SECONDS = 120.0
"""What an engine may take to its first record, and to its end after its last."""


class CompareError(RuntimeError):
    """An engine did not run."""


@dataclass(frozen=True)
class Round:
    """One engine's run."""

    engine: str
    round: int
    events: int
    seconds: float
    engine_micros: float
    """Processor time an event."""
    kafka_micros: float
    clickhouse_micros: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def say(text: str) -> None:
    """Progress, which is not the result."""
    print(text, file=sys.stderr, flush=True)


# --- processor time ------------------------------------------------------------------------------------------------------------------------------------


class Meter:
    """Samples of processor time, of servers and of processes with all that they start."""

    def __init__(self, settings: Settings) -> None:
        """Find the servers."""
        self._home = settings.home
        self._roots: list[psutil.Process] = []
        self._known: dict[int, tuple[psutil.Process, float]] = {}
        self._looked = 0.0
        self._samples: list[tuple[float, float, float, float]] = []

    def watch(self, pid: int) -> None:
        """Count this process in, and its children."""
        self._roots.append(psutil.Process(pid))
        self._looked = 0.0

    def sample(self) -> None:
        """Look once."""
        now = time.time()
        if now - self._looked > 1:
            self._look(now)
        for pid, (process, _) in list(self._known.items()):
            try:
                times = process.cpu_times()
                self._known[pid] = (process, times.user + times.system)
            except psutil.NoSuchProcess:
                continue  # what it had is remembered
        servers = servers_cpu(self._home)
        self._samples.append((now, sum(used for _, used in self._known.values()), servers["kafka"], servers["clickhouse"]))

    def micros(self, begin: float, end: float, events: int) -> tuple[float, float, float]:
        """Microseconds an event of engine, Kafka and ClickHouse between two instants (seconds since 1970-01-01T00:00Z)."""
        if not events:
            return 0.0, 0.0, 0.0
        first, last = (min(self._samples, key=lambda one: abs(one[0] - at)) for at in (begin, end))
        stretch = (end - begin) / (last[0] - first[0]) if last[0] > first[0] else 0.0
        engine, kafka, clickhouse = ((last[at] - first[at]) * stretch / events * 1e6 for at in (1, 2, 3))
        return engine, kafka, clickhouse

    def _look(self, now: float) -> None:
        for root in self._roots:
            try:
                for process in (root, *root.children(recursive=True)):
                    self._known.setdefault(process.pid, (process, 0.0))
            except psutil.NoSuchProcess:
                continue
        self._looked = now


def servers_cpu(home: Path) -> dict[str, float]:
    """Seconds of processor time that the servers have taken so far."""
    found = {}
    for server, process in _servers(home).items():
        times = process.cpu_times()
        found[server] = float(times.user + times.system)
    return found


_SERVERS: dict[Path, dict[str, psutil.Process]] = {}


def _servers(home: Path) -> dict[str, psutil.Process]:
    known = _SERVERS.get(home)
    if known is None or not all(process.is_running() for process in known.values()):
        known = _SERVERS[home] = {one.name: psutil.Process(one.pid) for one in stack.status(home).servers}
    return known


# --- between two engines -------------------------------------------------------------------------------------------------------------------------------


def begin_afresh(settings: Settings, registry: Registry) -> None:
    """No figures, and no topics but Pravah's, whose events stay; then wait until nothing of it is left to do."""
    with connect(settings.clickhouse, "writer", database="default") as clickhouse:
        clickhouse.execute(f"DROP DATABASE IF EXISTS {settings.clickhouse.database} SYNC")
    admin = KafkaAdminClient(**client_options(settings.kafka))
    foreign = [name for name in admin.list_topics() if name not in {EVENTS, REJECTED, ALERTS, UNITS} and not name.startswith("__")]
    if foreign:
        admin.delete_topics(foreign)
    admin.close()
    prepare(settings, lambda _: None, registry=registry)
    with connect(settings.clickhouse, "writer") as clickhouse:
        until_quiet(settings, clickhouse)


def until_quiet(settings: Settings, clickhouse: Client) -> None:
    """Wait until ClickHouse merges nothing and both servers idle; not for ever, because a machine may be busy with other things."""
    deadline = time.monotonic() + _QUIET_SECONDS
    before, at = sum(servers_cpu(settings.home).values()), time.monotonic()
    while time.monotonic() < deadline:
        time.sleep(1)
        used, now = sum(servers_cpu(settings.home).values()), time.monotonic()
        merges = clickhouse.execute("SELECT count() FROM system.merges")[0][0]
        if not merges and (used - before) / (now - at) < _QUIET_SHARE:
            return
        before, at = used, now
    say(f"the servers did not come to rest within {_QUIET_SECONDS:.0f} s; going on")


# --- Pravah --------------------------------------------------------------------------------------------------------------------------------------------


def pravah(settings: Settings, run: str, seconds: float, workers: int) -> tuple[int, float, tuple[float, float, float]]:
    """Let workers count until all of the log is durable, or for so many seconds.

    Returns:
        Durable records, seconds, and microseconds an event of engine, Kafka and ClickHouse.
    """
    settings = settings.model_copy(update={"consumer_group": run})
    log = settings.home / "logs" / f"{run}.log"
    meter, watch = Meter(settings), StallWatch()
    started = [start_worker(settings, log) for _ in range(workers)]
    try:
        with connect(settings.clickhouse, "writer") as clickhouse, Lag(settings.kafka, clickhouse) as lag:
            for process in started:
                meter.watch(process.pid)
            while True:
                time.sleep(_SAMPLE_SECONDS)
                meter.sample()
                position = lag.position()
                watch.check(position.durable, "the worker")
                if any(process.poll() is not None for process in started):
                    msg = f"a worker ended by itself; its log ends:\n{last_lines(log, 15)}"
                    raise CompareError(msg)
                ((begun,),) = clickhouse.execute("SELECT min(toUnixTimestamp64Milli(opened_at)) / 1e3 FROM chunks")
                if begun and (not position.behind or time.time() - begun > seconds):
                    break
            query = "SELECT sum(durable), max(at) / 1e6 FROM (SELECT max(next_offset) AS durable, max(toUnixTimestamp64Micro(updated_at)) AS at FROM chunks GROUP BY partition)"
            ((durable, ended),) = clickhouse.execute(query)
            meter.sample()
    finally:
        for process in started:
            stop_worker(process)
    return int(durable), ended - begun, meter.micros(begun, ended, durable)


# --- the others ----------------------------------------------------------------------------------------------------------------------------------------


class Peer:
    """One run of a peer, as a process of its own."""

    def __init__(self, settings: Settings, engine: str, run: str, seconds: float) -> None:
        """Start it."""
        self._log = settings.home / "logs" / f"{run}.log"
        self._engine = engine
        self.process = _start(settings, engine, self._log, "--run", run, "--seconds", str(seconds))
        self.told: dict[str, Any] | None = None
        """Its last line, as soon as it has printed it."""
        self.told_at = 0.0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def check(self, begun: float, seconds: float) -> None:
        """See whether it gets on.

        Raises:
            CompareError: it ended without telling anything, or it should have ended long ago.
        """
        if self.process.poll() is not None:
            self._reader.join()
            if self.told is None:
                msg = f"{self._engine} ended with exit code {self.process.returncode} and told nothing; its log ends:\n{last_lines(self._log, 15)}"
                raise CompareError(msg)
        elif time.monotonic() - begun > seconds:
            msg = f"{self._engine} did not end within {seconds:.0f} s; its log ends:\n{last_lines(self._log, 15)}"
            raise CompareError(msg)

    def kill(self) -> None:
        """End it at once, if it runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            try:
                told = json.loads(line)
            except ValueError:
                continue
            if isinstance(told, dict) and {"events", "seconds"} <= told.keys():
                self.told_at, self.told = time.time(), told


def peer(settings: Settings, engine: str, run: str, seconds: float) -> tuple[int, float, tuple[float, float, float]]:
    """Let a peer count; as `pravah` does."""
    create(settings, engine, run)
    begun, meter = time.monotonic(), Meter(settings)
    one = Peer(settings, engine, run, seconds)
    try:
        meter.watch(one.process.pid)
        while one.told is None:
            meter.sample()
            time.sleep(_SAMPLE_SECONDS)
            one.check(begun, seconds + 2 * _START_SECONDS)
        meter.sample()
        ended_at = time.monotonic()
        while one.process.poll() is None:
            time.sleep(_SAMPLE_SECONDS)
            one.check(ended_at, _START_SECONDS)
    finally:
        one.kill()
    events, passed = int(one.told["events"]), float(one.told["seconds"])
    if not events:
        msg = f"{engine} counted nothing"
        raise CompareError(msg)
    return events, passed, meter.micros(one.told_at - passed, one.told_at, events)


def create(settings: Settings, engine: str, run: str) -> None:
    """Let a peer make its table.

    Raises:
        CompareError: it could not.
    """
    log = settings.home / "logs" / f"{run}-create.log"
    process = _start(settings, engine, log, "--create", "--run", run)
    process.communicate()
    if process.returncode:
        msg = f"{engine} --create ended with exit code {process.returncode}; its log ends:\n{last_lines(log, 15)}"
        raise CompareError(msg)


def _start(settings: Settings, engine: str, log: Path, *options: str) -> "subprocess.Popen[str]":
    program = ROOT / "benchmarks" / "peers" / f"{engine}.py"
    if not program.exists():
        msg = f"there is no engine {engine!r}; there are {', '.join((PRAVAH, *PEERS))}"
        raise CompareError(msg)
    if not PEERS_PYTHON.exists():
        msg = f"{PEERS_PYTHON} is missing: `make bench` and `make .tools/bench/.installed` make it"
        raise CompareError(msg)
    environment = {**os.environ, "PRAVAH_HOME": str(settings.home.resolve()), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stack", "become", str(os.getpid()), str(PEERS_PYTHON), str(program), *options]
    with log.open("a", encoding="utf-8") as err:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True, env=environment, cwd=ROOT)  # noqa: S603


# --- rounds --------------------------------------------------------------------------------------------------------------------------------------------


def compare(settings: Settings, registry: Registry, engines: list[str], options: argparse.Namespace) -> list[Round]:
    """Run all engines in interleaved rounds. Each round begins with another engine. One that fails is told, and left out from then on."""
    rounds: list[Round] = []
    left_out: set[str] = set()
    for number in range(options.rounds):
        first = number % len(engines)
        for engine in (*engines[first:], *engines[:first]):
            if engine in left_out:
                continue
            begin_afresh(settings, registry)
            run = f"bench-{engine}-{number}".replace("_", "-")
            try:
                if engine == PRAVAH:
                    events, seconds, micros = pravah(settings, run, options.seconds, options.workers)
                else:
                    events, seconds, micros = peer(settings, engine, run, options.seconds)
            except CompareError as error:
                say(f"left out: {error}")
                left_out.add(engine)
                continue
            rounds.append(Round(engine, number, events, seconds, *micros))
            shown = " ".join(f"{name} {value:.1f}" for name, value in zip(("engine", "kafka", "clickhouse"), micros, strict=True))
            say(
                f"round {number + 1} of {options.rounds}  {engine:18} {events:>10,} events in {seconds:6.2f} s  {events / seconds:>9,.0f} a second   µs an event: {shown}"
            )
    return rounds


@dataclass(frozen=True)
class Result:
    """An engine over all rounds."""

    engine: str
    rate: float
    """Median of events a second."""
    slowest: float
    fastest: float
    ratio: float | None
    """Pravah's rate to this one's, the median over the rounds that have both."""
    target: float | None
    engine_micros: float
    kafka_micros: float
    clickhouse_micros: float

    @property
    def missed(self) -> bool:
        """Whether the ratio lies below the target."""
        return self.target is not None and self.ratio is not None and self.ratio < self.target


def results(rounds: list[Round], engines: list[str]) -> list[Result]:
    """Medians and ratios, the slowest engine first."""
    ours = {one.round: one.rate for one in rounds if one.engine == PRAVAH}
    found = []
    for engine in engines:
        own = [one for one in rounds if one.engine == engine]
        if not own:
            continue
        rates = [one.rate for one in own]
        ratios = [ours[one.round] / one.rate for one in own if one.round in ours and engine != PRAVAH]
        found.append(
            Result(
                engine,
                statistics.median(rates),
                min(rates),
                max(rates),
                statistics.median(ratios) if ratios else None,
                TARGETS.get(engine),
                *(statistics.median(getattr(one, f"{part}_micros") for one in own) for part in ("engine", "kafka", "clickhouse")),
            )
        )
    return sorted(found, key=lambda one: one.rate)


def show(found: list[Result]) -> None:
    """The table of rates."""
    table = Table(title="Events a second")
    for head in ("engine", "median", "slowest", "fastest", "Pravah : engine", "target", "µs engine", "µs Kafka", "µs ClickHouse"):
        table.add_column(head, justify="left" if head == "engine" else "right")
    for one in found:
        style = "bold" if one.engine == PRAVAH else "red" if one.missed else ""
        ratio, target = ("" if value is None else f"{value:.2f}" for value in (one.ratio, one.target))
        micros = (f"{value:.1f}" for value in (one.engine_micros, one.kafka_micros, one.clickhouse_micros))
        table.add_row(
            TITLES.get(one.engine, one.engine), *(f"{value:,.0f}" for value in (one.rate, one.slowest, one.fastest)), ratio, target, *micros, style=style
        )
    Console(width=150 if not sys.stdout.isatty() else None).print(table)


# --- the command ---------------------------------------------------------------------------------------------------------------------------------------


@contextmanager
def filled(registry: Registry, records: Callable[[], Iterator[Any]]) -> Iterator[Settings]:
    """A stack of its own whose log is full."""
    with tempfile.TemporaryDirectory(prefix="pravah-compare-") as folder, stack.running(Path(folder) / "home", say) as settings:
        prepare(settings, lambda _: None, registry=registry)
        began = time.monotonic()
        count = fill(settings.kafka, records(), say=say)
        say(f"{count:,} events in the log after {time.monotonic() - began:.0f} s")
        yield settings


def main() -> int:
    """Compare, show, and print one line of JSON.

    Returns:
        The exit code.
    """
    options = _options()
    engines: list[str] = options.engines.split(",")
    registry, plan = read_registry_files(reference.registry_files()), default_plan()
    collect_seldom()
    with filled(registry, lambda: campaign(registry, plan, options.events)) as settings:
        rounds = compare(settings, registry, engines, options)
    found = results(rounds, engines)
    show(found)
    report = _report(found, rounds, options)
    if options.json:
        options.json.write_text(json.dumps({**report, "rounds": [asdict(one) for one in rounds]}, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report))
    complete = len(rounds) == options.rounds * len(engines)
    return 1 if not complete or any(one.missed for one in found) else 0


def _report(found: list[Result], rounds: list[Round], options: argparse.Namespace) -> Mapping[str, Any]:
    return {
        "events": options.events,
        "rounds_of_each": {engine: sum(one.engine == engine for one in rounds) for engine in dict.fromkeys(one.engine for one in rounds)},
        "workers": options.workers,
        "cores": os.cpu_count(),
        "engines": {one.engine: {**asdict(one), "missed": one.missed} for one in found},
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="in the log")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", default=",".join((PRAVAH, *PEERS)), metavar="A,B", help="%(default)s")
    parser.add_argument("--seconds", type=float, default=15.0, help="each engine counts for so long at most in a round")
    parser.add_argument("--workers", type=int, default=1, help="of Pravah")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes all rounds there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
