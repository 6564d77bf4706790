"""Units by code or name, with what is above and below them.

They are those of the deployment or, where nothing runs, those of the registry that comes with
Pravah.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import NamedTuple, Protocol

from clickhouse_driver import Client

import reference
from pravah.days import FIRST_DAY, LAST_DAY, date_of, day_of
from pravah.settings import Settings
from pravah.units import LEVELS, RANK, Level
from schemas.registry import Registry
from schemas.unit_names import Named, find_unit_in, search_units_in
from sinks.connection import connect
from sinks.lookup import find_units, run, search_units


class DatedUnit(NamedTuple):
    """A unit and some of its days; None for an open end."""

    unit: str
    level: Level
    name_en: str
    name_hi: str
    valid_from: date | None
    valid_to: date | None


class Branch(NamedTuple):
    """A unit in the hierarchy of a day."""

    unit: str
    level: Level
    name_en: str
    name_hi: str
    parent: str
    """The nearest unit above it on that day; empty for the nation."""


class UnitDirectory(Protocol):
    """Where units are looked up."""

    def find(self, text: str) -> str:
        """Return the code of the unit that a text names.

        Raises:
            UnknownNameError: it names no unit, or several.
        """

    def search(self, text: str, limit: int, *, only_containing: bool) -> list[Named]:
        """Return the units whose code or name contains a text, and then those that are alike."""

    def spans(self, code: str) -> list[DatedUnit]:
        """Return the unit and each unit above it with the days on which it is, from the top."""

    def branches(self, code: str, day: date, depth: int) -> list[Branch]:
        """Return the unit, and units so many levels below it on a day, in order of their codes."""


@contextmanager
def open_directory(settings: Settings) -> Iterator[tuple[UnitDirectory, bool]]:
    """Open the directory of the deployment, or of the registry that comes with Pravah.

    Yields:
        The directory, and whether it is the deployment's.
    """
    if not settings.clickhouse.users:
        from operations.registry_files import read_registry_files

        yield RegistryDirectory(read_registry_files(reference.registry_files())), False
        return
    with connect(settings.clickhouse, "grafana") as client:
        yield ClickHouseDirectory(client), True


class RegistryDirectory:
    """Units of a registry in memory."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def find(self, text: str) -> str:
        """See `UnitDirectory`."""
        return find_unit_in(self._registry, text)

    def search(self, text: str, limit: int, *, only_containing: bool) -> list[Named]:
        """See `UnitDirectory`."""
        return search_units_in(self._registry, text, limit, only_containing=only_containing)

    def spans(self, code: str) -> list[DatedUnit]:
        """See `UnitDirectory`."""
        found = []
        for span in sorted(
            self._registry.spans(code), key=lambda one: (RANK[one.level], one.first)
        ):
            unit = self._registry.units[span.ancestor]
            days = (_open(date_of(span.first)), _open(date_of(span.last)))
            found.append(DatedUnit(unit.code, unit.level, unit.name_en, unit.name_hi, *days))
        return found

    def branches(self, code: str, day: date, depth: int) -> list[Branch]:
        """See `UnitDirectory`."""
        number = day_of(day)
        lowest = RANK[self._registry.units[code].level] + depth
        found = []
        for unit in self._registry.units.values():
            if RANK[unit.level] > lowest or not self._registry.is_at_or_below(
                unit.code, code, number
            ):
                continue
            line = self._registry.line_above(unit.code, number)
            above: dict[Level, str] = {}
            while line is not None:
                above[line.level] = line.head
                line = line.rest
            parent = above[max(above, key=RANK.__getitem__)] if above else ""
            found.append(Branch(unit.code, unit.level, unit.name_en, unit.name_hi, parent))
        return sorted(found)


class ClickHouseDirectory:
    """Units of a deployment."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def find(self, text: str) -> str:
        """See `UnitDirectory`."""
        return run(self._client, find_units([text]))[0]

    def search(self, text: str, limit: int, *, only_containing: bool) -> list[Named]:
        """See `UnitDirectory`."""
        return run(self._client, search_units(text, limit=limit, only_containing=only_containing))

    def spans(self, code: str) -> list[DatedUnit]:
        """See `UnitDirectory`."""
        rows = self._client.execute(
            """
            SELECT a.ancestor, toString(a.ancestor_level), u.name_en, u.name_hi, a.valid_from,
                   a.valid_to
            FROM unit_ancestors AS a
            INNER JOIN units AS u ON u.unit = a.ancestor
            WHERE a.unit = %(unit)s
            ORDER BY a.ancestor_level, a.valid_from
            """,
            {"unit": code},
        )
        return [DatedUnit(*row[:4], *map(_open, row[4:])) for row in rows]

    def branches(self, code: str, day: date, depth: int) -> list[Branch]:
        """See `UnitDirectory`."""
        rows = self._client.execute(
            """
            SELECT u.unit, toString(u.level), u.name_en, u.name_hi, p.parent
            FROM units AS u
            LEFT JOIN (
                SELECT unit, argMax(ancestor, ancestor_level) AS parent
                FROM unit_ancestors
                WHERE ancestor != unit AND %(day)s BETWEEN valid_from AND valid_to
                GROUP BY unit
            ) AS p ON p.unit = u.unit
            WHERE u.unit IN (
                SELECT unit FROM unit_ancestors
                WHERE ancestor = %(unit)s AND %(day)s BETWEEN valid_from AND valid_to
            ) AND toString(u.level) IN %(levels)s
            ORDER BY u.unit
            """,
            {"unit": code, "day": day, "levels": self._levels(code, depth)},
        )
        return [Branch(*row) for row in rows]

    def _levels(self, code: str, depth: int) -> list[Level]:
        ((level,),) = self._client.execute(
            "SELECT toString(level) FROM units WHERE unit = %(unit)s", {"unit": code}
        )
        at = LEVELS.index(level)
        return list(LEVELS[at : at + depth + 1])


def _open(day: date) -> date | None:
    return None if day in {date_of(FIRST_DAY), date_of(LAST_DAY)} else day
