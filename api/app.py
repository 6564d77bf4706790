"""The AICC's interface: read-only, over HTTP, from the figures as they stand.

Every path needs a token, which says which unit's subtree and which kinds of data its holder may see. An answer comes as JSON in pages, or whole as NDJSON, CSV, Parquet or Arrow.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from prometheus_client import generate_latest
from starlette_compress import CompressMiddleware

from api import problems
from api.audit import Metrics, Told
from api.clickhouse import Reader
from api.paths import ROUTERS
from api.report import AT_ONCE
from api.responses import MetricNames, Parts, parts
from api.tokens import Tokens
from pravah.settings import Settings


def build(settings: Settings) -> FastAPI:
    """The application."""
    own = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        reader = Reader(settings.clickhouse)
        state_reader = (
            Reader(settings.clickhouse, "grafana")
            if "grafana" in settings.clickhouse.users
            else None
        )
        limiter = MovingWindowRateLimiter(MemoryStorage())
        app.state.parts = Parts(
            reader,
            state_reader,
            settings,
            asyncio.Semaphore(AT_ONCE),
            Tokens(reader),
            MetricNames(reader),
            limiter,
        )
        yield
        await reader.close()
        if state_reader is not None:
            await state_reader.close()

    app = FastAPI(
        title="Pravah",
        version="1",
        description=(
            "Rolled-up figures of a party's units, from the booth to national headquarters: exact,"
            " current, explained."
        ),
        lifespan=lifespan,
    )
    app.add_middleware(CompressMiddleware)
    app.add_middleware(Told, metrics=own)
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)

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
