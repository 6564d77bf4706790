"""Contributions of entities to the figures of their units, from all their versions: kernels.

The rules are the contract's (`docs/events.md`):

- An entity whose highest version is a retraction or `rejected` contributes nothing; it is verified
  if its highest version is.
- Only versions above the highest retraction count.
- A flow counts with the highest version alone, on the day on which that one occurred.
- A stock's observations are those versions, in the order of (`occurred_at`, `version`); each holds
  from its day until the next. A contribution is a change.

An entity belongs to one routing key, so all its versions pass one partition.
`tests/property/test_contribution.py` states the rules again, for one entity, in plain Python.

The kernels call none of another file: numba would not see that it changed. Callers own all buffers.
A kernel writes only into the `VersionArena`, which must have space for all new versions, and into
arrays that it allocates and returns. Indices are not checked.
"""

from typing import Any, NamedTuple

import numpy as np

from columnar.arrays import Array
from columnar.kernels.jit import compiled, inlined

# A version of an entity: its columns; `begin` and `length` of its amounts; `previous`, the index of
# the version of the same entity that was added before it, or `NONE`.
VERSION_DTYPE = np.dtype(
    [
        *(("version", np.int64), ("occurred_at", np.int64)),
        *(("begin", np.int64), ("previous", np.int64)),
        *(("length", np.int32), ("unit", np.int32), ("day", np.int32)),
        *(("op", np.int8), ("verification", np.int8)),
    ],
    align=True,
)
AMOUNT_DTYPE = np.dtype([("amount", np.int64), ("metric", np.int32)], align=True)
NONE = -1
FLOWS, STOCKS = False, True


class NewVersions(NamedTuple):
    """Versions in the order of the log, as `rollup.version_columns.VersionColumns` has them.

    All arrays but the last two have shape (versions,). Read only.
    """

    version: Array
    """int64."""
    op: Array
    """int8, see `OpCodes`."""
    verification: Array
    """int8, see `OpCodes`."""
    unit: Array
    """int32."""
    occurred_at: Array
    """int64, microseconds since 1970-01-01T00:00Z."""
    day: Array
    """int32, days since 1970-01-01, in Asia/Kolkata."""
    begins: Array
    """int64, index of each version's first amount."""
    lengths: Array
    """int64, number of each version's amounts."""
    metrics: Array
    """int32, shape (amounts,)."""
    amounts: Array
    """int64, shape (amounts,)."""


class OpCodes(NamedTuple):
    """The numbers that the kernels must tell apart."""

    report: int
    """In `op`; all other values are retractions."""
    refused: int
    """In `verification`."""
    verified: int
    """In `verification`."""
    is_stock: Array
    """bool, shape (metrics + 1,): by metric; the last value is that of all others."""


class VersionArena(NamedTuple):
    """Growing storage of versions; owned by `rollup.entity_cache.EntityVersions`."""

    last: Array
    """int64, shape (entities,): index of each entity's last version, or `NONE`. Changed."""
    versions: Array
    """`VERSION_DTYPE`; filled below `next_version`, with space for all new versions."""
    next_version: int
    amounts: Array
    """`AMOUNT_DTYPE`; filled below `next_amount`, with space for all new amounts."""
    next_amount: int


@inlined
def _append_version(
    new: NewVersions, row: int, entity: int, arena: VersionArena, index: int, amount: int
) -> int:
    """Store a version at `index`, its amounts from `amount` on; return the next free amount."""
    one = arena.versions[index]
    one.version, one.op, one.verification = new.version[row], new.op[row], new.verification[row]
    one.unit, one.occurred_at, one.day = new.unit[row], new.occurred_at[row], new.day[row]
    one.begin, one.length, one.previous = amount, new.lengths[row], arena.last[entity]
    for step in range(new.begins[row], new.begins[row] + new.lengths[row]):
        arena.amounts[amount].metric = new.metrics[step]
        arena.amounts[amount].amount = new.amounts[step]
        amount += 1
    arena.last[entity] = index
    return amount


@inlined
def _append_change(
    changes: Array,
    count: int,
    unit: int,
    metric: int,
    day: int,
    value: int,
    verified: int,
    reports: int,
) -> tuple[Array, int]:
    """Append a row to `changes`, which is copied to twice the size when it is full."""
    if count == len(changes):
        larger = np.empty((2 * count, 6), np.int64)
        larger[:count] = changes
        changes = larger
    one = changes[count]
    one[0], one[1], one[2], one[3], one[4], one[5] = unit, metric, day, value, verified, reports
    return changes, count + 1


