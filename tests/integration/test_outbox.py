"""The outbox: what was put is handed to Kafka once and in order, whatever dies, and what finds no room is refused."""

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

KEYS = ["CG-AC001", "CG-AC002"]


@pytest.fixture
def topic(services: Settings) -> Iterator[Topic]:
    topic = Topic(services.kafka, 4)
    yield topic
    topic.delete()


def written(
    number: int, *, entity: str = "e", key: str = "CG-AC001", size: int = 0
) -> OutboxRecord:
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
def nowhere(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KafkaSettings]:
    """Where no Kafka is. kafka-python leaves sockets that were refused to the garbage collector, which warns of them."""
    caplog.set_level(logging.CRITICAL, logger="kafka")  # kept log records would keep its sockets
    monkeypatch.setattr("producers.outbox._CONNECT_SECONDS", 0.5)
    yield KafkaSettings(bootstrap_servers="127.0.0.1:1")
    until(
        lambda: not any(thread.name == "outbox-forwarder" for thread in threading.enumerate()),
        "the forwarder ends",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


# --- the file ---------------------------------------------------------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=8), st.integers(1, 8))
@hypothesis_settings(max_examples=40)
def test_each_event_id_waits_once_and_a_batch_without_room_leaves_nothing(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], most: int
) -> None:
    outbox = Outbox(tmp_path_factory.mktemp("outbox") / "box.sqlite", Bounds(rows=most))
    waiting: list[int] = []
    for batch in batches:
        fresh = [
            number
            for place, number in enumerate(batch)
            if number not in waiting and number not in batch[:place]
        ]
        if len(waiting) + len(fresh) > most:
            with pytest.raises(OutboxFullError, match="outbox is full"):
                outbox.put([written(number) for number in batch])
        else:
            new = outbox.put([written(number) for number in batch])
            assert [number for number, is_new in zip(batch, new, strict=True) if is_new] == fresh
            waiting += fresh
        assert outbox.depth().rows == len(waiting)
        assert outbox.depth().bytes == sum(len(written(number).value) for number in waiting)
    outbox.close()


def test_the_bound_in_bytes_holds_and_an_event_larger_than_the_log_takes_is_no_event(
    tmp_path: Path,
) -> None:
    outbox = Outbox(tmp_path / "box.sqlite", Bounds(bytes=10_000))
    outbox.put([written(1, size=9_000)])
    with pytest.raises(OutboxFullError, match="Send it again"):
        outbox.put([written(2, size=2_000)])
    with pytest.raises(ValueError, match="at most"):
        outbox.put([written(3, size=MAX_EVENT_BYTES)])
    assert outbox.put([written(1), written(4)]) == [False, True]
    outbox.close()


def test_ids_are_forgotten_after_their_time_but_never_those_of_events_that_wait(
    tmp_path: Path,
) -> None:
    outbox = Outbox(tmp_path / "box.sqlite", Bounds(memory_days=0.0))
    outbox.put([written(1)])
    connection = open_file(tmp_path / "box.sqlite")
    with transaction(connection):
        connection.execute("UPDATE outbox_ids SET at = at - 100")
        connection.execute("UPDATE outbox SET at = at - 100")
        connection.execute("INSERT INTO outbox_ids VALUES (?, 0)", (UUID(int=9).bytes,))
    outbox._forgot = 0.0
    assert outbox.put([written(1)]) == [False]
    assert [row[0] for row in connection.execute("SELECT event_id FROM outbox_ids")] == [
        UUID(int=1).bytes
    ]
    connection.close()
    outbox.close()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    Outbox(tmp_path / "box.sqlite").close()
    assert (tmp_path / "box.sqlite").stat().st_mode & 0o077 == 0


def test_a_held_file_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.outbox._BUSY_SECONDS", 0.1)
    outbox, other = Outbox(tmp_path / "box.sqlite"), open_file(tmp_path / "box.sqlite")
    with transaction(other), pytest.raises(OutboxBusyError, match="not taken"):
        outbox.put([written(1)])
    assert outbox.put([written(1)]) == [True]
    other.close()
    outbox.close()


