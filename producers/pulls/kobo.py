"""KoboToolbox: rows of the data API, and the asset's history for what an edit, a review or a deletion changed.

The data API tells no time but that of submission. The history tells the rest, in whole seconds, newest first, and so many days back as the account's plan has. Both need an API
token; the history needs the right to manage the project. Source: the kpi repository, `docs/api/v2/history/list.md`, `docs/api/v2/data/list.md`.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from producers.mapping.submissions import Submission
from producers.mapping.tools import kobo
from producers.pulls.http import ToolApi
from producers.pulls.pagination import Cursor, Page, PullError, Row, Unreadable, behind, page

_ROWS = 1_000
"""Of a page; no more are answered."""
_NAMED = 40
"""Submissions asked for by name at once: their names stand in the URL, which servers take up to 8 KiB."""
_SETTLED = timedelta(seconds=30)
"""An edit is fetched when it is this old: the data is written before the history, but another server may answer for it."""
_WITHIN = timedelta(milliseconds=999)
"""The history names a change by its second; it came behind a submission of the same second."""
_DELETE = "delete-submission"
_ACTIONS = f"(action:modify-submission OR action:{_DELETE})"


class _Change(NamedTuple):
    """The newest change of a submission."""

    changed_at: datetime
    deleted: bool


class KoboWalk:
    """Walks through one asset."""

    def __init__(self, api: ToolApi, *, asset: str, form: str) -> None:
        """Ask nothing yet.

        Args:
            api: authorised.
            asset: its uid.
            form: the asset's `_xform_id_string`.
        """
        self._api, self._form = api, form
        self._data, self._history = (
            f"/api/v2/assets/{asset}/data/",
            f"/api/v2/assets/{asset}/history/",
        )

    def pages(self, cursor: Cursor | None) -> Iterator[Page]:
        """First what was submitted, in the order of `_id`, then what changed, in the order of its time. See `Walk.pages`."""
        state = dict(cursor or {})
        if "changes" not in state:
            for one in self._submitted(state):
                state = dict(one.cursor)
                yield one
        yield from self._changed(state)

    def _submitted(self, state: dict[str, Any]) -> Iterator[Page]:
        wanted = {}
        if "since" in state:
            wanted["_submission_time"] = {
                "$gte": datetime.fromisoformat(state["since"]).strftime("%Y-%m-%dT%H:%M:%S")
            }
        for at, rows, last in self._rows(wanted, state.get("after", 0)):
            state = {
                "began": at.isoformat(),
                **state,
                **({"changes": None} if last is None else {"after": last}),
            }
            yield self._page(rows, {}, state)

    def _changed(self, state: dict[str, Any]) -> Iterator[Page]:
        """What the history names, fetched as it stands now: that is the change, or something newer, which the next walk names."""
        began = datetime.fromisoformat(state["began"])
        changes, unreadable = self._listing(state.get("since"))
        order = sorted(
            (
                name
                for name, change in changes.items()
                if change.deleted or change.changed_at < began - _SETTLED
            ),
            key=lambda name: (changes[name].changed_at, name),
        )
        if state["changes"] is not None:
            at, last = datetime.fromisoformat(state["changes"][0]), state["changes"][1]
            order = [name for name in order if (changes[name].changed_at, name) > (at, last)]
        for first in range(0, len(order), _NAMED):
            names = order[first : first + _NAMED]
            state = {**state, "changes": [changes[names[-1]].changed_at.isoformat(), names[-1]]}
            yield self._as_they_stand({name: changes[name] for name in names}, state)
        yield Page([], behind(began), unreadable)

    def _as_they_stand(self, changes: dict[str, _Change], state: Cursor) -> Page:
        gone = [
            Submission(self._form, name, change.changed_at, deleted=True)
            for name, change in changes.items()
            if change.deleted
        ]
        names = [name for name, change in changes.items() if not change.deleted]
        if not names:
            return Page(gone, state)
        wanted = {
            "$or": [
                {"meta/rootUuid": {"$in": [f"uuid:{name}" for name in names]}},
                {"_uuid": {"$in": names}},
            ]
        }
        found = self._page(
            [row for _, rows, _ in self._rows(wanted) for row in rows], changes, state
        )
        return Page(gone + found.submissions, state, found.unreadable)

    def _rows(
        self, wanted: dict[str, Any], after: int = 0
    ) -> Iterator[tuple[datetime, list[Row], int | None]]:
        """Rows in the order of `_id`: the tool's time, a page, and the `_id` behind which the next begins, None behind the last.

        Counted from the start instead, rows would slip past when one before them is deleted.
        """
        last: int | None = after
        while last is not None:
            query = json.dumps(wanted | {"_id": {"$gt": last}})
            answer = self._api.get(
                self._data, query=query, sort='{"_id":1}', limit=_ROWS, format="json"
            )
            rows = answer.rows("results", "_id", int)
            last = rows[-1]["_id"] if rows and answer.part("next") is not None else None
            yield answer.at, rows, last

    def _listing(self, since: str | None) -> tuple[dict[str, _Change], list[Unreadable]]:
        """Root UUID → its newest change; and entries that name no submission."""
        changes: dict[str, _Change] = {}
        unreadable = []
        for entry in self._entries(since):
            try:
                change = _Change(
                    datetime.fromisoformat(entry["date_created"]) + _WITHIN,
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

    def _entries(self, since: str | None) -> Iterator[Row]:
        """Newest first, so that what is added meanwhile pushes others onto the next page, where they come again, and hides none."""
        query = _ACTIONS
        if since is not None:
            query += f' AND date_created__gte:"{datetime.fromisoformat(since):%Y-%m-%dT%H:%M:%SZ}"'
        start, more = 0, True
        while more:
            answer = self._api.get(self._history, q=query, start=start, limit=_ROWS, format="json")
            entries, more = (
                answer.rows("results", "date_created", str),
                answer.part("next") is not None,
            )
            yield from entries
            start += len(entries)

    def _page(self, rows: list[Row], changes: dict[str, _Change], cursor: Cursor) -> Page:
        def submission(row: Row) -> Submission:
            found = kobo.read_row(row)
            if found.form != self._form:
                msg = f'the asset\'s form is called {found.form!r} by KoboToolbox: say form = "{found.form}" in [pull]'
                raise PullError(msg)
            change = changes.get(found.name)
            return found if change is None else kobo.read_row(row, change.changed_at)

        return page(rows, "_id", submission, cursor)
