"""Error responses as RFC 9457 problem documents."""

from collections.abc import Mapping
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api.descriptions import describe_parameters, first_example
from pravah.problems import MEDIA_TYPE, Problem, document
from schemas.value_errors import describe_error

_MAX_PATH = 100
_RETRY_SECONDS = "5"


def install(app: FastAPI) -> None:
    """Register handlers that turn every error of an application into a problem document."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, error: Problem) -> JSONResponse:
        return problem_response(error.status, error.detail, error.headers, **error.members)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        known = describe_parameters(request.app, request.scope["route"].path)
        details, examples = {}, {}
        for item in error.errors():
            name, *index = map(str, item["loc"][1:])
            is_one = len(request.query_params.getlist(name)) <= 1
            place = name if is_one else ".".join((name, *index))
            parameter = known.get(name)
            example = first_example(parameter) if parameter else ""
            details[place] = describe_error(item, example)
            examples[place] = example
        found = parameter_problem(details, examples=examples)
        return problem_response(found.status, found.detail, **found.members)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        detail, status = str(error.detail), HTTPStatus(error.status_code)
        if status is HTTPStatus.NOT_FOUND and detail == status.phrase:
            detail = _no_such_path(request)
        elif status is HTTPStatus.METHOD_NOT_ALLOWED:
            detail = f"{request.method} is not possible here; this service is read by GET"
        return problem_response(status, detail, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def _unexpected(_: Request, __: Exception) -> JSONResponse:
        return problem_response(
            HTTPStatus.INTERNAL_SERVER_ERROR, "an internal error; see the server's log"
        )


def _no_such_path(request: Request) -> str:
    paths = [path for path in request.app.openapi()["paths"] if "{" not in path]
    nearest = get_close_matches(request.url.path, paths, n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]}?" if nearest else "."
    return f"there is no path {request.url.path[:_MAX_PATH]}{hint} All are described at /docs"


def unavailable_problem(reason: str) -> Problem:
    """Return the 503 of a request that ClickHouse could not answer for a reason that passes."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"the database does not answer ({reason}); try again",
        headers={"Retry-After": _RETRY_SECONDS},
    )


def parameter_problem(
    details: Mapping[str, str],
    status: HTTPStatus = HTTPStatus.BAD_REQUEST,
    *,
    examples: Mapping[str, str] | None = None,
    **members: Any,
) -> Problem:
    """The problem of query parameters that cannot be used.

    Args:
        details: parameter → what is wrong with it, and what to do.
        status: of the response.
        examples: parameter → a value that it takes.
        members: further members of the document.
    """
    errors = [
        {
            "in": "query",
            "name": name,
            "detail": detail,
            **({"example": examples[name]} if examples and examples.get(name) else {}),
        }
        for name, detail in details.items()
    ]
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