@compiled
def _append_amounts(
    changes: Array,
    count: int,
    arena: VersionArena,
    codes: OpCodes,
    index: int,
    kind: bool,
    day: int,
    times: int,
    verified: bool,
) -> tuple[Array, int]:
    """Append a version's flows or stocks (`kind`) at its unit on a day, multiplied by `times`."""
    one = arena.versions[index]
    for step in range(one.begin, one.begin + one.length):
        metric, amount = arena.amounts[step].metric, arena.amounts[step].amount * times
        if codes.is_stock[min(metric, len(codes.is_stock) - 1)] == kind:
            changes, count = _append_change(
                changes, count, one.unit, metric, day, amount, amount if verified else 0, 0
            )
    return changes, count


@inlined
def _holds_before(one: Any, other: Any) -> Any:
    return one.occurred_at < other.occurred_at or (
        one.occurred_at == other.occurred_at and one.version < other.version
    )


@compiled
def _append_contribution(
    changes: Array,
    count: int,
    arena: VersionArena,
    codes: OpCodes,
    last: int,
    highest: int,
    retracted: int,
    times: int,
    verified: bool,
) -> tuple[Array, int]:
    """Append all that an entity contributes, multiplied by `times`.

    `last` and `highest` are indices of its versions; `retracted` is the number of its highest
    retraction, 0 without one.
    """
    day = arena.versions[highest].day
    changes, count = _append_amounts(
        changes, count, arena, codes, highest, FLOWS, day, times, verified
    )
    length, index = 0, last
    while index != NONE:
        length += arena.versions[index].version > retracted
        index = arena.versions[index].previous
    # Sort the observations by insertion: there are few, and mostly they come in order.
    observed = np.empty(length, np.int64)
    length, index = 0, last
    while index != NONE:
        if arena.versions[index].version > retracted:
            nth = length
            while nth > 0 and _holds_before(
                arena.versions[index], arena.versions[observed[nth - 1]]
            ):
                observed[nth] = observed[nth - 1]
                nth -= 1
            observed[nth] = index
            length += 1
        index = arena.versions[index].previous
    for nth in range(length):
        index, day = observed[nth], arena.versions[observed[nth]].day
        changes, count = _append_amounts(
            changes, count, arena, codes, index, STOCKS, day, times, verified
        )
        if nth + 1 < length:
            day = arena.versions[observed[nth + 1]].day
            changes, count = _append_amounts(
                changes, count, arena, codes, index, STOCKS, day, -times, verified
            )
    return changes, count


@compiled
def _append_observation(
    changes: Array,
    count: int,
    arena: VersionArena,
    codes: OpCodes,
    index: int,
    retracted: int,
    verified: bool,
) -> tuple[Array, int]:
    """Append what one more observation changes, if all else of its entity stays as it is.

    It holds until the next observation, and the one before holds until it.
    """
    one = arena.versions[index]
    before, after, other = NONE, NONE, one.previous
    while other != NONE:
        if arena.versions[other].version > retracted:
            if _holds_before(arena.versions[other], one):
                if before == NONE or _holds_before(arena.versions[before], arena.versions[other]):
                    before = other
            elif after == NONE or _holds_before(arena.versions[other], arena.versions[after]):
                after = other
        other = arena.versions[other].previous
    changes, count = _append_amounts(
        changes, count, arena, codes, index, STOCKS, one.day, 1, verified
    )
    if before != NONE:
        changes, count = _append_amounts(
            changes, count, arena, codes, before, STOCKS, one.day, -1, verified
        )
    if after != NONE:
        day = arena.versions[after].day
        changes, count = _append_amounts(
            changes, count, arena, codes, index, STOCKS, day, -1, verified
        )
        if before != NONE:
            changes, count = _append_amounts(
                changes, count, arena, codes, before, STOCKS, day, 1, verified
            )
    return changes, count


@inlined
def _append_revision(
    changes: Array,
    count: int,
    arena: VersionArena,
    codes: OpCodes,
    index: int,
    before: int,
    highest: int,
    retracted: int,
) -> tuple[Array, int]:
    """Append what the version at `index` changes, which is not the first one of its entity.

    Of the entity's earlier versions, `before` is the index of the last one, `highest` that of the
    highest one, and `retracted` the number of the highest retraction, 0 without one.
    """
    one, was = arena.versions[index], arena.versions[highest]
    is_report, is_highest = one.op == codes.report, one.version > was.version
    counted_before = was.op == codes.report and was.verification != codes.refused
    verified_before = counted_before and was.verification == codes.verified
    counts, verified = counted_before, verified_before
    if is_highest:
        counts = is_report and one.verification != codes.refused
        verified = counts and one.verification == codes.verified
    still_retracted = retracted if is_report or one.version < retracted else one.version
    if counts != counted_before or verified != verified_before or still_retracted != retracted:
        if counted_before:
            changes, count = _append_contribution(
                changes, count, arena, codes, before, highest, retracted, -1, verified_before
            )
        if counts:
            new_highest = index if is_highest else highest
            changes, count = _append_contribution(
                changes, count, arena, codes, index, new_highest, still_retracted, 1, verified
            )
    elif counts:
        if is_highest:
            changes, count = _append_amounts(
                changes, count, arena, codes, highest, FLOWS, was.day, -1, verified
            )
            changes, count = _append_amounts(
                changes, count, arena, codes, index, FLOWS, one.day, 1, verified
            )
        if one.version > retracted:
            changes, count = _append_observation(
                changes, count, arena, codes, index, retracted, verified
            )
    return changes, count


