"""Routes for the plan: progress, forecast and defaulters."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api import problems, queries
from api.params import MilestoneQuery, PageQuery
from api.responses import Holder, app_state, resolve_selection, respond
from api.tokens import require
from sinks.forecast import SHARE

router = APIRouter(prefix="/v1", tags=["plan"], responses=problems.RESPONSES)


@router.get("/plan")
async def plan(
    request: Request,
    holder: Holder,
    params: MilestoneQuery,
    page: PageQuery,
    *,
    detail: Annotated[
        bool,
        Query(
            description="The state of each unit instead of the number of units by state.",
            examples=[True],
        ),
    ] = False,
) -> Response:
    """Progress per milestone.

    `done_on_time`, `done_late`, `overdue` and `due` add up to `expected`.
    """
    require(holder, "plan")
    build = queries.plan_status if detail else queries.plan_progress
    selection = await resolve_selection(request, holder, params)
    return await respond(request, build(selection, params.as_of, tuple(params.milestone)), page)


@router.get("/forecast")
async def forecast(
    request: Request,
    holder: Holder,
    params: MilestoneQuery,
    page: PageQuery,
    *,
    share: Annotated[
        float,
        Query(
            ge=0.01,
            le=1,
            description="Share of the units that must have the milestone.",
            examples=[0.9],
        ),
    ] = SHARE,
) -> Response:
    """Day by which a share of the units will have each milestone, at the pace of the last week.

    The band from `earliest` to `latest` covers about four cases in five. `outlook` is `reached`,
    `forecast`, `not_in_sight` (not within a year), or `too_little` (fewer than five units in the
    last week).
    """
    require(holder, "plan")
    selection = await resolve_selection(request, holder, params)
    query = queries.forecast(selection, params.as_of, tuple(params.milestone), share=share)
    return await respond(request, query, page)


@router.get("/defaulters")
async def defaulters(
    request: Request, holder: Holder, params: MilestoneQuery, page: PageQuery
) -> Response:
    """Units that are overdue, what they block, and when they last reported.

    Includes whom to call only for tokens that reach persons.
    """
    require(holder, "plan")
    reader = app_state(request).state_reader if "persons" in holder.kinds else None
    selection = await resolve_selection(request, holder, params)
    query = queries.defaulters(
        selection, params.as_of, tuple(params.milestone), persons=reader is not None
    )
    return await respond(request, query, page, reader=reader)
