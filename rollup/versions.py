"""Versions of an entity as Python objects, and which of them hold."""

from collections.abc import Iterable
from operator import itemgetter
from typing import Literal, NamedTuple

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
    """Return the versions above the highest retraction, in the order in which they hold."""
    retracted = max([version.version for version in versions if version.op == "retract"], default=0)
    return sorted([version for version in versions if version.version > retracted], key=_order)
