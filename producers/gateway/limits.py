"""Limits per request: size of the body, depth of its JSON, rate of the source."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from pravah.problems import Problem

# `Retry-After` of a 503.
RETRY_SECONDS = 10
_READ_TIMEOUT_S = 30.0
_NOT_STRUCTURE = bytes(set(range(256)) - set(b"{}[]"))
# A JSON string, also an unterminated one. Possessive, so that no body makes it backtrack.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+\\?(?:"|\Z)', re.DOTALL)


def unavailable(detail: str, seconds: int = RETRY_SECONDS) -> Problem:
    """A 503 with `Retry-After`."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(seconds)})


def is_deeper(body: bytes, max_depth: int) -> bool:
    """Whether objects and arrays of a JSON text nest deeper than `max_depth`, without parsing."""
    if body.count(b"{") + body.count(b"[") <= max_depth:
        return False
    depth = 0
    for byte in _TEXT.sub(b"", body).translate(None, _NOT_STRUCTURE):
        if byte in b"{[":
            depth += 1
            if depth > max_depth:
                return True
        else:
            depth -= 1
    return False


class BodyBudget:
    """Bounds the bytes of all bodies in memory. A single body always fits."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used = 0

    @contextmanager
    def reserve(self) -> Iterator["Reservation"]:
        """Reserve bytes for one body, released when the block is left."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            self.used -= reservation.size


class Reservation:
    """The bytes that one body occupies."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.size = 0

    def grow(self, more: int) -> None:
        """Reserve more bytes.

        Raises:
            Problem: 503, the budget is used up.
        """
        others = self._budget.used - self.size
        if others and self._budget.used + more > self._budget.max_bytes:
            msg = "too many large bodies at once; this one was not taken"
            raise unavailable(msg)
        self.size += more
        self._budget.used += more


async def read_body(
    stream: AsyncIterator[bytes],
    content_length: str | None,
    max_bytes: int,
    reservation: Reservation,
) -> bytes:
    """Read a body, up to `max_bytes`.

    Raises:
        Problem: 413, it is too large; 408, it arrives too slowly; 503, the budget is used up.
    """
    too_large = Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {max_bytes:,} bytes, which is all that this source may send; "
        "send less at a time",
    )
    if (
        content_length is not None
        and content_length.isascii()
        and content_length.isdecimal()
        and int(content_length[:20]) > max_bytes
    ):
        raise too_large
    pieces, size = [], 0
    try:
        async with asyncio.timeout(_READ_TIMEOUT_S):
            async for piece in stream:
                size += len(piece)
                if size > max_bytes:
                    raise too_large
                reservation.grow(len(piece))
                pieces.append(piece)
    except TimeoutError:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {_READ_TIMEOUT_S:.0f} s"
        ) from None
    return b"".join(pieces)


class RateLimiter:
    """Limits the requests of each source. Kept in memory, so a restart resets it."""

    def __init__(self) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def check(self, source: str, rate: str) -> None:
        """Count one request.

        Raises:
            Problem: 429, the rate is exceeded.
        """
        item = parse(rate)
        if not self._limiter.hit(item, source):
            wait = max(1, int(item.get_expiry()) // max(1, item.amount))
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {rate} requests; slower, or several events in one request",
                headers={"Retry-After": str(wait)},
            )
