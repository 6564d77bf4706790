"""The situation report as data: where a unit's programme stands on a day, what changed, who is ahead and who behind. Pure: `facts` reads what it is made of."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import date, datetime, timedelta
from statistics import median
from typing import Literal

from pravah.units import Level
from sinks.control_room import Call, Defaulter
from sinks.forecast import Forecast
from sinks.members import Members
from sinks.situation import Activity, Age, DayFigure, Metric, Milestone, Place, Standing
from sinks.unusual import UnusualValue

Basis = Literal["due_by_now", "everything"]
"""What shares are of: the milestones whose deadline has passed, or all of them as long as none has."""

CHILD_LEVEL: dict[Level, Level] = {
    "national": "state",
    "state": "district",
    "division": "district",
    "district": "assembly",
    "assembly": "booth",
}
"""Which level below a unit the report compares."""
USUAL_DAYS = 28
"""A usual day is the median of so many days before."""
LEAST_DAYS = 7
"""With fewer days since the first report nothing is called usual."""
TREND_DAYS, MEMBER_DAYS = 150, 42
CURVES = 3
"""So many milestones, the last of the plan, have a curve."""
_DONE = ("done_on_time", "done_late")

FLOWS: dict[str, tuple[str, ...]] = {
    "members": ("members_manual", "members_digital"),
    "reach": ("reach_facebook", "reach_twitter", "reach_whatsapp"),
    "posts": ("posts_facebook", "posts_twitter", "posts_whatsapp"),
    "trainings": ("trainings",),
}
"""What the page says of each day, and of which metrics it is the sum."""


@dataclass(frozen=True)
class MilestoneLine:
    """How far the units at or below the unit are with one milestone; the four states add up to `expected`."""

    milestone: str
    level: Level
    name_en: str
    name_hi: str
    deadline: date
    days_left: int
    """Below zero once it has passed."""
    expected: int
    done_on_time: int
    done_late: int
    overdue: int
    due: int
    known_late: int
    newly_done: int
    """Done on the day of the report."""
    newly_overdue: int
    """Overdue since the day before."""
    share: float
    """Done, of the expected."""
    forecast: Forecast | None
    """When most of them will have it, at the pace of the last week."""


@dataclass(frozen=True)
class Child:
    """A unit below, compared by what was due by now."""

    unit: str
    level: Level
    name_en: str
    name_hi: str
    expected: int
    """Units and milestones."""
    done: int
    overdue: int
    days_overdue: int
    """Of the longest overdue."""
    share: float | None
    """Done, of the expected; None if nothing is expected."""
    silent_booths: int
    """That reported nothing lately."""


@dataclass(frozen=True)
class Amount:
    """A flow on the day, on a usual day, and to date."""

    figure: str
    today: int | None
    """None: nothing was reported, which is not zero."""
    verified_today: int | None
    usual: float | None
    """None: too few days since the first report."""
    to_date: int
    verified_to_date: int


@dataclass(frozen=True)
class MetricAmount:
    """The same for one metric of the dictionary; a stock's `today` is its value at the end of the day."""

    metric: str
    name_en: str
    name_hi: str
    is_stock: bool
    today: int | None
    usual: float | None
    to_date: int
    verified_to_date: int


@dataclass(frozen=True)
class Curve:
    """How much of a milestone was done by the end of each day."""

    milestone: str
    name_en: str
    name_hi: str
    deadline: date
    first: date
    """The day of the first share; one share a day from then on."""
    shares: list[float]


@dataclass(frozen=True)
class DayAmount:
    """A flow on one day."""

    day: date
    amount: int | None
    """None: nothing was reported."""


@dataclass(frozen=True)
class Overdue:
    """A defaulter, and whom to call if the reader may know."""

    about: Defaulter
    call: Call | None


@dataclass(frozen=True)
class Booths:
    """Open booths by what they reported in the last days."""

    days: int
    active: int
    zero: int
    silent: int


