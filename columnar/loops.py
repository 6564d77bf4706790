"""All compiled loops over bytes: texts, and events in JSON. `columnar.texts` and `columnar.decoding` say what they are for.

numba compiles each when it is first called, and keeps what it made in `__pycache__`. They hold no lock while they run, so no other thread may change what they are given. Positions are not checked in them:
their tests have been run with `NUMBA_BOUNDSCHECK=1` besides. They stand in one file because numba looks for changes only in the file of the function that is called.

A text is told by where it begins in a buffer and how many bytes it has.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast
from zlib import crc32 as checksum

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pravah.days import day_of

Array = NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])

UUID_LENGTH, HASH_LENGTH = 36, 64
WHOLE, BOOL, TEXT, CHOICE, LIST, OBJECT = range(6)
"""What a field's value is: a whole number, true or false, text, one of some texts, a list of texts, an object of the model's own."""
FINDER_SIZE = 1 << 10
"""Of the table in which a field is found by its name."""

TAB, NEW_LINE, RETURN, BLANK = b"\t\n\r "
QUOTE, BACKSLASH, COMMA, COLON = b'"\\,:'
OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST = b"{}[]"
PLUS, MINUS, DOT = b"+-."
ZERO, NINE = b"09"
BIG_E, SMALL_E, BIG_T, SMALL_T, BIG_Z, SMALL_Z = b"EeTtZz"

_MICROS, _DAY_SECONDS = 1_000_000, 86_400
_FIRST_YEAR, _LAST_YEAR = 2000, 2149
_FIRST_DAY = day_of(np.datetime64(f"{_FIRST_YEAR}-01-01").astype(object))
_DAYS_BEFORE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334])
_MONTH_LENGTHS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_NIBBLE = np.full(256, 255, np.uint8)
_NIBBLE[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_CRC = np.array(
    [
        [
            checksum(bytes([byte]) + bytes(behind)) ^ checksum(bytes(1 + behind))
            for byte in range(256)
        ]
        for behind in range(8)
    ],
    np.uint32,
)
"""What a byte adds to the checksum of a text, by how many bytes stand behind it."""
_PLAIN, _ENDING, _REFUSED, _HIGH = range(4)
"""What a byte of a text in JSON is: itself, the end, none that may be there, part of a character of several bytes."""
_BYTES = np.full(256, _HIGH, np.uint8)
_BYTES[:128] = _PLAIN
_BYTES[:BLANK] = _REFUSED
_BYTES[BACKSLASH] = _REFUSED
_BYTES[QUOTE] = _ENDING
_WORDS = np.frombuffer(b"truefalse", np.uint8)


def compiled(function: F) -> F:
    """Compile a function of numbers and arrays."""
    try:
        return cast("F", njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError:  # there is no place where it could be kept: each process compiles it anew
        return cast("F", njit(nogil=True, error_model="numpy")(function))


def inlined(function: F) -> F:
    """The same for one that others call: it becomes a part of them, for every array that is handed over costs a microsecond's tenth."""
    return cast("F", njit(inline="always", error_model="numpy")(function))


