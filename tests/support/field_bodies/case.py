"""A body and its expected events. All is written by hand; the code under test computes nothing."""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

KEY = b"0123456789abcdef"
ABSENT = object()


@dataclass(frozen=True)
class Case:
    title: str
    body: Any
    """An object, which is sent as JSON, or text or bytes, sent as they are."""
    events: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    """Part of the error, if the body is refused."""
    is_row: bool = False
    """The body is a row of the tool's API instead of a hook's."""
    edited_at: str | None = None
    """Time of the last edit, as a pull from KoboToolbox knows it."""
    state: dict[str, Any] = field(default_factory=dict)
    """Expected attributes of the submission."""
    headers: dict[str, str] = field(default_factory=dict)


def hash_person(plain: str) -> str:
    """Return the hash of a person: of `tel:` and E.164, or of the name in lower case."""
    return hmac.new(KEY, plain.encode(), hashlib.sha256).hexdigest()


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with other values. Objects are merged, ABSENT removes a key."""
    found = dict(base)
    for name, value in changes.items():
        if value is ABSENT:
            found.pop(name, None)
        elif isinstance(value, dict) and isinstance(found.get(name), dict):
            found[name] = merge(found[name], value)
        else:
            found[name] = value
    return found
