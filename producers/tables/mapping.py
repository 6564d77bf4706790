"""The mapping file of a table. `producers/examples/members.toml` explains every part. Pure."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from pravah.events import MAX_VERSION, MODELS, Kind, Label, UnitCode
from pravah.units import Level
from producers.mapping.conversions import (
    Conversion,
    ConversionError,
    MappingError,
    NamePart,
    StrictModel,
    TimeFormat,
    load_mapping,
    normalise_names,
    to_text,
)
from producers.mapping.entity_parts import EntityParts
from producers.mapping.gazetteer import LookupKey, iter_lookup_errors
from producers.mapping.mapping_checks import (
    Use,
    iter_contradictions,
    iter_data_errors,
    iter_envelope_errors,
    iter_type_errors,
    iter_unit_value_errors,
)
from producers.mapping.text import fold_text

# Begins a value of a suggested mapping that a person must still write.
PLACEHOLDER = "TODO:"
# What separates the parts of a cell with several.
SEPARATORS = re.compile(r"[,;/|\n\r]")


class UnitLookup(StrictModel):
    """How a text names a unit."""

    values: dict[str, str] | None = None
    """Text → the text that is looked up instead; any other text is refused."""
    by: LookupKey = "code"
    level: Level | None = None
    """With `by = "name"`, the unit's level."""
    assembly: str | None = None
    district: str | None = None
    division: str | None = None
    """With `by = "name"`, the columns that name the units above, by code, alias, name or number."""
    within: UnitCode | None = None
    """Code of a unit that is above all of them, such as the state."""

    @field_validator("values")
    @classmethod
    def _check_values(cls, values: dict[str, str] | None) -> dict[str, str] | None:
        return normalise_names(values)

    @model_validator(mode="after")
    def _check_lookup(self) -> "UnitLookup":
        if problems := list(iter_lookup_errors(self.by, self.level, self.above.keys())):
            raise ValueError("; ".join(problems))
        return self

    @property
    def above(self) -> dict[Level, str]:
        """Level of a unit above → the column that names it, from the top."""
        columns: dict[Level, str | None] = {
            "division": self.division,
            "district": self.district,
            "assembly": self.assembly,
        }
        return {level: column for level, column in columns.items() if column is not None}


class UnitMapping(UnitLookup):
    """The column that names the reporting unit, and how."""

    column: str


class FieldMapping(Conversion):
    """The source of a field and its conversion."""

    column: str
    many: bool = False
    """The value is a list: the parts of the cell, each once."""
    separator: Annotated[str | None, Field(min_length=1)] = None
    """Separates the parts, besides line breaks; comma, semicolon, slash and `|` if left out."""
    unit: UnitLookup | None = None
    """The column names units, which become codes."""

    def split(self, text: str) -> list[str]:
        """Return the parts of a cell with several, each once."""
        parts = (
            SEPARATORS.split(text)
            if self.separator is None
            else [part for line in text.splitlines() for part in line.split(self.separator)]
        )
        return list(dict.fromkeys(filter(None, map(str.strip, parts))))


