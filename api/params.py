"""What a request may ask for: the parameters that paths share, each with its bounds and its words in the OpenAPI description.

`Which`, `Figures`, `Milestones`, `Days` and `Paging` are dependencies: FastAPI reads their fields as parameters of the path that takes one.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Query
from pydantic import StringConstraints

from api.formats import Format
from pravah.days import FIRST_DAY, KOLKATA, LAST_DAY, date_of
from pravah.problems import Problem
from pravah.units import UNIT_CODE_PATTERN, Level

PAGE, LARGEST_PAGE = 1_000, 100_000
MOST_UNITS = 1_000
MOST_DAYS = 400

Code = Annotated[str, StringConstraints(pattern=UNIT_CODE_PATTERN)]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]

FIRST, LAST = date_of(FIRST_DAY), date_of(LAST_DAY)
FIRST_INSTANT, LAST_INSTANT = (
    datetime(day.year, day.month, day.day, tzinfo=KOLKATA) for day in (FIRST, LAST)
)

LevelFilter = Annotated[
    Level | None,
    Query(
        description="Rows of this level below the units, by the hierarchy of each row's day.",
        examples=["district"],
    ),
]
MetricFilter = Annotated[
    list[Word],
    Query(
        default_factory=list,
        max_length=200,
        description="Metrics; all if there are none.",
        examples=[["members_digital"]],
    ),
]
OneUnit = Annotated[
    Code | None,
    Query(description="A unit's code; the token's unit if there is none.", examples=["CG-D-NRP"]),
]
On = Annotated[
    date | None,
    Query(
        alias="date",
        ge=FIRST,
        le=LAST,
        description="As on the evening of this day, Asia/Kolkata; now by default.",
        examples=["2022-06-30"],
    ),
]
AskedFormat = Annotated[Format | None, Query(alias="format", description="Wins over `Accept`.")]


@dataclass(kw_only=True)
class Which:
    """Units, or what is below them."""

    unit: Annotated[
        list[Code],
        Query(
            default_factory=list,
            max_length=MOST_UNITS,
            description="Unit codes; the token's unit if there are none.",
            examples=[["CG-D-NRP"]],
        ),
    ]
    level: LevelFilter = None


@dataclass(kw_only=True)
class Figures(Which):
    """Metrics of units."""

    metric: MetricFilter


@dataclass(kw_only=True)
class Milestones(Which):
    """Milestones of units, on a day."""

    milestone: Annotated[
        list[Word],
        Query(
            default_factory=list,
            max_length=200,
            description="Milestones; all if there are none.",
            examples=[["booth_groups"]],
        ),
    ]
    on: On = None

    @property
    def as_of(self) -> datetime:
        """The last second of the day in Asia/Kolkata, or now."""
        return evening(self.on)


@dataclass(kw_only=True)
class Days:
    """From one day to another, both included."""

    first: Annotated[
        date | None,
        Query(
            alias="from",
            ge=FIRST,
            le=LAST,
            description="The first day, Asia/Kolkata.",
            examples=["2022-06-01"],
        ),
    ] = None
    last: Annotated[
        date | None,
        Query(
            alias="to",
            ge=FIRST,
            le=LAST,
            description="The last day, Asia/Kolkata.",
            examples=["2022-06-30"],
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse days in the wrong order.

        Raises:
            Problem: 422.
        """
        if self.first and self.last and self.last < self.first:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, f"to: {self.last} lies before {self.first}"
            )

    def bounded(self, days: int) -> "Days":
        """The days asked for; by default so many up to today.

        Raises:
            Problem: 422, they are in the wrong order, or too many.
        """
        last = self.last or datetime.now(KOLKATA).date()
        first = self.first or max(last - timedelta(days=days - 1), FIRST)
        if not 0 <= (last - first).days < MOST_DAYS:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"from, to: from 1 to {MOST_DAYS} days can be asked for at once",
            )
        return Days(first=first, last=last)


@dataclass(kw_only=True)
class Paging:
    """How much of the answer, and in which form."""

    limit: Annotated[
        int | None,
        Query(
            ge=1,
            le=LARGEST_PAGE,
            description=(
                f"Rows of a page; {PAGE:,} by default for JSON. Other formats come whole if it is"
                " not given."
            ),
        ),
    ] = None
    cursor: Annotated[
        str | None, Query(max_length=8_192, description="`next` of the page before.")
    ] = None
    asked: AskedFormat = None


WhichUnits = Annotated[Which, Depends()]
WhichFigures = Annotated[Figures, Depends()]
WhichMilestones = Annotated[Milestones, Depends()]
WhichDays = Annotated[Days, Depends()]
Page = Annotated[Paging, Depends()]


def evening(day: date | None) -> datetime:
    """The last second of a day in Asia/Kolkata, or now."""
    return (
        datetime.now(KOLKATA)
        if day is None
        else datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=KOLKATA)
    )
