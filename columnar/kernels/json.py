"""Scanning events in JSON, and writing their data."""

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

# Types of a field's value: a whole number, true or false, text, one of some texts, a list of
# texts, an object of the model's own.
WHOLE, BOOL, TEXT, CHOICE, LIST, OBJECT = range(6)
# Slots of the perfect hash table that finds a field by its name.
FINDER_SIZE = 1 << 10

# Classes of a byte in a JSON text: itself, the end, not allowed, part of a multi-byte character.
_PLAIN, _ENDING, _REFUSED, _HIGH = range(4)
_BYTES = np.full(256, _HIGH, np.uint8)
_BYTES[:128] = _PLAIN
_BYTES[:BLANK] = _REFUSED
_BYTES[BACKSLASH] = _REFUSED
_BYTES[QUOTE] = _ENDING
_WORDS = np.frombuffer(b"truefalse", np.uint8)


@compiled
def split_lists(buffer: Array, begins: Array, lengths: Array) -> tuple[Array, Array, Array]:
    """How many items each list has, and where each item begins and how long it is."""
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
    """The place of a field in the table by which it is found."""
    mixed = ((((scope * 37 + length) * 131 + first) * 131 + middle) * 131 + last) * factor
    return (mixed >> 7 ^ mixed) & (FINDER_SIZE - 1)


@inlined
def _skip_blanks(buffer: Array, at: int, end: int) -> int:
    while at < end and (
        buffer[at] == BLANK or buffer[at] == NEW_LINE or buffer[at] == RETURN or buffer[at] == TAB
    ):
        at += 1
    return at


@compiled
def _skip_utf8_sequence(buffer: Array, at: int, end: int) -> int:
    """Behind a character of several bytes in UTF-8 (RFC 3629, table 3-7 of the Unicode standard); -1 if it is none."""
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
    """Where the text ends whose first character stands here, and how many characters it has; (-1, 0) if it does not end, or has escapes or what is no text."""
    characters = -at  # bytes, less those that go on with a character
    while at < end:
        place = np.uint64(at)  # what has no sign is looked up without a check
        while _BYTES[buffer[place]] == _PLAIN:  # what is behind the last record ends it
            place += np.uint64(1)
        at = np.int64(place)
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
def _parse_number(buffer: Array, at: int, end: int) -> tuple[int, int]:
    """Where a whole number ends, and the number; (-1, 0) if it is none, or a very long one."""
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
    """Behind a list of texts whose bracket stands here, and how many there are; (-1, 0) if it is none."""
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


