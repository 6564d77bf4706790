"""ODK Central: the OData feed of a form, with edits, reviews and deletions.

One query asks for what was submitted, changed or deleted since. Central answers newest first and pages by a token that names a row. It needs v2024.3, which can filter by
`deletedAt`, and an account that may read submissions. Source: the central-backend repository, `docs/api.yaml` "Data Document".
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote, urlsplit

from producers.mapping.tools import odk
from producers.pulls.http import ToolApi
from producers.pulls.pagination import Cursor, Page, behind, page

_ROWS = 500
"""Of a page: forms with repeats and groups can be large."""
_TIMES = ("submissionDate", "updatedAt", "deletedAt")
_EVER = "1970-01-01T00:00:00+00:00"


class OdkWalk:
    """Walks through one form."""

    def __init__(self, api: ToolApi, *, project: int, form: str) -> None:
        """Ask nothing yet.

        Args:
            api: authorised.
            project: its number.
            form: the form's `xmlFormId`.
        """
        self._api, self._form = api, form
        self._path = f"/v1/projects/{project}/forms/{quote(form, safe='')}.svc/Submissions"

    def pages(self, cursor: Cursor | None) -> Iterator[Page]:
        """In the order of submission, newest first; a row that changes meanwhile is in the next walk as well. See `Walk.pages`."""
        state = dict(cursor or {})
        since = (
            datetime.fromisoformat(state.get("since", _EVER))
            .astimezone(UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
        wanted = " or ".join(
            f"__system/{name} ge {since}" for name in _TIMES
        )  # naming deletedAt brings the deleted as well
        more = True
        while more:
            token = state.get("token")
            query: dict[str, str | int] = {"$filter": wanted, "$expand": "*", "$top": _ROWS}
            answer = self._api.get(self._path, **query, **({"$skiptoken": token} if token else {}))
            rows = answer.rows("value", "__id", str)
            if token and not rows:
                # the row that the token names was purged, which Central does not tell; or nothing is left, and the rows are few
                state = {name: value for name, value in state.items() if name == "since"}
                continue
            state = {"began": answer.at.isoformat(), **state}
            following = parse_qs(urlsplit(answer.content.get("@odata.nextLink") or "").query).get(
                "$skiptoken"
            )
            more = following is not None
            yield page(
                rows,
                "__id",
                lambda row: odk.read_row(row, self._form),
                {**state, "token": following[0]}
                if following
                else behind(datetime.fromisoformat(state["began"])),
            )
            state = {**state, "token": following[0]} if following else state
