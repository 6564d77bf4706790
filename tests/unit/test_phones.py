"""One person has one number however the field writes it; what is no number says why."""

import hashlib
import hmac
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.mapping.conversions import Conversion, ConversionError
from producers.mapping.phones import PhoneError, parse_phone, to_e164
from producers.mapping.pseudonyms import Pseudonymiser, normalise_identifier
from producers.tables import Importer, ImportMapping, MappingError

KEY = b"a-key-of-the-tests"
PERSONS = Pseudonymiser([KEY])
NUMBER = "+919000000001"


def digest(plain: str) -> str:
    return hmac.new(KEY, plain.encode(), hashlib.sha256).hexdigest()


# Each is one way in which sheets, forms and chats write the number.
WRITTEN = [
    # direction marks and other invisible characters
    "\u202a+91 90000 00001\u202c",
    "\u200e9000000001\u200f",
    "\u2068+91 9000000001\u2069",
    "\ufeff9000000001",
    "90000\u200b00001",
    "90000\u00ad00001",
    "9000\u200c000\u200d001",
    "9000000001\ufe0f",
    # quotation marks and brackets of all kinds
    "'9000000001",
    '"9000000001"',
    "`9000000001`",
    "\u20189000000001\u2019",
    "\u201c9000000001\u201d",
    "\u00ab9000000001\u00bb",
    "(9000000001)",
    "[9000000001]",
    "{90000 00001}",
    "<9000000001>",
    "\uff089000000001\uff09",
    "(+91)9000000001",
    # labels
    "90000 00001 (WA)",
    "9000000001(whatsapp)",
    "WhatsApp: 9000000001",
    "wa 9000000001",
    "W/A 9000000001",
    "Mob. 9000000001",
    "Mob.No.9000000001",
    "Mobile No - 90000-00001",
    "MOBILE:9000000001",
    "M: 9000000001",
    "M. 9000000001",
    "9000000001 (M)",
    "9000000001 (W)",
    "9000000001 (Airtel)",
    "Jio 9000000001",
    "9000000001whatsapp",
    "मोबा. 9000000001",
    "मोबा0 9000000001",
    "व्हॉट्सएप नं. 9000000001",
    "9,000,000,001",
    "90,00,00,00,01",
    "90000,00001",
    "9000000001 \u2713",
    "9000000001 / -",
    "9000000001 (R)",
    "Ph 9000000001",
    "Ph.No: 9000000001",
    "Phone number: +91-90000-00001 (personal)",
    "Tel. 9000000001",
    "Contact 9000000001",
    "Call 9000000001",
    "Cell: 9000000001",
    "मो. 9000000001",
    "मो०9000000001",
    "मो 9000000001",
    "मोबाइल नं. ९००००००००१",
    "मोबाईल 9000000001",
    "फोन: 9000000001",
    "फ़ोन 9000000001",
    "9000000001 (व्हाट्सएप)",
    "वाट्सएप 9000000001",
    "संपर्क 9000000001",
    "\u260e 9000000001",
    "\U0001f4de9000000001",
    "#9000000001",
    # digits of other scripts and widths
    "९००००००००१",
    "+९१ ९०००० ००००१",
    "\uff19\uff10\uff10\uff10\uff10\uff10\uff10\uff10\uff10\uff11",
    "\uff0b\uff19\uff11\uff19\uff10\uff10\uff10\uff10\uff10\uff10\uff10\uff10\uff11",
    "௯௦௦௦௦௦௦௦௦௧",
    "90000०००01",
    # prefixes
    "09000000001",
    "0 90000 00001",
    "919000000001",
    "91 90000 00001",
    "+ 91 9000000001",
    "0091 90000 00001",
    "+91(0)9000000001",
    "+9109000000001",
    "091 9000000001"[1:],
    "tel:+91-90000-00001",
    "whatsapp:+919000000001",
    "919000000001@c.us",
    "https://wa.me/919000000001",
    "wa.me/919000000001",
    "https://api.whatsapp.com/send?phone=919000000001",
    # blanks, dashes and dots
    "90000\u00a000001",
    "90000\u200900001",
    "90000\u202f00001",
    "90000\t00001",
    "90000\u201000001",
    "90000\u201100001",
    "90000\u201300001",
    "90000\u201400001",
    "90000\u221200001",
    "90000.00001",
    "90000_00001",
    "9 0 0 0 0 0 0 0 0 1",
    " 9000000001\r\n",
    # numbers of spreadsheets, and ends
    9000000001,
    9000000001.0,
    "9000000001.0",
    "9000000001.00",
    "9000000001,",
    "9000000001;",
    "9000000001.",
    "9000000001 /",
    # the same number twice is one
    "9000000001 / 9000000001",
    "9000000001, +91 90000 00001",
    "9000000001\n09000000001",
    "9000000001 (WA 9000000001)",
]


