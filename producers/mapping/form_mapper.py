"""Applies a form's mapping to a submission. Pure.

A submission that cannot be mapped is refused whole, with all findings.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pravah.days import day_of_micros, instant_micros
from pravah.events import EventError
from pravah.units import Level
from producers.mapping.conversions import (
    ConversionError,
    find_value,
    make_entity,
    to_identifier,
    to_text,
)
from producers.mapping.form_mapping import (
    Condition,
    EntityMapping,
    EventMapping,
    FieldMapping,
    FormMapping,
    TimeMapping,
    UnitLookup,
    UnitMapping,
)
from producers.mapping.gazetteer import Gazetteer, UnitError, redact
from producers.mapping.open_phones import has_open_phone
from producers.mapping.pseudonyms import Pseudonymiser
from producers.mapping.submissions import MappedEvent, Submission
from producers.mapping.text import fold_text, normalise_text

_MAX_LISTED_UNITS = 5
_PHONE_AS_SUBMISSION = (
    "looks like a phone number, and the entity's name is kept for ever: let the tool send an id of "
    "its own for each submission, or none"
)
_LINK = re.compile(r"https?://\S+\Z")


class _NotARepeatError(ValueError):
    """A path of `repeat` leads to a field."""


class UnmappableError(ValueError):
    """A submission that its mapping cannot turn into events, with all findings.

    Findings quote only values of units and choices.
    """

    def __init__(self, findings: list[str]) -> None:
        """Join the findings to one line for the message."""
        self.findings = findings
        super().__init__("; ".join(findings))


def map_submission(
    mapping: FormMapping,
    submission: Submission,
    *,
    tool: str,
    producer: str,
    units: Gazetteer,
    pseudonymiser: Pseudonymiser | None,
) -> list[MappedEvent]:
    """Return the events of a submission, in the order of the mapping file.

    Args:
        mapping: the form's mapping.
        submission: the state of a filled-in form.
        tool: the source's tool, `source.tool` of the events.
        producer: the source's name, `source.producer` of the events.
        units: for look-up and checks of units.
        pseudonymiser: makes the hashes of persons; None if the installation has no key.

    Returns:
        The events; none for a deleted submission.

    Raises:
        UnmappableError: the submission does not fit the mapping; with all findings.
    """
    if submission.deleted:
        return []
    mapper = _Mapper(mapping, submission, tool, producer, units, pseudonymiser)
    found = list(mapper.map())
    if mapper.findings:
        raise UnmappableError(mapper.findings)
    return found


@dataclass(frozen=True)
class _Scope:
    """The objects at which paths begin."""

    objects: tuple[Mapping[str, Any], ...]
    """The submission, and within it the items of repeats, the innermost last."""
    position: str = ""
    """Of the innermost item, such as `/2/1`, counted from 1; empty for the submission."""

    def find(self, path: str) -> list[Any]:
        """Return the filled values at a path: several if it leads through a repeat."""
        objects = self.objects[:1] if path.startswith("/") else self.objects
        names = path.removeprefix("/").split("/")
        while names[0] == ".." and len(objects) > 1:
            objects, names = objects[:-1], names[1:]
        found: list[Any] = [objects[-1]]
        for name in names:
            found = [inner for one in found for inner in _iter_children(one, name)]
        return [
            one
            for one in (
                item for value in found for item in (value if isinstance(value, list) else [value])
            )
            if _is_filled(one)
        ]

    def find_first(self, paths: Iterable[str]) -> list[Any]:
        """Return the values at the first path that is filled in."""
        return next(filter(None, map(self.find, paths)), [])

    def iter_items(self, repeats: list[str]) -> Iterator["_Scope"]:
        """Yield the scope of each item of a repeat, or of a repeat within a repeat, in their order.

        Without repeats, yield the scope itself.

        Raises:
            _NotARepeatError: an item has no fields.
        """
        if not repeats:
            yield self
            return
        for number, item in enumerate(self.find(repeats[0]), start=1):
            if not isinstance(item, Mapping):
                raise _NotARepeatError(repeats[0])
            yield from _Scope((*self.objects, item), f"{self.position}/{number}").iter_items(
                repeats[1:]
            )


def _get_relative_paths(event: EventMapping) -> list[str]:
    """Return the paths of an event that begin at an item of its repeat, the entity's first."""
    paths = [
        *(event.entity.fields if event.entity is not None else []),
        *(path for field in event.fields.values() for path in field.field),
        *(event.unit.field if event.unit is not None else []),
    ]
    return [path for path in paths if not path.startswith(("/", "../"))]


