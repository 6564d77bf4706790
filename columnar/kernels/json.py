"""Scanning events in JSON.

Only the usual form is read: no escapes, no `null`, no number of more than 18 digits, no field
twice. An event in another form is not an error here: it is marked, and the caller gives it to a
complete parser.
"""

from typing import NamedTuple

import numpy as np

from columnar.arrays import Array
from columnar.kernels.ascii import (
    BACKSLASH,
    BIG_E,
    BLANK,
    CLOSE_LIST,
    CLOSE_OBJECT,
    COLON,
    COMMA,
    DOT,
    MINUS,
    NEW_LINE,
    NINE,
    OPEN_LIST,
    OPEN_OBJECT,
    QUOTE,
    RETURN,
    SMALL_E,
    TAB,
    ZERO,
)
from columnar.kernels.jit import compiled, inlined

# Types of a field's value: an integer, true or false, a text, one of several texts, a list of
# texts, a nested object with fields of its own.
INTEGER, BOOL, TEXT, CHOICE, LIST, OBJECT = range(6)
# Slots of the perfect hash table that finds a field by its name.
SLOTS = 1 << 10
# Fields that one event can have: one bit each in a uint64.
MAX_FIELDS = 64

# Classes of a byte in a JSON text: a character of its own, the closing quote, not allowed or an
# escape, part of a character of several bytes.
_PLAIN, _ENDING, _REFUSED, _HIGH = range(4)
_BYTES = np.full(256, _HIGH, np.uint8)
_BYTES[:128] = _PLAIN
_BYTES[:BLANK] = _REFUSED
_BYTES[BACKSLASH] = _REFUSED
_BYTES[QUOTE] = _ENDING
_WORDS = np.frombuffer(b"truefalse", np.uint8)


class FieldTable(NamedTuple):
    """The fields of all kinds of events, numbered from 0, as arrays that kernels can read.

    Scopes are numbered, too: 0 is the event itself, the others are its nested objects. Sets of
    fields are bits of a uint64.
    """

    factor: int
    """Multiplier of `perfect_hash_slot` with which no two fields share a slot."""
    slots: Array
    """int8, shape (`SLOTS`,): the field in each slot, or -1."""
    types: Array
    """int8, shape (fields,): `INTEGER` and so on."""
    scopes: Array
    """int8, shape (fields,): the scope that has the field."""
    opens: Array
    """int8, shape (fields,): the scope that a field of type `OBJECT` opens."""
    names: Array
    """uint8: the bytes of the fields' names, without their paths."""
    name_begins: Array
    """int64, shape (fields,)."""
    name_lengths: Array
    """int64, shape (fields,)."""
    options: Array
    """uint8: the bytes of the values that fields of type `CHOICE` may have."""
    option_begins: Array
    """int64, shape (options,)."""
    option_lengths: Array
    """int64, shape (options,)."""
    first_options: Array
    """int64, shape (fields,): the first option of each field."""
    end_options: Array
    """int64, shape (fields,): the option after the last one of each field."""
    required: Array
    """uint64, shape (kinds,): the fields that an event of the kind must have."""
    allowed: Array
    """uint64, shape (kinds,): the fields that an event of the kind may have."""
    lowest: Array
    """int64, shape (kinds, fields): bound of a number, of a text's characters, a list's items."""
    highest: Array
    """int64, shape (kinds, fields)."""
    kind: int
    """The field `kind`."""
    op: int
    """The field `op`."""
    retract: int
    """The option of `op` with which `data` may be missing."""
    data: int
    """The field `data`."""
    data_bits: np.uint64
    """`data` and all fields in it."""


