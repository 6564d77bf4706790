"""The producer SDK on a real Kafka: nothing is lost, nothing goes under a wrong key, nothing that Kafka refuses stays unsaid."""

import gc
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from datetime import date
from uuid import uuid4

import orjson
import pytest
import small_world
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from producers.identity import event_id
from producers.registry import publish_registry, read_registry
from producers.sdk import BufferFullError, DeliveryReport, EventProducer, ProducerError
from schemas.days import day_of
from schemas.events import EventError, parse_event
from schemas.registry import Registry
from schemas.topics import EVENTS, UNITS
from schemas.units import routing_key
from settings import KafkaSettings, Settings
from settings.kafka import client_options

UNITS_OF_ALL_LEVELS = ("CG", "CG-V-N", "CG-D-A", "CG-AC001", "CG-AC001-B0001", "CG-AC002-B0005")


def event(entity: str, version: int = 1, unit: str = "CG-AC001-B0001") -> dict[str, object]:
    return {
        "event_id": str(event_id(entity, version)),
        "entity": entity,
        "version": version,
        "unit": unit,
        "kind": "social_post",
        "occurred_at": "2022-03-05T12:00:00+05:30",
        "source": {"tool": "test", "producer": "sdk"},
        "data": {"platform": "facebook", "posts": 2},
    }


class Reader:
    """Reads what came into a topic since it was made."""

    def __init__(self, kafka: KafkaSettings, topic: str = EVENTS) -> None:
        self._consumer = KafkaConsumer(**client_options(kafka), group_id=None, enable_auto_commit=False)
        self._partitions = [TopicPartition(topic, number) for number in self._consumer.partitions_for_topic(topic)]
        self._consumer.assign(self._partitions)
        self._consumer.seek_to_end()
        self._from = {partition: self._consumer.position(partition) for partition in self._partitions}

    def records(self) -> list[tuple[int, bytes | None, bytes | None]]:
        """Partition, key and value of every record since."""
        ends = self._consumer.end_offsets(self._partitions)
        for partition, start in self._from.items():
            self._consumer.seek(partition, start)
        found = []
        while any(self._consumer.position(partition) < ends[partition] for partition in self._partitions):
            for records in self._consumer.poll(timeout_ms=200).values():
                found += [(record.partition, record.key, record.value) for record in records]
        return found

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture
def reader(services: Settings) -> Iterator[Reader]:
    reader = Reader(services.kafka)
    yield reader
    reader.close()


@pytest.fixture
def compacted(services: Settings) -> Iterator[str]:
    """A compacted topic of this test alone."""
    topic, admin = f"units.test.{uuid4().hex}", KafkaAdminClient(**client_options(services.kafka))
    admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"cleanup.policy": "compact"})])
    yield topic
    admin.delete_topics([topic])
    admin.close()


def test_an_event_of_any_unit_arrives_under_its_routing_key_in_the_partition_that_every_kafka_client_gives_it(services: Settings, reader: Reader) -> None:
    entity = f"sdk:{uuid4()}"
    reports: list[DeliveryReport] = []
    with EventProducer(services.kafka, on_delivery=reports.append) as producer:
        for unit in UNITS_OF_ALL_LEVELS:
            producer.send(event(f"{entity}:{unit}", unit=unit))
    found = [(partition, key, orjson.loads(value or b"")) for partition, key, value in reader.records() if entity.encode() in (value or b"")]
    assert {told["unit"]: (key or b"").decode() for _, key, told in found} == {unit: routing_key(unit) for unit in UNITS_OF_ALL_LEVELS}
    partitions = len(services_partitions(services))
    assert {(key, partition) for partition, key, _ in found} == {(key, java_partition(key or b"", partitions)) for _, key, _ in found}
    assert {report.partition for report in reports} == {partition for partition, _, _ in found}
    assert all(report.error is None and report.offset is not None for report in reports)


def services_partitions(services: Settings) -> set[int]:
    consumer = KafkaConsumer(**client_options(services.kafka))
    try:
        return set(consumer.partitions_for_topic(EVENTS))
    finally:
        consumer.close()


