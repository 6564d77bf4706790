"""Error responses as RFC 9457 problem documents."""

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
        errors = [
            {
                "in": item["loc"][0],
                "name": ".".join(map(str, item["loc"][1:])),
                "detail": item["msg"],
            }
            for item in error.errors()
        ]
        return problem_response(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "; ".join(f"{one['name']}: {one['detail']}" for one in errors),
            errors=errors,
        )

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
        401: "No valid token: `Authorization: Bearer …`.",
        403: "The token does not cover these units or this kind of data.",
        404: "No such unit or metric.",
        406: "None of the media types in `Accept` is offered.",
        410: "The cursor belongs to figures that have been rebuilt; begin without one.",
        422: "A parameter is not valid.",
        429: "Too many requests; wait as long as `Retry-After` says.",
        503: "ClickHouse does not answer.",
    }.items()
}
