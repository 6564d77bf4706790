"""`/v1/plan`, `/v1/forecast`, `/v1/defaulters`: how far the programme is, when it will be done, and who is overdue."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api import problems
from api import query as queries
from api.params import Page, WhichMilestones
from api.responses import Holder, answer, parts, selected
from api.tokens import require
from sinks.forecast import SHARE

router = APIRouter(prefix="/v1", responses=problems.RESPONSES)


@router.get("/plan")
async def plan(
    request: Request,
    holder: Holder,
    which: WhichMilestones,
    page: Page,
    *,
    detail: Annotated[
        bool, Query(description="Each unit's status instead of how many units are how far.")
    ] = False,
) -> Response:
    """How far units are with each milestone; `done_on_time`, `done_late`, `overdue` and `due` add up to `expected`."""
    require(holder, "plan")
    build = queries.plan_status if detail else queries.plan_progress
    return await answer(
        request,
        build(await selected(request, holder, which), which.as_of, tuple(which.milestone)),
        page,
    )


@router.get("/forecast")
async def forecast(
    request: Request,
    holder: Holder,
    which: WhichMilestones,
    page: Page,
    *,
    share: Annotated[
        float,
        Query(ge=0.01, le=1, description="Of the units: the day by which so many will have it."),
    ] = SHARE,
) -> Response:
    """By which day a share of the units will have each milestone at the pace of the last week, with a band of about four in five.

    `outlook` says whether that can be told: `reached`, `forecast`, `not_in_sight` (not within a year), `too_little` (fewer than five units in the last week).
    """
    require(holder, "plan")
    return await answer(
        request,
        queries.forecast(
            await selected(request, holder, which), which.as_of, tuple(which.milestone), share=share
        ),
        page,
    )


@router.get("/defaulters")
async def defaulters(
    request: Request, holder: Holder, which: WhichMilestones, page: Page
) -> Response:
    """Who is overdue, since when, what waits for it, and when it last reported. Whom to call only for tokens that reach persons."""
    require(holder, "plan")
    by = parts(request).state_reader if "persons" in holder.kinds else None
    query = queries.defaulters(
        await selected(request, holder, which),
        which.as_of,
        tuple(which.milestone),
        persons=by is not None,
    )
    return await answer(request, query, page, by=by)
