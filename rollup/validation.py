"""Validation of single records: accepted as a version, rejected with a reason, or forwarded.

The result is a function of the record, the registry and the metric dictionary alone. No clock is
read, so that a second fold gives the same result: "the future" is measured from the broker's append
time.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from uuid import UUID

from pravah.days import instant_micros
from pravah.events import Event, EventError, parse_event
from pravah.units import routing_key
from rollup.chunks import Record, is_tick
from rollup.versions import Version
from schemas.acceptance import check_instant, check_units, check_version, derive_amounts
from schemas.metrics import MetricDictionary
from schemas.registry import Registry

# Why a record is rejected: the header `reason` of `activity.rejected`.
Reason = Literal[
    "empty",
    "too_large",
    "not_utf8",
    "not_json",
    "invalid",
    "unknown_unit",
    "closed_unit",
    "far_future",
    "unknown_metric",
    "unknown_trained_unit",
]


class Accepted(NamedTuple):
    """A record that is a valid version of an entity."""

    key: str
    entity: str
    version: Version
    event: Event
    record: Record


class Rejected(NamedTuple):
    """A record that is not counted, with what a person needs to correct it."""

    record: Record
    reason: str
    detail: str
    redacted_detail: str
    """The same without the record's content, which may name persons."""


class Misrouted(NamedTuple):
    """A valid event in a partition that its unit does not belong to."""

    record: Record
    key: str
    partition: int


class Tick(NamedTuple):
    """A record that only completes the chunk of an idle partition."""

    record: Record


class Validator:
    """Validates records under one registry and one metric dictionary."""

    def __init__(
        self,
        registry: Registry,
        dictionary: MetricDictionary,
        *,
        partition_of: Callable[[str], int],
        max_future_hours: float,
    ) -> None:
        """Prepare the rules.

        Args:
            registry: the units.
            dictionary: the metrics.
            partition_of: the partition of `activity.events` that a routing key belongs to.
            max_future_hours: how long after its arrival an event may have occurred.
        """
        self.registry = registry
        self.dictionary = dictionary
        self.partition_of = lru_cache(maxsize=None)(partition_of)
        self.max_future_micros = int(max_future_hours * 3_600_000_000)

    def validate(self, partition: int, record: Record) -> Accepted | Rejected | Misrouted | Tick:
        """Validate one record of a partition."""
        if is_tick(record):
            return Tick(record)
        try:
            event = parse_event(record.value, appended_at=record.timestamp)
            version = self._version(event, record)
        except EventError as error:
            return Rejected(record, error.reason, error.detail, error.redacted_detail)
        key = routing_key(event.unit)
        belongs = self.partition_of(key)
        return (
            Accepted(key, event.entity_name, version, event, record)
            if belongs == partition
            else Misrouted(record, key, belongs)
        )

    def _version(self, event: Event, record: Record) -> Version:
        appended_at = record.timestamp * 1000
        day = check_instant(event.occurred_at, appended_at, self.max_future_micros)
        check_version(event.version, appended_at, self.max_future_micros)
        check_units(event, day, self.registry)
        amounts = derive_amounts(event, self.dictionary)
        return Version(
            event.version,
            event.op,
            event.verification,
            event.unit,
            instant_micros(event.occurred_at),
            day,
            amounts,
        )


def rejection_row(rejected: Rejected, partition: int, chunk: int, attempt: UUID) -> tuple[Any, ...]:
    """Return a row of `rollup.storage.REJECTED_RECORDS`, without the record's content."""
    record, key = rejected.record, rejected.record.key or b""
    state = _STATE.match(key)
    return (
        partition,
        record.offset,
        chunk,
        attempt,
        state[1].decode() if state else "",
        rejected.reason,
        rejected.redacted_detail[:_MAX_DETAIL],
        record.timestamp,
    )


_STATE = re.compile(rb"(?!IN)([A-Z]{2})(-|$)")
_MAX_DETAIL = 1_000
