"""What can be learnt of a Kafka from outside: brokers, topics, the newest records, the consumer group. It only looks, and judges nothing."""

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
_COORDINATOR_SECONDS = 15.0
"""On a new Kafka the group's coordinator appears at the first question."""
_SAMPLE_SECONDS = 15.0


class Disk(NamedTuple):
    """Where a server keeps its data; sizes in bytes."""

    name: str
    free: int
    total: int


@dataclass(frozen=True)
class Broker:
    """One broker."""

    number: int
    configs: Mapping[str, str]
    """Those of its settings that matter here and that our account may read."""
    disks: tuple[Disk, ...] = ()


@dataclass(frozen=True)
class Topic:
    """One topic that exists."""

    partitions: int
    replicas: int
    """Copies of that partition which has the fewest."""
    in_sync: int
    """The same, of the copies that are up to date; 0 where a partition has no leader."""
    configs: Mapping[str, str]
    """Those of its settings that matter here; empty if our account may not read them."""
    identity: str = ""
    """What Kafka named it when it was made."""


class Sampled(NamedTuple):
    """One record of `activity.events`, without its content."""

    partition: int
    offset: int
    timestamp: int
    """Milliseconds since 1970-01-01T00:00Z."""
    key: bytes | None
    unit: str | None
    """What its event names, if it is an event with a well-formed unit code."""


@dataclass(frozen=True)
class Group:
    """The workers together."""

    members: int
    committed: Mapping[int, int] = field(default_factory=dict)
    """Partition of `activity.events` → offset."""


@dataclass(frozen=True)
class KafkaFacts:
    """A Kafka as it was found."""

    brokers: tuple[Broker, ...]
    topics: Mapping[str, Topic]
    """By name; those of `TOPICS` that exist."""
    begins: Mapping[int, int]
    """Partition of `activity.events` → its oldest offset."""
    ends: Mapping[int, int]
    """The same → the offset that its next record gets."""
    sample: tuple[Sampled, ...]
    """The newest records of `activity.events`, of each partition in the order of their offsets."""
    group: Group
    looked_at: int
    """Our clock when the sample had been read, milliseconds since 1970-01-01T00:00Z."""


def look_at_kafka(
    kafka: KafkaSettings, group: str, *, sample: int = 300, seconds: float = 10.0
) -> KafkaFacts:
    """Gather the facts. Changes nothing, and belongs to no group.

    Args:
        kafka: where.
        group: the name of the workers' consumer group.
        sample: the most records of each partition that are looked at.
        seconds: so long a first answer is awaited.

    Raises:
        kafka.errors.KafkaError, OSError, ValueError: there is no Kafka, or it does not let us in.
    """
    _reach(kafka.bootstrap_servers.split(","), seconds)
    with _admin(kafka, seconds) as admin:
        topics = {name: topic for name, topic in _topics(admin) if name in TOPICS}
        brokers = tuple(_brokers(admin))
        workers = _group(admin, group)
    begins, ends, records = _log(kafka, sample, seconds) if EVENTS in topics else ({}, {}, ())
    return KafkaFacts(brokers, topics, begins, ends, records, workers, time.time_ns() // 1_000_000)


def unit_of(value: bytes | None) -> str | None:
    """The well-formed unit code that a record's value names, or None."""
    try:
        event = orjson.loads(value or b"")
        unit = event["unit"]
        level_of(unit)
    except (ValueError, KeyError, TypeError):
        return None
    return str(unit)


def _reach(servers: Iterable[str], seconds: float) -> None:
    """See that one of the servers takes a connection: the reasons are better told here than by a client that tries again and again.

    Raises:
        OSError: none does; with the reason of each.
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
    # asked for all rather than by name: a broker that makes topics by itself would make those that are asked for
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
        told["broker"]: told["log_dirs"] for told in admin.describe_log_dirs([EVENTS], numbers)
    }
    for number in sorted(numbers):
        # an account without the right to it, and an old broker, tell no sizes
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
    """The settings of topics or brokers, by name; what our account may not read is not there."""
    if not names:
        return {}
    described = admin.describe_configs(
        [ConfigResource(kind, name, list(keys)) for name in names], config_filter="all"
    )
    return {
        name: {key: str(told["value"]) for key, told in found.items()}
        for name, found in described.get(kind, {}).items()
    }


def _group(admin: Any, group: str) -> Group:
    coordinator_away = retry_if_exception_type((CoordinatorNotAvailableError, NotCoordinatorError))
    patiently = Retrying(
        retry=coordinator_away,
        stop=stop_after_delay(_COORDINATOR_SECONDS),
        wait=wait_fixed(0.25),
        reraise=True,
    )
    described = patiently(admin.describe_groups, [group])[group]
    committed = patiently(admin.list_group_offsets, {group: None}).get(group, {})
    return Group(
        len(described["members"]),
        {
            tp.partition: at.offset
            for tp, at in committed.items()
            if tp.topic == EVENTS and at.offset >= 0
        },
    )


def _log(
    kafka: KafkaSettings, sample: int, seconds: float
) -> tuple[dict[int, int], dict[int, int], tuple[Sampled, ...]]:
    """Where `activity.events` begins and ends, and its newest records."""
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
        found: list[Sampled] = []
        deadline = time.monotonic() + _SAMPLE_SECONDS
        while time.monotonic() < deadline and any(
            consumer.position(tp) < ends[tp] for tp in partitions
        ):
            for tp, records in consumer.poll(timeout_ms=250).items():
                found += (
                    Sampled(tp.partition, one.offset, one.timestamp, one.key, unit_of(one.value))
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
