"""Tables into events: CSV and XLSX by a mapping file.

The same row always gives the same entity, version and `event_id`, so importing a file twice changes nothing. A corrected file needs a higher version: a version
column, or another `[version] value`.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID
from zipfile import BadZipFile

import openpyxl
import orjson
from openpyxl.utils.exceptions import InvalidFileException
from pydantic import Field, model_validator

from pravah.days import date_of, day_of_micros, instant_micros
from pravah.events import Event, EventError, Kind, Label, parse_event
from producers.mapping.conversions import (
    Cell,
    Conversion,
    ConversionError,
    MappingError,
    StrictModel,
    TimeFormat,
    iter_data_errors,
    load_mapping,
    make_entity,
    to_integer,
    to_text,
)
from producers.mapping.delivery_ids import derive_event_id
from producers.mapping.pseudonyms import Pseudonymiser
from schemas.registry import Registry

__all__ = [
    "ImportMapping",
    "Imported",
    "Importer",
    "MappingError",
    "Table",
    "TableError",
    "open_table",
]


class TableError(ValueError):
    """A file that cannot be read as a table."""


class FieldMapping(Conversion):
    """Where a field comes from and what it is."""

    column: str


class UnitMapping(StrictModel):
    """The column with the unit's code, or with names that `values` turns into codes."""

    column: str
    values: dict[str, str] | None = None


class TimeMapping(TimeFormat):
    """The column with the day or the instant."""

    column: str


class EntityMapping(StrictModel):
    """What makes a row one thing: its columns must not change when the row is corrected."""

    prefix: Annotated[str, Field(min_length=1, max_length=100)]
    """Unlike that of any other mapping, such as `sheet:raipur-members-2022`."""
    columns: Annotated[list[str], Field(min_length=1)]


class VersionMapping(StrictModel):
    """A column, or one value for all rows."""

    column: str | None = None
    value: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "VersionMapping":
        if (self.column is None) == (self.value is None):
            msg = "give either column or value"
            raise ValueError(msg)
        return self


class ImportMapping(StrictModel):
    """How the rows of one table become events; `producers/examples/members.toml` explains every part."""

    kind: Kind
    tool: Label = "spreadsheet"
    producer: Label
    """Which installation: whose spreadsheet it is."""
    sheet: str | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    unit: UnitMapping
    occurred_at: TimeMapping
    entity: EntityMapping
    version: VersionMapping = VersionMapping(value=1)
    constants: dict[str, str | int | bool] = Field(default_factory=dict)
    """Fields of `data` that are the same in every row."""
    fields: dict[str, FieldMapping] = Field(default_factory=dict)
    """Field of `data` → where it comes from."""
    envelope: dict[Literal["reporter", "evidence", "verification"], FieldMapping] = Field(
        default_factory=dict
    )

    @classmethod
    def from_toml(cls, text: str) -> "ImportMapping":
        """Read a mapping file.

        Raises:
            MappingError: with everything that is wrong in it, also what cannot give an event of that kind.
        """
        mapping = load_mapping(cls, text)
        if findings := list(iter_data_errors(mapping.kind, mapping.constants, mapping.fields)):
            raise MappingError(findings)
        return mapping

    @property
    def is_personal(self) -> bool:
        """Whether it makes hashes of persons."""
        return any(field.is_personal for field in (*self.fields.values(), *self.envelope.values()))

    def columns(self) -> Iterator[tuple[str, str]]:
        """Every column that is used, with where the mapping names it."""
        yield "unit", self.unit.column
        yield "occurred_at", self.occurred_at.column
        yield from (("entity.columns", column) for column in self.entity.columns)
        if self.version.column is not None:
            yield "version", self.version.column
        yield from ((f"fields.{name}", field.column) for name, field in self.fields.items())
        yield from ((f"envelope.{name}", field.column) for name, field in self.envelope.items())


# --- reading tables ---------------------------------------------------------------------------------------------------------------------------------------


class Table(NamedTuple):
    """A table being read."""

    columns: list[str]
    rows: Iterator[tuple[int, list[Cell]]]
    """Row number as a spreadsheet shows it (the header is 1), cells. Empty rows are left out."""
    total: int | None
    """Rows with the header, if known."""