@pytest.mark.parametrize("where", ["file", "limit"])
def test_a_full_disk_is_a_refusal_and_what_was_taken_before_stays(
    tmp_path: Path, where: str
) -> None:
    """The kernel refuses to let any file of this process grow further (EFBIG, as ENOSPC for SQLite), and SQLite its own file."""
    outbox = Outbox(tmp_path / "box.sqlite")
    outbox.put([written(1)])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if where == "file":
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, before[1]))
    else:
        outbox._connection.execute("PRAGMA max_page_count = 100")
    taken = [1]
    try:
        for number in range(2, 500):
            try:
                outbox.put([written(number, size=10_000)])
            except OutboxFullError as error:
                assert "disk is full" in str(error)
                break
            taken.append(number)
        assert len(taken) < 400
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    outbox._connection.execute("PRAGMA max_page_count = 1000000")
    assert outbox.put([written(1_000)]) == [True]
    rows = outbox._connection.execute("SELECT event_id FROM outbox ORDER BY seq")
    assert [UUID(bytes=row[0]).int for row in rows] == [*taken, 1_000]
    assert outbox.depth().rows == len(taken) + 1
    outbox.close()


_WRITER = """
import sys
from pathlib import Path
from uuid import UUID
from producers.outbox import Letter, Outbox
outbox = Outbox(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 10**9):
    outbox.put([Letter(UUID(int=number), "CG", "e", b"%d" % number)])
    print(number, flush=True)
"""


def test_what_was_put_survives_sigkill(tmp_path: Path) -> None:
    told: list[int] = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path / "box.sqlite"), str(len(told))],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        told += [int(process.stdout.readline()) for _ in range(40)]
        process.kill()
        told += [int(line) for line in process.stdout.read().splitlines() if line]
        process.wait()
        process.stdout.close()
    assert told == list(range(len(told)))
    outbox = Outbox(tmp_path / "box.sqlite")
    kept = [
        UUID(bytes=row[0]).int
        for row in outbox._connection.execute("SELECT event_id FROM outbox ORDER BY seq")
    ]
    outbox.close()
    assert kept in (told, [*told, len(told)])  # one may have been put and not been told


# --- handing over -----------------------------------------------------------------------------------------------------------------------------------------


def test_everything_is_handed_over_once_in_the_order_of_each_entity_and_the_outbox_is_empty_then(
    services: Settings, topic: Topic, tmp_path: Path
) -> None:
    outbox = Outbox(tmp_path / "box.sqlite")
    outbox.put(
        [written(number, entity=f"e{number % 7}", key=KEYS[number % 2]) for number in range(700)]
    )
    forwarder = OutboxRelay(outbox.path, services.kafka, topic=topic.name)
    forwarder.start()
    until(lambda: outbox.depth().rows == 0, "the outbox is empty")
    outbox.put(
        [written(number) for number in range(690, 720)]
    )  # thirty of which it has handed over
    forwarder.wake()
    until(lambda: outbox.depth().rows == 0, "the outbox is empty again")
    forwarder.stop()
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


def test_one_forwards_however_many_processes_put(
    services: Settings, topic: Topic, tmp_path: Path
) -> None:
    outbox = Outbox(tmp_path / "box.sqlite")
    outbox.put([written(number, entity=f"e{number}") for number in range(200)])
    forwarders = [OutboxRelay(outbox.path, services.kafka, topic=topic.name) for _ in range(3)]
    for forwarder in forwarders:
        forwarder.start()
    until(lambda: outbox.depth().rows == 0, "the outbox is empty")
    for number, forwarder in enumerate(forwarders):  # whichever ends, another goes on
        forwarder.stop()
        outbox.put([written(1_000 + number)])
        if number < 2:
            until(lambda: outbox.depth().rows == 0, "another forwards")
    assert outbox.depth().rows == 1
    outbox.close()
    assert sorted(numbers(topic)) == [*range(200), 1_000, 1_001]


