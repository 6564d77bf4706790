"""Units are found by code, alias or name, exactly after normalisation; others are suggested."""

from datetime import date
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pravah.days import day_of
from pravah.units import Level
from producers.mapping.gazetteer import Gazetteer, UnitError
from schemas.registry import Registry, RegistryError
from schemas.unit_names import normalise_name
from tests.support import small_world
from tests.support.field_bodies import corpora

DAY = day_of(date(2022, 5, 3))
EARLY, LATE = day_of(date(2022, 3, 5)), day_of(date(2022, 4, 20))


def registry() -> Registry:
    return corpora.registry()


@cache
def make_small(aliases: tuple[str, ...] = ()) -> Gazetteer:
    return Gazetteer(small_world.registry(), {"small.aliases.csv": ["alias,unit", *aliases]})


def catch_error(units: Gazetteer, text: str, day: int = DAY, **how: object) -> str:
    with pytest.raises(UnitError) as caught:
        units.find(text, day, **how)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["CG-AC084-B0017", "cg-ac084-b0017", "cg_ac084_b0017", " CG-AC084-B0017 ", "CG-AC०८४-B००१७"],
)
def test_a_code_is_found_however_a_form_spells_it(text: str) -> None:
    assert corpora.gazetteer().find(text, DAY) == "CG-AC084-B0017"


@pytest.mark.parametrize(
    ("name", "level", "code"),
    [
        ("Raipur", "district", "CG-D-RPR"),
        ("रायपुर", "district", "CG-D-RPR"),
        ("raipur", "division", "CG-V-RPR"),
        ("Narayanpur", "assembly", "CG-AC084"),
        ("नारायणपुर", "district", "CG-D-NRP"),
        ("CHHATTISGARH", "state", "CG"),
    ],
)
def test_a_name_is_found_in_english_and_hindi_at_its_level(
    name: str, level: Level, code: str
) -> None:
    assert corpora.gazetteer().find(name, DAY, by="name", level=level) == code


def test_every_unit_of_the_registry_is_found_by_both_names_within_the_units_above_it() -> None:
    units = corpora.gazetteer()
    for unit in [
        unit
        for unit in registry().units.values()
        if unit.level in {"district", "assembly", "division"}
        and unit.code.startswith("CG")
        and unit.first <= DAY <= unit.last
    ]:
        for name in (unit.name_en, unit.name_hi):
            assert units.find(name, DAY, by="name", level=unit.level, within=["CG"]) == unit.code
    for number in (1, 17, 206):
        code = f"CG-AC084-B{number:04}"
        assert (
            units.find(
                registry().units[code].name_hi, DAY, by="name", level="booth", within=["CG-AC084"]
            )
            == code
        )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("केन्द्र", "केंद्र"),
        ("चम्पा", "चंपा"),
        ("पण्डरिया", "पंडरिया"),
        ("गाँव", "गांव"),
        ("दंतेवाड़ा", "दंतेवाड\u093cा"),
        ("Baloda Bazar", "baloda-bazar"),
        ("मतदान केंद्र १७", "मतदान  केंद्र, 17"),
        ("नारायण\u200dपुर", "नारायणपुर"),
    ],
)
def test_two_ways_of_writing_are_one_name(one: str, other: str) -> None:
    assert normalise_name(one) == normalise_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("कन", "कं"), ("Raipur", "Rajpur"), ("17", "170"), ("बालोद", "बालाद"), ("नम", "मन")],
)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert normalise_name(one) != normalise_name(other)


@given(st.text(max_size=20))
def test_normalisation_is_idempotent(name: str) -> None:
    assert normalise_name(normalise_name(name)) == normalise_name(name)


def test_similar_names_are_suggested_and_not_used() -> None:
    assert "alike: Narayanpur नारायणपुर (CG-AC084)" in catch_error(
        corpora.gazetteer(), "Narainpur", by="name", level="assembly"
    )
    assert "alike" not in catch_error(corpora.gazetteer(), "Mumbai", by="name", level="assembly")
    assert "alike: nrp 17 (CG-AC084-B0017)" in catch_error(
        corpora.gazetteer(), "NRPP 17", by="alias"
    )


