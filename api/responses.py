"""From a query to a response: authentication, the token's scope, format, paging and entity tags."""

import asyncio
import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, cast

import orjson
from fastapi import Depends, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import parse
from limits.aio.strategies import MovingWindowRateLimiter

from api import lookup
from api.addresses import client_address
from api.changes import POSITION_SQL
from api.clickhouse import Reader
from api.formats import (
    CLICKHOUSE_FORMATS,
    MEDIA_TYPES,
    escape_formula,
    is_text,
    negotiate_format,
    prefetch,
)
from api.names import with_names
from api.params import (
    DEFAULT_PAGE_SIZE,
    DayParams,
    FigureParams,
    MilestoneParams,
    PageParams,
    UnitParams,
)
from api.query import Query, Selection, decode_cursor, encode_cursor
from api.tokens import Tokens
from pravah.problems import Problem
from pravah.settings import Settings
from schemas.access import Scope
from sinks.lookup import find_metrics, find_milestones, find_units


class MetricNames:
    """Names in the metric dictionary, read again when a name is unknown."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: frozenset[str] = frozenset()

    async def unknown(self, metrics: Iterable[str]) -> list[str]:
        """Names that the dictionary does not have, in order."""
        wanted = set(metrics)
        if not wanted <= self._known:
            self._known = frozenset(
                row[0] for row in await self._reader.rows("SELECT metric FROM metrics")
            )
        return sorted(wanted - self._known)


@dataclass
class AppState:
    """State that the paths share."""

    reader: Reader
    """The AICC's account."""
    state_reader: Reader | None
    """The state's account, which may read contacts; used for tokens that reach persons.

    None if it is not configured: then responses contain no persons.
    """
    settings: Settings
    report_slots: asyncio.Semaphore
    """Bounds how many reports are made at once."""
    explanation_slots: asyncio.Semaphore
    """Bounds how many explanations are read at once."""
    tokens: Tokens
    metrics: MetricNames
    limiter: MovingWindowRateLimiter


def app_state(request: Request) -> AppState:
    """The state of the application that handles a request."""
    return cast("AppState", request.app.state.services)


_BEARER = HTTPBearer(
    auto_error=False,
    description="A token issued by the state's control room: `pravah api token create`.",
)


async def _authenticate(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> Scope:
    """Scope of the request's token, after the limits of its address and its own."""
    state = app_state(request)
    secret = credentials.credentials if credentials else None
    scope = await state.tokens.scope(secret, client_address(request.scope))
    request.state.holder, request.state.scope = scope.name, scope
    rate = parse(state.settings.api_rate)
    if not await state.limiter.hit(rate, scope.name):
        window = await state.limiter.get_window_stats(rate, scope.name)
        wait = max(1, int(window.reset_time - time.time()) + 1)
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"more than {state.settings.api_rate}; wait {wait} s",
            headers={"Retry-After": str(wait)},
        )
    return scope


Holder = Annotated[Scope, Depends(_authenticate)]


async def resolve_selection(
    request: Request,
    holder: Scope,
    params: UnitParams,
    days: DayParams | None = None,
    *,
    include_descendants: bool = False,
) -> Selection:
    """Check a request's parameters against the registry, the metrics and the token's scope.

    Args:
        request: the HTTP request.
        holder: scope of its token.
        params: units, and with `FigureParams` metrics.
        days: range of days.
        include_descendants: select everything at or below the units, of every level.

    Raises:
        Problem: 404, an unknown unit, metric or milestone; 403, a unit that never was at or below
            the token's.
    """
    units = params.unit
    metrics = params.metric if isinstance(params, FigureParams) else []
    days = days or DayParams()
    reader = app_state(request).reader
    if units:
        # 403 for unknown units too: a response must not reveal which units exist outside the scope
        status = HTTPStatus.NOT_FOUND if holder.unit == "IN" else HTTPStatus.FORBIDDEN
        units = await lookup.run(reader, find_units(params.unit, scope=holder.unit), status=status)
    unknown = await app_state(request).metrics.unknown(metrics)
    await lookup.run(reader, find_metrics(unknown))
    if isinstance(params, MilestoneParams):
        await lookup.run(reader, find_milestones(params.milestone))
    return Selection(
        holder,
        tuple(units),
        params.level,
        tuple(metrics),
        days.first,
        days.last,
        include_descendants,
    )


