"""The worker on a real log: rejected and forwarded records, repeats, restarts."""

import json
from collections.abc import Callable

import psutil
import pytest
from kafka import KafkaConsumer, TopicPartition

from operations.registry import install_registry
from pravah.kafka import client_options
from pravah.producer import EventProducer
from pravah.topics import REJECTED
from tests.chaos.world import other_registry
from tests.support import oracle, small_world
from tests.support.deployment import Deployment, until

POST = {
    "event_id": "7b0c1f5e-3a35-4c0e-9c5e-0e8f6b1d2a3b",
    "unit": "CG-AC001-B0001",
    "kind": "social_post",
    "occurred_at": f"{small_world.on(5)}T10:00:00+05:30",
    "source": {"tool": "test", "producer": "cg-1"},
    "data": {"platform": "facebook", "posts": 3},
}


def raw(**changes: object) -> bytes:
    return json.dumps({**POST, **changes}).encode()


BROKEN: list[tuple[bytes | None, str, str]] = [
    (b"hello", "not_json", "begins 'hello'"),
    (b'{"unit": ', "not_json", "EOF"),
    (b"\xff\xfe\x00", "not_utf8", "byte 0 (0xff)"),
    (raw(data={"platform": "facebook", "posts": "three"}), "invalid", "data.posts"),
    (raw(unit="CG-AC077-B0001"), "unknown_unit", "not in the registry"),
    (
        raw(unit="CG-AC001-B0004", occurred_at=f"{small_world.on(41)}T10:00:00+05:30"),
        "closed_unit",
        "exists only until",
    ),
    (
        raw(unit="CG-AC002-B0005", occurred_at=f"{small_world.on(5)}T10:00:00+05:30"),
        "closed_unit",
        "exists only from",
    ),
    (raw(occurred_at="2149-01-01T00:00:00Z"), "far_future", "clock was wrong"),
    (
        raw(kind="tally", data={"metric": "moonshots", "value": 1}),
        "unknown_metric",
        "doors_visited",
    ),
    (
        raw(
            kind="training_held",
            data={"programme": "incharge", "attendees": 3, "trained_units": ["CG-AC002-B0005"]},
        ),
        "unknown_trained_unit",
        "at or below CG-AC001-B0001",
    ),
    (b"x" * 1_000_000, "not_json", "begins 'xxx"),
    (b"x" * 1_048_577, "too_large", "1,048,577 bytes"),
    (b"\x00" * 1000, "not_json", ""),
    (b"", "empty", "empty"),
    (None, "empty", "null"),
    (b"[1, 2]", "invalid", "object"),
]


def rejected(deployment: Deployment, count: int) -> list:
    consumer = KafkaConsumer(
        **client_options(deployment.settings.kafka),
        group_id=None,
        consumer_timeout_ms=20_000,
        max_partition_fetch_bytes=8 << 20,
    )
    consumer.assign(
        [TopicPartition(REJECTED, number) for number in consumer.partitions_for_topic(REJECTED)]
    )
    consumer.seek_to_beginning()
    found = []
    for record in consumer:
        found.append(record)
        if len(found) == count:
            break
    consumer.close()
    return found


def test_broken_input_of_every_sort_is_set_aside_byte_for_byte_and_the_worker_runs_on(
    deployment: Deployment,
) -> None:
    worker = deployment.start_worker()
    with EventProducer(deployment.settings.kafka) as producer:
        for value, _, _ in BROKEN:
            producer.send_raw(value, "CG-AC001")
        producer.send_raw(raw(), "CG-AC001")
    deployment.wait_until_rolled_up()
    records = rejected(deployment, len(BROKEN))
    by_offset = sorted(records, key=lambda record: int(dict(record.headers)["offset"]))
    assert [record.value for record in by_offset] == [value for value, _, _ in BROKEN]
    for record, (_, reason, detail) in zip(by_offset, BROKEN, strict=True):
        headers = {name: text.decode() for name, text in record.headers}
        assert headers["reason"] == reason
        assert detail in headers["detail"]
        assert headers["topic"] == "activity.events"
        assert headers["partition"].isdigit()
        assert record.key == b"CG-AC001"
    assert worker.poll() is None
    assert deployment.rollups()[
        small_world.FIRST_DAY.replace(day=6), "booth", "CG-AC001-B0001", "posts_facebook"
    ] == (3, 0)
    counts = deployment.clickhouse.execute("SELECT sum(accepted), sum(rejected) FROM chunks FINAL")
    assert counts == [(1, len(BROKEN))]
    rows = deployment.clickhouse.execute(
        "SELECT state, reason, detail FROM rejections ORDER BY offset"
    )
    assert [(state, reason) for state, reason, _ in rows] == [
        ("CG", reason) for _, reason, _ in BROKEN
    ]
    assert all(detail for _, _, detail in rows)
    assert not any(
        "hello" in detail or "xxx" in detail or "three" in detail for _, _, detail in rows
    ), "nothing that stood in a record"


