"""A form's mapping file: which events a submission stands for. Pure; docs/mappings.md explains every part.

The same file serves hook and pull, since both give equal submissions. A mapping that can never give an event is refused when it is read; a submission that cannot be
mapped is refused whole, with everything that is wrong with it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from pravah.days import day_of_micros, instant_micros
from pravah.events import MODELS, EventError, Kind, parse_event
from pravah.units import Level
from producers.mapping.conversions import (
    Conversion,
    ConversionError,
    MappingError,
    Strict,
    TimeReading,
    entity_name,
    impossible,
    mapping_from_toml,
    refusals,
    text_of,
)
from producers.mapping.delivery_ids import event_id
from producers.mapping.gazetteer import By, Gazetteer, UnitError, shown
from producers.mapping.pseudonyms import PersonKeys
from producers.mapping.submissions import Observation, Submission

__all__ = ["EventMapping", "FormMapping", "MappingError", "UnmappableError"]


class UnmappableError(ValueError):
    """A submission that its mapping cannot make events of, with everything found wrong. Values are repeated only of units and choices."""

    def __init__(self, findings: list[str]) -> None:
        """Keep the findings; the message has them in one line."""
        self.findings = findings
        super().__init__("; ".join(findings))


# --- the file ---------------------------------------------------------------------------------------------------------------------------------------------


def _path(text: str) -> str:
    if not re.fullmatch(r"/?(\.\./)*[^/]+(/[^/]+)*", text):
        msg = f"{text!r} is no path; expected for example visit/count, /visit/count from the submission, or ../count from the item around"
        raise ValueError(msg)
    return text


def _listed(given: object) -> object:
    return [given] if isinstance(given, str | dict) else given


Path = Annotated[str, AfterValidator(_path)]
"""Names of groups and a field with slashes: within an item of `repeat` from there; `/` before it: from the submission; `../`: from what stands around the item."""
Paths = Annotated[list[Path], BeforeValidator(_listed), Field(min_length=1)]
"""One or several; the first that is filled in counts."""


class Condition(Strict):
    """Whether there is an event at all."""

    field: Paths
    is_: Annotated[list[str] | None, Field(alias="is")] = None
    """It is one of these."""
    is_not: list[str] | None = None
    """It is none of these; nor empty."""
    contains: str | None = None
    """A select-multiple has this choice."""


class UnitReading(Strict):
    """How a unit is named."""

    by: By = "code"
    values: dict[str, str] | None = None
    """What is given → what is looked up."""
    level: Level | None = None
    """Of a name."""
    assembly: Paths | None = None
    district: Paths | None = None
    division: Paths | None = None
    """Fields that say what stands above it, by code, alias or name."""


class UnitMapping(UnitReading):
    """Where the unit that reports is named."""

    field: Paths


class TimeMapping(TimeReading):
    """Where a day or an instant stands."""

    field: Paths


TimeMappings = Annotated[list[TimeMapping], BeforeValidator(_listed)]
"""One or several; the first whose field is filled in counts, so that the time of submission can stand in for a day that was left out."""


class EntityMapping(Strict):
    """What the event is about, if many submissions may tell of it: its fields must name it for good."""

    prefix: Annotated[str, Field(min_length=1, max_length=100)]
    """Unlike that of any other mapping, such as `whatsapp`."""
    fields: Annotated[list[Path], Field(min_length=1)]


class FieldMapping(Conversion):
    """Where a field comes from and what it is."""

    field: Paths
    unit: UnitReading | None = None
    """It names units, this way; they become codes."""
    many: bool = False
    """A list: of a select-multiple, a text with several, or a field of all items of a repeat."""
    separator: Annotated[str, Field(min_length=1)] = " "
    """Between the parts of a text; the end of a line always is."""


class EventMapping(Strict):
    """One event that a submission stands for, or one for each item of a repeat."""

    part: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,40}$")] = ""
    """Its name within the submission; only one may have none."""
    kind: Kind
    repeat: Annotated[list[Path], BeforeValidator(_listed)] = Field(default_factory=list)
    """Path of a repeat: one event for each item. Several: each within the items of the one before."""
    when: Annotated[list[Condition], BeforeValidator(_listed)] = Field(default_factory=list)
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


class FormMapping(Strict):
    """What the submissions of a form stand for."""

    server: str | None = None
    """In names of entities; the source's name if left out. To change it makes other entities of all submissions."""
    form: str | None = None
    """The same; the tool's name of the form if left out."""
    unit: UnitMapping | None = None
    occurred_at: TimeMappings = Field(default_factory=list)
    """For events that have none of their own; their fields are looked for from the submission, also for events of a repeat."""
    event: Annotated[list[EventMapping], Field(min_length=1)]

    @classmethod
    def from_toml(cls, text: str) -> "FormMapping":
        """Read a mapping file.

        Raises:
            MappingError: with everything that is wrong in it, also what cannot give an event of its kind.
        """
        mapping = mapping_from_toml(cls, text)
        if findings := list(_impossible(mapping)):
            raise MappingError(findings)
        return mapping

    def observations(
        self,
        submission: Submission,
        *,
        tool: str,
        producer: str,
        units: Gazetteer,
        persons: PersonKeys | None,
    ) -> list[Observation]:
        """The events that a submission stands for, in the order of the file; none for a deleted one.

        Args:
            submission: what an adapter made of a body or a row.
            tool: the source's tool, `source.tool` of the events.
            producer: the source's name, `source.producer`.
            units: units are looked up and checked there.
            persons: makes the hashes of persons; None if the installation has no key.

        Raises:
            UnmappableError: with everything that is wrong with it.
        """
        if submission.deleted:
            return []
        mapper = _Mapper(self, submission, tool, producer, units, persons)
        found = list(mapper.observations())
        if mapper.findings:
            raise UnmappableError(mapper.findings)
        return found


