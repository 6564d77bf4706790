"""The unit registry in Kafka: the compacted topic `units`, one entry for each unit."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from pravah.kafka import async_client_options
from pravah.producer import ProducerError
from pravah.settings import KafkaSettings
from pravah.topics import UNITS
from producers.topics.reader import read_topic
from schemas.entries import EntryReader, encode_records
from schemas.registry import Registry
from schemas.registry_readers import registry_from_entries

if TYPE_CHECKING:
    from aiokafka.producer.message_accumulator import BatchBuilder

_BATCH_BYTES = 512 * 1024


def publish_registry(kafka: KafkaSettings, registry: Registry, *, topic: str = UNITS) -> int:
    """Make a topic hold a registry.

    Changed entries are written, and units that are gone get a tombstone. Unchanged entries are left
    alone.

    Args:
        kafka: where Kafka is.
        registry: the new content of the topic.
        topic: a compacted topic.

    Returns:
        The number of records written.

    Raises:
        ProducerError: Kafka does not answer or does not accept everything. A second call completes
            it.
    """
    present = read_entries(kafka, topic=topic)
    changed: list[tuple[str, bytes | None]] = [
        (code, value)
        for code, value in encode_records(registry)
        if present.pop(code, None) != value
    ]
    changed += [(code, None) for code in sorted(present)]
    if changed:
        try:
            asyncio.run(_send(kafka, topic, changed))
        except KafkaError as error:
            msg = (
                f"Kafka at {kafka.bootstrap_servers} does not have all of the {len(changed):,} "
                f"registry entries ({type(error).__name__}: {error}); load the registry again"
            )
            raise ProducerError(msg) from error
    return len(changed)


async def _send(
    kafka: KafkaSettings, topic: str, records: Iterable[tuple[str, bytes | None]]
) -> None:
    """Send records in whole batches, in order within a partition.

    A million records take seconds this way; one by one they take more than a minute.
    """
    producer = AIOKafkaProducer(
        **async_client_options(kafka),
        client_id="pravah-producer",
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=_BATCH_BYTES,
    )
    try:
        await producer.start()
        count = len(await producer.partitions_for(topic))
        batches: dict[int, BatchBuilder] = {}
        sent: list[Awaitable[Any]] = []
        for code, value in records:
            key = code.encode()
            # the default partitioner of Kafka's own clients
            partition = (murmur2(key) & 0x7FFFFFFF) % count if count > 1 else 0
            batch = batches.get(partition)
            if batch is None or batch.append(timestamp=None, key=key, value=value) is None:
                if batch is not None:
                    sent.append(await producer.send_batch(batch, topic, partition=partition))
                batch = batches[partition] = producer.create_batch()
                # an empty batch accepts a record of any size
                batch.append(timestamp=None, key=key, value=value)
        for partition, batch in batches.items():
            sent.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


def read_registry(kafka: KafkaSettings, *, topic: str = UNITS) -> Registry | None:
    """Read the registry that the topic holds now. None if the topic is empty.

    Raises:
        ProducerError: Kafka does not answer.
        pydantic.ValidationError: a record is no registry entry.
        schemas.registry.RegistryError: the entries contradict each other.
    """
    entries, reader = read_entries(kafka, topic=topic), EntryReader()
    return (
        registry_from_entries([reader.read(value) for _, value in sorted(entries.items())])
        if entries
        else None
    )


def read_registry_position(kafka: KafkaSettings, *, topic: str = UNITS) -> int:
    """Return a number that changes whenever the topic is written to.

    Raises:
        ProducerError: Kafka does not answer or has no such topic.
    """
    with read_topic(kafka, topic) as (count, _):
        return count


def read_entries(kafka: KafkaSettings, *, topic: str = UNITS) -> dict[str, bytes]:
    """Read the entries that the topic holds when reading begins: unit code → entry as JSON.

    Raises:
        ProducerError: Kafka does not answer or has no such topic.
    """
    entries: dict[str, bytes] = {}
    with read_topic(kafka, topic) as (_, records):
        for record in records:
            code = (record.key or b"").decode(errors="replace")
            if record.value is None:
                entries.pop(code, None)
            else:
                entries[code] = record.value
    return entries
