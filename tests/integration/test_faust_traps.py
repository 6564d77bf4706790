"""Faust's internals that the transport relies on, and the traps that it works around.

When an upgrade of Faust changes one of them, it shows here and not in the figures.
"""

import asyncio
import inspect
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace

import faust
import pytest
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata
from mode.supervisors import CrashingSupervisor

from pravah.kafka import client_options
from pravah.producer import EventProducer
from pravah.settings import Settings
from pravah.topics import EVENTS
from rollup.errors import StoppedError
from sinks.recount import closed_cut
from streams import transport
from streams.app import build
from streams.transport import BatchConsumer, BatchTransport, as_batch
from tests.integration.test_rebuild import stop_workers
from tests.property.test_rollup import Group, _post, log_of
from tests.support import oracle, small_world
from tests.support.deployment import Deployment, until
from tests.support.memory_store import MemoryStore

OVERRIDDEN = {
    "_getmany": ["self", "active_partitions", "timeout"],
    "_filter_committable_offsets": ["self", "tps"],
    "_commit": ["self", "offsets"],
    "_add_gap": ["self", "tp", "offset_from", "offset_to"],
    "perform_seek": ["self"],
    "on_partitions_revoked": ["self", "revoked"],
}
RELIED_ON = {
    "_should_commit": ["self", "tp", "offset"],
    "earliest_offsets": ["self", "partitions"],
    "seek": ["self", "partition", "offset"],
    "assignment": ["self"],
}


@pytest.mark.parametrize(("name", "parameters"), {**OVERRIDDEN, **RELIED_ON}.items())
def test_fausts_consumer_still_has_what_we_override_and_call(
    name: str, parameters: list[str]
) -> None:
    assert list(inspect.signature(getattr(driver.Consumer, name)).parameters) == parameters
    assert (name in vars(BatchConsumer)) == (name in OVERRIDDEN)


def test_faust_still_calls_what_we_override() -> None:
    """A renamed caller would leave our method standing there, never called."""
    source = inspect.getsource(Consumer)
    for call in (
        "self._getmany(",
        "self._filter_committable_offsets(",
        "self._commit(",
        "self._add_gap(",
        "self.perform_seek()",
    ):
        assert call in source, call
    assert "_new_transport" in vars(faust.App)
    assert driver.Transport.Consumer is driver.Consumer
    assert BatchTransport.Consumer is BatchConsumer
    assert list(inspect.signature(faust.Schema.compile).parameters)[:2] == ["self", "app"]


def test_an_app_has_our_settings_where_fausts_own_would_lose_or_stall(services: Settings) -> None:
    plain = faust.App("plain").conf
    assert (
        plain.broker_max_poll_interval,
        plain.broker_session_timeout,
        plain.stream_wait_empty,
    ) == (1000.0, 60.0, True), "new defaults: are ours still needed?"
    conf = build(services, small_world.registry(), small_world.dictionary(), partitions=3).conf
    assert conf.broker_session_timeout == services.session_timeout_seconds
    assert (
        conf.broker_max_poll_interval,
        conf.stream_wait_empty,
        conf.producer_acks,
        conf.consumer_auto_offset_reset,
    ) == (300.0, False, -1, "earliest")
    assert conf.processing_guarantee == faust.types.enums.ProcessingGuarantee.AT_LEAST_ONCE


def test_the_agent_reads_without_acknowledging_and_crashes_rather_than_skips(
    services: Settings,
) -> None:
    app = build(services, small_world.registry(), small_world.dictionary(), partitions=3)
    (agent,) = app.agents.values()
    assert agent.supervisor_strategy is CrashingSupervisor
    assert agent.concurrency == 1
    stream = app.stream(app.topic("x"))
    assert stream.enable_acks
    assert not stream.noack().enable_acks


def test_faust_would_commit_past_a_record_that_was_not_acknowledged() -> None:
    """Why nothing of a batched topic is ever acknowledged: Faust takes the first as done."""
    tp = TP(EVENTS, 0)
    books = SimpleNamespace(
        _acked=defaultdict(list),
        _acked_index=defaultdict(set),
        _gap=defaultdict(list),
        _committed_offset=defaultdict(lambda: None),
    )
    books._acked[tp], books._committed_offset[tp] = [2586, 2587, 2588, 2589], 2585
    assert Consumer._new_offset(books, tp) == 2590
    books._acked[tp], books._committed_offset[tp] = [1, 2, 3], None
    assert Consumer._new_offset(books, tp) == 4


def test_only_committable_offsets_are_committed() -> None:
    tp, other = TP(EVENTS, 0), TP("other", 0)
    app = SimpleNamespace(batched_topic=EVENTS, committable_offsets={tp: 40, TP(EVENTS, 1): 10})
    consumer = BatchConsumer.__new__(BatchConsumer)
    consumer.app = app
    consumer._committed_offset = defaultdict(lambda: None, {TP(EVENTS, 1): 10})
    consumer._acked, consumer._gap, consumer._acked_index = (
        defaultdict(list, {tp: [1, 2, 3], other: [1]}),
        defaultdict(list),
        defaultdict(set),
    )
    consumer._new_offset = lambda tp: (
        pytest.fail("acknowledged offsets of the batched topic were requested")
        if tp.topic == EVENTS
        else 2
    )
    assert consumer._filter_committable_offsets([tp, other]) == {tp: 40, other: 2}


