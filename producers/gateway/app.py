"""The gateway's HTTP: events that are ready, hooks of field tools, health, metrics. An answer 2xx is given when everything is on the disk, not before."""

import asyncio
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, FastAPI, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pravah.events import EVENT
from pravah.problems import Problem
from producers.gateway import problems
from producers.gateway.auth import CheckError, check_sender, needs_body
from producers.gateway.ingest import BodyResult, EventsResult, IngestService, Item
from producers.gateway.limits import BodyBudget, Rates, read_body, unavailable
from producers.gateway.problems import RESPONSES
from producers.gateway.registry import Refusal
from producers.gateway.sources import FieldSource
from producers.gateway.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")
Hook = Literal["kobo", "odk", "commcare", "rapidpro", "glific"]

_COMMIT_SECONDS = 10.0
"""So long a request waits for the disk before it is told to try again."""
_STUCK_SECONDS = 30.0
_BODIES_BYTES = 128 * 1024 * 1024
_SMALL = 64 * 1024
"""Larger bodies are read in a thread of their own, so that others need not wait."""
_JSON_BODY = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}

router = APIRouter(prefix="/v1", responses=RESPONSES)


class Gateway:
    """What the application works with."""

    def __init__(self, reception: IngestService) -> None:
        """Take the running reception."""
        self.reception = reception
        self.room, self.rates = BodyBudget(_BODIES_BYTES), Rates()

    async def received(
        self, request: Request, sources: list[FieldSource]
    ) -> tuple[FieldSource, bytes]:
        """Who sends, one of some sources, and the body.

        Raises:
            Problem: 401, 408, 413, 415, 429 or 503.
        """
        headers = _headers(request)
        early = None
        if not any(needs_body(source.check) for source in sources):
            early = self._sender(sources, headers, b"")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "the body is compressed; send it as it is",
                headers={"Accept-Encoding": "identity"},
            )
        most = max(source.limits.body for source in sources) if early is None else early.limits.body
        body = await read_body(
            request.stream(), headers.get("content-length"), most, request.state.held
        )
        source = early or self._sender(sources, headers, body)
        try:
            self.rates.check(source.name, source.limits.rate)
        except Problem:
            self.reception.store.count_soon(source.name, "refused", "rate")
            raise
        return source, body

    def _sender(
        self, sources: list[FieldSource], headers: dict[str, str], body: bytes
    ) -> FieldSource:
        now = datetime.now(UTC)
        found, wrong = None, ""
        for source in sources:  # all of them, so that the time does not tell which
            try:
                check_sender(source.check, headers, body, now)
                found = found or source
            except CheckError as error:
                wrong = str(error)
        if found is not None:
            return found
        several = len(sources) > 1
        self.reception.store.count_soon("" if several else sources[0].name, "refused", "sender")
        detail = "the secret is none of a source that sends events" if several else wrong
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


async def _begun(body: bytes, take: "Callable[[], Future[T]]") -> T:
    """Begin to take something, and wait for the disk.

    Raises:
        Problem: 503, the disk is too slow. It may have been taken all the same, and counts once if it is sent again.
    """
    future = take() if len(body) <= _SMALL else await run_in_threadpool(take)
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), _COMMIT_SECONDS)
    except TimeoutError:
        msg = f"the disk did not take it within {_COMMIT_SECONDS:.0f} s"
        raise unavailable(msg) from None


@router.post(
    "/events",
    summary="One event, or an array of events",
    status_code=HTTPStatus.ACCEPTED,
    responses={
        200: {"description": "It was known already; of an array: all of them."},
        202: {
            "description": "It is on the disk, and goes to Kafka; of an array: all that were not known."
        },
        207: {
            "description": "Of an array some were refused: `items` says which, and why. The others were taken."
        },
    },
    openapi_extra={
        "requestBody": {
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
        },
        "security": [{"bearer": []}, {"basic": []}],
    },
)
async def events(request: Request) -> Response:
    """Take events that have their final form, by the format of docs/events.md.

    Each event of an array stands for itself: what is right is taken, what is wrong is refused, and the answer tells of each. To send all of them again is safe: what was taken counts once.
    """
    gateway = _gateway(request)
    senders = [source for source in gateway.reception.sources.values() if source.tool == "events"]
    if not senders:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            'no source sends events that are ready; a file with tool = "events" in the folder of sources makes one',
        )
    source, body = await gateway.received(request, senders)
    taken = await _begun(body, lambda: gateway.reception.take_events(source, body))
    return _events_answer(taken, single=not body.lstrip(b" \t\r\n").startswith(b"["))


def _events_answer(taken: EventsResult, *, single: bool) -> Response:
    items = [_item(number, item) for number, item in enumerate(taken.items)]
    outcomes = [item.outcome for item in taken.items]
    refusals = [item.refusal for item in taken.items if item.refusal is not None]
    counts = {
        name: outcomes.count(name) for name in ("accepted", "repeated", "superseded", "refused")
    }
    if refusals and len(refusals) == len(items):
        return _refused(refusals, **({} if single else {**counts, "items": items}))
    status = (
        HTTPStatus.MULTI_STATUS
        if refusals
        else HTTPStatus.ACCEPTED
        if counts["accepted"]
        else HTTPStatus.OK
    )
    if single:
        del items[0]["index"]
    return JSONResponse(items[0] if single else {**counts, "items": items}, status)


