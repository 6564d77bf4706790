"""The rules by which an event counts, besides its form: instant, units, metric.

The worker decides by them. The gateway, `pravah gateway check` and a dry run of `pravah import` ask
the same functions, so that they say beforehand what the worker will say. Pure: no clock is read.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from pravah.days import date_of, day_of_micros, instant_micros
from pravah.events import STRICTER_SINCE, Event, EventError, Retraction, TrainingHeld
from schemas.metrics import Amounts, MetricDictionary, UnknownMetricError
from schemas.registry import Registry


class AcceptanceRules(NamedTuple):
    """What the rules depend on."""

    max_future: timedelta
    """How long after its arrival an event may have occurred."""
    registry: Registry | None = None
    """If None, units are not checked."""
    dictionary: MetricDictionary | None = None
    """If None, metrics are not checked."""

    def check(self, event: Event, arrived_at: datetime) -> None:
        """Check an event that arrives at an instant.

        Raises:
            EventError: the worker will not count it; with the worker's reason.
        """
        max_future_micros = self.max_future // timedelta(microseconds=1)
        day = check_instant(event.occurred_at, instant_micros(arrived_at), max_future_micros)
        check_version(event.version, instant_micros(arrived_at), max_future_micros)
        if self.registry is not None:
            check_units(event, day, self.registry)
        if self.dictionary is not None:
            derive_amounts(event, self.dictionary)


def check_instant(occurred_at: datetime, arrived_at: int, max_future_micros: int) -> int:
    """Return the day in Asia/Kolkata of an event, see `pravah.days`.

    Args:
        occurred_at: aware.
        arrived_at: microseconds since 1970-01-01T00:00Z.
        max_future_micros: how long after its arrival an event may have occurred.

    Raises:
        EventError: `far_future`.
    """
    micros = instant_micros(occurred_at)
    if micros > arrived_at + max_future_micros:
        reason = "far_future"
        raise EventError(
            reason,
            f"occurred_at: {occurred_at.isoformat()} lies in the future of its arrival: "
            "the device's clock was wrong",
        )
    return day_of_micros(micros)


def check_version(version: int, arrived_at: int, max_future_micros: int) -> None:
    """Check that a later correction can replace a version.

    A version may be a counter, or the time of a change in any unit down to nanoseconds. Beyond the
    nanoseconds of its arrival (plus `max_future_micros`) it is neither. The bound grows with time,
    so after that time the sender can always exceed what it sent before.

    Args:
        version: of the event.
        arrived_at: microseconds since 1970-01-01T00:00Z. Events that arrived before
            `STRICTER_SINCE` may have any version.
        max_future_micros: how long after its arrival a version may lie.

    Raises:
        EventError: `far_future`.
    """
    if version // 1_000 > arrived_at + max_future_micros and arrived_at >= STRICTER_SINCE * 1_000:
        reason = "far_future"
        raise EventError(
            reason,
            f"version: {version} is a time in the future of its arrival, even in nanoseconds, and "
            "would lock the entity against corrections; send a counter, or the time of the change "
            "in milliseconds, microseconds or nanoseconds",
        )


def check_units(event: Event, day: int, registry: Registry) -> None:
    """Check that the units of an event exist on its day, and are where they should be.

    Raises:
        EventError: `unknown_unit`, `closed_unit` or `unknown_trained_unit`.
    """
    check_open(event.unit, day, registry)
    if isinstance(event, TrainingHeld) and event.data.trained_units:
        _check_trained(event.unit, event.data.trained_units, day, registry)


def check_open(code: str, day: int, registry: Registry) -> None:
    """Check that a unit exists on a day.

    Raises:
        EventError: `unknown_unit` or `closed_unit`.
    """
    unit = registry.units.get(code)
    if unit is None:
        reason = "unknown_unit"
        raise EventError(
            reason,
            f"unit: {code!r} is not in the registry; "
            "correct the code, or add the unit and send or replay it again",
        )
    if not unit.first <= day <= unit.last:
        reason = "closed_unit"
        when = f"from {date_of(unit.first)}" if day < unit.first else f"until {date_of(unit.last)}"
        raise EventError(
            reason,
            f"unit: {code} exists only {when}, the event occurred on {date_of(day)} "
            "(Asia/Kolkata); report for the unit of that day",
        )


def derive_amounts(event: Event, dictionary: MetricDictionary) -> Amounts:
    """Return the amounts of an event by metric; none for a retraction.

    Raises:
        EventError: `unknown_metric`.
    """
    if isinstance(event, Retraction) or event.op == "retract":
        return {}
    try:
        return dictionary.amounts(event.kind, event.data)
    except UnknownMetricError as error:
        reason = "unknown_metric"
        raise EventError(reason, str(error)) from None


def _check_trained(code: str, trained: list[str], day: int, registry: Registry) -> None:
    for unit in trained:
        if not registry.is_at_or_below(unit, code, day):
            reason = "unknown_trained_unit"
            raise EventError(
                reason,
                f"data.trained_units: {unit!r} is no unit at or below {code} on "
                f"{date_of(day)}; correct or remove it",
            )
