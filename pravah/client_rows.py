"""Rows that `pravah.Client` reads: their types, and their conversion to a Polars data frame.

A row is the JSON object of the API, in which a day is text. A data frame has columns of dates,
numbers and texts.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from types import NoneType
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    NotRequired,
    TypedDict,
    TypeVar,
    get_args,
    get_type_hints,
)

from pravah.errors import PravahError

if TYPE_CHECKING:
    import polars as pl

# A row of an answer, by the names of its columns.
Row = dict[str, Any]
# A day in Asia/Kolkata, such as 2022-06-30.
Day = str
# Columns that have days, of any path.
_DAYS = frozenset({
    "day", "deadline", "done_at", "last_report", "first_day", "last_day", "valid_from", "valid_to",
    "reached_at", "earliest", "latest",
})  # fmt: skip

R = TypeVar("R", bound=Mapping[str, Any])


class MissingPolarsError(PravahError, ImportError):
    """Polars is not installed."""


class UnitNames(TypedDict):
    """Names of `unit`, in rows that were requested with `names=True`."""

    unit_name_en: NotRequired[str]
    unit_name_hi: NotRequired[str]


class MetricNames(TypedDict):
    """Names of `metric`, in rows that were requested with `names=True`."""

    metric_name_en: NotRequired[str]
    metric_name_hi: NotRequired[str]


class MilestoneNames(TypedDict):
    """Names of `milestone`, in rows that were requested with `names=True`."""

    milestone_name_en: NotRequired[str]
    milestone_name_hi: NotRequired[str]


class RollupRow(UnitNames, MetricNames):
    """A figure of `/v1/rollups`: a day's, week's or month's."""

    day: Day
    level: str
    unit: str
    metric: str
    value: int
    verified_value: int


class TotalRow(UnitNames, MetricNames):
    """A figure of `/v1/totals`: a flow to date, or a stock now."""

    level: str
    unit: str
    metric: str
    value: int
    verified_value: int


class ProgressRow(UnitNames, MilestoneNames):
    """A milestone's progress below a unit, of `/v1/plan`."""

    milestone: str
    name_en: str
    name_hi: str
    deadline: Day
    level: str
    unit: str
    expected: int
    done_on_time: int
    done_late: int
    overdue: int
    due: int
    known_late: int


class DefaulterRow(UnitNames, MilestoneNames):
    """A milestone that a unit has missed, of `/v1/defaulters`."""

    unit: str
    level: str
    name_en: str
    name_hi: str
    milestone: str
    deadline: Day
    days_overdue: int
    blocks: int
    responsible: str
    last_report: Day | None
    call_name: NotRequired[str]
    call_phone: NotRequired[str]
    call_language: NotRequired[str]


class UnitRow(UnitNames):
    """A unit of the registry, of `/v1/units`."""

    unit: str
    level: str
    name_en: str
    name_hi: str
    valid_from: Day | None
    valid_to: Day | None
    latitude: float | None
    longitude: float | None


class MetricRow(MetricNames):
    """A metric of the dictionary, of `/v1/metrics`; `unit` is what it is measured in."""

    metric: str
    type: str
    unit: str
    name_en: str
    name_hi: str


class Rows(Iterator[R], Generic[R]):
    """Rows of an answer, read page by page while they are iterated, once."""

    def __init__(
        self, pages: Iterable[list[R]], kind: type | None = None, *, names: object = False
    ) -> None:
        """Begin before the first row.

        Args:
            pages: of the answer.
            kind: the type of a row, for the columns of an answer without rows.
            names: whether names were requested.
        """
        self._rows = (row for page in pages for row in page)
        self._hints = get_type_hints(kind) if kind else {}
        required: frozenset[str] = getattr(kind, "__required_keys__", frozenset())
        self._columns = [
            name
            for name in self._hints
            if name in required or (names and re.fullmatch(r"\w+_name_(en|hi)", name))
        ]

    def __next__(self) -> R:
        return next(self._rows)

    def to_polars(self) -> "pl.DataFrame":
        """Read all rows into a data frame, with dates as `Date` and numbers as `Int64`.

        Raises:
            MissingPolarsError: Polars is not installed.
            ApiError: as for `Client.get`.
        """
        try:
            import polars as pl
        except ImportError:
            msg = "to_polars() needs Polars: pip install 'pravah[polars]'"
            raise MissingPolarsError(msg) from None
        rows = list(self)
        columns = list(rows[0]) if rows else self._columns
        types = {str: pl.String, int: pl.Int64, float: pl.Float64}
        frame = pl.DataFrame(
            rows,
            schema={name: types.get(_base_type(self._hints.get(name))) for name in columns},
            infer_schema_length=None,
        )
        return frame.with_columns(
            pl.col(name).cast(pl.String).str.to_date() for name in columns if name in _DAYS
        )


def _base_type(hint: Any) -> Any:
    """A type, without None: str of `str | None`."""
    return next((part for part in get_args(hint) if part is not NoneType), hint)
