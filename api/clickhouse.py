"""ClickHouse over HTTP: the server itself writes JSON, CSV, Parquet or Arrow, and we hand its bytes on. So an answer of any size takes constant memory here."""

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from http import HTTPStatus
from typing import Any

import httpx2
import orjson

from pravah.problems import Problem
from pravah.settings import ClickHouseSettings, Role
from sinks.connection import RETRYABLE_CODES

Value = str | int | float | date | Sequence[str] | Sequence[int]

_SETTINGS = {
    "output_format_json_quote_64bit_integers": "0",
    "date_time_output_format": "iso",
    "max_execution_time": "120",
    "output_format_arrow_string_as_string": "1",
    "output_format_parquet_string_as_string": "1",
}
_MARK = b"__exception__"
_RETRY_SECONDS = "5"


class BrokenAnswerError(RuntimeError):
    """ClickHouse failed in the middle of an answer; the connection to the client is cut, so that it does not take the part for the whole."""


class Reader:
    """Read-only queries of one account."""

    def __init__(self, clickhouse: ClickHouseSettings, role: Role = "aicc") -> None:
        """Connect at the first query. The password travels in a header, never in a URL."""
        account = clickhouse.users.get(role)
        if account is None:
            msg = (
                f"no ClickHouse account for {role!r}: start a stack with `pravah up`, or set"
                " PRAVAH_CLICKHOUSE__USERS"
            )
            raise LookupError(msg)
        verify = (
            ssl.create_default_context(
                cafile=str(clickhouse.ca_file) if clickhouse.ca_file else None
            )
            if clickhouse.secure
            else False
        )
        self._client = httpx2.AsyncClient(
            base_url=(
                f"{'https' if clickhouse.secure else 'http'}://{clickhouse.host}:{clickhouse.http_port}"
            ),
            headers={
                "X-ClickHouse-User": account.user,
                "X-ClickHouse-Key": account.password.get_secret_value(),
            },
            params={"database": clickhouse.database, **_SETTINGS},
            timeout=httpx2.Timeout(10, read=130),
            limits=httpx2.Limits(max_connections=64),
            verify=verify,
        )

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.aclose()

    async def rows(
        self, query: str, parameters: Mapping[str, Value] | None = None
    ) -> list[list[Any]]:
        """All rows of a small answer, as ClickHouse's JSON has them: dates as ISO text.

        Raises:
            Problem: ClickHouse does not answer, or cannot.
        """
        body = b"".join(
            [piece async for piece in self.stream(query, parameters or {}, "JSONCompactEachRow")]
        )
        return [orjson.loads(line) for line in body.splitlines()]

    async def stream(
        self, query: str, parameters: Mapping[str, Value], output: str
    ) -> AsyncIterator[bytes]:
        """An answer piece by piece, in one of ClickHouse's output formats.

        Raises:
            Problem: ClickHouse does not answer, or cannot; before the first piece.
            BrokenAnswerError: it failed later.
        """
        async with self._sent(query, parameters, output) as response:
            tag, tail = response.headers.get("X-ClickHouse-Exception-Tag", "").encode(), b""
            async for piece in response.aiter_bytes():
                seen = tail + piece
                if _MARK in seen and tag in seen:
                    msg = seen[seen.index(_MARK) :][:500].decode(errors="replace")
                    raise BrokenAnswerError(msg)
                tail = seen[-len(_MARK) - len(tag) - 4 :]
                yield piece

    @asynccontextmanager
    async def _sent(
        self, query: str, parameters: Mapping[str, Value], output: str
    ) -> AsyncIterator[httpx2.Response]:
        wanted = {f"param_{name}": _written(value) for name, value in parameters.items()}
        try:
            async with self._client.stream(
                "POST", "/", params={**wanted, "default_format": output}, content=query.encode()
            ) as response:
                if response.status_code != HTTPStatus.OK:
                    raise _failed(
                        response.headers.get("X-ClickHouse-Exception-Code", ""),
                        (await response.aread()).decode(errors="replace"),
                    )
                yield response
        except httpx2.TransportError as error:
            raise _away(type(error).__name__) from error


def _written(value: Value) -> str:
    """A query parameter's text form."""
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    if isinstance(value, int | float | date):
        return str(value)
    return (
        "["
        + ",".join(
            (
                str(one)
                if isinstance(one, int)
                else "'" + one.replace("\\", "\\\\").replace("'", "\\'") + "'"
            )
            for one in value
        )
        + "]"
    )


def _failed(code: str, message: str) -> Exception:
    if code.isdigit() and int(code) in RETRYABLE_CODES:
        return _away(f"error {code}")
    return RuntimeError(f"ClickHouse error {code}: {message[:1_000]}")


def _away(what: str) -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"the database does not answer ({what}); try again",
        headers={"Retry-After": _RETRY_SECONDS},
    )
