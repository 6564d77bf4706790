"""One module a dashboard; `BUILDERS` has them all."""

from collections.abc import Callable

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.dashboards import (
    activity,
    aicc,
    assembly,
    district,
    explain,
    pipeline,
    programme,
    wall,
)
from grafana.dashboards import base as frame

BUILDERS: dict[str, Callable[[], Dashboard]] = {
    frame.WALL: wall.build,
    frame.PROGRAMME: programme.build,
    frame.DISTRICT: district.build,
    frame.ASSEMBLY: assembly.build,
    frame.ACTIVITY: activity.build,
    frame.AICC: aicc.build,
    frame.AICC_COPY: aicc.build_copy,
    frame.PIPELINE: pipeline.build,
    frame.EXPLAIN: explain.build,
}
"""uid → builder, from the general to the specific."""