@compiled
def list_items(buffer: Array, begins: Array, lengths: Array) -> tuple[Array, Array, Array]:
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
def put_behind(
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


@inlined
def _behind(rest: int, behind: int) -> Any:
    return _CRC[behind, np.uint64(rest) & np.uint64(255)]


@compiled
def crc32(buffer: Array, begins: Array, lengths: Array) -> Array:
    """The checksum of each text; eight bytes at once ("slicing-by-8", M. E. Kounavis and F. L. Berry, 2008)."""
    sums = np.empty(len(begins), np.uint32)
    for row in range(len(begins)):
        crc, at, end = np.uint64(0xFFFFFFFF), begins[row], begins[row] + lengths[row]
        while end - at >= 8:
            crc ^= (
                np.uint64(buffer[at])
                | np.uint64(buffer[at + 1]) << np.uint64(8)
                | np.uint64(buffer[at + 2]) << np.uint64(16)
                | np.uint64(buffer[at + 3]) << np.uint64(24)
            )
            crc = np.uint64(
                _behind(crc, 7)
                ^ _behind(crc >> np.uint64(8), 6)
                ^ _behind(crc >> np.uint64(16), 5)
                ^ _behind(crc >> np.uint64(24), 4)
                ^ _behind(buffer[at + 4], 3)
                ^ _behind(buffer[at + 5], 2)
                ^ _behind(buffer[at + 6], 1)
                ^ _behind(buffer[at + 7], 0)
            )
            at += 8
        while at < end:
            crc = np.uint64(_behind(crc ^ np.uint64(buffer[at]), 0)) ^ crc >> np.uint64(8)
            at += 1
        sums[row] = crc ^ np.uint64(0xFFFFFFFF)
    return sums


@compiled
def native(buffer: Array, begins: Array, lengths: Array) -> Array:
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


@compiled
def _is_same(one: Array, one_begin: int, other: Array, other_begin: int, length: int) -> bool:
    for at in range(length):
        if one[one_begin + at] != other[other_begin + at]:
            return False
    return True


@inlined
def _slot(checksum: int, mask: int) -> int:
    return np.int64(np.uint64(checksum) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)) & mask


@compiled
def enter(slots: Array, checksums: Array, first: int) -> None:
    """Enter names from `first` on, by their checksums, into a table of open addressing."""
    mask = len(slots) - 1
    for number in range(first, len(checksums)):
        slot = _slot(checksums[number], mask)
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = number


@compiled
def find(
    slots: Array,
    name_checksums: Array,
    names: Array,
    name_begins: Array,
    name_lengths: Array,
    checksums: Array,
    buffer: Array,
    begins: Array,
    lengths: Array,
) -> Array:
    """The number of each text among the names; -1 if it is none of them."""
    mask = len(slots) - 1
    numbers = np.empty(len(begins), np.int32)
    for row in range(len(begins)):
        slot = _slot(checksums[row], mask)
        number = slots[slot]
        while number >= 0 and not (
            name_checksums[number] == checksums[row]
            and name_lengths[number] == lengths[row]
            and _is_same(names, name_begins[number], buffer, begins[row], lengths[row])
        ):
            slot = (slot + 1) & mask
            number = slots[slot]
        numbers[row] = number
    return numbers


@compiled
def are_as(buffer: Array, begins: Array, lengths: Array, rows: Array, others: Array) -> Array:
    """For each of some rows whether its text is that of another row."""
    same = np.empty(len(rows), np.bool_)
    for nth in range(len(rows)):
        row, other = rows[nth], others[nth]
        same[nth] = lengths[row] == lengths[other] and _is_same(
            buffer, begins[row], buffer, begins[other], lengths[row]
        )
    return same


@compiled
def first_rows(numbers: Array) -> Array:
    """For each number below 2^32 the row of the first one that is equal."""
    mask = 7
    while mask < 2 * len(numbers):
        mask = 2 * mask + 1
    slots, first = np.full(mask + 1, -1, np.int32), np.empty(len(numbers), np.int64)
    for row in range(len(numbers)):
        slot = _slot(numbers[row], mask)
        while slots[slot] >= 0 and numbers[slots[slot]] != numbers[row]:
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            slots[slot] = row
        first[row] = slots[slot]
    return first


@inlined
def _number_slot(slots: Array, number: int) -> int:
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
def in_slots(slots: Array, numbers: Array) -> Array:
    """Which numbers below 2^32 are in a table; 0 is taken for 1."""
    known = np.empty(len(numbers), np.bool_)
    for row in range(len(numbers)):
        known[row] = slots[_number_slot(slots, max(numbers[row], np.uint32(1)))] != 0
    return known


