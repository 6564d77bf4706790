"""A worker waits here, before it joins its group, while a rebuild holds the figures.

As a member of the group it would be given partitions that the worker of the rebuild needs.
"""

import asyncio
import logging
import os
import time

from pravah.settings import ClickHouseSettings, Settings
from sinks.connection import is_retryable
from sinks.lease import TOKEN_VARIABLE, LeaseState
from sinks.rebuild import settle_figures_lease
from streams.health import WorkerState
from streams.health_server import serve
from streams.telemetry import Telemetry

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_LOG_INTERVAL_SECONDS = 10.0


def wait_for_figures(settings: Settings) -> int:
    """Wait until this process may write figures, and answer health checks meanwhile.

    Args:
        settings: of the deployment.

    Returns:
        The token of the lease on the figures, which each write carries. A rebuild hands its own to
        the worker that it starts, which does not wait.
    """
    if given := os.environ.get(TOKEN_VARIABLE):
        return int(given)
    state = settle_figures_lease(settings.clickhouse)
    if state.is_free:
        return state.token
    # Not asyncio.run: it would leave the main thread without the event loop that Faust expects.
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_wait(settings, state))
    finally:
        loop.close()


def is_stale(clickhouse: ClickHouseSettings, token: int) -> bool:
    """Whether a rebuild has begun since a token was read; False if ClickHouse does not answer."""
    try:
        return settle_figures_lease(clickhouse).token > token
    except Exception as error:
        if not is_retryable(error):
            raise
        return False


async def _wait(settings: Settings, state: LeaseState) -> int:
    started = time.time()

    def health() -> WorkerState:
        now = time.time()
        return WorkerState(
            now=now,
            started=started,
            assigned=False,
            partitions=(),
            clickhouse_failing=0,
            last_progress=now,
            failure=None,
            registry="",
            waits_for=state.holder or "the completion of an interrupted rebuild",
        )

    server = await serve(health, Telemetry(), host=settings.worker_host, port=settings.worker_port)
    logged = time.monotonic() - _LOG_INTERVAL_SECONDS
    try:
        while not state.is_free:
            if time.monotonic() - logged >= _LOG_INTERVAL_SECONDS:
                logged = time.monotonic()
                log.warning(
                    "waiting: %s is running; health: http://%s:%d/healthz",
                    *(state.holder or "a rebuild", settings.worker_host, server.port),
                )
            await asyncio.sleep(_POLL_SECONDS)
            state = await asyncio.to_thread(settle_figures_lease, settings.clickhouse)
    finally:
        await server.stop()
    log.warning("the rebuild has ended")
    return state.token
