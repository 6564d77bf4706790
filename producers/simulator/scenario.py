"""A campaign in its middle: a plan dated around a day, districts at different paces, and a split.

The plan of 2022 says little about a campaign of another year. `date_plan` moves its deadlines so
that on a day some have passed, one is due within a week, and some are to come. `draw_paces` chooses
districts that are ahead, behind or silent, and `split_district` has one split. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from random import Random

from pravah.days import LAST_DAY, day_of
from pravah.units import routing_key, state_of
from schemas.plan import Plan
from schemas.registry import Edge, Registry, Unit
from schemas.registry_readers import registry_from_units

# Marks what is made up and could be taken for real.
MADE_UP_EN, MADE_UP_HI = "(demo)", "(डेमो)"

# A plan fits the days of a campaign that ends this long before its first deadline, or after its
# last one, or in between.
_DAYS_BEFORE, _DAYS_AFTER = 90, 180
# Days from the campaign's last day to the deadline that is due this week.
_DUE_IN_DAYS = 3
# Share of the milestones whose deadlines have passed by then: booths are due in the plan of 2022.
_PAST_SHARE = 2 / 3
# Days from the first day of the campaign to the first deadline, if it is long enough.
_FIRST_AFTER_DAYS = 14
# Days between deadlines are never shrunk to less than this share.
_MIN_SCALE = 0.25
_WEEK_DAYS = 7

# Least days of a campaign in which a district splits, and how long before its end that is.
_MIN_SPLIT_DAYS, _SPLIT_AGO_DAYS = 42, 21

# Shares of the districts, and how their units keep deadlines.
_AHEAD_SHARE, _BEHIND_SHARE, _SILENT_SHARE = 0.15, 0.15, 0.09
_AHEAD, _BEHIND = (0.95, 0.99), (0.2, 0.4)
# Days for which a silent district has not reported at the end of the campaign.
_SILENT_DAYS = (16, 45)


@dataclass(frozen=True)
class Paces:
    """Districts that differ from the usual."""

    discipline: Mapping[str, float]
    """State or district → share of the units in it that meet a deadline."""
    silent_from: Mapping[str, int]
    """District → the first day on which nothing in it reports any more."""
    laggards: frozenset[str] = frozenset()
    """Districts whose units meet milestones by the schedule of the plan alone, or never."""


USUAL = Paces({}, {})


def is_dated_for(plan: Plan, last: date) -> bool:
    """Whether a plan's deadlines say something about a campaign that ends on a day."""
    deadlines = sorted(milestone.deadline for milestone in plan.milestones)
    return (
        deadlines[0] - timedelta(days=_DAYS_BEFORE)
        <= last
        <= deadlines[-1] + timedelta(days=_DAYS_AFTER)
    )


def is_around(plan: Plan, day: date) -> bool:
    """Whether some deadlines have passed on a day, one is due within a week, and some are later."""
    ahead = [(milestone.deadline - day).days for milestone in plan.milestones]
    return (
        min(ahead) < 0
        and any(0 <= days <= _WEEK_DAYS for days in ahead)
        and max(ahead) > _WEEK_DAYS
    )


def date_plan(plan: Plan, first: date, last: date) -> Plan:
    """Date a plan around the last day of a campaign; the order of its deadlines stays.

    Args:
        plan: the plan of another year.
        first: first day of the campaign. In a short one, deadlines are closer together.
        last: its last day.
    """
    deadlines = sorted(milestone.deadline for milestone in plan.milestones)
    due = deadlines[min(len(deadlines) - 1, int(len(deadlines) * _PAST_SHARE))]
    length = (due - deadlines[0]).days
    room = (last - first).days + _DUE_IN_DAYS - _FIRST_AFTER_DAYS
    scale = max(_MIN_SCALE, min(1.0, room / length)) if length else 1.0
    moved: dict[date, date] = {
        deadline: last + timedelta(days=_DUE_IN_DAYS + round((deadline - due).days * scale))
        for deadline in deadlines
    }
    return plan.model_copy(
        update={
            "milestones": tuple(
                milestone.model_copy(update={"deadline": moved[milestone.deadline]})
                for milestone in plan.milestones
            )
        }
    )


def split_district(registry: Registry, state: str, first: date, last: date) -> Registry:
    """Split the district with most assemblies three weeks before a campaign's last day.

    Half of its assemblies, and their booths in it, belong to a new, made-up district from then on.

    Args:
        registry: the units.
        state: whose district.
        first: first day of the campaign.
        last: its last day.

    Returns:
        The registry with the split; the same one if the campaign is too short, or no district has
        two assemblies, or none can be split on that day.
    """
    day = day_of(last) - _SPLIT_AGO_DAYS
    if (last - first).days < _MIN_SPLIT_DAYS:
        return registry
    assemblies: dict[str, list[str]] = {}
    for unit in registry.units.values():
        if unit.level == "assembly" and state_of(unit.code) == state:
            for edge in unit.parents:
                if edge.first < day and edge.last == LAST_DAY:
                    assemblies.setdefault(edge.parent, []).append(unit.code)
    old = max(sorted(assemblies), key=lambda code: len(assemblies[code]), default="")
    new = f"{old[:12]}N"
    if len(assemblies.get(old, ())) < 2 or new in registry.units:
        return registry
    moved = set(sorted(assemblies[old])[len(assemblies[old]) // 2 :])
    before = registry.units[old]
    units = [
        _move(unit, old, new, day)
        if unit.code in moved or (unit.level == "booth" and routing_key(unit.code) in moved)
        else unit
        for unit in registry.units.values()
    ]
    above = tuple(
        edge._replace(first=max(edge.first, day)) for edge in before.parents if edge.last >= day
    )
    units.append(
        Unit(
            new,
            "district",
            f"{before.name_en} North {MADE_UP_EN}",
            f"{before.name_hi} उत्तर {MADE_UP_HI}",
            day,
            before.last,
            above,
            before.latitude,
            before.longitude,
        )
    )
    return registry_from_units(sorted(units, key=lambda unit: unit.code))


def _move(unit: Unit, old: str, new: str, day: int) -> Unit:
    """Give a unit another district from a day on."""
    parents = [
        part
        for edge in unit.parents
        for part in (
            (edge._replace(last=day - 1), Edge(new, day, edge.last))
            if edge.parent == old and edge.first < day <= edge.last
            else (edge,)
        )
    ]
    return unit._replace(parents=tuple(sorted(parents)))


def draw_paces(registry: Registry, state: str, first: date, last: date, rng: Random) -> Paces:
    """Choose districts that are ahead, behind, and silent.

    Args:
        registry: the units.
        state: whose districts; the state itself keeps every deadline. One that is new is as usual.
        first: first day of the campaign.
        last: its last day.
        rng: the random generator.
    """
    day = day_of(last)
    districts = sorted(
        code
        for code, unit in registry.units.items()
        if unit.level == "district"
        and state_of(code) == state
        and unit.first <= day_of(first)
        and day <= unit.last
    )
    rng.shuffle(districts)
    shares = (_AHEAD_SHARE, _BEHIND_SHARE, _SILENT_SHARE)
    counts = [round(share * len(districts)) for share in shares]
    bounds = [0, counts[0], counts[0] + counts[1], sum(counts)]
    ahead, behind, silent = (districts[start:end] for start, end in pairwise(bounds))
    return Paces(
        {
            state: 1.0,
            **{code: rng.uniform(*_AHEAD) for code in ahead},
            **{code: rng.uniform(*_BEHIND) for code in behind},
        },
        {code: day - rng.randint(*_SILENT_DAYS) for code in silent},
        frozenset([*behind, *silent]),
    )
