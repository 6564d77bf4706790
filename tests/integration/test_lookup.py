"""Units, metrics and milestones by what people type: found, or refused with the nearest ones."""

from collections.abc import Iterator

import pytest
from clickhouse_driver import Client
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import reference
from operations.bootstrap import prepare
from operations.registry_files import read_registry_files
from pravah.settings import Settings
from schemas.unit_names import UnknownNameError, normalise_name
from sinks import lookup
from sinks.connection import connect
from tests.support.deployment import empty


@pytest.fixture(scope="module")
def client(services: Settings) -> Iterator[Client]:
    empty(services)
    registry = read_registry_files(reference.registry_files())
    prepare(services, lambda _: None, registry=registry)
    with connect(services.clickhouse, "aicc") as client:
        yield client


def find(client: Client, *texts: str, scope: str = "IN") -> list[str]:
    return lookup.run(client, lookup.find_units(texts, scope=scope))


@pytest.mark.parametrize(
    "text",
    [
        "CG-AC043",
        "cg-ac043",
        " CG-AC043 ",
        "cg_ac043",
        "CG-AC\u200b043",
        "CG–AC043",
        "CG-AC०४३",
        "ＣＧ-AC043",
    ],
)
def test_a_code_is_found_however_it_is_typed(client: Client, text: str) -> None:
    assert find(client, text) == ["CG-AC043"]


def test_a_unit_is_found_by_a_name_that_no_other_has(client: Client) -> None:
    ((code, name_en, name_hi),) = client.execute(
        """
        SELECT any(unit), any(name_en), name_hi FROM units WHERE level = 'district'
        GROUP BY name_hi
        HAVING count() = 1 AND name_hi NOT IN (SELECT name_hi FROM units WHERE level != 'district')
        AND any(name_en) NOT IN (SELECT name_en FROM units WHERE level != 'district')
        LIMIT 1
        """
    )
    for text in (name_en, name_hi, name_en.upper(), f"  {name_hi}\u200d ", name_en.lower()):
        assert find(client, text) == [code], text
    assert find(client, name_en, "IN", code.lower()) == [code, "IN", code]


def test_a_name_of_several_units_is_refused_with_them(client: Client) -> None:
    for name in ("Narayanpur", "नारायणपुर", "NARAYANPUR"):
        with pytest.raises(UnknownNameError, match="is the name of 2 units") as error:
            find(client, name)
        assert {"CG-D-NRP", "CG-AC084"} <= {one.code for one in error.value.nearest}
    assert find(client, "Narayanpur", scope="CG-AC084") == ["CG-AC084"], "one is in reach"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Narayanpr", "CG-D-NRP"),
        ("नारायनपुर", "CG-D-NRP"),
        ("CG-D-NPR", "CG-D-NRP"),
        ("CG-D-NRPX", "CG-D-NRP"),
        ("CG-AC999", "CG-AC0"),
        ("NOPE", ""),
        ("", ""),
        ("%", ""),
        ("'; DROP TABLE units", ""),
        ("\\", ""),
        ("CG-D-NRP,CG-D-RPR", ""),
        ("\U0001f600" * 300, ""),
    ],
)
def test_what_does_not_exist_is_refused_with_the_nearest(
    client: Client, text: str, meant: str
) -> None:
    with pytest.raises(UnknownNameError, match="is not in the registry") as error:
        find(client, text)
    assert error.value.nearest
    assert any(one.code.startswith(meant) for one in error.value.nearest), error.value


def test_nothing_outside_the_scope_is_found_or_offered(client: Client) -> None:
    for text in ("CG-D-NRP", "Narayanpur", "NOPE", "CG-AC084"):
        with pytest.raises(UnknownNameError, match="at or below CG-D-RPR") as error:
            find(client, text, scope="CG-D-RPR")
        offered = [one.code for one in error.value.nearest]
        assert offered
        ((inside,),) = client.execute(
            "SELECT count() FROM units WHERE unit IN %(offered)s AND unit IN"
            " (SELECT unit FROM unit_ancestors WHERE ancestor = 'CG-D-RPR')",
            {"offered": offered},
        )
        assert inside == len(offered)


def test_metrics_and_milestones(client: Client) -> None:
    assert lookup.run(client, lookup.find_metrics(["members_digital"])) == ["members_digital"]
    assert lookup.run(client, lookup.find_milestones([])) == []
    with pytest.raises(UnknownNameError, match="nearest: members_digital") as error:
        lookup.run(client, lookup.find_metrics(["members_digital", "member_digital"]))
    assert error.value.text == "member_digital"
    with pytest.raises(UnknownNameError, match="nearest: booth_groups"):
        lookup.run(client, lookup.find_milestones(["booth_group"]))


WORDS = st.text(
    "abcXYZ ÀéÎ0129-_.,()'\"\\%–—०९अआकखगघङचछजञटडणतदधनपबमयरलवशसहािीुूेैोौंँः़्ज़ड़\u200b\u200d\u202a\ufeff",
    max_size=40,
)


@given(WORDS)
@example("केन्द्र क्रमांक ०१७ — ‘अ’")
@example("चाँद\u200d")
@hypothesis_settings(max_examples=300)
def test_the_database_folds_names_as_we_do(client: Client, text: str) -> None:
    ((folded,),) = client.execute(f"SELECT {lookup.fold('%(text)s')}", {"text": text})
    assert folded == normalise_name(text)


def test_the_database_folds_all_names_of_the_registry_as_we_do(client: Client) -> None:
    rows = client.execute(
        f"SELECT DISTINCT name_en, name_hi, {lookup.FOLDED_EN}, {lookup.FOLDED_HI} FROM units"
    )
    for name_en, name_hi, folded_en, folded_hi in rows:
        assert (normalise_name(name_en), normalise_name(name_hi)) == (folded_en, folded_hi)
