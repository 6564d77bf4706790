"""What a request may cost: bytes of its body, depth of its JSON, requests of a source in a time."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from pravah.problems import Problem

RETRY_SECONDS = 10
"""What `Retry-After` says when we cannot take more."""
_READ_SECONDS = 30.0
_NOT_STRUCTURE = bytes(set(range(256)) - set(b"{}[]"))
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+\\?(?:"|\Z)', re.DOTALL)
"""A JSON text, also one that never ends; possessive, so that no body makes it slow."""


def unavailable(detail: str, seconds: int = RETRY_SECONDS) -> Problem:
    """We cannot take it now; every sender may try again."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(seconds)})


def is_deeper(body: bytes, most: int) -> bool:
    """Whether objects and lists of a JSON text stand deeper inside each other than `most`; found without parsing it."""
    if body.count(b"{") + body.count(b"[") <= most:
        return False
    depth = 0
    for byte in _TEXT.sub(b"", body).translate(None, _NOT_STRUCTURE):
        if byte in b"{[":
            depth += 1
            if depth > most:
                return True
        else:
            depth -= 1
    return False


class BodyBudget:
    """Bytes of bodies that may be in memory at a time; one body alone always finds room."""

    def __init__(self, most: int) -> None:
        """Take how many."""
        self.most = most
        self.taken = 0

    @contextmanager
    def held(self) -> Iterator["Held"]:
        """Room for one body, given back when the block is left."""
        held = Held(self)
        try:
            yield held
        finally:
            self.taken -= held.size


class Held:
    """What one body takes."""

    def __init__(self, room: BodyBudget) -> None:
        """Nothing yet."""
        self._room = room
        self.size = 0

    def take(self, more: int) -> None:
        """Take more room.

        Raises:
            Problem: 503, there is none.
        """
        others = self._room.taken - self.size
        if others and self._room.taken + more > self._room.most:
            msg = "too many large bodies at once; this one was not taken"
            raise unavailable(msg)
        self.size += more
        self._room.taken += more


async def read_body(
    stream: AsyncIterator[bytes], declared: str | None, most: int, held: Held
) -> bytes:
    """Read a body, and no more of it than is allowed.

    Raises:
        Problem: 413, it is too large; 408, it does not come; 503, there is no room for it now.
    """
    too_large = Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {most:,} bytes, which is all that this source may send; send less at a time",
    )
    if (
        declared is not None
        and declared.isascii()
        and declared.isdecimal()
        and int(declared[:20]) > most
    ):
        raise too_large
    pieces, size = [], 0
    try:
        async with asyncio.timeout(_READ_SECONDS):
            async for piece in stream:
                size += len(piece)
                if size > most:
                    raise too_large
                held.take(len(piece))
                pieces.append(piece)
    except TimeoutError:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {_READ_SECONDS:.0f} s"
        ) from None
    return b"".join(pieces)


class Rates:
    """Counts the requests of each source. In memory: after a restart it begins anew."""

    def __init__(self) -> None:
        """Begin."""
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def check(self, source: str, rate: str) -> None:
        """Count one request.

        Raises:
            Problem: 429, it is one too many.
        """
        item = parse(rate)
        if not self._limiter.hit(item, source):
            wait = max(1, int(item.get_expiry()) // max(1, item.amount))
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {rate} requests; slower, or several events in one request",
                headers={"Retry-After": str(wait)},
            )
