"""Compare an engine's figures with the right ones, after it was killed in the middle of the stream.

The stream has repeats, corrections, retractions and broken records. The tests' oracle computes the
right figures from the events that were sent, by the rules of `docs/events.md`; it reads no table
and shares no code with the engines.
"""

import random
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus

import orjson
import psutil
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

import reference
import stack
from benchmarks.engines import (
    PRAVAH,
    SAMPLE_SECONDS,
    START_SECONDS,
    EngineError,
    PeerProcess,
    create,
    engine_name,
    reset_stack,
    run_id,
    run_peer,
    stack_with_events,
)
from benchmarks.measuring import say, settle
from benchmarks.peers.counting import EventCounter, Totals
from benchmarks.peers.peer import table
from benchmarks.producing import Record
from operations.worker_processes import StallWatch, start_worker, stop_worker
from pravah.kafka import client_options
from pravah.settings import ClickHouseSettings, Settings
from pravah.topics import EVENTS
from producers.simulator import Delivery, SimulationOptions, simulate
from reference.defaults import default_dictionary
from schemas.plan import Plan
from schemas.registry import Registry
from sinks.connection import connect
from sinks.lag import Lag
from tests.support import oracle

# Day, level, unit, metric.
Figure = tuple[date, str, str, str]

_DAY = date(2022, 6, 20)
_NATIONAL_FLOWS = (
    "level = 'national' AND metric NOT IN (SELECT metric FROM metrics WHERE type = 'stock')"
)
# An engine is killed once this share of the stream is in its figures, after a random delay of at
# most so many seconds.
_KILL_FROM, _KILL_WITHIN = 0.2, 0.2
# An engine that had read at least this share when it was killed is run again, at most so often.
_ENDED, _ATTEMPTS = 0.95, 3
_RUN_SECONDS = 1_800.0
# These parse events differently from the peers in Python, also some broken ones: their figures
# without a kill are found by running them.
_OWN_PARSING = {"kafka_streams", "clickhouse_engine"}


@dataclass(frozen=True)
class Exactness:
    """The differences between an engine's figures and the right ones."""

    engine: str
    killed_at: float
    """Share of the stream's national amounts in the figures at the kill. For the Faust app, which
    writes only at its end, the share of the records that were committed."""
    figures: int
    """Flows by day at all levels: the union of right and found ones."""
    wrong: int
    national_percent: float
    """Relative error of the sum of all flows at national level; positive if too high."""
    worst_metric: str
    worst_percent: float
    """The flow with the largest relative error at national level."""
    by_the_kill: int | None
    """Flows that differ from those without a kill; None for Pravah."""
    stocks_wrong: int | None
    """Wrong stocks of Pravah; None for the others, which sum observations of stocks."""


class Expected:
    """The right figures.

    Args:
        registry: the units.
        deliveries: the records that were sent, in the order of the log.
    """

    def __init__(self, registry: Registry, deliveries: Sequence[Delivery]) -> None:
        events = [orjson.loads(one.value or b"") for one in deliveries if one.sort != "broken"]
        figures = oracle.figures(
            events, oracle.Hierarchy.read(reference.registry_files()[0].parent)
        )
        self.stocks: dict[Figure, int] = {
            key: all_of_it for key, (all_of_it, _) in figures.items() if key[3] in oracle.STOCKS
        }
        self.flows: dict[Figure, int] = {
            key: all_of_it for key, (all_of_it, _) in figures.items() if key[3] not in oracle.STOCKS
        }
        self.stock_metrics: frozenset[str] = frozenset(oracle.STOCKS)
        self.records = len(deliveries)
        counting, totals = EventCounter(registry, default_dictionary()), Totals()
        counting.add([one.value for one in deliveries], totals)
        levels, units, metrics, days, values = counting.fold(totals)
        # the figures of the peers in Python without a kill: all of them use `peers/counting.py`
        self.uncorrected: dict[Figure, int] = dict(
            zip(zip(days, levels, units, metrics, strict=True), values, strict=True)
        )

    def share(self, national: int, engine: str) -> float:
        """Divide a sum of national amounts by the one that the engine will have at the end."""
        return national / sum(
            value
            for (_, level, _, metric), value in (
                self.flows if engine == PRAVAH else self.uncorrected
            ).items()
            if level == "national" and metric not in self.stock_metrics
        )

    def judge(
        self,
        engine: str,
        killed_at: float,
        found: Mapping[Figure, int],
        undisturbed: Mapping[Figure, int] | None = None,
    ) -> Exactness:
        """Compare. A figure of 0 equals a missing one."""
        flows = {key: value for key, value in found.items() if key[3] not in self.stock_metrics}
        keys = self.flows.keys() | flows.keys()
        right: defaultdict[str, int] = defaultdict(int)
        off: defaultdict[str, int] = defaultdict(int)
        for day, level, unit, metric in keys:
            if level == "national":
                key = (day, level, unit, metric)
                right[metric] += self.flows.get(key, 0)
                off[metric] += flows.get(key, 0) - self.flows.get(key, 0)
        percent = {metric: 100 * off[metric] / right[metric] for metric in right if right[metric]}
        worst = max(percent, key=lambda metric: abs(percent[metric]))
        stocks = {key: value for key, value in found.items() if key[3] in self.stock_metrics}
        return Exactness(
            engine,
            killed_at,
            len(keys),
            sum(self.flows.get(key, 0) != flows.get(key, 0) for key in keys),
            100 * sum(off.values()) / sum(right.values()),
            worst,
            percent[worst],
            None if undisturbed is None else self._flows_that_differ(undisturbed, flows),
            sum(
                self.stocks.get(key, 0) != stocks.get(key, 0)
                for key in self.stocks.keys() | stocks.keys()
            )
            if engine == PRAVAH
            else None,
        )

    def _flows_that_differ(self, some: Mapping[Figure, int], others: Mapping[Figure, int]) -> int:
        return sum(
            some.get(key, 0) != others.get(key, 0)
            for key in some.keys() | others.keys()
            if key[3] not in self.stock_metrics
        )


