"""The gateway's HTTP application: events, hooks of field tools, health, metrics.

Every 2xx response is sent after the data is on disk.
"""

import asyncio
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from fastapi import APIRouter, FastAPI, Path, Request
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from pravah.problems import Problem
from producers.gateway import direct_events, problems
from producers.gateway.auth import AuthError, check_sender, needs_body
from producers.gateway.ingest import IngestService
from producers.gateway.limits import BodyBudget, RateLimiter, read_body, unavailable
from producers.gateway.middleware import RequestMetrics
from producers.gateway.openapi import describe_events
from producers.gateway.problems import RESPONSES
from producers.gateway.responses import body_response, events_response
from producers.gateway.sources import FieldSource
from producers.gateway.telemetry import Telemetry
from producers.mapping.tools.json_body import to_utf8

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")
Hook = Literal["kobo", "odk", "commcare", "rapidpro", "glific"]

# How long a request waits for the disk before it is answered with 503.
_COMMIT_TIMEOUT_S = 10.0
# After a commit of this length, `/healthz` reports that the gateway is not alive.
_STUCK_COMMIT_S = 30.0
_MAX_BODIES_BYTES = 128 * 1024 * 1024
# Larger bodies are parsed in a thread, so that other requests do not wait.
_MAX_INLINE_BYTES = 64 * 1024
_EVENT_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [
                    {"$ref": "#/components/schemas/Event"},
                    {"type": "array", "items": {"$ref": "#/components/schemas/Event"}},
                ]
            }
        }
    },
}
_HOOK_BODY = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}

router = APIRouter(prefix="/v1", responses=RESPONSES)


class Gateway:
    """The state of the application: the ingest service and the limits of this process."""

    def __init__(self, ingest: IngestService) -> None:
        self.ingest = ingest
        self.body_budget, self.rate_limiter = BodyBudget(_MAX_BODIES_BYTES), RateLimiter()

    async def read_request(
        self, request: Request, sources: list[FieldSource]
    ) -> tuple[FieldSource, bytes]:
        """Authenticate the sender as one of some sources, and read the body.

        Raises:
            Problem: 401, 408, 413, 415, 429 or 503.
        """
        headers = _headers(request)
        sender = None
        if not any(needs_body(source.check) for source in sources):
            sender = self._authenticate(sources, headers, b"")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "the body is compressed; send it as it is",
                headers={"Accept-Encoding": "identity"},
            )
        max_bytes = max(source.limits.body for source in ([sender] if sender else sources))
        body = await read_body(
            request.stream(), headers.get("content-length"), max_bytes, request.state.reservation
        )
        sender = sender or self._authenticate(sources, headers, body)
        try:
            self.rate_limiter.check(sender.name, sender.limits.rate)
        except Problem:
            self.ingest.store.count_later(sender.name, "refused", "rate")
            raise
        return sender, body

    def _authenticate(
        self, sources: list[FieldSource], headers: dict[str, str], body: bytes
    ) -> FieldSource:
        now = datetime.now(UTC)
        found, failure = None, ""
        for source in sources:  # checks all of them, so that timing does not show which one matched
            try:
                check_sender(source.check, headers, body, now)
                found = found or source
            except AuthError as error:
                failure = str(error)
        if found is not None:
            return found
        several = len(sources) > 1
        self.ingest.store.count_later("" if several else sources[0].name, "refused", "sender")
        detail = "the secret is none of a source that sends events" if several else failure
        scheme = {"basic": 'Basic realm="pravah"', "bearer": "Bearer"}.get(
            sources[0].check.kind, "Pravah"
        )
        raise Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": scheme})


def _gateway(request: Request) -> Gateway:
    found: Gateway = request.app.state.gateway
    return found


def _headers(request: Request) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): value.decode("latin-1")
        for name, value in request.scope["headers"]
    }


async def _run(body: bytes, ingest: "Callable[[], Future[T]]") -> T:
    """Ingest a body, and wait until it is on disk.

    Raises:
        Problem: 503, the disk is too slow. The body may be stored all the same; sent again, it
            counts once.
    """
    future = ingest() if len(body) <= _MAX_INLINE_BYTES else await run_in_threadpool(ingest)
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), _COMMIT_TIMEOUT_S)
    except TimeoutError:
        msg = f"the disk did not take it within {_COMMIT_TIMEOUT_S:.0f} s"
        raise unavailable(msg) from None


