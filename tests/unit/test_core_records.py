"""Records as columns: null and empty texts, slices, joined batches, and times of Kafka's format."""

import numpy as np
import pytest

from pravah.topics import TICK_KEY
from rollup.chunks import HOUR_MS, begins_chunk, is_tick
from rollup.record_batch import HEADER, MISSING, BatchRecord, RecordBatch, cut

RECORDS = [
    BatchRecord(5, 1_000, b"key", b"value"),
    BatchRecord(6, 1_001, None, b""),
    BatchRecord(9, 1_002, b"", None),
    BatchRecord(10, 1_003, b"k", b"v"),
]


def test_records_are_the_same_as_columns() -> None:
    batch = RecordBatch.of(RECORDS)
    assert len(batch) == 4
    assert list(batch) == RECORDS
    assert batch[-1] == RECORDS[-1]
    assert RecordBatch.of(batch) is batch
    assert batch.key_lengths.tolist() == [3, MISSING, 0, 1]
    assert batch.value_lengths.tolist() == [5, 0, MISSING, 1]
    assert batch.buffer.tobytes() == b"keyvaluekv\0", "a 0 after the last byte, for the parsers"
    assert not batch.buffer.flags.writeable


def test_a_slice_shares_the_bytes() -> None:
    part = RecordBatch.of(RECORDS)[1:3]
    assert list(part) == RECORDS[1:3]
    assert part.buffer.nbytes == len(b"keyvaluekv\0")


def test_batches_are_joined_in_their_order() -> None:
    parts = [RecordBatch.of(RECORDS[:1]), RecordBatch.of(RECORDS[1:3]), RecordBatch.of(RECORDS[3:])]
    joined = RecordBatch.join(parts)
    assert list(joined) == RECORDS
    assert not joined.buffer.flags.writeable, "kernels are compiled for buffers that are not"
    assert RecordBatch.join(parts[2:]) is parts[2]
    assert list(RecordBatch.join(parts[:2])) == RECORDS[:3]


def header(attributes: int, count: int) -> np.ndarray:
    one = np.zeros(1, HEADER)
    one["base_offset"], one["base_time"], one["max_time"] = 1_000, 50_000, 60_000
    one["attributes"], one["count"] = attributes, count
    return one


def record(offset: int, time: int, value: bytes) -> bytes:
    """A record of Kafka's format 2 without key and headers; its numbers are below 64."""
    body = bytes([0, 2 * time, 2 * offset, 1, 2 * len(value)]) + value + b"\0"
    return bytes([2 * len(body)]) + body


def test_times_are_the_brokers_if_a_batch_says_so_and_the_producers_otherwise() -> None:
    body = record(0, 3, b"a") + record(2, 7, b"b")
    headers = np.concatenate([header(0b0000, 2), header(0b1000, 2), header(0b0111, 2)])
    headers["base_offset"] = [1_000, 2_000, 3_000]
    batch = RecordBatch.from_batches(headers, [body, body, body])
    assert list(batch) == [
        BatchRecord(1_000, 50_003, None, b"a"),
        BatchRecord(1_002, 50_007, None, b"b"),
        BatchRecord(2_000, 60_000, None, b"a"),
        BatchRecord(2_002, 60_000, None, b"b"),
        BatchRecord(3_000, 50_003, None, b"a"),
        BatchRecord(3_002, 50_007, None, b"b"),
    ]
    with pytest.raises(ValueError, match=r"records is malformed"):
        RecordBatch.from_batches(header(0, 3), [body])


def test_only_a_record_without_a_value_and_with_the_ticks_key_is_a_tick() -> None:
    for key, value, expected in (
        *((TICK_KEY, None, True), (TICK_KEY, b"", False)),
        *((b"CG", None, False), (None, None, False), (b"CG", b"{}", False)),
    ):
        assert is_tick(BatchRecord(0, 0, key, value)) is expected


AT = 10 * HOUR_MS


@pytest.mark.parametrize(
    ("before", "after", "begins"),
    [
        ((3, AT), (4, AT), True),  # offsets: chunks of 4
        ((4, AT), (7, AT), False),
        ((7, AT), (8, AT), True),
        ((4, AT + HOUR_MS - 1), (5, AT + HOUR_MS), True),  # the hour of the append time
        ((4, AT), (5, AT + HOUR_MS - 1), False),
        ((4, AT), (5, AT - 1), True),
        ((4, AT), (9, AT + 2 * HOUR_MS), True),
    ],
)
def test_a_chunk_ends_with_its_offsets_and_with_its_hour(
    before: tuple[int, int], after: tuple[int, int], begins: bool
) -> None:
    records = [BatchRecord(offset, at, b"k", b"v") for offset, at in (before, after)]
    assert begins_chunk(*records, 4) is begins
    batch = RecordBatch.of(records)
    assert [start for start, _ in cut(None, batch, 4)] == ([True, True] if begins else [True])
    assert [start for start, _ in cut(records[0], batch[1:], 4)] == [begins]
    assert [start for start, _ in cut(None, batch[1:], 4)] == [True]


def test_a_tick_ends_its_chunk() -> None:
    tick = BatchRecord(5, AT, TICK_KEY, None)
    other = BatchRecord(6, AT, b"CG", None)
    last = BatchRecord(7, AT, b"k", b"v")
    pieces = list(cut(None, RecordBatch.of([tick, other, last]), 100))
    assert [(begins, list(piece)) for begins, piece in pieces] == [
        (True, [tick]),
        (True, [other, last]),
    ]
    for after in (other, last):
        assert [begins for begins, _ in cut(None, RecordBatch.of([tick, after]), 100)] == [True] * 2
        assert [begins for begins, _ in cut(tick, RecordBatch.of([after]), 100)] == [True]
    assert begins_chunk(tick, other, 100)
    assert not begins_chunk(other, last, 100)
