"""Sets of numbers below 2^32: a hash table with open addressing, and a bitmap.

The hash table is a uint32 array of any length whose free slots are 0. It holds numbers above 0: the
number 0 is stored and looked up as 1. The bitmap is a uint32 array with one bit for each number.
"""

import numpy as np

from columnar.arrays import Array
from columnar.kernels.jit import compiled, inlined


@inlined
def _find_slot(slots: Array, number: int) -> int:
    """Return the slot that has a number above 0, or the free slot where it belongs."""
    slot = np.int64(
        (np.uint64(number) * np.uint64(0x9E3779B1) & np.uint64(0xFFFFFFFF)) * np.uint64(len(slots))
        >> np.uint64(32)
    )
    while slots[slot] != 0 and slots[slot] != number:
        slot += 1
        if slot == len(slots):
            slot = 0
    return slot


@compiled
def set_contains(slots: Array, numbers: Array) -> Array:
    """Look up numbers in a hash table.

    Args:
        slots: uint32, the table, with at least one free slot.
        numbers: uint32, shape (rows,).

    Returns:
        bool, shape (rows,): whether the table has the number. 0 and 1 count as one number.
    """
    known = np.empty(len(numbers), np.bool_)
    for row in range(len(numbers)):
        known[row] = slots[_find_slot(slots, max(numbers[row], np.uint32(1)))] != 0
    return known


@compiled
def set_insert(slots: Array, numbers: Array) -> int:
    """Insert numbers into a hash table.

    Args:
        slots: uint32, the table, written here. It must have more free slots than there are new
            numbers: the kernel would not end otherwise.
        numbers: uint32, shape (rows,).

    Returns:
        How many distinct numbers were not in the table.
    """
    new = 0
    for row in range(len(numbers)):
        number = max(numbers[row], np.uint32(1))
        slot = _find_slot(slots, number)
        new += slots[slot] == 0
        slots[slot] = number
    return new


@compiled
def bitmap_contains(flags: Array, numbers: Array) -> Array:
    """Look up numbers in a bitmap.

    Args:
        flags: uint32, the bitmap; it must have a bit for each of the numbers.
        numbers: uint32, shape (rows,).

    Returns:
        bool, shape (rows,): whether the number's bit is set.
    """
    known = np.empty(len(numbers), np.bool_)
    for row in range(len(numbers)):
        known[row] = (
            flags[numbers[row] >> np.uint32(5)] >> (numbers[row] & np.uint32(31)) & np.uint32(1)
            != 0
        )
    return known


@compiled
def bitmap_insert(flags: Array, numbers: Array) -> int:
    """Insert numbers into a bitmap.

    Args:
        flags: uint32, the bitmap, written here; it must have a bit for each of the numbers.
        numbers: uint32, shape (rows,).

    Returns:
        How many distinct numbers were not in the bitmap.
    """
    new = 0
    for row in range(len(numbers)):
        word, bit = numbers[row] >> np.uint32(5), np.uint32(1) << (numbers[row] & np.uint32(31))
        new += flags[word] & bit == 0
        flags[word] |= bit
    return new
