"""The AICC API as a FastAPI application.

Every path under `/v1` needs a token, which decides whose units and which kinds of data it may read.
Responses are pages of JSON, or the whole answer as NDJSON, CSV, Parquet or Arrow.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from prometheus_client import generate_latest
from starlette_compress import CompressMiddleware

from api import problems
from api.addresses import AddressLimit
from api.audit import COUNT_SECONDS, AuditLog
from api.clickhouse import Reader
from api.descriptions import improve
from api.explain import MAX_CONCURRENT_EXPLANATIONS
from api.paths import ROUTERS, TAGS
from api.report import MAX_CONCURRENT_REPORTS
from api.responses import AppState, MetricNames, app_state
from api.strict import refuse_unknown_parameters
from api.telemetry import RequestMetrics, TelemetryMiddleware
from api.tokens import Tokens
from pravah.settings import Settings


def build(settings: Settings) -> FastAPI:
    """Create the application."""
    metrics, audit = RequestMetrics(), AuditLog()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        reader = Reader(settings.clickhouse)
        state_reader = (
            Reader(settings.clickhouse, "grafana")
            if "grafana" in settings.clickhouse.users
            else None
        )
        app.state.services = AppState(
            reader=reader,
            state_reader=state_reader,
            settings=settings,
            report_slots=asyncio.Semaphore(MAX_CONCURRENT_REPORTS),
            explanation_slots=asyncio.Semaphore(MAX_CONCURRENT_EXPLANATIONS),
            tokens=Tokens(reader, AddressLimit(settings.api_refused_rate)),
            metrics=MetricNames(reader),
            limiter=MovingWindowRateLimiter(MemoryStorage()),
        )
        counting = asyncio.create_task(_write_counts(audit))
        yield
        counting.cancel()
        audit.write_counts()
        await reader.close()
        if state_reader is not None:
            await state_reader.close()

    app = FastAPIOffline(
        title="Pravah",
        version="1",
        description=(
            "Figures of a party's units, rolled up from the booth to national headquarters:"
            " exact, current, and traceable to the events behind them.\n\n"
            "Begin with *Authorize*, where the token goes, then `/v1/units` (find a unit by name),"
            " `/v1/totals` and `/v1/rollups` (its figures), and `/v1/explain` (the events behind"
            " one figure: pass the `unit`, `metric` and `day` of its row). `names=true` adds names"
            " in English and Hindi to the codes of any row."
        ),
        lifespan=lifespan,
        openapi_tags=TAGS,
        dependencies=[Depends(refuse_unknown_parameters)],
        # Swagger UI would load a badge, ReDoc a logo, from servers of their makers.
        swagger_ui_parameters={"validatorUrl": None},
        redoc_url=None,
    )
    app.add_middleware(CompressMiddleware)
    app.add_middleware(TelemetryMiddleware, metrics=metrics, audit=audit)
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> JSONResponse:
        return JSONResponse({"alive": True})

    @app.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> JSONResponse:
        await app_state(request).reader.rows("SELECT 1")
        return JSONResponse({"ready": True})

    @app.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4")

    describe = app.openapi

    def openapi() -> dict[str, Any]:
        return app.openapi_schema or improve(describe())

    app.openapi = openapi  # type: ignore[method-assign]
    return app


async def _write_counts(audit: AuditLog) -> None:
    while True:
        await asyncio.sleep(COUNT_SECONDS)
        audit.write_counts()
