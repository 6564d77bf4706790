"""ASGI middleware: request metrics, and the memory reserved for each request's body."""

import time
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producers.gateway.telemetry import Telemetry


class RequestMetrics:
    """Counts and times requests, and holds each request's share of the body budget."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app, self._telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at, status = time.monotonic(), int(HTTPStatus.INTERNAL_SERVER_ERROR)

        async def send_and_record(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with scope["app"].state.gateway.body_budget.reserve() as reservation:
            scope.setdefault("state", {})["reservation"] = reservation
            try:
                await self._app(scope, receive, send_and_record)
            finally:
                self._telemetry.observe_request(
                    getattr(scope.get("route"), "path", "(none)"),
                    status,
                    time.monotonic() - started_at,
                )
