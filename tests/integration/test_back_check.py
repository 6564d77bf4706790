"""Back-checks: nobody can choose who is sampled, and outcomes change the figures."""

import csv
import hashlib
import json
import re
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.main import app
from pravah.producer import EventProducer
from schemas.back_check import COLUMNS, SheetError, outcomes_from_csv, wilson_interval
from tests.support import small_world
from tests.support.deployment import Deployment
from tests.support.folding import fold


def membership(number: int, unit: str, day: int = 5, version: int = 1, **changes: object) -> dict:
    return {
        "event_id": f"00000000-0000-4000-8{version:03d}-{number:012d}",
        "entity": f"form:{number}",
        "version": version,
        "unit": unit,
        "kind": "membership",
        "occurred_at": f"{small_world.on(day)}T10:00:00+05:30",
        "source": {"tool": "test", "producer": "back-check"},
        "data": {"mode": "manual", "count": 10},
        **changes,
    }


BOOTHS = ("CG-AC001-B0001", "CG-AC001-B0003", "CG-AC002-B0005")
EVENTS = [
    *(membership(number, BOOTHS[number % 2]) for number in range(60)),
    membership(0, BOOTHS[0], version=2, op="retract"),
    membership(1, BOOTHS[1], version=2, verification="verified"),
    membership(2, BOOTHS[0], version=2, verification="rejected"),
    membership(3, BOOTHS[1], version=2, day=50),
    membership(4, BOOTHS[0], version=3, data={"mode": "manual", "count": 11}),
    {
        **membership(5, BOOTHS[1], version=2),
        "kind": "social_post",
        "data": {"platform": "facebook", "posts": 1},
    },
    membership(99, BOOTHS[2], day=30),
]
GONE = {0, 1, 2, 3, 5}


def place(seed: str, entity: str) -> str:
    return hashlib.sha256(f"{seed}\nCG-AC001\n{entity}".encode()).hexdigest()


def drawn(deployment: Deployment, to: Path, *more: str) -> list[dict]:
    arguments = [
        "backcheck",
        "draw",
        to.stem,
        "--sheet",
        str(to),
        "--from",
        small_world.on(0),
        "--to",
        small_world.on(20),
        "--unit",
        "CG",
        *more,
    ]
    done = CliRunner(env=deployment.environment()).invoke(app, arguments)
    assert done.exit_code == 0, done.output
    with to.with_name(f"{to.stem}.keys.csv").open(encoding="utf-8") as keys:
        return list(csv.DictReader(keys))


