"""The outbox: records reach Kafka once and in order whatever dies, and its bounds hold."""

import gc
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pravah.events import MAX_EVENT_BYTES, EventError
from pravah.settings import KafkaSettings, Settings
from producers.outbox import (
    Bounds,
    Outbox,
    OutboxBusyError,
    OutboxFullError,
    OutboxProducer,
    OutboxRecord,
    OutboxRelay,
    open_file,
    transaction,
)
from tests.integration.test_event_producer import Topic
from tests.support.deployment import until
from tests.support.forked import run_pravah

KEYS = ["CG-AC001", "CG-AC002"]


@pytest.fixture
def topic(services: Settings) -> Iterator[Topic]:
    topic = Topic(services.kafka, 4)
    yield topic
    topic.delete()


def record(number: int, *, entity: str = "e", key: str = "CG-AC001", size: int = 0) -> OutboxRecord:
    return OutboxRecord(
        UUID(int=number), key, entity, orjson.dumps({"number": number, "filling": "x" * size})
    )


def numbers(topic: Topic) -> list[int]:
    return [orjson.loads(value or b"")["number"] for value in topic.values()]


def event(number: int) -> dict:
    return {
        "event_id": str(UUID(int=number)),
        "unit": "CG-AC001-B0001",
        "kind": "social_post",
        "occurred_at": "2022-05-03T18:05:00+05:30",
        "source": {"tool": "test", "producer": "outbox"},
        "data": {"platform": "facebook", "posts": number},
    }


@pytest.fixture
def unreachable(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KafkaSettings]:
    """An address without Kafka.

    kafka-python leaves refused sockets to the garbage collector, which warns about them.
    """
    caplog.set_level(logging.CRITICAL, logger="kafka")  # log records would hold its sockets
    monkeypatch.setattr("producers.outbox.relay._CONNECT_TIMEOUT_S", 0.5)
    yield KafkaSettings(bootstrap_servers="127.0.0.1:1")
    until(
        lambda: not any(thread.name == "outbox-relay" for thread in threading.enumerate()),
        "the relay ends",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


# --- the file


@given(st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=8), st.integers(1, 8))
@hypothesis_settings(max_examples=40)
def test_each_event_id_is_stored_once_and_a_batch_above_the_bounds_stores_nothing(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], max_rows: int
) -> None:
    outbox = Outbox(tmp_path_factory.mktemp("outbox") / "path.sqlite", Bounds(rows=max_rows))
    pending: list[int] = []
    for batch in batches:
        fresh = [
            number
            for place, number in enumerate(batch)
            if number not in pending and number not in batch[:place]
        ]
        if len(pending) + len(fresh) > max_rows:
            with pytest.raises(OutboxFullError, match="outbox is full"):
                outbox.put([record(number) for number in batch])
        else:
            new = outbox.put([record(number) for number in batch])
            assert [number for number, is_new in zip(batch, new, strict=True) if is_new] == fresh
            pending += fresh
        assert outbox.depth().rows == len(pending)
        assert outbox.depth().bytes == sum(len(record(number).value) for number in pending)
    outbox.close()


def test_the_bound_in_bytes_holds_and_too_large_events_are_invalid(
    tmp_path: Path,
) -> None:
    outbox = Outbox(tmp_path / "path.sqlite", Bounds(bytes=10_000))
    outbox.put([record(1, size=9_000)])
    with pytest.raises(OutboxFullError, match="Send it again"):
        outbox.put([record(2, size=2_000)])
    with pytest.raises(ValueError, match="at most"):
        outbox.put([record(3, size=MAX_EVENT_BYTES)])
    assert outbox.put([record(1), record(4)]) == [False, True]
    outbox.close()


def test_ids_expire_but_never_those_of_pending_events(
    tmp_path: Path,
) -> None:
    outbox = Outbox(tmp_path / "path.sqlite", Bounds(memory_days=0.0))
    outbox.put([record(1)])
    connection = open_file(tmp_path / "path.sqlite")
    with transaction(connection):
        connection.execute("UPDATE outbox_ids SET at = at - 100")
        connection.execute("UPDATE outbox SET at = at - 100")
        connection.execute("INSERT INTO outbox_ids VALUES (?, 0)", (UUID(int=9).bytes,))
    outbox._pruned_at = 0.0
    assert outbox.put([record(1)]) == [False]
    assert [row[0] for row in connection.execute("SELECT event_id FROM outbox_ids")] == [
        UUID(int=1).bytes
    ]
    connection.close()
    outbox.close()


