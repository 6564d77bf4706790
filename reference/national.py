"""Generate a registry of India's size for scale tests: `python -m reference.national DIR`.

The 36 states and territories, their numbers of assemblies, and all of Chhattisgarh are real; the
rest is generated. The registry has the shapes that make a real one hard: divisions in the larger
states only, assemblies that reach into a neighbouring district, districts that are split off on a
date with all units in them, some of them into another division.

There are exactly 1,052,664 booths, the sum of `polling_stations_est` over all states
(`SOURCES.md`). Five territories have no legislative assembly, so they have no assembly code and no
booths here, and one district each. Their 2,118 booths, and the excess of Chhattisgarh's estimate
over its 24,109 main stations, are spread over the 30 other states in proportion to their estimates:
a scale test needs the national total, and the states' figures are estimates anyway. Running the
module prints both.
"""

import argparse
import csv
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

import reference
from reference.build import STATE, Parent, Part, Row, Unit, read_source

ASSEMBLIES_PER_DISTRICT = 5
DISTRICTS_PER_DIVISION = 6
# A state with fewer districts has no divisions.
MIN_DISTRICTS_FOR_DIVISIONS = 12
# Share of the districts that are split off from the one before them, on one of `SPLIT_DAYS` days
# from `FIRST_SPLIT_DAY`. In Chhattisgarh it was 5 of 33 in 2022.
SPLIT_SHARE = 0.12
FIRST_SPLIT_DAY, SPLIT_DAYS = date(2022, 1, 1), 730
# Share of the assemblies that reach into a neighbouring district, as in Chhattisgarh
# (`ac_district_overlap.csv`: 16 of 90), and the range of the share of their booths there.
CROSSING_SHARE = 1 / 6
CROSSING_BOOTHS = (0.05, 0.5)
# An assembly has up to this share more or fewer booths than the average of its state.
BOOTHS_VARIATION = 0.25

Progress = Callable[[int, int], None]


def apportion(total: int, shares: Sequence[float]) -> list[int]:
    """Split a total into integers in proportion to shares.

    This is the largest remainder method (Hamilton's). Of equal remainders the earlier one wins.

    Args:
        total: 0 or more.
        shares: at least one, none negative, not all 0; they need not add up to 1.

    Returns:
        One count for each share.
    """
    whole = sum(shares)
    exact = [total * share / whole for share in shares]
    counts = [int(count) for count in exact]
    by_remainder = sorted(range(len(shares)), key=lambda index: counts[index] - exact[index])
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    return counts


def booths_by_state() -> dict[str, int]:
    """Booths in the registry by state code. Their sum is that of `polling_stations_est`."""
    states = read_source("states")
    chhattisgarh = sum(int(row["booths"]) for row in read_source("assemblies"))
    scaled = [row for row in states if int(row["assembly_constituencies"]) and _code(row) != STATE]
    national = sum(int(row["polling_stations_est"]) for row in states)
    counts = apportion(
        national - chhattisgarh, [int(row["polling_stations_est"]) for row in scaled]
    )
    found = {_code(row): count for row, count in zip(scaled, counts, strict=True)}
    return {
        _code(row): found.get(_code(row), chhattisgarh if _code(row) == STATE else 0)
        for row in states
    }


def generate(directory: Path, *, seed: int = 1, progress: Progress | None = None) -> dict[str, int]:
    """Write the registry: the default files, and generated ones for the other states.

    The generated files are `generated.units.csv` and `generated.parents.csv`.

    Args:
        directory: created if it does not exist; files with the same names are replaced. The files
            have about 140 MB.
        seed: the same seed always gives the same bytes.
        progress: called after each state with the booths written so far and the total.

    Returns:
        `booths_by_state()`.

    Raises:
        OSError: the directory cannot be created or written.
    """
    booths = booths_by_state()
    done, total = booths[STATE], sum(booths.values())
    directory.mkdir(parents=True, exist_ok=True)
    for path in reference.registry_files():
        shutil.copyfile(path, directory / path.name)
    units_path, parents_path = (
        directory / "generated.units.csv",
        directory / "generated.parents.csv",
    )
    with (
        units_path.open("w", encoding="utf-8", newline="") as units_file,
        parents_path.open("w", encoding="utf-8", newline="") as parents_file,
    ):
        units, parents = (
            csv.writer(units_file, lineterminator="\n"),
            csv.writer(parents_file, lineterminator="\n"),
        )
        units.writerow(Unit._fields)
        parents.writerow(Parent._fields)
        for row in read_source("states"):
            if _code(row) == STATE:
                continue
            state = _State(row, booths[_code(row)], Random(f"{seed} {_code(row)}"))
            for some_units, some_parents in state.parts():
                units.writerows(some_units)
                parents.writerows(some_parents)
            done += state.booths
            if progress is not None:
                progress(done, total)
    return booths


def _code(row: Row) -> str:
    """The unit code of a row of `states.csv`."""
    return row["iso_code"].removeprefix("IN-")


class _Period(NamedTuple):
    """Days in one district: ISO dates, both inclusive; an empty one is open."""

    district: str
    first: str = ""
    last: str = ""


class _District(NamedTuple):
    code: str
    start: str
    periods: tuple[_Period, ...]
    """The districts, over time, of the units that are in this district today: before it existed,
    the district from which it was split off."""


