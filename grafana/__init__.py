"""The control room's room: dashboards and alerts as code, provisioned with grafana-api. Nothing is in it yet; the README says what is planned."""