@pytest.mark.parametrize("type_", ["phone", "hash"])
@pytest.mark.parametrize("written", WRITTEN, ids=ascii)
def test_one_number_is_one_person_in_both_types(written: object, type_: Any) -> None:
    assert Conversion(type=type_).convert(written, PERSONS) == digest(f"tel:{NUMBER}")


@given(st.from_regex(r"[6-9][0-9]{9}", fullmatch=True))
def test_a_clean_number_keeps_its_hash(number: str) -> None:
    """The hash is a contract: events in the log have it."""
    for written in (number, f"+91{number}", f"0{number}", f"91{number}", f"tel:+91{number}"):
        assert PERSONS.hash(written) == digest(f"tel:+91{number}")


@given(st.text(st.characters(codec="ascii", categories=["L", "Zs"]), min_size=1, max_size=20))
def test_a_name_keeps_its_hash(name: str) -> None:
    assert PERSONS.hash(name) == digest(" ".join(name.casefold().split()))


@given(st.sampled_from([one for one in WRITTEN if isinstance(one, str)]), st.integers(0, 9999))
def test_dirt_never_makes_another_number(written: str, number: int) -> None:
    other = f"90000{number:05}"
    changed = written.replace("90000 00001", other).replace("9000000001", other)
    if changed != written and "0000000001" not in changed:
        assert parse_phone(changed) == f"+91{other}"


SEVERAL = [
    "9000000001/9000000002",
    "9000000001 / 9000000002",
    "9000000001, 9000000002",
    "9000000001;9000000002",
    "9000000001|9000000002",
    "9000000001 or 9000000002",
    "9000000001 OR 9000000002",
    "9000000001 and 9000000002",
    "9000000001 & 9000000002",
    "9000000001 या 9000000002",
    "9000000001 और ९००००००००२",
    "9000000001\n9000000002",
    "9000000001\r\n9000000002",
    "9000000001\u20289000000002",
    "9000000001\t9000000002",
    "9000000001 9000000002",
    "9000000001-9000000002",
    "90000000019000000002",
    "+919000000001+919000000002",
    "9000000001 (WA) 9000000002",
    "M 9000000001, WA 9000000002",
    "9000000001/02",
    "9000000001+9000000002",
    "9000000001 to 9000000002",
    "9000000001 \u2022 9000000002",
    "9000000001Mob. 90000 00002",
    "9000000001whatsapp9000000002",
    "9000000001Ph: 90000 00002",
    "Ram 90000 00001 Sita 90000 00002",
    "+91 90000 00001 (Ram) +91 90000 00002",
    "0771-2234567, 9000000001",
    "9000000001, 900000000",
    "9000000001 / 9000000002 / 9000000003",
]


@pytest.mark.parametrize("type_", ["phone", "hash"])
@pytest.mark.parametrize("written", SEVERAL, ids=ascii)
def test_two_numbers_in_one_cell_are_refused(written: str, type_: Any) -> None:
    with pytest.raises(ConversionError, match="more than one"):
        Conversion(type=type_).convert(written, PERSONS)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("900000000", "it has 9 digits"),
        ("90000000012", "it has 11 digits"),
        ("90000", "it has 5 digits"),
        ("1234567890123456", "it has 16 digits"),
        ("5000000001", "begins with 6 to 9"),
        ("0000000000", "begins with 6 to 9"),
        ("+915000000001", "no number of that country"),
        ("+91 90000 0000", "no number of that country"),
        ("+91 90000 000011", "no number of that country"),
        ("+12345", "5 digits with its country code"),
        ("+999 123456789", "no number of that country"),
        ("9OOOOOOOO1", "letters for digits"),
        ("9l00000001", "letters for digits"),
        ("90000XXXXX", "digits are hidden"),
        ("98******12", "digits are hidden"),
        ("Sita 9000000001", "other words"),
        ("Sita 90000 00001", "other words"),
        ("9000000001 (Ram)", "other words"),
        ("9000000001 सीता के पति", "other words"),
        ("9000000001 ext 5", "other words"),
        ("9000000001(2)", "other words or signs"),
        ("9000000001 - 2", "other words or signs"),
        ("9000000001?", "other words or signs"),
        ("9000000001.5", "other words or signs"),
        ("9000000001 / NA", "other words or signs"),
        ("9.19E+11", "shortened"),
        ("#N/A", "error of a spreadsheet"),
        ("@contact.phone", "not filled in"),
        ("N/A", "word for no value"),
        ("-", "word for no value"),
        ("निरंक", "word for no value"),
        ("sita", "is no phone number"),
    ],
)
def test_what_is_no_number_says_why(written: str, reason: str) -> None:
    with pytest.raises(ConversionError, match=reason) as caught:
        Conversion(type="phone").convert(written, PERSONS)
    assert written not in str(caught.value) or written in {"-", "N/A", "@contact.phone"}


