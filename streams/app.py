"""The Faust app: one agent that folds the batches of `activity.events`, a timer that flushes, and what happens when partitions come and go."""

import asyncio
import logging
import os
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import faust
from aiokafka.partitioner import murmur2
from mode.supervisors import CrashingSupervisor

from schemas.metrics import MetricDictionary
from schemas.registry import Registry
from schemas.topics import EVENTS, REJECTED
from settings import KafkaSettings, Settings
from sinks.connection import StoppedError
from sinks.rollup_store import RollupStore
from streams.admission import Admission
from streams.transport import BatchApp, RawBatchSchema
from streams.worker import Outgoing, Worker

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 8 * 1024 * 1024
"""The largest record we send: a rejected one with its headers."""


def build(settings: Settings, registry: Registry, dictionary: MetricDictionary, *, partitions: int) -> BatchApp:
    """Put the app together.

    Args:
        settings: where Kafka and ClickHouse are, chunk size, flush interval.
        registry: the units; a worker folds under one registry, a change is a restart.
        dictionary: the metrics.
        partitions: how many `activity.events` has.

    Returns:
        An app for `faust.Worker`. When it stops, what was not released is folded again by whoever has the partition next.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    app = BatchApp(
        settings.consumer_group,
        batched_topic=EVENTS,
        broker=[f"aiokafka://{server}" for server in settings.kafka.bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings.kafka),
        broker_commit_interval=1.0,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 4,
        broker_max_poll_interval=300.0,
        broker_max_poll_records=20_000,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 * 1024 * 1024,
        consumer_connections_max_idle_ms=540_000,
        producer_acks=-1,
        producer_linger_ms=5,
        producer_max_request_size=MAX_REQUEST_BYTES,
        stream_buffer_maxsize=32,  # batches, not records
        stream_wait_empty=False,  # waiting can hang a rebalance while ClickHouse is away
        topic_allow_declare=False,
        topic_disable_leader=True,
        store="memory://",
        datadir=str(settings.home / "faust"),
        web_enabled=False,
    )
    stop = threading.Event()
    admission = Admission(registry, dictionary, partition_of=lambda key: partition_of(key, partitions), max_future_hours=settings.max_future_hours)

    async def send(outgoing: Outgoing) -> None:
        waiting = []
        for rejected in outgoing.rejected:
            record = rejected.record
            headers = _headers(outgoing.partition, record.offset, reason=rejected.reason, detail=rejected.detail)
            waiting.append(await app.producer.send(REJECTED, record.key, record.value, None, None, headers))
        for misrouted in outgoing.misrouted:
            record = misrouted.record
            headers = _headers(outgoing.partition, record.offset)
            waiting.append(await app.producer.send(EVENTS, misrouted.key.encode(), record.value, misrouted.partition, None, headers))
        # a failed produce is only logged by Faust, so each one is awaited before anything below it is released
        await asyncio.gather(*waiting)

    worker = Worker(
        store=RollupStore(settings.clickhouse, stop),
        writer=RollupStore(settings.clickhouse, stop),
        admission=admission,
        chunk_size=settings.chunk_size,
        send=send,
        release=app.release,
        name=f"{socket.gethostname()}:{os.getpid()}",
    )
    topic = app.topic(EVENTS, schema=RawBatchSchema(), internal=False)

    @app.agent(topic, name="roll-up", concurrency=1, supervisor_strategy=CrashingSupervisor)
    async def roll_up(stream: Any) -> None:  # noqa: ANN401
        with suppress(StoppedError):
            async for event in stream.noack().events():
                message = event.message
                if message.generation_id != app.consumer_generation_id:
                    continue  # fetched before a rebalance; whoever has the partition now reads it again
                await worker.take(message.partition, message.value)

    @app.timer(settings.flush_seconds, name="flush")
    async def flush() -> None:
        with suppress(StoppedError):
            await worker.flush()

    @app.on_partitions_revoked.connect
    async def forget(_app: Any, revoked: set[Any], **_: Any) -> None:  # noqa: ANN401
        worker.drop(tp.partition for tp in revoked if tp.topic == EVENTS)

    @app.on_before_shutdown.connect
    async def release_thread(_app: Any, **_: Any) -> None:  # noqa: ANN401
        stop.set()
        worker.stop()

    return app


def partition_of(key: str, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives a key: murmur2 of its UTF-8 bytes, as all of Kafka's clients have it."""
    return int((murmur2(key.encode()) & 0x7FFFFFFF) % partitions)


def _headers(partition: int, offset: int, **texts: str) -> list[tuple[str, bytes]]:
    where = {"topic": EVENTS, "partition": str(partition), "offset": str(offset)}
    return [(name, text.encode()) for name, text in {**texts, **where}.items()]


def _credentials(kafka: KafkaSettings) -> Any:  # noqa: ANN401 - one of Faust's credentials, or None
    context = None
    if kafka.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=_path(kafka.ca_file))
        if kafka.cert_file:
            context.load_cert_chain(kafka.cert_file, _path(kafka.key_file))
    if kafka.security_protocol.startswith("SASL"):
        password = kafka.password.get_secret_value() if kafka.password else None
        return faust.SASLCredentials(username=kafka.username, password=password, mechanism=kafka.sasl_mechanism, ssl_context=context)
    return faust.SSLCredentials(context) if context else None


def _path(path: Path | None) -> str | None:
    return str(path) if path else None
