"""A form's mapping file: the events of a submission. `docs/mappings.md` explains every part.

One file serves hook and pull, since both give equal submissions. A mapping that can never give a
valid event is refused when it is read. `form_mapper` applies a mapping to submissions. Pure.
"""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from pravah.events import MODELS, Kind, UnitCode
from pravah.units import Level
from producers.mapping.conversions import (
    Conversion,
    MappingError,
    NamePart,
    StrictModel,
    TimeFormat,
    check_name,
    load_mapping,
    normalise_names,
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

__all__ = ["EventMapping", "FormMapping", "MappingError"]


def _check_path(text: str) -> str:
    if not re.fullmatch(r"/?(\.\./)*[^/]+(/[^/]+)*", text):
        msg = (
            f"{text!r} is no path; expected for example visit/count, "
            "/visit/count from the submission, or ../count from the item around"
        )
        raise ValueError(msg)
    return text


def _to_list(value: object) -> object:
    return [value] if isinstance(value, str | dict) else value


# Names of groups and a field, joined by slashes. Within an item of `repeat` a path begins at the
# item; with a leading `/` at the submission; with `../` at the object around the item.
Path = Annotated[str, AfterValidator(_check_path)]
# One path or several; the first that is filled in counts.
Paths = Annotated[list[Path], BeforeValidator(_to_list), Field(min_length=1)]


class Condition(StrictModel):
    """A condition on a field. It never holds for an empty field."""

    field: Paths
    is_: Annotated[list[str] | None, Field(alias="is")] = None
    """The field is one of these."""
    is_not: list[str] | None = None
    """The field is none of these."""
    contains: str | None = None
    """The field is a select-multiple with this choice."""


class UnitLookup(StrictModel):
    """How a text names a unit."""

    by: LookupKey = "code"
    values: dict[str, str] | None = None
    """Text → the text that is looked up instead; any other text is refused."""
    level: Level | None = None
    """With `by = "name"`, the unit's level."""
    assembly: Paths | None = None
    district: Paths | None = None
    division: Paths | None = None
    """With `by = "name"`, the fields that name the units above, by code, alias, name or number."""
    within: UnitCode | None = None
    """Code of a unit that is above all of them, such as the state."""

    @field_validator("values")
    @classmethod
    def _check_values(cls, values: dict[str, str] | None) -> dict[str, str] | None:
        return normalise_names(values)

    @property
    def above(self) -> list[tuple[Level, list[str]]]:
        """Level and paths of the units above, from the top."""
        fields: list[tuple[Level, list[str] | None]] = [
            ("division", self.division),
            ("district", self.district),
            ("assembly", self.assembly),
        ]
        return [(level, paths) for level, paths in fields if paths is not None]


class UnitMapping(UnitLookup):
    """The field that names the reporting unit."""

    field: Paths


class TimeMapping(TimeFormat):
    """The field with a day or an instant."""

    field: Paths


# One or several; the first whose field is filled in counts, so that the time of submission can
# stand in for a day that was left out.
TimeMappings = Annotated[list[TimeMapping], BeforeValidator(_to_list)]


class EntityMapping(EntityParts):
    """The entity of an event about which many submissions may report."""

    prefix: NamePart
    """Unlike that of any other mapping, such as `whatsapp`."""
    fields: Annotated[list[Path], Field(min_length=1)]
    """They must identify the entity permanently."""

    @model_validator(mode="after")
    def _check_parts(self) -> "EntityMapping":
        self.check_names(self.fields)
        return self


class FieldMapping(Conversion):
    """The source of a field and its conversion."""

    field: Paths
    unit: UnitLookup | None = None
    """The field names units, which become codes."""
    many: bool = False
    """The value is a list: of a select-multiple, a text with several parts, or a field of all items
    of a repeat."""
    separator: Annotated[str, Field(min_length=1)] = " "
    """Separates the parts of a text, besides line breaks."""


class EventMapping(StrictModel):
    """One event of a submission, or one for each item of a repeat."""

    part: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,40}$")] = ""
    """The event's name within the submission; only one event may have none."""
    kind: Kind
    repeat: Annotated[list[Path], BeforeValidator(_to_list)] = Field(default_factory=list)
    """Path of a repeat: one event for each item. Of several paths, each begins at the items of the
    one before."""
    when: Annotated[list[Condition], BeforeValidator(_to_list)] = Field(default_factory=list)
    """All must hold."""
    unit: UnitMapping | None = None
    occurred_at: TimeMappings = Field(default_factory=list)
    reported_at: TimeMappings = Field(default_factory=list)
    entity: EntityMapping | None = None
    constants: dict[str, str | int | bool] = Field(default_factory=dict)
    fields: dict[str, FieldMapping] = Field(default_factory=dict)
    envelope: dict[Literal["reporter", "evidence", "verification"], FieldMapping] = Field(
        default_factory=dict
    )


class FormMapping(StrictModel):
    """A form's mapping file."""

    server: Annotated[str, AfterValidator(check_name)] | None = None
    """Part of the entities' names; by default the source's name. A change of it gives all
    submissions other entities."""
    form: Annotated[str, AfterValidator(check_name)] | None = None
    """The same; by default the tool's name of the form."""
    unit: UnitMapping | None = None
    """For events without a `unit` of their own. Its paths begin at the submission, also for events
    of a repeat."""
    occurred_at: TimeMappings = Field(default_factory=list)
    """For events without an `occurred_at` of their own; the same holds for its paths."""
    event: Annotated[list[EventMapping], Field(min_length=1)]

    @classmethod
    def from_toml(cls, text: str) -> "FormMapping":
        """Parse a mapping file.

        Raises:
            MappingError: the file is invalid, or can never give a valid event; with all findings.
        """
        mapping = load_mapping(cls, text)
        if findings := list(_iter_mapping_errors(mapping)):
            raise MappingError(findings)
        return mapping


