"""Grafana's HTTP API, by grafana-api.

grafana-api's own requests fail on answers without a body and on `null`, which Grafana's alerting
gives, and their errors name no path. `GrafanaClient` replaces the one method that makes requests.
grafana-api's calls for dashboards, folders, data sources and organisations work on it, and paths
that grafana-api does not know are requested in the same way.
"""

from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from grafana_api.api import Dashboard, Datasource, Folder, Organization
from grafana_api.grafana_api import GrafanaAPI

from pravah.errors import PravahError

TIMEOUT_SECONDS = 30.0
_METHODS = {"GET", "POST", "PUT", "DELETE"}
_MAX_MESSAGE_CHARS = 300


class GrafanaError(PravahError):
    """Grafana refused a request, or does not answer; the message has no secrets."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; None if no answer came."""

    @property
    def is_alerting_starting(self) -> bool:
        """Whether a new organisation has no alerting yet, which takes up to a minute."""
        return "could not find an Alertmanager configuration" in str(self)


class GrafanaClient(GrafanaAPI):
    """One Grafana: `dashboards`, `folders`, `datasources`, `organizations`, and `request`."""

    def __init__(self, url: str, auth: str | tuple[str, str]) -> None:
        """Create a session.

        Args:
            url: address of the Grafana, with its path if it has one.
            auth: a service account's token, or the administrator's name and password.

        Raises:
            GrafanaError: the address is not valid.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            msg = (
                "--url: http:// or https://, a host, perhaps a port and a path; a name or password"
                " has no place in it"
            )
            raise GrafanaError(msg)
        path = parts.path.strip("/")
        super().__init__(
            auth,
            host=f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname,
            port=parts.port,
            url_path_prefix=f"{path}/" if path else "",
            protocol=parts.scheme,
            timeout=TIMEOUT_SECONDS,
        )
        self.address = url
        self.dashboards, self.folders = Dashboard(self), Folder(self)
        self.datasources, self.organizations = Datasource(self), Organization(self)

    def select_organisation(self, number: int) -> None:
        """Make all later requests in an organisation."""
        self.s.headers["X-Grafana-Org-Id"] = str(number)

    def __getattr__(self, name: str) -> Any:
        """Return `GET`, `POST`, `PUT` or `DELETE`, by which grafana-api makes its requests."""
        if name not in _METHODS:
            raise AttributeError(name)
        return partial(self.request, name)

    def request(
        self, method: str, path: str, json: object = None, headers: dict[str, str] | None = None
    ) -> object:
        """Make a request below `/api`.

        Returns:
            The answer's JSON; an empty dictionary if it has none.

        Raises:
            GrafanaError: Grafana refuses it, or does not answer.
        """
        try:
            response = self.s.request(
                method,
                f"{self.url}{path}",
                json=json,
                headers=headers,
                auth=self.auth,
                verify=self.verify,
                timeout=self.timeout,
                allow_redirects=False,
            )
        except OSError as error:
            msg = (
                f"no Grafana answers at {self.address} ({type(error).__name__}); is the address"
                " right, and does it run?"
            )
            raise GrafanaError(msg) from None
        try:
            answer = response.json() if response.content else {}
        except ValueError:  # not JSON: a proxy's page, or a server that is not Grafana
            answer = {}
        if response.ok and not response.is_redirect:
            return answer
        message = str(answer.get("message") if isinstance(answer, dict) else "")
        hint = (
            "; the token needs the role Admin of its organisation"
            if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
            else ""
        )
        detail = message[:_MAX_MESSAGE_CHARS] or response.reason
        msg = f"{method} {path}: {response.status_code} {detail}{hint}"
        raise GrafanaError(msg, response.status_code)
