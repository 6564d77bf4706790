"""Dashboards as code: the JSON in the repository is up to date, and the lint finds faults."""

import copy

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.build import GENERATED, dashboards, generated_files, write_generated
from grafana.dashboards.base import DISTRICT, PIPELINE, WALL
from grafana.lint import lint_dashboards
from producers.gateway import telemetry as gateway
from streams.telemetry import CATALOGUE


def test_the_files_that_are_kept_are_what_is_built(tmp_path) -> None:
    wanted = {str(path): text for path, text in generated_files()}
    kept = {
        str(path.relative_to(GENERATED)): path.read_text(encoding="utf-8")
        for path in GENERATED.rglob("*.*")
    }
    assert kept == wanted, "run `pravah grafana build`"
    assert len(write_generated(tmp_path)) == len(wanted)
    assert write_generated(tmp_path) == [], "a second run finds nothing to do"
    (tmp_path / "old.json").write_text("{}")
    assert write_generated(tmp_path) == [tmp_path / "old.json"]


def test_every_dashboard_keeps_our_rules() -> None:
    assert lint_dashboards(dashboards()) == []


def test_the_library_knows_every_key_of_panels_and_variables() -> None:
    """A key that is misspelt is dropped when it goes through the library's own classes."""
    for uid, plain in dashboards().items():
        through = Dashboard.from_json(copy.deepcopy(plain)).to_json()
        for panel, same in zip(plain["panels"], through["panels"], strict=True):
            assert panel.keys() - {"targets"} <= same.to_json().keys() | {"id"}, (
                uid,
                panel["title"],
            )
        for variable, same in zip(
            plain["templating"]["list"], through["templating"].to_json()["list"], strict=True
        ):
            assert variable.keys() <= same.to_json().keys(), (uid, variable["name"])


def _panel(dashboard: dict, number: int = 0) -> dict:
    return dashboard["panels"][number]


BROKEN = {
    "overlap": lambda d: _panel(d)["gridPos"].update(w=5),
    "does not fit into 24": lambda d: _panel(d, 4)["gridPos"].update(x=20),
    "below the wall": lambda d: _panel(d, 8)["gridPos"].update(h=13),
    "have one number": lambda d: _panel(d).update(id=2),
    "Hindi and English": lambda d: _panel(d).update(title="data age"),
    "description": lambda d: _panel(d).update(description=""),
    "no unit": lambda d: _panel(d)["fieldConfig"]["defaults"].pop("unit"),
    "what NULL looks like": lambda d: _panel(d)["fieldConfig"]["defaults"].update(mappings=[]),
    "data source is": lambda d: _panel(d)["targets"][0]["datasource"].update(uid="abc"),
    "not the dashboard's variable": lambda d: _panel(d)["datasource"].update(uid="abc"),
    "leads to no dashboard": (
        lambda d: _panel(d, 5)["fieldConfig"]["overrides"][1]["properties"][-1]["value"][0].update(
            url="/d/elsewhere?var-unit=1"
        )
    ),
    "no column nowhere": (
        lambda d: _panel(d, 5)["fieldConfig"]["overrides"][1]["properties"][-1]["value"][0].update(
            url="/d/pravah-district?var-unit=${__data.fields.nowhere}&${datasource:queryparam}&${__url_time_range}"
        )
    ),
    "no variable depth": (
        lambda d: _panel(d, 5)["fieldConfig"]["overrides"][1]["properties"][-1]["value"][0].update(
            url="/d/pravah-district?var-unit=CG&var-depth=2&${datasource:queryparam}&${__url_time_range}"
        )
    ),
    "does not carry": (
        lambda d: _panel(d, 5)["fieldConfig"]["overrides"][1]["properties"][-1]["value"][0].update(
            url="/d/pravah-district?var-unit=CG"
        )
    ),
    "no macro of the plugin's server": (
        lambda d: _panel(d)["targets"][0].update(
            rawSql="SELECT 1 WHERE $__conditionalAll(1, $unit)"
        )
    ),
    "as ${name:singlequote}": lambda d: _panel(d)["targets"][0].update(rawSql="SELECT '$unit'"),
    "odd hours": (
        lambda d: _panel(d)["targets"][0].update(rawSql="SELECT $__timeInterval(day) FROM rollups")
    ),
    "refreshed every": lambda d: d.update(refresh="5s"),
    "time zone": lambda d: d.update(timezone="browser"),
    "no variable `datasource`": lambda d: d["templating"]["list"].pop(0),
}


@pytest.mark.parametrize("said", BROKEN)
def test_the_lint_finds(said: str) -> None:
    built = dashboards()
    BROKEN[said](built[WALL])
    assert any(said in one for one in lint_dashboards(built)), lint_dashboards(built)


def test_queries_to_prometheus_use_metrics_of_pravah() -> None:
    names = {one.name for one in CATALOGUE} | {
        one.name for one in vars(gateway).values() if type(one).__name__ == "Metric"
    }
    expressions = [
        target["expr"]
        for panel in dashboards()[PIPELINE]["panels"]
        for target in panel["targets"]
        if "expr" in target
    ]
    assert expressions
    for expression in expressions:
        assert any(name in expression for name in names), expression


def test_each_figure_of_the_wall_leads_on() -> None:
    for panel in dashboards()[WALL]["panels"]:
        links = panel["fieldConfig"]["defaults"].get("links") or [
            value
            for override in panel["fieldConfig"]["overrides"]
            for value in override["properties"]
            if value["id"] == "links"
        ]
        assert links, panel["title"]
    assert any(
        "var-unit=${__data.fields.unit}" in str(panel) for panel in dashboards()[DISTRICT]["panels"]
    )


def test_a_deadline_of_the_wall_leads_to_its_day_and_no_days_are_counted_after_the_campaign() -> (
    None
):
    queries = [
        target["rawSql"]
        for built in dashboards().values()
        for panel in built["panels"]
        for target in panel["targets"]
        if "days_left" in target.get("rawSql", "")
    ]
    assert len(queries) == 2
    for query in queries:
        assert "NULL, m.deadline - toDate($__toTime, 'Asia/Kolkata')" in query
    urls = [one for one in str(dashboards()[WALL]).split("'") if one.startswith("/d/pravah-wall?")]
    assert len(urls) == 1
    assert "from=${__data.fields.range_begin}&to=${__data.fields.range_end}" in urls[0]
