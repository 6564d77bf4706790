"""Tokens: who sends a request, and what they may read."""

import time
from http import HTTPStatus

from api.clickhouse import Reader
from pravah.problems import Problem
from schemas.access import DataKind, Scope, hash_secret

# A revoked token stops working within this time.
_CACHE_SECONDS = 5.0
_MAX_CACHED = 1_000
_MISSING = "a token is needed: `Authorization: Bearer …`; the state's control room issues them"
_INVALID = "this token is unknown, expired or revoked"


class Tokens:
    """Looks tokens up by their hash."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._cache: dict[str, tuple[float, Scope | None]] = {}

    async def scope(self, secret: str | None) -> Scope:
        """Scope of the token with a secret.

        Raises:
            Problem: 401, there is no token or it is not valid.
        """
        if not secret:
            raise _unauthorised(_MISSING)
        scope = await self._look_up(hash_secret(secret))
        if scope is None:
            raise _unauthorised(_INVALID)
        return scope

    async def _look_up(self, digest: str) -> Scope | None:
        at, scope = self._cache.get(digest, (0.0, None))
        now = time.monotonic()
        if digest in self._cache and now - at < _CACHE_SECONDS:
            return scope
        rows = await self._reader.rows(
            "SELECT name, unit, kinds FROM api_token(hash = {hash:String})",
            {"hash": digest},
        )
        scope = Scope(rows[0][0], rows[0][1], frozenset(rows[0][2])) if rows else None
        if len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
        self._cache[digest] = (now, scope)
        return scope


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


def _unauthorised(detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": "Bearer"})
