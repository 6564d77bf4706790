"""The seen filter: which entities it finds, and how much memory it has, as table and as bitmap."""

from zlib import crc32

import numpy as np
import pytest

from columnar.texts import HashedTexts
from rollup.seen_filter import SeenFilter, first_rows


def numbers(*values: int) -> np.ndarray:
    return np.array(values, np.uint32)


def filled(bits: int, count: int) -> SeenFilter:
    """A filter with so many fingerprints from 2 on, added at once."""
    known = SeenFilter(bits)
    known.add(np.arange(2, 2 + count, dtype=np.uint32))
    return known


def test_a_new_filter_has_no_entity() -> None:
    known = SeenFilter(32)
    assert (len(known), known.complete_to) == (0, 0)
    assert not known.contains(numbers(0, 1, 2, 2**32 - 1)).any()


def test_fingerprints_are_the_lower_bits_of_the_checksum() -> None:
    names = ["CG-AC001\ne1", "CG\n", "दल"]
    for bits in (1, 5, 31, 32):
        assert SeenFilter(bits).fingerprints(HashedTexts.of(names)).tolist() == [
            crc32(name.encode()) % 2**bits for name in names
        ]


@pytest.mark.parametrize("bits", [4, 8, 12, 20, 32])
def test_an_entity_that_was_seen_is_found_and_another_one_is_not(bits: int) -> None:
    known, seen = SeenFilter(bits), set()
    random = np.random.default_rng(bits)
    for size in (1, 5, 30, 3, 200, 90):
        batch = random.integers(2, 2**bits, size, dtype=np.uint32)
        assert known.add(batch).tolist() == [one in seen for one in batch.tolist()]
        seen.update(batch.tolist())
        assert len(known) == len(seen)
        assert known.contains(np.array(sorted(seen), np.uint32)).all()
        assert not known.contains(numbers(0)).any()


@pytest.mark.parametrize("first", [0, 1])
def test_the_two_fingerprints_that_a_table_has_as_one_are_both_seen_in_the_bitmap(
    first: int,
) -> None:
    known = SeenFilter(12)
    assert not known.add(numbers(first)).any()
    assert known.contains(numbers(0, 1)).all()
    known.add(np.arange(10, 200, dtype=np.uint32))
    assert known.contains(numbers(0, 1, 2, 9, 10, 199, 200)).tolist() == [
        *(True, True, False, False, True, True, False)
    ]


def test_fingerprints_that_no_entity_has_are_not_seen_after_the_table_grew() -> None:
    for count in (40, 60, 90, 200):
        assert not filled(12, count).contains(numbers(0, 1)).any()


def test_a_table_is_at_most_three_quarters_full() -> None:
    assert [filled(32, count).size for count in (48, 49, 96, 97)] == [4 * 64, 384, 512, 516]
    known = filled(32, 48)
    known.add(numbers(500))
    assert known.size == 4 * 96, "half as much again, if that is enough"
    known.add(np.arange(600, 800, dtype=np.uint32))
    assert known.size == 4 * int(249 / 0.75)


def test_each_fingerprint_of_a_table_takes_six_to_eight_bytes() -> None:
    known = SeenFilter(32)
    for one in range(2, 3_000):
        known.add(numbers(one * 1_000_003 % 2**32))
        if len(known) > 48:
            assert 4 / 0.75 <= known.size / len(known) <= 8


def test_a_bitmap_replaces_a_table_that_would_be_larger() -> None:
    """It has 2^12 bits, which are 512 bytes, as 128 slots of the table are."""
    assert [filled(12, count).size for count in (94, 96, 97, 1_000)] == [500, 512, 512, 512]
    assert filled(12, 96)._bitmap is None
    larger = filled(12, 97)
    assert larger._slots.nbytes == 0
    assert larger._slots.base is None, "a view would keep the table in memory"
    assert SeenFilter(32).size == 256
    for bits, size in ((1, 4), (4, 4), (5, 4), (6, 8), (10, 128)):
        assert filled(bits, 200 if bits > 8 else 1).size <= 256
        known = SeenFilter(bits)
        known.add(np.zeros(100, np.uint32))
        assert known.size == size


def test_first_rows_are_those_of_the_first_equal_fingerprints() -> None:
    assert first_rows(numbers(7, 3, 7, 7, 3, 9)).tolist() == [0, 1, 0, 0, 1, 5]
