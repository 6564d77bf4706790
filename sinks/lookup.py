"""Look-up of units, metrics and milestones by what a person typed: one way for commands and API.

A look-up is a generator: it yields queries, gets their rows, and returns the codes. `run` drives it
with a connection; the API drives it with its own reader (`api/lookup.py`).
"""

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from clickhouse_driver import Client

from schemas.unit_names import (
    MAX_NEAREST,
    NASALS,
    Named,
    UnknownNameError,
    find_nearest,
    normalise_name,
    parse_code,
)

T = TypeVar("T")


class LookupQuery(NamedTuple):
    """A query of a look-up, with placeholders such as `{name:String}` for its parameters."""

    sql: str
    parameters: Mapping[str, str | list[str]]


Lookup = Generator[LookupQuery, Sequence[Sequence[Any]], T]

_NATION, _UNIT = "IN", "unit"
_PLACEHOLDER = re.compile(r"\{(\w+):[^}]+\}")
_DIGITS = "०१२३४५६७८९"


def fold(text: str) -> str:
    """`schemas.unit_names.normalise_name` in SQL, of SQL of a text."""
    folded = f"lowerUTF8(normalizeUTF8NFC({text}))"
    folded = f"replaceRegexpAll({folded}, '\\\\p{{Cf}}', '')"
    for nasal, following in NASALS:
        folded = f"replaceRegexpAll({folded}, '{nasal}्([{following}])', 'ं\\\\1')"
    folded = f"translateUTF8({folded}, 'ँ{_DIGITS}', 'ं0123456789')"
    return f"trimBoth(replaceRegexpAll({folded}, '[^\\\\p{{L}}\\\\p{{M}}\\\\p{{N}}]+', ' '))"


FOLDED_EN, FOLDED_HI = fold("name_en"), fold("name_hi")
_WITHIN = (
    "({scope:String} = 'IN' OR unit IN"
    " (SELECT unit FROM unit_ancestors WHERE ancestor = {scope:String}))"
)
# Condition on `units`: the code or a name contains a text, see `search_parameters`.
CONTAINS = (
    "({search_code:String} != '' AND position(unit, {search_code:String}) > 0"
    " OR {search_name:String} != ''"
    f" AND (position({FOLDED_EN}, {{search_name:String}}) > 0"
    f" OR position({FOLDED_HI}, {{search_name:String}}) > 0))"
)
_DESCRIPTION = "concat(toString(level), ' ', name_en, ' ', name_hi)"


def find_units(texts: Iterable[str], *, scope: str = _NATION) -> Lookup[list[str]]:
    """Find units by code, or by a name in English or Hindi that no other unit has.

    Args:
        texts: as a person typed them.
        scope: a unit; only those that are or were at or below it are found.

    Returns:
        Their codes, in the same order.

    Raises:
        UnknownNameError: a text names no unit, or several.
    """
    wanted = list(texts)
    codes = [parse_code(text) for text in wanted]
    rows = yield LookupQuery(
        f"SELECT unit FROM units WHERE unit IN {{codes:Array(String)}} AND {_WITHIN}",
        {"codes": sorted({code or "" for code in codes}), "scope": scope},
    )
    known = {row[0] for row in rows}
    found = []
    for text, code in zip(wanted, codes, strict=True):
        found.append(code if code in known else (yield from _find_by_name(text, scope)))
    return [str(code) for code in found]


def _find_by_name(text: str, scope: str) -> Lookup[str]:
    name = normalise_name(text)
    rows = yield LookupQuery(
        f"""
        SELECT unit, {_DESCRIPTION}, count() OVER ()
        FROM units
        WHERE {{name:String}} != '' AND {_WITHIN}
          AND ({FOLDED_EN} = {{name:String}} OR {FOLDED_HI} = {{name:String}})
        ORDER BY level, unit
        LIMIT {MAX_NEAREST}
        """,
        {"name": name, "scope": scope},
    )
    if len(rows) == 1:
        return str(rows[0][0])
    if rows:
        choices = [Named(row[0], row[1]) for row in rows]
        raise UnknownNameError(_UNIT, text, choices, several=int(rows[0][2]))
    nearest = yield from search_units(text, scope=scope, limit=MAX_NEAREST)
    where = "the registry" if scope == _NATION else f"the registry at or below {scope}"
    raise UnknownNameError(_UNIT, text, nearest, where=where)


def search_units(
    text: str, *, scope: str = _NATION, limit: int = 20, only_containing: bool = False
) -> Lookup[list[Named]]:
    """Find the units whose code or name contains a text, and then those that are alike."""
    rows = yield LookupQuery(
        f"""
        SELECT unit, {_DESCRIPTION}, toString(level), name_en, name_hi
        FROM units
        WHERE {_WITHIN} {f"AND {CONTAINS}" if only_containing else ""}
        ORDER BY {CONTAINS} ? 0 : least(
            damerauLevenshteinDistance(unit, {{search_code:String}}),
            editDistanceUTF8({FOLDED_EN}, {{search_name:String}}),
            editDistanceUTF8({FOLDED_HI}, {{search_name:String}})
        ), level, unit
        LIMIT {limit}
        """,
        {**search_parameters(text), "scope": scope},
    )
    return [Named(*row) for row in rows]


def search_parameters(text: str) -> dict[str, str]:
    """Values for the placeholders of `CONTAINS`."""
    return {
        "search_code": (parse_code(text) or text.strip().upper())[:80],
        "search_name": normalise_name(text)[:200],
    }


def find_metrics(texts: Iterable[str]) -> Lookup[list[str]]:
    """Check names of metrics.

    Raises:
        UnknownNameError: the metric dictionary has no such metric.
    """
    return (
        yield from _find_listed(
            "metric",
            texts,
            "SELECT metric, concat(name_en, ' ', name_hi) FROM metrics ORDER BY position",
            "the metric dictionary",
        )
    )


def find_milestones(texts: Iterable[str]) -> Lookup[list[str]]:
    """Check names of milestones.

    Raises:
        UnknownNameError: no plan in force has such a milestone.
    """
    return (
        yield from _find_listed(
            "milestone",
            texts,
            "SELECT milestone, concat(name_en, ' ', name_hi) FROM milestones ORDER BY position",
            "the plans in force",
        )
    )


def _find_listed(kind: str, texts: Iterable[str], sql: str, where: str) -> Lookup[list[str]]:
    wanted = list(texts)
    if not wanted:
        return []
    rows = yield LookupQuery(sql, {})
    known = list({row[0]: Named(row[0], row[1]) for row in rows}.values())
    names = {one.code for one in known}
    for text in wanted:
        if text not in names:
            raise UnknownNameError(kind, text, find_nearest(text, known), where=where)
    return wanted


def _for_driver(query: LookupQuery) -> tuple[str, dict[str, Any]]:
    """A query with the placeholders of clickhouse-driver, which fills them in itself."""
    return _PLACEHOLDER.sub(r"%(\1)s", query.sql), dict(query.parameters)


def run(client: Client, lookup: Lookup[T]) -> T:
    """Drive a look-up with a connection."""
    rows: Sequence[Sequence[Any]] | None = None
    while True:
        try:
            query = next(lookup) if rows is None else lookup.send(rows)
        except StopIteration as end:
            result: T = end.value
            return result
        rows = client.execute(*_for_driver(query))
