"""The doctor on real servers: a deployment that is well has no finding, each fault is found."""

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from kafka.admin import KafkaAdminClient
from kafka.structs import TopicPartition
from pydantic import SecretStr
from typer.testing import CliRunner

from cli.doctor import doctor
from doctor import Check, diagnose, gather
from doctor.facts.clickhouse import Chunk
from pravah.kafka import client_options
from pravah.producer import EventProducer
from pravah.settings import Settings
from pravah.topics import EVENTS, UNITS
from producers.topics.registry import publish_registry
from schemas.registry import Registry
from sinks.connection import connect
from sinks.migrate import Schema, migrate
from sinks.recount import closed_cut
from tests.support import small_world
from tests.support.deployment import Deployment, until
from tests.support.doctor_facts import HOME, UNIT, wrong


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
        f"`python -m kafka.admin -b {deployment.settings.kafka.bootstrap_servers} configs alter "
        f"-r topic -n {name} -c {setting}`"
    )


def test_a_deployment_that_rolls_up_is_well(deployment: Deployment) -> None:
    deployment.start_worker()
    with EventProducer(deployment.settings.kafka) as producer:
        for number in range(50):
            producer.send(event(number))
    deployment.wait_until_rolled_up()
    checks = examined(deployment.settings)
    assert not [check for check in wrong(checks) if check.name != "disk"]
    result = {check.name: check.found for check in checks if check.area == "Kafka"}
    assert result["keys"] == "the newest 50 events lie where their units' keys belong"
    assert result["workers"] == "1 run; 0 records wait"


def test_without_a_worker_what_waits_is_reported(deployment: Deployment) -> None:
    with EventProducer(deployment.settings.kafka) as producer:
        producer.send(event(1))
    [result] = [check for check in examined(deployment.settings) if check.name == "workers"]
    assert (result.verdict, result.remedy[:15]) == ("warning", "`pravah worker`")
    assert "1 records wait" in result.found


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("message.timestamp.type=CreateTime", "append time"),
        ("retention.ms=3600000", "retention"),
        ("max.message.bytes=1000000", "record sizes"),
    ],
)
def test_a_wrong_setting_of_the_topic_is_the_one_failure_and_its_remedy_corrects_it(
    deployment: Deployment, setting: str, name: str
) -> None:
    set_config(deployment, EVENTS, setting)
    until(lambda: failures(examined(deployment.settings)), "the broker tells the new setting", 20)
    [result] = failures(examined(deployment.settings))
    assert (result.area, result.name) == ("Kafka", name)
    follow(result.remedy)
    until(lambda: not failures(examined(deployment.settings)), "the remedy helps", 20)


def test_other_partitions_than_were_counted_are_the_one_failure(deployment: Deployment) -> None:
    administer(deployment, lambda admin: admin.create_partitions({EVENTS: 13}))
    until(lambda: failures(examined(deployment.settings)), "the broker tells the new partition", 20)
    [result] = failures(examined(deployment.settings))
    assert result.name == "partitions"
    assert "13 partitions, the figures were counted from 12" in result.found
    assert "pravah rebuild log" in result.remedy


def test_a_registry_in_the_topic_that_is_not_the_one_in_force_is_the_one_failure(
    deployment: Deployment,
) -> None:
    units = small_world.registry().units
    publish_registry(
        deployment.settings.kafka,
        Registry(unit for code, unit in units.items() if code != "CG-AC002-B0005"),
    )
    [result] = failures(examined(deployment.settings))
    assert (result.area, result.name) == ("registry", "in force")
    assert "pravah units load" in result.remedy
    publish_registry(deployment.settings.kafka, small_world.registry())
    assert not failures(examined(deployment.settings))


def test_a_topic_that_holds_no_registry_is_reported_with_the_entry_that_is_wrong(
    deployment: Deployment,
) -> None:
    with EventProducer(deployment.settings.kafka, topic=UNITS) as producer:
        producer.send_raw(None, "CG-D-A")  # what lies below it now has no parent
    [result] = failures(examined(deployment.settings))
    assert result.name == "topic units"
    assert "CG-D-A" in result.found


