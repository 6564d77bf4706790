"""A query of the plugin `grafana-clickhouse-datasource` in a panel or an alert rule.

The library has no class for it.
"""

from textwrap import dedent
from typing import Literal

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef

PLUGIN = "grafana-clickhouse-datasource"
# Panels use the data source of the viewer's organisation; a dashboard never names one.
VARIABLE = "${datasource}"

Format = Literal["time_series", "table"]
_FORMATS: dict[Format, int] = {"time_series": 0, "table": 1}


def datasource(uid: str = VARIABLE) -> DataSourceRef:
    """A reference to a ClickHouse data source."""
    return DataSourceRef(type_val=PLUGIN, uid=uid)


class ClickHouseDataquery(Dataquery):
    """An element of `targets`. The plugin reads `editorType` from version 4 on."""

    def __init__(self, sql: str, format_: Format, ref_id: str, uid: str) -> None:
        """Create a query; see `ClickHouseQuery`."""
        self.sql, self.format, self.ref_id, self.uid = sql, format_, ref_id, uid

    def to_json(self) -> dict[str, object]:
        """The query in a dashboard's JSON."""
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
        """Create a builder.

        Args:
            sql: ClickHouse SQL with the plugin's macros and Grafana's variables.
            format_: `time_series` needs a column `time`, ascending, then text columns that name
                series, and values.
            ref_id: name of the query within its panel.
            uid: of the data source; by default the dashboard's variable.
        """
        self._query = ClickHouseDataquery(dedent(sql).strip(), format_, ref_id, uid)

    def build(self) -> ClickHouseDataquery:
        """Return the query as the plugin stores it."""
        return self._query
