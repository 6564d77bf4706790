"""Panels with Pravah's conventions.

Each has a title and a definition in Hindi and English, a unit, a sign for NULL, and links that pass
the unit and the time range on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    geomap,
    prometheus,
    stat,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DynamicConfigValue,
    GridPos,
    SpecialValueMap,
    Threshold,
    ThresholdsMode,
    ValueMapping,
)
from grafana_foundation_sdk.models.geomap import TooltipMode

from grafana.clickhouse_query import ClickHouseQuery, datasource
from grafana.labels import NOT_REPORTED, PLAIN, QUIET, null_mapping

P = TypeVar("P", stat.Panel, table.Panel, timeseries.Panel, geomap.Panel)
# x, y, width, height on the grid of 24 columns; a row is 38 pixels high.
Place = tuple[int, int, int, int]
# Thresholds: (lowest value, colour).
Steps = Sequence[tuple[float | None, str]]

PROMETHEUS = "${prometheus}"
# Grafana serves the boundaries from here if `reference/boundaries` is mounted there; without them
# the map shows circles only.
BOUNDARIES = "public/maps/pravah-assemblies.geojson"
_NUMBERS = frozenset({"locale", "none", "percentunit", "s", "bytes"})


@dataclass(frozen=True)
class Link:
    """Link of a figure to another dashboard, which gets the unit, time range and data source."""

    to: str
    """The dashboard's uid."""
    title: str
    unit: str | None = "unit"
    """Column with the unit; None: the unit that the viewer chose."""
    from_columns: dict[str, str] = field(default_factory=dict)
    """Variable → column with its value."""
    fixed: dict[str, str] = field(default_factory=dict)
    """Variable → value."""
    time_from: tuple[str, str] | None = None
    """Columns with the begin and the end of the time range, in milliseconds; None: the viewer's."""

    @property
    def url(self) -> str:
        """The URL, with Grafana's variables."""
        unit = "${unit}" if self.unit is None else _cell(self.unit)
        variables = "".join(
            [
                *(f"&var-{name}={_cell(column)}" for name, column in self.from_columns.items()),
                *(f"&var-{name}={value}" for name, value in self.fixed.items()),
            ]
        )
        times = "${__url_time_range}"
        if self.time_from is not None:
            begin, end = self.time_from
            times = f"from={_cell(begin)}&to={_cell(end)}"
        context = f"${{datasource:queryparam}}&{times}"
        return f"/d/{self.to}?var-unit={unit}{variables}&{context}"

    @property
    def config(self) -> dict[str, object]:
        """The link in a field's configuration."""
        return {"title": self.title, "url": self.url}


def _cell(column: str) -> str:
    return f"${{__data.fields.{column}}}"


@dataclass(frozen=True)
class Column:
    """A column of a query, and how it is shown."""

    name: str
    title: str
    unit: str = "string"
    width: int | None = None
    decimals: int | None = None
    steps: Steps = ()
    mapping: ValueMapping | None = None
    link: Link | None = None
    gauge: bool = False
    hidden: bool = False


def stat_panel(
    title: str,
    description: str,
    sql: str,
    place: Place,
    columns: Sequence[Column],
    *,
    link: Link | None = None,
) -> stat.Panel:
    """A stat panel: one figure per column of the query's only row."""
    panel = (
        stat.Panel()
        .reduce_options(
            common.ReduceDataOptions().calcs(["last"]).values(values=False).fields("/.*/")
        )
        .graph_mode(shapes.BigValueGraphMode.NONE)
        .color_mode(shapes.BigValueColorMode.VALUE)
        .justify_mode(shapes.BigValueJustifyMode.CENTER)
        .text_mode(
            shapes.BigValueTextMode.VALUE_AND_NAME
            if len(columns) > 1
            else shapes.BigValueTextMode.VALUE
        )
        .orientation(shapes.VizOrientation.VERTICAL)
        .unit(columns[0].unit)
        .thresholds(_thresholds(((None, PLAIN),)))
        .mappings([null_mapping(NOT_REPORTED)])
        .no_value(NOT_REPORTED)
    )
    if link:
        panel = panel.data_links([dashboard.DashboardLink(link.title).url(link.url)])
    for column in columns:
        panel = panel.override_by_name(column.name, _properties(column))
    return _finish(panel, title, description, sql, place)


