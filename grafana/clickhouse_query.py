"""One query to ClickHouse, as the plugin `grafana-clickhouse-datasource` stores it in a panel or an alert rule. The library has no such class."""

from textwrap import dedent
from typing import Literal

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef

PLUGIN = "grafana-clickhouse-datasource"
VARIABLE = "${datasource}"
"""Every panel asks the data source that the viewer's organisation has; a dashboard never names one."""

Format = Literal["time_series", "table"]
_FORMATS: dict[Format, int] = {"time_series": 0, "table": 1}


def datasource(uid: str = VARIABLE) -> DataSourceRef:
    """A reference to a ClickHouse data source."""
    return DataSourceRef(type_val=PLUGIN, uid=uid)


class ClickHouseDataquery(Dataquery):
    """What stands under `targets`. The plugin's version 4 reads `editorType`, version 3 leaves it aside."""

    def __init__(self, sql: str, format_: Format, ref_id: str, uid: str) -> None:
        """Take the query's text; see `ClickHouseQuery`."""
        self.sql, self.format, self.ref_id, self.uid = sql, format_, ref_id, uid

    def to_json(self) -> dict[str, object]:
        """As it stands in a dashboard's JSON."""
        return {
            "refId": self.ref_id,
            "datasource": datasource(self.uid),
            "editorType": "sql",
            "queryType": "timeseries" if self.format == "time_series" else "table",
            "format": _FORMATS[self.format],
            "rawSql": self.sql,
        }


class ClickHouseQuery(Builder[ClickHouseDataquery]):
    """Builds a `ClickHouseDataquery`."""

    def __init__(
        self, sql: str, *, format_: Format = "table", ref_id: str = "A", uid: str = VARIABLE
    ) -> None:
        """Take a query.

        Args:
            sql: ClickHouse SQL with the plugin's macros and Grafana's variables.
            format_: `time_series` wants a column `time`, ascending, then names of series as text and values.
            ref_id: tells it from others in its panel.
            uid: of the data source; the dashboard's variable by default.
        """
        self._query = ClickHouseDataquery(dedent(sql).strip(), format_, ref_id, uid)

    def build(self) -> ClickHouseDataquery:
        """The query."""
        return self._query
