"""The unit registry: which units exist, on which days, and who stands above whom on which day.

The hierarchy is not a tree and it moves. A unit has dated edges to several parents, at most one a level and day. Its ancestor at a level on a day is found through
its most senior parent first: a booth has its assembly and its own district as parents, so its division is its district's, whatever the assembly's nominal
district is. On every day a unit therefore has at most one ancestor at each level.

Days are integers (`pravah.days`), both ends inclusive.
"""

import csv
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from pravah.days import FIRST_DAY, LAST_DAY, date_of, day_of
from pravah.errors import FindingsError
from pravah.units import ASSEMBLY_LENGTH, LEVELS, RANK, Level, level_of, state_of

_REMEMBERED = 100_000
"""Dates and edges of which one object is kept: a country has some thousand."""
_UNITS = "units"
"""Where findings about entries are: in the topic."""


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
    max_shown = 20


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
        self._stretches: dict[tuple[int, int, int], tuple[Stretch, ...]] = {}
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
        unit = self.units[code]
        case = (unit.first, unit.last, id(unit.parents))  # reading made equal parents one object
        found = self._stretches.get(case)
        if found is None:
            found = self._stretches[case] = tuple(self._cut(unit))
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
        return next(
            (stretch.line for stretch in stretches if stretch.first <= day <= stretch.last), None
        )

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
        """16 hex digits that are equal for equal registries, whatever the order they were read in."""
        return self._fingerprint


_REPR = f"Unit({', '.join(f'{name}=%s' if name == 'parents' else f'{name}=%r' for name in Unit._fields)})"
"""`repr` of a unit, given that of its edges: units share them."""


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
    """The unit's ancestor at each level on a day, itself included; the most senior parent's line wins."""
    found: dict[Level, str] = {units[code].level: code}
    parents = [edge.parent for edge in units[code].parents if edge.first <= day <= edge.last]
    for parent in sorted(parents, key=lambda parent: RANK[units[parent].level]):
        found[units[parent].level] = (
            parent  # a direct parent is stronger than what another parent's line says
        )
    for parent in sorted(parents, key=lambda parent: RANK[units[parent].level]):
        for level, ancestor in _ancestors_on(units, parent, day).items():
            found.setdefault(level, ancestor)
    return found


# --- reading and checking -------------------------------------------------------------------------------------------------------------------------------


class _Problem(NamedTuple):
    """Something wrong with a unit, or with one of its edges; where that was written is looked up later, because hardly any registry has one."""

    unit: str
    edge: Edge | None
    message: str


class _Places(NamedTuple):
    """Where units and edges are written, each as file and line; for units listed twice the first place, for edges the last. An edge that is not there is written where its unit is."""

    units: dict[str, tuple[str, int]]
    edges: dict[tuple[str, Edge], tuple[str, int]]

    def of(self, problem: _Problem) -> tuple[str, int]:
        where = None if problem.edge is None else self.edges.get((problem.unit, problem.edge))
        return where or self.units[problem.unit]


