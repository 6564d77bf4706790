"""Parsing record batches of Kafka's message format 2."""

import numpy as np

from columnar.arrays import Array
from columnar.kernels.jit import compiled


@compiled
def _parse_varint(buffer, at, end):
    """Parse a zigzag varint of one to ten bytes that begins at `at`.

    Returns:
        The number, and where it ends: -1 if it does not end before `end`.
    """
    value, shift = np.uint64(0), np.uint64(0)
    while at < end and shift < np.uint64(64):
        byte = np.uint64(buffer[at])
        value |= (byte & np.uint64(0x7F)) << shift
        at += 1
        if byte < np.uint64(0x80):
            return np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1)), at
        shift += np.uint64(7)
    return np.int64(0), -1


@compiled
def parse_records(buffer: Array, ends: Array, counts: Array) -> tuple[Array, bool]:
    """Parse the records of several batches. Headers of records are skipped.

    Args:
        buffer: uint8, the decompressed records of all batches, and one more byte.
        ends: int64, shape (batches,): where each batch ends.
        counts: int64, shape (batches,): how many records the header of each batch states.

    Returns:
        int64, shape (6, records): the offset and the timestamp, both relative to the batch; where
        the key begins and its length; where the value begins and its length. A length of -1 is
        null. The second item says whether the batches are well-formed and their records take all
        their bytes; if not, the array is not to be used.
    """
    total, at = 0, 0
    for number in range(len(ends)):
        # each record takes at least one byte
        if counts[number] < 0 or counts[number] > ends[number] - at:
            return np.empty((6, 0), np.int64), False
        total, at = total + counts[number], ends[number]
    columns, at, row = np.empty((6, total), np.int64), 0, 0
    for number in range(len(ends)):
        end = ends[number]
        for _ in range(counts[number]):
            size, at = _parse_varint(buffer, at, end)
            if at < 0 or size < 1 or size > end - at:
                return columns, False
            following = at + size
            # one byte of attributes comes before the timestamp
            columns[1, row], at = _parse_varint(buffer, at + 1, following)
            if at >= 0:
                columns[0, row], at = _parse_varint(buffer, at, following)
            for part in range(2):
                if at < 0:
                    return columns, False
                length, at = _parse_varint(buffer, at, following)
                if at < 0 or length < -1 or length > following - at:
                    return columns, False
                columns[2 + 2 * part, row], columns[3 + 2 * part, row] = at, length
                at += max(length, 0)
            at = following
            row += 1
        if at != end:
            return columns, False
    return columns, True
