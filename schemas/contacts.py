"""Contacts: who holds which office in which unit, with name and phone number.

These are the only names and phone numbers in Pravah: events have keyed hashes.
"""

import csv
from collections.abc import Container, Iterable
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from pravah.errors import FindingsError
from pravah.units import LEVELS, UNIT_CODE_PATTERN, Level

Language = Literal["hi", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

COLUMNS = ("unit", "role", "name", "phone", "language")


# No number begins so, nor will one: 0 is dialled before a national number and is no part of it. The
# made-up persons of a simulated campaign have such numbers: see `producers.simulator.persons`.
FICTIONAL_PREFIX = "+910"


class Contact(BaseModel):
    """A line of a contacts file."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    unit: Annotated[str, StringConstraints(pattern=UNIT_CODE_PATTERN)]
    role: Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]
    """The office without its level, as in a plan's `responsible`: `in-charge`, `president`."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
    phone: Annotated[str, StringConstraints(pattern=r"^\+[1-9]\d{7,14}$")]
    """With country code, as `+919876543210` (E.164)."""
    language: Language

    @property
    def is_made_up(self) -> bool:
        """Whether the number can be nobody's, so that this is the contact of a demo."""
        return self.phone.startswith(FICTIONAL_PREFIX)


class ContactsError(FindingsError):
    """A contacts file cannot be used. Findings never quote a name or a phone number."""

    subject = "the contacts"


def contacts_from_csv(lines: Iterable[str], units: Container[str]) -> list[Contact]:
    """Read a contacts file: CSV with the columns unit, role, name, phone, language.

    Args:
        lines: the lines of the file.
        units: the codes of all units.

    Raises:
        ContactsError: with all findings, by line.
    """
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ContactsError([f"line 1: the columns must be {','.join(COLUMNS)}"])
    findings, found = [], []
    seen: set[tuple[str, str]] = set()
    for number, row in enumerate(reader, start=2):
        try:
            contact = Contact.model_validate(row)
        except ValidationError as error:
            findings += [
                f"line {number}: {'.'.join(map(str, item['loc']))}: {item['msg']}"
                for item in error.errors(include_url=False, include_input=False)
            ]
            continue
        if contact.unit not in units:
            findings.append(f"line {number}: unit {contact.unit} is not in the registry")
        elif (contact.unit, contact.role) in seen:
            findings.append(f"line {number}: {contact.unit} has a {contact.role} already")
        seen.add((contact.unit, contact.role))
        found.append(contact)
    if findings:
        raise ContactsError(findings)
    return found


def parse_responsible(responsible: str) -> tuple[Level, str] | None:
    """Split a plan's `responsible`, such as `district in-charge`, into a level and a role.

    None if it does not begin with a level.
    """
    level, _, role = responsible.partition(" ")
    return next(((known, role) for known in LEVELS if known == level and role), None)
