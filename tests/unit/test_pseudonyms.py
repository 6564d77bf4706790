"""A person has one hash however the identifier is written, and keeps it when the key is rotated."""

import hashlib
import hmac
import unicodedata
from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pravah.settings import Settings
from producers.gateway.issued_hashes import StoredIssuedHashes, open_issued_hashes
from producers.gateway.store import Store
from producers.mapping.phones import parse_phone
from producers.mapping.pseudonyms import Pseudonymiser, normalise_identifier
from producers.tables import Importer, ImportMapping

OLD, NEW, NEWEST = b"first-key-of-2022", b"second-key-of-2023", b"third-key-of-2024"
OFFICES = """
kind = "incharge_appointed"
producer = "office"
constants = { role = "incharge" }
unit = { column = "Unit" }
occurred_at = { column = "Day" }
entity = { prefix = "office", columns = ["Unit"] }
fields = { person = { column = "Phone", type = "phone" } }
"""


class IssuedSet:
    """Issued hashes in memory, as the gateway's store keeps them on disk."""

    def __init__(self) -> None:
        self.hashes: set[str] = set()

    def known(self, hashes: Collection[str]) -> set[str]:
        return self.hashes.intersection(hashes)

    def remember(self, hashes: Collection[str]) -> None:
        self.hashes.update(hashes)


def digest(key: bytes, plain: str) -> str:
    return hmac.new(key, plain.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "written",
    [
        "9000000001",
        "09000000001",
        "919000000001",
        "+919000000001",
        "00919000000001",
        "+91 90000 00001",
        "+91-90000-00001",
        "(+91) 90000.00001",
        "९००००००००१",
        "+९१ ९०००० ००००१",
        "tel:+919000000001",
        "TEL:9000000001",
        "whatsapp:919000000001",
        "919000000001@c.us",
        "919000000001@s.whatsapp.net",
        " 9000000001\n",
    ],
)
def test_one_number_is_one_person_however_it_is_written(written: str) -> None:
    assert parse_phone(written) == "+919000000001"
    assert Pseudonymiser([NEW]).hash(written) == digest(NEW, "tel:+919000000001")


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+9779812345678", "+9779812345678"),
        ("00447911123456", "+447911123456"),
        ("whatsapp:447911123456", "+447911123456"),
    ],
)
def test_numbers_of_other_countries_keep_their_country(written: str, number: str) -> None:
    assert parse_phone(written) == number


@pytest.mark.parametrize(
    "written",
    [
        "",
        "90000",
        "5000000001",
        "90000000012",
        "1234567890123456",
        "+0123456789",
        "MEM-9000000001",
        "Sita 9000000001",
        "9876_simulator",
        "telegram:3527065",
        "12.5",
    ],
)
def test_a_text_that_is_no_phone_number_gives_none(written: str) -> None:
    assert parse_phone(written) is None


def test_names_are_one_person_whatever_case_blanks_and_composition() -> None:
    composed = unicodedata.normalize("NFC", "सीता पड़वार")
    assert Pseudonymiser([NEW]).hash(" Sita  NETAM ") == digest(NEW, "sita netam")
    assert (
        Pseudonymiser([NEW]).hash(unicodedata.normalize("NFD", composed))
        == digest(NEW, composed)
        == Pseudonymiser([NEW]).hash("सीता पड़वार".replace("ड़", "ड\u093c"))
    )


@given(st.text(max_size=30))
def test_normalisation_is_idempotent_and_a_hash_shows_nothing(written: str) -> None:
    assert normalise_identifier(normalise_identifier(written)) == normalise_identifier(written)
    (one,) = Pseudonymiser([NEW]).hash_all([written])
    assert len(one) == 64
    assert int(one, 16) >= 0