def java_partition(key: bytes, partitions: int) -> int:
    """As aiokafka, another implementation of Kafka's hash, has it."""
    from aiokafka.partitioner import murmur2  # noqa: PLC0415 - only here

    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def test_models_mappings_and_bytes_are_all_taken_and_bytes_stay_as_they_are(services: Settings, reader: Reader) -> None:
    entity = f"sdk:{uuid4()}"
    given = orjson.dumps(event(entity, 3), option=orjson.OPT_INDENT_2)
    with EventProducer(services.kafka) as producer:
        producer.send(event(entity, 1))
        producer.send(parse_event(orjson.dumps(event(entity, 2))))
        producer.send(given)
    values = [value for _, _, value in reader.records() if value and entity.encode() in value]
    assert [parse_event(value).version for value in values] == [1, 2, 3]
    assert values[2] == given


@pytest.mark.parametrize("bad", [b"", b"{", {"unit": "CG"}, {**event("x"), "unit": "Narayanpur"}, {**event("x"), "data": object()}])
def test_what_is_no_event_is_refused_and_not_sent(services: Settings, bad: object) -> None:
    with EventProducer(services.kafka) as producer:
        with pytest.raises(EventError):
            producer.send(bad)  # type: ignore[arg-type]
        producer.flush()
        assert producer.delivered == 0


def test_close_loses_nothing_and_keeps_the_order_of_an_entity(services: Settings, reader: Reader) -> None:
    entity = f"sdk:{uuid4()}"
    producer = EventProducer(services.kafka)
    for version in range(1, 5_001):
        producer.send_raw(orjson.dumps(event(entity, version)), "CG-AC001")
    producer.close()
    assert (producer.delivered, producer.waiting) == (5_000, 0)
    assert [orjson.loads(value)["version"] for _, _, value in reader.records() if value and entity.encode() in value] == list(range(1, 5_001))
    producer.close()
    with pytest.raises(ProducerError, match="closed"):
        producer.send(event(entity, 5_001))


