"""Blocks of columns to ClickHouse, without a Python object for each value.

The client and its protocol are clickhouse-driver's; `sinks.native_format` writes the columns. It is
imported with the first block, so that a command which only reads starts without NumPy.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clickhouse_driver import Client, defines
from clickhouse_driver.block import ColumnOrientedBlock
from clickhouse_driver.errors import UnexpectedPacketFromServerError
from clickhouse_driver.protocol import ServerPacketTypes
from clickhouse_driver.streams.native import BlockOutputStream
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str, write_binary_uint8

if TYPE_CHECKING:
    from columnar.columns import Block, Blocks

# Rows of one insert of which the server makes one block.
MAX_ROWS = 1_000_000


class ColumnClient(Client):  # type: ignore[misc]
    """The driver's client, which also inserts blocks of columns."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._column_types: dict[str, dict[str, str]] = {}
        self._structures: dict[tuple[str, tuple[str, ...]], str] = {}

    def insert(
        self,
        table: str,
        block: "Block | Blocks",
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
        if not (len(data) == 1 and hasattr(data[0], "parts")):  # rows have no parts
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

    def __init__(self, columns_with_types: Any, block: "Block | Blocks") -> None:
        super().__init__(columns_with_types)
        self.block = block


class _BlockStream(BlockOutputStream):  # type: ignore[misc]
    """The driver's stream, uncompressed as `sinks.connection` configures it, and for columns."""

    def write(self, block: Any) -> None:
        if not isinstance(block, _Sendable):
            super().write(block)
            return
        from sinks.native_format import encode

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
