"""From a query to an answer: who asks, what they may see, in which form, and whether it is what they have already."""

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

from api import changes as feed
from api import query as queries
from api.clickhouse import Reader
from api.formats import CLICKHOUSE_FORMATS, MEDIA_TYPES, begun, chosen
from api.params import PAGE, Days, Figures, Paging, Which
from api.tokens import Tokens
from pravah.problems import Problem
from pravah.settings import Settings
from schemas.access import Scope


class MetricNames:
    """The names of the metric dictionary."""

    def __init__(self, reader: Reader) -> None:
        """Ask by this account, once a name comes that was not known."""
        self._reader = reader
        self._known: frozenset[str] = frozenset()

    async def unknown(self, metrics: Iterable[str]) -> list[str]:
        """Those that are not in it, in order."""
        wanted = set(metrics)
        if not wanted <= self._known:
            self._known = frozenset(
                row[0] for row in await self._reader.rows("SELECT metric FROM metrics")
            )
        return sorted(wanted - self._known)


@dataclass
class Parts:
    """What the paths work with."""

    reader: Reader
    """The AICC's account."""
    state_reader: Reader | None
    """The state's own, which may read contacts, for tokens that reach persons; None: where it is not configured nobody is told of persons."""
    settings: Settings
    reports: asyncio.Semaphore
    """One for each report that is being made."""
    tokens: Tokens
    metrics: MetricNames
    limiter: MovingWindowRateLimiter


def parts(request: Request) -> Parts:
    """Those of the application that serves a request."""
    return cast("Parts", request.app.state.parts)


_BEARER = HTTPBearer(
    auto_error=False,
    description="A token that the state's control room gave out: `pravah api token create`.",
)


async def _holder(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> Scope:
    """Who asks; counted against their rate."""
    known = parts(request)
    scope = await known.tokens.scope(credentials.credentials if credentials else None)
    request.state.holder = scope.name
    rate = parse(known.settings.api_rate)
    if not await known.limiter.hit(rate, scope.name):
        window = await known.limiter.get_window_stats(rate, scope.name)
        wait = max(1, int(window.reset_time - time.time()) + 1)
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"more than {known.settings.api_rate}; wait {wait} s",
            headers={"Retry-After": str(wait)},
        )
    return scope


Holder = Annotated[Scope, Depends(_holder)]


async def selected(
    request: Request,
    holder: Scope,
    which: Which,
    days: Days | None = None,
    *,
    everything: bool = False,
) -> queries.Selection:
    """What is asked for, within what may be seen.

    Args:
        request: of a client.
        holder: its token's scope.
        which: units, and with `Figures` metrics.
        days: from one to another.
        everything: all that is at or below the units, of every level.

    Raises:
        Problem: 404, a unit or metric that is not known; 403, a unit that never was at or below the token's.
    """
    reader, units, metrics, days = (
        parts(request).reader,
        which.unit,
        which.metric if isinstance(which, Figures) else [],
        days or Days(),
    )
    if units:
        rows = await reader.rows(
            """
            SELECT unit, unit IN (SELECT unit FROM unit_ancestors WHERE ancestor = {scope:String}) FROM units WHERE unit IN {units:Array(String)}
            """,
            {"units": units, "scope": holder.unit},
        )
        known = {row[0]: row[1] for row in rows}
        allowed = holder.unit == "IN"
        # whether a unit exists outside one's own is not told either
        wrong = [unit for unit in units if unit not in known or not (allowed or known[unit])]
        if wrong and allowed:
            raise Problem(HTTPStatus.NOT_FOUND, f"unit: {', '.join(wrong[:5])} not in the registry")
        if wrong:
            raise Problem(
                HTTPStatus.FORBIDDEN, f"unit: {', '.join(wrong[:5])} not at or below {holder.unit}"
            )
    if metrics:
        unknown = await parts(request).metrics.unknown(metrics)
        if unknown:
            raise Problem(
                HTTPStatus.NOT_FOUND,
                f"metric: {', '.join(unknown[:5])} not in the metric dictionary; `/v1/metrics`"
                " lists it",
            )
    return queries.Selection(
        holder.unit, tuple(units), which.level, tuple(metrics), days.first, days.last, everything
    )


async def answer(
    request: Request, query: queries.Query, page: Paging, *, by: Reader | None = None
) -> Response:
    """Send the rows of a query: JSON in pages, other formats whole or as one page; asked by the AICC's account or another."""
    reader = by or parts(request).reader
    output = chosen(page.asked, request.headers.get("accept", ""), MEDIA_TYPES)
    # contacts have no version that a tag could name
    tag = "" if by else await entity_tag(request, output)
    if tag and tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    after = queries.cursor_values(page.cursor, len(query.sorted_by)) if page.cursor else None
    headers = {
        **({"ETag": tag} if tag else {}),
        "Vary": "Accept, Authorization",
        "Cache-Control": "private, no-cache",
    }
    columns = ", ".join(query.columns)
    if output != "json":
        part = query.page(page.limit, after) if page.limit else query.behind(after)
        pieces = await begun(
            reader.stream(
                f"SELECT {columns} FROM ({part.sql})", part.parameters, CLICKHOUSE_FORMATS[output]
            )
        )
        return StreamingResponse(pieces, headers=headers, media_type=MEDIA_TYPES[output])
    limit = page.limit or PAGE
    part = query.page(limit + 1, after)
    rows = await reader.rows(f"SELECT {columns} FROM ({part.sql})", part.parameters)
    more, rows = len(rows) > limit, rows[:limit]
    following = (
        queries.cursor_text([str(rows[-1][query.columns.index(name)]) for name in query.sorted_by])
        if more
        else None
    )
    body = {"data": [dict(zip(query.columns, row, strict=True)) for row in rows], "next": following}
    return Response(orjson.dumps(body), headers=headers, media_type=MEDIA_TYPES["json"])


_REST = """
    UNION ALL SELECT 'plan', 0, 0, 0, 0, toString(max(loaded_at)) FROM plans
    UNION ALL SELECT 'facts', 0, 0, 0, 0, toString(max(at)) FROM deployment
    UNION ALL SELECT 'day', 0, 0, 0, 0, toString(today())
    SETTINGS max_threads = 1
"""


async def entity_tag(request: Request, output: str) -> str:
    """An entity tag: another one as soon as any figure, the plan or the registry may be another, and with every day."""
    known = sorted(await parts(request).reader.rows(f"{feed.POSITION} {_REST}"))
    state = f"{known} {request.url.path}?{request.url.query} {output} {request.state.holder}"
    return f'W/"{hashlib.blake2b(state.encode(), digest_size=12).hexdigest()}"'
