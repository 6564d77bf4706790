"""Figures are rebuilt from log and ledger; records that the log lost can be skipped."""

import json
import random
from collections.abc import Callable, Collection
from pathlib import Path
from uuid import UUID

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from operations.registry import install_registry
from pravah.kafka import client_options
from pravah.producer import EventProducer
from pravah.topics import EVENTS
from rollup.reprocessing import Reprocessor, identity_of
from schemas.registry_readers import registry_from_csv
from tests.chaos.world import random_event
from tests.integration.test_reconcile import pravah
from tests.support import oracle, small_world
from tests.support.deployment import Deployment, until


def send(deployment: Deployment, seed: int, count: int = 150) -> list[dict]:
    choose = random.Random(seed)
    events = [random_event(choose, seed) for _ in range(count)]
    events += choose.sample(events, count // 5)
    with EventProducer(deployment.settings.kafka) as producer:
        for event in events:
            producer.send(event)
    return events


def members(deployment: Deployment) -> set[str]:
    """The members of the workers' group. A worker that was killed is one for some seconds."""
    admin = KafkaAdminClient(**client_options(deployment.settings.kafka))
    group = deployment.settings.consumer_group
    try:
        return {one["member_id"] for one in admin.describe_groups([group])[group]["members"]}
    finally:
        admin.close()


def stop_workers(deployment: Deployment) -> None:
    deployment.stop_workers()
    until(lambda: not members(deployment), "the group is empty")


def stop_after_a_refusal(
    deployment: Deployment, source: str, killed: Collection[str] = frozenset()
) -> None:
    """A rebuild beside running workers is refused; then they are stopped.

    A killed worker may have written everything before the next one has joined the group.
    """
    until(lambda: members(deployment) - set(killed), "the worker is in its group")
    refused = pravah(deployment, "rebuild", source)
    assert refused.returncode == 1
    assert "stop them first" in refused.stderr
    stop_workers(deployment)


def test_a_rebuild_from_the_log_equals_the_original(deployment: Deployment, tmp_path: Path) -> None:
    events = send(deployment, 1)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    stop_after_a_refusal(deployment, "log")
    before, ledger = (
        deployment.rollups(),
        deployment.clickhouse.execute(
            "SELECT key, entity, version, partition, offset FROM events ORDER BY ALL"
        ),
    )
    refused = pravah(deployment, "rebuild", "log")
    assert refused.returncode == 1
    assert "--discard" in refused.stderr
    done = pravah(deployment, "rebuild", "log", "--discard", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["accepted"] == len(ledger)
    assert deployment.rollups() == before
    assert (
        deployment.clickhouse.execute(
            "SELECT key, entity, version, partition, offset FROM events ORDER BY ALL"
        )
        == ledger
    )
    events += send(deployment, 2)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    assert deployment.rollups() == oracle.figures(
        events, oracle.Hierarchy.read(small_world.write(tmp_path))
    )


JOURNAL = """
    SELECT level, metric, unit, day, partition, chunk, value, verified_value, reports
    FROM journal FINAL
    WHERE partition >= 0 AND (value, verified_value, reports) != (0, 0, 0) ORDER BY ALL
"""


def test_a_rebuild_from_the_ledger_equals_the_original(
    deploy: Callable[..., Deployment], tmp_path: Path
) -> None:
    """Also of chunks that were folded again, and of an open one that the next worker continues."""
    deployment = deploy(chunk_size=40)
    events = send(deployment, 6, count=400)
    worker = deployment.start_worker()
    until(lambda: deployment.durable() > 50, "some of it is durable")
    worker.kill()
    worker.wait()
    killed = members(deployment)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    stop_after_a_refusal(deployment, "ledger", killed)
    before, journal = deployment.rollups(), deployment.clickhouse.execute(JOURNAL)
    assert len(journal) > 1000
    deployment.clickhouse.execute("TRUNCATE TABLE journal")
    done = pravah(deployment, "rebuild", "ledger", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        json.loads(done.stdout)["versions"]
        == deployment.clickhouse.execute("SELECT count() FROM events")[0][0]
    )
    assert deployment.clickhouse.execute(JOURNAL) == journal
    assert deployment.rollups() == before
    events += send(deployment, 7)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    assert deployment.rollups() == oracle.figures(
        events, oracle.Hierarchy.read(small_world.write(tmp_path))
    )
    assert pravah(deployment, "reconcile").returncode == 0


def test_a_ledger_without_its_chunks_is_not_rebuilt_and_nothing_is_harmed(
    deployment: Deployment,
) -> None:
    send(deployment, 8)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    stop_workers(deployment)
    before = deployment.rollups()
    deployment.clickhouse.execute("TRUNCATE TABLE chunks")
    refused = pravah(deployment, "rebuild", "ledger")
    assert refused.returncode == 1
    assert "which lies in no known chunk; rebuild from the log" in refused.stderr
    assert deployment.rollups() == before
    assert not deployment.clickhouse.execute("SHOW TABLES LIKE '%_next_%'")


def test_what_was_rejected_is_corrected_and_counts_once(
    deployment: Deployment, tmp_path: Path
) -> None:
    whole = {
        **random_event(random.Random(9), 9),
        "unit": "CG-AC001-B0001",
        "op": "report",
        "occurred_at": f"{small_world.on(5)}T10:00:00+05:30",
    }
    unknown = {**whole, "entity": "a", "unit": "CG-AC001-B0009"}
    wrong = {**whole, "entity": "b", "version": "two"}
    with EventProducer(deployment.settings.kafka) as producer:
        for value in (whole, unknown, unknown, wrong):
            producer.send_raw(json.dumps(value).encode(), "CG-AC001")
        producer.send_raw(b"\xff\xfe", "CG-AC001")
        producer.send_raw(b"hello", "CG-AC001")
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    file, second = tmp_path / "rejected.jsonl", tmp_path / "second.jsonl"
    said = pravah(deployment, "replay", "rejected", "--to", str(file), "--json")
    assert said.returncode == 0, said.stderr
    shown = json.loads(said.stdout)
    assert shown["outcomes"] == {
        name: {"rejected": count}
        for name, count in {"unknown_unit": 2, "invalid": 1, "not_utf8": 1, "not_json": 1}.items()
    }
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert {key for line in lines for key in line.keys() & {"event", "value", "value_base64"}} == {
        "event",
        "value",
        "value_base64",
    }
    # The unit is added to the registry: its events need no repair, and the second one is a repeat.
    units = small_world.UNITS + "CG-AC001-B0009,booth,Booth 9,केंद्र 9,,,,\n"
    parents = small_world.PARENTS + "CG-AC001-B0009,CG-AC001,,\nCG-AC001-B0009,CG-D-A,,\n"
    install_registry(
        deployment.settings,
        registry_from_csv(
            {"s.units.csv": units.splitlines(), "s.parents.csv": parents.splitlines()}
        ),
    )
    shown = json.loads(
        pravah(
            deployment, "replay", "rejected", "--reason", "unknown_unit", "--send", "--json"
        ).stdout
    )
    assert (shown["records"], shown["sent"], shown["repeat"]) == (2, 1, 1)
    # people correct the rest
    corrected = [
        {**line, "event": {**line["event"], "version": 2}}
        if line.get("reason") == "invalid"
        else line
        for line in lines
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in corrected), encoding="utf-8")
    done = pravah(
        deployment,
        "replay",
        "rejected",
        "--from",
        str(file),
        "--to",
        str(second),
        "--reason",
        "invalid",
        "--reason",
        "not_utf8",
        "--send",
        "--json",
    )
    assert done.returncode == 1, "one of them is still no event"
    assert json.loads(done.stdout)["sent"] == 1
    assert len(second.read_text(encoding="utf-8").splitlines()) == 1
    until(
        lambda: deployment.clickhouse.execute("SELECT count() FROM events")[0][0] == 3,
        "they are counted",
    )
    # once more: nothing is sent
    shown = json.loads(pravah(deployment, "replay", "rejected", "--send", "--json").stdout)
    assert (shown["sent"], shown["send"]) == (0, 0)
    assert shown["counted"] >= 2, (
        "more, if the worker rejected what was sent before it knew the new registry"
    )
    assert (
        json.loads(
            pravah(deployment, "replay", "rejected", "--from", str(file), "--send", "--json").stdout
        )["sent"]
        == 0
    )
    corrected = [
        {**line, "event": {**line["event"], "event_id": str(UUID(int=5))}}
        for line in corrected
        if line.get("reason") == "invalid"
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in corrected), encoding="utf-8")
    output = pravah(deployment, "replay", "rejected", "--from", str(file), "--send").stdout
    assert "give this one a higher version" in output
    file.write_text("{}\nnonsense\n", encoding="utf-8")
    refused = pravah(deployment, "replay", "rejected", "--from", str(file))
    assert refused.returncode == 1
    assert f"{file}:2: no JSON" in refused.stderr


