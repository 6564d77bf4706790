"""Addresses of clients, and how many requests without a valid token each may send."""

import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address

from limits import parse
from starlette.types import Scope

from pravah.problems import Problem

# Addresses that are counted at once; of more, the one that was counted longest ago is forgotten.
MAX_ADDRESSES = 10_000
_MAX_LENGTH = 64


def client_address(scope: Scope) -> str:
    """Address of a request's client; of IPv6 its network of 64 bits, which one client may hold."""
    text = str((scope.get("client") or ("", 0))[0])[:_MAX_LENGTH]
    try:
        address = ip_address(text)
    except ValueError:
        return text
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"


class AddressLimit:
    """Limits requests without a valid token, by address and fixed windows of time.

    The storages of `limits` keep every address until its window ends, and cannot take a request
    back.
    """

    def __init__(self, rate: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Create a limit, such as `60/minute`."""
        limit = parse(rate)
        self._rate, self._allowed, self._seconds = rate, limit.amount, float(limit.get_expiry())
        self._clock = clock
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def hit(self, address: str) -> None:
        """Count a request whose token is not known to be valid.

        Raises:
            Problem: 429, the address has sent too many of them.
        """
        now = self._clock()
        start, count = self._windows.pop(address, (now, 0))
        if now - start >= self._seconds:
            start, count = now, 0
        self._windows[address] = (start, min(count + 1, self._allowed))
        if len(self._windows) > MAX_ADDRESSES:
            self._windows.popitem(last=False)
        if count >= self._allowed:
            wait = int(start + self._seconds - now) + 1
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {self._rate} requests without a valid token from this address;"
                f" wait {wait} s",
                headers={"Retry-After": str(wait)},
            )

    def undo_hit(self, address: str) -> None:
        """Take back the count of a request: its token is valid, or could not be looked up."""
        if address in self._windows:
            start, count = self._windows[address]
            self._windows[address] = (start, max(count - 1, 0))
