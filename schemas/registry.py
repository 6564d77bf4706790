"""The unit registry: which units exist, on which days, and who stands above whom on which day.

The hierarchy is not a tree and it moves. A unit has dated edges to several parents, at most one a level and day. Its ancestor at a level on a day is found through
its most senior parent first: a booth has its assembly and its own district as parents, so its division is its district's, whatever the assembly's nominal
district is. On every day a unit therefore has at most one ancestor at each level.

Days are integers (`schemas.days`), both ends inclusive.
"""

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from schemas.days import FIRST_DAY, LAST_DAY, date_of, day_of
from schemas.errors import FindingsError
from schemas.units import LEVELS, RANK, Level, level_of, state_of


class Span(NamedTuple):
    """One ancestor of a unit and the days, both inclusive, on which it is one."""

    ancestor: str
    level: Level
    first: int
    last: int


class Edge(NamedTuple):
    """`parent` stands directly above the unit on the days from `first` to `last`."""

    parent: str
    first: int
    last: int


class Unit(NamedTuple):
    """One unit and the days on which it exists."""

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
    """Something wrong in a registry, and the place to mend it."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        """`file:line: message`, as editors understand it."""
        return f"{self.file}:{self.line}: {self.message}"


class RegistryError(FindingsError):
    """A registry that cannot be used, with everything found wrong in it."""

    subject = "the registry"
    shown = 20


class EntryParent(BaseModel):
    """One dated edge of a registry entry."""

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
    """The ancestors above a unit on a stretch of days, nearest first: `head`, and those above it. Equal lines are one object, so they can be counted together."""

    level: Level
    head: str
    rest: "Line | None"


class Stretch(NamedTuple):
    """Days, both inclusive, on which nothing above a unit changes."""

    first: int
    last: int
    line: Line | None
    """None above the nation."""


class Registry:
    """All units. Immutable; what was found about a unit's ancestors is remembered."""

    def __init__(self, units: Iterable[Unit]) -> None:
        """Take units that were checked; `registry_from_csv` and `registry_from_entries` check."""
        self.units: dict[str, Unit] = {unit.code: unit for unit in units}
        # units with the same parents on the same days have the same ancestors: some hundred cases serve a million booths
        self._stretches: dict[tuple[int, int, tuple[Edge, ...]], tuple[Stretch, ...]] = {}
        self._known: dict[str, tuple[Stretch, ...]] = {}
        self._lines: dict[Line, Line] = {}

    def __len__(self) -> int:
        """How many units there are, closed ones included."""
        return len(self.units)

    def is_open(self, code: str, day: int) -> bool:
        """Whether the unit exists on that day; False for an unknown one."""
        unit = self.units.get(code)
        return unit is not None and unit.first <= day <= unit.last

    def stretches(self, code: str) -> tuple[Stretch, ...]:
        """The unit's days, in order, cut where anything above it changes."""
        found = self._known.get(code)
        if found is None:
            unit = self.units[code]
            case = (unit.first, unit.last, unit.parents)
            found = self._stretches.get(case)
            if found is None:
                found = self._stretches[case] = tuple(self._cut(unit))
            self._known[code] = found
        return found

    def spans(self, code: str) -> tuple[Span, ...]:
        """Every ancestor of a unit with its days, the unit itself included; touching days of one ancestor are one span."""
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

    def above(self, code: str, day: int) -> Line | None:
        """The ancestors above a unit on a day on which it is open."""
        stretches = self.stretches(code)
        if len(stretches) == 1:
            return stretches[0].line
        return next((stretch.line for stretch in stretches if stretch.first <= day <= stretch.last), None)

    def is_settled(self, code: str, day: int) -> bool:
        """Whether nothing above the unit changes after a day on which it is open, and it stays open."""
        last = self.stretches(code)[-1]
        return last.first <= day and last.last == LAST_DAY

    def is_at_or_below(self, code: str, ancestor: str, day: int) -> bool:
        """Whether a unit is open on a day and is `ancestor`, or stands below it on that day; False for an unknown unit."""
        if not self.is_open(code, day):
            return False
        line = self.above(code, day)
        while line is not None and line.head != ancestor:
            line = line.rest
        return code == ancestor or line is not None

    def ancestors(self, code: str, day: int) -> tuple[Span, ...]:
        """The spans of a unit that hold on a day: at most one a level, itself included; empty if it is not open."""
        return tuple(span for span in self.spans(code) if span.first <= day <= span.last)

    def _cut(self, unit: Unit) -> Iterator[Stretch]:
        cuts = {unit.first}
        above, waiting = {unit.code}, [unit.code]
        while waiting:
            for edge in self.units[waiting.pop()].parents:
                cuts.update((edge.first, edge.last + 1))
                if edge.parent not in above:
                    above.add(edge.parent)
                    waiting.append(edge.parent)
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
        """The one object for the ancestors above a unit on a day."""
        found = _ancestors_on(self.units, code, day)
        line: Line | None = None
        for level in LEVELS:  # from the top down, so that each line stands on the one above it
            if level in found and found[level] != code:
                line = Line(level, found[level], line)
                line = self._lines.setdefault(line, line)
        return line

    def entries(self) -> Iterator[Entry]:
        """Every unit as the topic `units` carries it, parents before children."""
        for unit in sorted(self.units.values(), key=lambda unit: (RANK[unit.level], unit.code)):
            yield entry_of(unit)

    def fingerprint(self) -> str:
        """16 hex digits that are equal for equal registries, whatever the order they were read in."""
        digest = hashlib.blake2b(digest_size=8)
        for code in sorted(self.units):
            digest.update(repr(self.units[code]).encode())
        return digest.hexdigest()


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
        parents=tuple(EntryParent(unit=edge.parent, valid_from=_open_date(edge.first), valid_to=_open_date(edge.last)) for edge in unit.parents),
    )