# --- checks that need no submission --------------------------------------------------------------


def _iter_mapping_errors(mapping: FormMapping) -> Iterator[str]:
    yield from _iter_lookup_errors("unit", mapping.unit)
    yield from _iter_entity_errors(mapping)
    parts = [event.part for event in mapping.event]
    for number, event in enumerate(mapping.event, start=1):
        where = f"event {event.part or number}"
        if parts.count(event.part) > 1:
            yield (
                f"{where}: {parts.count(event.part)} events have the part {event.part!r}; "
                "each needs its own, for good"
            )
        for name, found in (
            ("unit", event.unit or mapping.unit),
            ("occurred_at", event.occurred_at or mapping.occurred_at),
        ):
            if not found:
                yield f"{where}: {name}: is missing; add [{name}] for all events or [event.{name}]"
        yield from (f"{where}: {finding}" for finding in _iter_event_errors(event))
        yield from (
            f"{where}: {finding}"
            for finding in iter_contradictions(list(_iter_uses(mapping, event)))
        )


def _iter_entity_errors(mapping: FormMapping) -> Iterator[str]:
    """Yield the pairs of events that always have the same entity at the same time."""
    for one, other in combinations(mapping.event, 2):
        if (
            one.entity is not None
            and one.entity == other.entity
            and one.repeat == other.repeat
            and one.occurred_at == other.occurred_at
            and not (one.when or other.when)
        ):
            yield (
                f"events {one.part!r} and {other.part!r}: both always have the entity "
                f"{one.entity.prefix} at the same time, so only one would count; give them "
                "different prefixes, or conditions"
            )


def _iter_event_errors(event: EventMapping) -> Iterator[str]:
    yield from iter_data_errors(event.kind, event.constants, event.fields)
    data: type[BaseModel] = MODELS[event.kind].model_fields["data"].annotation  # type: ignore[assignment]
    for model, fields in ((data, event.fields), (MODELS[event.kind], event.envelope)):
        for name, field in fields.items():
            if name not in model.model_fields:
                continue  # `iter_data_errors` reports it
            is_unit = field.unit is not None
            yield from iter_type_errors(model, name, field, many=field.many, is_unit=is_unit)
            if field.optional and model.model_fields[name].is_required():
                yield (
                    f"{name}: {event.kind} needs it, so it cannot be optional; "
                    "leave the whole event out with `when`"
                )
    yield from iter_envelope_errors(event.kind, event.envelope)
    yield from _iter_condition_errors(event.when)
    yield from (
        f"{name}: separator is for many = true"
        for name, field in (*event.fields.items(), *event.envelope.items())
        if "separator" in field.model_fields_set and not field.many
    )
    if not event.repeat:
        yield from (
            f"{path}: ../ is for events of a repeat"
            for path in _iter_paths(event)
            if path.startswith("../")
        )
    for name, lookup in (
        ("unit", event.unit),
        *((name, field.unit) for name, field in event.fields.items()),
    ):
        yield from _iter_lookup_errors(name, lookup)


def _iter_condition_errors(conditions: list[Condition]) -> Iterator[str]:
    """Yield the conditions that can never hold, alone or together."""
    for condition in conditions:
        paths = " or ".join(condition.field)
        excluded = set(map(fold_text, condition.is_not or ()))
        for other in conditions:
            if other.field != condition.field or condition.is_ is None:
                continue
            allowed = {fold_text(text) for text in condition.is_}
            others = allowed if other.is_ is None else {fold_text(text) for text in other.is_}
            if not allowed & others - set(map(fold_text, other.is_not or ())) - excluded:
                yield f"when: {paths} can never fit `is` and the other conditions on it"
                break


def _iter_uses(mapping: FormMapping, event: EventMapping) -> Iterator[Use]:
    """Yield the uses of the paths that an event always reads as the same object's."""
    unit, times = event.unit or mapping.unit, event.occurred_at or mapping.occurred_at
    if unit is not None and len(unit.field) == 1 and (event.unit is not None or not event.repeat):
        yield Use("unit", unit.field[0], unit.by, unit.values)
    if len(times) == 1 and len(times[0].field) == 1 and (event.occurred_at or not event.repeat):
        yield Use("occurred_at", times[0].field[0], "time")
    for name, field in (*event.fields.items(), *event.envelope.items()):
        if len(field.field) == 1 and not field.many:
            yield Use(name, field.field[0], "unit" if field.unit else field.type, field.values)


def _iter_lookup_errors(name: str, lookup: UnitLookup | None) -> Iterator[str]:
    if lookup is not None:
        above = [level for level, _ in lookup.above]
        for problem in (
            *iter_lookup_errors(lookup.by, lookup.level, above),
            *iter_unit_value_errors(lookup.by, lookup.values),
        ):
            yield f"{name}: {problem}"


def _iter_paths(event: EventMapping) -> Iterator[str]:
    """Yield the paths of an event's own mappings."""
    parts: list[Any] = [
        *event.occurred_at,
        *event.reported_at,
        *event.when,
        *event.fields.values(),
        *event.envelope.values(),
    ]
    yield from (path for part in parts for path in part.field)
    yield from (event.unit.field if event.unit is not None else [])
    yield from (event.entity.fields if event.entity is not None else [])
