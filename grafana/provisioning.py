"""A Grafana that runs: look at what it has, and bring it to what it should have.

grafana-api makes the session. Its own calls fail on answers without a body, and on `null`, both of which Grafana's alerting gives; so the paths are asked here. Safe to repeat: what is as it should be is left alone.
"""

import difflib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, urlsplit

from grafana_api.grafana_face import GrafanaFace
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from grafana.alerts import FOLDER
from grafana.desired import Kind, Resource
from pravah.errors import PravahError

TIMEOUT_SECONDS = 30.0
_NOT_FOUND, _REFUSED = 404, (401, 403)
_COUNTED = {"id", "version"}
"""What Grafana counts in a dashboard by itself."""


class GrafanaError(PravahError):
    """Grafana did not do as it was asked; the message says what and why, without secrets."""

    status: int | None = None
    """HTTP; None if there was no answer."""

    @property
    def is_too_early(self) -> bool:
        """A new organisation has no alerting for the first minute."""
        return "could not find an Alertmanager configuration" in str(self)


@dataclass(frozen=True)
class Change:
    """One thing that is not as it should be, or was not."""

    resource: Resource
    actual: dict[str, Any] | None
    """None: it is not there."""
    why: str = ""

    @property
    def verb(self) -> str:
        """What is to be done."""
        return "make" if self.actual is None else "change"

    def diff(self) -> Iterator[str]:
        """Lines of a comparison: `-` as Grafana has it, `+` as it should be; only what we say anything about."""
        content = {
            name: value
            for name, value in self.resource.content.items()
            if self.resource.kind != "dashboard" or name not in _COUNTED
        }
        actual = self.actual or {}
        wanted = _text(content)
        has = _text(actual if self.resource.kind == "dashboard" else _like(content, actual))
        yield from difflib.unified_diff(has, wanted, "grafana", "pravah", lineterm="", n=2)