class TimeMapping(TimeFormat):
    """The column with the day or the instant, or one day for all rows."""

    column: str | None = None
    value: date | None = None
    """The day of all rows, of a list without days, such as 2022-05-03."""
    date_cells: Literal["right", "swapped"] | None = None
    """Of a column with both date cells and texts, which a spreadsheet may have converted in part:
    whether the date cells show the right day, or have day and month exchanged. Without it such a
    table is refused."""

    @field_validator("value", mode="before")
    @classmethod
    def _read_value(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            msg = f"{value!r} is no day; expected for example 2022-05-03"
            raise ValueError(msg) from None

    @model_validator(mode="after")
    def _check_one(self) -> "TimeMapping":
        if (self.column is None) == (self.value is None):
            msg = "give either column, or one value for all rows such as 2022-05-03"
            raise ValueError(msg)
        if self.value is not None:
            try:
                self.parse(self.value)
            except ConversionError as error:
                msg = f"value {error}"
                raise ValueError(msg) from None
        return self


class SkipRule(StrictModel):
    """Rows that are no data, such as a total. All conditions that are given must hold."""

    column: str
    is_: Annotated[list[str] | None, Field(alias="is", min_length=1)] = None
    """The cell is one of these texts, without regard to case."""
    starts: Annotated[list[str] | None, Field(min_length=1)] = None
    """The cell begins with one of these texts, without regard to case."""
    empty: Literal[True] | None = None
    """The cell is empty."""

    @model_validator(mode="after")
    def _check_one(self) -> "SkipRule":
        if sum(part is not None for part in (self.is_, self.starts, self.empty)) != 1:
            msg = "give one of is, starts and empty"
            raise ValueError(msg)
        return self

    def matches(self, text: str) -> bool:
        """Whether a row with this text in the column is skipped."""
        if self.empty:
            return not text
        folded = _fold(text)
        if self.is_ is not None:
            return folded in map(_fold, self.is_)
        return any(folded.startswith(_fold(start)) for start in self.starts or ())


class EntityMapping(EntityParts):
    """The columns that identify a row. A correction must not change them."""

    prefix: NamePart
    """Unlike that of any other mapping, such as `sheet:raipur-members-2022`."""
    columns: Annotated[list[str], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_parts(self) -> "EntityMapping":
        self.check_names(self.columns)
        return self


class VersionMapping(StrictModel):
    """A column, or one value for all rows."""

    column: str | None = None
    value: Annotated[int, Field(ge=1, le=MAX_VERSION)] | None = None

    @model_validator(mode="after")
    def _check_one(self) -> "VersionMapping":
        if (self.column is None) == (self.value is None):
            msg = "give either column or value"
            raise ValueError(msg)
        return self


class ImportMapping(StrictModel):
    """How the rows of a table become events."""

    kind: Kind
    tool: Label = "spreadsheet"
    producer: Label
    """The installation: whose spreadsheet it is."""
    sheet: str | None = None
    delimiter: Annotated[str | None, Field(min_length=1, max_length=1)] = None
    """Of a CSV file; found if left out."""
    header_row: Annotated[int | None, Field(ge=1, le=1000)] = None
    """The row that names the columns; found if left out."""
    header_rows: Literal[1, 2] | None = None
    """2 if a row with groups of columns stands above the names; found if left out."""
    skip: list[SkipRule] = Field(default_factory=list)
    """Rows that are no data; a row is skipped if one of the rules fits."""
    unit: UnitMapping
    occurred_at: TimeMapping
    entity: EntityMapping
    version: VersionMapping = VersionMapping(value=1)
    constants: dict[str, str | int | bool] = Field(default_factory=dict)
    """Fields of `data` that are the same in every row."""
    fields: dict[str, FieldMapping] = Field(default_factory=dict)
    """Field of `data` → its source."""
    envelope: dict[Literal["reporter", "evidence", "verification"], FieldMapping] = Field(
        default_factory=dict
    )

    @classmethod
    def from_toml(cls, text: str) -> "ImportMapping":
        """Parse a mapping file.

        Raises:
            MappingError: the file is invalid, or can never give a valid event; with all findings.
        """
        if findings := list(_iter_placeholders(text)):
            raise MappingError(findings)
        mapping = load_mapping(cls, text)
        if findings := list(_iter_errors(mapping)):
            raise MappingError(findings)
        return mapping

    @property
    def is_personal(self) -> bool:
        """Whether a field, or a part of the entity, becomes the keyed hash of a person."""
        fields = (*self.fields.values(), *self.envelope.values())
        return bool(self.entity.hash) or any(field.is_personal for field in fields)

    def iter_identity(self) -> Iterator[str]:
        """Yield the columns, besides the day's, that identify rows, units and persons."""
        persons = (
            field.column
            for field in (*self.fields.values(), *self.envelope.values())
            if field.is_personal
        )
        columns = (*self.entity.columns, self.unit.column, *self.unit.above.values(), *persons)
        yield from (column for column in columns if column != self.occurred_at.column)

    def iter_columns(self) -> Iterator[tuple[str, str]]:
        """Yield each use of a column: its place in the mapping, the column's name."""
        yield "unit", self.unit.column
        yield from ((f"unit.{level}", column) for level, column in self.unit.above.items())
        if self.occurred_at.column is not None:
            yield "occurred_at", self.occurred_at.column
        yield from (("entity.columns", column) for column in self.entity.columns)
        if self.version.column is not None:
            yield "version", self.version.column
        yield from (("skip", rule.column) for rule in self.skip)
        yield from ((f"fields.{name}", field.column) for name, field in self.fields.items())
        yield from ((f"envelope.{name}", field.column) for name, field in self.envelope.items())
        for name, field in self.fields.items():
            above = field.unit.above if field.unit is not None else {}
            yield from ((f"fields.{name}.unit.{level}", column) for level, column in above.items())

    @property
    def has_names(self) -> bool:
        """Whether units are looked up otherwise than by code."""
        lookups = [self.unit, *(field.unit for field in self.fields.values())]
        return any(lookup is not None and lookup.by != "code" for lookup in lookups)


def _iter_errors(mapping: ImportMapping) -> Iterator[str]:
    """Yield the reasons why a mapping can never give a valid event."""
    yield from iter_data_errors(mapping.kind, mapping.constants, mapping.fields)
    yield from iter_envelope_errors(mapping.kind, mapping.envelope)
    yield from (
        f"unit: {problem}"
        for problem in iter_unit_value_errors(mapping.unit.by, mapping.unit.values)
    )
    yield from iter_contradictions(list(_iter_uses(mapping)))
    event = MODELS[mapping.kind]
    data: type[BaseModel] = event.model_fields["data"].annotation  # type: ignore[assignment]
    parts: list[tuple[type[BaseModel], Mapping[Any, FieldMapping]]] = [
        (data, mapping.fields),
        (event, mapping.envelope),
    ]
    for model, fields in parts:
        for name, field in fields.items():
            if name in model.model_fields:  # `iter_data_errors` reports the others
                is_unit = field.unit is not None
                yield from iter_type_errors(model, name, field, many=field.many, is_unit=is_unit)


def _iter_uses(mapping: ImportMapping) -> Iterator[Use]:
    """Yield the uses of columns by type."""
    yield Use("unit", mapping.unit.column, mapping.unit.by, mapping.unit.values)
    if mapping.occurred_at.column is not None:
        yield Use("occurred_at", mapping.occurred_at.column, "time")
    if mapping.version.column is not None:
        yield Use("version", mapping.version.column, "integer")
    for place, fields in (("fields", mapping.fields), ("envelope", dict(mapping.envelope))):
        for name, field in fields.items():
            if not field.many:
                yield Use(f"{place}.{name}", field.column, field.type, field.values)


def _iter_placeholders(text: str) -> Iterator[str]:
    """Yield what a person must still write in a suggested mapping, with its place."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # `load_mapping` reports it
    open_parts: list[tuple[str, Any]] = [("", content)]
    while open_parts:
        place, part = open_parts.pop(0)
        if isinstance(part, dict):
            open_parts += [(f"{place}.{key}".lstrip("."), inner) for key, inner in part.items()]
        elif isinstance(part, list):
            open_parts += [(place, inner) for inner in part]
        elif isinstance(part, str) and part.startswith(PLACEHOLDER):
            yield f"{place}: is still to be written: {part.removeprefix(PLACEHOLDER).strip()}"


def _fold(text: str) -> str:
    return fold_text(to_text(text))
