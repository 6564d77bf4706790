"""The control room in Grafana: dashboards and alerts as code, a lint, and what brings them into a Grafana.

| module | what it is |
| --- | --- |
| `dashboards/` | one module a dashboard |
| `panels`, `variables`, `clickhouse_query` | the parts they are made of |
| `sql`, `words` | SQL and words that several share |
| `build` | the JSON of all of them; `generated/` keeps it |
| `lint` | what each of them must keep |
"""
