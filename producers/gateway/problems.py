"""Errors over HTTP: problems by RFC 9457, and 503 with `Retry-After` where a retry may help."""

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
    """Let the application answer every error as a problem."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, error: Problem) -> JSONResponse:
        return problem_response(error.status, error.detail, error.headers, **error.members)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return problem_response(
            HTTPStatus(error.status_code), str(error.detail), dict(error.headers or {})
        )

    @app.exception_handler(RequestValidationError)
    async def _invalid_path(_: Request, __: RequestValidationError) -> JSONResponse:
        """Bodies are validated elsewhere, so only the path can be invalid."""
        return problem_response(
            HTTPStatus.NOT_FOUND,
            "there is no hook of this name; docs/gateway.md and /docs list them",
        )

    async def _unavailable(_: Request, error: Exception) -> JSONResponse:
        return problem_response(
            HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": str(RETRY_SECONDS)}
        )

    for kind in (OutboxFullError, OutboxBusyError, StoreBusyError, NotReadyError):
        app.add_exception_handler(kind, _unavailable)

    @app.exception_handler(Exception)
    async def _internal(_: Request, __: Exception) -> JSONResponse:
        return problem_response(
            HTTPStatus.INTERNAL_SERVER_ERROR, "an error of ours; the gateway's log has it"
        )


def problem_response(
    status: HTTPStatus,
    detail: str,
    headers: dict[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """A problem as a response."""
    return JSONResponse(
        document(status, detail, **members), status.value, headers, media_type=MEDIA_TYPE
    )


# For the OpenAPI description.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}
    for status, text in {
        401: "The request does not prove that it comes from the source.",
        403: "The source may not report for this unit. The body is archived as refused.",
        404: "There is no such source.",
        408: "The body arrived too slowly.",
        413: "The body is too large.",
        415: "The body is compressed; send it uncompressed.",
        422: "The body is invalid: `errors` lists every reason. "
        "It is archived as refused, and can be corrected and sent again.",
        429: "Too many requests; see `Retry-After`.",
        503: "Nothing was stored: the outbox or the disk is full, the disk is slow, or no unit "
        "registry is known yet; see `Retry-After`.",
    }.items()
}
