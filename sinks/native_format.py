"""Columns in ClickHouse's Native format, from their arrays.

`clickhouse_driver/columns/` does the same value by value; `tests/integration/test_native.py` writes
every type of column both ways.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from columnar.arrays import Array
from columnar.columns import (
    Column,
    Days,
    DictionaryTexts,
    Enums,
    Integers,
    Lists,
    NullableIntegers,
    Uuids,
)
from columnar.texts import Texts

_WIDTHS = {
    "UInt8": "<u1",
    "UInt16": "<u2",
    "UInt32": "<u4",
    "UInt64": "<u8",
    "Int8": "<i1",
    "Int32": "<i4",
    "Int64": "<i8",
    "DateTime64": "<i8",
}
_DICTIONARY_VERSION = np.int64(1).tobytes()
_ADDITIONAL_KEYS, _UPDATE_DICTIONARY = 1 << 9, 1 << 10
# Greatest number of names, number of the position's type, and that type.
_POSITIONS = ((1 << 8, 0, "<u1"), (1 << 16, 1, "<u2"), (1 << 32, 2, "<u4"))


def encode(parts: Sequence[Any], kind: str) -> Iterable[bytes]:  # noqa: PLR0911
    """Encode a column in the Native format, piece by piece.

    Args:
        parts: `Column`s of one kind, one after another; texts by dictionary share their names.
        kind: its type in ClickHouse, such as `Array(LowCardinality(String))`.

    Raises:
        TypeError: the column is not of this type.
    """
    outer, _, inner = kind.partition("(")
    inner = inner.removesuffix(")")
    first: Column = parts[0]
    match first:
        case Integers() if outer in _WIDTHS:
            return (_bytes(part.numbers, _WIDTHS[outer]) for part in parts)
        case Days() if outer == "Date":
            return (_bytes(part.numbers, "<u2") for part in parts)
        case Enums() if outer == "Enum8":
            return (_bytes(part.codes + 1, "<i1") for part in parts)
        case NullableIntegers() if outer == "Nullable":
            width = _WIDTHS[inner.partition("(")[0]]
            return (
                *(_bytes(part.missing, "u1") for part in parts),
                *(_bytes(part.numbers, width) for part in parts),
            )
        case Uuids() if outer == "UUID":
            return (_bytes(part.halves, "<u8") for part in parts)
        case Texts() if kind == "String":
            return (part.to_native() for part in parts)
        case DictionaryTexts() if kind == "LowCardinality(String)":
            return (_DICTIONARY_VERSION, *_labels(parts))
        case Lists(_, DictionaryTexts()) if inner == "LowCardinality(String)":
            return (_DICTIONARY_VERSION, *_ends(parts), *_labels([part.items for part in parts]))
        case Lists() if outer == "Array":
            return (*_ends(parts), *encode([part.items for part in parts], inner))
    msg = f"{type(first).__name__} cannot be written as {kind}"
    raise TypeError(msg)


def _bytes(numbers: Array, width: str) -> bytes:
    return np.ascontiguousarray(numbers.astype(width, copy=False)).tobytes()


def _ends(parts: Sequence[Lists]) -> Iterator[bytes]:
    """Offsets in the items of all lists at which each list ends."""
    items = 0
    for part in parts:
        ends = np.cumsum(part.lengths) + items
        items = int(ends[-1]) if len(ends) else items
        yield _bytes(ends, "<u8")


def _labels(parts: Sequence[DictionaryTexts]) -> Iterator[bytes]:
    """The names that occur, and each row's position among them."""
    count, names = sum(map(len, parts)), parts[0].names
    if not count:
        return  # The format has neither names nor positions then.
    occurs = np.zeros(len(names), bool)
    for part in parts:
        occurs[part.codes] = True
    codes = np.flatnonzero(occurs)
    places = np.empty(len(names), np.uint32)
    places[codes] = np.arange(len(codes))
    number, width = next(
        (number, width) for limit, number, width in _POSITIONS if len(codes) <= limit
    )
    header = np.array([number | _ADDITIONAL_KEYS | _UPDATE_DICTIONARY, len(codes)], "<i8").tobytes()
    yield (
        header
        + b"".join([_text(names[code]) for code in codes.tolist()])
        + np.int64(count).tobytes()
    )
    for part in parts:
        yield _bytes(places[part.codes], width)


def _text(name: str) -> bytes:
    raw = name.encode()
    length, prefix = len(raw), bytearray()
    while length > 0x7F:  # noqa: PLR2004
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + raw
