"""The registry as arrays, for folding many events at once: units and routing keys as numbers.

A *line* is the list of a unit's ancestors on a day (`schemas.registry.Line`). Equal lines have one
number, so that units below the same ancestors are summed together.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from threading import Lock
from typing import NamedTuple

import numpy as np

from columnar.arrays import Array
from pravah.days import LAST_DAY
from pravah.units import RANK, Level, routing_key
from schemas.registry import Line, Registry

NO_LINE = -1
_UNKNOWN, _MOVES = -2, -3
_CACHE_SIZE = 200_000


class Target(NamedTuple):
    """Effect of a stock's change: at a unit, on a day, added (sign 1) or subtracted (-1)."""

    level: Level
    unit: str
    day: int
    sign: int


def stock_targets(registry: Registry, unit: str, day: int) -> Iterable[Target]:
    """Yield the effects of a stock's change on the unit and on its ancestors from that day on."""
    for span in registry.spans(unit):
        if span.last >= day:
            yield Target(span.level, span.ancestor, max(day, span.first), 1)
            if span.last < LAST_DAY:
                yield Target(span.level, span.ancestor, span.last + 1, -1)


class Hierarchy:
    """One registry as arrays. Lines are computed when first needed. Thread-safe."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.codes = list(registry.units)
        """Unit number → code."""
        self.numbers = {code: number for number, code in enumerate(self.codes)}
        units = registry.units.values()
        self.first = np.fromiter((unit.first for unit in units), np.int32, len(self.codes))
        self.last = np.fromiter((unit.last for unit in units), np.int32, len(self.codes))
        self.levels = np.fromiter((RANK[unit.level] for unit in units), np.int8, len(self.codes))
        """Each unit's level, as an index of `pravah.units.LEVELS`."""
        keys: dict[str, int] = {}
        self.keys = np.fromiter(
            (keys.setdefault(routing_key(code), len(keys)) for code in self.codes),
            np.int32,
            len(self.codes),
        )
        """Each unit's routing key, as an index of `key_names`."""
        self.key_names = list(keys)
        self._lines: dict[int, int] = {}
        self._numbered: list[Line] = []
        self.heads = np.empty(0, np.int32)
        """The nearest ancestor in each line."""
        self.rests = np.empty(0, np.int32)
        """The line above that ancestor; `NO_LINE` at the top."""
        self._line = np.full(len(self.codes), _UNKNOWN, np.int32)
        self._settled_from = np.zeros(len(self.codes), np.int32)
        self._lock = Lock()
        self._moving_line = lru_cache(maxsize=_CACHE_SIZE)(self._moving_line_on)
        self._targets = lru_cache(maxsize=_CACHE_SIZE)(self._targets_on)

    def lines(self, units: Array, days: Array) -> Array:
        """Return the line of each unit on a day on which it is open."""
        found = self._line[units]
        if (found == _UNKNOWN).any():
            with self._lock:
                for unit in np.unique(units[found == _UNKNOWN]).tolist():
                    self._load(unit)
            found = self._line[units]
        moving = np.flatnonzero(found == _MOVES)
        if len(moving):
            found[moving] = [
                self._moving_line(*case)
                for case in zip(units[moving].tolist(), days[moving].tolist(), strict=True)
            ]
        return found

    def are_settled(self, units: Array, days: Array) -> Array:
        """Whether each unit stays open with the same ancestors after a day on which it is open.

        `lines` must have been called for the units before.
        """
        return self._settled_from[units] <= days

    def are_at_or_below(self, units: Array, ancestors: Array, days: Array) -> Array:
        """Whether each unit is open on a day and at or below an ancestor; False for units < 0."""
        found: Array = (units >= 0) & (self.first[units] <= days) & (days <= self.last[units])
        rows = np.flatnonzero(found & (units != ancestors))
        found[rows] = False
        lines, sought = self.lines(units[rows], days[rows]), ancestors[rows]
        while len(rows):
            going = lines != NO_LINE
            rows, lines, sought = rows[going], lines[going], sought[going]
            is_match = self.heads[lines] == sought
            found[rows[is_match]] = True
            rows, lines = rows[~is_match], self.rests[lines[~is_match]]
            sought = sought[~is_match]
        return found

    def stock_targets(self, units: Array, days: Array) -> tuple[Array, Array, Array, Array]:
        """Return the effects of stocks' changes (the function `stock_targets`).

        Returns:
            For each effect the row of its change, the unit, the day, and the sign.
        """
        found = [self._targets(*case) for case in zip(units.tolist(), days.tolist(), strict=True)]
        counts = np.fromiter((len(one[0]) for one in found), np.int64, len(found))
        flat = (
            np.fromiter(chain.from_iterable(one[part] for one in found), np.int64, counts.sum())
            for part in range(3)
        )
        return (np.repeat(np.arange(len(found)), counts), *flat)  # type: ignore[return-value]

    def _targets_on(self, unit: int, day: int) -> tuple[list[int], list[int], list[int]]:
        targets = list(stock_targets(self.registry, self.codes[unit], day))
        return (
            [self.numbers[one.unit] for one in targets],
            [one.day for one in targets],
            [one.sign for one in targets],
        )

    def _load(self, unit: int) -> None:
        stretches = self.registry.stretches(self.codes[unit])
        last = stretches[-1]
        self._settled_from[unit] = last.first if last.last == LAST_DAY else LAST_DAY + 1
        # Assigned last: from now on other threads read the unit without the lock.
        self._line[unit] = self._number(stretches[0].line) if len(stretches) == 1 else _MOVES

    def _moving_line_on(self, unit: int, day: int) -> int:
        with self._lock:
            return self._number(self.registry.line_above(self.codes[unit], day))

    def _number(self, line: Line | None) -> int:
        """Return a line's number; the registry returns equal lines as one object."""
        if line is None:
            return NO_LINE
        number = self._lines.get(id(line))
        if number is None:
            rest = self._number(line.rest)
            number = self._lines[id(line)] = len(self._numbered)
            self._numbered.append(line)
            self.heads = np.append(self.heads, np.int32(self.numbers[line.head]))
            self.rests = np.append(self.rests, np.int32(rest))
        return number
