"""Whether a worker is well: rules without I/O, and the small HTTP server that tells them.

Two questions, as Kubernetes and others ask them. *Alive*: false only if a restart would help. *Ready*: the figures of this worker's partitions are up to date. While ClickHouse
is away a worker is alive and not ready: it waits, and a restart would only fold everything again.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from pravah.errors import PravahError

if TYPE_CHECKING:
    from streams.telemetry import Telemetry

STALL_SECONDS = 60.0
"""So long may a record wait, and a worker with waiting records go without progress."""

_STOP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class PartitionState:
    """How far one assigned partition has come. Offsets are the next ones: all below them is in the log, durable, released. None is what is not known, or not there."""

    partition: int
    end: int | None
    """Behind the last record of the log."""
    durable: int | None
    """Below it all is in the figures."""
    released: int | None
    """Below it all chunks are closed. It stands at the start of the open chunk, so it is no measure of lag."""
    pending_since: float | None
    """Epoch seconds: append time of the oldest record that is not durable; for one that was not read yet, when it was first known to be in the log. None if nothing waits."""
    opened_at: float | None
    """Epoch seconds at which this worker began the open chunk; None without one."""

    @property
    def known_durable(self) -> int | None:
        """`durable`, or `released` as long as the worker has only just taken the partition: what is released is durable."""
        return self.released if self.durable is None else self.durable

    @property
    def lag_records(self) -> int | None:
        """Records that are in the log and not durable; None if not known."""
        durable = self.known_durable
        # the end was asked for a moment ago, and the figures may have passed it since
        return None if self.end is None or durable is None else max(0, self.end - durable)

    def lag_seconds(self, now: float) -> float | None:
        """Age of the oldest record that is not durable, 0 if there is none; None if the end of the log is not known."""
        if self.pending_since is None:
            return None if self.end is None else 0.0
        return max(0.0, now - self.pending_since)  # the broker's clock may be ahead of ours

    def open_chunk_age_seconds(self, now: float) -> float | None:
        """Seconds since the open chunk was begun; None without one."""
        return None if self.opened_at is None else max(0.0, now - self.opened_at)


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a worker knows of itself at one moment. Times are epoch seconds."""

    now: float
    started: float
    assigned: bool
    """Whether the worker is a member of its group with partitions assigned; also true if there are fewer partitions than workers and it got none."""
    partitions: tuple[PartitionState, ...]
    clickhouse_failing: int
    """Attempts of the call in progress that failed; 0 when ClickHouse answers."""
    last_progress: float
    """When something was last folded, made durable or closed, an entity's filter filled, partitions assigned, or ClickHouse answered again after it was away."""
    failure: str | None
    """Why this worker does not go on, if it does not."""
    registry: str
    """Fingerprint of the unit registry under which it folds."""


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict."""

    alive: bool
    ready: bool
    reasons: tuple[str, ...]
    """Sentences for the person on call: what, where, what to do. Empty if the worker is alive and ready."""


class ListenError(PravahError):
    """The address for health and metrics cannot be had; the text says which setting to change."""


def judge(state: WorkerState, *, stall_seconds: float = STALL_SECONDS) -> Health:
    """Judge a worker by what it knows of itself.

    A failure of its own outweighs everything: it does not go away by waiting. How old an open chunk is says nothing; in a quiet partition it waits hours for its close.

    Args:
        state: of one moment.
        stall_seconds: above 0. A record that has waited so long makes the worker unready; so long without progress while records wait, and it is no longer alive.
    """
    lags = {
        one.partition: lag
        for one in state.partitions
        if (lag := one.lag_seconds(state.now)) is not None
    }
    late = {partition: lag for partition, lag in lags.items() if lag >= stall_seconds}
    unknown = [one.partition for one in state.partitions if one.partition not in lags]
    stalled = _seconds_without_progress(state) >= stall_seconds and not state.clickhouse_failing
    reasons = []
    if state.failure is not None:
        reasons.append(
            f"The worker has stopped counting: {state.failure.rstrip('.')}. Mend the cause, then start the worker anew; nothing is lost meanwhile."
        )
    if state.clickhouse_failing:
        reasons.append(
            f"ClickHouse has not taken the worker's call after {_count(state.clickhouse_failing, 'attempt')}. The worker goes on trying and loses nothing. "
            "See whether ClickHouse runs (`pravah status`), and in the worker's log why it refuses: away, disk full, memory, too many parts."
        )
    elif stalled:
        reasons.append(
            f"The worker hangs: records wait in {_named(late)}, ClickHouse answers, and there was no progress for {_seconds_without_progress(state):.0f} s. "
            "Start the worker anew; if it hangs again, the end of its log tells at which step."
        )
    elif late:
        worst = max(late, key=lambda partition: late[partition])
        reasons.append(
            f"Figures are late: the oldest record of {_named([worst])} has waited {late[worst]:.0f} s, and {stall_seconds:.0f} s is the limit; late in all: {_named(late)}. "
            "If pravah_lag_records does not fall, start another worker."
        )
    if not state.assigned:
        reasons.append(
            "Kafka has assigned no partitions to the worker yet. If this lasts longer than a minute, see whether Kafka runs (`pravah status`)."
        )
    if unknown:
        reasons.append(
            f"Kafka has not told the end of the log for {_named(unknown)} yet. If this lasts, see whether Kafka runs (`pravah status`)."
        )
    return Health(
        alive=state.failure is None and not stalled, ready=not reasons, reasons=tuple(reasons)
    )


def _seconds_without_progress(state: WorkerState) -> float:
    """How long records have waited without any progress; 0 if none wait. A worker that was idle, or that takes over an old backlog, gets its full time."""
    waiting = [one.pending_since for one in state.partitions if one.pending_since is not None]
    return (
        max(0.0, state.now - max(state.last_progress, state.started, min(waiting)))
        if waiting
        else 0.0
    )


def _named(partitions: Sequence[int] | dict[int, float]) -> str:
    numbers = [str(partition) for partition in sorted(partitions)]
    return f"partition{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Server:
    """A running HTTP server: `serve` makes it."""

    def __init__(self, runner: web.AppRunner) -> None:
        """Take the started runner."""
        self._runner = runner
        self.port: int = runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the socket and every connection. A second call does nothing."""
        await self._runner.cleanup()


