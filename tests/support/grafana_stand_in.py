"""A stand-in for Grafana's HTTP API, as far as provisioning uses it.

Its answers are those of a Grafana 9.4, or of its API description.
"""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

TOKEN, ADMIN, PASSWORD = "glsa_stand-in", "admin", "administrator's own"


class Answer(Exception):
    def __init__(self, status: int, body: object) -> None:
        self.status, self.body = status, body


class StandIn:
    """State by organisation; `writes` are the requests that are not GET."""

    def __init__(self) -> None:
        self.orgs = {"Main Org.": 1}
        self.kept: dict[int, dict[str, dict[str, Any]]] = {1: {}}
        self.writes: list[tuple[str, str, Any]] = []
        self.right_password = "secret of clickhouse"
        # organisation → number of requests for alerting to refuse
        self.refusals: dict[int, int] = {}

    def of(self, org: int, kind: str) -> dict[str, Any]:
        return self.kept[org].setdefault(kind, {})

    def answer(self, method: str, path: str, body: Any, org: int, *, admin: bool) -> Answer:
        if method != "GET":
            self.writes.append((method, path, body))
        parts = [unquote(part) for part in path.strip("/").split("/")][1:]
        if parts[0] == "v1":
            if self.refusals.get(org, 0) > 0:
                self.refusals[org] -= 1
                return Answer(500, {"message": "could not find an Alertmanager configuration"})
            return self.alerting(method, parts[2:], body, org)
        return getattr(self, parts[0])(method, parts[1:], body, org, admin=admin)

    def orgs_(self, method: str, parts: list[str], body: Any) -> Answer:
        if method == "GET":
            name = parts[1]
            return (
                Answer(200, {"id": self.orgs[name], "name": name})
                if name in self.orgs
                else Answer(404, {"message": "Organization not found"})
            )
        number = len(self.orgs) + 1
        self.orgs[body["name"]] = number
        self.kept[number] = {}
        self.refusals[number] = 1
        return Answer(200, {"orgId": number, "message": "Organization created"})

    def datasources(
        self,
        method: str,
        parts: list[str],
        body: Any,
        org: int,
        *,
        admin: bool,
    ) -> Answer:
        kept = self.of(org, "datasource")
        if method == "POST":
            if body["uid"] in kept:
                return Answer(409, {"message": "data source with the same name already exists"})
            kept[body["uid"]] = body
            return Answer(200, {"message": "Datasource added"})
        uid = parts[1]
        if uid not in kept:
            return Answer(404, {"message": "Data source not found"})
        if parts[2:] == ["health"]:
            works = kept[uid].get("secureJsonData", {}).get("password") == self.right_password
            return (
                Answer(200, {"status": "OK", "message": "Data source is working"})
                if works
                else Answer(400, {"status": "ERROR", "message": "516"})
            )
        if method == "PUT":
            kept[uid] = body | {
                "secureJsonData": (
                    kept[uid].get("secureJsonData", {}) | body.get("secureJsonData", {})
                )
            }
            return Answer(200, {"message": "Datasource updated"})
        shown = {name: value for name, value in kept[uid].items() if name != "secureJsonData"}
        return Answer(
            200,
            shown
            | {
                "id": 1,
                "orgId": org,
                "version": 3,
                "secureJsonFields": {"password": True},
                "readOnly": False,
                "user": "",
                "database": "",
            },
        )

    def folders(self, method: str, parts: list[str], body: Any, org: int, *, admin: bool) -> Answer:
        kept = self.of(org, "folder")
        if method == "POST":
            if body["uid"] in kept:
                return Answer(409, {"message": "a folder with the same name already exists"})
            kept[body["uid"]] = body
        elif parts[0] not in kept:
            return Answer(404, {"message": "folder not found"})
        elif method == "PUT":
            if not body.get("overwrite"):
                return Answer(412, {"message": "the folder has been changed by someone else"})
            kept[parts[0]] = {"uid": parts[0], "title": body["title"]}
        return Answer(
            200,
            kept[(body or {}).get("uid") or parts[0]]
            | {"id": 4, "url": "/dashboards/f/pravah", "canSave": True},
        )

    def dashboards(
        self,
        method: str,
        parts: list[str],
        body: Any,
        org: int,
        *,
        admin: bool,
    ) -> Answer:
        kept = self.of(org, "dashboard")
        if method == "GET":
            return (
                Answer(200, {"meta": {"folderUid": "pravah"}, "dashboard": kept[parts[1]]})
                if parts[1] in kept
                else Answer(404, {"message": "Dashboard not found"})
            )
        if body["folderUid"] not in self.of(org, "folder"):
            return Answer(400, {"message": "folder not found"})
        new = body["dashboard"]
        before = kept.get(new["uid"])
        if before and not body.get("overwrite"):
            return Answer(
                412,
                {
                    "message": "The dashboard has been changed by someone else",
                    "status": "version-mismatch",
                },
            )
        kept[new["uid"]] = new | {"id": 7, "version": before["version"] + 1 if before else 1}
        return Answer(200, {"status": "success", "uid": new["uid"]})

    def alerting(self, method: str, parts: list[str], body: Any, org: int) -> Answer:
        return getattr(self, parts[0].replace("-", "_"))(method, parts[1:], body, org)

    def templates(self, method: str, parts: list[str], body: Any, org: int) -> Answer:
        kept = self.of(org, "template")
        if method == "PUT":
            kept[parts[0]] = {
                "name": parts[0],
                "template": body["template"].strip(),
                "provenance": "api",
            }
            return Answer(202, kept[parts[0]])
        return Answer(200, kept[parts[0]]) if parts[0] in kept else Answer(404, None)

    def mute_timings(self, method: str, parts: list[str], body: Any, org: int) -> Answer:
        kept = self.of(org, "mute timing")
        if method == "POST":
            kept[body["name"]] = body
            return Answer(201, body)
        if parts[0] not in kept:
            return Answer(404, None)
        if method == "PUT":
            kept[parts[0]] = body
            return Answer(202, body)
        return Answer(200, kept[parts[0]] | {"version": "1", "provenance": "api"})

    def contact_points(self, method: str, parts: list[str], body: Any, org: int) -> Answer:
        kept = self.of(org, "contact point")
        if method == "GET":
            hidden = {"bottoken", "url"}
            shown = [
                one
                | {
                    "settings": {
                        k: "[REDACTED]" if k in hidden and one["type"] != "webhook" else v
                        for k, v in one["settings"].items()
                    }
                }
                for one in kept.values()
            ]
            return Answer(200, [one | {"provenance": "api"} for one in shown])
        wanted = {"webhook": "url", "email": "addresses", "telegram": "bottoken"}[body["type"]]
        if not body["settings"].get(wanted):
            return Answer(400, {"message": f"could not find {wanted} in settings"})
        kept[parts[0] if parts else body["uid"]] = body
        return Answer(202, body if method == "POST" else "")

    def policies(self, method: str, parts: list[str], body: Any, org: int) -> Answer:
        kept = self.of(org, "policy")
        if method == "PUT":
            receivers = {"grafana-default-email"} | {
                one["name"] for one in self.of(org, "contact point").values()
            }
            if (
                not {body["receiver"], *(route["receiver"] for route in body["routes"])}
                <= receivers
            ):
                return Answer(
                    400, {"message": "invalid object specification: receiver does not exist"}
                )
            kept["policy"] = body | {
                "routes": [
                    route | {"object_matchers": sorted(route["object_matchers"])}
                    for route in body["routes"]
                ]
            }
            return Answer(202, {"message": "policies updated"})
        return Answer(
            200,
            kept.get(
                "policy",
                {"receiver": "grafana-default-email", "group_by": ["grafana_folder", "alertname"]},
            )
            | {"provenance": "api"},
        )

    def alert_rules(self, method: str, parts: list[str], body: Any, org: int) -> Answer:
        kept = self.of(org, "rule")
        if method == "POST":
            if body["folderUID"] not in self.of(org, "folder") or body["uid"] in kept:
                return Answer(400, {"message": "folder does not exist, or the uid is taken"})
            kept[body["uid"]] = body | {"orgID": org}
            return Answer(201, body)
        return (
            Answer(200, kept[parts[0]])
            if parts[0] in kept
            else Answer(500, {"message": "could not find alert rule"})
        )

    def folder(self, method: str, parts: list[str], body: Any, org: int) -> Answer:
        name, rules = parts[2], self.of(org, "rule")
        groups = self.of(org, "group")
        if method == "PUT":
            for rule in body["rules"]:
                if rule["uid"] not in rules:
                    return Answer(
                        500,
                        {
                            "message": (
                                f"failed to update rule with UID {rule['uid']} because could not"
                                " find alert rule"
                            )
                        },
                    )
            wanted = {rule["uid"] for rule in body["rules"]}
            for uid in [
                uid
                for uid, rule in rules.items()
                if rule["ruleGroup"] == name and uid not in wanted
            ]:
                del rules[uid]
            rules.update({rule["uid"]: rule | {"orgID": org} for rule in body["rules"]})
            groups[name] = body["interval"]
        found = [
            rule | {"id": number, "updated": "2026-11-25T08:00:00Z"}
            for number, rule in enumerate(rules.values())
            if rule["ruleGroup"] == name
        ]
        if not found:
            return Answer(404, {"message": "rule group does not exist"})
        return Answer(
            200,
            {
                "title": name,
                "folderUid": "pravah",
                "interval": groups.get(name, 60),
                "rules": list(reversed(found)),
            },
        )


@contextmanager
def serving(stand_in: StandIn) -> Iterator[str]:
    """Serve it on a free port, below a path as behind a proxy; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.close_connection = True
            super().handle_one_request()

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            basic = "Basic " + base64.b64encode(f"{ADMIN}:{PASSWORD}".encode()).decode()
            given = self.headers.get("Authorization")
            admin = given == basic
            if not admin and given != f"Bearer {TOKEN}":
                answer = Answer(401, {"message": "Invalid API key"})
            elif not self.path.startswith("/grafana/api/"):
                answer = Answer(404, {"message": "Not found"})
            else:
                path = self.path.removeprefix("/grafana")
                org = int(self.headers.get("X-Grafana-Org-Id") or 1)
                if path.startswith("/api/orgs"):
                    parts = [unquote(part) for part in path.split("/")[3:]]
                    answer = (
                        stand_in.orgs_(self.command, parts, body)
                        if admin
                        else Answer(403, {"message": "You'll need additional permissions"})
                    )
                else:
                    answer = stand_in.answer(self.command, path, body, org, admin=admin)
            content = b"" if answer.body == "" else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/grafana/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
