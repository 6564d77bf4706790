"""Route for the situation report."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api import problems
from api.formats import negotiate_format
from api.params import AsOf, UnitParam, UnitParams
from api.report import make_report
from api.responses import Holder, app_state, compute_etag, resolve_selection
from api.tokens import require
from pravah.languages import Lang
from reports import formats

router = APIRouter(prefix="/v1", tags=["report"], responses=problems.RESPONSES)


@router.get(
    "/report",
    response_class=Response,
    responses={
        200: {
            "description": "The report.",
            "content": {
                media_type.partition(";")[0]: {} for media_type in formats.MEDIA_TYPES.values()
            },
        },
        501: {"description": "This server cannot make PDF and PNG."},
    },
)
async def situation_report(
    request: Request,
    holder: Holder,
    *,
    unit: UnitParam = None,
    on: AsOf = None,
    lang: Annotated[
        Lang,
        Query(
            description=(
                "Hindi, English, or both: an HTML page with a switch between them, a PDF with Hindi"
                " pages first. JSON and XLSX always have both."
            ),
            examples=["hi"],
        ),
    ] = "both",
    format_: Annotated[
        formats.Format | None,
        Query(
            alias="format",
            description="Format of the response; takes precedence over `Accept`.",
            examples=["pdf"],
        ),
    ] = None,
) -> Response:
    """The situation report of a unit.

    What the trouble is and what changed since the day before, the units below from the furthest
    behind on, whom to call, progress per milestone, and how current the figures are. As HTML, PDF,
    PNG (a card to forward), XLSX, or JSON. Whom to call is for tokens that reach persons only.
    """
    require(holder, "figures")
    require(holder, "plan")
    state = app_state(request)
    selection = await resolve_selection(request, holder, UnitParams(unit=[unit] if unit else []))
    output = negotiate_format(format_, request.headers.get("accept", ""), formats.MEDIA_TYPES)
    persons = "persons" in holder.kinds and state.state_reader is not None
    headers = {"Vary": "Accept, Authorization", "Cache-Control": "private, no-cache"}
    reconciled = await state.reader.rows("SELECT max(at) FROM reconciliations")
    headers["ETag"] = await compute_etag(request, f"{output} {reconciled}")
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    async with state.report_slots:
        content = await make_report(
            state.settings, holder, selection.chosen[0], on, output, lang, persons=persons
        )
    return Response(content, headers=headers, media_type=formats.MEDIA_TYPES[output])
