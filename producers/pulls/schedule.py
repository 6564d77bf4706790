"""Scheduled pulls within the gateway's process: one thread per source, so none delays another."""

import logging
import threading

from producers.gateway.ingest import IngestService
from producers.gateway.sources import FieldSource, FieldSourcesError
from producers.pulls.options import find_config_errors
from producers.pulls.pull import PULL_ERRORS, PullResult, pull

_log = logging.getLogger(__name__)

# Pause after a failed pull; doubled with each failure, up to the source's `every`.
_RETRY_INTERVAL_S = 15.0
_STOP_TIMEOUT_S = 2.0


class PullScheduler:
    """Pulls every source that has a `[pull]`, until it is stopped."""

    def __init__(self, ingest: IngestService) -> None:
        """Validate the `[pull]` of all sources.

        Raises:
            FieldSourcesError: with every finding.
        """
        if findings := find_config_errors(ingest.sources.values()):
            raise FieldSourcesError("\n".join(findings))
        self._ingest = ingest
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._run,
                args=(source, source.pull.every.total_seconds()),
                name=f"pull-{source.name}",
                daemon=True,
            )
            for source in ingest.sources.values()
            if source.pull is not None
        ]

    def start(self) -> None:
        """Start the threads; each source is pulled at once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop after the current page, and wait for it briefly.

        A page that was not stored is fetched by the next pull.
        """
        self._stopped.set()
        for thread in self._threads:
            thread.join(_STOP_TIMEOUT_S)

    def _run(self, source: FieldSource, interval: float) -> None:
        failures = 0
        while not self._stopped.is_set():
            failures = 0 if self._pull(source) else failures + 1
            self._stopped.wait(
                min(interval, _RETRY_INTERVAL_S * 2 ** (failures - 1)) if failures else interval
            )

    def _pull(self, source: FieldSource) -> bool:
        """Pull a source once; whether it succeeded or was stopped."""
        try:
            result = pull(
                self._ingest, source, on_progress=self._raise_if_stopped, sleep=self._sleep
            )
        except _StoppedError:
            return True
        except PULL_ERRORS as error:
            _log.warning("pull of %s failed: %s", source.name, error)
            return False
        except Exception:  # noqa: BLE001
            _log.exception("pull of %s failed", source.name)
            return False
        if result.accepted or result.refused or result.unreadable:
            _log.info(
                "pull of %s: %s accepted, %s refused, %s unreadable",
                source.name,
                result.accepted,
                len(result.refused),
                len(result.unreadable),
            )
        return True

    def _raise_if_stopped(self, _: PullResult) -> None:
        if self._stopped.is_set():
            raise _StoppedError

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise _StoppedError


class _StoppedError(Exception):
    """The gateway stops."""
