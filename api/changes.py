"""The change feed: each figure that changed since a cursor, once per range and in order.

A cursor is a position in what the workers have made durable, not a time. A worker first writes a
chunk's figures and then, in `chunks`, its next offset. A reader that reads `chunks` first and the
figures afterwards therefore sees every figure up to that position, however late it was written.
Three things change figures:

1. A flush: its journal entries have versions (offsets) from the last position on.
2. The close of a chunk that more than one attempt wrote: it repairs strays below positions that
   have been served already. All figures of such a chunk are served again.
3. A repair, once it is complete.

A range ends at the position read for its first page; later changes are in the next range. The
cursor of a page marks where the next page begins. A figure that is gone is served with
`deleted` = 1.
"""

import base64
import binascii
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from api.clickhouse import Reader, Value
from api.problems import parameter_problem
from api.query import Query, Selection, apply_scope
from pravah.problems import Problem

COLUMNS = ("day", "level", "unit", "metric", "value", "verified_value", "deleted")
SORTED_BY = ("level", "metric", "unit", "day")

_STOCKS = "(SELECT metric FROM metrics WHERE type = 'stock')"
_Key = Annotated[str, StringConstraints(max_length=80)]
# As the columns of `chunks` and `journal` hold them, and as `query_changes` binds them.
_Partition = Annotated[int, Field(ge=0, lt=2**31)]
_Offset = Annotated[int, Field(ge=0, lt=2**63)]


class Position(BaseModel):
    """Position of the figures in the log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: str = Field(max_length=64)
    """Changes when the figures are rebuilt: a copy must then begin without a cursor."""
    reach: dict[_Partition, _Offset]
    """Partition → next offset after the last durable record."""
    closed: dict[_Partition, _Offset]
    """Partition → start of its last closed chunk."""
    repair: _Offset
    """Number of the last complete repair."""


class Cursor(BaseModel):
    """Position between two pages, or between two ranges."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Position | None
    """Start of the range; None: all figures."""
    until: Position | None = None
    """End of the range; None: the range has not begun."""
    after: tuple[_Key, _Key, _Key, _Key] | None = None
    """Key of the last row served, by `SORTED_BY`."""

    def encode(self) -> str:
        """The cursor encoded for a URL."""
        return (
            base64.urlsafe_b64encode(self.model_dump_json(exclude_defaults=True).encode())
            .decode()
            .rstrip("=")
        )

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Decode a cursor.

        Raises:
            Problem: 400, it is not a cursor of this service.
        """
        try:
            return cls.model_validate_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValidationError, binascii.Error, ValueError):
            detail = "it was not issued by this service, or is incomplete; begin without one"
            raise parameter_problem({"cursor": detail}) from None


# The current position, in rows of any order. FINAL is not needed: an attempt's offset only grows,
# and what is closed or complete stays so.
POSITION_SQL = """
    SELECT
        'chunks' AS what, partition, max(next_offset) AS reach,
        maxIf(toInt64(chunk), closed = 1) AS start, max(closed) AS any_closed, '' AS text
    FROM chunks
    GROUP BY partition
    UNION ALL SELECT 'repair', 0, max(repair), 0, 0, '' FROM repairs WHERE complete
    UNION ALL SELECT 'epoch', 0, 0, 0, 0, argMax(value, at) FROM deployment WHERE name = 'rebuilt'