class _Draft:
    """A registry being read: units with their edges as they were given, and what is wrong with them."""

    def __init__(self) -> None:
        self.units: dict[str, Unit] = {}
        self.loose: dict[str, tuple[Edge, ...]] = {}
        """Edges of units that are not in the registry."""
        self.twice: list[tuple[str, int, str]] = []
        """File, line and code of units that were listed before."""
        self.findings: list[Finding] = []

    def add(self, file: str, line: int, unit: Unit, level: str) -> None:
        """Take a unit; `level` is the one that was given, `unit` has that of its code."""
        if level != unit.level:
            self.findings.append(
                Finding(
                    file,
                    line,
                    f"{unit.code}: level is {level!r}, but its code is that of a unit of level {unit.level!r}",
                )
            )
        if unit.code in self.units:
            self.twice.append((file, line, unit.code))
            return
        if not (unit.name_en and unit.name_hi):
            self.findings += [
                Finding(file, line, f"{unit.code}: {name} is empty")
                for name in ("name_en", "name_hi")
                if not getattr(unit, name)
            ]
        self.units[unit.code] = unit

    def registry(self, places: Callable[[], _Places]) -> Registry:
        """All units with their edges cut to the days on which both ends exist.

        Args:
            places: where everything is written; asked only if something is wrong.

        Raises:
            RegistryError: with every finding, in the order of files and lines.
        """
        parents = self._parents()
        suspects = [
            unit for unit, found in zip(self.units.values(), parents, strict=True) if found is None
        ]
        if not (suspects or self.loose or self.twice or self.findings):
            return Registry(
                unit if found is unit.parents else unit._replace(parents=found or ())
                for unit, found in zip(self.units.values(), parents, strict=True)
            )
        where = places()
        for file, line, code in self.twice:
            first = where.units[code]
            self.findings.append(
                Finding(file, line, f"{code}: listed a second time; first at {first[0]}:{first[1]}")
            )
        problems = [
            problem
            for code, edges in self.loose.items()
            for problem in self._edges_wrong(code, edges)
        ]
        problems += [
            problem for unit in suspects for problem in self._edges_wrong(unit.code, unit.parents)
        ]
        problems += self._circles([*(unit.code for unit in suspects), *self.loose])
        problems += [problem for unit in suspects for problem in self._unit_wrong(unit)]
        findings = [
            *self.findings,
            *(Finding(*where.of(problem), problem.message) for problem in problems),
        ]
        in_order = sorted(findings, key=lambda finding: (finding.file, finding.line))
        raise RegistryError(in_order)

    def _parents(self) -> list[tuple[Edge, ...] | None]:
        """For each unit its edges in order and on its days; None if something is wrong with it.

        What is checked depends on a unit's level, days and edges, and on the state and assembly that its code names. Units that have all that in common are one case and checked once: some thousand
        cases serve a million booths.
        """
        cases: dict[tuple[object, ...], tuple[Edge, ...] | None] = {}
        found = []
        for code, unit in self.units.items():
            case = (unit.level, unit.first, unit.last, unit.parents, code[:ASSEMBLY_LENGTH])
            if case not in cases:
                wrong = next(self._edges_wrong(code, unit.parents), None) or next(
                    self._unit_wrong(unit), None
                )
                cases[case] = None if wrong else _cut_to(unit)
            found.append(cases[case])
        return found

    def _edges_wrong(self, code: str, edges: Iterable[Edge]) -> Iterator[_Problem]:
        for edge in edges:
            for message in self._edge_wrong(code, edge):
                yield _Problem(code, edge, message)

    def _edge_wrong(self, code: str, edge: Edge) -> Iterator[str]:
        unit, parent = self.units.get(code), self.units.get(edge.parent)
        for name, given, found in (("unit", code, unit), ("parent", edge.parent, parent)):
            if found is None:
                yield f"{name} {given!r} is not in the registry"
        if unit is None or parent is None:
            return
        if RANK[parent.level] >= RANK[unit.level]:
            yield f"{code}: its parent {parent.code} is of level {parent.level!r}, which is not above {unit.level!r}"
        if edge.last < unit.first or edge.first > unit.last:
            yield f"{code}: the edge to {parent.code} lies outside the days on which {code} exists ({_shown(unit.first, unit.last)})"
        first, last = max(edge.first, unit.first), min(edge.last, unit.last)
        if first <= last and not (parent.first <= first and last <= parent.last):
            yield f"{code}: its parent {parent.code} exists only {_shown(parent.first, parent.last)}, the edge says {_shown(first, last)}"
        if parent.level == "assembly" and not code.startswith(parent.code):
            yield f"{code}: the code names another assembly than its parent {parent.code}"
        if parent.level == "state" and state_of(code) != parent.code:
            yield f"{code}: the code names another state than its parent {parent.code}"

    def _edges(self, code: str) -> tuple[Edge, ...]:
        unit = self.units.get(code)
        return self.loose.get(code, ()) if unit is None else unit.parents

    def _circles(self, starts: Iterable[str]) -> Iterator[_Problem]:
        """Each edge that closes a circle, found by walking upwards once from every unit that is suspected. Some edge of a circle does not lead upwards, so some unit of it is."""
        done: set[str] = set()
        for start in starts:
            path = [start] if start not in done else []
            stack = [iter(self._edges(code)) for code in path]
            while stack:
                code, edge = path[-1], next(stack[-1], None)
                if edge is None:
                    done.add(code)
                    stack.pop()
                    path.pop()
                elif edge.parent in path:
                    yield _Problem(
                        code,
                        edge,
                        f"{code}: a circle: {' → '.join([*path[path.index(edge.parent) :], edge.parent])}",
                    )
                elif edge.parent not in done:
                    path.append(edge.parent)
                    stack.append(iter(self._edges(edge.parent)))

    def _unit_wrong(self, unit: Unit) -> Iterator[_Problem]:
        """Every day has exactly one direct parent of each level that the unit must have, and never two of any level."""
        by_level: dict[Level, list[Edge]] = defaultdict(list)
        for edge in sorted(unit.parents, key=lambda edge: (edge.first, edge.last)):
            if edge.parent in self.units:
                by_level[self.units[edge.parent].level].append(edge)
        for level, same in by_level.items():
            for earlier, later in pairwise(same):
                if later.first <= earlier.last:
                    days = _shown(later.first, min(earlier.last, later.last))
                    yield _Problem(
                        unit.code,
                        later,
                        f"{unit.code}: two parents of level {level!r} {days}: {earlier.parent} and {later.parent}",
                    )
        for choice in REQUIRED_PARENTS[unit.level]:
            found = sorted(
                (edge for level in choice for edge in by_level.get(level, [])),
                key=lambda edge: edge.first,
            )
            if not found:
                yield _Problem(
                    unit.code,
                    None,
                    f"{unit.code}: an orphan: no parent of level {' or '.join(choice)}",
                )
                continue
            uncovered = unit.first
            for edge in found:
                if edge.first > uncovered:
                    yield _Problem(
                        unit.code,
                        None,
                        f"{unit.code}: a gap: no parent of level {' or '.join(choice)} {_shown(uncovered, edge.first - 1)}",
                    )
                uncovered = max(uncovered, edge.last + 1)
            if uncovered <= unit.last:
                yield _Problem(
                    unit.code,
                    None,
                    f"{unit.code}: a gap: no parent of level {' or '.join(choice)} {_shown(uncovered, unit.last)}",
                )


