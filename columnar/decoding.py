"""Decoding events from JSON in bulk.

One compiled pass over the bytes of many records finds the value of every field, and reads numbers,
booleans and choices. The fields, their types and their bounds are taken from the pydantic models of
`pravah.events`, so they are defined once. Patterns, instants and unit codes are not checked here:
the caller checks them column by column.

A record in an unusual form is refused even if it is a valid event: an escaped character, an
explicit `null`, a number of 19 digits, a field twice. The caller gives such records to
`pravah.events.parse_event`, which decides and explains.
`tests/property/test_batch_validation.py` compares both ways.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import numpy as np
from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from columnar.arrays import Array
from columnar.kernels.json import (
    BOOL,
    CHOICE,
    INTEGER,
    LIST,
    OBJECT,
    SLOTS,
    TEXT,
    FieldTable,
    perfect_hash_slot,
    scan_events,
)
from columnar.kernels.json_writer import DataTemplate, write_data
from columnar.texts import Texts
from pravah.events import MODELS

KINDS = tuple(MODELS)

_MAX_INTEGER = 2**63 - 1
_TYPES = {int: INTEGER, bool: BOOL, str: TEXT, UUID: TEXT, datetime: TEXT}


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of one model or of several."""

    path: str
    type: int
    options: tuple[str, ...]
    default: Any

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def parent(self) -> str:
        """The path of the object that has it; empty at the top."""
        return self.path.rpartition(".")[0]

    @property
    def number(self) -> int:
        """The number of its default."""
        if self.default is None:
            return 0
        if self.type == CHOICE:
            return self.options.index(self.default)
        return int(self.default) if self.type in {INTEGER, BOOL} else 0

    @property
    def json_default(self) -> str:
        """The default of a field in `data` as JSON; empty if it stays out when it is missing."""
        if self.default is None or self.parent != "data":
            return ""
        return {True: "true", False: "false"}[self.default]


