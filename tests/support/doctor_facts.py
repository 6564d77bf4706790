"""Facts of a deployment that is well, and ways to make one of them ill, for tests of the doctor."""

import dataclasses
from pathlib import Path

from doctor import Check, Facts
from doctor.facts import UnitsTopic
from doctor.facts.clickhouse import Account, Chunk, PartCount, ServerFacts, TableFacts
from doctor.facts.disk import Disk
from doctor.facts.gateway import GatewayFacts, GatewayFile
from doctor.facts.kafka import Broker, ConsumerGroup, KafkaFacts, SampledRecord, Topic
from pravah.settings import Settings
from pravah.topics import ALERTS, EVENTS, REJECTED, UNITS
from producers.gateway.status import GatewayStatus, Habit, SourceStatus
from producers.outbox import OutboxDepth
from sinks.deployment import EVENTS_PARTITIONS, EVENTS_TOPIC, REGISTRY
from streams.app import partition_of
from tests.support import small_world

DAY, HOUR = 86_400_000, 3_600_000
NOW = 1_650_000_000_000
GIB = 1 << 30
UNIT = "CG-AC001-B0001"
HOME = partition_of("CG-AC001", 12)


def topic(
    partitions: int = 12,
    replicas: int = 1,
    in_sync: int | None = None,
    identity: str = "first",
    **configs: str,
) -> Topic:
    usual = {
        "cleanup.policy": "delete",
        "max.message.bytes": str(4 << 20),
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": "1",
        "retention.bytes": "-1",
        "retention.ms": str(30 * DAY),
        "unclean.leader.election.enable": "false",
    }
    return Topic(
        partitions,
        replicas,
        replicas if in_sync is None else in_sync,
        {**usual, **configs},
        identity,
    )


BROKER = Broker(
    1,
    {"group.min.session.timeout.ms": "1000", "group.max.session.timeout.ms": "1800000"},
    (Disk("/data", 50 * GIB, 100 * GIB),),
)
KAFKA = KafkaFacts(
    brokers=(BROKER,),
    topics={
        EVENTS: topic(),
        REJECTED: topic(**{"max.message.bytes": str(8 << 20), "retention.ms": str(90 * DAY)}),
        ALERTS: topic(1),
        UNITS: topic(1, **{"cleanup.policy": "compact"}),
    },
    begin_offsets=dict.fromkeys(range(12), 0),
    end_offsets=dict.fromkeys(range(12), 100),
    sample=(SampledRecord(HOME, 99, NOW - 5000, b"CG-AC001", UNIT),),
    group=ConsumerGroup(1, dict.fromkeys(range(12), 0)),
    gathered_at=NOW,
)
SERVER = ServerFacts(
    version="26.7.2.1",
    clock_ahead_seconds=0.0,
    accounts={"writer": Account(), "grafana": Account(), "aicc": Account()},
    migration=4,
    newest_migration=4,
    part_counts=(PartCount("journal", 7),),
    parts_to_delay=1000,
    parts_to_throw=3000,
    disks=(Disk("default", 50 * GIB, 100 * GIB),),
    detached_parts=(),
    replicas=(),
    unreadable_tables=(),
)
TABLES = TableFacts(
    deployment={EVENTS_PARTITIONS: "12", EVENTS_TOPIC: "first", REGISTRY: "abc"},
    closed_to={},
    durable_to=dict.fromkeys(range(12), 100),
    seconds_since_write=dict.fromkeys(range(12), 1),
    open_chunks=tuple(Chunk(number, 0, 100, False) for number in range(12)),
    oversized_chunks=(),
    overlapping_chunks=(),
    metrics=tuple(
        (m.metric, m.type, m.unit, m.name_en, m.name_hi)
        for m in small_world.dictionary().metrics.values()
    ),
    unit_count=15,
    incomplete_repairs=(),
    reconciliation=None,
)
SOURCE = SourceStatus(
    name="kobo-all",
    last_seen=NOW / 1000 - 600,
    last_accepted=NOW / 1000 - 600,
    accepted=100,
    repeated=0,
    superseded=0,
    silence=600.0,
    habit=Habit(median=900.0, longest=3_600.0),
)
STATUS = GatewayStatus(
    sources=[SOURCE],
    outbox=OutboxDepth(0, 0, None, 100, NOW / 1000 - 1, ""),
    archive_bytes=1 << 20,
    registry_at=NOW / 1000 - 7_200,
    unknown_senders=0,
)
GATEWAY_FILE = GatewayFile(
    path=Path("/data/gateway/gateway.sqlite"),
    status=STATUS,
    pulls={},
    archive_oldest_at=NOW / 1000 - 30 * 86_400,
    registry_fingerprint="abc",
    is_running=True,
    disk=Disk("/data/gateway", 50 * GIB, 100 * GIB),
    gathered_at=NOW / 1000,
)
GATEWAY = GatewayFacts(Path("sources"), ("kobo-all",), (), GATEWAY_FILE)
WELL = Facts(
    settings=Settings(person_key="0123456789abcdef"),
    dictionary=small_world.dictionary(),
    plan_problem="",
    is_embedded=True,
    missing_files=(),
    missing_libraries="",
    kafka_or_reason=KAFKA,
    units_or_reason=UnitsTopic(15, "abc"),
    server_or_reason=SERVER,
    tables_or_reason=TABLES,
    gateway_or_reason=GATEWAY,
)


def facts(**changes: object) -> Facts:
    return dataclasses.replace(WELL, **changes)


def kafka(**changes: object) -> Facts:
    return facts(kafka_or_reason=dataclasses.replace(KAFKA, **changes))


def events(**configs: str) -> Facts:
    return kafka(topics={**KAFKA.topics, EVENTS: topic(**configs)})


def named(name: str, changed: Topic) -> Facts:
    return kafka(topics={**KAFKA.topics, name: changed})


def server(**changes: object) -> Facts:
    return facts(server_or_reason=dataclasses.replace(SERVER, **changes))


def tables(**changes: object) -> Facts:
    return facts(tables_or_reason=dataclasses.replace(TABLES, **changes))


def settings(**changes: object) -> Facts:
    return facts(settings=WELL.settings.model_copy(update=changes))


def copies(brokers: int, replicas: int, in_sync: int, needed: int) -> Facts:
    every = {
        name: topic(12, 3, 3, **{**found.configs, "min.insync.replicas": "2"})
        for name, found in KAFKA.topics.items()
    }
    every[EVENTS] = topic(12, replicas, in_sync, **{"min.insync.replicas": str(needed)})
    return kafka(
        brokers=tuple(dataclasses.replace(BROKER, number=number) for number in range(brokers)),
        topics=every,
    )


def account(role: str, **changes: object) -> Facts:
    return server(accounts={**SERVER.accounts, role: Account(**changes)})


def sampled(**changes: object) -> Facts:
    return kafka(sample=(KAFKA.sample[0]._replace(**changes),))


def gateway_file(**changes: object) -> Facts:
    file = dataclasses.replace(GATEWAY_FILE, **changes)
    return facts(gateway_or_reason=dataclasses.replace(GATEWAY, file=file))


def gateway_status(**changes: object) -> Facts:
    return gateway_file(status=dataclasses.replace(STATUS, **changes))


def wrong(checks: list[Check], verdict: str = "") -> list[Check]:
    return [
        check
        for check in checks
        if check.verdict == verdict or (not verdict and check.verdict != "ok")
    ]
