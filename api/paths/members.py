"""`/v1/members`: members as reported, verified, and as different persons."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api import problems
from api import query as queries
from api.params import On, OneUnit, Page, Which, WhichUnits, evening
from api.responses import Holder, answer, selected
from api.tokens import require
from sinks.members import EXACT_UP_TO

router = APIRouter(prefix="/v1", responses=problems.RESPONSES)


@router.get("/members")
async def members(
    request: Request,
    holder: Holder,
    which: WhichUnits,
    page: Page,
    *,
    on: On = None,
    exact_up_to: Annotated[
        int,
        Query(
            ge=0,
            le=10_000_000,
            description="Above so many keys below a unit, `persons` is approximate.",
        ),
    ] = EXACT_UP_TO,
) -> Response:
    """Members as reported, verified, and as different persons, side by side. `method` says whether `persons` is exact."""
    require(holder, "figures")
    return await answer(
        request,
        queries.members(
            await selected(request, holder, which), evening(on), exact_up_to=exact_up_to
        ),
        page,
    )


@router.get("/members/twice")
async def members_twice(
    request: Request, holder: Holder, page: Page, *, unit: OneUnit = None, on: On = None
) -> Response:
    """Keyed hashes that stand in more than one membership at or below a unit, and the units that reported them."""
    require(holder, "figures")
    return await answer(
        request,
        queries.named_twice(
            await selected(request, holder, Which(unit=[unit] if unit else [])), evening(on)
        ),
        page,
    )
