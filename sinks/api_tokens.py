"""Issue, list and revoke tokens of the API."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from clickhouse_driver import Client

from pravah.errors import PravahError
from schemas.access import DATA_KINDS, generate_secret, hash_secret

_COLUMNS = "hash, name, unit, kinds, created_at, expires_at, revoked"


@dataclass(frozen=True)
class Token:
    """A stored token. Its secret was shown once and is not stored."""

    name: str
    unit: str
    kinds: tuple[str, ...]
    created_at: datetime
    """Asia/Kolkata."""
    expires_at: datetime
    revoked: bool


class TokenError(PravahError):
    """The token cannot be created or revoked."""


def create_token(client: Client, *, name: str, unit: str, kinds: Iterable[str], days: int) -> str:
    """Create a token and return its secret, which cannot be read again.

    Args:
        client: the writer's.
        name: of its holder, unique among tokens that are valid.
        unit: a code; the token gives access to it and everything below it.
        kinds: of data, from `schemas.access.DATA_KINDS`.
        days: until it expires.

    Raises:
        TokenError: a valid token has this name, or there is no such unit or kind of data.
    """
    wanted = sorted(set(kinds))
    if not wanted or set(wanted) - set(DATA_KINDS):
        msg = f"kinds of data are {', '.join(DATA_KINDS)}; got {', '.join(wanted) or 'none'}"
        raise TokenError(msg)
    if any(token.name == name for token in tokens(client) if not token.revoked):
        _raise_taken(name)
    if not client.execute("SELECT count() FROM units WHERE unit = %(unit)s", {"unit": unit})[0][0]:
        msg = f"unit {unit!r} is not in the registry"
        raise TokenError(msg)
    secret = generate_secret()
    own = hash_secret(secret)
    client.execute(
        f"""
        INSERT INTO api_tokens ({_COLUMNS})
        SELECT %(hash)s, %(name)s, %(unit)s, %(kinds)s, now64(3),
               now64(3) + toIntervalDay(%(days)s), 0
        """,
        {"hash": own, "name": name, "unit": unit, "kinds": wanted, "days": days},
    )
    # Of two processes that create a token of one name at once, at least one sees the other's.
    ((others,),) = client.execute(
        "SELECT count() FROM api_tokens FINAL "
        "WHERE name = %(name)s AND NOT revoked AND hash != %(hash)s",
        {"name": name, "hash": own},
    )
    if others:
        _revoke(client, "hash = %(hash)s", {"hash": own})
        _raise_taken(name)
    return secret


def _raise_taken(name: str) -> NoReturn:
    msg = f"a token named {name!r} is valid already: revoke it first, or choose another name"
    raise TokenError(msg)


def tokens(client: Client) -> list[Token]:
    """All tokens that were ever issued, the newest first."""
    rows = client.execute(
        """
        SELECT name, unit, kinds, created_at, expires_at, revoked
        FROM api_tokens FINAL
        ORDER BY created_at DESC, name
        """
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
    _revoke(client, "name = %(name)s", {"name": name})


def _revoke(client: Client, condition: str, values: Mapping[str, str]) -> None:
    client.execute(
        f"""
        INSERT INTO api_tokens ({_COLUMNS}, updated_at)
        SELECT hash, name, unit, kinds, created_at, expires_at, 1,
               greatest(now64(6), updated_at + toIntervalMicrosecond(1))
        FROM api_tokens FINAL
        WHERE {condition} AND NOT revoked
        """,
        values,
    )
