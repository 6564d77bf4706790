"""The generated registry of India has the size that is promised and the shapes that are hard."""

import csv
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import reference
from reference.national import apportion, booths_by_state, generate
from schemas.registry_readers import registry_from_csv

WITHOUT_ASSEMBLIES = {"AN", "CH", "DH", "LA", "LD"}


@pytest.fixture(scope="module")
def calls() -> list[tuple[int, int]]:
    return []


@pytest.fixture(scope="module")
def india(tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, int]]) -> Path:
    """Generated once for all tests: some seconds."""
    directory = tmp_path_factory.mktemp("india")
    generate(directory, progress=lambda done, total: calls.append((done, total)))
    return directory


def rows(directory: Path, ending: str) -> Iterator[dict[str, str]]:
    for path in sorted(directory.glob(f"*.{ending}.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


def states() -> dict[str, dict[str, str]]:
    with reference.states_file().open(encoding="utf-8", newline="") as file:
        return {row["iso_code"].removeprefix("IN-"): row for row in csv.DictReader(file)}


def test_india_has_its_size_and_every_state_its_share(india: Path) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    seen: set[str] = set()
    for row in rows(india, "units"):
        counts[row["level"], row["unit"][:2]] += 1
        seen.add(row["unit"])
    assert len(seen) == counts.total()
    totals: Counter[str] = Counter()
    for (level, _), count in counts.items():
        totals[level] += count
    assert {level: totals[level] for level in ("national", "state", "assembly", "booth")} == {
        "national": 1,
        "state": 36,
        "assembly": 4_123,
        "booth": 1_052_664,
    }
    assert 700 < totals["district"] < 900
    booths = booths_by_state()
    for code, row in states().items():
        assert counts["assembly", code] == int(row["assembly_constituencies"])
        assert counts["booth", code] == booths[code]
        assert counts["district", code] >= 1
        if code in WITHOUT_ASSEMBLIES:
            assert booths[code] == 0
        else:
            assert booths[code] == pytest.approx(int(row["polling_stations_est"]), rel=0.006, abs=1)
    assert booths["CG"] == 24_109
    assert not counts["division", "GA"]
    assert counts["division", "UP"] == 14  # 81 districts, six a division


def test_chhattisgarh_is_the_real_one(india: Path) -> None:
    for path in reference.registry_files():
        assert (india / path.name).read_bytes() == path.read_bytes()


def test_booths_cross_districts_and_move_on_dates(india: Path) -> None:
    now: dict[str, set[str]] = defaultdict(set)
    movers: Counter[str] = Counter()
    for row in rows(india, "parents"):
        if len(row["unit"]) == len("UP-AC001-B0001") and "-D-" in row["parent"]:
            if row["valid_from"]:
                movers[row["unit"][:2]] += 1
            if not row["valid_to"]:
                now[row["unit"][:8]].add(row["parent"])
    crossing = sum(len(districts) > 1 for districts in now.values())
    assert 400 < crossing < 900
    assert (
        movers["CG"] == 242 + 65 + 232 + 156 + 342 + 223 + 243 + 259 + 234 + 283 + 97 + 69 + 235
    )  # of ACs 24, 25; 1, 2, 17, 35, 36, 37, 43, 73, 74, 77, 78
    assert movers.total() > 50_000
    assert len(movers) > 15


def test_a_generated_part_has_no_findings(india: Path) -> None:
    """Large states with divisions and moves, small ones without, one without an assembly.

    All of India takes a minute.
    """
    wanted = ("unit", "IN", "JH", "HP", "GA", "AN", "SK")
    files = {}
    for path in (
        india / "generated.units.csv",
        india / "generated.parents.csv",
        india / "india.units.csv",
        india / "india.parents.csv",
    ):
        with path.open(encoding="utf-8") as lines:
            files[path.name] = [line for line in lines if line.startswith(wanted)]
    registry = registry_from_csv(files)
    booths = booths_by_state()
    assert sum(unit.level == "booth" for unit in registry.units.values()) == sum(
        booths[code] for code in wanted[2:]
    )
    moved = [
        unit
        for unit in registry.units.values()
        if unit.level == "assembly" and len(unit.parents) > 1
    ]
    assert moved
    divisions = [
        {span.ancestor for span in registry.spans(unit.code) if span.level == "division"}
        for unit in registry.units.values()
        if unit.code[:5] == "JH-AC"
    ]
    assert all(divisions)


def test_progress_ends_at_the_whole(india: Path, calls: list[tuple[int, int]]) -> None:
    assert india.is_dir()
    assert calls == sorted(calls)
    assert calls[-1] == (1_052_664, 1_052_664)


def test_the_command_writes_the_same_bytes_again_and_shows_every_states_booths(
    india: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reference.national", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    for name in ("generated.units.csv", "generated.parents.csv"):
        assert (tmp_path / name).read_bytes() == (india / name).read_bytes()
    assert done.stderr.endswith("1,052,664 of 1,052,664 booths\n")
    *shown, last = done.stdout.splitlines()[1:]
    assert [(line.split()[0], int(line.split()[-1])) for line in shown] == list(
        booths_by_state().items()
    )
    assert last.split() == ["all", "4123", "1052664", "1052664"]


def test_another_seed_gives_another_india_of_the_same_size(india: Path, tmp_path: Path) -> None:
    assert generate(tmp_path, seed=2) == booths_by_state()
    assert (tmp_path / "generated.units.csv").read_bytes() != (
        india / "generated.units.csv"
    ).read_bytes()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        generate(tmp_path / "file")


@pytest.mark.parametrize(
    ("total", "shares", "counts"),
    [
        (10, [1, 1, 1], [4, 3, 3]),
        (235, [0.689, 0.275, 0.034], [162, 65, 8]),
        (0, [2, 1], [0, 0]),
        (7, [1], [7]),
        (3, [0, 5], [0, 3]),
    ],
)
def test_booths_are_shared_out_by_the_largest_remainder(
    total: int, shares: list[float], counts: list[int]
) -> None:
    assert apportion(total, shares) == counts
