"""Copying texts, and encoding them for ClickHouse."""

import numpy as np

from columnar.arrays import Array
from columnar.kernels.jit import compiled


@compiled
def copy_texts(target: Array, position: int, buffer: Array, begins: Array, lengths: Array) -> Array:
    """Copy texts one after another into `target`.

    Args:
        target: uint8; written from `position` on. It must hold `position + lengths.sum()` bytes.
        position: where the first text goes.
        buffer: uint8, the bytes of the texts.
        begins: int64, shape (texts,).
        lengths: int64, shape (texts,), in bytes.

    Returns:
        int64, shape (texts,): where each text begins in `target`.
    """
    positions = np.empty(len(begins), np.int64)
    for row in range(len(begins)):
        positions[row] = position
        for at in range(begins[row], begins[row] + lengths[row]):
            target[position] = buffer[at]
            position += 1
    return positions


@compiled
def prepend_texts(
    prefixes: Array,
    prefix_begins: Array,
    prefix_lengths: Array,
    buffer: Array,
    begins: Array,
    lengths: Array,
) -> tuple[Array, Array, Array]:
    """Concatenate each prefix with its text.

    Args:
        prefixes: uint8, the bytes of the prefixes.
        prefix_begins: int64, shape (texts,): one prefix for each text.
        prefix_lengths: int64, shape (texts,).
        buffer: uint8, the bytes of the texts.
        begins: int64, shape (texts,).
        lengths: int64, shape (texts,).

    Returns:
        A new column of texts: uint8 bytes without gaps, int64 begins, int64 lengths.
    """
    total = prefix_lengths + lengths
    joined, positions = np.empty(total.sum(), np.uint8), np.empty(len(begins), np.int64)
    position = 0
    for row in range(len(begins)):
        positions[row] = position
        for at in range(prefix_begins[row], prefix_begins[row] + prefix_lengths[row]):
            joined[position] = prefixes[at]
            position += 1
        for at in range(begins[row], begins[row] + lengths[row]):
            joined[position] = buffer[at]
            position += 1
    return joined, positions, total


@compiled
def encode_native(buffer: Array, begins: Array, lengths: Array) -> Array:
    """Encode a column of `String` in ClickHouse's Native format.

    Each text follows its length, which is an unsigned LEB128 integer (of at most 5 bytes).

    Args:
        buffer: uint8, the bytes of the texts.
        begins: int64, shape (texts,).
        lengths: int64, shape (texts,), each below 2^35.

    Returns:
        uint8: a view of a new array that is at most 5 bytes a text larger than the texts.
    """
    column = np.empty(lengths.sum() + 5 * len(begins), np.uint8)
    position = 0
    for row in range(len(begins)):
        length = lengths[row]
        while length > 0x7F:
            column[position] = length & 0x7F | 0x80
            length >>= 7
            position += 1
        column[position] = length
        position += 1
        for at in range(begins[row], begins[row] + lengths[row]):
            column[position] = buffer[at]
            position += 1
    return column[:position]
