"""The doctor finds what would make figures wrong, late or lost, says what to do, and finds nothing in a deployment that is well."""

import dataclasses
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from kafka.admin import KafkaAdminClient
from kafka.structs import TopicPartition
from pydantic import SecretStr
from typer.testing import CliRunner

from doctor import doctor as command
from doctor.clickhouse_facts import (
    Account,
    Chunk,
    Detached,
    Parts,
    Reconciled,
    Repair,
    Replica,
    ServerFacts,
    TableFacts,
)
from doctor.clickhouse_facts import Disk as ServerDisk
from doctor.doctor import RULES, Check, Facts, UnitsTopic, diagnose, doctor, gather
from doctor.kafka_facts import Broker, Disk, Group, KafkaFacts, Sampled, Topic, unit_of
from pravah.kafka import client_options
from pravah.producer import EventProducer
from pravah.settings import KafkaSettings, Settings
from pravah.topics import ALERTS, EVENTS, REJECTED, UNITS
from pravah.units import routing_key
from producers.topics.registry import publish_registry
from schemas.registry import Registry
from sinks.connection import connect
from sinks.deployment import EVENTS_PARTITIONS, EVENTS_TOPIC, REGISTRY
from sinks.migrate import Schema, migrate
from streams.app import partition_of
from tests.support import small_world
from tests.support.deployment import Deployment, until

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
    begins=dict.fromkeys(range(12), 0),
    ends=dict.fromkeys(range(12), 100),
    sample=(Sampled(HOME, 99, NOW - 5000, b"CG-AC001", UNIT),),
    group=Group(1, dict.fromkeys(range(12), 0)),
    looked_at=NOW,
)
SERVER = ServerFacts(
    version="26.7.2.1",
    ahead_seconds=0.0,
    accounts={"writer": Account(), "grafana": Account(), "aicc": Account()},
    migration=4,
    newest_migration=4,
    parts=(Parts("journal", 7),),
    parts_to_delay=1000,
    parts_to_throw=3000,
    disks=(ServerDisk("default", 50 * GIB, 100 * GIB),),
    detached=(),
    replicas=(),
    unreadable=(),
)
TABLES = TableFacts(
    deployment={EVENTS_PARTITIONS: "12", EVENTS_TOPIC: "first", REGISTRY: "abc"},
    counted_to={},
    durable_to=dict.fromkeys(range(12), 100),
    still_seconds=dict.fromkeys(range(12), 1),
    open_chunks=tuple(Chunk(number, 0, 100, False) for number in range(12)),
    uncut=(),
    overlapping=(),
    metrics=tuple(
        (m.metric, m.type, m.unit, m.name_en, m.name_hi)
        for m in small_world.dictionary().metrics.values()
    ),
    units=15,
    repairs=(),
    reconciled=None,
)
WELL = Facts(
    settings=Settings(person_key="0123456789abcdef"),
    dictionary=small_world.dictionary(),
    plan_problem="",
    embedded=True,
    missing_files=(),
    missing_libraries="",
    kafka_or_why=KAFKA,
    units_or_why=UnitsTopic(15, "abc"),
    server_or_why=SERVER,
    tables_or_why=TABLES,
)


def facts(**changes: object) -> Facts:
    return dataclasses.replace(WELL, **changes)


def kafka(**changes: object) -> Facts:
    return facts(kafka_or_why=dataclasses.replace(KAFKA, **changes))


def events(**configs: str) -> Facts:
    return kafka(topics={**KAFKA.topics, EVENTS: topic(**configs)})


def named(name: str, changed: Topic) -> Facts:
    return kafka(topics={**KAFKA.topics, name: changed})


def server(**changes: object) -> Facts:
    return facts(server_or_why=dataclasses.replace(SERVER, **changes))


def tables(**changes: object) -> Facts:
    return facts(tables_or_why=dataclasses.replace(TABLES, **changes))


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


SASL = {"bootstrap_servers": "kafka.example.org:9093", "security_protocol": "SASL_SSL"}

