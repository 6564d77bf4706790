"""Parsing hexadecimal identifiers: UUIDs and keyed hashes."""

import numpy as np

from columnar.arrays import Array
from columnar.kernels.ascii import MINUS, QUOTE
from columnar.kernels.jit import compiled

UUID_LENGTH, HASH_LENGTH = 36, 64

_NIBBLE = np.full(256, 255, np.uint8)
_NIBBLE[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


@compiled
def parse_uuids(buffer: Array, begins: Array, lengths: Array) -> tuple[Array, Array]:
    """Upper and lower 64 bits, and which texts were read."""
    halves, read = np.zeros((len(begins), 2), np.uint64), np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        if lengths[row] != UUID_LENGTH:
            continue
        count, is_read = 0, True
        for place in range(UUID_LENGTH):
            byte = buffer[begins[row] + place]
            if place == 8 or place == 13 or place == 18 or place == 23:
                is_read = is_read and byte == MINUS
                continue
            nibble = _NIBBLE[byte]
            is_read = is_read and nibble < 16
            half = count // 16
            halves[row, half] = halves[row, half] << np.uint64(4) | np.uint64(nibble & 15)
            count += 1
        read[row] = is_read
    return halves, read


@compiled
def _is_hash(buffer: Array, begin: int) -> bool:
    for at in range(begin, begin + HASH_LENGTH):
        if _NIBBLE[buffer[at]] > 15:
            return False
    return True


@compiled
def is_hash(buffer: Array, begins: Array, lengths: Array) -> Array:
    """Which texts are 64 hex digits in small letters."""
    read = np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        read[row] = lengths[row] == HASH_LENGTH and _is_hash(buffer, begins[row])
    return read


@compiled
def is_hash_list(buffer: Array, begins: Array, lengths: Array) -> Array:
    """Which lists have such items alone."""
    read = np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        at, end, is_read = begins[row], begins[row] + lengths[row], True
        while is_read and at < end:
            if buffer[at] != QUOTE:  # between the items
                at += 1
                continue
            is_read = (
                at + HASH_LENGTH + 1 < end
                and _is_hash(buffer, at + 1)
                and buffer[at + 1 + HASH_LENGTH] == QUOTE
            )
            at += HASH_LENGTH + 2
        read[row] = is_read
    return read
