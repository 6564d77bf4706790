"""The fold: contributions of units become entries of every ancestor, for one chunk.

A *flow* belongs to the ancestors of its day. A *stock* follows its unit: a change on day d enters each ancestor on the later of d and the day that ancestor begins to
stand above the unit, and leaves it on the day after it ended to. The map is linear, so entries of any origin can be added up.

All of it is sums over arrays of 64-bit integers. A cell of a unit, a metric and a day is one number.
"""

from collections.abc import Sequence

import numpy as np

from columnar.arrays import Array
from columnar.columns import Block, Days, DictionaryTexts, Enums, Integers, NameDictionary
from columnar.kernels.hashing import sum_by_key
from pravah.units import LEVELS, Level
from rollup.hierarchy import NO_LINE
from rollup.version_columns import Encodings

EntryKey = tuple[Level, str, str, int]
"""Level, metric, unit, day."""

_UNIT_SHIFT, _METRIC_SHIFT, _DAY_MASK = 32, 16, 0xFFFF
_METRIC_MASK = (1 << (_UNIT_SHIFT - _METRIC_SHIFT)) - 1
_NO_CELLS = np.empty(0, np.int64)
_NO_SUMS = np.empty((0, 3), np.int64)


def _cells(units: Array, metrics: Array, days: Array) -> Array:
    """Unit, metric and day as one number each; they sort by unit first."""
    return (
        units.astype(np.int64) << _UNIT_SHIFT
        | metrics.astype(np.int64) << _METRIC_SHIFT
        | days.astype(np.int64)
    )


class Rollup:
    """The entries of one chunk: absolute sums of value, verified value and number of reports, by level, metric, unit and day."""

    def __init__(self, encodings: Encodings) -> None:
        """Start at nothing."""
        self._hierarchy = encodings.hierarchy
        self._metrics = encodings.metrics
        self._encodings = encodings
        self._keys, self._sums = _NO_CELLS, _NO_SUMS
        """The entries, in the order of their keys."""
        self._changed = _NO_CELLS
        self._waiting: list[Array] = []
        """What units reported since the last climb."""

    def add(self, changes: Array) -> None:
        """Add what changed at units themselves: `rollup.entity_cache.Counted.changes`. The rows of what was reported exist from now on, also where the figure is 0."""
        self._waiting.append(changes)

    def entries(self) -> dict[EntryKey, list[int]]:
        """All entries of the chunk so far."""
        self._climb()
        units, metrics, days = self._parts(self._keys)
        return {
            (LEVELS[level], self._metrics.names[metric], self._hierarchy.codes[unit], day): sums
            for level, metric, unit, day, sums in zip(
                self._hierarchy.levels[units].tolist(),
                metrics.tolist(),
                units.tolist(),
                days.tolist(),
                self._sums.tolist(),
                strict=True,
            )
        }

    def take_changed(self) -> tuple[Array, Array]:
        """The entries that changed since the last call: cells, and sums of shape (cells, 3)."""
        self._climb()
        changed, self._changed = self._changed, _NO_CELLS
        return changed, self._sums[np.searchsorted(self._keys, changed)]

    def journal(self, keys: Array, sums: Array, partition: int, chunk: int, version: int) -> Block:
        """Entries as rows of the journal."""
        units, metrics, days = self._parts(keys)
        return _block(
            Enums(self._hierarchy.levels[units], LEVELS),
            DictionaryTexts(metrics, self._metrics.names),
            DictionaryTexts(units, self._hierarchy.codes),
            Days(days),
            sums,
            (partition, chunk, np.full(len(keys), version, np.uint64)),
        )

    @staticmethod
    def _parts(keys: Array) -> tuple[Array, Array, Array]:
        return keys >> _UNIT_SHIFT, keys >> _METRIC_SHIFT & _METRIC_MASK, keys & _DAY_MASK

    def _take_waiting(self) -> tuple[Array, Array]:
        if not self._waiting:
            return _NO_CELLS, _NO_SUMS
        changes, self._waiting = np.concatenate(self._waiting), []
        return sum_by_key(_cells(changes[:, 0], changes[:, 1], changes[:, 2]), changes[:, 3:])

    def _climb(self) -> None:
        """Carry what units reported up to the nation, level by level: what has the same ancestors above it is added up first and carried once."""
        keys, amounts = self._take_waiting()
        if not len(keys):
            return
        hierarchy = self._hierarchy
        units, metrics, days = self._parts(keys)
        lines = hierarchy.lines(units, days)
        added = []
        moving = np.flatnonzero(
            self._encodings.are_stocks(metrics) & ~hierarchy.are_settled(units, days)
        )
        if len(moving):
            place, target_units, target_days, signs = hierarchy.stock_targets(
                units[moving], days[moving]
            )
            place = moving[place]
            shifted = amounts[place] * signs[:, None]
            shifted[:, 2] = 0
            added.append((_cells(target_units, metrics[place], target_days), shifted))
            amounts = amounts.copy()
            amounts[moving, :2] = 0  # reports stay with the ancestors of their day
            kept = np.ones(len(keys), bool)
            kept[moving] = amounts[moving, 2] != 0
            keys, amounts, metrics, days, lines = (
                keys[kept],
                amounts[kept],
                metrics[kept],
                days[kept],
                lines[kept],
            )
        added.append((keys, amounts))
        while True:
            below = lines != NO_LINE
            if not below.any():
                break
            rising, amounts = sum_by_key(
                _cells(lines[below], metrics[below], days[below]), amounts[below]
            )
            lines, metrics, days = self._parts(rising)
            added.append((_cells(hierarchy.heads[lines], metrics, days), amounts))
            lines = hierarchy.rests[lines]
        self._merge(
            *sum_by_key(
                np.concatenate([keys for keys, _ in added]),
                np.concatenate([amounts for _, amounts in added]),
            )
        )

    def _merge(self, keys: Array, amounts: Array) -> None:
        order = np.argsort(keys)
        keys, amounts = keys[order], amounts[order]
        places = np.searchsorted(self._keys, keys)
        known = np.zeros(len(keys), bool)
        inside = places < len(self._keys)
        known[inside] = self._keys[places[inside]] == keys[inside]
        self._sums[places[known]] += amounts[known]
        self._keys = np.insert(self._keys, places[~known], keys[~known])
        self._sums = np.insert(self._sums, places[~known], amounts[~known], axis=0)
        self._changed = np.union1d(self._changed, keys) if len(self._changed) else keys


