"""Errors as RFC 9457 problems: what, where, and what to do."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from pravah.problems import MEDIA_TYPE, Problem, document


def install(app: FastAPI) -> None:
    """Let every error of the application be answered as a problem."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, error: Problem) -> JSONResponse:
        return answer(error.status, error.detail, error.headers, **error.members)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        wrong = [
            {
                "in": item["loc"][0],
                "name": ".".join(map(str, item["loc"][1:])),
                "detail": item["msg"],
            }
            for item in error.errors()
        ]
        return answer(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "; ".join(f"{one['name']}: {one['detail']}" for one in wrong),
            errors=wrong,
        )

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return answer(HTTPStatus(error.status_code), str(error.detail), dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def _unforeseen(_: Request, __: Exception) -> JSONResponse:
        return answer(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of ours; the server's log has it")


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
        401: "No valid token: `Authorization: Bearer …`.",
        403: "The token does not reach so far.",
        404: "There is no such unit or metric.",
        406: "None of the formats of `Accept` is offered.",
        410: "The cursor belongs to figures that were rebuilt; begin without one.",
        422: "A parameter cannot be understood.",
        429: "Too many requests; `Retry-After` says when.",
        503: "ClickHouse does not answer.",
    }.items()
}
"""For the OpenAPI description."""
