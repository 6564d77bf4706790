"""How the gateway answers what goes wrong: a problem by RFC 9457, and 503 with `Retry-After` for whatever a later try may mend."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from pravah.problems import MEDIA_TYPE, Problem, document
from producers.gateway.limits import RETRY_SECONDS
from producers.gateway.registry import NotReadyError
from producers.gateway.store import StoreBusyError
from producers.outbox import OutboxBusyError, OutboxFullError

_log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Let every error of the application be answered as a problem."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, error: Problem) -> JSONResponse:
        return answer(error.status, error.detail, error.headers, **error.members)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return answer(HTTPStatus(error.status_code), str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def _nowhere(_: Request, __: RequestValidationError) -> JSONResponse:
        """Bodies are read by hand, so it can only be the path."""
        return answer(
            HTTPStatus.NOT_FOUND,
            "there is no hook of this name; docs/gateway.md and /docs list them",
        )

    async def _unavailable(_: Request, error: Exception) -> JSONResponse:
        return answer(
            HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": str(RETRY_SECONDS)}
        )

    for kind in (OutboxFullError, OutboxBusyError, StoreBusyError, NotReadyError):
        app.add_exception_handler(kind, _unavailable)

    @app.exception_handler(Exception)
    async def _unforeseen(_: Request, __: Exception) -> JSONResponse:
        return answer(
            HTTPStatus.INTERNAL_SERVER_ERROR, "an error of ours; the gateway's log has it"
        )


def answer(
    status: HTTPStatus,
    detail: str,
    headers: dict[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """The response."""
    return JSONResponse(
        document(status, detail, **members), status.value, headers, media_type=MEDIA_TYPE
    )


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}
    for status, text in {
        401: "It does not come from the source, or does not prove it.",
        403: "This source may not report for that unit. Kept with what was refused.",
        404: "There is no such source.",
        408: "The body did not come in time.",
        413: "The body is too large.",
        415: "The body is compressed; send it as it is.",
        422: "It cannot be taken as it is: `errors` says all that is wrong. Kept with what was refused, to be mended.",
        429: "Too many requests; `Retry-After` says when.",
        503: "Nothing was taken, because the outbox or the disk is full or the disk is slow; `Retry-After` says when to try again.",
    }.items()
}
"""For the OpenAPI description."""
