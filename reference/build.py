"""Make the default registry from the collected sources: `python -m reference.build` writes `reference/registry/*.csv` anew.

The sources and how far they can be trusted stand in `reference/SOURCES.md`. Units, districts, divisions and their dated moves are real. Booths are generated: per
constituency as many as reported, in the districts in which they are reported to lie. Which booth number lies in which district is known for a few
(`booth_districts.csv`); the other numbers are given out in blocks, the nominal district first.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
SOURCES = HERE / "sources"
REGISTRY = HERE / "registry"

STATE = "CG"
MAP_BEGINS = "2012-01-01"
"""The history of the constituencies begins with the map of 27 districts; what held then is taken to have held before."""
LEAST_SHARE = 0.03
"""A part of a constituency below this share of its area is an artefact of the maps, unless booths are reported in it."""

Row = dict[str, str]


class Unit(NamedTuple):
    """A row of `….units.csv`."""

    unit: str
    level: str
    name_en: str
    name_hi: str
    valid_from: str = ""
    valid_to: str = ""
    lat: str = ""
    lon: str = ""


class Parent(NamedTuple):
    """A row of `….parents.csv`."""

    unit: str
    parent: str
    valid_from: str = ""
    valid_to: str = ""


Part = tuple[list[Unit], list[Parent]]


def build() -> dict[str, Part]:
    """The registry, in three parts by name: `india`, `chhattisgarh`, `chhattisgarh-booths`."""
    return {"india": _india(), "chhattisgarh": _chhattisgarh(), "chhattisgarh-booths": _booths()}


def write(folder: Path = REGISTRY) -> None:
    """Write every part as two CSV files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (units, parents) in build().items():
        write_part(folder, name, units, parents)


