"""Routes for members: as reported, as verified, and as distinct persons."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api import problems, queries
from api.params import AsOf, PageQuery, UnitParam, UnitParams, UnitQuery
from api.responses import Holder, resolve_selection, respond
from api.tokens import require
from pravah.days import end_of_day
from sinks.members import EXACT_UP_TO

router = APIRouter(prefix="/v1", tags=["members"], responses=problems.RESPONSES)


@router.get("/members")
async def members(
    request: Request,
    holder: Holder,
    params: UnitQuery,
    page: PageQuery,
    *,
    on: AsOf = None,
    exact_up_to: Annotated[
        int,
        Query(
            ge=0,
            le=10_000_000,
            description="Above this many keyed hashes below a unit, `persons` is approximate.",
            examples=[1_000_000],
        ),
    ] = EXACT_UP_TO,
) -> Response:
    """Members as reported, as verified, and as distinct persons.

    `method` says whether `persons` is exact.
    """
    require(holder, "figures")
    selection = await resolve_selection(request, holder, params)
    query = queries.members(selection, end_of_day(on), exact_up_to=exact_up_to)
    return await respond(request, query, page)


@router.get("/members/twice")
async def members_twice(
    request: Request, holder: Holder, page: PageQuery, *, unit: UnitParam = None, on: AsOf = None
) -> Response:
    """Keyed hashes that occur in more than one membership at or below a unit.

    With the units that reported them. For tokens that reach persons.
    """
    require(holder, "figures")
    require(holder, "persons")
    params = UnitParams(unit=[unit] if unit else [])
    selection = await resolve_selection(request, holder, params)
    return await respond(request, queries.named_twice(selection, end_of_day(on)), page)
