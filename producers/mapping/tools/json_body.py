"""JSON as senders write it: any bytes give a value, or a `BodyError` with the place of the fault.

A byte order mark is skipped, UTF-16 is read, and half an emoji becomes U+FFFD. Python's parser is
used because a faster one would drop the first of two equal keys in silence.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn, Self

# A word or an escape of JSON that was cut in two is shorter.
_MAX_PIECE = 7
# Longest name of a field that an error repeats.
_MAX_NAME = 60
_LONG_NUMBER = re.compile(r"\d{7,}")
# A text of JSON, also an unterminated one, or a constant. Possessive: no body makes it backtrack.
_TOKENS = re.compile(
    r'"(?P<text>[^"\\]*+(?:\\.[^"\\]*+)*+)(?:"(?P<colon>\s*+:)?|\\?\Z)|(?P<other>-?Infinity|NaN)',
    re.DOTALL,
)
_SURROGATE = re.compile(r"[\ud800-\udfff]|\\u[dD][89abcdefABCDEF]")
_FORM = re.compile(r"[\w%.\[\]+-]{1,100}=[^\s{]*(&|\Z)")
# The manifest of an encrypted submission, or the form that asks for one.
_ENCRYPTED = re.compile(
    r"""<(\w+:)?(encryptedXmlFile|base64EncryptedKey)|\bbase64RsaPublicKey\s*="""
    r"""|\bencrypted\s*=\s*["'](yes|true)"""
)
_HINT = "set the tool's hook to JSON"


class BodyError(ValueError):
    """A body that is no submission of its tool: what is wrong, where, and what to do.

    The message never repeats a value, since values may be personal.
    """


