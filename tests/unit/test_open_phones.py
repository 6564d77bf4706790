"""A phone number in the name of an entity is found in all its spellings, and nothing else is."""

import pytest

from producers.mapping.open_phones import has_open_phone, is_marked_phone

MARKED = [
    *("+919876543210", "+91 98765 43210", "+91-98765-43210", "tel:+919876543210", "tel:9876543210"),
    *("919876543210@c.us", "919876543210@s.whatsapp.net", "https://wa.me/919876543210"),
    *(
        "whatsapp:919876543210",
        "glific:contact:+919876543210",
        "+९१ ९८७६५ ४३२१०",
        "ram+919876543210",
    ),
]
BARE = [
    *("9876543210", "98765 43210", "98765-43210", "987-654-3210", "9876 543 210", "98 76 54 32 10"),
    *("98-7654-3210", "(987) 654-3210", "98765.43210", "9876543210.0", "09876543210"),
    *("0 98765 43210", "919876543210", "91 98765 43210", "91-9876543210", "00919876543210"),
    *("९८७६५४३२१०", "९८७६५ ४३२१०", "९१९८७६५४३२१०", "９８７６５４３２１０", "मो. 9876543210"),
    *(
        "Mob: 9876543210",
        "mobile-9876543210",
        "9876543210 (WA)",
        "Sita 9876543210",
        "सीता 9876543210",
    ),
    *("9876543210 Sita", "9876543210/9876543211", "9876543210, Raipur", "9876543210@ybl"),
    *("6000000000", "\u200e9876543210", "98765\u00a043210", "98765\u201143210", "9,876,543,210"),
    *("+9779812345678", "+91 771 222 1234"),
]
OTHERS = [
    # ids of ten digits that no mobile number begins like, and of other lengths
    *("1234567890", "0123456789", "5876543210", "987654321", "98765432101", "0012345678"),
    *("490154203237518", "8991101200003204510", "98765432109876543210", "123456789012"),
    # units, forms, members
    *("CG-AC084-B0017", "84", "084", "17", "AC84-B17", "MEM-9876543210", "CG/9876543210"),
    *("M9876543210", "9876543210A", "KOBO_9876543210", "A#9876543210"),
    # ids of tools
    "7f0c6a52-6f0e-4a34-9d52-919876543210",
    "98765432-1098-4765-8432-919876543210",
    *("120363041234567890@g.us", "919876543210-1432742892@g.us", "uuid:7f0c6a52", "9" * 64),
    *("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "1655000000000"),
    # days, times, places, composite numbers
    *("2022-03-05", "9-1-2022 10:30", "2022-03-05 10:00:00+05:30", "84-0017-2022", "80-12-2022-01"),
    *(
        "81.62964571",
        "81.62964571 21.25138",
        "98.7654321",
        "1655000000",
        "8/12/2022",
        "22/1987654321",
    ),
    *("", "रायपुर", "group 17", "Booth No. 17", "whatsapp:120363041234567890@g.us"),
]


@pytest.mark.parametrize("text", MARKED + BARE, ids=ascii)
def test_a_phone_number_is_found(text: str) -> None:
    assert has_open_phone(text)


@pytest.mark.parametrize("text", OTHERS, ids=ascii)
def test_other_numbers_are_not(text: str) -> None:
    assert not has_open_phone(text)


@pytest.mark.parametrize("text", MARKED, ids=ascii)
def test_a_mark_makes_a_number_unmistakable(text: str) -> None:
    assert is_marked_phone(text)


@pytest.mark.parametrize("text", ["9876543210", "919876543210", "98765 43210", *OTHERS], ids=ascii)
def test_digits_alone_are_not_unmistakable(text: str) -> None:
    assert not is_marked_phone(text)
