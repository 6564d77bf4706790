"""Who asks, and what they may see."""

import time
from http import HTTPStatus

from api.clickhouse import Reader
from pravah.problems import Problem
from schemas.access import DataKind, Scope, hashed

_KNOWN_SECONDS = 5.0
"""So long an answer about a token is remembered: a revoked one stops within that time."""
_REMEMBERED = 1_000
_NEEDED = "a token is needed: `Authorization: Bearer …`; the state's control room gives them out"
_NOT_VALID = "this token is unknown, expired or revoked"


class Tokens:
    """Looks tokens up by their hash."""

    def __init__(self, reader: Reader) -> None:
        """Ask by this account."""
        self._reader = reader
        self._known: dict[str, tuple[float, Scope | None]] = {}

    async def scope(self, secret: str | None) -> Scope:
        """What the bearer of a secret may see.

        Raises:
            Problem: 401, there is no token or it is not valid.
        """
        if not secret:
            raise _unauthorised(_NEEDED)
        found = await self._look_up(hashed(secret))
        if found is None:
            raise _unauthorised(_NOT_VALID)
        return found

    async def _look_up(self, digest: str) -> Scope | None:
        at, scope = self._known.get(digest, (0.0, None))
        now = time.monotonic()
        if digest in self._known and now - at < _KNOWN_SECONDS:
            return scope
        rows = await self._reader.rows(
            "SELECT name, unit, kinds FROM api_tokens FINAL WHERE hash = {hash:String} AND NOT"
            " revoked AND expires_at > now64(3)",
            {"hash": digest},
        )
        scope = Scope(rows[0][0], rows[0][1], frozenset(rows[0][2])) if rows else None
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[digest] = (now, scope)
        return scope


def require(scope: Scope, kind: DataKind) -> None:
    """Refuse what the token does not reach.

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
