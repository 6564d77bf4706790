"""CommCare HQ: the list of forms in the order of `indexed_on`.

`indexed_on` rises with every change of a form: submission, edit, archiving. The API key must belong
to an account with the right to edit data. Source: the commcare-hq repository,
`docs/api/spec/form-v1.json`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from producers.mapping.tools import commcare
from producers.pulls.http import ToolApi
from producers.pulls.pagination import (
    Cursor,
    Page,
    PullError,
    completed_cursor,
    parse_page,
)

# Rows per page; the API's maximum.
_PAGE_SIZE = 1_000


class CommCarePaginator:
    """Fetches the forms of a project space, or one form of it."""

    def __init__(self, api: ToolApi, *, domain: str, xmlns: str | None = None) -> None:
        """Prepare; sends no request.

        Args:
            api: authorised.
            domain: the project space.
            xmlns: of the form; None fetches all forms.
        """
        self._api, self._path = api, f"/a/{domain}/api/form/v1/"
        self._form = {"xmlns": xmlns} if xmlns else {}

    def pages(self, cursor: Cursor | None) -> Iterator[Page]:
        """Fetch in the order of `indexed_on`. See `Paginator.pages`.

        A page begins at the last instant of the previous page: with offsets from the start, forms
        would be skipped when one before them changes and moves to the end. An offset is used only
        within one instant that fills a page.
        """
        state = dict(cursor or {})
        has_more = True
        while has_more:
            start, offset = state.get("start", state.get("since")), state.get("offset", 0)
            bounds = {} if start is None else {"indexed_on_start": _format(start)}
            response = self._api.get(
                self._path,
                **self._form,
                **bounds,
                include_archived="true",
                order_by="indexed_on",
                limit=_PAGE_SIZE,
                offset=offset,
            )
            forms = response.rows("objects", "id", str)
            has_more = response.require("meta", dict).get("next") is not None
            state = {"began": response.at.isoformat(), **state}
            if has_more:
                last = forms[-1].get("indexed_on") if forms else None
                if not isinstance(last, str):
                    msg = (
                        f"{response.where}: forms have no indexed_on; a CommCare HQ with the form "
                        "API v1 is needed"
                    )
                    raise PullError(msg)
                is_one_instant = start is not None and _instant(last) <= _instant(start)
                state |= {"start": last, "offset": offset + len(forms) if is_one_instant else 0}
            yield parse_page(
                forms,
                "id",
                commcare.read_row,
                state if has_more else completed_cursor(datetime.fromisoformat(state["began"])),
            )


def _format(start: str) -> str:
    return datetime.fromisoformat(start).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
