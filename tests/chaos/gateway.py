"""The gateway under load while Kafka is stopped, its disk is full and it is killed.

    python tests/chaos/gateway.py [--minutes 10] [--rate 200] [--kills 5] [--tmpfs] [--seed N]
        [--json]

Every acknowledged event must arrive, and count once. Kafka is stopped (SIGSTOP) for the minutes;
meanwhile the gateway is killed (SIGKILL) and restarted several times, and its disk is full once for
some seconds: with --tmpfs (as root) a small file system that is filled, else a limit of the kernel
on the size of its files. `test_gateway_chaos.py` is the short form.
"""

import argparse  # noqa: I001
import contextlib
import http.client
import json
import os
import random
import resource
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path


from kafka import KafkaConsumer, TopicPartition

import stack
from operations.worker_processes import worker_environment
from pravah.kafka import client_options
from pravah.settings import Settings
from pravah.topics import EVENTS
from producers.gateway.schema import FILE, open_read_only
from tests.chaos.world import World, random_event
from tests.support import gateway_world
from tests.support.deployment import until
from tests.support.forked import ForkedProcess

CLIENTS = 12
# Share of events that are sent again until acknowledged; the others are given up after a failure.
RETRIED_SHARE = 0.7
# Size of the small disk, and its growth per minute without Kafka.
_TMPFS_MIB, _MORE_MIB = 64, 40


@dataclass
class Result:
    """The result of one run."""

    seconds: float = 0.0
    requests: int = 0
    a_second: float = 0.0
    answers: dict[str, int] = field(default_factory=dict)
    """HTTP status, or name of the connection's error → how often."""
    acknowledged: int = 0
    given_up: int = 0
    arrived: int = 0
    """Distinct events in the log."""
    records: int = 0
    """Records in the log, repeats included."""
    arrived_unacknowledged: int = 0
    lost: int = 0
    figures: int = 0
    max_pending: int = 0
    differences: list[str] = field(default_factory=list)


class Senders:
    """Clients that send events at a rate, and record the acknowledged ones."""

    def __init__(self, port: int, rate: float, seed: int) -> None:
        self.port, self._pause = port, CLIENTS / rate
        self.stop, self.finish = threading.Event(), threading.Event()
        self.answers: Counter[str] = Counter()
        self.acknowledged: dict[str, dict] = {}
        self.given_up: dict[str, dict] = {}
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(
                target=self._run, args=(number, random.Random(seed * 100 + number)), daemon=True
            )
            for number in range(CLIENTS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int, rng: random.Random) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        waiting: list[dict] = []
        count, due = 0, time.monotonic() + rng.random() * self._pause
        while not self.stop.is_set() or waiting:
            due += self._pause
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due, time.monotonic() - 1.0)  # a delay is not made up for
            if waiting and (self.stop.is_set() or rng.random() < 0.5):
                events = waiting[:20]
            else:
                count += 1
                events = [
                    random_event(rng, number, entities=10**9)
                    | {"entity": f"{number}:{count}", "version": 1, "op": "report"}
                ]
            outcome = self._post(connection, events)
            with self._lock:
                self.answers[outcome] += 1
                for event in events:
                    name = event["event_id"]
                    if outcome in {"200", "202"}:
                        self.acknowledged[name] = event
                        if event in waiting:
                            waiting.remove(event)
                    elif event not in waiting and name not in self.given_up:
                        if rng.random() < RETRIED_SHARE:
                            waiting.append(event)
                        else:
                            self.given_up[name] = event
        connection.close()

    def _post(self, connection: http.client.HTTPConnection, events: list[dict]) -> str:
        body = json.dumps(events[0] if len(events) == 1 else events)
        try:
            connection.request("POST", "/v1/events", body, gateway_world.BEARER)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return type(error).__name__
        return str(answer.status)


class Gateway:
    """`pravah gateway` as a process that can be killed."""

    def __init__(self, world: World, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        sources = gateway_world.write_sources(
            world.folder / "sources", {"script": gateway_world.source("events", "bearer")}
        )
        kafka = world.settings.kafka.bootstrap_servers
        self._environment = {
            "PRAVAH_GATEWAY_SOURCES": str(sources),
            "PRAVAH_HOME": str(home),
            "PRAVAH_KAFKA__BOOTSTRAP_SERVERS": kafka,
        }
        self._world, self.file = world, home / "gateway" / FILE
        self.process: ForkedProcess | None = None

    def start(self) -> None:
        self.process = ForkedProcess(
            ("-m", "pravah", "gateway", "--port", str(self.port)),
            worker_environment(self._world.settings) | self._environment,
            output=self._world.folder / "gateway.log",
        )
        until(self._answers, "the gateway answers", 90)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def pending(self) -> int:
        """Number of events in the outbox."""
        with open_read_only(self.file) as connection:
            return int(connection.execute("SELECT rows FROM outbox_state").fetchone()[0])

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (
            f"the gateway ended: {(self._world.folder / 'gateway.log').read_text()[-2000:]}"
        )
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()


@contextlib.contextmanager
def full_disk(gateway: Gateway, mount: Path | None) -> Iterator[None]:
    """Leave no space for the gateway's files, for the length of a block."""
    assert gateway.process is not None
    if mount is None:
        sizes = [
            path.stat().st_size
            for path in gateway.file.parent.iterdir()
            if path.name != f"{FILE}-shm"
        ]
        before = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE)
        # the limit allows overwriting but not growth; the WAL restarts now and then, so the limit
        # is well below its size
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (min(sizes) // 2, before[1]))
        try:
            yield
        finally:
            resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, before)
        return
    ballast = mount / "ballast"
    with ballast.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"\0" * 4096)
    try:
        yield
    finally:
        ballast.unlink()


