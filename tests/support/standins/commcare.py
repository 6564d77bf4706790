"""CommCare HQ: the list of forms (API v1), and form forwarding.

As in its documentation: `limit` is 20 by default, at most 1,000. `meta.next` pages by `offset`.
`indexed_on` is when the search index received a form, and always increases. Archived forms are
returned only with `include_archived`. An edit keeps the form's id. A repeat with one entry is an
object, not a list. A deleted form disappears. Forwarding sends the form in its state at the moment
of sending, for submissions and edits; failures are tried again after an hour, then three times as
late each time, up to seven days, six times in all.
"""

import json
import random
from datetime import UTC, datetime, timedelta

from tests.support.standins.server import (
    Answers,
    Clock,
    CurrentSubmission,
    Delivery,
    History,
    Request,
    Response,
    StandIn,
)

DOMAIN = "cg-social"
USER, KEY = "pull@example.org", "commcare-key"
XMLNS = "http://openrosa.org/formdesigner/booth-visit"
_LIST = f"/a/{DOMAIN}/api/form/v1/"


class CommCare(StandIn):
    """One form of one project space."""

    def __init__(self, clock: Clock, rng: random.Random, **options: object) -> None:
        super().__init__(clock, rng, **options)
        self._forms: dict[str, History] = {}

    # --- actions of people

    def submit(self, answers: Answers) -> str:
        name = self.uuid()
        self._forms[name] = History()
        form = {
            "name": name,
            "number": self.number(),
            "received": self.clock.now,
            "edited": None,
            "archived": False,
            "answers": answers,
        }
        self._put(name, form)
        self.call_hook(name, "form")
        return name

    def edit(self, name: str, answers: Answers) -> None:
        self._put(
            name, {**self._forms[name].latest(), "edited": self.clock.now, "answers": answers}
        )
        self.call_hook(name, "form")

    def review(self, name: str, verification: str) -> None:
        """Archive a rejected form: CommCare has no review, and archiving can be undone."""
        form = self._forms[name].latest()
        self._put(name, {**form, "archived": verification == "rejected"})

    def delete(self, name: str) -> None:
        """Archive; see `erase` for a deletion."""
        self._put(name, {**self._forms[name].latest(), "archived": True})

    def erase(self, name: str) -> None:
        del self._forms[name]

    def current_submissions(self) -> list[CurrentSubmission]:
        forms = [history.latest() for history in self._forms.values()]
        return [
            CurrentSubmission(form["name"], form["answers"], "unverified")
            for form in forms
            if not form["archived"]
        ]

    def _put(self, name: str, form: dict) -> None:
        indexed = self.change(name)
        history = self._forms[name]
        indexed = max(indexed, history.latest()["indexed"]) if form.get("indexed") else indexed
        # the index shows a form up to a few seconds later
        history.put(
            indexed + timedelta(seconds=self.rng.choice([0, 1, 5])),
            {**form, "modified": self.clock.now, "indexed": indexed},
        )

    # --- its API

    def get(self, request: Request) -> Response:
        if request.authorization != f"ApiKey {USER}:{KEY}":
            return Response(401, "")
        if request.path != _LIST:
            return Response(404, "")
        query = request.query
        forms = [
            form
            for history in self._forms.values()
            if (form := history.visible(self.clock.now)) is not None
        ]
        if query.get("xmlns", XMLNS) != XMLNS:
            forms = []
        if query.get("include_archived") != "true":
            forms = [form for form in forms if not form["archived"]]
        for name, column in (("indexed_on", "indexed"), ("received_on", "received")):
            for suffix, fits in (
                ("_start", lambda have, want: have >= want),
                ("_end", lambda have, want: have <= want),
            ):
                if name + suffix in query:
                    try:
                        wanted = datetime.fromisoformat(query[name + suffix])
                    except ValueError:
                        return Response(400, {"error": f"Bad query parameter {name + suffix}"})
                    wanted = wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)
                    forms = [form for form in forms if fits(form[column], wanted)]
        order = query.get("order_by", "-received_on")
        column = {
            "indexed_on": "indexed",
            "received_on": "received",
            "server_modified_on": "modified",
        }[order.removeprefix("-")]
        # equal instants have an arbitrary but stable order
        forms.sort(key=lambda form: (form[column], form["name"]), reverse=order.startswith("-"))
        limit, offset = (
            min(int(query.get("limit", 20)) or 1000, self.page),
            int(query.get("offset", 0)),
        )
        following = (
            f"{_LIST}?limit={limit}&offset={offset + limit}"
            if offset + limit < len(forms)
            else None
        )
        meta = {
            "limit": limit,
            "next": following,
            "offset": offset,
            "previous": None,
            "total_count": len(forms),
        }
        return Response(
            200, {"meta": meta, "objects": [_form(form) for form in forms[offset : offset + limit]]}
        )

    # --- its hook

    def hook_body(self, delivery: Delivery) -> bytes | None:
        return (
            json.dumps(_form(self._forms[delivery.name].latest())).encode()
            if delivery.name in self._forms
            else None
        )

    def retry_after(self, delivery: Delivery, status: int) -> float | None:
        return (
            None
            if status < 300 or delivery.attempt >= 6
            else min(3600.0 * 3 ** (delivery.attempt - 1), 7 * 86_400.0)
        )


def _time(moment: datetime | None) -> str | None:
    return (
        None
        if moment is None
        else moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )


def _form(form: dict) -> dict:
    answers: Answers = form["answers"]
    groups = [{"type": kind, "members": str(members)} for kind, members in answers.groups]
    meta = {
        "instanceID": form["name"],
        "userID": "u" * 32,
        "username": "field",
        "deviceID": "device",
        "timeStart": _time(form["received"]),
        "timeEnd": _time(form["received"]),
    }
    return {
        "id": form["name"],
        "domain": DOMAIN,
        "app_id": "effb341b",
        "archived": form["archived"],
        "received_on": _time(form["received"]),
        "server_modified_on": _time(form["modified"]),
        "edited_on": _time(form["edited"]),
        "indexed_on": _time(form["indexed"]),
        "metadata": meta,
        "form": {
            "@name": "Booth visit",
            "@xmlns": XMLNS,
            "visit": {
                "unit": answers.unit,
                "at": answers.at,
                "posts": str(answers.posts),
                "volunteers": "" if answers.volunteers is None else str(answers.volunteers),
            },
            **({"groups": groups[0] if len(groups) == 1 else groups} if groups else {}),
        },
        "type": "data",
        "version": "18",
    }
