"""Figures come back from the log; and what the log has lost is said, so that counting goes on behind it."""

import json
import random
from pathlib import Path

import oracle
import pytest
import small_world
from chaos.world import random_event
from conftest import Deployment, until
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from test_reconcile import pravah

from producers.sdk import EventProducer
from schemas.topics import EVENTS
from settings.kafka import client_options


def send(deployment: Deployment, seed: int, count: int = 150) -> list[dict]:
    choose = random.Random(seed)
    events = [random_event(choose, seed) for _ in range(count)]
    events += choose.sample(events, count // 5)
    with EventProducer(deployment.settings.kafka) as producer:
        for event in events:
            producer.send(event)
    return events


def stop_workers(deployment: Deployment) -> None:
    deployment.stop_workers()
    admin = KafkaAdminClient(**client_options(deployment.settings.kafka))
    group = deployment.settings.consumer_group
    until(lambda: not admin.describe_groups([group])[group]["members"], "the group is empty")
    admin.close()


def test_a_rebuild_from_the_log_equals_the_original(deployment: Deployment, tmp_path: Path) -> None:
    events = send(deployment, 1)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    refused = pravah(deployment, "replay", "log")
    assert refused.returncode == 1
    assert "stop them first" in refused.stderr
    stop_workers(deployment)
    before, ledger = deployment.rollups(), deployment.clickhouse.execute("SELECT key, entity, version, partition, offset FROM events ORDER BY ALL")
    refused = pravah(deployment, "replay", "log")
    assert refused.returncode == 1
    assert "--discard" in refused.stderr
    done = pravah(deployment, "replay", "log", "--discard", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["accepted"] == len(ledger)
    assert deployment.rollups() == before
    assert deployment.clickhouse.execute("SELECT key, entity, version, partition, offset FROM events ORDER BY ALL") == ledger
    events += send(deployment, 2)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    assert deployment.rollups() == oracle.figures(events, oracle.Hierarchy.read(small_world.write(tmp_path)))


def test_records_that_are_lost_are_said_to_be_and_counting_goes_on(deployment: Deployment) -> None:
    send(deployment, 3)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    assert pravah(deployment, "reconcile").returncode == 0
    stop_workers(deployment)
    counted = dict(deployment.clickhouse.execute("SELECT partition, max(next_offset) FROM chunks FINAL WHERE closed GROUP BY partition"))
    send(deployment, 4, count=400)
    partition = max(counted, key=lambda one: counted[one])
    admin = KafkaAdminClient(**client_options(deployment.settings.kafka))
    admin.delete_records({TopicPartition(EVENTS, partition): counted[partition] + 5})
    admin.close()
    worker = deployment.start_worker()
    until(lambda: worker.poll() is not None, "the worker stops rather than skip")
    stop_workers(deployment)
    shown = pravah(deployment, "replay", "lost", "--reason", "a test", "--json")
    assert json.loads(shown.stdout) == {"lost": [{"partition": partition, "first": counted[partition], "behind": counted[partition] + 5}], "said": False}
    assert pravah(deployment, "replay", "lost", "--reason", "a test", "--yes").returncode == 0
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    assert pravah(deployment, "reconcile").returncode == 0
    assert deployment.clickhouse.execute("SELECT count() FROM chunks WHERE worker = 'lost: a test'") == [(1,)]


@pytest.mark.parametrize("left", [False, True])
def test_a_log_without_its_beginning_is_counted_only_when_told_to(deployment: Deployment, left: bool) -> None:
    send(deployment, 5)
    admin = KafkaAdminClient(**client_options(deployment.settings.kafka))
    ends = admin.list_partition_offsets({TopicPartition(EVENTS, number): -1 for number in range(deployment.settings.kafka.partitions)})
    partition = max(ends, key=lambda one: ends[one].offset).partition
    admin.delete_records({TopicPartition(EVENTS, partition): 3})
    admin.close()
    done = pravah(deployment, "replay", "log", *(["--from-what-is-left"] if left else []))
    assert done.returncode == (0 if left else 1), done.stdout + done.stderr
    assert "lost 3 records" in done.stderr or left
