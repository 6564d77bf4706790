"""Queries to ClickHouse over HTTP.

ClickHouse itself writes JSON, CSV, Parquet or Arrow; its bytes are passed on as they come. So a
response of any size needs constant memory here.
"""

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from http import HTTPStatus
from typing import Any

import httpx2
import orjson

from api.problems import unavailable_problem
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
# Precedes the message of an error that occurs after the first bytes were sent.
_EXCEPTION_MARKER = b"__exception__"


class BrokenStreamError(RuntimeError):
    """ClickHouse failed in the middle of an answer.

    The connection to the client is closed, so that it does not mistake the part for the whole.
    """


class Reader:
    """Read-only queries of one account."""

    def __init__(self, clickhouse: ClickHouseSettings, role: Role = "aicc") -> None:
        """Create a reader. It connects with the first query.

        Args:
            clickhouse: where ClickHouse is; the password is sent in a header, never in a URL.
            role: the account.

        Raises:
            LookupError: no account of that role is configured.
        """
        account = clickhouse.account(role)
        verify = (
            ssl.create_default_context(
                cafile=str(clickhouse.ca_file) if clickhouse.ca_file else None
            )
            if clickhouse.secure
            else False
        )
        protocol = "https" if clickhouse.secure else "http"
        self._client = httpx2.AsyncClient(
            base_url=f"{protocol}://{clickhouse.host}:{clickhouse.http_port}",
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
        """Close the connections."""
        await self._client.aclose()

    async def rows(
        self, query: str, parameters: Mapping[str, Value] | None = None
    ) -> list[list[Any]]:
        """All rows of a small answer, with dates as ISO text.

        Raises:
            Problem: 503, ClickHouse does not answer.
        """
        body = b"".join(
            [piece async for piece in self.stream(query, parameters or {}, "JSONCompactEachRow")]
        )
        return [orjson.loads(line) for line in body.splitlines()]

    async def stream(
        self, query: str, parameters: Mapping[str, Value], output: str
    ) -> AsyncIterator[bytes]:
        """Stream an answer in one of ClickHouse's output formats.

        Raises:
            Problem: 503, ClickHouse does not answer; before the first piece.
            BrokenStreamError: ClickHouse failed after the first piece.
        """
        async with self._request(query, parameters, output) as response:
            tag, tail = response.headers.get("X-ClickHouse-Exception-Tag", "").encode(), b""
            async for piece in response.aiter_bytes():
                seen = tail + piece
                if _EXCEPTION_MARKER in seen and tag in seen:
                    msg = seen[seen.index(_EXCEPTION_MARKER) :][:500].decode(errors="replace")
                    raise BrokenStreamError(msg)
                tail = seen[-len(_EXCEPTION_MARKER) - len(tag) - 4 :]
                yield piece

    @asynccontextmanager
    async def _request(
        self, query: str, parameters: Mapping[str, Value], output: str
    ) -> AsyncIterator[httpx2.Response]:
        bound = {f"param_{name}": _format_parameter(value) for name, value in parameters.items()}
        try:
            async with self._client.stream(
                "POST", "/", params={**bound, "default_format": output}, content=query.encode()
            ) as response:
                if response.status_code != HTTPStatus.OK:
                    raise _error(
                        response.headers.get("X-ClickHouse-Exception-Code", ""),
                        (await response.aread()).decode(errors="replace"),
                    )
                yield response
        except httpx2.TransportError as error:
            raise unavailable_problem(type(error).__name__) from error


def _format_parameter(value: Value) -> str:
    """A query parameter as ClickHouse parses it from text."""
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


def _error(code: str, message: str) -> Exception:
    if code.isdigit() and int(code) in RETRYABLE_CODES:
        return unavailable_problem(f"error {code}")
    return RuntimeError(f"ClickHouse error {code}: {message[:1_000]}")
