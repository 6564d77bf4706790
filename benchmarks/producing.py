"""Events for benchmarks, and producers that send them as fast as possible, or at a rate.

The SDK takes 30 microseconds an event. These producers send whole batches, with lz4 and `acks=all`
like the SDK, so that they leave the cores to the programs that are measured.
"""

import asyncio
import json
import multiprocessing
import pickle
import random
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import UUID

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from pravah.days import day_of
from pravah.producer import EventProducer
from pravah.settings import KafkaSettings
from pravah.topics import EVENTS
from pravah.units import routing_key
from producers.simulator import SimulationOptions, simulate
from schemas.plan import Plan
from schemas.registry import Registry

_BATCH_BYTES = 256 * 1024
# Records that are put into batches between two waits for Kafka.
_PART_RECORDS = 50_000
_TICK_SECONDS = 0.005
_LATE_DAYS = 42
# Stands for the time of sending until a record is sent.
_MARK = b"@"


class Record(NamedTuple):
    """A record. With a `tail` its value is `head`, the time of sending, and `tail`."""

    key: bytes | None
    head: bytes | None
    tail: bytes | None = None


def campaign(registry: Registry, plan: Plan, count: int, *, seed: int = 1) -> Iterator[Record]:
    """Simulate a dense day of the campaign in Chhattisgarh.

    It has the campaign's share of repeats, corrections and broken records.
    """
    day = date(2022, 6, 20)
    for delivery in simulate(
        registry, plan, SimulationOptions(seed=seed, first=day, last=day, events=count)
    ):
        yield Record(None if delivery.key is None else delivery.key.encode(), delivery.value)


@dataclass(frozen=True)
class Mix:
    """A simple stream of which one property at a time is varied."""

    units: Sequence[str]
    """The units of the events, chosen at random."""
    day: date = date(2022, 9, 20)
    late: float = 0.0
    """Share of events that occurred on one of the 42 days before."""
    repeats: float = 0.0
    """Share of records that repeat one of the last 50,000."""
    corrections: float = 0.0
    """Share of records that are a higher version of one of the last 50,000."""
    each_unit_once: bool = False
    """Whether every unit has its first event before any has its second."""

    @property
    def day_numbers(self) -> tuple[int, int]:
        """The first and the last day on which an event may occur, as in `pravah.days`."""
        return day_of(self.day - timedelta(days=_LATE_DAYS)), day_of(self.day)

    def records(self, count: int, *, seed: int) -> Iterator[Record]:
        """Generate records; another seed gives other entities."""
        choose = random.Random(seed)
        recent: list[tuple[Record, dict[str, Any]]] = []
        for number in range(count):
            draw = choose.random()
            index = choose.randrange(len(recent)) if recent else 0
            if recent and draw < self.repeats:
                yield recent[index][0]
                continue
            if recent and draw < self.repeats + self.corrections:
                event = {
                    **recent[index][1],
                    "event_id": str(UUID(int=choose.getrandbits(128))),
                    "version": number + 2,
                }
                event["data"] = {
                    name: value + 1 if isinstance(value, int) else value
                    for name, value in event["data"].items()
                }
            else:
                unit = (
                    self.units[number % len(self.units)]
                    if self.each_unit_once
                    else choose.choice(self.units)
                )
                event = self._event(choose, unit)
            record = Record(routing_key(event["unit"]).encode(), orjson.dumps(event))
            yield record
            if self.repeats or self.corrections:
                if len(recent) < 50_000:
                    recent.append((record, event))
                else:
                    recent[index] = (record, event)

    def _event(self, choose: random.Random, unit: str) -> dict[str, Any]:
        day = (
            self.day - timedelta(days=choose.randrange(1, _LATE_DAYS + 1))
            if choose.random() < self.late
            else self.day
        )
        name, second = UUID(int=choose.getrandbits(128)), choose.randrange(86_400)
        time_of_day = f"{second // 3_600:02}:{second // 60 % 60:02}:{second % 60:02}.000"
        kind, data = _content(choose)
        return {
            "event_id": str(name),
            "entity": f"kobo:bench-1:{kind}:{name}",
            "version": 1,
            "unit": unit,
            "kind": kind,
            "occurred_at": f"{day}T{time_of_day}+05:30",
            "source": {"tool": "kobotoolbox", "producer": "kobo:bench-1"},
            "reporter": f"{choose.getrandbits(256):064x}",
            "data": data,
        }


def _content(choose: random.Random) -> tuple[str, dict[str, Any]]:
    """Draw a kind with its data: six in ten are posts, three memberships, one a group."""
    draw = choose.randrange(10)
    if draw < 6:
        return "social_post", {
            "platform": choose.choice(("facebook", "twitter", "whatsapp")),
            "posts": choose.randrange(1, 6),
            "reach": choose.randrange(500),
            "engagements": choose.randrange(90),
        }
    if draw < 9:
        return "membership", {
            "mode": choose.choice(("manual", "digital")),
            "count": choose.randrange(1, 9),
        }
    return "messaging_group", {"group_type": "whatsapp", "members": choose.randrange(5, 250)}


def with_send_time(record: Record) -> Record:
    """Prepare a record for getting its time of sending as `reported_at`.

    A record that is not a JSON object stays as it is.
    """
    try:
        event = orjson.loads(record.head or b"")
    except orjson.JSONDecodeError:
        return record
    if not isinstance(event, dict) or _MARK.decode() in json.dumps(event):
        return record
    event["reported_at"] = _MARK.decode()
    head, _, tail = orjson.dumps(event).partition(b'"' + _MARK + b'"')
    return Record(record.key, head, tail)


