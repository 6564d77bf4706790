"""Facts about Kafka: brokers, topics, the newest events and the consumer group. Changes nothing."""

import socket
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, KafkaAdminClient
from kafka.errors import BrokerResponseError, CoordinatorNotAvailableError, NotCoordinatorError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from doctor.facts.disk import Disk
from pravah.kafka import client_options
from pravah.settings import KafkaSettings
from pravah.topics import ALERTS, EVENTS, REJECTED, UNITS
from pravah.units import level_of

TOPICS = (EVENTS, REJECTED, ALERTS, UNITS)
_TOPIC_CONFIGS = (
    *("cleanup.policy", "max.message.bytes", "message.timestamp.type", "min.insync.replicas"),
    *("retention.bytes", "retention.ms", "unclean.leader.election.enable"),
)
_BROKER_CONFIGS = ("group.min.session.timeout.ms", "group.max.session.timeout.ms")
# A new Kafka creates the group's coordinator on the first request for it.
_COORDINATOR_SECONDS = 15.0
_SAMPLE_SECONDS = 15.0


@dataclass(frozen=True)
class Broker:
    """A broker of the cluster, with its settings that matter here."""

    number: int
    configs: Mapping[str, str]
    """The settings that the rules need and that our account may read."""
    disks: tuple[Disk, ...] = ()


@dataclass(frozen=True)
class Topic:
    """One existing topic."""

    partitions: int
    replicas: int
    """Replicas of the partition that has the fewest."""
    in_sync: int
    """In-sync replicas of the partition that has the fewest; 0 if a partition has no leader."""
    configs: Mapping[str, str]
    """The settings that the rules need; empty if our account may not read them."""
    identity: str = ""
    """Kafka's topic id."""


class SampledRecord(NamedTuple):
    """Position, key and unit of one record of `activity.events`."""

    partition: int
    offset: int
    timestamp: int
    """Milliseconds since 1970-01-01T00:00Z."""
    key: bytes | None
    unit: str | None
    """The event's unit; None if the value is no event with a well-formed unit code."""


@dataclass(frozen=True)
class ConsumerGroup:
    """The workers' consumer group."""

    members: int
    committed: Mapping[int, int] = field(default_factory=dict)
    """Partition of `activity.events` → offset."""


@dataclass(frozen=True)
class KafkaFacts:
    """State of a Kafka cluster."""

    brokers: tuple[Broker, ...]
    topics: Mapping[str, Topic]
    """Name → topic, for those of `TOPICS` that exist."""
    begin_offsets: Mapping[int, int]
    """Partition of `activity.events` → its oldest offset."""
    end_offsets: Mapping[int, int]
    """Partition of `activity.events` → the offset of its next record."""
    sample: tuple[SampledRecord, ...]
    """The newest records of `activity.events`, ordered by partition and offset."""
    group: ConsumerGroup
    gathered_at: int
    """Our clock after the sample was read, milliseconds since 1970-01-01T00:00Z."""


def gather_kafka(
    kafka: KafkaSettings, group: str, *, sample: int = 300, seconds: float = 10.0
) -> KafkaFacts:
    """Gather facts about Kafka. Changes nothing and joins no consumer group.

    Args:
        kafka: connection settings.
        group: the name of the workers' consumer group.
        sample: read at most this many of each partition's newest records.
        seconds: time-out of the first connection.

    Raises:
        kafka.errors.KafkaError, OSError, ValueError: Kafka is unreachable or refuses our account.
    """
    _check_reachable(kafka.bootstrap_servers.split(","), seconds)
    with _admin(kafka, seconds) as admin:
        topics = {name: topic for name, topic in _topics(admin) if name in TOPICS}
        brokers = tuple(_brokers(admin))
        workers = _group(admin, group)
    begin_offsets, end_offsets, records = (
        _read_log(kafka, sample, seconds) if EVENTS in topics else ({}, {}, ())
    )
    gathered_at = time.time_ns() // 1_000_000
    return KafkaFacts(brokers, topics, begin_offsets, end_offsets, records, workers, gathered_at)


def unit_of(value: bytes | None) -> str | None:
    """The unit code in a record's value, or None if there is no well-formed one."""
    try:
        event = orjson.loads(value or b"")
        unit = event["unit"]
        level_of(unit)
    except (ValueError, KeyError, TypeError):
        return None
    return str(unit)


def _check_reachable(servers: Iterable[str], seconds: float) -> None:
    """Check that one of the servers accepts a TCP connection.

    The Kafka client retries without an end and hides the reason, so it is found out here first.

    Raises:
        OSError: no server does; the message has the reason of each.
    """
    reasons = []
    for server in servers:
        host, _, port = server.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
        except OSError as error:
            reasons.append(f"{server.strip()}: {error.strerror or error}")
        else:
            return
    msg = "; ".join(reasons)
    raise ConnectionError(msg)


