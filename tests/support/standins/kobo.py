"""KoboToolbox (kpi, API v2): `data/` with Mongo queries, `history/`, and a REST service.

As in its sources: at most 1,000 rows, whatever `limit` is; without `sort` the order is undefined.
An edit keeps `_id`, `_submission_time` and `meta/rootUuid`, and changes `_uuid` and
`meta/instanceID`. The history has seconds, is newest first, and covers a limited number of days.
The REST service fires on creation only, with the submission in its state at the moment of sending;
it is tried again three times, after a minute and then doubling, only after 502, 503 and 504.
"""

import json
import random
import re
from datetime import UTC, datetime, timedelta

from tests.support.standins.server import (
    RETRIED,
    Answers,
    Clock,
    CurrentSubmission,
    Delivery,
    History,
    Request,
    Response,
    StandIn,
)

ASSET = "aKoboAssetUid123"
FORM = "booth_visit"
TOKEN = "kobo-token"
TOKEN_WITHOUT_HISTORY = "viewer-token"
VERIFICATIONS = {
    "unverified": {},
    "verified": {"uid": "validation_status_approved", "label": "Approved"},
    "rejected": {"uid": "validation_status_not_approved", "label": "Not approved"},
}

# How far the server that answers may be behind the one that writes.
_LAG = timedelta(seconds=20)


