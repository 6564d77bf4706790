"""What an entity contributes to the figures of its unit, from all its versions.

The rules are the contract's (`docs/events.md`):

- An entity whose highest version is a retraction or `rejected` contributes nothing; it is verified if its highest version is.
- Only versions above the highest retraction count.
- A flow counts with the highest version alone, on the day that one occurred.
- A stock's observations are those versions, in the order of (`occurred_at`, `version`); each holds from its day until the next. A contribution is a change.

An entity belongs to one routing key, so all its versions pass one partition.
"""

from collections.abc import Collection, Iterable
from operator import itemgetter
from typing import Literal, NamedTuple

from schemas.metrics import Amounts

Cell = tuple[str, str, int]
"""Metric, unit, day: where a contribution lands before it is rolled up."""
Contribution = dict[Cell, tuple[int, int]]
"""Cell → (all, verified). A flow's amount, or the change of a stock's level on that day."""


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


NOTHING: Contribution = {}


def contribution(versions: Collection[Version], stocks: Collection[str]) -> Contribution:
    """What an entity with these versions contributes.

    Args:
        versions: of one entity, in any order, each version number once.
        stocks: the metrics that are stocks; all others are flows.

    Returns:
        One cell per metric, unit and day. Cells that sum to zero may be left in.
    """
    if not versions:
        return NOTHING
    highest = max(versions, key=_number)
    if highest.op == "retract" or highest.verification == "rejected":
        return NOTHING
    verified = highest.verification == "verified"
    cells: dict[Cell, int] = {(metric, highest.unit, highest.day): amount for metric, amount in highest.amounts.items() if metric not in stocks}
    level: dict[str, int] = {}
    held_by = ""
    for observation in observations(versions):
        following = {metric: amount for metric, amount in observation.amounts.items() if metric in stocks}
        for metric, amount in level.items():
            _add(cells, (metric, held_by, observation.day), -amount)
        for metric, amount in following.items():
            _add(cells, (metric, observation.unit, observation.day), amount)
        level, held_by = following, observation.unit
    return {cell: (amount, amount if verified else 0) for cell, amount in cells.items()}


def change(before: Contribution, after: Contribution) -> Contribution:
    """What must be added to `before` to make it `after`; cells that stay as they are are left out."""
    if not before:
        return after
    changed = {cell: amounts for cell, amounts in after.items() if cell not in before}
    for cell, (value, verified) in before.items():
        new_value, new_verified = after.get(cell, (0, 0))
        if (new_value, new_verified) != (value, verified):
            changed[cell] = (new_value - value, new_verified - verified)
    return changed


_number, _order = itemgetter(Version._fields.index("version")), itemgetter(Version._fields.index("occurred_at"), Version._fields.index("version"))


def observations(versions: Iterable[Version]) -> list[Version]:
    """The versions above the highest retraction, in the order in which they hold."""
    retracted = max([version.version for version in versions if version.op == "retract"], default=0)
    return sorted([version for version in versions if version.version > retracted] if retracted else versions, key=_order)


def _add(cells: dict[Cell, int], cell: Cell, amount: int) -> None:
    cells[cell] = cells.get(cell, 0) + amount