@compiled
def put_into_slots(slots: Array, numbers: Array) -> int:
    """Put numbers below 2^32 into a table with room for them; how many were not in it."""
    new = 0
    for row in range(len(numbers)):
        number = max(numbers[row], np.uint32(1))
        slot = _number_slot(slots, number)
        new += slots[slot] == 0
        slots[slot] = number
    return new


@compiled
def in_flags(flags: Array, numbers: Array) -> Array:
    """Which numbers have their bit set, among words of 32 bits."""
    known = np.empty(len(numbers), np.bool_)
    for row in range(len(numbers)):
        known[row] = (
            flags[numbers[row] >> np.uint32(5)] >> (numbers[row] & np.uint32(31)) & np.uint32(1)
            != 0
        )
    return known


@compiled
def put_into_flags(flags: Array, numbers: Array) -> int:
    """Set the bits of numbers; how many were not set."""
    new = 0
    for row in range(len(numbers)):
        word, bit = numbers[row] >> np.uint32(5), np.uint32(1) << (numbers[row] & np.uint32(31))
        new += flags[word] & bit == 0
        flags[word] |= bit
    return new


@compiled
def add_up(keys: Array, amounts: Array) -> tuple[Array, Array]:
    """Each key once, in the order in which they come, with the sum of its amounts, shape (keys, 3)."""
    mask = 7
    while mask < 2 * len(keys):
        mask = 2 * mask + 1
    slots, each, sums, count = (
        np.full(mask + 1, -1, np.int32),
        np.empty_like(keys),
        np.empty_like(amounts),
        0,
    )
    for row in range(len(keys)):
        slot = _slot(keys[row], mask)
        while slots[slot] >= 0 and each[slots[slot]] != keys[row]:
            slot = (slot + 1) & mask
        place = slots[slot]
        if place < 0:
            slots[slot], each[count], place = count, keys[row], count
            sums[count, 0], sums[count, 1], sums[count, 2] = 0, 0, 0
            count += 1
        for part in range(3):
            sums[place, part] += amounts[row, part]
    return each[:count], sums[:count]


@compiled
def _varint(buffer, at, end):
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
def read_records(buffer: Array, ends: Array, counts: Array) -> tuple[Array, bool]:
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
            size, at = _varint(buffer, at, end)
            if at < 0 or size < 1 or size > end - at:
                return columns, False
            following = at + size
            columns[1, row], at = _varint(buffer, at + 1, following)  # behind a byte of attributes
            if at >= 0:
                columns[0, row], at = _varint(buffer, at, following)
            for part in range(2):
                if at < 0:
                    return columns, False
                length, at = _varint(buffer, at, following)
                if at < 0 or length < -1 or length > following - at:
                    return columns, False
                columns[2 + 2 * part, row], columns[3 + 2 * part, row] = at, length
                at += max(length, 0)
            at = following  # headers are not looked at
            row += 1
        if at != end:
            return columns, False
    return columns, True


