"""What the commands of `pravah replay` need that change what was counted: a log that no worker reads."""

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec

from pravah.kafka import client_options
from pravah.settings import Settings
from pravah.topics import EVENTS
from stack.topics import identify


class ReplayRefusedError(LookupError):
    """What was asked for would harm the figures; the message says what to do first."""


@contextmanager
def no_worker_reads(settings: Settings) -> Iterator[KafkaAdminClient]:
    """Kafka, while no worker runs.

    Raises:
        ReplayRefusedError: some run.
    """
    admin = KafkaAdminClient(**client_options(settings.kafka))
    try:
        members = admin.describe_groups([settings.consumer_group])[settings.consumer_group][
            "members"
        ]
        if members:
            msg = f"{len(members)} workers of the group {settings.consumer_group!r} run; stop them first"
            raise ReplayRefusedError(msg)
        yield admin
    finally:
        admin.close()


def log_begins(admin: KafkaAdminClient, settings: Settings) -> dict[int, int]:
    """Partition → the offset of the first record that the log still has."""
    _, partitions = identify(settings.kafka)
    found = admin.list_partition_offsets(
        {TopicPartition(EVENTS, number): OffsetSpec.EARLIEST for number in range(partitions)}
    )
    return {tp.partition: int(at.offset) for tp, at in found.items()}