@pytest.mark.parametrize(
    "written",
    [
        "MEM-9000000001",
        "CG/0012345",
        "12345678",
        "XYZ1234567",
        "सीता नेताम",
        "Sita (W/o Ram)",
        "A-1",
    ],
)
def test_a_hash_accepts_names_and_other_numbers(written: str) -> None:
    plain = normalise_identifier(written)
    assert Conversion(type="hash").convert(written, PERSONS) == digest(plain)
    assert not plain.startswith("tel:")


@pytest.mark.parametrize(
    "written",
    [
        "Sita 9000000001",
        "Sita 90000 00001",
        "सीता 90000 00001",
        "सीता +91 90000-00001",
        "9000000001(2)",
        "9000000001 - 2",
        "9000000001?",
        "9000000001 / NA",
    ],
)
def test_a_number_beside_something_is_no_other_person_for_a_hash(written: str) -> None:
    with pytest.raises(ConversionError, match="stand beside the number"):
        Conversion(type="hash").convert(written, PERSONS)


@pytest.mark.parametrize("cell", [date(2022, 3, 5), datetime(2022, 3, 5, tzinfo=UTC), True])
def test_a_date_or_a_yes_is_no_person(cell: object) -> None:
    for type_ in ("phone", "hash"):
        with pytest.raises(ConversionError, match="no person"):
            Conversion(type=type_).convert(cell, PERSONS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("region", "written", "number"),
    [
        ("NP", "9812345678", "+9779812345678"),
        ("NP", "९८१२३४५६७८", "+9779812345678"),
        ("GB", "07911 123456", "+447911123456"),
        ("GB", "(WA) 07911-123456", "+447911123456"),
        ("IN", "+977 981-2345678", "+9779812345678"),
        ("NP", "+91 90000 00001", NUMBER),
    ],
)
def test_the_mapping_says_the_country_of_numbers_without_one(
    region: str, written: str, number: str
) -> None:
    assert to_e164(written, region) == number
    found = Conversion(type="phone", region=region).convert(written, PERSONS)
    assert found == digest(f"tel:{number}")


def test_an_unknown_country_or_one_without_persons_is_refused() -> None:
    with pytest.raises(ValueError, match="no country of ISO 3166"):
        Conversion(type="phone", region="India")
    with pytest.raises(ValueError, match="region is for"):
        Conversion(type="integer", region="IN")


@given(st.text(max_size=40))
def test_any_text_is_a_number_or_one_error(text: str) -> None:
    try:
        number = to_e164(text)
    except PhoneError as error:
        assert str(error).startswith("is no phone number")
    else:
        assert number.startswith("+")
        assert to_e164(number) == number


TABLE = """
kind = "membership"
producer = "office"
constants = { mode = "manual", count = 1 }
unit = { column = "Unit" }
occurred_at = { column = "Day" }
entity = { prefix = "list", columns = ["Form"] }
envelope = { reporter = { column = "Who", type = "hash" } }
"""


def test_a_column_of_hashes_with_phone_numbers_says_use_phone() -> None:
    def notes(persons: list[str]) -> list[str]:
        columns = ["Unit", "Day", "Form", "Who"]
        importer = Importer(ImportMapping.from_toml(TABLE), columns, pseudonymiser=PERSONS)
        for number, person in enumerate(persons):
            importer.convert(number, ["CG-AC084", "2022-03-20", f"F-{number}", person])
        return importer.notes

    assert notes(["9000000001", "+91 90000 00002", "Sita"]) == [
        (
            "Who: 2 of 3 values are phone numbers; say type = 'phone', so that a mistyped number "
            "is refused and not counted as another person"
        )
    ]
    assert notes(["9000000001", "Ram", "Sita"]) == []


def test_a_phone_in_a_table_without_a_key_is_refused_when_the_mapping_is_used() -> None:
    with pytest.raises(MappingError, match="PRAVAH_PERSON_KEY"):
        Importer(ImportMapping.from_toml(TABLE), ["Unit", "Day", "Form", "Who"])