@contextmanager
def open_table(path: Path, *, sheet: str | None = None, delimiter: str = ",") -> Iterator[Table]:
    """Open a CSV file (UTF-8) or a workbook (XLSX) whose first row names the columns; it is read row by row.

    Raises:
        TableError: it is neither, has no such sheet, or no header.
        OSError: it cannot be read.
    """
    if path.suffix.lower() in {".xlsx", ".xlsm"}:
        try:
            workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
        except (BadZipFile, InvalidFileException, KeyError) as error:
            msg = f"{path} is no workbook that can be read: {error}"
            raise TableError(msg) from error
        try:
            if sheet is not None and sheet not in workbook.sheetnames:
                msg = f"{path} has no sheet {sheet!r}; it has {', '.join(workbook.sheetnames)}"
                raise TableError(msg)
            chosen = workbook[sheet or workbook.sheetnames[0]]
            yield _table(
                path, (list(row) for row in chosen.iter_rows(values_only=True)), chosen.max_row
            )
        finally:
            workbook.close()
    elif path.suffix.lower() in {".csv", ".tsv", ".txt"}:
        with path.open("rb") as lines:
            total = sum(1 for _ in lines)
        with path.open(encoding="utf-8-sig", newline="") as text:
            yield _table(
                path,
                _csv_rows(
                    path,
                    csv.reader(
                        text,
                        delimiter="\t" if path.suffix.lower() == ".tsv" else delimiter,
                        strict=True,
                    ),
                ),
                total,
            )
    else:
        msg = f"{path}: expected a .csv, .tsv or .xlsx file"
        raise TableError(msg)


def _csv_rows(path: Path, reader: Iterator[list[str]]) -> Iterator[list[Cell]]:
    number = 0
    try:
        for row in reader:
            number += 1
            yield [*row]
    except UnicodeDecodeError as error:
        msg = f"{path}: not UTF-8 after row {number}: {error.reason}; save it as 'CSV UTF-8'"
        raise TableError(msg) from None
    except csv.Error as error:
        msg = f"{path}: row {number + 1} is not CSV: {error}"
        raise TableError(msg) from None


def _table(path: Path, rows: Iterator[list[Cell]], total: int | None) -> Table:
    header = next(rows, None)
    if header is None or not any(to_text(cell) for cell in header):
        msg = f"{path}: the first row must name the columns, and is empty"
        raise TableError(msg)
    filled = (
        (number, row)
        for number, row in enumerate(rows, start=2)
        if any(to_text(cell) for cell in row)
    )
    return Table([to_text(cell) for cell in header], filled, total)


# --- rows into events -------------------------------------------------------------------------------------------------------------------------------------


class Imported(NamedTuple):
    """A row as an event."""

    value: bytes
    event: Event


