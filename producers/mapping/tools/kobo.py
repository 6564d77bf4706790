"""KoboToolbox: bodies of a REST service, and rows of `/api/v2/assets/{uid}/data/`.

A submission is one flat object. Groups join names with a slash, also within repeats; here they are
nested. An edit changes `_uuid` and `meta/instanceID`, while `meta/rootUuid` stays.
Older servers do not send the root, only `meta/deprecatedID`: the name of the state before.
`_submission_time` has no zone and is UTC. A hook's template may wrap the submission:
`{"fields": %SUBMISSION%}`.
Source: the kpi repository and support.kobotoolbox.org, "REST Services".
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from pravah.events import Verification
from producers.mapping.submissions import Submission
from producers.mapping.tools.attachments import add_attachments
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
# `_submission_time`, `_submitted_by` and `_attachments` stay for mappings, with `_attachments_of`.
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

# Fields of Ona and others of KoboToolbox's kind.
_EDIT_TIMES = ("_last_edited", "_date_modified")

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
    names = _read_names(row)
    form = get_text(row, "_xform_id_string", hint=_HINT)
    status = row.get("_validation_status")
    uid = status.get("uid") if isinstance(status, dict) else None
    nested = _nest(row, "")
    add_attachments(nested)
    fields = {key: value for key, value in drop_empty(nested).items() if key not in _SYSTEM_FIELDS}
    return Submission(
        form=form,
        name=names.name,
        changed_at=changed_at or _read_edit_time(row, submitted_at),
        fields=fields | {"_submission_time": submitted_at.isoformat()},
        verification=_VERIFICATION.get(uid, "unverified") if isinstance(uid, str) else "unverified",
        state=names.state,
        previous=names.previous,
        number=names.number,
    )


def _read_edit_time(row: Mapping[str, Any], submitted_at: datetime) -> datetime:
    """Return the time of the last edit where a server sends it, else that of submission."""
    times = (get_instant(row, name) for name in _EDIT_TIMES if row.get(name))
    return max([submitted_at, *times])


class _Names(NamedTuple):
    """`Submission.name`, `state`, `previous` and `number`."""

    name: str
    state: str = ""
    previous: str = ""
    number: str = ""


def _read_names(row: Mapping[str, Any]) -> _Names:
    """Read which form a row is: `meta/rootUuid` is the first state's name.

    Servers of before 2022, and others of its kind, send only the state's own name and, after an
    edit, that of the state before, `meta/deprecatedID`. `_id` stays.
    """
    found = _collect_meta(row)
    root, previous = found.get("rootUuid", ""), found.get("deprecatedID", "")
    own = [found.get("instanceID", ""), _read_uuid(row.get("_uuid"))]
    state = next((name for name in own if name not in {"", previous}), "")
    if not state and not root:
        state, previous = next(filter(None, own), ""), ""
    number = row.get("_id")
    if root:
        return _Names(root, state if state != root else "", previous if state != root else "")
    if not state:
        state = strip_uuid_prefix(
            get_text(row, "meta/rootUuid", "meta/instanceID", "_uuid", hint=_HINT)
        )
    if not state:
        msg = f"meta/instanceID or _uuid: is no name; {_HINT}"
        raise BodyError(msg)
    text = str(number) if isinstance(number, int | str) and str(number).strip() else ""
    if previous:
        return _Names(previous, state, previous, text)
    return _Names(state, number=text)


def _collect_meta(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the names in `meta`, which is flat or an object, with or without a prefix."""
    found: dict[str, str] = {}
    for key, value in row.items():
        group, _, name = key.partition("/")
        if group.rsplit(":", 1)[-1] == "meta":
            inner = value if isinstance(value, dict) else {name: value}
            for one, text in inner.items():
                found.setdefault(one.rsplit(":", 1)[-1], _read_uuid(text))
    return found


def _read_uuid(text: object) -> str:
    return strip_uuid_prefix(text) if isinstance(text, str) else ""


def strip_uuid_prefix(name: str) -> str:
    """Return a root UUID without `uuid:`, which the API writes in some places only."""
    return name.strip().removeprefix("uuid:")


def _iter_layers(content: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Yield the submissions at each depth, outermost first."""
    layer = [content]
    for _ in range(_MAX_WRAPPERS):
        yield [one for one in layer if any(isinstance(one.get(marker), str) for marker in _MARKERS)]
        layer = [
            inner
            for one in layer
            for value in one.values()
            for inner in (value if isinstance(value, list) else [value])
            if isinstance(inner, dict)
        ]


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
