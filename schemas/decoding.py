"""Events from JSON in bulk: the pydantic models of `schemas.events` as msgspec structs, which are read some ten times as fast.

The structs are made from the models, so there is one definition. What a struct cannot say (a pattern, an instant) whoever decodes checks column by column, or gives the event to `parse_event`, which decides and explains; so does every
record that a struct refuses, among them an explicit `null`. `tests/test_bulk_admission.py` holds both ways against each other.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import msgspec
from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from schemas.events import HASH_PATTERN, MODELS
from schemas.text_columns import HASH_LENGTH, INSTANT_LENGTHS, UUID_LENGTH

KINDS = tuple(MODELS)


def _constraints(metadata: Sequence[Any]) -> dict[str, Any]:
    """What msgspec checks itself."""
    found: dict[str, Any] = {}
    for one in metadata:
        if isinstance(one, Ge):
            found["ge"] = one.ge
        elif isinstance(one, Le):
            found["le"] = one.le
        elif isinstance(one, MaxLen):
            found["max_length"] = one.max_length
        elif isinstance(one, StringConstraints) and one.pattern == HASH_PATTERN:
            found.update(min_length=HASH_LENGTH, max_length=HASH_LENGTH)
        elif isinstance(one, StringConstraints):
            found.update({name: limit for name in ("min_length", "max_length") if (limit := getattr(one, name)) is not None})
        elif isinstance(one, FieldInfo):
            found.update(_constraints(one.metadata))
    return found


def _type(annotation: Any, metadata: Sequence[Any] = ()) -> Any:  # noqa: ANN401, PLR0911 - types
    """An annotation of a model as msgspec reads it: text that is to be checked later stays text."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _type(inner, [*more, *metadata])
    if origin in {Union, UnionType}:
        (inner,) = (one for one in get_args(annotation) if one is not NoneType)
        return Union[_type(inner, metadata), msgspec.UnsetType]  # noqa: UP007 - made at run time
    if origin is list:
        return _annotated(list[_type(get_args(annotation)[0])], _constraints(metadata))  # type: ignore[misc]
    if annotation is UUID:
        return _annotated(str, {"min_length": UUID_LENGTH, "max_length": UUID_LENGTH})
    if annotation is datetime:
        return _annotated(str, dict(zip(("min_length", "max_length"), INSTANT_LENGTHS, strict=True)))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _struct(annotation)
    return annotation if origin is Literal else _annotated(annotation, _constraints(metadata))


def _annotated(kind: Any, constraints: dict[str, Any]) -> Any:  # noqa: ANN401
    return Annotated[kind, msgspec.Meta(**constraints)] if constraints else kind


@cache
def _struct(model: type[BaseModel]) -> type[msgspec.Struct]:
    fields, options = [], {}
    for name, field in model.model_fields.items():
        if name == "kind":
            options = {"tag_field": "kind", "tag": get_args(field.annotation)[0]}
            continue
        kind = _type(field.annotation, field.metadata)
        default = msgspec.UNSET if field.default is None else field.default
        fields.append((name, kind) if field.is_required() else (name, kind, default))
    return msgspec.defstruct(model.__name__, fields, kw_only=True, forbid_unknown_fields=True, frozen=True, gc=False, **options)


STRUCTS: dict[type[msgspec.Struct], int] = {_struct(model): number for number, model in enumerate(MODELS.values())}
"""The struct of each kind → its place in `KINDS`."""

decode: Callable[[bytes], Any] = msgspec.json.Decoder(Union[tuple(STRUCTS)]).decode  # noqa: UP007 - made at run time
"""One event as a struct of `STRUCTS`: formed like the model, its patterns, instants and codes not looked at yet.

Raises:
    Exception: it is no such event, or one in a form that is seldom used.
"""

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
"""A struct as JSON, as its model gives it: fields in order, without those that are missing."""
