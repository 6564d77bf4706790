"""Kernels return what Python's own functions return."""

from collections import defaultdict
from zlib import crc32

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from columnar.kernels.hashing import sum_by_key
from columnar.texts import Texts

keys = st.integers(0, 5) | st.integers(0, 2**62)
amounts = st.tuples(*[st.integers(-(2**40), 2**40)] * 3)


@given(st.lists(st.binary(max_size=40)), st.binary(max_size=9))
def test_checksums_are_those_of_zlib_wherever_a_text_stands(
    texts: list[bytes], before: bytes
) -> None:
    lengths = np.array([len(text) for text in texts], np.int64)
    column = Texts(
        np.frombuffer(before + b"".join(texts), np.uint8),
        len(before) + np.cumsum(lengths) - lengths,
        lengths,
    )
    assert column.crc32().tolist() == [crc32(text) for text in texts]


@given(st.lists(st.tuples(keys, amounts), max_size=60))
def test_amounts_are_summed_by_key_in_the_order_of_the_keys(
    rows: list[tuple[int, tuple[int, int, int]]],
) -> None:
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for key, amount in rows:
        sums[key] = [one + more for one, more in zip(sums[key], amount, strict=True)]
    each, found = sum_by_key(
        np.array([key for key, _ in rows], np.int64),
        np.array([amount for _, amount in rows], np.int64).reshape(-1, 3),
    )
    assert dict(zip(each.tolist(), found.tolist(), strict=True)) == sums
    assert each.tolist() == list(sums)
