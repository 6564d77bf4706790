"""ODK Central: bodies of the community's webhook service, and rows of OData.

OData is `…/forms/{form}.svc/Submissions?$expand=*`. The webhook service sends a new submission as
its XML, and only the new state of a review. It sends no time and no edit; the pull brings those.
Fields have the shape of the XML: all values are texts, and a repeat with one item is that item
itself; a mapping says which fields are repeats.
Source: docs.getodk.org, "OData Endpoints" and "Submission Management"; the central-webhook
repository.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.parsers.expat import ErrorString, ExpatError

import xmltodict

from pravah.events import Verification
from producers.mapping.submissions import Submission
from producers.mapping.tools.body import (
    BodyError,
    EncryptedError,
    check_depth,
    drop_empty,
    get_instant,
    get_object,
    get_text,
    parse_json_object,
    refuse_encrypted,
)

# `changed_at` of a submission that comes by hook. The hook carries no time, and the state that a
# pull finds is the same or a later one, so any earlier instant will do.
HOOK_CHANGED_AT = datetime(2000, 1, 1, tzinfo=UTC)

# A review, or an edit by a service that sends its XML as well.
_UPDATES = frozenset({"submission.update", "submission.update.version"})

# References to characters, such as `&#xD83D;`, and characters that XML 1.0 cannot have.
_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}));")
_SURROGATES = range(0xD800, 0xE000)
_CONTROLS = frozenset({*range(32), 0xFFFE, 0xFFFF} - {0x9, 0xA, 0xD})
_INVALID = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

_VERIFICATION: dict[str, Verification] = {"approved": "verified", "rejected": "rejected"}
# `__system/status` of a row whose answers ODK Central cannot read.
_ENCRYPTED_STATES = frozenset({"notdecrypted", "missingencryptedformdata"})
# Fields of `__system` that never change, so that mappings may use them.
_SYSTEM_FIELDS = frozenset(
    {"submissionDate", "submitterId", "submitterName", "deviceId", "formVersion"}
)


def read_hook(body: bytes, headers: Mapping[str, str]) -> list[Submission]:  # noqa: ARG001
    """Return the new submission of a webhook's body; none for a review, which the pull brings.

    Raises:
        BodyError: the body is neither a new submission nor a review.
    """
    content = parse_json_object(body)
    kind, name = get_text(content, "type"), _strip_uuid_prefix(get_text(content, "id"))
    data = get_object(content, "data")
    if kind in _UPDATES and "xml" not in data:
        return []
    if kind not in {"submission.create", *_UPDATES}:
        msg = (
            "type: is neither submission.create nor submission.update; "
            "set only the URLs for new and reviewed submissions to this hook"
        )
        raise BodyError(msg)
    form, fields = _parse_xml(get_text(data, "xml", where="data."))
    state, previous = (_read_meta(fields, one) for one in ("instanceID", "deprecatedID"))
    if previous and name == state:
        name = previous
    return [
        Submission(
            form=form,
            name=name,
            changed_at=HOOK_CHANGED_AT,
            fields=_drop_instance_ids(fields),
            state=state if state != name else "",
            previous=previous if state != name else "",
        )
    ]


def read_row(row: Mapping[str, Any], form: str) -> Submission:
    """Return the submission of a row of OData.

    Args:
        row: as JSON, with its repeats expanded.
        form: the form's `xmlFormId`, which only the address has.

    Raises:
        BodyError: `__id` or `__system` are not as ODK Central has them.
    """
    check_depth(dict(row))
    system = get_object(row, "__system")
    if str(system.get("status")).lower() in _ENCRYPTED_STATES:
        raise EncryptedError
    refuse_encrypted(row)
    review = system.get("reviewState")
    deleted = system.get("deletedAt") is not None
    own = {name: value for name, value in row.items() if not name.startswith("__")}
    permanent = {name: value for name, value in system.items() if name in _SYSTEM_FIELDS}
    name, state = _strip_uuid_prefix(get_text(row, "__id")), _read_meta(row, "instanceID")
    return Submission(
        form=form,
        name=name,
        state=state if state != name else "",
        previous=_read_meta(row, "deprecatedID") if state != name else "",
        changed_at=get_instant(
            system,
            *(["deletedAt"] if deleted else []),
            "updatedAt",
            "submissionDate",
            where="__system.",
        ),
        fields=drop_empty(_drop_instance_ids(_from_odata(own)) | {"__system": permanent}),
        verification=_VERIFICATION.get(review, "unverified")
        if isinstance(review, str)
        else "unverified",
        deleted=deleted,
    )


def _parse_xml(text: str) -> tuple[str, dict[str, Any]]:
    """Return the form's name and fields."""
    try:
        content = xmltodict.parse(_repair_characters(text), disable_entities=True)
    except ExpatError as error:
        msg = (
            f"data.xml: is no well-formed XML without entities: line {error.lineno}, "
            f"column {error.offset + 1}: {ErrorString(error.code)}; send it whole, as ODK has it"
        )
        raise BodyError(msg) from None
    except (ValueError, RecursionError):
        msg = "data.xml: is no well-formed XML without entities"
        raise BodyError(msg) from None
    check_depth(content)
    (root,) = content.values()
    if not isinstance(root, dict):
        msg = "data.xml: has no fields; expected the XML of a submission"
        raise BodyError(msg)
    if str(root.get("@encrypted", "")).strip().lower() in {"yes", "true", "1"}:
        raise EncryptedError
    refuse_encrypted(root)
    form = get_text(
        root, "@id", where="data.xml: attribute ", hint="the submission must name its form"
    )
    fields = _from_xml(root)
    return form, fields if isinstance(fields, dict) else {}