@contextmanager
def _admin(kafka: KafkaSettings, seconds: float) -> Iterator[Any]:
    admin = KafkaAdminClient(
        **client_options(kafka),
        bootstrap_timeout_ms=int(seconds * 1000),
        request_timeout_ms=int(max(seconds, 10.0) * 1000),
    )
    try:
        yield admin
    finally:
        admin.close()


def _topics(admin: Any) -> Iterator[tuple[str, Topic]]:
    # Lists all topics: with auto.create.topics.enable, a request by name would create the topic.
    described = [
        topic
        for topic in admin.describe_topics()
        if topic["name"] in TOPICS and not topic["error_code"]
    ]
    configs = _configs(admin, "topic", [topic["name"] for topic in described], _TOPIC_CONFIGS)
    for topic in described:
        partitions = topic["partitions"]
        in_sync = min(len(one["isr_nodes"]) if one["leader_id"] >= 0 else 0 for one in partitions)
        replicas = min(len(one["replica_nodes"]) for one in partitions)
        yield (
            topic["name"],
            Topic(
                len(partitions),
                replicas,
                in_sync,
                configs.get(topic["name"], {}),
                str(topic["topic_id"]),
            ),
        )


def _brokers(admin: Any) -> Iterator[Broker]:
    numbers = [int(broker["broker_id"]) for broker in admin.describe_cluster()["brokers"]]
    configs = _configs(admin, "broker", [str(number) for number in numbers], _BROKER_CONFIGS)
    folders = {
        found["broker"]: found["log_dirs"] for found in admin.describe_log_dirs([EVENTS], numbers)
    }
    for number in sorted(numbers):
        # Old brokers, and accounts without the right to it, report no sizes.
        disks = (
            Disk(folder["log_dir"], folder.get("usable_bytes", -1), folder.get("total_bytes", -1))
            for folder in folders.get(number, ())
        )
        yield Broker(
            number, configs.get(str(number), {}), tuple(disk for disk in disks if disk.total > 0)
        )


def _configs(
    admin: Any,
    kind: str,
    names: Collection[str],
    keys: Collection[str],
) -> dict[str, dict[str, str]]:
    """Settings of topics or brokers by name; those our account may not read are missing."""
    if not names:
        return {}
    described = admin.describe_configs(
        [ConfigResource(kind, name, list(keys)) for name in names], config_filter="all"
    )
    return {
        name: {key: str(config["value"]) for key, config in found.items()}
        for name, found in described.get(kind, {}).items()
    }


def _group(admin: Any, group: str) -> ConsumerGroup:
    coordinator_missing = retry_if_exception_type(
        (CoordinatorNotAvailableError, NotCoordinatorError)
    )
    patiently = Retrying(
        retry=coordinator_missing,
        stop=stop_after_delay(_COORDINATOR_SECONDS),
        wait=wait_fixed(0.25),
        reraise=True,
    )
    described = patiently(admin.describe_groups, [group])[group]
    committed = patiently(admin.list_group_offsets, {group: None}).get(group, {})
    return ConsumerGroup(
        len(described["members"]),
        {
            tp.partition: at.offset
            for tp, at in committed.items()
            if tp.topic == EVENTS and at.offset >= 0
        },
    )


def _read_log(
    kafka: KafkaSettings, sample: int, seconds: float
) -> tuple[dict[int, int], dict[int, int], tuple[SampledRecord, ...]]:
    """Begin and end offsets of `activity.events` by partition, and its newest records."""
    consumer = KafkaConsumer(
        **client_options(kafka),
        group_id=None,
        enable_auto_commit=False,
        allow_auto_create_topics=False,
        bootstrap_timeout_ms=int(seconds * 1000),
    )
    try:
        partitions = [
            TopicPartition(EVENTS, number)
            for number in sorted(consumer.partitions_for_topic(EVENTS) or ())
        ]
        consumer.assign(partitions)
        begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        for tp in partitions:
            consumer.seek(tp, max(begins[tp], ends[tp] - sample))
        found: list[SampledRecord] = []
        deadline = time.monotonic() + _SAMPLE_SECONDS
        while time.monotonic() < deadline and any(
            consumer.position(tp) < ends[tp] for tp in partitions
        ):
            for tp, records in consumer.poll(timeout_ms=250).items():
                found += (
                    SampledRecord(
                        tp.partition, one.offset, one.timestamp, one.key, unit_of(one.value)
                    )
                    for one in records
                    if one.offset < ends[tp]
                )
    except BrokerResponseError as error:
        msg = f"{EVENTS} cannot be read: {error}"
        raise ValueError(msg) from error
    finally:
        consumer.close()
    return (
        {tp.partition: begins[tp] for tp in partitions},
        {tp.partition: ends[tp] for tp in partitions},
        tuple(sorted(found)),
    )
