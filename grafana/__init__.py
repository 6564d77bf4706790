"""Dashboards and alerts as code, and their provisioning into a Grafana.

May import `sinks`, `schemas` and `pravah`. Start reading at a module of `dashboards/`: it combines
`panels` with SQL from `sql`. `build` writes the JSON in `generated/`, `lint` checks it, `desired`
lists what a Grafana should have, and `provisioning` or `files` applies that.
"""
