"""The Faust app: one agent that folds the batches of `activity.events`, timers that flush and tick, what happens when partitions come and go, and health."""

import asyncio
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import faust
from aiokafka.partitioner import murmur2
from mode.supervisors import CrashingSupervisor

from pravah.settings import KafkaSettings, Settings
from pravah.topics import EVENTS, REJECTED, TICK_KEY
from rollup.storage import StoppedError
from rollup.validation import Validator
from schemas.metrics import MetricDictionary
from schemas.registry import Registry
from sinks.rollup_store import RollupStore
from streams.health import Server, serve
from streams.health_snapshot import Watch
from streams.telemetry import Telemetry
from streams.transport import BatchApp, RawBatchSchema
from streams.worker import Outgoing, ValidatedBatch, Worker

log = logging.getLogger(__name__)

_TICK_SECONDS = 20.0
_ASK_SECONDS = 5.0
"""So long a rebalance waits for ClickHouse; the worker checks where it begins in any case."""
MAX_REQUEST_BYTES = 8 * 1024 * 1024
"""The largest record we send: a rejected one with its headers."""


def build(
    settings: Settings,
    registry: Registry,
    dictionary: MetricDictionary,
    *,
    partitions: int,
    token: int | None = None,
) -> BatchApp:
    """Put the app together.

    Args:
        settings: where Kafka and ClickHouse are, chunk size, flush interval.
        registry: the units; a worker folds under one registry, a change is a restart.
        dictionary: the metrics.
        partitions: how many `activity.events` has.
        token: of the lease on the figures, which each write carries; by default the newest one.

    Returns:
        An app for `faust.Worker`. When it stops, what was not released is folded again by whoever has the partition next.
    """

    async def closed_offsets() -> dict[int, int]:
        try:
            return await asyncio.wait_for(worker.closed_offsets(), _ASK_SECONDS)
        except (TimeoutError, StoppedError):
            log.warning(
                "ClickHouse does not say where the figures stand; going on from the committed offsets"
            )
            return {}

    async def send(outgoing: Sequence[Outgoing]) -> None:
        await _send(app, outgoing)

    app = _app(settings, closed_offsets)
    stop = threading.Event()
    telemetry = Telemetry()

    def inserted(table: str, rows: int, seconds: float) -> None:
        telemetry.rows_written_total.labels(table).inc(rows)
        telemetry.insert_seconds.labels(table).observe(seconds)

    store, writer = (
        RollupStore(settings.clickhouse, stop, inserted, token=token),
        RollupStore(settings.clickhouse, stop, inserted, token=token),
    )
    worker = Worker(
        store=store,
        writer=writer,
        validator=Validator(
            registry,
            dictionary,
            partition_of=lambda key: partition_of(key, partitions),
            max_future_hours=settings.max_future_hours,
        ),
        chunk_size=settings.chunk_size,
        filter_bits=settings.filter_bits,
        recent_entities=settings.recent_entities,
        send=send,
        commit=app.commit_offset,
        name=f"{socket.gethostname()}:{os.getpid()}",
        telemetry=telemetry,
    )
    worker.warm_up()
    _roll_up(app, worker, settings.flush_seconds)

    @app.on_before_shutdown.connect
    async def release_threads(_app: Any, **_: Any) -> None:
        stop.set()
        worker.stop()

    watch = Watch(
        app,
        worker,
        failing=lambda: max(store.consecutive_failures, writer.consecutive_failures),
        recovered_at=lambda: max(store.recovered_at, writer.recovered_at),
        registry=registry.fingerprint(),
    )
    _tell_health(app, watch, telemetry, settings)
    return app


def _app(settings: Settings, closed_offsets: Callable[[], Awaitable[dict[int, int]]]) -> BatchApp:
    settings.home.mkdir(parents=True, exist_ok=True)
    return BatchApp(
        settings.consumer_group,
        batched_topic=EVENTS,
        closed_offsets=closed_offsets,
        broker=[f"aiokafka://{server}" for server in settings.kafka.bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings.kafka),
        broker_commit_interval=1.0,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 4,
        broker_max_poll_interval=300.0,
        broker_max_poll_records=20_000,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=1024 * 1024,
        consumer_connections_max_idle_ms=540_000,
        producer_acks=-1,
        producer_linger_ms=5,
        producer_max_batch_size=256 * 1024,  # a flush sends all that goes elsewhere at once
        producer_max_request_size=MAX_REQUEST_BYTES,
        stream_buffer_maxsize=4,  # batches, not records
        stream_wait_empty=False,  # waiting can hang a rebalance while ClickHouse is away
        topic_allow_declare=False,
        topic_disable_leader=True,
        store="memory://",
        datadir=str(settings.home / "faust"),
        web_enabled=False,
    )


