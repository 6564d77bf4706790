"""The cases of the fault suite: each is one fault while events flow.

`World.check` compares everything afterwards.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import contextmanager

from kafka import KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

import stack
from operations.registry import install_registry
from operations.worker_processes import last_lines
from pravah.kafka import client_options
from pravah.topics import EVENTS, TICK_KEY
from sinks.deployment import REGISTRY, get_fact
from sinks.recount import closed_cut
from sinks.repair import repair
from stack.supervisor import MAX_RESTARTS, RESTART_WINDOW_SECONDS
from tests.chaos.proxy import CuttingProxy
from tests.chaos.world import World, other_registry
from tests.support import oracle, small_world
from tests.support.deployment import until

# Number of events that a case sends, about.
EVENTS_A_RUN = 400

# Every step between the poll of a batch and the commit of its offsets: "commit" is the worker's
# commit of a chunk, "offsets" the request to Kafka. A worker dies before or after one of them.
CRASH_POINTS = [
    *("lookup", "filter", "send", "write.chunks", "write.journal", "write.ledger", "close"),
    *("commit", "offsets"),
]


def crash_points(world: World) -> None:
    """Two workers in a row die at a step chosen by the seed."""
    world.send(EVENTS_A_RUN // 2)
    for _ in range(2):
        when = world.rng.choice(["before", "after"])
        step = world.rng.choice(CRASH_POINTS)
        point = f"{when}:{step}:{world.rng.choice([1, 1, 2, 5])}"
        for worker in world.alive():
            worker.kill()
            worker.wait()
        worker = world.start("tests/chaos/crashing_worker.py", point)
        world.send(EVENTS_A_RUN // 4)
        until(
            lambda worker=worker: worker.poll() is not None or not world.behind(),
            f"the worker dies at {point}, or everything is rolled up without it",
            90,
        )


def killed(world: World) -> None:
    """SIGKILL at random moments."""
    for _ in range(3):
        (worker, *_) = world.ensure()
        before = world.durable()
        world.send(EVENTS_A_RUN // 3)
        if world.rng.random() < 0.7:
            world.wait_for(before + world.rng.randrange(1, EVENTS_A_RUN // 3))
        worker.kill()
        worker.wait()


def frozen_worker(world: World) -> None:
    """SIGSTOP for longer than a session: another worker takes over, then the first one goes on."""
    first, *_ = world.ensure(2)
    before = world.durable()
    world.send(EVENTS_A_RUN // 2)
    world.wait_for(before + 1)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        world.send(EVENTS_A_RUN // 4)
        until(lambda: not world.behind(), "the other worker takes over", 90)
    finally:
        os.kill(first.pid, signal.SIGCONT)
    world.send(EVENTS_A_RUN // 4)


def storm(world: World) -> None:
    """Three workers come and go, by SIGTERM or SIGKILL."""
    for _ in range(5):
        world.ensure(3)
        world.send(EVENTS_A_RUN // 5)
        worker = world.rng.choice(world.alive())
        worker.send_signal(world.rng.choice([signal.SIGKILL, signal.SIGTERM]))
        if world.rng.random() < 0.5:
            worker.wait()


def _kill_server(world: World, name: str) -> None:
    """Kill a server, and wait until the supervisor has started it again."""
    recent = world.killed_servers
    until(
        lambda: (
            sum(time.monotonic() - at < RESTART_WINDOW_SECONDS for at in recent) < MAX_RESTARTS - 1
        ),
        "the supervisor may restart a server once more",
        RESTART_WINDOW_SECONDS + 5,
    )
    recent.append(time.monotonic())
    server = world.server(name)
    os.kill(server.pid, signal.SIGKILL)
    until(
        lambda: any(
            one.name == name and one.pid != server.pid
            for one in stack.status(world.settings.home).servers
        ),
        f"{name} is started again",
        60,
    )


def broker_killed(world: World) -> None:
    """The broker dies and is restarted."""
    world.ensure()
    before = world.durable()
    world.send(EVENTS_A_RUN // 2)
    if world.rng.random() < 0.7:
        world.wait_for(before + 1)
    _kill_server(world, "kafka")
    until(lambda: _answers(lambda: world.send(EVENTS_A_RUN // 2)), "the broker answers", 60)


def _answers(call: Callable[[], object]) -> bool:
    try:
        call()
    except Exception:
        return False
    return True


def clickhouse_killed(world: World) -> None:
    """ClickHouse dies while events flow, and is restarted."""
    world.ensure()
    before = world.durable()
    world.send(EVENTS_A_RUN // 2)
    world.wait_for(before + world.rng.randrange(1, 100))
    world.clickhouse.disconnect()
    _kill_server(world, "clickhouse")
    world.send(EVENTS_A_RUN // 2)
    until(lambda: _answers(lambda: world.clickhouse.execute("SELECT 1")), "ClickHouse answers", 60)


def clickhouse_frozen(world: World) -> None:
    """ClickHouse is stopped for longer than a session; its ports stay open."""
    world.ensure()
    before = world.durable()
    world.send(EVENTS_A_RUN // 2)
    world.wait_for(before + 1)
    world.clickhouse.disconnect()
    server = world.server("clickhouse")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        world.send(EVENTS_A_RUN // 2)
        began = time.monotonic()
        until(
            lambda: time.monotonic() - began > world.settings.session_timeout_seconds * 1.2,
            "more than a session passes",
        )
    finally:
        os.kill(server.pid, signal.SIGCONT)


def connection_cut(world: World) -> None:
    """Connections to ClickHouse break in the middle of inserts."""
    for worker in world.alive():
        worker.kill()
        worker.wait()
    proxy = CuttingProxy(world.settings.clickhouse.native_port, world.rng.getrandbits(32))
    worker = world.start(environment={"PRAVAH_CLICKHOUSE__NATIVE_PORT": str(proxy.port)})
    try:
        until(
            lambda: (
                worker.poll() is not None
                or "Worker ready" in worker.log.read_text(encoding="utf-8")
            ),
            "the worker is up",
            60,
        )
        proxy.cutting.set()
        world.send(EVENTS_A_RUN)
        until(lambda: proxy.cuts > 2 or worker.poll() is not None, "connections are cut", 60)
        proxy.cutting.clear()
        world.drain()
    finally:
        worker.kill()
        worker.wait()
        proxy.close()


@contextmanager
def _table_setting(world: World, table: str, setting: str, value: int):
    world.clickhouse.execute(f"SYSTEM STOP MERGES {table}")
    world.clickhouse.execute(f"ALTER TABLE {table} MODIFY SETTING {setting} = {value}")
    try:
        yield
    finally:
        world.clickhouse.execute(f"ALTER TABLE {table} RESET SETTING {setting}")
        world.clickhouse.execute(f"SYSTEM START MERGES {table}")


def _refuse_inserts(world: World, setting: str, value: int, error: str) -> None:
    """Make ClickHouse refuse inserts into a table until the worker has logged the error."""
    table = world.rng.choice(["journal", "ledger", "chunks"])
    (worker, *_) = world.ensure()
    seen = worker.log.stat().st_size
    with _table_setting(world, table, setting, value):
        world.send(EVENTS_A_RUN)
        until(
            lambda: error in worker.log.read_text(encoding="utf-8")[seen // 2 :],
            f"ClickHouse refuses: {error}",
            60,
        )
    assert worker.poll() is None, "the worker waits"


def too_many_parts(world: World) -> None:
    """ClickHouse refuses inserts: TOO_MANY_PARTS."""
    _refuse_inserts(world, "parts_to_throw_insert", 1, "Too many parts")


def full_disk(world: World) -> None:
    """ClickHouse refuses inserts: no space is left."""
    _refuse_inserts(world, "min_free_disk_bytes_to_perform_insert", 10**15, "enough free space")


def small_retention(world: World) -> None:
    """Retention deletes the records of all closed chunks; then a new worker starts."""
    world.ensure()
    world.send(EVENTS_A_RUN // 2)
    world.drain()
    until(lambda: sum(closed_cut(world.clickhouse).offsets.values()) > 0, "chunks are closed")
    admin = KafkaAdminClient(**client_options(world.settings.kafka))
    admin.delete_records(
        {
            TopicPartition(EVENTS, partition): offset
            for partition, offset in closed_cut(world.clickhouse).offsets.items()
        }
    )
    admin.close()
    for worker in world.alive():
        worker.kill()
        worker.wait()
    world.ensure()
    world.send(EVENTS_A_RUN // 2)


def clock_jump(world: World) -> None:
    """The broker's clock jumps by hours, forward and back.

    The topic takes the times that the sender gives.
    """
    admin = KafkaAdminClient(**client_options(world.settings.kafka))
    admin.alter_configs(
        [
            ConfigResource(
                ConfigResourceType.TOPIC,
                EVENTS,
                configs={
                    "message.timestamp.type": "CreateTime",
                    "message.timestamp.after.max.ms": str(2**60),
                },
            )
        ]
    )
    admin.close()
    world.ensure()
    now = int(time.time() * 1000)
    producer = KafkaProducer(
        **client_options(world.settings.kafka), linger_ms=20, max_request_size=8 << 20
    )
    for value, key in world.deliveries(EVENTS_A_RUN):
        if world.rng.random() < 0.05:
            now += world.rng.choice([-5, -1, 1, 3]) * 3_600_000
        producer.send(EVENTS, value, key.encode(), timestamp_ms=now)
    producer.close()


def poison(world: World) -> None:
    """Half of the records are broken."""
    world.ensure()
    world.send(EVENTS_A_RUN, broken=0.5)


def ticks(world: World) -> None:
    """Chunks are closed by ticks at random moments."""
    world.ensure()
    producer = KafkaProducer(**client_options(world.settings.kafka))
    for _ in range(6):
        world.send(EVENTS_A_RUN // 6)
        for partition in range(world.rng.randrange(4)):
            producer.send(EVENTS, None, TICK_KEY, partition=min(partition, 2))
        producer.flush()
    producer.close()


def registry_change(world: World) -> None:
    """Another registry is loaded while events flow; a repair then moves the closed figures."""
    world.ensure(2)
    before = world.durable()
    world.send(EVENTS_A_RUN // 2)
    world.wait_for(before + 1)
    changed, parents = other_registry()
    loaded = (
        world.registry if get_fact(world.clickhouse, REGISTRY) == changed.fingerprint() else changed
    )
    install_registry(world.settings, loaded)
    (world.folder / "small.parents.csv").write_text(
        parents if loaded is changed else small_world.PARENTS, encoding="utf-8"
    )
    world.hierarchy = oracle.Hierarchy.read(world.folder)
    world.send(EVENTS_A_RUN // 2)
    world.drain()
    # Workers restart under the new registry and fold open chunks again.
    query = """
        SELECT partition, chunk, argMax(registry, updated_at) AS registry,
            argMax(worker, updated_at) AS worker
        FROM chunks GROUP BY partition, chunk HAVING NOT max(closed) AND registry != %(registry)s
    """

    def chunks_of_another_registry() -> list[tuple]:
        return world.clickhouse.execute(query, {"registry": loaded.fingerprint()})

    try:
        until(
            lambda: not chunks_of_another_registry() and not world.behind(),
            "open chunks are folded again",
            90,
        )
    except AssertionError as error:
        logs = "\n".join(last_lines(worker.log, 40) for worker in world.workers[-4:])
        msg = (
            f"{error}: {chunks_of_another_registry()}, {len(world.alive())} workers alive; "
            f"the newest logs end:\n{logs}"
        )
        raise AssertionError(msg) from error
    repair(
        world.clickhouse,
        world.settings.clickhouse,
        closed_cut(world.clickhouse),
        kind="units",
        reason="chaos",
        author="chaos",
        registry=loaded.fingerprint(),
    )


CASES: dict[str, Callable[[World], None]] = {
    case.__name__: case
    for case in (
        *(
            crash_points,
            killed,
            frozen_worker,
            storm,
            broker_killed,
            clickhouse_killed,
            clickhouse_frozen,
            connection_cut,
            too_many_parts,
            full_disk,
        ),
        *(small_retention, clock_jump, poison, ticks, registry_change),
    )
}