def test_a_commit_that_nobody_answers_does_not_keep_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a crash Faust's consumer thread may end first, and a call to it never returns."""

    class Silent:
        async def commit(self, _offsets: dict) -> bool:
            return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(transport, "_COMMIT_SECONDS", 0.05)
    consumer = BatchConsumer.__new__(BatchConsumer)
    consumer._thread = Silent()
    consumer.log = SimpleNamespace(warning=lambda *_: None)

    async def commit() -> bool:
        return await asyncio.wait_for(consumer._commit({TP(EVENTS, 0): 5}), 10)

    assert asyncio.run(commit()) is False


def test_timers_that_run_on_after_the_worker_was_stopped_end_quietly() -> None:
    """Faust's timers outlive `on_before_shutdown`; an exception there made a stop a crash."""
    group = Group(MemoryStore(), 100)

    async def run() -> None:
        worker = group.worker()
        await worker.process(0, log_of([_post()], [0]))
        worker.stop()
        with pytest.raises(StoppedError):
            await worker.flush()

    asyncio.run(run())


def test_a_batch_looks_to_faust_like_its_last_record() -> None:
    records = [
        SimpleNamespace(
            offset=offset, timestamp=offset * 10, timestamp_type=1, value=b"{}", key=None
        )
        for offset in (5, 6, 7)
    ]
    batch = as_batch(TP(EVENTS, 2), records)
    assert (batch.offset, batch.partition, batch.timestamp, batch.value.offsets.tolist()) == (
        7,
        2,
        70,
        [5, 6, 7],
    )
    read = re.findall(r"record\.(\w+)", inspect.getsource(driver.Consumer._to_message))
    assert "serialized_value_size" in read
    assert all(hasattr(batch, name) for name in read)


HANGING = """
import faust
import cli.worker

async def hang(_self):
    import asyncio
    await asyncio.Event().wait()

faust.Worker.stop = hang
cli.worker._SHUTDOWN_SECONDS = 0.2
import asyncio
asyncio.run(cli.worker._Worker.stop(cli.worker._Worker.__new__(cli.worker._Worker)))
"""


def test_a_worker_that_hangs_on_its_way_out_is_ended() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "exiting now" in done.stderr


# --- with a real Kafka ----------------------------------------------------------------------------


def events(count: int) -> list[dict]:
    return [
        {
            **_post(),
            "event_id": f"00000000-0000-4000-8000-{number:012d}",
            "occurred_at": f"{small_world.on(5)}T10:00:00+05:30",
        }
        for number in range(count)
    ]


def committed(deployment: Deployment) -> dict[int, int]:
    admin = KafkaAdminClient(**client_options(deployment.settings.kafka))
    group = deployment.settings.consumer_group
    offsets = admin.list_group_offsets({group: None})[group]
    admin.close()
    return {tp.partition: found.offset for tp, found in offsets.items() if tp.topic == EVENTS}


def closed(deployment: Deployment) -> dict[int, int]:
    offsets = closed_cut(deployment.clickhouse).offsets
    return {partition: offset for partition, offset in offsets.items() if offset}


def test_committed_offsets_are_chunk_boundaries_and_nothing_else(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(chunk_size=40)
    with EventProducer(deployment.settings.kafka) as producer:
        for event in events(250):
            producer.send(event)
    # after the events: a partition without a committed offset is read from its beginning
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    # Chunks are closed after the write that rolled them up.
    until(lambda: sum(closed(deployment).values()) == 240, "six chunks are closed")
    until(
        lambda: committed(deployment) == closed(deployment),
        "the committed offsets are where the closed chunks end",
    )
    starts = deployment.clickhouse.execute("SELECT partition, chunk FROM chunks FINAL")
    assert all((partition, offset) in starts for partition, offset in closed(deployment).items())


def test_the_figures_say_where_to_begin_whatever_the_group_has_committed(
    deploy: Callable[..., Deployment], tmp_path
) -> None:
    """A committed offset that somebody moved, forward or back, changes nothing."""
    deployment = deploy(chunk_size=40)
    sent = events(250)
    with EventProducer(deployment.settings.kafka) as producer:
        for event in sent[:130]:
            producer.send(event)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    until(lambda: sum(closed(deployment).values()) == 120, "three chunks are closed")
    (partition,) = closed(deployment)
    for moved_to in (129, 3):
        stop_workers(deployment)
        admin = KafkaAdminClient(**client_options(deployment.settings.kafka))
        admin.alter_group_offsets(
            deployment.settings.consumer_group,
            {TopicPartition(EVENTS, partition): OffsetAndMetadata(moved_to, "", -1)},
        )
        admin.close()
        with EventProducer(deployment.settings.kafka) as producer:
            for event in sent[:200] if moved_to == 129 else sent:
                producer.send_raw(json.dumps(event).encode(), "CG-AC001")
        deployment.start_worker()
        deployment.wait_until_rolled_up()
    assert deployment.rollups() == oracle.figures(
        sent, oracle.Hierarchy.read(small_world.write(tmp_path))
    )
