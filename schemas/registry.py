"""The unit registry: which units exist on which days, and their ancestors on each day.

The hierarchy is not a tree, and it changes. A unit has dated edges to several parents, at most one
of each level on a day. Its ancestor at a level is found through its most senior parent first: a
booth has its assembly and its own district as parents, so its division is that of its own district,
not that of the assembly's nominal district. On every day a unit therefore has at most one ancestor
at each level.

Days are integers (`pravah.days`); ranges of days include both ends.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from pravah.days import FIRST_DAY, LAST_DAY, date_of
from pravah.errors import FindingsError
from pravah.units import LEVELS, RANK, Level


class Span(NamedTuple):
    """An ancestor of a unit, and the days on which it is one."""

    ancestor: str
    level: Level
    first: int
    last: int


class Edge(NamedTuple):
    """A direct parent of a unit, and the days on which it is one."""

    parent: str
    first: int
    last: int


class Unit(NamedTuple):
    """A unit, and the days on which it exists."""

    code: str
    level: Level
    name_en: str
    name_hi: str
    first: int
    last: int
    parents: tuple[Edge, ...]
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of a registry, and where to correct it."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class RegistryError(FindingsError):
    """A registry cannot be used. `findings` are `Finding`s."""

    subject = "the registry"
    max_shown = 20


class EntryParent(BaseModel):
    """A dated edge of a registry entry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: str
    valid_from: date | None = None
    valid_to: date | None = None


class Entry(BaseModel):
    """One unit as the topic `units` carries it, keyed by its code; an empty date is open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: str
    level: Level
    name_en: str
    name_hi: str
    valid_from: date | None = None
    valid_to: date | None = None
    latitude: float | None = None
    longitude: float | None = None
    parents: tuple[EntryParent, ...] = Field(default=())


class Line(NamedTuple):
    """The ancestors above a unit, nearest first, as a linked list.

    Equal lines of one registry are one object, so that they can be compared by identity.
    """

    level: Level
    head: str
    rest: "Line | None"


class Stretch(NamedTuple):
    """Days on which the ancestors of a unit do not change."""

    first: int
    last: int
    line: Line | None
    """None for the nation, which has no ancestors."""


class Registry:
    """All units. Immutable; ancestors are computed at their first use, and cached.

    Args:
        units: units that were checked. `schemas.registry_readers` reads and checks them.
    """

    def __init__(self, units: Iterable[Unit]) -> None:
        self.units: dict[str, Unit] = {unit.code: unit for unit in units}
        # Units with the same parents on the same days have the same ancestors: the stretches of a
        # million booths are some hundred. The key is the first day, the last day, and the identity
        # of the tuple of parents: readers make equal tuples one object.
        self._stretches: dict[tuple[int, int, int], tuple[Stretch, ...]] = {}
        self._lines: dict[Line, Line] = {}

    def __len__(self) -> int:
        return len(self.units)

    def is_open(self, code: str, day: int) -> bool:
        """Whether the unit exists on that day; False for an unknown one."""
        unit = self.units.get(code)
        return unit is not None and unit.first <= day <= unit.last

    def stretches(self, code: str) -> tuple[Stretch, ...]:
        """The unit's days in order, split where any of its ancestors changes."""
        unit = self.units[code]
        key = (unit.first, unit.last, id(unit.parents))
        stretches = self._stretches.get(key)
        if stretches is None:
            stretches = self._stretches[key] = tuple(self._split_days(unit))
        return stretches

    def spans(self, code: str) -> tuple[Span, ...]:
        """Every ancestor of a unit with its days, the unit itself included.

        Adjacent days with the same ancestor are one span.
        """
        unit = self.units[code]
        done = [Span(code, unit.level, unit.first, unit.last)]
        current: dict[str, Span] = {}
        for stretch in self.stretches(code):
            line = stretch.line
            while line is not None:
                earlier = current.get(line.head)
                if earlier is not None and earlier.last == stretch.first - 1:
                    current[line.head] = earlier._replace(last=stretch.last)
                else:
                    if earlier is not None:
                        done.append(earlier)
                    current[line.head] = Span(line.head, line.level, stretch.first, stretch.last)
                line = line.rest
        return (*done, *current.values())

    def line_above(self, code: str, day: int) -> Line | None:
        """The ancestors above a unit on a day on which it is open."""
        stretches = self.stretches(code)
        if len(stretches) == 1:
            return stretches[0].line
        return next(
            (stretch.line for stretch in stretches if stretch.first <= day <= stretch.last), None
        )

    def is_at_or_below(self, code: str, ancestor: str, day: int) -> bool:
        """Whether a unit is open on a day, and on that day is `ancestor` or a unit below it.

        False for an unknown unit.
        """
        if not self.is_open(code, day):
            return False
        line = self.line_above(code, day)
        while line is not None and line.head != ancestor:
            line = line.rest
        return code == ancestor or line is not None

    def ancestors(self, code: str, day: int) -> tuple[Span, ...]:
        """The spans of a unit on a day: at most one a level, itself included; empty if closed."""
        return tuple(span for span in self.spans(code) if span.first <= day <= span.last)

    def _split_days(self, unit: Unit) -> Iterator[Stretch]:
        cuts = {unit.first}
        above, pending = {unit.code}, [unit.code]
        while pending:
            for edge in self.units[pending.pop()].parents:
                cuts.update((edge.first, edge.last + 1))
                if edge.parent not in above:
                    above.add(edge.parent)
                    pending.append(edge.parent)
        ordered = sorted(cut for cut in cuts if unit.first <= cut <= unit.last)
        before: Stretch | None = None
        for first, following in zip(ordered, [*ordered[1:], unit.last + 1], strict=True):
            line = self._line(unit.code, first)
            if before is not None and before.line is line:
                before = before._replace(last=following - 1)
                continue
            if before is not None:
                yield before
            before = Stretch(first, following - 1, line)
        if before is not None:
            yield before

    def _line(self, code: str, day: int) -> Line | None:
        """The ancestors above a unit on a day, as the one object for all equal lines."""
        found = _ancestors_on(self.units, code, day)
        line: Line | None = None
        for level in LEVELS:  # from the top down: each line refers to the one above it
            if level in found and found[level] != code:
                line = Line(level, found[level], line)
                line = self._lines.setdefault(line, line)
        return line

    def entries(self) -> Iterator[Entry]:
        """Every unit as the topic `units` carries it, parents before children."""
        for unit in sorted(self.units.values(), key=lambda unit: (RANK[unit.level], unit.code)):
            yield entry_of(unit)

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=8)
        edges: dict[tuple[Edge, ...], str] = {}
        for code in sorted(self.units):
            unit = self.units[code]
            parents = edges.get(unit.parents)
            if parents is None:
                parents = edges[unit.parents] = repr(unit.parents)
            digest.update((_REPR % (*unit[:6], parents, *unit[7:])).encode())
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """16 hexadecimal digits that are equal for equal registries, in any order of the units."""
        return self._fingerprint