@compiled
def scan_events(
    buffer,
    starts,
    sizes,
    numbers,
    begins,
    lengths,
    factor,
    finder,
    types,
    scope_of,
    opens,
    names,
    name_begins,
    name_lengths,
    options,
    option_texts,
    option_lengths,
    option_begins,
    option_ends,
    required,
    allowed,
    lowest,
    highest,
    kind_place,
    op_place,
    retract,
    data_place,
    data_bits,
):
    """Read records, with one byte behind the last one that is in no text; `columnar.decoding` has the arrays. Which fields were found, and which records are events."""
    rows = len(starts)
    found, is_event = np.zeros(rows, np.uint64), np.zeros(rows, np.bool_)
    order, one = np.empty(64, np.int64), np.uint64(1)
    for row in range(rows):
        end = starts[row] + sizes[row]
        at = _skip_blanks(buffer, starts[row], end)
        if at >= end or buffer[at] != OPEN_OBJECT:
            continue
        scope, outer, count, bits, opened = 0, -1, 0, np.uint64(0), True
        at = _skip_blanks(buffer, at + 1, end)
        whole = False
        while at < end:
            if buffer[at] == CLOSE_OBJECT and (
                opened or count
            ):  # an object ends: at once, or after a value
                if outer < 0:
                    whole = True
                    at += 1
                    break
                lengths[outer, row] = at + 1 - begins[outer, row]
                scope, outer, opened = 0, -1, False
                at = _skip_blanks(buffer, at + 1, end)
                if at >= end or (buffer[at] != COMMA and buffer[at] != CLOSE_OBJECT):
                    break
                if buffer[at] == COMMA:
                    at = _skip_blanks(buffer, at + 1, end)
                    if at >= end or buffer[at] != QUOTE:
                        break
                continue
            if buffer[at] != QUOTE:
                break
            name = at + 1
            at, _ = _skip_text(buffer, name, end)
            if at <= name:
                break
            length = at - name
            place = finder[
                perfect_hash_slot(
                    scope,
                    length,
                    np.int64(buffer[name]),
                    np.int64(buffer[name + length // 2]),
                    np.int64(buffer[at - 1]),
                    factor,
                )
            ]
            if (
                place < 0
                or scope_of[place] != scope
                or name_lengths[place] != length
                or not _matches(buffer, name, end, names, name_begins[place], length)
            ):
                break
            bit = one << np.uint64(place)
            if bits & bit:
                break
            bits |= bit
            at = _skip_blanks(buffer, at + 1, end)
            if at >= end or buffer[at] != COLON:
                break
            at = _skip_blanks(buffer, at + 1, end)
            if at >= end:
                break
            kind = types[place]
            if kind == OBJECT:
                if buffer[at] != OPEN_OBJECT:
                    break
                begins[place, row] = at
                scope, outer, opened = opens[place], np.int64(place), True
                at = _skip_blanks(buffer, at + 1, end)
                continue
            order[count] = place
            count += 1
            if kind == TEXT or kind == CHOICE:
                if buffer[at] != QUOTE:
                    break
                begin = at + 1
                at, characters = _skip_text(buffer, begin, end)
                if at < 0:
                    break
                begins[place, row], lengths[place, row], numbers[place, row] = (
                    begin,
                    at - begin,
                    characters,
                )
                if kind == CHOICE:
                    number = -1
                    for option in range(option_begins[place], option_ends[place]):
                        if option_lengths[option] == at - begin and _matches(
                            buffer, begin, end, options, option_texts[option], at - begin
                        ):
                            number = option - option_begins[place]
                            break
                    if number < 0:
                        break
                    numbers[place, row] = number
                at += 1
            elif kind == WHOLE:
                begin = at
                at, number = _parse_number(buffer, begin, end)
                if at < 0:
                    break
                begins[place, row], lengths[place, row], numbers[place, row] = (
                    begin,
                    at - begin,
                    number,
                )
            elif kind == BOOL:
                is_true = _matches(buffer, at, end, _WORDS, 0, 4)
                if not is_true and not _matches(buffer, at, end, _WORDS, 4, 5):
                    break
                length = 4 if is_true else 5
                begins[place, row], lengths[place, row], numbers[place, row] = (
                    at,
                    length,
                    1 if is_true else 0,
                )
                at += length
            else:
                if buffer[at] != OPEN_LIST:
                    break
                begin = at + 1
                at, items = _skip_list(buffer, at, end)
                if at < 0:
                    break
                begins[place, row], lengths[place, row], numbers[place, row] = (
                    begin,
                    at - 1 - begin,
                    items,
                )
            opened = False
            at = _skip_blanks(buffer, at, end)
            if at >= end or (buffer[at] != COMMA and buffer[at] != CLOSE_OBJECT):
                break
            if buffer[at] == COMMA:
                at = _skip_blanks(buffer, at + 1, end)
                if at >= end or buffer[at] != QUOTE:
                    break
        if (
            not whole
            or _skip_blanks(buffer, at, end) != end
            or not bits & one << np.uint64(kind_place)
        ):
            continue
        number = numbers[kind_place, row]
        wanted = required[number]
        if numbers[op_place, row] == retract and not bits & one << np.uint64(
            data_place
        ):  # a retraction needs no data
            wanted &= ~data_bits
        if wanted & ~bits or bits & ~allowed[number]:
            continue
        fits = True
        for nth in range(count):
            place = order[nth]
            value = numbers[place, row]
            fits = fits and lowest[number, place] <= value <= highest[number, place]
        if fits:
            found[row], is_event[row] = bits, True
    return found, is_event


@compiled
def write_data(
    rows,
    buffer,
    kinds,
    found,
    begins,
    lengths,
    has_data,
    data,
    types,
    names,
    name_begins,
    name_lengths,
    defaults,
    default_begins,
    default_lengths,
    size,
):
    """The data of some events as JSON, as its model gives it, without those fields that are missing; at most `size` bytes in all."""
    copy, one = np.empty(size, np.uint8), np.uint64(1)
    copy_begins, copy_lengths = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    to = 0
    for nth in range(len(rows)):
        row = rows[nth]
        copy_begins[nth] = to
        if not found[row] & has_data:
            continue
        copy[to] = OPEN_OBJECT
        to += 1
        for place in data[kinds[row]]:
            if place < 0:
                break
            is_given = found[row] & one << np.uint64(place)
            if not is_given and default_lengths[place] == 0:
                continue
            if copy[to - 1] != OPEN_OBJECT:
                copy[to] = COMMA
                to += 1
            copy[to] = QUOTE
            to += 1
            for at in range(name_begins[place], name_begins[place] + name_lengths[place]):
                copy[to] = names[at]
                to += 1
            copy[to], copy[to + 1] = QUOTE, COLON
            to += 2
            if not is_given:
                for at in range(
                    default_begins[place], default_begins[place] + default_lengths[place]
                ):
                    copy[to] = defaults[at]
                    to += 1
                continue
            kind, begin, end = (
                types[place],
                begins[place, row],
                begins[place, row] + lengths[place, row],
            )
            if kind == LIST:
                copy[to] = OPEN_LIST
                to += 1
                is_inside = False
                for at in range(begin, end):
                    byte = buffer[at]
                    is_inside = is_inside != (byte == QUOTE)
                    if is_inside or byte > BLANK:  # without blanks between the items
                        copy[to] = byte
                        to += 1
                copy[to] = CLOSE_LIST
                to += 1
                continue
            is_text = kind == TEXT or kind == CHOICE
            if is_text:
                copy[to] = QUOTE
                to += 1
            for at in range(begin, end):
                copy[to] = buffer[at]
                to += 1
            if is_text:
                copy[to] = QUOTE
                to += 1
        copy[to] = CLOSE_OBJECT
        to += 1
        copy_lengths[nth] = to - copy_begins[nth]
    return copy[:to], copy_begins, copy_lengths