def test_what_cannot_be_removed_now_is_not_handed_over_again(
    services: Settings, topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(tmp_path / "box.sqlite")
    outbox.put([written(number, entity=f"e{number}") for number in range(10)])
    remove, full = OutboxRelay._remove, [3]

    def refused(self: OutboxRelay, connection: object) -> None:
        if self._confirmed and full[0]:
            full[0] -= 1
            msg = "the disk is full"
            raise OutboxFullError(msg)
        remove(self, connection)

    monkeypatch.setattr(OutboxRelay, "_remove", refused)
    forwarder = OutboxRelay(outbox.path, services.kafka, topic=topic.name)
    forwarder.start()
    until(lambda: outbox.depth().rows == 0, "the outbox is empty")
    forwarder.stop()
    outbox.close()
    assert numbers(topic) == list(range(10))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_device_without_kafka_keeps_its_events_until_there_is_one(
    services: Settings, nowhere: KafkaSettings, topic: Topic, tmp_path: Path
) -> None:
    with OutboxProducer(tmp_path / "box.sqlite", nowhere, topic=topic.name) as producer:
        producer.send_all(event(number) for number in range(50))
        with pytest.raises(EventError):
            producer.send_all([event(50), {"unit": "CG"}])
        with pytest.raises(EventError):
            producer.send(b"no event")
        until(lambda: "no Kafka answers" in producer.depth().trouble, "the reason is told")
        assert not producer.flush(0.05)
        assert producer.depth().rows == 50
    with OutboxProducer(tmp_path / "box.sqlite", services.kafka, topic=topic.name) as producer:
        producer.send_all([event(49), event(50)])
        assert producer.flush(30)
    assert [orjson.loads(value or b"")["data"]["posts"] for value in topic.values()] == list(
        range(51)
    )


def test_many_threads_may_send(services: Settings, topic: Topic, tmp_path: Path) -> None:
    with OutboxProducer(tmp_path / "box.sqlite", services.kafka, topic=topic.name) as producer:
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


# --- pravah emit --outbox ---------------------------------------------------------------------------------------------------------------------------------


def emit(
    home: Path, *arguments: object, given: bytes = b"", **environment: str
) -> tuple[int, dict]:
    command = [sys.executable, "-m", "pravah", "emit", "--json", *map(str, arguments)]
    done = subprocess.run(
        command,
        input=given,
        capture_output=True,
        check=False,
        env={**os.environ, "PRAVAH_HOME": str(home), **environment},
    )
    with suppress(orjson.JSONDecodeError):
        return done.returncode, orjson.loads(done.stdout)
    return done.returncode, {"error": done.stderr.decode()}


@pytest.mark.usefixtures("deployment")
def test_emit_takes_events_without_kafka_and_hands_them_over_later(
    services: Settings, tmp_path: Path
) -> None:
    box, lines = (
        tmp_path / "box.sqlite",
        b"".join(orjson.dumps(event(number)) + b"\n" for number in range(20)) + b"no event\n",
    )
    code, told = emit(
        tmp_path, "-", "--outbox", box, given=lines, PRAVAH_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1"
    )
    assert (code, told["sent"], told["refused"], told["waiting"]) == (1, 20, 1, 20)
    code, told = emit(services.home, "-", "--outbox", box, "--drain")
    assert (code, told["sent"], told["waiting"]) == (0, 0, 0)
    code, told = emit(services.home, "-", "--outbox", box, given=lines.splitlines()[0])
    assert (code, told["sent"], told["repeated"], told["waiting"]) == (0, 0, 1, 0)
    code, told = emit(
        tmp_path,
        "-",
        "--outbox",
        tmp_path / "small.sqlite",
        given=lines,
        PRAVAH_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1",
        PRAVAH_OUTBOX_ROWS="5",
    )
    assert code == 1
    assert "outbox is full" in told["error"]
    code, told = emit(tmp_path, "-", "--drain")
    assert (code, "--outbox" in told["error"]) == (2, True)
