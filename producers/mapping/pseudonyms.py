"""Keyed hashes that stand for persons, made before an event is stored or sent.

This is the only place where a phone number or a name becomes a hash. One person has one hash
however the number is written: `+91 90000 00001`, `०९००००००००१`, `tel:+919000000001` and a WhatsApp
address are the same number.

After a rotation of the key, only new persons get hashes under the new key. A person who has a hash
under an older key keeps it, so that nobody counts twice: `IssuedHashes` remembers who has one.
"""

import hashlib
import hmac
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from pravah.settings import Settings
from producers.mapping.phones import INDIA, parse_phone
from producers.mapping.text import fold_text


class IssuedHashes(Protocol):
    """The hashes that events carry already. `producers.gateway.issued_hashes` implements it.

    Hashes passed to `remember` must be durable no later than the events that carry them. `known`
    may read committed state only: if two bodies report a new person at the same time, both get the
    same hash.
    """

    def known(self, hashes: Collection[str]) -> set[str]:
        """Return the subset of the hashes that were issued before."""
        ...

    def remember(self, hashes: Collection[str]) -> None:
        """Store hashes for good. Idempotent."""
        ...


class Pseudonymiser:
    """Turns identifiers of persons into keyed hashes."""

    def __init__(self, keys: Sequence[bytes], issued: IssuedHashes | None = None) -> None:
        """Create a pseudonymiser.

        Args:
            keys: the installation's keys, newest first, at least one.
            issued: the hashes issued so far. If None, every person gets a hash under the newest
                key, so a person who has an older hash counts again.
        """
        if not keys:
            msg = "no key for the hashes of persons: set PRAVAH_PERSON_KEY"
            raise ValueError(msg)
        self._keys, self._issued = tuple(keys), issued

    @classmethod
    def from_settings(
        cls, settings: Settings, issued: IssuedHashes | None = None
    ) -> "Pseudonymiser | None":
        """Use the keys of an installation. None if it has none."""
        if settings.person_key is None:
            return None
        return cls(
            [
                key.get_secret_value().encode()
                for key in (settings.person_key, *settings.person_keys_old)
            ],
            issued,
        )

    def __repr__(self) -> str:
        """Show the number of keys and nothing of their content."""
        return f"Pseudonymiser({len(self._keys)} keys)"

    def hash(self, identifier: str) -> str:
        """Return the keyed hash of one person: 64 hex digits."""
        return self.hash_all([identifier])[0]

    def hash_all(self, identifiers: Iterable[str], region: str = INDIA) -> list[str]:
        """Return the keyed hashes of persons, in their order.

        A hash is the HMAC-SHA256 of `normalise_identifier(identifier)`, as 64 hex digits.

        Args:
            identifiers: phone numbers, names, other numbers.
            region: ISO 3166 code of the country of phone numbers without a country code.
        """
        persons = [normalise_identifier(identifier, region).encode() for identifier in identifiers]
        newest_first = [
            [hmac.new(key, person, hashlib.sha256).hexdigest() for key in self._keys]
            for person in persons
        ]
        if self._issued is None:
            return [choices[0] for choices in newest_first]
        older = [choice for choices in newest_first for choice in choices[1:]]
        known = self._issued.known(older) if older else set()
        # the oldest issued hash wins, because the figures count that one already
        chosen = [
            next((choice for choice in reversed(choices) if choice in known), choices[0])
            for choices in newest_first
        ]
        self._issued.remember(chosen)
        return chosen


def normalise_identifier(identifier: str, region: str = INDIA) -> str:
    """Return the text that is hashed.

    A phone number becomes `tel:` and its E.164 form; any other text is casefolded, in NFC, with
    single spaces and without invisible characters.
    """
    number = parse_phone(identifier, region)
    return f"tel:{number}" if number else fold_text(identifier)
