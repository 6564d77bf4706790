"""CommCare HQ: the list of forms, by when its index took them in.

`indexed_on` rises with every change of a form: submission, edit, archiving. It needs an API key of an account with the right to edit data. Source: the commcare-hq
repository, `docs/api/spec/form-v1.json`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from producers.mapping.tools import commcare
from producers.pulls.http import ToolApi
from producers.pulls.pagination import Cursor, Page, PullError, behind, page

_ROWS = 1_000
"""Of a page; no more are answered."""


class CommCareWalk:
    """Walks through a project space, or one form of it."""

    def __init__(self, api: ToolApi, *, domain: str, xmlns: str | None = None) -> None:
        """Ask nothing yet.

        Args:
            api: authorised.
            domain: the project space.
            xmlns: of the form; all forms if None.
        """
        self._api, self._path = api, f"/a/{domain}/api/form/v1/"
        self._form = {"xmlns": xmlns} if xmlns else {}

    def pages(self, cursor: Cursor | None) -> Iterator[Page]:
        """In the order of `indexed_on`. See `Walk.pages`.

        A page begins at the last one's last instant: counted from the start, forms would slip past when one before them changes and goes to the end. Only where
        one instant fills a page it is counted within that instant.
        """
        state = dict(cursor or {})
        more = True
        while more:
            start, offset = state.get("start", state.get("since")), state.get("offset", 0)
            bounds = (
                {}
                if start is None
                else {
                    "indexed_on_start": datetime.fromisoformat(start)
                    .astimezone(UTC)
                    .strftime("%Y-%m-%dT%H:%M:%S.%f")
                }
            )
            answer = self._api.get(
                self._path,
                **self._form,
                **bounds,
                include_archived="true",
                order_by="indexed_on",
                limit=_ROWS,
                offset=offset,
            )
            forms, more = (
                answer.rows("objects", "id", str),
                answer.part("meta", dict).get("next") is not None,
            )
            state = {"began": answer.at.isoformat(), **state}
            if more:
                last = forms[-1].get("indexed_on") if forms else None
                if not isinstance(last, str):
                    msg = f"{answer.where}: forms have no indexed_on; a CommCare HQ with the form API v1 is needed"
                    raise PullError(msg)
                state |= {
                    "start": last,
                    "offset": offset + len(forms)
                    if start is not None and _instant(last) <= _instant(start)
                    else 0,
                }
            yield page(
                forms,
                "id",
                commcare.read_row,
                state if more else behind(datetime.fromisoformat(state["began"])),
            )


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