def measure_exactness(
    registry: Registry, plan: Plan, engines: Sequence[str], events: int
) -> list[Exactness]:
    """Run each engine through the same stream and a kill; one that fails is left out."""
    deliveries = list(
        simulate(registry, plan, SimulationOptions(seed=2, first=_DAY, last=_DAY, events=events))
    )
    expected = Expected(registry, deliveries)
    records = (
        Record(None if one.key is None else one.key.encode(), one.value) for one in deliveries
    )
    found = []
    # Pravah is last: it sends records with a wrong key to their partition, which lengthens the log
    in_order = sorted(engines, key=lambda engine: engine == PRAVAH)
    with stack_with_events(registry, records) as settings:
        for engine in in_order:
            try:
                for _ in range(_ATTEMPTS):
                    reset_stack(settings, registry)
                    judged = (
                        _judge_pravah(settings, engine, expected)
                        if engine == PRAVAH
                        else _judge_peer(settings, engine, expected, registry)
                    )
                    if judged.killed_at < _ENDED:
                        break
                    say(f"{engine} had ended when it was killed: running it again")
            except EngineError as error:
                say(f"left out: {error}")
                continue
            say(
                f"{engine:18} killed at {judged.killed_at:.0%}: "
                f"{judged.wrong:,} of {judged.figures:,} figures wrong, "
                f"national total off by {judged.national_percent:+.2f} %"
            )
            found.append(judged)
    return found


def _judge_pravah(settings: Settings, engine: str, expected: Expected) -> Exactness:
    settings = settings.model_copy(
        update={"consumer_group": run_id(engine, f"kill {time.time_ns()}")}
    )
    log = settings.home / "logs" / f"{settings.consumer_group}.log"
    process, watch = start_worker(settings, log), StallWatch()
    try:
        with (
            connect(settings.clickhouse, "writer") as clickhouse,
            Lag(settings.kafka, clickhouse) as lag,
        ):
            query = f"SELECT sum(value) FROM rollups WHERE {_NATIONAL_FLOWS}"
            killed_at = _kill_in_between(
                engine,
                lambda: expected.share(clickhouse.execute(query)[0][0], engine),
                process.kill,
                lambda: None,
            )
            process.wait()
            process = start_worker(settings, log)
            while lag.position().behind:
                watch.check(lag.position().durable, "the worker")
                time.sleep(SAMPLE_SECONDS)
            settle(settings, clickhouse, lag)
            rows = clickhouse.execute(
                "SELECT day, toString(level), unit, metric, value FROM rollups"
            )
    finally:
        stop_worker(process)
    return expected.judge(engine, killed_at, {row[:4]: row[4] for row in rows})


