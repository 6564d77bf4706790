"""Whatever the field sends becomes the right event or one clear error, and nothing silently else.

`FIELD_EXAMPLES=3000` makes it a long run.
"""

import unicodedata
from datetime import UTC, date, datetime
from os import environ
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pravah.days import day_of
from pravah.events import EventError
from producers.mapping.conversions import Conversion, ConversionError, to_identifier, to_integer
from producers.mapping.form_mapper import UnmappableError, map_submission
from producers.mapping.form_mapping import FormMapping
from producers.mapping.gazetteer import UnitError
from producers.mapping.pseudonyms import Pseudonymiser
from producers.mapping.submissions import MappedEvent, Submission
from producers.mapping.text import fold_text, normalise_text
from producers.tables import Importer, ImportMapping
from tests.support.field_bodies import corpora

# Per property; raise it for a long run.
EXAMPLES = int(environ.get("FIELD_EXAMPLES", "60"))
many = settings(max_examples=EXAMPLES, deadline=None)
PERSONS = Pseudonymiser([b"a-key-of-the-tests"])
DAY = day_of(date(2022, 5, 3))

INVISIBLE = st.sampled_from(
    ["", "\u200b", "\u200e", "\u200f", "\u202a", "\u202c", "\u2068", "\ufeff", "\u00ad", "\u2060"]
)
BLANK = st.sampled_from(["", " ", "  ", "\u00a0", "\u2009", "\u202f", "\t"])
DIGITS = ["0123456789", "०१२३४५६७८९", "０１２３４５６７８９", "০১২৩৪৫৬৭৮৯"]
LOST = st.sampled_from(
    [
        *("9.19E+11", "9,19E+11", "1.2e15", "???? ?????", "??", "रा\ufffdम", "à¤•à¤®", "Ã©"),
        *("&#2325;", "\\u0915", "#####", "#REF!", "#N/A", "#DIV/0!", "98XXXXXX01", "5-Mar"),
        *("@results.group.input", "@contact", "{{x}}", "${x}", "{% x %}", "<%= x %>", "[[x]]"),
        *("null", "undefined", "NaN", "None", "nil", "N/A", "-", "निरंक", "123456789012345000"),
    ]
)
NUMBERS = st.from_regex(r"[6-9][0-9]{9}", fullmatch=True)
CELLS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats()
    | st.dates(date(1900, 1, 1), date(2200, 1, 1))
    | st.text(max_size=20)
    | LOST
    | NUMBERS
    | st.sampled_from(["CG-AC084-B0017", "17", "Booth 17", "84", "2022-05-03", "12", "yes", "नहीं"])
)


@st.composite
def dirty_numbers(draw: st.DrawFn, number: str) -> str:
    """A phone number as sheets, forms and chats write it."""
    digits = str.maketrans("0123456789", draw(st.sampled_from(DIGITS)))
    gap = draw(st.sampled_from(["", " ", "-", "\u2011", "\u2013", ".", "\u00a0", "\u200b"]))
    prefix = draw(st.sampled_from(["", "0", "+91", "91 ", "0091 ", "+91-", "+91 (0)"]))
    written = f"{prefix}{number[:5]}{gap}{number[5:]}".translate(digits)
    before, after = draw(
        st.sampled_from(
            [
                *(("", ""), ("'", ""), ('"', '"'), ("(", ")"), ("[", "]"), ("\u201c", "\u201d")),
                *(("Mob. ", ""), ("मो. ", ""), ("Ph: ", ""), ("", " (WA)"), ("WhatsApp ", "")),
                *(("tel:", ""), ("मोबाइल नं. ", ""), ("Contact no. ", ""), ("", ","), ("", ".")),
            ]
        )
    )
    blank, sign = draw(BLANK), draw(INVISIBLE)
    return f"{sign}{blank}{before}{sign}{written}{sign}{after}{blank}{sign}"


