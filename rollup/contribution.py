"""What entities contribute to the figures of their units, from all their versions: compiled loops over columns.

The rules are the contract's (`docs/events.md`):

- An entity whose highest version is a retraction or `rejected` contributes nothing; it is verified if its highest version is.
- Only versions above the highest retraction count.
- A flow counts with the highest version alone, on the day that one occurred.
- A stock's observations are those versions, in the order of (`occurred_at`, `version`); each holds from its day until the next. A contribution is a change.

An entity belongs to one routing key, so all its versions pass one partition. `tests/property/test_contribution.py` has the rules once more, for one entity, as plainly as they can be said.

The loops call none of another file: numba would not see that it changed.
"""

from collections.abc import Iterable
from operator import itemgetter
from typing import Any, Literal, NamedTuple

import numpy as np

from columnar.arrays import Array
from columnar.kernels.jit import compiled, inlined
from schemas.metrics import Amounts


class Version(NamedTuple):
    """One accepted version of an entity."""

    version: int
    op: Literal["report", "retract"]
    verification: Literal["unverified", "verified", "rejected"]
    unit: str
    occurred_at: int
    """Microseconds since 1970-01-01T00:00Z."""
    day: int
    """The day of `occurred_at` in Asia/Kolkata, days since 1970-01-01."""
    amounts: Amounts


_order = itemgetter(Version._fields.index("occurred_at"), Version._fields.index("version"))


def observations(versions: Iterable[Version]) -> list[Version]:
    """The versions above the highest retraction, in the order in which they hold."""
    retracted = max([version.version for version in versions if version.op == "retract"], default=0)
    return sorted([version for version in versions if version.version > retracted], key=_order)


VERSION_DTYPE = np.dtype(
    [
        *(
            ("version", np.int64),
            ("occurred_at", np.int64),
            ("begin", np.int64),
            ("previous", np.int64),
        ),
        *(
            ("length", np.int32),
            ("unit", np.int32),
            ("day", np.int32),
            ("op", np.int8),
            ("verification", np.int8),
        ),
    ],
    align=True,
)
"""A version that is known: what it is; where its amounts begin, and how many it has; the place of another version of its entity that was known before it, or `NONE`."""
AMOUNT_DTYPE = np.dtype([("amount", np.int64), ("metric", np.int32)], align=True)
NONE = -1
FLOWS, STOCKS = False, True


class Columns(NamedTuple):
    """Versions side by side, as `rollup.version_columns.VersionColumns` has them."""

    version: Array
    op: Array
    verification: Array
    unit: Array
    occurred_at: Array
    day: Array
    begins: Array
    lengths: Array
    metrics: Array
    amounts: Array


class OpCodes(NamedTuple):
    """What the loops must know of the vocabulary."""

    report: int
    refused: int
    verified: int
    is_stock: Array
    """By metric; the last value is that of all others."""


class VersionArena(NamedTuple):
    """Where versions are kept."""

    last: Array
    """Of each entity the place of the version that came last, or `NONE`."""
    known: Array
    """Of `VERSION_DTYPE`."""
    place: int
    """Where the next one is put."""
    items: Array
    """Of `AMOUNT_DTYPE`."""
    item: int
    """Where the next one's amounts are put."""


@inlined
def _keep(new: Columns, row: int, entity: int, room: VersionArena, place: int, item: int) -> int:
    """Put a version to those that are known; where the next one's amounts begin."""
    one = room.known[place]
    one.version, one.op, one.verification = new.version[row], new.op[row], new.verification[row]
    one.unit, one.occurred_at, one.day = new.unit[row], new.occurred_at[row], new.day[row]
    one.begin, one.length, one.previous = item, new.lengths[row], room.last[entity]
    for step in range(new.begins[row], new.begins[row] + new.lengths[row]):
        room.items[item].metric, room.items[item].amount = new.metrics[step], new.amounts[step]
        item += 1
    room.last[entity] = place
    return item