@compiled
def fold_versions(
    new: NewVersions, entities: Array, codes: OpCodes, arena: VersionArena
) -> tuple[Array, Array, int, int]:
    """Append versions to the arena, and return what they change in the figures.

    Of two versions of an entity with the same number the first one counts.

    Args:
        new: the versions, in the order of the log.
        entities: int32, shape (versions,): the number of each version's entity in `arena.last`.
        codes: the numbers that matter.
        arena: all earlier versions of these entities; the new ones are appended.

    Returns:
        A mask of the versions that are no repeats, bool, shape (versions,); the changes, int64,
        shape (changes, 6): unit, metric, day, value, verified value, number of reports, where a
        cell may occur more than once; the arena's new `next_version` and `next_amount`. Both
        arrays are new and belong to the caller.
    """
    last, versions = arena.last, arena.versions
    index, item = arena.next_version, arena.next_amount
    counted = np.zeros(len(entities), np.bool_)
    changes, at = np.empty((2 * len(new.metrics) + 8, 6), np.int64), 0
    for row in range(len(entities)):
        entity, version = entities[row], new.version[row]
        before = last[entity]
        if before == NONE:  # most are the first version of their entity: its whole contribution
            counted[row] = True
            counts = new.op[row] == codes.report and new.verification[row] != codes.refused
            verified = counts and new.verification[row] == codes.verified
            for step in range(new.begins[row], new.begins[row] + new.lengths[row]):
                amount, metric = new.amounts[step] if counts else 0, new.metrics[step]
                of_verified = amount if verified else 0
                changes, at = _append_change(
                    changes, at, new.unit[row], metric, new.day[row], amount, of_verified, 1
                )
            item = _append_version(new, row, entity, arena, index, item)
            index += 1
            continue
        highest, retracted, other, is_repeated = before, 0, before, False
        while other != NONE:
            one = versions[other]
            is_repeated = is_repeated or one.version == version
            if one.version > versions[highest].version:
                highest = other
            if one.op != codes.report and one.version > retracted:
                retracted = one.version
            other = one.previous
        if is_repeated:
            continue
        counted[row] = True
        item = _append_version(new, row, entity, arena, index, item)
        for step in range(new.begins[row], new.begins[row] + new.lengths[row]):
            changes, at = _append_change(
                changes, at, new.unit[row], new.metrics[step], new.day[row], 0, 0, 1
            )
        changes, at = _append_revision(changes, at, arena, codes, index, before, highest, retracted)
        index += 1
    return counted, changes[:at], index, item


@compiled
def append_versions(new: NewVersions, entities: Array, arena: VersionArena) -> None:
    """Append versions that are in the figures already.

    Args:
        new: the versions.
        entities: int32, shape (versions,): the number of each version's entity.
        arena: changed; its caller raises `next_version` and `next_amount`.
    """
    index, amount = arena.next_version, arena.next_amount
    for row in range(len(entities)):
        amount = _append_version(new, row, entities[row], arena, index, amount)
        index += 1


@compiled
def version_indices(last: Array, versions: Array) -> tuple[Array, Array]:
    """Return the indices of all versions of some entities.

    Args:
        last: int64, shape (entities,): the index of each entity's last version, or `NONE`.
        versions: `VERSION_DTYPE`.

    Returns:
        The indices, int64, of each entity's versions from the last back to the first; and how many
        each entity has, int64, shape (entities,).
    """
    counts, total = np.zeros(len(last), np.int64), 0
    for nth in range(len(last)):
        index = last[nth]
        while index != NONE:
            counts[nth] += 1
            index = versions[index].previous
        total += counts[nth]
    indices, at = np.empty(total, np.int64), 0
    for nth in range(len(last)):
        index = last[nth]
        while index != NONE:
            indices[at] = index
            at += 1
            index = versions[index].previous
    return indices, counts
