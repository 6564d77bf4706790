"""Copies of a source's figures: Parquet files in a folder, or a table of a ClickHouse.

A copy stores each page of the change feed together with the cursor of the next one. So a pull can
be killed at any moment, and the next one resumes after the last page that was stored.
"""

import shutil
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import duckdb
import orjson
from clickhouse_driver import Client

# A row of the feed: `day` (ISO), `level`, `unit`, `metric`, `value`, `verified_value`, `deleted`.
Row = dict[str, Any]
# Level, unit, metric, value, verified value.
Total = tuple[str, str, str, int, int]

# Key of the cursor in the metadata of a Parquet file.
_CURSOR_KEY = "pravah.cursor"
_PAGE_COLUMNS = """{
    level: 'VARCHAR', unit: 'VARCHAR', metric: 'VARCHAR', day: 'DATE',
    value: 'BIGINT', verified_value: 'BIGINT', deleted: 'TINYINT'
}"""


class Copy(Protocol):
    """A copy of one source's figures."""

    def cursor(self) -> str | None:
        """Cursor to continue with; None to begin."""

    def apply(self, rows: Sequence[Row], next_cursor: str) -> None:
        """Store a page and the cursor of the next one: both or neither."""

    def reset(self) -> None:
        """Delete everything: the source's figures were rebuilt."""

    def compact(self) -> None:
        """Merge the pages stored so far."""

    def totals(self, level: str, day: str, stocks: Sequence[str]) -> Iterator[Total]:
        """Totals at a level on a day: flows up to it, stocks as they stand on it.

        Args:
            level: such as `state`.
            day: ISO 8601.
            stocks: the metrics that are stocks.
        """


class ParquetCopy:
    """A copy in a folder: `rollups.parquet`, and the pages stored since it was written.

    A page is written to a temporary file and renamed, with its cursor in the file's metadata.
    `compact` merges pages into a new `rollups.parquet`, which has the last cursor, and deletes them
    afterwards. So the folder is consistent at any moment.
    """

    def __init__(self, folder: Path) -> None:
        """Open the copy in a folder, or create it."""
        self._folder = folder
        self.file = folder / "rollups.parquet"
        """Level, unit, metric, day, value, verified_value; one row per figure, sorted by them."""
        self._pages = folder / "pages"
        self._pages.mkdir(parents=True, exist_ok=True)

    def cursor(self) -> str | None:
        """Return the cursor of the last page, as `Copy` says."""
        newest = [*self._page_files()[-1:], *([self.file] if self.file.exists() else [])]
        if not newest:
            return None
        with duckdb.connect() as database:
            found = database.execute(
                "SELECT value FROM parquet_kv_metadata($file) WHERE key = $key::BLOB",
                {"file": str(newest[0]), "key": _CURSOR_KEY},
            ).fetchone()
        assert found is not None, f"{newest[0]} has no cursor"
        return bytes(found[0]).decode()

    def apply(self, rows: Sequence[Row], next_cursor: str) -> None:
        """Store a page and the cursor after it, as `Copy` says."""
        if not rows and self.cursor() is not None:
            return  # the stored cursor marks the same position
        files = self._page_files()
        number = int(files[-1].stem) + 1 if files else 1
        file = self._pages / f"{number:09}.parquet"
        lines, part = file.with_suffix(".ndjson"), file.with_suffix(".part")
        lines.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        with duckdb.connect() as database:
            database.execute(
                f"""
                COPY (
                    SELECT * FROM read_json(
                        $lines, columns = {_PAGE_COLUMNS}, format = 'newline_delimited'
                    )
                )
                TO '{_escape(part)}'
                (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{'{_CURSOR_KEY}': $cursor}})
                """,
                {"lines": str(lines), "cursor": next_cursor},
            )
        part.replace(file)
        lines.unlink()

    def compact(self) -> None:
        """Merge the pages, as `Copy` says."""
        pages, cursor = self._page_files(), self.cursor()
        if not pages or cursor is None:
            return
        stored = (
            f"""
            SELECT *, 0 AS deleted, 0 AS page FROM read_parquet('{_escape(self.file)}')
            UNION ALL BY NAME
            """
            if self.file.exists()
            else ""
        )
        part = self.file.with_suffix(".part")
        with duckdb.connect() as database:
            database.execute(
                f"""
                COPY (
                    SELECT level, unit, metric, day, value, verified_value
                    FROM (
                        {stored}
                        SELECT * EXCLUDE filename, parse_filename(filename, true)::BIGINT AS page
                        FROM read_parquet($pages, filename = true)
                    )
                    QUALIFY deleted = 0 AND row_number() OVER (
                        PARTITION BY level, metric, unit, day ORDER BY page DESC
                    ) = 1
                    ORDER BY level, unit, metric, day
                )
                TO '{_escape(part)}'
                (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{'{_CURSOR_KEY}': $cursor}})
                """,
                {"pages": [str(page) for page in pages], "cursor": cursor},
            )
        part.replace(self.file)
        # the oldest first: killed in between, the pages that are left repeat newer figures only
        for page in pages:
            page.unlink()

    def reset(self) -> None:
        """Drop everything that was stored, as `Copy` says."""
        self.file.unlink(missing_ok=True)
        shutil.rmtree(self._pages)
        self._pages.mkdir()

    def totals(self, level: str, day: str, stocks: Sequence[str]) -> Iterator[Total]:
        """See `Copy`; as of the last `compact`."""
        if not self.file.exists():
            return
        query = f"""
            SELECT
                level, unit, metric,
                CASE WHEN list_contains($stocks, metric)
                    THEN arg_max(value, day) ELSE sum(value) END,
                CASE WHEN list_contains($stocks, metric)
                    THEN arg_max(verified_value, day) ELSE sum(verified_value) END
            FROM read_parquet('{_escape(self.file)}')
            WHERE level = $level AND day <= CAST($day AS DATE)
            GROUP BY level, unit, metric
        """
        with duckdb.connect() as database:
            yield from database.execute(
                query, {"level": level, "day": day, "stocks": [*stocks]}
            ).fetchall()

    def _page_files(self) -> list[Path]:
        """Stored pages, the oldest first."""
        return sorted(self._pages.glob("*.parquet"))