def run(
    services: Settings,
    folder: Path,
    *,
    seconds: float,
    rate: float,
    kills: int,
    seed: int,
    mount: Path | None = None,
    on_progress=lambda _: None,
) -> Result:
    """Run once, in a deployment of its own."""
    world, rng, result = World(services, folder, chunk_size=2_000), random.Random(seed), Result()
    home = mount or world.folder / "home"
    gateway = Gateway(world, home)
    kafka = world.server("kafka")
    try:
        gateway.start()
        world.ensure()
        senders = Senders(gateway.port, rate, seed)
        senders.start()
        began = time.monotonic()
        until(lambda: len(senders.acknowledged) > rate, "events are accepted", 60)
        os.kill(kafka.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            for number in range(kills):
                _wait(stopped + seconds * (number + rng.uniform(0.3, 0.7)) / kills)
                gateway.kill()
                gateway.start()
                on_progress(
                    f"killed {number + 1} times, {gateway.pending():,} events pending, "
                    f"{dict(senders.answers)}"
                )
                if number == kills // 2:
                    refused = senders.answers["503"]
                    with full_disk(gateway, mount):
                        until(
                            lambda refused=refused: senders.answers["503"] > refused + 20,
                            "a full disk is reported",
                            60,
                        )
                    accepted = len(senders.acknowledged)
                    until(
                        lambda accepted=accepted: len(senders.acknowledged) > accepted + 20,
                        "events are accepted again when there is space",
                        60,
                    )
                    on_progress(f"the disk was full; {dict(senders.answers)}")
                result.max_pending = max(result.max_pending, gateway.pending())
            _wait(stopped + seconds)
            result.max_pending = max(result.max_pending, gateway.pending())
        finally:
            os.kill(kafka.pid, signal.SIGCONT)
        before = gateway.pending()
        until(lambda: gateway.pending() < before, "Kafka accepts events again", 180)
        gateway.kill()  # while it relays pending events
        gateway.start()
        senders.join()
        result.seconds = time.monotonic() - began
        until(lambda: gateway.pending() == 0, "every event is relayed", 60 + seconds)
        _compare(world, senders, result)
    finally:
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.kill()
        world.stop()
    return result


def _wait(until_then: float) -> None:
    while time.monotonic() < until_then:
        time.sleep(0.05)


def _compare(world: World, senders: Senders, result: Result) -> None:
    log = _log(world.settings)
    arrived = {event["event_id"]: event for event in log}
    sent = senders.acknowledged | senders.given_up
    result.answers = dict(senders.answers)
    result.requests = sum(senders.answers.values())
    result.a_second = result.requests / result.seconds
    result.acknowledged, result.given_up = (
        len(senders.acknowledged),
        len(senders.given_up.keys() - senders.acknowledged.keys()),
    )
    result.arrived, result.records = len(arrived), len(log)
    result.lost = len(senders.acknowledged.keys() - arrived.keys())
    result.arrived_unacknowledged = len(arrived.keys() - senders.acknowledged.keys())
    world.sent = log
    world.drain()
    outcome = world.check()
    result.figures, result.differences = outcome.figures, outcome.differences
    if result.lost:
        result.differences.append(f"{result.lost} acknowledged events are not in the log")
    changed = {name for name, event in arrived.items() if sent.get(name) != event}
    if changed:
        result.differences.append(f"{len(changed)} events in the log are not as they were sent")


def _log(settings: Settings) -> list[dict]:
    consumer = KafkaConsumer(
        **client_options(settings.kafka), group_id=None, enable_auto_commit=False
    )
    partitions = [
        TopicPartition(EVENTS, number) for number in consumer.partitions_for_topic(EVENTS)
    ]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    ends, found = consumer.end_offsets(partitions), []
    while any(consumer.position(tp) < ends[tp] for tp in partitions):
        for records in consumer.poll(timeout_ms=200).values():
            found += [json.loads(record.value) for record in records if record.value is not None]
    consumer.close()
    return found


@contextlib.contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """Mount a small file system in memory; needs root."""
    mount = folder / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(mount)], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long Kafka is stopped")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument(
        "--kills",
        type=int,
        default=5,
        help="of the gateway, while Kafka is stopped; one more follows",
    )
    parser.add_argument("--tmpfs", action="store_true", help="fill a small disk; needs root")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    with (
        tempfile.TemporaryDirectory(prefix="pravah-chaos-") as folder,
        contextlib.ExitStack() as ends,
    ):
        mount = (
            ends.enter_context(
                small_disk(Path(folder), int(_TMPFS_MIB + _MORE_MIB * options.minutes))
            )
            if options.tmpfs
            else None
        )
        services = ends.enter_context(stack.running(Path(folder) / "home"))
        result = run(
            services,
            Path(folder),
            seconds=60 * options.minutes,
            rate=options.rate,
            kills=options.kills,
            seed=seed,
            mount=mount,
            on_progress=lambda text: print(text, file=sys.stderr, flush=True),
        )
    print(json.dumps({"seed": seed, **asdict(result)}, indent=None if options.json else 2))
    return 1 if result.differences else 0


if __name__ == "__main__":
    sys.exit(main())
