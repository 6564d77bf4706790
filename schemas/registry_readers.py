"""Reading a registry from CSV files, from entries of the topic `units`, or from changed units."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import lru_cache

from pravah.days import FIRST_DAY, LAST_DAY, date_of, day_of
from pravah.units import level_of
from schemas.registry import Edge, Entry, EntryParent, Finding, Registry, Unit
from schemas.registry_checks import Locations, RegistryDraft

UNIT_COLUMNS = ("unit", "level", "name_en", "name_hi", "valid_from", "valid_to", "lat", "lon")
PARENT_COLUMNS = ("unit", "parent", "valid_from", "valid_to")

# Distinct dates and edges to cache: a country has some thousand.
_CACHE_SIZE = 100_000
# The file that findings about entries name.
_TOPIC = "units"


def days_of_row(row: Mapping[str, str | None]) -> tuple[int, int]:
    """Parse the days `valid_from` and `valid_to` of a row of a registry file; an empty one is open.

    Raises:
        ValueError: a date is malformed or outside 1970-01-01 to 2149-06-06, or `valid_from` is
            after `valid_to`.
    """
    return _days_of_text(row.get("valid_from") or "", row.get("valid_to") or "")


@lru_cache(maxsize=_CACHE_SIZE)
def _days_of_text(valid_from: str, valid_to: str) -> tuple[int, int]:
    return _days(
        date.fromisoformat(valid_from) if valid_from else None,
        date.fromisoformat(valid_to) if valid_to else None,
    )


@lru_cache(maxsize=_CACHE_SIZE)
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


@lru_cache(maxsize=_CACHE_SIZE)
def _edge(parent: str, days: tuple[int, int]) -> Edge:
    """Make an edge; equal edges are one object."""
    return Edge(parent, *days)


def registry_from_csv(files: Mapping[str, Sequence[str]]) -> Registry:
    """Read and check a registry.

    Args:
        files: the lines of each file, by its name. `….units.csv` has the columns unit, level,
            name_en, name_hi, valid_from, valid_to, lat, lon; `….parents.csv` has unit, parent,
            valid_from, valid_to. Dates are ISO dates, both inclusive; an empty one is open.

    Raises:
        RegistryError: with all findings, each with file and line: malformed codes and dates, wrong
            levels, duplicates, unknown parents, circles, overlaps, orphans, gaps.
    """
    draft = RegistryDraft()
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
    draft.dangling = {code: edges[code] for code in edges.keys() - draft.units.keys()}
    return draft.check(lambda: _locate_in_files(files))


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
    files: Mapping[str, Sequence[str]], suffix: str, findings: list[Finding]
) -> Iterator[tuple[str, int, list[str]]]:
    """File, line and cells of each row of the files with a suffix; missing cells are empty."""
    columns = UNIT_COLUMNS if suffix == ".units.csv" else PARENT_COLUMNS
    width = len(columns)
    for name in sorted(
        name for name in files if name.endswith(".units.csv") == (suffix == ".units.csv")
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


def _locate_in_files(files: Mapping[str, Sequence[str]]) -> Locations:
    units: dict[str, tuple[str, int]] = {}
    edges = {}
    for file, line, row in _rows(files, ".units.csv", []):
        with suppress(ValueError):
            units.setdefault(_unit_of_row(row).code, (file, line))
    for file, line, (code, *given) in _rows(files, ".parents.csv", []):
        with suppress(ValueError):
            edges[code, _edge_of_row(*given)] = (file, line)
    return Locations(units, edges)


def registry_from_entries(entries: Iterable[Entry]) -> Registry:
    """Check a registry that comes as entries, as the topic `units` carries it.

    Args:
        entries: instances of the model, or the structs that `schemas.entries` decodes.

    Raises:
        RegistryError: as for `registry_from_csv`; the file is `units`, the line the entry's number.
    """
    draft, entries = RegistryDraft(), list(entries)
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
            draft.findings.append(Finding(_TOPIC, line, str(error)))
        else:
            draft.add(_TOPIC, line, unit, entry.level)
    return draft.check(lambda: _locate_by_number(entry.unit for entry in entries))


def registry_from_units(units: Iterable[Unit]) -> Registry:
    """Check the edges of units whose codes, levels, names and days were checked before.

    Raises:
        RegistryError: as for `registry_from_csv`; the file is `units`, the line the unit's number.
    """
    draft = RegistryDraft()
    draft.units = {unit.code: unit for unit in units}
    return draft.check(lambda: _locate_by_number(draft.units))


def _locate_by_number(codes: Iterable[str]) -> Locations:
    units: dict[str, tuple[str, int]] = {}
    for line, code in enumerate(codes, start=1):
        units.setdefault(code, (_TOPIC, line))
    return Locations(units, {})
