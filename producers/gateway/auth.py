"""Authentication of senders.

Comparisons take the same time for every input, and no error repeats the input.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime

from producers.gateway.sources import GLIFIC_DUMMY_SECRET, SenderCheck

_MAX_SIGNATURES = 10


class AuthError(ValueError):
    """A request does not prove that it comes from the source; says what is expected."""


def needs_body(check: SenderCheck) -> bool:
    """Whether the body is part of the proof; if not, a request can be refused unread."""
    return check.kind == "hmac"


def check_sender(
    check: SenderCheck, headers: Mapping[str, str], body: bytes, now: datetime
) -> None:
    """Check that a request comes from a source.

    Args:
        check: the source's.
        headers: by name in lower case.
        body: the raw bytes.
        now: aware.

    Raises:
        AuthError: it does not.
    """
    if check.kind == "hmac":
        _check_signature(check, headers.get(check.header.lower(), ""), body, now)
        return
    if check.kind == "header":
        expected = f"the header {check.header} with this source's secret"
        given = headers.get(check.header.lower(), "")
    elif check.kind == "bearer":
        expected = "`Authorization: Bearer …` with this source's secret"
        given = _credentials(headers, "bearer")
    else:
        expected = f"`Authorization: Basic …` with the user {check.user} and this source's secret"
        given = _basic_password(check.user, _credentials(headers, "basic"))
    if not _is_one_of(
        given.encode("utf-8", "surrogateescape"),
        (secret.get_secret_value().encode() for secret in check.secrets),
    ):
        msg = f"{expected} is expected; {'it carries another one' if given else 'there is none'}"
        raise AuthError(msg)


def _credentials(headers: Mapping[str, str], scheme: str) -> str:
    kind, _, rest = headers.get("authorization", "").partition(" ")
    return rest.strip() if kind.lower() == scheme else ""


def _basic_password(user: str, credentials: str) -> str:
    """The password; empty if the user is another one."""
    try:
        given, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return ""
    return password if hmac.compare_digest(given.encode(), user.encode()) else ""


def _check_signature(check: SenderCheck, header: str, body: bytes, now: datetime) -> None:
    """Check `t=<unix seconds>,v1=<hex>`: HMAC-SHA256 of `<t>.<body>`, as Glific signs."""
    parts = [part.strip().partition("=") for part in header.split(",")][: _MAX_SIGNATURES + 1]
    time = next((value for name, _, value in parts if name == "t"), "")
    signatures = [
        value.lower().encode("utf-8", "replace") for name, _, value in parts if name == "v1"
    ]
    if (
        not (time.isascii() and time.isdecimal() and len(time) <= len("99999999999"))
        or not signatures
    ):
        msg = f"the header {check.header} with t=<unix seconds>,v1=<signature> is expected"
        raise AuthError(msg)
    if abs(now.timestamp() - int(time)) > check.window.total_seconds():
        msg = (
            f"it was signed more than {check.window.total_seconds():.0f} s ago, or in the future; "
            "is the clock of the machine that signs right?"
        )
        raise AuthError(msg)
    if any(_is_one_of(given, [signature(GLIFIC_DUMMY_SECRET, time, body)]) for given in signatures):
        msg = (
            "it is signed with Glific's published fallback secret, which proves nothing; set one "
            "of your own in Glific and here"
        )
        raise AuthError(msg)
    valid = [signature(secret.get_secret_value(), time, body) for secret in check.secrets]
    matches = [_is_one_of(given, valid) for given in signatures]
    if True not in matches:
        msg = "the signature is not that of this body under this source's secret"
        raise AuthError(msg)


def signature(secret: str, time: str, body: bytes) -> bytes:
    """The signature of a body at a time, in hex."""
    return (
        hmac.new(secret.encode(), time.encode() + b"." + body, hashlib.sha256).hexdigest().encode()
    )


def _is_one_of(given: bytes, expected: Iterable[bytes]) -> bool:
    """Compare with every expected value; hashed first, so that timing does not show a length."""
    digest = hashlib.sha256(given).digest()
    matches = [hmac.compare_digest(digest, hashlib.sha256(one).digest()) for one in expected]
    return True in matches
