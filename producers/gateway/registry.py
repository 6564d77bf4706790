"""The unit registry as the gateway last saw it, and what a source may report for."""

import logging
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pydantic import ValidationError

from pravah.days import date_of, day_of_micros, instant_micros
from pravah.producer import ProducerError
from pravah.settings import KafkaSettings
from producers.gateway.store import Store, StoreBusyError
from producers.mapping.gazetteer import Gazetteer
from producers.topics.registry import read_registry, read_registry_position
from schemas.entries import decode_entries, encode_entries
from schemas.registry import Registry, RegistryError
from schemas.registry_readers import registry_from_entries

_log = logging.getLogger(__name__)
_LOOK_SECONDS, _WAIT_SECONDS = 30.0, 2.0
"""So often it is looked whether the registry changed; and whether there is one, as long as none is known."""
_STOP_SECONDS = 0.5
"""It may wait for an answer of Kafka; it holds nothing that could be lost, and ends with the process."""


class NotReadyError(RuntimeError):
    """No unit registry is known yet: nothing can be checked, so nothing is taken."""


class Refusal(NamedTuple):
    """Why something is not taken. It repeats no value but units and days."""

    reason: str
    """`outside`, or as a worker says: `unknown_unit`, `closed_unit`, `far_future`, `invalid` …; of bodies `unreadable`, `unknown_form`, `unmappable`."""
    detail: str

    @property
    def is_forbidden(self) -> bool:
        """Whether it is right, and only not this source's to tell."""
        return self.reason == "outside"


class Units:
    """Answers from one registry at a time. Thread-safe."""

    def __init__(self, aliases: Mapping[str, Iterable[str]], max_future_hours: float) -> None:
        """Take the alias files, and how far in the future something may have occurred."""
        self._aliases, self._max_future = aliases, timedelta(hours=max_future_hours)
        self._now: tuple[Registry, Gazetteer] | None = None

    @property
    def gazetteer(self) -> Gazetteer:
        """Finds units.

        Raises:
            NotReadyError: no registry is known yet.
        """
        return self._known()[1]

    @property
    def is_known(self) -> bool:
        """Whether there is a registry."""
        return self._now is not None

    def take(self, registry: Registry) -> None:
        """Answer from this registry from now on.

        Raises:
            RegistryError: the alias files do not go with it.
        """
        self._now = (registry, Gazetteer(registry, self._aliases))

    def check(self, allowed: str, unit: str, occurred_at: datetime) -> Refusal | None:
        """Why a source may not report for a unit at an instant, or None.

        Args:
            allowed: the source's unit; it may report for it and for what lies below it on that day.
            unit: who reports.
            occurred_at: aware.

        Raises:
            NotReadyError: no registry is known yet.
        """
        registry, _ = self._known()
        if occurred_at > datetime.now(UTC) + self._max_future:
            return Refusal(
                "far_future",
                f"occurred_at: {occurred_at.isoformat()} lies in the future: the device's clock was wrong",
            )
        day = day_of_micros(instant_micros(occurred_at))
        found = registry.units.get(unit)
        if found is None:
            return Refusal(
                "unknown_unit",
                f"unit: {unit} is not in the registry; correct the code, or add the unit and send it again",
            )
        if not found.first <= day <= found.last:
            when = (
                f"from {date_of(found.first)}"
                if day < found.first
                else f"until {date_of(found.last)}"
            )
            return Refusal(
                "closed_unit",
                f"unit: {unit} exists only {when}, the event occurred on {date_of(day)} (Asia/Kolkata); report for the unit of that day",
            )
        if not registry.is_at_or_below(unit, allowed, day):
            return Refusal(
                "outside",
                f"unit: {unit} was not at or below {allowed} on {date_of(day)} (Asia/Kolkata); this source may report for no other",
            )
        return None

    def check_changed_at(self, changed_at: datetime) -> Refusal | None:
        """Why an instant cannot be that of a change, or None. A change in the far future would make all later ones look old."""
        if changed_at <= datetime.now(UTC) + self._max_future:
            return None
        return Refusal(
            "far_future",
            f"the tool says that it was changed on {changed_at.date()}, which is in the future: its clock is wrong",
        )

    def _known(self) -> tuple[Registry, Gazetteer]:
        if self._now is None:
            msg = "no unit registry is known yet: Kafka has not been reached since this gateway was set up; `pravah up` and `pravah units load` put it there"
            raise NotReadyError(msg)
        return self._now


class Watch:
    """Keeps the registry as the topic `units` has it, in a thread of its own, and in the store for a start without Kafka."""

    def __init__(self, units: Units, store: Store, kafka: KafkaSettings) -> None:
        """Take what the store has; `start` begins to look.

        Raises:
            RegistryError: the alias files do not go with it.
        """
        self._units, self._store, self._kafka = units, store, kafka
        self._position: int | None = None
        self._fingerprint = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway-registry", daemon=True)
        kept = store.registry()
        if kept is not None:
            self._take(registry_from_entries(decode_entries(kept)))

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End. A second call does nothing."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_SECONDS)

    def look(self) -> None:
        """Look now.

        Raises:
            ProducerError: Kafka does not answer.
            RegistryError, pydantic.ValidationError: what the topic has is no registry, or the alias files do not go with it.
            StoreBusyError: it cannot be kept.
        """
        position = read_registry_position(self._kafka)
        if position == self._position:
            return
        registry = read_registry(self._kafka)
        if registry is not None and registry.fingerprint() != self._fingerprint:
            self._take(registry)
            entries = encode_entries(registry)
            self._store.submit(lambda transaction: transaction.keep_registry(entries))
            _log.info("the unit registry is another one: %d units", len(registry))
        self._position = position

    def _take(self, registry: Registry) -> None:
        self._units.take(registry)
        self._fingerprint = registry.fingerprint()

    def _run(self) -> None:
        told = ""
        while not self._stop.is_set():
            try:
                self.look()
                told = ""
            except (ProducerError, RegistryError, ValidationError, StoreBusyError) as error:
                if str(error) != told:
                    told = str(error)
                    _log.warning("the unit registry cannot be read, the known one stays: %s", error)
            self._stop.wait(_LOOK_SECONDS if self._units.is_known else _WAIT_SECONDS)