@compiled
def split_lists(buffer: Array, begins: Array, lengths: Array) -> tuple[Array, Array, Array]:
    """Find the items of JSON lists of texts.

    Args:
        buffer: uint8, the bytes of lists that are well-formed and have no escapes.
        begins: int64, shape (lists,): behind the opening bracket.
        lengths: int64, shape (lists,): up to the closing bracket.

    Returns:
        int64, shape (lists,): how many items each list has; int64, shape (items,), twice: where
        each item begins in `buffer`, and how many bytes it has.
    """
    counts = np.zeros(len(begins), np.int64)
    item_begins, item_lengths = np.empty(lengths.sum(), np.int64), np.empty(lengths.sum(), np.int64)
    item = 0
    for row in range(len(begins)):
        at, end = begins[row], begins[row] + lengths[row]
        while at < end:
            if buffer[at] != QUOTE:  # between the items
                at += 1
                continue
            begin = at + 1
            at = begin
            while at < end and buffer[at] != QUOTE:
                at += 1
            item_begins[item], item_lengths[item] = begin, at - begin
            item += 1
            counts[row] += 1
            at += 1
    return counts, item_begins[:item].copy(), item_lengths[:item].copy()


@inlined
def perfect_hash_slot(
    scope: int, length: int, first: int, middle: int, last: int, factor: int
) -> int:
    """Compute the slot of a field from its scope, its name's length and three of its bytes."""
    mixed = ((((scope * 37 + length) * 131 + first) * 131 + middle) * 131 + last) * factor
    return (mixed >> 7 ^ mixed) & (SLOTS - 1)


@inlined
def _skip_blanks(buffer: Array, at: int, end: int) -> int:
    while at < end and (
        buffer[at] == BLANK or buffer[at] == NEW_LINE or buffer[at] == RETURN or buffer[at] == TAB
    ):
        at += 1
    return at


@compiled
def _skip_utf8_sequence(buffer: Array, at: int, end: int) -> int:
    """Skip a character of several bytes; -1 if it is not well-formed UTF-8.

    The ranges are those of RFC 3629 (table 3-7 of the Unicode standard).
    """
    lead = buffer[at]
    lowest, highest = 0x80, 0xBF
    if 0xC2 <= lead <= 0xDF:
        more = 1
    elif 0xE0 <= lead <= 0xEF:
        more = 2
        if lead == 0xE0:
            lowest = 0xA0
        elif lead == 0xED:
            highest = 0x9F
    elif 0xF0 <= lead <= 0xF4:
        more = 3
        if lead == 0xF0:
            lowest = 0x90
        elif lead == 0xF4:
            highest = 0x8F
    else:
        return -1
    if at + more >= end:
        return -1
    for step in range(1, more + 1):
        if buffer[at + step] < lowest or buffer[at + step] > highest:
            return -1
        lowest, highest = 0x80, 0xBF
    return at + more + 1


@inlined
def _skip_text(buffer: Array, at: int, end: int) -> tuple[int, int]:
    """Skip a text whose first character is at `at`.

    Returns:
        Where its closing quote is, and how many characters it has; (-1, 0) if it does not end,
        has an escape or a control character, or is not UTF-8.
    """
    characters = -at  # bytes, less the continuation bytes
    while at < end:
        position = np.uint64(at)  # an unsigned index spares the check for negative ones
        while _BYTES[buffer[position]] == _PLAIN:  # the byte behind the last record ends it
            position += np.uint64(1)
        at = np.int64(position)
        if at >= end:
            break
        kind = _BYTES[buffer[at]]
        if kind == _ENDING:
            return at, characters + at
        if kind == _REFUSED:
            return -1, 0
        following = _skip_utf8_sequence(buffer, at, end)
        if following < 0:
            return -1, 0
        characters += at + 1 - following
        at = following
    return -1, 0


@inlined
def _parse_integer(buffer: Array, at: int, end: int) -> tuple[int, int]:
    """Parse an integer.

    Returns:
        Where it ends, and its value; (-1, 0) if it is no integer or has more than 18 digits.
    """
    begin = at
    if buffer[at] == MINUS:
        at += 1
        begin = at
        if at < end and buffer[at] == ZERO:  # -0
            return -1, 0
    value = 0
    while at < end and ZERO <= buffer[at] <= NINE:
        value = value * 10 + (np.int64(buffer[at]) - ZERO)
        at += 1
        if at - begin > 18:
            return -1, 0
    if at == begin or (buffer[begin] == ZERO and at > begin + 1):
        return -1, 0
    if at < end and (buffer[at] == DOT or buffer[at] == SMALL_E or buffer[at] == BIG_E):
        return -1, 0
    return at, -value if begin > 0 and buffer[begin - 1] == MINUS else value


