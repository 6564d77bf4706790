"""The default registry is Chhattisgarh, past and present, and can be rebuilt from its sources."""

import csv
import re
import unicodedata
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path

import pytest

import reference
from pravah.days import day_of
from reference.build import REGISTRY, read_source, write
from schemas.plan import Plan
from schemas.registry import Registry
from schemas.registry_readers import registry_from_csv

JANUARY_2022, SEPTEMBER_2022 = "2022-01-01", "2022-09-30"


def rows(name: str) -> list[dict[str, str]]:
    """One file of the registry, read without the project's own reader."""
    with (REGISTRY / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def holds(row: dict[str, str], day: str) -> bool:
    return row["valid_from"] <= day and (not row["valid_to"] or day <= row["valid_to"])


UNITS = {
    row["unit"]: row
    for part in ("india", "chhattisgarh", "chhattisgarh-booths")
    for row in rows(f"{part}.units.csv")
}
BOOTHS: dict[str, list[str]] = defaultdict(list)
for unit_row in UNITS.values():
    if unit_row["level"] == "booth":
        BOOTHS[unit_row["unit"].partition("-B")[0]].append(unit_row["unit"])
PARENTS: dict[str, list[dict[str, str]]] = defaultdict(list)
for part in ("india", "chhattisgarh", "chhattisgarh-booths"):
    for parent_row in rows(f"{part}.parents.csv"):
        PARENTS[parent_row["unit"]].append(parent_row)


def open_units(level: str, day: str) -> list[str]:
    return [unit for unit, row in UNITS.items() if row["level"] == level and holds(row, day)]


def parent(unit: str, level: str, day: str) -> str:
    (found,) = [
        row["parent"]
        for row in PARENTS[unit]
        if UNITS[row["parent"]]["level"] == level and holds(row, day)
    ]
    return found


def booths(assembly: int) -> list[str]:
    return BOOTHS[f"CG-AC{assembly:03d}"]


def booths_by_district(assembly: int, day: str) -> dict[str, int]:
    return dict(
        Counter(parent(booth, "district", day).removeprefix("CG-D-") for booth in booths(assembly))
    )


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Reading raises if there is a single finding."""
    return registry_from_csv(
        {
            path.name: path.read_text(encoding="utf-8").splitlines()
            for path in reference.registry_files()
        }
    )


def test_the_committed_files_are_what_the_sources_give(tmp_path: Path) -> None:
    write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in REGISTRY.iterdir()
    }


def test_the_public_face_names_files_that_exist() -> None:
    parts = ("chhattisgarh", "chhattisgarh-booths", "india")
    assert [path.name for path in reference.registry_files()] == sorted(
        f"{part}.{kind}.csv" for part in parts for kind in ("parents", "units")
    )
    for path in (
        *reference.registry_files(),
        reference.metrics_file(),
        reference.plan_file(),
        reference.states_file(),
    ):
        assert path.is_file()


def test_the_error_for_an_unknown_plan_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no plan '1999'.*there are: 2022"):
        reference.plan_file("1999")


def test_the_registry_has_no_findings_and_nothing_more_than_its_files_say(
    registry: Registry,
) -> None:
    assert registry.units.keys() == UNITS.keys()


@pytest.mark.parametrize(
    ("level", "day", "count"),
    [
        ("national", JANUARY_2022, 1),
        ("state", JANUARY_2022, 36),
        ("division", JANUARY_2022, 5),
        ("district", "2020-02-09", 27),
        ("district", "2020-02-10", 28),
        ("district", JANUARY_2022, 28),
        ("district", "2022-09-01", 28),
        ("district", "2022-09-02", 29),
        ("district", "2022-09-03", 31),
        ("district", "2022-09-09", 33),
        ("district", SEPTEMBER_2022, 33),
        ("assembly", JANUARY_2022, 90),
        ("assembly", SEPTEMBER_2022, 90),
        ("booth", JANUARY_2022, 24_109),
        ("booth", SEPTEMBER_2022, 24_109),
    ],
)
def test_so_many_units_exist_on_a_day(level: str, day: str, count: int) -> None:
    assert len(open_units(level, day)) == count


@pytest.mark.parametrize(
    ("division", "in_january", "since_september"),
    [
        ("SGJ", "BLR JSH KOR SRG SRJ", "MCB"),
        ("BSP", "BIL GPM JNC KRB MUN RGH", "SBG SKT"),
        ("DRG", "BLD BMT DRG KBD RJN", "KCG MMC"),
        ("RPR", "BBZ DMT GBD MSM RPR", ""),
        ("BST", "BJP BST DNT KDG KNK NRP SKM", ""),
    ],
)
def test_each_division_has_its_districts(
    division: str, in_january: str, since_september: str
) -> None:
    def districts(day: str) -> set[str]:
        return {
            code.removeprefix("CG-D-")
            for code in open_units("district", day)
            if parent(code, "division", day) == f"CG-V-{division}"
        }

    assert districts(JANUARY_2022) == set(in_january.split())
    assert districts(SEPTEMBER_2022) == set(f"{in_january} {since_september}".split())


def test_every_booth_is_numbered_within_its_assembly_to_the_reported_count() -> None:
    for row in read_source("assemblies"):
        assembly = f"CG-AC{int(row['ac_no']):03d}"
        assert booths(int(row["ac_no"])) == [
            f"{assembly}-B{number:04d}" for number in range(1, int(row["booths"]) + 1)
        ]
        assert all(
            parent(booth, "assembly", JANUARY_2022) == assembly
            for booth in booths(int(row["ac_no"]))
        )


def test_narayanpurs_booths_lie_in_three_districts() -> None:
    assert (
        booths_by_district(84, JANUARY_2022)
        == booths_by_district(84, SEPTEMBER_2022)
        == {"NRP": 127, "KDG": 56, "BST": 82}
    )


@pytest.mark.parametrize(
    ("assembly", "day", "counts"),
    [
        (1, "2022-09-08", {"KOR": 310}),
        (1, "2022-09-09", {"MCB": 232, "KOR": 78}),
        (4, JANUARY_2022, {"SRJ": 281, "SRG": 12}),  # 0.958 and 0.040 of the area, 293 booths
        (6, JANUARY_2022, {"SRJ": 142, "BLR": 144}),
        (17, "2022-09-02", {"RGH": 342}),
        (17, "2022-09-03", {"SBG": 342}),
        (24, "2020-02-09", {"BIL": 242}),
        (24, "2020-02-10", {"GPM": 242}),
        (25, "2020-02-09", {"BIL": 227, "MUN": 8}),
        (
            25,
            "2020-02-10",
            {"BIL": 162, "GPM": 65, "MUN": 8},
        ),  # 0.689, 0.275 and 0.034 of the area, 235 booths
        (29, JANUARY_2022, {"BIL": 211, "MUN": 118}),
        (35, "2022-09-08", {"JNC": 223}),
        (35, "2022-09-09", {"SKT": 223}),
        (43, "2022-09-02", {"BBZ": 363}),
        (43, "2022-09-03", {"SBG": 234, "BBZ": 129}),
        (45, JANUARY_2022, {"BBZ": 196, "RPR": 110}),
        (68, JANUARY_2022, {"BMT": 185, "DRG": 99}),
        (69, JANUARY_2022, {"BMT": 257, "DRG": 22}),
        (74, "2022-09-02", {"RJN": 270}),
        (74, "2022-09-03", {"RJN": 173, "KCG": 97}),
        (77, "2022-09-01", {"RJN": 261}),
        (77, "2022-09-02", {"RJN": 192, "MMC": 69}),
        (78, "2022-09-01", {"RJN": 235}),
        (78, "2022-09-02", {"MMC": 235}),
        (87, JANUARY_2022, {"BST": 213, "SKM": 16}),
        (90, JANUARY_2022, {"SKM": 233}),
    ],
)
def test_a_constituencys_booths_lie_in_the_districts_of_the_day(
    assembly: int, day: str, counts: dict[str, int]
) -> None:
    assert booths_by_district(assembly, day) == counts


def test_bilaigarh_leaves_raipur_division_for_bilaspur_but_its_booths_in_baloda_bazar_stay(
    registry: Registry,
) -> None:
    def division(unit: str, day: str) -> str:
        (found,) = [
            span.ancestor
            for span in registry.ancestors(unit, day_of(date.fromisoformat(day)))
            if span.level == "division"
        ]
        return found

    assert division("CG-AC043", "2022-09-02") == "CG-V-RPR"
    assert division("CG-AC043", "2022-09-03") == "CG-V-BSP"
    assert Counter(division(booth, "2022-09-02") for booth in booths(43)) == {"CG-V-RPR": 363}
    assert Counter(division(booth, "2022-09-03") for booth in booths(43)) == {
        "CG-V-BSP": 234,
        "CG-V-RPR": 129,
    }


def test_ten_constituencies_moved_and_no_unit_moves_without_need() -> None:
    moved = {
        unit
        for unit, edges in PARENTS.items()
        if UNITS[unit]["level"] == "assembly" and len(edges) > 1
    }
    assert moved == {f"CG-AC{number:03d}" for number in (1, 2, 17, 24, 35, 36, 37, 43, 73, 78)}
    for edges in PARENTS.values():
        districts = [
            edge["parent"] for edge in edges if UNITS[edge["parent"]]["level"] == "district"
        ]
        assert len(districts) == len(set(districts)) <= 2


def test_a_district_takes_over_only_from_those_that_the_law_split() -> None:
    by_lgd = {row["lgd_code"]: f"CG-D-{row['short_code']}" for row in read_source("districts")}
    before = {
        f"CG-D-{row['short_code']}": {
            by_lgd[code] for code in row["predecessor_lgd"].split(";") if code
        }
        for row in read_source("districts")
    }
    moves = {
        (older["parent"], newer["parent"])
        for edges in PARENTS.values()
        for older in edges
        for newer in edges
        if older["valid_to"] and newer["valid_from"] and older["valid_to"] < newer["valid_from"]
    }
    assert len(moves) == 7  # six new districts, one of them from two
    assert all(older in before[newer] for older, newer in moves)
    assert all(UNITS[newer]["valid_from"] for _, newer in moves)


@pytest.mark.parametrize(
    ("booth", "name", "district"),
    [
        ("CG-AC001-B0139", "कांटो (139)", "KOR"),
        ("CG-AC001-B0143", "शेराडांड (143)", "KOR"),
        ("CG-AC001-B0302", "खोंगापानी 11 (302)", "MCB"),
        ("CG-AC043-B0021", "शास. प्राथमिक शाला गिधौरी (21)", "BBZ"),
        ("CG-AC068-B0192", "देवकर, स्वामी आत्मानंद स्कूल भवन, देवकर (192)", "BMT"),
    ],
)
def test_a_booth_known_from_the_press_has_its_name_and_its_district(
    booth: str, name: str, district: str
) -> None:
    assert UNITS[booth]["name_en"] == f"Booth {int(booth[-4:])}"
    assert UNITS[booth]["name_hi"] == name
    assert parent(booth, "district", SEPTEMBER_2022) == f"CG-D-{district}"


def test_every_unit_has_a_name_in_english_and_one_in_hindi() -> None:
    for row in UNITS.values():
        assert re.fullmatch(r"[A-Za-z0-9 -]+", row["name_en"]), row
        assert any("DEVANAGARI" in unicodedata.name(letter) for letter in row["name_hi"]), row
        assert not re.search(r"[A-Za-z]", row["name_hi"]), row
        assert unicodedata.is_normalized("NFC", row["name_hi"]), row
    assert UNITS["CG-AC084"]["name_hi"] == "नारायणपुर"
    assert UNITS["CG-AC084-B0017"]["name_hi"] == "मतदान केंद्र 17"
    assert (
        sum(
            not row["name_hi"].startswith("मतदान केंद्र")
            for row in UNITS.values()
            if row["level"] == "booth"
        )
        == len(read_source("booth_samples"))
        == 55
    )


def test_divisions_districts_and_assemblies_lie_in_chhattisgarh_on_the_map() -> None:
    placed = [
        row for row in UNITS.values() if row["level"] in {"division", "district", "assembly"}
    ] + [UNITS["CG"]]
    assert len(placed) == 5 + 33 + 90 + 1
    for row in placed:
        assert 17.7 < float(row["lat"]) < 24.2, row
        assert 80.2 < float(row["lon"]) < 84.5, row
    assert not any(row["lat"] or row["lon"] for row in UNITS.values() if row["level"] == "booth")


def test_the_plan_of_2022_is_the_programme_as_it_was_ordered() -> None:
    plan = Plan.from_toml(reference.plan_file().read_text(encoding="utf-8"))
    assert plan.state == "CG"
    assert {
        milestone.milestone: (milestone.level, milestone.deadline.isoformat())
        for milestone in plan.milestones
    } == {
        "state_appointed": ("state", "2022-02-28"),
        "state_trained": ("state", "2022-03-15"),
        "district_appointed": ("district", "2022-03-31"),
        "district_trained": ("district", "2022-04-15"),
        "assembly_appointed": ("assembly", "2022-04-30"),
        "assembly_trained": ("assembly", "2022-05-15"),
        "booth_appointed": ("booth", "2022-05-31"),
        "booth_trained": ("booth", "2022-06-15"),
        "booth_groups": ("booth", "2022-06-30"),
    }
    needs = {
        milestone.milestone: [(need.kind, need.where, need.names_unit) for need in milestone.needs]
        for milestone in plan.milestones
    }
    assert needs.pop("state_appointed") == [
        ("incharge_appointed", {"role": ["head"]}, False),
        ("committee_formed", {}, False),
    ]
    groups = [
        ("messaging_group", {"group_type": [kind]}, False) for kind in ("whatsapp", "broadcast")
    ]
    assert needs.pop("booth_groups") == groups
    for milestone, conditions in needs.items():
        trained = [("training_held", {"programme": ["incharge"]}, True)]
        assert conditions == (
            trained
            if milestone.endswith("_trained")
            else [("incharge_appointed", {"role": ["incharge", "head"]}, False)]
        )


def test_no_milestone_waits_for_one_with_a_later_deadline() -> None:
    plan = Plan.from_toml(reference.plan_file().read_text(encoding="utf-8"))
    deadlines = {milestone.milestone: milestone.deadline for milestone in plan.milestones}
    waits = [
        (name, milestone.milestone)
        for milestone in plan.milestones
        for name in milestone.prerequisites
    ]
    assert len(waits) >= 8  # every milestone but the first
    assert all(deadlines[earlier] < deadlines[later] for earlier, later in waits)


def test_the_sources_name_every_source_file() -> None:
    text = (Path(reference.__file__).parent / "SOURCES.md").read_text(encoding="utf-8")
    for path in (REGISTRY.parent / "sources").iterdir():
        assert f"**{path.name}**" in text
