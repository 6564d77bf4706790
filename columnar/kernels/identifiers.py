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
    """Parse UUIDs in their usual form: 36 characters, hexadecimal digits in lower case.

    Args:
        buffer: uint8, the bytes of the texts.
        begins: int64, shape (texts,).
        lengths: int64, shape (texts,).

    Returns:
        uint64, shape (texts, 2): the upper and the lower 64 bits, and bool, shape (texts,): which
        texts were parsed. The bits of the others are arbitrary.
    """
    halves, valid = np.zeros((len(begins), 2), np.uint64), np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        if lengths[row] != UUID_LENGTH:
            continue
        digits, is_valid = 0, True
        for step in range(UUID_LENGTH):
            byte = buffer[begins[row] + step]
            if step == 8 or step == 13 or step == 18 or step == 23:
                is_valid = is_valid and byte == MINUS
                continue
            nibble = _NIBBLE[byte]
            is_valid = is_valid and nibble < 16
            half = digits // 16
            halves[row, half] = halves[row, half] << np.uint64(4) | np.uint64(nibble & 15)
            digits += 1
        valid[row] = is_valid
    return halves, valid


@compiled
def _is_hash(buffer: Array, begin: int) -> bool:
    for at in range(begin, begin + HASH_LENGTH):
        if _NIBBLE[buffer[at]] > 15:
            return False
    return True


@compiled
def is_hash(buffer: Array, begins: Array, lengths: Array) -> Array:
    """Find the keyed hashes: 64 hexadecimal digits in lower case.

    Args:
        buffer: uint8, the bytes of the texts.
        begins: int64, shape (texts,).
        lengths: int64, shape (texts,).

    Returns:
        bool, shape (texts,).
    """
    valid = np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        valid[row] = lengths[row] == HASH_LENGTH and _is_hash(buffer, begins[row])
    return valid


@compiled
def is_hash_list(buffer: Array, begins: Array, lengths: Array) -> Array:
    """Find the lists whose items are all keyed hashes, as in `is_hash`.

    Args:
        buffer: uint8, the bytes of JSON lists of texts that are well-formed and have no escapes.
        begins: int64, shape (lists,): behind the opening bracket.
        lengths: int64, shape (lists,): up to the closing bracket.

    Returns:
        bool, shape (lists,).
    """
    valid = np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        at, end, is_valid = begins[row], begins[row] + lengths[row], True
        while is_valid and at < end:
            if buffer[at] != QUOTE:  # between the items
                at += 1
                continue
            is_valid = (
                at + HASH_LENGTH + 1 < end
                and _is_hash(buffer, at + 1)
                and buffer[at + 1 + HASH_LENGTH] == QUOTE
            )
            at += HASH_LENGTH + 2
        valid[row] = is_valid
    return valid
