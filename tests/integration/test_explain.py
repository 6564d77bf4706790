"""Every figure is explained: its origins and events add up to it; others have a reason."""

import json
import random
from datetime import UTC, date, datetime, timedelta

import pytest

from pravah.producer import EventProducer
from sinks.explanation import explain_figure
from tests.chaos.world import random_event
from tests.integration.test_reconcile import group, post, pravah
from tests.support import oracle, small_world
from tests.support.deployment import Deployment


def test_every_figure_is_the_sum_of_its_origins_and_of_its_events(deployment: Deployment) -> None:
    choose = random.Random(4)
    events = [random_event(choose, 0, entities=12) for _ in range(120)]
    with EventProducer(deployment.settings.kafka) as producer:
        for event in events:
            producer.send(event)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    figures = deployment.rollups()
    assert len(figures) > 500
    for (day, _, unit, metric), value in choose.sample(sorted(figures.items()), 60):
        found = explain_figure(deployment.clickhouse, unit, metric, day)
        assert found.figure == value
        assert found.agrees, (day, unit, metric)
    for (day, _, unit, metric), _ in choose.sample(
        [one for one in sorted(figures.items()) if one[0][3] in oracle.STOCKS], 15
    ):
        later = explain_figure(
            deployment.clickhouse, unit, metric, day + timedelta(days=choose.randrange(1, 9))
        )
        assert later.agrees, "also on the days between two rows"


@pytest.fixture
def world(deployment: Deployment) -> Deployment:
    """A corrected post, a retracted and a rejected group, a booth that moves, and a repair."""
    moving = "CG-AC001-B0002"
    with EventProducer(deployment.settings.kafka) as producer:
        for event in (
            {**post("CG-AC001-B0001", 3, 1, posts=9), "entity": "corrected"},
            {**post("CG-AC001-B0001", 3, 2, posts=4), "entity": "corrected", "version": 2},
            {**post("CG-AC001-B0001", 3, 3, posts=5), "entity": "moved"},
            {**post("CG-AC001-B0001", 4, 4, posts=6), "entity": "moved", "version": 2},
            {**group(moving, 10, 5, 50), "entity": "staying"},
            {**group(moving, 10, 6, 60), "entity": "retracted"},
            {**group(moving, 10, 7, 60), "entity": "retracted", "version": 2, "op": "retract"},
            {**group(moving, 10, 8, 70), "entity": "rejected", "verification": "rejected"},
            {
                **group(moving, 12, 9, 55),
                "entity": "staying",
                "version": 2,
                "verification": "verified",
            },
        ):
            producer.send(event)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    return deployment


def explained(deployment: Deployment, unit: str, metric: str, day: int) -> dict:
    done = pravah(
        deployment,
        "explain",
        "--unit",
        unit,
        "--metric",
        metric,
        "--day",
        small_world.on(day),
        "--json",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_correction_counts_instead_of_what_it_corrects(world: Deployment) -> None:
    found = explained(world, "CG-D-A", "posts_facebook", 3)
    assert (
        found["value"],
        [(one["entity"], one["version"], one["value"]) for one in found["counted"]],
    ) == (4, [("corrected", 2, 4)])
    reasons = {(one["entity"], one["version"]): one["reason"] for one in found["not_counted"]}
    assert reasons["corrected", 1] == "replaced by version 2"
    assert reasons["moved", 1] == f"replaced by version 2, which is about {small_world.on(4)}"


def test_a_stock_follows_its_booth_and_says_why_others_do_not_count(world: Deployment) -> None:
    before, after = (
        explained(world, "CG-D-A", "whatsapp_group_members", 29),
        explained(world, "CG-D-A", "whatsapp_group_members", 30),
    )
    assert (before["value"], before["verified_value"], before["figure_of"]) == (
        55,
        55,
        small_world.on(12),
    )
    assert after["value"] == 0
    assert "did not stand below this unit" in next(
        one["reason"]
        for one in after["not_counted"]
        if (one["entity"], one["version"]) == ("staying", 2)
    )
    assert explained(world, "CG-D-D", "whatsapp_group_members", 30)["value"] == 55
    reasons = {(one["entity"], one["version"]): one["reason"] for one in before["not_counted"]}
    assert "retracted, by version 2" in reasons["retracted", 1]
    assert "rejected when it was verified" in reasons["rejected", 1]
    assert "later observation of version 2" in reasons["staying", 1]
    text = pravah(
        world,
        "explain",
        "--unit",
        "CG-D-A",
        "--metric",
        "whatsapp_group_members",
        "--day",
        small_world.on(29),
    ).stdout
    assert "जोड़ मेल खाता है" in text
    assert f"unchanged since {small_world.on(12)}" in text


def test_what_was_not_reported_is_not_zero(world: Deployment) -> None:
    assert explained(world, "CG-D-C", "posts_facebook", 3)["value"] is None
    assert (
        "not reported"
        in pravah(
            world,
            "explain",
            "--unit",
            "CG-D-C",
            "--metric",
            "posts_facebook",
            "--day",
            small_world.on(3),
        ).stdout
    )


def test_a_repair_is_an_origin_and_a_figure_that_does_not_add_up_says_so(world: Deployment) -> None:
    row = (
        "district",
        "posts_facebook",
        "CG-D-A",
        date.fromisoformat(small_world.on(3)),
        -1,
        99,
        7,
        0,
        0,
        1,
    )
    world.clickhouse.execute(
        "INSERT INTO journal (level, metric, unit, day, partition, chunk, value, verified_value, "
        "reports, version) VALUES",
        [row],
    )
    repair = (99, "reconcile", "a test", "someone", datetime.now(UTC), "", 1, 1)
    world.clickhouse.execute(
        "INSERT INTO repairs (repair, kind, reason, author, at, registry, entries, complete) "
        "VALUES",
        [repair],
    )
    done = pravah(
        world,
        "explain",
        "--unit",
        "CG-D-A",
        "--metric",
        "posts_facebook",
        "--day",
        small_world.on(3),
    )
    assert done.returncode == 1
    assert "repair" in done.stdout
    assert "a test" in done.stdout
    assert "the figure is 11, its origins add up to 11, its events to 4" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ("--unit", "CG-D-X", "--metric", "posts_facebook", "--day", "2022-03-04"),
            "not in the registry",
        ),
        (("--unit", "CG-D-A", "--metric", "postings", "--day", "2022-03-04"), "posts_facebook"),
        (("--unit", "CG-D-A", "--metric", "posts_facebook", "--day", "4 March"), "2022-05-03"),
    ],
)
def test_wrong_use_is_refused(
    deployment: Deployment, arguments: tuple[str, ...], text: str
) -> None:
    done = pravah(deployment, "explain", *arguments)
    assert done.returncode == 2
    assert text in done.stderr