@many
@given(data=st.data(), number=NUMBERS, type_=st.sampled_from(["phone", "hash"]))
def test_a_dirty_number_is_the_same_person(data: st.DataObject, number: str, type_: Any) -> None:
    written = data.draw(dirty_numbers(number))
    clean = Conversion(type=type_).convert(f"+91{number}", PERSONS)
    assert Conversion(type=type_).convert(written, PERSONS) == clean


@many
@given(data=st.data(), pair=st.lists(NUMBERS, min_size=2, max_size=2, unique=True))
def test_two_numbers_are_never_one_person(data: st.DataObject, pair: list[str]) -> None:
    separator = data.draw(
        st.sampled_from(
            [" ", "/", " / ", ",", ", ", ";", "|", "\n", " or ", " या ", " & ", "-", ""]
        )
    )
    one, other = (data.draw(dirty_numbers(number)).strip(",. ") for number in pair)
    for type_ in ("phone", "hash"):
        with pytest.raises(ConversionError):
            Conversion(type=type_).convert(f"{one}{separator}{other}", PERSONS)  # type: ignore[arg-type]


@many
@given(text=st.text(max_size=30) | LOST | st.text("90 +-()0१,/XxOo@.", max_size=24))
def test_a_person_is_hashed_or_refused(text: str) -> None:
    for type_ in ("phone", "hash"):
        try:
            found = Conversion(type=type_).convert(text, PERSONS)  # type: ignore[arg-type]
        except ConversionError as error:
            assert str(error)
        else:
            assert len(str(found)) == 64


@many
@given(lost=LOST, blank=BLANK, sign=INVISIBLE, upper=st.booleans())
def test_a_lost_text_stays_lost_with_more_dirt(
    lost: str, blank: str, sign: str, upper: bool
) -> None:
    cased = lost.upper() if upper and lost.isascii() and "\\" not in lost else lost
    written = f"{sign}{blank}{cased}{blank}{sign}"
    with pytest.raises(ConversionError):
        to_identifier(written)
    if not lost.isdigit():
        with pytest.raises(ConversionError):
            to_integer(written)
    for type_ in ("phone", "hash"):
        with pytest.raises(ConversionError):
            Conversion(type=type_).convert(written, PERSONS)  # type: ignore[arg-type]


@many
@given(text=st.text(max_size=30), form=st.sampled_from(["NFC", "NFD"]), sign=INVISIBLE)
def test_texts_that_look_the_same_are_the_same(text: str, form: Any, sign: str) -> None:
    written = sign.join(unicodedata.normalize(form, text))
    assert normalise_text(written) == normalise_text(text)
    assert fold_text(written) == fold_text(text)
    try:
        identity = to_identifier(text)
    except ConversionError:
        return
    assert to_identifier(identity) == identity


# --- units ---------------------------------------------------------------------------------------

LOOK_UPS = st.sampled_from(
    [
        *("{}", "{:03}", "{:04}", "B{}", "Booth {}", "Booth No. {}", "PS-{}", "बूथ क्र. {}", "#{}"),
        *("मतदान केंद्र {}", "मतदान केन्द्र क्रमांक {}", "CG-AC084-B{:04}", "cg_ac84_b{}", "AC84 B{}"),
    ]
)


@many
@given(data=st.data(), number=st.integers(1, 206), written=LOOK_UPS, sign=INVISIBLE, blank=BLANK)
def test_a_booth_is_found_however_its_number_is_written(
    data: st.DataObject, number: int, written: str, sign: str, blank: str
) -> None:
    text = written.format(number).translate(
        str.maketrans("0123456789", data.draw(st.sampled_from(DIGITS)))
    )
    place = data.draw(st.integers(0, len(text)))
    text = f"{blank}{text[:place]}{sign}{text[place:]}{blank}"
    text = text.upper() if data.draw(st.booleans()) else text
    found = corpora.gazetteer().find(text, DAY, by="name", level="booth", within=["CG-AC084"])
    assert found == f"CG-AC084-B{number:04}"