@compiled
def _digits(buffer: Array, begin: int, count: int) -> int:
    """The number that so many digits make; below 0 if one of them is none."""
    value = 0
    for at in range(begin, begin + count):
        digit = np.int64(buffer[at]) - ZERO
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@compiled
def _instant(buffer: Array, begin: int, length: int) -> int:
    """Microseconds; -1 if it was not read. All that can be read is later than 1970."""
    if length < 20 or length > 32:
        return -1
    if (
        buffer[begin + 4] != MINUS
        or buffer[begin + 7] != MINUS
        or buffer[begin + 13] != COLON
        or buffer[begin + 16] != COLON
    ):
        return -1
    if (
        buffer[begin + 10] != BIG_T
        and buffer[begin + 10] != BLANK
        and buffer[begin + 10] != SMALL_T
    ):
        return -1
    year, month, day = (
        _digits(buffer, begin, 4),
        _digits(buffer, begin + 5, 2),
        _digits(buffer, begin + 8, 2),
    )
    hour, minute, second = (
        _digits(buffer, begin + 11, 2),
        _digits(buffer, begin + 14, 2),
        _digits(buffer, begin + 17, 2),
    )
    if year < _FIRST_YEAR or year > _LAST_YEAR or month < 1 or month > 12 or day < 1:
        return -1
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return -1
    is_leap = year % 4 == 0 and year != 2100
    if day > _MONTH_LENGTHS[month - 1] + (1 if is_leap and month == 2 else 0):
        return -1
    years = year - _FIRST_YEAR
    days = (
        _FIRST_DAY
        + 365 * years
        + (years + 3) // 4
        - (1 if year > 2100 else 0)
        + _DAYS_BEFORE[month - 1]
        + (1 if is_leap and month > 2 else 0)
        + day
        - 1
    )
    micros = (days * _DAY_SECONDS + hour * 3600 + minute * 60 + second) * _MICROS
    zone = begin + 19
    end = begin + length
    if buffer[zone] == DOT:  # a fraction of three or six digits
        if end < zone + 5:
            return -1
        fraction, digits = _digits(buffer, zone + 1, 3) * 1000, 3
        if fraction < 0:
            return -1
        if ZERO <= buffer[zone + 4] <= NINE:
            if end < zone + 8:
                return -1
            fraction, digits = _digits(buffer, zone + 1, 6), 6
            if fraction < 0:
                return -1
        micros += fraction
        zone += 1 + digits
    if buffer[zone] == BIG_Z or buffer[zone] == SMALL_Z:
        return micros if end == zone + 1 else -1
    if (
        (buffer[zone] != PLUS and buffer[zone] != MINUS)
        or end != zone + 6
        or buffer[zone + 3] != COLON
    ):
        return -1
    ahead, minutes = _digits(buffer, zone + 1, 2), _digits(buffer, zone + 4, 2)
    if ahead < 0 or ahead > 23 or minutes < 0 or minutes > 59:
        return -1
    micros += (ahead * 3600 + minutes * 60) * _MICROS * (1 if buffer[zone] == MINUS else -1)
    return micros if micros >= _FIRST_DAY * _DAY_SECONDS * _MICROS else -1


@compiled
def instants(buffer: Array, begins: Array, lengths: Array) -> tuple[Array, Array]:
    """Microseconds since 1970-01-01T00:00Z, and which texts were read."""
    micros, read = np.zeros(len(begins), np.int64), np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        value = _instant(buffer, begins[row], lengths[row])
        if value >= 0:
            micros[row], read[row] = value, True
    return micros, read


@compiled
def uuids(buffer: Array, begins: Array, lengths: Array) -> tuple[Array, Array]:
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
def are_hashes(buffer: Array, begins: Array, lengths: Array) -> Array:
    """Which texts are 64 hex digits in small letters."""
    read = np.zeros(len(begins), np.bool_)
    for row in range(len(begins)):
        read[row] = lengths[row] == HASH_LENGTH and _is_hash(buffer, begins[row])
    return read


@compiled
def are_hash_lists(buffer: Array, begins: Array, lengths: Array) -> Array:
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


@inlined
def finder_place(scope: int, length: int, first: int, middle: int, last: int, factor: int) -> int:
    """The place of a field in the table by which it is found."""
    mixed = ((((scope * 37 + length) * 131 + first) * 131 + middle) * 131 + last) * factor
    return (mixed >> 7 ^ mixed) & (FINDER_SIZE - 1)


@inlined
def _after_blanks(buffer: Array, at: int, end: int) -> int:
    while at < end and (
        buffer[at] == BLANK or buffer[at] == NEW_LINE or buffer[at] == RETURN or buffer[at] == TAB
    ):
        at += 1
    return at


@compiled
def _after_sequence(buffer: Array, at: int, end: int) -> int:
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
def _after_text(buffer: Array, at: int, end: int) -> tuple[int, int]:
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
        following = _after_sequence(buffer, at, end)
        if following < 0:
            return -1, 0
        characters += at + 1 - following
        at = following
    return -1, 0


