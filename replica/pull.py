"""Pulls one source's change feed into a copy, then compares totals with the source's own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx2

from pravah.client import MAX_ATTEMPTS, ApiError, Client
from pravah.days import KOLKATA
from pravah.errors import PravahError
from replica.sources import Source

if TYPE_CHECKING:
    from replica.store import Copy

PAGE_SIZE = 100_000
# Comparisons before giving up on a source whose figures change each time.
_MAX_COMPARISONS = 5


class PullError(PravahError):
    """A source cannot be pulled, and repeating the request would not help."""


@dataclass
class PullResult:
    """Outcome of pulling one source."""

    source: str
    pages: int = 0
    rows: int = 0
    began_anew: bool = False
    """Whether the source's figures were rebuilt, so that the copy began without a cursor."""
    figures: int = 0
    """Totals that were compared with the source's own."""
    different: int = 0
    """Compared totals that differ."""
    moving: bool = False
    """Whether the source's figures changed during every comparison."""


class Puller:
    """Pulls one source into a copy."""

    def __init__(
        self,
        source: Source,
        copy: "Copy",
        *,
        page_size: int = PAGE_SIZE,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Create a puller. It connects with the first request.

        Args:
            source: where to pull from.
            copy: where to keep the figures.
            page_size: rows to ask for at a time.
            transport: how requests are sent; over the network by default.

        Raises:
            PullError: the source's token cannot be sent.
        """
        self._source, self._copy = source, copy
        try:
            self._client = Client(
                source.url,
                source.token,
                page_size=page_size,
                max_attempts=MAX_ATTEMPTS,
                transport=transport,
            )
        except ValueError as error:
            msg = f"{source.name}: {error}"
            raise PullError(msg) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def pull(self, on_page: Callable[[PullResult], None] = lambda _: None) -> PullResult:
        """Apply all changes, then compare the copy's totals of states with the source's own.

        Args:
            on_page: called after each page with the result so far.

        Raises:
            PullError: the source refuses a request, or does not answer.
        """
        result = PullResult(self._source.name)
        try:
            for number in range(_MAX_COMPARISONS):
                for rows in self._pages(result):
                    result.pages, result.rows = result.pages + 1, result.rows + rows
                    on_page(result)
                self._copy.compact()
                if self._compare(result):
                    return result
                result.moving = number == _MAX_COMPARISONS - 1
        except ApiError as error:
            msg = f"{self._source.name}: {error}"
            raise PullError(msg) from error
        return result

    def _pages(self, result: PullResult) -> Iterator[int]:
        """Apply page after page; yields the number of rows of each."""
        has_more = True
        while has_more:
            try:
                page = self._client.changes(self._copy.cursor())
            except ApiError as error:
                if error.status != HTTPStatus.GONE:
                    raise
                self._copy.reset()
                result.began_anew = True
                continue
            self._copy.apply(page.rows, page.cursor)
            has_more = page.has_more
            yield len(page.rows)

    def _compare(self, result: PullResult) -> bool:
        """Compare totals; False if the source's figures changed since the last page."""
        stocks = [row["metric"] for row in self._client.metrics() if row["type"] == "stock"]
        day = datetime.now(KOLKATA).date().isoformat()
        theirs = {
            (row["unit"], row["metric"]): (row["value"], row["verified_value"])
            for row in self._client.totals(level="state")
        }
        if self._client.changes(self._copy.cursor(), limit=1).rows:
            return False
        ours = {
            (unit, metric): (value, verified)
            for _, unit, metric, value, verified in self._copy.totals("state", day, stocks)
        }
        result.figures = len(theirs)
        result.different = sum(
            theirs.get(key, (0, 0)) != ours.get(key, (0, 0)) for key in theirs.keys() | ours.keys()
        )
        return True
