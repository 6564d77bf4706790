"""Explains a figure: which version of each entity counts in it, and why the others do not.

It judges one figure at a time by the contract's rules and independently of the fold, so that its
sum can be compared with the journal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pravah.days import date_of
from rollup.versions import Version, observations

# Unit → the days, both inclusive, on which it is at or below the figure's unit.
Spans = Mapping[str, Sequence[tuple[int, int]]]


@dataclass(frozen=True)
class Verdict:
    """The contribution of one entity to a figure."""

    counted: int | None
    """Number of the version that counts; None if none does."""
    value: int
    verified_value: int
    reasons: Mapping[int, str]
    """Version number → why that version does not count."""


def judge(
    versions: Sequence[Version], *, spans: Spans, metric: str, day: int, is_stock: bool
) -> Verdict:
    """Judge the versions of one entity for one figure.

    Args:
        versions: all of them, each number once.
        spans: the units at or below the figure's unit, and when.
        metric: the figure's metric.
        day: the figure's day, days since 1970-01-01.
        is_stock: a stock's figure is its level at the end of the day, a flow's is the day's amount.
    """
    highest = max(versions, key=lambda version: version.version)
    if highest.op == "retract" or highest.verification == "rejected":
        why = "retracted" if highest.op == "retract" else "rejected when it was verified"
        return Verdict(
            None,
            0,
            0,
            {one.version: f"the entity is {why}, by version {highest.version}" for one in versions},
        )
    counted, reasons = _stock(versions, day) if is_stock else _flow(versions, highest, day)
    if counted is None:
        return Verdict(None, 0, 0, reasons)
    problem = _reason_elsewhere(counted, spans, day, metric)
    if problem:
        return Verdict(None, 0, 0, {**reasons, counted.version: problem})
    amount = counted.amounts[metric]
    return Verdict(
        counted.version, amount, amount if highest.verification == "verified" else 0, reasons
    )


def _flow(
    versions: Sequence[Version], highest: Version, day: int
) -> tuple[Version | None, dict[int, str]]:
    where = "" if highest.day == day else f", which is about {date_of(highest.day)}"
    reasons = {
        one.version: f"replaced by version {highest.version}{where}"
        for one in versions
        if one is not highest
    }
    if highest.day != day:
        return None, {**reasons, highest.version: f"is about {date_of(highest.day)}"}
    return highest, reasons


def _stock(versions: Sequence[Version], day: int) -> tuple[Version | None, dict[int, str]]:
    observed = observations(versions)
    holding = next((one for one in reversed(observed) if one.day <= day), None)
    retraction = max((one.version for one in versions if one.op == "retract"), default=0)
    reasons = {}
    for one in versions:
        if one is holding:
            continue
        if one.version <= retraction:
            reasons[one.version] = f"undone by the retraction, version {retraction}"
        elif one.day > day:
            reasons[one.version] = f"was observed later, on {date_of(one.day)}"
        else:
            reasons[one.version] = (
                "followed by the later observation of version "
                f"{holding.version if holding else '?'}"
            )
    return holding, reasons


def _reason_elsewhere(counted: Version, spans: Spans, day: int, metric: str) -> str | None:
    if metric not in counted.amounts:
        return "says nothing of this metric"
    if not any(first <= day <= last for first, last in spans.get(counted.unit, ())):
        return f"{counted.unit} did not stand below this unit on {date_of(day)}"
    return None