CASES = [
    (
        "answers",
        "failure",
        facts(kafka_or_why="KafkaTimeoutError: no", units_or_why="Kafka does not answer"),
        "no Kafka answers",
        "pravah up",
    ),
    (
        "answers",
        "failure",
        facts(server_or_why="NetworkError: no", tables_or_why="ClickHouse does not answer"),
        "no ClickHouse answers",
        "pravah up",
    ),
    (
        "answers",
        "failure",
        facts(kafka_or_why="refused", embedded=False),
        "no Kafka answers",
        "PRAVAH_KAFKA__BOOTSTRAP_SERVERS",
    ),
    (
        "topics",
        "failure",
        kafka(topics={name: found for name, found in KAFKA.topics.items() if name != REJECTED}),
        "missing: activity.rejected",
        "pravah up",
    ),
    (
        "append time",
        "failure",
        events(**{"message.timestamp.type": "CreateTime"}),
        "CreateTime",
        "-c message.timestamp.type=LogAppendTime",
    ),
    (
        "append time",
        "warning",
        named(EVENTS, Topic(12, 1, 1, {})),
        "not checked: Kafka does not tell the settings of activity.events",
        "mend that first",
    ),
    (
        "events are kept",
        "failure",
        events(**{"cleanup.policy": "compact,delete"}),
        "compaction takes out events",
        "cleanup.policy=delete",
    ),
    (
        "retention",
        "failure",
        events(**{"retention.ms": str(HOUR)}),
        "kept 1 hours",
        f"retention.ms={30 * DAY}",
    ),
    (
        "retention",
        "warning",
        events(**{"retention.ms": str(6 * DAY)}),
        "kept 6 days",
        "a week or longer",
    ),
    (
        "size of the log",
        "warning",
        events(**{"retention.bytes": str(5 * GIB)}),
        "at most 5.0 GiB",
        "retention.bytes=-1",
    ),
    (
        "log and figures",
        "failure",
        kafka(begins={**KAFKA.begins, 3: 7}),
        "7 records were deleted before they were counted for good, in partition 3",
        "pravah replay lost",
    ),
    (
        "log and figures",
        "failure",
        kafka(ends={**KAFKA.ends, 4: 90}),
        "ends 10 records before what the figures counted, in partition 4",
        "pravah replay log",
    ),
    (
        "partitions",
        "failure",
        tables(deployment={**TABLES.deployment, EVENTS_PARTITIONS: "6"}),
        "12 partitions, the figures were counted from 6",
        "pravah replay log",
    ),
    (
        "partitions",
        "failure",
        settings(kafka=KafkaSettings(partitions=6)),
        "PRAVAH_KAFKA__PARTITIONS says 6",
        "PRAVAH_KAFKA__PARTITIONS=12",
    ),
    (
        "same topic",
        "failure",
        tables(deployment={**TABLES.deployment, EVENTS_TOPIC: "other"}),
        "was made anew",
        "pravah replay log",
    ),
    ("same topic", "warning", tables(deployment={REGISTRY: "abc"}), "not noted", "pravah up"),
    (
        "copies",
        "failure",
        copies(3, 3, 1, 2),
        "1 copies in sync, min.insync.replicas is 2",
        "start the brokers",
    ),
    ("copies", "failure", copies(1, 1, 0, 1), "0 copies in sync", "start the brokers"),
    (
        "copies",
        "warning",
        copies(3, 3, 2, 2),
        "of 3 copies of a partition 2 are in sync",
        "start the broker",
    ),
    ("copies", "warning", copies(3, 1, 1, 1), "one copy on 3 brokers", "kafka-reassign-partitions"),
    (
        "copies",
        "warning",
        copies(3, 3, 3, 1),
        "what one broker alone confirmed is lost with it",
        "min.insync.replicas=2",
    ),
    (
        "copies",
        "warning",
        copies(3, 3, 3, 3),
        "with any broker down nothing can be sent",
        "kafka-reassign-partitions",
    ),
    (
        "election",
        "warning",
        events(**{"unclean.leader.election.enable": "true"}),
        "vanish",
        "unclean.leader.election.enable=false",
    ),
    (
        "record sizes",
        "failure",
        events(**{"max.message.bytes": "1048588"}),
        "an event may have 1.0 MiB",
        "max.message.bytes=4194304",
    ),
    (
        "record sizes",
        "failure",
        events(**{"max.message.bytes": str(16 << 20)}),
        "a worker can reject at most 8.0 MiB",
        "max.message.bytes=4194304",
    ),
    (
        "record sizes",
        "failure",
        named(REJECTED, topic(**{"retention.ms": str(90 * DAY)})),
        "activity.rejected takes records of at most 4.0 MiB",
        "-c max.message.bytes=8388608",
    ),
    (
        "rejected are kept",
        "warning",
        events(**{"retention.ms": "-1"}),
        "rejected records are kept 90 days, events for ever",
        "retention.ms=-1",
    ),
    (
        "units compacted",
        "failure",
        named(UNITS, topic(1)),
        "entries of the registry vanish",
        "pravah units load",
    ),
    (
        "session time-out",
        "failure",
        settings(session_timeout_seconds=0.5),
        "broker 1 takes 1 to 1800",
        "PRAVAH_SESSION_TIMEOUT_SECONDS=1 ",
    ),
    (
        "session time-out",
        "warning",
        kafka(brokers=(dataclasses.replace(BROKER, configs={}),)),
        "not checked",
        "mend that first",
    ),
    (
        "keys",
        "warning",
        sampled(key=b"CG-AC002"),
        "key 'CG-AC002'; expected 'CG-AC001'",
        "pravah.producer",
    ),
    ("keys", "warning", sampled(key=None), "no key", "pravah.producer"),
    (
        "keys",
        "warning",
        sampled(partition=(HOME + 1) % 12),
        "another partition than their key's hash says",
        "murmur2_random",
    ),
    ("clock", "warning", sampled(timestamp=NOW + 5000), "appended 5.0 s from now", "NTP"),
    ("clock", "failure", sampled(timestamp=NOW + 61_000), "appended 61.0 s from now", "NTP"),
    ("clock", "warning", server(ahead_seconds=-3.0), "3.0 s behind", "NTP"),
    ("clock", "failure", server(ahead_seconds=61.0), "61.0 s ahead of", "NTP"),
    (
        "disk",
        "warning",
        kafka(brokers=(dataclasses.replace(BROKER, disks=(Disk("/data", 4 * GIB, 10 * GIB),)),)),
        "broker 1: 4.0 GiB free",
        "make room",
    ),
    (
        "disk",
        "failure",
        server(disks=(ServerDisk("default", GIB - 1, 100 * GIB),)),
        "default: 1024.0 MiB free of 100.0 GiB",
        "make room",
    ),
    ("disk", "warning", server(disks=()), "not checked", "mend that first"),
    (
        "workers",
        "warning",
        kafka(group=Group(0), ends={**KAFKA.ends, 3: 140}),
        "no worker runs in the group 'pravah-rollup', and 40 records wait",
        "pravah worker",
    ),
    (
        "workers",
        "warning",
        facts(
            kafka_or_why=dataclasses.replace(
                KAFKA,
                ends={**KAFKA.ends, HOME: 140},
                sample=(KAFKA.sample[0]._replace(timestamp=NOW - 300_000),),
            ),
            tables_or_why=dataclasses.replace(
                TABLES, still_seconds={**TABLES.still_seconds, HOME: 300}
            ),
        ),
        f"partition {HOME} stands still for more than 120 s with 40 records waiting",
        "/readyz",
    ),
    ("version", "warning", server(version="25.8.1.1"), "older than the 26.7", "update ClickHouse"),
    (
        "accounts",
        "failure",
        account("grafana", may=("INSERT", "ALTER")),
        "grafana may INSERT, ALTER",
        "REVOKE INSERT, ALTER ON pravah.*",
    ),
    (
        "accounts",
        "failure",
        account("aicc", problem="Authentication failed"),
        "aicc does not get in",
        "PRAVAH_CLICKHOUSE__USERS__AICC__USER",
    ),
    (
        "accounts",
        "failure",
        account("aicc", lacks=("SELECT",)),
        "lacks the rights SELECT",
        "GRANT SELECT ON pravah.*",
    ),
    (
        "accounts",
        "failure",
        account("writer", lacks=("ALTER",)),
        "writer lacks the rights ALTER",
        "GRANT ALL ON pravah.*",
    ),
    (
        "accounts",
        "warning",
        server(accounts={"writer": Account(), "aicc": Account()}),
        "no account for grafana",
        "PRAVAH_CLICKHOUSE__USERS__GRAFANA__PASSWORD",
    ),
    (
        "accounts",
        "warning",
        server(unreadable=("system.parts",)),
        "may not read system.parts",
        "GRANT SELECT ON system.*",
    ),
    ("schema", "failure", server(migration=3), "migration 3, this Pravah needs 4", "pravah up"),
    ("schema", "failure", server(migration=5), "migration 5, this Pravah knows 4", "update Pravah"),
    (
        "parts",
        "warning",
        server(parts=(Parts("journal", 1000),)),
        "slowed down from 1,000",
        "PRAVAH_FLUSH_SECONDS",
    ),
    (
        "parts",
        "failure",
        server(parts=(Parts("journal", 3000),)),
        "refused from 3,000",
        "PRAVAH_FLUSH_SECONDS",
    ),
    (
        "detached parts",
        "failure",
        server(detached=(Detached("ledger", "all_1_1_0", "broken-on-start"),)),
        "the first of ledger: all_1_1_0",
        "pravah reconcile",
    ),
    (
        "detached parts",
        "warning",
        server(detached=(Detached("ledger", "all_1_1_0", ""),)),
        "detached by hand",
        "ATTACH PART",
    ),
    (
        "replicas",
        "failure",
        server(replicas=(Replica("ledger", True, 0),)),
        "read-only replicas: ledger",
        "Keeper",
    ),
    (
        "replicas",
        "warning",
        server(replicas=(Replica("ledger", False, 61),)),
        "61 s behind",
        "system.replication_queue",
    ),
    (
        "repairs",
        "warning",
        tables(repairs=(Repair(7, "units", "booths moved", 60),)),
        "repair 7 (units: booths moved)",
        "still runs",
    ),
    (
        "repairs",
        "failure",
        tables(repairs=(Repair(7, "units", "booths moved", 3601),)),
        "3,601 s ago",
        "pravah reconcile --repair",
    ),
    (
        "reconciled",
        "failure",
        tables(reconciled=Reconciled("2022-04-15 10:00:00", 3, 0)),
        "3 figures differed",
        "pravah reconcile --repair",
    ),
    (
        "chunks",
        "failure",
        tables(overlapping=(Chunk(1, 50, 60, True),)),
        "chunk 50 of partition 1",
        "pravah reconcile",
    ),
    (
        "topic units",
        "failure",
        facts(units_or_why=UnitsTopic(problem="it is empty")),
        "holds no registry: it is empty",
        "pravah units load",
    ),
    (
        "in force",
        "failure",
        facts(units_or_why=UnitsTopic(15, "other")),
        "holds the registry other, in force in ClickHouse is abc",
        "pravah units load",
    ),
    (
        "in force",
        "failure",
        tables(units=14),
        "14 units, the registry in force 15",
        "pravah units load",
    ),
    (
        "metric dictionary",
        "failure",
        tables(metrics=TABLES.metrics[1:]),
        TABLES.metrics[0][0],
        "pravah up",
    ),
    ("plan", "failure", facts(plan_problem="no milestone"), "no milestone", "mend the file"),
    (
        "chunk size",
        "failure",
        settings(chunk_size=60),
        "PRAVAH_CHUNK_SIZE is 60, but the open chunk 0 of partition 0, up to 100",
        "the size that the workers had",
    ),
    (
        "chunk size",
        "warning",
        tables(uncut=(Chunk(2, 0, 30_000, True),)),
        "chunk 0 of partition 2, up to 30,000",
        "the same now",
    ),
    (
        "person key",
        "warning",
        settings(person_key=None),
        "not set",
        "the same in the whole installation",
    ),
    ("files", "failure", facts(missing_files=("/ca.pem",)), "/ca.pem", "mend the path"),
    (
        "reports on paper",
        "warning",
        facts(missing_libraries="PDF and PNG need what is missing; apt-get install it"),
        "PDF and PNG",
        "apt-get install",
    ),
    (
        "encryption",
        "warning",
        settings(kafka=KafkaSettings(bootstrap_servers="kafka.example.org:9092")),
        "to Kafka",
        "PRAVAH_KAFKA__SECURITY_PROTOCOL",
    ),
    (
        "encryption",
        "warning",
        settings(clickhouse=WELL.settings.clickhouse.model_copy(update={"host": "ch.example.org"})),
        "to ClickHouse",
        "PRAVAH_CLICKHOUSE__SECURE",
    ),
]