def _impossible(mapping: FormMapping) -> Iterator[str]:
    yield from _needless("unit", mapping.unit)
    parts = [event.part for event in mapping.event]
    for number, event in enumerate(mapping.event, start=1):
        where = f"event {event.part or number}"
        if parts.count(event.part) > 1:
            yield f"{where}: {parts.count(event.part)} events have the part {event.part!r}; each needs its own, for good"
        for name, given in (
            ("unit", event.unit or mapping.unit),
            ("occurred_at", event.occurred_at or mapping.occurred_at),
        ):
            if not given:
                yield f"{where}: {name}: is missing; add [{name}] for all events or [event.{name}]"
        yield from (f"{where}: {finding}" for finding in _impossible_event(event))


def _impossible_event(event: EventMapping) -> Iterator[str]:
    yield from impossible(event.kind, event.constants, event.fields)
    data: type[BaseModel] = MODELS[event.kind].model_fields["data"].annotation  # type: ignore[assignment]
    for model, fields in ((data, event.fields), (MODELS[event.kind], event.envelope)):
        for name, field in fields.items():
            if name not in model.model_fields:
                continue  # said already
            yield from (
                f"{name}: type = {field.type!r}{', many' * field.many} can never be right: {message}"
                for message in _wrong_type(model, name, field)
            )
            if field.optional and model.model_fields[name].is_required():
                yield f"{name}: {event.kind} needs it, so it cannot be optional; leave the whole event out with `when`"
    if not event.repeat:
        yield from (
            f"{path}: ../ is for events of a repeat"
            for path in _paths(event)
            if path.startswith("../")
        )
    for name, how in (
        ("unit", event.unit),
        *((name, field.unit) for name, field in event.fields.items()),
    ):
        yield from _needless(name, how)


def _needless(name: str, how: UnitReading | None) -> Iterator[str]:
    if (
        how is not None
        and how.by != "name"
        and any((how.level, how.assembly, how.district, how.division))
    ):
        yield f"{name}: level, assembly, district and division are for by = 'name'"


_SAMPLES: dict[str, object] = {
    "integer": 1,
    "boolean": True,
    "hash": "0" * 64,
    "phone": "0" * 64,
    "text": "…",
}
_NEVER_TEXT = ("Input should be a valid ", "String should match pattern '^[0-9a-f")
"""What is said of a text where none can ever be right; that another text may be refused is no matter."""


def _wrong_type(model: type[BaseModel], name: str, field: FieldMapping) -> Iterator[str]:
    if field.values is not None:
        return
    sample = "IN" if field.unit is not None else _SAMPLES[field.type]
    for message in refusals(model, name, [sample] if field.many else sample):
        if sample != _SAMPLES["text"] or message.startswith(_NEVER_TEXT):
            yield (
                "it must be the keyed hash of a person, type = 'hash' or 'phone'"
                if "0-9a-f" in message
                else message
            )


def _paths(event: EventMapping) -> Iterator[str]:
    """Every path of an event's own."""
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


