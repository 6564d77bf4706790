"""Reads the situation report from ClickHouse.

All figures are as at the end of a day, by the hierarchy of that day, and from within a scope.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from clickhouse_driver import Client

from pravah.days import FIRST_DAY, KOLKATA, LAST_DAY, date_of
from pravah.units import Level, state_of
from reports.situation import (
    CHILD_LEVEL,
    FLOWS,
    MEMBER_DAYS,
    USUAL_DAYS,
    Booths,
    MilestoneLine,
    OfficeCall,
    Overdue,
    Situation,
    amounts_by_day,
    build_amounts,
    build_curves,
    build_metric_amounts,
    build_milestone_lines,
    compare_children,
    find_basis,
    shares_by_day,
    sum_by_day,
)
from sinks import situation as tables
from sinks.completions import Completions
from sinks.control_room import SILENT_DAYS, Defaulter, Office, calls, defaulters, offices
from sinks.forecast import Forecast, forecasts
from sinks.members import Members, members_within
from sinks.unusual import UnusualValue, unusual_values

# In the report's data; the page shows fewer.
MAX_DEFAULTERS, MAX_UNUSUAL, MAX_OFFICES = 50, 20, 20


class FutureDayError(ValueError):
    """The day has not begun."""


class OutOfScopeError(LookupError):
    """On that day the unit is not at or below the one whose subtree the reader may see."""


def read_situation(
    client: Client,
    unit: str,
    day: date | None = None,
    *,
    within: str | None = None,
    contacts: bool = False,
    second: Client | None = None,
) -> Situation:
    """Read the report of a unit.

    Args:
        client: of any account; with `contacts`, one that may read them.
        unit: a code.
        day: Asia/Kolkata; today if None.
        within: the unit whose subtree the reader may see; everything if None.
        contacts: include whom to call, if the office is in that subtree.
        second: another connection of the same account, to read two things at a time.

    Raises:
        LookupError: the unit is not in the registry.
        OutOfScopeError: the unit is not within `within` on that day.
        FutureDayError: the day lies in the future.
    """
    made_at = datetime.now(KOLKATA)
    today = made_at.date()
    day = day or today
    if day > today:
        msg = f"{day} lies in the future; today is {today}"
        raise FutureDayError(msg)
    place = tables.places(client, [unit]).get(unit)
    if place is None:
        msg = f"unit {unit!r} is not in the registry; `pravah units show` looks at one"
        raise LookupError(msg)
    if not place.valid_from <= day <= place.valid_to:
        return Situation(
            *_identity(place), day=day, as_of=_end_of_day(day, made_at), made_at=made_at, open=False
        )
    if within not in {None, unit} and not tables.seen(client, [unit], within, day):
        msg = f"{unit} is not at or below {within} on {day}"
        raise OutOfScopeError(msg)
    asked = _Question(place, day, _end_of_day(day, made_at), within or unit)
    found = _read(client, second, asked, made_at)
    return _add_calls(client, found, within) if contacts else found


def default_unit(client: Client) -> str:
    """The state whose plan is in force; the nation if there is none or more than one."""
    states = tables.planned_states(client)
    return states[0] if len(states) == 1 else "IN"


@dataclass(frozen=True)
class _Programme:
    """What is read of the plan."""

    milestones: list[MilestoneLine]
    standings: list[tables.Standing]
    defaulters: list[Defaulter]
    offices: list[Office]


@dataclass(frozen=True)
class _Reports:
    """What is read of reports and of the units that make them."""

    above: list[tables.Place]
    below: dict[str, tables.Place]
    areas: dict[str, str]
    activity: list[tables.Activity]
    figures: list[tables.DayFigure]
    to_date: list[tables.DayFigure]
    metrics: list[tables.Metric]
    members: Members | None
    unusual: list[UnusualValue]
    age: tables.Age


@dataclass(frozen=True)
class _Question:
    """A unit and a day, and the unit whose subtree the reader may see."""

    place: tables.Place
    day: date
    as_of: datetime
    within: str

    @property
    def unit(self) -> str:
        return self.place.unit

    @property
    def child_level(self) -> Level | None:
        return CHILD_LEVEL.get(self.place.level)

    def read_programme(self, client: Client) -> _Programme:
        unit, as_of, within = self.unit, self.as_of, self.within
        everything = Completions.read(client)
        completions = everything.of_units(tables.units_below(client, unit, as_of))
        standings = tables.standings(
            client,
            unit,
            as_of,
            completions,
            child_level=self.child_level or "booth",
            within=within,
        )
        milestones = build_milestone_lines(
            tables.planned(client, state_of(unit) or ""),
            standings,
            _forecasts(client, unit, as_of, within, everything),
            self.day,
        )
        if not any(one.overdue for one in milestones):
            return _Programme(milestones, standings, [], [])
        return _Programme(
            milestones,
            standings,
            defaulters(
                client, unit, as_of, limit=MAX_DEFAULTERS, within=within, completions=completions
            ),
            offices(client, unit, as_of, completions, limit=MAX_OFFICES, within=within),
        )

    def read_reports(self, client: Client) -> _Reports:
        unit, as_of, within, day = self.unit, self.as_of, self.within, self.day
        child_level = self.child_level
        codes = (
            tables.children(client, unit, as_of, child_level=child_level, within=within)
            if child_level
            else []
        )
        unusual = unusual_values(client, unit, day, day)
        if within != unit:
            seen = tables.seen(client, [one.unit for one in unusual], within, day)
            unusual = [one for one in unusual if one.unit in seen]
        first = day - timedelta(days=max(USUAL_DAYS, MEMBER_DAYS))
        return _Reports(
            above=tables.above(client, unit, day),
            below=tables.places(client, codes),
            areas=_areas(client, self.place, as_of, codes),
            activity=tables.booth_activity(
                client,
                unit,
                as_of,
                days=SILENT_DAYS,
                child_level=child_level or "booth",
                within=within,
            ),
            figures=tables.day_figures(client, unit, first, day, within=within),
            to_date=tables.to_date(client, unit, day, within=within),
            metrics=tables.metrics(client),
            members=_members(client, unit, as_of, within),
            unusual=unusual,
            age=tables.age(client, unit, as_of, within=within),
        )


def _read(client: Client, second: Client | None, asked: _Question, made_at: datetime) -> Situation:
    day = asked.day
    if second is None:
        plan, reports = asked.read_programme(client), asked.read_reports(client)
    else:
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(asked.read_reports, second)
            plan, reports = asked.read_programme(client), reading.result()
    basis = find_basis(plan.standings)
    counted = [one for one in plan.standings if one.passed or basis == "everything"]
    done = sum(one.units for one in counted if one.state.startswith("done"))
    expected = sum(one.units for one in counted)
    children = compare_children(reports.below, plan.standings, reports.activity, basis, day)
    figures, to_date = reports.figures, reports.to_date
    overdue = sum(one.overdue for one in plan.milestones)
    return Situation(
        *_identity(asked.place),
        day=day,
        as_of=asked.as_of,
        made_at=made_at,
        above=reports.above,
        basis=basis,
        expected=expected,
        done=done,
        overdue=overdue,
        share=done / expected if expected else None,
        newly_done=sum(one.newly_done for one in plan.milestones),
        newly_overdue=sum(one.newly_overdue for one in plan.milestones),
        shares=shares_by_day(counted, day) if expected else [],
        milestones=plan.milestones,
        amounts=build_amounts(figures, to_date, day),
        metrics=build_metric_amounts(reports.metrics, figures, to_date, day),
        usual_days=USUAL_DAYS,
        booths=_booths(reports.activity),
        curves=build_curves(plan.milestones, plan.standings, day),
        members=reports.members,
        member_days=amounts_by_day(sum_by_day(figures, FLOWS["members"]), day, MEMBER_DAYS),
        child_level=asked.child_level,
        children=children,
        compared_children=len([one for one in children if one.share is not None]),
        complete_children=len([one for one in children if one.share == 1]),
        idle_children=len([one for one in children if one.share == 0]),
        areas=reports.areas,
        offices=[OfficeCall(one, None) for one in plan.offices],
        defaulters=[Overdue(one, None) for one in plan.defaulters],
        more_defaulters=overdue - len(plan.defaulters),
        unusual=reports.unusual[:MAX_UNUSUAL],
        more_unusual=len(reports.unusual[MAX_UNUSUAL:]),
        age=reports.age,
    )


def _end_of_day(day: date, now: datetime) -> datetime:
    return (
        now
        if day == now.date()
        else datetime.combine(day + timedelta(days=1), time(), KOLKATA) - timedelta(seconds=1)
    )


def _add_calls(client: Client, situation: Situation, within: str | None) -> Situation:
    """The report with whom to call, if the office is at or below `within`."""
    late = [one.about for one in situation.defaulters]
    responsible = [one.about for one in situation.offices]
    every: list[Defaulter | Office] = [*late, *responsible]
    units = {one.responsible_unit for one in every}
    if within is not None:
        units = tables.seen(client, sorted(units), within, situation.day)
    found = [
        call if one.responsible_unit in units else None
        for one, call in zip(every, calls(client, every), strict=True)
    ]
    return replace(
        situation,
        defaulters=[Overdue(*pair) for pair in zip(late, found[: len(late)], strict=True)],
        offices=[OfficeCall(*pair) for pair in zip(responsible, found[len(late) :], strict=True)],
    )


def _forecasts(
    client: Client, unit: str, as_of: datetime, within: str, completions: Completions
) -> dict[str, Forecast]:
    """Forecast of each milestone; none for a unit that reaches beyond `within`."""
    if tables.reaches_beyond(client, unit, as_of, within=within):
        return {}
    return {one.milestone: one for one in forecasts(client, unit, as_of, completions=completions)}


def _members(client: Client, unit: str, as_of: datetime, within: str) -> Members | None:
    found = members_within(client, unit, within, as_of)
    return found if found and found.members else None


def _areas(
    client: Client, place: tables.Place, as_of: datetime, children: Sequence[str]
) -> dict[str, str]:
    """Assembly → the child that contains it; empty for the nation and assemblies, without a map."""
    if place.level == "district":
        return dict(zip(children, children, strict=True))
    return (
        tables.assemblies_of(client, place.unit, as_of, child_level="district")
        if place.level in {"state", "division"}
        else {}
    )


def _booths(activity: Sequence[tables.Activity]) -> Booths | None:
    active, zero, silent = (
        sum(one.active for one in activity),
        sum(one.zero for one in activity),
        sum(one.silent for one in activity),
    )
    return Booths(SILENT_DAYS, active, zero, silent) if active + zero + silent else None


def _identity(place: tables.Place) -> tuple[str, Level, str, str, date | None, date | None]:
    first = None if place.valid_from == date_of(FIRST_DAY) else place.valid_from
    last = None if place.valid_to == date_of(LAST_DAY) else place.valid_to
    return place.unit, place.level, place.name_en, place.name_hi, first, last
