"""Units are found as people write them; what fits two is refused with both, nothing is guessed."""

from datetime import UTC, datetime
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pravah.days import day_of
from pravah.events import EventError
from pravah.units import Level
from producers.mapping.form_mapper import UnmappableError, map_submission
from producers.mapping.form_mapping import FormMapping
from producers.mapping.gazetteer import Gazetteer, UnitError
from producers.mapping.submissions import Submission
from producers.tables import Importer, ImportMapping
from schemas.registry import Registry
from schemas.registry_readers import registry_from_csv
from tests.support.field_bodies import corpora

DAY = day_of(datetime(2022, 5, 3, tzinfo=UTC).date())
BOOTH, ASSEMBLY = "CG-AC084-B0017", "CG-AC084"

CODES = [
    *("CG-AC084-B0017", "cg-ac084-b0017", "cg_ac084_b0017", "CG AC084 B0017", "CG/AC084/B0017"),
    *("CGAC084B0017", "cgac084b17", "CG-AC84-B17", "CG-AC084-B17", "CG-AC84-B0017", "AC84-B17"),
    *("ac 84 b 17", "AC84 Booth 17", "AC084/B0017", "AC-84, B-17", "CG.AC084.B0017", "AC84 PS 17"),
    *("CG-AC०८४-B००१७", "CG-AC\uff10\uff18\uff14-B\uff10\uff10\uff11\uff17", " CG-AC084-B0017\n"),
    *(
        "CG\u200b-AC084-B0017",
        "\u202aCG-AC084-B0017\u202c",
        "CG-AC084\u00ad-B0017",
        "\ufeffAC84B17",
    ),
    *("CG\u2013AC084\u2013B0017", "CG\u2011AC084\u2011B0017", "CG\u00a0AC084\u00a0B0017"),
    *("CG - AC084 - B0017", "CG--AC084--B0017", "CG-AC084-B00017", "Ac84 Part 17"),
]
BOOTHS = [
    *("17", "017", "0017", "B17", "b-17", "B0017", "B 17", "#17", "१७", "०१७", "\uff11\uff17"),
    *("Booth 17", "booth no 17", "Booth No. 17", "BOOTH-17", "Booth17", "Booth number: 17"),
    *("PS 17", "P.S. 17", "Polling Station 17", "polling station no. 17", "Part No 17", "17 no."),
    *("बूथ 17", "बूथ क्रमांक १७", "बूथ क्र. 17", "बूथ नं. १७", "बूथ नंबर 17", "बूथ संख्या १७", "१७ नंबर"),
    *("मतदान केंद्र 17", "मतदान केन्द्र १७", "मतदान केंद्र क्र. 17", "मतदान केंद्र क्रमांक 17", "भाग 17"),
    *(
        "CG-AC084-B0017",
        "AC84-B17",
        "nrp 17",
        "17.0",
        "1\u200b7",
        "बू. 17",
        "बूथ क्रं 17",
        "मतदान\u200d केंद्र 17",
    ),
]
ASSEMBLIES = [
    *(
        "84",
        "084",
        "८४",
        "AC84",
        "AC 084",
        "ac-84",
        "CG-AC084",
        "AC No. 84",
        "84.0",
        "Vidhan Sabha 84",
    ),
    *("विधानसभा 84", "विधानसभा क्रमांक ८४", "Assembly constituency 84", "Constituency no. 84"),
    *(
        "Narayanpur",
        "narayanpur",
        "NARAYANPUR",
        "नारायणपुर",
        "Narayanpur (ST)",
        *("नारायणपुर (अ.ज.जा.)", "Narayanpur A.C.", "वि.स. 84", "नारायणपुर वि.स.", "वि. सभा क्र. 84"),
    ),
    *("नारायणपुर (अजजा)", "Narayanpur Vidhan Sabha", "AC Narayanpur", "विधानसभा नारायणपुर"),
    *(
        "084-Narayanpur",
        "84 Narayanpur",
        "084 - नारायणपुर",
        "Narayanpur (84)",
        "AC84 Narayanpur (ST)",
    ),
    *("Narayanpur-084", "84. नारायणपुर", "Narayan\u00adpur", "नारायण\u200dपुर", "Narayanpur\ufe0f"),
]


@cache
def find(text: str, by: str = "code", level: Level | None = None, within: str = "") -> str:
    how = {"by": by, "level": level, "within": [within] if within else []}
    return corpora.gazetteer().find(text, DAY, **how)  # type: ignore[arg-type]


def refuse(text: str, by: str = "code", level: Level | None = None, within: str = "") -> str:
    with pytest.raises(UnitError) as caught:
        find(text, by, level, within)
    return str(caught.value)


@pytest.mark.parametrize("text", CODES, ids=ascii)
def test_a_code_is_found_without_zeros_state_or_hyphens(text: str) -> None:
    assert find(text) == BOOTH


@pytest.mark.parametrize("text", BOOTHS, ids=ascii)
def test_a_booth_is_found_by_its_number_within_the_assembly(text: str) -> None:
    assert find(text, "name", "booth", ASSEMBLY) == BOOTH