"""


async def read_position(reader: Reader) -> Position:
    """Read the current position."""
    rows = sorted(await reader.rows(POSITION_SQL))
    chunks = [row[1:5] for row in rows if row[0] == "chunks"]
    (repair,) = (row[2] for row in rows if row[0] == "repair")
    (epoch,) = (row[5] for row in rows if row[0] == "epoch")
    return Position(
        epoch=epoch,
        reach={partition: reach for partition, reach, _, _ in chunks},
        closed={partition: start for partition, _, start, any_closed in chunks if any_closed},
        repair=repair,
    )


async def open_range(reader: Reader, cursor: Cursor | None) -> Cursor:
    """The range that a page belongs to: the cursor's, or a new one up to the current position.

    Raises:
        Problem: 410, the figures have been rebuilt since the cursor was issued.
    """
    cursor = cursor or Cursor(since=None)
    now = await read_position(reader)
    if any(
        known is not None and known.epoch != now.epoch for known in (cursor.since, cursor.until)
    ):
        raise Problem(
            HTTPStatus.GONE,
            "cursor: the figures have been rebuilt since it was issued; discard your copy and"
            " begin without one",
        )
    return cursor if cursor.until is not None else Cursor(since=cursor.since, until=now)


def query_changes(cursor: Cursor, selection: Selection) -> Query:
    """The query for the rows of a range."""
    if cursor.since is None:
        rows = apply_scope("rollups", selection, [])
        sql = f"""
            SELECT
                day, toString(level) AS level, unit, metric, value, verified_value, 0 AS deleted
            FROM ({rows.sql})
        """
        return rows.query(sql, COLUMNS, SORTED_BY)
    assert cursor.until is not None
    since, until = cursor.since, cursor.until
    keys = f"""
        SELECT DISTINCT level, metric, unit, day FROM journal
        WHERE (partition >= 0 AND version >= {_at("reach_from")} AND version < {_at("reach_to")})
           OR (partition >= 0 AND (partition, chunk) IN (
                SELECT partition, chunk
                FROM chunks
                WHERE toInt64(chunk) > {_at("closed_from", -1)}
                  AND toInt64(chunk) <= {_at("closed_to", -1)}
                GROUP BY partition, chunk
                HAVING max(closed) = 1 AND uniqExact(attempt) > 1
           ))
           OR (partition = -1 AND chunk > {{repair_from:UInt64}} AND chunk <= {{repair_to:UInt64}})
    """
    # a stock that changes on a day changes its values on all later days as well
    sql = f"""
        WITH
            keys AS ({keys}),
            series AS (
                SELECT level, metric, unit, min(day) AS first, metric IN {_STOCKS} AS is_stock
                FROM keys
                GROUP BY level, metric, unit
            ),
            current AS (
                SELECT
                    r.day AS day, r.level AS level, r.unit AS unit, r.metric AS metric,
                    r.value AS value, r.verified_value AS verified_value, s.is_stock AS is_stock
                FROM (
                    SELECT * FROM rollups
                    WHERE (level, metric, unit) IN (SELECT level, metric, unit FROM series)
                ) AS r
                INNER JOIN series AS s
                  ON s.level = r.level AND s.metric = r.metric AND s.unit = r.unit
                WHERE r.day >= s.first
            )
        SELECT day, level, unit, metric, value, verified_value, 0 AS deleted
        FROM current
        WHERE is_stock OR (level, metric, unit, day) IN (SELECT level, metric, unit, day FROM keys)
        UNION ALL
        SELECT day, level, unit, metric, toInt64(0), toInt64(0), 1 AS deleted
        FROM keys
        WHERE (level, metric, unit, day) NOT IN (SELECT level, metric, unit, day FROM current)
    """
    rows = apply_scope(f"({sql})", selection, [])
    bound: dict[str, Value] = {
        **_offsets("reach_from", since.reach),
        **_offsets("reach_to", until.reach),
        **_offsets("closed_from", since.closed),
        **_offsets("closed_to", until.closed),
        "repair_from": since.repair,
        "repair_to": until.repair,
    }
    outer = f"""
        SELECT day, toString(level) AS level, unit, metric, value, verified_value, deleted
        FROM ({rows.sql})
    """
    return rows.query(outer, COLUMNS, SORTED_BY, bound)


def next_cursor(cursor: Cursor, last: Sequence[str] | None) -> Cursor:
    """The cursor after a page.

    Args:
        cursor: of the page.
        last: key of the page's last row; None if the range ends with the page.
    """
    if last is None:
        return Cursor(since=cursor.until)
    return Cursor(
        since=cursor.since, until=cursor.until, after=(last[0], last[1], last[2], last[3])
    )


def _at(name: str, default: int = 0) -> str:
    """SQL for the offset of the row's partition, bound by `_offsets`."""
    keys, values = f"{{{name}_partitions:Array(Int32)}}", f"{{{name}:Array(Int64)}}"
    return f"transform(partition, {keys}, {values}, toInt64({default}))"


def _offsets(name: str, offsets: dict[int, int]) -> dict[str, Value]:
    # `transform` needs at least one pair
    known = offsets or {-2: 0}
    return {f"{name}_partitions": list(known), name: list(known.values())}
