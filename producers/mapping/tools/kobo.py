"""KoboToolbox: bodies of a REST service, and rows of `/api/v2/assets/{uid}/data/`.

A submission is one flat object. Groups join names with a slash, also within repeats; here they are
nested. An edit changes `_uuid` and `meta/instanceID`, while `meta/rootUuid` stays.
`_submission_time` has no zone and is UTC. A hook's template may wrap the submission:
`{"fields": %SUBMISSION%}`.
Source: the kpi repository and support.kobotoolbox.org, "REST Services".
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pravah.events import Verification
from producers.mapping.submissions import Submission
from producers.mapping.tools.body import (
    BodyError,
    check_depth,
    drop_empty,
    get_instant,
    get_text,
    parse_json_object,
    refuse_encrypted,
)

# Kobo's own fields that a `Submission` has elsewhere, or that differ between hook and pull.
# `_submission_time`, `_submitted_by` and `_attachments` stay for mappings.
_SYSTEM_FIELDS = frozenset(
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

# An object with one of these as text is a submission.
_MARKERS = ("meta/rootUuid", "meta/instanceID", "_uuid", "_submission_time", "_xform_id_string")
# A hook's template may put the submission at most this many objects deep.
_MAX_WRAPPERS = 4

_VERIFICATION: dict[str, Verification] = {
    "validation_status_approved": "verified",
    "validation_status_not_approved": "rejected",
}
_HINT = "send it with KoboToolbox's own fields"


def read_hook(body: bytes, headers: Mapping[str, str]) -> list[Submission]:  # noqa: ARG001
    """Return the submission of a hook's body.

    Raises:
        BodyError: the body holds no submission of KoboToolbox, or several.
    """
    content = parse_json_object(body)
    found = next((layer for layer in _iter_layers(content) if layer), [])
    if len(found) != 1:
        problem = (
            f"holds {len(found)} submissions"
            if found
            else "holds no submission: no object has _uuid or meta/rootUuid"
        )
        msg = (
            f"the body {problem}; send the submission itself, or wrap it once as %SUBMISSION%, "
            "and leave out no field of KoboToolbox's own"
        )
        raise BodyError(msg)
    return [read_row(found[0])]


def read_row(row: Mapping[str, Any], changed_at: datetime | None = None) -> Submission:
    """Return the submission of a row of the data API, or of the object in a hook's body.

    Args:
        row: the submission as JSON.
        changed_at: aware; time of the last edit or validation, by the form's history. None if
            there was none, so that the time of submission holds.

    Raises:
        BodyError: a name or the time of submission is missing, or a field has the name of a group.
    """
    check_depth(dict(row))
    refuse_encrypted(row)
    submitted_at = get_instant(row, "_submission_time")
    name = get_text(row, "meta/rootUuid", "meta/instanceID", "_uuid", hint=_HINT)
    form = get_text(row, "_xform_id_string", hint=_HINT)
    status = row.get("_validation_status")
    uid = status.get("uid") if isinstance(status, dict) else None
    fields = {
        key: value for key, value in drop_empty(_nest(row, "")).items() if key not in _SYSTEM_FIELDS
    }
    return Submission(
        form=form,
        name=strip_uuid_prefix(name),
        changed_at=changed_at or submitted_at,
        fields=fields | {"_submission_time": submitted_at.isoformat()},
        verification=_VERIFICATION.get(uid, "unverified") if isinstance(uid, str) else "unverified",
    )


def strip_uuid_prefix(name: str) -> str:
    """Return a root UUID without `uuid:`, which the API writes in some places only."""
    return name.strip().removeprefix("uuid:")


def _iter_layers(content: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Yield the submissions at each depth, outermost first."""
    layer = [content]
    for _ in range(_MAX_WRAPPERS):
        yield [one for one in layer if any(isinstance(one.get(marker), str) for marker in _MARKERS)]
        layer = [inner for one in layer for inner in one.values() if isinstance(inner, dict)]


def _nest(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Turn names joined by slashes into nested objects.

    The items of a repeat name their fields with the repeat's path, `prefix`, which is removed.
    """
    tree: dict[str, Any] = {}
    for key, value in row.items():
        *groups, last = key.removeprefix(prefix).split("/")
        parent = tree
        for group in groups:
            parent = parent.setdefault(group, {})
            if not isinstance(parent, dict):
                raise BodyError(_format_conflict(key))
        _insert(parent, last, _nest_value(value, f"{key}/"), key)
    return tree


def _insert(parent: dict[str, Any], name: str, value: Any, key: str) -> None:
    """Add a value to an object; an object is merged into one that is there already."""
    present = parent.get(name)
    if isinstance(present, dict) and isinstance(value, dict):
        for inner, item in value.items():
            _insert(present, inner, item, f"{key}/{inner}")
    elif name in parent:
        raise BodyError(_format_conflict(key))
    else:
        parent[name] = value


def _nest_value(value: Any, prefix: str) -> Any:
    if isinstance(value, dict):
        return _nest(value, prefix)
    if isinstance(value, list):
        return [_nest_value(item, prefix) for item in value]
    return value


def _format_conflict(key: str) -> str:
    return f"{key[:100]}: is the name of both a field and a group; no form of KoboToolbox has that"