def test_the_file_is_accessible_to_its_owner_only(tmp_path: Path) -> None:
    Outbox(tmp_path / "path.sqlite").close()
    assert (tmp_path / "path.sqlite").stat().st_mode & 0o077 == 0


def test_a_locked_file_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.outbox.file._BUSY_TIMEOUT_S", 0.1)
    outbox, other = Outbox(tmp_path / "path.sqlite"), open_file(tmp_path / "path.sqlite")
    with transaction(other), pytest.raises(OutboxBusyError, match="not taken"):
        outbox.put([record(1)])
    assert outbox.put([record(1)]) == [True]
    other.close()
    outbox.close()


@pytest.mark.parametrize("where", ["file", "limit"])
def test_a_full_disk_raises_and_earlier_records_stay(tmp_path: Path, where: str) -> None:
    """Once the kernel limits the size of files (EFBIG, ENOSPC for SQLite), once SQLite does."""
    outbox = Outbox(tmp_path / "path.sqlite")
    outbox.put([record(1)])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if where == "file":
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, before[1]))
    else:
        outbox._connection.execute("PRAGMA max_page_count = 100")
    accepted = [1]
    try:
        for number in range(2, 500):
            try:
                outbox.put([record(number, size=10_000)])
            except OutboxFullError as error:
                assert "disk is full" in str(error)
                break
            accepted.append(number)
        assert len(accepted) < 400
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    outbox._connection.execute("PRAGMA max_page_count = 1000000")
    assert outbox.put([record(1_000)]) == [True]
    rows = outbox._connection.execute("SELECT event_id FROM outbox ORDER BY seq")
    assert [UUID(bytes=row[0]).int for row in rows] == [*accepted, 1_000]
    assert outbox.depth().rows == len(accepted) + 1
    outbox.close()


_WRITER = """
import sys
from pathlib import Path
from uuid import UUID
from producers.outbox import Outbox, OutboxRecord
outbox = Outbox(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 10**9):
    outbox.put([OutboxRecord(UUID(int=number), "CG", "e", b"%d" % number)])
    print(number, flush=True)
"""


def test_stored_records_survive_sigkill(tmp_path: Path) -> None:
    printed: list[int] = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path / "path.sqlite"), str(len(printed))],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        printed += [int(process.stdout.readline()) for _ in range(40)]
        process.kill()
        printed += [int(line) for line in process.stdout.read().splitlines() if line]
        process.wait()
        process.stdout.close()
    assert printed == list(range(len(printed)))
    outbox = Outbox(tmp_path / "path.sqlite")
    stored = [
        UUID(bytes=row[0]).int
        for row in outbox._connection.execute("SELECT event_id FROM outbox ORDER BY seq")
    ]
    outbox.close()
    assert stored in (
        printed,
        [*printed, len(printed)],
    )  # the last one may be stored but not printed


# --- the relay


def test_every_record_is_relayed_once_in_the_order_of_its_entity(
    services: Settings, topic: Topic, tmp_path: Path
) -> None:
    outbox = Outbox(tmp_path / "path.sqlite")
    outbox.put(
        [record(number, entity=f"e{number % 7}", key=KEYS[number % 2]) for number in range(700)]
    )
    relay = OutboxRelay(outbox.path, services.kafka, topic=topic.name)
    relay.start()
    until(lambda: outbox.depth().rows == 0, "the outbox is empty")
    outbox.put([record(number) for number in range(690, 720)])  # the first ten were relayed before
    relay.wake()
    until(lambda: outbox.depth().rows == 0, "the outbox is empty again")
    relay.stop()
    depth = outbox.depth()
    assert (depth.bytes, depth.handed_over, depth.trouble) == (0, 720, "")
    outbox.close()
    found = numbers(topic)
    assert sorted(found) == list(range(720))
    for entity in range(7):
        for rest in range(2):
            own = [
                number
                for number in found
                if number % 7 == entity and number % 2 == rest and number < 700
            ]
            assert own == sorted(own)


def test_only_one_of_several_relays_sends(services: Settings, topic: Topic, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "path.sqlite")
    outbox.put([record(number, entity=f"e{number}") for number in range(200)])
    relays = [OutboxRelay(outbox.path, services.kafka, topic=topic.name) for _ in range(3)]
    for relay in relays:
        relay.start()
    until(lambda: outbox.depth().rows == 0, "the outbox is empty")
    for number, relay in enumerate(relays):  # when one stops, another takes over
        relay.stop()
        outbox.put([record(1_000 + number)])
        if number < 2:
            until(lambda: outbox.depth().rows == 0, "another relay sends")
    assert outbox.depth().rows == 1
    outbox.close()
    assert sorted(numbers(topic)) == [*range(200), 1_000, 1_001]