# The `repr` of a unit, given the `repr` of its edges, which many units share.
_REPR = f"Unit({', '.join(f'{n}=%s' if n == 'parents' else f'{n}=%r' for n in Unit._fields)})"


def entry_of(unit: Unit) -> Entry:
    """A unit as the topic `units` carries it."""
    return Entry(
        unit=unit.code,
        level=unit.level,
        name_en=unit.name_en,
        name_hi=unit.name_hi,
        valid_from=_open_date(unit.first),
        valid_to=_open_date(unit.last),
        latitude=unit.latitude,
        longitude=unit.longitude,
        parents=tuple(
            EntryParent(
                unit=edge.parent, valid_from=_open_date(edge.first), valid_to=_open_date(edge.last)
            )
            for edge in unit.parents
        ),
    )


def _open_date(day: int) -> date | None:
    return None if day in {FIRST_DAY, LAST_DAY} else date_of(day)


def _ancestors_on(units: Mapping[str, Unit], code: str, day: int) -> dict[Level, str]:
    """The unit's ancestor at each level on a day, itself included.

    A direct parent comes before an ancestor of another parent, and the line of a senior parent
    before that of a junior one.
    """
    found: dict[Level, str] = {units[code].level: code}
    parents = [edge.parent for edge in units[code].parents if edge.first <= day <= edge.last]
    for parent in sorted(parents, key=lambda parent: RANK[units[parent].level]):
        found[units[parent].level] = parent
    for parent in sorted(parents, key=lambda parent: RANK[units[parent].level]):
        for level, ancestor in _ancestors_on(units, parent, day).items():
            found.setdefault(level, ancestor)
    return found