@pytest.mark.parametrize("text", ASSEMBLIES, ids=ascii)
def test_an_assembly_is_found_by_number_and_name(text: str) -> None:
    assert find(text, "name", "assembly") == ASSEMBLY
    assert corpora.gazetteer().find_at_level(text, DAY, "assembly") == ASSEMBLY


@pytest.mark.parametrize(
    ("text", "level", "code"),
    [
        ("Raipur", "district", "CG-D-RPR"),
        ("District Raipur", "district", "CG-D-RPR"),
        ("Raipur Distt.", "district", "CG-D-RPR"),
        ("जिला रायपुर", "district", "CG-D-RPR"),
        ("ज़िला रायपुर", "district", "CG-D-RPR"),
        ("cg_d_rpr", "district", "CG-D-RPR"),
        ("Raipur division", "division", "CG-V-RPR"),
        ("रायपुर संभाग", "division", "CG-V-RPR"),
    ],
)
def test_words_of_the_level_are_none_of_the_name(text: str, level: Level, code: str) -> None:
    assert find(text, "name", level) == code


@given(
    st.integers(1, 206), st.sampled_from(["{}", "{:04}", "Booth No. {}", "बूथ {}", "B{}", "{}.0"])
)
def test_the_number_says_which_booth(number: int, written: str) -> None:
    found = find(written.format(number), "name", "booth", ASSEMBLY)
    assert found == f"CG-AC084-B{number:04}"


@pytest.mark.parametrize(
    ("text", "level", "reason"),
    [
        ("17A", "booth", "is the name of no unit there"),
        ("17अ", "booth", "is the name of no unit there"),
        ("84/17", "booth", "is the name of no unit there"),
        ("17, 18", "booth", "is the name of no unit there"),
        ("17 and 18", "booth", "is the name of no unit there"),
        ("9999", "booth", "is the name of no unit there"),
        ("0", "booth", "is the name of no unit there"),
        ("17.5", "booth", "is the name of no unit there"),
        ("seventeen", "booth", "is the name of no unit there"),
        ("AC85-B17", "booth", "is the name of no unit there"),
        ("AC17", "booth", "is the name of no unit there"),
        ("S 17", "booth", "is the name of no unit there"),
        ("B84", "assembly", "is the name of no unit there"),
        ("Booth 84", "assembly", "is the name of no unit there"),
        ("0084", "district", "is the name of no unit there"),
        ("Narainpur", "assembly", "alike: Narayanpur नारायणपुर (CG-AC084)"),
        ("84 Narainpur", "assembly", "alike: Narayanpur नारायणपुर (CG-AC084)"),
        (
            "84-Bastar",
            "assembly",
            (
                "has the number of one unit and the name of another: Narayanpur नारायणपुर "
                "(CG-AC084), Bastar बस्तर (CG-AC085)"
            ),
        ),
    ],
)
def test_nothing_is_guessed(text: str, level: Level, reason: str) -> None:
    within = ASSEMBLY if level == "booth" else ""
    assert reason in refuse(text, "name", level, within)


def test_a_name_of_two_units_is_refused_with_both_and_their_paths() -> None:
    error = refuse("Raipur", "name")
    assert "is the name of 2 units: Raipur (CG-D-RPR, division Raipur, state Chhattisgarh)" in error
    assert "Raipur (CG-V-RPR, state Chhattisgarh)" in error
    assert "say the unit above it, or the code" in error
    assert "is the name of 90 units" in refuse("17", "name", "booth")


def test_a_text_that_is_no_code_says_what_it_is() -> None:
    assert "it is the name of" in refuse("Narayanpur")
    for number in ("84", "B17", "Booth 17 "):
        assert "say by = 'name'" in refuse(number) or "needs by = 'name'" in refuse(number)


# --- two states with the same numbers ------------------------------------------------------------

UNITS = """unit,level,name_en,name_hi,valid_from,valid_to,lat,lon
IN,national,India,भारत,,,,
CG,state,Chhattisgarh,छत्तीसगढ़,,,,
MP,state,Madhya Pradesh,मध्य प्रदेश,,,,
CG-D-A,district,Balrampur,बलरामपुर,,,,
MP-D-A,district,Anuppur,अनूपपुर,,,,
CG-AC001,assembly,Rampur,रामपुर,,,,
MP-AC001,assembly,Rampur,रामपुर,,,,
CG-AC001-B0001,booth,Booth 1,केंद्र 1,,,,
MP-AC001-B0001,booth,Booth 1,केंद्र 1,,,,
"""
PARENTS = """unit,parent,valid_from,valid_to
CG,IN,,
MP,IN,,
CG-D-A,CG,,
MP-D-A,MP,,
CG-AC001,CG-D-A,,
MP-AC001,MP-D-A,,
CG-AC001-B0001,CG-AC001,,
CG-AC001-B0001,CG-D-A,,
MP-AC001-B0001,MP-AC001,,
MP-AC001-B0001,MP-D-A,,
"""