def _is_blank(event: EventMapping, scope: _Scope) -> bool:
    """Whether an item of a repeat has none of the fields that its event reads from it."""
    paths = _get_relative_paths(event)
    return bool(paths) and not any(map(scope.find, paths))


def _iter_children(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, Mapping):
        if name in value:
            yield value[name]
        elif not (name.isascii() and all(map(str.isascii, value))):
            plain = normalise_text(name)
            yield from (inner for key, inner in value.items() if normalise_text(key) == plain)
    elif isinstance(value, list):
        if name.isascii() and name.isdigit():
            yield from value[int(name) : int(name) + 1]
        else:
            yield from (inner for item in value for inner in _iter_children(item, name))


def _is_filled(value: object) -> bool:
    return value not in ({}, []) if isinstance(value, dict | list) else bool(to_text(value))


class _Mapper:
    """Maps one submission and collects the findings."""

    def __init__(
        self,
        mapping: FormMapping,
        submission: Submission,
        tool: str,
        producer: str,
        units: Gazetteer,
        pseudonymiser: Pseudonymiser | None,
    ) -> None:
        self.findings: list[str] = []
        self._mapping, self._submission = mapping, submission
        self._units, self._pseudonymiser = units, pseudonymiser
        self._source = {"tool": tool, "producer": producer}
        # (entity, occurred_at) → prefix of the event that has them
        self._entities: dict[tuple[str, str], str] = {}
        self._root = _Scope((submission.fields,))
        # prefix of findings: the current event
        self._where = ""

    def map(self) -> Iterator[MappedEvent]:
        one = self._submission
        names = [one.name, *filter(None, (one.state, one.previous))]
        names += [] if self._mapping.form else [one.form]
        try:
            for name in names:
                to_identifier(name, may_be_day=True)
        except ConversionError as error:
            # all such submissions would be one, and each would replace the one before
            self._add_finding("submission", f"its identity {error}")
            return
        if has_open_phone(one.name):
            self._add_finding("submission", f"its identity {_PHONE_AS_SUBMISSION}")
            return
        for event in self._mapping.event:
            try:
                for scope in self._root.iter_items(event.repeat):
                    if all(_holds(condition, scope) for condition in event.when):
                        part = f"{event.part}{scope.position}"
                        self._where = f"{part}: " if part else ""
                        yield from self._map_event(event, part, scope)
            except _NotARepeatError as error:
                self._where = f"{event.part}: " if event.part else ""
                self._add_finding("repeat", f"{error} is a field, not a repeat with items")

    def _map_event(self, event: EventMapping, part: str, scope: _Scope) -> Iterator[MappedEvent]:
        """Yield the event of a scope, or nothing if there are findings."""
        before = len(self.findings)
        instant = (
            self._map_time("occurred_at", event.occurred_at, scope)
            if event.occurred_at
            else self._map_time("occurred_at", self._mapping.occurred_at, self._root)
        )
        day = None if instant is None else day_of_micros(instant_micros(instant))
        unit = (
            self._map_unit(event.unit, scope, day)
            if event.unit is not None
            else self._map_unit(self._mapping.unit, self._root, day)
        )
        entity = self._map_entity(event, part, scope)
        content: dict[str, Any] = {
            "kind": event.kind,
            "occurred_at": None if instant is None else instant.isoformat(),
            "source": self._source,
            "verification": "unverified",
            "data": {**event.constants, **self._map_fields(event.fields, scope, day)},
            **self._map_fields(dict(event.envelope), scope, day),
        }
        if self._submission.verification != "unverified":
            # a reviewer at the tool has seen the form's own answer
            content["verification"] = self._submission.verification
        if any(scope.find_first(time.field) for time in event.reported_at):
            reported_at = self._map_time("reported_at", event.reported_at, scope)
            content["reported_at"] = None if reported_at is None else reported_at.isoformat()
        if len(self.findings) == before:
            mapped = MappedEvent(part=part, entity=entity, unit=unit, content=content)
            self._check(mapped, day)
            yield mapped
        elif event.repeat and _is_blank(event, scope):
            key = _get_relative_paths(event)[0]
            self.findings[before:] = []
            self._add_finding(
                "",
                f"this item of {event.repeat[-1]} has none of the fields that the mapping reads, "
                "perhaps only a calculation; to leave such items out, say "
                f'when = {{ field = "{key}" }} under [[event]] in the mapping',
            )

    def _check(self, mapped: MappedEvent, day: int | None) -> None:
        """Check that the event is valid and no other of the submission has its entity and time."""
        try:
            mapped.to_event()
        except EventError as error:
            self._add_finding("", error.redacted_detail)
        unit, content = mapped.unit, mapped.content
        earlier = self._entities.setdefault((mapped.entity, content["occurred_at"]), self._where)
        if earlier != self._where:
            first = earlier.removesuffix(": ") or "the first event"
            self._add_finding(
                "entity", f"is the same at the same time as in {first}, so only one would count"
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
            self._add_finding(
                "trained_units",
                f"{', '.join(outside[:_MAX_LISTED_UNITS])} "
                f"{'is' if len(outside) == 1 else 'are'} not at or below {unit} on that day",
            )

    def _add_finding(self, name: str, problem: str) -> None:
        self.findings.append(f"{self._where}{name}{': ' if name else ''}{problem}")

    def _find_value(self, name: str, paths: list[str], scope: _Scope) -> object | None:
        """Return the value at the first path that is filled in.

        If there is none, several, or a group, add a finding and return None.
        """
        values = scope.find_first(paths)
        if len(values) == 1 and not isinstance(values[0], Mapping):
            return values[0]  # type: ignore[no-any-return]
        problem = (
            "is empty"
            if not values
            else "is a group, not a field"
            if len(values) == 1
            else f"has {len(values)} values; map it with `repeat` or `many`"
        )
        self._add_finding(name, f"{' or '.join(paths)} {problem}")
        return None

    def _map_time(self, name: str, times: list[TimeMapping], scope: _Scope) -> datetime | None:
        filled = next((time for time in times if scope.find_first(time.field)), None)
        value = self._find_value(
            name,
            filled.field if filled is not None else [path for time in times for path in time.field],
            scope,
        )
        if filled is None or value is None:
            return None
        try:
            return filled.parse(value)
        except ConversionError as error:
            self._add_finding(name, f"{' or '.join(filled.field)} {error}")
            return None

    def _map_unit(self, unit: UnitMapping | None, scope: _Scope, day: int | None) -> str:
        if unit is None or (value := self._find_value("unit", unit.field, scope)) is None:
            return ""
        return "" if day is None else self._look_up("unit", unit, value, scope, day) or ""

    def _look_up(
        self, name: str, lookup: UnitLookup, value: object, scope: _Scope, day: int
    ) -> str | None:
        try:
            text = to_identifier(value)
            wanted = text if lookup.values is None else find_value(lookup.values, text)
            if wanted is None:
                choices = ", ".join(lookup.values or ())
                self._add_finding(name, f"{redact(text)} is not among its values: {choices}")
                return None
            within = [] if lookup.within is None else [lookup.within]
            for level, above in self._iter_units_above(name, lookup, scope):
                within.append(self._units.find_at_level(to_identifier(above), day, level, within))
            return self._units.find(wanted, day, by=lookup.by, level=lookup.level, within=within)
        except (ConversionError, UnitError) as error:
            self._add_finding(name, str(error))
            return None

    def _iter_units_above(
        self, name: str, lookup: UnitLookup, scope: _Scope
    ) -> Iterator[tuple[Level, object]]:
        """Yield level and text of the units that the submission names above a unit."""
        for level, paths in lookup.above:
            if (value := self._find_value(f"{name}.{level}", paths, scope)) is not None:
                yield level, value

    def _map_entity(self, event: EventMapping, part: str, scope: _Scope) -> str:
        if event.entity is None:
            names = [
                self._mapping.server or self._source["producer"],
                self._mapping.form or self._submission.form,
                self._submission.name,
            ]
            return make_entity(self._source["tool"], [*names, *([part] if part else [])])
        parts = [
            self._map_identity(event, event.entity, path, scope) for path in event.entity.fields
        ]
        return make_entity(event.entity.prefix, parts)

    def _map_identity(
        self, event: EventMapping, entity: EntityMapping, path: str, scope: _Scope
    ) -> str:
        """Return the part of an entity's name that a path gives; a person's is a hash."""
        if (value := self._find_value("entity", [path], scope)) is None:
            return ""
        times = event.occurred_at or self._mapping.occurred_at
        persons: list[FieldMapping] = [*event.fields.values(), *event.envelope.values()]
        person = next((one for one in persons if one.is_personal and path in one.field), None)
        if person is not None:
            # without a finding: the person's own field has it
            with suppress(ConversionError):
                return str(person.convert(value, self._pseudonymiser))
            return ""
        try:
            is_day = any(path in time.field for time in times)
            return entity.convert(path, value, self._pseudonymiser, may_be_day=is_day)
        except ConversionError as error:
            self._add_finding("entity", f"{path} {error}")
            return ""

    def _map_fields(
        self, fields: Mapping[Any, FieldMapping], scope: _Scope, day: int | None
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in fields.items():
            values = scope.find_first(field.field)
            if field.optional and not values:
                continue
            try:
                if field.many:
                    found[name] = self._convert_list(name, field, values, scope, day)
                elif (value := self._find_value(name, field.field, scope)) is not None:
                    found[name] = self._convert(name, field, value, scope, day)
            except ConversionError as error:
                self._add_finding(name, f"{' or '.join(field.field)} {error}")
        return found

    def _convert_list(
        self, name: str, field: FieldMapping, values: list[Any], scope: _Scope, day: int | None
    ) -> list[Any]:
        """Return the distinct parts of all values, in their order."""
        if any(isinstance(value, Mapping) for value in values):
            msg = "is a group, not a field"
            raise ConversionError(msg)
        texts = [
            part.strip()
            for value in values
            for line in to_text(value).splitlines()
            for part in line.split(field.separator)
        ]
        texts = list(dict.fromkeys(filter(None, texts)))
        if field.is_personal and field.values is None:
            return list(dict.fromkeys(field.hash_all(texts, self._pseudonymiser)))
        return list(dict.fromkeys(self._convert(name, field, text, scope, day) for text in texts))

    def _convert(
        self, name: str, field: FieldMapping, value: object, scope: _Scope, day: int | None
    ) -> object:
        if field.unit is None:
            converted = field.convert(value, self._pseudonymiser)
            if name == "evidence" and not _LINK.match(str(converted)):
                msg = "is no link with https://; map an attachment's address, not its name"
                raise ConversionError(msg)
            return converted
        return None if day is None else self._look_up(name, field.unit, value, scope, day)


def _holds(condition: Condition, scope: _Scope) -> bool:
    texts = [
        "" if isinstance(value, Mapping) else fold_text(to_text(value))
        for value in scope.find_first(condition.field)
    ]
    return (
        bool(texts)
        and (condition.is_ is None or any(text in map(fold_text, condition.is_) for text in texts))
        and (
            condition.is_not is None
            or not any(text in map(fold_text, condition.is_not) for text in texts)
        )
        and (
            condition.contains is None
            or any(fold_text(condition.contains) in text.split() for text in texts)
        )
    )
