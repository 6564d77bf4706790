"""KoboToolbox: the data API, and the asset's history for edits, reviews and deletions.

The data API has no time but that of submission. The history has the times of changes, in whole
seconds, newest first, and for as many days as the account's plan allows. Both need an API token;
the history needs the right to manage the project. Source: the kpi repository,
`docs/api/v2/history/list.md`, `docs/api/v2/data/list.md`.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from producers.mapping.submissions import Submission
from producers.mapping.tools import kobo
from producers.pulls.http import ToolApi
from producers.pulls.pagination import (
    Cursor,
    Page,
    PullError,
    Row,
    Unreadable,
    completed_cursor,
    parse_page,
)

# Rows per page; the API's maximum.
_PAGE_SIZE = 1_000
# Submissions fetched by name in one request: the names are part of the URL, which servers accept up
# to 8 KiB.
_MAX_NAMES = 30
# An edit is fetched when it is this old: data is written before the history, but another server may
# answer for it.
_SETTLING_TIME = timedelta(seconds=30)
# The history has the second of a change; the change came after a submission of the same second.
_REST_OF_SECOND = timedelta(milliseconds=999)
_DELETE = "delete-submission"
_ACTIONS = f"(action:modify-submission OR action:{_DELETE})"


class _Change(NamedTuple):
    """The newest change of a submission."""

    changed_at: datetime
    deleted: bool


class KoboPaginator:
    """Fetches the submissions of one asset."""

    def __init__(self, api: ToolApi, *, asset: str, form: str) -> None:
        """Prepare; sends no request.

        Args:
            api: authorised.
            asset: its uid.
            form: the asset's `_xform_id_string`.
        """
        self._api, self._form = api, form
        self._data_path = f"/api/v2/assets/{asset}/data/"
        self._history_path = f"/api/v2/assets/{asset}/history/"

    def pages(self, cursor: Cursor | None) -> Iterator[Page]:
        """Fetch new submissions by `_id`, then changed ones by time. See `Paginator.pages`."""
        state = dict(cursor or {})
        if "changes" not in state:
            for one in self._new_submissions(state):
                state = dict(one.cursor)
                yield one
        yield from self._changed_submissions(state)

    def _new_submissions(self, state: dict[str, Any]) -> Iterator[Page]:
        condition = {}
        if "since" in state:
            condition["_submission_time"] = {
                "$gte": datetime.fromisoformat(state["since"]).strftime("%Y-%m-%dT%H:%M:%S")
            }
        for at, rows, last in self._rows(condition, state.get("after", 0)):
            state = {
                "began": at.isoformat(),
                **state,
                **({"changes": None} if last is None else {"after": last}),
            }
            yield self._page(rows, {}, state)

    def _changed_submissions(self, state: dict[str, Any]) -> Iterator[Page]:
        """Fetch the submissions named by the history in their present state.

        That is the change in the history or a newer one, which the next pull finds there.
        """
        began = datetime.fromisoformat(state["began"])
        changes, unreadable = self._changes(state.get("since"))
        order = sorted(
            (
                name
                for name, change in changes.items()
                if change.deleted or change.changed_at < began - _SETTLING_TIME
            ),
            key=lambda name: (changes[name].changed_at, name),
        )
        if state["changes"] is not None:
            at, last = datetime.fromisoformat(state["changes"][0]), state["changes"][1]
            order = [name for name in order if (changes[name].changed_at, name) > (at, last)]
        for first in range(0, len(order), _MAX_NAMES):
            names = order[first : first + _MAX_NAMES]
            state = {**state, "changes": [changes[names[-1]].changed_at.isoformat(), names[-1]]}
            yield self._current_states({name: changes[name] for name in names}, state)
        yield Page([], completed_cursor(began), unreadable)

    def _current_states(self, changes: dict[str, _Change], state: Cursor) -> Page:
        deleted = [
            Submission(self._form, name, change.changed_at, deleted=True)
            for name, change in changes.items()
            if change.deleted
        ]
        names = [name for name, change in changes.items() if not change.deleted]
        if not names:
            return Page(deleted, state)
        condition = {
            "$or": [
                {"meta/rootUuid": {"$in": [f"uuid:{name}" for name in names]}},
                # an edited row of a server that has not written its root names yet
                {"meta/deprecatedID": {"$in": [f"uuid:{name}" for name in names]}},
                {"_uuid": {"$in": names}},
            ]
        }
        rows = [row for _, page_rows, _ in self._rows(condition) for row in page_rows]
        found = self._page(rows, changes, state)
        return Page(deleted + found.submissions, state, found.unreadable)

    def _rows(
        self, condition: dict[str, Any], after: int = 0
    ) -> Iterator[tuple[datetime, list[Row], int | None]]:
        """Fetch rows in the order of `_id`.

        Pages begin behind an `_id`: with offsets from the start, rows would be skipped when one
        before them is deleted.

        Yields:
            The tool's time; a page; and the `_id` behind which the next page begins, None behind
            the last one.
        """
        last: int | None = after
        while last is not None:
            query = json.dumps(condition | {"_id": {"$gt": last}})
            response = self._api.get(
                self._data_path, query=query, sort='{"_id":1}', limit=_PAGE_SIZE, format="json"
            )
            rows = response.rows("results", "_id", int)
            last = rows[-1]["_id"] if rows and response.require("next") is not None else None
            yield response.at, rows, last

    def _changes(self, since: str | None) -> tuple[dict[str, _Change], list[Unreadable]]:
        """Root UUID → its newest change; and history entries without a submission."""
        changes: dict[str, _Change] = {}
        unreadable = []
        for entry in self._history(since):
            try:
                change = _Change(
                    datetime.fromisoformat(entry["date_created"]) + _REST_OF_SECOND,
                    entry["action"] == _DELETE,
                )
                name = kobo.strip_uuid_prefix(entry["metadata"]["submission"]["root_uuid"])
            except (KeyError, TypeError, ValueError, AttributeError):
                unreadable.append(
                    Unreadable(
                        f"history of {entry.get('date_created')}",
                        "names no submission by its root UUID",
                    )
                )
                continue
            changes.setdefault(name, change)  # the newest comes first
        return changes, unreadable

    def _history(self, since: str | None) -> Iterator[Row]:
        """Fetch history entries, newest first.

        New entries push others onto the next page, where they are fetched twice; none is skipped.
        """
        query = _ACTIONS
        if since is not None:
            query += f' AND date_created__gte:"{datetime.fromisoformat(since):%Y-%m-%dT%H:%M:%SZ}"'
        start, has_more = 0, True
        while has_more:
            response = self._api.get(
                self._history_path, q=query, start=start, limit=_PAGE_SIZE, format="json"
            )
            entries = response.rows("results", "date_created", str)
            has_more = response.require("next") is not None
            yield from entries
            start += len(entries)

    def _page(self, rows: list[Row], changes: dict[str, _Change], cursor: Cursor) -> Page:
        def parse(row: Row) -> Submission:
            found = kobo.read_row(row)
            if found.form != self._form:
                msg = (
                    f"the asset's form is called {found.form!r} by KoboToolbox: "
                    f'say form = "{found.form}" in [pull]'
                )
                raise PullError(msg)
            names = (found.name, found.state, found.previous)
            change = next((changes[name] for name in names if name in changes), None)
            return found if change is None else kobo.read_row(row, change.changed_at)

        return parse_page(rows, "_id", parse, cursor)
