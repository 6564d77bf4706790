"""Routes for figures: roll-ups, totals, the change feed, completeness and outliers."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from api import changes as feed
from api import problems, queries
from api.formats import MEDIA_TYPES, Format, negotiate_format, prefetch
from api.names import with_names
from api.params import (
    FIRST_INSTANT,
    LAST_INSTANT,
    MAX_PAGE_SIZE,
    READ_INSTANT,
    Cursor,
    DayQuery,
    FigureParams,
    FigureQuery,
    LevelFilter,
    MetricFilter,
    Names,
    PageQuery,
    UnitQuery,
)
from api.responses import Holder, app_state, resolve_selection, respond
from api.tokens import require
from pravah.problems import Problem
from pravah.units import Level

router = APIRouter(prefix="/v1", tags=["figures"], responses=problems.RESPONSES)


@router.get("/rollups")
async def rollups(
    request: Request,
    holder: Holder,
    params: FigureQuery,
    days: DayQuery,
    page: PageQuery,
    *,
    grain: Annotated[
        queries.Grain,
        Query(
            description="A week is named by its Monday, a month by its first day.",
            examples=["week"],
        ),
    ] = "day",
    boundaries: Annotated[
        queries.Boundaries,
        Query(
            description="The hierarchy of the figure's day (`then`) or of today (`now`).",
            examples=["now"],
        ),
    ] = "then",
    as_of: Annotated[
        AwareDatetime | None,
        READ_INSTANT,
        Query(
            ge=FIRST_INSTANT,
            le=LAST_INSTANT,
            description=(
                "Figures as known at the end of the hour before this instant, which has a zone:"
                " 2022-06-30T23:59:59+05:30 (in a URL + is %2B) or 2022-06-30T18:29:59Z."
            ),
            examples=["2022-06-30T18:29:59Z"],
        ),
    ] = None,
) -> Response:
    """Figures by day, week, month, or to date.

    The amount of a flow, the value of a stock at the end.
    """
    require(holder, "figures")
    if as_of is not None and boundaries == "now":
        detail = "past states are kept by the hierarchy of then; leave out `boundaries`"
        raise problems.parameter_problem({"as_of": detail})
    selection = await resolve_selection(request, holder, params, days)
    query = queries.rollups(selection, grain=grain, boundaries=boundaries, as_of=as_of)
    return await respond(request, query, page)


@router.get("/dataValueSets", response_class=StreamingResponse)
async def data_value_sets(
    request: Request,
    holder: Holder,
    params: FigureQuery,
    days: DayQuery,
    *,
    grain: Annotated[
        Literal["day", "week", "month"],
        Query(description="DHIS2's daily, weekly or monthly periods.", examples=["month"]),
    ] = "month",
) -> Response:
    """Figures for the `dataValueSets` import of DHIS2.

    Import with `dataElementIdScheme=CODE&orgUnitIdScheme=CODE`. A metric is a data element of the
    same name; `…_verified` is its verified value.
    """
    require(holder, "figures")
    selection = await resolve_selection(request, holder, params, days)
    query = queries.data_values(queries.rollups(selection, grain=grain), grain).after(None)
    reader = app_state(request).reader
    rows = await prefetch(
        reader.stream(
            f"{query.sql} SETTINGS output_format_json_array_of_rows = 1",
            query.parameters,
            "JSONEachRow",
        )
    )

    async def body() -> AsyncIterator[bytes]:
        yield b'{"dataValues":'
        async for piece in rows:
            yield piece
        yield b"}"

    return StreamingResponse(body(), media_type=MEDIA_TYPES["json"])


@router.get("/totals")
async def totals(
    request: Request, holder: Holder, params: FigureQuery, page: PageQuery
) -> Response:
    """Flows to date and stocks now."""
    require(holder, "figures")
    selection = await resolve_selection(request, holder, params)
    return await respond(request, queries.totals(selection), page)


@router.get("/changes")
async def changes(
    request: Request,
    holder: Holder,
    *,
    level: LevelFilter = None,
    metric: MetricFilter,
    cursor: Cursor = None,
    limit: Annotated[
        int, Query(ge=1, le=MAX_PAGE_SIZE, description="Rows per page.", examples=[10_000])
    ] = 10_000,
    format_: Annotated[
        Format | None,
        Query(alias="format", description="`json` or `ndjson`.", examples=["ndjson"]),
    ] = None,
    names: Names = False,
) -> Response:
    """Each figure that changed since a cursor, once and in order.

    A row with `deleted` = 1 is gone: delete it from your copy.

    `next` (also in the header `Pravah-Next`) is the cursor of the next page. When `more`
    (`Pravah-More`) is false, it is the cursor for changes to come.
    """
    require(holder, "figures")
    reader = app_state(request).reader
    position = await feed.open_range(reader, feed.Cursor.decode(cursor) if cursor else None)
    selection = await resolve_selection(
        request,
        holder,
        FigureParams(unit=[], level=level, metric=metric),
        include_descendants=level is None,
    )
    found = feed.query_changes(position, selection)
    query = (with_names(found) if names else found).page(limit + 1, position.after)
    rows = await reader.rows(
        f"SELECT {', '.join(query.columns)} FROM ({query.sql})", query.parameters
    )
    has_more, rows = len(rows) > limit, rows[:limit]
    last = (
        [str(rows[-1][query.columns.index(name)]) for name in feed.SORTED_BY] if has_more else None
    )
    next_cursor = feed.next_cursor(position, last).encode()
    headers = {"Pravah-Next": next_cursor, "Pravah-More": str(has_more).lower()}
    output = negotiate_format(format_, request.headers.get("accept", ""), MEDIA_TYPES)
    data = [dict(zip(query.columns, row, strict=True)) for row in rows]
    if output == "json":
        return Response(
            orjson.dumps({"data": data, "next": next_cursor, "more": has_more}),
            headers=headers,
            media_type=MEDIA_TYPES["json"],
        )
    if output == "ndjson":
        return Response(
            b"".join(orjson.dumps(row) + b"\n" for row in data),
            headers=headers,
            media_type=MEDIA_TYPES["ndjson"],
        )
    raise Problem(HTTPStatus.NOT_ACCEPTABLE, "changes are available as JSON and NDJSON")


@router.get("/completeness")
async def completeness(
    request: Request,
    holder: Holder,
    params: UnitQuery,
    span: DayQuery,
    page: PageQuery,
    *,
    reporting_level: Annotated[
        Level, Query(description="Level of the units that are to report.", examples=["booth"])
    ] = "booth",
    days: Annotated[
        int,
        Query(
            ge=0,
            le=365,
            description="A report is in time until the end of this many days after its day.",
            examples=[1],
        ),
    ] = 1,
) -> Response:
    """Reporting rates as DHIS2 defines them; by default for the last seven days.

    Of the units that were open on each day, how many reported anything for it, and how many in
    time.
    """
    require(holder, "figures")
    selection = await resolve_selection(request, holder, params, span.with_default(7))
    query = queries.completeness(selection, reporting_level=reporting_level, days=days)
    return await respond(request, query, page)


@router.get("/unusual")
async def unusual(
    request: Request, holder: Holder, params: FigureQuery, days: DayQuery, page: PageQuery
) -> Response:
    """Reported values that are outliers; by default today's.

    They deviate by 3.5 robust standard deviations or more from the unit's own past or from its
    peers. They count in all figures, and should be checked.
    """
    require(holder, "figures")
    selection = await resolve_selection(request, holder, params, days.with_default(1))
    return await respond(request, queries.unusual(selection), page)