class Kobo(StandIn):
    """One asset of one server."""

    def __init__(
        self, clock: Clock, rng: random.Random, *, history_days: int = 365, **options: object
    ) -> None:
        super().__init__(clock, rng, **options)
        self.history_days = history_days
        self._rows: dict[str, History] = {}
        self._entries: list[dict] = []

    # --- actions of people

    def submit(self, answers: Answers) -> str:
        root = self.uuid()
        row = {
            "_id": 1000 + self.number(),
            "formhub/uuid": "f" * 32,
            "__version__": "v1",
            "_xform_id_string": FORM,
            "_submission_time": self.clock.now.strftime("%Y-%m-%dT%H:%M:%S"),
            "_submitted_by": "field",
            "_status": "submitted_via_web",
            "_validation_status": {},
            "_attachments": [],
            "_geolocation": [None, None],
            "meta/rootUuid": f"uuid:{root}",
            "_uuid": root,
            "meta/instanceID": f"uuid:{root}",
            **_flat(answers),
        }
        self._rows[root] = History()
        self._change(root, "add-submission", row)
        self.call_hook(root, "submission")
        return root

    def edit(self, root: str, answers: Answers) -> None:
        row, uuid = self._rows[root].latest(), self.uuid()
        unchanged = {
            name: value for name, value in row.items() if not name.startswith(("visit/", "groups"))
        }
        instance = {
            "_uuid": uuid,
            "meta/instanceID": f"uuid:{uuid}",
            "meta/deprecatedID": row["meta/instanceID"],
        }
        self._change(root, "modify-submission", {**unchanged, **instance, **_flat(answers)})

    def review(self, root: str, verification: str) -> None:
        status = VERIFICATIONS[verification]
        self._change(
            root,
            "modify-submission",
            {**self._rows[root].latest(), "_validation_status": status},
            status=status.get("label", "None"),
        )

    def delete(self, root: str) -> None:
        self._change(root, "delete-submission", None)

    def current_submissions(self) -> list[CurrentSubmission]:
        rows = {root: history.latest() for root, history in self._rows.items()}
        verifications = {status.get("uid"): name for name, status in VERIFICATIONS.items()}
        return [
            CurrentSubmission(
                root, _answers(row), verifications[row["_validation_status"].get("uid")]
            )
            for root, row in rows.items()
            if row is not None
        ]

    def _change(self, root: str, action: str, row: dict | None, **more: str) -> None:
        visible_at = self.change(root)
        if action != "add-submission":
            visible_at = min(visible_at, self.clock.now + _LAG)
        self._rows[root].put(visible_at, row)
        submission = {"submitted_by": "field", "root_uuid": root, **more}
        for entry_action, metadata in ((action, {"submission": submission}), ("export", {}))[
            : self.rng.choice([1, 1, 2])
        ]:
            entry = {
                "user": "http://kf/api/v2/users/field/",
                "username": "field",
                "action": entry_action,
                "metadata": {"asset_uid": ASSET, **metadata},
            }
            self._entries.append({**entry, "_at": self.clock.now, "_visible_at": self.late()})

    # --- its API

    def get(self, request: Request) -> Response:
        if request.authorization not in {f"Token {TOKEN}", f"Token {TOKEN_WITHOUT_HISTORY}"}:
            return Response(401, {"detail": "Invalid token."})
        try:
            if request.path == f"/api/v2/assets/{ASSET}/data/":
                return self._page(request, self._data(request.query))
            if request.path == f"/api/v2/assets/{ASSET}/history/":
                if request.authorization == f"Token {TOKEN_WITHOUT_HISTORY}":
                    return Response(
                        403, {"detail": "You do not have permission to perform this action."}
                    )
                return self._page(request, self._history(request.query.get("q", "")))
        except (ValueError, KeyError) as error:
            return Response(400, {"detail": str(error)})
        return Response(404, {"detail": "Not found."})

    def _page(self, request: Request, rows: list[dict]) -> Response:
        start, limit = (
            int(request.query.get("start", 0)),
            min(int(request.query.get("limit", 100)), self.page),
        )
        following = (
            f"http://kf.example.org{request.path}?start={start + limit}"
            if start + limit < len(rows)
            else None
        )
        return Response(
            200,
            {
                "count": len(rows),
                "next": following,
                "previous": None,
                "results": rows[start : start + limit],
            },
        )

    def _data(self, query: dict[str, str]) -> list[dict]:
        visible = [
            row
            for history in self._rows.values()
            if (row := history.visible(self.clock.now)) is not None
        ]
        wanted = json.loads(query.get("query", "{}"))
        found = [row for row in visible if _fits(row, wanted)]
        self.rng.shuffle(found)
        for name, direction in reversed(json.loads(query.get("sort", "{}")).items()):
            found.sort(key=lambda row, name=name: row[name], reverse=int(direction) < 0)
        return found

    def _history(self, query: str) -> list[dict]:
        parsed = re.fullmatch(
            r'\((action:[\w-]+(?: OR action:[\w-]+)*)\)(?: AND date_created__gte:"([^"]+)")?', query
        )
        if parsed is None:
            message = f"Your query is misformatted: {query}"
            raise ValueError(message)
        actions = {part.removeprefix("action:") for part in parsed[1].split(" OR ")}
        reach = (self.clock.now - timedelta(days=self.history_days)).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        since = max(reach, datetime.fromisoformat(parsed[2])) if parsed[2] else reach
        found = [
            e
            for e in self._entries
            if e["_visible_at"] <= self.clock.now and e["_at"] >= since and e["action"] in actions
        ]
        found.sort(key=lambda entry: entry["_at"], reverse=True)
        return [
            {
                **{k: v for k, v in e.items() if not k.startswith("_")},
                "date_created": e["_at"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            for e in found
        ]

    # --- its hook

    def hook_body(self, delivery: Delivery) -> bytes | None:
        row = self._rows[delivery.name].visible(self.clock.now)
        return None if row is None else json.dumps(row).encode()

    def retry_after(self, delivery: Delivery, status: int) -> float | None:
        return (
            60.0 * 2 ** (delivery.attempt - 1)
            if status in RETRIED and delivery.attempt <= 3
            else None
        )


def _flat(answers: Answers) -> dict:
    """Groups join names with a slash, repeats are lists, numbers are text."""
    return {
        "visit/unit": answers.unit,
        "visit/at": answers.at,
        "visit/posts": str(answers.posts),
        **({} if answers.volunteers is None else {"visit/volunteers": str(answers.volunteers)}),
        **(
            {
                "groups": [
                    {"groups/type": kind, "groups/members": str(members)}
                    for kind, members in answers.groups
                ]
            }
            if answers.groups
            else {}
        ),
    }


def _answers(row: dict) -> Answers:
    groups = tuple(
        (group["groups/type"], int(group["groups/members"])) for group in row.get("groups", [])
    )
    volunteers = row.get("visit/volunteers")
    return Answers(
        row["visit/unit"],
        row["visit/at"],
        int(row["visit/posts"]),
        None if volunteers is None else int(volunteers),
        groups,
    )


_COMPARE = {
    "$gt": lambda have, want: have > want,
    "$gte": lambda have, want: have >= want,
    "$lt": lambda have, want: have < want,
    "$lte": lambda have, want: have <= want,
    "$in": lambda have, want: have in want,
}


def _fits(row: dict, query: dict) -> bool:
    """Mongo's query language, as far as pulls use it."""
    for name, wanted in query.items():
        if name == "$or":
            if not any(_fits(row, one) for one in wanted):
                return False
        elif isinstance(wanted, dict):
            if name not in row or not all(
                _COMPARE[operator](row[name], value) for operator, value in wanted.items()
            ):
                return False
        elif row.get(name) != wanted:
            return False
    return True
