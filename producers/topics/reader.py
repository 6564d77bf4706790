"""Reading of a topic from its beginning to the end that it has when reading begins."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from pravah.kafka import client_options
from pravah.producer import ProducerError
from pravah.settings import KafkaSettings

_FETCH_BYTES = 8 * 1024 * 1024
_BOOTSTRAP_TIMEOUT_MS = 15_000
_POLL_TIMEOUT_MS = 500
_MAX_POLL_RECORDS = 10_000


@contextmanager
def read_topic(kafka: KafkaSettings, topic: str) -> Iterator[tuple[int, Iterator[Any]]]:
    """Connect for the length of a block and read a whole topic.

    Yields:
        The number of offsets between beginning and end, with those that compaction removed, and the
        records (`kafka.consumer.fetcher.ConsumerRecord`), in order within a partition.

    Raises:
        ProducerError: Kafka does not answer, or has no such topic; also while records are read.
    """
    try:
        consumer = KafkaConsumer(
            **client_options(kafka),
            group_id=None,
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            bootstrap_timeout_ms=_BOOTSTRAP_TIMEOUT_MS,
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
    except KafkaError as error:
        msg = (
            f"no Kafka answers at {kafka.bootstrap_servers} ({error}); "
            "start one with `pravah up`, or set PRAVAH_KAFKA__BOOTSTRAP_SERVERS"
        )
        raise ProducerError(msg) from error
    try:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            msg = f"Kafka at {kafka.bootstrap_servers} has no topic {topic!r}; `pravah up` makes it"
            raise ProducerError(msg)
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        yield sum(ends[tp] - begins[tp] for tp in partitions), _iter_records(consumer, ends)
    except KafkaError as error:
        msg = f"the topic {topic!r} at {kafka.bootstrap_servers} cannot be read: {error}"
        raise ProducerError(msg) from error
    finally:
        consumer.close()


def _iter_records(consumer: KafkaConsumer, ends: dict[TopicPartition, int]) -> Iterator[Any]:
    while any(consumer.position(tp) < end for tp, end in ends.items()):
        polled = consumer.poll(timeout_ms=_POLL_TIMEOUT_MS, max_records=_MAX_POLL_RECORDS)
        for tp, records in polled.items():
            yield from (record for record in records if record.offset < ends[tp])
