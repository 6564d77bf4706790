"""Provisioning files for a Grafana that reads its configuration from disk.

Secrets are never written: Grafana replaces `${NAME}` by its environment when it reads the files, so
every other `$` is escaped as `$$`. Grafana does not do so in dashboards, nor in a rule's query
(`model`) and `annotations`; these are written unchanged.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from grafana.build import dump_json
from grafana.desired import AUDIENCES, DesiredState, Resource

PASSWORD = "${PRAVAH_CLICKHOUSE_PASSWORD}"  # noqa: S105
_NOT_EXPANDED = {"model", "annotations"}
_VARIABLE = re.compile(r"^\$\{PRAVAH_[A-Z_]+\}$")


def provisioning_files(wanted: DesiredState, dashboards_path: str) -> dict[Path, str]:
    """All files: path below the provisioning folder, and text.

    Args:
        wanted: what the Grafana should have; its secrets are left out.
        dashboards_path: where Grafana finds the folder `dashboards/json` of these files.
    """
    resources = wanted.resources()
    title = AUDIENCES[wanted.audience].title

    def of(kind: str) -> list[dict[str, Any]]:
        return [one.content for one in resources if one.kind == kind]

    provider = {
        "name": "pravah",
        "folder": title,
        "folderUid": next(one.uid for one in resources if one.kind == "folder"),
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "updateIntervalSeconds": 60,
        "options": {"path": dashboards_path},
    }
    sources = [_datasource(one) for one in resources if one.kind == "datasource"]
    files = {
        Path("datasources/pravah.yaml"): _yaml({"datasources": sources}),
        Path("dashboards/pravah.yaml"): _yaml({"providers": [provider]}),
        **{Path(f"dashboards/json/{one['uid']}.json"): dump_json(one) for one in of("dashboard")},
    }
    if groups := of("rules"):
        files[Path("alerting/rules.yaml")] = _yaml(
            {"groups": [_group(one, title) for one in groups]}
        )
        files[Path("alerting/templates.yaml")] = _yaml(
            {"templates": [{"orgId": 1, **one} for one in of("template")]}
        )
        files[Path("alerting/mute-timings.yaml")] = _yaml(
            {"muteTimes": [{"orgId": 1, **one} for one in of("mute timing")]}
        )
    if points := of("contact point"):
        receivers = [
            {name: value for name, value in one.items() if name != "name"} for one in points
        ]
        files[Path("alerting/contact-points.yaml")] = _yaml(
            {"contactPoints": [{"orgId": 1, "name": points[0]["name"], "receivers": receivers}]}
        )
        files[Path("alerting/policies.yaml")] = _yaml(
            {"policies": [{"orgId": 1, **one} for one in of("policy")]}
        )
    return files


def write_files(files: dict[Path, str], folder: Path) -> list[Path]:
    """Write files that differ.

    Returns:
        The files that changed.
    """
    changed = [
        path
        for path, text in files.items()
        if not (folder / path).exists() or (folder / path).read_text(encoding="utf-8") != text
    ]
    for path in changed:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(files[path], encoding="utf-8")
    return changed


def _datasource(resource: Resource) -> dict[str, Any]:
    secret = {"secureJsonData": dict.fromkeys(resource.secret, PASSWORD)} if resource.secret else {}
    return {"orgId": 1, **resource.content, **secret, "editable": False}


def _group(group: dict[str, Any], folder: str) -> dict[str, Any]:
    rules = [
        {
            name: value
            for name, value in rule.items()
            if name not in {"orgID", "folderUID", "ruleGroup"}
        }
        for rule in group["rules"]
    ]
    return {
        "orgId": 1,
        "name": group["title"],
        "folder": folder,
        "interval": f"{group['interval']}s",
        "rules": rules,
    }


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(
        {"apiVersion": 1, **_escape(content)}, allow_unicode=True, sort_keys=False, width=1_000
    )


def _escape(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: item if name in _NOT_EXPANDED else _escape(item) for name, item in value.items()
        }
    if isinstance(value, list):
        return [_escape(item) for item in value]
    return (
        value.replace("$", "$$") if isinstance(value, str) and not _VARIABLE.match(value) else value
    )
