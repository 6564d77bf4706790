"""The feed of changes: every figure that changed since a cursor, once, in order, with what is gone told as gone.

A cursor is a position in what the workers have made durable, not a time. A worker writes a chunk's figures first and tells afterwards, in `chunks`, how far it has come; so
whoever reads `chunks` first and the figures afterwards has every figure up to there, however late it was written. Three things change figures:

1. A flush: its journal entries have versions (offsets) from the last position on.
2. The close of a chunk that more than one attempt wrote: strays are mended below positions that were told before. All figures of such a chunk are told again.
3. A repair, once it is complete.

A page ends with a cursor that says where the next one begins. The end of a range is fixed when its first page is asked for, so what changes meanwhile comes in the next range.
"""

import base64
import binascii
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from api.clickhouse import Reader, Value
from api.query import Query, Selection, restricted
from pravah.problems import Problem

COLUMNS = ("day", "level", "unit", "metric", "value", "verified_value", "deleted")
SORTED_BY = ("level", "metric", "unit", "day")

_STOCKS = "(SELECT metric FROM metrics WHERE type = 'stock')"
Code = Annotated[str, StringConstraints(max_length=80)]


class Position(BaseModel):
    """How far the figures have come."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: str = Field(max_length=64)
    """Another one after the figures were rebuilt: then all must be taken anew."""
    reach: dict[int, int]
    """Partition → the offset behind the last durable record."""
    closed: dict[int, int]
    """Partition → the start of its last closed chunk."""
    repair: int
    """The last complete repair."""


class Cursor(BaseModel):
    """Between two pages, or between two ranges."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Position | None
    """Where the range begins; None: at the beginning of all."""
    until: Position | None = None
    """Where it ends; None: it has not been begun."""
    after: tuple[Code, Code, Code, Code] | None = None
    """The last row that was told, by `SORTED_BY`."""

    def text(self) -> str:
        """As it stands in a URL."""
        return (
            base64.urlsafe_b64encode(self.model_dump_json(exclude_defaults=True).encode())
            .decode()
            .rstrip("=")
        )

    @classmethod
    def from_text(cls, text: str) -> "Cursor":
        """Back.

        Raises:
            Problem: it is none of ours.
        """
        try:
            return cls.model_validate_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValidationError, binascii.Error, ValueError):
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "cursor: it was not given out by this service, or was cut off; begin without one",
            ) from None


POSITION = """
    SELECT
        'chunks' AS what, partition, max(next_offset) AS reach,
        maxIf(toInt64(chunk), closed = 1) AS start, max(closed) AS any_closed, '' AS text
    FROM chunks
    GROUP BY partition
    UNION ALL SELECT 'repair', 0, max(repair), 0, 0, '' FROM repairs WHERE complete
    UNION ALL SELECT 'epoch', 0, 0, 0, 0, argMax(value, at) FROM deployment WHERE name = 'rebuilt'
"""
"""How far the figures have come now, in rows of any order. Without FINAL: an attempt's offset only grows, and what is closed or complete stays so."""


async def position(reader: Reader) -> Position:
    """How far the figures have come now."""
    rows = sorted(await reader.rows(POSITION))
    chunks = [row[1:5] for row in rows if row[0] == "chunks"]
    (repair,) = (row[2] for row in rows if row[0] == "repair")
    (epoch,) = (row[5] for row in rows if row[0] == "epoch")
    return Position(
        epoch=epoch,
        reach={partition: reach for partition, reach, _, _ in chunks},
        closed={partition: start for partition, _, start, any_closed in chunks if any_closed},
        repair=repair,
    )


async def begin(reader: Reader, cursor: Cursor | None) -> Cursor:
    """The range in which a page lies: the one that was begun, or a new one up to now.

    Raises:
        Problem: the figures were rebuilt since the cursor was given out.
    """
    cursor = cursor or Cursor(since=None)
    now = await position(reader)
    if any(
        known is not None and known.epoch != now.epoch for known in (cursor.since, cursor.until)
    ):
        raise Problem(
            HTTPStatus.GONE,
            "cursor: the figures were rebuilt since it was given out; begin without one, and drop"
            " what you have",
        )
    return cursor if cursor.until is not None else Cursor(since=cursor.since, until=now)


def changes(cursor: Cursor, selection: Selection) -> Query:
    """The rows of a range."""
    if cursor.since is None:
        inner, parameters = restricted("rollups", selection, [])
        sql = (
            "SELECT day, toString(level) AS level, unit, metric, value, verified_value, 0 AS"
            f" deleted FROM ({inner})"
        )
        return Query(sql, parameters, COLUMNS, SORTED_BY)
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
                GROUP BY partition, chunk HAVING max(closed) = 1 AND uniqExact(attempt) > 1
           ))
           OR (partition = -1 AND chunk > {{repair_from:UInt64}} AND chunk <= {{repair_to:UInt64}})
    """
    # a change of a stock moves its value on all later days as well
    sql = f"""
        WITH keys AS ({keys}),
             series AS (
                 SELECT level, metric, unit, min(day) AS first, metric IN {_STOCKS} AS is_stock
                 FROM keys
                 GROUP BY level, metric, unit
             ),
             standing
               AS (SELECT r.day AS day, r.level AS level, r.unit AS unit, r.metric AS metric, r.value AS value, r.verified_value AS verified_value, s.is_stock AS is_stock
                          FROM (
                              SELECT *
                              FROM rollups
                              WHERE (level, metric, unit) IN (
                                  SELECT level, metric, unit FROM series
                              )
                          ) AS r
                          INNER JOIN series AS s ON s.level = r.level AND s.metric = r.metric
                            AND s.unit = r.unit
                          WHERE r.day >= s.first)
        SELECT day, level, unit, metric, value, verified_value, 0 AS deleted FROM standing
        WHERE is_stock OR (level, metric, unit, day) IN (SELECT level, metric, unit, day FROM keys)
        UNION ALL
        SELECT day, level, unit, metric, toInt64(0), toInt64(0), 1 AS deleted FROM keys
        WHERE (level, metric, unit, day) NOT IN (SELECT level, metric, unit, day FROM standing)
    """
    inner, parameters = restricted(f"({sql})", selection, [])
    bound: dict[str, Value] = {
        **_offsets("reach_from", since.reach),
        **_offsets("reach_to", until.reach),
        **_offsets("closed_from", since.closed),
        **_offsets("closed_to", until.closed),
        "repair_from": since.repair,
        "repair_to": until.repair,
    }
    outer = (
        "SELECT day, toString(level) AS level, unit, metric, value, verified_value, deleted FROM"
        f" ({inner})"
    )
    return Query(outer, {**parameters, **bound}, COLUMNS, SORTED_BY)


def following(cursor: Cursor, last: Sequence[str] | None) -> Cursor:
    """What comes after a page: the next page behind its last row, or the next range."""
    if last is None:
        return Cursor(since=cursor.until)
    return Cursor(
        since=cursor.since, until=cursor.until, after=(last[0], last[1], last[2], last[3])
    )


def _at(name: str, default: int = 0) -> str:
    """The offset of the row's partition."""
    keys, values = f"{{{name}_partitions:Array(Int32)}}", f"{{{name}:Array(Int64)}}"
    return f"transform(partition, {keys}, {values}, toInt64({default}))"


def _offsets(name: str, offsets: dict[int, int]) -> dict[str, Value]:
    # `transform` wants at least one pair
    known = offsets or {-2: 0}
    return {f"{name}_partitions": list(known), name: list(known.values())}