def filled_in(sheet: Path, found: list[str]) -> list[dict]:
    """The lines of a sheet with what was found."""
    with sheet.open(encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    return [{**line, FOUND: one} for line, one in zip(lines, found, strict=True)]


FOUND = "सही मिला? (हाँ/नहीं) / found? (yes/no)"


def test_a_sample_follows_from_its_seed_and_leaves_out_what_does_not_count(
    deployment: Deployment, tmp_path: Path
) -> None:
    fold(deployment.settings.clickhouse, small_world.registry(), EVENTS)
    population = [f"form:{number}" for number in range(60) if number not in GONE]
    sheet = drawn(deployment, tmp_path / "june.csv", "--size", "12", "--seed", "letter 17")
    assert {line["entity"] for line in sheet} == set(
        sorted(population, key=lambda entity: place("letter 17", entity))[:12]
    )
    assert {
        line["entity"]: line["version"]
        for line in drawn(deployment, tmp_path / "all.csv", "--size", "500")
    }["form:4"] == "3"
    again = drawn(deployment, tmp_path / "again.csv", "--size", "12", "--seed", "letter 17")
    assert again == sheet
    districts = defaultdict(list)
    for line in drawn(
        deployment, tmp_path / "each.csv", "--size", "4", "--each", "district", "--seed", "s"
    ):
        districts[line["unit"]].append(line["entity"])
    assert {unit: len(entities) for unit, entities in districts.items()} == {
        BOOTHS[0]: 4,
        BOOTHS[1]: 4,
    }, "booths 1 and 3 stand in two districts"
    for unit, entities in districts.items():
        own = [
            f"form:{number}"
            for number in range(60)
            if number not in GONE and BOOTHS[number % 2] == unit
        ]
        assert set(entities) == set(sorted(own, key=lambda entity: place("s", entity))[:4])
    run = CliRunner(env=deployment.environment())
    there = [
        "backcheck",
        "draw",
        "july",
        "--sheet",
        str(tmp_path / "june.csv"),
        "--from",
        small_world.on(0),
        "--to",
        small_world.on(20),
    ]
    assert run.invoke(app, there).exit_code == 2, (
        "a sheet that may be in the field is not written over"
    )
    taken = [
        "backcheck",
        "draw",
        "june",
        "--sheet",
        str(tmp_path / "x.csv"),
        "--from",
        small_world.on(0),
        "--to",
        small_world.on(20),
    ]
    assert "there is a sample 'june' already" in str(run.invoke(app, taken).exception)
    nothing = [
        "backcheck",
        "draw",
        "none",
        "--sheet",
        str(tmp_path / "y.csv"),
        "--from",
        small_world.on(55),
        "--to",
        small_world.on(60),
    ]
    assert "counts and is still to be checked" in str(run.invoke(app, nothing).exception)
    assert "there is no sample 'july'" in str(
        run.invoke(app, ["backcheck", "result", "july"]).exception
    )


def test_outcomes_change_the_figures_and_the_share_that_held_is_reported(
    deployment: Deployment, tmp_path: Path
) -> None:
    deployment.start_worker()
    with EventProducer(deployment.settings.kafka) as producer:
        for number in range(20):
            producer.send(membership(number, BOOTHS[number % 2]))
    deployment.wait_until_rolled_up()
    run = CliRunner(env={**deployment.environment(), "COLUMNS": "160"})
    sheet = drawn(deployment, tmp_path / "june.csv", "--size", "10")
    with EventProducer(
        deployment.settings.kafka
    ) as producer:  # one is corrected while the sheet is in the field
        corrected = int(sheet[9]["entity"].partition(":")[2])
        producer.send(
            membership(
                corrected, BOOTHS[corrected % 2], version=2, data={"mode": "manual", "count": 4}
            )
        )
    deployment.wait_until_rolled_up()
    found = ["yes", "No ", "हाँ", "", "yes", "Y", "नहीं", "yes", "yes", "हां"]
    back = tmp_path / "back.csv"
    lines = filled_in(tmp_path / "june.csv", found)
    assert lines[0]["इकाई कोड / unit code"] == sheet[0]["unit"]
    assert lines[0]["क्या बताया गया / what was claimed"] == (
        "10 कागज़ी सदस्य बने\n10 members enrolled on paper"
    )
    with back.open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, lines[0].keys())
        out.writeheader()
        out.writerows(reversed(lines))
    lost = run.invoke(app, ["backcheck", "enter", str(back)])
    assert "back.keys.csv is missing" in str(lost.exception)
    keys = ["--keys", str(tmp_path / "june.keys.csv")]
    dry = run.invoke(app, ["backcheck", "enter", str(back), *keys, "--dry-run"])
    assert "would be entered: 8; entered before: 0; changed since they were drawn: 1" in dry.output
    assert "without a finding: 1" in dry.output
    entered = run.invoke(app, ["backcheck", "enter", str(back), *keys])
    assert entered.exit_code == 1, "one line must be looked at again"
    assert f"form:{corrected} of CG-AC001: look at it again" in entered.output
    deployment.wait_until_rolled_up()
    # a sheet of an earlier Pravah has its keys in itself
    old = tmp_path / "old.csv"
    outcomes = ["verified", "Rejected ", *["verified"] * 8]
    outcomes[3], outcomes[6] = "", "rejected"
    with old.open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, [*sheet[0].keys(), "outcome"])
        out.writeheader()
        out.writerows(
            {**line, "outcome": outcome} for line, outcome in zip(sheet, outcomes, strict=True)
        )
    for again_from in ([str(back), *keys], [str(old)]):
        again = json.loads(run.invoke(app, ["backcheck", "enter", *again_from, "--json"]).output)
        assert again == {"entered": 0, "entered_before": 8, "changed_since": [f"form:{corrected}"]}
    day = small_world.FIRST_DAY.replace(day=6)
    # 20 of 10 members; two rejected, one corrected to 4; six verified
    assert deployment.rollups()[day, "state", "CG", "members_manual"] == (17 * 10 + 4, 60)
    result = json.loads(run.invoke(app, ["backcheck", "result", "june", "--json"]).output)
    assert (result["verified"], result["checked"]) == (6, 8)
    assert (result["low"], result["high"]) == pytest.approx(wilson_interval(6, 8))
    (part,) = result["parts"]
    assert (part["stratum"], part["drawn"], part["waiting"], part["gone"]) == ("CG", 10, 2, 0)
    assert "75.0 % (40.9 to 92.9 %)" in run.invoke(app, ["backcheck", "result", "june"]).output


def test_a_sheet_with_mistakes_tells_them_all() -> None:
    lines = [
        ",".join(COLUMNS),
        "CG-AC001,form:1,1,CG-AC001-B0001,membership,2022-03-06,maybe",
        "CG-AC001,form:2,none,CG-AC001-B0001,membership,2022-03-06,verified",
        "CG-AC001,form:3,1,CG-AC001-B0001,membership,2022-03-06,verified",
        "CG-AC001,form:3,1,CG-AC001-B0001,membership,2022-03-06,rejected",
        "CG-AC001,form:4,1,CG-AC001-B0001,membership,2022-03-06,",
    ]
    with pytest.raises(SheetError) as error:
        outcomes_from_csv(lines)
    assert [re.match(r"line (\d+)", finding)[1] for finding in error.value.findings] == [
        "2",
        "3",
        "5",
    ]
    with pytest.raises(SheetError, match="the columns key, version, unit, kind, day are missing"):
        outcomes_from_csv(["entity,outcome"])


@given(trials=st.integers(1, 10_000), share=st.floats(0, 1))
def test_an_interval_holds_its_share_and_narrows(trials: int, share: float) -> None:
    successes = round(share * trials)
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    wider = wilson_interval(successes * 2, trials * 2)
    assert wider[1] - wider[0] < high - low
    assert wilson_interval(0, 0) == (0, 1)
