"""The paths under `/v1`, by what they are about: figures, the plan, members, units, the deployment, the report."""

from api.paths import deployment, figures, members, plan, report, units

ROUTERS = (
    figures.router,
    plan.router,
    members.router,
    units.router,
    deployment.router,
    report.router,
)
