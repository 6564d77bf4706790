"""What a plan's milestones make happen in a campaign: who does what on which day.

Work gathers before a deadline (the days ahead of it follow a gamma distribution, so the running total is an S-curve), stragglers come after it, and some
never do. Districts differ in discipline, which is what a control room has to see.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import NamedTuple

from pravah.days import KOLKATA_OFFSET_SECONDS
from pravah.events import Kind
from pravah.units import LEVELS, Level, routing_key
from producers.simulator.units import Territory
from schemas.plan import Milestone, Plan, Value

HOURS = (1, 1, 1, 1, 1, 3, 8, 16, 28, 42, 55, 60, 50, 38, 34, 38, 46, 58, 70, 74, 60, 38, 16, 5)
"""How much is reported in each hour of a day in Asia/Kolkata: meetings before noon, evenings on the phone."""
CUMULATIVE_HOURS = list(accumulate(HOURS))

DAYS_AHEAD = (2.2, 5.0)
"""Shape and scale of the gamma distribution of days before a deadline: the busiest day is the sixth before it."""
STRAGGLER_DAYS = 15.0
"""Mean days by which a straggler is late."""
NEVER = 0.35
"""Of the units that miss a deadline, so many never follow."""
COVERED_BY_DISTRICT = 0.3
"""So many booth trainings are held by the district, the others by the assembly."""
BATCH: dict[Level, tuple[int, int]] = {"booth": (8, 40), "assembly": (2, 6), "district": (4, 12)}
"""How many units one training covers."""


class Act(NamedTuple):
    """Something that a unit does at a time (seconds since 1970-01-01T00:00Z)."""

    second: int
    unit: str
    kind: Kind
    where: dict[str, Value]
    """Fields of the data that are given."""
    trained: tuple[str, ...] = ()


class Agenda:
    """Turns a plan into acts."""

    def __init__(self, territory: Territory, plan: Plan, rng: Random) -> None:
        """Take what it works with; the discipline of every district is drawn now."""
        self._territory, self._plan, self._rng = territory, plan, rng
        self._discipline = {
            code: rng.uniform(0.55, 0.95)
            for code, unit in territory.units.items()
            if unit.level == "district"
        }
        self._done: dict[tuple[str, str], int] = {}
        level = {milestone.milestone: milestone.level for milestone in plan.milestones}
        self._before = {
            m.milestone: [name for name in m.prerequisites if level[name] == m.level]
            for m in plan.milestones
        }
        """Milestone → those that the same unit must have met before."""

    def acts(self, first: int, last: int, room: int) -> list[Act]:
        """At most `room` acts on the days from `first` to `last`, in order of time.

        If there is not room for all, fewer booths take part rather than all of them halfway.
        """
        chosen = self._chosen(first, last, room)
        acts = [
            act
            for milestone in self._plan.milestones
            for act in self._of(milestone, chosen[milestone.level])
        ]
        acts = [
            act for act in acts if first <= (act.second + KOLKATA_OFFSET_SECONDS) // 86_400 <= last
        ]
        if len(acts) > room:
            acts = self._rng.sample(acts, room)
        return sorted(acts, key=lambda act: (act.second, act.unit))

    def _chosen(self, first: int, last: int, room: int) -> dict[Level, list[str]]:
        active: dict[Level, list[str]] = {level: [] for level in LEVELS}
        for code, habit in self._territory.habits.items():
            if habit.weight:
                active[self._territory.units[code].level].append(code)
        own = dict.fromkeys(LEVELS, 0)
        for milestone in self._plan.milestones:
            if first - STRAGGLER_DAYS <= milestone.deadline_day <= last + sum(DAYS_AHEAD):
                own[milestone.level] += sum(
                    not condition.names_unit for condition in milestone.needs
                )
        left = room - sum(own[level] * len(active[level]) for level in LEVELS if level != "booth")
        self._rng.shuffle(active["booth"])
        if own["booth"]:
            del active["booth"][max(0, left // own["booth"]) :]
        return active

    def _of(self, milestone: Milestone, units: list[str]) -> Iterator[Act]:
        own = [
            condition
            for condition in milestone.needs
            if not (condition.names_unit and milestone.level in BATCH)
        ]
        for unit in units if own else ():
            done = self._day(milestone, unit)
            if done is None:
                continue
            ready = max(
                (self._done.get((name, unit), 0) for name in self._before[milestone.milestone]),
                default=0,
            )
            done = self._done[milestone.milestone, unit] = max(done, ready)
            for number, condition in enumerate(own):
                day = done if number == 0 else max(ready, done - self._rng.randrange(5))
                if self._territory.is_open(unit, day):
                    where = {
                        name: values[0] if self._rng.random() < 0.8 else self._rng.choice(values)
                        for name, values in condition.where.items()
                    }
                    yield Act(self._moment(day), unit, condition.kind, where)
        for condition in milestone.needs:
            if condition not in own:
                yield from self._trainings(
                    milestone, units, {name: values[0] for name, values in condition.where.items()}
                )

    def _trainings(
        self, milestone: Milestone, units: list[str], where: dict[str, Value]
    ) -> Iterator[Act]:
        """One training covers many units, at or below who holds it on that day."""
        groups: dict[str, list[str]] = defaultdict(list)
        for unit in units:
            holder = (
                routing_key(unit)
                if milestone.level == "booth"
                else self._above(unit, milestone.deadline_day)
            )
            if holder:
                groups[holder].append(unit)
        least, most = BATCH[milestone.level]
        for waiting in groups.values():
            self._rng.shuffle(waiting)
            while waiting:
                size = self._rng.randint(least, most)
                batch, waiting[:] = waiting[:size], waiting[size:]
                day = self._day(milestone, batch[0])
                if day is not None:
                    yield from self._training(milestone, batch, day, where)

    def _training(
        self, milestone: Milestone, batch: list[str], day: int, where: dict[str, Value]
    ) -> Iterator[Act]:
        by_district = milestone.level == "booth" and self._rng.random() < COVERED_BY_DISTRICT
        present: dict[str, list[str]] = defaultdict(list)
        for unit in batch:
            appointed = all(
                self._done.get((name, unit), day + 1) <= day
                for name in self._before[milestone.milestone]
            )
            if appointed and self._territory.is_open(unit, day):
                holder = (
                    routing_key(unit)
                    if milestone.level == "booth" and not by_district
                    else self._above(unit, day)
                )
                if holder:
                    present[holder].append(unit)
        for holder, units in present.items():
            yield Act(self._moment(day), holder, "training_held", where, tuple(units))

    def _above(self, unit: str, day: int) -> str | None:
        """Who holds a training for a unit: its district, else the level above."""
        levels: tuple[Level, ...] = ("district", "division", "state")
        return next(
            (
                parent
                for level in levels
                if (parent := self._territory.parent(unit, level, day)) in self._territory.units
            ),
            None,
        )

    def _day(self, milestone: Milestone, unit: str) -> int | None:
        """The day on which a unit meets a milestone, or None for never."""
        deadline = milestone.deadline_day
        district = (
            unit
            if self._territory.units[unit].level == "district"
            else self._territory.parent(unit, "district", deadline)
        )
        if self._rng.random() < self._discipline.get(district or "", 0.85):
            return deadline - int(self._rng.gammavariate(*DAYS_AHEAD))
        return (
            None
            if self._rng.random() < NEVER
            else deadline + 1 + int(self._rng.expovariate(1 / STRAGGLER_DAYS))
        )

    def _moment(self, day: int) -> int:
        hour = self._rng.choices(range(24), cum_weights=CUMULATIVE_HOURS)[0]
        return (
            day * 86_400 - KOLKATA_OFFSET_SECONDS + hour * 3_600 + int(self._rng.random() * 3_600)
        )
