"""The gateway's unit registry, and which units a source may report for."""

import logging
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from pravah.days import date_of, instant_micros
from pravah.events import Event, EventError
from pravah.producer import ProducerError
from pravah.settings import KafkaSettings
from producers.gateway.results import Refusal
from producers.gateway.store import Store, StoreBusyError
from producers.mapping.gazetteer import Gazetteer
from producers.topics.registry import read_registry, read_registry_position
from reference.defaults import default_dictionary
from schemas.acceptance import AcceptanceRules, check_instant, check_open
from schemas.entries import decode_entries, encode_entries
from schemas.metrics import MetricDictionary
from schemas.registry import Registry, RegistryError
from schemas.registry_readers import registry_from_entries

_log = logging.getLogger(__name__)
_POLL_INTERVAL_S = 30.0
# Between polls as long as no registry is known.
_FIRST_POLL_INTERVAL_S = 2.0
# The thread may wait for Kafka; it holds nothing that could be lost, and ends with the process.
_STOP_TIMEOUT_S = 0.5


class NotReadyError(RuntimeError):
    """No unit registry is known yet, so nothing can be checked or accepted."""


def check_changed_at(changed_at: datetime, max_future: timedelta) -> Refusal | None:
    """Why an instant cannot be that of a submission's change, or None.

    A change in the far future would make all later changes look old.
    """
    if changed_at <= datetime.now(UTC) + max_future:
        return None
    return Refusal(
        "far_future",
        f"the tool says that it was changed on {changed_at.date()}, which is in the future: "
        "its clock is wrong",
    )


class UnitChecker:
    """Checks units against the current registry. Thread-safe."""

    def __init__(
        self,
        aliases: Mapping[str, Iterable[str]],
        max_future_hours: float,
        dictionary: MetricDictionary | None = None,
    ) -> None:
        """Begin without a registry.

        Args:
            aliases: name of an alias file → its lines; see `Gazetteer`.
            max_future_hours: how far in the future an event may have occurred.
            dictionary: the metrics; by default those that come with Pravah.
        """
        self._aliases, self._max_future = aliases, timedelta(hours=max_future_hours)
        self._dictionary = dictionary or default_dictionary()
        self._current: tuple[Registry, Gazetteer] | None = None

    @property
    def gazetteer(self) -> Gazetteer:
        """Finds units by name.

        Raises:
            NotReadyError: no registry is known yet.
        """
        return self._require()[1]

    @property
    def has_registry(self) -> bool:
        """Whether a registry is known."""
        return self._current is not None

    def set_registry(self, registry: Registry) -> None:
        """Replace the registry.

        Raises:
            RegistryError: the alias files do not fit it.
        """
        self._current = (registry, Gazetteer(registry, self._aliases))

    def check(self, allowed: str, unit: str, occurred_at: datetime) -> Refusal | None:
        """Why a source may not report for a unit at an instant, or None.

        Args:
            allowed: the source's unit; it may report for this unit and the units below it that day.
            unit: the reporting unit.
            occurred_at: aware.

        Raises:
            NotReadyError: no registry is known yet.
        """
        registry, _ = self._require()
        arrived_at = instant_micros(datetime.now(UTC))
        max_future_micros = self._max_future // timedelta(microseconds=1)
        try:
            day = check_instant(occurred_at, arrived_at, max_future_micros)
            check_open(unit, day, registry)
        except EventError as error:
            return Refusal(error.reason, error.detail)
        if not registry.is_at_or_below(unit, allowed, day):
            return Refusal(
                "outside",
                f"unit: {unit} was not at or below {allowed} on {date_of(day)} (Asia/Kolkata); "
                "this source may report for no other",
            )
        return None

    def check_event(self, allowed: str, event: Event) -> Refusal | None:
        """Why a source may not send an event, or the worker would not count it, or None.

        Args:
            allowed: the source's unit; it may report for this unit and the units below it that day.
            event: a valid event.

        Raises:
            NotReadyError: no registry is known yet.
        """
        registry, _ = self._require()
        refusal = self.check(allowed, event.unit, event.occurred_at)
        if refusal is not None:
            return refusal
        try:
            AcceptanceRules(self._max_future, registry, self._dictionary).check(
                event, datetime.now(UTC)
            )
        except EventError as error:
            return Refusal(error.reason, error.redacted_detail)
        return None

    def check_changed_at(self, changed_at: datetime) -> Refusal | None:
        """Why an instant cannot be that of a change, or None."""
        return check_changed_at(changed_at, self._max_future)

    def _require(self) -> tuple[Registry, Gazetteer]:
        if self._current is None:
            msg = (
                "no unit registry is known yet: Kafka has not been reached since this gateway was "
                "set up; `pravah up` and `pravah units load` put it there"
            )
            raise NotReadyError(msg)
        return self._current


class RegistryWatcher:
    """Follows the registry of the topic `units`, and stores it for a start without Kafka."""

    def __init__(self, units: UnitChecker, store: Store, kafka: KafkaSettings) -> None:
        """Load the stored registry; `start` begins to poll.

        Raises:
            RegistryError: the alias files do not fit it.
        """
        self._units, self._store, self._kafka = units, store, kafka
        self._position: int | None = None
        self._fingerprint = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway-registry", daemon=True)
        stored = store.load_registry()
        if stored is not None:
            self._apply(registry_from_entries(decode_entries(stored)))

    def start(self) -> None:
        """Start the thread that polls."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread. A second call does nothing."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_TIMEOUT_S)

    def poll(self) -> None:
        """Read the topic if it has grown, and apply a changed registry.

        Raises:
            ProducerError: Kafka does not answer.
            RegistryError, pydantic.ValidationError: the topic has no valid registry, or the alias
                files do not fit it.
            StoreBusyError: it cannot be stored.
        """
        position = read_registry_position(self._kafka)
        if position == self._position:
            return
        registry = read_registry(self._kafka)
        if registry is not None and registry.fingerprint() != self._fingerprint:
            self._apply(registry)
            entries = encode_entries(registry)
            self._store.submit(lambda transaction: transaction.save_registry(entries))
            _log.info("the unit registry changed: %d units", len(registry))
        self._position = position

    def _apply(self, registry: Registry) -> None:
        self._units.set_registry(registry)
        self._fingerprint = registry.fingerprint()

    def _run(self) -> None:
        last_warning = ""
        while not self._stop.is_set():
            try:
                self.poll()
                last_warning = ""
            except (ProducerError, RegistryError, ValidationError, StoreBusyError) as error:
                if str(error) != last_warning:
                    last_warning = str(error)
                    _log.warning(
                        "cannot read the unit registry, the known one stays in force: %s", error
                    )
            self._stop.wait(
                _POLL_INTERVAL_S if self._units.has_registry else _FIRST_POLL_INTERVAL_S
            )
