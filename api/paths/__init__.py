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

# The groups of paths at `/docs`, in this order.
TAGS = [
    {"name": "figures", "description": "What units reported, rolled up to every level."},
    {"name": "plan", "description": "Milestones: progress, forecast, and who is late."},
    {"name": "members", "description": "Members as reported, as verified, and as persons."},
    {"name": "units", "description": "The registry, the activity of units, and the metrics."},
    {"name": "report", "description": "The situation report of a unit."},
    {"name": "deployment", "description": "How current the figures are."},
]
