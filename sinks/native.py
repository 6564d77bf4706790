"""Blocks of columns to ClickHouse: numbers go as they lie in memory, where clickhouse-driver would make a Python object of every value first.

The client and its protocol are the driver's; the columns are written in ClickHouse's Native format, as `clickhouse_driver/columns/` does it value by value. `tests/test_native.py` writes every
type of column both ways.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from clickhouse_driver import Client, defines
from clickhouse_driver.block import ColumnOrientedBlock
from clickhouse_driver.streams.native import BlockOutputStream
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str, write_binary_uint8

from schemas.columns import Block, Choices, Column, Days, Integers, Labels, Lists, Optionals, Uuids
from schemas.loops import Numbers
from schemas.texts import Texts

MAX_ROWS = 1_000_000
"""Of one insert: the server makes one block of it."""
_WIDTHS = {"UInt8": "<u1", "UInt16": "<u2", "UInt32": "<u4", "UInt64": "<u8", "Int8": "<i1", "Int32": "<i4", "Int64": "<i8", "DateTime64": "<i8"}
_DICTIONARY_VERSION = np.int64(1).tobytes()
_ADDITIONAL_KEYS, _UPDATE_DICTIONARY = 1 << 9, 1 << 10
_POSITIONS = ((1 << 8, 0, "<u1"), (1 << 16, 1, "<u2"), (1 << 32, 2, "<u4"))
"""Up to so many names, the type's number, and the type."""


class ColumnClient(Client):  # type: ignore[misc]
    """The driver's client, which takes a `Block` besides."""

    def insert(self, table: str, block: Block, settings: Mapping[str, Any]) -> None:
        """Insert a block's columns into the columns of a table that have their names.

        Raises:
            clickhouse_driver.errors.Error: as `execute` does.
        """
        statement = f"INSERT INTO {table} ({', '.join(block.columns)}) VALUES"
        self.execute(statement, [block], settings=settings)

    def send_data(self, sample_block: Any, data: Any, types_check: bool = False, columnar: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - the driver's
        """Send what an insert brings, for a block in the driver's own steps."""
        if not (len(data) == 1 and isinstance(data[0], Block)):
            return super().send_data(sample_block, data, types_check=types_check, columnar=columnar)
        (block,) = data
        connection = self.connection
        if not isinstance(connection.block_out, _BlockStream):
            connection.block_out = _BlockStream(connection.fout, connection.context)
        connection.send_data(_Sendable(sample_block.columns_with_types, block))
        self.receive_profile_events()
        connection.send_data(ColumnOrientedBlock())
        self.receive_profile_events()
        return len(block)


class _Sendable(ColumnOrientedBlock):  # type: ignore[misc]
    """A `Block` as the driver's streams know blocks."""

    def __init__(self, columns_with_types: Any, block: Block) -> None:  # noqa: ANN401
        super().__init__(columns_with_types)
        self.block = block


class _BlockStream(BlockOutputStream):  # type: ignore[misc]
    """The driver's stream, uncompressed as `sinks.connection` asks for it, with a way of its own for a `Block`."""

    def write(self, block: Any) -> None:  # noqa: ANN401 - the driver's
        if not isinstance(block, _Sendable):
            super().write(block)
            return
        revision = self.context.server_info.used_revision
        if revision >= defines.DBMS_MIN_REVISION_WITH_BLOCK_INFO:
            block.info.write(self.fout)
        write_varint(len(block.block.columns), self.fout)
        write_varint(len(block.block), self.fout)
        for (name, kind), column in zip(block.columns_with_types, block.block.columns.values(), strict=True):
            write_binary_str(name, self.fout)
            write_binary_str(kind, self.fout)
            if revision >= defines.DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION:
                write_binary_uint8(0, self.fout)
            self.fout.write(encode(column, kind))
        self.finalize()


def encode(column: Column, kind: str) -> bytes:  # noqa: PLR0911 - one for each type
    """A column's bytes in the Native format.

    Args:
        column: the column.
        kind: its type in ClickHouse, such as `Array(LowCardinality(String))`.

    Raises:
        TypeError: the column is not of this type.
    """
    outer, _, inner = kind.partition("(")
    inner = inner.removesuffix(")")
    match column:
        case Integers(numbers) if outer in _WIDTHS:
            return _bytes(numbers, _WIDTHS[outer])
        case Days(numbers) if outer == "Date":
            return _bytes(numbers, "<u2")
        case Choices(codes, _) if outer == "Enum8":
            return _bytes(codes + 1, "<i1")
        case Optionals(numbers, missing) if outer == "Nullable":
            return _bytes(missing, "u1") + _bytes(numbers, _WIDTHS[inner.partition("(")[0]])
        case Uuids(halves) if outer == "UUID":
            return _bytes(halves, "<u8")
        case Texts() if kind == "String":
            return column.native()
        case Labels() if kind == "LowCardinality(String)":
            return _DICTIONARY_VERSION + _labels(column)
        case Lists(lengths, Labels() as items) if inner == "LowCardinality(String)":
            return _DICTIONARY_VERSION + _bytes(np.cumsum(lengths), "<u8") + _labels(items)
        case Lists(lengths, items) if outer == "Array":
            return _bytes(np.cumsum(lengths), "<u8") + encode(items, inner)
    msg = f"{type(column).__name__} cannot be written as {kind}"
    raise TypeError(msg)


def _bytes(numbers: Numbers, width: str) -> bytes:
    return np.ascontiguousarray(numbers.astype(width, copy=False)).tobytes()


def _labels(column: Labels) -> bytes:
    """The names that occur, and each row's position among them."""
    if not len(column.codes):
        return b""  # as the format has it: neither names nor positions
    occurs = np.zeros(len(column.names), bool)
    occurs[column.codes] = True
    codes = np.flatnonzero(occurs)
    places = np.empty(len(column.names), np.uint32)
    places[codes] = np.arange(len(codes))
    number, width = next((number, width) for most, number, width in _POSITIONS if len(codes) <= most)
    header = np.array([number | _ADDITIONAL_KEYS | _UPDATE_DICTIONARY, len(codes)], "<i8").tobytes()
    names = b"".join([_text(column.names[code]) for code in codes.tolist()])
    return header + names + np.int64(len(column.codes)).tobytes() + _bytes(places[column.codes], width)


def _text(name: str) -> bytes:
    raw = name.encode()
    length, prefix = len(raw), bytearray()
    while length > 0x7F:  # noqa: PLR2004 - seven bits a byte
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + raw
