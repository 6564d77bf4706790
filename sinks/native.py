"""Blocks of columns to ClickHouse, without a Python object for each value.

The client and its protocol are clickhouse-driver's. The columns are written from their arrays in
ClickHouse's Native format, as `clickhouse_driver/columns/` does value by value.
`tests/integration/test_native.py` writes every type of column both ways.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from clickhouse_driver import Client, defines
from clickhouse_driver.block import ColumnOrientedBlock
from clickhouse_driver.errors import UnexpectedPacketFromServerError
from clickhouse_driver.protocol import ServerPacketTypes
from clickhouse_driver.streams.native import BlockOutputStream
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str, write_binary_uint8

from columnar.arrays import Array
from columnar.columns import (
    Block,
    Blocks,
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

# Rows of one insert of which the server makes one block.
MAX_ROWS = 1_000_000
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


class ColumnClient(Client):  # type: ignore[misc]
    """The driver's client, which also inserts blocks of columns."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._column_types: dict[str, dict[str, str]] = {}
        self._structures: dict[tuple[str, tuple[str, ...]], str] = {}

    def insert(
        self,
        table: str,
        block: Block | Blocks,
        settings: Mapping[str, Any],
        *,
        condition: str | None = None,
    ) -> None:
        """Insert a block's columns into the columns of a table that have their names.

        Args:
            table: name.
            block: the columns.
            settings: of the query.
            condition: see `insert_statement`.

        Raises:
            clickhouse_driver.errors.Error: as `execute` does.
        """
        statement = self.insert_statement(table, tuple(block.columns), condition)
        self.execute(statement, [block], settings=settings)

    def insert_statement(
        self, table: str, columns: tuple[str, ...], condition: str | None = None
    ) -> str:
        """Statement to which `execute` sends rows.

        Args:
            table: name.
            columns: of the table.
            condition: SQL that the server evaluates once, when the statement begins, and that
                raises an error if nothing may be inserted.
        """
        names = ", ".join(columns)
        if condition is None:
            return f"INSERT INTO {table} ({names}) VALUES"
        structure = self._structure(table, columns)
        return (
            f"INSERT INTO {table} ({names}) SELECT {names} FROM input('{structure}') "
            f"WHERE {condition} FORMAT Native"
        )

    def _structure(self, table: str, columns: tuple[str, ...]) -> str:
        """Names and types of columns, quoted for the table function `input`."""
        known = self._structures.get((table, columns))
        if known is None:
            if table not in self._column_types:
                self._read_column_types()
            types = self._column_types[table]
            structure = ", ".join(f"{name} {types[name]}" for name in columns)
            known = structure.replace("\\", "\\\\").replace("'", "\\'")
            self._structures[table, columns] = known
        return known

    def _read_column_types(self) -> None:
        """Read the types of all tables' columns: one query for a connection."""
        rows = self.execute(
            "SELECT table, name, type FROM system.columns WHERE database = currentDatabase()"
        )
        for table, name, type_name in rows:
            self._column_types.setdefault(table, {})[name] = type_name

    def receive_sample_block(self) -> Any:
        """Receive the columns that an insert expects.

        A statement with a subquery, such as a condition, reports progress before that.
        """
        while True:
            packet = self.receive_packet()
            if packet is False:
                msg = "the server ended an insert before it began"
                raise UnexpectedPacketFromServerError(msg)
            if packet is not True and packet.type == ServerPacketTypes.DATA:
                return packet.block

    def send_data(
        self,
        sample_block: Any,
        data: Any,
        types_check: bool = False,  # noqa: FBT001, FBT002
        columnar: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        """Send the data of an insert; a block of columns in the driver's own steps."""
        if not (len(data) == 1 and isinstance(data[0], Block | Blocks)):
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
    """Blocks of columns in the driver's type of a block."""

    def __init__(self, columns_with_types: Any, block: Block | Blocks) -> None:
        super().__init__(columns_with_types)
        self.block = block


class _BlockStream(BlockOutputStream):  # type: ignore[misc]
    """The driver's stream, uncompressed as `sinks.connection` configures it, and for columns."""

    def write(self, block: Any) -> None:
        if not isinstance(block, _Sendable):
            super().write(block)
            return
        revision = self.context.server_info.used_revision
        if revision >= defines.DBMS_MIN_REVISION_WITH_BLOCK_INFO:
            block.info.write(self.fout)
        write_varint(len(block.block.columns), self.fout)
        write_varint(len(block.block), self.fout)
        for (name, kind), own in zip(block.columns_with_types, block.block.columns, strict=True):
            write_binary_str(name, self.fout)
            write_binary_str(kind, self.fout)
            if revision >= defines.DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION:
                write_binary_uint8(0, self.fout)
            for piece in encode([part.columns[own] for part in block.block.parts], kind):
                self.fout.write(piece)
        self.finalize()


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
