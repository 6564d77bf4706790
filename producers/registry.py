"""The unit registry in Kafka: the compacted topic `units`, one entry for each unit."""

from collections.abc import Mapping

from producers.sdk import EventProducer
from producers.topic import whole_topic
from schemas.registry import Entry, Registry, registry_from_entries
from schemas.topics import UNITS
from settings import KafkaSettings


def publish_registry(kafka: KafkaSettings, registry: Registry, previous: Mapping[str, bytes] | None = None, *, topic: str = UNITS) -> int:
    """Make the topic hold this registry: changed entries are written, vanished units get a tombstone, the rest is left alone.

    Args:
        kafka: where Kafka is.
        registry: what the topic is to hold.
        previous: unit code → entry that the topic holds; read from the topic if not given.
        topic: compacted.

    Returns:
        How many records were written.

    Raises:
        ProducerError: Kafka does not answer or does not take everything. Publishing again completes it.
    """
    present = read_entries(kafka, topic=topic) if previous is None else previous
    wanted = {entry.unit: entry.model_dump_json().encode() for entry in registry.entries()}
    changed = {code: value for code, value in wanted.items() if present.get(code) != value}
    vanished = present.keys() - wanted.keys()
    if changed or vanished:
        with EventProducer(kafka, topic=topic) as producer:
            for code, value in changed.items():
                producer.send_raw(value, code)
            for code in sorted(vanished):
                producer.send_raw(None, code)
    return len(changed) + len(vanished)


def read_registry(kafka: KafkaSettings, *, topic: str = UNITS) -> Registry | None:
    """The registry that the topic holds now, or None if it holds none.

    Raises:
        ProducerError: Kafka does not answer.
        pydantic.ValidationError: something in the topic is no registry entry.
        schemas.registry.RegistryError: the entries contradict each other.
    """
    entries = read_entries(kafka, topic=topic)
    return registry_from_entries(Entry.model_validate_json(value) for _, value in sorted(entries.items())) if entries else None


def registry_position(kafka: KafkaSettings, *, topic: str = UNITS) -> int:
    """A number that is another one after the topic was written to.

    Raises:
        ProducerError: Kafka does not answer or has no such topic.
    """
    with whole_topic(kafka, topic) as (count, _):
        return count


def read_entries(kafka: KafkaSettings, *, topic: str = UNITS) -> dict[str, bytes]:
    """Unit code → entry, as the topic holds them now: read from its beginning to the end it has when reading begins.

    Raises:
        ProducerError: Kafka does not answer or has no such topic.
    """
    entries: dict[str, bytes] = {}
    with whole_topic(kafka, topic) as (_, records):
        for record in records:
            code = (record.key or b"").decode(errors="replace")
            if record.value is None:
                entries.pop(code, None)
            else:
                entries[code] = record.value
    return entries
