"""Tokens: who sends a request, and what they may read."""

import time
from collections import OrderedDict
from http import HTTPStatus
from typing import NoReturn, TypeVar

from api.addresses import AddressLimit
from api.clickhouse import Reader
from pravah.problems import Problem
from schemas.access import DataKind, Scope, hash_secret

V = TypeVar("V")

# A revoked token stops working within this time, a new one that was tried before works after it.
_CACHE_SECONDS = 5.0
_MAX_CACHED = 1_000
_MISSING = "a token is needed: `Authorization: Bearer …`; the state's control room issues them"
_INVALID = "this token is unknown, expired or revoked"


class Tokens:
    """Looks tokens up by their hash.

    Valid tokens and unknown ones are cached apart, so that strangers do not displace valid ones. A
    token that was valid when it was last looked up is not subject to its address's limit.
    """

    def __init__(self, reader: Reader, limit: AddressLimit) -> None:
        self._reader, self._limit = reader, limit
        self._valid: OrderedDict[str, tuple[float, Scope]] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()

    async def scope(self, secret: str | None, address: str) -> Scope:
        """Scope of the token with a secret.

        Args:
            secret: of the token; None if the request has none.
            address: of the client.

        Raises:
            Problem: 401, there is no token or it is not valid; 429, the address has sent too many
                requests like that.
        """
        if not secret:
            self._limit.hit(address)
            _refuse(_MISSING)
        digest = hash_secret(secret)
        at, scope = self._valid.get(digest, (0.0, None))
        if scope is not None and time.monotonic() - at < _CACHE_SECONDS:
            return scope
        if scope is None:
            self._limit.hit(address)
            if time.monotonic() - self._unknown.get(digest, -_CACHE_SECONDS) < _CACHE_SECONDS:
                _refuse(_INVALID)
        try:
            found = await self._look_up(digest)
        except Exception:
            if scope is None:
                self._limit.undo_hit(address)
            raise
        if found is None:
            self._valid.pop(digest, None)
            _store(self._unknown, digest, time.monotonic())
            _refuse(_INVALID)
        if scope is None:
            self._limit.undo_hit(address)
        _store(self._valid, digest, (time.monotonic(), found))
        return found

    async def _look_up(self, digest: str) -> Scope | None:
        rows = await self._reader.rows(
            "SELECT name, unit, kinds FROM api_token(hash = {hash:String})",
            {"hash": digest},
        )
        return Scope(rows[0][0], rows[0][1], frozenset(rows[0][2])) if rows else None


def _store(cache: OrderedDict[str, V], digest: str, value: V) -> None:
    cache[digest] = value
    cache.move_to_end(digest)
    if len(cache) > _MAX_CACHED:
        cache.popitem(last=False)


def require(scope: Scope, kind: DataKind) -> None:
    """Check that a token may read a kind of data.

    Raises:
        Problem: 403.
    """
    if kind not in scope.kinds:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"this token does not reach {kind}; it reaches"
            f" {', '.join(sorted(scope.kinds)) or 'nothing'}",
        )


def _refuse(detail: str) -> NoReturn:
    raise Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": "Bearer"})
