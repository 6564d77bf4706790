"""The control room in Grafana: dashboards and alerts as code, a lint, and what brings them into a Grafana.

| module | what it is |
| --- | --- |
| `dashboards/` | one module a dashboard |
| `panels`, `variables`, `clickhouse_query` | the parts they are made of |
| `sql`, `words` | SQL and words that several share |
| `build` | the JSON of all of them; `generated/` keeps it |
| `lint` | what each of them must keep |
| `alerts`, `notifications` | rules, and who is told of them |
| `desired` | all that a Grafana should have for an audience |
| `server`, `files` | bring it there: to one that runs, or as files for one that reads them |
"""