class GrafanaServer:
    """One organisation of a Grafana."""

    def __init__(
        self, url: str, auth: str | tuple[str, str], *, organisation: str | None = None
    ) -> None:
        """Connect.

        Args:
            url: where it answers, with the path if it is below one.
            auth: a service account's token, which belongs to one organisation; or the administrator's name and password, who may make organisations.
            organisation: its name; made if it is not there. With a token leave it away.

        Raises:
            GrafanaError: the address is none, or the organisation cannot be had.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            msg = (
                "--url: http:// or https://, a host, perhaps a port and a path; a name or password"
                " has no place in it"
            )
            raise GrafanaError(msg)
        path = parts.path.strip("/")
        self._face = GrafanaFace(
            auth,
            host=parts.hostname,
            port=parts.port,
            url_path_prefix=f"{path}/" if path else "",
            protocol=parts.scheme,
            timeout=TIMEOUT_SECONDS,
        )
        self.url = url
        if organisation:
            self._face.api.s.headers["X-Grafana-Org-Id"] = str(self._organisation(organisation))

    def changes(self, wanted: Sequence[Resource]) -> list[Change]:
        """What is not as it should be, in the order in which it can be mended."""
        found = []
        for resource in wanted:
            actual = self.actual(resource)
            if actual is None or not _is_as_wanted(actual, resource):
                found.append(Change(resource, actual))
            elif resource.secret and not self._works(resource):
                found.append(
                    Change(
                        resource, actual, "it does not reach its server: the password is told again"
                    )
                )
        return found

    def apply(self, change: Change) -> None:
        """Make or change one thing.

        Raises:
            GrafanaError: Grafana refuses.
        """
        resource, is_new = change.resource, change.actual is None
        content = resource.content | (
            {"secureJsonData": resource.secret} if resource.secret else {}
        )
        ways: dict[Kind, Callable[[], object]] = {
            "datasource": lambda: (
                self._ask("POST", "/datasources", content)
                if is_new
                else self._ask("PUT", f"/datasources/uid/{resource.uid}", content)
            ),
            "folder": lambda: (
                self._ask("POST", "/folders", content)
                if is_new
                else self._ask("PUT", f"/folders/{resource.uid}", content | {"overwrite": True})
            ),
            "dashboard": lambda: self._ask(
                "POST",
                "/dashboards/db",
                {
                    "dashboard": content,
                    "folderUid": FOLDER,
                    "overwrite": True,
                    "message": "pravah grafana provision",
                },
            ),
            "template": lambda: self._ask(
                "PUT", f"/v1/provisioning/templates/{resource.uid}", content
            ),
            "mute timing": lambda: self._made_or_put(
                "/v1/provisioning/mute-timings", resource, is_new=is_new
            ),
            "contact point": lambda: self._made_or_put(
                "/v1/provisioning/contact-points", resource, is_new=is_new
            ),
            "policy": lambda: self._ask("PUT", "/v1/provisioning/policies", content),
            "rules": lambda: self._put_rules(resource),
        }
        try:
            _patiently(ways[resource.kind])
        except GrafanaError as error:
            msg = f"{resource}: {error}"
            raise GrafanaError(msg) from None

    def actual(self, resource: Resource) -> dict[str, Any] | None:
        """What Grafana has of a thing; None if it has not."""
        if resource.kind == "dashboard":
            found = self._get(f"/dashboards/uid/{resource.uid}")
            return (
                None
                if found is None
                else {
                    name: value
                    for name, value in found["dashboard"].items()
                    if name not in _COUNTED
                }
            )
        if resource.kind == "contact point":
            return self._contact_point(resource)
        if resource.kind == "rules":
            return self._rules(resource)
        paths = {
            "datasource": "/datasources/uid/{}",
            "folder": "/folders/{}",
            "template": "/v1/provisioning/templates/{}",
        }
        paths |= {
            "mute timing": "/v1/provisioning/mute-timings/{}",
            "policy": "/v1/provisioning/policies",
        }
        return self._get(paths[resource.kind].format(resource.uid))

    def _contact_point(self, resource: Resource) -> dict[str, Any] | None:
        every = cast("list[dict[str, Any]]", self._ask("GET", "/v1/provisioning/contact-points"))
        found = next((one for one in every if one["uid"] == resource.uid), None)
        if found:  # secrets come back as [REDACTED]: whether they changed cannot be seen
            wanted = resource.content["settings"]
            found["settings"] = {
                name: wanted.get(name) if value == "[REDACTED]" else value
                for name, value in found["settings"].items()
            }
        return found

    def _rules(self, resource: Resource) -> dict[str, Any] | None:
        found = self._get(self._rules_path(resource))
        if found is None or not found.get("rules"):
            return None
        order = {rule["uid"]: number for number, rule in enumerate(resource.content["rules"])}
        found["rules"] = sorted(found["rules"], key=lambda rule: order.get(rule["uid"], len(order)))
        return found

    def _put_rules(self, resource: Resource) -> None:
        """A group as a whole: rules that are not wanted go. It cannot bring in a rule with a uid of its own, so each is made first."""
        for rule in resource.content["rules"]:
            if self._get(f"/v1/provisioning/alert-rules/{rule['uid']}") is None:
                self._ask("POST", "/v1/provisioning/alert-rules", rule)
        self._ask("PUT", self._rules_path(resource), resource.content | {"folderUid": FOLDER})

    def _rules_path(self, resource: Resource) -> str:
        return f"/v1/provisioning/folder/{FOLDER}/rule-groups/{quote(resource.uid)}"

    def _made_or_put(self, path: str, resource: Resource, *, is_new: bool) -> None:
        if is_new:
            self._ask("POST", path, resource.content)
        else:
            self._ask("PUT", f"{path}/{resource.uid}", resource.content)

    def _works(self, resource: Resource) -> bool:
        try:
            return bool(
                cast(
                    "dict[str, Any]", self._ask("GET", f"/datasources/uid/{resource.uid}/health")
                ).get("status")
                == "OK"
            )
        except GrafanaError:
            return False

    def _organisation(self, name: str) -> int:
        try:
            found = self._get(f"/orgs/name/{quote(name)}")
            return int(
                found["id"]
                if found
                else cast("dict[str, Any]", self._ask("POST", "/orgs", {"name": name}))["orgId"]
            )
        except GrafanaError as error:
            msg = (
                f"organisation {name!r}: {error}; making one takes the administrator's"
                " PRAVAH_GRAFANA_USER and PRAVAH_GRAFANA_PASSWORD"
            )
            raise GrafanaError(msg) from None

    def _get(self, path: str) -> dict[str, Any] | None:
        try:
            return cast("dict[str, Any]", self._ask("GET", path))
        except GrafanaError as error:
            if (
                error.status == _NOT_FOUND
                or error.is_too_early
                or "could not find alert rule" in str(error)
            ):  # as versions before 10 say it, with 500
                return None
            raise

    def _ask(self, method: str, path: str, body: object = None) -> object:
        api = self._face.api
        try:
            answer = api.s.request(
                method,
                f"{api.url}{path}",
                json=body,
                auth=api.auth,
                verify=api.verify,
                timeout=api.timeout,
                allow_redirects=False,
            )
            told = answer.json() if answer.content else {}
        except ValueError:  # no JSON: a proxy's page, or something that is no Grafana
            told = {}
        except OSError as error:
            msg = (
                f"no Grafana answers at {self.url} ({type(error).__name__}); is the address right,"
                " and does it run?"
            )
            raise GrafanaError(msg) from None
        if answer.ok and not answer.is_redirect:
            return told
        message = str(told.get("message") if isinstance(told, dict) else "")[:300] or answer.reason
        hint = (
            "; the token needs the role Admin of its organisation"
            if answer.status_code in _REFUSED
            else ""
        )
        failed = GrafanaError(f"{method} {path}: {answer.status_code} {message}{hint}")
        failed.status = answer.status_code
        raise failed


@retry(
    retry=retry_if_exception(lambda error: isinstance(error, GrafanaError) and error.is_too_early),
    stop=stop_after_delay(100),
    wait=wait_fixed(2),
    reraise=True,
)
def _patiently(call: Callable[[], object]) -> None:
    call()


def _text(content: object) -> list[str]:
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True).splitlines()


def _is_as_wanted(actual: dict[str, Any], resource: Resource) -> bool:
    if resource.kind == "dashboard":  # kept as it was sent: whatever is more was added by hand
        return actual == {
            name: value for name, value in resource.content.items() if name not in _COUNTED
        }
    return _contains(actual, resource.content)


def _contains(actual: object, wanted: object) -> bool:
    """Whether all that is wanted is there; Grafana adds defaults and counters of its own."""
    if isinstance(wanted, dict):
        return isinstance(actual, dict) and all(
            _contains(actual.get(name), value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(wanted)
            and all(map(_contains, actual, wanted))
        )
    return actual == wanted or (
        wanted in ({}, None, "", False, 0) and actual in (None, "", False, 0, {})
    )


def _like(wanted: object, actual: object) -> object:
    """As much of what is there as something is wanted of."""
    if isinstance(wanted, dict) and isinstance(actual, dict):
        return {name: _like(value, actual.get(name)) for name, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(actual, list) and len(wanted) == len(actual):
        return list(map(_like, wanted, actual))
    return actual
