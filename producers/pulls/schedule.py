"""Every source's pull at its time, within the gateway's process: a thread a source, so that a slow tool holds up no other."""

import logging
import threading

from producers.gateway.ingest import IngestService
from producers.gateway.sources import FieldSource, FieldSourcesError
from producers.pulls.pull import TROUBLES, Pulled, pull, pull_findings

_log = logging.getLogger(__name__)

_SOON_SECONDS = 15.0
"""After a pull that failed; doubled each time, up to the source's `every`."""
_STOP_SECONDS = 2.0


class Schedule:
    """Pulls every source that has a `[pull]`, until it is stopped."""

    def __init__(self, reception: IngestService) -> None:
        """Check what stands in `[pull]`.

        Raises:
            FieldSourcesError: with everything found wrong.
        """
        if findings := pull_findings(reception.sources.values()):
            raise FieldSourcesError("\n".join(findings))
        self._reception = reception
        self._stopped = threading.Event()
        pulled = [source for source in reception.sources.values() if source.pull is not None]
        self._threads = [
            threading.Thread(
                target=self._run,
                args=(source, source.pull.every.total_seconds()),
                name=f"pull-{source.name}",
                daemon=True,
            )
            for source in pulled
            if source.pull is not None
        ]

    def start(self) -> None:
        """Begin, with a pull of each source at once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take no other page, and wait a little for those on their way; a page that was not taken comes with the next pull."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(_STOP_SECONDS)

    def _run(self, source: FieldSource, every: float) -> None:
        failures = 0
        while not self._stopped.is_set():
            failures = 0 if self._comes_to_its_end(source) else failures + 1
            self._stopped.wait(
                min(every, _SOON_SECONDS * 2 ** (failures - 1)) if failures else every
            )

    def _comes_to_its_end(self, source: FieldSource) -> bool:
        try:
            pulled = pull(self._reception, source, tell=self._go_on, sleep=self._sleep)
        except _StoppedError:
            return True
        except TROUBLES as error:
            _log.warning("pull of %s: %s", source.name, error)
            return False
        except Exception:  # noqa: BLE001
            _log.exception("pull of %s", source.name)
            return False
        if pulled.accepted or pulled.refused or pulled.unreadable:
            _log.info(
                "pull of %s: %s taken, %s refused, %s unreadable",
                source.name,
                pulled.accepted,
                len(pulled.refused),
                len(pulled.unreadable),
            )
        return True

    def _go_on(self, _: Pulled) -> None:
        if self._stopped.is_set():
            raise _StoppedError

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise _StoppedError


class _StoppedError(Exception):
    """The gateway ends."""
