"""The fold: contributions of units become entries of every ancestor, for one chunk.

A *flow* belongs to the ancestors of its day. A *stock* follows its unit: a change on day d enters
each ancestor on d, or on the first day on which that ancestor is above the unit if that is later;
it leaves the ancestor on the day after the last such day. The map is linear, so entries of any
chunks can be added up.

All of it is sums over arrays of 64-bit integers. A cell, which is a unit, a metric and a day, is
one number.
"""

from collections.abc import Sequence

import numpy as np

from columnar.arrays import Array
from columnar.columns import Block, Days, DictionaryTexts, Enums, Integers, NameDictionary
from columnar.kernels.hashing import sum_by_key
from pravah.units import LEVELS, Level
from rollup.hierarchy import NO_LINE
from rollup.version_columns import Encodings

# Level, metric, unit, day.
EntryKey = tuple[Level, str, str, int]

_UNIT_SHIFT, _METRIC_SHIFT, _DAY_MASK = 32, 16, 0xFFFF
_METRIC_MASK = (1 << (_UNIT_SHIFT - _METRIC_SHIFT)) - 1
_NO_CELLS = np.empty(0, np.int64)
_NO_SUMS = np.empty((0, 3), np.int64)


def _cells(units: Array, metrics: Array, days: Array) -> Array:
    """Encode unit, metric and day in one number each; the numbers sort by unit first."""
    return (
        units.astype(np.int64) << _UNIT_SHIFT
        | metrics.astype(np.int64) << _METRIC_SHIFT
        | days.astype(np.int64)
    )


class Rollup:
    """The entries of one chunk by level, metric, unit and day.

    An entry has absolute sums: value, verified value, number of reports.
    """

    def __init__(self, encodings: Encodings) -> None:
        self._hierarchy = encodings.hierarchy
        self._metrics = encodings.metrics
        self._encodings = encodings
        # The entries, in the order of their keys.
        self._keys, self._sums = _NO_CELLS, _NO_SUMS
        self._changed = _NO_CELLS
        # Changes at units themselves that are not added to their ancestors yet.
        self._pending: list[Array] = []

    def add(self, changes: Array) -> None:
        """Add changes at units themselves (`rollup.entity_cache.FoldResult.changes`).

        Cells that were reported have an entry from now on, even if their figure is 0.
        """
        self._pending.append(changes)

    def entries(self) -> dict[EntryKey, list[int]]:
        """Return all entries of the chunk so far."""
        self._add_to_ancestors()
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
        """Return the entries that changed since the last call: cells, and sums (cells, 3)."""
        self._add_to_ancestors()
        changed, self._changed = self._changed, _NO_CELLS
        return changed, self._sums[np.searchsorted(self._keys, changed)]

    def journal(self, keys: Array, sums: Array, partition: int, chunk: int, version: int) -> Block:
        """Return entries as rows of the journal."""
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

    def _take_pending(self) -> tuple[Array, Array]:
        if not self._pending:
            return _NO_CELLS, _NO_SUMS
        changes, self._pending = np.concatenate(self._pending), []
        return sum_by_key(_cells(changes[:, 0], changes[:, 1], changes[:, 2]), changes[:, 3:])

    def _add_to_ancestors(self) -> None:
        """Add pending changes to all ancestors, level by level.

        Cells with the same ancestors are summed first, so that each sum is carried up once.
        """
        keys, amounts = self._take_pending()
        if not len(keys):
            return
        hierarchy = self._hierarchy
        units, metrics, days = self._parts(keys)
        lines = hierarchy.lines(units, days)
        parts = []
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
            parts.append((_cells(target_units, metrics[place], target_days), shifted))
            amounts = amounts.copy()
            amounts[moving, :2] = 0  # reports stay with the ancestors of their day
            remaining = np.ones(len(keys), bool)
            remaining[moving] = amounts[moving, 2] != 0
            keys, amounts, metrics, days, lines = (
                keys[remaining],
                amounts[remaining],
                metrics[remaining],
                days[remaining],
                lines[remaining],
            )
        parts.append((keys, amounts))
        while True:
            below = lines != NO_LINE
            if not below.any():
                break
            rising, amounts = sum_by_key(
                _cells(lines[below], metrics[below], days[below]), amounts[below]
            )
            lines, metrics, days = self._parts(rising)
            parts.append((_cells(hierarchy.heads[lines], metrics, days), amounts))
            lines = hierarchy.rests[lines]
        self._merge(
            *sum_by_key(
                np.concatenate([keys for keys, _ in parts]),
                np.concatenate([amounts for _, amounts in parts]),
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
    """Return entries as rows of the journal.

    Args:
        entries: key, sums, version. Their units and metrics may be unknown to this worker: another
            registry or dictionary may have had them.
        partition: of the chunk.
        chunk: its first offset.
    """
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
    """Return rows of the journal (`rollup.storage.JOURNAL`)."""
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
