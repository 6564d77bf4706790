"""Attachments of KoboToolbox: those that were not deleted, in their order and by their question.

An edit that replaces a photo leaves the old one in the list, with `is_deleted`; its link is dead.
"""

import re
from typing import Any

_SEGMENT = re.compile(r"(?P<name>[^/\[\]]+)(\[(?P<number>\d{1,6})\])?")
_BY_QUESTION = "_attachments_of"
_TRUE = frozenset({"true", "1", "yes"})


def add_attachments(fields: dict[str, Any]) -> None:
    """Leave out attachments that were deleted or have no link, and add `_attachments_of`.

    That is an object with the first attachment of each question under the question's path. For
    questions of a repeat it is added to the repeat's items, with the path from there.

    Args:
        fields: of a submission, with groups nested; changed in place.
    """
    listed = fields.get("_attachments")
    if not isinstance(listed, list):
        return
    living = [one for one in listed if isinstance(one, dict) and not _is_deleted(one)]
    linked = [one for one in living if _has_link(one)]
    fields["_attachments"] = linked or living
    for one in linked:
        question = one.get("question_xpath")
        if isinstance(question, str):
            _add(fields, question, one)


def _is_deleted(attachment: dict[str, Any]) -> bool:
    flag = attachment.get("is_deleted")
    return flag is True or str(flag).strip().lower() in _TRUE


def _has_link(attachment: dict[str, Any]) -> bool:
    link = attachment.get("download_url")
    return isinstance(link, str) and bool(link.strip())


def _add(fields: dict[str, Any], question: str, attachment: dict[str, Any]) -> None:
    """Add an attachment under its question, such as `visit/photo` or `groups[2]/photo`."""
    place, path = fields, list[str]()
    for segment in _SEGMENT.finditer(question):
        path.append(segment["name"])
        if segment["number"] is not None:
            item = _find_item(place, path, int(segment["number"]))
            if item is None:
                return
            place, path = item, []
    if not path:
        return
    *groups, name = path
    node = place.setdefault(_BY_QUESTION, {})
    for group in groups:
        node = node.setdefault(group, {}) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node.setdefault(name, attachment)


def _find_item(place: Any, path: list[str], number: int) -> dict[str, Any] | None:
    """Return an item of a repeat, counted from 1."""
    for name in path:
        place = place.get(name) if isinstance(place, dict) else None
    if not isinstance(place, list) or not 1 <= number <= len(place):
        return None
    item = place[number - 1]
    return item if isinstance(item, dict) else None