def test_records_that_the_log_lost_are_reported_and_the_rest_counts(deployment: Deployment) -> None:
    send(deployment, 3)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    assert pravah(deployment, "reconcile").returncode == 0
    stop_workers(deployment)
    counted = dict(
        deployment.clickhouse.execute(
            "SELECT partition, max(next_offset) FROM chunks FINAL WHERE closed GROUP BY partition"
        )
    )
    send(deployment, 4, count=400)
    partition = max(counted, key=lambda one: counted[one])
    admin = KafkaAdminClient(**client_options(deployment.settings.kafka))
    admin.delete_records({TopicPartition(EVENTS, partition): counted[partition] + 5})
    admin.close()
    worker = deployment.start_worker()
    until(lambda: worker.poll() is not None, "the worker stops rather than skip")
    assert worker.returncode != 0
    assert (
        f"the figures stand at offset {counted[partition]}, "
        f"the log begins at {counted[partition] + 5}: 5 records are gone"
        in deployment.log_end(1000)
    )
    stop_workers(deployment)
    shown = pravah(deployment, "rebuild", "lost", "--reason", "a test", "--json")
    assert json.loads(shown.stdout) == {
        "lost": [
            {"partition": partition, "first": counted[partition], "behind": counted[partition] + 5}
        ],
        "said": False,
    }
    assert pravah(deployment, "rebuild", "lost", "--reason", "a test", "--yes").returncode == 0
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    assert pravah(deployment, "reconcile").returncode == 0
    assert deployment.clickhouse.execute(
        "SELECT count() FROM chunks WHERE worker = 'lost: a test'"
    ) == [(1,)]


