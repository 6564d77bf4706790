"""Variables, which a viewer sets at the top of a dashboard.

A variable's query returns value and label. SQL uses variables as `${name:singlequote}` only.
"""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from grafana.clickhouse_query import PLUGIN, datasource
from grafana.panels import PROMETHEUS


def clickhouse() -> dashboard.DatasourceVariable:
    """The ClickHouse data source: its account decides which rows a viewer sees."""
    return (
        dashboard.DatasourceVariable("datasource")
        .label("स्रोत · source")
        .type(PLUGIN)
        .hide(VariableHide.HIDE_VARIABLE)
    )


def prometheus() -> dashboard.DatasourceVariable:
    """The Prometheus data source, with the processes' metrics."""
    return (
        dashboard.DatasourceVariable(PROMETHEUS[2:-1])
        .label("Prometheus")
        .type("prometheus")
        .hide(VariableHide.HIDE_VARIABLE)
    )


def units(levels: str, *, label: str = "इकाई · unit") -> dashboard.QueryVariable:
    """One unit of some levels, the highest first; a scoped account sees its own units only.

    Args:
        levels: a list in SQL.
        label: in Hindi and English.
    """
    query = f"""
        SELECT unit AS value, concat(name_hi, ' · ', name_en) AS text FROM units
        WHERE toString(level) IN ({levels})
          AND (level != 'state' OR unit IN (SELECT plan FROM plans))
        ORDER BY level, text
    """
    return _query_variable("unit", label, query)


def assemblies() -> dashboard.QueryVariable:
    """An assembly, by number."""
    query = (
        "SELECT unit AS value, concat(substring(unit, 4), ' ', name_hi, ' · ', name_en) AS text"
        " FROM units WHERE level = 'assembly' ORDER BY unit"
    )
    return _query_variable("unit", "विधानसभा · assembly", query)


def milestones() -> dashboard.QueryVariable:
    """Milestones of the plans in force, several at a time."""
    query = """
        SELECT milestone AS value, concat(any(name_hi), ' · ', any(name_en)) AS text
        FROM milestones
        GROUP BY milestone
        ORDER BY min(position)
    """
    return _allow_multiple(_query_variable("milestone", "लक्ष्य · milestone", query))


def metrics(*, chosen: tuple[str, ...] = ()) -> dashboard.QueryVariable:
    """Metrics of the dictionary, several at a time."""
    query = (
        "SELECT metric AS value, concat(name_hi, ' · ', name_en) AS text FROM metrics ORDER BY"
        " position"
    )
    variable = _allow_multiple(_query_variable("metric", "आँकड़ा · metric", query))
    return (
        variable.current(VariableOption(selected=True, text=list(chosen), value=list(chosen)))
        if chosen
        else variable
    )


def metric() -> dashboard.QueryVariable:
    """One metric of the dictionary."""
    return _query_variable(
        "metric",
        "आँकड़ा · metric",
        "SELECT metric AS value, concat(name_hi, ' · ', name_en) AS text FROM metrics ORDER BY"
        " position",
    )


def any_unit() -> dashboard.TextBoxVariable:
    """A unit's code, typed or passed by a link: a list of all booths would be too long."""
    return dashboard.TextBoxVariable("unit").label("इकाई का कोड · unit code").default_value("CG")


def _query_variable(name: str, label: str, sql: str) -> dashboard.QueryVariable:
    text = " ".join(sql.split())
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(datasource())
        .query(text)
        .refresh(VariableRefresh.ON_DASHBOARD_LOAD)
        .sort(VariableSort.DISABLED)
    )


def _allow_multiple(variable: dashboard.QueryVariable) -> dashboard.QueryVariable:
    return (
        variable.multi(multi=True)
        .include_all(include_all=True)
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    )
