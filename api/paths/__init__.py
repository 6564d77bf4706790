"""The routes under `/v1`, a module per subject. `ROUTERS` has them all."""

from api.paths import deployment, explain, figures, members, plan, report, units

ROUTERS = (
    figures.router,
    explain.router,
    plan.router,
    members.router,
    units.router,
    deployment.router,
    report.router,
)
