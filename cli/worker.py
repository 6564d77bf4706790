"""`pravah worker`: one roll-up worker in the foreground."""

import logging
import os
import signal
import sys
import threading
from typing import Annotated, NoReturn

import faust
import typer

from operations.bootstrap import default_dictionary
from operations.gc_tuning import collect_seldom
from operations.worker_processes import run_several
from pravah.settings import Settings
from schemas.registry import Registry
from sinks.connection import connect
from sinks.deployment import check_log
from sinks.lease import TOKEN_VARIABLE
from stack.topics import identify
from streams.app import build
from streams.health import check_listen
from streams.rebuild_wait import is_stale, wait_for_figures
from streams.registry_feed import RegistryFeed

log = logging.getLogger(__name__)

_SHUTDOWN_SECONDS = 30
_SWITCH_SECONDS = 0.000_5
"""A thread that comes back from a compiled loop waits so long for the interpreter at most. Python's own 5 ms are as long as a batch takes: threads that fetch, admit, fold and write waited for one another."""


class _Worker(faust.Worker):  # type: ignore[misc]
    """Faust's worker, which ends in any case: one that hangs on its way out looks alive, and nobody starts another."""

    changed = threading.Event()
    """Set when it is to start anew; by default it never is."""

    async def stop(self) -> None:
        """Stop within a limited time."""
        timer = threading.Timer(_SHUTDOWN_SECONDS, self._end)
        timer.daemon = True
        timer.start()
        await super().stop()

    def _end(self) -> None:
        log.error(
            "not stopped within %d s: ending at once; nothing is lost by that", _SHUTDOWN_SECONDS
        )
        if self.changed.is_set():
            _start_anew()
        os._exit(1)


def _start_anew() -> NoReturn:
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def worker(
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            help="So many workers at once, each a process of its own; at full speed one keeps about a core and a half busy.",
        ),
    ] = 1,
) -> None:
    """Roll events up, until a signal.

    Several workers may run; Kafka divides the partitions among them. A worker that is killed loses nothing: what it had not closed is folded again. A change of the
    registry makes it start anew by itself, so that open chunks are folded under one registry. With --processes, a worker that ends unasked is started again; the first one has PRAVAH_WORKER_PORT, the next ones
    the ports behind it.
    """
    if processes > 1:
        raise typer.Exit(run_several(processes, Settings()))
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit()
    )  # until Faust has its own handler: a changed registry may be noticed before that
    settings = Settings()
    collect_seldom()  # reading the registry makes millions of objects, too
    check_listen(settings.worker_host, settings.worker_port)
    token = wait_for_figures(settings)
    identity, partitions = identify(settings.kafka)
    with connect(settings.clickhouse, "writer") as client:
        check_log(client, topic=identity, partitions=partitions)
    feed = RegistryFeed(settings.kafka)
    registry = feed.load()
    app = build(settings, registry, default_dictionary(), partitions=partitions, token=token)
    collect_seldom()
    sys.setswitchinterval(_SWITCH_SECONDS)
    stop, changed = threading.Event(), threading.Event()
    follower = threading.Thread(
        target=_follow, args=(feed, registry, stop, changed), name="registry", daemon=True
    )
    follower.start()
    program = _Worker(app, loglevel="info", redirect_stdouts=False)
    program.changed = changed
    try:
        program.execute_from_commandline()
    except SystemExit as error:
        if error.code and TOKEN_VARIABLE not in os.environ and is_stale(settings.clickhouse, token):
            log.warning("the figures were rebuilt while this worker ran; it starts again")
            changed.set()
        raise
    finally:
        stop.set()
        follower.join(timeout=5)
        if changed.is_set():
            _start_anew()


def _follow(
    feed: RegistryFeed, registry: Registry, stop: threading.Event, changed: threading.Event
) -> None:
    known = registry.fingerprint()

    def compare(now: Registry) -> None:
        if now.fingerprint() != known and not changed.is_set():
            log.warning("the registry changed: starting anew, to fold open chunks under it")
            changed.set()
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        feed.follow(compare, stop)
    except Exception:
        log.exception("the topic of the registry can no longer be followed: starting anew")
        changed.set()
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        feed.close()