# --- submissions ------------------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scope:
    """Where paths begin: the submission, and within it the items of repeats, the innermost last."""

    around: tuple[Mapping[str, Any], ...]
    place: str = ""
    """Of the innermost item, such as `/2/1`, counted from 1."""

    def values(self, path: str) -> list[Any]:
        """All that stands at a path; several if it leads through a repeat, none if it is empty."""
        around = self.around[:1] if path.startswith("/") else self.around
        names = path.removeprefix("/").split("/")
        while names[0] == ".." and len(around) > 1:
            around, names = around[:-1], names[1:]
        found: list[Any] = [around[-1]]
        for name in names:
            found = [inner for one in found for inner in _inner(one, name)]
        return [
            one
            for one in (
                item for value in found for item in (value if isinstance(value, list) else [value])
            )
            if _filled(one)
        ]

    def first(self, paths: Iterable[str]) -> list[Any]:
        """What stands at the first path that is filled in."""
        return next(filter(None, map(self.values, paths)), [])

    def items(self, repeats: list[str]) -> Iterator["_Scope"]:
        """The items of a repeat, or of a repeat within a repeat, in their order; without repeats the submission itself."""
        if not repeats:
            yield self
            return
        for place, item in enumerate(self.values(repeats[0]), start=1):
            yield from _Scope(
                (*self.around, item if isinstance(item, Mapping) else {}), f"{self.place}/{place}"
            ).items(repeats[1:])


def _inner(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, Mapping):
        if name in value:
            yield value[name]
    elif isinstance(value, list):
        if name.isascii() and name.isdigit():
            yield from value[int(name) : int(name) + 1]
        else:
            yield from (inner for item in value for inner in _inner(item, name))


def _filled(value: object) -> bool:
    return value not in ({}, []) if isinstance(value, dict | list) else bool(text_of(value))


