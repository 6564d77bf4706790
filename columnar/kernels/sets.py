"""Sets of numbers below 2^32: a hash table with open addressing, and a bitmap."""

import numpy as np

from columnar.arrays import Array
from columnar.kernels.jit import compiled, inlined


@inlined
def _find_slot(slots: Array, number: int) -> int:
    """Where a number stands in a table of numbers above 0 of any size, or the free slot where it is to be put."""
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
    """Which numbers below 2^32 are in a table; 0 is taken for 1."""
    known = np.empty(len(numbers), np.bool_)
    for row in range(len(numbers)):
        known[row] = slots[_find_slot(slots, max(numbers[row], np.uint32(1)))] != 0
    return known


@compiled
def set_insert(slots: Array, numbers: Array) -> int:
    """Put numbers below 2^32 into a table with room for them; how many were not in it."""
    new = 0
    for row in range(len(numbers)):
        number = max(numbers[row], np.uint32(1))
        slot = _find_slot(slots, number)
        new += slots[slot] == 0
        slots[slot] = number
    return new


@compiled
def bitmap_contains(flags: Array, numbers: Array) -> Array:
    """Which numbers have their bit set, among words of 32 bits."""
    known = np.empty(len(numbers), np.bool_)
    for row in range(len(numbers)):
        known[row] = (
            flags[numbers[row] >> np.uint32(5)] >> (numbers[row] & np.uint32(31)) & np.uint32(1)
            != 0
        )
    return known


@compiled
def bitmap_insert(flags: Array, numbers: Array) -> int:
    """Set the bits of numbers; how many were not set."""
    new = 0
    for row in range(len(numbers)):
        word, bit = numbers[row] >> np.uint32(5), np.uint32(1) << (numbers[row] & np.uint32(31))
        new += flags[word] & bit == 0
        flags[word] |= bit
    return new
