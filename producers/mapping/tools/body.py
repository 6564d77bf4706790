"""A body that a tool sent, read with bounds: any bytes give a JSON object or a `BodyError`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

MAX_DEPTH = 32
"""So deep may objects and lists stand in each other: forms have groups in repeats in groups, a handful."""


class BodyError(ValueError):
    """A body that is no submission of its tool: what is wrong, where, and what to do. It never repeats a value, since values may be personal."""


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    Raises:
        BodyError: it is no JSON in UTF-8, no object, or nested more than `MAX_DEPTH` deep.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        msg = f"the body is not JSON in UTF-8: {error.msg} at character {error.pos:,}; set the tool's hook to JSON"
        raise BodyError(msg) from None
    if not isinstance(content, dict):
        msg = f"the body is {_shape(content)}; expected a JSON object, one submission"
        raise BodyError(msg)
    check_depth(content)
    return content


def check_depth(content: object) -> None:
    """Refuse what is nested too deep.

    Raises:
        BodyError: more than `MAX_DEPTH` deep.
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


def an_object(content: Mapping[str, Any], name: str, *, where: str = "") -> dict[str, Any]:
    """The object under `name`, which must be there.

    Raises:
        BodyError: it is missing or something else.
    """
    found = content.get(name)
    if not isinstance(found, dict):
        msg = f"{where}{name}: {'is missing' if found is None else f'is {_shape(found)}'}; expected an object"
        raise BodyError(msg)
    return found


def a_text(content: Mapping[str, Any], *names: str, where: str = "", hint: str = "") -> str:
    """The first text that is not blank under one of the names, without blanks at its ends.

    Raises:
        BodyError: there is none.
    """
    for name in names:
        found = content.get(name)
        if isinstance(found, str) and found.strip():
            return found.strip()
    msg = f"{where}{' or '.join(names)}: {'is missing' if all(content.get(name) is None for name in names) else 'is no text'}"
    raise BodyError(f"{msg}; {hint}" if hint else msg)


def an_instant(content: Mapping[str, Any], *names: str, where: str = "") -> datetime:
    """The instant in UTC under the first of the names that is not empty; without an offset it is UTC, as the tools' servers write.

    Raises:
        BodyError: there is none, or it is no date and time.
    """
    given = a_text(content, *names, where=where, hint=_EXPECTED)
    try:
        moment = datetime.fromisoformat(given)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        msg = f"{where}{' or '.join(names)}: is no date and time; {_EXPECTED}"
        raise BodyError(msg) from None


def filled(content: Any) -> Any:
    """The same JSON without what was left empty: nulls, blank texts, empty objects and lists, at any depth."""
    if isinstance(content, dict):
        return {
            name: item
            for name, item in ((name, filled(item)) for name, item in content.items())
            if not _empty(item)
        }
    if isinstance(content, list):
        return [item for item in map(filled, content) if not _empty(item)]
    return content


_EXPECTED = "expected a date and time such as 2022-05-03T12:35:00Z"


def _empty(item: object) -> bool:
    return item is None or item in ({}, []) or (isinstance(item, str) and not item.strip())


def _shape(content: object) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(content), "null")
