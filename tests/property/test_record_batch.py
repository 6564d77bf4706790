"""Record batches of Kafka's format 2 read as columns equal those that aiokafka reads."""

import numpy as np
import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from pravah.topics import EVENTS
from rollup.record_batch import HEADER, BatchRecord, RecordBatch
from streams.transport import ColumnRecords, RawRecords, as_batch

CODECS = [0, 1, 2, 3, 4]
TEXTS = st.none() | st.binary(max_size=12) | st.binary(min_size=120, max_size=140)
LOGS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2, 200, 40_000]),
        st.integers(0, 2**40),
        TEXTS,
        TEXTS,
        st.lists(st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=3)), max_size=20),
    ),
    min_size=1,
    max_size=12,
)


def batch(log: list, codec: int, base: int) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    offset = -1
    for gap, timestamp, key, value, headers in log:
        offset += gap + 1 if offset >= 0 else 1
        builder.append(offset, timestamp=timestamp, key=key, value=value, headers=headers)
    raw = bytearray(builder.build())
    raw[0:8] = base.to_bytes(8, "big")  # as a broker does; it stands before what the checksum is of
    return bytes(raw)


def unpacked(raw: bytes) -> RecordBatch:
    return RecordBatch.from_batches(
        np.frombuffer(raw[: HEADER.itemsize], HEADER), [bytes(raw[HEADER.itemsize :])]
    )


def fetched(raw: bytes, first: int) -> list:
    reader = type("Read", (ColumnRecords,), {"batched_topic": EVENTS})
    return list(
        reader(
            TP(EVENTS, 0), RawRecords(raw), [], first, None, None, True, fetcher.READ_UNCOMMITTED
        )
    )


@given(
    logs=st.lists(st.tuples(LOGS, st.sampled_from(CODECS)), min_size=1, max_size=3),
    behind=st.integers(0, 5),
)
def test_batches_are_read_as_record_by_record(logs: list, behind: int) -> None:
    raw, base = b"", 7
    for log, codec in logs:
        raw += batch(log, codec, base)
        base += 500_000
    first = 7 + behind
    expected, reader = [], MemoryRecords(raw)
    while reader.has_next():
        expected += [
            BatchRecord(one.offset, one.timestamp, one.key, one.value)
            for one in reader.next_batch()
            if one.offset >= first
        ]
    parts = fetched(raw, first)
    assert [one for part in parts for one in part] == expected
    if parts:
        assert list(as_batch(TP(EVENTS, 0), parts).value) == expected
        assert list(RecordBatch.of(expected)) == expected


@given(log=LOGS, at=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.booleans())
def test_a_broken_batch_is_refused_or_read_as_another_one_but_nothing_crashes(
    log: list, at: int, byte: int, cut: bool
) -> None:
    raw = bytearray(batch(log, 0, 7))
    at = HEADER.itemsize + at % (len(raw) - HEADER.itemsize)
    if cut:
        del raw[at:]
    else:
        raw[at] = byte
    try:
        records = unpacked(raw)
    except ValueError:
        return
    assert len(list(records)) == len(log)


def test_a_length_beyond_all_numbers_is_refused() -> None:
    """Added to a position it is below 0, and so no longer beyond the end."""
    beyond = b"\xfe" + b"\xff" * 8 + b"\x01"  # 2^63 - 1
    header = (0).to_bytes(HEADER.itemsize - 4, "big") + (1).to_bytes(4, "big")
    body = b"\0\0\0\x01" + beyond + b"\0"  # attributes, time, offset, no key, and a value that long
    with pytest.raises(ValueError, match="malformed"):
        unpacked(header + bytes([2 * len(body)]) + body)


def test_a_batch_that_was_damaged_on_its_way_is_an_error() -> None:
    raw = bytearray(batch([(0, 1, b"key", b"value", [])], 0, 7))
    raw[-3] ^= 1
    with pytest.raises(fetcher.Errors.CorruptRecordException, match="CRC"):
        fetched(bytes(raw), 0)
