"""The parts of an entity's name: which of them are hashed, and why one is refused. Pure."""

from collections.abc import Iterable

from pydantic import Field

from producers.mapping.conversions import Cell, ConversionError, StrictModel, to_identifier
from producers.mapping.open_phones import ADVICE, has_open_phone
from producers.mapping.pseudonyms import Pseudonymiser


class EntityParts(StrictModel):
    """How the values that identify an entity enter its name, which is kept for ever."""

    hash: list[str] = Field(default_factory=list)
    """Those that enter as the keyed hash of a person, such as phone numbers and names."""
    numbers: list[str] = Field(default_factory=list)
    """Those that are numbers of something else although they look like phone numbers."""

    def convert(
        self,
        name: str,
        cell: Cell,
        pseudonymiser: Pseudonymiser | None,
        *,
        may_be_day: bool = False,
    ) -> str:
        """Return the part of an entity's name that a cell gives.

        Args:
            name: of the column or field, as the mapping has it.
            cell: not empty.
            pseudonymiser: None if the installation has no key.
            may_be_day: whether the text may be a day such as 5-Mar.

        Raises:
            ConversionError: the cell has no meaning, or looks like a phone number; or there is no
                key for its hash.
        """
        text = to_identifier(cell, may_be_day=may_be_day)
        if name in self.hash:
            if pseudonymiser is None:
                msg = "needs the installation's key for persons: set PRAVAH_PERSON_KEY"
                raise ConversionError(msg)
            return pseudonymiser.hash(text)
        if name not in self.numbers and has_open_phone(text):
            raise OpenPhoneError(ADVICE.format(name=f'"{name}"'))
        return text

    def check_names(self, names: Iterable[str]) -> None:
        """Check that `hash` and `numbers` are among the parts.

        Raises:
            ValueError: one is not, or is in both.
        """
        known = set(names)
        for key, listed in (("hash", self.hash), ("numbers", self.numbers)):
            if unknown := [name for name in listed if name not in known]:
                msg = f"{key}: {', '.join(unknown)} is no part of the entity; name one of its parts"
                raise ValueError(msg)
        if both := [name for name in self.hash if name in self.numbers]:
            msg = f"{', '.join(both)} is in hash and in numbers; name it in one of them"
            raise ValueError(msg)


class OpenPhoneError(ConversionError):
    """A value looks like a phone number. No message may repeat it."""
