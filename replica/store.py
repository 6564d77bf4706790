"""Headquarters' copies of a state's figures: as Parquet files, or in a ClickHouse of its own.

A copy takes pages of the feed of changes and remembers, with each, the cursor of the next one, so that it can be killed at any moment and goes on where it was.
"""

import shutil
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from clickhouse_driver import Client

Row = dict[str, Any]
"""One of the feed: `day` (ISO), `level`, `unit`, `metric`, `value`, `verified_value`, `deleted`."""
Total = tuple[str, str, str, int, int]
"""Level, unit, metric, value, verified value."""

_PAGE_SCHEMA = pa.schema(
    [
        *(
            ("level", pa.string()),
            ("unit", pa.string()),
            ("metric", pa.string()),
            ("day", pa.date32()),
        ),
        *(("value", pa.int64()), ("verified_value", pa.int64()), ("deleted", pa.int8())),
    ]
)
_CURSOR = b"pravah.cursor"
_KEY = "level, metric, unit, day"


class Copy(Protocol):
    """A copy of one source's figures."""

    def cursor(self) -> str | None:
        """Where to go on; None: at the beginning."""

    def apply(self, rows: Sequence[Row], following: str) -> None:
        """Take a page, and the cursor of the next one, both or neither."""

    def begin_anew(self) -> None:
        """Forget everything: the source was rebuilt."""

    def settle(self) -> None:
        """All there is for now was taken."""

    def totals(self, level: str, day: str, stocks: Sequence[str]) -> Iterator[Total]:
        """Flows up to a day (ISO) and stocks on it, at one level; `stocks` names the metrics that are stocks."""


class ParquetCopy:
    """In a folder: `rollups.parquet`, and the pages since it was written.

    A page is written beside and renamed, with its cursor inside; `settle` merges pages into a new `rollups.parquet`, which carries the last cursor, before it removes them. So
    each state on the disk is whole.
    """

    def __init__(self, folder: Path) -> None:
        """Go on in a folder, or begin one."""
        self._folder = folder
        self.file = folder / "rollups.parquet"
        """Level, unit, metric, day, value, verified_value; one row a figure, sorted by them."""
        self._pages = folder / "pages"
        self._pages.mkdir(parents=True, exist_ok=True)

    def cursor(self) -> str | None:
        """See `Copy`."""
        newest = [*self._numbered()[-1:], *([self.file] if self.file.exists() else [])]
        if not newest:
            return None
        return str(pq.read_schema(newest[0]).metadata[_CURSOR], "utf-8")

    def apply(self, rows: Sequence[Row], following: str) -> None:
        """See `Copy`."""
        if not rows and self.cursor() is not None:
            return  # nothing is new: the cursor that is there says the same
        dated = [{**row, "day": date.fromisoformat(row["day"])} for row in rows]
        table = pa.Table.from_pylist(dated, schema=_PAGE_SCHEMA).replace_schema_metadata(
            {_CURSOR: following}
        )
        number = int(self._numbered()[-1].stem) + 1 if self._numbered() else 1
        file = self._pages / f"{number:09}.parquet"
        beside = file.with_suffix(".part")
        pq.write_table(table, beside, compression="zstd")
        beside.replace(file)

    def settle(self) -> None:
        """See `Copy`."""
        pages, cursor = self._numbered(), self.cursor()
        if not pages or cursor is None:
            return
        base = (
            f"SELECT *, 0 AS deleted, 0 AS page FROM read_parquet('{_quoted(self.file)}') UNION ALL BY NAME"
            if self.file.exists()
            else ""
        )
        beside = self.file.with_suffix(".part")
        with duckdb.connect() as database:
            database.execute(
                f"""
                COPY (
                    SELECT level, unit, metric, day, value, verified_value FROM (
                        {base} SELECT * EXCLUDE filename, parse_filename(filename, true)::BIGINT AS page FROM read_parquet($pages, filename = true)
                    )
                    QUALIFY row_number() OVER (PARTITION BY {_KEY} ORDER BY page DESC) = 1 AND deleted = 0
                    ORDER BY level, unit, metric, day
                ) TO '{_quoted(beside)}' (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{'{_CURSOR.decode()}': $cursor}})
                """,
                {"pages": [str(page) for page in pages], "cursor": cursor},
            )
        beside.replace(self.file)
        for page in pages:  # the oldest first: what is left then says what the file says
            page.unlink()

    def begin_anew(self) -> None:
        """See `Copy`."""
        self.file.unlink(missing_ok=True)
        shutil.rmtree(self._pages)
        self._pages.mkdir()

    def totals(self, level: str, day: str, stocks: Sequence[str]) -> Iterator[Total]:
        """See `Copy`; as of the last `settle`."""
        if not self.file.exists():
            return
        query = f"""
            SELECT level, unit, metric, CASE WHEN list_contains($stocks, metric) THEN arg_max(value, day) ELSE sum(value) END,
                   CASE WHEN list_contains($stocks, metric) THEN arg_max(verified_value, day) ELSE sum(verified_value) END
            FROM read_parquet('{_quoted(self.file)}') WHERE level = $level AND day <= CAST($day AS DATE) GROUP BY level, unit, metric
        """
        with duckdb.connect() as database:
            yield from database.execute(
                query, {"level": level, "day": day, "stocks": [*stocks]}
            ).fetchall()

    def _numbered(self) -> list[Path]:
        return sorted(self._pages.glob("*.parquet"))


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


