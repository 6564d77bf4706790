"""`cut` finds the chunk boundaries that comparing each pair of records finds."""

from itertools import pairwise
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from pravah.topics import TICK_KEY
from rollup.chunks import HOUR_MS, begins_chunk
from rollup.record_batch import RecordBatch, cut


class LogRecord(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None = None
    value: bytes | None = b"{}"


STEPS = st.lists(
    st.tuples(
        st.sampled_from([1, 1, 1, 2, 9]),
        st.sampled_from([0, 0, 0, 0, HOUR_MS // 2, -HOUR_MS]),
        st.sampled_from([False] * 9 + [True]),
    ),
    min_size=1,
    max_size=30,
)


@given(steps=STEPS, size=st.integers(1, 8), before=st.booleans())
def test_pieces_are_those_of_comparing_each_pair(steps: list, size: int, before: bool) -> None:
    records, offset, at = [], 5, 10 * HOUR_MS
    for step, later, tick in steps:
        offset, at = offset + step, at + later
        records.append(LogRecord(offset, at, TICK_KEY, None) if tick else LogRecord(offset, at))
    first = records.pop(0) if before and len(records) > 1 else None
    expected = [[records[0]]]
    for one, other in pairwise(records):
        if begins_chunk(one, other, size):
            expected.append([])
        expected[-1].append(other)
    pieces = list(cut(first, RecordBatch.of(records), size))
    assert [list(piece) for _, piece in pieces] == expected
    assert [begins for begins, _ in pieces] == [
        first is None or begins_chunk(first, records[0], size),
        *[True] * (len(expected) - 1),
    ]
