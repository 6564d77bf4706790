"""Who sends: what a request must carry to come from a source. Comparisons take the same time whatever is given, and an error never repeats it."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime

from producers.gateway.sources import GLIFIC_DUMMY_SECRET, Check

_MOST_SIGNATURES = 10


class CheckError(ValueError):
    """It does not come from the source, or cannot prove it: what was expected."""


def needs_body(check: Check) -> bool:
    """Whether the body is part of the proof; if not, a request can be refused before any of it is read."""
    return check.kind == "hmac"


def check_sender(check: Check, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """See whether a request comes from a source.

    Args:
        check: the source's.
        headers: by names in small letters.
        body: byte for byte as it came.
        now: aware.

    Raises:
        CheckError: it does not.
    """
    if check.kind == "hmac":
        _check_signature(check, headers.get(check.header.lower(), ""), body, now)
        return
    if check.kind == "header":
        expected, given = (
            f"the header {check.header} with this source's secret",
            headers.get(check.header.lower(), ""),
        )
    elif check.kind == "bearer":
        expected, given = (
            "`Authorization: Bearer …` with this source's secret",
            _credentials(headers, "bearer"),
        )
    else:
        expected, given = (
            f"`Authorization: Basic …` with the user {check.user} and this source's secret",
            _basic(check.user, _credentials(headers, "basic")),
        )
    if not _is_one_of(
        given.encode("utf-8", "surrogateescape"),
        (secret.get_secret_value().encode() for secret in check.secrets),
    ):
        msg = f"{expected} is expected; {'it carries another one' if given else 'there is none'}"
        raise CheckError(msg)


def _credentials(headers: Mapping[str, str], scheme: str) -> str:
    kind, _, rest = headers.get("authorization", "").partition(" ")
    return rest.strip() if kind.lower() == scheme else ""


def _basic(user: str, credentials: str) -> str:
    """The password that goes with the user; empty if the user is another one."""
    try:
        given, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return ""
    return password if hmac.compare_digest(given.encode(), user.encode()) else ""


def _check_signature(check: Check, header: str, body: bytes, now: datetime) -> None:
    """`t=<unix seconds>,v1=<hex>`: HMAC-SHA256 under the secret of `<t>.<body>`, as Glific signs."""
    parts = [part.strip().partition("=") for part in header.split(",")][: _MOST_SIGNATURES + 1]
    time = next((value for name, _, value in parts if name == "t"), "")
    signatures = [
        value.lower().encode("utf-8", "replace") for name, _, value in parts if name == "v1"
    ]
    if (
        not (time.isascii() and time.isdecimal() and len(time) <= len("99999999999"))
        or not signatures
    ):
        msg = f"the header {check.header} with t=<unix seconds>,v1=<signature> is expected"
        raise CheckError(msg)
    if abs(now.timestamp() - int(time)) > check.window.total_seconds():
        msg = f"it was signed more than {check.window.total_seconds():.0f} s ago, or in the future; is the clock of the machine that signs right?"
        raise CheckError(msg)
    if any(_is_one_of(given, [signature(GLIFIC_DUMMY_SECRET, time, body)]) for given in signatures):
        msg = "it is signed with Glific's published fallback secret, which proves nothing; set one of your own in Glific and here"
        raise CheckError(msg)
    valid = [signature(secret.get_secret_value(), time, body) for secret in check.secrets]
    matches = [_is_one_of(given, valid) for given in signatures]
    if True not in matches:
        msg = "the signature is not that of this body under this source's secret"
        raise CheckError(msg)


def signature(secret: str, time: str, body: bytes) -> bytes:
    """The signature of a body at a time, in hex."""
    return (
        hmac.new(secret.encode(), time.encode() + b"." + body, hashlib.sha256).hexdigest().encode()
    )


def _is_one_of(given: bytes, expected: Iterable[bytes]) -> bool:
    """Compare with each, whatever the one before gave; hashed first, so that not even a length shows."""
    digest = hashlib.sha256(given).digest()
    matches = [hmac.compare_digest(digest, hashlib.sha256(one).digest()) for one in expected]
    return True in matches
