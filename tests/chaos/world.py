"""A deployment under faults: random deliveries, workers, and a check of every invariant.

It has the registry of the small world and lives on from run to run: each run adds its own events
and its own fault. After each run, everything that was ever sent is compared with the oracle.
"""

import json
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

import stack
from operations.bootstrap import prepare
from operations.worker_processes import last_lines, worker_environment
from pravah.kafka import client_options
from pravah.producer import EventProducer
from pravah.settings import Settings
from pravah.topics import EVENTS, REJECTED
from schemas.registry import Registry
from schemas.registry_readers import registry_from_csv
from sinks.lag import Lag
from sinks.recount import durable_cut, recount
from tests.support import oracle, small_world
from tests.support.deployment import Deployment, empty, until
from tests.support.forked import WORKER, ForkedProcess

PARTITIONS = 3

# Values of records that are no events.
BROKEN = [
    b"",
    b"hello",
    b"\xff\xfe",
    b"[1]",
    b'{"unit": ',
    b"\x00" * 50,
    b"x" * 1_048_577,
    b'{"unit": "CG-AC001"}',
]

# Kinds of random events.
KINDS = [
    "incharge_appointed",
    "committee_formed",
    "messaging_group",
    "social_post",
    "membership",
    "tally",
]


def random_event(rng: random.Random, run: int, entities: int = 40) -> dict:
    """A random event, on a day on which its unit is open.

    Entities and versions are few, so that versions of one entity meet.
    """
    key = rng.choice(sorted(small_world.KEYS))
    unit = rng.choice(small_world.KEYS[key])
    kind = rng.choice(KINDS)
    first, last = {"CG-AC001-B0004": (0, 40), "CG-AC002-B0005": (25, 60)}.get(unit, (0, 60))
    data = {
        "incharge_appointed": {
            "role": "incharge",
            "person": "a" * 64,
            "active": rng.random() < 0.8,
        },
        "committee_formed": {"members": rng.randrange(1, 9), "active": rng.random() < 0.8},
        "messaging_group": {
            "group_type": rng.choice(["whatsapp", "broadcast"]),
            "members": rng.randrange(99),
            "active": rng.random() < 0.8,
        },
        "social_post": {
            "platform": rng.choice(["facebook", "twitter"]),
            "posts": rng.randrange(9),
            "reach": rng.randrange(99),
        },
        "membership": {"mode": rng.choice(["manual", "digital"]), "count": rng.randrange(9)},
        "tally": {
            "metric": rng.choice(["volunteers", "doors_visited"]),
            "value": rng.randrange(99),
        },
    }[kind]
    return {
        "event_id": f"{rng.getrandbits(32):08x}-0000-4000-8000-{rng.getrandbits(48):012x}",
        "entity": f"{key}:{run}:{rng.randrange(entities)}",
        "version": rng.randrange(1, 6),
        "op": "retract" if rng.random() < 0.1 else "report",
        "unit": unit,
        "kind": kind,
        "occurred_at": _random_time(rng, first, last),
        "source": {"tool": "test", "producer": "chaos"},
        "verification": rng.choice(["unverified", "unverified", "verified", "rejected"]),
        "data": data,
    }


def _random_time(rng: random.Random, first: int, last: int) -> str:
    """A time on one of the days `first` to `last` of the small world."""
    day = small_world.on(rng.randrange(first, last + 1))
    return f"{day}T{rng.choice(['00:00:00', '12:00:00', '23:59:59.999999'])}+05:30"


@dataclass
class Outcome:
    """Counts and differences of one run."""

    events: int = 0
    repeats: int = 0
    figures: int = 0
    differences: list[str] = field(default_factory=list)


