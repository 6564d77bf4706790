"""The reports by which units meet a plan's milestones.

Reports gather before a deadline (the days ahead of it follow a gamma distribution, so the running
total is an S-curve), stragglers follow after it, and some units never report. Districts differ in
discipline, since the control room must be able to see such differences.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate
from random import Random
from typing import NamedTuple

from pravah.events import Kind
from pravah.units import LEVELS, Level, routing_key
from producers.simulator.clock import day_at, midnight_of
from producers.simulator.units import SimulatedUnits
from schemas.plan import Milestone, Plan, Value

# Activity in each hour of a day in Asia/Kolkata: meetings before noon, evenings on the phone.
HOURS = (1, 1, 1, 1, 1, 3, 8, 16, 28, 42, 55, 60, 50, 38, 34, 38, 46, 58, 70, 74, 60, 38, 16, 5)
CUMULATIVE_HOURS = list(accumulate(HOURS))

# Shape and scale of the gamma distribution of days before a deadline: the busiest day is the sixth
# before it.
DAYS_AHEAD = (2.2, 5.0)
# Mean number of days by which a straggler is late.
STRAGGLER_DAYS = 15.0
# Share of the units that never follow, of those that miss a deadline.
NEVER_SHARE = 0.35
# Share of the booth trainings that the district holds. The assembly holds the others.
DISTRICT_TRAINING_SHARE = 0.3
# Least and largest number of units that one training covers.
BATCH_SIZES: dict[Level, tuple[int, int]] = {
    "booth": (8, 40),
    "assembly": (2, 6),
    "district": (4, 12),
}


class ScheduledReport(NamedTuple):
    """A report of the plan."""

    second: int
    """Since 1970-01-01T00:00Z."""
    unit: str
    kind: Kind
    data: dict[str, Value]
    """The fields of `data` that the milestone prescribes."""
    trained: tuple[str, ...] = ()
    """Codes of the trained units."""


class PlanSchedule:
    """Turns a plan into reports."""

    def __init__(
        self,
        units: SimulatedUnits,
        plan: Plan,
        rng: Random,
        discipline: Mapping[str, float] | None = None,
    ) -> None:
        """Draw the discipline of every district.

        Args:
            units: the units that report.
            plan: the milestones.
            rng: the random generator.
            discipline: of some districts or states, instead of what is drawn: the share of the
                units in it that meet a deadline.
        """
        self._units, self._plan, self._rng = units, plan, rng
        self._discipline = {
            code: rng.uniform(0.55, 0.95)
            for code, unit in units.units.items()
            if unit.level == "district"
        } | dict(discipline or {})
        # (milestone, unit) → the day on which the unit meets it
        self._done: dict[tuple[str, str], int] = {}
        level = {milestone.milestone: milestone.level for milestone in plan.milestones}
        # milestone → those that the same unit must have met before
        self._prerequisites = {
            m.milestone: [name for name in m.prerequisites if level[name] == m.level]
            for m in plan.milestones
        }

    def plan_reports(self, first: int, last: int, limit: int) -> list[ScheduledReport]:
        """Return the reports on the days from `first` to `last`, in order of time.

        Args:
            first: day's number.
            last: day's number.
            limit: maximal number of reports. If it is too low for all booths, fewer booths take
                part, rather than all of them halfway.
        """
        chosen = self._choose_units(first, last, limit)
        reports = [
            report
            for milestone in self._plan.milestones
            for report in self._iter_reports(milestone, chosen[milestone.level])
        ]
        reports = [
            report
            for report in reports
            if first <= (day := day_at(report.second)) <= last
            and not self._units.is_silent(report.unit, day)
        ]
        if len(reports) > limit:
            reports = self._rng.sample(reports, limit)
        return sorted(reports, key=lambda report: (report.second, report.unit))

    def _choose_units(self, first: int, last: int, limit: int) -> dict[Level, list[str]]:
        active: dict[Level, list[str]] = {level: [] for level in LEVELS}
        for code, profile in self._units.profiles.items():
            if profile.weight:
                active[self._units.units[code].level].append(code)
        # level → number of reports that a unit makes itself
        own = dict.fromkeys(LEVELS, 0)
        for milestone in self._plan.milestones:
            if first - STRAGGLER_DAYS <= milestone.deadline_day <= last + sum(DAYS_AHEAD):
                own[milestone.level] += sum(
                    not condition.names_unit for condition in milestone.needs
                )
        left = limit - sum(own[level] * len(active[level]) for level in LEVELS if level != "booth")
        self._rng.shuffle(active["booth"])
        if own["booth"]:
            del active["booth"][max(0, left // own["booth"]) :]
        return active

    def _iter_reports(self, milestone: Milestone, units: list[str]) -> Iterator[ScheduledReport]:
        own = [
            condition
            for condition in milestone.needs
            if not (condition.names_unit and milestone.level in BATCH_SIZES)
        ]
        for unit in units if own else ():
            done = self._draw_day(milestone, unit)
            if done is None:
                continue
            ready = max(
                (
                    self._done.get((name, unit), 0)
                    for name in self._prerequisites[milestone.milestone]
                ),
                default=0,
            )
            done = self._done[milestone.milestone, unit] = max(done, ready)
            for number, condition in enumerate(own):
                day = done if number == 0 else max(ready, done - self._rng.randrange(5))
                if self._units.is_open(unit, day):
                    data = {
                        name: values[0] if self._rng.random() < 0.8 else self._rng.choice(values)
                        for name, values in condition.where.items()
                    }
                    yield ScheduledReport(self._draw_second(day), unit, condition.kind, data)
        for condition in milestone.needs:
            if condition not in own:
                yield from self._iter_trainings(
                    milestone, units, {name: values[0] for name, values in condition.where.items()}
                )

    def _iter_trainings(
        self, milestone: Milestone, units: list[str], data: dict[str, Value]
    ) -> Iterator[ScheduledReport]:
        """Yield trainings of many units each, which are at or below the holder on that day."""
        groups: dict[str, list[str]] = defaultdict(list)
        for unit in units:
            holder = (
                routing_key(unit)
                if milestone.level == "booth"
                else self._find_holder(unit, milestone.deadline_day)
            )
            if holder:
                groups[holder].append(unit)
        least, largest = BATCH_SIZES[milestone.level]
        for untrained in groups.values():
            self._rng.shuffle(untrained)
            while untrained:
                size = self._rng.randint(least, largest)
                batch, untrained[:] = untrained[:size], untrained[size:]
                day = self._draw_day(milestone, batch[0])
                if day is not None:
                    yield from self._train_batch(milestone, batch, day, data)

    def _train_batch(
        self, milestone: Milestone, batch: list[str], day: int, data: dict[str, Value]
    ) -> Iterator[ScheduledReport]:
        by_district = milestone.level == "booth" and self._rng.random() < DISTRICT_TRAINING_SHARE
        present: dict[str, list[str]] = defaultdict(list)
        for unit in batch:
            is_ready = all(
                self._done.get((name, unit), day + 1) <= day
                for name in self._prerequisites[milestone.milestone]
            )
            if is_ready and self._units.is_open(unit, day):
                holder = (
                    routing_key(unit)
                    if milestone.level == "booth" and not by_district
                    else self._find_holder(unit, day)
                )
                if holder:
                    present[holder].append(unit)
        for holder, units in present.items():
            yield ScheduledReport(
                self._draw_second(day), holder, "training_held", data, tuple(units)
            )

    def _find_holder(self, unit: str, day: int) -> str | None:
        """Return the unit that holds a training for another: its district, else the level above."""
        levels: tuple[Level, ...] = ("district", "division", "state")
        return next(
            (
                parent
                for level in levels
                if (parent := self._units.parent(unit, level, day)) in self._units.units
            ),
            None,
        )

    def _draw_day(self, milestone: Milestone, unit: str) -> int | None:
        """Draw the day on which a unit meets a milestone, or None for never."""
        deadline = milestone.deadline_day
        district = (
            unit
            if self._units.units[unit].level in {"state", "district"}
            else self._units.parent(unit, "district", deadline)
        )
        if self._rng.random() < self._discipline.get(district or "", 0.85):
            return deadline - int(self._rng.gammavariate(*DAYS_AHEAD))
        return (
            None
            if self._rng.random() < NEVER_SHARE
            else deadline + 1 + int(self._rng.expovariate(1 / STRAGGLER_DAYS))
        )

    def _draw_second(self, day: int) -> int:
        hour = self._rng.choices(range(24), cum_weights=CUMULATIVE_HOURS)[0]
        return midnight_of(day) + hour * 3_600 + int(self._rng.random() * 3_600)
