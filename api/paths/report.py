"""`/v1/report`: the situation report of a unit."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api import problems
from api.formats import chosen
from api.params import On, OneUnit, Which
from api.report import report
from api.responses import Holder, entity_tag, parts, selected
from api.tokens import require
from reports import formats as forms
from reports.labels import Tongue

router = APIRouter(prefix="/v1", responses=problems.RESPONSES)


@router.get(
    "/report",
    response_class=Response,
    responses={
        200: {
            "description": "The report.",
            "content": {
                media_type.partition(";")[0]: {} for media_type in forms.MEDIA_TYPES.values()
            },
        },
        501: {"description": "PDF and PNG cannot be made on this server."},
    },
)
async def situation_report(
    request: Request,
    holder: Holder,
    *,
    unit: OneUnit = None,
    on: On = None,
    lang: Annotated[
        Tongue,
        Query(
            description="Hindi, English, or both side by side; JSON and XLSX have both always.",
            examples=["hi"],
        ),
    ] = "both",
    asked: Annotated[
        forms.Form | None,
        Query(alias="format", description="Wins over `Accept`.", examples=["pdf"]),
    ] = None,
) -> Response:
    """The situation report: one page on where a unit's programme stands, what changed, who is ahead and who behind, who is overdue, and how current the figures are.

    As HTML for a phone, PDF, PNG (a card to forward), XLSX, or JSON. It says whom to call only for tokens that reach persons.
    """
    require(holder, "figures")
    require(holder, "plan")
    known = parts(request)
    await selected(request, holder, Which(unit=[unit] if unit else []))
    form = chosen(asked, request.headers.get("accept", ""), forms.MEDIA_TYPES)
    persons = "persons" in holder.kinds and known.state_reader is not None
    headers = {"Vary": "Accept, Authorization", "Cache-Control": "private, no-cache"}
    if not persons:  # contacts have no version that a tag could name
        proved = await known.reader.rows("SELECT max(at) FROM reconciliations")
        headers["ETag"] = await entity_tag(request, f"{form} {proved}")
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    async with known.reports:
        content = await report(
            known.settings, holder, unit or holder.unit, on, form, lang, persons=persons
        )
    return Response(content, headers=headers, media_type=forms.MEDIA_TYPES[form])
