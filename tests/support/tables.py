"""Tables for tests: files of all kinds, and how they are imported."""

from collections.abc import Iterable
from pathlib import Path

import openpyxl
import pytest

from pravah.events import EventError
from producers.tables import Importer, ImportMapping, MappingError, TableError, open_mapped_table
from tests.support.workbooks import by_hand

MAPPING = """
kind = "membership"
producer = "test-office"
unit = { column = "Booth" }
entity = { prefix = "sheet:test", columns = ["Form"] }
constants = { mode = "manual" }

[occurred_at]
column = "Date"
format = "%d/%m/%Y"

[fields.count]
column = "New"
type = "integer"
"""
HEADER = ["Form", "Date", "Booth", "New"]
BOOTH = "CG-AC084-B0017"
GOOD = ["R1", "03/05/2022", BOOTH, "12"]


def mapping(text: str = MAPPING, **keys: str) -> ImportMapping:
    """A mapping, with more keys at its top."""
    top = "".join(f"{name} = {value}\n" for name, value in keys.items())
    return ImportMapping.from_toml(top + text)


def read(path: Path, how: ImportMapping | None = None) -> tuple[list[bytes], dict[int, str]]:
    """The events of a table, and the rejected rows with the reasons."""
    how = how or mapping()
    good, bad = [], {}
    with open_mapped_table(path, how) as table:
        importer = Importer(how, table.columns)
        for number, row in table.rows:
            try:
                good.append(importer.convert(number, row).value)
            except EventError as error:
                bad[number] = error.detail
    return good, bad


def counts(path: Path, how: ImportMapping | None = None) -> list[tuple[str, str, int]]:
    """Day, entity and count of all events; no row may be rejected."""
    how = how or mapping()
    found = []
    with open_mapped_table(path, how) as table:
        importer = Importer(how, table.columns)
        for number, row in table.rows:
            event = importer.convert(number, row).event
            found.append((str(event.occurred_at.date()), str(event.entity), event.data.count))  # type: ignore[union-attr]
    return found


def refusal(path: Path, how: ImportMapping | None = None) -> str:
    with pytest.raises((TableError, MappingError)) as caught:
        read(path, how)
    return str(caught.value)


def write_csv(path: Path, rows: Iterable[Iterable[object]], delimiter: str = ",") -> Path:
    path.write_text("".join(delimiter.join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return path


def write_workbook(path: Path, rows: Iterable[Iterable[object]], *merged: str) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(list(row))
    for cells in merged:
        book.worksheets[0].merge_cells(cells)
    book.save(path)
    return path


def write_sheet(path: Path, rows_xml: str, **options: str) -> Path:
    path.write_bytes(by_hand.make_book(by_hand.make_sheet(rows_xml), **options))
    return path