class Importer:
    """Turns the rows of one table into events."""

    def __init__(
        self,
        mapping: ImportMapping,
        columns: Iterable[str],
        *,
        as_version: int | None = None,
        registry: Registry | None = None,
        persons: Pseudonymiser | None = None,
    ) -> None:
        """Check that mapping and table fit.

        Args:
            mapping: how rows become events.
            columns: the table's column names in order.
            as_version: the version of every row, instead of what the mapping says.
            registry: units are checked against it; None: only the form of their codes.
            persons: makes the hashes of persons.

        Raises:
            MappingError: columns that are missing or double, or a hash without a key.
        """
        names = list(columns)
        findings = [
            f"{where}: the table has no column {column!r}; it has {', '.join(names)}"
            for where, column in mapping.columns()
            if column not in names
        ]
        findings += [
            f"{where}: the table has {names.count(column)} columns {column!r}"
            for where, column in mapping.columns()
            if names.count(column) > 1
        ]
        if persons is None and mapping.is_personal:
            findings.append("type = 'hash' needs the installation's key: set PRAVAH_PERSON_KEY")
        if findings:
            raise MappingError(findings)
        self._mapping, self._as_version, self._registry, self._persons = (
            mapping,
            as_version,
            registry,
            persons,
        )
        self._place = {name: number for number, name in enumerate(names)}
        self._rows: dict[int, int] = {}

    def event(self, number: int, row: list[Cell]) -> Imported:
        """One row as an event.

        Raises:
            EventError: with everything that is wrong with the row; reason `invalid`, `repeated_row`, `unknown_unit` or `closed_unit`.
        """
        mapping, problems = self._mapping, list[str]()
        entity = self._entity(row, problems)
        version = self._version(row, problems)
        content: dict[str, Any] = {
            "entity": entity,
            "version": version,
            "unit": self._unit(row, problems),
            "kind": mapping.kind,
            "occurred_at": self._instant(row, problems),
            "source": {"tool": mapping.tool, "producer": mapping.producer},
            "data": {**mapping.constants, **self._fields(row, mapping.fields, problems)},
            **self._fields(row, mapping.envelope, problems),
        }
        if problems:
            reason = "invalid"
            raise EventError(reason, "; ".join(problems))
        name = derive_event_id(entity, version)
        value = orjson.dumps({"event_id": name, **content})
        event = parse_event(value)
        if self._registry is not None:
            _check_unit(event, self._registry)
        earlier = self._rows.setdefault(name.int, number)
        if earlier != number:
            reason = "repeated_row"
            columns = ", ".join(mapping.entity.columns)
            detail = f"the same {columns} and version as row {earlier}, so it would count once; add a column to entity.columns, or a higher version"
            raise EventError(reason, detail)
        return Imported(value, event)

    def row_of(self, value: bytes) -> int | None:
        """The row that gave an event."""
        return self._rows.get(UUID(orjson.loads(value)["event_id"]).int)

    def _cell(self, row: list[Cell], column: str) -> Cell:
        place = self._place[column]
        return row[place] if place < len(row) else None

    def _entity(self, row: list[Cell], problems: list[str]) -> str:
        parts = []
        for column in self._mapping.entity.columns:
            text = to_text(self._cell(row, column))
            if not text:
                problems.append(f"{column}: is empty, but part of what makes the row one thing")
            parts.append(text)
        return make_entity(self._mapping.entity.prefix, parts)

    def _version(self, row: list[Cell], problems: list[str]) -> int:
        if self._as_version is not None:
            return self._as_version
        if self._mapping.version.value is not None:
            return self._mapping.version.value
        column = self._mapping.version.column or ""
        try:
            return to_integer(self._cell(row, column))
        except ConversionError as error:
            problems.append(f"{column}: {_shown(self._cell(row, column))} {error}")
            return 1

    def _unit(self, row: list[Cell], problems: list[str]) -> str:
        text, values = (
            to_text(self._cell(row, self._mapping.unit.column)),
            self._mapping.unit.values,
        )
        if not text:
            problems.append(
                f"{self._mapping.unit.column}: is empty; it must say which unit reports"
            )
        elif values is not None and text not in values:
            problems.append(f"{self._mapping.unit.column}: {text!r} is not among unit.values")
        return values.get(text, text) if values else text

    def _instant(self, row: list[Cell], problems: list[str]) -> str:
        column = self._mapping.occurred_at.column
        cell = self._cell(row, column)
        if not to_text(cell):
            problems.append(f"{column}: is empty; it must say when it happened")
            return ""
        try:
            return self._mapping.occurred_at.parse(cell).isoformat()
        except ConversionError as error:
            problems.append(f"{column}: {_shown(cell)} {error}")
            return ""

    def _fields(
        self, row: list[Cell], fields: Mapping[Any, FieldMapping], problems: list[str]
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in fields.items():
            cell = self._cell(row, field.column)
            if not to_text(cell):
                if not field.optional:
                    problems.append(f"{field.column}: is empty")
                continue
            try:
                found[name] = field.convert(cell, self._persons)
            except ConversionError as error:
                problems.append(
                    f"{field.column}: {'' if field.is_personal else f'{_shown(cell)} '}{error}"
                )
        return found


def _check_unit(event: Event, registry: Registry) -> None:
    if event.unit not in registry.units:
        reason = "unknown_unit"
        raise EventError(reason, f"unit: {event.unit!r} is not in the registry")
    day = day_of_micros(instant_micros(event.occurred_at))
    if not registry.is_open(event.unit, day):
        reason = "closed_unit"
        raise EventError(
            reason, f"unit: {event.unit} does not exist on {date_of(day)} (Asia/Kolkata)"
        )


def _shown(cell: Cell) -> str:
    return repr(cell) if isinstance(cell, bool) else repr(to_text(cell))
