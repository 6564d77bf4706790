"""Chunks: how a partition's log is cut, by a pure function of the log.

A new chunk begins at a record when `offset // size` or the hour of the broker's append time differs from those of the record before it, and behind a tick. A chunk is named by
the offset of its first record. A reader that starts where a chunk starts therefore finds the same chunks on every replay.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from schemas.topics import TICK_KEY

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


R = TypeVar("R", bound=Record)


def is_tick(record: Record) -> bool:
    """Whether a record is a tick: it counts nowhere, and ends its chunk."""
    return record.value is None and record.key == TICK_KEY


def begins_chunk(before: Record, record: Record, size: int) -> bool:
    """Whether `record` begins a new chunk after `before`, the record that stands before it in the partition."""
    return is_tick(before) or before.offset // size != record.offset // size or before.timestamp // HOUR_MS != record.timestamp // HOUR_MS


def cut(before: Record | None, records: Sequence[R], size: int) -> Iterator[tuple[bool, Sequence[R]]]:
    """Cut consecutive records of one partition into pieces of one chunk each.

    Args:
        before: the record that stands before them, or None where a reader starts, which is where a chunk starts.
        records: in the order of their offsets.
        size: the most offsets that one chunk spans.

    Yields:
        Whether the piece begins a new chunk, and its records.
    """
    begins = before is None or begins_chunk(before, records[0], size)
    start = 0
    for index in _beginnings(records, size):
        yield begins, records[start:index]
        start, begins = index, True
    yield begins, records[start:]


def _beginnings(records: Sequence[Record], size: int) -> list[int]:
    """Where among some records a chunk begins after the first. Nearly always they are of one hour; then offsets and ticks tell, and each two need not be compared."""
    times = [record.timestamp for record in records]
    if min(times) // HOUR_MS != max(times) // HOUR_MS:
        return [index for index in range(1, len(records)) if begins_chunk(records[index - 1], records[index], size)]
    behind_ticks = [index for index, value in enumerate([record.value for record in records], start=1) if value is None and is_tick(records[index - 1])]
    numbers = range(records[0].offset // size + 1, records[-1].offset // size + 1)
    # a set: a gap in the offsets may leave a chunk out
    found = {bisect_left(records, number * size, key=_offset) for number in numbers}.union(behind_ticks)
    return sorted(found - {len(records)})


def _offset(record: Record) -> int:
    return record.offset