@router.post(
    "/events",
    summary="Send one event, or an array of events",
    status_code=HTTPStatus.ACCEPTED,
    responses={
        200: {"description": "The event was received before; of an array: every event was."},
        202: {
            "description": "The event is on disk and will be sent to Kafka; of an array: every "
            "event that was not received before."
        },
        207: {
            "description": "Some events of an array were refused: `items` lists which, and why. "
            "The others were accepted."
        },
    },
    openapi_extra={"requestBody": _EVENT_BODY, "security": [{"bearer": []}, {"basic": []}]},
)
async def events(request: Request) -> Response:
    """Accept events in the format of docs/events.md.

    Each event of an array is accepted or refused on its own, and the response lists the outcome of
    each. It is safe to send all of them again: an accepted event counts once.
    """
    gateway = _gateway(request)
    senders = [source for source in gateway.ingest.sources.values() if source.tool == "events"]
    if not senders:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            'no source sends events that are ready; a file with tool = "events" in the folder of '
            "sources makes one",
        )
    source, body = await gateway.read_request(request, senders)
    result = await _run(body, lambda: gateway.ingest.ingest_events(source, body))
    return events_response(result, is_single=not direct_events.is_array(to_utf8(body)))


@router.post(
    "/hooks/{tool}/{name}",
    summary="Receive the webhook of a field tool",
    responses={200: {"description": "Accepted, or received before; the JSON has the counts."}},
    openapi_extra={
        "requestBody": _HOOK_BODY,
        "security": [{"bearer": []}, {"basic": []}, {"header": []}, {"signature": []}],
    },
)
async def hook(
    request: Request,
    tool: Annotated[
        Hook, Path(description="The field tool that sends the body.", examples=["kobo"])
    ],
    name: Annotated[
        str,
        Path(description="The source: its file's name without `.toml`.", examples=["training"]),
    ],
) -> Response:
    """Accept a body of KoboToolbox, ODK, CommCare, RapidPro or Glific, as a whole or not at all."""
    gateway = _gateway(request)
    source = gateway.ingest.sources.get(name)
    if source is None or source.tool != tool:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"no source of {tool} has this name; the path ends with the name of its file in the "
            "folder of sources",
        )
    _, body = await gateway.read_request(request, [source])
    headers = _headers(request)
    result = await _run(body, lambda: gateway.ingest.ingest_body(source, body, headers))
    return body_response(result)


service_router = APIRouter(include_in_schema=False)


@service_router.get("/healthz")
async def healthz(request: Request) -> JSONResponse:
    """Alive, unless a commit hangs for so long that a restart may help."""
    since = _gateway(request).ingest.store.commit_started_at
    is_stuck = since is not None and time.monotonic() - since > _STUCK_COMMIT_S
    return JSONResponse(
        {"alive": not is_stuck}, HTTPStatus.SERVICE_UNAVAILABLE if is_stuck else HTTPStatus.OK
    )


@service_router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Ready, if an event could be accepted now."""
    reasons = await _reasons_not_ready(_gateway(request).ingest)
    return JSONResponse(
        {"ready": not reasons, "reasons": reasons},
        HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK,
    )


@service_router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Return the gateway's metrics in the Prometheus text format."""
    telemetry: Telemetry = request.app.state.telemetry
    exposition = await run_in_threadpool(telemetry.exposition, _gateway(request).ingest)
    return Response(exposition, media_type="text/plain; version=0.0.4")


async def _reasons_not_ready(ingest: IngestService) -> list[str]:
    reasons = (
        []
        if ingest.units.has_registry
        else ["no unit registry is known yet: Kafka has not been reached"]
    )
    try:
        await asyncio.wait_for(
            asyncio.wrap_future(ingest.store.submit(lambda transaction: transaction.check_space())),
            _COMMIT_TIMEOUT_S,
        )
    except TimeoutError:
        reasons.append(f"the disk did not take a write within {_COMMIT_TIMEOUT_S:.0f} s")
    except Exception as error:  # noqa: BLE001
        reasons.append(str(error))
    return reasons


def build(ingest: IngestService) -> FastAPI:
    """Build the application around an open ingest service."""
    app = FastAPIOffline(
        title="Pravah gateway",
        version="1",
        description="Accepts events and the webhooks of field tools. Everything answered with 2xx "
        "is on disk, and counts once.",
        # Swagger UI would load a badge, ReDoc a logo, from servers of their makers.
        swagger_ui_parameters={"validatorUrl": None},
        redoc_url=None,
    )
    app.state.gateway, app.state.telemetry = Gateway(ingest), Telemetry()
    problems.install(app)
    app.include_router(router)
    app.include_router(service_router)
    app.add_middleware(RequestMetrics, telemetry=app.state.telemetry)
    describe_events(app)
    return app
