"""The producer SDK on a real Kafka: no loss, the right keys, every refused record reported."""

import gc
import logging
import os
import secrets
import threading
import warnings
from collections.abc import Iterator
from uuid import uuid4

import orjson
import pytest
from aiokafka.partitioner import murmur2
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from pravah.events import EventError, parse_event
from pravah.kafka import client_options
from pravah.producer import BufferFullError, DeliveryReport, EventProducer, ProducerError
from pravah.settings import KafkaSettings, Settings
from pravah.units import routing_key
from producers.mapping.delivery_ids import derive_event_id
from producers.topics.registry import publish_registry, read_registry
from schemas.registry import Registry
from tests.support import small_world

UNITS_OF_ALL_LEVELS = ("CG", "CG-V-N", "CG-D-A", "CG-AC001", "CG-AC001-B0001", "CG-AC002-B0005")


def event(entity: str, version: int = 1, unit: str = "CG-AC001-B0001") -> dict[str, object]:
    return {
        "event_id": str(derive_event_id(entity, version)),
        "entity": entity,
        "version": version,
        "unit": unit,
        "kind": "social_post",
        "occurred_at": "2022-03-05T12:00:00+05:30",
        "source": {"tool": "test", "producer": "sdk"},
        "data": {"platform": "facebook", "posts": 2},
    }


class Topic:
    """A topic of one test, and its records."""

    def __init__(self, kafka: KafkaSettings, partitions: int, **configs: str) -> None:
        self.name, self.partitions, self._kafka = f"test.{uuid4().hex}", partitions, kafka
        self._admin = KafkaAdminClient(**client_options(kafka))
        self._admin.create_topics([NewTopic(self.name, partitions, 1, topic_configs=configs)])

    def records(self) -> list[tuple[int, bytes | None, bytes | None]]:
        """Partition, key and value of every record."""
        consumer = KafkaConsumer(
            **client_options(self._kafka), group_id=None, enable_auto_commit=False
        )
        partitions = [TopicPartition(self.name, number) for number in range(self.partitions)]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(partitions)
        found = []
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for records in consumer.poll(timeout_ms=200).values():
                found += [(record.partition, record.key, record.value) for record in records]
        consumer.close()
        return found

    def values(self) -> list[bytes | None]:
        return [value for _, _, value in self.records()]

    def delete(self) -> None:
        self._admin.delete_topics([self.name])
        self._admin.close()


@pytest.fixture
def topic(services: Settings) -> Iterator[Topic]:
    topic = Topic(services.kafka, 12)
    yield topic
    topic.delete()


@pytest.fixture
def compacted(services: Settings) -> Iterator[Topic]:
    topic = Topic(services.kafka, 1, **{"cleanup.policy": "compact"})
    yield topic
    topic.delete()


