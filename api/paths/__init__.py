"""The routes under `/v1`, a module per subject. `ROUTERS` has them all."""

from api.paths import deployment, figures, members, plan, report, units

ROUTERS = (
    figures.router,
    plan.router,
    members.router,
    units.router,
    deployment.router,
    report.router,
)
