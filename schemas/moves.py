"""Changes of the registry: units that get other parents from a day on, and how two registries differ."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from schemas.registry import Edge, Finding, Registry, RegistryError, Unit
from schemas.registry_checks import REQUIRED_PARENTS
from schemas.registry_readers import days_of_row, registry_from_units

COLUMNS = ("unit", "parent", "valid_from", "valid_to")


def move_units(registry: Registry, name: str, lines: Iterable[str]) -> Registry:
    """The registry after the moves of a file.

    Args:
        registry: as it is.
        name: of the file, for findings.
        lines: CSV with the columns unit, parent, valid_from, valid_to. On those days, both inclusive, the parent takes the place of whatever parent of its kind the unit had;
            an empty `valid_to` is open. ISO dates.

    Raises:
        RegistryError: with all findings: rows that cannot be read, unknown units, and whatever would be wrong with the registry after the moves.
    """
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise RegistryError([Finding(name, 1, f"the header must be {','.join(COLUMNS)}")])
    findings: list[Finding] = []
    units = dict(registry.units)
    for row in reader:
        line, code, parent = reader.line_num, row["unit"] or "", row["parent"] or ""
        unknown = [
            f"{column} {given!r} is not in the registry"
            for column, given in (("unit", code), ("parent", parent))
            if given not in units
        ]
        try:
            first, last = days_of_row(row)
        except ValueError as error:
            unknown.append(str(error))
        if not row["valid_from"]:
            unknown.append("valid_from is empty: say from which day on the unit has this parent")
        if unknown:
            findings += [Finding(name, line, text) for text in unknown]
            continue
        kinds = next(
            (
                kinds
                for kinds in REQUIRED_PARENTS[units[code].level]
                if units[parent].level in kinds
            ),
            None,
        )
        if kinds is None:
            findings.append(
                Finding(
                    name,
                    line,
                    f"{code}: a unit of level {units[code].level!r} has no parent of level {units[parent].level!r}",
                )
            )
            continue
        first, last = max(first, units[code].first), min(last, units[code].last)
        kept = [
            piece
            for edge in units[code].parents
            for piece in (
                (edge,) if units[edge.parent].level not in kinds else _outside(edge, first, last)
            )
        ]
        units[code] = units[code]._replace(
            parents=tuple(sorted([*kept, Edge(parent, first, last)]))
        )
    if findings:
        raise RegistryError(findings)
    return registry_from_units(units.values())


def _outside(edge: Edge, first: int, last: int) -> Iterator[Edge]:
    """What is left of an edge outside some days."""
    if edge.first < first:
        yield edge._replace(last=min(edge.last, first - 1))
    if edge.last > last:
        yield edge._replace(first=max(edge.first, last + 1))


@dataclass(frozen=True)
class Difference:
    """One unit that is not the same in two registries."""

    unit: str
    before: Unit | None
    """None: it is new."""
    after: Unit | None
    """None: it is gone."""


def compare(before: Registry, after: Registry) -> list[Difference]:
    """The units that differ, in the order of their codes."""
    codes = sorted(before.units.keys() | after.units.keys())
    return [
        Difference(code, before.units.get(code), after.units.get(code))
        for code in codes
        if before.units.get(code) != after.units.get(code)
    ]
