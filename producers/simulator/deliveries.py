"""Simulated deliveries and the queue that brings them into the order of sending."""

import heapq
from collections.abc import Iterator
from datetime import datetime
from random import Random
from typing import Literal, NamedTuple

from pravah.units import routing_key
from producers.simulator.chance import Quota, draw_delay
from producers.simulator.clock import to_datetime
from producers.simulator.units import SimulatedUnits

# What a delivery is. An observation is a later report of an entity that lasts.
DeliverySort = Literal[
    "report", "observation", "correction", "retraction", "check", "repeat", "broken"
]


class Delivery(NamedTuple):
    """One record as a field tool's server would send it."""

    key: str | None
    value: bytes | None
    sent_at: datetime
    """UTC; deliveries come in this order."""
    sort: DeliverySort


class DeliveryQueue:
    """Deliveries that are not sent yet. Sends some under a wrong key and repeats some."""

    def __init__(
        self, units: SimulatedUnits, rng: Random, *, wrong_keys: Quota, repeats: Quota
    ) -> None:
        self._units, self._rng = units, rng
        self._wrong_keys, self._repeats = wrong_keys, repeats
        self._heap: list[tuple[int, int, str | None, bytes | None, DeliverySort]] = []
        self._number = 0

    def send(self, sent: int, key: str, value: bytes, sort: DeliverySort) -> None:
        """Enqueue a delivery, and perhaps a repeat of it.

        Args:
            sent: second of sending.
            key: the right key.
            value: the event as JSON.
            sort: of the delivery; its repeat has `repeat`.
        """
        wrong = self._wrong_keys.hit()
        self.push(sent, self._draw_wrong_key(key) if wrong else key, value, sort)
        if self._repeats.hit():
            median_minutes = 25 if self._rng.random() < 0.7 else 2_000
            delay = draw_delay(self._rng, median_minutes, max_days=9)
            self.push(sent + 1 + delay, key, value, "repeat")

    def push(self, sent: int, key: str | None, value: bytes | None, sort: DeliverySort) -> None:
        """Enqueue a delivery as it is."""
        self._number += 1  # breaks ties: deliveries of one second keep their order
        heapq.heappush(self._heap, (sent, self._number, key, value, sort))

    def pop_before(self, end: int | None) -> Iterator[Delivery]:
        """Yield and remove the deliveries sent before a second, in order; all if it is None."""
        while self._heap and (end is None or self._heap[0][0] < end):
            second, _, key, value, sort = heapq.heappop(self._heap)
            yield Delivery(key, value, to_datetime(second), sort)

    def _draw_wrong_key(self, key: str) -> str | None:
        """Return no key, or that of another unit."""
        if self._rng.random() < 0.2:
            return None
        codes = self._rng.choices(self._units.reporting.codes, k=5)
        return next((other for other in map(routing_key, codes) if other != key), None)