def _open_date(day: int) -> date | None:
    return None if day in {FIRST_DAY, LAST_DAY} else date_of(day)


def _ancestors_on(units: Mapping[str, Unit], code: str, day: int) -> dict[Level, str]:
    """The unit's ancestor at each level on a day, itself included; the most senior parent's line wins."""
    found: dict[Level, str] = {units[code].level: code}
    parents = [edge.parent for edge in units[code].parents if edge.first <= day <= edge.last]
    for parent in sorted(parents, key=lambda parent: RANK[units[parent].level]):
        found[units[parent].level] = parent  # a direct parent is stronger than what another parent's line says
    for parent in sorted(parents, key=lambda parent: RANK[units[parent].level]):
        for level, ancestor in _ancestors_on(units, parent, day).items():
            found.setdefault(level, ancestor)
    return found


# --- reading and checking -------------------------------------------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    file: str
    line: int


class _Draft:
    """A registry being read: what was found where, and what is wrong with it."""

    def __init__(self) -> None:
        self.units: dict[str, Unit] = {}
        self.edges: dict[str, list[Edge]] = defaultdict(list)
        self.unit_places: dict[str, _Place] = {}
        self.edge_places: dict[tuple[str, Edge], _Place] = {}
        self.findings: list[Finding] = []

    def finding(self, place: _Place, message: str) -> None:
        self.findings.append(Finding(place.file, place.line, message))

    def add_unit(self, place: _Place, row: Mapping[str, str | None]) -> None:
        code, level = row.get("unit") or "", row.get("level") or ""
        try:
            by_code = level_of(code)
            first, last = days_of_row(row)
            latitude, longitude = (float(row[name] or "nan") if row.get(name) else None for name in ("lat", "lon"))
        except ValueError as error:
            return self.finding(place, str(error))
        if level != by_code:
            self.finding(place, f"{code}: level is {level!r}, but its code is that of a unit of level {by_code!r}")
        if code in self.units:
            return self.finding(place, f"{code}: listed a second time; first at {self.unit_places[code].file}:{self.unit_places[code].line}")
        self.findings += [Finding(*place, f"{code}: {name} is empty") for name in ("name_en", "name_hi") if not row.get(name)]
        self.unit_places[code] = place
        self.units[code] = Unit(code, by_code, row.get("name_en") or "", row.get("name_hi") or "", first, last, (), latitude, longitude)
        return None

    def add_edge(self, place: _Place, row: Mapping[str, str | None]) -> None:
        try:
            edge = Edge(row.get("parent") or "", *days_of_row(row))
        except ValueError as error:
            return self.finding(place, str(error))
        unit = row.get("unit") or ""
        self.edges[unit].append(edge)
        self.edge_places[unit, edge] = place
        return None

    def registry(self) -> Registry:
        """All units with their edges cut to the days on which both ends exist.

        Raises:
            RegistryError: with every finding, in the order of files and lines.
        """
        for code, edges in self.edges.items():
            for edge in edges:
                self._check_edge(code, edge)
        self._check_cycles()
        for code, unit in self.units.items():
            self._check_unit(unit, self.edges.get(code, []))
        if self.findings:
            in_order = sorted(self.findings, key=lambda finding: (finding.file, finding.line))
            raise RegistryError(in_order)
        return Registry(
            unit._replace(parents=tuple(Edge(e.parent, max(e.first, unit.first), min(e.last, unit.last)) for e in sorted(self.edges.get(code, []))))
            for code, unit in self.units.items()
        )

    def _check_edge(self, code: str, edge: Edge) -> None:
        place = self.edge_places[code, edge]
        for name, given in (("unit", code), ("parent", edge.parent)):
            if given not in self.units:
                self.finding(place, f"{name} {given!r} is not in the registry")
        if code not in self.units or edge.parent not in self.units:
            return
        unit, parent = self.units[code], self.units[edge.parent]
        if RANK[parent.level] >= RANK[unit.level]:
            self.finding(place, f"{code}: its parent {parent.code} is of level {parent.level!r}, which is not above {unit.level!r}")
        if edge.last < unit.first or edge.first > unit.last:
            self.finding(place, f"{code}: the edge to {parent.code} lies outside the days on which {code} exists ({_shown(unit.first, unit.last)})")
        first, last = max(edge.first, unit.first), min(edge.last, unit.last)
        if first <= last and not (parent.first <= first and last <= parent.last):
            self.finding(place, f"{code}: its parent {parent.code} exists only {_shown(parent.first, parent.last)}, the edge says {_shown(first, last)}")
        if parent.level == "assembly" and not code.startswith(parent.code):
            self.finding(place, f"{code}: the code names another assembly than its parent {parent.code}")
        if parent.level == "state" and state_of(code) != parent.code:
            self.finding(place, f"{code}: the code names another state than its parent {parent.code}")

    def _check_cycles(self) -> None:
        """Report each edge that closes a circle, found by walking upwards once from every unit."""
        done: set[str] = set()
        for start in self.edges:
            path: list[str] = []
            stack: list[tuple[str, Iterator[Edge]]] = [(start, iter(self.edges.get(start, [])))] if start not in done else []
            path = [start] if stack else []
            while stack:
                code, edges = stack[-1]
                edge = next(edges, None)
                if edge is None:
                    done.add(code)
                    stack.pop()
                    path.pop()
                elif edge.parent in path:
                    self.finding(self.edge_places[code, edge], f"{code}: a circle: {' → '.join([*path[path.index(edge.parent) :], edge.parent])}")
                elif edge.parent not in done:
                    path.append(edge.parent)
                    stack.append((edge.parent, iter(self.edges.get(edge.parent, []))))

    def _check_unit(self, unit: Unit, edges: list[Edge]) -> None:
        """Every day has exactly one direct parent of each level that the unit must have, and never two of any level."""
        by_level: dict[Level, list[Edge]] = defaultdict(list)
        for edge in sorted(edges, key=lambda edge: (edge.first, edge.last)):
            if edge.parent in self.units:
                by_level[self.units[edge.parent].level].append(edge)
        for level, same in by_level.items():
            for earlier, later in pairwise(same):
                if later.first <= earlier.last:
                    days = _shown(later.first, min(earlier.last, later.last))
                    self.finding(self.edge_places[unit.code, later], f"{unit.code}: two parents of level {level!r} {days}: {earlier.parent} and {later.parent}")
        place = self.unit_places[unit.code]
        for choice in REQUIRED_PARENTS[unit.level]:
            found = sorted((edge for level in choice for edge in by_level.get(level, [])), key=lambda edge: edge.first)
            if not found:
                self.finding(place, f"{unit.code}: an orphan: no parent of level {' or '.join(choice)}")
                continue
            uncovered = unit.first
            for edge in found:
                if edge.first > uncovered:
                    self.finding(place, f"{unit.code}: a gap: no parent of level {' or '.join(choice)} {_shown(uncovered, edge.first - 1)}")
                uncovered = max(uncovered, edge.last + 1)
            if uncovered <= unit.last:
                self.finding(place, f"{unit.code}: a gap: no parent of level {' or '.join(choice)} {_shown(uncovered, unit.last)}")