def _repair_characters(text: str) -> str:
    """Replace characters that XML cannot have by U+FFFD, and join the halves of an emoji."""

    def decode(found: re.Match[str]) -> str:
        code = int(found[1], 16) if found[1] else int(found[2])
        if code in _SURROGATES:
            return chr(code)
        return "\ufffd" if code in _CONTROLS else found[0]

    units = _REFERENCE.sub(decode, text).encode("utf-16-le", "surrogatepass")
    return _INVALID.sub("\ufffd", units.decode("utf-16-le", "replace"))


def _read_meta(fields: Mapping[str, Any], name: str) -> str:
    """Return an instance id, without `uuid:`; empty if there is none."""
    meta = fields.get("meta")
    found = meta.get(name) if isinstance(meta, dict) else None
    return _strip_uuid_prefix(found) if isinstance(found, str) else ""


def _drop_instance_ids(fields: dict[str, Any]) -> dict[str, Any]:
    """Remove the instance ids, which an edit changes; `Submission.name` identifies the form."""
    meta = fields.get("meta")
    if isinstance(meta, dict):
        fields = fields | {
            "meta": {
                name: value
                for name, value in meta.items()
                if name not in {"instanceID", "deprecatedID"}
            }
        }
    found: dict[str, Any] = drop_empty(fields)
    return found


def _from_xml(node: Any) -> Any:
    """Convert XML elements: without attributes and prefixes, with the names that OData gives."""
    if isinstance(node, list):
        return _unwrap_single(drop_empty([_from_xml(item) for item in node]))
    if not isinstance(node, dict):
        return node
    fields: dict[str, Any] = {}
    for name, item in node.items():
        if not name.startswith(("@", "#")):
            fields[_to_odata_name(name.rsplit(":", 1)[-1])] = _from_xml(item)
    return fields or node.get("#text")


def _from_odata(node: Any) -> Any:
    """Convert OData's JSON to the shape of the XML."""
    if isinstance(node, dict):
        return _format_point(node) or {
            name: _from_odata(item)
            for name, item in node.items()
            if not name.startswith("__") and "@odata" not in name
        }
    if isinstance(node, list):
        return _unwrap_single(drop_empty([_from_odata(item) for item in node]))
    if isinstance(node, bool):
        return "true" if node else "false"
    if isinstance(node, float) and node.is_integer():
        return str(int(node))
    return str(node) if isinstance(node, int | float) else node


def _format_point(node: dict[str, Any]) -> str | None:
    """Write a GeoJSON point as XForms do: latitude, longitude, altitude, accuracy."""
    match node:
        case {"type": "Point", "coordinates": [longitude, latitude, *altitude]}:
            properties = node.get("properties")
            accuracy = properties.get("accuracy") if isinstance(properties, dict) else None
            return " ".join(
                str(_from_odata(part))
                for part in (latitude, longitude, *altitude[:1], accuracy)
                if part is not None
            )
        case _:
            return None


def _unwrap_single(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items


def _to_odata_name(name: str) -> str:
    """Return a field's name as ODK Central spells it in OData."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", re.sub(r"^([^A-Za-z_])", r"_\1", name))


def _strip_uuid_prefix(name: str) -> str:
    return name.strip().removeprefix("uuid:")