async def serve(
    state: Callable[[], WorkerState], telemetry: "Telemetry", *, host: str, port: int
) -> Server:
    """Answer on the running event loop: `/healthz`, `/readyz` (200 or 503, JSON), `/metrics` (for Prometheus).

    Args:
        state: gives the worker's state as it is now; called on the event loop at each request, so it must not wait.
        telemetry: what `/metrics` shows, after it has observed the state.
        host: the address to listen on.
        port: 0 takes a free one; `Server.port` tells which.

    Raises:
        ListenError: the address is taken, or is none of this machine's.
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
        raise _listen_error(host, port, error) from error
    return Server(runner)


def check_listen(host: str, port: int) -> None:
    """See whether an address can be had, before anything else is begun.

    Raises:
        ListenError: the address is taken, or is none of this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, port), family=family):
            pass
    except OSError as error:
        raise _listen_error(host, port, error) from error


def _listen_error(host: str, port: int, error: OSError) -> ListenError:
    return ListenError(
        f"the worker cannot listen on {host}:{port} for /healthz, /readyz and /metrics: {_reason(error)}. "
        "Set PRAVAH_WORKER_PORT to a port that is free (0 takes any), or PRAVAH_WORKER_HOST to an address of this machine"
    )


def _reason(error: OSError) -> str:
    return str(error.strerror or error).rpartition(": ")[2]  # asyncio repeats the address in front


def _answer(content: dict[str, Any], *, well: bool) -> web.Response:
    return web.Response(
        status=200 if well else 503,
        body=orjson.dumps(content),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
