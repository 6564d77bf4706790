"""Client for a field tool's HTTP API: retries where that helps, errors that say what to do."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx2
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from producers.mapping.tools.json_body import BodyError, EncryptedError, parse_json_rows
from producers.pulls.pagination import PullError, Row

_MAX_ATTEMPTS = 7
# Longest `Retry-After` that is waited for; after a longer one, the next pull is soon enough.
_MAX_RETRY_AFTER_S = 120.0
# Pauses between attempts where the tool sends no `Retry-After`.
_BACKOFF = wait_exponential_jitter(multiplier=1, max=60)
_RETRIED = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_HINTS = {
    **dict.fromkeys(
        (
            HTTPStatus.MOVED_PERMANENTLY,
            HTTPStatus.FOUND,
            HTTPStatus.TEMPORARY_REDIRECT,
            HTTPStatus.PERMANENT_REDIRECT,
        ),
        "the tool is elsewhere, and redirects are not followed with credentials; "
        "correct url in [pull]",
    ),
    HTTPStatus.UNAUTHORIZED: "the credentials are wrong; correct token_env or token_file "
    "(and user) in [pull]",
    HTTPStatus.FORBIDDEN: "the account may not read this; give it the rights that docs/pulls.md "
    "names",
    HTTPStatus.NOT_FOUND: "there is no such form for this account; correct url and the form's "
    "names in [pull]",
}


class _RetryLaterError(RuntimeError):
    """The tool cannot answer now."""

    def __init__(self, status: int, seconds: float | None) -> None:
        super().__init__(f"it answers {status}")
        self.seconds = seconds


@dataclass(frozen=True)
class ApiResponse:
    """A JSON object from a tool's API."""

    content: Mapping[str, Any]
    at: datetime
    """UTC, from the response's `Date`; the time of this machine if it has none."""
    where: str
    """The source and the URL, for messages."""

    def require(self, name: str, kind: type | None = None) -> Any:
        """A member that the response must have.

        Raises:
            PullError: it is missing, or of another type.
        """
        found = self.content.get(name)
        if name not in self.content or (kind is not None and not isinstance(found, kind)):
            msg = (
                f"{self.where}: the answer has no {name!r}, so it is not the API that "
                "docs/pulls.md names; correct url in [pull]"
            )
            raise PullError(msg)
        return found

    def rows(self, name: str, key: str, kind: type) -> list[Row]:
        """A list of objects that the response must have.

        Args:
            name: of the list.
            key: a member that each object must have.
            kind: the type of that member.

        Raises:
            PullError: it is missing, or an object is of another form.
        """
        found: list[Row] = self.require(name, list)
        if not all(isinstance(row, dict) and isinstance(row.get(key), kind) for row in found):
            msg = (
                f"{self.where}: an object in {name!r} has no {key!r}, so it is not the API that "
                "docs/pulls.md names; correct url in [pull]"
            )
            raise PullError(msg)
        return found


class ToolApi:
    """Sends requests to one tool. Credentials are sent in headers only, and to its URL only."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        auth: httpx2.Auth | Mapping[str, str],
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare; connects at the first request.

        Args:
            name: the source's, for messages.
            url: the tool's.
            auth: an HTTP authentication, or headers.
            transport: replaces the network.
            sleep: waits the given seconds between two attempts.
        """
        self._name, self._url = name, url
        headers, scheme = ({}, auth) if isinstance(auth, httpx2.Auth) else (dict(auth), None)
        self._client = httpx2.Client(
            base_url=url,
            headers=headers,
            auth=scheme,
            timeout=httpx2.Timeout(10, read=120),
            transport=transport,
        )
        self._retrying = Retrying(
            retry=retry_if_exception_type((httpx2.TransportError, _RetryLaterError)),
            wait=_pause,
            stop=stop_after_attempt(_MAX_ATTEMPTS),
            sleep=sleep,
            reraise=True,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, **parameters: str | int) -> ApiResponse:
        """Send a GET request.

        Raises:
            PullError: no answer after several attempts, or an error.
        """
        try:
            response = self._retrying(self._get_once, path, parameters)
        except httpx2.TransportError as error:
            msg = f"{self._name}: {self._url} cannot be reached: {type(error).__name__}: {error}"
            raise PullError(msg) from error
        except _RetryLaterError as error:
            msg = (
                f"{self._name}: {self._url} takes no requests now: {error}; the next pull tries "
                "again"
            )
            raise PullError(msg) from None
        where = f"{self._name}: {self._url}{path}"
        status = response.status_code
        if status != HTTPStatus.OK:
            hint = _HINTS.get(HTTPStatus(status), "") if status in set(HTTPStatus) else ""
            if status == HTTPStatus.NOT_IMPLEMENTED and "encrypt" in response.text.lower():
                hint = str(EncryptedError())
            reason = hint or " ".join(response.text[:300].split()) or "nothing"
            msg = f"{where} answers {status}: {reason}"
            raise PullError(msg)
        try:
            content = parse_json_rows(response.content)
        except BodyError as error:
            msg = (
                f"{where} answers with no JSON object; is this the tool's API? "
                f"correct url in [pull]: {error}"
            )
            raise PullError(msg) from None
        if not isinstance(content, dict):
            msg = (
                f"{where} answers with no JSON object; is this the tool's API? "
                "correct url in [pull]"
            )
            raise PullError(msg)
        at = _http_date(response.headers.get("Date")) or datetime.now(UTC)
        return ApiResponse(content, at, where)

    def _get_once(self, path: str, parameters: Mapping[str, str | int]) -> httpx2.Response:
        response = self._client.get(path, params=parameters)
        if response.status_code in _RETRIED:
            raise _RetryLaterError(response.status_code, _retry_after(response))
        return response


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds of `Retry-After`, which is a number or a date."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    now = _http_date(response.headers.get("Date")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _http_date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    seconds = error.seconds if isinstance(error, _RetryLaterError) else None
    return _BACKOFF(state) if seconds is None else min(seconds, _MAX_RETRY_AFTER_S)
