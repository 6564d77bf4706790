"""The words of a walk through a tool's submissions."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from producers.mapping.submissions import Submission
from producers.mapping.tools import BodyError

OVERLAP = timedelta(minutes=10)
"""A walk starts so long before the instant at which the last one began: a change may become visible that much later than its time says."""

Cursor = Mapping[str, Any]
"""How far a walk is, as JSON. `since`: changes before this instant are known. The rest is there only while pages are left, and is the tool's own."""

Row = Mapping[str, Any]


class PullError(RuntimeError):
    """A tool cannot be asked, and asking again at once would not help: one line that says what to do."""


@dataclass(frozen=True)
class Unreadable:
    """A row that is no submission of its tool."""

    row: str
    detail: str


@dataclass(frozen=True)
class Page:
    """Some submissions, and how far the walk is behind them."""

    submissions: list[Submission]
    cursor: Cursor
    unreadable: list[Unreadable] = field(default_factory=list)


class Walk(Protocol):
    """Walks through what changed at one source."""

    def pages(self, cursor: Cursor | None) -> Iterator[Page]:
        """What changed since the cursor; everything that can be had if there is none. The last page's cursor is where the next walk begins.

        Raises:
            PullError: the tool does not answer, or refuses.
        """
        ...


def page(
    rows: list[Row], name: str, submission: Callable[[Row], Submission], cursor: Cursor
) -> Page:
    """Rows through the tool's adapter; those that it cannot read are kept apart.

    Args:
        rows: as the tool's API has them.
        name: the field that names a row for a person.
        submission: the adapter.
        cursor: behind the rows.
    """
    submissions, unreadable = [], []
    for row in rows:
        try:
            submissions.append(submission(row))
        except BodyError as error:
            unreadable.append(Unreadable(str(row.get(name)), str(error)))
    return Page(submissions, cursor, unreadable)


def behind(began: datetime) -> Cursor:
    """The cursor behind a whole walk that began then."""
    return {"since": (began - OVERLAP).isoformat()}
