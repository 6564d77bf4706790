"""Chunks: how a partition's log is cut, by a pure function of the log.

A record begins a new chunk when `offset // size` or the hour of the broker's append time differs
from that of the previous record, and after a tick. A chunk is identified by the offset of its first
record. So a reader that starts where a chunk starts finds the same chunks each time.
"""

from typing import Protocol

from pravah.topics import TICK_KEY

HOUR_MS = 3_600_000


class Record(Protocol):
    """The attributes of a Kafka record that the roll-up reads."""

    @property
    def offset(self) -> int:
        """Its offset in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """The broker's append time, milliseconds since 1970-01-01T00:00Z."""
        ...

    @property
    def key(self) -> bytes | None:
        """Its key, unchanged."""
        ...

    @property
    def value(self) -> bytes | None:
        """Its value, unchanged."""
        ...


def is_tick(record: Record) -> bool:
    """Whether a record is a tick, which is not counted and completes its chunk."""
    return record.value is None and record.key == TICK_KEY


def begins_chunk(before: Record, record: Record, size: int) -> bool:
    """Whether `record` begins a new chunk after `before`, the previous record of the partition."""
    return (
        is_tick(before)
        or before.offset // size != record.offset // size
        or before.timestamp // HOUR_MS != record.timestamp // HOUR_MS
    )
