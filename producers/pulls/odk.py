"""ODK Central: the OData feed of a form, with edits, reviews and deletions.

One query selects everything submitted, changed or deleted since an instant. Central answers newest
first, and pages by a token that names a row. It needs v2024.3, which can filter by `deletedAt`, and
an account that may read submissions. Source: the central-backend repository, `docs/api.yaml`
"Data Document".
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote, urlsplit

from producers.mapping.tools import odk
from producers.pulls.http import ToolApi
from producers.pulls.pagination import Cursor, Page, completed_cursor, parse_page

# Rows per page: forms with repeats and groups can be large.
_PAGE_SIZE = 500
# A filter that names deletedAt returns the deleted rows as well.
_TIMES = ("submissionDate", "updatedAt", "deletedAt")
_EPOCH = "1970-01-01T00:00:00+00:00"


class OdkPaginator:
    """Fetches the submissions of one form."""

    def __init__(self, api: ToolApi, *, project: int, form: str) -> None:
        """Prepare; sends no request.

        Args:
            api: authorised.
            project: its number.
            form: the form's `xmlFormId`.
        """
        self._api, self._form = api, form
        self._path = f"/v1/projects/{project}/forms/{quote(form, safe='')}.svc/Submissions"

    def pages(self, cursor: Cursor | None) -> Iterator[Page]:
        """Fetch in the order of submission, newest first. See `Paginator.pages`.

        A row that changes meanwhile is fetched by the next pull as well.
        """
        state = dict(cursor or {})
        since = (
            datetime.fromisoformat(state.get("since", _EPOCH))
            .astimezone(UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
        condition = " or ".join(f"__system/{name} ge {since}" for name in _TIMES)
        has_more = True
        while has_more:
            token = state.get("token")
            query: dict[str, str | int] = {"$filter": condition, "$expand": "*", "$top": _PAGE_SIZE}
            response = self._api.get(
                self._path, **query, **({"$skiptoken": token} if token else {})
            )
            rows = response.rows("value", "__id", str)
            if token and not rows:
                # Central does not report that the token's row was purged, so begin again. If
                # nothing is left instead, the rows read again are few.
                state = {name: value for name, value in state.items() if name == "since"}
                continue
            state = {"began": response.at.isoformat(), **state}
            next_link = urlsplit(response.content.get("@odata.nextLink") or "")
            next_token = parse_qs(next_link.query).get("$skiptoken")
            has_more = next_token is not None
            if next_token:
                state = {**state, "token": next_token[0]}
            yield parse_page(
                rows,
                "__id",
                lambda row: odk.read_row(row, self._form),
                state if has_more else completed_cursor(datetime.fromisoformat(state["began"])),
            )
