"""The dashboards, a module each. `BUILDERS` has them all."""

from collections.abc import Callable

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.dashboards import (
    activity,
    aicc,
    assembly,
    base,
    district,
    explain,
    pipeline,
    programme,
    wall,
)

# uid → builder, from the general to the specific.
BUILDERS: dict[str, Callable[[], Dashboard]] = {
    base.WALL: wall.build,
    base.PROGRAMME: programme.build,
    base.DISTRICT: district.build,
    base.ASSEMBLY: assembly.build,
    base.ACTIVITY: activity.build,
    base.AICC: aicc.build,
    base.AICC_COPY: aicc.build_copy,
    base.PIPELINE: pipeline.build,
    base.EXPLAIN: explain.build,
}
