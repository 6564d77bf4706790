"""Copying texts and encoding them for ClickHouse."""

import numpy as np

from columnar.arrays import Array
from columnar.kernels.jit import compiled


@compiled
def copy_texts(copy: Array, place: int, buffer: Array, begins: Array, lengths: Array) -> Array:
    """Copy the texts one after another, from `place` on, and tell where each begins."""
    places = np.empty(len(begins), np.int64)
    for row in range(len(begins)):
        places[row] = place
        for at in range(begins[row], begins[row] + lengths[row]):
            copy[place] = buffer[at]
            place += 1
    return places


@compiled
def prepend_texts(
    prefixes: Array,
    prefix_begins: Array,
    prefix_lengths: Array,
    buffer: Array,
    begins: Array,
    lengths: Array,
) -> tuple[Array, Array, Array]:
    """Each text behind its prefix: bytes, begins, lengths."""
    whole = prefix_lengths + lengths
    copy, places = np.empty(whole.sum(), np.uint8), np.empty(len(begins), np.int64)
    place = 0
    for row in range(len(begins)):
        places[row] = place
        for at in range(prefix_begins[row], prefix_begins[row] + prefix_lengths[row]):
            copy[place] = prefixes[at]
            place += 1
        for at in range(begins[row], begins[row] + lengths[row]):
            copy[place] = buffer[at]
            place += 1
    return copy, places, whole


@compiled
def encode_native(buffer: Array, begins: Array, lengths: Array) -> Array:
    """A column of ClickHouse's `String`."""
    column = np.empty(lengths.sum() + 5 * len(begins), np.uint8)
    place = 0
    for row in range(len(begins)):
        length = lengths[row]
        while length > 0x7F:
            column[place] = length & 0x7F | 0x80
            length >>= 7
            place += 1
        column[place] = length
        place += 1
        for at in range(begins[row], begins[row] + lengths[row]):
            column[place] = buffer[at]
            place += 1
    return column[:place]
