"""What is told of each request: a line in the audit log, and the service's own metrics. Never a token."""

import logging
import time
from datetime import datetime
from http import HTTPStatus

import orjson
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pravah.days import KOLKATA

audit = logging.getLogger("pravah.audit")


class Metrics:
    """The service's own metrics."""

    def __init__(self) -> None:
        """Of one application."""
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "pravah_api_requests",
            "Requests by path and status.",
            ["path", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "pravah_api_request_seconds",
            "Until the answer was sent.",
            ["path"],
            registry=self.registry,
        )


class Told:
    """Middleware, plain ASGI: it looks at messages as they pass and costs a stream nothing for each of its pieces."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Around an application."""
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; `holder` of its state is set by whoever reads the token."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        state = scope.setdefault("state", {})
        state["holder"] = None
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)  # what is answered if nothing was sent

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            seconds = time.monotonic() - began
            path = getattr(scope.get("route"), "path", "(none)")
            self._metrics.requests.labels(path, status).inc()
            self._metrics.seconds.labels(path).observe(seconds)
            if path.startswith("/v1/"):
                line = {
                    "at": datetime.now(KOLKATA).isoformat(),
                    "holder": state["holder"],
                    "path": scope["path"],
                    "query": scope["query_string"].decode("latin-1"),
                }
                audit.info(
                    orjson.dumps({**line, "status": status, "seconds": round(seconds, 3)}).decode()
                )
