"""KoboToolbox: what a REST service sends, and the rows of `/api/v2/assets/{uid}/data/`.

A submission is one flat object. Groups join names with a slash, also within repeats; here they are nested. An edit changes `_uuid` and `meta/instanceID`, while
`meta/rootUuid` stays. `_submission_time` has no zone and is UTC. A hook's template may wrap the submission: `{"fields": %SUBMISSION%}`.
Source: the kpi repository and support.kobotoolbox.org, "REST Services".
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pravah.events import Verification
from producers.mapping.submissions import Submission
from producers.mapping.tools.body import (
    BodyError,
    a_text,
    an_instant,
    check_depth,
    filled,
    json_object,
)

_BOOKKEEPING = frozenset(
    {
        "_validation_status",
        "_uuid",
        "_id",
        "_status",
        "_tags",
        "_notes",
        "_geolocation",
        "_xform_id_string",
        "_version_",
        "__version__",
        "meta",
        "formhub",
    }
)
"""Kobo's own, which is said elsewhere or differs between hook and pull; `_submission_time`, `_submitted_by` and `_attachments` stay for mappings."""

_SIGNS = ("meta/rootUuid", "meta/instanceID", "_uuid", "_submission_time", "_xform_id_string")
_WRAPPED = 4
"""So many objects deep a template may put the submission."""

_VERIFICATION: dict[str, Verification] = {
    "validation_status_approved": "verified",
    "validation_status_not_approved": "rejected",
}


def read(body: bytes, headers: Mapping[str, str]) -> list[Submission]:  # noqa: ARG001
    """What a hook sent: one submission.

    Raises:
        BodyError: it holds no submission of KoboToolbox.
    """
    content = json_object(body)
    found = next((layer for layer in _layers(content) if layer), [])
    if len(found) != 1:
        problem = (
            f"holds {len(found)} submissions"
            if found
            else "holds no submission: no object has _uuid or meta/rootUuid"
        )
        msg = f"the body {problem}; send the submission itself, or wrap it once as %SUBMISSION%, and leave out no field of KoboToolbox's own"
        raise BodyError(msg)
    return [submission(found[0])]


def submission(row: Mapping[str, Any], changed_at: datetime | None = None) -> Submission:
    """One row of the data API, or the object that a hook sends.

    Args:
        row: the submission as JSON.
        changed_at: aware; when it was last edited or validated, by the form's history. None: never, it stands as it was submitted.

    Raises:
        BodyError: a name or the time of submission is missing, or a field has the name of a group.
    """
    check_depth(dict(row))
    submitted_at = an_instant(row, "_submission_time")
    name = a_text(
        row,
        "meta/rootUuid",
        "meta/instanceID",
        "_uuid",
        hint="send it with KoboToolbox's own fields",
    )
    form = a_text(row, "_xform_id_string", hint="send it with KoboToolbox's own fields")
    status = row.get("_validation_status")
    uid = status.get("uid") if isinstance(status, dict) else None
    fields = {
        key: value for key, value in filled(_nested(row, "")).items() if key not in _BOOKKEEPING
    }
    return Submission(
        form=form,
        name=plain_uuid(name),
        changed_at=changed_at or submitted_at,
        fields=fields | {"_submission_time": submitted_at.isoformat()},
        verification=_VERIFICATION.get(uid, "unverified") if isinstance(uid, str) else "unverified",
    )


def plain_uuid(name: str) -> str:
    """A root UUID without its `uuid:`, as the API writes it in some places and not in others."""
    return name.strip().removeprefix("uuid:")


def _layers(content: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The submissions found at each depth, outermost first."""
    layer = [content]
    for _ in range(_WRAPPED):
        yield [one for one in layer if any(isinstance(one.get(sign), str) for sign in _SIGNS)]
        layer = [inner for one in layer for inner in one.values() if isinstance(inner, dict)]


def _nested(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Names joined by slashes as nested objects; a repeat's items name their fields with the path of the repeat before them."""
    tree: dict[str, Any] = {}
    for key, value in row.items():
        *groups, last = key.removeprefix(prefix).split("/")
        place = tree
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise BodyError(_conflict(key))
        _put(place, last, _value(value, f"{key}/"), key)
    return tree


def _put(place: dict[str, Any], name: str, value: Any, key: str) -> None:
    """Put a value in its place; an object joins the one that is there."""
    there = place.get(name)
    if isinstance(there, dict) and isinstance(value, dict):
        for inner, item in value.items():
            _put(there, inner, item, f"{key}/{inner}")
    elif name in place:
        raise BodyError(_conflict(key))
    else:
        place[name] = value


def _value(value: Any, prefix: str) -> Any:
    if isinstance(value, dict):
        return _nested(value, prefix)
    if isinstance(value, list):
        return [_value(item, prefix) for item in value]
    return value


def _conflict(key: str) -> str:
    return f"{key[:100]}: is the name of both a field and a group; no form of KoboToolbox has that"
