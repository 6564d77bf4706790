"""Writing the data of events as JSON."""

from typing import NamedTuple

import numpy as np

from columnar.arrays import Array
from columnar.kernels.ascii import (
    BLANK,
    CLOSE_LIST,
    CLOSE_OBJECT,
    COLON,
    COMMA,
    OPEN_LIST,
    OPEN_OBJECT,
    QUOTE,
)
from columnar.kernels.jit import compiled, inlined


class DataTemplate(NamedTuple):
    """The fields in `data`, by kind, in the model's order, as arrays that kernels can read.

    Fields have the numbers of `columnar.kernels.json.FieldTable`.
    """

    data: int
    """The field `data`."""
    fields: Array
    """int64, shape (kinds, most fields of a kind): the fields in `data`, then -1."""
    is_list: Array
    """bool, shape (fields,): whether the value is a list."""
    is_quoted: Array
    """bool, shape (fields,): whether the value is a text."""
    names: Array
    """uint8: the bytes of the fields' names, without their paths."""
    name_begins: Array
    """int64, shape (fields,)."""
    name_lengths: Array
    """int64, shape (fields,)."""
    defaults: Array
    """uint8: the bytes of the JSON values that fields have when they are missing."""
    default_begins: Array
    """int64, shape (fields,)."""
    default_lengths: Array
    """int64, shape (fields,): 0 if a missing field stays out."""


@inlined
def _copy_bytes(target: Array, to: int, source: Array, begin: int, length: int) -> int:
    for at in range(begin, begin + length):
        target[to] = source[at]
        to += 1
    return to


@inlined
def _copy_list(target: Array, to: int, source: Array, begin: int, length: int) -> int:
    """Copy a list with its brackets, without the blanks between its items."""
    target[to] = OPEN_LIST
    to += 1
    is_inside = False
    for at in range(begin, begin + length):
        byte = source[at]
        is_inside = is_inside != (byte == QUOTE)
        if is_inside or byte > BLANK:
            target[to] = byte
            to += 1
    target[to] = CLOSE_LIST
    return to + 1


@compiled
def write_data(rows, size, template, buffer, kinds, found, begins, lengths):
    """Write the data of events as JSON: fields in the model's order, defaults filled in.

    Args:
        rows: int64, shape (rows,): the events to write.
        size: bytes to reserve; it must be enough for all of them.
        template: the `DataTemplate`.
        buffer: uint8, the records.
        kinds: int64, shape (events,): the kind of each event.
        found: uint64, shape (events,), as `scan_events` returns it.
        begins: int64, shape (fields, events), as `scan_events` writes it.
        lengths: int64, shape (fields, events), as `scan_events` writes it.

    Returns:
        A new column of texts, shape (rows,): uint8 bytes, int64 begins, int64 lengths. The text of
        an event without data is empty.
    """
    target, one = np.empty(size, np.uint8), np.uint64(1)
    text_begins, text_lengths = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    to = 0
    for nth in range(len(rows)):
        row = rows[nth]
        text_begins[nth] = to
        if not found[row] & one << np.uint64(template.data):
            continue
        target[to] = OPEN_OBJECT
        to += 1
        for field in template.fields[kinds[row]]:
            if field < 0:
                break
            is_given = found[row] & one << np.uint64(field)
            if not is_given and template.default_lengths[field] == 0:
                continue
            if target[to - 1] != OPEN_OBJECT:
                target[to] = COMMA
                to += 1
            target[to] = QUOTE
            to = _copy_bytes(
                target,
                to + 1,
                template.names,
                template.name_begins[field],
                template.name_lengths[field],
            )
            target[to], target[to + 1] = QUOTE, COLON
            to += 2
            begin, length = begins[field, row], lengths[field, row]
            if not is_given:
                to = _copy_bytes(
                    target,
                    to,
                    template.defaults,
                    template.default_begins[field],
                    template.default_lengths[field],
                )
            elif template.is_list[field]:
                to = _copy_list(target, to, buffer, begin, length)
            elif template.is_quoted[field]:
                target[to] = QUOTE
                to = _copy_bytes(target, to + 1, buffer, begin, length)
                target[to] = QUOTE
                to += 1
            else:
                to = _copy_bytes(target, to, buffer, begin, length)
        target[to] = CLOSE_OBJECT
        to += 1
        text_lengths[nth] = to - text_begins[nth]
    return target[:to], text_begins, text_lengths