@compiled
def _skip_list(buffer: Array, at: int, end: int) -> tuple[int, int]:
    """Skip a list of texts whose opening bracket is at `at`.

    Returns:
        The position behind its closing bracket, and how many items it has; (-1, 0) if it is not
        a list of texts.
    """
    items = 0
    at = _skip_blanks(buffer, at + 1, end)
    if at < end and buffer[at] == CLOSE_LIST:
        return at + 1, 0
    while at < end and buffer[at] == QUOTE:
        at, _ = _skip_text(buffer, at + 1, end)
        if at < 0:
            return -1, 0
        items += 1
        at = _skip_blanks(buffer, at + 1, end)
        if at >= end:
            return -1, 0
        if buffer[at] == CLOSE_LIST:
            return at + 1, items
        if buffer[at] != COMMA:
            return -1, 0
        at = _skip_blanks(buffer, at + 1, end)
    return -1, 0


@inlined
def _matches(buffer: Array, at: int, end: int, word: Array, begin: int, length: int) -> bool:
    if at + length > end:
        return False
    for step in range(length):
        if buffer[at + step] != word[begin + step]:
            return False
    return True


@inlined
def _parse_value(buffer: Array, at: int, end: int, kind: int) -> tuple[int, int, int, int]:
    """Parse a value of a type other than `OBJECT`.

    Returns:
        The position behind it, where its content begins, the length of the content, and its number
        (see `scan_events`); the first is -1 if the value is not of this type.
    """
    if kind == TEXT or kind == CHOICE:
        if buffer[at] != QUOTE:
            return -1, 0, 0, 0
        begin = at + 1
        at, characters = _skip_text(buffer, begin, end)
        if at < 0:
            return -1, 0, 0, 0
        return at + 1, begin, at - begin, characters
    if kind == INTEGER:
        begin = at
        at, number = _parse_integer(buffer, begin, end)
        return at, begin, at - begin, number
    if kind == BOOL:
        if _matches(buffer, at, end, _WORDS, 0, 4):
            return at + 4, at, 4, 1
        if _matches(buffer, at, end, _WORDS, 4, 5):
            return at + 5, at, 5, 0
        return -1, 0, 0, 0
    if buffer[at] != OPEN_LIST:
        return -1, 0, 0, 0
    begin = at + 1
    at, items = _skip_list(buffer, at, end)
    return at, begin, at - 1 - begin, items


