"""The AICC's interface: read-only, over HTTP, from the figures as they stand.

Every path needs a token, which says which unit's subtree and which kinds of data its holder may see. An answer comes as JSON in pages, or whole as NDJSON, CSV, Parquet or Arrow.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from starlette_compress import CompressMiddleware

from api import problems
from api.answers import Parts, parts
from api.clickhouse import Reader
from api.paths import ROUTERS
from api.report import AT_ONCE
from api.tokens import Tokens
from schemas.days import KOLKATA
from settings import Settings

audit = logging.getLogger("pravah.audit")


class _Metrics:
    """The service's own metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("pravah_api_requests", "Requests by path and status.", ["path", "status"], registry=self.registry)
        self.seconds = Histogram("pravah_api_request_seconds", "Until the answer was sent.", ["path"], registry=self.registry)


def build(settings: Settings) -> FastAPI:
    """The application."""
    own = _Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        reader = Reader(settings.clickhouse)
        state_reader = Reader(settings.clickhouse, "grafana") if "grafana" in settings.clickhouse.users else None
        limiter = MovingWindowRateLimiter(MemoryStorage())
        app.state.parts = Parts(reader, state_reader, settings, asyncio.Semaphore(AT_ONCE), Tokens(reader), limiter)
        yield
        await reader.close()
        if state_reader is not None:
            await state_reader.close()

    app = FastAPI(
        title="Pravah",
        version="1",
        description="Rolled-up figures of a party's units, from the booth to national headquarters: exact, current, explained.",
        lifespan=lifespan,
    )
    app.add_middleware(CompressMiddleware)
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)

    @app.middleware("http")
    async def _told(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        """One line of the audit log for each pull, and the metrics. Never a token."""
        began = time.monotonic()
        request.state.holder = None
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)  # what is answered if the call raises
        try:
            response = await call(request)
            status = response.status_code
            return response
        finally:
            seconds = time.monotonic() - began
            path = getattr(request.scope.get("route"), "path", "(none)")
            own.requests.labels(path, status).inc()
            own.seconds.labels(path).observe(seconds)
            if path.startswith("/v1/"):
                line = {"at": datetime.now(KOLKATA).isoformat(), "holder": request.state.holder, "path": request.url.path, "query": request.url.query}
                audit.info(orjson.dumps({**line, "status": status, "seconds": round(seconds, 3)}).decode())

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> JSONResponse:
        return JSONResponse({"alive": True})

    @app.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> JSONResponse:
        await parts(request).reader.rows("SELECT 1")
        return JSONResponse({"ready": True})

    @app.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        return Response(generate_latest(own.registry), media_type="text/plain; version=0.0.4")

    return app
