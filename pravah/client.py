"""HTTP client for the AICC API (`pravah api`): figures, plan, registry and the change feed.

    from pravah import Client

    with Client("https://figures.example", token) as client:
        for row in client.rollups(unit="CG", level="district", from_="2022-06-01"):
            print(row["day"], row["unit"], row["metric"], row["value"])

The client is synchronous and reads page after page. It repeats a request that failed on the
network or was answered with 429 or 503, and waits as long as the server's `Retry-After` says. It
keeps answers with their entity tags: one that has not changed is not sent again.

A table of a metric by district over the weeks, as a Polars data frame:

    rows = client.rollups(level="district", metric="members_digital", grain="week", names=True)
    table = rows.to_polars().pivot("unit_name_en", index="day", values="value")
"""

import json
import os
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

import httpx2
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from pravah.client_rows import (
    DefaulterRow,
    MetricRow,
    ProgressRow,
    RollupRow,
    Row,
    Rows,
    TotalRow,
    UnitRow,
)
from pravah.errors import PravahError

# A query parameter. None leaves it out; a sequence repeats it; a date is sent as ISO 8601.
Param = str | int | float | bool | date | Sequence[str] | None

DEFAULT_PAGE_SIZE = 10_000
MAX_ATTEMPTS = 6
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 180.0
# Answers that a client keeps to ask whether they have changed.
MAX_CACHE_BYTES = 64_000_000

# Seconds before the next attempt where the server sends no Retry-After.
_BACKOFF = wait_exponential_jitter(multiplier=0.5, max=20)
_RETRYABLE = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_MAX_DETAIL_CHARS = 200


class ApiError(PravahError):
    """The API refused a request, or could not be reached.

    `detail` is the sentence of the server's problem document (RFC 9457) where it sent one.
    """

    def __init__(
        self, detail: str, *, status: int | None = None, problem: dict[str, Any] | None = None
    ) -> None:
        super().__init__(detail if status is None else f"{status}: {detail}")
        self.detail = detail
        self.status = status
        """HTTP status; None if no answer came."""
        self.problem = problem or {}
        """The whole problem document; empty if the server sent none."""


class ChangesPage(NamedTuple):
    """One page of `/v1/changes`."""

    rows: list[Row]
    """Figures that changed, each with its new value; `deleted` is 1 for a row that is gone."""
    cursor: str
    """Pass it to the next call. Store it together with the rows."""
    has_more: bool
    """Whether another page can be read at once."""


class _RetryableError(Exception):
    """An answer that asks to repeat the request."""

    def __init__(self, error: ApiError, delay_s: float | None) -> None:
        super().__init__(str(error))
        self.error, self.delay_s = error, delay_s