class EncryptedError(BodyError):
    """A submission whose answers are encrypted, so that only its sender's key shows them."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__(
            "the submission is encrypted, so its answers cannot be read: remove the public key "
            "from the form's settings (or turn off managed encryption) and publish the form "
            "again; decrypt what was sent already with the key's owner (ODK Central: export with "
            "the passphrase) and import it as a table with `pravah import`"
        )


class Fault(str):
    """A value that JSON does not have, or one of two with the same name; the text says why."""

    __slots__ = ()


class RoundedNumber(float):
    """A number that was written with fewer digits than it has, such as `9.19E+11`.

    It is shown as it was written, so that it passes for neither a phone number nor a code.
    """

    def __new__(cls, text: str) -> Self:
        """Keep the text beside the number."""
        self = super().__new__(cls, text)
        self._text = text
        return self

    _text: str

    def __str__(self) -> str:
        """Return the number as it was written."""
        return self._text

    def is_integer(self) -> bool:
        """Return False: its last digits are unknown."""
        return False


def parse_json(body: bytes) -> Any:
    """Parse JSON in UTF-8 or UTF-16, without faults.

    Raises:
        BodyError: with line and column where that is known.
    """
    text = decode_text(body)
    content = _parse(text)
    for path, fault in iter_faults(content):
        if (position := _find_constant(text, fault)) is None:
            msg = f"the body: {_shorten(path)} {fault}; send it once"
            raise BodyError(msg)
        msg = f"{fault}; send null, or leave the field out"
        raise BodyError(_format(text, msg, position))
    return content


def parse_json_rows(body: bytes) -> Any:
    """Parse a page of a tool's API; `Fault`s stay, so that one row does not hold up the others.

    Raises:
        BodyError: it is not JSON at all.
    """
    return _parse(decode_text(body))


def find_duplicate(body: bytes) -> str:
    """Return the path of a name that stands twice in an object with different values.

    Empty if there is none, or if the body is no JSON.
    """
    has_any = False

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal has_any
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        has_any = True
        return _to_object(pairs)

    try:
        content = json.loads(body, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return ""
    return next((_shorten(path) for path, _ in iter_faults(content)), "") if has_any else ""


def refuse_faults(row: Any) -> None:
    """Refuse a row that has a `Fault`.

    Raises:
        BodyError: with the path of the field.
    """
    for path, fault in iter_faults(row):
        msg = f"{_shorten(path)}: {fault}"
        raise BodyError(msg)


def iter_faults(content: Any) -> Iterator[tuple[str, Fault]]:
    """Yield the path and text of each `Fault` in parsed JSON."""
    level: list[tuple[str, Any]] = [("", content)]
    while level:
        where, one = level.pop()
        if isinstance(one, Fault):
            yield where, one
        elif isinstance(one, dict):
            level += [(f"{where}/{name}" if where else name, item) for name, item in one.items()]
        elif isinstance(one, list):
            level += [(f"{where}/{number}", item) for number, item in enumerate(one)]


def decode_text(body: bytes) -> str:
    """Decode a body: UTF-8 or UTF-16, with or without a byte order mark.

    Raises:
        BodyError: it is empty, compressed, or neither.
    """
    if body.startswith((b"\x1f\x8b", b"PK\x03\x04")):
        name = "gzip" if body.startswith(b"\x1f") else "a ZIP file"
        msg = f"the body is not JSON in UTF-8: it is compressed ({name}); send it uncompressed"
        raise BodyError(msg)
    encoding = json.detect_encoding(body)
    try:
        text = body.decode(encoding, "surrogatepass")
    except UnicodeDecodeError as error:
        before = body[: error.start].decode(encoding, "replace")
        if encoding.startswith("utf-8") and error.reason == "unexpected end of data":
            raise _make_cut_error(before) from None
        msg = (
            f"the body is not JSON in UTF-8: {_describe_place(before, len(before))} has byte "
            f"0x{body[error.start]:02x}, which is no UTF-8 (byte {error.start:,} of the body); "
            "the sender must write UTF-8"
        )
        raise BodyError(msg) from None
    text = text.removeprefix("\ufeff")
    if not text.strip():
        msg = "the body is empty; send the submission as JSON"
        raise BodyError(msg)
    return text


def to_utf8(body: bytes) -> bytes:
    """Return a JSON text in UTF-8 without a byte order mark; bytes that cannot be decoded stay."""
    if body.isascii() and b"\x00" not in body[:4]:
        return body
    try:
        return decode_text(body).encode("utf-8", "surrogatepass")
    except BodyError:
        return body


def _parse(text: str) -> Any:
    try:
        content = json.loads(
            text,
            parse_constant=lambda name: Fault(f"{name} is no value of JSON"),
            parse_int=_parse_integer,
            parse_float=_parse_float,
            object_pairs_hook=_to_object,
        )
    except json.JSONDecodeError as error:
        _refuse(text, error)
    except RecursionError:
        msg = "the body is nested too deep; no form is"
        raise BodyError(msg) from None
    return _repair_surrogates(content) if _SURROGATE.search(text) else content


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found and found[name] != value:
            value = Fault("stands twice with different values")  # noqa: PLW2901
        found[name] = value
    return found


def _parse_integer(text: str) -> int | str:
    """Return a number of up to 64 bits; a longer one stays a text, as no field has one."""
    number = int(text) if len(text) <= len(str(-(2**63))) else None
    return number if number is not None and -(2**63) <= number < 2**64 else text


def _parse_float(text: str) -> float | str:
    """Return a number; one beyond all floats stays a text."""
    number = float(text)
    if math.isinf(number):
        return text
    mantissa, _, exponent = text.lower().partition("e")
    is_rounded = exponent and number and int(exponent) > len(mantissa.partition(".")[2])
    return RoundedNumber(text) if is_rounded else number


def _repair_surrogates(content: Any) -> Any:
    if isinstance(content, Fault):
        return content
    if isinstance(content, str):
        return content.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(content, dict):
        return {_repair_surrogates(name): _repair_surrogates(v) for name, v in content.items()}
    if isinstance(content, list):
        return [_repair_surrogates(item) for item in content]
    return content


def _refuse(text: str, error: json.JSONDecodeError) -> NoReturn:
    start = text.lstrip()
    if start.startswith("<") and _ENCRYPTED.search(start):
        raise EncryptedError from None
    if start.startswith("<"):
        msg = f"the body is not JSON in UTF-8: it is XML or a web page; {_HINT}"
    elif start.startswith("--") and "form-data" in text[:1_000]:
        msg = f"the body is not JSON in UTF-8: it is a form of several parts; {_HINT}"
    elif _FORM.match(start) or start[:3].upper() == "%7B":
        msg = (
            "the body is not JSON in UTF-8: it is a web form (name=value&…); "
            f"{_HINT}, content type application/json"
        )
    elif _is_cut_off(text, error):
        raise _make_cut_error(text) from None
    else:
        reason = error.msg[:1].lower() + error.msg[1:]
        hint = "correct the template or program"
        if error.msg == "Extra data":
            reason, hint = "something follows the first object", "send each on its own"
        msg = _format(text, f"{reason}; {hint}", error.pos)
    raise BodyError(msg) from None


def _is_cut_off(text: str, error: json.JSONDecodeError) -> bool:
    """Whether the JSON may go on after the end of the text."""
    if error.msg.startswith("Unterminated string"):
        return True
    rest = _TOKENS.sub("", text)
    is_open = sum(map(rest.count, "{[")) > sum(map(rest.count, "}]"))
    return len(text.rstrip()) - error.pos < _MAX_PIECE and is_open


def _make_cut_error(text: str) -> BodyError:
    size = len(text.encode("utf-8", "surrogatepass"))
    return BodyError(
        f"the body is not JSON in UTF-8: it ends after {size:,} bytes, at "
        f"{_describe_place(text, len(text))}, before the JSON is complete; "
        "it was cut off: send it again, whole"
    )


def _format(text: str, problem: str, position: int) -> str:
    return f"the body is not JSON in UTF-8: {_describe_place(text, position)}: {problem}"


def _find_constant(text: str, fault: str) -> int | None:
    name = fault.split(" ", 1)[0]
    return next((one.start() for one in _TOKENS.finditer(text) if one["other"] == name), None)


def _describe_place(text: str, position: int) -> str:
    """Describe a place by line, column, and the last field's name before it, never by a value."""
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    name = ""
    for token in _TOKENS.finditer(text, 0, position):
        if token["colon"]:
            name = token["text"]
    place = f"line {line}, column {column} (character {position:,})"
    return f"{place}, after the field {_shorten(name)!r}" if name else place


def _shorten(name: str) -> str:
    return _LONG_NUMBER.sub("…", name)[:_MAX_NAME]
