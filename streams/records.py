"""Records of one partition side by side: where each key and value stands in the bytes that came from the broker, so that no object is made of a record that is as usual."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np

from schemas import loops
from schemas.loops import Numbers
from streams.chunks import HOUR_MS, Record, begins_chunk, is_tick

MISSING = -1
"""The length of a key or value that is null."""
HEADER_BYTES = 61
"""Of a record batch."""
_CODEC, _APPEND_TIME = 0b111, 0b1000
_ATTRIBUTES, _BASE_TIME, _MAX_TIME, _COUNT = slice(21, 23), slice(27, 35), slice(35, 43), slice(57, 61)


class One(NamedTuple):
    """A single record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Records(Sequence[One]):
    """Consecutive records of a partition."""

    buffer: Numbers
    """Bytes; behind the last one stands a 0."""
    offsets: Numbers
    timestamps: Numbers
    """The broker's append times, milliseconds since 1970-01-01T00:00Z."""
    key_begins: Numbers
    key_lengths: Numbers
    value_begins: Numbers
    value_lengths: Numbers

    @classmethod
    def of(cls, records: Sequence[Record]) -> "Records":
        """Those of a list."""
        if isinstance(records, cls):
            return records
        texts = [text for record in records for text in (record.key, record.value)]
        lengths = np.array([MISSING if text is None else len(text) for text in texts], np.int64)
        taken = np.maximum(lengths, 0)
        begins = np.cumsum(taken) - taken
        offsets, timestamps = np.array([(record.offset, record.timestamp) for record in records], np.int64).reshape(-1, 2).T
        buffer = np.frombuffer(b"".join([text for text in texts if text is not None]) + b"\0", np.uint8)
        return cls(buffer, offsets.copy(), timestamps.copy(), *(part.copy() for part in (begins[::2], lengths[::2], begins[1::2], lengths[1::2])))

    @classmethod
    def join(cls, parts: "Sequence[Records]") -> "Records":
        """All of some, one after another."""
        if len(parts) == 1:
            return parts[0]
        buffer = np.concatenate([part.buffer for part in parts])
        buffer.flags.writeable = False  # as those are that come from bytes: the loops are compiled for one kind
        shifts = np.cumsum([0, *(len(part.buffer) for part in parts)])
        shifted = [(part, shift) for part, shift in zip(parts, shifts.tolist(), strict=False)]
        return cls(
            buffer,
            np.concatenate([part.offsets for part in parts]),
            np.concatenate([part.timestamps for part in parts]),
            np.concatenate([part.key_begins + shift for part, shift in shifted]),
            np.concatenate([part.key_lengths for part in parts]),
            np.concatenate([part.value_begins + shift for part, shift in shifted]),
            np.concatenate([part.value_lengths for part in parts]),
        )

    @classmethod
    def from_batch(cls, header: bytes, records: bytes) -> "Records":
        """A record batch of Kafka's format 2 (https://kafka.apache.org/documentation/#recordbatch).

        Args:
            header: its first 61 bytes.
            records: what is behind them, decompressed.

        Raises:
            ValueError: it has other bytes than its records take.
        """
        buffer = np.frombuffer(records + b"\0", np.uint8)
        base_time, max_time = (int.from_bytes(header[place], "big", signed=True) for place in (_BASE_TIME, _MAX_TIME))
        count = int.from_bytes(header[_COUNT], "big", signed=True)
        has_append_time = bool(int.from_bytes(header[_ATTRIBUTES], "big") & _APPEND_TIME)
        columns, is_whole = loops.read_records(buffer, count)
        if not is_whole:
            msg = f"a batch of {count} records is no such batch"
            raise ValueError(msg)
        columns[0] += int.from_bytes(header[:8], "big", signed=True)
        columns[1] = max_time if has_append_time else columns[1] + base_time
        return cls(buffer, *columns)

    def __len__(self) -> int:
        """How many."""
        return len(self.offsets)

    @overload
    def __getitem__(self, place: int) -> One: ...
    @overload
    def __getitem__(self, place: slice) -> "Records": ...
    def __getitem__(self, place: int | slice) -> "One | Records":
        """One of them, or some on the same bytes."""
        if isinstance(place, slice):
            return Records(
                self.buffer,
                *(
                    self.offsets[place],
                    self.timestamps[place],
                    self.key_begins[place],
                    self.key_lengths[place],
                    self.value_begins[place],
                    self.value_lengths[place],
                ),
            )
        texts = ((self.key_begins, self.key_lengths), (self.value_begins, self.value_lengths))
        key, value = (None if lengths[place] < 0 else self.buffer[begins[place] : begins[place] + lengths[place]].tobytes() for begins, lengths in texts)
        return One(int(self.offsets[place]), int(self.timestamps[place]), key, value)

    def __iter__(self) -> Iterator[One]:
        """One by one."""
        return (self[row] for row in range(len(self)))


def cut(before: Record | None, records: Records, size: int) -> Iterator[tuple[bool, Records]]:
    """Cut consecutive records of one partition into pieces of one chunk each (`streams.chunks`).

    Args:
        before: the record that stands before them, or None where a reader starts, which is where a chunk starts.
        records: in the order of their offsets.
        size: the most offsets that one chunk spans.

    Yields:
        Whether the piece begins a new chunk, and its records.
    """
    numbers, hours = records.offsets // size, records.timestamps // HOUR_MS
    differs = (numbers[1:] != numbers[:-1]) | (hours[1:] != hours[:-1])
    for row in np.flatnonzero(records.value_lengths[:-1] == MISSING).tolist():
        differs[row] |= is_tick(records[row])
    begins = before is None or begins_chunk(before, records[0], size)
    start = 0
    for row in (np.flatnonzero(differs) + 1).tolist():
        yield begins, records[start:row]
        start, begins = row, True
    yield begins, records[start:]


def codec_of(header: bytes) -> int:
    """How a record batch's records are compressed: 0 not at all, 1 gzip, 2 Snappy, 3 LZ4, 4 Zstandard."""
    return int.from_bytes(header[_ATTRIBUTES], "big") & _CODEC