@pytest.mark.parametrize("left", [False, True])
def test_a_log_without_its_beginning_is_counted_only_on_request(
    deployment: Deployment, left: bool
) -> None:
    send(deployment, 5)
    admin = KafkaAdminClient(**client_options(deployment.settings.kafka))
    ends = admin.list_partition_offsets(
        {
            TopicPartition(EVENTS, number): -1
            for number in range(deployment.settings.kafka.partitions)
        }
    )
    partition = max(ends, key=lambda one: ends[one].offset).partition
    admin.delete_records({TopicPartition(EVENTS, partition): 3})
    admin.close()
    done = pravah(deployment, "rebuild", "log", *(["--from-what-is-left"] if left else []))
    assert done.returncode == (0 if left else 1), done.stdout + done.stderr
    assert "lost 3 records" in done.stderr or left


def test_of_two_rejects_with_one_version_the_first_stands_and_the_second_is_reported() -> None:
    """A different event must not pass for a repeat: it would vanish without a word."""
    looks = Reprocessor(
        small_world.registry(), small_world.dictionary(), max_future_hours=24, now=2**41
    )
    event = {
        **random_event(random.Random(9), 9),
        "unit": "CG-AC001-B0001",
        "occurred_at": f"{small_world.on(5)}T10:00:00+05:30",
    }
    other = {**event, "event_id": str(UUID(int=7))}
    outcomes = [
        looks.conclude(looks.decide(json.dumps(one).encode()), {}) for one in (event, event, other)
    ]
    assert [look.outcome for look in outcomes] == ["send", "repeat", "superseded"]
    assert event["event_id"] in outcomes[-1].detail
    identity = identity_of(looks.decide(json.dumps(event).encode()))
    known = [
        looks.conclude(looks.decide(json.dumps(one).encode()), {identity: UUID(event["event_id"])})
        for one in (event, other)
    ]
    assert [look.outcome for look in known] == ["counted", "superseded"]
