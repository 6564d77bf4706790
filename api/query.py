"""Building blocks of the API's SQL: the scope, a query with bound parameters, and page cursors.

Pure. A query is built from rows, and rows come from one of three functions only: `apply_scope`
restricts a relation to units at or below the token's unit, by the hierarchy of the row's own day;
`units_in_scope` are the registry's units that ever were at or below it; `read_open_table` is for
tables without data of units.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import orjson

from api.clickhouse import Value
from api.problems import parameter_problem
from pravah.units import Level
from schemas.access import Scope
from schemas.scopes import OPEN_TABLES


@dataclass(frozen=True)
class Query:
    """A query with its parameters. `Rows.query` builds it."""

    sql: str
    parameters: Mapping[str, Value]
    columns: tuple[str, ...]
    """Columns of the response."""
    sorted_by: tuple[str, ...]
    """Columns that order the rows; their values identify a row."""

    def over(self, sql: str, columns: tuple[str, ...], sorted_by: tuple[str, ...]) -> "Query":
        """A query over the rows of this one.

        Args:
            sql: reads this query's SQL.
            columns: of the response.
            sorted_by: columns that order the rows.
        """
        return Rows(self.sql, self.parameters).query(sql, columns, sorted_by)

    def page(self, limit: int, after: Sequence[str] | None) -> "Query":
        """The first `limit` rows after the one with these values of `sorted_by`."""
        rest = self.after(after)
        return replace(
            rest,
            sql=f"{rest.sql} LIMIT {{page_limit:UInt64}}",
            parameters={**rest.parameters, "page_limit": limit},
        )

    def after(self, values: Sequence[str] | None) -> "Query":
        """All rows in order, after the one with these values of `sorted_by`; None: from the start.

        Keys are compared as text: they are text or days, and ISO days sort as their text does.
        """
        order = ", ".join(self.sorted_by)
        if values is None:
            return replace(self, sql=f"SELECT * FROM ({self.sql}) ORDER BY {order}")
        keys = ", ".join(f"toString({column})" for column in self.sorted_by)
        names = ", ".join(f"{{after_{number}:String}}" for number in range(len(values)))
        parameters = {
            **self.parameters,
            **{f"after_{number}": value for number, value in enumerate(values)},
        }
        return replace(
            self,
            sql=f"SELECT * FROM ({self.sql}) WHERE ({keys}) > ({names}) ORDER BY {order}",
            parameters=parameters,
        )


@dataclass(frozen=True)
class Rows:
    """Rows that a token may read: SQL and its parameters."""

    sql: str
    parameters: Mapping[str, Value]

    def query(
        self,
        sql: str,
        columns: tuple[str, ...],
        sorted_by: tuple[str, ...],
        parameters: Mapping[str, Value] | None = None,
    ) -> Query:
        """A query over these rows.

        Args:
            sql: reads the SQL of these rows.
            columns: of the response.
            sorted_by: columns that order the rows; their values identify a row.
            parameters: besides those of the rows.

        Raises:
            ValueError: the query does not read these rows, or has other values for their
                parameters.
        """
        if self.sql not in sql:
            msg = "a query must read the rows that its scope allows"
            raise ValueError(msg)
        if set(parameters or {}) & set(self.parameters):
            msg = "a query must not replace parameters of its scope"
            raise ValueError(msg)
        return Query(sql, {**self.parameters, **(parameters or {})}, columns, sorted_by)


def encode_cursor(values: Sequence[str]) -> str:
    """A row's values of `sorted_by`, encoded for a URL."""
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def decode_cursor(text: str, count: int) -> list[str]:
    """Decode a cursor.

    Args:
        text: from `encode_cursor`.
        count: number of columns in `sorted_by`.

    Raises:
        Problem: 400, the cursor is not valid for this path.
    """
    try:
        values = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        values = None
    if (
        not isinstance(values, list)
        or len(values) != count
        or not all(isinstance(value, str) for value in values)
    ):
        detail = "it was not issued for this path, or is incomplete; begin without one"
        raise parameter_problem({"cursor": detail})
    return values


@dataclass(frozen=True)
class Selection:
    """Which rows a request selects."""

    holder: Scope
    """Scope of the request's token."""
    units: tuple[str, ...] = ()
    """Units, or what is below them if `level` is given; the token's unit if empty."""
    level: Level | None = None
    metrics: tuple[str, ...] = ()
    """All if empty."""
    first: date | None = None
    last: date | None = None
    include_descendants: bool = False
    """Select the units and everything below them, of every level."""

    @property
    def chosen(self) -> tuple[str, ...]:
        """The selected units."""
        return self.units or (self.holder.unit,)


def apply_scope(
    source: str, selection: Selection, conditions: list[str], *, hierarchy: str = "unit_ancestors"
) -> Rows:
    """Restrict a relation to the rows that are selected and within the token's scope.

    The hierarchy of the row's day decides which units are below which. A unit's own rows are
    within its scope on every day.

    Args:
        source: a relation with the columns `day`, `level`, `unit` and `metric`.
        selection: what the request selects.
        conditions: further conditions in SQL.
        hierarchy: a relation with the columns of `unit_ancestors`.
    """
    chosen, scope = selection.chosen, selection.holder.unit
    parameters: dict[str, Value] = {"chosen": chosen}
    ancestors = []
    conditions = list(conditions)
    if selection.level is None and not selection.include_descendants:
        conditions.append("unit IN {chosen:Array(String)}")
    else:
        if selection.level is not None:
            conditions.append("level = {level:String}")
            parameters["level"] = selection.level
        if chosen != ("IN",):
            ancestors.append("ancestor IN {chosen:Array(String)}")
    if scope != "IN" and (chosen != (scope,)):
        ancestors.append("ancestor = {scope:String}")
        parameters["scope"] = scope
    conditions += [
        f"unit IN (SELECT unit FROM {hierarchy} WHERE {ancestor})" for ancestor in ancestors
    ]
    if selection.metrics:
        conditions.append("metric IN {metrics:Array(String)}")
        parameters["metrics"] = selection.metrics
    sql = f"SELECT * FROM {source}" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
    for number, ancestor in enumerate(ancestors):
        spans = f"s{number}"
        sql = f"""
            SELECT r.* FROM ({sql}) AS r
            SEMI LEFT JOIN (
                SELECT unit, valid_from, valid_to FROM {hierarchy} WHERE {ancestor}
            ) AS {spans}
            ON {spans}.unit = r.unit
              AND r.day >= {spans}.valid_from AND r.day <= {spans}.valid_to
        """
    return Rows(sql, parameters)


def units_in_scope(selection: Selection) -> Rows:
    """Units of the registry that are or were at or below the chosen ones, and the token's unit."""
    below = "SELECT unit FROM unit_ancestors WHERE ancestor"
    conditions = [f"unit IN ({below} IN {{chosen:Array(String)}})"]
    parameters: dict[str, Value] = {"chosen": selection.chosen}
    if selection.holder.unit != "IN":
        conditions.append(f"unit IN ({below} = {{scope:String}})")
        parameters["scope"] = selection.holder.unit
    if selection.level is not None:
        conditions.append("level = {level:String}")
        parameters["level"] = selection.level
    return Rows(f"SELECT * FROM units WHERE {' AND '.join(conditions)}", parameters)


def read_open_table(name: str) -> Rows:
    """All rows of a table without data of units.

    Raises:
        ValueError: the table has data of units.
    """
    if name not in OPEN_TABLES:
        msg = f"{name} has data of units: read it within a scope"
        raise ValueError(msg)
    return Rows(f"SELECT * FROM {name}", {})