def _escape(path: Path) -> str:
    """A path within single quotes of SQL."""
    return str(path).replace("'", "''")


class ClickHouseCopy:
    """A copy in the table `pulled_rollups`, which holds those of several sources.

    A page that was stored in part is stored again: its rows replace each other.
    """

    def __init__(self, client: Client, source: str) -> None:
        """Open a source's copy, or create it."""
        self._client, self._source = client, source
        client.execute("""
            CREATE TABLE IF NOT EXISTS pulled_rollups (
                source LowCardinality(String), level LowCardinality(String),
                unit LowCardinality(String), metric LowCardinality(String), day Date,
                value Int64, verified_value Int64, page UInt64, deleted UInt8
            )
            ENGINE = ReplacingMergeTree(page, deleted) ORDER BY (source, level, metric, unit, day)
            """)
        client.execute("""
            CREATE TABLE IF NOT EXISTS pulled_cursors (
                source LowCardinality(String), page UInt64, cursor String
            )
            ENGINE = ReplacingMergeTree(page) ORDER BY source
            """)

    def cursor(self) -> str | None:
        """Return the cursor of the last page, as `Copy` says."""
        return self._last_page()[1] or None

    def apply(self, rows: Sequence[Row], next_cursor: str) -> None:
        """Store a page and the cursor after it, as `Copy` says."""
        page = self._last_page()[0] + 1
        if rows:
            names = ("level", "unit", "metric", "value", "verified_value", "deleted")
            values = [
                (self._source, page, date.fromisoformat(row["day"]), *(row[name] for name in names))
                for row in rows
            ]
            self._client.execute(
                f"INSERT INTO pulled_rollups (source, page, day, {', '.join(names)}) VALUES", values
            )
        self._store_cursor(page, next_cursor)

    def reset(self) -> None:
        """Drop everything that was stored, as `Copy` says."""
        self._client.execute(
            """
            ALTER TABLE pulled_rollups DELETE WHERE source = %(source)s
            SETTINGS mutations_sync = 2
            """,
            {"source": self._source},
        )
        self._store_cursor(self._last_page()[0] + 1, "")

    def compact(self) -> None:
        """See `Copy`: ClickHouse merges by itself."""

    def totals(self, level: str, day: str, stocks: Sequence[str]) -> Iterator[Total]:
        """Return the totals of what is stored, as `Copy` says."""
        query = """
            SELECT
                level, unit, metric,
                if(has(%(stocks)s, metric), argMax(value, day), sum(value)),
                if(has(%(stocks)s, metric), argMax(verified_value, day), sum(verified_value))
            FROM pulled_rollups FINAL
            WHERE source = %(source)s AND level = %(level)s AND day <= toDate(%(day)s)
            GROUP BY level, unit, metric
        """
        yield from self._client.execute(
            query, {"source": self._source, "level": level, "day": day, "stocks": [*stocks]}
        )

    def _last_page(self) -> tuple[int, str]:
        """Number of the last page, and the cursor after it; 0 and "" at the beginning."""
        rows = self._client.execute(
            "SELECT page, cursor FROM pulled_cursors FINAL WHERE source = %(source)s",
            {"source": self._source},
        )
        return rows[0] if rows else (0, "")

    def _store_cursor(self, page: int, cursor: str) -> None:
        self._client.execute(
            "INSERT INTO pulled_cursors (source, page, cursor) VALUES",
            [(self._source, page, cursor)],
        )
