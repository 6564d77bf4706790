"""Decoding and encoding registry entries in bulk.

msgspec structs stand in for the models `Entry` and `EntryParent`: they are many times as fast and
take little memory. They are made from the models, so the fields are defined once. An entry that a
struct refuses is given to the model, which decides and explains.
`tests/property/test_registry.py` compares both ways.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from functools import cache
from typing import Any, cast

import msgspec
from msgspec.structs import force_setattr
from pydantic import BaseModel, TypeAdapter

from pravah.days import FIRST_DAY, LAST_DAY, date_of
from pravah.units import RANK
from schemas.registry import Edge, Entry, EntryParent, Registry


def _struct(model: type[BaseModel], **types: Any) -> Any:
    fields = [
        (name, types.get(name, field.annotation), *([] if field.is_required() else [field.default]))
        for name, field in model.model_fields.items()
    ]
    return msgspec.defstruct(
        model.__name__, fields, kw_only=True, frozen=True, forbid_unknown_fields=True, gc=False
    )


_Parent = _struct(EntryParent)
_Entry = _struct(Entry, parents=tuple[_Parent, ...])  # type: ignore[valid-type]
_decode_one, _decode_all, _encode = (
    msgspec.json.Decoder(_Entry).decode,
    msgspec.json.Decoder(list[_Entry]).decode,  # type: ignore[valid-type]
    msgspec.json.Encoder().encode,
)
_MODELS = TypeAdapter(list[Entry])


class EntryReader:
    """Decodes entries one by one.

    Equal lists of parents become one object: some thousand lists cover a million booths.
    """

    def __init__(self) -> None:
        self._shared: dict[tuple[EntryParent, ...], tuple[EntryParent, ...]] = {}

    def read(self, value: bytes) -> Entry:
        """Decode an entry as the topic `units` carries it.

        Returns:
            A struct with the fields of `Entry`, or the model itself if the JSON has a rare form.

        Raises:
            pydantic.ValidationError: it is not an entry.
        """
        try:
            entry = _decode_one(value)
        except (msgspec.MsgspecError, ValueError):
            return Entry.model_validate_json(value)
        force_setattr(entry, "parents", self._shared.setdefault(entry.parents, entry.parents))
        return cast("Entry", entry)


def decode_entries(value: bytes) -> list[Entry]:
    """Decode a JSON list of entries, each as `EntryReader.read` returns it.

    Raises:
        pydantic.ValidationError: it is not a list of entries.
    """
    try:
        return cast("list[Entry]", _decode_all(value))
    except (msgspec.MsgspecError, ValueError):
        return _MODELS.validate_json(value)


def encode_entries(registry: Registry) -> bytes:
    """Encode all units as a JSON list of entries."""
    return _encode(list(_entries(registry)))


def encode_records(registry: Registry) -> Iterator[tuple[str, bytes]]:
    """Encode key and value of each record of the topic `units`, parents before children."""
    for entry in _entries(registry):
        yield entry.unit, _encode(entry)


def _entries(registry: Registry) -> Iterator[Any]:
    shared: dict[tuple[Edge, ...], tuple[Any, ...]] = {}
    for unit in sorted(registry.units.values(), key=lambda unit: (RANK[unit.level], unit.code)):
        parents = shared.get(unit.parents)
        if parents is None:
            parents = shared[unit.parents] = tuple(_parents(unit.parents))
        yield _Entry(
            unit=unit.code,
            level=unit.level,
            name_en=unit.name_en,
            name_hi=unit.name_hi,
            valid_from=_open_date(unit.first),
            valid_to=_open_date(unit.last),
            latitude=unit.latitude,
            longitude=unit.longitude,
            parents=parents,
        )


def _parents(edges: Iterable[Edge]) -> Iterator[Any]:
    return (
        _Parent(unit=edge.parent, valid_from=_open_date(edge.first), valid_to=_open_date(edge.last))
        for edge in edges
    )


@cache
def _open_date(day: int) -> date | None:
    return None if day in {FIRST_DAY, LAST_DAY} else date_of(day)
