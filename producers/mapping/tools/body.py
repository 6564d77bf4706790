"""Bounded parsing of bodies: any bytes give a JSON object or a `BodyError`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from producers.mapping.placeholders import explain_template
from producers.mapping.tools.json_body import BodyError, EncryptedError, parse_json

__all__ = [
    "MAX_DEPTH",
    "BodyError",
    "EncryptedError",
    "check_depth",
    "drop_empty",
    "get_instant",
    "get_object",
    "get_text",
    "parse_json_object",
    "refuse_encrypted",
]

# Deepest nesting of objects and lists. Forms have groups in repeats in groups: a handful of levels.
MAX_DEPTH = 32
_TIME_HINT = "expected a date and time such as 2022-05-03T12:35:00Z"


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Parse a body as a JSON object.

    Raises:
        BodyError: the body is no JSON, no object, or nested more than `MAX_DEPTH` deep.
    """
    content = parse_json(body)
    if not isinstance(content, dict):
        msg = f"the body is {_describe(content)}; expected a JSON object, one submission"
        if isinstance(content, list):
            msg += ": send each on its own, or let a pull fetch them"
        if isinstance(content, str) and content.lstrip().startswith("{"):
            msg += ": the sender encoded the JSON twice"
        raise BodyError(msg)
    check_depth(content)
    return content


def check_depth(content: object) -> None:
    """Refuse content that is nested too deep.

    Raises:
        BodyError: more than `MAX_DEPTH` levels.
    """
    level: list[Any] = [content]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            msg = f"the body is nested more than {MAX_DEPTH} deep; no form is"
            raise BodyError(msg)
        level = [
            item
            for one in level
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, dict | list)
        ]


def get_object(content: Mapping[str, Any], name: str, *, where: str = "") -> dict[str, Any]:
    """Return the object under `name`.

    Args:
        content: a JSON object.
        name: the key.
        where: path of `content`, a prefix of the message.

    Raises:
        BodyError: it is missing or not an object.
    """
    found = content.get(name)
    if not isinstance(found, dict):
        problem = "is missing" if found is None else f"is {_describe(found)}"
        msg = f"{where}{name}: {problem}; expected an object"
        raise BodyError(msg)
    return found


def get_text(content: Mapping[str, Any], *names: str, where: str = "", hint: str = "") -> str:
    """Return the first text under one of the names that is not blank, stripped.

    Args:
        content: a JSON object.
        names: the keys, in order.
        where: path of `content`, a prefix of the message.
        hint: what to do, the end of the message.

    Raises:
        BodyError: there is none.
    """
    for name in names:
        found = content.get(name)
        if isinstance(found, str) and found.strip():
            return found.strip()
    is_missing = all(content.get(name) is None for name in names)
    msg = f"{where}{' or '.join(names)}: {'is missing' if is_missing else 'is no text'}"
    raise BodyError(f"{msg}; {hint}" if hint else msg)


def get_instant(content: Mapping[str, Any], *names: str, where: str = "") -> datetime:
    """Return the instant, in UTC, under the first of the names that is not empty.

    An instant without an offset is UTC, as the tools' servers write.

    Raises:
        BodyError: there is none, or it is no date and time.
    """
    text = get_text(content, *names, where=where, hint=_TIME_HINT)
    try:
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        problem = explain_template(text) or f"is no date and time; {_TIME_HINT}"
        msg = f"{where}{' or '.join(names)}: {problem}"
        raise BodyError(msg) from None


def refuse_encrypted(fields: Mapping[str, Any]) -> None:
    """Refuse the manifest of an encrypted submission, by the elements that every one has.

    Source: the ODK XForms specification, "Encryption".

    Raises:
        EncryptedError: it is one.
    """
    names = {name.rsplit("/", 1)[-1].rsplit(":", 1)[-1] for name in fields}
    if not names.isdisjoint({"base64EncryptedKey", "encryptedXmlFile"}):
        raise EncryptedError


def drop_empty(content: Any) -> Any:
    """Return the JSON without nulls, blank texts, empty objects and empty lists, at any depth."""
    if isinstance(content, dict):
        return {
            name: item
            for name, item in ((name, drop_empty(item)) for name, item in content.items())
            if not _is_empty(item)
        }
    if isinstance(content, list):
        return [item for item in map(drop_empty, content) if not _is_empty(item)]
    return content


def _is_empty(item: object) -> bool:
    return item is None or item in ({}, []) or (isinstance(item, str) and not item.strip())


def _describe(content: object) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(content), "null")
