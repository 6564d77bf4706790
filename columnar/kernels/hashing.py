"""Checksums, hash tables with open addressing, and sums by key.

The tables are int32 arrays whose length is a power of two and at least twice the number of entries:
each slot has the number of an entry, or -1. So a probe always ends at a free slot.
"""

from typing import Any
from zlib import crc32 as checksum

import numpy as np

from columnar.arrays import Array
from columnar.kernels.jit import compiled, inlined

# What a byte adds to the CRC-32 of a text, by how many bytes follow it and by its value.
_CRC = np.array(
    [
        [
            checksum(bytes([byte]) + bytes(following)) ^ checksum(bytes(1 + following))
            for byte in range(256)
        ]
        for following in range(8)
    ],
    np.uint32,
)


@inlined
def _crc_step(rest: int, following: int) -> Any:
    return _CRC[following, np.uint64(rest) & np.uint64(255)]


@compiled
def crc32(buffer: Array, begins: Array, lengths: Array) -> Array:
    """Compute the CRC-32 of each text, as `zlib.crc32` does, eight bytes at a time.

    The algorithm is "slicing-by-8" (M. E. Kounavis and F. L. Berry, 2008).

    Args:
        buffer: uint8, the bytes of the texts.
        begins: int64, shape (texts,).
        lengths: int64, shape (texts,).

    Returns:
        uint32, shape (texts,).
    """
    sums = np.empty(len(begins), np.uint32)
    for row in range(len(begins)):
        crc, at, end = np.uint64(0xFFFFFFFF), begins[row], begins[row] + lengths[row]
        while end - at >= 8:
            crc ^= (
                np.uint64(buffer[at])
                | np.uint64(buffer[at + 1]) << np.uint64(8)
                | np.uint64(buffer[at + 2]) << np.uint64(16)
                | np.uint64(buffer[at + 3]) << np.uint64(24)
            )
            crc = np.uint64(
                _crc_step(crc, 7)
                ^ _crc_step(crc >> np.uint64(8), 6)
                ^ _crc_step(crc >> np.uint64(16), 5)
                ^ _crc_step(crc >> np.uint64(24), 4)
                ^ _crc_step(buffer[at + 4], 3)
                ^ _crc_step(buffer[at + 5], 2)
                ^ _crc_step(buffer[at + 6], 1)
                ^ _crc_step(buffer[at + 7], 0)
            )
            at += 8
        while at < end:
            crc = np.uint64(_crc_step(crc ^ np.uint64(buffer[at]), 0)) ^ crc >> np.uint64(8)
            at += 1
        sums[row] = crc ^ np.uint64(0xFFFFFFFF)
    return sums


@compiled
def _bytes_equal(one: Array, one_begin: int, other: Array, other_begin: int, length: int) -> bool:
    for at in range(length):
        if one[one_begin + at] != other[other_begin + at]:
            return False
    return True


@inlined
def _hash_slot(checksum: int, mask: int) -> int:
    return np.int64(np.uint64(checksum) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)) & mask


@compiled
def hash_insert(slots: Array, checksums: Array, first: int) -> None:
    """Insert entries into a hash table.

    Args:
        slots: int32, the table, written here. It must have a free slot for each new entry: the
            kernel would not end otherwise.
        checksums: uint32, shape (entries,), of all entries; no two entries may have the same text.
        first: the first entry to insert; those before it are in the table.
    """
    mask = len(slots) - 1
    for number in range(first, len(checksums)):
        slot = _hash_slot(checksums[number], mask)
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = number


@compiled
def hash_find(
    slots: Array,
    name_checksums: Array,
    names: Array,
    name_begins: Array,
    name_lengths: Array,
    checksums: Array,
    buffer: Array,
    begins: Array,
    lengths: Array,
) -> Array:
    """Look up texts in a hash table of names.

    Args:
        slots: int32, the table, as `hash_insert` fills it.
        name_checksums: uint32, the checksum of each name. It may be longer than there are names,
            as may the other arrays of names.
        names: uint8, the bytes of the names.
        name_begins: int64.
        name_lengths: int64.
        checksums: uint32, shape (texts,), of the texts.
        buffer: uint8, the bytes of the texts.
        begins: int64, shape (texts,).
        lengths: int64, shape (texts,).

    Returns:
        int32, shape (texts,): the number of the name that equals the text, or -1.
    """
    mask = len(slots) - 1
    numbers = np.empty(len(begins), np.int32)
    for row in range(len(begins)):
        slot = _hash_slot(checksums[row], mask)
        number = slots[slot]
        while number >= 0 and not (
            name_checksums[number] == checksums[row]
            and name_lengths[number] == lengths[row]
            and _bytes_equal(names, name_begins[number], buffer, begins[row], lengths[row])
        ):
            slot = (slot + 1) & mask
            number = slots[slot]
        numbers[row] = number
    return numbers


@compiled
def rows_equal(buffer: Array, begins: Array, lengths: Array, rows: Array, others: Array) -> Array:
    """Compare texts of one column in pairs.

    Args:
        buffer: uint8, the bytes of the texts.
        begins: int64, shape (texts,).
        lengths: int64, shape (texts,).
        rows: int64, shape (pairs,): the row of one text.
        others: int64, shape (pairs,): the row of the other text.

    Returns:
        bool, shape (pairs,): whether the texts are equal.
    """
    equal = np.empty(len(rows), np.bool_)
    for nth in range(len(rows)):
        row, other = rows[nth], others[nth]
        equal[nth] = lengths[row] == lengths[other] and _bytes_equal(
            buffer, begins[row], buffer, begins[other], lengths[row]
        )
    return equal


@compiled
def find_first_rows(numbers: Array) -> Array:
    """Find the first occurrence of each number.

    Args:
        numbers: uint32, shape (rows,).

    Returns:
        int64, shape (rows,): the row of the first number that equals this one; at a first
        occurrence the row itself.
    """
    mask = 7
    while mask < 2 * len(numbers):
        mask = 2 * mask + 1
    slots, first = np.full(mask + 1, -1, np.int32), np.empty(len(numbers), np.int64)
    for row in range(len(numbers)):
        slot = _hash_slot(numbers[row], mask)
        while slots[slot] >= 0 and numbers[slots[slot]] != numbers[row]:
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            slots[slot] = row
        first[row] = slots[slot]
    return first


@compiled
def sum_by_key(keys: Array, amounts: Array) -> tuple[Array, Array]:
    """Sum amounts by key.

    Args:
        keys: int64, shape (rows,).
        amounts: int64, shape (rows, 3). Sums that do not fit wrap around.

    Returns:
        The distinct keys in the order of their first occurrence, shape (keys,), and the sums of
        their amounts, shape (keys, 3); dtypes as given. Views of new arrays.
    """
    mask = 7
    while mask < 2 * len(keys):
        mask = 2 * mask + 1
    slots, distinct, sums, count = (
        np.full(mask + 1, -1, np.int32),
        np.empty_like(keys),
        np.empty_like(amounts),
        0,
    )
    for row in range(len(keys)):
        slot = _hash_slot(keys[row], mask)
        while slots[slot] >= 0 and distinct[slots[slot]] != keys[row]:
            slot = (slot + 1) & mask
        group = slots[slot]
        if group < 0:
            slots[slot], distinct[count], group = count, keys[row], count
            sums[count, 0], sums[count, 1], sums[count, 2] = 0, 0, 0
            count += 1
        for part in range(3):
            sums[group, part] += amounts[row, part]
    return distinct[:count], sums[:count]