class ClickHouseCopy:
    """In the table `pulled_rollups` of a database, where many sources stand side by side. A page that was half written is written again: rows replace each other."""

    def __init__(self, client: Client, source: str) -> None:
        """Go on with a source, or begin it."""
        self._client, self._source = client, source
        client.execute(
            """
            CREATE TABLE IF NOT EXISTS pulled_rollups (
                source LowCardinality(String), level LowCardinality(String), unit LowCardinality(String), metric LowCardinality(String), day Date,
                value Int64, verified_value Int64, page UInt64, deleted UInt8
            ) ENGINE = ReplacingMergeTree(page, deleted) ORDER BY (source, level, metric, unit, day)
            """
        )
        client.execute(
            "CREATE TABLE IF NOT EXISTS pulled_cursors (source LowCardinality(String), page UInt64, cursor String) ENGINE = ReplacingMergeTree(page) ORDER BY source"
        )

    def cursor(self) -> str | None:
        """See `Copy`."""
        return self._position()[1] or None

    def apply(self, rows: Sequence[Row], following: str) -> None:
        """See `Copy`."""
        page = self._position()[0] + 1
        if rows:
            names = ("level", "unit", "metric", "value", "verified_value", "deleted")
            values = [
                (self._source, page, date.fromisoformat(row["day"]), *(row[name] for name in names))
                for row in rows
            ]
            self._client.execute(
                f"INSERT INTO pulled_rollups (source, page, day, {', '.join(names)}) VALUES", values
            )
        self._client.execute(
            "INSERT INTO pulled_cursors (source, page, cursor) VALUES",
            [(self._source, page, following)],
        )

    def begin_anew(self) -> None:
        """See `Copy`."""
        self._client.execute(
            "ALTER TABLE pulled_rollups DELETE WHERE source = %(source)s SETTINGS mutations_sync = 2",
            {"source": self._source},
        )
        self._client.execute(
            "INSERT INTO pulled_cursors (source, page, cursor) VALUES",
            [(self._source, self._position()[0] + 1, "")],
        )

    def settle(self) -> None:
        """See `Copy`: nothing is left to do."""

    def totals(self, level: str, day: str, stocks: Sequence[str]) -> Iterator[Total]:
        """See `Copy`."""
        query = """
            SELECT level, unit, metric, if(has(%(stocks)s, metric), argMax(value, day), sum(value)),
                   if(has(%(stocks)s, metric), argMax(verified_value, day), sum(verified_value))
            FROM pulled_rollups FINAL WHERE source = %(source)s AND level = %(level)s AND day <= toDate(%(day)s) GROUP BY level, unit, metric
        """
        yield from self._client.execute(
            query, {"source": self._source, "level": level, "day": day, "stocks": [*stocks]}
        )

    def _position(self) -> tuple[int, str]:
        rows = self._client.execute(
            "SELECT page, cursor FROM pulled_cursors FINAL WHERE source = %(source)s",
            {"source": self._source},
        )
        return rows[0] if rows else (0, "")