def table_panel(
    title: str, description: str, sql: str, place: Place, columns: Sequence[Column]
) -> table.Panel:
    """A table. `columns` lists every column of the query."""
    panel = (
        table.Panel()
        .show_header(show_header=True)
        .cell_height(shapes.TableCellHeight.SM)
        .footer(
            common.TableFooterOptions().show(show=False).reducer([]).count_rows(count_rows=False)
        )
        .filterable(filterable=False)
        .unit("string")
        .no_value("—")
        .mappings([null_mapping()])
        .thresholds(_thresholds(((None, PLAIN),)))
    )
    for column in columns:
        panel = panel.override_by_name(column.name, _properties(column, in_table=True))
    return _finish(panel, title, description, sql, place)


def timeseries_panel(
    title: str,
    description: str,
    sql: str,
    place: Place,
    *,
    unit: str,
    columns: Sequence[Column] = (),
    link: Link | None = None,
    bars: bool = False,
) -> timeseries.Panel:
    """Figures by time. A day without a report is a gap; a reported zero is a point at zero."""
    panel = (
        timeseries.Panel()
        .unit(unit)
        .draw_style(shapes.GraphDrawStyle.BARS if bars else shapes.GraphDrawStyle.LINE)
        .fill_opacity(60 if bars else 8)
        .line_width(1 if bars else 2)
        .show_points(shapes.VisibilityMode.NEVER if bars else shapes.VisibilityMode.ALWAYS)
        .point_size(5)
        .span_nulls(span_nulls=False)
        .axis_soft_min(0)
        .no_value(NOT_REPORTED)
        .mappings([null_mapping()])
        .thresholds(_thresholds(((None, PLAIN),)))
        # without columns, the query's column `name` names the series
        .display_name("" if columns else "${__field.labels.name}")
        .legend(
            common.VizLegendOptions()
            .show_legend(show_legend=True)
            .display_mode(shapes.LegendDisplayMode.LIST)
            .placement(shapes.LegendPlacement.BOTTOM)
            .calcs([])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(shapes.TooltipDisplayMode.MULTI)
            .sort(shapes.SortOrder.DESCENDING)
        )
    )
    if unit == "percentunit":  # else Grafana scales an all-zero series up to 10,000 %
        panel = panel.axis_soft_max(0.1)
    if bars:
        panel = panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL).group("A"))
    if link:
        panel = panel.data_links([dashboard.DashboardLink(link.title).url(link.url)])
    for column in columns:
        panel = panel.override_by_name(column.name, _properties(column))
    return _finish(panel, title, description, sql, place, series=True)


