"""Route that explains a figure: the chunks, repairs and events behind it."""

from datetime import date
from http import HTTPStatus
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response

from api import problems
from api.explain import add_unit_names, explain
from api.formats import MEDIA_TYPES
from api.params import FIRST, LAST, READ_DAY, FigureParams, Name, Names, UnitParam
from api.responses import Holder, app_state, compute_etag, resolve_selection
from api.tokens import require

router = APIRouter(prefix="/v1", tags=["figures"], responses=problems.RESPONSES)


@router.get("/explain")
async def explain_figure(
    request: Request,
    holder: Holder,
    *,
    metric: Annotated[
        Name, Query(description="A metric of the metric dictionary.", examples=["members_digital"])
    ],
    day: Annotated[
        date,
        READ_DAY,
        Query(
            ge=FIRST,
            le=LAST,
            description="The figure's day (Asia/Kolkata); of a stock, at the end of that day.",
            examples=["2022-06-30"],
        ),
    ],
    unit: UnitParam = None,
    limit: Annotated[
        int,
        Query(
            ge=1,
            le=10_000,
            description="How many origins and events to list, of each kind; sums are of all.",
            examples=[100],
        ),
    ] = 1_000,
    names: Names = False,
) -> Response:
    """The events behind a figure, those that count in it and those that do not, with the reason.

    The same as `pravah explain --json`. `origins` are the chunks of the log and the repairs that
    the figure is made of, for tokens of a state or the nation; they and the events both add up to
    `value` if `agrees` is true. `withheld` sums up events that count but belong to units that the
    token does not cover on the event's day. `more` has the numbers of rows beyond `limit`. Keyed
    hashes in `entity` are only for tokens that reach persons.
    """
    require(holder, "figures")
    state = app_state(request)
    params = FigureParams(unit=[unit] if unit else [], metric=[metric])
    selection = await resolve_selection(request, holder, params)
    headers = {
        "ETag": await compute_etag(request, "json"),
        "Vary": "Accept, Authorization",
        "Cache-Control": "private, no-cache",
    }
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    async with state.explanation_slots:
        members = await explain(
            state.settings, holder, selection.chosen[0], metric, day, limit=limit
        )
    if names:
        listed = {one["unit"] for one in (*members["counted"], *members["not_counted"])}
        rows = await state.reader.rows(
            "SELECT unit, name_en, name_hi FROM units WHERE unit IN {listed:Array(String)}",
            {"listed": sorted(listed)},
        )
        known = {code: (name_en, name_hi) for code, name_en, name_hi in rows}
        add_unit_names(members, known.__getitem__)
    return Response(orjson.dumps(members), headers=headers, media_type=MEDIA_TYPES["json"])
