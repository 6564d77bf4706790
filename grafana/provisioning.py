"""Provisions a running Grafana over its HTTP API.

It compares what Grafana has with what it should have, and changes what differs; so it is safe to
repeat.
"""

import difflib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from grafana.alerts import FOLDER
from grafana.client import GrafanaClient, GrafanaError
from grafana.desired import Kind, Resource

# Fields of a dashboard that Grafana sets.
_GRAFANA_FIELDS = {"id", "version"}


@dataclass(frozen=True)
class Change:
    """A resource that differs from what it should be."""

    resource: Resource
    actual: dict[str, Any] | None
    """The resource as Grafana has it; None if it has none."""
    why: str = ""

    @property
    def verb(self) -> str:
        """`make` or `change`."""
        return "make" if self.actual is None else "change"

    def diff(self) -> Iterator[str]:
        """Unified diff: `-` as Grafana has it, `+` as it should be.

        Fields that we do not set are left out.
        """
        content = {
            name: value
            for name, value in self.resource.content.items()
            if self.resource.kind != "dashboard" or name not in _GRAFANA_FIELDS
        }
        actual = self.actual or {}
        wanted = _text(content)
        has = _text(actual if self.resource.kind == "dashboard" else _restrict(content, actual))
        yield from difflib.unified_diff(has, wanted, "grafana", "pravah", lineterm="", n=2)


class GrafanaServer:
    """One organisation of a Grafana."""

    def __init__(
        self, url: str, auth: str | tuple[str, str], *, organisation: str | None = None
    ) -> None:
        """Create a client, and select the organisation.

        Args:
            url: address of the Grafana, with its path if it has one.
            auth: a service account's token, which belongs to one organisation; or the
                administrator's name and password.
            organisation: name of the organisation, which is created if it does not exist. Needs
                the administrator's name and password.

        Raises:
            GrafanaError: the address is not valid, or the organisation cannot be created.
        """
        self.url = url
        self._grafana = GrafanaClient(url, auth)
        if organisation:
            self._grafana.select_organisation(self._organisation(organisation))

    def changes(self, wanted: Sequence[Resource]) -> list[Change]:
        """Resources that differ, in the order in which to apply them."""
        found = []
        for resource in wanted:
            actual = self.actual(resource)
            if actual is None or not _matches(actual, resource):
                found.append(Change(resource, actual))
            elif resource.secret and not self._is_healthy(resource):
                found.append(
                    Change(
                        resource, actual, "it does not reach its server: the password is set again"
                    )
                )
        return found

    def apply(self, change: Change) -> None:
        """Create or change a resource.

        Raises:
            GrafanaError: Grafana refuses it.
        """
        resource, is_new = change.resource, change.actual is None
        content = resource.content | (
            {"secureJsonData": resource.secret} if resource.secret else {}
        )
        requests: dict[Kind, Callable[[], object]] = {
            "datasource": lambda: (
                self._grafana.datasources.create_datasource(content)
                if is_new
                else self._request("PUT", f"/datasources/uid/{resource.uid}", content)
            ),
            "folder": lambda: (
                self._grafana.folders.create_folder(content["title"], resource.uid)
                if is_new
                else self._grafana.folders.update_folder(
                    resource.uid, content["title"], overwrite=True
                )
            ),
            "dashboard": lambda: self._grafana.dashboards.update_dashboard(
                {
                    "dashboard": content,
                    "folderUid": FOLDER,
                    "overwrite": True,
                    "message": "pravah grafana provision",
                }
            ),
            "template": lambda: self._request(
                "PUT", f"/v1/provisioning/templates/{resource.uid}", content
            ),
            "mute timing": lambda: self._create_or_update(
                "/v1/provisioning/mute-timings", resource, is_new=is_new
            ),
            "contact point": lambda: self._create_or_update(
                "/v1/provisioning/contact-points", resource, is_new=is_new
            ),
            "policy": lambda: self._request("PUT", "/v1/provisioning/policies", content),
            "rules": lambda: self._put_rules(resource),
        }
        try:
            _retry_while_starting(requests[resource.kind])
        except GrafanaError as error:
            msg = f"{resource}: {error}"
            raise GrafanaError(msg) from None

    def actual(self, resource: Resource) -> dict[str, Any] | None:
        """The resource as Grafana has it; None if it has none."""
        if resource.kind == "dashboard":
            found = _found(partial(self._grafana.dashboards.get_dashboard, resource.uid))
            return (
                None
                if found is None
                else {
                    name: value
                    for name, value in found["dashboard"].items()
                    if name not in _GRAFANA_FIELDS
                }
            )
        if resource.kind == "contact point":
            return self._contact_point(resource)
        if resource.kind == "rules":
            return self._rules(resource)
        if resource.kind == "folder":
            return _found(partial(self._grafana.folders.get_folder, resource.uid))
        paths = {
            "datasource": "/datasources/uid/{}",
            "template": "/v1/provisioning/templates/{}",
            "mute timing": "/v1/provisioning/mute-timings/{}",
            "policy": "/v1/provisioning/policies",
        }
        return self._get(paths[resource.kind].format(resource.uid))

    def _contact_point(self, resource: Resource) -> dict[str, Any] | None:
        every = cast(
            "list[dict[str, Any]]", self._request("GET", "/v1/provisioning/contact-points")
        )
        found = next((one for one in every if one["uid"] == resource.uid), None)
        if found:  # secrets come back as [REDACTED] and cannot be compared
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
        """Put a whole group, which deletes other rules of it.

        The group's path cannot create a rule with a given uid, so new rules are created first.
        """
        for rule in resource.content["rules"]:
            if self._get(f"/v1/provisioning/alert-rules/{rule['uid']}") is None:
                self._request("POST", "/v1/provisioning/alert-rules", rule)
        self._request("PUT", self._rules_path(resource), resource.content | {"folderUid": FOLDER})

    def _rules_path(self, resource: Resource) -> str:
        return f"/v1/provisioning/folder/{FOLDER}/rule-groups/{quote(resource.uid)}"

    def _create_or_update(self, path: str, resource: Resource, *, is_new: bool) -> None:
        if is_new:
            self._request("POST", path, resource.content)
        else:
            self._request("PUT", f"{path}/{resource.uid}", resource.content)

    def _is_healthy(self, resource: Resource) -> bool:
        try:
            return bool(
                cast(
                    "dict[str, Any]",
                    self._request("GET", f"/datasources/uid/{resource.uid}/health"),
                ).get("status")
                == "OK"
            )
        except GrafanaError:
            return False

    def _organisation(self, name: str) -> int:
        try:
            organizations = self._grafana.organizations
            found = _found(partial(organizations.find_organization, quote(name)))
            return int(
                found["id"] if found else organizations.create_organization({"name": name})["orgId"]
            )
        except GrafanaError as error:
            msg = (
                f"organisation {name!r}: {error}; making one takes the administrator's"
                " PRAVAH_GRAFANA_USER and PRAVAH_GRAFANA_PASSWORD"
            )
            raise GrafanaError(msg) from None

    def _get(self, path: str) -> dict[str, Any] | None:
        return _found(partial(self._request, "GET", path))

    def _request(self, method: str, path: str, body: object = None) -> object:
        return self._grafana.request(method, path, body)


