"""Conversion of a table's rows into events.

A row always gives the same entity, version and `event_id`, so a second import of a file changes
nothing. A corrected row needs a higher version: in a version column, or by another
`[version] value`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from pravah.events import Event, EventError, parse_event
from pravah.settings import Settings
from producers.mapping.conversions import (
    Cell,
    ConversionError,
    MappingError,
    make_entity,
    to_integer,
    to_text,
)
from producers.mapping.delivery_ids import derive_event_id
from producers.mapping.entity_parts import OpenPhoneError
from producers.mapping.garbled_text import explain_number_cell
from producers.mapping.gazetteer import Gazetteer, UnitError
from producers.mapping.phones import parse_phone
from producers.mapping.pseudonyms import Pseudonymiser
from producers.tables.cells import FaultyCell
from producers.tables.csv_files import find_other_delimiter
from producers.tables.dates import DateKinds, explain_date, swap_day_and_month
from producers.tables.headers import ColumnNames
from producers.tables.mapping import FieldMapping, ImportMapping, UnitLookup
from producers.tables.rows import explain_length, explain_no_data, explain_problems
from producers.tables.units import find_unit
from reference.defaults import default_dictionary
from schemas.acceptance import AcceptanceRules
from schemas.registry import Registry

MAX_FUTURE_HOURS: float = Settings.model_fields["max_future_hours"].default


class ImportedRow(NamedTuple):
    """The event of a row."""

    value: bytes
    """JSON, as it is sent."""
    event: Event


class Importer:
    """Converts the rows of one table into events."""

    def __init__(
        self,
        mapping: ImportMapping,
        columns: Iterable[str],
        *,
        as_version: int | None = None,
        registry: Registry | None = None,
        gazetteer: Gazetteer | None = None,
        pseudonymiser: Pseudonymiser | None = None,
        max_future_hours: float = MAX_FUTURE_HOURS,
    ) -> None:
        """Check that the mapping fits the table.

        Args:
            mapping: how rows become events.
            columns: the table's column names in order.
            as_version: the version of every row, instead of the mapping's.
            registry: units are checked against it; None checks only the form of their codes.
            gazetteer: finds units by alias or name; by default one of the registry, without
                aliases.
            pseudonymiser: makes the hashes of persons.
            max_future_hours: how far in the future an event may have occurred, as the worker is
                set.

        Raises:
            MappingError: a column is missing or occurs twice, there is a hash without a key, or
                a look-up by name without units.
        """
        self._names = list(columns)
        found, findings = ColumnNames(self._names), list[str]()
        # name in the mapping → index
        self._index: dict[str, int] = {}
        for where, column in mapping.iter_columns():
            try:
                self._index[column] = found.find(column)
            except LookupError as error:
                findings.append(f"{where}: {error}")
        if findings and (delimiter := find_other_delimiter(self._names)) is not None:
            name = {"\t": "a tab"}.get(delimiter, repr(delimiter))
            findings.append(
                f"delimiter: the header is one cell that has {name}; leave delimiter out of the "
                "mapping or name the right one; or each line stands in quotation marks as a whole"
            )
        if pseudonymiser is None and mapping.is_personal:
            findings.append("type = 'hash' needs the installation's key: set PRAVAH_PERSON_KEY")
        self._pseudonymiser = pseudonymiser
        self._rules = AcceptanceRules(
            timedelta(hours=max_future_hours), registry, default_dictionary()
        )
        self._gazetteer = gazetteer
        if gazetteer is None and registry is not None:
            self._gazetteer = Gazetteer(registry)
        elif gazetteer is None and mapping.has_names:
            findings.append("unit: by = 'name' or 'alias' needs the registry of units")
        if findings:
            raise MappingError(findings)
        self._mapping, self._as_version = mapping, as_version
        # index of a column with persons → how they are hashed
        self._personal = {
            self._index[field.column]: field
            for field in (*mapping.fields.values(), *mapping.envelope.values())
            if field.is_personal
        }
        # columns of the identity that may have days
        self._days = {mapping.occurred_at.column} - {None}
        self._dates = DateKinds(mapping.occurred_at)
        # column of type `hash` → its values, and those that are phone numbers
        self._hashed, self._phones = Counter[str](), Counter[str]()
        # event_id as integer → row number
        self._rows: dict[int, int] = {}

    def convert(self, number: int, row: list[Cell]) -> ImportedRow:
        """Convert one row to an event.

        Args:
            number: the row's number, as a spreadsheet shows it.
            row: its cells; missing ones at the end are empty.

        Raises:
            EventError: with all problems of the row; reason `invalid`, `repeated_row`,
                or a reason for which the worker would reject the event, such as `unknown_unit` or
                `far_future`.
        """
        if refusals := list(self._check_row(number, row)):
            reason = "invalid"
            raise EventError(reason, "; ".join(refusals))
        mapping, problems = self._mapping, list[str]()
        entity = self._convert_entity(row, problems)
        version = self._convert_version(row, problems)
        occurred_at = self._convert_time(row, problems)
        content: dict[str, Any] = {
            "entity": entity,
            "version": version,
            "unit": self._convert_unit(row, occurred_at, problems),
            "kind": mapping.kind,
            "occurred_at": "" if occurred_at is None else occurred_at.isoformat(),
            "source": {"tool": mapping.tool, "producer": mapping.producer},
            "data": {
                **mapping.constants,
                **self._convert_fields(row, mapping.fields, occurred_at, problems),
            },
            **self._convert_fields(row, mapping.envelope, occurred_at, problems),
        }
        if problems:
            reason = "invalid"
            hint = explain_problems(row, mapping, self._index)
            raise EventError(reason, "; ".join(problems) + hint)
        event_id = derive_event_id(entity, version)
        value = orjson.dumps({"event_id": event_id, **content})
        event = parse_event(value)
        self._rules.check(event, datetime.now(UTC))
        earlier = self._rows.setdefault(event_id.int, number)
        if earlier != number:
            reason = "repeated_row"
            columns = ", ".join(mapping.entity.columns)
            detail = (
                f"the same {columns} and version as row {earlier}, so it would count once; "
                "add a column to entity.columns, or a higher version"
            )
            raise EventError(reason, detail)
        return ImportedRow(value, event)

    def find_row(self, value: bytes) -> int | None:
        """Return the number of the row that gave an event, None if no row did.

        Args:
            value: the event as JSON.
        """
        return self._rows.get(UUID(orjson.loads(value)["event_id"]).int)

    @property
    def notes(self) -> list[str]:
        """What the rows so far say of the mapping: columns with phone numbers."""
        return [
            f"{column}: {phones:,} of {total:,} values are phone numbers; say type = 'phone', so "
            "that a mistyped number is refused and not counted as another person"
            for column, total in self._hashed.items()
            if 2 * (phones := self._phones[column]) > total
        ]

    def _check_row(self, number: int, row: list[Cell]) -> Iterator[str]:
        """Yield the reasons why a row as a whole is none of the table's."""
        if len(row) > len(self._names):
            yield explain_length(row, self._names)
            return
        if (reason := explain_no_data(row, self._mapping, self._index, self._names)) is not None:
            yield reason
            return
        for column, index in self._index.items():
            if index < len(row) and isinstance(cell := row[index], FaultyCell):
                yield f"{column}: {cell.reason}"
        if self._mapping.occurred_at.column is not None:
            self._dates.add(number, self._get_cell(row, self._mapping.occurred_at.column))
        if (conflict := self._dates.find_conflict()) is not None:
            yield conflict

    def _get_cell(self, row: list[Cell], column: str) -> Cell:
        index = self._index[column]
        return row[index] if index < len(row) else None

    def _convert_entity(self, row: list[Cell], problems: list[str]) -> str:
        """Return the entity's name, in which persons are hashes."""
        parts, mapping = [], self._mapping.entity
        for column in mapping.columns:
            cell = self._get_cell(row, column)
            text = to_text(cell)
            if not text:
                problems.append(f"{column}: is empty, but is part of the row's identity")
            elif (field := self._personal.get(self._index[column])) is not None:
                try:
                    texts = field.split(text) if field.many else [text]
                    text = " ".join(sorted(field.hash_all(texts, self._pseudonymiser)))
                except ConversionError:
                    pass  # the field's own problem
            else:
                try:
                    text = mapping.convert(
                        column, cell, self._pseudonymiser, may_be_day=column in self._days
                    )
                except OpenPhoneError as error:
                    problems.append(f"{column}: {error}")
                except ConversionError as error:
                    quoted = "" if column in mapping.hash else f"{_quote(cell)} "
                    problems.append(f"{column}: {quoted}{error}")
            parts.append(text)
        return make_entity(mapping.prefix, parts)

    def _convert_version(self, row: list[Cell], problems: list[str]) -> int:
        if self._as_version is not None:
            return self._as_version
        if self._mapping.version.value is not None:
            return self._mapping.version.value
        column = self._mapping.version.column or ""
        try:
            return to_integer(self._get_cell(row, column))
        except ConversionError as error:
            problems.append(f"{column}: {_quote(self._get_cell(row, column))} {error}")
            return 1

    def _convert_unit(
        self, row: list[Cell], occurred_at: datetime | None, problems: list[str]
    ) -> str:
        unit = self._mapping.unit
        try:
            cell = self._get_cell(row, unit.column)
            return self._find_unit(unit, unit.column, cell, row, occurred_at)
        except UnitError as error:
            problems.append(str(error))
            return ""

    def _find_unit(
        self,
        lookup: UnitLookup,
        column: str,
        cell: Cell,
        row: list[Cell],
        occurred_at: datetime | None,
    ) -> str:
        return find_unit(
            lookup,
            column,
            cell,
            lambda above: self._get_cell(row, above),
            occurred_at,
            self._gazetteer,
        )

    def _convert_time(self, row: list[Cell], problems: list[str]) -> datetime | None:
        column = self._mapping.occurred_at.column
        if column is None:
            return self._mapping.occurred_at.parse(self._mapping.occurred_at.value)
        cell = self._get_cell(row, column)
        if not to_text(cell):
            problems.append(f"{column}: is empty; it must say when it happened")
            return None
        try:
            if isinstance(cell, date) and self._mapping.occurred_at.date_cells == "swapped":
                cell = swap_day_and_month(cell)
            return self._mapping.occurred_at.parse(cell)
        except ConversionError as error:
            problems.append(f"{column}: {_quote(cell)} {error}{explain_date(cell)}")
            return None

    def _convert_fields(
        self,
        row: list[Cell],
        fields: Mapping[Any, FieldMapping],
        occurred_at: datetime | None,
        problems: list[str],
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in fields.items():
            cell = self._get_cell(row, field.column)
            if not to_text(cell):
                if not field.optional:
                    problems.append(f"{field.column}: is empty")
                continue
            if field.type == "hash" and field.values is None:
                texts = field.split(to_text(cell)) if field.many else [to_text(cell)]
                self._hashed[field.column] += len(texts)
                self._phones[field.column] += sum(
                    parse_phone(text, field.region) is not None for text in texts
                )
            try:
                found[name] = self._convert_field(field, cell, row, occurred_at)
            except UnitError as error:
                problems.append(str(error))
            except ConversionError as error:
                quoted = "" if field.is_personal else f"{_quote(cell)} "
                problems.append(f"{field.column}: {quoted}{error}")
        return found

    def _convert_field(
        self, field: FieldMapping, cell: Cell, row: list[Cell], occurred_at: datetime | None
    ) -> object:
        """Return the value of a cell, or the distinct ones of its parts in their order."""
        if field.unit is not None:
            codes = [
                self._find_unit(field.unit, field.column, part, row, occurred_at)
                for part in (field.split(to_text(cell)) if field.many else [cell])
            ]
            return list(dict.fromkeys(codes)) if field.many else codes[0]
        if not field.many:
            return field.convert(cell, self._pseudonymiser)
        if (reason := explain_number_cell(cell)) is not None:
            raise ConversionError(reason)
        texts = field.split(to_text(cell))
        if not texts:
            msg = "has separators only"
            raise ConversionError(msg)
        if field.is_personal and field.values is None:
            return list(dict.fromkeys(field.hash_all(texts, self._pseudonymiser)))
        return list(dict.fromkeys(field.convert(text, self._pseudonymiser) for text in texts))


def _quote(cell: Cell) -> str:
    return repr(cell) if isinstance(cell, bool) else repr(to_text(cell))
