"""The fold: contributions of units become entries of every ancestor, for one chunk.

A *flow* belongs to the ancestors of its day. A *stock* follows its unit: a change on day d enters each ancestor on the later of d and the day that ancestor begins to
stand above the unit, and leaves it on the day after it ended to. The map is linear, so entries of any origin can be added up.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from schemas.days import LAST_DAY
from schemas.metrics import Amounts
from schemas.registry import Registry
from schemas.units import Level
from streams.contribution import Contribution

EntryKey = tuple[Level, str, str, int]
"""Level, metric, unit, day."""


class Target(NamedTuple):
    """Where a change of a stock shows: an ancestor, the day, and whether it enters (1) or leaves (-1)."""

    level: Level
    unit: str
    day: int
    sign: int


class Rollup:
    """The entries of one chunk: absolute sums of value, verified value and number of reports, by level, metric, unit and day."""

    def __init__(self, registry: Registry, stocks: Collection[str]) -> None:
        """Start at nothing; `stocks` are the metrics that are stocks."""
        self.entries: dict[EntryKey, list[int]] = {}
        self._changed: set[EntryKey] = set()
        self._registry = registry
        self._stocks = stocks
        self._targets: dict[tuple[str, int], list[Target]] = {}

    def report(self, unit: str, day: int, amounts: Amounts) -> None:
        """Note that a unit reported these metrics on a day: their rows exist from now on, also where the figure is 0."""
        for span in self._registry.ancestors(unit, day):
            for metric in amounts:
                self._add((span.level, metric, span.ancestor, day), 0, 0, 1)

    def fold(self, change: Contribution) -> None:
        """Add a change of a unit's contributions to all its ancestors."""
        for (metric, unit, day), (value, verified) in change.items():
            if metric in self._stocks:
                for target in self._stock_targets(unit, day):
                    self._add((target.level, metric, target.unit, target.day), target.sign * value, target.sign * verified, 0)
            else:
                for span in self._registry.ancestors(unit, day):
                    self._add((span.level, metric, span.ancestor, day), value, verified, 0)

    def take_changed(self) -> Iterable[tuple[EntryKey, list[int]]]:
        """The entries that changed since the last call."""
        changed, self._changed = self._changed, set()
        return [(key, self.entries[key]) for key in changed]

    def _add(self, key: EntryKey, value: int, verified: int, reports: int) -> None:
        entry = self.entries.get(key)
        if entry is None:
            self.entries[key] = [value, verified, reports]
        else:
            entry[0] += value
            entry[1] += verified
            entry[2] += reports
        self._changed.add(key)

    def _stock_targets(self, unit: str, day: int) -> list[Target]:
        targets = self._targets.get((unit, day))
        if targets is None:
            targets = self._targets[unit, day] = list(stock_targets(self._registry, unit, day))
        return targets


def stock_targets(registry: Registry, unit: str, day: int) -> Iterable[Target]:
    """Where and when a change of a unit's stock on a day shows, for the unit itself and every ancestor from that day on."""
    for span in registry.spans(unit):
        if span.last >= day:
            yield Target(span.level, span.ancestor, max(day, span.first), 1)
            if span.last < LAST_DAY:
                yield Target(span.level, span.ancestor, span.last + 1, -1)