def journal_block(
    entries: Sequence[tuple[EntryKey, Sequence[int], int]], partition: int, chunk: int
) -> Block:
    """Entries told one by one, as rows of the journal: key, sums, version. Their units and metrics may be unknown here: another registry or dictionary may have brought them in."""
    metrics, units = NameDictionary(), NameDictionary()
    numbers = [
        (LEVELS.index(level), metrics.intern(metric), units.intern(unit), day)
        for (level, metric, unit, day), _, _ in entries
    ]
    level, metric, unit, day = np.array(numbers, np.int64).reshape(-1, 4).T
    sums = np.array([list(amounts) for _, amounts, _ in entries], np.int64).reshape(-1, 3)
    versions = np.array([version for _, _, version in entries], np.uint64)
    return _block(
        Enums(level, LEVELS),
        DictionaryTexts(metric, metrics.names),
        DictionaryTexts(unit, units.names),
        Days(day),
        sums,
        (partition, chunk, versions),
    )


def _block(
    level: Enums,
    metric: DictionaryTexts,
    unit: DictionaryTexts,
    day: Days,
    sums: Array,
    origin: tuple[int, int, Array],
) -> Block:
    """Rows of the journal (`rollup.storage.JOURNAL`)."""
    partition, chunk, versions = origin
    return Block(
        {
            "level": level,
            "metric": metric,
            "unit": unit,
            "day": day,
            "partition": Integers(np.full(len(versions), partition, np.int32)),
            "chunk": Integers(np.full(len(versions), chunk, np.uint64)),
            "value": Integers(sums[:, 0]),
            "verified_value": Integers(sums[:, 1]),
            "reports": Integers(sums[:, 2]),
            "version": Integers(versions),
        }
    )