@cache
def two_states() -> Registry:
    return registry_from_csv(
        {"two.units.csv": UNITS.splitlines(), "two.parents.csv": PARENTS.splitlines()}
    )


@pytest.mark.parametrize(
    ("text", "by", "level"),
    [
        ("AC1-B1", "code", None),
        ("ac001", "code", None),
        ("Rampur", "name", None),
        ("रामपुर", "name", "assembly"),
        ("1", "name", "assembly"),
        ("001-Rampur", "name", "assembly"),
        ("Booth 1", "name", "booth"),
    ],
)
def test_units_of_two_states_are_distinguished_by_what_is_above_them(
    text: str, by: str, level: Level | None
) -> None:
    units = Gazetteer(two_states())
    with pytest.raises(UnitError) as caught:
        units.find(text, DAY, by=by, level=level)  # type: ignore[arg-type]
    for name in ("CG-AC001", "MP-AC001", "state Chhattisgarh", "state Madhya Pradesh"):
        assert name in str(caught.value)
    for state in ("CG", "MP"):
        found = units.find(text, DAY, by=by, level=level, within=[state])  # type: ignore[arg-type]
        assert found.startswith(f"{state}-AC001")


def test_a_code_outside_of_what_is_above_it_is_refused() -> None:
    with pytest.raises(UnitError, match="is not at or below CG"):
        Gazetteer(two_states()).find("MP-AC001", DAY, within=["CG"])


def test_an_alias_and_a_name_for_two_units_are_refused_with_both() -> None:
    lines = ["alias,unit", "Balrampur,MP-D-A"]
    units = Gazetteer(two_states(), {"a.aliases.csv": lines})
    with pytest.raises(UnitError, match="is the name of 2 units"):
        units.find("Balrampur", DAY, by="name", level="district")
    assert units.find("बलरामपुर", DAY, by="name", level="district") == "CG-D-A"


# --- forms and tables ----------------------------------------------------------------------------

FORM = """
occurred_at = { field = "day" }
[unit]
field = "booth"
by = "name"
level = "booth"
assembly = "assembly"
within = "CG"
[[event]]
kind = "membership"
constants = { mode = "manual", count = 1 }
"""
TABLE = """
kind = "membership"
producer = "office"
constants = { mode = "manual", count = 1 }
occurred_at = { column = "Day" }
entity = { prefix = "list", columns = ["Form"] }
[unit]
column = "Booth"
by = "name"
level = "booth"
assembly = "AC"
within = "CG"
"""


def map_unit(booth: object, assembly: object) -> str:
    fields = {"day": "2022-05-03", "booth": booth, "assembly": assembly}
    (event,) = map_submission(
        FormMapping.from_toml(FORM),
        Submission(form="f", name="s", changed_at=datetime(2022, 5, 4, tzinfo=UTC), fields=fields),
        tool="kobo",
        producer="office",
        units=corpora.gazetteer(),
        pseudonymiser=None,
    )
    return event.unit


def import_unit(booth: object, assembly: object) -> str:
    importer = Importer(
        ImportMapping.from_toml(TABLE),
        ["Day", "Form", "AC", "Booth"],
        registry=corpora.registry(),
        gazetteer=corpora.gazetteer(),
    )
    return importer.convert(2, ["2022-05-03", "F-1", assembly, booth]).event.unit


@pytest.mark.parametrize(
    ("booth", "assembly"),
    [
        (17, 84),
        (17.0, 84.0),
        ("17", "84"),
        ("०१७", "०८४"),
        ("Booth No. 17", "084-Narayanpur"),
        ("मतदान केंद्र १७", "नारायणपुर"),
        ("B17", "AC84"),
        ("cg-ac084-b0017", "Narayanpur (ST)"),
        ("AC84-B17", "84"),
    ],
)
def test_number_of_constituency_and_booth_stand_in_fields_of_their_own(
    booth: object, assembly: object
) -> None:
    assert map_unit(booth, assembly) == import_unit(booth, assembly) == BOOTH


@pytest.mark.parametrize(
    ("booth", "assembly"), [("17", "999"), ("999", "84"), ("17", "@x.y"), ("CG-AC085-B0017", "84")]
)
def test_a_booth_that_is_not_there_is_refused_in_both(booth: str, assembly: str) -> None:
    with pytest.raises(UnmappableError, match="unit: "):
        map_unit(booth, assembly)
    with pytest.raises(EventError, match=r"AC: |Booth: "):
        import_unit(booth, assembly)


@pytest.mark.parametrize("text", CODES, ids=ascii)
def test_a_table_with_codes_finds_them_as_people_write_them(text: str) -> None:
    plain = TABLE.partition("[unit]")[0] + '[unit]\ncolumn = "Booth"\n'
    importer = Importer(
        ImportMapping.from_toml(plain),
        ["Day", "Form", "Booth"],
        registry=corpora.registry(),
        gazetteer=corpora.gazetteer(),
    )
    assert importer.convert(2, ["2022-05-03", "F-1", text]).event.unit == BOOTH