@many
@given(
    text=st.text(max_size=12)
    | st.text("0123456789 -/.,ABCac०१", max_size=9)
    | st.builds("{}{}".format, st.text("AaBb१17 -", max_size=4), st.integers(0, 300)),
    by=st.sampled_from(["code", "alias", "name"]),
    level=st.sampled_from([None, "booth", "assembly", "district", "division", "state"]),
)
def test_any_text_names_one_unit_or_none(text: str, by: Any, level: Any) -> None:
    units = corpora.gazetteer()
    try:
        code = units.find(text, DAY, by=by, level=level if by == "name" else None)
    except UnitError as error:
        assert str(error)
        return
    unit = units.registry.units[code]
    digits = {int(part) for part in "".join(c if c.isdecimal() else " " for c in text).split()}
    number = int(code[-4:]) if unit.level == "booth" else int(code[-3:]) if "-AC" in code else 0
    names = {fold_text(unit.name_en), fold_text(unit.name_hi)}
    assert number in digits or by == "alias" or fold_text(text) in names or "-AC" not in code


# --- whole rows and submissions ------------------------------------------------------------------

TABLE = ImportMapping.from_toml(
    """
kind = "membership"
producer = "office"
constants = { mode = "manual" }
occurred_at = { column = "Day" }
entity = { prefix = "list", columns = ["Form"] }
unit = { column = "Booth", by = "name", level = "booth", assembly = "AC" }
fields.count = { column = "New", type = "integer" }
fields.member_keys = { column = "Members", type = "phone", many = true, optional = true }
envelope.reporter = { column = "Who", type = "hash", optional = true }
"""
)
COLUMNS = ["Day", "Form", "Booth", "AC", "New", "Members", "Who"]
ROW: list[Any] = ["2022-05-03", "F-1", "17", "84", "12", "9000000001", "Sita"]
FORM = FormMapping.from_toml(
    """
occurred_at = { field = "Day" }
unit = { field = "Booth", by = "name", level = "booth", assembly = "AC" }
[[event]]
kind = "membership"
constants = { mode = "manual" }
entity = { prefix = "list", fields = ["Form"] }
fields.count = { field = "New", type = "integer" }
[event.fields.member_keys]
field = "Members"
type = "phone"
many = true
separator = ","
optional = true
[event.envelope.reporter]
field = "Who"
type = "hash"
optional = true
"""
)


def import_row(cells: list[Any]) -> Any:
    importer = Importer(
        TABLE,
        COLUMNS,
        registry=corpora.registry(),
        gazetteer=corpora.gazetteer(),
        pseudonymiser=PERSONS,
    )
    return importer.convert(2, cells).event


def map_form(fields: dict[str, Any]) -> MappedEvent:
    (event,) = map_submission(
        FORM,
        Submission(form="f", name="s", changed_at=datetime(2022, 5, 4, tzinfo=UTC), fields=fields),
        tool="kobo",
        producer="office",
        units=corpora.gazetteer(),
        pseudonymiser=PERSONS,
    )
    return event


@many
@given(cells=st.lists(CELLS, min_size=7, max_size=7), spoiled=st.sets(st.integers(0, 6)))
def test_any_row_and_submission_is_an_event_or_one_error(
    cells: list[Any], spoiled: set[int]
) -> None:
    row = [cell if place in spoiled else ROW[place] for place, cell in enumerate(cells)]
    outcomes = []
    for convert in (import_row, lambda cells: map_form(dict(zip(COLUMNS, cells, strict=True)))):
        try:
            outcomes.append(convert(row).unit)
        except (EventError, UnmappableError) as error:
            assert str(error)
            outcomes.append("")
    assert set(outcomes) <= {"", "CG-AC084-B0017"} or spoiled & {2, 3}
    if not spoiled:
        assert outcomes == ["CG-AC084-B0017"] * 2


@many
@given(lost=LOST, place=st.integers(0, 6))
def test_a_lost_text_in_any_place_refuses_row_and_submission(lost: str, place: int) -> None:
    row = [lost if place == index else cell for index, cell in enumerate(ROW)]
    with pytest.raises(EventError):
        import_row(row)
    with pytest.raises(UnmappableError):
        map_form(dict(zip(COLUMNS, row, strict=True)))
