"""CommCare HQ: bodies of form forwarding, and rows of `/a/{domain}/api/form/v1/`, the same JSON.

`form` holds the questions, groups nested; a repeat with one item is that item itself. `id` stays
when a form is edited, `server_modified_on` rises with every change. The state before an edit is
kept as another form with `orig_id`.
Source: the commcare-hq repository, docs/api/form-data.rst and list-forms.rst.
"""

from collections.abc import Mapping
from typing import Any

from producers.mapping.submissions import Submission
from producers.mapping.tools.body import (
    check_depth,
    drop_empty,
    get_instant,
    get_object,
    get_text,
    parse_json_object,
)

# The field with the form's media, without its XML: a list of objects with name and url.
ATTACHMENTS = "@attachments"
# The field with the time at which the server first received the form. No question can have this
# name.
RECEIVED_ON = "@received_on"
_HINT = "forward forms as JSON, and whole"


def read_hook(body: bytes, headers: Mapping[str, str]) -> list[Submission]:  # noqa: ARG001
    """Return the form of a forwarded body.

    Raises:
        BodyError: the body is no form as JSON.
    """
    return [read_row(parse_json_object(body))]


def read_row(form: Mapping[str, Any]) -> Submission:
    """Return the submission of a form as the API or form forwarding has it.

    An archived form counts as deleted.

    Raises:
        BodyError: the form has no id, no time, or no questions.
    """
    check_depth(dict(form))
    name = get_text(form, "id", hint=_HINT)
    changed_at = get_instant(form, "server_modified_on", "received_on")
    if form.get("edited_on"):
        changed_at = max(changed_at, get_instant(form, "edited_on"))
    original = form.get("orig_id")
    if isinstance(original, str) and original.strip():
        # the state before an edit, which CommCare HQ keeps under a name of its own
        name, changed_at = original.strip(), get_instant(form, "received_on", "server_modified_on")
    questions = get_object(form, "form")
    received_on = get_instant(form, "received_on", "server_modified_on").isoformat()
    return Submission(
        form=get_text(questions, "@xmlns", "@name", where="form.", hint=_HINT),
        name=name,
        changed_at=changed_at,
        fields=drop_empty(
            questions | {ATTACHMENTS: _list_attachments(form), RECEIVED_ON: received_on}
        ),
        deleted=form.get("archived") is True,
    )


def _list_attachments(form: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the attachments that have a link, by name."""
    attachments = form.get("attachments")
    return [
        {**one, "name": name}
        for name, one in (sorted(attachments.items()) if isinstance(attachments, dict) else [])
        if name != "form.xml" and isinstance(one, dict) and isinstance(one.get("url"), str)
        if one["url"].strip()
    ]
