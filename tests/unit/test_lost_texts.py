"""Texts that lost their meaning are refused where they would make two things one; honest ones not.

Garbled letters, numbers that a spreadsheet changed, templates that were not filled in, words for
nothing: in identities, units, persons and numbers, of forms and of tables.
"""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from pravah.events import EventError
from producers.mapping.conversions import (
    Conversion,
    ConversionError,
    TimeFormat,
    to_identifier,
    to_integer,
)
from producers.mapping.form_mapper import UnmappableError, map_submission
from producers.mapping.form_mapping import FormMapping
from producers.mapping.gazetteer import Gazetteer
from producers.mapping.pseudonyms import Pseudonymiser
from producers.mapping.submissions import MappedEvent, Submission
from producers.tables import Importer, ImportMapping, TableError, open_mapped_table
from tests.support import small_world
from tests.support.tables import write_workbook

UNITS = Gazetteer(small_world.registry())
PERSONS = Pseudonymiser([b"a-key-of-the-tests"])

GARBLED = [
    # numbers that a spreadsheet shortened
    ("9.19E+11", "shortened"),
    ("9,19E+11", "shortened"),
    ("9.19e11", "shortened"),
    ("9.19E11", "shortened"),
    ("9.19E+011", "shortened"),
    ("1E+12", "shortened"),
    ("९.१९E+११", "shortened"),
    (" 9.19E+11 ", "shortened"),
    ("\u200e9.19E+11", "shortened"),
    ("-9.19E+11", "shortened"),
    ("9.19000001234E+11", "shortened"),
    ("9.19 x 10^11", "shortened"),
    ("9.19×10^11", "shortened"),
    # numbers that it rounded
    ("9190000000010000", "rounded"),
    ("12345678901234500", "rounded"),
    ("123456789012345000", "rounded"),
    ("१२३४५६७८९०१२३४५०००", "rounded"),
    (919000000001234567890.0, "15 digits"),
    (1.234567890123456e15, "15 digits"),
    # letters that were lost
    ("???? ?????", "question marks"),
    ("??", "question marks"),
    ("?", "question marks"),
    ("R?m", "question marks"),
    ("Sita ???", "question marks"),
    ("रा\ufffdम", "replacement character"),
    ("\ufffd\ufffd\ufffd", "replacement character"),
    ("à¤•à¤®à¤²", "read in another encoding"),
    ("à¤¸à¥€à¤¤à¤¾", "read in another encoding"),
    ("Ã¤", "read in another encoding"),
    ("JosÃ©", "read in another encoding"),
    ("â€™", "read in another encoding"),
    ("ï¿½", "read in another encoding"),
    ("‡§ï‡§Æ", "read in another encoding"),
    ("αñ¿αñ░", "read in another encoding"),
    ("&#2325;&#2350;", "HTML"),
    ("&#x915;", "HTML"),
    ("Ram &amp; Sons", "HTML"),
    ("\\u0915\\u092e", "codes"),
    ("_x0915_", "codes"),
    ("%E0%A4%95", "codes"),
    ("=E0=A4=95", "codes"),
    ("\ud83d", "half of a character"),
    # what spreadsheets show instead of a value
    ("########", "too narrow"),
    ("###", "too narrow"),
    ("#N/A", "error of a spreadsheet"),
    ("#n/a", "error of a spreadsheet"),
    ("#REF!", "error of a spreadsheet"),
    ("#VALUE!", "error of a spreadsheet"),
    ("#NAME?", "error of a spreadsheet"),
    ("#DIV/0!", "error of a spreadsheet"),
    ("#NULL!", "error of a spreadsheet"),
    ("#NUM!", "error of a spreadsheet"),
    ("#SPILL!", "error of a spreadsheet"),
    ("#CALC!", "error of a spreadsheet"),
    ("#GETTING_DATA", "error of a spreadsheet"),
    ("#WERT!", "error of a spreadsheet"),
    ("#BEZUG!", "error of a spreadsheet"),
    ("#¡REF!", "error of a spreadsheet"),
    ("Err:502", "error of a spreadsheet"),
    # digits that were hidden, days that were codes
    ("98XXXXXX01", "hidden digits"),
    ("1234****", "hidden digits"),
    ("5-Mar", "a day such as 5-Mar"),
    ("05-Mar", "a day such as 5-Mar"),
    ("Mar-05", "a day such as 5-Mar"),
    ("5 mar", "a day such as 5-Mar"),
]

