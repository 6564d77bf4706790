"""Routes for the registry, the activity of units, and the metric dictionary."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api import problems, queries
from api.params import AsOf, Name, PageQuery, UnitQuery
from api.responses import Holder, resolve_selection, respond
from api.tokens import require
from pravah.days import end_of_day
from sinks.control_room import SILENT_DAYS

router = APIRouter(prefix="/v1", tags=["units"], responses=problems.RESPONSES)


@router.get("/units")
async def units(
    request: Request,
    holder: Holder,
    params: UnitQuery,
    page: PageQuery,
    *,
    q: Annotated[
        Name | None,
        Query(
            description="Only units whose name, in English or Hindi, or code contains this text.",
            examples=["narayan"],
        ),
    ] = None,
) -> Response:
    """Units that are or were at or below the given ones."""
    require(holder, "registry")
    selection = await resolve_selection(request, holder, params)
    return await respond(request, queries.units(selection, containing=q), page)


@router.get("/activity")
async def activity(
    request: Request,
    holder: Holder,
    params: UnitQuery,
    page: PageQuery,
    *,
    on: AsOf = None,
    days: Annotated[
        int,
        Query(
            ge=1,
            le=400,
            description="A unit without a report for this many days is silent.",
            examples=[7],
        ),
    ] = SILENT_DAYS,
    state: Annotated[
        queries.Activity | None,
        Query(description="Only units in this state.", examples=["silent"]),
    ] = None,
) -> Response:
    """Open units with the day of their last report.

    A unit is `silent`, `zero` if it reported nothing but zeros, or `active`.
    """
    require(holder, "figures")
    selection = await resolve_selection(request, holder, params)
    query = queries.activity(selection, end_of_day(on), days=days, state=state)
    return await respond(request, query, page)


@router.get("/metrics")
async def metrics(request: Request, holder: Holder, page: PageQuery) -> Response:
    """The metric dictionary."""
    require(holder, "registry")
    return await respond(request, queries.metrics(), page)
