"""Uids, tag, time zone and links, which all dashboards share."""

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, TimePicker
from grafana_foundation_sdk.models.dashboard import DashboardLinkType

WALL, PROGRAMME, DISTRICT, ASSEMBLY = (
    "pravah-wall",
    "pravah-programme",
    "pravah-district",
    "pravah-assembly",
)
ACTIVITY, PIPELINE, EXPLAIN = "pravah-activity", "pravah-pipeline", "pravah-explain"
AICC, AICC_COPY = "pravah-aicc", "pravah-aicc-copy"

TAG = "pravah"


def new_dashboard(
    uid: str, title: str, description: str, *, days: int = 30, refresh: str = "1m"
) -> Dashboard:
    """Create a dashboard without panels.

    Args:
        uid: a constant of this module.
        title: in Hindi and English.
        description: the question that it answers.
        days: length of the initial time range.
        refresh: interval, no shorter than that in which its figures change.
    """
    others = (
        DashboardLink("बोर्ड · dashboards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(as_dropdown=True)
        .include_vars(include_vars=False)
    )
    return (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("Asia/Kolkata")
        .week_start("monday")
        .time(f"now-{days}d", "now")
        .refresh(refresh)
        .timepicker(TimePicker().refresh_intervals(["1m", "5m", "15m", "1h"]))
        .readonly()
        .link(others.keep_time(keep_time=True))
    )


def add_panels(dashboard: Dashboard, panels: Sequence[Any]) -> Dashboard:
    """Add panels, which have no common class in the library."""
    for panel in panels:
        dashboard = dashboard.with_panel(panel)
    return dashboard