TEMPLATES = [
    *("@results.group.input", "@results.group", "@results", "@contact.name", "@contact"),
    *("@contact.fields.booth", "@fields.booth", "@flow.name", "@run.uuid", "@trigger.params.x"),
    *("@(upper(contact.name))", "group-@results.group.input", "@RESULTS.GROUP.INPUT"),
    *("{{name}}", "{{ results.group }}", "{{", "${booth}", "${a/b}", "{% if x %}", "<%= x %>"),
    *("[[name]]", "<<name>>", "«Name»", "%name%", "%(name)s", "{name}", "<name>", "$name"),
    *("[object Object]", "__name__", "@group.label", "@webhook.json", "#form/booth", "/data/booth"),
    *("#{name}", "$(name)", "<?= $x ?>", "{!Contact.Name}", "{$name}", "*|NAME|*", "%%name%%"),
    *("%s", "{0}", "[Name]", "[Booth No]", "##NAME##", "[% x %]", "$json.x", "={{ $json.x }}"),
    *("@res\u200bults.x", "https://x.example/{{id}}", "{{cut off"),
]
NOTHING = [
    *(
        "null",
        "NULL",
        " Null ",
        "undefined",
        "NaN",
        "nan",
        "None",
        "nil",
        "NIL",
        "N/A",
        "n/a",
        "NA",
    ),
    *("#N/A"[1:], "-", "--", "—", ".", "...", "(blank)", "not available", "Not Applicable"),
    *("unknown", "Infinity", "निरंक", "लागू नहीं", "उपलब्ध नहीं", "कोई नहीं", "nu\u200bll", "{}", "[]"),
    *("undefined-17", "group-undefined", "null/84", "NaN NaN", "None-17", "Invalid Date", "error"),
    "https://chat.whatsapp.com/undefined",
]
HONEST = [
    *("F-17", "5-3", "17/3", "CG-AC084", "0", "1", "Sita", "सीता नेताम", "क्\u200dष", "São Tomé"),
    *("Müller", "5E12", "12e3", "#17", "Ward no. 3", "R&D", "Ram & Sons", "Nancy", "Neil", "नाना"),
    *("sita@results.org", "a@contact.in", "120363041234567890@g.us", "@ram_kumar", "100%", "x"),
    *("https://chat.whatsapp.com/AbC?mode=ac_t", "https://x.example/a?b=1&c=%E0%A4%95", "A{1}"),
    *("1234567890123456", "100000000000000", "9000000001", "uuid:0f1e2d3c", "Is it? yes", "5-Marg"),
    *(
        "{0f1e2d3c4b5a69788796a5b4c3d2e1f0}",
        "Nil Kanth",
        "None Other",
        "undefinedly",
        "#17/3",
        "$5",
    ),
]


@pytest.mark.parametrize(("text", "reason"), GARBLED, ids=lambda one: ascii(one)[:40])
def test_a_garbled_text_is_no_identity(text: object, reason: str) -> None:
    with pytest.raises(ConversionError, match=reason) as caught:
        to_identifier(text)
    assert ";" in str(caught.value), "says what to do"


@pytest.mark.parametrize("text", TEMPLATES)
def test_a_template_is_no_identity(text: str) -> None:
    with pytest.raises(ConversionError, match="not filled in"):
        to_identifier(text)


@pytest.mark.parametrize("text", NOTHING, ids=ascii)
def test_a_word_for_nothing_is_no_identity(text: str) -> None:
    with pytest.raises(ConversionError, match="word for no value"):
        to_identifier(text)


@pytest.mark.parametrize("text", HONEST, ids=ascii)
def test_an_honest_text_is_an_identity(text: str) -> None:
    assert to_identifier(text)


def test_a_day_is_an_identity_where_days_are() -> None:
    assert to_identifier("5-Mar", may_be_day=True) == "5-Mar"
    assert to_identifier(date(2022, 3, 5)) == "2022-03-05"