def _cut_to(unit: Unit) -> tuple[Edge, ...]:
    """A unit's edges in order and on its days; the very tuple that it has if that is how they are."""
    parents = tuple(
        Edge(edge.parent, max(edge.first, unit.first), min(edge.last, unit.last))
        for edge in sorted(unit.parents)
    )
    return unit.parents if parents == unit.parents else parents


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
    return _days_of_text(row.get("valid_from") or "", row.get("valid_to") or "")


@lru_cache(maxsize=_REMEMBERED)
def _days_of_text(valid_from: str, valid_to: str) -> tuple[int, int]:
    return _days(
        date.fromisoformat(valid_from) if valid_from else None,
        date.fromisoformat(valid_to) if valid_to else None,
    )


@lru_cache(maxsize=_REMEMBERED)
def _days(first: date | None, last: date | None) -> tuple[int, int]:
    days = (
        FIRST_DAY if first is None else day_of(first),
        LAST_DAY if last is None else day_of(last),
    )
    if days[0] > days[1]:
        msg = f"valid_from {first} lies after valid_to {last}"
        raise ValueError(msg)
    if not FIRST_DAY <= days[0] <= days[1] <= LAST_DAY:
        msg = f"dates must lie between {date_of(FIRST_DAY)} and {date_of(LAST_DAY)}"
        raise ValueError(msg)
    return days


@lru_cache(maxsize=_REMEMBERED)
def _edge(parent: str, days: tuple[int, int]) -> Edge:
    """One object for equal edges."""
    return Edge(parent, *days)


def _shown(first: int, last: int) -> str:
    return f"from {'the beginning' if first == FIRST_DAY else date_of(first)} to {'ever' if last == LAST_DAY else date_of(last)}"


UNIT_COLUMNS = ("unit", "level", "name_en", "name_hi", "valid_from", "valid_to", "lat", "lon")
PARENT_COLUMNS = ("unit", "parent", "valid_from", "valid_to")


def registry_from_csv(files: Mapping[str, Sequence[str]]) -> Registry:
    """Read and check a registry.

    Args:
        files: lines by file name; `….units.csv` with the columns unit, level, name_en, name_hi, valid_from, valid_to, lat, lon and `….parents.csv` with unit,
            parent, valid_from, valid_to. ISO dates, both inclusive, empty is open.

    Raises:
        RegistryError: with all findings, each with file and line: malformed codes and dates, wrong levels, doubles, unknown parents, circles, overlaps, orphans, gaps.
    """
    draft = _Draft()
    edges: dict[str, tuple[Edge, ...]] = {}
    shared: dict[tuple[Edge, ...], tuple[Edge, ...]] = {}
    for file, line, (code, *given) in _rows(files, ".parents.csv", draft.findings):
        try:
            above = (*edges.get(code, ()), _edge_of_row(*given))
        except ValueError as error:
            draft.findings.append(Finding(file, line, str(error)))
        else:
            edges[code] = shared.setdefault(above, above)
    for file, line, row in _rows(files, ".units.csv", draft.findings):
        try:
            unit = _unit_of_row(row, edges.get(row[0], ()))
        except ValueError as error:
            draft.findings.append(Finding(file, line, str(error)))
        else:
            draft.add(file, line, unit, row[1])
    draft.loose = {code: edges[code] for code in edges.keys() - draft.units.keys()}
    return draft.registry(lambda: _places_in(files))


