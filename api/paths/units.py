"""`/v1/units`, `/v1/activity`, `/v1/metrics`: who reports, who is silent, and what is counted."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api import problems
from api import query as queries
from api.params import On, Page, WhichUnits, evening
from api.responses import Holder, answer, selected
from api.tokens import require
from sinks.control_room import SILENT_DAYS

router = APIRouter(prefix="/v1", responses=problems.RESPONSES)


@router.get("/units")
async def units(request: Request, holder: Holder, which: WhichUnits, page: Page) -> Response:
    """The units that are or ever were at or below the chosen ones."""
    require(holder, "registry")
    return await answer(request, queries.units(await selected(request, holder, which)), page)


@router.get("/activity")
async def activity(
    request: Request,
    holder: Holder,
    which: WhichUnits,
    page: Page,
    *,
    on: On = None,
    days: Annotated[
        int, Query(ge=1, le=400, description="Nothing for so many days is silence.")
    ] = SILENT_DAYS,
    state: Annotated[
        queries.Activity | None,
        Query(
            description=(
                "Only units that were silent, that reported nothing but zeros, or that were active."
            )
        ),
    ] = None,
) -> Response:
    """Open units with the last day they reported anything, and whether they are `silent`, reported nothing but zeros (`zero`), or are `active`."""
    require(holder, "figures")
    return await answer(
        request,
        queries.activity(
            await selected(request, holder, which), evening(on), days=days, state=state
        ),
        page,
    )


@router.get("/metrics")
async def metrics(request: Request, holder: Holder, page: Page) -> Response:
    """The metric dictionary."""
    require(holder, "registry")
    return await answer(request, queries.metrics(), page)
