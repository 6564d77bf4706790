"""Scopes and secrets of API tokens."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal, get_args

# `figures` and their freshness; `plan`: plan, progress and defaulters; `registry`: units and
# metrics; `persons`: names and phone numbers of contacts, and keyed hashes of members.
DataKind = Literal["figures", "plan", "registry", "persons"]
DATA_KINDS: tuple[DataKind, ...] = get_args(DataKind)

_PREFIX = "pravah_"


@dataclass(frozen=True)
class Scope:
    """The data that a token grants: that of a unit and all units below it, of some kinds."""

    name: str
    unit: str
    kinds: frozenset[str]


def generate_secret() -> str:
    """Generate a token's secret: 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """Compute the SHA-256 of a secret, as it is stored: 64 hexadecimal digits.

    A random secret of 256 bits needs no salt and no slow hash.
    """
    return hashlib.sha256(secret.encode()).hexdigest()