@dataclass(frozen=True, kw_only=True)
class _Sections:
    """What a unit that is open has to show; empty for another."""

    above: list[Place] = field(default_factory=list)
    """The units above it on that day, the nearest first."""
    basis: Basis = "everything"
    expected: int = 0
    """Units and milestones, of those that `basis` says."""
    done: int = 0
    overdue: int = 0
    share: float | None = None
    newly_done: int = 0
    milestones: list[MilestoneLine] = field(default_factory=list)
    amounts: list[Amount] = field(default_factory=list)
    metrics: list[MetricAmount] = field(default_factory=list)
    usual_days: int = USUAL_DAYS
    booths: Booths | None = None
    curves: list[Curve] = field(default_factory=list)
    members: Members | None = None
    """All, verified, and different persons; None if none was reported."""
    member_days: list[DayAmount] = field(default_factory=list)
    """New members of each of the last days."""
    child_level: Level | None = None
    children: list[Child] = field(default_factory=list)
    """The furthest ahead first."""
    compared_children: int = 0
    """Of whom anything is expected."""
    complete_children: int = 0
    idle_children: int = 0
    areas: dict[str, str] = field(default_factory=dict)
    """Assembly → the child it belongs to on that day: what the map is made of."""
    defaulters: list[Overdue] = field(default_factory=list)
    more_defaulters: int = 0
    unusual: list[UnusualValue] = field(default_factory=list)
    """Values of the day that want a look, those first that stand out most."""
    more_unusual: int = 0
    age: Age | None = None


@dataclass(frozen=True)
class Situation(_Sections):
    """The whole report; days and instants in Asia/Kolkata."""

    unit: str
    level: Level
    name_en: str
    name_hi: str
    open_from: date | None
    open_to: date | None
    _: KW_ONLY
    day: date
    as_of: datetime
    made_at: datetime
    open: bool = True
    """Whether the unit was open on the day; if not, there is nothing to show."""

    @property
    def is_today(self) -> bool:
        """Whether the day is not over yet."""
        return self.as_of == self.made_at


