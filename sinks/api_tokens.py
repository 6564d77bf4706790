"""Give out, list and revoke tokens of the API."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from clickhouse_driver import Client

from pravah.errors import PravahError
from schemas.access import DATA_KINDS, generate_secret, hash_secret

_COLUMNS = "hash, name, unit, kinds, created_at, expires_at, revoked"


@dataclass(frozen=True)
class Token:
    """A token as it is kept; its secret was shown once and is nowhere."""

    name: str
    unit: str
    kinds: tuple[str, ...]
    created_at: datetime
    """Asia/Kolkata."""
    expires_at: datetime
    revoked: bool


class TokenError(PravahError):
    """A token that cannot be made or revoked."""


def create_token(client: Client, *, name: str, unit: str, kinds: Iterable[str], days: int) -> str:
    """Make a token and give its secret, which nobody can read again.

    Args:
        client: the writer's.
        name: of its holder, unique among tokens that are valid.
        unit: it and everything below it may be seen.
        kinds: of data, as `schemas.access.DATA_KINDS` has them.
        days: until it expires.

    Raises:
        TokenError: a valid token has this name, or there is no such unit or kind of data.
    """
    wanted = sorted(set(kinds))
    if not wanted or set(wanted) - set(DATA_KINDS):
        msg = f"kinds of data are {', '.join(DATA_KINDS)}; got {', '.join(wanted) or 'none'}"
        raise TokenError(msg)
    if any(token.name == name for token in tokens(client) if not token.revoked):
        msg = f"a token named {name!r} is valid already: revoke it first, or choose another name"
        raise TokenError(msg)
    if not client.execute("SELECT count() FROM units WHERE unit = %(unit)s", {"unit": unit})[0][0]:
        msg = f"unit {unit!r} is not in the registry"
        raise TokenError(msg)
    secret = generate_secret()
    client.execute(
        f"INSERT INTO api_tokens ({_COLUMNS}) SELECT %(hash)s, %(name)s, %(unit)s, %(kinds)s, now64(3), now64(3) + toIntervalDay(%(days)s), 0",
        {"hash": hash_secret(secret), "name": name, "unit": unit, "kinds": wanted, "days": days},
    )
    return secret


def tokens(client: Client) -> list[Token]:
    """All that were ever given out, the newest first."""
    rows = client.execute(
        "SELECT name, unit, kinds, created_at, expires_at, revoked FROM api_tokens FINAL ORDER BY created_at DESC, name"
    )
    return [
        Token(name, unit, tuple(kinds), created, expires, bool(revoked))
        for name, unit, kinds, created, expires, revoked in rows
    ]


def revoke_token(client: Client, name: str) -> None:
    """Make a token invalid; running servers follow within seconds.

    Raises:
        TokenError: no valid token has this name.
    """
    if not any(token.name == name and not token.revoked for token in tokens(client)):
        msg = f"no valid token is named {name!r}; `pravah api token list` shows them"
        raise TokenError(msg)
    client.execute(
        f"INSERT INTO api_tokens ({_COLUMNS}, updated_at) "
        "SELECT hash, name, unit, kinds, created_at, expires_at, 1, greatest(now64(6), updated_at + toIntervalMicrosecond(1)) "
        "FROM api_tokens FINAL WHERE name = %(name)s AND NOT revoked",
        {"name": name},
    )