@pytest.mark.parametrize(
    "text",
    # a rounded number is one; its bounds refuse it
    [text for text, reason in GARBLED if isinstance(text, str) and reason != "rounded"]
    + TEMPLATES
    + NOTHING,
    ids=ascii,
)
def test_no_such_text_is_a_number(text: str) -> None:
    with pytest.raises(ConversionError, match="is not a whole number: it "):
        to_integer(text)


@pytest.mark.parametrize("type_", ["hash", "phone"])
@pytest.mark.parametrize(
    "text", [text for text, _ in GARBLED] + TEMPLATES + NOTHING, ids=lambda one: ascii(one)[:40]
)
def test_no_such_text_is_a_person(text: object, type_: Any) -> None:
    with pytest.raises(ConversionError) as caught:
        Conversion(type=type_).convert(text, PERSONS)
    assert not isinstance(text, str) or len(text) < 10 or text not in str(caught.value).split("as ")


def test_a_text_of_invisible_characters_is_empty() -> None:
    for text in ("\u200b", "\ufeff \u200d", "\u2060\u00ad", "\u00a0", "\u3164", "\ufe0f"):
        assert to_identifier(text) == ""


@pytest.mark.parametrize("written", ["\u200e12", "'12", "1\u200b2", "\ufeff12 ", "12\u00a0"])
def test_a_number_is_read_without_what_nobody_sees(written: str) -> None:
    assert to_integer(written) == 12


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("45012", "a spreadsheet's number of a day"),
        ("44652.5", "a spreadsheet's number of a day"),
        (44652, "a spreadsheet's number of a day"),
        ("४५०१२", "a spreadsheet's number of a day"),
        ("@results.day.input", "not filled in"),
        ("null", "word for no value"),
        ("#VALUE!", "error of a spreadsheet"),
        ("########", "too narrow"),
        ("??/??/2022", "question marks"),
    ],
)
def test_a_time_that_is_none_says_what_it_is(written: object, reason: str) -> None:
    for form in (None, "%d/%m/%Y"):
        with pytest.raises(ConversionError, match=reason):
            TimeFormat(format=form).parse(written)


# --- forms ---------------------------------------------------------------------------------------

FORM = """
unit = { field = "booth" }
occurred_at = { field = "day" }
[[event]]
kind = "messaging_group"
entity = { prefix = "whatsapp", fields = ["group"] }
constants = { group_type = "whatsapp" }
fields = { members = { field = "members", type = "integer" } }
envelope = { reporter = { field = "phone", type = "phone", optional = true } }
"""
ANSWERS = {"booth": "CG-AC001-B0001", "day": "2022-03-03", "group": "120363@g.us", "members": "12"}


def map_answers(name: str = "s", **answers: object) -> list[MappedEvent]:
    changed_at = datetime(2022, 3, 4, tzinfo=UTC)
    return map_submission(
        FormMapping.from_toml(FORM),
        Submission(form="f", name=name, changed_at=changed_at, fields={**ANSWERS, **answers}),
        tool="glific",
        producer="office",
        units=UNITS,
        pseudonymiser=PERSONS,
    )


@pytest.mark.parametrize("field", ["group", "booth", "members", "day", "phone"])
@pytest.mark.parametrize("text", ["@results.group.input", "{{x}}", "undefined", "NaN", "#REF!"])
def test_a_form_refuses_it_in_every_place_with_one_error(field: str, text: str) -> None:
    with pytest.raises(UnmappableError) as caught:
        map_answers(**{field: text})
    (finding,) = caught.value.findings
    assert "not filled in" in finding or "no value" in finding or "error of a spr" in finding


def test_groups_of_a_template_that_was_not_filled_in_are_not_one_group() -> None:
    """Issue 21, fault 7: all groups of all booths became one entity."""
    with pytest.raises(UnmappableError, match="entity: group is a template's variable"):
        map_answers(group="@results.group.input")