class Client:
    """Client of one AICC API. Use it as a context manager, or call `close`."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        page_size: int = DEFAULT_PAGE_SIZE,
        max_attempts: int = MAX_ATTEMPTS,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Create a client. It connects with the first request.

        Args:
            url: the API's address, without `/v1`.
            token: made by `pravah api token create`. It is sent as a bearer token only: it is
                in no URL, log line, error or `repr`. By default the environment's PRAVAH_TOKEN.
            page_size: rows to ask for at a time, 100,000 at most.
            max_attempts: attempts per request, the first included.
            transport: how requests are sent; over the network by default.

        Raises:
            ValueError: the token is empty or has characters that no token has.
        """
        token = os.environ.get("PRAVAH_TOKEN", "") if token is None else token
        if not re.fullmatch(r"[!-~]+", token):  # the HTTP library would repeat it in its error
            msg = "the token is empty, or has spaces, line ends or letters that are not ASCII"
            raise ValueError(msg)
        self.url = url.rstrip("/")
        self._page_size = page_size
        self._cache = _Cache()
        self._http = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx2.Timeout(CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
            transport=transport,
        )
        self._retrying = Retrying(
            retry=retry_if_exception_type((httpx2.TransportError, _RetryableError)),
            wait=_delay_s,
            stop=stop_after_attempt(max_attempts),
            reraise=True,
        )

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **params: Param) -> Any:
        """Request a path and return its JSON body.

        Args:
            path: such as `/v1/freshness`.
            params: query parameters by the API's names. A trailing underscore is dropped, so that
                `from_` stands for `from`, which is a keyword of Python.

        Raises:
            ApiError: the API refused the request or, after all attempts, could not be reached.
        """
        query = {name.removesuffix("_"): _text(value) for name, value in params.items()}
        query = {name: value for name, value in query.items() if value is not None}
        try:
            return self._retrying(self._request, path, query)
        except _RetryableError as refusal:
            raise refusal.error from None
        except httpx2.TransportError as error:
            msg = f"{self.url} does not answer: {error}"
            raise ApiError(msg) from error

    def pages(self, path: str, **params: Param) -> Iterator[list[Any]]:
        """Read a path that answers in pages, page by page.

        Figures that change between two pages show in the later one; use `changes` for a copy.

        Raises:
            ApiError: as for `get`.
        """
        params = {"limit": self._page_size, **params}
        while True:
            body = self.get(path, **params)
            yield body["data"]
            if body["next"] is None:
                return
            params["cursor"] = body["next"]

    def rows(self, path: str, **params: Param) -> Rows[Row]:
        """Read a path that answers in pages, row by row.

        Raises:
            ApiError: as for `get`, while the rows are read.
        """
        return Rows(self.pages(path, **params))

    def rollups(self, **params: Param) -> Rows[RollupRow]:
        """Figures per day, unit and metric.

        Args:
            params: unit, level, metric, from_, to, grain, boundaries, as_of, names.
        """
        return Rows(self.pages("/v1/rollups", **params), RollupRow, names=params.get("names"))

    def totals(self, **params: Param) -> Rows[TotalRow]:
        """Flows to date and stocks as they stand. Parameters: unit, level, metric, names."""
        return Rows(self.pages("/v1/totals", **params), TotalRow, names=params.get("names"))

    def plan(self, **params: Param) -> Rows[ProgressRow]:
        """Progress per milestone. Parameters: unit, level, milestone, date, names.

        With `detail=True` the rows are the states of single units.
        """
        kind = None if params.get("detail") else ProgressRow
        return Rows(self.pages("/v1/plan", **params), kind, names=params.get("names"))

    def defaulters(self, **params: Param) -> Rows[DefaulterRow]:
        """Units with overdue milestones. Parameters: unit, level, milestone, date, names."""
        return Rows(self.pages("/v1/defaulters", **params), DefaulterRow, names=params.get("names"))

    def units(self, **params: Param) -> Rows[UnitRow]:
        """The registry's units. Parameters: unit, level, q (a part of the name or code)."""
        return Rows(self.pages("/v1/units", **params), UnitRow, names=params.get("names"))

    def metrics(self) -> Rows[MetricRow]:
        """The metric dictionary."""
        return Rows(self.pages("/v1/metrics"), MetricRow)

    def explain(self, unit: str, metric: str, day: date | str, **params: Param) -> dict[str, Any]:
        """The events behind one figure: those that count in it, and those that do not, and why.

        Args:
            unit: code or name, as in the figure's row.
            metric: as in the figure's row.
            day: as in the figure's row.
            params: limit, names.

        Raises:
            ApiError: as for `get`.
        """
        found = self.get("/v1/explain", unit=unit, metric=metric, day=day, **params)
        return cast("dict[str, Any]", found)

    def changes(self, cursor: str | None = None, **params: Param) -> ChangesPage:
        """Read one page of the change feed.

        Args:
            cursor: of the page before; None for all figures from the start.
            params: level, metric, limit.

        Raises:
            ApiError: as for `get`; with status 410 if the cursor belongs to figures that have been
                rebuilt since. Then discard the copy and begin without a cursor.
        """
        body = self.get("/v1/changes", **{"limit": self._page_size, **params, "cursor": cursor})
        return ChangesPage(body["data"], body["next"], body["more"])

    def _request(self, path: str, query: dict[str, str | list[str]]) -> Any:
        request = self._http.build_request("GET", path, params=query)
        key = str(request.url)
        tag, content = self._cache.find(key)
        if tag:
            request.headers["If-None-Match"] = tag
        response = self._http.send(request)
        if response.status_code == HTTPStatus.OK:
            content = response.content
        elif not (tag and response.status_code == HTTPStatus.NOT_MODIFIED):
            error = _api_error(response)
            if response.status_code in _RETRYABLE:
                raise _RetryableError(error, _retry_after_s(response))
            raise error
        try:
            body = json.loads(content)
        except ValueError:
            msg = f"{self.url}{path} answered {response.headers.get('Content-Type')}, not JSON"
            raise ApiError(msg) from None
        self._cache.store(key, response.headers.get("ETag", tag), content)
        return body


class _Cache:
    """The answers that were read last, with their entity tags."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self._size = 0

    def find(self, url: str) -> tuple[str, bytes]:
        """Entity tag and body of an address; both empty if it is not there."""
        return self._answers.get(url, ("", b""))

    def store(self, url: str, tag: str, content: bytes) -> None:
        """Keep an answer that has a tag, and drop the oldest ones beyond MAX_CACHE_BYTES."""
        self._size -= len(self._answers.pop(url, ("", b""))[1])
        if tag:
            self._answers[url] = (tag, content)
            self._size += len(content)
        while self._size > MAX_CACHE_BYTES:
            _, (_, dropped) = self._answers.popitem(last=False)
            self._size -= len(dropped)


def _text(value: Param) -> str | list[str] | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Sequence):
        return list(value)
    return str(value)


def _api_error(response: httpx2.Response) -> ApiError:
    try:
        problem = response.json()
        detail = str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        problem = {}
        detail = response.text[:_MAX_DETAIL_CHARS] or response.reason_phrase
    return ApiError(detail, status=response.status_code, problem=problem)


def _retry_after_s(response: httpx2.Response) -> float | None:
    """`Retry-After` in seconds: RFC 9110 allows a number of seconds or an HTTP date."""
    value = response.headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000": UTC of an unknown zone
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _delay_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _RetryableError) and error.delay_s is not None:
        return error.delay_s
    return _BACKOFF(state)