REQUIRED_PARENTS: dict[Level, tuple[tuple[Level, ...], ...]] = {
    "national": (),
    "state": (("national",),),
    "division": (("state",),),
    "district": (("division", "state"),),  # not every state has divisions
    "assembly": (("district",),),
    "booth": (("assembly",), ("district",)),
}
"""For each level, the parents that a unit must have on every day: one of each group."""


def days_of_row(row: Mapping[str, str | None]) -> tuple[int, int]:
    """The days from `valid_from` to `valid_to` of a row of a registry file, both inclusive; an empty one is open.

    Raises:
        ValueError: a date cannot be read, lies outside 1970-01-01 to 2149-06-06, or the two are in the wrong order.
    """
    first, last = (date.fromisoformat(row[name] or "") if row.get(name) else None for name in ("valid_from", "valid_to"))
    days = (FIRST_DAY if first is None else day_of(first), LAST_DAY if last is None else day_of(last))
    if days[0] > days[1]:
        msg = f"valid_from {first} lies after valid_to {last}"
        raise ValueError(msg)
    if not FIRST_DAY <= days[0] <= days[1] <= LAST_DAY:
        msg = f"dates must lie between {date_of(FIRST_DAY)} and {date_of(LAST_DAY)}"
        raise ValueError(msg)
    return days


