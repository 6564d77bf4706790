"""Request metrics of the API, and the middleware that observes requests."""

import time
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.audit import AuditLog


class RequestMetrics:
    """Prometheus metrics of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "pravah_api_requests",
            "Requests by path and status.",
            ["path", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "pravah_api_request_seconds",
            "Seconds until the response was sent.",
            ["path"],
            registry=self.registry,
        )


class TelemetryMiddleware:
    """Counts and times requests, and writes those to `/v1` to the audit log.

    Plain ASGI: it adds no work per chunk of a streamed response.
    """

    def __init__(self, app: ASGIApp, metrics: RequestMetrics, audit: AuditLog) -> None:
        self._app, self._metrics, self._audit = app, metrics, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request. Authentication sets `holder` in the request's state."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.monotonic()
        state = scope.setdefault("state", {})
        state["holder"] = None
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)  # sent if the application raises

        async def send_and_observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_observe)
        finally:
            seconds = time.monotonic() - start
            path = getattr(scope.get("route"), "path", "(none)")
            self._metrics.requests.labels(path, status).inc()
            self._metrics.seconds.labels(path).observe(seconds)
            if path.startswith("/v1/"):
                self._audit.log_request(scope, state["holder"], status, seconds)
