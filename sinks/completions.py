"""What the plan's units have completed, read once for several queries.

`plan_done` matches the conditions of the plan over all its events, which takes longer than the
rest of a report. It is read once, and each query gets the rows as an external table: a table that
lives as long as the query, which accounts that only read may send too.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from clickhouse_driver import Client

from sinks.plan_views import defaulters, plan_forecast, plan_progress, plan_status

_NAME = "_completions"
# Days and instants are numbers on their way here and back: the driver is slow with dates.
_STRUCTURE = [
    ("plan", "String"),
    ("milestone", "String"),
    ("unit", "String"),
    ("day", "UInt16"),
    ("known_ms", "Int64"),
]
_DONE = f"""(
    SELECT plan, milestone, unit, toDate(day) AS done_at,
           fromUnixTimestamp64Milli(known_ms, 'Asia/Kolkata') AS known_at
    FROM {_NAME}
)"""
# Parameter of the driver in place of ClickHouse's own.
_AS_OF = "fromUnixTimestamp64Milli(%(as_of)s)"


@dataclass(frozen=True)
class Completions:
    """Rows of `plan_done` of the units of the milestones' levels, and SQL that reads them."""

    database: str
    rows: list[tuple[str, str, str, int, int]]

    @classmethod
    def read(cls, client: Client) -> "Completions":
        """Read them as known now."""
        query = """
            SELECT plan, milestone, unit, toUInt16(done_at), toUnixTimestamp64Milli(known_at)
            FROM plan_done
            WHERE (milestone, unit) IN (
                SELECT m.milestone, u.unit
                FROM milestones AS m INNER JOIN units AS u ON u.level = m.level
            )
        """
        return cls(client.connection.database, client.execute(query))

    def of_units(self, units: Collection[str]) -> "Completions":
        """Those of some units, for queries that ask for no others: fewer rows are sent."""
        return replace(self, rows=[row for row in self.rows if row[2] in units])

    def execute(
        self, client: Client, query: str, values: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        """Run a query that contains one of the relations below; `as_of` is among its values."""
        table = {"name": _NAME, "structure": _STRUCTURE, "data": self.rows}
        found: list[tuple[Any, ...]] = client.execute(query, values, external_tables=[table])
        return found

    @property
    def status(self) -> str:
        """The query of `plan_status_at`."""
        return f"({plan_status(self.database, done=_DONE, as_of=_AS_OF)})"

    def defaulters(self, ancestors: str) -> str:
        """The query of `defaulters_at`.

        Args:
            ancestors: query of the rows of `unit_ancestors` that have the overdue units and
                those below them.
        """
        progress = plan_progress(
            self.database, done=_DONE, as_of=_AS_OF, ancestors=f"({ancestors})"
        )
        return f"({defaulters(self.database, status=self.status, progress=f'({progress})')})"

    def forecast(self, ancestors: str) -> str:
        """The query of `plan_forecast_at`.

        Args:
            ancestors: query of the rows of `unit_ancestors` that have the units to forecast and
                their states.
        """
        query = plan_forecast(
            self.database, done=_DONE, as_of=_AS_OF, share="%(share)s", ancestors=f"({ancestors})"
        )
        return f"({query})"
