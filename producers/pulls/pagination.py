"""Pagination: pages of submissions, and the cursor behind each."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from producers.mapping.submissions import Submission
from producers.mapping.tools import BodyError
from producers.mapping.tools.json_body import refuse_faults

# A pull begins this long before the instant at which the previous one began, because a change may
# become visible that much later than its time.
OVERLAP = timedelta(minutes=10)

# How far a pull has come, as JSON. `since`: changes before this instant are known. The other keys
# are the tool's own, and present only while pages are left.
Cursor = Mapping[str, Any]

Row = Mapping[str, Any]


class PullError(RuntimeError):
    """A pull failed, and a retry would not help now. One line that says what to do."""


@dataclass(frozen=True)
class Unreadable:
    """A row of a tool's API that is not a submission."""

    row: str
    detail: str


@dataclass(frozen=True)
class Page:
    """Some submissions, and the cursor behind them."""

    submissions: list[Submission]
    cursor: Cursor
    unreadable: list[Unreadable] = field(default_factory=list)


class Paginator(Protocol):
    """Fetches the changed submissions of a source, page by page."""

    def pages(self, cursor: Cursor | None) -> Iterator[Page]:
        """Fetch everything that changed since a cursor, or everything available without one.

        The cursor of the last page is where the next pull begins.

        Raises:
            PullError: the tool does not answer, or refuses.
        """
        ...


def parse_page(
    rows: list[Row], name: str, parse: Callable[[Row], Submission], cursor: Cursor
) -> Page:
    """Parse the rows of a page; unreadable rows are collected apart.

    Args:
        rows: as the tool's API has them.
        name: the field that identifies a row in messages.
        parse: the tool's adapter.
        cursor: behind the rows.
    """
    submissions, unreadable = [], []
    for row in rows:
        try:
            refuse_faults(row)
            submissions.append(parse(row))
        except BodyError as error:
            unreadable.append(Unreadable(str(row.get(name)), str(error)))
    return Page(submissions, cursor, unreadable)


def completed_cursor(started_at: datetime) -> Cursor:
    """The cursor behind the last page of a pull that began then."""
    return {"since": (started_at - OVERLAP).isoformat()}


def is_completed(cursor: Cursor) -> bool:
    """Whether a cursor is behind the last page of a pull."""
    return set(cursor) <= {"since"}