def _item(number: int, item: Item) -> dict[str, Any]:
    shown: dict[str, Any] = {"index": number, "outcome": item.outcome}
    if item.name:
        shown["event_id"] = item.name
    if item.outcome == "superseded":
        shown["detail"] = (
            "this version or a higher one of its entity was reported for a unit with another routing key; send a higher version"
        )
    if item.refusal is not None:
        shown |= {
            "status": _status(item.refusal),
            "reason": item.refusal.reason,
            "detail": item.refusal.detail,
        }
    return shown


def _status(refusal: Refusal) -> HTTPStatus:
    return HTTPStatus.FORBIDDEN if refusal.is_forbidden else HTTPStatus.UNPROCESSABLE_ENTITY


def _refused(refusals: list[Refusal], **members: Any) -> Response:
    status = (
        HTTPStatus.FORBIDDEN
        if all(refusal.is_forbidden for refusal in refusals)
        else HTTPStatus.UNPROCESSABLE_ENTITY
    )
    errors = [{"reason": refusal.reason, "detail": refusal.detail} for refusal in refusals]
    return problems.answer(
        status,
        "; ".join(refusal.detail for refusal in refusals[:5]),
        reason=refusals[0].reason,
        errors=errors,
        **members,
    )


@router.post(
    "/hooks/{tool}/{name}",
    summary="What a field tool sends by itself",
    responses={200: {"description": "Taken, or known already; JSON says which."}},
    openapi_extra={
        "requestBody": _JSON_BODY,
        "security": [{"bearer": []}, {"basic": []}, {"header": []}, {"signature": []}],
    },
)
async def hook(
    request: Request,
    tool: Hook,
    name: Annotated[str, Path(description="The source: its file's name without `.toml`.")],
) -> Response:
    """Take a body as KoboToolbox, ODK, CommCare, RapidPro or Glific sends it: all of it or nothing."""
    gateway = _gateway(request)
    source = gateway.reception.sources.get(name)
    if source is None or source.tool != tool:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"no source of {tool} has this name; the path ends with the name of its file in the folder of sources",
        )
    _, body = await gateway.received(request, [source])
    headers = _headers(request)
    taken = await _begun(body, lambda: gateway.reception.take_body(source, body, headers))
    return _body_answer(taken)


def _body_answer(taken: BodyResult) -> Response:
    if taken.refusals:
        return _refused(taken.refusals)
    outcomes = [item.outcome for item in taken.items]
    return JSONResponse(
        {
            "accepted": outcomes.count("accepted"),
            "repeated": outcomes.count("repeated"),
            "events": taken.events,
        },
        HTTPStatus.OK,
    )


class _Measured:
    """Counts and times requests, and holds the room that their bodies take."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app, self._telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), int(HTTPStatus.INTERNAL_SERVER_ERROR)

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        gateway: Gateway = scope["app"].state.gateway
        with gateway.room.held() as held:
            scope.setdefault("state", {})["held"] = held
            try:
                await self._app(scope, receive, told)
            finally:
                self._telemetry.answered(
                    getattr(scope.get("route"), "path", "(none)"), status, time.monotonic() - began
                )


def build(reception: IngestService) -> FastAPI:
    """The application around a reception that is open."""
    app = FastAPI(
        title="Pravah gateway",
        version="1",
        description="Takes what field tools send. What it answers with 2xx is on the disk, and counts once.",
    )
    app.state.gateway = Gateway(reception)
    problems.install(app)
    app.include_router(router)
    telemetry = Telemetry()

    app.add_middleware(_Measured, telemetry=telemetry)

    @app.get("/healthz", include_in_schema=False)
    async def healthz(request: Request) -> JSONResponse:
        """Alive, unless the disk has hung for too long: then a restart may help."""
        since = _gateway(request).reception.store.writing_since
        stuck = since is not None and time.monotonic() - since > _STUCK_SECONDS
        return JSONResponse(
            {"alive": not stuck}, HTTPStatus.SERVICE_UNAVAILABLE if stuck else HTTPStatus.OK
        )

    @app.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> JSONResponse:
        """Ready, if it could take something now."""
        reasons = await _reasons(_gateway(request).reception)
        return JSONResponse(
            {"ready": not reasons, "reasons": reasons},
            HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK,
        )

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        exposition = await run_in_threadpool(telemetry.exposition, _gateway(request).reception)
        return Response(exposition, media_type="text/plain; version=0.0.4")

    _describe(app)
    return app


async def _reasons(reception: IngestService) -> list[str]:
    reasons = (
        []
        if reception.units.is_known
        else ["no unit registry is known yet: Kafka has not been reached"]
    )
    try:
        await asyncio.wait_for(
            asyncio.wrap_future(reception.store.submit(lambda transaction: transaction.probe())),
            _COMMIT_SECONDS,
        )
    except TimeoutError:
        reasons.append(f"the disk did not take a write within {_COMMIT_SECONDS:.0f} s")
    except Exception as error:  # noqa: BLE001
        reasons.append(str(error))
    return reasons


def _describe(app: FastAPI) -> None:
    """The event's own schema, and how senders prove who they are, in the OpenAPI description."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        content = plain()
        schema = EVENT.json_schema(ref_template="#/components/schemas/{model}")
        parts = content.setdefault("components", {})
        parts.setdefault("schemas", {}).update({**schema.pop("$defs", {}), "Event": schema})
        parts["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "basic": {"type": "http", "scheme": "basic"},
            "header": {
                "type": "apiKey",
                "in": "header",
                "name": "X-Pravah-Secret",
                "description": "Or the header that the source's file names.",
            },
            "signature": {
                "type": "apiKey",
                "in": "header",
                "name": "X-Glific-Signature",
                "description": "`t=<unix seconds>,v1=<HMAC-SHA256 of t.body>`",
            },
        }
        return content

    app.openapi = described  # type: ignore[method-assign]
