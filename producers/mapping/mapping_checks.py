"""Reasons why a mapping file of a form or a table can never give a valid event. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from pravah.events import MODELS, Kind, TallyData
from producers.mapping.conversions import Conversion
from producers.mapping.gazetteer import LookupKey
from producers.mapping.text import fold_text
from producers.mapping.unit_spelling import read_code
from reference.defaults import default_dictionary
from schemas.metrics import UnknownMetricError


def iter_data_errors(
    kind: Kind, constants: Mapping[str, object], fields: Mapping[str, Conversion]
) -> Iterator[str]:
    """Yield the reasons why a mapping can never give valid `data` of an event's kind.

    Args:
        kind: the kind of the event.
        constants: field of `data` → its fixed value.
        fields: field of `data` → the conversion of its cell.
    """
    model: type[BaseModel] = MODELS[kind].model_fields["data"].annotation  # type: ignore[assignment]
    possible: dict[str, list[object]] = {name: [value] for name, value in constants.items()}
    possible |= {name: list(_iter_values(field)) for name, field in fields.items()}
    yield from (
        f"{name}: stands under both constants and fields"
        for name in constants.keys() & fields.keys()
    )
    for name, values in possible.items():
        if name not in model.model_fields:
            yield f"{name}: {kind} has no such field; it has {', '.join(model.model_fields)}"
            continue
        for value in values:
            yield from (
                f"{name}: {kind} can never have {value!r}: {message}"
                for message in iter_value_errors(model, name, value)
            )
    if kind == "tally":
        yield from _iter_metric_errors(possible.get("metric", []))
    yield from (
        f"{name}: {kind} needs it; add [fields.{name}] or a constant"
        for name, field in model.model_fields.items()
        if field.is_required() and name not in possible
    )


def iter_value_errors(model: type[BaseModel], name: str, value: object) -> Iterator[str]:
    """Yield the reasons why the field `name` of a model refuses a value."""
    try:
        model.model_validate({name: value})
    except ValidationError as error:  # errors of the other fields, which are missing, do not count
        yield from (item["msg"] for item in error.errors() if item["loc"][0] == name)


_SAMPLES: dict[str, object] = {
    "integer": 1,
    "boolean": True,
    "hash": "0" * 64,
    "phone": "0" * 64,
    "text": "…",
}
# Beginnings of the errors that every text gets in a field, not only the sample.
_ERRORS_OF_ANY_TEXT = ("Input should be a valid ", "String should match pattern '^[0-9a-f")


def iter_type_errors(
    model: type[BaseModel], name: str, field: Conversion, *, many: bool, is_unit: bool = False
) -> Iterator[str]:
    """Yield the reasons why no value of a conversion's type fits the field `name` of a model.

    Args:
        model: the model of an event or of its `data`.
        name: the field.
        field: the conversion of its cell.
        many: the value is a list of converted values.
        is_unit: the value is a unit's code.
    """
    if field.values is not None:
        return
    sample = "IN" if is_unit else _SAMPLES[field.type]
    for message in iter_value_errors(model, name, [sample] if many else sample):
        if sample != _SAMPLES["text"] or message.startswith(_ERRORS_OF_ANY_TEXT):
            reason = (
                "it must be the keyed hash of a person, type = 'hash' or 'phone'"
                if "0-9a-f" in message
                else message
            )
            yield f"{name}: type = {field.type!r}{', many' * many} can never be right: {reason}"


def iter_envelope_errors(kind: Kind, fields: Mapping[Any, Conversion]) -> Iterator[str]:
    """Yield the reasons why a table of values never fits a field beside `data`."""
    for name, field in fields.items():
        for value in _iter_values(field):
            yield from (
                f"{name}: it can never be {value!r}: {message}"
                for message in iter_value_errors(MODELS[kind], name, value)
            )


def iter_unit_value_errors(by: LookupKey, values: Mapping[str, str] | None) -> Iterator[str]:
    """Yield the reasons why a table gives a text that is no unit's code, looked up by code."""
    if by == "code":
        yield from (
            f"values: {code!r} is no unit code, such as CG-AC084-B0017"
            for code in (values or {}).values()
            if read_code(code) is None
        )


class Use(NamedTuple):
    """One use of a column or path."""

    place: str
    """In the mapping, such as `fields.count`."""
    source: str
    """The column or path."""
    type: str
    """`time`, `code` for units, or a conversion's type."""
    values: Mapping[str, object] | None = None
    """The table of values, if there is one."""


def iter_contradictions(uses: Sequence[Use]) -> Iterator[str]:
    """Yield the columns or paths that are used in two ways which no text fits both."""
    for one, other in combinations(uses, 2):
        if fold_text(one.source) == fold_text(other.source) and _is_contradiction(one, other):
            yield (
                f"{one.place} and {other.place}: no text of {one.source} can be both; "
                "one of them must be another"
            )


# Types of which a text has only one. A number may be a day in a format such as %Y%m%d.
_EXCLUSIVE = ("code", "phone", "integer", "boolean", "time")
_COMPATIBLE = ({"integer", "time"}, {"integer", "boolean"})


def _is_contradiction(one: Use, other: Use) -> bool:
    if one.values is not None and other.values is not None:
        return not set(map(fold_text, one.values)) & set(map(fold_text, other.values))
    types = {one.type, other.type}
    return (
        one.values is None
        and other.values is None
        and one.type in _EXCLUSIVE
        and other.type in _EXCLUSIVE
        and len(types) > 1
        and types not in _COMPATIBLE
    )


def _iter_values(field: Conversion) -> Iterator[object]:
    """Yield what a table of values can give: a list of one if the field is one."""
    for value in (field.values or {}).values():
        yield [value] if getattr(field, "many", False) else value


def _iter_metric_errors(metrics: Sequence[object]) -> Iterator[str]:
    """Yield the metrics that the dictionary does not have."""
    for metric in metrics:
        try:
            data = TallyData.model_validate({"metric": metric, "value": 0})
            default_dictionary().amounts("tally", data)
        except ValidationError:
            continue  # the model's own errors
        except UnknownMetricError as error:
            yield f"metric: {str(error).removeprefix('data.metric: ')}"