def wrong(checks: list[Check], verdict: str = "") -> list[Check]:
    return [
        check
        for check in checks
        if check.verdict == verdict or (not verdict and check.verdict != "ok")
    ]


def test_in_a_deployment_that_is_well_every_check_is_ok() -> None:
    checks = diagnose(WELL)
    assert not wrong(checks)
    assert [(check.area, check.name) for check in checks] == [
        (area, name) for area, name, _ in RULES
    ]
    assert not any(check.remedy for check in checks), "what is well needs nothing done"


@pytest.mark.parametrize(
    ("name", "verdict", "ill", "found", "remedy"),
    CASES,
    ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)],
)
def test_what_is_wrong_is_found_and_a_remedy_told(
    name: str, verdict: str, ill: Facts, found: str, remedy: str
) -> None:
    told = [check for check in diagnose(ill) if check.name == name and check.verdict == verdict]
    assert any(found in check.found and remedy in f"{check.remedy} " for check in told), (
        told or diagnose(ill)
    )


def test_every_check_can_find_something() -> None:
    assert {name for _, name, _ in RULES} == {case[0] for case in CASES}


@pytest.mark.parametrize(
    ("name", "verdict", "ill"),
    [case[:3] for case in CASES if case[1] == "failure" and case[0] != "answers"],
)
def test_one_failing_thing_is_one_failure(name: str, verdict: str, ill: Facts) -> None:
    assert [check.name for check in wrong(diagnose(ill), verdict)] == [name]