@inlined
def _add(
    changes: Array,
    count: int,
    unit: int,
    metric: int,
    day: int,
    value: int,
    verified: int,
    reports: int,
) -> tuple[Array, int]:
    if count == len(changes):
        larger = np.empty((2 * count, 6), np.int64)
        larger[:count] = changes
        changes = larger
    one = changes[count]
    one[0], one[1], one[2], one[3], one[4], one[5] = unit, metric, day, value, verified, reports
    return changes, count + 1


@compiled
def _add_amounts(
    changes: Array,
    count: int,
    room: VersionArena,
    codes: OpCodes,
    place: int,
    kind: bool,
    day: int,
    times: int,
    verified: bool,
) -> tuple[Array, int]:
    """A version's flows (`FLOWS`), or its stocks, at its unit on a day, so many times."""
    one = room.known[place]
    for step in range(one.begin, one.begin + one.length):
        metric, amount = room.items[step].metric, room.items[step].amount * times
        if codes.is_stock[min(metric, len(codes.is_stock) - 1)] == kind:
            changes, count = _add(
                changes, count, one.unit, metric, day, amount, amount if verified else 0, 0
            )
    return changes, count


@inlined
def _comes_before(one: Any, other: Any) -> Any:
    return one.occurred_at < other.occurred_at or (
        one.occurred_at == other.occurred_at and one.version < other.version
    )


@compiled
def _add_all(
    changes: Array,
    count: int,
    room: VersionArena,
    codes: OpCodes,
    last: int,
    highest: int,
    retracted: int,
    times: int,
    verified: bool,
) -> tuple[Array, int]:
    """All that an entity contributes, so many times."""
    changes, count = _add_amounts(
        changes, count, room, codes, highest, FLOWS, room.known[highest].day, times, verified
    )
    length, place = 0, last
    while place != NONE:
        length += room.known[place].version > retracted
        place = room.known[place].previous
    observed = np.empty(length, np.int64)
    length, place = 0, last
    while place != NONE:
        if room.known[place].version > retracted:
            nth = length
            while nth > 0 and _comes_before(room.known[place], room.known[observed[nth - 1]]):
                observed[nth] = observed[nth - 1]
                nth -= 1
            observed[nth] = place
            length += 1
        place = room.known[place].previous
    for nth in range(length):
        changes, count = _add_amounts(
            changes,
            count,
            room,
            codes,
            observed[nth],
            STOCKS,
            room.known[observed[nth]].day,
            times,
            verified,
        )
        if nth + 1 < length:
            changes, count = _add_amounts(
                changes,
                count,
                room,
                codes,
                observed[nth],
                STOCKS,
                room.known[observed[nth + 1]].day,
                -times,
                verified,
            )
    return changes, count


@compiled
def _add_observed(
    changes: Array,
    count: int,
    room: VersionArena,
    codes: OpCodes,
    place: int,
    retracted: int,
    verified: bool,
) -> tuple[Array, int]:
    """What one more observation changes, where all else stays as it is: it holds until the next one, and the one before holds until it."""
    one = room.known[place]
    before, behind, other = NONE, NONE, one.previous
    while other != NONE:
        if room.known[other].version > retracted:
            if _comes_before(room.known[other], one):
                if before == NONE or _comes_before(room.known[before], room.known[other]):
                    before = other
            elif behind == NONE or _comes_before(room.known[other], room.known[behind]):
                behind = other
        other = room.known[other].previous
    changes, count = _add_amounts(changes, count, room, codes, place, STOCKS, one.day, 1, verified)
    if before != NONE:
        changes, count = _add_amounts(
            changes, count, room, codes, before, STOCKS, one.day, -1, verified
        )
    if behind != NONE:
        day = room.known[behind].day
        changes, count = _add_amounts(changes, count, room, codes, place, STOCKS, day, -1, verified)
        if before != NONE:
            changes, count = _add_amounts(
                changes, count, room, codes, before, STOCKS, day, 1, verified
            )
    return changes, count