@inlined
def _after_number(buffer: Array, at: int, end: int) -> tuple[int, int]:
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
def _after_list(buffer: Array, at: int, end: int) -> tuple[int, int]:
    """Behind a list of texts whose bracket stands here, and how many there are; (-1, 0) if it is none."""
    items = 0
    at = _after_blanks(buffer, at + 1, end)
    if at < end and buffer[at] == CLOSE_LIST:
        return at + 1, 0
    while at < end and buffer[at] == QUOTE:
        at, _ = _after_text(buffer, at + 1, end)
        if at < 0:
            return -1, 0
        items += 1
        at = _after_blanks(buffer, at + 1, end)
        if at >= end:
            return -1, 0
        if buffer[at] == CLOSE_LIST:
            return at + 1, items
        if buffer[at] != COMMA:
            return -1, 0
        at = _after_blanks(buffer, at + 1, end)
    return -1, 0


@inlined
def _is_word(buffer: Array, at: int, end: int, word: Array, begin: int, length: int) -> bool:
    if at + length > end:
        return False
    for step in range(length):
        if buffer[at + step] != word[begin + step]:
            return False
    return True


@compiled
def scan(
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
        at = _after_blanks(buffer, starts[row], end)
        if at >= end or buffer[at] != OPEN_OBJECT:
            continue
        scope, outer, count, bits, opened = 0, -1, 0, np.uint64(0), True
        at = _after_blanks(buffer, at + 1, end)
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
                at = _after_blanks(buffer, at + 1, end)
                if at >= end or (buffer[at] != COMMA and buffer[at] != CLOSE_OBJECT):
                    break
                if buffer[at] == COMMA:
                    at = _after_blanks(buffer, at + 1, end)
                    if at >= end or buffer[at] != QUOTE:
                        break
                continue
            if buffer[at] != QUOTE:
                break
            name = at + 1
            at, _ = _after_text(buffer, name, end)
            if at <= name:
                break
            length = at - name
            place = finder[
                finder_place(
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
                or not _is_word(buffer, name, end, names, name_begins[place], length)
            ):
                break
            bit = one << np.uint64(place)
            if bits & bit:
                break
            bits |= bit
            at = _after_blanks(buffer, at + 1, end)
            if at >= end or buffer[at] != COLON:
                break
            at = _after_blanks(buffer, at + 1, end)
            if at >= end:
                break
            kind = types[place]
            if kind == OBJECT:
                if buffer[at] != OPEN_OBJECT:
                    break
                begins[place, row] = at
                scope, outer, opened = opens[place], np.int64(place), True
                at = _after_blanks(buffer, at + 1, end)
                continue
            order[count] = place
            count += 1
            if kind == TEXT or kind == CHOICE:
                if buffer[at] != QUOTE:
                    break
                begin = at + 1
                at, characters = _after_text(buffer, begin, end)
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
                        if option_lengths[option] == at - begin and _is_word(
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
                at, number = _after_number(buffer, begin, end)
                if at < 0:
                    break
                begins[place, row], lengths[place, row], numbers[place, row] = (
                    begin,
                    at - begin,
                    number,
                )
            elif kind == BOOL:
                is_true = _is_word(buffer, at, end, _WORDS, 0, 4)
                if not is_true and not _is_word(buffer, at, end, _WORDS, 4, 5):
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
                at, items = _after_list(buffer, at, end)
                if at < 0:
                    break
                begins[place, row], lengths[place, row], numbers[place, row] = (
                    begin,
                    at - 1 - begin,
                    items,
                )
            opened = False
            at = _after_blanks(buffer, at, end)
            if at >= end or (buffer[at] != COMMA and buffer[at] != CLOSE_OBJECT):
                break
            if buffer[at] == COMMA:
                at = _after_blanks(buffer, at + 1, end)
                if at >= end or buffer[at] != QUOTE:
                    break
        if (
            not whole
            or _after_blanks(buffer, at, end) != end
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