async def respond(
    request: Request, query: Query, page: PageParams, *, reader: Reader | None = None
) -> Response:
    """Run a query and send its rows: JSON in pages, other formats whole or as one page.

    Args:
        request: the HTTP request.
        query: what to run.
        page: page and format.
        reader: account to use; by default the AICC's.
    """
    output = negotiate_format(page.format_, request.headers.get("accept", ""), MEDIA_TYPES)
    tag = await compute_etag(request, output)
    query = with_names(query) if page.names else query
    reader = reader or app_state(request).reader
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    after = decode_cursor(page.cursor, len(query.sorted_by)) if page.cursor else None
    headers = {
        "ETag": tag,
        "Vary": "Accept, Authorization",
        "Cache-Control": "private, no-cache",
    }
    columns = ", ".join(query.columns)
    if output != "json":
        part = query.page(page.limit, after) if page.limit else query.after(after)
        if output == "csv":
            columns = await _columns_for_spreadsheets(reader, columns, part)
        pieces = await prefetch(
            reader.stream(
                f"SELECT {columns} FROM ({part.sql})", part.parameters, CLICKHOUSE_FORMATS[output]
            )
        )
        return StreamingResponse(pieces, headers=headers, media_type=MEDIA_TYPES[output])
    limit = page.limit or DEFAULT_PAGE_SIZE
    part = query.page(limit + 1, after)
    rows = await reader.rows(f"SELECT {columns} FROM ({part.sql})", part.parameters)
    has_more, rows = len(rows) > limit, rows[:limit]
    cursor = (
        encode_cursor([str(rows[-1][query.columns.index(name)]) for name in query.sorted_by])
        if has_more
        else None
    )
    body = {"data": [dict(zip(query.columns, row, strict=True)) for row in rows], "next": cursor}
    return Response(orjson.dumps(body), headers=headers, media_type=MEDIA_TYPES["json"])


async def _columns_for_spreadsheets(reader: Reader, columns: str, query: Query) -> str:
    """The columns of a query, with text that a spreadsheet would run as a formula escaped."""
    described = await reader.rows(
        f"DESCRIBE TABLE (SELECT {columns} FROM ({query.sql}))", query.parameters
    )
    return ", ".join(
        f"{escape_formula(name)} AS {name}" if is_text(type_) else name
        for name, type_, *_ in described
    )


# Continues POSITION_SQL with the other versions that a response depends on.
_VERSIONS_SQL = """
    UNION ALL SELECT 'plan', 0, 0, 0, 0, toString(max(loaded_at)) FROM plans
    UNION ALL SELECT 'facts', 0, 0, 0, 0, toString(max(at)) FROM deployment
    UNION ALL SELECT 'day', 0, 0, 0, 0, toString(today())
    UNION ALL
    SELECT 'metrics', 0, 0, 0, 0, toString((count(), sum(cityHash64(*)))) FROM metrics
    SETTINGS max_threads = 1
"""
# Contacts have no version.
_CONTACTS_SQL = "SELECT toString((count(), sum(cityHash64(*)))) FROM contacts"


async def compute_etag(request: Request, variant: str) -> str:
    """Weak entity tag of a response.

    It changes with the figures, the plan, the registry, the metric dictionary and the day; for a
    token that reaches persons also with the contacts.

    Args:
        request: its path, query and token's scope are part of the tag.
        variant: format, and what else the response depends on.
    """
    state, scope = app_state(request), request.state.scope
    versions = sorted(await state.reader.rows(f"{POSITION_SQL} {_VERSIONS_SQL}"))
    if "persons" in scope.kinds and state.state_reader is not None:
        versions += await state.state_reader.rows(_CONTACTS_SQL)
    holder = [scope.name, scope.unit, sorted(scope.kinds)]
    text = f"{versions} {request.url.path}?{request.url.query} {variant} {holder}"
    return f'W/"{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"'
