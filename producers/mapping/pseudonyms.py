"""Keyed hashes that stand for persons: the one place where a phone number or a name becomes one. Rotating the key does not count a person twice.

The same person has the same hash whichever way it comes: `+91 90000 00001`, `०९००००००००१`, `tel:+919000000001` and a WhatsApp address are one number. A new key stands
for persons that are new. Whoever was given a hash under an older key keeps it: that is what the memory of given-out hashes is for.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from pravah.settings import Settings

_INDIA = "+91"
_URN = re.compile(r"^(tel|whatsapp|sms):", re.IGNORECASE)
_WHATSAPP_ADDRESS = re.compile(r"@(c\.us|s\.whatsapp\.net)$", re.IGNORECASE)
_FILLING = re.compile(r"[\s().\-\u2010-\u2015]+")
_ABROAD = re.compile(r"(?:\+|00)([1-9]\d{7,14})")
_AT_HOME = re.compile(r"(?:\+91|0091|91|0)?([6-9]\d{9})")
"""Indian mobile numbers begin with 6 to 9 and have ten digits: Department of Telecommunications, National Numbering Plan."""


class GivenOut(Protocol):
    """Which hashes were given out. `producers.gateway.store` implements it.

    What `remember` was told must be durable no later than the events that carry the hashes. `known` may look at what is committed: two bodies at the same time give a
    new person the same hash.
    """

    def known(self, hashes: Collection[str]) -> set[str]:
        """Those of the hashes that were given out before."""
        ...

    def remember(self, hashes: Collection[str]) -> None:
        """Keep them for good; to remember one again changes nothing."""
        ...


class PersonKeys:
    """The installation's keys, the newest first."""

    def __init__(self, keys: Sequence[bytes], given_out: GivenOut | None = None) -> None:
        """Take the keys.

        Args:
            keys: the newest first, at least one.
            given_out: which hashes were given out. None: all get one under the newest key, so that one who has an older one counts again.
        """
        if not keys:
            msg = "no key for the hashes of persons: set PRAVAH_PERSON_KEY"
            raise ValueError(msg)
        self._keys, self._given_out = tuple(keys), given_out

    @classmethod
    def of(cls, settings: Settings, given_out: GivenOut | None = None) -> "PersonKeys | None":
        """The keys of an installation; None if it has none."""
        if settings.person_key is None:
            return None
        return cls(
            [
                key.get_secret_value().encode()
                for key in (settings.person_key, *settings.person_keys_old)
            ],
            given_out,
        )

    def __repr__(self) -> str:
        """How many keys there are, and nothing of them."""
        return f"PersonKeys({len(self._keys)} keys)"

    def hash(self, identifier: str) -> str:
        """The keyed hash of one person: 64 hex digits."""
        return self.hashes([identifier])[0]

    def hashes(self, identifiers: Iterable[str]) -> list[str]:
        """The keyed hashes of persons, in their order: HMAC-SHA256 of `normalised`."""
        persons = [normalised(identifier).encode() for identifier in identifiers]
        newest_first = [
            [hmac.new(key, person, hashlib.sha256).hexdigest() for key in self._keys]
            for person in persons
        ]
        if self._given_out is None:
            return [choices[0] for choices in newest_first]
        older = [choice for choices in newest_first for choice in choices[1:]]
        known = self._given_out.known(older) if older else set()
        # the oldest that is known was given out first, and figures count it already
        chosen = [
            next((choice for choice in reversed(choices) if choice in known), choices[0])
            for choices in newest_first
        ]
        self._given_out.remember(chosen)
        return chosen


def normalised(identifier: str) -> str:
    """What is hashed: a phone number as `tel:` and E.164, anything else as casefolded text in NFC with single spaces."""
    number = phone(identifier)
    return (
        f"tel:{number}"
        if number
        else " ".join(unicodedata.normalize("NFC", identifier).casefold().split())
    )


def phone(text: str) -> str | None:
    """A phone number in E.164, Indian if it does not say; None if the text is none."""
    plain = _WHATSAPP_ADDRESS.sub("", _URN.sub("", text.strip()))
    plain = _FILLING.sub("", ascii_digits(plain))
    if home := _AT_HOME.fullmatch(plain):
        return _INDIA + home[1]
    abroad = _ABROAD.fullmatch(plain)
    if abroad is None and plain.isdigit() and plain.isascii() and _names_address(text):
        abroad = _ABROAD.fullmatch(
            f"+{plain}"
        )  # a WhatsApp address has the country's code without a plus
    return f"+{abroad[1]}" if abroad else None


def ascii_digits(text: str) -> str:
    """The text with the digits of any script, such as Devanagari, as 0 to 9."""
    return (
        text
        if text.isascii()
        else "".join(
            str(unicodedata.decimal(letter)) if letter.isdecimal() else letter for letter in text
        )
    )


def _names_address(text: str) -> bool:
    return (
        text.strip().lower().startswith("whatsapp:")
        or _WHATSAPP_ADDRESS.search(text.strip()) is not None
    )
