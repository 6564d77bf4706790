"""Made-up persons who hold the offices that a simulated campaign fills, as contacts.

Nobody must be able to call a stranger by a contact of a demo. India has no numbers for fiction, as
other countries have. But a national number cannot begin with 0, which is dialled before it to reach
another area (Department of Telecommunications, National Numbering Plan 2003), and E.164 keeps that
digit out of a number. So no number +91 0… was or can be given to anybody; a telephone that drops
the 0 is left with a digit too few. A contact may have one, for a demo needs some to show;
`producers.mapping.phones`, through which the field's data comes, refuses it as a real person's.
"""

from collections.abc import Iterable, Iterator
from random import Random

import orjson

from pravah.units import level_of, state_of
from producers.simulator.deliveries import Delivery
from producers.simulator.scenario import MADE_UP_EN, MADE_UP_HI
from schemas.contacts import FICTIONAL_PREFIX, Contact, Language

# Usual first and last names in Chhattisgarh, in both scripts.
_FIRST_NAMES = (
    ("Sunita", "सुनीता"),
    ("Ramesh", "रमेश"),
    ("Kavita", "कविता"),
    ("Mohan", "मोहन"),
    ("Phulbai", "फूलबाई"),
    ("Santosh", "संतोष"),
    ("Anita", "अनीता"),
    ("Dinesh", "दिनेश"),
    ("Lata", "लता"),
    ("Ganesh", "गणेश"),
    ("Rekha", "रेखा"),
    ("Bhupendra", "भूपेंद्र"),
    ("Meena", "मीना"),
    ("Kamlesh", "कमलेश"),
    ("Savitri", "सावित्री"),
    ("Tularam", "तुलाराम"),
)
_LAST_NAMES = (
    ("Sahu", "साहू"),
    ("Verma", "वर्मा"),
    ("Netam", "नेताम"),
    ("Dhruw", "ध्रुव"),
    ("Yadav", "यादव"),
    ("Patel", "पटेल"),
    ("Markam", "मरकाम"),
    ("Sinha", "सिन्हा"),
    ("Kashyap", "कश्यप"),
    ("Thakur", "ठाकुर"),
    ("Nishad", "निषाद"),
    ("Chandrakar", "चंद्राकर"),
    ("Kunjam", "कुंजाम"),
    ("Dewangan", "देवांगन"),
)
_HINDI_SHARE = 0.85
_NUMBER_DIGITS = 9
_ROLES = frozenset({"incharge", "head"})


class OfficeHolders:
    """The units whose office of an in-charge the deliveries of a campaign have filled."""

    def __init__(self) -> None:
        self._units: set[str] = set()

    def note(self, delivery: Delivery) -> None:
        """Take note of an appointment."""
        if delivery.sort != "report" or b'"incharge_appointed"' not in (delivery.value or b""):
            return
        event = orjson.loads(delivery.value or b"")
        if event["data"]["role"] in _ROLES:
            self._units.add(event["unit"])

    def make_contacts(self, seed: int) -> list[Contact]:
        """Make up the persons: an in-charge of each unit, and each state's president.

        Args:
            seed: equal seeds give equal persons to equal units.
        """
        offices = {(unit, "in-charge") for unit in self._units}
        offices |= {(state, "president") for unit in self._units if (state := state_of(unit))}
        return number_persons(
            _make_up(sorted(offices, key=lambda one: (level_of(one[0]), one)), seed), 1
        )


def number_persons(persons: Iterable[Contact], first: int) -> list[Contact]:
    """Give made-up persons telephone numbers from the `first` on."""
    return [
        one.model_copy(update={"phone": f"{FICTIONAL_PREFIX}{number:0{_NUMBER_DIGITS}}"})
        for number, one in enumerate(persons, start=first)
    ]


def _make_up(offices: Iterable[tuple[str, str]], seed: int) -> Iterator[Contact]:
    for unit, role in offices:
        rng = Random(f"{seed} {unit} {role}")
        first, last = rng.choice(_FIRST_NAMES), rng.choice(_LAST_NAMES)
        language: Language = "hi" if rng.random() < _HINDI_SHARE else "en"
        name = (
            f"{first[1]} {last[1]} {MADE_UP_HI}"
            if language == "hi"
            else f"{first[0]} {last[0]} {MADE_UP_EN}"
        )
        yield Contact(
            unit=unit,
            role=role,
            name=name,
            phone=f"{FICTIONAL_PREFIX}{0:0{_NUMBER_DIGITS}}",
            language=language,
        )
