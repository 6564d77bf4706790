"""Checking a registry: dated edges, missing parents, circles.

A reader (`schemas.registry_readers`) fills a `RegistryDraft`; `RegistryDraft.check` makes the
registry of it, or reports everything that is wrong at once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from pravah.days import FIRST_DAY, LAST_DAY, date_of
from pravah.units import ASSEMBLY_LENGTH, RANK, Level, state_of
from schemas.registry import Edge, Finding, Registry, RegistryError, Unit

# For each level the parents that a unit must have on every day: one parent of each group of levels.
REQUIRED_PARENTS: dict[Level, tuple[tuple[Level, ...], ...]] = {
    "national": (),
    "state": (("national",),),
    "division": (("state",),),
    "district": (("division", "state"),),  # not every state has divisions
    "assembly": (("district",),),
    "booth": (("assembly",), ("district",)),
}


class Problem(NamedTuple):
    """A problem of a unit or of one of its edges.

    File and line are looked up afterwards, because hardly any registry has a problem.
    """

    unit: str
    edge: Edge | None
    message: str


class Locations(NamedTuple):
    """File and line of units and edges.

    Of a unit that is listed twice the first one, of an edge the last one. An edge that is not
    listed is where its unit is.
    """

    units: dict[str, tuple[str, int]]
    edges: dict[tuple[str, Edge], tuple[str, int]]

    def locate(self, problem: Problem) -> tuple[str, int]:
        """Find the file and the line of a problem."""
        location = None if problem.edge is None else self.edges.get((problem.unit, problem.edge))
        return location or self.units[problem.unit]


class RegistryDraft:
    """Units and edges as they were read, before they are checked."""

    def __init__(self) -> None:
        self.units: dict[str, Unit] = {}
        # edges of units that are not in the registry
        self.dangling: dict[str, tuple[Edge, ...]] = {}
        # file, line and code of units that were listed before
        self.duplicates: list[tuple[str, int, str]] = []
        self.findings: list[Finding] = []

    def add(self, file: str, line: int, unit: Unit, level: str) -> None:
        """Add a unit.

        Args:
            file: where it is listed.
            line: where in the file.
            unit: the unit, with the level of its code.
            level: the level that the file gives.
        """
        if level != unit.level:
            self.findings.append(
                Finding(
                    file,
                    line,
                    f"{unit.code}: level is {level!r}, but its code is that of a unit of level "
                    f"{unit.level!r}",
                )
            )
        if unit.code in self.units:
            self.duplicates.append((file, line, unit.code))
            return
        if not (unit.name_en and unit.name_hi):
            self.findings += [
                Finding(file, line, f"{unit.code}: {name} is empty")
                for name in ("name_en", "name_hi")
                if not getattr(unit, name)
            ]
        self.units[unit.code] = unit

    def check(self, find_locations: Callable[[], Locations]) -> Registry:
        """Check everything, and clip edges to the days on which the unit exists.

        Args:
            find_locations: returns the locations of all units and edges; called only if there is
                a problem.

        Raises:
            RegistryError: with every finding, in the order of files and lines.
        """
        parents = self._checked_parents()
        suspects = [
            unit for unit, found in zip(self.units.values(), parents, strict=True) if found is None
        ]
        if not (suspects or self.dangling or self.duplicates or self.findings):
            return Registry(
                unit if found is unit.parents else unit._replace(parents=found or ())
                for unit, found in zip(self.units.values(), parents, strict=True)
            )
        locations = find_locations()
        for file, line, code in self.duplicates:
            first = locations.units[code]
            self.findings.append(
                Finding(file, line, f"{code}: listed a second time; first at {first[0]}:{first[1]}")
            )
        problems = [
            problem
            for code, edges in self.dangling.items()
            for problem in self._check_edges(code, edges)
        ]
        problems += [
            problem for unit in suspects for problem in self._check_edges(unit.code, unit.parents)
        ]
        problems += self._find_circles([*(unit.code for unit in suspects), *self.dangling])
        problems += [problem for unit in suspects for problem in self._check_coverage(unit)]
        findings = [
            *self.findings,
            *(Finding(*locations.locate(problem), problem.message) for problem in problems),
        ]
        findings.sort(key=lambda finding: (finding.file, finding.line))
        raise RegistryError(findings)

    def _checked_parents(self) -> list[tuple[Edge, ...] | None]:
        """For each unit its edges, sorted and clipped to its days; None if it has a problem.

        The checks depend on a unit's level, days and edges, and on the state and assembly in its
        code. Units that agree in these are one case, which is checked once: some thousand cases
        cover a million booths.
        """
        cases: dict[tuple[object, ...], tuple[Edge, ...] | None] = {}
        found = []
        for code, unit in self.units.items():
            case = (unit.level, unit.first, unit.last, unit.parents, code[:ASSEMBLY_LENGTH])
            if case not in cases:
                problem = next(self._check_edges(code, unit.parents), None) or next(
                    self._check_coverage(unit), None
                )
                cases[case] = None if problem else _clip_edges(unit)
            found.append(cases[case])
        return found

    def _check_edges(self, code: str, edges: Iterable[Edge]) -> Iterator[Problem]:
        for edge in edges:
            for message in self._check_edge(code, edge):
                yield Problem(code, edge, message)

    def _check_edge(self, code: str, edge: Edge) -> Iterator[str]:
        unit, parent = self.units.get(code), self.units.get(edge.parent)
        for name, given, found in (("unit", code, unit), ("parent", edge.parent, parent)):
            if found is None:
                yield f"{name} {given!r} is not in the registry"
        if unit is None or parent is None:
            return
        if RANK[parent.level] >= RANK[unit.level]:
            yield (
                f"{code}: its parent {parent.code} is of level {parent.level!r}, "
                f"which is not above {unit.level!r}"
            )
        if edge.last < unit.first or edge.first > unit.last:
            yield (
                f"{code}: the edge to {parent.code} lies outside the days on which {code} exists "
                f"({_format_days(unit.first, unit.last)})"
            )
        first, last = max(edge.first, unit.first), min(edge.last, unit.last)
        if first <= last and not (parent.first <= first and last <= parent.last):
            yield (
                f"{code}: its parent {parent.code} exists only "
                f"{_format_days(parent.first, parent.last)}, "
                f"the edge says {_format_days(first, last)}"
            )
        if parent.level == "assembly" and not code.startswith(parent.code):
            yield f"{code}: the code names another assembly than its parent {parent.code}"
        if parent.level == "state" and state_of(code) != parent.code:
            yield f"{code}: the code names another state than its parent {parent.code}"

    def _edges_of(self, code: str) -> tuple[Edge, ...]:
        unit = self.units.get(code)
        return self.dangling.get(code, ()) if unit is None else unit.parents

    def _find_circles(self, starts: Iterable[str]) -> Iterator[Problem]:
        """Find the edges that close a circle, by a depth-first search from units with a problem.

        Every circle has such a unit: one of its edges does not lead to a more senior level.
        """
        done: set[str] = set()
        for start in starts:
            path = [start] if start not in done else []
            stack = [iter(self._edges_of(code)) for code in path]
            while stack:
                code, edge = path[-1], next(stack[-1], None)
                if edge is None:
                    done.add(code)
                    stack.pop()
                    path.pop()
                elif edge.parent in path:
                    yield Problem(
                        code,
                        edge,
                        f"{code}: a circle: "
                        f"{' → '.join([*path[path.index(edge.parent) :], edge.parent])}",
                    )
                elif edge.parent not in done:
                    path.append(edge.parent)
                    stack.append(iter(self._edges_of(edge.parent)))

    def _check_coverage(self, unit: Unit) -> Iterator[Problem]:
        """Check that the unit has one parent of each required group on each of its days.

        There must not be two parents of one level on any day.
        """
        by_level: dict[Level, list[Edge]] = defaultdict(list)
        for edge in sorted(unit.parents, key=lambda edge: (edge.first, edge.last)):
            if edge.parent in self.units:
                by_level[self.units[edge.parent].level].append(edge)
        for level, same in by_level.items():
            for earlier, later in pairwise(same):
                if later.first <= earlier.last:
                    days = _format_days(later.first, min(earlier.last, later.last))
                    yield Problem(
                        unit.code,
                        later,
                        f"{unit.code}: two parents of level {level!r} {days}: "
                        f"{earlier.parent} and {later.parent}",
                    )
        for group in REQUIRED_PARENTS[unit.level]:
            edges = [edge for level in group for edge in by_level.get(level, [])]
            wanted = f"no parent of level {' or '.join(group)}"
            if not edges:
                yield Problem(unit.code, None, f"{unit.code}: an orphan: {wanted}")
                continue
            for first, last in _find_gaps(unit, edges):
                days = _format_days(first, last)
                yield Problem(unit.code, None, f"{unit.code}: a gap: {wanted} {days}")


def _find_gaps(unit: Unit, edges: Iterable[Edge]) -> Iterator[tuple[int, int]]:
    """Find the days of a unit on which none of some edges holds."""
    uncovered = unit.first
    for edge in sorted(edges, key=lambda edge: edge.first):
        if edge.first > uncovered:
            yield uncovered, edge.first - 1
        uncovered = max(uncovered, edge.last + 1)
    if uncovered <= unit.last:
        yield uncovered, unit.last


def _clip_edges(unit: Unit) -> tuple[Edge, ...]:
    """Sort a unit's edges and clip them to its days; the same tuple if that changes nothing."""
    parents = tuple(
        Edge(edge.parent, max(edge.first, unit.first), min(edge.last, unit.last))
        for edge in sorted(unit.parents)
    )
    return unit.parents if parents == unit.parents else parents


def _format_days(first: int, last: int) -> str:
    begin = "the beginning" if first == FIRST_DAY else date_of(first)
    return f"from {begin} to {'ever' if last == LAST_DAY else date_of(last)}"
