"""Names beside codes: columns in English and Hindi for each unit, metric and milestone of a row."""

from api.query import Query

# Column → the relation that has its names. Rows have names of units that are in their columns.
_SOURCES = {
    "unit": "(SELECT unit AS code, name_en, name_hi FROM units)",
    "metric": "(SELECT metric AS code, name_en, name_hi FROM metrics)",
    "milestone": """(
        SELECT milestone AS code, name_en, name_hi
        FROM milestones ORDER BY plan, position LIMIT 1 BY milestone
    )""",
}
_PLURALS = {"units": "unit"}


def with_names(query: Query) -> Query:
    """Add two columns behind each `unit`, `metric` and `milestone`: `unit_name_en`, `unit_name_hi`.

    `units`, a list, gets `unit_names_en` and `unit_names_hi`, lists in the same order.
    """
    columns: list[str] = []
    tables: list[str] = []
    expressions: list[str] = []
    for column in query.columns:
        columns.append(column)
        expressions.append(column)
        kind = _PLURALS.get(column, column)
        # the metric dictionary's `unit` is one of measurement; its rows have no level
        if kind not in _SOURCES or (column == "unit" and "level" not in query.columns):
            continue
        tables.append(
            "(SELECT (groupArray(toString(code)), groupArray(name_en), groupArray(name_hi))"
            f" FROM {_SOURCES[kind]}) AS names_of_{kind}"
        )
        for place, language in ((2, "en"), (3, "hi")):
            name = f"{kind}_name{'s' if column in _PLURALS else ''}_{language}"
            columns.append(name)
            expressions.append(f"{_translate(column, kind, place)} AS {name}")
    if not tables:
        return query
    sql = f"WITH {', '.join(tables)} SELECT {', '.join(expressions)} FROM ({query.sql})"
    return query.over(sql, tuple(columns), query.sorted_by)


def _translate(column: str, kind: str, place: int) -> str:
    """SQL of the name that belongs to a code, or of those of a list of codes."""
    names = f"names_of_{kind}"
    if column in _PLURALS:
        return f"arrayMap(code -> transform(code, {names}.1, {names}.{place}, ''), {column})"
    return f"transform(toString({column}), {names}.1, {names}.{place}, '')"
