"""ODK Central: what the community's webhook service sends, and rows of OData (`…/forms/{form}.svc/Submissions?$expand=*`).

The webhook service sends a new submission as its XML, and of a review only its new state. It tells no time and no edit, so the pull is what brings those. Fields are
here as XML has them: all values are texts, and a repeat with one item is that item; a mapping says which fields are repeats.
Source: docs.getodk.org, "OData Endpoints" and "Submission Management"; the central-webhook repository.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.parsers.expat import ExpatError

import xmltodict

from pravah.events import Verification
from producers.mapping.submissions import Submission
from producers.mapping.tools.body import (
    BodyError,
    a_text,
    an_instant,
    an_object,
    check_depth,
    filled,
    json_object,
)

FIRST_STATE = datetime(2000, 1, 1, tzinfo=UTC)
"""`changed_at` of a new submission that comes by hook. The hook does not say when it was submitted, but whatever a pull finds is that state or a later one."""

_VERIFICATION: dict[str, Verification] = {"approved": "verified", "rejected": "rejected"}
_SYSTEM = frozenset({"submissionDate", "submitterId", "submitterName", "deviceId", "formVersion"})
"""What of `__system` never changes, so that it may be mapped."""


def read(body: bytes, headers: Mapping[str, str]) -> list[Submission]:  # noqa: ARG001
    """What the webhook service sent: a new submission; nothing for a review, whose submission the pull brings.

    Raises:
        BodyError: it is neither.
    """
    content = json_object(body)
    kind, name = a_text(content, "type"), a_text(content, "id")
    data = an_object(content, "data")
    if kind == "submission.update":
        return []
    if kind != "submission.create":
        msg = "type: is neither submission.create nor submission.update; set only the URLs for new and reviewed submissions to this hook"
        raise BodyError(msg)
    form, fields = _xml(a_text(data, "xml", where="data."))
    return [Submission(form=form, name=_plain(name), changed_at=FIRST_STATE, fields=fields)]


def submission(row: Mapping[str, Any], form: str) -> Submission:
    """One row of OData.

    Args:
        row: as JSON, with its repeats expanded.
        form: the form's `xmlFormId`, which stands in the address only.

    Raises:
        BodyError: `__id` or `__system` are not as ODK Central has them.
    """
    check_depth(dict(row))
    system = an_object(row, "__system")
    review = system.get("reviewState")
    deleted = system.get("deletedAt") is not None
    own = {name: value for name, value in row.items() if not name.startswith("__")}
    known = {name: value for name, value in system.items() if name in _SYSTEM}
    return Submission(
        form=form,
        name=_plain(a_text(row, "__id")),
        changed_at=an_instant(
            system,
            *(["deletedAt"] if deleted else []),
            "updatedAt",
            "submissionDate",
            where="__system.",
        ),
        fields=filled(_form_fields(_texts(own)) | {"__system": known}),
        verification=_VERIFICATION.get(review, "unverified")
        if isinstance(review, str)
        else "unverified",
        deleted=deleted,
    )


def _xml(text: str) -> tuple[str, dict[str, Any]]:
    """The form's name and fields."""
    try:
        content = xmltodict.parse(text, disable_entities=True)
    except (ExpatError, ValueError, RecursionError):
        msg = "data.xml: is no well-formed XML without entities"
        raise BodyError(msg) from None
    check_depth(content)
    (root,) = content.values()
    if not isinstance(root, dict):
        msg = "data.xml: has no fields; expected the XML of a submission"
        raise BodyError(msg)
    form = a_text(
        root, "@id", where="data.xml: attribute ", hint="the submission must name its form"
    )
    fields = _elements(root)
    return form, _form_fields(fields) if isinstance(fields, dict) else {}


def _form_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Without the instance's names, which change with an edit and stand elsewhere."""
    meta = fields.get("meta")
    if isinstance(meta, dict):
        fields = fields | {
            "meta": {
                name: value
                for name, value in meta.items()
                if name not in {"instanceID", "deprecatedID"}
            }
        }
    kept: dict[str, Any] = filled(fields)
    return kept


def _elements(node: Any) -> Any:
    """XML elements as OData has them: without attributes and prefixes, names spelled as OData spells them."""
    if isinstance(node, list):
        return _one(filled([_elements(item) for item in node]))
    if not isinstance(node, dict):
        return node
    fields: dict[str, Any] = {}
    for name, item in node.items():
        if not name.startswith(("@", "#")):
            fields[_identifier(name.rsplit(":", 1)[-1])] = _elements(item)
    return fields or node.get("#text")


def _texts(node: Any) -> Any:
    """OData's JSON as XML has it."""
    if isinstance(node, dict):
        return _point(node) or {
            name: _texts(item)
            for name, item in node.items()
            if not name.startswith("__") and "@odata" not in name
        }
    if isinstance(node, list):
        return _one(filled([_texts(item) for item in node]))
    if isinstance(node, bool):
        return "true" if node else "false"
    if isinstance(node, float) and node.is_integer():
        return str(int(node))
    return str(node) if isinstance(node, int | float) else node


def _point(node: dict[str, Any]) -> str | None:
    """A GeoJSON point as XForms write it: latitude, longitude, altitude, accuracy."""
    match node:
        case {"type": "Point", "coordinates": [longitude, latitude, *altitude]}:
            properties = node.get("properties")
            accuracy = properties.get("accuracy") if isinstance(properties, dict) else None
            return " ".join(
                str(_texts(part))
                for part in (latitude, longitude, *altitude[:1], accuracy)
                if part is not None
            )
        case _:
            return None


def _one(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items


def _identifier(name: str) -> str:
    """A field's name as ODK Central spells it in OData."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", re.sub(r"^([^A-Za-z_])", r"_\1", name))


def _plain(name: str) -> str:
    return name.removeprefix("uuid:")
