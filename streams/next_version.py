"""What the next version of an entity changes, for many entities at once.

`streams.contribution` has the rules, for any number of versions; these are the same for two, as sums over arrays. Most corrections, repeats and checks are an entity's second delivery, and the others mostly follow in their order.
"""

import numpy as np

from schemas.loops import Numbers
from streams.accepted import REFUSED, REPORT, VERIFIED, VersionColumns, Vocabulary
from streams.rollup import cells


def change(old: VersionColumns, new: VersionColumns, vocabulary: Vocabulary) -> tuple[Numbers, Numbers]:
    """What must be added to the figures when each entity's second version arrives, or a later one that `follows` and is `alike`, or has no stocks.

    Args:
        old: the versions that were there, one an entity.
        new: those that come, in the same order, each with another number than the old one.
        vocabulary: says which metrics are stocks.

    Returns:
        Cells of units, as `streams.rollup.cells` has them, and of each the value, the verified value and the number of reports, shape (cells, 3). A cell may come more than once.
    """
    higher = new.version > old.version
    counted, counted_verified = _counts(old), _counts(old) & (old.verification == VERIFIED)
    counts = np.where(higher, _counts(new), _counts(old))
    verified = counts & (np.where(higher, new.verification, old.verification) == VERIFIED)
    # at its own cell: what the old one gave goes; a flow counts with the highest version alone, a stock with each observation
    leaves = np.stack([counted, counted_verified, np.zeros_like(counted)], axis=1).astype(np.int64)
    stays = np.stack([counts, verified, np.zeros_like(counts)], axis=1).astype(np.int64)
    old_stocks, new_stocks = vocabulary.are_stocks(old.metrics), vocabulary.are_stocks(new.metrics)
    of_old = _own(old, stays * ~higher[:, None] - leaves, stays - leaves, old_stocks)
    of_new = _own(new, stays * higher[:, None], stays, new_stocks)
    of_new[1][:, 2] = 1
    # the earlier observation of a stock holds until the day of the later one
    old_first = (old.occurred_at < new.occurred_at) | ((old.occurred_at == new.occurred_at) & higher)
    both = (old.op == REPORT) & (new.op == REPORT)
    ends = [
        _ended(old, new.day, -stays * (both & old_first)[:, None], old_stocks),
        _ended(new, old.day, -stays * (both & ~old_first)[:, None], new_stocks),
    ]
    parts = [of_old, of_new, *ends]
    return np.concatenate([keys for keys, _ in parts]), np.concatenate([amounts for _, amounts in parts])


def follows(last: VersionColumns, new: VersionColumns, has_stocks: Numbers) -> Numbers:
    """For each whether the new version comes in the order of its entity, after the last one.

    It has a higher number. Where the entity has or had stocks (`has_stocks`), it also occurred no earlier, and both count: then the observations before the last one stay as they were.
    """
    observed_next = _counts(last) & _counts(new) & (new.occurred_at >= last.occurred_at)
    return (new.version > last.version) & (~has_stocks | observed_next)


def alike(last: VersionColumns, new: VersionColumns) -> Numbers:
    """For each whether both versions are verified, or both not: if not, every observation of a stock changes with it."""
    return (last.verification == VERIFIED) == (new.verification == VERIFIED)  # type: ignore[no-any-return]


def have_stocks(columns: VersionColumns, vocabulary: Vocabulary) -> Numbers:
    """For each version whether it reports a stock."""
    rows = np.repeat(np.arange(len(columns)), columns.lengths)
    return np.bincount(rows[vocabulary.are_stocks(columns.metrics)], minlength=len(columns)) > 0


def _counts(columns: VersionColumns) -> Numbers:
    counts: Numbers = (columns.op == REPORT) & (columns.verification != REFUSED)
    return counts


def _own(columns: VersionColumns, flow: Numbers, stock: Numbers, are_stocks: Numbers) -> tuple[Numbers, Numbers]:
    """Each version's amounts at its unit and day, so many times for a flow and for a stock."""
    rows = np.repeat(np.arange(len(columns)), columns.lengths)
    times = np.where(are_stocks[:, None], stock[rows], flow[rows])
    return cells(columns.unit[rows], columns.metrics, columns.day[rows]), times * columns.amounts[:, None]


def _ended(columns: VersionColumns, days: Numbers, times: Numbers, are_stocks: Numbers) -> tuple[Numbers, Numbers]:
    """Each version's stocks at its unit on the day on which they end, so many times."""
    rows = np.repeat(np.arange(len(columns)), columns.lengths)
    wanted = np.flatnonzero(are_stocks & (times[rows, 0] != 0))
    rows = rows[wanted]
    return cells(columns.unit[rows], columns.metrics[wanted], days[rows]), times[rows] * columns.amounts[wanted, None]
