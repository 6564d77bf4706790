"""The fold: contributions of units become entries of every ancestor, for one chunk.

A *flow* belongs to the ancestors of its day. A *stock* follows its unit: a change on day d enters each ancestor on the later of d and the day that ancestor begins to
stand above the unit, and leaves it on the day after it ended to. The map is linear, so entries of any origin can be added up.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, TypeVar

from schemas.days import LAST_DAY
from schemas.registry import Line, Registry
from schemas.units import Level
from streams.contribution import Cell, Contribution, Version

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
        self._registry = registry
        self._stocks = stocks
        self._entries: dict[EntryKey, list[int]] = {}
        self._changed: dict[EntryKey, list[int]] = {}
        self._own: dict[Cell, list[int]] = {}
        """What units reported themselves since the last climb."""

    def fold(self, change: Contribution, reported: Iterable[Cell]) -> None:
        """Add a change of contributions, and note what was reported: its rows exist from now on, also where the figure is 0."""
        own = self._own
        for cell, (value, verified) in change.items():
            amounts = own.get(cell)
            if amounts is None:
                own[cell] = [value, verified, 0]
            else:
                amounts[0] += value
                amounts[1] += verified
        for cell in reported:
            amounts = own.get(cell)
            if amounts is None:
                own[cell] = [0, 0, 1]
            else:
                amounts[2] += 1

    def fold_first(self, version: Version) -> None:
        """The same for the first version of an entity, which nearly all are: what it reports is what it contributes."""
        own, unit, day = self._own, version.unit, version.day
        counts = version.op == "report" and version.verification != "rejected"
        verified = counts and version.verification == "verified"
        for metric, amount in version.amounts.items():
            amounts = own.get((metric, unit, day))
            if amounts is None:
                own[metric, unit, day] = [amount if counts else 0, amount if verified else 0, 1]
            else:
                amounts[0] += amount if counts else 0
                amounts[1] += amount if verified else 0
                amounts[2] += 1

    @property
    def entries(self) -> dict[EntryKey, list[int]]:
        """All entries of the chunk so far."""
        self._climb()
        return self._entries

    def take_changed(self) -> dict[EntryKey, list[int]]:
        """The entries that changed since the last call."""
        self._climb()
        changed, self._changed = self._changed, {}
        return changed

    def _climb(self) -> None:
        """Carry what units reported up to the nation, level by level: what has the same ancestors above it is added up first and carried once."""
        own, self._own = self._own, {}
        rising: dict[tuple[Line, str, int], list[int]] = {}
        for (metric, unit, day), amounts in own.items():
            carried = amounts
            if metric in self._stocks and not self._registry.is_settled(unit, day):
                for target in stock_targets(self._registry, unit, day):
                    self._add((target.level, metric, target.unit, target.day), [target.sign * amounts[0], target.sign * amounts[1], 0])
                carried = [0, 0, amounts[2]]  # reports stay with the ancestors of their day
                if not amounts[2]:
                    continue
            self._add((self._registry.units[unit].level, metric, unit, day), carried)
            line = self._registry.above(unit, day)
            if line is not None:
                _sum(rising, (line, metric, day), carried)
        while rising:
            higher: dict[tuple[Line, str, int], list[int]] = {}
            for (line, metric, day), amounts in rising.items():
                self._add((line.level, metric, line.head, day), amounts)
                if line.rest is not None:
                    _sum(higher, (line.rest, metric, day), amounts)
            rising = higher

    def _add(self, key: EntryKey, amounts: Sequence[int]) -> None:
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = list(amounts)
        else:
            entry[0] += amounts[0]
            entry[1] += amounts[1]
            entry[2] += amounts[2]
        self._changed[key] = entry


K = TypeVar("K")


def _sum(sums: dict[K, list[int]], key: K, amounts: Sequence[int]) -> None:
    known = sums.get(key)
    if known is None:
        sums[key] = list(amounts)
    else:
        known[0] += amounts[0]
        known[1] += amounts[1]
        known[2] += amounts[2]


def stock_targets(registry: Registry, unit: str, day: int) -> Iterable[Target]:
    """Where and when a change of a unit's stock on a day shows, for the unit itself and every ancestor from that day on."""
    for span in registry.spans(unit):
        if span.last >= day:
            yield Target(span.level, span.ancestor, max(day, span.first), 1)
            if span.last < LAST_DAY:
                yield Target(span.level, span.ancestor, span.last + 1, -1)
