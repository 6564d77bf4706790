"""Records of one partition as columns: positions of keys and values in the broker's bytes.

No Python object is made of a record that passes validation in columns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np

from columnar.arrays import Array
from columnar.kernels.records import parse_records
from rollup.chunks import HOUR_MS, Record, begins_chunk, is_tick

# The length of a key or value that is null.
MISSING = -1

# The header of a record batch of Kafka's format 2
# (https://kafka.apache.org/documentation/#recordbatch).
HEADER = np.dtype(
    [
        *(
            ("base_offset", ">i8"),
            ("size", ">i4"),
            ("leader_epoch", ">i4"),
            ("format", "i1"),
            ("crc", ">u4"),
            ("attributes", ">i2"),
            ("last_offset", ">i4"),
        ),
        *(
            ("base_time", ">i8"),
            ("max_time", ">i8"),
            ("producer", ">i8"),
            ("producer_epoch", ">i2"),
            ("base_sequence", ">i4"),
            ("count", ">i4"),
        ),
    ]
)

# Bits of its attributes: the compression of its records, 0 none, 1 gzip, 2 Snappy, 3 LZ4,
# 4 Zstandard; and whether timestamps are append times.
CODEC = 0b111
_APPEND_TIME = 0b1000


class BatchRecord(NamedTuple):
    """A single record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class RecordBatch(Sequence[BatchRecord]):
    """Consecutive records of a partition."""

    buffer: Array
    """uint8, read-only, with a 0 after the last byte."""
    offsets: Array
    timestamps: Array
    """The broker's append times, milliseconds since 1970-01-01T00:00Z."""
    key_begins: Array
    key_lengths: Array
    value_begins: Array
    value_lengths: Array

    @classmethod
    def of(cls, records: Sequence[Record]) -> "RecordBatch":
        """Convert a sequence of records; a batch is returned unchanged."""
        if isinstance(records, cls):
            return records
        texts = [text for record in records for text in (record.key, record.value)]
        lengths = np.array([MISSING if text is None else len(text) for text in texts], np.int64)
        sizes = np.maximum(lengths, 0)
        begins = np.cumsum(sizes) - sizes
        offsets, timestamps = (
            np.array([(record.offset, record.timestamp) for record in records], np.int64)
            .reshape(-1, 2)
            .T
        )
        buffer = np.frombuffer(
            b"".join([text for text in texts if text is not None]) + b"\0", np.uint8
        )
        return cls(
            buffer,
            offsets.copy(),
            timestamps.copy(),
            *(part.copy() for part in (begins[::2], lengths[::2], begins[1::2], lengths[1::2])),
        )

    @classmethod
    def join(cls, parts: "Sequence[RecordBatch]") -> "RecordBatch":
        """Concatenate consecutive batches of one partition."""
        if len(parts) == 1:
            return parts[0]
        buffer = np.concatenate([part.buffer for part in parts])
        # As are arrays that come from bytes: kernels are compiled for one of both kinds.
        buffer.flags.writeable = False
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
    def from_batches(cls, headers: Array, records: Sequence[bytes]) -> "RecordBatch":
        """Parse record batches of Kafka's format 2.

        Args:
            headers: their headers, of dtype `HEADER`.
            records: the bytes after each header, decompressed.

        Raises:
            ValueError: the bytes of a batch are not exactly its records.
        """
        buffer = np.frombuffer(b"".join([*records, b"\0"]), np.uint8)
        counts = headers["count"].astype(np.int64)
        columns, are_whole = parse_records(
            buffer, np.cumsum([len(one) for one in records], dtype=np.int64), counts
        )
        if not are_whole:
            msg = f"one of the batches of {counts.tolist()} records is malformed"
            raise ValueError(msg)
        columns[0] += np.repeat(headers["base_offset"].astype(np.int64), counts)
        has_append_time = np.repeat((headers["attributes"] & _APPEND_TIME) != 0, counts)
        base_time, max_time = (
            np.repeat(headers[name].astype(np.int64), counts) for name in ("base_time", "max_time")
        )
        columns[1] = np.where(has_append_time, max_time, columns[1] + base_time)
        return cls(buffer, *columns)

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.offsets)

    @overload
    def __getitem__(self, place: int) -> BatchRecord: ...
    @overload
    def __getitem__(self, place: slice) -> "RecordBatch": ...
    def __getitem__(self, place: int | slice) -> "BatchRecord | RecordBatch":
        """Return one record, or a batch that shares the bytes."""
        if isinstance(place, slice):
            return RecordBatch(
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
        key, value = (
            None
            if lengths[place] < 0
            else self.buffer[begins[place] : begins[place] + lengths[place]].tobytes()
            for begins, lengths in texts
        )
        return BatchRecord(int(self.offsets[place]), int(self.timestamps[place]), key, value)

    def __iter__(self) -> Iterator[BatchRecord]:
        """Yield the records."""
        return (self[row] for row in range(len(self)))


def cut(
    before: Record | None, records: RecordBatch, size: int
) -> Iterator[tuple[bool, RecordBatch]]:
    """Cut consecutive records of one partition at chunk boundaries (`rollup.chunks`).

    Args:
        before: the previous record, or None at a reader's start, where a chunk begins as well.
        records: in the order of their offsets.
        size: maximum number of offsets in a chunk.

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