@compiled
def scan_events(buffer, starts, sizes, fields, numbers, begins, lengths):
    """Scan many records for the fields of events.

    Args:
        buffer: uint8, the records, and behind the last one a byte that no text can contain.
        starts: int64, shape (records,): where each record begins.
        sizes: int64, shape (records,): how many bytes it has.
        fields: the `FieldTable`.
        numbers: int64, shape (fields, records); written where a field is found. The value of an
            integer; 1 for true; which of the options; a text's characters; a list's items.
        begins: int64, shape (fields, records); written where a field is found. The position of the
            value in `buffer`; of a text or a list that of its content.
        lengths: int64, shape (fields, records); the same, in bytes.

    Returns:
        uint64, shape (records,): which fields each event has, and bool, shape (records,): which
        records are events in the usual form. What the arrays have of others is undefined.
    """
    # numba counts a reference whenever an array is read from a tuple or passed to an inlined
    # helper, also in a loop: with the arrays left in `fields` the scan took ten times as long, with
    # helpers for names and options 2.6 times. So the tuple is unpacked once, and helpers take no
    # array but the buffer.
    factor, slots, types, scopes, opens = fields[:5]
    names, name_begins, name_lengths = fields[5:8]
    options, option_begins, option_lengths, first_options, end_options = fields[8:13]
    required, allowed, lowest, highest = fields[13:17]
    kind_field, op_field, retract, data_field, data_bits = fields[17:]
    rows = len(starts)
    found, is_event = np.zeros(rows, np.uint64), np.zeros(rows, np.bool_)
    order, one = np.empty(MAX_FIELDS, np.int64), np.uint64(1)
    for row in range(rows):
        end = starts[row] + sizes[row]
        at = _skip_blanks(buffer, starts[row], end)
        if at >= end or buffer[at] != OPEN_OBJECT:
            continue
        # `outer` is the field whose object is open; `is_first`: no member of it has been read
        scope, outer, count, bits, is_first = 0, np.int64(-1), 0, np.uint64(0), True
        at = _skip_blanks(buffer, at + 1, end)
        is_closed = False
        while at < end:
            if buffer[at] == CLOSE_OBJECT and (is_first or count):
                at += 1
                if outer < 0:
                    is_closed = True
                    break
                lengths[outer, row] = at - begins[outer, row]
                scope, outer = 0, np.int64(-1)
            else:
                if buffer[at] != QUOTE:
                    break
                name = at + 1
                at, _ = _skip_text(buffer, name, end)
                if at <= name:
                    break
                length, middle = at - name, name + (at - name) // 2
                slot = perfect_hash_slot(
                    scope,
                    length,
                    np.int64(buffer[name]),
                    np.int64(buffer[middle]),
                    np.int64(buffer[at - 1]),
                    factor,
                )
                field = np.int64(slots[slot])
                if (
                    field < 0
                    or scopes[field] != scope
                    or name_lengths[field] != length
                    or not _matches(buffer, name, end, names, name_begins[field], length)
                    or bits & one << np.uint64(field)
                ):
                    break
                bits |= one << np.uint64(field)
                at = _skip_blanks(buffer, at + 1, end)
                if at >= end or buffer[at] != COLON:
                    break
                at = _skip_blanks(buffer, at + 1, end)
                if at >= end:
                    break
                kind = types[field]
                if kind == OBJECT:
                    if buffer[at] != OPEN_OBJECT:
                        break
                    begins[field, row] = at
                    scope, outer, is_first = opens[field], field, True
                    at = _skip_blanks(buffer, at + 1, end)
                    continue
                order[count] = field
                count += 1
                at, begin, length, number = _parse_value(buffer, at, end, kind)
                if at < 0:
                    break
                if kind == CHOICE:
                    number = -1
                    for option in range(first_options[field], end_options[field]):
                        if option_lengths[option] == length and _matches(
                            buffer, begin, end, options, option_begins[option], length
                        ):
                            number = option - first_options[field]
                            break
                    if number < 0:
                        break
                begins[field, row], lengths[field, row], numbers[field, row] = begin, length, number
            # a member has ended: another one follows, or the object ends
            is_first = False
            at = _skip_blanks(buffer, at, end)
            if at >= end or (buffer[at] != COMMA and buffer[at] != CLOSE_OBJECT):
                break
            if buffer[at] == COMMA:
                at = _skip_blanks(buffer, at + 1, end)
                if at >= end or buffer[at] != QUOTE:
                    break
        if not is_closed or _skip_blanks(buffer, at, end) != end:
            continue
        if not bits & one << np.uint64(kind_field):
            continue
        kind = numbers[kind_field, row]
        missing = required[kind] & ~bits
        # a retraction needs no data
        if numbers[op_field, row] == retract and not bits & one << np.uint64(data_field):
            missing &= ~data_bits
        fits = not (missing or bits & ~allowed[kind])
        for nth in range(count):
            field = order[nth]
            value = numbers[field, row]
            fits = fits and lowest[kind, field] <= value <= highest[kind, field]
        if fits:
            found[row], is_event[row] = bits, True
    return found, is_event