def _judge_peer(
    settings: Settings, engine: str, expected: Expected, registry: Registry
) -> Exactness:
    undisturbed: Mapping[Figure, int] = expected.uncorrected
    if engine_name(engine) in _OWN_PARSING:
        run_peer(settings, engine, run_id(engine, f"calm {time.time_ns()}"), _RUN_SECONDS)
        undisturbed = _PeerFigures(settings, engine, "", expected).read()
        reset_stack(settings, registry)
    run = run_id(engine, f"kill {time.time_ns()}")
    create(settings, engine, run)
    one = PeerProcess(settings, engine, run, _RUN_SECONDS)
    try:
        figures = _PeerFigures(settings, engine, run, expected)

        def kill() -> None:
            # this engine is the server, which its supervisor starts again
            if engine_name(engine) == "clickhouse_engine":
                psutil.Process(
                    next(
                        server.pid
                        for server in stack.status(settings.home).servers
                        if server.name == "clickhouse"
                    )
                ).kill()
            else:
                one.kill()

        killed_at = _kill_in_between(
            engine, figures.share, kill, lambda: one.check(time.monotonic(), START_SECONDS)
        )
        if engine_name(engine) == "clickhouse_engine":
            _until(lambda: _answers(settings.clickhouse), "ClickHouse answers again", START_SECONDS)
            figures = _PeerFigures(settings, engine, run, expected)
        if one.process.poll() is not None:
            one = PeerProcess(settings, engine, run, _RUN_SECONDS)
        begun = time.monotonic()
        while one.process.poll() is None:
            time.sleep(SAMPLE_SECONDS)
            one.check(begun, _RUN_SECONDS + START_SECONDS)
        one.check(begun, _RUN_SECONDS)
        if one.process.returncode or (one.result or {})["seconds"] >= _RUN_SECONDS:
            msg = (
                f"{engine} did not reach the end of the stream when it was run again; "
                f"exit code {one.process.returncode}"
            )
            raise EngineError(msg)
        return expected.judge(engine, killed_at, figures.read(), undisturbed)
    finally:
        one.kill()


class _PeerFigures:
    """The figures that a peer has written."""

    def __init__(self, settings: Settings, engine: str, run: str, expected: Expected) -> None:
        self._settings, self._table, self._group, self._expected = (
            settings,
            table(engine_name(engine)),
            run,
            expected,
        )
        self._client = connect(settings.clickhouse, "writer")
        self._engine = engine
        self._writes_late = engine_name(engine) == "faust_tables"

    def share(self) -> float:
        """The share of the stream that is in the figures."""
        if self._writes_late:
            return self._committed() / self._expected.records
        query = f"SELECT sum(value) FROM {self._table} FINAL WHERE {_NATIONAL_FLOWS}"
        return self._expected.share(self._client.execute(query)[0][0], self._engine)

    def _committed(self) -> int:
        admin = KafkaAdminClient(**client_options(self._settings.kafka))
        try:
            return sum(
                max(at.offset, 0)
                for partition, at in admin.list_group_offsets([self._group])[self._group].items()
                if partition.topic == EVENTS
            )
        except KafkaError:
            return 0  # the group does not exist yet
        finally:
            admin.close()

    def read(self) -> dict[Figure, int]:
        """Read all figures, as a user of the table would."""
        rows = self._client.execute(
            f"SELECT day, toString(level), unit, metric, sum(value) FROM {self._table} FINAL "
            "GROUP BY day, level, unit, metric"
        )
        return {row[:4]: row[4] for row in rows}


def _kill_in_between(
    engine: str, share: Callable[[], float], kill: Callable[[], None], check: Callable[[], None]
) -> float:
    """Wait until part of the stream is in the figures and a random delay is over; kill the engine.

    Returns:
        The share of the stream in the figures at the kill.

    Raises:
        EngineError: the engine does not get so far.
    """
    deadline = time.monotonic() + START_SECONDS + _RUN_SECONDS
    while share() < _KILL_FROM:
        check()
        if time.monotonic() > deadline:
            msg = f"{engine} did not reach {_KILL_FROM:.0%} of the stream"
            raise EngineError(msg)
        time.sleep(0.02)
    time.sleep(random.Random(engine).uniform(0, _KILL_WITHIN))
    killed_at = share()
    kill()
    return killed_at


def _answers(clickhouse: ClickHouseSettings) -> bool:
    try:
        with urllib.request.urlopen(
            f"http://{clickhouse.host}:{clickhouse.http_port}/ping", timeout=2
        ) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False


def _until(condition: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            msg = f"{what}: not within {seconds:.0f} s"
            raise EngineError(msg)
        time.sleep(SAMPLE_SECONDS)
