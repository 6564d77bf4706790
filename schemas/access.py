"""What a token of the API lets its holder see."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal, get_args

DataKind = Literal["figures", "plan", "registry", "persons"]
DATA_KINDS: tuple[DataKind, ...] = get_args(DataKind)
"""Figures and their freshness; plan, progress and defaulters; units and metrics; names and phone numbers of contacts."""

_PREFIX = "pravah_"


@dataclass(frozen=True)
class Scope:
    """One token's: a unit with everything below it, and kinds of data."""

    name: str
    unit: str
    kinds: frozenset[str]


def new_secret() -> str:
    """A token's secret: 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """What is kept of a secret: SHA-256, 64 hex digits. A random secret of 256 bits needs no salt and no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()
