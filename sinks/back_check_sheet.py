"""What a sheet for the field says of a unit: its name, where it is, and whom to call."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from clickhouse_driver import Client

from schemas.contacts import Language

_ROLE = "in-charge"
# Beside a unit's own name, those of these levels above it.
_NAMED_LEVELS = frozenset({"assembly", "district"})


@dataclass(frozen=True)
class UnitOnSheet:
    """A unit as people know it."""

    names: dict[Language, str]
    """Its name, and those of its assembly and district today."""
    call: dict[Language, str]
    """Who holds the nearest office of an in-charge, its own or above it; empty if nobody does."""
    phone: str


def units_on_sheet(client: Client, units: Collection[str]) -> dict[str, UnitOnSheet]:
    """Find the names of units, and the nearest in-charge of each.

    Args:
        client: the writer's; others may not read contacts.
        units: codes.
    """
    query = """
        SELECT a.unit, a.ancestor, toString(a.ancestor_level), u.name_hi, u.name_en,
               c.name, c.phone
        FROM (
            SELECT unit, ancestor, ancestor_level,
                   toDate(now(), 'Asia/Kolkata') BETWEEN valid_from AND valid_to AS is_now, valid_to
            FROM unit_ancestors
            WHERE unit IN %(units)s
            ORDER BY is_now DESC, valid_to DESC
            LIMIT 1 BY unit, ancestor_level
        ) AS a
        INNER JOIN units AS u ON u.unit = a.ancestor
        LEFT JOIN (SELECT unit, name, phone FROM contacts WHERE role = %(role)s) AS c
            ON c.unit = a.ancestor
        ORDER BY a.unit, a.ancestor_level DESC
    """
    rows = client.execute(query, {"units": sorted(units), "role": _ROLE}) if units else []
    found = {}
    for unit, group in groupby(rows, key=itemgetter(0)):
        line = list(group)
        shown = [row for row in line if row[1] == unit or row[2] in _NAMED_LEVELS]
        office = next((row for row in line if row[6]), None)
        found[unit] = UnitOnSheet(
            {"hi": ", ".join(row[3] for row in shown), "en": ", ".join(row[4] for row in shown)},
            {"hi": _name_person(office, 3), "en": _name_person(office, 4)},
            "" if office is None else office[6],
        )
    return found


def _name_person(office: Sequence[str] | None, name: int) -> str:
    """The person's name, with that of the unit if it is one above."""
    if office is None:
        return ""
    return office[5] if office[0] == office[1] else f"{office[5]}, {office[name]}"
