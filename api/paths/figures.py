"""`/v1/rollups` and its kin: what was counted, what changed, how complete it is, and what stands out."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from api import changes as feed
from api import problems
from api import query as queries
from api.formats import MEDIA_TYPES, begun, chosen
from api.params import (
    FIRST_INSTANT,
    LARGEST_PAGE,
    LAST_INSTANT,
    AskedFormat,
    Figures,
    LevelFilter,
    MetricFilter,
    Page,
    WhichDays,
    WhichFigures,
    WhichUnits,
)
from api.responses import Holder, answer, parts, selected
from api.tokens import require
from pravah.problems import Problem
from pravah.units import Level

router = APIRouter(prefix="/v1", responses=problems.RESPONSES)


@router.get("/rollups")
async def rollups(
    request: Request,
    holder: Holder,
    which: WhichFigures,
    days: WhichDays,
    page: Page,
    *,
    grain: Annotated[
        queries.Grain, Query(description="A week is named by its Monday, a month by its first day.")
    ] = "day",
    boundaries: Annotated[
        queries.Boundaries,
        Query(description="Who stands above whom: on the figure's day, or today."),
    ] = "then",
    as_of: Annotated[
        AwareDatetime | None,
        Query(
            ge=FIRST_INSTANT,
            le=LAST_INSTANT,
            description="As it was known at the end of the hour before this instant.",
        ),
    ] = None,
) -> Response:
    """Figures by day, week or month, or to date: a flow's amount, a stock's value at the end."""
    require(holder, "figures")
    if as_of is not None and boundaries == "now":
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "as_of: what was known then is kept with the boundaries of then; leave out"
            " `boundaries`",
        )
    selection = await selected(request, holder, which, days)
    return await answer(
        request, queries.rollups(selection, grain=grain, boundaries=boundaries, as_of=as_of), page
    )


@router.get("/dataValueSets", response_class=StreamingResponse)
async def data_value_sets(
    request: Request,
    holder: Holder,
    which: WhichFigures,
    days: WhichDays,
    *,
    grain: Annotated[
        Literal["day", "week", "month"],
        Query(description="DHIS2's daily, weekly or monthly periods."),
    ] = "month",
) -> Response:
    """The same figures for DHIS2's `dataValueSets` import, with `dataElementIdScheme=CODE&orgUnitIdScheme=CODE`: data elements are named as metrics are, and `…_verified`."""
    require(holder, "figures")
    selection = await selected(request, holder, which, days)
    query = queries.data_values(queries.rollups(selection, grain=grain), grain).behind(None)
    reader = parts(request).reader
    rows = await begun(
        reader.stream(
            f"{query.sql} SETTINGS output_format_json_array_of_rows = 1",
            query.parameters,
            "JSONEachRow",
        )
    )

    async def whole() -> AsyncIterator[bytes]:
        yield b'{"dataValues":'
        async for piece in rows:
            yield piece
        yield b"}"

    return StreamingResponse(whole(), media_type=MEDIA_TYPES["json"])


@router.get("/totals")
async def totals(request: Request, holder: Holder, which: WhichFigures, page: Page) -> Response:
    """Flows to date and stocks now."""
    require(holder, "figures")
    return await answer(request, queries.totals(await selected(request, holder, which)), page)


@router.get("/changes")
async def changes(
    request: Request,
    holder: Holder,
    *,
    level: LevelFilter = None,
    metric: MetricFilter,
    cursor: Annotated[
        str | None,
        Query(
            max_length=16_384, description="`next` of the answer before; without it, everything."
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 10_000,
    asked: AskedFormat = None,
) -> Response:
    """Every figure that changed since a cursor, once, in order. `deleted` = 1: the row is gone, drop yours.

    `next` (or the header `Pravah-Next`) is the cursor of the next page or, when `more` (`Pravah-More`) is false, of what changes from now on.
    """
    require(holder, "figures")
    reader = parts(request).reader
    at = await feed.begin(reader, feed.Cursor.from_text(cursor) if cursor else None)
    selection = await selected(
        request, holder, Figures(unit=[], level=level, metric=metric), everything=level is None
    )
    query = feed.changes(at, selection).page(limit + 1, at.after)
    rows = await reader.rows(
        f"SELECT {', '.join(query.columns)} FROM ({query.sql})", query.parameters
    )
    more, rows = len(rows) > limit, rows[:limit]
    last = [str(rows[-1][feed.COLUMNS.index(name)]) for name in feed.SORTED_BY] if more else None
    following = feed.following(at, last).text()
    headers = {"Pravah-Next": following, "Pravah-More": str(more).lower()}
    output = chosen(asked, request.headers.get("accept", ""), MEDIA_TYPES)
    named = [dict(zip(query.columns, row, strict=True)) for row in rows]
    if output == "json":
        return Response(
            orjson.dumps({"data": named, "next": following, "more": more}),
            headers=headers,
            media_type=MEDIA_TYPES["json"],
        )
    if output == "ndjson":
        return Response(
            b"".join(orjson.dumps(row) + b"\n" for row in named),
            headers=headers,
            media_type=MEDIA_TYPES["ndjson"],
        )
    raise Problem(HTTPStatus.NOT_ACCEPTABLE, "changes come as JSON or NDJSON")


@router.get("/completeness")
async def completeness(
    request: Request,
    holder: Holder,
    which: WhichUnits,
    span: WhichDays,
    page: Page,
    *,
    reporting_level: Annotated[Level, Query(description="The units that are to report.")] = "booth",
    days: Annotated[
        int,
        Query(
            ge=0,
            le=365,
            description="In time is what arrived by the end of so many days after the day.",
        ),
    ] = 1,
) -> Response:
    """Reporting rates as DHIS2 has them: of the units that were open on each day, how many reported anything for it, and how many in time. The last seven days by default."""
    require(holder, "figures")
    selection = await selected(request, holder, which, span.bounded(7))
    return await answer(
        request, queries.completeness(selection, reporting_level=reporting_level, days=days), page
    )


@router.get("/unusual")
async def unusual(
    request: Request, holder: Holder, which: WhichFigures, days: WhichDays, page: Page
) -> Response:
    """Reported values that stand out by 3.5 robust standard deviations or more from the unit's own past or from its peers: they count, and want a look. Today's by default."""
    require(holder, "figures")
    return await answer(
        request, queries.unusual(await selected(request, holder, which, days.bounded(1))), page
    )