def _found(call: Callable[[], object]) -> dict[str, Any] | None:
    """Return a call's answer; None if Grafana has no such thing."""
    try:
        return cast("dict[str, Any]", call())
    except GrafanaError as error:
        if (
            error.status == HTTPStatus.NOT_FOUND
            or error.is_alerting_starting
            or "could not find alert rule" in str(error)
        ):  # Grafana before 10, with status 500
            return None
        raise


@retry(
    retry=retry_if_exception(
        lambda error: isinstance(error, GrafanaError) and error.is_alerting_starting
    ),
    stop=stop_after_delay(100),
    wait=wait_fixed(2),
    reraise=True,
)
def _retry_while_starting(call: Callable[[], object]) -> None:
    call()


def _text(content: object) -> list[str]:
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True).splitlines()


def _matches(actual: dict[str, Any], resource: Resource) -> bool:
    if resource.kind == "dashboard":  # stored as sent: anything else was changed by hand
        return actual == {
            name: value for name, value in resource.content.items() if name not in _GRAFANA_FIELDS
        }
    return _contains(actual, resource.content)


def _contains(actual: object, wanted: object) -> bool:
    """Whether everything wanted is there; Grafana adds defaults and counters."""
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


def _restrict(wanted: object, actual: object) -> object:
    """The part of `actual` of which something is wanted."""
    if isinstance(wanted, dict) and isinstance(actual, dict):
        return {name: _restrict(value, actual.get(name)) for name, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(actual, list) and len(wanted) == len(actual):
        return list(map(_restrict, wanted, actual))
    return actual