def java_partition(key: bytes, partitions: int) -> int:
    """The partition by aiokafka, another implementation of Kafka's hash."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def test_events_get_their_routing_key_and_the_partition_that_every_kafka_client_computes(
    services: Settings, topic: Topic
) -> None:
    reports: list[DeliveryReport] = []
    with EventProducer(services.kafka, topic=topic.name, on_delivery=reports.append) as producer:
        for unit in UNITS_OF_ALL_LEVELS:
            producer.send(event(f"sdk:{unit}", unit=unit))
    found = {
        orjson.loads(value or b"")["unit"]: (partition, key)
        for partition, key, value in topic.records()
    }
    keys = {unit: routing_key(unit).encode() for unit in UNITS_OF_ALL_LEVELS}
    assert found == {
        unit: (java_partition(key, topic.partitions), key) for unit, key in keys.items()
    }
    assert {(report.key or "").encode(): report.partition for report in reports} == {
        key: partition for partition, key in found.values()
    }
    assert all(report.error is None and report.offset is not None for report in reports)


def test_models_mappings_and_bytes_are_accepted_and_bytes_are_sent_unchanged(
    services: Settings, topic: Topic
) -> None:
    given = orjson.dumps(event("sdk", 3), option=orjson.OPT_INDENT_2)
    with EventProducer(services.kafka, topic=topic.name) as producer:
        producer.send(event("sdk", 1))
        producer.send(parse_event(orjson.dumps(event("sdk", 2))))
        producer.send(given)
    values = topic.values()
    assert [parse_event(value).version for value in values] == [1, 2, 3]
    assert values[2] == given


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{",
        {"unit": "CG"},
        {**event("x"), "unit": "Narayanpur"},
        {**event("x"), "data": object()},
    ],
)
def test_an_invalid_event_is_refused_and_not_sent(
    services: Settings, topic: Topic, bad: object
) -> None:
    with EventProducer(services.kafka, topic=topic.name) as producer, pytest.raises(EventError):
        producer.send(bad)  # type: ignore[arg-type]
    assert topic.values() == []


def test_close_loses_nothing_and_keeps_the_order_of_an_entity(
    services: Settings, topic: Topic
) -> None:
    producer = EventProducer(services.kafka, topic=topic.name)
    for version in range(1, 5_001):
        producer.send_raw(orjson.dumps(event("sdk", version)), "CG-AC001")
    producer.close()
    assert (producer.delivered, producer.pending) == (5_000, 0)
    assert [orjson.loads(value or b"")["version"] for value in topic.values()] == list(
        range(1, 5_001)
    )
    producer.close()
    with pytest.raises(ProducerError, match="closed"):
        producer.send(event("sdk", 5_001))


def test_many_threads_may_send(services: Settings, topic: Topic) -> None:
    with EventProducer(services.kafka, topic=topic.name, buffer_bytes=20_000) as producer:

        def send(thread: int) -> None:
            for number in range(300):
                producer.send(event(f"sdk:{thread}:{number}"))

        threads = [threading.Thread(target=send, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    entities = [orjson.loads(value or b"")["entity"] for value in topic.values()]
    assert sorted(entities) == sorted(
        f"sdk:{thread}:{number}" for thread in range(4) for number in range(300)
    )


def test_a_full_buffer_holds_the_sender_back_and_loses_nothing(
    services: Settings, topic: Topic
) -> None:
    max_pending = 0
    with EventProducer(services.kafka, topic=topic.name, buffer_bytes=3_000) as producer:
        for version in range(1, 201):
            producer.send(event("sdk", version))
            max_pending = max(max_pending, producer.pending)
    assert 1 < max_pending <= 3_000 // len(orjson.dumps(event("sdk")))
    assert len(topic.values()) == 200


def test_a_buffer_that_stays_full_raises_and_the_record_is_not_sent(
    services: Settings, topic: Topic
) -> None:
    accepted: list[int] = []
    with EventProducer(
        services.kafka, topic=topic.name, buffer_bytes=1, block_seconds=0.0
    ) as producer:

        def send_fast() -> None:
            for version in range(1, 1_001):
                producer.send(event("sdk", version))
                accepted.append(version)

        with pytest.raises(BufferFullError, match="not accepted"):
            send_fast()
    assert [orjson.loads(value or b"")["version"] for value in topic.values()] == accepted


def test_refused_records_are_listed_and_the_rest_delivered(
    services: Settings, compacted: Topic
) -> None:
    reports: list[DeliveryReport] = []
    with EventProducer(
        services.kafka, topic=compacted.name, on_delivery=reports.append
    ) as producer:
        producer.send_raw(b"good", "CG")
        producer.flush()
        producer.send_raw(b"a compacted topic takes no record without key", None)
        with pytest.raises(ProducerError, match="1 records") as caught:
            producer.flush()
        producer.flush()  # reported once
    assert [report.value for report in caught.value.undelivered] == [
        b"a compacted topic takes no record without key"
    ]
    assert [(report.value, report.error is None) for report in reports] == [
        (b"good", True),
        (caught.value.undelivered[0].value, False),
    ]
    assert compacted.values() == [b"good"]


def test_close_reports_refused_records(services: Settings, compacted: Topic) -> None:
    producer = EventProducer(services.kafka, topic=compacted.name)
    producer.send_raw(b"no key", None)
    with pytest.raises(ProducerError) as caught:
        producer.close()
    assert [report.value for report in caught.value.undelivered] == [b"no key"]


def test_an_error_inside_the_block_is_raised_with_undelivered_records_noted(
    services: Settings, compacted: Topic
) -> None:
    def work() -> None:
        with EventProducer(services.kafka, topic=compacted.name) as producer:
            producer.send_raw(b"no key", None)
            raise KeyError

    with pytest.raises(KeyError) as caught:
        work()
    assert "1 records" in caught.value.__notes__[0]


def test_a_close_without_time_reports_pending_records_and_ends(
    services: Settings, topic: Topic
) -> None:
    producer = EventProducer(services.kafka, topic=topic.name)
    sent = [orjson.dumps(event("sdk", version)) for version in range(1, 2_001)]
    for value in sent:
        producer.send_raw(value, "CG-AC001")
    with pytest.raises(ProducerError) as caught:
        producer.close(timeout=0.0)
    assert producer.pending == 0
    assert {report.value for report in caught.value.undelivered} | set(topic.values()) == set(sent)


def test_a_record_larger_than_any_broker_takes_is_refused_at_once(
    services: Settings, topic: Topic
) -> None:
    with EventProducer(services.kafka, topic=topic.name) as producer:
        with pytest.raises(ProducerError, match="does not take"):
            producer.send_raw(os.urandom(9 * 1024 * 1024), "CG")
        producer.send(event("sdk"))
    assert len(topic.values()) == 1


def test_a_record_needs_a_key_or_a_value(services: Settings, topic: Topic) -> None:
    with (
        EventProducer(services.kafka, topic=topic.name) as producer,
        pytest.raises(ValueError, match="key or a value"),
    ):
        producer.send_raw(None, None)


def test_no_kafka_is_one_clear_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="kafka")  # stored log records hold its sockets
    with pytest.raises(ProducerError, match=r"no Kafka answers at 127\.0\.0\.1:1 .*pravah up"):
        EventProducer(KafkaSettings(bootstrap_servers="127.0.0.1:1"), connect_seconds=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ResourceWarning
        )  # kafka-python leaves sockets that were refused to the garbage collector
        gc.collect()


def test_no_topic_is_one_clear_error(services: Settings) -> None:
    with pytest.raises(ProducerError, match=r"has no topic 'activity\.none'"):
        EventProducer(services.kafka, topic="activity.none", connect_seconds=1)


def test_a_registry_is_published_once_and_then_only_its_changes(
    services: Settings, compacted: Topic
) -> None:
    registry = small_world.registry()
    assert read_registry(services.kafka, topic=compacted.name) is None
    assert publish_registry(services.kafka, registry, topic=compacted.name) == len(registry)
    assert publish_registry(services.kafka, registry, topic=compacted.name) == 0
    renamed = registry.units["CG-AC001"]._replace(name_en="Renamed")
    remaining = {
        code: unit
        for code, unit in registry.units.items()
        if code not in {"CG-AC002", "CG-AC002-B0005"}
    }
    changed = Registry({**remaining, "CG-AC001": renamed}.values())
    assert publish_registry(services.kafka, changed, topic=compacted.name) == 3
    written = [(key, value is None) for _, key, value in compacted.records()[len(registry) :]]
    assert written == [(b"CG-AC001", False), (b"CG-AC002", True), (b"CG-AC002-B0005", True)]
    found = read_registry(services.kafka, topic=compacted.name)
    assert found is not None
    assert found.fingerprint() == changed.fingerprint()


def test_a_partly_published_registry_is_one_clear_error_and_can_be_published_again(
    services: Settings, compacted: Topic
) -> None:
    registry = small_world.registry()
    long = registry.units["CG-AC001"]._replace(
        name_en=secrets.token_hex(10_000_000)
    )  # compressed, it is still more than the broker takes
    with pytest.raises(
        ProducerError,
        match=r"does not have all of the \d+ registry entries \(MessageSizeTooLargeError",
    ):
        publish_registry(
            services.kafka,
            Registry({**registry.units, "CG-AC001": long}.values()),
            topic=compacted.name,
        )
    publish_registry(services.kafka, registry, topic=compacted.name)
    found = read_registry(services.kafka, topic=compacted.name)
    assert found is not None
    assert found.fingerprint() == registry.fingerprint()


def test_no_topic_for_a_registry_is_one_clear_error(services: Settings) -> None:
    with pytest.raises(ProducerError, match=r"has no topic 'activity\.none'"):
        publish_registry(services.kafka, small_world.registry(), topic="activity.none")