def test_confirmed_records_that_cannot_be_deleted_now_are_not_sent_again(
    services: Settings, topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(tmp_path / "path.sqlite")
    outbox.put([record(number, entity=f"e{number}") for number in range(10)])
    remove, full = OutboxRelay._delete_confirmed, [3]

    def refused(self: OutboxRelay, connection: object) -> None:
        if self._confirmed and full[0]:
            full[0] -= 1
            msg = "the disk is full"
            raise OutboxFullError(msg)
        remove(self, connection)

    monkeypatch.setattr(OutboxRelay, "_delete_confirmed", refused)
    relay = OutboxRelay(outbox.path, services.kafka, topic=topic.name)
    relay.start()
    until(lambda: outbox.depth().rows == 0, "the outbox is empty")
    relay.stop()
    outbox.close()
    assert numbers(topic) == list(range(10))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_device_without_kafka_stores_its_events_until_kafka_is_up(
    services: Settings, unreachable: KafkaSettings, topic: Topic, tmp_path: Path
) -> None:
    with OutboxProducer(tmp_path / "path.sqlite", unreachable, topic=topic.name) as producer:
        producer.send_all(event(number) for number in range(50))
        with pytest.raises(EventError):
            producer.send_all([event(50), {"unit": "CG"}])
        with pytest.raises(EventError):
            producer.send(b"no event")
        until(lambda: "no Kafka answers" in producer.depth().trouble, "the reason is reported")
        assert not producer.flush(0.05)
        assert producer.depth().rows == 50
    with OutboxProducer(tmp_path / "path.sqlite", services.kafka, topic=topic.name) as producer:
        producer.send_all([event(49), event(50)])
        assert producer.flush(30)
    assert [orjson.loads(value or b"")["data"]["posts"] for value in topic.values()] == list(
        range(51)
    )


def test_several_threads_may_send(services: Settings, topic: Topic, tmp_path: Path) -> None:
    with OutboxProducer(tmp_path / "path.sqlite", services.kafka, topic=topic.name) as producer:
        threads = [
            threading.Thread(
                target=lambda first=first: [
                    producer.send(event(first * 1_000 + number)) for number in range(30)
                ]
            )
            for first in range(1, 5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert producer.flush(30)
    assert len(topic.values()) == 120


# --- pravah emit --outbox


def emit(
    home: Path, *arguments: object, given: bytes = b"", **environment: str
) -> tuple[int, dict]:
    variables = {**os.environ, "PRAVAH_HOME": str(home), **environment}
    done = run_pravah(["emit", "--json", *arguments], variables, given=given)
    with suppress(orjson.JSONDecodeError):
        return done.returncode, orjson.loads(done.stdout)
    return done.returncode, {"error": done.stderr}


@pytest.mark.usefixtures("deployment")
def test_emit_stores_events_without_kafka_and_relays_them_later(
    services: Settings, tmp_path: Path
) -> None:
    path, lines = (
        tmp_path / "path.sqlite",
        b"".join(orjson.dumps(event(number)) + b"\n" for number in range(20)) + b"no event\n",
    )
    code, output = emit(
        tmp_path, "-", "--outbox", path, given=lines, PRAVAH_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1"
    )
    assert (code, output["sent"], output["refused"], output["waiting"]) == (1, 20, 1, 20)
    code, output = emit(services.home, "-", "--outbox", path, "--drain")
    assert (code, output["sent"], output["waiting"]) == (0, 0, 0)
    code, output = emit(services.home, "-", "--outbox", path, given=lines.splitlines()[0])
    assert (code, output["sent"], output["repeated"], output["waiting"]) == (0, 0, 1, 0)
    code, output = emit(
        tmp_path,
        "-",
        "--outbox",
        tmp_path / "small.sqlite",
        given=lines,
        PRAVAH_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1",
        PRAVAH_OUTBOX_ROWS="5",
    )
    assert code == 1
    assert "outbox is full" in output["error"]
    code, output = emit(tmp_path, "-", "--drain")
    assert (code, "--outbox" in output["error"]) == (2, True)
