"""Reconcile and repair: differences from the ledger are found and repaired by entries of their own.

Figures as they were known before stay known.
"""

import csv
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

import reference
from operations.registry_files import read_registry_files
from pravah.producer import EventProducer
from sinks.lease import FIGURES, REPAIRS, hold_lease
from sinks.recount import closed_cut, recount
from tests.integration.test_exactness import campaign, differences, produced, send
from tests.support import oracle, small_world
from tests.support.deployment import Deployment, until
from tests.support.forked import run_pravah


def pravah(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess:
    """Run a command against the deployment, as a person would."""
    return run_pravah(arguments, deployment.environment())


def post(unit: str, day: int, number: int, posts: int = 1) -> dict:
    return {
        "event_id": f"00000000-0000-4000-8000-{number:012d}",
        "unit": unit,
        "kind": "social_post",
        "occurred_at": f"{small_world.on(day)}T12:00:00+05:30",
        "source": {"tool": "test", "producer": "cg"},
        "data": {"platform": "facebook", "posts": posts},
    }


def group(unit: str, day: int, number: int, members: int) -> dict:
    return {
        **post(unit, day, number),
        "kind": "messaging_group",
        "data": {"group_type": "whatsapp", "members": members},
    }


@pytest.fixture
def counted(deployment: Deployment) -> Deployment:
    """Some posts and groups, counted, with a worker that goes on."""
    deployment.start_worker()
    with EventProducer(deployment.settings.kafka) as producer:
        for number in range(30):
            producer.send(post("CG-AC001-B0001", number % 10, number))
        for number in range(30, 40):
            producer.send(group("CG-AC001-B0003", 5, number, 7))
    deployment.wait_until_rolled_up()
    return deployment


def test_figures_that_are_right_are_proved_to_this_moment(counted: Deployment) -> None:
    done = pravah(counted, "reconcile", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["different"] == 0
    assert result["records_not_compared"] == 0
    assert result["figures"] >= len(counted.rollups())
    assert counted.clickhouse.execute("SELECT figures, different, repair FROM reconciliations") == [
        (result["figures"], 0, 0)
    ]


@pytest.mark.parametrize("wrong", ["too much", "missing", "stray"])
def test_what_differs_is_reported_repaired_and_stays_known(counted: Deployment, wrong: str) -> None:
    before = counted.rollups()
    pravah(counted, "reconcile")  # closes the chunks: what lies in an open one is not touched
    changes = {
        "too much": """
            INSERT INTO journal
            SELECT * REPLACE (value + 5 AS value, version + 1 AS version)
            FROM journal FINAL WHERE level = 'district' LIMIT 1
        """,
        "missing": """
            INSERT INTO journal
            SELECT * REPLACE (
                0 AS value, 0 AS verified_value, 0 AS reports, version + 1 AS version
            )
            FROM journal FINAL WHERE level = 'state'
        """,
        "stray": """
            INSERT INTO journal
            SELECT * REPLACE ('CG-D-C' AS unit)
            FROM (
                SELECT * FROM journal FINAL
                WHERE level = 'district' AND unit = 'CG-D-A' LIMIT 1
            )
        """,
    }
    counted.clickhouse.execute(changes[wrong])
    assert counted.rollups() != before
    spoiled = counted.rollups()
    found = pravah(counted, "reconcile", "--json")
    assert found.returncode == 1
    assert json.loads(found.stdout)["different"] > 0
    assert counted.rollups() == spoiled, "without --repair nothing is moved"
    known = datetime.now(UTC)
    repaired = pravah(counted, "reconcile", "--repair", "--reason", "a test spoiled it")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert counted.rollups() == before
    repairs = counted.clickhouse.execute(
        "SELECT kind, reason, complete, entries > 0, author != '' FROM repairs FINAL"
    )
    assert repairs == [("reconcile", "a test spoiled it", 1, True, True)]
    assert counted.rollups(as_of=known) == spoiled
    assert counted.rollups(as_of=datetime.now(UTC)) == before


def test_a_cut_holds_while_events_flow(counted: Deployment) -> None:
    with EventProducer(counted.settings.kafka) as producer:
        for number in range(100, 3_000):
            producer.send(post("CG-AC001-B0002", number % 20, number))
            if number % 1_000 == 0:
                done = pravah(counted, "reconcile", "--json")
                assert json.loads(done.stdout)["different"] == 0, done.stdout
    counted.wait_until_rolled_up()


def test_only_one_repair_at_a_time(counted: Deployment) -> None:
    pravah(counted, "reconcile")
    counted.clickhouse.execute(
        "INSERT INTO journal "
        "SELECT * REPLACE (value + 5 AS value, version + 1 AS version) FROM journal FINAL LIMIT 1"
    )
    clickhouse = counted.settings.clickhouse
    for lease, holder in ((REPAIRS, "a repair by someone"), (FIGURES, "a rebuild by someone")):
        with hold_lease(clickhouse, lease, holder):
            refused = pravah(counted, "reconcile", "--repair")
        assert refused.returncode == 1
        assert "someone" in refused.stderr
        assert recount(counted.clickhouse, closed_cut(counted.clickhouse)).different == 1
    # one that was killed holds up nobody
    counted.clickhouse.execute(
        "INSERT INTO repairs "
        "(repair, kind, reason, author, at, registry, entries, complete) VALUES",
        [(7, "units", "x", "someone", datetime.now(UTC), "", 0, 0)],
    )
    # a worker's token is older than the lease that the test held: it restarts, and counts on
    assert pravah(counted, "reconcile", "--repair").returncode == 0
    assert recount(counted.clickhouse, closed_cut(counted.clickhouse)).different == 0


def test_figures_at_rest_are_proved_without_a_worker(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    worker = deployment.start_worker()
    with EventProducer(deployment.settings.kafka) as producer:
        producer.send(post("CG-AC001-B0001", 3, 1))
    deployment.wait_until_rolled_up()
    worker.terminate()
    worker.wait()
    done = pravah(deployment, "reconcile", "--wait", "0", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["figures"] == 6


# --- units apply --------------------------------------------------------------------------------


def moves(folder: Path, rows: str) -> str:
    path = folder / "moves.csv"
    path.write_text("unit,parent,valid_from,valid_to\n" + rows, encoding="utf-8")
    return str(path)


def test_a_moves_file_that_cannot_be_used_tells_all_findings(
    counted: Deployment, tmp_path: Path
) -> None:
    path = moves(
        tmp_path,
        f"CG-AC001-B0009,CG-D-A,{small_world.on(3)},\n"
        f"CG-AC001-B0001,CG-D-X,{small_world.on(3)},\n"
        "CG-AC001-B0001,CG-D-B,,\n"
        f"CG-D-A,CG-AC001,{small_world.on(3)},\n",
    )
    done = pravah(counted, "units", "apply", path, "--yes")
    assert done.returncode == 1
    for text in (
        "moves.csv:2: unit 'CG-AC001-B0009'",
        "moves.csv:3: parent 'CG-D-X'",
        "moves.csv:4: valid_from is empty",
        "moves.csv:5: CG-D-A: a unit of level 'district'",
    ):
        assert text in done.stderr


def test_a_dry_run_shows_what_would_change_and_changes_nothing(
    counted: Deployment, tmp_path: Path
) -> None:
    before = counted.rollups()
    done = pravah(
        counted,
        "units",
        "apply",
        moves(tmp_path, f"CG-AC001-B0001,CG-D-C,{small_world.on(4)},\n"),
        "--json",
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [one["unit"] for one in result["units"]] == ["CG-AC001-B0001"]
    gained = {(one["unit"], one["metric"]): one["value"] for one in result["figures"]}
    assert gained == {
        ("CG-D-C", "posts_facebook"): 18,
        ("CG-D-A", "posts_facebook"): -18,
        ("CG-V-S", "posts_facebook"): 18,
        ("CG-V-N", "posts_facebook"): -18,
    }
    assert not result["applied"]
    assert counted.rollups() == before
    assert "a dry run" in pravah(counted, "units", "apply", str(tmp_path / "moves.csv")).stdout


def test_moving_five_hundred_booths_three_months_back(
    deploy: Callable[..., Deployment], tmp_path: Path
) -> None:
    """Figures are the oracle's under the new boundaries; those known before the move stay."""
    registry = read_registry_files(reference.registry_files())
    deliveries = campaign(registry, 12_000, seed=11)
    deployment = deploy(registry, chunk_size=700)
    deployment.start_worker()
    half = len(deliveries) // 2
    send(deployment, deliveries[:half])
    deployment.wait_until_rolled_up()
    effect = date(2022, 7, 5)
    day = (effect - date(1970, 1, 1)).days
    booths = [
        code
        for code in registry.units
        if any(span.ancestor == "CG-D-RPR" for span in registry.ancestors(code, day))
        and registry.units[code].level == "booth"
    ][:500]
    assert len(booths) == 500
    path = moves(tmp_path, "".join(f"{booth},CG-D-DRG,{effect},\n" for booth in booths))
    earlier = oracle.figures(
        produced(deliveries[:half]), oracle.Hierarchy.read(reference.registry_files()[0].parent)
    )
    assert differences(deployment.rollups(), earlier)[:3] == []
    closed = pravah(deployment, "reconcile", "--json")
    assert json.loads(closed.stdout)["different"] == 0
    known = datetime.now(UTC)
    done = pravah(
        deployment, "units", "apply", path, "--yes", "--reason", "the district of Durg takes over"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "500 units change" in done.stdout
    moved = _moved(tmp_path, set(booths), "CG-D-DRG", effect)
    assert (
        differences(deployment.rollups(), oracle.figures(produced(deliveries[:half]), moved))[:3]
        == []
    )
    assert differences(deployment.rollups(as_of=known), earlier)[:3] == []
    send(deployment, deliveries[half:])
    deployment.wait_until_rolled_up()
    assert differences(deployment.rollups(), oracle.figures(produced(deliveries), moved))[:3] == []
    assert differences(deployment.rollups(as_of=known), earlier)[:3] == []
    again = pravah(deployment, "reconcile", "--json")
    assert json.loads(again.stdout)["different"] == 0
    assert json.loads(again.stdout)["records_not_compared"] == 0


def _moved(folder: Path, booths: set[str], district: str, effect: date) -> oracle.Hierarchy:
    """The registry's rows after the move, written by other code than Pravah's."""
    target = folder / "moved"
    target.mkdir()
    for path in reference.registry_files():
        lines = path.read_text(encoding="utf-8").splitlines()
        if path.name.endswith(".units.csv"):
            (target / path.name).write_text("\n".join(lines), encoding="utf-8")
            continue
        rows = []
        for row in csv.DictReader(lines):
            if row["unit"] not in booths or "-D-" not in row["parent"]:
                rows.append(row)
            elif not row["valid_to"] or date.fromisoformat(row["valid_to"]) >= effect:
                if not row["valid_from"] or date.fromisoformat(row["valid_from"]) < effect:
                    rows.append({**row, "valid_to": str(date.fromordinal(effect.toordinal() - 1))})
            else:
                rows.append(row)
        if any(row["unit"] in booths for row in rows):
            rows += [
                {"unit": booth, "parent": district, "valid_from": str(effect), "valid_to": ""}
                for booth in booths
            ]
        with (target / path.name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["unit", "parent", "valid_from", "valid_to"])
            writer.writeheader()
            writer.writerows(rows)
    return oracle.Hierarchy.read(target)


def test_a_registry_that_is_the_same_changes_nothing(counted: Deployment, tmp_path: Path) -> None:
    done = pravah(counted, "units", "apply", str(small_world.write(tmp_path)), "--yes")
    assert done.returncode == 0
    assert "nothing changes" in done.stdout
    assert counted.clickhouse.execute("SELECT count() FROM repairs") == [(0,)]


def test_a_worker_under_an_older_registry_closes_nothing(
    counted: Deployment, tmp_path: Path
) -> None:
    """The change restarts it; until then no chunk is closed under the old registry."""
    parents = small_world.PARENTS.replace("CG-AC001-B0003,CG-D-B", "CG-AC001-B0003,CG-D-A")
    folder = small_world.write(tmp_path)
    (folder / "small.parents.csv").write_text(parents, encoding="utf-8")
    assert pravah(counted, "units", "load", str(folder)).returncode == 0
    assert pravah(counted, "reconcile", "--json").returncode in {0, 1}
    until(
        lambda: (
            counted.clickhouse.execute("SELECT uniqExact(registry) FROM chunks FINAL WHERE closed")
            == [(1,)]
        ),
        "open chunks are closed",
    )
    assert (
        differences(
            counted.rollups(),
            oracle.figures(
                [post("CG-AC001-B0001", n % 10, n) for n in range(30)]
                + [group("CG-AC001-B0003", 5, n, 7) for n in range(30, 40)],
                oracle.Hierarchy.read(folder),
            ),
        )
        == []
    )
