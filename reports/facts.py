"""Reads the situation report from ClickHouse.

All figures are as at the end of a day, by the hierarchy of that day, and from within a scope.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from queue import SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar

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

T = TypeVar("T")
P = ParamSpec("P")

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
    question = _Question(place, day, _end_of_day(day, made_at), within or unit)
    clients = [client] if second is None else [client, second]
    found = _read(clients, question, made_at)
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

    def submit_reports(self, readers: "_Readers") -> Callable[[], _Reports]:
        """Begin to read them; the function waits for the answers."""
        unit, as_of, within, day = self.unit, self.as_of, self.within, self.day
        level = self.child_level
        first = day - timedelta(days=max(USUAL_DAYS, MEMBER_DAYS))
        of_unit = {"unit": unit, "within": within}
        unusual = readers.submit(_unusual, day=day, **of_unit)
        members = readers.submit(_members, as_of=as_of, **of_unit)
        activity = readers.submit(
            tables.booth_activity,
            as_of=as_of,
            days=SILENT_DAYS,
            child_level=level or "booth",
            **of_unit,
        )
        figures = readers.submit(tables.day_figures, first=first, last=day, **of_unit)
        to_date = readers.submit(tables.to_date, last=day, **of_unit)
        age = readers.submit(tables.age, as_of=as_of, **of_unit)
        below = readers.submit(_below, place=self.place, as_of=as_of, level=level, within=within)
        above = readers.submit(tables.above, unit=unit, day=day)
        metrics = readers.submit(tables.metrics)
        return lambda: _Reports(
            above.result(),
            *below.result(),
            activity.result(),
            figures.result(),
            to_date.result(),
            metrics.result(),
            members.result(),
            unusual.result(),
            age.result(),
        )

    def read_programme(self, everything: Completions, readers: "_Readers") -> _Programme:
        unit, as_of, within = self.unit, self.as_of, self.within
        codes = readers.submit(tables.units_below, unit=unit, as_of=as_of)
        forecast = readers.submit(_forecasts, unit, as_of, within, everything)
        planned = readers.submit(tables.planned, state_of(unit) or "")
        completions = everything.of_units(codes.result())
        of_unit: dict[str, Any] = {
            "unit": unit,
            "as_of": as_of,
            "within": within,
            "completions": completions,
        }
        overdue = readers.submit(defaulters, limit=MAX_DEFAULTERS, **of_unit)
        responsible = readers.submit(offices, limit=MAX_OFFICES, **of_unit)
        standings = readers.submit(
            tables.standings, child_level=self.child_level or "booth", **of_unit
        )
        milestones = build_milestone_lines(
            planned.result(), standings.result(), forecast.result(), self.day
        )
        return _Programme(milestones, standings.result(), overdue.result(), responsible.result())


class _Readers:
    """Connections that read at the same time, each one thing after another."""

    def __init__(self, clients: Sequence[Client], pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._free: SimpleQueue[Client] = SimpleQueue()
        for client in clients:
            self._free.put(client)

    def submit(
        self, read: Callable[Concatenate[Client, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Have a function read on the connection that is free first."""
        return self._pool.submit(self._run, lambda client: read(client, *args, **kwargs))

    def _run(self, read: Callable[[Client], T]) -> T:
        client = self._free.get()
        try:
            return read(client)
        finally:
            self._free.put(client)


def _read(clients: Sequence[Client], question: _Question, made_at: datetime) -> Situation:
    day = question.day
    with ThreadPoolExecutor(len(clients)) as pool:
        readers = _Readers(clients, pool)
        everything = readers.submit(Completions.read)
        reading = question.submit_reports(readers)
        plan, reports = question.read_programme(everything.result(), readers), reading()
    basis = find_basis(plan.standings)
    counted = [one for one in plan.standings if one.passed or basis == "everything"]
    done = sum(one.units for one in counted if one.state.startswith("done"))
    expected = sum(one.units for one in counted)
    children = compare_children(reports.below, plan.standings, reports.activity, basis, day)
    figures, to_date = reports.figures, reports.to_date
    overdue = sum(one.overdue for one in plan.milestones)
    return Situation(
        *_identity(question.place),
        day=day,
        as_of=question.as_of,
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
        child_level=question.child_level,
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


def _unusual(client: Client, unit: str, day: date, within: str) -> list[UnusualValue]:
    """The day's outliers at or below a unit, and at or below `within`."""
    found = unusual_values(client, unit, day, day)
    if within == unit:
        return found
    seen = tables.seen(client, [one.unit for one in found], within, day)
    return [one for one in found if one.unit in seen]


def _below(
    client: Client, place: tables.Place, as_of: datetime, level: Level | None, within: str
) -> tuple[dict[str, tables.Place], dict[str, str]]:
    """The children by code, and the areas of the map."""
    codes = (
        tables.children(client, place.unit, as_of, child_level=level, within=within)
        if level
        else []
    )
    return tables.places(client, codes), _areas(client, place, as_of, codes)


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