def milestone_lines(
    milestones: Sequence[Milestone],
    standings: Iterable[Standing],
    forecasts: Mapping[str, Forecast],
    day: date,
) -> list[MilestoneLine]:
    """The programme, milestone by milestone; those that nobody is expected to meet are left out."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in standings:
        count = counts[one.milestone]
        count[one.state] += one.units
        count["known_late"] += one.known_late
        count["newly_overdue"] += one.newly_overdue
        count["newly_done"] += one.units if one.done_at == day else 0
    lines = []
    for m in milestones:
        if m.milestone not in counts:
            continue
        count = counts[m.milestone]
        done = sum(count[state] for state in _DONE)
        expected = done + count["overdue"] + count["due"]
        named = (
            m.milestone,
            m.level,
            m.name_en,
            m.name_hi,
            m.deadline,
            (m.deadline - day).days,
            expected,
        )
        states = (count["done_on_time"], count["done_late"], count["overdue"], count["due"])
        changed = (count["known_late"], count["newly_done"], count["newly_overdue"])
        lines.append(
            MilestoneLine(*named, *states, *changed, done / expected, forecasts.get(m.milestone))
        )
    return lines


def basis_of(standings: Iterable[Standing]) -> Basis:
    """What shares are of."""
    return "due_by_now" if any(one.passed for one in standings) else "everything"


def compared(
    places: Mapping[str, Place],
    standings: Iterable[Standing],
    activity: Iterable[Activity],
    basis: Basis,
) -> list[Child]:
    """The children, the furthest ahead first: by share, then fewer overdue, then the shorter overdue; those of whom nothing is expected come last."""
    expected, done, overdue, worst = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for one in standings:
        if one.passed or basis == "everything":
            expected[one.child] += one.units
            done[one.child] += one.units if one.state in _DONE else 0
            overdue[one.child] += one.units if one.state == "overdue" else 0
            worst[one.child] = max(worst[one.child], one.worst)
    silent = {one.child: one.silent for one in activity}
    found = [
        Child(
            *(
                code,
                place.level,
                place.name_en,
                place.name_hi,
                expected[code],
                done[code],
                overdue[code],
                worst[code],
            ),
            share=done[code] / expected[code] if expected[code] else None,
            silent_booths=silent.get(code, 0),
        )
        for code, place in places.items()
    ]
    return sorted(
        found,
        key=lambda child: (
            child.share is None,
            -(child.share or 0),
            child.overdue,
            child.days_overdue,
            child.unit,
        ),
    )


def curves(
    milestones: Sequence[MilestoneLine], standings: Iterable[Standing], day: date
) -> list[Curve]:
    """How the last milestones of the lowest level came along; none for a single unit."""
    if not milestones or milestones[-1].expected == 1:
        return []
    shown = [m for m in milestones if m.level == milestones[-1].level][-CURVES:]
    by_day: dict[str, Counter[date]] = defaultdict(Counter)
    for one in standings:
        if one.done_at is not None:
            by_day[one.milestone][one.done_at] += one.units
    first = day - timedelta(days=TREND_DAYS - 1)
    found = []
    for m in shown:
        done = sum(count for on, count in by_day[m.milestone].items() if on < first)
        shares = []
        for number in range(TREND_DAYS):
            done += by_day[m.milestone][first + timedelta(days=number)]
            shares.append(done / m.expected)
        found.append(Curve(m.milestone, m.name_en, m.name_hi, m.deadline, first, shares))
    return found


def usual(values: Mapping[date, int], first: date | None, day: date) -> float | None:
    """The median of the days before a day; a day without a report counts as zero, since nothing was added. None: too few days since the first report."""
    since = max(first, day - timedelta(days=USUAL_DAYS)) if first else day
    days = [since + timedelta(days=number) for number in range((day - since).days)]
    return float(median(values.get(one, 0) for one in days)) if len(days) >= LEAST_DAYS else None


def amounts(figures: Sequence[DayFigure], to_date: Sequence[DayFigure], day: date) -> list[Amount]:
    """What the page says of the day; flows of which nothing was ever reported are left out."""
    found = []
    for name, metrics in FLOWS.items():
        total = [one for one in to_date if one.metric in metrics]
        if not total:
            continue
        values = summed(figures, metrics)
        verified = [
            one.verified_value for one in figures if one.metric in metrics and one.day == day
        ]
        found.append(
            Amount(
                *(
                    name,
                    values.get(day),
                    sum(verified) if verified else None,
                    usual(values, min(one.day for one in total), day),
                ),
                to_date=sum(one.value for one in total),
                verified_to_date=sum(one.verified_value for one in total),
            )
        )
    return found


def metric_amounts(
    metrics: Sequence[Metric], figures: Sequence[DayFigure], to_date: Sequence[DayFigure], day: date
) -> list[MetricAmount]:
    """Every metric of which anything was ever reported."""
    total = {one.metric: one for one in to_date}
    found = []
    for m in metrics:
        if m.metric in total:
            one, values = total[m.metric], summed(figures, (m.metric,))
            usually = None if m.is_stock else usual(values, one.day, day)
            found.append(
                MetricAmount(
                    m.metric,
                    m.name_en,
                    m.name_hi,
                    m.is_stock,
                    one.value if m.is_stock else values.get(day),
                    usually,
                    one.value,
                    one.verified_value,
                )
            )
    return found


def summed(figures: Iterable[DayFigure], metrics: Sequence[str]) -> dict[date, int]:
    """Day → the sum of some metrics; days on which none of them was reported are missing."""
    values: Counter[date] = Counter()
    for one in figures:
        if one.metric in metrics:
            values[one.day] += one.value
    return dict(values)


def daily(values: Mapping[date, int], last: date, days: int) -> list[DayAmount]:
    """Each of the last days."""
    return [
        DayAmount(on, values.get(on))
        for on in (last - timedelta(days=number) for number in reversed(range(days)))
    ]