def _shown(first: int, last: int) -> str:
    return f"from {'the beginning' if first == FIRST_DAY else date_of(first)} to {'ever' if last == LAST_DAY else date_of(last)}"


UNIT_COLUMNS = ("unit", "level", "name_en", "name_hi", "valid_from", "valid_to", "lat", "lon")
PARENT_COLUMNS = ("unit", "parent", "valid_from", "valid_to")


def registry_from_csv(files: Mapping[str, Iterable[str]]) -> Registry:
    """Read and check a registry.

    Args:
        files: lines by file name; `….units.csv` with the columns unit, level, name_en, name_hi, valid_from, valid_to, lat, lon and `….parents.csv` with unit,
            parent, valid_from, valid_to. ISO dates, both inclusive, empty is open.

    Raises:
        RegistryError: with all findings, each with file and line: malformed codes and dates, wrong levels, doubles, unknown parents, circles, overlaps, orphans, gaps.
    """
    draft = _Draft()
    for name in sorted(files, key=lambda name: (not name.endswith(".units.csv"), name)):
        columns, add = (UNIT_COLUMNS, draft.add_unit) if name.endswith(".units.csv") else (PARENT_COLUMNS, draft.add_edge)
        reader = csv.DictReader(files[name])
        if tuple(reader.fieldnames or ()) != columns:
            draft.finding(_Place(name, 1), f"the header must be {','.join(columns)}")
            continue
        for row in reader:
            add(_Place(name, reader.line_num), row)
    return draft.registry()


def registry_from_entries(entries: Iterable[Entry]) -> Registry:
    """Check a registry that comes as entries, as the topic `units` carries it.

    Raises:
        RegistryError: as for `registry_from_csv`; file is `units`, line the entry's number.
    """
    draft = _Draft()
    for number, entry in enumerate(entries, start=1):
        place = _Place("units", number)
        dates = {"valid_from": _text(entry.valid_from), "valid_to": _text(entry.valid_to)}
        position = {"lat": _text(entry.latitude), "lon": _text(entry.longitude)}
        draft.add_unit(place, {"unit": entry.unit, "level": entry.level, "name_en": entry.name_en, "name_hi": entry.name_hi, **dates, **position})
        for parent in entry.parents:
            dates = {"valid_from": _text(parent.valid_from), "valid_to": _text(parent.valid_to)}
            draft.add_edge(place, {"unit": entry.unit, "parent": parent.unit, **dates})
    return draft.registry()


def _text(value: object) -> str:
    return "" if value is None else str(value)
