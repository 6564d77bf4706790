"""Request parameters that several paths share, with their bounds and OpenAPI descriptions.

`UnitParams`, `FigureParams`, `MilestoneParams`, `DayParams` and `PageParams` are dependencies:
FastAPI turns their fields into query parameters of each path that depends on one.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BeforeValidator, StringConstraints

from api.formats import Format
from api.problems import parameter_problem
from pravah.days import FIRST_DAY, KOLKATA, LAST_DAY, date_of, end_of_day, parse_day, parse_instant
from pravah.units import Level

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 1_000, 100_000
MAX_UNITS = 1_000
MAX_DAYS = 400

# A unit's code or name, a metric, a milestone: `resolve_selection` looks them up.
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]

FIRST, LAST = date_of(FIRST_DAY), date_of(LAST_DAY)
FIRST_INSTANT, LAST_INSTANT = (
    datetime(day.year, day.month, day.day, tzinfo=KOLKATA) for day in (FIRST, LAST)
)

READ_DAY = BeforeValidator(parse_day)
READ_INSTANT = BeforeValidator(parse_instant)

LevelFilter = Annotated[
    Level | None,
    Query(
        description=(
            "Units of this level below the given ones, by the hierarchy of each row's day."
        ),
        examples=["district"],
    ),
]
MetricFilter = Annotated[
    list[Name],
    Query(
        default_factory=list,
        max_length=200,
        description="Metrics; by default all.",
        examples=[["members_digital"]],
    ),
]
UnitParam = Annotated[
    Name | None,
    Query(
        description="A unit's code, or its name in English or Hindi; by default the token's unit.",
        examples=["CG-D-NRP"],
    ),
]
AsOf = Annotated[
    date | None,
    READ_DAY,
    Query(
        alias="date",
        ge=FIRST,
        le=LAST,
        description="Status at the end of this day (Asia/Kolkata); by default now.",
        examples=["2022-06-30"],
    ),
]
FormatParam = Annotated[
    Format | None,
    Query(
        alias="format",
        description="Format of the response; takes precedence over `Accept`.",
        examples=["csv"],
    ),
]

Names = Annotated[
    bool,
    Query(
        description=(
            "Also the names of each unit, metric and milestone, in English and Hindi:"
            " `unit_name_en`, `unit_name_hi`, `metric_name_en` and so on."
        ),
        examples=[True],
    ),
]
Cursor = Annotated[
    str | None,
    Query(
        max_length=16_384,
        description="`next` of the page before; without it, from the start.",
        examples=["WyIyMDIyLTA2LTMwIl0"],
    ),
]


@dataclass(kw_only=True)
class UnitParams:
    """Units, or a level below them."""

    unit: Annotated[
        list[Name],
        Query(
            default_factory=list,
            max_length=MAX_UNITS,
            description=(
                "Units by code, or by name in English or Hindi; by default the token's unit."
            ),
            examples=[["CG-D-NRP"]],
        ),
    ]
    level: LevelFilter = None


@dataclass(kw_only=True)
class FigureParams(UnitParams):
    """Metrics of units."""

    metric: MetricFilter


@dataclass(kw_only=True)
class MilestoneParams(UnitParams):
    """Milestones of units on a day."""

    milestone: Annotated[
        list[Name],
        Query(
            default_factory=list,
            max_length=200,
            description="Milestones; by default all.",
            examples=[["booth_groups"]],
        ),
    ]
    on: AsOf = None

    @property
    def as_of(self) -> datetime:
        """Last second of the day in Asia/Kolkata, or now."""
        return end_of_day(self.on)


@dataclass(kw_only=True)
class DayParams:
    """A range of days, first and last included."""

    first: Annotated[
        date | None,
        READ_DAY,
        Query(
            alias="from",
            ge=FIRST,
            le=LAST,
            description="First day (Asia/Kolkata).",
            examples=["2022-06-01"],
        ),
    ] = None
    last: Annotated[
        date | None,
        READ_DAY,
        Query(
            alias="to",
            ge=FIRST,
            le=LAST,
            description="Last day (Asia/Kolkata).",
            examples=["2022-06-30"],
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check the order of the days.

        Raises:
            Problem: 400.
        """
        if self.first and self.last and self.last < self.first:
            raise parameter_problem({"to": f"{self.last} lies before {self.first}"})

    def with_default(self, days: int) -> "DayParams":
        """The range, by default the last `days` days up to today.

        Raises:
            Problem: 400, the range is longer than MAX_DAYS.
        """
        last = self.last or datetime.now(KOLKATA).date()
        first = self.first or max(last - timedelta(days=days - 1), FIRST)
        if not 0 <= (last - first).days < MAX_DAYS:
            detail = f"from 1 to {MAX_DAYS} days up to `to` can be requested at once"
            raise parameter_problem({"from" if self.first else "to": detail})
        return DayParams(first=first, last=last)


@dataclass(kw_only=True)
class PageParams:
    """A page of the answer, and its format."""

    limit: Annotated[
        int | None,
        Query(
            ge=1,
            le=MAX_PAGE_SIZE,
            description=(
                f"Rows per page; by default {DEFAULT_PAGE_SIZE:,} for JSON, and all rows for other"
                " formats."
            ),
            examples=[500],
        ),
    ] = None
    cursor: Cursor = None
    format_: FormatParam = None
    names: Names = False


UnitQuery = Annotated[UnitParams, Depends()]
FigureQuery = Annotated[FigureParams, Depends()]
MilestoneQuery = Annotated[MilestoneParams, Depends()]
DayQuery = Annotated[DayParams, Depends()]
PageQuery = Annotated[PageParams, Depends()]