@compiled
def count(
    new: Columns, entities: Array, codes: OpCodes, room: VersionArena
) -> tuple[Array, Array, int, int]:
    """Keep versions in the order of the log, and tell what they change; of two with the same number the first stands.

    Args:
        new: the versions.
        entities: the number of each one's entity.
        codes: the vocabulary.
        room: what is known, with room for all that is new; changed.

    Returns:
        Which are counted; what to add to the figures, shape (changes, 6): unit, metric, day, value, verified value, number of reports, where a cell may come more than once; where the next version is to be put, and where its amounts.
    """
    last, known, place, item = room.last, room.known, room.place, room.item
    counted = np.zeros(len(entities), np.bool_)
    changes, at = np.empty((2 * len(new.metrics) + 8, 6), np.int64), 0
    for row in range(len(entities)):
        entity, version = entities[row], new.version[row]
        reports = new.op[row] == codes.report
        counts_alone = reports and new.verification[row] != codes.refused
        verified_alone = counts_alone and new.verification[row] == codes.verified
        before = last[entity]
        if (
            before == NONE
        ):  # nearly all are the first ones: what they report is what their entity contributes
            counted[row] = True
            for step in range(new.begins[row], new.begins[row] + new.lengths[row]):
                amount = new.amounts[step] if counts_alone else 0
                changes, at = _add(
                    changes,
                    at,
                    new.unit[row],
                    new.metrics[step],
                    new.day[row],
                    amount,
                    amount if verified_alone else 0,
                    1,
                )
            item = _keep(new, row, entity, room, place, item)
            place += 1
            continue
        highest, retracted, other, is_repeated = before, 0, before, False
        while other != NONE:
            one = known[other]
            is_repeated = is_repeated or one.version == version
            if one.version > known[highest].version:
                highest = other
            if one.op != codes.report and one.version > retracted:
                retracted = one.version
            other = one.previous
        if is_repeated:
            continue
        counted[row] = True
        item = _keep(new, row, entity, room, place, item)
        for step in range(new.begins[row], new.begins[row] + new.lengths[row]):
            changes, at = _add(changes, at, new.unit[row], new.metrics[step], new.day[row], 0, 0, 1)
        was = known[highest]
        counted_before = was.op == codes.report and was.verification != codes.refused
        verified_before = counted_before and was.verification == codes.verified
        is_highest = version > was.version
        counts = counts_alone if is_highest else counted_before
        verified = verified_alone if is_highest else verified_before
        still_retracted = retracted if reports or version < retracted else version
        if counts != counted_before or verified != verified_before or still_retracted != retracted:
            if counted_before:
                changes, at = _add_all(
                    changes, at, room, codes, before, highest, retracted, -1, verified_before
                )
            if counts:
                changes, at = _add_all(
                    changes,
                    at,
                    room,
                    codes,
                    place,
                    place if is_highest else highest,
                    still_retracted,
                    1,
                    verified,
                )
        elif counts:
            if is_highest:
                changes, at = _add_amounts(
                    changes, at, room, codes, highest, FLOWS, was.day, -1, verified
                )
                changes, at = _add_amounts(
                    changes, at, room, codes, place, FLOWS, new.day[row], 1, verified
                )
            if version > retracted:
                changes, at = _add_observed(changes, at, room, codes, place, retracted, verified)
        place += 1
    return counted, changes[:at], place, item


@compiled
def keep(new: Columns, entities: Array, room: VersionArena) -> None:
    """Keep versions that the figures have already."""
    place, item = room.place, room.item
    for row in range(len(entities)):
        item = _keep(new, row, entities[row], room, place, item)
        place += 1


@compiled
def places_of(last: Array, known: Array) -> tuple[Array, Array]:
    """The places of all versions of entities, of each from the one that came last (`last`) back to the first; and how many each has."""
    counts, total = np.zeros(len(last), np.int64), 0
    for nth in range(len(last)):
        place = last[nth]
        while place != NONE:
            counts[nth] += 1
            place = known[place].previous
        total += counts[nth]
    places, at = np.empty(total, np.int64), 0
    for nth in range(len(last)):
        place = last[nth]
        while place != NONE:
            places[at] = place
            at += 1
            place = known[place].previous
    return places, counts
