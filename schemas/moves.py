"""Changes of the registry: moving units to other parents, and comparing two registries."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from schemas.registry import Edge, Finding, Registry, RegistryError, Unit
from schemas.registry_checks import REQUIRED_PARENTS
from schemas.registry_readers import days_of_row, registry_from_units

COLUMNS = ("unit", "parent", "valid_from", "valid_to")


def move_units(registry: Registry, name: str, lines: Iterable[str]) -> Registry:
    """Apply the moves of a file, and return the new registry.

    Args:
        registry: the present registry.
        name: the file's name, for findings.
        lines: CSV with the columns unit, parent, valid_from, valid_to (ISO dates). On those days,
            both inclusive, the parent replaces the unit's other parents of the same group of
            levels. An empty `valid_to` is open.

    Raises:
        RegistryError: with all findings: malformed rows, unknown units, and problems that the
            registry would have after the moves.
    """
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise RegistryError([Finding(name, 1, f"the header must be {','.join(COLUMNS)}")])
    findings: list[Finding] = []
    units = dict(registry.units)
    for row in reader:
        line, code, parent = reader.line_num, row["unit"] or "", row["parent"] or ""
        problems = [
            f"{column} {given!r} is not in the registry"
            for column, given in (("unit", code), ("parent", parent))
            if given not in units
        ]
        try:
            first, last = days_of_row(row)
        except ValueError as error:
            problems.append(str(error))
        if not row["valid_from"]:
            problems.append("valid_from is empty: say from which day on the unit has this parent")
        if problems:
            findings += [Finding(name, line, problem) for problem in problems]
            continue
        level, above = units[code].level, units[parent].level
        group = next((group for group in REQUIRED_PARENTS[level] if above in group), None)
        if group is None:
            message = f"{code}: a unit of level {level!r} has no parent of level {above!r}"
            findings.append(Finding(name, line, message))
            continue
        first, last = max(first, units[code].first), min(last, units[code].last)
        others = [
            piece
            for edge in units[code].parents
            for piece in (
                (edge,) if units[edge.parent].level not in group else _outside(edge, first, last)
            )
        ]
        units[code] = units[code]._replace(
            parents=tuple(sorted([*others, Edge(parent, first, last)]))
        )
    if findings:
        raise RegistryError(findings)
    return registry_from_units(units.values())


def _outside(edge: Edge, first: int, last: int) -> Iterator[Edge]:
    """The parts of an edge before and after some days."""
    if edge.first < first:
        yield edge._replace(last=min(edge.last, first - 1))
    if edge.last > last:
        yield edge._replace(first=max(edge.first, last + 1))


@dataclass(frozen=True)
class Difference:
    """A unit that differs between two registries."""

    unit: str
    before: Unit | None
    """None if it is new."""
    after: Unit | None
    """None if it was removed."""


def compare_registries(before: Registry, after: Registry) -> list[Difference]:
    """Find the units that differ, in the order of their codes."""
    codes = sorted(before.units.keys() | after.units.keys())
    return [
        Difference(code, before.units.get(code), after.units.get(code))
        for code in codes
        if before.units.get(code) != after.units.get(code)
    ]
