"""Pulls a source into the gateway's store: each page with its cursor, in one transaction."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import orjson

from producers.gateway.ingest import IngestService
from producers.gateway.registry import NotReadyError
from producers.gateway.sources import FieldSource
from producers.gateway.store import StoreBusyError
from producers.gateway.transaction import Transaction
from producers.mapping.submissions import Submission
from producers.outbox import OutboxBusyError, OutboxFullError
from producers.pulls.options import open_paginator
from producers.pulls.pagination import Cursor, Page, PullError, Unreadable, is_completed

# Errors after which the next pull may succeed.
PULL_ERRORS = (PullError, NotReadyError, StoreBusyError, OutboxBusyError, OutboxFullError)


@dataclass
class PullResult:
    """What a pull fetched."""

    source: str
    pages: int = 0
    accepted: int = 0
    repeated: int = 0
    refused: list[tuple[Submission, str, str]] = field(default_factory=list)
    """(submission, reason, detail)."""
    unreadable: list[Unreadable] = field(default_factory=list)

    @property
    def submissions(self) -> int:
        """Fetched rows; a submission may be fetched more than once."""
        return self.accepted + self.repeated + len(self.refused) + len(self.unreadable)


def pull(
    ingest: IngestService,
    source: FieldSource,
    *,
    from_beginning: bool = False,
    on_progress: Callable[[PullResult], object] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> PullResult:
    """Fetch everything that changed since the last pull.

    A pull may be killed at any moment; the next one continues there.

    Args:
        ingest: stores the pages.
        source: with a `[pull]`.
        from_beginning: fetch everything available; known states change nothing.
        on_progress: called after each page with the result so far.
        sleep: waits the given seconds before a request is tried again.

    Raises:
        PullError: the tool does not answer, or refuses. Earlier pages are stored.
        NotReadyError, StoreBusyError, OutboxFullError, OutboxBusyError: the gateway cannot store a
            page. Earlier pages are stored.
    """
    result = PullResult(source.name)
    stored = None if from_beginning else ingest.store.get_cursor(source.name)
    cursor: Cursor | None = None if stored is None else orjson.loads(stored)
    # an interrupted pull is completed first; it began long ago, so another one follows
    rounds = 1 if cursor is None or is_completed(cursor) else 2
    try:
        with open_paginator(source, sleep=sleep) as paginator:
            for _ in range(rounds):
                for page in paginator.pages(cursor):
                    _ingest_page(ingest, page, result)
                    cursor = page.cursor
                    on_progress(result)
    except PULL_ERRORS as error:
        with suppress(*PULL_ERRORS):
            ingest.store.submit(
                partial(Transaction.record_pull, source=source.name, trouble=str(error))
            ).result()
        raise
    ingest.store.submit(partial(Transaction.record_pull, source=source.name)).result()
    return result


def _ingest_page(ingest: IngestService, page: Page, result: PullResult) -> None:
    ingested = ingest.ingest_submissions(
        result.source, page.submissions, cursor=orjson.dumps(page.cursor).decode()
    )
    result.pages += 1
    result.accepted += ingested.accepted
    result.repeated += ingested.repeated
    result.refused += ingested.refused
    result.unreadable += page.unreadable
