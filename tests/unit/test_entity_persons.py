"""No ready-made way in lets a phone number into the name of an entity; a mapping can hash it."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from pravah.events import EventError, parse_event
from producers.gateway import direct_events
from producers.mapping.form_mapper import UnmappableError, map_submission
from producers.mapping.form_mapping import FormMapping
from producers.mapping.pseudonyms import Pseudonymiser
from producers.mapping.submissions import Submission
from producers.tables import Importer, ImportMapping, MappingError
from tests.unit.test_form_mapping import FIELDS, UNITS, catch_findings, findings, map_fields

KEY = Pseudonymiser([b"key of the installation"])
FORM = """
[unit]
field = "booth"

[occurred_at]
field = "day"

[[event]]
kind = "messaging_group"
entity = { prefix = "group", fields = ["group"] }
constants = { group_type = "whatsapp", members = 12 }
"""
TABLE = """
kind = "messaging_group"
producer = "test-office"
unit = { column = "Booth" }
occurred_at = { column = "Date", format = "%d/%m/%Y" }
entity = { prefix = "sheet:groups", columns = ["Group"] }
constants = { group_type = "whatsapp", members = 12 }
"""
COLUMNS = ["Group", "Booth", "Date"]
PHONES = ["9876543210", "+91 98765-43210", "९८७६५४३२१०", "Sita 98765 43210", "tel:+919876543210"]
OTHERS = ["1234567890", "490154203237518", "CG-AC084-B0017", "120363041234567890@g.us", "सीता"]


def with_entity(text: str, more: str) -> str:
    return text.replace('"] }', f'"], {more} }}', 1)


def convert(text: str, group: object) -> dict[str, Any]:
    importer = Importer(ImportMapping.from_toml(text), COLUMNS, pseudonymiser=KEY)
    value = importer.convert(2, [group, "CG-AC001-B0001", "03/03/2022"]).value
    return orjson.loads(value)  # type: ignore[no-any-return]


@pytest.mark.parametrize("phone", PHONES, ids=ascii)
def test_a_form_and_a_table_with_a_phone_number_as_identity_are_refused(phone: str) -> None:
    (finding,) = catch_findings({**FIELDS, "group": phone}, FORM)
    assert finding.startswith("entity: group looks like a phone number")
    assert 'hash = ["group"]' in finding
    with pytest.raises(EventError) as caught:
        convert(TABLE, phone)
    assert caught.value.detail.startswith("Group: looks like a phone number")
    assert 'hash = ["Group"]' in caught.value.detail
    for text in (finding, caught.value.detail):
        assert "98765" not in text
        assert "९" not in text


def test_a_spreadsheet_s_number_is_found_as_well() -> None:
    for cell in (9876543210, 9876543210.0, 919876543210.0):
        with pytest.raises(EventError, match="looks like a phone number"):
            convert(TABLE, cell)


@pytest.mark.parametrize("other", OTHERS, ids=ascii)
def test_other_numbers_and_names_are_identities_as_before(other: str) -> None:
    (mapped,) = map_fields({**FIELDS, "group": other}, FORM)
    assert mapped.entity == f"group:{other}"
    assert convert(TABLE, other)["entity"] == f"sheet:groups:{other}"


@pytest.mark.parametrize("person", [*PHONES, "Sita Devi"], ids=ascii)
def test_a_mapping_can_hash_it(person: str) -> None:
    text = with_entity(FORM, 'hash = ["group"]')
    (mapped,) = map_fields({**FIELDS, "group": person}, text, pseudonymiser=KEY)
    assert mapped.entity == f"group:{KEY.hash(person)}"
    table = with_entity(TABLE, 'hash = ["Group"]')
    assert convert(table, person)["entity"] == f"sheet:groups:{KEY.hash(person)}"


def test_a_number_that_is_no_phone_number_enters_where_the_mapping_says_so() -> None:
    (mapped,) = map_fields(
        {**FIELDS, "group": "9876543210"}, with_entity(FORM, 'numbers = ["group"]')
    )
    assert mapped.entity == "group:9876543210"
    table = with_entity(TABLE, 'numbers = ["Group"]')
    assert convert(table, 9876543210.0)["entity"] == "sheet:groups:9876543210"


def test_a_hash_needs_the_key() -> None:
    text = with_entity(FORM, 'hash = ["group"]')
    (finding,) = catch_findings({**FIELDS, "group": "Sita Devi"}, text)
    assert finding == (
        "entity: group needs the installation's key for persons: set PRAVAH_PERSON_KEY"
    )
    with pytest.raises(MappingError, match="PRAVAH_PERSON_KEY"):
        Importer(ImportMapping.from_toml(with_entity(TABLE, 'hash = ["Group"]')), COLUMNS)


def test_only_parts_of_the_entity_can_be_hashed() -> None:
    for more in (
        'hash = ["gruop"]',
        'numbers = ["gruop"]',
        'hash = ["group"], numbers = ["group"]',
    ):
        assert findings(with_entity(FORM, more))


def test_a_submission_that_is_named_by_a_phone_number_is_refused() -> None:
    def named(name: str) -> list[str]:
        submission = Submission(
            form="f",
            name=name,
            changed_at=datetime(2022, 3, 4, tzinfo=UTC),
            fields={**FIELDS, "group": "g"},
        )
        try:
            map_submission(
                FormMapping.from_toml(FORM),
                submission,
                tool="glific",
                producer="office",
                units=UNITS,
                pseudonymiser=None,
            )
        except UnmappableError as error:
            return error.findings
        return []

    (finding,) = named("+919876543210")
    assert finding.startswith("submission: its identity looks like a phone number")
    assert named("uuid:7f0c6a52-6f0e-4a34-9d52-919876543210") == []


@pytest.mark.parametrize(
    ("entity", "is_refused"),
    [
        ("glific:contact:+919876543210", True),
        ("tel:9876543210", True),
        ("919876543210@c.us", True),
        ("9876543210", False),
        ("app:9876543210", False),
        ("1234567890", False),
        ("whatsapp:120363041234567890@g.us", False),
    ],
)
def test_the_gateway_refuses_an_event_only_if_the_number_is_unmistakable(
    entity: str, is_refused: bool
) -> None:
    event = {
        "event_id": "00000000-0000-4000-8000-000000000001",
        "entity": entity,
        "unit": "CG-AC001-B0001",
        "kind": "messaging_group",
        "occurred_at": "2022-03-05T10:00:00+05:30",
        "source": {"tool": "test", "producer": "x"},
        "data": {"group_type": "whatsapp", "members": 12},
    }
    refusal = direct_events._check_entity(parse_event(orjson.dumps(event)))
    assert (refusal is not None) == is_refused
    if refusal is not None:
        assert refusal.reason == "invalid"
        assert "send a keyed hash of it" in refusal.detail
        assert "98765" not in refusal.detail
