"""The Faust app: the agent that reads `activity.events`, timers, rebalances and health."""

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
from rollup.engine import RollupEngine, ValidatedBatch
from rollup.errors import StoppedError
from rollup.flush import Outgoing
from schemas.metrics import MetricDictionary
from schemas.registry import Registry
from sinks.rollup_store import RollupStore
from streams.health_server import Server, serve
from streams.health_snapshot import WorkerStateReader
from streams.telemetry import Telemetry
from streams.transport import BatchApp, RawBatchSchema
from streams.worker import Worker

log = logging.getLogger(__name__)

_TICK_INTERVAL_S = 20.0

# Maximum wait of a rebalance for ClickHouse; the worker checks its start offsets in any case.
_CLOSED_OFFSETS_TIMEOUT_S = 5.0

# The largest record that is sent: a rejected one with its headers.
MAX_REQUEST_BYTES = 8 * 1024 * 1024


def build(
    settings: Settings,
    registry: Registry,
    dictionary: MetricDictionary,
    *,
    partitions: int,
    token: int | None = None,
) -> BatchApp:
    """Build the app.

    Args:
        settings: addresses of Kafka and ClickHouse, chunk size, flush interval.
        registry: the units; a worker folds under one registry, a change is a restart.
        dictionary: the metrics.
        partitions: number of partitions of `activity.events`.
        token: of the lease on the figures, which each write carries; by default the newest one.

    Returns:
        An app for `faust.Worker`. When it stops, the next owner of a partition folds the chunks
        again that were not closed.
    """

    async def closed_offsets() -> dict[int, int]:
        try:
            return await asyncio.wait_for(worker.closed_offsets(), _CLOSED_OFFSETS_TIMEOUT_S)
        except (TimeoutError, StoppedError):
            log.warning(
                "ClickHouse does not answer how far the figures are; "
                "starting at the committed offsets"
            )
            return {}

    async def send(outgoing: Sequence[Outgoing]) -> None:
        await _send(app, outgoing)

    app = _app(settings, closed_offsets)
    stop = threading.Event()
    telemetry = Telemetry()

    def on_insert(table: str, rows: int, seconds: float) -> None:
        telemetry.rows_written_total.labels(table).inc(rows)
        telemetry.insert_seconds.labels(table).observe(seconds)

    engine = RollupEngine(
        registry,
        dictionary,
        partition_of=lambda key: partition_of(key, partitions),
        max_future_hours=settings.max_future_hours,
        chunk_size=settings.chunk_size,
        filter_bits=settings.filter_bits,
        recent_entities=settings.recent_entities,
        worker=f"{socket.gethostname()}:{os.getpid()}",
    )
    engine.warm_up()
    storage = RollupStore(settings.clickhouse, stop, on_insert, token=token)
    writer = RollupStore(settings.clickhouse, stop, on_insert, token=token)
    worker = Worker(
        engine,
        storage=storage,
        writer=writer,
        send=send,
        commit=app.commit_offset,
        telemetry=telemetry,
    )
    _run_worker(app, worker, settings.flush_seconds)

    @app.on_before_shutdown.connect
    async def stop_threads(_app: Any, **_: Any) -> None:
        stop.set()
        worker.stop()

    state = WorkerStateReader(
        app,
        worker,
        failing=lambda: max(storage.consecutive_failures, writer.consecutive_failures),
        recovered_at=lambda: max(storage.recovered_at, writer.recovered_at),
        registry=registry.fingerprint(),
    )
    _serve_health(app, state, telemetry, settings)
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


def _run_worker(app: BatchApp, worker: Worker, flush_seconds: float) -> None:
    """Make the app feed the worker, flush it and send ticks."""
    topic = app.topic(EVENTS, schema=RawBatchSchema(), internal=False)

    # Besides the queued batch, one is being validated and one is being folded.
    validated: asyncio.Queue[tuple[Any, asyncio.Future[ValidatedBatch]]] = asyncio.Queue(maxsize=1)

    @app.agent(topic, name="roll-up", concurrency=1, supervisor_strategy=CrashingSupervisor)
    async def validate(stream: Any) -> None:
        with suppress(StoppedError):
            async for event in stream.noack().events():
                message = event.message
                await validated.put((message, worker.validate(message.partition, message.value)))

    @app.task
    async def fold() -> None:
        with suppress(StoppedError):
            while not app.should_stop:
                message, batch = await validated.get()
                if message.generation_id != app.consumer_generation_id:
                    continue  # fetched before a rebalance; the partition's owner reads it again
                await worker.process(message.partition, await batch)

    @app.task
    async def flush() -> None:
        # At a fixed rate: Faust's timer waits the whole interval after each flush.
        due = time.monotonic()
        with suppress(StoppedError):
            while not app.should_stop:
                due = max(due + flush_seconds, time.monotonic())
                await app.sleep(due - time.monotonic())
                await worker.flush()

    @app.timer(_TICK_INTERVAL_S, name="tick")
    async def tick() -> None:
        for partition in worker.idle_partitions(time.time_ns() // 1_000_000):
            await app.producer.send(EVENTS, TICK_KEY, None, partition, None, [])

    @app.on_partitions_revoked.connect
    async def revoke(_app: Any, revoked: set[Any], **_: Any) -> None:
        worker.revoke(tp.partition for tp in revoked if tp.topic == EVENTS)


async def _send(app: BatchApp, outgoing: Sequence[Outgoing]) -> None:
    """Send rejected and misrouted records; return when they are durable there."""
    sent = []
    for one in outgoing:
        for rejected in one.rejected:
            record = rejected.record
            headers = _headers(
                one.partition, record.offset, reason=rejected.reason, detail=rejected.detail
            )
            sent.append(
                await app.producer.send(REJECTED, record.key, record.value, None, None, headers)
            )
        for misrouted in one.misrouted:
            record = misrouted.record
            headers = _headers(one.partition, record.offset)
            sent.append(
                await app.producer.send(
                    EVENTS, misrouted.key.encode(), record.value, misrouted.partition, None, headers
                )
            )
    # Faust only logs a failed produce, so each is awaited before offsets beyond it are committed.
    await asyncio.gather(*sent)


def _serve_health(
    app: BatchApp, state: WorkerStateReader, telemetry: Telemetry, settings: Settings
) -> None:
    """Serve `/healthz`, `/readyz` and `/metrics` while the app runs."""
    servers: list[Server] = []

    @app.on_worker_init.connect
    def started(_app: Any, **_: Any) -> None:
        state.started = time.time()

    @app.on_partitions_revoked.connect
    async def revoked(_app: Any, revoked: set[Any], **_: Any) -> None:  # noqa: ARG001
        state.is_assigned = False

    @app.on_partitions_assigned.connect
    async def assigned(_app: Any, assigned: set[Any], **_: Any) -> None:  # noqa: ARG001
        state.is_assigned = True
        telemetry.rebalances_total.inc()

    @app.task
    async def start_server() -> None:
        server = await serve(
            state.read, telemetry, host=settings.worker_host, port=settings.worker_port
        )
        servers.append(server)
        log.info(
            "health and metrics: http://%s:%d/healthz /readyz /metrics",
            settings.worker_host,
            server.port,
        )

    @app.on_before_shutdown.connect
    async def stop_servers(_app: Any, **_: Any) -> None:
        for server in servers:
            await server.stop()


def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a key by Kafka's default partitioner: murmur2 of its UTF-8 bytes."""
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