def test_a_server_that_is_away_is_one_failure_and_what_needs_it_is_told_as_not_checked() -> None:
    checks = diagnose(facts(kafka_or_why="refused", units_or_why="Kafka does not answer"))
    assert [(check.area, check.name) for check in wrong(checks, "failure")] == [
        ("Kafka", "answers")
    ]
    not_made = {
        (check.area, check.name)
        for check in checks
        if check.found == "not checked: Kafka does not answer"
    }
    assert {
        area_name for area_name in ((c.area, c.name) for c in checks) if area_name[0] == "Kafka"
    } - {("Kafka", "answers")} <= not_made
    assert not_made - {("Kafka", name) for _, name, _ in RULES} == {
        ("registry", "topic units"),
        ("registry", "in force"),
    }
    checks = diagnose(facts(server_or_why="refused", tables_or_why="ClickHouse does not answer"))
    assert [(check.area, check.name) for check in wrong(checks, "failure")] == [
        ("ClickHouse", "answers")
    ]
    assert next(check for check in checks if check.name == "partitions").verdict == "ok", (
        "what Kafka alone can tell is still told"
    )


def test_records_lost_are_measured_from_the_last_closed_chunk_else_the_open_one_else_the_commit() -> (
    None
):
    begins = dict.fromkeys(range(12), 50)
    known = dataclasses.replace(
        TABLES, counted_to={0: 50}, open_chunks=(Chunk(0, 50, 100, False), Chunk(1, 40, 100, False))
    )
    ill = facts(
        kafka_or_why=dataclasses.replace(KAFKA, begins=begins, group=Group(1, {2: 45})),
        tables_or_why=known,
    )
    lost, unread = wrong([check for check in diagnose(ill) if check.name == "log and figures"])
    assert (
        "15 records were deleted before they were counted for good, in partitions 1, 2:"
        in lost.found
    )
    assert (lost.verdict, unread.verdict) == ("failure", "warning")
    assert (
        "450 records were deleted before any worker read them, in partitions 3, 4, 5"
        in unread.found
    )


