"""The other end: what headquarters runs to take a state's figures and keep them current."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
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

from pravah.days import KOLKATA
from replica.sources import Source
from replica.store import Copy

PAGE = 100_000
_ATTEMPTS = 6
_CHECKS = 5
_BACKOFF = wait_exponential_jitter(multiplier=0.5, max=20)
"""Seconds before the next attempt, where the source does not say."""


class PullError(RuntimeError):
    """A source cannot be pulled, and trying again would not help."""


class _AgainError(RuntimeError):
    """The source asks to come again later."""

    def __init__(self, detail: str, seconds: float) -> None:
        super().__init__(detail)
        self.seconds = seconds


@dataclass
class Pulled:
    """What came of pulling a source."""

    source: str
    pages: int = 0
    rows: int = 0
    began_anew: bool = False
    figures: int = 0
    """Totals that were compared with the source's own."""
    different: int = 0
    moving: bool = False
    """The source's figures moved on each time they were to be compared."""


class Puller:
    """Pulls one source into a copy."""

    def __init__(
        self,
        source: Source,
        copy: Copy,
        *,
        page: int = PAGE,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Connect at the first request.

        Args:
            source: where from.
            copy: where to.
            page: rows of a page.
            transport: how requests travel; over the network by default.
        """
        self._source, self._copy, self._page = source, copy, page
        headers = {"Authorization": f"Bearer {source.token}", "Accept-Encoding": "zstd, gzip"}
        self._client = httpx2.Client(
            base_url=source.url,
            headers=headers,
            timeout=httpx2.Timeout(10, read=180),
            transport=transport,
        )
        self._retrying = Retrying(
            retry=retry_if_exception_type((httpx2.TransportError, _AgainError)),
            wait=_wait,
            stop=stop_after_attempt(_ATTEMPTS),
            reraise=True,
        )

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def pull(self, tell: Callable[[Pulled], None] = lambda _: None) -> Pulled:
        """Take all that changed, then hold the copy's totals at the level of states against the source's own.

        Raises:
            PullError: the source refuses, or does not answer.
        """
        done = Pulled(self._source.name)
        for attempt in range(_CHECKS):
            for rows in self._pages(done):
                done.pages, done.rows = done.pages + 1, done.rows + rows
                tell(done)
            self._copy.settle()
            if self._compare(done):
                return done
            done.moving = attempt == _CHECKS - 1
        return done

    def _pages(self, done: Pulled) -> Iterator[int]:
        more = True
        while more:
            cursor = self._copy.cursor()
            answer = self._get(
                "/v1/changes", limit=self._page, **({"cursor": cursor} if cursor else {})
            )
            if answer.status_code == HTTPStatus.GONE:
                self._copy.begin_anew()
                done.began_anew = True
                continue
            body = self._checked(answer)
            self._copy.apply(body["data"], body["next"])
            more = body["more"]
            yield len(body["data"])

    def _compare(self, done: Pulled) -> bool:
        """Whether the totals could be compared: nothing must have changed since the last page."""
        dictionary = self._checked(self._get("/v1/metrics", limit=10_000))["data"]
        stocks = [metric["metric"] for metric in dictionary if metric["type"] == "stock"]
        day = datetime.now(KOLKATA).date().isoformat()
        rows = self._checked(self._get("/v1/totals", level="state", limit=100_000))["data"]
        theirs = {
            (row["unit"], row["metric"]): (row["value"], row["verified_value"]) for row in rows
        }
        cursor = self._copy.cursor()
        after = self._checked(
            self._get("/v1/changes", limit=1, **({"cursor": cursor} if cursor else {}))
        )
        if after["data"]:
            return False
        ours = {
            (unit, metric): (value, verified)
            for _, unit, metric, value, verified in self._copy.totals("state", day, stocks)
        }
        done.figures = len(theirs)
        done.different = sum(
            theirs.get(key, (0, 0)) != ours.get(key, (0, 0)) for key in theirs.keys() | ours.keys()
        )
        return True

    def _get(self, path: str, **parameters: str | int) -> httpx2.Response:
        def once() -> httpx2.Response:
            answer = self._client.get(path, params=parameters)
            if answer.status_code in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
                raise _AgainError(self._said(answer), float(answer.headers.get("Retry-After", "1")))
            return answer

        try:
            return self._retrying(once)
        except (httpx2.TransportError, _AgainError) as error:
            msg = f"{self._source.name}: {self._source.url} does not answer: {error}"
            raise PullError(msg) from error

    def _checked(self, answer: httpx2.Response) -> dict[str, Any]:
        if answer.status_code != HTTPStatus.OK:
            raise PullError(self._said(answer))
        body: dict[str, Any] = answer.json()
        return body

    def _said(self, answer: httpx2.Response) -> str:
        try:
            detail = answer.json()["detail"]
        except (ValueError, KeyError, TypeError):
            detail = answer.text[:200]
        return f"{self._source.name}: {answer.status_code}: {detail}"


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return error.seconds if isinstance(error, _AgainError) else _BACKOFF(state)