def write_part(folder: Path, name: str, units: Iterable[Unit], parents: Iterable[Parent]) -> None:
    """Write one part: `<name>.units.csv` and `<name>.parents.csv`."""
    for suffix, header, rows in (
        ("units", Unit._fields, units),
        ("parents", Parent._fields, parents),
    ):
        with (folder / f"{name}.{suffix}.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)


def source(name: str) -> list[Row]:
    """The rows of a source."""
    with (SOURCES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def district_code(row: Row) -> str:
    """The unit code of a row of `districts.csv`."""
    return f"{STATE}-D-{row['short_code']}"


def assembly_code(row: Row) -> str:
    """The unit code of a row that has an `ac_no`."""
    return f"{STATE}-AC{int(row['ac_no']):03}"


def _india() -> Part:
    states = source("states")
    place = _places()["state"][STATE]
    units = [Unit("IN", "national", "India", "भारत")]
    for row in states:
        code = row["iso_code"].removeprefix("IN-")
        units.append(
            Unit(
                code,
                "state",
                row["name_en"],
                row["name_hi"],
                "",
                "",
                *(place if code == STATE else ("", "")),
            )
        )
    return units, [Parent(unit.unit, "IN") for unit in units[1:]]


def _chhattisgarh() -> Part:
    places = _places()
    units, parents = [], []
    for row in source("divisions"):
        code = f"{STATE}-V-{row['code']}"
        units.append(
            Unit(
                code,
                "division",
                row["name_en"],
                row["name_hi"],
                "",
                "",
                *places["division"][row["code"]],
            )
        )
        parents.append(Parent(code, STATE))
    for row in source("districts"):
        begins = _begins(row)
        units.append(
            Unit(
                district_code(row),
                "district",
                row["name_en"],
                row["name_hi"],
                begins,
                "",
                row["lat"],
                row["lon"],
            )
        )
        parents.append(Parent(district_code(row), f"{STATE}-V-{row['division_code']}", begins))
    districts = {row["lgd_code"]: district_code(row) for row in source("districts")}
    units += [
        Unit(
            assembly_code(row),
            "assembly",
            row["name_en"],
            row["name_hi"],
            "",
            "",
            row["lat"],
            row["lon"],
        )
        for row in source("assemblies")
    ]
    parents += [
        Parent(
            assembly_code(row),
            districts[row["district_lgd"]],
            _open(row["valid_from"]),
            row["valid_to"],
        )
        for row in source("assembly_district_history")
    ]
    return units, parents


def _booths() -> Part:
    districts = {row["lgd_code"]: row for row in source("districts")}
    history, overlaps = defaultdict(list), defaultdict(list)
    for row in source("assembly_district_history"):
        history[row["ac_no"]].append(row)
    for row in source("ac_district_overlap"):
        overlaps[row["ac_no"]].append(row)
    names = {
        (row["ac_no"], int(row["booth_no"])): row["name_hi"] for row in source("booth_samples")
    }
    located: dict[str, dict[int, str]] = defaultdict(dict)
    for row in source("booth_districts"):
        located[row["ac_no"]][int(row["booth_no"])] = row["district_lgd"]
    units, parents = [], []
    for assembly in source("assemblies"):
        shares = _shares(assembly, overlaps[assembly["ac_no"]])
        edges = {lgd: list(_edges(districts, history[assembly["ac_no"]], lgd)) for lgd in shares}
        for number, lgd in enumerate(_numbered(shares, located[assembly["ac_no"]]), start=1):
            code = f"{assembly_code(assembly)}-B{number:04}"
            known = names.get((assembly["ac_no"], number))
            units.append(
                Unit(
                    code,
                    "booth",
                    f"Booth {number}",
                    f"{known} ({number})" if known else f"मतदान केंद्र {number}",
                )
            )
            parents.append(Parent(code, assembly_code(assembly)))
            parents += [Parent(code, district, first, last) for district, first, last in edges[lgd]]
    return units, parents


def _numbered(shares: dict[str, int], located: dict[int, str]) -> Iterator[str]:
    """The district of booth 1, 2, …: where it is known to lie, else block by block. Every district keeps its count."""
    taken = list(located.values())
    blocks = iter([lgd for lgd, count in shares.items() for _ in range(count - taken.count(lgd))])
    for number in range(1, sum(shares.values()) + 1):
        yield located[number] if number in located else next(blocks)


def _shares(assembly: Row, overlaps: list[Row]) -> dict[str, int]:
    """How many booths of a constituency lie in which district of today (LGD code), the nominal district first; reported counts before shares of the area."""
    total = int(assembly["booths"])
    named = assembly["spans_districts"].split(";")
    others: dict[str, int] = {}
    for row in overlaps:
        if row["is_nominal"] == "1":
            continue
        share = float(row["area_share_approx"])
        if row["booths_reported"]:
            others[row["district_lgd_2023"]] = int(row["booths_reported"])
        elif share >= LEAST_SHARE or row["district_lgd_2023"] in named:
            others[row["district_lgd_2023"]] = round(share * total)
    return {assembly["district_lgd_2023"]: total - sum(others.values()), **others}


def _edges(
    districts: dict[str, Row], history: list[Row], today: str
) -> Iterator[tuple[str, str, str]]:
    """The districts of a booth that lies in district `today` now: (unit code, first day, last day), from the constituency's moves and the day the district began.

    A district that stood before the constituency moved kept its booths. One that began later took them from where the constituency's other booths were.
    """
    began = _begins(districts[today])
    if not began:
        yield district_code(districts[today]), "", ""
        return
    for row in history:
        first, last = _open(row["valid_from"]), row["valid_to"]
        if first >= began:
            break
        last = min(last or "9999", _day_before(began))
        yield district_code(districts[row["district_lgd"]]), first, last
    yield district_code(districts[today]), began, ""


def _begins(district: Row) -> str:
    return district["effective_from"] if district["effective_from"] > MAP_BEGINS else ""


def _open(day: str) -> str:
    return "" if day == MAP_BEGINS else day


def _day_before(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()


def _places() -> dict[str, dict[str, tuple[str, str]]]:
    places: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    for row in source("centroids"):
        places[row["level"]][STATE if row["level"] == "state" else row["code"]] = (
            row["lat"],
            row["lon"],
        )
    return places


if __name__ == "__main__":
    write()
