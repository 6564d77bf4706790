"""ODK Central: the OData feed of a form, and the community's web hook (central-webhook).

As in its sources: rows are newest first by (`submissionDate`, row). `$skiptoken` names the last
row; a token of a purged row gives no rows and no error. `$orderby` and `$skiptoken` exclude each
other. Filters support `submissionDate`, `updatedAt`, `deletedAt`, `reviewState`, `submitterId` and
`__id`. Deleted rows appear only if the filter names `deletedAt`. Restoring a submission has no
date. The database has microseconds, the responses milliseconds. The hook is called once, by a
trigger of the database: for new submissions with their XML, and for reviews with the new state
only; an edit calls nothing.
"""

import base64
import json
import random
import re
from datetime import UTC, datetime
from urllib.parse import quote
from xml.sax.saxutils import escape

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

PROJECT, FORM = 7, "booth_visit"
USER, PASSWORD = "pull@example.org", "odk-password"
STATES = {
    None: "unverified",
    "edited": "unverified",
    "hasIssues": "unverified",
    "approved": "verified",
    "rejected": "rejected",
}
_SUBMISSIONS = f"/v1/projects/{PROJECT}/forms/{FORM}.svc/Submissions"


class Odk(StandIn):
    """One form of one project."""

    def __init__(self, clock: Clock, rng: random.Random, **options: object) -> None:
        super().__init__(clock, rng, **options)
        self._rows: dict[str, History] = {}

    # --- actions of people

    def submit(self, answers: Answers) -> str:
        name = f"uuid:{self.uuid()}"
        self._rows[name] = History()
        row = {
            "name": name,
            "number": self.number(),
            "created": self.clock.now,
            "updated": None,
            "deleted": None,
            "review": None,
            "edits": 0,
            "answers": answers,
        }
        self._put(name, "created", {**row, "instance": name})
        self.call_hook(name, "submission.create")
        return name

    def edit(self, name: str, answers: Answers) -> None:
        row = self._rows[name].latest()
        self._put(
            name,
            "updated",
            {
                **row,
                "review": "edited",
                "edits": row["edits"] + 1,
                "answers": answers,
                "instance": f"uuid:{self.uuid()}",
            },
        )

    def review(self, name: str, verification: str) -> None:
        state = self.rng.choice(
            [
                state
                for state, meaning in STATES.items()
                if meaning == verification and state != "edited"
            ]
        )
        self._put(name, "updated", {**self._rows[name].latest(), "review": state})
        self.call_hook(name, "submission.update")

    def delete(self, name: str) -> None:
        self._put(name, "deleted", self._rows[name].latest())

    def restore(self, name: str) -> None:
        self._put(name, None, {**self._rows[name].latest(), "deleted": None})

    def purge(self, name: str) -> None:
        del self._rows[name]

    def current_submissions(self) -> list[CurrentSubmission]:
        rows = [history.latest() for history in self._rows.values()]
        return [
            CurrentSubmission(row["name"], row["answers"], STATES[row["review"]])
            for row in rows
            if row["deleted"] is None
        ]

    def _put(self, name: str, changed: str | None, row: dict) -> None:
        """Store a change; `changed` is the column with its time."""
        visible_at = self.change(name)
        self._rows[name].put(visible_at, {**row, **({changed: self.clock.now} if changed else {})})

    # --- its API

    def get(self, request: Request) -> Response:
        if (
            request.authorization
            != "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        ):
            return Response(
                401,
                {"code": 401.2, "message": "Could not authenticate with the provided credentials."},
            )
        if request.path != _SUBMISSIONS:
            return Response(
                404, {"code": 404.1, "message": "Could not find the resource you were looking for."}
            )
        query = request.query
        if "$orderby" in query and "$skiptoken" in query:
            return Response(
                501,
                {
                    "code": 501.1,
                    "message": "The requested feature using $orderby and $skiptoken together is "
                    "not supported by this server.",
                },
            )
        try:
            fits = Filter(query["$filter"]).parse() if "$filter" in query else lambda _: True
        except ValueError as error:
            return Response(
                400,
                {
                    "code": 400.18,
                    "message": f"The OData filter expression could not be parsed: {error}",
                },
            )
        rows = [
            row
            for history in self._rows.values()
            if (row := history.visible(self.clock.now)) is not None
        ]
        rows = [
            row
            for row in rows
            if fits(row)
            and (row["deleted"] is None or "__system/deletedAt" in query.get("$filter", ""))
        ]
        rows.sort(key=lambda row: (row["created"], row["number"]), reverse=True)
        count = len(rows)
        if "$skiptoken" in query:
            token = json.loads(base64.b64decode(query["$skiptoken"].removeprefix("01")))[
                "instanceId"
            ]
            last = self._rows[token].latest() if token in self._rows else None
            rows = [
                row
                for row in rows
                if last and (row["created"], row["number"]) < (last["created"], last["number"])
            ]
        top = min(int(query.get("$top", len(rows))), self.page)
        page, content = (
            rows[:top],
            {"@odata.context": "https://odk.example.org/v1/…$metadata#Submissions"},
        )
        if "$top" in query and page and len(rows) > len(page):
            token = (
                "01"
                + base64.b64encode(json.dumps({"instanceId": page[-1]["name"]}).encode()).decode()
            )
            query_string = "&".join(
                f"{quote(name)}={quote(value)}"
                for name, value in query.items()
                if name not in {"$skip", "$skiptoken"}
            )
            content["@odata.nextLink"] = (
                f"https://odk.example.org{_SUBMISSIONS}?{query_string}&%24skiptoken={quote(token)}"
            )
        if query.get("$count") == "true":
            content["@odata.count"] = count
        return Response(
            200,
            {"value": [_row(row, expand=query.get("$expand") == "*") for row in page], **content},
        )

    # --- its hook

    def hook_body(self, delivery: Delivery) -> bytes | None:
        if delivery.name not in self._rows:
            return None
        row = self._rows[delivery.name].latest()
        data = (
            {"xml": _xml(row)}
            if delivery.kind == "submission.create"
            else {"reviewState": row["review"]}
        )
        return json.dumps({"type": delivery.kind, "id": delivery.name, "data": data}).encode()

    def retry_after(self, delivery: Delivery, status: int) -> float | None:
        return None


def _time(moment: datetime | None) -> str | None:
    return (
        None
        if moment is None
        else moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _row(row: dict, *, expand: bool) -> dict:
    answers: Answers = row["answers"]
    groups = [
        {"__id": f"{i:040x}", "type": kind, "members": members}
        for i, (kind, members) in enumerate(answers.groups)
    ]
    return {
        "__id": row["name"],
        "__system": {
            "submissionDate": _time(row["created"]),
            "updatedAt": _time(row["updated"]),
            "deletedAt": _time(row["deleted"]),
            "submitterId": "42",
            "submitterName": "field",
            "attachmentsPresent": 0,
            "attachmentsExpected": 0,
            "status": None,
            "reviewState": row["review"],
            "deviceId": None,
            "edits": row["edits"],
            "formVersion": "1",
        },
        "meta": {"instanceID": row["instance"]},
        "visit": {
            "unit": answers.unit,
            "at": answers.at,
            "posts": answers.posts,
            "volunteers": answers.volunteers,
        },
        **(
            {"groups@odata.navigationLink": f"Submissions('{row['name']}')/groups"}
            if groups
            else {}
        ),
        **({"groups": groups} if expand and groups else {}),
    }


def _xml(row: dict) -> str:
    answers: Answers = row["answers"]
    visit = {
        "unit": answers.unit,
        "at": answers.at,
        "posts": answers.posts,
        "volunteers": "" if answers.volunteers is None else answers.volunteers,
    }
    fields = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in visit.items())
    groups = "".join(
        f"<groups><type>{kind}</type><members>{members}</members></groups>"
        for kind, members in answers.groups
    )
    meta = f"<meta><instanceID>{row['name']}</instanceID></meta>"
    return f"<data id='{FORM}' version='1'>{meta}<visit>{fields}</visit>{groups}</data>"


_FIELDS = {
    "__system/submissionDate": "created",
    "__system/updatedAt": "updated",
    "__system/deletedAt": "deleted",
    "__system/reviewState": "review",
    "__id": "name",
}


class Filter:
    """OData's `$filter` as Central supports it.

    `or`, `and`, brackets, comparisons of fields with instants, `null` and strings.
    """

    _PART = re.compile(r"\s*(\(|\)|[^\s()]+)")

    def __init__(self, text: str) -> None:
        self._tokens = self._PART.findall(text)

    def parse(self):
        found = self._either()
        if self._tokens:
            message = f"unexpected {self._tokens[0]}"
            raise ValueError(message)
        return found

    def _either(self):
        parts = [self._both()]
        while self._tokens and self._tokens[0] == "or":
            self._tokens.pop(0)
            parts.append(self._both())
        return lambda row: any(part(row) for part in parts)

    def _both(self):
        parts = [self._one()]
        while self._tokens and self._tokens[0] == "and":
            self._tokens.pop(0)
            parts.append(self._one())
        return lambda row: all(part(row) for part in parts)

    def _one(self):
        part = self._next()
        if part == "(":
            found = self._either()
            if self._next() != ")":
                message = "a bracket is not closed"
                raise ValueError(message)
            return found
        if part not in _FIELDS:
            message = f"the field {part} is not supported"
            raise ValueError(message)
        field, operator, literal = _FIELDS[part], self._next(), self._next()
        value = (
            None
            if literal == "null"
            else literal[1:-1]
            if literal.startswith("'")
            else datetime.fromisoformat(literal)
        )
        compare = {
            "eq": lambda have: have == value,
            "ne": lambda have: have != value,
            "gt": lambda have: have is not None and have > value,
            "ge": lambda have: have is not None and have >= value,
            "lt": lambda have: have is not None and have < value,
            "le": lambda have: have is not None and have <= value,
        }[operator]
        return lambda row: compare(row[field])

    def _next(self) -> str:
        if not self._tokens:
            message = "it ends too early"
            raise ValueError(message)
        return self._tokens.pop(0)
