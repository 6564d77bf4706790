"""Error responses as RFC 9457 problem documents."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from pravah.problems import MEDIA_TYPE, Problem, document


def install(app: FastAPI) -> None:
    """Register handlers that turn every error of an application into a problem document."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, error: Problem) -> JSONResponse:
        return problem_response(error.status, error.detail, error.headers, **error.members)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        found = parameter_problem(
            {
                ".".join(map(str, item["loc"][1:])): item["msg"].removeprefix("Value error, ")
                for item in error.errors()
            }
        )
        return problem_response(found.status, found.detail, **found.members)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return problem_response(
            HTTPStatus(error.status_code), str(error.detail), dict(error.headers or {})
        )

    @app.exception_handler(Exception)
    async def _unexpected(_: Request, __: Exception) -> JSONResponse:
        return problem_response(
            HTTPStatus.INTERNAL_SERVER_ERROR, "an internal error; see the server's log"
        )


def parameter_problem(
    details: Mapping[str, str], status: HTTPStatus = HTTPStatus.BAD_REQUEST, **members: Any
) -> Problem:
    """The problem of query parameters that cannot be used.

    Args:
        details: parameter → what is wrong with it, and what to do.
        status: of the response.
        members: further members of the document.
    """
    errors = [{"in": "query", "name": name, "detail": detail} for name, detail in details.items()]
    text = "; ".join(f"{name}: {detail}" for name, detail in details.items())
    return Problem(status, text, errors=errors, **members)


def problem_response(
    status: HTTPStatus,
    detail: str,
    headers: dict[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """A problem document as a response; `members` are added to it."""
    return JSONResponse(
        document(status, detail, **members), status.value, headers, media_type=MEDIA_TYPE
    )


# Error responses of all paths, for the OpenAPI description.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}
    for status, text in {
        400: "A parameter is not valid, or the path does not have it.",
        401: "No valid token: `Authorization: Bearer …`.",
        403: "The token does not cover these units or this kind of data.",
        404: "No such unit, metric or milestone; `nearest` says what may be meant.",
        406: "None of the media types in `Accept` is offered.",
        410: "The cursor belongs to figures that have been rebuilt; begin without one.",
        429: "Too many requests; wait as long as `Retry-After` says.",
        503: "ClickHouse does not answer.",
    }.items()
}