def _unwrap(annotation: Any, metadata: Sequence[Any] = ()) -> tuple[Any, list[Any]]:
    """An annotation without `Annotated` and `| None`, and its metadata."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _unwrap(inner, [*more, *metadata])
    if origin in {Union, UnionType}:
        (inner,) = (one for one in get_args(annotation) if one is not NoneType)
        return _unwrap(inner, metadata)
    return annotation, [
        item for one in metadata for item in (one.metadata if isinstance(one, FieldInfo) else [one])
    ]


def _type_of(annotation: Any) -> int:
    if get_origin(annotation) is Literal:
        return CHOICE
    if get_origin(annotation) is list:
        return LIST
    return _TYPES.get(annotation, OBJECT)


def _bounds(metadata: Sequence[Any]) -> tuple[int, int]:
    """Bounds of a number, of a text's characters, or of a list's items. Patterns are ignored."""
    lowest, highest = -_MAX_INTEGER, _MAX_INTEGER
    for one in metadata:
        if isinstance(one, Ge):
            lowest = int(one.ge)  # type: ignore[call-overload]
        elif isinstance(one, Le):
            highest = int(one.le)  # type: ignore[call-overload]
        elif isinstance(one, MaxLen):
            highest = one.max_length
        elif isinstance(one, StringConstraints):
            lowest = lowest if one.min_length is None else one.min_length
            highest = highest if one.max_length is None else one.max_length
    return lowest, highest


def _fields_of(
    model: type[BaseModel], prefix: str = ""
) -> Iterator[tuple[_Field, FieldInfo, tuple[int, int]]]:
    """All fields of a model with their bounds, each object before the fields in it."""
    for name, info in model.model_fields.items():
        path = f"{prefix}{name}"
        annotation, metadata = _unwrap(info.annotation, info.metadata)
        options = get_args(annotation) if get_origin(annotation) is Literal else ()
        field = _Field(
            path,
            _type_of(annotation),
            KINDS if path == "kind" else options,
            None if info.is_required() else info.default,
        )
        yield field, info, _bounds(metadata)
        if field.type == OBJECT:
            yield from _fields_of(annotation, f"{path}.")


class _Schema:
    """The models of all kinds as arrays for the kernels."""

    def __init__(self) -> None:
        fields: dict[str, _Field] = {}
        bounds: dict[tuple[int, str], tuple[int, int]] = {}
        required: list[set[str]] = []
        allowed: list[list[str]] = []
        for kind, model in enumerate(MODELS.values()):
            required.append(set())
            allowed.append([])
            for field, info, of_field in _fields_of(model):
                if fields.setdefault(field.path, field) != field:
                    msg = f"{field.path} has different meanings in different kinds of events"
                    raise TypeError(msg)
                bounds[kind, field.path] = of_field
                allowed[-1].append(field.path)
                if info.is_required():
                    required[-1].add(field.path)
        self.fields = list(fields.values())
        self.numbers = {path: number for number, path in enumerate(fields)}
        self.defaults = np.array([field.number for field in self.fields], np.int64)
        self.table = self._table(required, allowed, bounds)
        self.template = self._template(allowed)
        # Bytes by which `data` grows when all its defaults are filled in
        self.data_growth = sum(
            len(field.path) + len(field.json_default) for field in self.fields if field.json_default
        )

    def _bits(self, paths: Iterator[str] | set[str] | list[str]) -> int:
        return sum(1 << self.numbers[path] for path in paths)

    def _table(
        self,
        required: list[set[str]],
        allowed: list[list[str]],
        bounds: dict[tuple[int, str], tuple[int, int]],
    ) -> FieldTable:
        objects = ["", *(field.path for field in self.fields if field.type == OBJECT)]
        scopes = [objects.index(field.parent) for field in self.fields]
        opens = [objects.index(field.path) if field.type == OBJECT else 0 for field in self.fields]
        factor, slots = self._perfect_hash(scopes)
        names = Texts.of(field.name for field in self.fields)
        options = Texts.of(option for field in self.fields for option in field.options)
        counts = np.array([len(field.options) for field in self.fields], np.int64)
        lowest, highest = np.zeros((2, len(KINDS), len(self.fields)), np.int64)
        for (kind, path), (low, high) in bounds.items():
            lowest[kind, self.numbers[path]], highest[kind, self.numbers[path]] = low, high
        in_data = (path for path in self.numbers if path.partition(".")[0] == "data")
        return FieldTable(
            factor=factor,
            slots=slots,
            types=np.array([field.type for field in self.fields], np.int8),
            scopes=np.array(scopes, np.int8),
            opens=np.array(opens, np.int8),
            names=names.buffer,
            name_begins=names.begins,
            name_lengths=names.lengths,
            options=options.buffer,
            option_begins=options.begins,
            option_lengths=options.lengths,
            first_options=np.cumsum(counts) - counts,
            end_options=np.cumsum(counts),
            required=np.array([self._bits(paths) for paths in required], np.uint64),
            allowed=np.array([self._bits(paths) for paths in allowed], np.uint64),
            lowest=lowest,
            highest=highest,
            kind=self.numbers["kind"],
            op=self.numbers["op"],
            retract=self.fields[self.numbers["op"]].options.index("retract"),
            data=self.numbers["data"],
            data_bits=np.uint64(self._bits(in_data)),
        )

    def _perfect_hash(self, scopes: list[int]) -> tuple[int, Array]:
        """Find a factor with which each field has a slot of its own, and fill the slots."""
        names = [field.name.encode() for field in self.fields]
        for factor in range(1, 1 << 20, 2):
            slots = np.full(SLOTS, -1, np.int8)
            for number, (name, scope) in enumerate(zip(names, scopes, strict=True)):
                slot = perfect_hash_slot(
                    scope, len(name), name[0], name[len(name) // 2], name[-1], factor
                )
                if slots[slot] >= 0:
                    break
                slots[slot] = number
            else:
                return factor, slots
        msg = "no perfect hash of the fields was found"
        raise TypeError(msg)

    def _template(self, allowed: list[list[str]]) -> DataTemplate:
        of_kinds = [
            [self.numbers[path] for path in paths if path.startswith("data.")] for paths in allowed
        ]
        width = max(map(len, of_kinds))
        names = Texts.of(field.name for field in self.fields)
        defaults = Texts.of(field.json_default for field in self.fields)
        types = np.array([field.type for field in self.fields])
        return DataTemplate(
            data=self.numbers["data"],
            fields=np.array(
                [numbers + [-1] * (width - len(numbers)) for numbers in of_kinds], np.int64
            ),
            is_list=types == LIST,
            is_quoted=(types == TEXT) | (types == CHOICE),
            names=names.buffer,
            name_begins=names.begins,
            name_lengths=names.lengths,
            defaults=defaults.buffer,
            default_begins=defaults.begins,
            default_lengths=defaults.lengths,
        )


_SCHEMA = _Schema()


@dataclass(frozen=True, slots=True)
class DecodedEvents:
    """Columns of events that have the form of their models.

    Patterns, instants and unit codes are not checked yet. Methods take a field's path, such as
    `source.tool`.
    """

    buffer: Array
    """uint8: the bytes of the records."""
    found: Array
    """uint64, shape (events,): which fields each event has, as bits."""
    numbers: Array
    """int64, shape (fields, events): an integer; 1 for true; the position of a choice among the
    options; the characters of a text; the items of a list. The default where a field is missing."""
    begins: Array
    """int64, shape (fields, events): where a value is in the buffer, without quotation marks or
    brackets."""
    lengths: Array
    """int64, shape (fields, events): how many bytes it has; 0 where a field is missing."""

    def __len__(self) -> int:
        return len(self.found)

    def number(self, path: str) -> Array:
        """The numbers of a field, int64, shape (events,); see `numbers`."""
        numbers: Array = self.numbers[_SCHEMA.numbers[path]]
        return numbers

    def has(self, path: str) -> Array:
        """Which events have a field, bool, shape (events,)."""
        has: Array = self.found & np.uint64(1 << _SCHEMA.numbers[path]) != 0
        return has

    def text(self, path: str) -> Texts:
        """The texts of a field; empty where it is missing."""
        number = _SCHEMA.numbers[path]
        return Texts(self.buffer, self.begins[number], self.lengths[number])

    def has_value(self, path: str) -> Array:
        """Which events have a field or its default, bool, shape (events,)."""
        if _SCHEMA.fields[_SCHEMA.numbers[path]].default is None:
            return self.has(path)
        return np.ones(len(self), bool)

    def dictionary_encode(self, path: str, rows: Array) -> tuple[Array, Sequence[Any]]:
        """Encode the values of a field as positions in a list of distinct values.

        Args:
            path: the field.
            rows: the events.

        Returns:
            Shape (rows,): the position of each event's value, and the values. None is one of them:
            the value of an event that has neither the field nor a default.
        """
        field = _SCHEMA.fields[_SCHEMA.numbers[path]]
        has = self.has_value(path)[rows]
        if field.options or field.type == BOOL:
            options = field.options or (False, True)
            return np.where(has, self.number(path)[rows], len(options)), (*options, None)
        values = (
            self.text(path)[rows].values()
            if field.type == TEXT
            else self.number(path)[rows].tolist()
        )
        positions: dict[Any, int] = {None: 0}
        codes = [
            positions.setdefault(value if given else None, len(positions))
            for value, given in zip(values, has.tolist(), strict=True)
        ]
        return np.array(codes, np.int64), list(positions)

    def data(self, rows: Array) -> Texts:
        """The data of some events as JSON, as its model writes it; empty where there is none.

        Fields are in the model's order, defaults are filled in, missing fields are left out.
        """
        data = _SCHEMA.numbers["data"]
        size = int(self.lengths[data][rows].sum()) + len(rows) * _SCHEMA.data_growth
        return Texts(
            *write_data(
                rows,
                size,
                _SCHEMA.template,
                self.buffer,
                self.number("kind"),
                self.found,
                self.begins,
                self.lengths,
            )
        )


def decode(buffer: Array, starts: Array, sizes: Array) -> tuple[DecodedEvents, Array]:
    """Decode many records.

    Args:
        buffer: uint8, the records, with a 0 behind the last one.
        starts: int64, shape (records,): where each record begins.
        sizes: int64, shape (records,): how many bytes it has.

    Returns:
        A row for each record, and which records are events in the usual form. The values in the
        rows of other records are undefined.
    """
    numbers = np.repeat(_SCHEMA.defaults[:, None], len(starts), axis=1)
    begins, lengths = np.zeros((2, len(_SCHEMA.fields), len(starts)), np.int64)
    found, is_event = scan_events(buffer, starts, sizes, _SCHEMA.table, numbers, begins, lengths)
    return DecodedEvents(buffer, found, numbers, begins, lengths), is_event