class _BatchSender:
    """Sends batches to Kafka."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._partitions: dict[bytes | None, int] = {}
        self._keyless = 0
        self._waiting: defaultdict[int, deque[Any]] = defaultdict(deque)
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka.bootstrap_servers,
            enable_idempotence=True,
            compression_type="lz4",
            max_batch_size=_BATCH_BYTES,
            max_request_size=16 * 1024 * 1024,
        )
        await self._producer.start()
        self._count = len(await self._producer.partitions_for(EVENTS))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    def put(self, records: Iterable[Record]) -> None:
        """Put records into batches, and start sending.

        Records of a partition whose previous batch is still being sent are collected in one batch.
        """
        sent_at = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
        now = f'"{sent_at}Z"'.encode()
        touched: set[int] = set()
        for key, head, tail in records:
            partition = self._partition(key)
            value = head if tail is None else b"".join((head or b"", now, tail))
            batches = self._waiting[partition]
            if not batches or batches[-1].append(timestamp=None, key=key, value=value) is None:
                batches.append(self._producer.create_batch())
                if batches[-1].append(timestamp=None, key=key, value=value) is None:
                    msg = f"a record of {len(value or b''):,} bytes is larger than a batch"
                    raise ValueError(msg)
            touched.add(partition)
        for partition in touched:
            task = self._tasks.get(partition)
            if task is None or task.done():
                if task is not None:
                    task.result()
                self._tasks[partition] = asyncio.create_task(self._send(partition))

    async def flush(self) -> None:
        """Wait until Kafka has acknowledged everything."""
        await asyncio.gather(*self._tasks.values())

    async def _send(self, partition: int) -> None:
        batches = self._waiting[partition]
        while batches:
            batch = batches.popleft()
            batch.close()
            await (await self._producer.send_batch(batch, EVENTS, partition=partition))

    def _partition(self, key: bytes | None) -> int:
        """Choose the partition as Kafka's clients do; round-robin without a key."""
        if key is None:
            self._keyless += 1
            return self._keyless % self._count
        partition = self._partitions.get(key)
        if partition is None:
            partition = self._partitions[key] = int((murmur2(key) & 0x7FFFFFFF) % self._count)
        return partition


def fill(
    kafka: KafkaSettings, records: Iterable[Record], *, say: Callable[[str], None] | None = None
) -> int:
    """Send records as fast as possible, and wait until Kafka has acknowledged all of them.

    Returns:
        How many records there were.
    """

    async def run() -> int:
        sent, waiting, began = 0, iter(records), time.monotonic()
        async with _BatchSender(kafka) as log:
            while part := list(islice(waiting, _PART_RECORDS)):
                log.put(part)
                await log.flush()
                sent += len(part)
                if say and sent % (10 * _PART_RECORDS) == 0:
                    say(f"{sent:,} events in the log after {time.monotonic() - began:.0f} s")
        return sent

    return asyncio.run(run())


def tick(kafka: KafkaSettings) -> None:
    """Close the open chunk of every partition."""
    with EventProducer(kafka) as producer:
        producer.tick()


@dataclass(frozen=True)
class SendResult:
    """The result of a producer with a rate."""

    records: int
    seconds: float
    late_seconds: float
    """The maximum delay behind its schedule."""
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Records a second that it achieved."""
        return self.records / self.seconds


class RateProducer:
    """A process that sends the records of a file at a rate."""

    def __init__(self, kafka: KafkaSettings, file: Path, rate: float) -> None:
        """Start the process, and wait until it has read the file that `save` wrote."""
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(
            target=_run_rate_producer, args=(kafka, file, rate, theirs), daemon=True
        )
        self._process.start()
        theirs.close()
        self._receive()

    def begin(self) -> None:
        """Start the process that sends events at the target rate."""
        self._ours.send(None)

    @property
    def done(self) -> bool:
        """Whether Kafka has everything, or the process failed."""
        return self._ours.poll() or not self._process.is_alive()

    def result(self) -> SendResult:
        """Wait for its end, and return its result."""
        sent: SendResult = self._receive()
        self._process.join()
        return sent

    def _receive(self) -> Any:
        try:
            return self._ours.recv()
        except EOFError:
            sys.exit(f"the producer ended by itself, with exit code {self._process.exitcode}")


def save(file: Path, records: Iterable[Record]) -> int:
    """Write records to a file for `RateProducer`."""
    count, waiting = 0, iter(records)
    with file.open("wb") as out:
        while part := [tuple(record) for record in islice(waiting, _PART_RECORDS)]:
            pickle.dump(part, out, protocol=pickle.HIGHEST_PROTOCOL)
            count += len(part)
    return count


def _run_rate_producer(kafka: KafkaSettings, file: Path, rate: float, pipe: Connection) -> None:
    """The target of the process."""
    records: list[Record] = []
    with file.open("rb") as source:
        while source.peek(1):
            records += map(Record._make, pickle.load(source))  # noqa: S301
    pipe.send(None)
    pipe.recv()
    pipe.send(asyncio.run(_send_at_rate(kafka, records, rate)))


async def _send_at_rate(kafka: KafkaSettings, records: Sequence[Record], rate: float) -> SendResult:
    async with _BatchSender(kafka) as log:
        at, late, cpu, began = 0, 0.0, time.process_time(), time.monotonic()
        while at < len(records):
            now = time.monotonic() - began
            due = min(len(records), int(now * rate) + 1)
            if due > at:
                late = max(late, now - at / rate)
                log.put(records[at:due])
                at = due
            await asyncio.sleep(max(_TICK_SECONDS, at / rate - (time.monotonic() - began)))
        await log.flush()
        return SendResult(len(records), time.monotonic() - began, late, time.process_time() - cpu)