def test_a_person_who_was_counted_under_an_older_key_keeps_that_hash() -> None:
    issued_set = IssuedSet()
    before = Pseudonymiser([OLD], issued_set).hash("9000000001")
    rotated = Pseudonymiser([NEW, OLD], issued_set)
    assert rotated.hash("+91 90000 00001") == before
    assert rotated.hash("9000000002") == digest(NEW, "tel:+919000000002")
    again = Pseudonymiser([NEWEST, NEW, OLD], issued_set)
    assert again.hash_all(["9000000003", "9000000002", "9000000001"]) == [
        digest(NEWEST, "tel:+919000000003"),
        digest(NEW, "tel:+919000000002"),
        before,
    ]


def test_of_two_issued_hashes_the_older_stays() -> None:
    """Both are issued if two installations' files were merged; figures counted the older one."""
    issued_set = IssuedSet()
    issued_set.remember([digest(key, "tel:+919000000001") for key in (OLD, NEW)])
    assert Pseudonymiser([NEWEST, NEW, OLD], issued_set).hash("9000000001") == digest(
        OLD, "tel:+919000000001"
    )


KEYS = [f"key-number-{number:04}".encode() for number in range(5)]


@given(st.lists(st.lists(st.integers(0, 9), max_size=8), min_size=1, max_size=len(KEYS)))
def test_however_often_the_key_is_rotated_each_person_has_one_hash(
    reported: list[list[int]],
) -> None:
    """Before each rotation some of ten persons are reported, each time in another spelling."""
    issued_set, by_person = IssuedSet(), dict[int, set[str]]()
    for number, persons in enumerate(reported):
        keys = Pseudonymiser(KEYS[number::-1], issued_set)
        written = [
            f"+91 90000 0000{person}" if number % 2 else f"090000 0000{person}"
            for person in persons
        ]
        for person, one in zip(persons, keys.hash_all(written), strict=True):
            by_person.setdefault(person, set()).add(one)
    assert all(len(hashes) == 1 for hashes in by_person.values())
    assert len(set().union(*by_person.values())) == len(by_person)


def test_imports_and_the_gateway_share_the_issued_hashes_on_disk(tmp_path: Path) -> None:
    """The gateway's file and the next import under another key know the hashes of an import."""
    settings = Settings.model_validate({"home": tmp_path})
    mapping = ImportMapping.from_toml(OFFICES)
    assert mapping.is_personal

    def imported(keys: list[bytes], number: str) -> str:
        with open_issued_hashes(settings) as issued:
            event = (
                Importer(
                    mapping, ["Unit", "Day", "Phone"], pseudonymiser=Pseudonymiser(keys, issued)
                )
                .convert(2, ["CG-D-NRP", "2022-03-20", number])
                .event
            )
        return str(event.data.person)  # type: ignore[union-attr]

    before = imported([OLD], "9000000001")
    assert imported([NEW, OLD], "+91 90000 00001") == before == digest(OLD, "tel:+919000000001")
    assert imported([NEW, OLD], "9000000002") == digest(NEW, "tel:+919000000002")
    with Store.open(settings) as store:
        assert (
            Pseudonymiser([NEWEST, NEW, OLD], StoredIssuedHashes(store)).hash("9000000001")
            == before
        )


def test_without_issued_hashes_everyone_gets_the_newest_key() -> None:
    assert Pseudonymiser([NEW, OLD]).hash("9000000001") == digest(NEW, "tel:+919000000001")


def test_keys_come_from_the_settings_and_never_show() -> None:
    settings = Settings.model_validate(
        {"person_key": NEW.decode(), "person_keys_old": [OLD.decode()]}
    )
    keys = Pseudonymiser.from_settings(settings, IssuedSet())
    assert keys is not None
    assert all(
        key.decode() not in f"{keys!r} {settings!r} {settings.model_dump_json()}"
        for key in (OLD, NEW)
    )
    assert keys.hash("9000000001") == digest(NEW, "tel:+919000000001")
    assert Pseudonymiser.from_settings(Settings.model_validate({"person_key": None})) is None
    with pytest.raises(ValueError, match="PRAVAH_PERSON_KEY"):
        Pseudonymiser([])