@pytest.mark.parametrize(("appended_ago", "written_ago"), [(300, 1), (1, 300), (1, 1)])
def test_a_partition_that_is_being_written_or_has_just_been_sent_something_does_not_stand_still(
    appended_ago: int, written_ago: int
) -> None:
    waiting = dataclasses.replace(
        KAFKA,
        ends={**KAFKA.ends, HOME: 140},
        sample=(KAFKA.sample[0]._replace(timestamp=NOW - appended_ago * 1000),),
    )
    at_work = dataclasses.replace(TABLES, still_seconds={**TABLES.still_seconds, HOME: written_ago})
    [told] = [
        check
        for check in diagnose(facts(kafka_or_why=waiting, tables_or_why=at_work))
        if check.name == "workers"
    ]
    assert (told.verdict, told.found) == ("ok", "1 run; 40 records wait")


def test_a_remedy_never_puts_a_password_into_an_argument() -> None:
    secured = KafkaSettings(**SASL, username="pravah", password=SecretStr("hush-hush-hush"))
    ill = dataclasses.replace(
        events(**{"message.timestamp.type": "CreateTime"}),
        settings=WELL.settings.model_copy(update={"kafka": secured}),
    )
    [told] = wrong(diagnose(ill), "failure")
    assert "kafka-configs" in told.remedy
    assert "hush" not in repr(diagnose(ill))