def prometheus_panel(
    title: str, description: str, expressions: dict[str, str], place: Place, *, unit: str
) -> timeseries.Panel:
    """Metrics of the processes from Prometheus; `expressions` maps legends to PromQL."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DataSourceRef(type_val="prometheus", uid=PROMETHEUS))
        .grid_pos(GridPos(x=place[0], y=place[1], w=place[2], h=place[3]))
        .unit(unit)
        .span_nulls(span_nulls=False)
        .axis_soft_min(0)
        .no_value(NOT_REPORTED)
        .mappings([null_mapping()])
    )
    for ref_id, (legend, expression) in zip("ABCDEF", expressions.items(), strict=False):
        query = prometheus.Dataquery().ref_id(ref_id).expr(expression).legend_format(legend).range()
        panel = panel.with_target(
            query.datasource(DataSourceRef(type_val="prometheus", uid=PROMETHEUS))
        )
    return panel


def text_panel(content: str, place: Place) -> text.Panel:
    """A text panel."""
    return (
        text.Panel()
        .title("")
        .description(content)
        .content(content)
        .grid_pos(GridPos(x=place[0], y=place[1], w=place[2], h=place[3]))
        .transparent(transparent=True)
    )


def map_panel(
    title: str,
    description: str,
    sql: str,
    place: Place,
    *,
    columns: Sequence[Column],
    color: str,
    size: str,
) -> geomap.Panel:
    """Units as circles on their centroids.

    Nothing is loaded from the internet: there is no base map but our own boundaries.
    """
    style = {
        "color": {"field": color, "fixed": PLAIN},
        "opacity": 0.8,
        "size": {"field": size, "fixed": 6, "min": 6, "max": 16},
        "symbol": {"mode": "fixed", "fixed": "img/icons/marker/circle.svg"},
        "text": {"mode": "field", "field": "label", "fixed": ""},
        "textConfig": {
            "fontSize": 11,
            "offsetX": 0,
            "offsetY": 14,
            "textAlign": "center",
            "textBaseline": "middle",
        },
    }
    markers = (
        common.MapLayerOptions()
        .type("markers")
        .name("इकाइयाँ · units")
        .config({"style": style, "showLegend": True})
        .location(
            common.FrameGeometrySource()
            .mode(shapes.FrameGeometrySourceMode.COORDS)
            .latitude("latitude")
            .longitude("longitude")
        )
        .tooltip(tooltip=True)
    )
    outlines = {"src": BOUNDARIES, "style": {"color": {"fixed": QUIET}, "opacity": 0.1}}
    panel = (
        geomap.Panel()
        .view(
            geomap.MapViewConfig()
            .id("fit")
            .lat(0)
            .lon(0)
            .zoom(10)
            .padding(10)
            .all_layers(all_layers=False)
            .layer("इकाइयाँ · units")
        )
        .basemap(
            common.MapLayerOptions().type("geojson").name("सीमाएँ · boundaries").config(outlines)
        )
        .layers([markers])
        .controls(
            geomap.ControlsOptions()
            .show_zoom(show_zoom=True)
            .mouse_wheel_zoom(mouse_wheel_zoom=False)
            .show_scale(show_scale=True)
        )
        .tooltip(geomap.TooltipOptions().mode(TooltipMode.DETAILS))
        .unit("string")
        .no_value("—")
        .mappings([null_mapping()])
        .thresholds(_thresholds(((None, PLAIN),)))
    )
    for column in columns:
        panel = panel.override_by_name(column.name, _properties(column))
    return _finish(panel, title, description, sql, place)


def _finish(
    panel: P, title: str, description: str, sql: str, place: Place, *, series: bool = False
) -> P:
    query = ClickHouseQuery(sql, format_="time_series" if series else "table")
    x, y, w, h = place
    return (
        panel.title(title)
        .description(description)
        .datasource(datasource())
        .grid_pos(GridPos(x=x, y=y, w=w, h=h))
        .with_target(query)
    )


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value, color) for value, color in steps])
    )


def _properties(column: Column, *, in_table: bool = False) -> list[DynamicConfigValue]:
    found = [
        DynamicConfigValue("displayName", column.title),
        DynamicConfigValue("unit", column.unit),
    ]
    if in_table and column.unit in _NUMBERS:  # Grafana aligns linked numbers left
        found.append(DynamicConfigValue("custom.align", "right"))
    if column.hidden:
        return [*found, DynamicConfigValue("custom.hidden", value=True)]
    if in_table and column.width:
        found.append(DynamicConfigValue("custom.width", column.width))
    if column.decimals is not None:
        found.append(DynamicConfigValue("decimals", column.decimals))
    if column.mapping is not None and not isinstance(column.mapping, SpecialValueMap):
        found.append(DynamicConfigValue("mappings", [column.mapping, null_mapping()]))
    if column.steps:
        found.append(
            DynamicConfigValue(
                "thresholds",
                {
                    "mode": "absolute",
                    "steps": [{"value": value, "color": color} for value, color in column.steps],
                },
            )
        )
    if in_table and column.gauge:
        found += [
            DynamicConfigValue("custom.cellOptions", {"type": "gauge", "mode": "basic"}),
            DynamicConfigValue("min", 0),
            DynamicConfigValue("max", 1),
        ]
    elif in_table and (column.steps or column.mapping is not None):
        found.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
    if column.link:
        found.append(DynamicConfigValue("links", [column.link.config]))
    return found
