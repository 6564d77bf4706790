"""Rules that every dashboard must satisfy.

Grafana accepts almost anything, and shows an empty panel.
"""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from grafana.clickhouse_query import VARIABLE
from grafana.dashboards.base import WALL
from grafana.panels import PROMETHEUS

COLUMNS = 24
# Rows of 30 pixels with 8 between that fit into a height of 1080.
WALL_ROWS = 27
# Macros that the plugin's server replaces; an alert sends those of the browser unreplaced.
BACKEND_MACROS = frozenset(
    {
        "$__timeFilter",
        "$__dateFilter",
        "$__fromTime",
        "$__toTime",
        "$__timeInterval",
        "$__interval_s",
    }
)
_FORBIDDEN = {
    "$__timeInterval": (
        "it cuts time into seconds, so buckets above 30 minutes begin at odd hours of Asia/Kolkata;"
        " name the bucket, such as toStartOfHour(…, 'Asia/Kolkata')"
    ),
}
_DEVANAGARI, _LATIN = re.compile(r"[\u0900-\u097f]"), re.compile(r"[A-Za-z]")
_LINK = re.compile(r"^/d/(?P<uid>[a-z-]+)\?(?P<rest>.+)$")

Dashboard = dict[str, Any]


def lint_dashboards(dashboards: dict[str, Dashboard]) -> list[str]:
    """Check dashboards.

    Args:
        dashboards: uid → JSON.

    Returns:
        Findings, each with its dashboard and panel.
    """
    variables = {uid: _variables(dashboard) for uid, dashboard in dashboards.items()}
    return [
        f"{uid}: {one}"
        for uid, dashboard in dashboards.items()
        for one in _lint_dashboard(uid, dashboard, variables)
    ]


def _variables(dashboard: Dashboard) -> set[str]:
    return {variable["name"] for variable in dashboard["templating"]["list"]}


def _lint_dashboard(
    uid: str, dashboard: Dashboard, variables: dict[str, set[str]]
) -> Iterator[str]:
    if dashboard["uid"] != uid:
        yield f"its uid is {dashboard['uid']!r}"
    if dashboard["timezone"] != "Asia/Kolkata":
        yield "its time zone is not Asia/Kolkata"
    if dashboard.get("refresh") not in {"", "1m", "5m", "15m"}:
        yield (
            f"refreshed every {dashboard.get('refresh')!r}: no faster than the figures change,"
            " which is a minute"
        )
    yield from _lint_text("title", dashboard["title"])
    yield from _lint_text("description", dashboard["description"])
    if "datasource" not in variables[uid]:
        yield "it has no variable `datasource`"
    for variable in dashboard["templating"]["list"]:
        if not variable.get("label"):
            yield f"variable {variable['name']}: no label"
        if isinstance(variable.get("query"), str) and variable["type"] == "query":
            yield from (
                f"variable {variable['name']}: {one}"
                for one in _lint_sql(variable["query"], variables[uid])
            )
    yield from _lint_layout(uid, dashboard["panels"])
    for panel in dashboard["panels"]:
        yield from (
            f"panel {panel['id']} {panel['title']!r}: {one}"
            for one in _lint_panel(panel, variables[uid], variables)
        )


def _lint_text(what: str, text: str) -> Iterator[str]:
    if not (_DEVANAGARI.search(text) and _LATIN.search(text)):
        yield f"{what} {text!r}: Hindi and English are required"


def _lint_layout(uid: str, panels: list[Dashboard]) -> Iterator[str]:
    numbers = [panel["id"] for panel in panels]
    if len(set(numbers)) != len(numbers):
        yield "two panels have one number"
    places = {panel["id"]: panel["gridPos"] for panel in panels}
    for number, place in places.items():
        if place["x"] + place["w"] > COLUMNS or place["w"] < 1 or place["h"] < 1:
            yield f"panel {number} does not fit into {COLUMNS} columns"
        if uid == WALL and place["y"] + place["h"] > WALL_ROWS:
            yield f"panel {number} ends below the wall's screen"
    for (one, a), (other, b) in combinations(places.items(), 2):
        if (
            a["x"] < b["x"] + b["w"]
            and b["x"] < a["x"] + a["w"]
            and a["y"] < b["y"] + b["h"]
            and b["y"] < a["y"] + a["h"]
        ):
            yield f"panels {one} and {other} overlap"


def _lint_panel(panel: Dashboard, known: set[str], variables: dict[str, set[str]]) -> Iterator[str]:
    yield from _lint_text("title", panel["title"])
    yield from _lint_text("description", panel["description"])
    defaults = panel["fieldConfig"]["defaults"]
    if not defaults.get("unit"):
        yield "no unit"
    if not any(
        mapping["type"] == "special" and mapping["options"]["match"] == "null"
        for mapping in defaults.get("mappings", [])
    ):
        yield "nothing says what NULL looks like"
    if not defaults.get("noValue"):
        yield "nothing says what it shows without a value"
    if not panel.get("targets"):
        yield "no query"
    for target in panel.get("targets", []):
        uid = target["datasource"]["uid"]
        if uid not in {VARIABLE, PROMETHEUS} or panel["datasource"]["uid"] != uid:
            yield f"its data source is {uid!r}, not the dashboard's variable"
        elif uid[2:-1] not in known:
            yield f"the dashboard has no variable {uid}"
        if "rawSql" in target:
            yield from _lint_sql(target["rawSql"], known)
    columns = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
    for link in _links(panel):
        yield from _lint_link(link, columns, variables)


def _lint_sql(sql: str, known: set[str]) -> Iterator[str]:
    for macro in sorted(set(re.findall(r"\$__\w+", sql))):
        if macro not in BACKEND_MACROS:
            yield f"{macro} is no macro of the plugin's server"
        if macro in _FORBIDDEN:
            yield f"{macro}: {_FORBIDDEN[macro]}"
    for whole, name, form in re.findall(r"(\$\{?(\w+)(?::(\w+))?\}?)", sql):
        if not name.startswith("__") and (form != "singlequote" or name not in known):
            yield f"{whole}: a variable of the dashboard, as ${{name:singlequote}}"


def _links(panel: Dashboard) -> Iterator[Dashboard]:
    yield from panel["fieldConfig"]["defaults"].get("links") or []
    for override in panel["fieldConfig"]["overrides"]:
        for value in override["properties"]:
            if value["id"] == "links":
                yield from value["value"]


def _lint_link(link: Dashboard, columns: set[str], variables: dict[str, set[str]]) -> Iterator[str]:
    yield from _lint_text("link", link["title"])
    found = _LINK.match(link["url"])
    if not found or found["uid"] not in variables:
        yield f"link {link['url']!r} leads to no dashboard of ours"
        return
    if (
        not re.search(r"\$\{__url_time_range\}|&from=\$\{.*&to=\$\{", link["url"])
        or "${datasource:queryparam}" not in link["url"]
        or "var-unit=" not in link["url"]
    ):
        yield f"link {link['url']!r} does not carry the unit, the time range and the data source"
    for variable in re.findall(r"var-(\w+)=", found["rest"]):
        if variable not in variables[found["uid"]] and variable != "unit":
            yield f"link {link['url']!r}: {found['uid']} has no variable {variable}"
    for column in re.findall(r"\$\{__data\.fields\.(\w+)\}", link["url"]):
        if column not in columns:
            yield f"link {link['url']!r}: there is no column {column}"