@given(
    st.sampled_from(["Narayanpur", "नारायणपुर", "Booth 17"]),
    st.integers(0, 9),
    st.sampled_from("axक9"),
)
def test_a_name_with_another_letter_is_another_name(name: str, place: int, letter: str) -> None:
    spoiled = name[:place] + letter + name[place + 1 :]
    if normalise_name(spoiled) != normalise_name(name):
        found = []
        try:
            found.append(corpora.gazetteer().find(spoiled, DAY, by="name", within=["CG-AC084"]))
        except UnitError:
            return
        assert normalise_name(spoiled) in {
            normalise_name(registry().units[code].name_en) for code in found
        } | {normalise_name(registry().units[code].name_hi) for code in found}


def test_a_name_that_several_have_is_refused_with_all_of_them() -> None:
    error = catch_error(corpora.gazetteer(), "Booth 17", by="name", within=["CG-D-RPR"])
    assert "is the name of" in error
    assert "say the unit above it, or the code" in error
    assert "more; " in error


def test_the_units_above_are_those_of_the_day() -> None:
    units = make_small()
    assert units.find("Booth 2", EARLY, by="name", within=["CG-D-A"]) == "CG-AC001-B0002"
    assert units.find("Booth 2", LATE, by="name", within=["CG-D-D"]) == "CG-AC001-B0002"
    assert "no unit there on that day" in catch_error(
        units, "Booth 2", LATE, by="name", within=["CG-D-A"]
    )


def test_a_unit_that_is_closed_on_the_day_is_not_found() -> None:
    assert "CG-AC001-B0004 does not exist on 2022-04-20" in catch_error(
        make_small(), "CG-AC001-B0004", LATE
    )
    assert "no unit there on that day" in catch_error(make_small(), "Booth 4", LATE, by="name")
    assert "does not exist" in catch_error(
        make_small(("number four,CG-AC001-B0004",)), "number four", LATE, by="alias"
    )


def test_the_unit_above_is_found_by_code_alias_or_name() -> None:
    units = make_small(("old town,CG-D-A",))
    assert [
        units.find_at_level(text, EARLY, "district")
        for text in ("CG-D-A", "cg_d_a", "Old Town", "A", "अ")
    ] == ["CG-D-A"] * 5
    with pytest.raises(UnitError):
        units.find_at_level("old town", EARLY, "assembly")


@pytest.mark.parametrize("sign", ["\u200b", "\u200d", "\u00ad", "\ufe0f", "\ufeff", "\u202a"])
def test_an_invisible_character_is_none_of_a_name(sign: str) -> None:
    units = make_small((f"old{sign} town,CG-D-A{sign}",))
    for text, by in (
        (f"CG-D{sign}-A", "code"),
        (f"Old T{sign}own", "alias"),
        (f"No{sign}rth", "name"),
        (f"उ{sign}त्तर", "name"),
    ):
        assert units.find(text, EARLY, by=by) in {"CG-D-A", "CG-V-N"}  # type: ignore[arg-type]


def test_all_errors_of_alias_files_are_reported_with_file_and_line() -> None:
    lines = [
        "alias,unit",
        "one,CG-AC001",
        "ONE,CG-AC002",
        ",CG-AC001",
        "two,CG-AC999",
        "three,CG-AC001",
        "three,CG-AC001",
    ]
    with pytest.raises(RegistryError) as caught:
        Gazetteer(small_world.registry(), {"a.aliases.csv": lines, "b.aliases.csv": ["unit,alias"]})
    assert [str(finding) for finding in caught.value.findings] == [
        "a.aliases.csv:3: alias 'ONE' stands for CG-AC001 already",
        "a.aliases.csv:4: alias is empty",
        "a.aliases.csv:5: unit 'CG-AC999' is not in the registry",
        "b.aliases.csv:1: the header must be alias,unit",
    ]


def test_a_long_number_is_not_repeated() -> None:
    for by in ("code", "alias", "name"):
        assert "9000000001" not in catch_error(make_small(), "call 9000000001", EARLY, by=by)
