"""The worker's HTTP server: `/healthz`, `/readyz` and `/metrics`."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson
from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from pravah.listen import ListenError, check_listen
from streams.health import WorkerState, judge
from streams.telemetry import Telemetry

_STOP_SECONDS = 1.0

# Parts of a `ListenError`.
_SERVER = "the worker's HTTP server"
_REMEDY = (
    "Set PRAVAH_WORKER_PORT to a port that is free (0 takes any), or PRAVAH_WORKER_HOST to an "
    "address of this machine"
)


class Server:
    """A running HTTP server, made by `serve`."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner
        self.port: int = runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the socket and every connection. A second call does nothing."""
        await self._runner.cleanup()


async def serve(
    state: Callable[[], WorkerState], telemetry: Telemetry, *, host: str, port: int
) -> Server:
    """Serve `/healthz`, `/readyz` (200 or 503, JSON) and `/metrics` on the running event loop.

    Args:
        state: returns the worker's current state; called on the event loop at each request, so it
            must not block.
        telemetry: exported by `/metrics` after it has observed the state.
        host: the address to listen on.
        port: 0 takes a free one, see `Server.port`.

    Raises:
        ListenError: the address is in use, or is not this machine's.
    """
    exposition = make_aiohttp_handler(telemetry.registry)

    async def healthz(_request: web.Request) -> web.Response:
        health = judge(state())
        return _answer({"alive": health.alive, "reasons": health.reasons}, well=health.alive)

    async def readyz(_request: web.Request) -> web.Response:
        now = state()
        health = judge(now)
        partitions = [
            {
                **asdict(one),
                "lag_records": one.lag_records,
                "lag_seconds": one.lag_seconds(now.now),
                "open_chunk_age_seconds": one.open_chunk_age_seconds(now.now),
            }
            for one in now.partitions
        ]
        return _answer(
            {
                "ready": health.ready,
                "reasons": health.reasons,
                "registry": now.registry,
                "partitions": partitions,
            },
            well=health.ready,
        )

    async def metrics(request: web.Request) -> web.StreamResponse:
        telemetry.observe(state())
        return await exposition(request)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ListenError(host, port, error, server=_SERVER, remedy=_REMEDY) from error
    return Server(runner)


def check_address(host: str, port: int) -> None:
    """Check that the worker can listen on an address, before anything else is started.

    Raises:
        ListenError: the address is in use, or is not this machine's.
    """
    check_listen(host, port, server=_SERVER, remedy=_REMEDY)


def _answer(content: dict[str, Any], *, well: bool) -> web.Response:
    return web.Response(
        status=200 if well else 503,
        body=orjson.dumps(content),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
