"""Build the default registry from the collected sources.

`python -m reference.build` rewrites `reference/registry/*.csv`.

`reference/SOURCES.md` describes the sources and how reliable they are. Units, districts, divisions
and their dated moves are real. Booths are generated: each constituency has as many as reported, in
the districts in which they are reported to lie. The district of a booth number is known for a few
(`booth_districts.csv`); the other numbers are assigned in blocks, the nominal district first.
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
# The history of the constituencies begins with the map of 27 districts. Edges of that day are
# assumed to have held before.
FIRST_MAP_DAY = "2012-01-01"
# A part of a constituency below this share of its area is an artefact of the maps, unless booths
# are reported in it.
MIN_AREA_SHARE = 0.03

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
    """Build the registry in three parts: `india`, `chhattisgarh`, `chhattisgarh-booths`."""
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


def read_source(name: str) -> list[Row]:
    """Read the rows of a source."""
    with (SOURCES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def district_code(row: Row) -> str:
    """The unit code of a row of `districts.csv`."""
    return f"{STATE}-D-{row['short_code']}"


def assembly_code(row: Row) -> str:
    """The unit code of a row that has an `ac_no`."""
    return f"{STATE}-AC{int(row['ac_no']):03}"


def _india() -> Part:
    states = read_source("states")
    centroid = _centroids()["state"][STATE]
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
                *(centroid if code == STATE else ("", "")),
            )
        )
    return units, [Parent(unit.unit, "IN") for unit in units[1:]]


def _chhattisgarh() -> Part:
    centroids = _centroids()
    units, parents = [], []
    for row in read_source("divisions"):
        code = f"{STATE}-V-{row['code']}"
        units.append(
            Unit(
                code,
                "division",
                row["name_en"],
                row["name_hi"],
                "",
                "",
                *centroids["division"][row["code"]],
            )
        )
        parents.append(Parent(code, STATE))
    for row in read_source("districts"):
        first_day = _first_day(row)
        units.append(
            Unit(
                district_code(row),
                "district",
                row["name_en"],
                row["name_hi"],
                first_day,
                "",
                row["lat"],
                row["lon"],
            )
        )
        parents.append(Parent(district_code(row), f"{STATE}-V-{row['division_code']}", first_day))
    districts = {row["lgd_code"]: district_code(row) for row in read_source("districts")}
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
        for row in read_source("assemblies")
    ]
    parents += [
        Parent(
            assembly_code(row),
            districts[row["district_lgd"]],
            _open(row["valid_from"]),
            row["valid_to"],
        )
        for row in read_source("assembly_district_history")
    ]
    return units, parents


def _booths() -> Part:
    districts = {row["lgd_code"]: row for row in read_source("districts")}
    history, overlaps = defaultdict(list), defaultdict(list)
    for row in read_source("assembly_district_history"):
        history[row["ac_no"]].append(row)
    for row in read_source("ac_district_overlap"):
        overlaps[row["ac_no"]].append(row)
    names = {
        (row["ac_no"], int(row["booth_no"])): row["name_hi"] for row in read_source("booth_samples")
    }
    located: dict[str, dict[int, str]] = defaultdict(dict)
    for row in read_source("booth_districts"):
        located[row["ac_no"]][int(row["booth_no"])] = row["district_lgd"]
    units, parents = [], []
    for assembly in read_source("assemblies"):
        shares = _shares(assembly, overlaps[assembly["ac_no"]])
        edges = {lgd: list(_edges(districts, history[assembly["ac_no"]], lgd)) for lgd in shares}
        for number, lgd in enumerate(
            _assign_districts(shares, located[assembly["ac_no"]]), start=1
        ):
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


def _assign_districts(shares: dict[str, int], located: dict[int, str]) -> Iterator[str]:
    """Assign a district to booth 1, 2 and so on: the known one, else block by block.

    Every district gets as many booths as `shares` says.
    """
    known = list(located.values())
    blocks = iter([lgd for lgd, count in shares.items() for _ in range(count - known.count(lgd))])
    for number in range(1, sum(shares.values()) + 1):
        yield located[number] if number in located else next(blocks)


def _shares(assembly: Row, overlaps: list[Row]) -> dict[str, int]:
    """Count the booths of a constituency in each present district (by LGD code).

    The nominal district comes first. Reported counts take precedence over shares of the area.
    """
    total = int(assembly["booths"])
    named = assembly["spans_districts"].split(";")
    others: dict[str, int] = {}
    for row in overlaps:
        if row["is_nominal"] == "1":
            continue
        share = float(row["area_share_approx"])
        if row["booths_reported"]:
            others[row["district_lgd_2023"]] = int(row["booths_reported"])
        elif share >= MIN_AREA_SHARE or row["district_lgd_2023"] in named:
            others[row["district_lgd_2023"]] = round(share * total)
    return {assembly["district_lgd_2023"]: total - sum(others.values()), **others}


def _edges(
    districts: dict[str, Row], history: list[Row], today: str
) -> Iterator[tuple[str, str, str]]:
    """Derive the dated districts of a booth that now lies in district `today`.

    A district that existed before the constituency moved kept its booths. A district that was
    created later took them from the district of the constituency's other booths.

    Yields:
        Unit code, first day and last day (ISO dates, empty if open).
    """
    began = _first_day(districts[today])
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


def _first_day(district: Row) -> str:
    return district["effective_from"] if district["effective_from"] > FIRST_MAP_DAY else ""


def _open(day: str) -> str:
    return "" if day == FIRST_MAP_DAY else day


def _day_before(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()


def _centroids() -> dict[str, dict[str, tuple[str, str]]]:
    centroids: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    for row in read_source("centroids"):
        centroids[row["level"]][STATE if row["level"] == "state" else row["code"]] = (
            row["lat"],
            row["lon"],
        )
    return centroids


if __name__ == "__main__":
    write()
