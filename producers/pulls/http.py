"""A field tool's API over HTTP."""

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

from producers.pulls.pagination import PullError, Row

_ATTEMPTS = 7
_LONGEST_SECONDS = 120.0
"""So long a pause that the tool asks for is kept; if it asks for more, the next pull is soon enough."""
_BACKOFF = wait_exponential_jitter(multiplier=1, max=60)
"""Seconds before the next attempt, where the tool does not say."""
_LATER = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_WHAT_TO_DO = {
    **dict.fromkeys(
        (
            HTTPStatus.MOVED_PERMANENTLY,
            HTTPStatus.FOUND,
            HTTPStatus.TEMPORARY_REDIRECT,
            HTTPStatus.PERMANENT_REDIRECT,
        ),
        "the tool is elsewhere, where the credentials are not sent unasked; mend url in [pull]",
    ),
    HTTPStatus.UNAUTHORIZED: "it does not know who asks; mend token_env or token_file (and user) in [pull]",
    HTTPStatus.FORBIDDEN: "the account may not read this; give it the rights that docs/pulls.md names",
    HTTPStatus.NOT_FOUND: "there is no such form for this account; mend url and the form's names in [pull]",
}


class _LaterError(RuntimeError):
    """The tool asks to come again later."""

    def __init__(self, status: int, seconds: float | None) -> None:
        super().__init__(f"it answers {status}")
        self.seconds = seconds


@dataclass(frozen=True)
class Answer:
    """What a tool answered."""

    content: Mapping[str, Any]
    at: datetime
    """By the tool's clock (its `Date`), UTC; by ours where it tells none."""
    where: str

    def part(self, name: str, kind: type | None = None) -> Any:
        """A part that the answer must have.

        Raises:
            PullError: it has not.
        """
        found = self.content.get(name)
        if name not in self.content or (kind is not None and not isinstance(found, kind)):
            msg = f"{self.where}: the answer has no {name!r}, so it is not the API that docs/pulls.md names; mend url in [pull]"
            raise PullError(msg)
        return found

    def rows(self, name: str, key: str, kind: type) -> list[Row]:
        """A list of objects that the answer must have, each with a key of some kind.

        Raises:
            PullError: it has not.
        """
        found: list[Row] = self.part(name, list)
        if not all(isinstance(row, dict) and isinstance(row.get(key), kind) for row in found):
            msg = f"{self.where}: what is in {name!r} has no {key!r}, so it is not the API that docs/pulls.md names; mend url in [pull]"
            raise PullError(msg)
        return found


class ToolApi:
    """Asks one tool. The credentials travel in headers alone, and to this address alone."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        auth: httpx2.Auth | Mapping[str, str],
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Connect at the first request.

        Args:
            name: the source's, for messages.
            url: the tool's address.
            auth: how requests prove who asks: HTTP's own ways, or headers.
            transport: how requests travel; over the network by default.
            sleep: waits so many seconds between two attempts.
        """
        self._name, self._url = name, url
        headers, way = ({}, auth) if isinstance(auth, httpx2.Auth) else (dict(auth), None)
        self._client = httpx2.Client(
            base_url=url,
            headers=headers,
            auth=way,
            timeout=httpx2.Timeout(10, read=120),
            transport=transport,
        )
        self._retrying = Retrying(
            retry=retry_if_exception_type((httpx2.TransportError, _LaterError)),
            wait=_wait,
            stop=stop_after_attempt(_ATTEMPTS),
            sleep=sleep,
            reraise=True,
        )

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def get(self, path: str, **parameters: str | int) -> Answer:
        """Ask for JSON.

        Raises:
            PullError: no answer after several attempts, or one that says no.
        """
        try:
            answer = self._retrying(self._once, path, parameters)
        except httpx2.TransportError as error:
            msg = f"{self._name}: {self._url} cannot be reached: {type(error).__name__}: {error}"
            raise PullError(msg) from error
        except _LaterError as error:
            msg = f"{self._name}: {self._url} takes no requests now: {error}; the next pull tries again"
            raise PullError(msg) from None
        where = f"{self._name}: {self._url}{path}"
        if answer.status_code != HTTPStatus.OK:
            hint = (
                _WHAT_TO_DO.get(HTTPStatus(answer.status_code), "")
                if answer.status_code in set(HTTPStatus)
                else ""
            )
            msg = f"{where} answers {answer.status_code}: {hint or ' '.join(answer.text[:300].split()) or 'nothing'}"
            raise PullError(msg)
        try:
            content = answer.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            msg = f"{where} answers with no JSON object; is this the tool's API? mend url in [pull]"
            raise PullError(msg)
        return Answer(content, _instant(answer.headers.get("Date")) or datetime.now(UTC), where)

    def _once(self, path: str, parameters: Mapping[str, str | int]) -> httpx2.Response:
        answer = self._client.get(path, params=parameters)
        if answer.status_code in _LATER:
            raise _LaterError(answer.status_code, _pause(answer))
        return answer


def _pause(answer: httpx2.Response) -> float | None:
    """Seconds of `Retry-After`, which has a number or a date."""
    asked = answer.headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    until = _instant(asked)
    return (
        max(
            0.0,
            (until - (_instant(answer.headers.get("Date")) or datetime.now(UTC))).total_seconds(),
        )
        if until
        else None
    )


def _instant(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.seconds if isinstance(error, _LaterError) else None
    return _BACKOFF(state) if asked is None else min(asked, _LONGEST_SECONDS)
