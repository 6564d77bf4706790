"""Events from JSON in bulk: one compiled loop over the bytes of many records finds where every field's value stands, and reads numbers and choices.

Which fields there are, of which type, within which bounds, is taken from the pydantic models of `pravah.events`, so there is one definition. What the loop does not look at (a pattern, an instant, a code) whoever decodes checks column by column, or
gives the event to `parse_event`, which decides and explains; so does every record that is refused here, be it only for a form that is seldom used: an escaped character, an explicit `null`, a number of 19 digits, a field twice.
`tests/property/test_batch_validation.py` holds both ways against each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin
from uuid import UUID

import numpy as np
from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from columnar.arrays import Array
from columnar.kernels import json as json_kernels
from columnar.texts import Texts
from pravah.events import MODELS

KINDS = tuple(MODELS)

_MOST = 2**63 - 1
_ROOT = 0


@dataclass(slots=True)
class _Field:
    """One field of one model or of several."""

    path: str
    scope: int
    """0 at the root; otherwise the place of the object it is in, and 1."""
    type: int
    options: tuple[str, ...]
    default: Any


def _leaf(annotation: Any, metadata: Sequence[Any] = ()) -> tuple[Any, list[Any]]:
    """An annotation without `Annotated` and `| None`, and what they said about it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _leaf(inner, [*more, *metadata])
    if origin in {Union, UnionType}:
        (inner,) = (one for one in get_args(annotation) if one is not NoneType)
        return _leaf(inner, metadata)
    return annotation, [
        said for one in metadata for said in (one.metadata if isinstance(one, FieldInfo) else [one])
    ]


def _type_of(kind: Any) -> int:
    if get_origin(kind) is Literal:
        return json_kernels.CHOICE
    if get_origin(kind) is list:
        return json_kernels.LIST
    types = {
        int: json_kernels.WHOLE,
        bool: json_kernels.BOOL,
        str: json_kernels.TEXT,
        UUID: json_kernels.TEXT,
        datetime: json_kernels.TEXT,
    }
    return types.get(kind, json_kernels.OBJECT)


def _bounds(metadata: Sequence[Any]) -> tuple[int, int]:
    """Of a number, of the characters of a text, or of the items of a list; a pattern is checked by whoever decodes."""
    lowest, highest = -_MOST, _MOST
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


def _fields(
    model: type[BaseModel], path: str = "", scope: int = _ROOT
) -> Iterator[tuple[str, int, Any, FieldInfo, list[Any]]]:
    """All fields of a model, an object before those in it: path, scope, type, and what is said about it."""
    for name, field in model.model_fields.items():
        kind, metadata = _leaf(field.annotation, field.metadata)
        yield f"{path}{name}", scope, kind, field, metadata
        if _type_of(kind) == json_kernels.OBJECT:
            yield from _fields(kind, f"{path}{name}.", _Schema.scope(f"{path}{name}"))