@given(st.integers(-1, 60 * DAY))
def test_retention_is_judged_by_the_longest_time_without_a_worker(millis: int) -> None:
    [told] = [
        check
        for check in diagnose(events(**{"retention.ms": str(millis)}))
        if check.name == "retention"
    ]
    assert told.verdict == (
        "ok"
        if millis == -1 or millis >= 7 * DAY
        else "warning"
        if millis >= 2 * HOUR
        else "failure"
    )


@given(
    st.sampled_from([unit for units in small_world.KEYS.values() for unit in units]),
    st.integers(1, 40),
    st.data(),
)
def test_an_event_where_its_key_belongs_is_never_complained_of_and_one_elsewhere_always(
    unit: str, partitions: int, data: st.DataObject
) -> None:
    key = routing_key(unit)
    partition = data.draw(st.integers(0, partitions - 1))
    found = kafka(
        topics={**KAFKA.topics, EVENTS: topic(partitions)},
        sample=(Sampled(partition, 5, NOW, key.encode(), unit),),
    )
    [told] = [check for check in diagnose(found) if check.name == "keys"]
    assert (told.verdict == "ok") is (partition == partition_of(key, partitions))


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"hello",
        b"[]",
        b"7",
        b"{}",
        b'{"unit": 5}',
        b'{"unit": "cg-1"}',
        b"\xff\xfe",
        b'{"unit": null}',
    ],
)
def test_of_a_record_that_is_no_event_nothing_is_said_about_its_key(value: bytes | None) -> None:
    assert unit_of(value) is None
    assert unit_of(json.dumps({"unit": UNIT}).encode()) == UNIT


# --- on real servers ------------------------------------------------------------------------------------------------------------------------------------


def event(number: int, unit: str = UNIT) -> dict:
    return {
        "event_id": f"00000000-0000-4000-8000-{number:012x}",
        "unit": unit,
        "kind": "social_post",
        "occurred_at": f"{small_world.on(5)}T10:00:00+05:30",
        "source": {"tool": "test", "producer": "doctor"},
        "data": {"platform": "facebook", "posts": 1},
    }


def examined(settings: Settings) -> list[Check]:
    return diagnose(
        gather(
            settings.model_copy(update={"person_key": SecretStr("0123456789abcdef")}), embedded=True
        )
    )


def failures(checks: list[Check]) -> list[Check]:
    return [
        check for check in wrong(checks, "failure") if check.name != "disk"
    ]  # the disk is this machine's


def administer(deployment: Deployment, act: Callable[[KafkaAdminClient], object]) -> None:
    admin = KafkaAdminClient(**client_options(deployment.settings.kafka))
    try:
        act(admin)
    finally:
        admin.close()


def follow(remedy: str) -> None:
    """Do what the remedy says, with this interpreter."""
    _, *arguments = shlex.split(remedy.split("`")[1])
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, timeout=60)


def set_config(deployment: Deployment, name: str, setting: str) -> None:
    follow(
        f"`python -m kafka.admin -b {deployment.settings.kafka.bootstrap_servers} configs alter -r topic -n {name} -c {setting}`"
    )


def test_a_deployment_that_rolls_up_is_well(deployment: Deployment) -> None:
    deployment.start_worker()
    with EventProducer(deployment.settings.kafka) as producer:
        for number in range(50):
            producer.send(event(number))
    deployment.wait_until_rolled_up()
    checks = examined(deployment.settings)
    assert not [check for check in wrong(checks) if check.name != "disk"]
    told = {check.name: check.found for check in checks if check.area == "Kafka"}
    assert told["keys"] == "the newest 50 events lie where their units' keys belong"
    assert told["workers"] == "1 run; 0 records wait"


def test_without_a_worker_what_waits_is_told(deployment: Deployment) -> None:
    with EventProducer(deployment.settings.kafka) as producer:
        producer.send(event(1))
    [told] = [check for check in examined(deployment.settings) if check.name == "workers"]
    assert (told.verdict, told.remedy[:15]) == ("warning", "`pravah worker`")
    assert "1 records wait" in told.found


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("message.timestamp.type=CreateTime", "append time"),
        ("retention.ms=3600000", "retention"),
        ("max.message.bytes=1000000", "record sizes"),
    ],
)
def test_a_wrong_setting_of_the_topic_is_the_one_failure_and_its_remedy_mends_it(
    deployment: Deployment, setting: str, name: str
) -> None:
    set_config(deployment, EVENTS, setting)
    until(lambda: failures(examined(deployment.settings)), "the broker tells the new setting", 20)
    [told] = failures(examined(deployment.settings))
    assert (told.area, told.name) == ("Kafka", name)
    follow(told.remedy)
    until(lambda: not failures(examined(deployment.settings)), "the remedy helps", 20)