def test_many_threads_may_send(services: Settings, reader: Reader) -> None:
    entity = f"sdk:{uuid4()}"
    with EventProducer(services.kafka, buffer_bytes=20_000) as producer:

        def send(thread: int) -> None:
            for number in range(300):
                producer.send(event(f"{entity}:{thread}:{number}"))

        threads = [threading.Thread(target=send, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({orjson.loads(value)["entity"] for _, _, value in reader.records() if value and entity.encode() in value}) == 1_200


def test_a_full_buffer_holds_the_sender_back_and_loses_nothing(services: Settings, reader: Reader) -> None:
    entity, most = f"sdk:{uuid4()}", 0
    with EventProducer(services.kafka, buffer_bytes=3_000) as producer:
        for version in range(1, 201):
            producer.send(event(entity, version))
            most = max(most, producer.waiting)
    assert most <= 3_000 // len(orjson.dumps(event(entity)))
    assert len([value for _, _, value in reader.records() if value and entity.encode() in value]) == 200


def test_a_buffer_that_stays_full_is_told_and_the_record_not_taken(services: Settings, reader: Reader) -> None:
    entity, taken = f"sdk:{uuid4()}", 0
    with EventProducer(services.kafka, buffer_bytes=1, block_seconds=0.0) as producer:
        with pytest.raises(BufferFullError, match="not taken"):
            for version in range(1, 1_001):
                producer.send(event(entity, version))
                taken += 1
    assert len([value for _, _, value in reader.records() if value and entity.encode() in value]) == taken


def test_what_kafka_refuses_is_listed_and_the_rest_delivered(services: Settings, compacted: str) -> None:
    reports: list[DeliveryReport] = []
    with EventProducer(services.kafka, topic=compacted, on_delivery=reports.append) as producer:
        producer.send_raw(b"good", "CG")
        producer.flush()
        producer.send_raw(b"a compacted topic takes no record without key", None)
        with pytest.raises(ProducerError, match="1 records") as caught:
            producer.flush()
        producer.flush()  # told once
    assert [report.value for report in caught.value.undelivered] == [b"a compacted topic takes no record without key"]
    assert [(report.value, report.error is None) for report in reports] == [(b"good", True), (caught.value.undelivered[0].value, False)]


def test_close_tells_what_kafka_refused(services: Settings, compacted: str) -> None:
    producer = EventProducer(services.kafka, topic=compacted)
    producer.send_raw(b"no key", None)
    with pytest.raises(ProducerError) as caught:
        producer.close()
    assert [report.value for report in caught.value.undelivered] == [b"no key"]


def test_an_error_inside_the_block_stays_the_one_that_is_seen_and_notes_what_was_not_delivered(services: Settings, compacted: str) -> None:
    with pytest.raises(KeyError) as caught, EventProducer(services.kafka, topic=compacted) as producer:
        producer.send_raw(b"no key", None)
        raise KeyError
    assert "1 records" in caught.value.__notes__[0]


def test_a_close_without_time_tells_what_is_on_its_way_and_ends(services: Settings) -> None:
    entity = f"sdk:{uuid4()}"
    producer = EventProducer(services.kafka)
    for version in range(1, 2_001):
        producer.send(event(entity, version))
    with pytest.raises(ProducerError) as caught:
        producer.close(timeout=0.0)
    assert len(caught.value.undelivered) + producer.delivered >= 2_000
    assert not any(thread.is_alive() for thread in threading.enumerate() if "pravah-producer" in thread.name)


def test_a_record_larger_than_any_broker_takes_is_refused_at_once(services: Settings) -> None:
    with EventProducer(services.kafka) as producer, pytest.raises(ProducerError, match="does not take"):
        producer.send_raw(os.urandom(9 * 1024 * 1024), "CG")


def test_a_record_needs_a_key_or_a_value(services: Settings) -> None:
    with EventProducer(services.kafka) as producer, pytest.raises(ValueError, match="key or a value"):
        producer.send_raw(None, None)


def test_no_kafka_is_one_clear_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="kafka")  # kept log records would keep its sockets
    with pytest.raises(ProducerError, match=r"no Kafka answers at 127\.0\.0\.1:1 .*pravah up"):
        EventProducer(KafkaSettings(bootstrap_servers="127.0.0.1:1"), connect_seconds=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # kafka-python leaves sockets that were refused to the garbage collector
        gc.collect()


def test_no_topic_is_one_clear_error(services: Settings) -> None:
    with pytest.raises(ProducerError, match=r"has no topic 'activity\.none'"):
        EventProducer(services.kafka, topic="activity.none", connect_seconds=1)


def test_a_registry_is_published_once_and_then_only_its_changes(services: Settings, compacted: str) -> None:
    registry = small_world.registry()
    assert read_registry(services.kafka, topic=compacted) is None
    assert publish_registry(services.kafka, registry, topic=compacted) == len(registry)
    assert publish_registry(services.kafka, registry, topic=compacted) == 0
    renamed = registry.units["CG-AC001"]._replace(name_en="Renamed", last=day_of(date(2030, 1, 1)))
    kept = {code: unit for code, unit in registry.units.items() if code not in {"CG-AC002", "CG-AC002-B0005"}}
    changed = Registry({**kept, "CG-AC001": renamed}.values())
    reader = Reader(services.kafka, compacted)
    assert publish_registry(services.kafka, changed, topic=compacted) == 3
    written = {key: value for _, key, value in reader.records()}
    reader.close()
    assert written.keys() == {b"CG-AC001", b"CG-AC002", b"CG-AC002-B0005"}
    assert written[b"CG-AC002"] is None


def test_what_is_read_back_is_what_was_published(services: Settings, compacted: str) -> None:
    publish_registry(services.kafka, small_world.registry(), topic=compacted)
    found = read_registry(services.kafka, topic=compacted)
    assert found is not None
    assert found.fingerprint() == small_world.registry().fingerprint()
    assert UNITS != compacted