@pytest.mark.parametrize("name", ["@results.id", "{{id}}", "null", "undefined", "???", "1.2E+15"])
def test_a_submission_without_an_identity_is_refused_whole(name: str) -> None:
    with pytest.raises(UnmappableError, match="submission: its identity"):
        map_answers(name=name)


def test_a_note_may_say_anything() -> None:
    assert map_answers(note="@results.x {{y}} null ???")


def test_a_free_text_may_mention_a_variable_but_not_be_one() -> None:
    text = Conversion()
    assert text.convert("mail sita@results.org", None) == "mail sita@results.org"
    assert text.convert("Training with @contact", None) == "Training with @contact"
    for template in ("@results.programme", "{{ programme }}", "${programme}"):
        with pytest.raises(ConversionError, match="not filled in"):
            text.convert(template, None)
    with pytest.raises(ConversionError, match="half of a character"):
        text.convert("Training \ud83d", None)


# --- tables --------------------------------------------------------------------------------------

TABLE = """
kind = "membership"
producer = "office"
constants = { mode = "manual" }
unit = { column = "Booth" }
occurred_at = { column = "Day" }
entity = { prefix = "list", columns = ["Form"] }
fields = { count = { column = "New", type = "integer" } }
envelope = { reporter = { column = "Who", type = "hash", optional = true } }
"""
ROW = {"Booth": "CG-AC001-B0001", "Day": "2022-03-03", "Form": "F-1", "New": "12", "Who": ""}


def import_row(number: int = 2, importer: Importer | None = None, **cells: object) -> str:
    importer = importer or Importer(
        ImportMapping.from_toml(TABLE), list(ROW), registry=UNITS.registry, pseudonymiser=PERSONS
    )
    return importer.convert(number, list({**ROW, **cells}.values())).event.entity_name


@pytest.mark.parametrize("column", ["Booth", "Form", "New", "Day", "Who"])
@pytest.mark.parametrize("text", ["@results.x", "undefined", "???", "à¤•à¤®", "9.19E+11", "#NULL!"])
def test_a_row_with_such_a_text_is_refused(column: str, text: str) -> None:
    with pytest.raises(EventError, match=column):
        import_row(**{column: text})


def test_two_persons_with_lost_digits_are_not_one() -> None:
    """Issue 21, fault 5: twice 9.19E+11 became one person."""
    for text in ("9.19E+11", "???? ?????"):
        with pytest.raises(EventError, match=r"Who: (is|has)"):
            import_row(Who=text)


@pytest.mark.parametrize(
    "same", ["F-1\u200b", "\ufeffF-1", "F-1 ", "\u00a0F-1", "F\u00ad-1", "F-1\u200d"], ids=ascii
)
def test_what_nobody_sees_makes_no_second_row(same: str) -> None:
    importer = Importer(ImportMapping.from_toml(TABLE), list(ROW), pseudonymiser=PERSONS)
    import_row(2, importer)
    with pytest.raises(EventError, match="as row 2"):
        import_row(3, importer, Form=same)


@pytest.mark.parametrize("column", ["Form", "Booth", "Who"])
@pytest.mark.parametrize("code", ["17-35", "5/31", "12.40", "१७-३५", "3-15-22"])
def test_a_column_in_which_codes_became_days_is_refused(
    tmp_path: Path, column: str, code: str
) -> None:
    """A spreadsheet makes 5 March of the form 5-3, and leaves 17-35 alone."""
    rows = [list(ROW), *[list({**ROW, column: cell}.values()) for cell in (code, date(2022, 3, 5))]]
    path = write_workbook(tmp_path / "t.xlsx", rows)
    mapping = ImportMapping.from_toml(TABLE)
    with (
        pytest.raises(TableError, match=f"column '{column}' has 1 date .row 3. and 1 text such as"),
        open_mapped_table(path, mapping) as table,
    ):
        list(table.rows)


def test_a_column_of_days_may_identify_rows(tmp_path: Path) -> None:
    rows = [list(ROW), *[list({**ROW, "Form": date(2022, 3, day)}.values()) for day in (5, 6)]]
    path = write_workbook(tmp_path / "t.xlsx", rows)
    with open_mapped_table(path, ImportMapping.from_toml(TABLE)) as table:
        assert len(list(table.rows)) == 2
