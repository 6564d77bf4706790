"""Chunks: how a partition's log is cut, by a pure function of the log.

A new chunk begins at a record when `offset // size` or the hour of the broker's append time differs from those of the record before it, and behind a tick. A chunk is named by
the offset of its first record. A reader that starts where a chunk starts therefore finds the same chunks on every replay.
"""

from typing import Protocol

from pravah.topics import TICK_KEY

HOUR_MS = 3_600_000


class Record(Protocol):
    """What the roll-up needs of a Kafka record."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """The broker's append time, milliseconds since 1970-01-01T00:00Z."""
        ...

    @property
    def key(self) -> bytes | None:
        """As it came."""
        ...

    @property
    def value(self) -> bytes | None:
        """As it came."""
        ...


def is_tick(record: Record) -> bool:
    """Whether a record is a tick: it counts nowhere, and ends its chunk."""
    return record.value is None and record.key == TICK_KEY


def begins_chunk(before: Record, record: Record, size: int) -> bool:
    """Whether `record` begins a new chunk after `before`, the record that stands before it in the partition."""
    return (
        is_tick(before)
        or before.offset // size != record.offset // size
        or before.timestamp // HOUR_MS != record.timestamp // HOUR_MS
    )
