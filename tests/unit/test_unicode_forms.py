"""Two words that look the same are the same, in mappings and in what they are compared with."""

import unicodedata
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.mapping.conversions import Conversion, ConversionError, to_boolean, to_text
from producers.mapping.form_mapper import UnmappableError, map_submission
from producers.mapping.form_mapping import FormMapping, MappingError
from producers.mapping.gazetteer import Gazetteer
from producers.mapping.submissions import Submission
from producers.mapping.text import fold_text, normalise_text, strip_text
from producers.tables import Importer, ImportMapping
from tests.support import small_world

UNITS = Gazetteer(small_world.registry())
# The letter ड़ as one character and as two, of which NFC makes the two.
ONE, TWO = "प\u095cाव", "पड\u093cाव"
# One word as it is typed, copied and exported.
SAME = [
    (ONE, TWO),
    (TWO, ONE),
    (ONE, f"\ufeff{TWO}"),
    (ONE, f"{TWO}\u200d"),
    (ONE, f"{TWO}\u200b"),
    (ONE, "पड\u093c\u200cाव"),
    (ONE, f"\u202a{TWO}\u202c"),
    (ONE, "प\u00adड\u093cाव"),
    (ONE, f"{TWO}\ufe0f"),
    (ONE, f"\u00a0{TWO} "),
    (f"मोबाइल {ONE}", f"मोबाइल\u00a0{TWO}"),
    (f"मोबाइल {ONE}", f"मोबाइल \n {TWO}"),
    ("Caf\u00e9 Yes", "cafe\u0301  YES"),
    ("Cafe\u0301 Yes", "CAF\u00c9\u2009yes"),
    ("Paper", "paper"),
    ("Paper", "PA\u200bPER "),
]
FORM = """
occurred_at = {{ field = "{day}" }}
unit = {{ field = "booth", values = {{ "{word}" = "CG-AC001-B0001" }} }}
[[event]]
kind = "membership"
when = {{ field = "mode", is = ["{word}"] }}
constants = {{ count = 1 }}
[event.fields.mode]
field = "mode"
values = {{ "{word}" = "manual" }}
"""
TABLE = """
kind = "membership"
producer = "office"
constants = {{ count = 1 }}
unit = {{ column = "{word}", values = {{ "{word}" = "CG-AC001-B0001" }} }}
occurred_at = {{ column = "Day" }}
entity = {{ prefix = "list", columns = ["Day"] }}
fields = {{ mode = {{ column = "{word}", values = {{ "{word}" = "manual" }} }} }}
skip = [{{ column = "{word}", is = ["{word} {word}"] }}]
"""


def map_word(mapping: str, **fields: str) -> str:
    (event,) = map_submission(
        FormMapping.from_toml(mapping),
        Submission(form="f", name="s", changed_at=datetime(2022, 5, 4, tzinfo=UTC), fields=fields),
        tool="kobo",
        producer="office",
        units=UNITS,
        pseudonymiser=None,
    )
    return event.unit


def escape(word: str) -> str:
    return word.replace("\n", "\\n")


@pytest.mark.parametrize(("one", "other"), SAME, ids=ascii)
def test_values_conditions_and_units_of_forms(one: str, other: str) -> None:
    for mapped, sent in ((one, other), (other, one)):
        text = FORM.format(word=escape(mapped), day="day")
        assert map_word(text, booth=sent, mode=sent, day="2022-03-03") == "CG-AC001-B0001"


@pytest.mark.parametrize(
    ("one", "other"), [pair for pair in SAME if pair[0].casefold() != pair[1].casefold()], ids=ascii
)
def test_names_of_fields(one: str, other: str) -> None:
    for mapped, sent in ((one, other), (other, one)):
        if "\n" not in mapped and normalise_text(mapped) == normalise_text(sent):
            text = FORM.format(word="x", day=mapped)
            assert map_word(text, booth="x", mode="x", **{sent: "2022-03-03"})


def test_two_fields_of_one_name_are_refused() -> None:
    text = FORM.format(word="x", day=ONE)
    fields = {TWO: "2022-03-03", f"{TWO}\u200d": "2022-03-04"}
    with pytest.raises(UnmappableError, match="has 2 values"):
        map_word(text, booth="x", mode="x", **fields)


@pytest.mark.parametrize(("one", "other"), SAME, ids=ascii)
def test_columns_values_and_units_of_tables(one: str, other: str) -> None:
    for mapped, sent in ((one, other), (other, one)):
        mapping = ImportMapping.from_toml(TABLE.format(word=escape(mapped)))
        importer = Importer(mapping, [sent, "Day"], registry=UNITS.registry)
        event = importer.convert(2, [sent, "2022-03-03"]).event
        assert (event.unit, event.data.mode) == ("CG-AC001-B0001", "manual")  # type: ignore[union-attr]
        assert mapping.skip[0].matches(f"{sent} {sent}")


@pytest.mark.parametrize(
    ("one", "other"),
    [("पड़ाव", "पडाव"), ("Paper", "Papers"), ("क", "ख"), ("12", "1 2"), ("resume", "résumé")],
)
def test_words_that_look_different_stay_different(one: str, other: str) -> None:
    with pytest.raises(ConversionError, match="is not among its values"):
        Conversion(values={one: "manual"}).convert(other, None)


def test_a_table_that_tells_words_apart_by_case_goes_on_doing_so() -> None:
    conversion = Conversion(values={"a": 1, "A": 2})
    assert [conversion.convert(one, None) for one in "aA"] == [1, 2]


def test_a_name_twice_in_two_forms_for_two_values_is_refused() -> None:
    with pytest.raises(ValueError, match="stands for two values"):
        Conversion(values={ONE: 1, TWO: 2})
    assert Conversion(values={ONE: 1, TWO: 1}).convert(ONE, None) == 1
    text = FORM.format(word="x", day="day").replace(
        '{ "x" = "CG-AC001-B0001" }', f'{{ "{ONE}" = "CG-AC001", "{TWO}" = "CG-AC002" }}'
    )
    with pytest.raises(MappingError, match="stands for two values"):
        FormMapping.from_toml(text)


@pytest.mark.parametrize(
    "written", ["हाँ", "हां", "ha\u0301n"[:2], "YES\u200b", "\ufeffyes", " Yes "]
)
def test_yes_is_yes(written: str) -> None:
    assert to_boolean(written)


def test_a_stored_text_keeps_its_joiners() -> None:
    """क्\u200dष shows a half letter; without the joiner it is another shape."""
    assert to_text("क्\u200dष") == "क्\u200dष"
    assert Conversion().convert(" क्\u200d \ufeff", None) == "क्\u200d"
    assert fold_text("क्\u200dष") == fold_text("क्ष")


@given(st.text(max_size=30), st.sampled_from(["\u200b", "\ufeff", "\u00ad", "\u200e", "\ufe0f"]))
def test_an_invisible_character_makes_no_difference(text: str, invisible: str) -> None:
    for place in range(len(text) + 1):
        changed = text[:place] + invisible + text[place:]
        assert normalise_text(changed) == normalise_text(text)


@given(st.text(max_size=30))
def test_normalised_texts_are_in_nfc_and_stay_as_they_are(text: str) -> None:
    plain: Any
    for plain in (strip_text(text), normalise_text(text)):
        assert unicodedata.is_normalized("NFC", plain)
    assert normalise_text(normalise_text(text)) == normalise_text(text)
    assert strip_text(strip_text(text)) == strip_text(text)