@pytest.mark.parametrize("key", ["CG-AC002", "CG-D-A", "nonsense", None])
def test_a_record_under_the_wrong_key_is_sent_on_and_counted_once(
    deploy: Callable[..., Deployment], key: str | None
) -> None:
    deployment = deploy()
    events = [
        {**POST, "event_id": f"00000000-0000-4000-8000-{number:012d}"} for number in range(20)
    ]
    with EventProducer(deployment.settings.kafka) as producer:
        for event in events:
            producer.send_raw(json.dumps(event).encode(), key)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    key_of_rows = deployment.clickhouse.execute("SELECT DISTINCT key, partition FROM events")
    assert len(key_of_rows) == 1
    assert key_of_rows[0][0] == "CG-AC001"
    assert deployment.rollups()[
        small_world.FIRST_DAY.replace(day=6), "national", "IN", "posts_facebook"
    ] == (60, 0)


def test_repeats_count_once_across_chunks_and_workers(
    deploy: Callable[..., Deployment], tmp_path
) -> None:
    """Repeats come after their event's chunk was closed, to another worker: the ledger decides."""
    deployment = deploy(chunk_size=50)
    events = [
        {**POST, "event_id": f"00000000-0000-4000-8000-{number:012d}"} for number in range(120)
    ]
    for _ in range(3):
        with EventProducer(deployment.settings.kafka) as producer:
            for event in events:
                producer.send(event)
        worker = deployment.start_worker()
        deployment.wait_until_rolled_up()
        worker.kill()
        worker.wait()
    hierarchy = oracle.Hierarchy.read(small_world.write(tmp_path))
    assert deployment.rollups() == oracle.figures(events, hierarchy)
    assert deployment.clickhouse.execute("SELECT count() FROM events") == [(120,)]


STILL_STARTING = """
import time
import cli.worker

def never_ready(self):
    print("Worker ready", flush=True)
    time.sleep(600)

cli.worker._Worker.execute_from_commandline = never_ready
cli.worker.worker()
"""
HANGING_ON_ITS_WAY_OUT = """
import asyncio
import cli.worker

async def hang(self):
    await asyncio.sleep(600)

cli.worker.faust.Worker.stop = hang
cli.worker._SHUTDOWN_SECONDS = 0.5
cli.worker.worker()
"""


@pytest.mark.parametrize("program", [STILL_STARTING, HANGING_ON_ITS_WAY_OUT])
def test_another_registry_restarts_a_worker_in_any_state(
    deployment: Deployment, program: str
) -> None:
    """The fault suite has the case of a worker that is folding."""
    worker = deployment.start_worker("-c", program)
    until(lambda: deployment.log_end(1000).count("Worker ready") == 1, "the worker is up")
    install_registry(deployment.settings, other_registry()[0])
    until(lambda: deployment.log_end(1000).count("Worker ready") == 2, "it is up again")
    assert worker.poll() is None


def test_one_command_runs_several_workers_and_restarts_the_one_that_dies(
    deployment: Deployment,
) -> None:
    command = psutil.Process(
        deployment.start_worker("-m", "pravah", "worker", "--processes", "2").pid
    )

    def is_worker(process: psutil.Process) -> bool:
        """Whether it still runs: one that has ended has no command line, or is gone."""
        try:
            return process.cmdline()[-1:] == ["worker"]
        except psutil.NoSuchProcess:
            return False

    def workers() -> list[psutil.Process]:
        return [one for one in command.children() if is_worker(one)]

    until(lambda: len(workers()) == 2, "two workers")
    first = workers()[0]
    first.kill()
    until(lambda: len(workers()) == 2 and first not in workers(), "two workers again")
    with EventProducer(deployment.settings.kafka) as producer:
        for number in range(50):
            producer.send(
                {
                    **POST,
                    "event_id": f"7b0c1f5e-3a35-4c0e-9c5e-{number:012x}",
                    "unit": ["CG-AC001-B0001", "CG-AC002", "CG-D-A", "CG-D-B", "CG"][number % 5],
                }
            )
    deployment.wait_until_rolled_up()
    ((figure,),) = deployment.clickhouse.execute(
        "SELECT value FROM totals WHERE unit = 'IN' AND metric = 'posts_facebook'"
    )
    assert figure == 150
    ended = workers()
    deployment.stop_workers()
    assert not any(one.is_running() for one in ended)