def test_other_partitions_than_were_counted_are_the_one_failure(deployment: Deployment) -> None:
    administer(deployment, lambda admin: admin.create_partitions({EVENTS: 13}))
    until(lambda: failures(examined(deployment.settings)), "the broker tells the new partition", 20)
    [told] = failures(examined(deployment.settings))
    assert told.name == "partitions"
    assert "13 partitions, the figures were counted from 12" in told.found
    assert "pravah replay log" in told.remedy


def test_a_registry_in_the_topic_that_is_not_the_one_in_force_is_the_one_failure(
    deployment: Deployment,
) -> None:
    units = small_world.registry().units
    publish_registry(
        deployment.settings.kafka,
        Registry(unit for code, unit in units.items() if code != "CG-AC002-B0005"),
    )
    [told] = failures(examined(deployment.settings))
    assert (told.area, told.name) == ("registry", "in force")
    assert "pravah units load" in told.remedy
    publish_registry(deployment.settings.kafka, small_world.registry())
    assert not failures(examined(deployment.settings))


def test_a_topic_that_holds_no_registry_is_told_with_the_entry_that_is_wrong(
    deployment: Deployment,
) -> None:
    with EventProducer(deployment.settings.kafka, topic=UNITS) as producer:
        producer.send_raw(None, "CG-D-A")  # what lies below it now has no parent
    [told] = failures(examined(deployment.settings))
    assert told.name == "topic units"
    assert "CG-D-A" in told.found


def test_a_clickhouse_out_of_reach_is_the_one_failure(deployment: Deployment) -> None:
    away = deployment.settings.clickhouse.model_copy(update={"native_port": 1})
    checks = examined(deployment.settings.model_copy(update={"clickhouse": away}))
    [told] = failures(checks)
    assert (told.area, told.name) == ("ClickHouse", "answers")
    assert "pravah up" in told.remedy
    assert [check.verdict for check in checks if check.name in {"append time", "topic units"}] == [
        "ok",
        "ok",
    ], "Kafka is looked at all the same"


def test_a_reader_that_may_write_and_one_that_does_not_get_in_are_told(
    deployment: Deployment,
) -> None:
    users = deployment.settings.clickhouse.users
    stranger = users["aicc"].model_copy(update={"password": SecretStr("not-the-password")})
    wrong_users = deployment.settings.clickhouse.model_copy(
        update={"users": {**users, "grafana": users["writer"], "aicc": stranger}}
    )
    told = failures(examined(deployment.settings.model_copy(update={"clickhouse": wrong_users})))
    assert [check.name for check in told] == ["accounts", "accounts"]
    assert told[0].found.startswith(
        "grafana may INSERT, ALTER, TRUNCATE, DROP TABLE, CREATE TABLE on pravah"
    )
    assert told[1].found.startswith("aicc does not get in")
    assert "not-the-password" not in repr(told)