class _State:
    """A generated state."""

    def __init__(self, row: Row, booths: int, rng: Random) -> None:
        self.code, self.name_en, self.name_hi = _code(row), row["name_en"], row["name_hi"]
        self.booths = booths
        self._rng = rng
        self._assemblies = int(row["assembly_constituencies"])
        self._districts = list(
            self._draw_districts(max(1, round(self._assemblies / ASSEMBLIES_PER_DISTRICT)))
        )

    def parts(self) -> Iterator[Part]:
        """Generate units and parents in parts.

        The first part has divisions and districts, each further one an assembly with its booths.
        """
        yield self._generate_districts()
        if not self._assemblies:
            return
        shares = [
            self._rng.uniform(1 - BOOTHS_VARIATION, 1 + BOOTHS_VARIATION)
            for _ in range(self._assemblies)
        ]
        for position, booths in enumerate(apportion(self.booths, shares)):
            yield self._generate_assembly(position, booths)

    def _draw_districts(self, count: int) -> Iterator[_District]:
        """Draw districts. Only every second one may be split off, from the one before it."""
        before = ""
        for number in range(1, count + 1):
            code, start = f"{self.code}-D-{number:03d}", ""
            if number % 2 == 0 and self._rng.random() < 2 * SPLIT_SHARE:
                day = FIRST_SPLIT_DAY + timedelta(days=self._rng.randrange(SPLIT_DAYS))
                start = day.isoformat()
                yield _District(
                    code,
                    start,
                    (
                        _Period(before, "", (day - timedelta(days=1)).isoformat()),
                        _Period(code, start),
                    ),
                )
            else:
                yield _District(code, start, (_Period(code),))
            before = code

    def _generate_districts(self) -> Part:
        units: list[Unit] = []
        parents: list[Parent] = []
        divided = len(self._districts) >= MIN_DISTRICTS_FOR_DIVISIONS
        if divided:
            for number in range(1, (len(self._districts) - 1) // DISTRICTS_PER_DIVISION + 2):
                code = self._division(number)
                units.append(
                    Unit(
                        code,
                        "division",
                        f"{self.name_en} division {number}",
                        f"{self.name_hi} संभाग {number}",
                    )
                )
                parents.append(Parent(code, self.code))
        for position, district in enumerate(self._districts):
            units.append(
                Unit(
                    district.code,
                    "district",
                    f"{self.name_en} district {position + 1}",
                    f"{self.name_hi} ज़िला {position + 1}",
                    district.start,
                )
            )
            parents.append(
                Parent(
                    district.code,
                    self._division(position // DISTRICTS_PER_DIVISION + 1)
                    if divided
                    else self.code,
                    district.start,
                )
            )
        return units, parents

    def _division(self, number: int) -> str:
        return f"{self.code}-V-{number:02d}"

    def _generate_assembly(self, position: int, booths: int) -> Part:
        """Generate an assembly with its booths.

        If it reaches into a neighbouring district, its last booths are there.
        """
        number = position + 1
        assembly = f"{self.code}-AC{number:03d}"
        at = position * len(self._districts) // self._assemblies
        home = self._districts[at]
        at_home, neighbour = booths, home
        if len(self._districts) > 1 and self._rng.random() < CROSSING_SHARE:
            neighbour = self._districts[
                at - 1
                if at + 1 == len(self._districts) or (at and self._rng.random() < 1 / 2)
                else at + 1
            ]
            at_home -= round(booths * self._rng.uniform(*CROSSING_BOOTHS))
        units = [
            Unit(
                assembly,
                "assembly",
                f"{self.name_en} constituency {number}",
                f"{self.name_hi} विधानसभा क्षेत्र {number}",
            )
        ]
        parents = [Parent(assembly, *period) for period in home.periods]
        for booth in range(1, booths + 1):
            code = f"{assembly}-B{booth:04}"
            units.append(Unit(code, "booth", f"Booth {booth}", f"मतदान केंद्र {booth}"))
            parents.append(Parent(code, assembly))
            parents += [
                Parent(code, *period)
                for period in (home if booth <= at_home else neighbour).periods
            ]
        return units, parents


def main() -> int:
    """Generate the registry, and print the booths of each state beside its estimate."""
    parser = argparse.ArgumentParser(
        prog="python -m reference.national",
        description="Write a registry of India's size for scale tests.",
    )
    parser.add_argument(
        "directory", type=Path, help="directory for the files; created if it does not exist"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="another seed gives other districts, moves and booth counts (default: 1)",
    )
    arguments = parser.parse_args()
    try:
        booths = generate(arguments.directory, seed=arguments.seed, progress=_print_progress)
    except OSError as error:
        sys.stderr.write(f"cannot write the registry to {arguments.directory}: {error}\n")
        return 2
    sys.stderr.write("\n")
    line = "{:<42}{:>11}{:>11}{:>11}\n".format
    sys.stdout.write(line("state", "assemblies", "estimate", "generated"))
    assemblies, estimate = 0, 0
    for row in read_source("states"):
        assemblies += int(row["assembly_constituencies"])
        estimate += int(row["polling_stations_est"])
        code = _code(row)
        sys.stdout.write(
            line(
                f"{code} {row['name_en']}",
                row["assembly_constituencies"],
                row["polling_stations_est"],
                booths[code],
            )
        )
    sys.stdout.write(line("all", assemblies, estimate, sum(booths.values())))
    return 0


def _print_progress(done: int, total: int) -> None:
    sys.stderr.write(f"\r{done:,} of {total:,} booths")


if __name__ == "__main__":
    sys.exit(main())