class _Mapper:
    """Makes the events of one submission and keeps what is wrong with it."""

    def __init__(
        self,
        mapping: FormMapping,
        submission: Submission,
        tool: str,
        producer: str,
        units: Gazetteer,
        persons: PersonKeys | None,
    ) -> None:
        self.findings: list[str] = []
        self._mapping, self._submission, self._units, self._persons = (
            mapping,
            submission,
            units,
            persons,
        )
        self._source = {"tool": tool, "producer": producer}
        self._told: dict[tuple[str, str], str] = {}
        self._root = _Scope((submission.fields,))
        self._where = ""

    def observations(self) -> Iterator[Observation]:
        for event in self._mapping.event:
            for scope in self._root.items(event.repeat):
                if all(_holds(condition, scope) for condition in event.when):
                    part = f"{event.part}{scope.place}"
                    self._where = f"{part}: " if part else ""
                    yield from self._observation(event, part, scope)

    def _observation(self, event: EventMapping, part: str, scope: _Scope) -> Iterator[Observation]:
        before = len(self.findings)
        moment = (
            self._moment("occurred_at", event.occurred_at, scope)
            if event.occurred_at
            else self._moment("occurred_at", self._mapping.occurred_at, self._root)
        )
        day = None if moment is None else day_of_micros(instant_micros(moment))
        unit = (
            self._unit(event.unit, scope, day)
            if event.unit is not None
            else self._unit(self._mapping.unit, self._root, day)
        )
        entity = self._entity(event, part, scope)
        content: dict[str, Any] = {
            "kind": event.kind,
            "occurred_at": None if moment is None else moment.isoformat(),
            "source": self._source,
            "verification": "unverified",
            "data": {**event.constants, **self._fields(event.fields, scope, day)},
            **self._fields(dict(event.envelope), scope, day),
        }
        if self._submission.verification != "unverified":
            content["verification"] = (
                self._submission.verification
            )  # who reviewed it at the tool has seen the form's own answer
        if any(scope.first(how.field) for how in event.reported_at):
            reported_at = self._moment("reported_at", event.reported_at, scope)
            content["reported_at"] = None if reported_at is None else reported_at.isoformat()
        if len(self.findings) == before:
            self._check(entity, unit, content, day)
            yield Observation(part=part, entity=entity, unit=unit, content=content)

    def _check(self, entity: str, unit: str, content: dict[str, Any], day: int | None) -> None:
        """Whether it is an event, and none of its submission tells the same."""
        try:
            parse_event(
                orjson.dumps(
                    {"event_id": event_id(entity, 1), "entity": entity, "unit": unit, **content}
                )
            )
        except EventError as error:
            self._found("", error.redacted_detail)
        earlier = self._told.setdefault((entity, content["occurred_at"]), self._where)
        if earlier != self._where:
            self._found(
                "entity",
                f"is the same at the same time as in {earlier.removesuffix(': ') or 'the first event'}, so only one would count",
            )
        trained = content["data"].get("trained_units", [])
        outside = (
            [
                code
                for code in trained
                if not self._units.registry.is_at_or_below(code, unit, day or 0)
            ]
            if isinstance(trained, list)
            else []
        )
        if outside:
            self._found(
                "trained_units",
                f"{', '.join(outside[:5])} {'is' if len(outside) == 1 else 'are'} not at or below {unit} on that day",
            )

    def _found(self, name: str, problem: str) -> None:
        self.findings.append(f"{self._where}{name}{': ' if name else ''}{problem}")

    def _one(self, name: str, paths: list[str], scope: _Scope) -> object | None:
        """The one value at the first path that is filled in; told and None if there is none, or several, or a group."""
        values = scope.first(paths)
        if len(values) == 1 and not isinstance(values[0], Mapping):
            return values[0]  # type: ignore[no-any-return]
        problem = (
            "is empty"
            if not values
            else "is a group, not a field"
            if len(values) == 1
            else f"has {len(values)} values; map it with `repeat` or `many`"
        )
        self._found(name, f"{' or '.join(paths)} {problem}")
        return None

    def _moment(self, name: str, hows: list[TimeMapping], scope: _Scope) -> datetime | None:
        how = next((how for how in hows if scope.first(how.field)), None)
        value = self._one(
            name,
            how.field if how is not None else [path for each in hows for path in each.field],
            scope,
        )
        if how is None or value is None:
            return None
        try:
            return how.moment(value)
        except ConversionError as error:
            self._found(name, f"{' or '.join(how.field)} {error}")
            return None

    def _unit(self, how: UnitMapping | None, scope: _Scope, day: int | None) -> str:
        if how is None or (value := self._one("unit", how.field, scope)) is None or day is None:
            return ""
        return self._looked_up("unit", how, text_of(value), scope, day) or ""

    def _looked_up(
        self, name: str, how: UnitReading, text: str, scope: _Scope, day: int
    ) -> str | None:
        if how.values is not None and text not in how.values:
            self._found(name, f"{shown(text)} is not among its values: {', '.join(how.values)}")
            return None
        try:
            within = [
                self._units.above(text_of(above), day, level)
                for level, above in self._above(name, how, scope)
            ]
            return self._units.find(
                how.values[text] if how.values is not None else text,
                day,
                by=how.by,
                level=how.level,
                within=within,
            )
        except UnitError as error:
            self._found(name, str(error))
            return None

    def _above(self, name: str, how: UnitReading, scope: _Scope) -> Iterator[tuple[Level, object]]:
        """What the submission says stands above a unit."""
        fields: list[tuple[Level, list[str] | None]] = [
            ("division", how.division),
            ("district", how.district),
            ("assembly", how.assembly),
        ]
        for level, paths in fields:
            if (
                paths is not None
                and (value := self._one(f"{name}.{level}", paths, scope)) is not None
            ):
                yield level, value

    def _entity(self, event: EventMapping, part: str, scope: _Scope) -> str:
        if event.entity is None:
            names = [
                self._mapping.server or self._source["producer"],
                self._mapping.form or self._submission.form,
                self._submission.name,
            ]
            return entity_name(self._source["tool"], [*names, *([part] if part else [])])
        values = [self._one("entity", [path], scope) for path in event.entity.fields]
        return entity_name(event.entity.prefix, [text_of(value) for value in values])

    def _fields(
        self, fields: Mapping[Any, FieldMapping], scope: _Scope, day: int | None
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in fields.items():
            values = scope.first(field.field)
            if field.optional and not values:
                continue
            try:
                if field.many:
                    found[name] = self._many(name, field, values, scope, day)
                elif (value := self._one(name, field.field, scope)) is not None:
                    found[name] = self._converted(name, field, value, scope, day)
            except ConversionError as error:
                self._found(name, f"{' or '.join(field.field)} {error}")
        return found

    def _many(
        self, name: str, field: FieldMapping, values: list[Any], scope: _Scope, day: int | None
    ) -> list[Any]:
        """All parts, each once, in their order."""
        if any(isinstance(value, Mapping) for value in values):
            msg = "is a group, not a field"
            raise ConversionError(msg)
        texts = [
            part.strip()
            for value in values
            for line in text_of(value).splitlines()
            for part in line.split(field.separator)
        ]
        texts = list(dict.fromkeys(filter(None, texts)))
        if field.personal and field.values is None:
            return list(dict.fromkeys(field.hashes(texts, self._persons)))
        return list(dict.fromkeys(self._converted(name, field, text, scope, day) for text in texts))

    def _converted(
        self, name: str, field: FieldMapping, value: object, scope: _Scope, day: int | None
    ) -> object:
        if field.unit is None:
            return field.convert(value, self._persons)
        return (
            None if day is None else self._looked_up(name, field.unit, text_of(value), scope, day)
        )


def _holds(condition: Condition, scope: _Scope) -> bool:
    texts = [
        "" if isinstance(value, Mapping) else text_of(value).casefold()
        for value in scope.first(condition.field)
    ]
    return (
        bool(texts)
        and (condition.is_ is None or any(text in _folded(condition.is_) for text in texts))
        and (
            condition.is_not is None or not any(text in _folded(condition.is_not) for text in texts)
        )
        and (
            condition.contains is None
            or any(condition.contains.casefold() in text.split() for text in texts)
        )
    )


def _folded(texts: list[str]) -> set[str]:
    return {text_of(text).casefold() for text in texts}