def test_records_deleted_before_they_were_counted_are_a_failure(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(chunk_size=10)
    worker = deployment.start_worker()
    with EventProducer(deployment.settings.kafka) as producer:
        for number in range(45):
            producer.send(event(number))
    deployment.wait_until_rolled_up()
    worker.kill()
    worker.wait()
    assert not failures(examined(deployment.settings))
    administer(deployment, lambda admin: admin.delete_records({TopicPartition(EVENTS, HOME): 43}))
    [told] = failures(examined(deployment.settings))
    assert told.name == "log and figures"
    assert told.found.startswith(
        f"3 records were deleted before they were counted for good, in partition {HOME}:"
    )


def test_events_under_a_wrong_key_are_a_warning_with_an_example(deployment: Deployment) -> None:
    with EventProducer(deployment.settings.kafka) as producer:
        producer.send(event(1))
        producer.send_raw(json.dumps(event(2)).encode(), "CG-AC002")
    checks = examined(deployment.settings)
    assert not failures(checks)
    [told] = [check for check in checks if check.name == "keys"]
    assert told.verdict == "warning"
    assert told.found.startswith("1 of the newest 2 events")
    assert f"unit {UNIT}, key 'CG-AC002'; expected 'CG-AC001'" in told.found


def test_what_the_tables_show_of_chunks_repairs_and_parts_is_judged(deployment: Deployment) -> None:
    clickhouse = deployment.clickhouse
    now = time.time_ns() // 1000
    columns = "partition, chunk, attempt, worker, registry, next_offset, closed, updated_at"
    attempt = "00000000-0000-4000-8000-000000000001"
    reaching = [
        (0, 0, 1, 30_000),
        (0, 25_000, 1, 26_000),
        (1, 0, 1, 20_000),
        (1, 20_000, 0, 20_500),
    ]
    clickhouse.execute(
        f"INSERT INTO chunks ({columns}) VALUES",
        [(p, c, attempt, "w", "r", reach, done, now) for p, c, done, reach in reaching],
    )
    found = gather(deployment.settings, embedded=True).tables
    assert [(chunk.partition, chunk.start, chunk.next_offset) for chunk in found.uncut] == [
        (0, 0, 30_000),
        (0, 25_000, 26_000),
    ][:1]
    assert [(chunk.partition, chunk.start) for chunk in found.overlapping] == [(0, 25_000)]
    assert found.open_chunks == (Chunk(1, 20_000, 20_500, False),)
    assert (found.counted_to, found.durable_to) == ({0: 30_000, 1: 20_000}, {0: 30_000, 1: 20_500})
    repair = "INSERT INTO repairs (repair, kind, reason, author, at, complete, updated_at) SELECT 7, 'units', 'moved', 'test', now64(3), 0, now64(6) - 7200"
    clickhouse.execute(repair)
    told = {check.name: check for check in failures(examined(deployment.settings))}
    assert {"log and figures", "chunks", "repairs"} == told.keys()
    assert "repair 7 (units: moved) was begun 7,20" in told["repairs"].found
    clickhouse.execute("INSERT INTO reconciliations (different, repair) VALUES", [(0, 0)])
    assert "repairs" not in {check.name for check in failures(examined(deployment.settings))}, (
        "figures that were proved since hold no half of a repair"
    )
    clickhouse.execute("ALTER TABLE repairs DETACH PARTITION tuple()")
    assert (
        "repairs"
        in next(
            check for check in examined(deployment.settings) if check.name == "detached parts"
        ).found
    )


def test_an_older_schema_is_the_one_failure_and_tables_are_not_read(deployment: Deployment) -> None:
    with connect(deployment.settings.clickhouse, "writer", database="default") as client:
        list(migrate(client, Schema("pravah"), to=3))
    checks = examined(deployment.settings)
    [told] = failures(checks)
    assert (told.name, told.remedy) == ("schema", "`pravah up`")
    assert next(check for check in checks if check.name == "chunks").found.startswith(
        "not checked: the schema"
    )


# --- the command ----------------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SimpleNamespace]:
    app = typer.Typer()
    app.command()(doctor)

    def call(*arguments: str, **environment: str) -> SimpleNamespace:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        result = CliRunner().invoke(app, arguments)
        return SimpleNamespace(code=result.exit_code, out=result.output)

    return call


def test_the_command_shows_verdicts_in_words_and_exits_0_without_a_failure(
    run: Callable[..., SimpleNamespace], deployment: Deployment
) -> None:
    result = run(PRAVAH_HOME=str(deployment.settings.home))
    assert result.code == (1 if "✗ failure" in result.out else 0)
    assert "✗ failure" not in result.out or "disk" in result.out
    for words in (
        "✓ ok",
        "! warning",
        "चेतावनी",
        "what to do",
        "क्या करें",
        "Kafka",
        "ClickHouse",
        "registry",
        "settings",
        "PRAVAH_PERSON_KEY is not set",
    ):
        assert words in result.out


def test_with_nothing_running_the_command_exits_1_and_says_how_to_start(
    run: Callable[..., SimpleNamespace], tmp_path: Path
) -> None:
    result = run("--json", PRAVAH_HOME=str(tmp_path), PRAVAH_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert result.code == 1
    checks = json.loads(result.out)
    assert set(checks[0]) == {"area", "name", "verdict", "found", "remedy"}
    failed = [(check["area"], check["name"]) for check in checks if check["verdict"] == "failure"]
    assert failed == [("Kafka", "answers"), ("ClickHouse", "answers")]
    assert all(check["remedy"] for check in checks if check["verdict"] != "ok")


def test_what_was_not_checked_for_one_reason_is_shown_as_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command._show(diagnose(facts(kafka_or_why="refused", units_or_why="Kafka does not answer")))
    assert capsys.readouterr().out.count("not checked: Kafka does not answer") == 2, (
        "one in Kafka's part, one in the registry's"
    )