class World:
    """A deployment and everything that was sent into it."""

    # Times of `time.monotonic()` at which a server was killed, by any case: a supervisor gives up
    # when its servers die too often.
    killed_servers: ClassVar[list[float]] = []

    def __init__(self, services: Settings, folder: Path, **changes: object) -> None:
        empty(services)
        kafka = services.kafka.model_copy(update={"partitions": PARTITIONS})
        update = {
            "kafka": kafka,
            "consumer_group": f"chaos-{time.time_ns()}",
            "chunk_size": 60,
            "flush_seconds": 0.2,
            "session_timeout_seconds": 2.0,
            **changes,
        }
        self.settings = services.model_copy(update=update)
        self.registry: Registry = small_world.registry()
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.hierarchy = oracle.Hierarchy.read(small_world.write(self.folder))
        prepare(self.settings, lambda _: None, registry=self.registry)
        self.deployment = Deployment(self.settings, self.folder)
        self.clickhouse = self.deployment.clickhouse
        self.workers: list = []
        self.run = 0
        self.rng = random.Random(0)
        self.sent: list[dict] = []
        self.broken = 0
        self.outcome = Outcome()

    def begin(self, run: int, seed: int) -> None:
        self.run, self.rng, self.outcome = run, random.Random(seed), Outcome()

    # --- events -----------------------------------------------------------------------------------

    def deliveries(self, count: int, broken: float = 0.03) -> list[tuple[bytes | None, str]]:
        """Random deliveries: a fifth are repeats."""
        found: list[tuple[bytes | None, str]] = []
        mine: list[dict] = []
        for _ in range(count):
            draw = self.rng.random()
            if draw < broken:
                found.append((self.rng.choice(BROKEN), self.rng.choice(sorted(small_world.KEYS))))
                self.broken += 1
                continue
            if mine and draw < 0.2:
                event = self.rng.choice(mine)
                self.outcome.repeats += 1
            else:
                event = random_event(self.rng, self.run)
                mine.append(event)
            self.sent.append(event)
            found.append((json.dumps(event).encode(), oracle.routing_key(event["unit"])))
        self.outcome.events += count
        return found

    def send(self, count: int, **options: float) -> None:
        with EventProducer(self.settings.kafka) as producer:
            for value, key in self.deliveries(count, **options):
                producer.send_raw(value, key)

    # --- workers ----------------------------------------------------------------------------------

    def start(
        self,
        *program: str,
        settings: Settings | None = None,
        environment: dict[str, str] | None = None,
    ):
        log = self.folder / f"worker-{len(self.workers)}.log"
        settings = settings or self.settings
        process = ForkedProcess(
            program or WORKER, worker_environment(settings) | (environment or {}), output=log
        )
        process.log = log
        self.workers.append(process)
        return process

    def alive(self) -> list:
        return [worker for worker in self.workers if worker.poll() is None]

    def ensure(self, count: int = 1) -> list:
        """Start workers until this many run."""
        while len(self.alive()) < count:
            self.start()
        return self.alive()

    def log_end(self) -> str:
        return last_lines(self.workers[-1].log, 12) if self.workers else "(no worker)"

    def durable(self) -> int:
        return self.deployment.durable()

    def wait_for(self, records: int) -> None:
        """Wait until this many records of the log are durable."""
        until(lambda: self.durable() >= records, "the workers get on", 90)

    def server(self, name: str):
        return next(
            server for server in stack.status(self.settings.home).servers if server.name == name
        )

    def drain(self) -> None:
        """Wait until everything is rolled up; start a worker if none runs."""
        deadline = time.monotonic() + 120
        while self.behind():
            self.ensure()
            assert time.monotonic() < deadline, (
                f"not rolled up; the newest worker's log ends:\n{self.log_end()}"
            )
            time.sleep(0.05)

    def behind(self) -> int:
        with Lag(self.settings.kafka, self.clickhouse) as lag:
            return lag.position().behind

    def stop(self) -> None:
        for worker in self.alive():
            worker.kill()
            worker.wait()
        self.clickhouse.disconnect()

    # --- invariants -------------------------------------------------------------------------------

    def check(self) -> Outcome:
        """Check every invariant, for everything that was ever sent."""
        found, expected = self.deployment.rollups(), oracle.figures(self.sent, self.hierarchy)
        self.outcome.figures = len(expected.keys() | found.keys())
        wrong = [
            f"{key}: expected {expected.get(key)}, found {found.get(key)}"
            for key in expected.keys() | found.keys()
            if expected.get(key) != found.get(key)
        ]
        self._expect(
            wrong, "recount", recount(self.clickhouse, durable_cut(self.clickhouse)).different, 0
        )
        versions = {
            (oracle.routing_key(one["unit"]), one["entity"], one["version"]) for one in self.sent
        }
        self._expect(
            wrong,
            "versions in the ledger",
            self.clickhouse.execute("SELECT count() FROM events")[0][0],
            len(versions),
        )
        self._expect(wrong, "records rejected", len(self._rejected()), self.broken)
        boundaries: dict[int, set[int]] = {}
        for partition, chunk, offset, closed in self.clickhouse.execute(
            "SELECT partition, chunk, next_offset, closed FROM chunks FINAL"
        ):
            boundaries.setdefault(partition, {0}).update({chunk, offset} if closed else {chunk})
        for partition, committed in self._committed().items():
            if committed not in boundaries.get(partition, {0}):
                wrong.append(
                    f"partition {partition}: committed offset {committed} is no chunk boundary"
                )
        self.outcome.differences = wrong
        return self.outcome

    @staticmethod
    def _expect(wrong: list[str], what: str, found: int, expected: int) -> None:
        if found != expected:
            wrong.append(f"{what}: expected {expected}, found {found}")

    def _committed(self) -> dict[int, int]:
        admin = KafkaAdminClient(**client_options(self.settings.kafka))
        try:
            offsets = admin.list_group_offsets(self.settings.consumer_group)
        finally:
            admin.close()
        found = offsets.get(self.settings.consumer_group, offsets)
        return {
            tp.partition: meta.offset
            for tp, meta in found.items()
            if tp.topic == EVENTS and meta.offset >= 0
        }

    def _rejected(self) -> set[tuple[bytes, bytes]]:
        """The (partition, offset) in `activity.events` of the records in `activity.rejected`."""
        consumer = KafkaConsumer(
            **client_options(self.settings.kafka),
            group_id=None,
            max_partition_fetch_bytes=8 << 20,
            fetch_max_bytes=64 << 20,
        )
        partitions = [
            TopicPartition(REJECTED, number) for number in consumer.partitions_for_topic(REJECTED)
        ]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        ends, found = consumer.end_offsets(partitions), set()
        while any(consumer.position(tp) < ends[tp] for tp in partitions):
            for records in consumer.poll(timeout_ms=200).values():
                found |= {
                    (dict(record.headers)["partition"], dict(record.headers)["offset"])
                    for record in records
                }
        consumer.close()
        return found


Case = Callable[[World], None]


def other_registry() -> tuple[Registry, str]:
    """The small world with booth 3 in district A instead of B, and its parents file."""
    parents = small_world.PARENTS.replace("CG-AC001-B0003,CG-D-B", "CG-AC001-B0003,CG-D-A")
    return registry_from_csv(
        {
            "small.units.csv": small_world.UNITS.splitlines(),
            "small.parents.csv": parents.splitlines(),
        }
    ), parents
