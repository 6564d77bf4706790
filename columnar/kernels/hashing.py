"""Checksums, hash tables with open addressing, and sums by key."""

from typing import Any
from zlib import crc32 as checksum

import numpy as np

from columnar.arrays import Array
from columnar.kernels.jit import compiled, inlined

# What a byte adds to the checksum of a text, by how many bytes stand behind it.
_CRC = np.array(
    [
        [
            checksum(bytes([byte]) + bytes(behind)) ^ checksum(bytes(1 + behind))
            for byte in range(256)
        ]
        for behind in range(8)
    ],
    np.uint32,
)


@inlined
def _crc_step(rest: int, behind: int) -> Any:
    return _CRC[behind, np.uint64(rest) & np.uint64(255)]


@compiled
def crc32(buffer: Array, begins: Array, lengths: Array) -> Array:
    """The checksum of each text; eight bytes at once ("slicing-by-8", M. E. Kounavis and F. L. Berry, 2008)."""
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
    """Enter names from `first` on, by their checksums, into a table of open addressing."""
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
    """The number of each text among the names; -1 if it is none of them."""
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
    """For each of some rows whether its text is that of another row."""
    same = np.empty(len(rows), np.bool_)
    for nth in range(len(rows)):
        row, other = rows[nth], others[nth]
        same[nth] = lengths[row] == lengths[other] and _bytes_equal(
            buffer, begins[row], buffer, begins[other], lengths[row]
        )
    return same


@compiled
def find_first_rows(numbers: Array) -> Array:
    """For each number below 2^32 the row of the first one that is equal."""
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
    """Each key once, in the order in which they come, with the sum of its amounts, shape (keys, 3)."""
    mask = 7
    while mask < 2 * len(keys):
        mask = 2 * mask + 1
    slots, each, sums, count = (
        np.full(mask + 1, -1, np.int32),
        np.empty_like(keys),
        np.empty_like(amounts),
        0,
    )
    for row in range(len(keys)):
        slot = _hash_slot(keys[row], mask)
        while slots[slot] >= 0 and each[slots[slot]] != keys[row]:
            slot = (slot + 1) & mask
        place = slots[slot]
        if place < 0:
            slots[slot], each[count], place = count, keys[row], count
            sums[count, 0], sums[count, 1], sums[count, 2] = 0, 0, 0
            count += 1
        for part in range(3):
            sums[place, part] += amounts[row, part]
    return each[:count], sums[:count]
