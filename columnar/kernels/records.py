"""Parsing the records of Kafka's batches."""

import numpy as np

from columnar.arrays import Array
from columnar.kernels.jit import compiled


@compiled
def _parse_varint(buffer, at, end):
    """A number of one to ten bytes, seven bits each, its sign in the lowest bit; and where it ends: -1 if it does not."""
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
    """Records of batches of Kafka's format 2, by where each batch ends and how many it should have; one byte stands behind the last one.

    Shape (6, records): offset and time, both less those of the batch, key and value, each by where it begins and its length (-1: null). And whether these are all the bytes of each batch.
    """
    total, at = 0, 0
    for number in range(len(ends)):
        if counts[number] < 0 or counts[number] > ends[number] - at:  # each record takes some bytes
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
            columns[1, row], at = _parse_varint(
                buffer, at + 1, following
            )  # behind a byte of attributes
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
            at = following  # headers are not looked at
            row += 1
        if at != end:
            return columns, False
    return columns, True
