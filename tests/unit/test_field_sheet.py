"""The sheet of a back-check: readable in the field, and matched with its keys when it is back."""

from pathlib import Path

import openpyxl
import pytest

from pravah.events import MODELS
from pravah.languages import Lang
from producers.tables.field_sheet import read_field_sheet, write_field_sheet
from schemas.back_check import SheetError
from schemas.claims import describe_claim
from schemas.field_sheet import (
    FieldLine,
    Findings,
    headings,
    is_field_sheet,
    read_findings,
)

KEYS = [
    {
        "number": str(number),
        "key": f"CG-AC00{number}",
        "entity": f"form:{number}",
        "version": "2",
        "unit": f"CG-AC00{number}-B0001",
    }
    for number in range(1, 5)
]
LINES = [
    FieldLine(
        number=int(key["number"]),
        unit="मतदान केंद्र 1, नारायणपुर\nBooth 1, Narayanpur",
        code=key["unit"],
        call="सुनीता साहू (डेमो)",
        phone="+91 00000 00001",
        day="2026-11-05",
        claim="10 कागज़ी सदस्य बने\n10 members enrolled on paper",
    )
    for key in KEYS
]


def back(lines: list[FieldLine], path: Path, lang: Lang = "both") -> Findings:
    write_field_sheet(path, headings(lang), lines, title="june")
    columns, rows = read_field_sheet(path)
    assert is_field_sheet(columns)
    return read_findings(columns, rows, KEYS)


@pytest.mark.parametrize("name", ["june.csv", "june.xlsx"])
@pytest.mark.parametrize("lang", ["hi", "en", "both"])
def test_a_sheet_comes_back_in_any_order_and_language(
    tmp_path: Path, name: str, lang: Lang
) -> None:
    lines = [
        LINES[2]._replace(found="नहीं", remark="नहीं मिले", checked_on="2026-11-20"),
        LINES[0]._replace(found=" Yes."),
        LINES[3],
        LINES[1]._replace(found="हां"),
    ]
    found = back(lines, tmp_path / name, lang)
    assert [(one.key, one.entity, one.version, one.outcome) for one in found.outcomes] == [
        ("CG-AC003", "form:3", 2, "rejected"),
        ("CG-AC001", "form:1", 2, "verified"),
        ("CG-AC002", "form:2", 2, "verified"),
    ]
    assert found.open == 1


def test_a_sheet_shows_no_hash_and_a_phone_number_is_text(tmp_path: Path) -> None:
    back(LINES, tmp_path / "june.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "june.xlsx").active
    first, second = list(sheet.iter_rows(values_only=True))[:2]
    assert first == tuple(headings("both"))
    assert second[:5] == (1, *LINES[0][1:5])
    assert second[7:] == (None, None, None), "room for the finding"
    assert not [cell for cell in second if isinstance(cell, str) and "form:" in cell]
    assert sheet.print_title_rows
    assert (tmp_path / "june.xlsx").stat().st_size > 0
    back(LINES, tmp_path / "june.csv")
    assert (tmp_path / "june.csv").read_bytes().startswith(b"\xef\xbb\xbf"), "Excel reads UTF-8"


def test_a_name_is_no_formula(tmp_path: Path) -> None:
    evil = [LINES[0]._replace(call='=HYPERLINK("http://example.org")')]
    back(evil, tmp_path / "june.csv")
    assert ",\"'=HYPERLINK" in (tmp_path / "june.csv").read_text(encoding="utf-8-sig")
    back(evil, tmp_path / "june.xlsx")
    cell = openpyxl.load_workbook(tmp_path / "june.xlsx").active["D2"]
    assert (cell.data_type, cell.value) == ("s", evil[0].call)


def test_all_mistakes_are_said_by_row(tmp_path: Path) -> None:
    lines = [
        LINES[0]._replace(found="perhaps"),
        LINES[1]._replace(found="yes", code="CG-AC001-B0001"),
        LINES[2]._replace(found="yes"),
        LINES[2]._replace(found="no"),
        LINES[3]._replace(found="no", number=9),
    ]
    with pytest.raises(SheetError) as error:
        back(lines, tmp_path / "june.csv")
    assert [one.partition(": ")[0] for one in error.value.findings] == [
        "row 2",
        "row 3",
        "row 5",
        "row 6",
    ]
    said = "\n".join(error.value.findings)
    assert "'perhaps' is neither yes nor no" in said
    assert "number 2 is of CG-AC002-B0001, not of 'CG-AC001-B0001'" in said
    assert "number 3 has a finding already" in said
    assert "'9' is not a number of this sample; it has 1 to 4" in said


def test_a_sheet_without_its_columns_is_refused() -> None:
    with pytest.raises(SheetError, match="unit code are missing"):
        read_findings(["no.", "found? (yes/no)"], [], KEYS)
    assert not is_field_sheet(["key", "entity", "version", "outcome"])


CLAIMS = {
    "incharge_appointed": (
        {"role": "incharge", "person": "a" * 64},
        ("प्रभारी नियुक्त हुए", "an in-charge was appointed"),
    ),
    "committee_formed": (
        {"members": 9},
        ("9 सदस्यों की समिति बनी", "a committee of 9 was formed"),
    ),
    "training_held": (
        {"programme": "incharge", "attendees": 24, "trained_units": ["CG-AC001"] * 12},
        (
            "प्रशिक्षण: प्रभारी, 24 उपस्थित, 12 इकाइयाँ",
            "a training for in-charges with 24 present, of 12 units",
        ),
    ),
    "messaging_group": (
        {"group_type": "whatsapp", "members": 85},
        ("व्हाट्सएप समूह में 85 सदस्य", "a WhatsApp group with 85 members"),
    ),
    "social_post": (
        {"platform": "facebook", "posts": 1, "reach": 4200},
        ("फेसबुक पर 1 पोस्ट, पहुँच 4,200", "1 post on Facebook, reach 4,200"),
    ),
    "membership": (
        {"mode": "digital", "count": 3, "member_keys": ["a" * 64]},
        ("3 डिजिटल सदस्य बने", "3 digital members enrolled"),
    ),
    "tally": (
        {"metric": "volunteers", "value": 12},
        ("स्वयंसेवक: 12", "Volunteers: 12"),
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_each_kind_of_claim_is_a_sentence(kind) -> None:
    data, (hindi, english) = CLAIMS[kind]
    assert describe_claim(kind, data, "hi", metric="स्वयंसेवक") == hindi
    assert describe_claim(kind, data, "en", metric="Volunteers") == english
    assert "a" * 64 not in english


@pytest.mark.parametrize("kind", ["incharge_appointed", "committee_formed", "messaging_group"])
def test_an_end_is_said(kind) -> None:
    data, (_, english) = CLAIMS[kind]
    assert describe_claim(kind, {**data, "active": False}, "en") != english
