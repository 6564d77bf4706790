"""One body with what it must become. Everything here is written by hand; nothing is computed by the code under test."""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

KEY = b"0123456789abcdef"
GONE = object()


@dataclass(frozen=True)
class Case:
    says: str
    body: Any
    """An object, sent as JSON; text or bytes as they are."""
    events: list[dict[str, Any]] = field(default_factory=list)
    refused: str = ""
    """What the refusal says."""
    pulled: bool = False
    """The body is a row of the tool's API instead of a hook's."""
    edited_at: str | None = None
    """What a pull knows of Kobo's edits."""
    state: dict[str, Any] = field(default_factory=dict)
    """What the submission must say of itself."""
    headers: dict[str, str] = field(default_factory=dict)


def person(plain: str) -> str:
    """A person's hash: of `tel:` and E.164, or of the name in small letters."""
    return hmac.new(KEY, plain.encode(), hashlib.sha256).hexdigest()


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with other values; GONE takes one out; objects are merged."""
    found = dict(base)
    for name, value in changes.items():
        if value is GONE:
            found.pop(name, None)
        elif isinstance(value, dict) and isinstance(found.get(name), dict):
            found[name] = merged(found[name], value)
        else:
            found[name] = value
    return found