class _Schema:
    """All models as arrays, for the compiled loops."""

    scopes: ClassVar = [""]
    """The root, and the paths of the objects in it."""

    @classmethod
    def scope(cls, path: str) -> int:
        if path not in cls.scopes:
            cls.scopes.append(path)
        return cls.scopes.index(path)

    def __init__(self) -> None:
        fields: dict[str, _Field] = {}
        bounds: dict[tuple[int, str], tuple[int, int]] = {}
        required: list[set[str]] = []
        allowed: list[list[str]] = []
        for number, model in enumerate(MODELS.values()):
            required.append(set())
            allowed.append([])
            for path, scope, kind, field, metadata in _fields(model):
                options = (
                    tuple(KINDS)
                    if path == "kind"
                    else get_args(kind)
                    if get_origin(kind) is Literal
                    else ()
                )
                default = None if field.is_required() else field.default
                one = fields.setdefault(path, _Field(path, scope, _type_of(kind), options, default))
                if (one.type, one.options, one.default) != (_type_of(kind), options, default):
                    msg = f"{path} means different things in different kinds of events"
                    raise TypeError(msg)
                bounds[number, path] = _bounds(metadata)
                allowed[-1].append(path)
                if field.is_required():
                    required[-1].add(path)
        self.places = {path: place for place, path in enumerate(fields)}
        self.fields = list(fields.values())
        self.required = np.array(
            [sum(1 << self.places[path] for path in paths) for paths in required], np.uint64
        )
        self.allowed = np.array(
            [sum(1 << self.places[path] for path in paths) for paths in allowed], np.uint64
        )
        self.lowest, self.highest = np.full((2, len(KINDS), len(fields)), 0, np.int64)
        for (number, path), (lowest, highest) in bounds.items():
            self.lowest[number, self.places[path]], self.highest[number, self.places[path]] = (
                lowest,
                highest,
            )
        self.types = np.array([one.type for one in self.fields], np.int8)
        self.scope_of = np.array([one.scope for one in self.fields], np.int8)
        self.opens = np.array(
            [
                self.scopes.index(one.path) if one.type == json_kernels.OBJECT else 0
                for one in self.fields
            ],
            np.int8,
        )
        self.defaults = np.array([self._default(one) for one in self.fields], np.int64)
        self.names = Texts.of([one.path.rpartition(".")[2] for one in self.fields])
        self.options = Texts.of([option for one in self.fields for option in one.options])
        counts = np.array([len(one.options) for one in self.fields], np.int64)
        self.option_ends = np.cumsum(counts)
        self.option_begins = self.option_ends - counts
        self.factor, self.finder = self._finder()
        data = [
            [self.places[path] for path in paths if path.startswith("data.")] for paths in allowed
        ]
        self.data = np.array(
            [places + [-1] * (max(map(len, data)) - len(places)) for places in data], np.int64
        )
        self.data_defaults = Texts.of(
            [
                ""
                if one.default is None
                else {True: "true", False: "false"}[one.default]
                if one.path.startswith("data.")
                else ""
                for one in self.fields
            ]
        )
        self.data_room = sum(
            len(one.path) + int(length)
            for one, length in zip(self.fields, self.data_defaults.lengths, strict=True)
            if length
        )
        """So many bytes more than it had may an event's data take as its model gives it."""
        self.data_bits = np.uint64(
            sum(
                1 << place
                for path, place in self.places.items()
                if path.partition(".")[0] == "data"
            )
        )

    @staticmethod
    def _default(field: _Field) -> int:
        if field.type == json_kernels.CHOICE:
            return field.options.index(field.default) if field.default is not None else 0
        return (
            int(field.default)
            if field.type in {json_kernels.WHOLE, json_kernels.BOOL} and field.default is not None
            else 0
        )

    def _finder(self) -> tuple[int, Array]:
        """A table in which each field has a place of its own, by its scope and its name."""
        names = [one.path.rpartition(".")[2].encode() for one in self.fields]
        for factor in range(1, 1 << 20, 2):
            table = np.full(json_kernels.FINDER_SIZE, -1, np.int8)
            for place, (name, one) in enumerate(zip(names, self.fields, strict=True)):
                at = json_kernels.perfect_hash_slot(
                    one.scope, len(name), name[0], name[len(name) // 2], name[-1], factor
                )
                if table[at] >= 0:
                    break
                table[at] = place
            else:
                return factor, table
        msg = "no table of fields was found"
        raise TypeError(msg)


_SCHEMA = _Schema()


@dataclass(frozen=True, slots=True)
class DecodedEvents:
    """Events side by side, formed like their models; patterns, instants and codes are not looked at yet.

    A field is named by its path, such as `source.tool`.
    """

    buffer: Array
    found: Array
    """Which fields each event has, as bits."""
    numbers: Array
    """Shape (fields, events): a number; 1 for true; the place among the choices; of a text how many characters it has, of a list how many items. Where a field is missing, its default."""
    begins: Array
    lengths: Array
    """The same shape: where the value stands in the buffer; a text without its quotation marks, a list without its brackets. A missing one has no length."""

    def __len__(self) -> int:
        """How many events."""
        return len(self.found)

    def number(self, path: str) -> Array:
        """A field's numbers."""
        numbers: Array = self.numbers[_SCHEMA.places[path]]
        return numbers

    def has(self, path: str) -> Array:
        """Which events have a field."""
        has: Array = self.found & np.uint64(1 << _SCHEMA.places[path]) != 0
        return has

    def text(self, path: str) -> Texts:
        """A field's text; empty where it is missing."""
        place = _SCHEMA.places[path]
        return Texts(self.buffer, self.begins[place], self.lengths[place])

    def has_value(self, path: str) -> Array:
        """Which events have a field, be it by its default."""
        return (
            self.has(path)
            if _SCHEMA.fields[_SCHEMA.places[path]].default is None
            else np.ones(len(self), bool)
        )

    def dictionary_encode(self, path: str, rows: Array) -> tuple[Array, Sequence[Any]]:
        """A field's values in some events: each one's place in a list of them, and the list; None where it has none."""
        field = _SCHEMA.fields[_SCHEMA.places[path]]
        has = self.has_value(path)[rows]
        if field.options or field.type == json_kernels.BOOL:
            known = field.options or (False, True)
            return np.where(has, self.number(path)[rows], len(known)), (*known, None)
        values = (
            self.text(path)[rows].values()
            if field.type == json_kernels.TEXT
            else self.number(path)[rows].tolist()
        )
        places: dict[Any, int] = {None: 0}
        codes = [
            places.setdefault(value if given else None, len(places))
            for value, given in zip(values, has.tolist(), strict=True)
        ]
        return np.array(codes, np.int64), list(places)

    def data(self, rows: Array) -> Texts:
        """The data of some events as JSON, as its model gives it: fields in order, without those that are missing; empty where there is none."""
        schema, place = _SCHEMA, _SCHEMA.places["data"]
        size = int(self.lengths[place][rows].sum()) + len(rows) * schema.data_room
        buffer, begins, lengths = json_kernels.write_data(
            *(
                rows,
                self.buffer,
                self.number("kind"),
                self.found,
                self.begins,
                self.lengths,
                np.uint64(1 << place),
            ),
            *(
                schema.data,
                schema.types,
                schema.names.buffer,
                schema.names.begins,
                schema.names.lengths,
            ),
            *(
                schema.data_defaults.buffer,
                schema.data_defaults.begins,
                schema.data_defaults.lengths,
                size,
            ),
        )
        return Texts(buffer, begins, lengths)


def decode(buffer: Array, starts: Array, sizes: Array) -> tuple[DecodedEvents, Array]:
    """Read many records.

    Args:
        buffer: bytes with a 0 behind the last record.
        starts: where each record begins.
        sizes: how many bytes each has.

    Returns:
        All of them, and which are events; of the others nothing is to be believed.
    """
    schema, rows, fields = _SCHEMA, len(starts), len(_SCHEMA.fields)
    numbers = np.repeat(schema.defaults[:, None], rows, axis=1)
    begins, lengths = np.zeros((2, fields, rows), np.int64)
    found, is_event = json_kernels.scan_events(
        *(
            buffer,
            starts,
            sizes,
            numbers,
            begins,
            lengths,
            schema.factor,
            schema.finder,
            schema.types,
            schema.scope_of,
            schema.opens,
        ),
        *(schema.names.buffer, schema.names.begins, schema.names.lengths),
        *(
            schema.options.buffer,
            schema.options.begins,
            schema.options.lengths,
            schema.option_begins,
            schema.option_ends,
        ),
        *(schema.required, schema.allowed, schema.lowest, schema.highest),
        *(
            schema.places["kind"],
            schema.places["op"],
            schema.fields[schema.places["op"]].options.index("retract"),
            schema.places["data"],
            schema.data_bits,
        ),
    )
    return DecodedEvents(buffer, found, numbers, begins, lengths), is_event
