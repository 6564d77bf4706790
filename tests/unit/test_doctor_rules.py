"""The doctor's rules and its table, on facts alone: each problem is found, with a remedy."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from rich.console import Console

from cli.doctor import print_checks
from doctor import RULES, Facts, diagnose
from doctor.facts.clickhouse import (
    Chunk,
)
from doctor.facts.gateway import GatewayFacts
from doctor.facts.kafka import ConsumerGroup, SampledRecord, unit_of
from pravah.settings import KafkaSettings
from pravah.topics import EVENTS
from pravah.units import routing_key
from streams.app import partition_of
from tests.support import small_world
from tests.support.doctor_cases import CASES
from tests.support.doctor_facts import (
    DAY,
    GIB,
    HOME,
    HOUR,
    KAFKA,
    NOW,
    STATUS,
    TABLES,
    UNIT,
    WELL,
    events,
    facts,
    gateway_file,
    kafka,
    topic,
    wrong,
)

SASL = {"bootstrap_servers": "kafka.example.org:9093", "security_protocol": "SASL_SSL"}


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
def test_what_is_wrong_is_found_and_a_remedy_given(
    name: str, verdict: str, ill: Facts, found: str, remedy: str
) -> None:
    result = [check for check in diagnose(ill) if check.name == name and check.verdict == verdict]
    assert any(found in check.found and remedy in f"{check.remedy} " for check in result), (
        result or diagnose(ill)
    )


def test_every_check_can_find_something() -> None:
    assert {name for _, name, _ in RULES} == {case[0] for case in CASES}


@pytest.mark.parametrize(
    ("name", "verdict", "ill"),
    [case[:3] for case in CASES if case[1] == "failure" and case[0] != "answers"],
)
def test_one_failing_thing_is_one_failure(name: str, verdict: str, ill: Facts) -> None:
    assert [check.name for check in wrong(diagnose(ill), verdict)] == [name]


def test_a_server_that_is_away_is_one_failure_and_what_needs_it_is_reported_as_not_checked() -> (
    None
):
    checks = diagnose(facts(kafka_or_reason="refused", units_or_reason="Kafka does not answer"))
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
    checks = diagnose(
        facts(server_or_reason="refused", tables_or_reason="ClickHouse does not answer")
    )
    assert [(check.area, check.name) for check in wrong(checks, "failure")] == [
        ("ClickHouse", "answers")
    ]
    assert next(check for check in checks if check.name == "partitions").verdict == "ok", (
        "what Kafka alone can tell is still result"
    )


def test_deleted_records_are_measured_from_the_closed_chunk_else_the_open_one_else_the_commit() -> (
    None
):
    begin_offsets = dict.fromkeys(range(12), 50)
    known = dataclasses.replace(
        TABLES, closed_to={0: 50}, open_chunks=(Chunk(0, 50, 100, False), Chunk(1, 40, 100, False))
    )
    ill = facts(
        kafka_or_reason=dataclasses.replace(
            KAFKA, begin_offsets=begin_offsets, group=ConsumerGroup(1, {2: 45})
        ),
        tables_or_reason=known,
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
        end_offsets={**KAFKA.end_offsets, HOME: 140},
        sample=(KAFKA.sample[0]._replace(timestamp=NOW - appended_ago * 1000),),
    )
    at_work = dataclasses.replace(
        TABLES, seconds_since_write={**TABLES.seconds_since_write, HOME: written_ago}
    )
    [result] = [
        check
        for check in diagnose(facts(kafka_or_reason=waiting, tables_or_reason=at_work))
        if check.name == "workers"
    ]
    assert (result.verdict, result.found) == ("ok", "1 run; 40 records wait")


def test_a_remedy_never_puts_a_password_into_an_argument() -> None:
    secured = KafkaSettings(**SASL, username="pravah", password=SecretStr("hush-hush-hush"))
    ill = dataclasses.replace(
        events(**{"message.timestamp.type": "CreateTime"}),
        settings=WELL.settings.model_copy(update={"kafka": secured}),
    )
    [result] = wrong(diagnose(ill), "failure")
    assert "kafka-configs" in result.remedy
    assert "hush" not in repr(diagnose(ill))


@given(st.integers(-1, 60 * DAY))
def test_retention_is_judged_by_the_longest_time_without_a_worker(millis: int) -> None:
    [result] = [
        check
        for check in diagnose(events(**{"retention.ms": str(millis)}))
        if check.name == "retention"
    ]
    assert result.verdict == (
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
        sample=(SampledRecord(partition, 5, NOW, key.encode(), unit),),
    )
    [result] = [check for check in diagnose(found) if check.name == "keys"]
    assert (result.verdict == "ok") is (partition == partition_of(key, partitions))


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


def test_what_was_not_checked_for_one_reason_is_shown_as_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    checks = diagnose(facts(kafka_or_reason="refused", units_or_reason="Kafka does not answer"))
    print_checks(checks, console=Console(width=160))
    assert capsys.readouterr().out.count("not checked: Kafka does not answer") == 2, (
        "one in Kafka's part, one in the registry's"
    )


def test_where_no_gateway_is_set_up_or_has_run_one_line_says_so() -> None:
    unused = facts(gateway_or_reason=GatewayFacts(Path("sources")))
    [check] = [check for check in diagnose(unused) if check.area == "gateway"]
    assert (check.name, check.verdict) == ("sources", "ok")
    assert not wrong(diagnose(unused))


def test_a_full_archive_whose_bodies_are_old_enough_is_well() -> None:
    old = gateway_file(
        status=dataclasses.replace(STATUS, archive_bytes=8 * GIB),
        archive_oldest_at=NOW / 1000 - 90 * 86_400,
    )
    assert not wrong(diagnose(old))
