"""CommCare HQ: what form forwarding sends, and the forms of `/a/{domain}/api/form/v1/`, which are the same JSON.

`form` holds the questions, groups nested; a repeat with one item is that item. `id` stays when a form is edited, `server_modified_on` rises with every change.
Source: the commcare-hq repository, docs/api/form-data.rst and list-forms.rst.
"""

from collections.abc import Mapping
from typing import Any

from producers.mapping.submissions import Submission
from producers.mapping.tools.body import (
    a_text,
    an_instant,
    an_object,
    check_depth,
    filled,
    json_object,
)

RECEIVED_ON = "@received_on"
"""The field that holds when the server received the form first; no question can have that name."""


def read(body: bytes, headers: Mapping[str, str]) -> list[Submission]:  # noqa: ARG001
    """What form forwarding sent: one form.

    Raises:
        BodyError: it is no form as JSON.
    """
    return [submission(json_object(body))]


def submission(form: Mapping[str, Any]) -> Submission:
    """One form of the API, or as it is forwarded; an archived one counts as deleted.

    Raises:
        BodyError: it has no id, no time, or no questions.
    """
    check_depth(dict(form))
    name = a_text(form, "id", hint="forward forms as JSON, and whole")
    changed_at = an_instant(form, "server_modified_on", "received_on")
    questions = an_object(form, "form")
    received_on = an_instant(form, "received_on", "server_modified_on").isoformat()
    return Submission(
        form=a_text(
            questions, "@xmlns", "@name", where="form.", hint="forward forms as JSON, and whole"
        ),
        name=name,
        changed_at=changed_at,
        fields=filled(questions) | {RECEIVED_ON: received_on},
        deleted=form.get("archived") is True,
    )