def _unit_of_row(row: list[str], edges: tuple[Edge, ...] = ()) -> Unit:
    code, _, name_en, name_hi, valid_from, valid_to, latitude, longitude = row
    level, days = level_of(code), _days_of_text(valid_from, valid_to)
    return Unit(
        code,
        level,
        name_en,
        name_hi,
        *days,
        edges,
        float(latitude) if latitude else None,
        float(longitude) if longitude else None,
    )


def _edge_of_row(parent: str, valid_from: str, valid_to: str) -> Edge:
    return _edge(parent, _days_of_text(valid_from, valid_to))


def _rows(
    files: Mapping[str, Sequence[str]], ending: str, findings: list[Finding]
) -> Iterator[tuple[str, int, list[str]]]:
    """File, line and cells of each row of the files with an ending; missing cells are empty."""
    columns = UNIT_COLUMNS if ending == ".units.csv" else PARENT_COLUMNS
    width = len(columns)
    for name in sorted(
        name for name in files if name.endswith(".units.csv") == (ending == ".units.csv")
    ):
        reader = csv.reader(files[name])
        try:
            if tuple(next(reader, ())) != columns:
                findings.append(Finding(name, 1, f"the header must be {','.join(columns)}"))
                continue
            for row in reader:
                if row:
                    yield (
                        name,
                        reader.line_num,
                        row if len(row) == width else [*row, *[""] * width][:width],
                    )
        except csv.Error as error:
            findings.append(Finding(name, reader.line_num, f"this is no CSV: {error}"))


def _places_in(files: Mapping[str, Sequence[str]]) -> _Places:
    units: dict[str, tuple[str, int]] = {}
    edges = {}
    for file, line, row in _rows(files, ".units.csv", []):
        with suppress(ValueError):
            units.setdefault(_unit_of_row(row).code, (file, line))
    for file, line, (code, *given) in _rows(files, ".parents.csv", []):
        with suppress(ValueError):
            edges[code, _edge_of_row(*given)] = (file, line)
    return _Places(units, edges)


def registry_from_entries(entries: Iterable[Entry]) -> Registry:
    """Check a registry that comes as entries, as the topic `units` carries it.

    Args:
        entries: of the model, or what `schemas.entries` reads in bulk.

    Raises:
        RegistryError: as for `registry_from_csv`; file is `units`, line the entry's number.
    """
    draft, entries = _Draft(), list(entries)
    shared: dict[tuple[EntryParent, ...], tuple[Edge, ...]] = {}
    for line, entry in enumerate(entries, start=1):
        code = entry.unit
        try:
            edges = shared.get(entry.parents)
            if edges is None:
                edges = shared[entry.parents] = tuple(
                    _edge(parent.unit, _days(parent.valid_from, parent.valid_to))
                    for parent in entry.parents
                )
            unit = Unit(
                code,
                level_of(code),
                entry.name_en,
                entry.name_hi,
                *_days(entry.valid_from, entry.valid_to),
                edges,
                entry.latitude,
                entry.longitude,
            )
        except ValueError as error:
            draft.findings.append(Finding(_UNITS, line, str(error)))
        else:
            draft.add(_UNITS, line, unit, entry.level)
    return draft.registry(lambda: _places_of(entry.unit for entry in entries))


def registry_from_units(units: Iterable[Unit]) -> Registry:
    """Check units of which the codes, levels, names and days are known to be right: a registry to which other edges were given.

    Raises:
        RegistryError: as for `registry_from_csv`; file is `units`, line the unit's number.
    """
    draft = _Draft()
    draft.units = {unit.code: unit for unit in units}
    return draft.registry(lambda: _places_of(draft.units))


def _places_of(codes: Iterable[str]) -> _Places:
    units: dict[str, tuple[str, int]] = {}
    for line, code in enumerate(codes, start=1):
        units.setdefault(code, (_UNITS, line))
    return _Places(units, {})
