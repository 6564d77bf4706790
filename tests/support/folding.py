"""Folds events into ledger and journal by a real worker, without Kafka."""

import asyncio
import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from pravah.settings import ClickHouseSettings
from rollup.engine import RollupEngine
from schemas.registry import Registry
from sinks.rollup_store import RollupStore
from streams.worker import Worker
from tests.support import oracle, small_world

BATCH = 5_000


@dataclass
class Record:
    """The attributes of a Kafka record that the worker reads."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes


def fold(
    clickhouse: ClickHouseSettings,
    registry: Registry,
    events: Iterable[dict],
    *,
    appended_at: int = 1_700_000_000_000,
) -> None:
    """Fold valid events in their order, as one partition's log.

    Args:
        clickhouse: the database.
        registry: the units.
        events: they must all be accepted.
        appended_at: the broker's append time, milliseconds since 1970-01-01T00:00Z.
    """
    records = [
        Record(
            offset,
            appended_at,
            oracle.routing_key(event["unit"]).encode(),
            json.dumps(event).encode(),
        )
        for offset, event in enumerate(events)
    ]
    asyncio.run(_fold(clickhouse, registry, records))


async def _fold(clickhouse: ClickHouseSettings, registry: Registry, records: list[Record]) -> None:
    async def send(outgoing) -> None:
        details = [rejected.detail for one in outgoing for rejected in one.rejected]
        assert not details, details[:3]

    stop = threading.Event()
    engine = RollupEngine(
        registry,
        small_world.dictionary(),
        partition_of=lambda _: 0,
        max_future_hours=24 * 100_000,
        chunk_size=BATCH,
    )
    storage, writer = RollupStore(clickhouse, stop), RollupStore(clickhouse, stop)
    worker = Worker(engine, storage=storage, writer=writer, send=send, commit=lambda *_: None)
    for first in range(0, len(records), BATCH):
        await worker.process(0, records[first : first + BATCH])
    await worker.flush()
    worker.stop()
    storage.close()
    writer.close()
