"""`pravah worker`: one roll-up worker in the foreground."""

import logging
import os
import signal
import sys
import threading
from typing import NoReturn

import faust
import typer

from operations.gc_tuning import tune_collector
from operations.worker_processes import run_workers
from pravah.child_environment import child_environment
from pravah.settings import Settings
from reference.defaults import default_dictionary
from schemas.registry import Registry
from sinks.connection import connect
from sinks.deployment import check_log
from sinks.lease import TOKEN_VARIABLE
from stack.topics import identify
from streams.app import build
from streams.health_server import check_address
from streams.rebuild_wait import is_stale, wait_for_figures
from streams.registry_feed import RegistryFeed

log = logging.getLogger(__name__)

_SHUTDOWN_SECONDS = 30
# How long a thread that returns from a kernel waits for the interpreter. Python's default of 5 ms
# is as long as a batch takes: threads that fetch, validate, fold and write waited for one another.
_SWITCH_SECONDS = 0.000_5


class _Worker(faust.Worker):  # type: ignore[misc]
    """Faust's worker with a limited shutdown: one that hangs looks alive, so none replaces it."""

    # Set when the process is to restart in place; never by default.
    must_restart = threading.Event()

    async def stop(self) -> None:
        """Stop, within `_SHUTDOWN_SECONDS`."""
        timer = threading.Timer(_SHUTDOWN_SECONDS, self._end)
        timer.daemon = True
        timer.start()
        await super().stop()

    def _end(self) -> None:
        log.error("shutdown took more than %d s: exiting now; no data is lost", _SHUTDOWN_SECONDS)
        if self.must_restart.is_set():
            _restart()
        os._exit(1)


def _restart() -> NoReturn:
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], child_environment())  # noqa: S606


def worker(processes: int = 1) -> None:
    """Run workers until a signal; `cli.worker_command` describes them.

    Args:
        processes: number of workers; with more than one, each is a process.
    """
    if processes > 1:
        raise typer.Exit(run_workers(processes, Settings(), _report))
    # Until Faust installs its own handler: a changed registry may be noticed before that.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    settings = Settings()
    tune_collector()  # Before the registry is read, too: it is millions of objects.
    check_address(settings.worker_host, settings.worker_port)
    token = wait_for_figures(settings)
    identity, partitions = identify(settings.kafka)
    with connect(settings.clickhouse, "writer") as client:
        check_log(client, topic=identity, partitions=partitions)
    feed = RegistryFeed(settings.kafka)
    registry = feed.load()
    app = build(settings, registry, default_dictionary(), partitions=partitions, token=token)
    tune_collector()
    sys.setswitchinterval(_SWITCH_SECONDS)
    stop, must_restart = threading.Event(), threading.Event()
    watcher = threading.Thread(
        target=_watch_registry,
        args=(feed, registry, stop, must_restart),
        name="registry",
        daemon=True,
    )
    watcher.start()
    program = _Worker(app, loglevel="info", redirect_stdouts=False)
    program.must_restart = must_restart
    try:
        program.execute_from_commandline()
    except SystemExit as error:
        if error.code and TOKEN_VARIABLE not in os.environ and is_stale(settings.clickhouse, token):
            log.warning("the figures were rebuilt while this worker ran: restarting")
            must_restart.set()
        raise
    finally:
        stop.set()
        watcher.join(timeout=5)
        if must_restart.is_set():
            _restart()


def _report(text: str) -> None:
    typer.echo(text, err=True)


def _watch_registry(
    feed: RegistryFeed, registry: Registry, stop: threading.Event, must_restart: threading.Event
) -> None:
    """Restart the worker when the registry changes, or can no longer be followed."""
    known = registry.fingerprint()

    def restart_if_changed(now: Registry) -> None:
        if now.fingerprint() != known and not must_restart.is_set():
            log.warning("the registry changed: restarting, to fold open chunks under it")
            must_restart.set()
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        feed.follow(restart_if_changed, stop)
    except Exception:
        log.exception("the registry topic can no longer be followed: restarting")
        must_restart.set()
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        feed.close()