def test_a_clickhouse_out_of_reach_is_the_one_failure(deployment: Deployment) -> None:
    away = deployment.settings.clickhouse.model_copy(update={"native_port": 1})
    checks = examined(deployment.settings.model_copy(update={"clickhouse": away}))
    [result] = failures(checks)
    assert (result.area, result.name) == ("ClickHouse", "answers")
    assert "pravah up" in result.remedy
    assert [check.verdict for check in checks if check.name in {"append time", "topic units"}] == [
        "ok",
        "ok",
    ], "Kafka is looked at all the same"


def test_a_reader_that_may_write_and_one_that_does_not_get_in_are_reported(
    deployment: Deployment,
) -> None:
    users = deployment.settings.clickhouse.users
    stranger = users["aicc"].model_copy(update={"password": SecretStr("not-the-password")})
    wrong_users = deployment.settings.clickhouse.model_copy(
        update={"users": {**users, "grafana": users["writer"], "aicc": stranger}}
    )
    result = failures(examined(deployment.settings.model_copy(update={"clickhouse": wrong_users})))
    assert [check.name for check in result] == ["accounts", "accounts"]
    assert result[0].found.startswith(
        "grafana may INSERT, ALTER, TRUNCATE, DROP TABLE, CREATE TABLE on pravah"
    )
    assert result[1].found.startswith("aicc does not get in")
    assert "not-the-password" not in repr(result)


def test_records_deleted_before_they_were_counted_are_a_failure(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(chunk_size=10)
    worker = deployment.start_worker()
    with EventProducer(deployment.settings.kafka) as producer:
        for number in range(45):
            producer.send(event(number))
    deployment.wait_until_rolled_up()
    # chunks are closed after the write that rolled them up
    until(
        lambda: closed_cut(deployment.clickhouse).offsets.get(HOME) == 40, "four chunks are closed"
    )
    worker.kill()
    worker.wait()
    assert not failures(examined(deployment.settings))
    administer(deployment, lambda admin: admin.delete_records({TopicPartition(EVENTS, HOME): 43}))
    [result] = failures(examined(deployment.settings))
    assert result.name == "log and figures"
    assert result.found.startswith(
        f"3 records were deleted before they were counted for good, in partition {HOME}:"
    )


def test_events_under_a_wrong_key_are_a_warning_with_an_example(deployment: Deployment) -> None:
    with EventProducer(deployment.settings.kafka) as producer:
        producer.send(event(1))
        producer.send_raw(json.dumps(event(2)).encode(), "CG-AC002")
    checks = examined(deployment.settings)
    assert not failures(checks)
    [result] = [check for check in checks if check.name == "keys"]
    assert result.verdict == "warning"
    assert result.found.startswith("1 of the newest 2 events")
    assert f"unit {UNIT}, key 'CG-AC002'; expected 'CG-AC001'" in result.found


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
    assert [
        (chunk.partition, chunk.start, chunk.next_offset) for chunk in found.oversized_chunks
    ] == [
        (0, 0, 30_000),
        (0, 25_000, 26_000),
    ][:1]
    assert [(chunk.partition, chunk.start) for chunk in found.overlapping_chunks] == [(0, 25_000)]
    assert found.open_chunks == (Chunk(1, 20_000, 20_500, False),)
    assert (found.closed_to, found.durable_to) == ({0: 30_000, 1: 20_000}, {0: 30_000, 1: 20_500})
    repair = (
        "INSERT INTO repairs (repair, kind, reason, author, at, complete, updated_at) SELECT 7, "
        "'units', 'moved', 'test', now64(3), 0, now64(6) - 7200"
    )
    clickhouse.execute(repair)
    result = {check.name: check for check in failures(examined(deployment.settings))}
    assert {"log and figures", "chunks", "repairs"} == result.keys()
    assert "repair 7 (units: moved) was begun 7,20" in result["repairs"].found
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
    [result] = failures(checks)
    assert (result.name, result.remedy) == ("schema", "`pravah up`")
    assert next(check for check in checks if check.name == "chunks").found.startswith(
        "not checked: the schema"
    )


# --- the command


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
    has_failed = re.search(r"✗ failure: [1-9]", result.out) is not None
    assert result.code == (1 if has_failed else 0)
    assert not has_failed or "disk" in result.out
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