def _roll_up(app: BatchApp, worker: Worker, flush_seconds: float) -> None:
    """Let the app feed the worker."""
    topic = app.topic(EVENTS, schema=RawBatchSchema(), internal=False)

    admitted: asyncio.Queue[tuple[Any, asyncio.Future[ValidatedBatch]]] = asyncio.Queue(
        maxsize=1
    )  # and one before it, and one behind it

    @app.agent(topic, name="roll-up", concurrency=1, supervisor_strategy=CrashingSupervisor)
    async def validate(stream: Any) -> None:
        with suppress(StoppedError):
            async for event in stream.noack().events():
                await admitted.put(
                    (event.message, worker.validate(event.message.partition, event.message.value))
                )

    @app.task
    async def fold() -> None:
        with suppress(StoppedError):
            while not app.should_stop:
                message, batch = await admitted.get()
                if message.generation_id != app.consumer_generation_id:
                    continue  # fetched before a rebalance; whoever has the partition now reads it again
                await worker.process(message.partition, await batch)

    @app.task
    async def flush() -> None:
        # at a fixed cadence: Faust's timer waits the whole interval again when a flush has ended
        due = time.monotonic()
        with suppress(StoppedError):
            while not app.should_stop:
                due = max(due + flush_seconds, time.monotonic())
                await app.sleep(due - time.monotonic())
                await worker.flush()

    @app.timer(_TICK_SECONDS, name="tick")
    async def tick() -> None:
        for partition in worker.idle_partitions(time.time_ns() // 1_000_000):
            await app.producer.send(EVENTS, TICK_KEY, None, partition, None, [])

    @app.on_partitions_revoked.connect
    async def forget(_app: Any, revoked: set[Any], **_: Any) -> None:
        worker.revoke(tp.partition for tp in revoked if tp.topic == EVENTS)


async def _send(app: BatchApp, outgoing: Sequence[Outgoing]) -> None:
    """Send records elsewhere; returns when they are durable there."""
    waiting = []
    for one in outgoing:
        for rejected in one.rejected:
            record = rejected.record
            headers = _headers(
                one.partition, record.offset, reason=rejected.reason, detail=rejected.detail
            )
            waiting.append(
                await app.producer.send(REJECTED, record.key, record.value, None, None, headers)
            )
        for misrouted in one.misrouted:
            record = misrouted.record
            headers = _headers(one.partition, record.offset)
            waiting.append(
                await app.producer.send(
                    EVENTS, misrouted.key.encode(), record.value, misrouted.partition, None, headers
                )
            )
    # a failed produce is only logged by Faust, so each one is awaited before anything below it is released
    await asyncio.gather(*waiting)


def _tell_health(app: BatchApp, watch: Watch, telemetry: Telemetry, settings: Settings) -> None:
    """Answer `/healthz`, `/readyz` and `/metrics` while the app runs."""
    servers: list[Server] = []

    @app.on_worker_init.connect
    def begin(_app: Any, **_: Any) -> None:
        watch.started = time.time()

    @app.on_partitions_revoked.connect
    async def revoked(_app: Any, revoked: set[Any], **_: Any) -> None:  # noqa: ARG001
        watch.assigned = False

    @app.on_partitions_assigned.connect
    async def assigned(_app: Any, assigned: set[Any], **_: Any) -> None:  # noqa: ARG001
        watch.assigned = True
        telemetry.rebalances_total.inc()

    @app.task
    async def answer() -> None:
        server = await serve(
            watch.state, telemetry, host=settings.worker_host, port=settings.worker_port
        )
        servers.append(server)
        log.info(
            "health and metrics: http://%s:%d/healthz /readyz /metrics",
            settings.worker_host,
            server.port,
        )

    @app.on_before_shutdown.connect
    async def end(_app: Any, **_: Any) -> None:
        for server in servers:
            await server.stop()


def partition_of(key: str, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives a key: murmur2 of its UTF-8 bytes, as all of Kafka's clients have it."""
    return int((murmur2(key.encode()) & 0x7FFFFFFF) % partitions)


def _headers(partition: int, offset: int, **texts: str) -> list[tuple[str, bytes]]:
    where = {"topic": EVENTS, "partition": str(partition), "offset": str(offset)}
    return [(name, text.encode()) for name, text in {**texts, **where}.items()]


def _credentials(kafka: KafkaSettings) -> Any:
    context = None
    if kafka.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=_path(kafka.ca_file))
        if kafka.cert_file:
            context.load_cert_chain(kafka.cert_file, _path(kafka.key_file))
    if kafka.security_protocol.startswith("SASL"):
        password = kafka.password.get_secret_value() if kafka.password else None
        return faust.SASLCredentials(
            username=kafka.username,
            password=password,
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def _path(path: Path | None) -> str | None:
    return str(path) if path else None
