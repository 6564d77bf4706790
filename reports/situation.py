"""The situation report as data. Pure: `facts` reads what it is computed from.

Progress of a unit's programme on a day, what changed since the day before, the units furthest ahead
and behind, and defaulters. The dataclasses are also the report's JSON, by their fields' names.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import date, datetime, timedelta
from statistics import median
from typing import Literal

from pravah.units import Level
from sinks.control_room import Call, Defaulter, Office
from sinks.forecast import Forecast
from sinks.members import Members
from sinks.situation import Activity, Age, DayFigure, Metric, Milestone, Place, Standing
from sinks.unusual import UnusualValue

# What shares are of: the milestones whose deadline has passed, or all if none has passed.
Basis = Literal["due_by_now", "everything"]

# Level of the units that a report compares, by the level of its unit.
CHILD_LEVEL: dict[Level, Level] = {
    "national": "state",
    "state": "district",
    "division": "district",
    "district": "assembly",
    "assembly": "booth",
}
# The usual amount is the median of this many days before.
USUAL_DAYS = 28
# There is none with fewer days since the first report.
MIN_DAYS = 7
TREND_DAYS, MEMBER_DAYS = 150, 42
# Days of `Situation.shares`, that of the report included.
SHARE_DAYS = 15
# The last milestones of the plan have a curve.
MAX_CURVES = 3
_DONE = ("done_on_time", "done_late")

# Figure of the page → metrics that it sums.
FLOWS: dict[str, tuple[str, ...]] = {
    "members": ("members_manual", "members_digital"),
    "reach": ("reach_facebook", "reach_twitter", "reach_whatsapp"),
    "posts": ("posts_facebook", "posts_twitter", "posts_whatsapp"),
    "trainings": ("trainings",),
}


@dataclass(frozen=True)
class MilestoneLine:
    """Progress of one milestone at or below the unit.

    The four states add up to `expected`.
    """

    milestone: str
    level: Level
    name_en: str
    name_hi: str
    deadline: date
    days_left: int
    """Negative once the deadline has passed."""
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
    """Share of the expected that is done."""
    forecast: Forecast | None
    """When most units will have it, at the pace of the last week."""


@dataclass(frozen=True)
class Child:
    """A unit below, compared by the share done of `basis`."""

    unit: str
    level: Level
    name_en: str
    name_hi: str
    expected: int
    """Pairs of a unit and a milestone."""
    done: int
    overdue: int
    days_overdue: int
    """Days of the pair that is overdue longest."""
    share: float | None
    """Share of the expected that is done; None if nothing is expected."""
    silent_booths: int
    """Booths without a report in the last days."""
    newly_done: int = 0
    """Of `done`, those of the day of the report."""


@dataclass(frozen=True)
class Amount:
    """A flow on the day, its usual amount, and to date."""

    figure: str
    today: int | None
    """None if nothing was reported, which is not zero."""
    verified_today: int | None
    usual: float | None
    """None if there are too few days since the first report."""
    to_date: int
    verified_to_date: int
    day_before: int | None = None
    """The amount of the day before; None if nothing was reported."""


@dataclass(frozen=True)
class MetricAmount:
    """An amount of one metric; of a stock, `today` is its value at the end of the day."""

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
    """Share of a milestone that was done by the end of each day."""

    milestone: str
    name_en: str
    name_hi: str
    deadline: date
    first: date
    """Day of the first share; one share per day from then on."""
    shares: list[float]


@dataclass(frozen=True)
class DayAmount:
    """A flow on one day."""

    day: date
    amount: int | None
    """None if nothing was reported."""


@dataclass(frozen=True)
class Overdue:
    """A defaulter, and whom to call if the reader may read contacts."""

    about: Defaulter
    call: Call | None


@dataclass(frozen=True)
class OfficeCall:
    """An office with overdue units, and whom to call if the reader may read contacts."""

    about: Office
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
    """Sections of the report; empty for a unit that was not open on the day."""

    above: list[Place] = field(default_factory=list)
    """The units above it on that day, the nearest first."""
    basis: Basis = "everything"
    expected: int = 0
    """Pairs of a unit and a milestone, of those in `basis`."""
    done: int = 0
    overdue: int = 0
    share: float | None = None
    newly_done: int = 0
    """Pairs of all milestones that were done on the day."""
    newly_overdue: int = 0
    """Pairs of all milestones that are overdue since the day before."""
    shares: list[float] = field(default_factory=list)
    """Share of `expected` that was done by the end of each of the last days, up to this one."""
    milestones: list[MilestoneLine] = field(default_factory=list)
    amounts: list[Amount] = field(default_factory=list)
    metrics: list[MetricAmount] = field(default_factory=list)
    usual_days: int = USUAL_DAYS
    booths: Booths | None = None
    curves: list[Curve] = field(default_factory=list)
    members: Members | None = None
    """Reported, verified, and distinct persons; None if none was reported."""
    member_days: list[DayAmount] = field(default_factory=list)
    """New members on each of the last days."""
    child_level: Level | None = None
    children: list[Child] = field(default_factory=list)
    """The furthest ahead first."""
    compared_children: int = 0
    """Children from which anything is expected."""
    complete_children: int = 0
    idle_children: int = 0
    areas: dict[str, str] = field(default_factory=dict)
    """Assembly → the child that contains it on that day; the map is drawn from it."""
    offices: list[OfficeCall] = field(default_factory=list)
    """Those responsible for most of what is overdue, the one with most of it first."""
    defaulters: list[Overdue] = field(default_factory=list)
    more_defaulters: int = 0
    unusual: list[UnusualValue] = field(default_factory=list)
    """Outliers of the day, the strongest first."""
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
    """Whether the unit was open on the day; if not, the sections are empty."""

    @property
    def is_today(self) -> bool:
        """Whether the day is not over yet."""
        return self.as_of == self.made_at

    @property
    def has_contacts(self) -> bool:
        """Whether it says whom to call, of at least one office."""
        return any(one.call for one in self.offices)


def build_milestone_lines(
    milestones: Sequence[Milestone],
    standings: Iterable[Standing],
    forecasts: Mapping[str, Forecast],
    day: date,
) -> list[MilestoneLine]:
    """The programme by milestone, without milestones that are expected of no unit."""
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


def find_basis(standings: Iterable[Standing]) -> Basis:
    """The basis of shares on the day."""
    return "due_by_now" if any(one.passed for one in standings) else "everything"


def compare_children(
    places: Mapping[str, Place],
    standings: Iterable[Standing],
    activity: Iterable[Activity],
    basis: Basis,
    day: date,
) -> list[Child]:
    """The children, the furthest ahead first.

    By share, then by fewer overdue, then by fewer days overdue; those from which nothing is
    expected come last.
    """
    expected, done, overdue, worst = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    newly_done = Counter[str]()
    for one in standings:
        if one.passed or basis == "everything":
            expected[one.child] += one.units
            done[one.child] += one.units if one.state in _DONE else 0
            overdue[one.child] += one.units if one.state == "overdue" else 0
            newly_done[one.child] += one.units if one.done_at == day else 0
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
            newly_done=newly_done[code],
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


def shares_by_day(standings: Sequence[Standing], day: date) -> list[float]:
    """Share of some standings that was done by the end of each of the last SHARE_DAYS days."""
    expected = sum(one.units for one in standings)
    days = [day - timedelta(days=number) for number in reversed(range(SHARE_DAYS))]
    return [
        sum(one.units for one in standings if one.done_at is not None and one.done_at <= on)
        / expected
        for on in days
    ]


def build_curves(
    milestones: Sequence[MilestoneLine], standings: Iterable[Standing], day: date
) -> list[Curve]:
    """Curves of the last milestones of the lowest level; none for a single unit."""
    if not milestones or milestones[-1].expected == 1:
        return []
    shown = [m for m in milestones if m.level == milestones[-1].level][-MAX_CURVES:]
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


def usual_amount(values: Mapping[date, int], first: date | None, day: date) -> float | None:
    """Median of the days before a day.

    A day without a report counts as zero, since it added nothing.

    Args:
        values: day → amount.
        first: day of the first report; None if there is none.
        day: the day of the report.

    Returns:
        None if there are fewer than MIN_DAYS days since the first report.
    """
    since = max(first, day - timedelta(days=USUAL_DAYS)) if first else day
    days = [since + timedelta(days=number) for number in range((day - since).days)]
    return float(median(values.get(one, 0) for one in days)) if len(days) >= MIN_DAYS else None


def build_amounts(
    figures: Sequence[DayFigure], to_date: Sequence[DayFigure], day: date
) -> list[Amount]:
    """The page's flows, without those that were never reported."""
    found = []
    for name, metrics in FLOWS.items():
        total = [one for one in to_date if one.metric in metrics]
        if not total:
            continue
        values = sum_by_day(figures, metrics)
        verified = [
            one.verified_value for one in figures if one.metric in metrics and one.day == day
        ]
        found.append(
            Amount(
                *(
                    name,
                    values.get(day),
                    sum(verified) if verified else None,
                    usual_amount(values, min(one.day for one in total), day),
                ),
                to_date=sum(one.value for one in total),
                verified_to_date=sum(one.verified_value for one in total),
                day_before=values.get(day - timedelta(days=1)),
            )
        )
    return found


def build_metric_amounts(
    metrics: Sequence[Metric], figures: Sequence[DayFigure], to_date: Sequence[DayFigure], day: date
) -> list[MetricAmount]:
    """Every metric that was ever reported."""
    total = {one.metric: one for one in to_date}
    found = []
    for m in metrics:
        if m.metric in total:
            one, values = total[m.metric], sum_by_day(figures, (m.metric,))
            usually = None if m.is_stock else usual_amount(values, one.day, day)
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


def sum_by_day(figures: Iterable[DayFigure], metrics: Sequence[str]) -> dict[date, int]:
    """Day → sum of some metrics, without days on which none of them was reported."""
    values: Counter[date] = Counter()
    for one in figures:
        if one.metric in metrics:
            values[one.day] += one.value
    return dict(values)


def amounts_by_day(values: Mapping[date, int], last: date, days: int) -> list[DayAmount]:
    """Amounts of the last `days` days, in order."""
    return [
        DayAmount(on, values.get(on))
        for on in (last - timedelta(days=number) for number in reversed(range(days)))
    ]
