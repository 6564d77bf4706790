"""The AICC API (`pravah api`): read-only HTTP access to figures, plan and registry.

May import `reports`, `sinks`, `schemas` and `pravah`. Start reading at `app.build`: `paths/` has
the routes, `queries` the SQL behind them, `changes` the change feed, `responses` how a query
becomes a response.
"""
