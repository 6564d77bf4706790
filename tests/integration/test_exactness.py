"""Exactness on real servers and real units: `rollups` equals the oracle.

The oracle reads the events that were produced, and no table. It covers every level, metric and day.
"""

import json
import os
import signal
from collections.abc import Callable, Iterable
from datetime import date

import pytest

import reference
import stack
from operations.registry_files import read_registry_files
from pravah.producer import EventProducer
from producers.simulator import Delivery, SimulationOptions, simulate
from schemas.plan import Plan
from schemas.registry import Registry
from tests.support import oracle
from tests.support.deployment import Deployment, until


@pytest.fixture(scope="module")
def chhattisgarh() -> Registry:
    return read_registry_files(reference.registry_files())


@pytest.fixture(scope="module")
def hierarchy() -> oracle.Hierarchy:
    return oracle.Hierarchy.read(reference.registry_files()[0].parent)


def campaign(registry: Registry, events: int, seed: int) -> list[Delivery]:
    """A campaign over the days of September 2022 on which five districts were created.

    Repeats, corrections, retractions and broken deliveries have the shares of the field.
    """
    options = SimulationOptions(
        seed=seed,
        first=date(2022, 8, 20),
        last=date(2022, 10, 5),
        events=events,
        repeats=0.05,
        corrections=0.03,
        retractions=0.01,
        broken=0.01,
        late=0.02,
    )
    return list(
        simulate(
            registry, Plan.from_toml(reference.plan_file().read_text(encoding="utf-8")), options
        )
    )


def produced(deliveries: Iterable[Delivery]) -> list[dict]:
    """The events of the deliveries that are events."""
    return [
        json.loads(delivery.value or b"") for delivery in deliveries if delivery.sort != "broken"
    ]


def send(deployment: Deployment, deliveries: Iterable[Delivery]) -> None:
    with EventProducer(deployment.settings.kafka) as producer:
        for delivery in deliveries:
            producer.send_raw(delivery.value, delivery.key)


def differences(found: dict, expected: dict) -> list:
    return [
        (key, expected.get(key), found.get(key))
        for key in expected.keys() | found.keys()
        if expected.get(key) != found.get(key)
    ]


def test_thirty_thousand_events_over_the_days_when_districts_split(
    deploy: Callable[..., Deployment], chhattisgarh: Registry, hierarchy: oracle.Hierarchy
) -> None:
    deliveries = campaign(chhattisgarh, 30_000, seed=7)
    deployment = deploy(chhattisgarh, chunk_size=5_000)
    deployment.start_worker()
    send(deployment, deliveries)
    deployment.wait_until_rolled_up()
    expected = oracle.figures(produced(deliveries), hierarchy)
    found = deployment.rollups()
    assert {level for _, level, _, _ in found} == set(oracle.LEVEL_ORDER)
    assert len(found) > 50_000
    assert differences(found, expected)[:5] == []
    broken = sum(delivery.sort == "broken" for delivery in deliveries)
    assert deployment.clickhouse.execute("SELECT sum(rejected) FROM chunks FINAL") == [(broken,)]
    totals = {
        row[:3]: row[3:]
        for row in deployment.clickhouse.execute(
            "SELECT toString(level), unit, metric, value, verified_value FROM totals"
        )
    }
    assert totals == latest(expected)


def latest(figures: oracle.Figures) -> dict:
    """Flows to date and stocks as they are now."""
    result: dict = {}
    for (_, level, unit, metric), (value, verified) in sorted(
        figures.items(), key=lambda item: item[0][0]
    ):
        before = (0, 0) if metric in oracle.STOCKS else result.get((level, unit, metric), (0, 0))
        result[level, unit, metric] = (before[0] + value, before[1] + verified)
    return result


def test_a_worker_killed_in_mid_stream_and_a_clickhouse_that_stops_change_nothing(
    deploy: Callable[..., Deployment], chhattisgarh: Registry, hierarchy: oracle.Hierarchy
) -> None:
    deliveries = campaign(chhattisgarh, 12_000, seed=8)
    deployment = deploy(chhattisgarh, chunk_size=1_000)
    clickhouse = next(
        server
        for server in stack.status(deployment.settings.home).servers
        if server.name == "clickhouse"
    )
    half = len(deliveries) // 2

    worker = deployment.start_worker()
    send(deployment, deliveries[:half])
    for share in (0.1, 0.3, 0.6):  # SIGKILL when so much is durable
        until(lambda share=share: deployment.durable() > share * half, "the worker gets on")
        worker.kill()
        worker.wait()
        worker = deployment.start_worker()

    until(lambda: deployment.durable() > 0.7 * half, "the worker gets on")
    deployment.clickhouse.disconnect()
    os.kill(
        clickhouse.pid, signal.SIGSTOP
    )  # answers nothing and keeps its ports, which is worse than being gone
    try:
        send(deployment, deliveries[half:])
        assert worker.poll() is None
    finally:
        os.kill(clickhouse.pid, signal.SIGCONT)
    deployment.wait_until_rolled_up()

    assert worker.poll() is None
    assert (
        differences(deployment.rollups(), oracle.figures(produced(deliveries), hierarchy))[:5] == []
    )
    broken = sum(delivery.sort == "broken" for delivery in deliveries)
    versions = {
        (
            oracle.routing_key(one["unit"]),
            one.get("entity") or one["event_id"],
            one.get("version", 1),
        )
        for one in produced(deliveries)
    }
    assert deployment.clickhouse.execute("SELECT count() FROM events") == [(len(versions),)]
    rejected = """
        SELECT sum(rejected) FROM (
            SELECT argMax(rejected, updated_at) AS rejected FROM chunks GROUP BY partition, chunk
        )
    """
    assert deployment.clickhouse.execute(rejected) == [(broken,)], (
        "nothing but what is broken is rejected"
    )


def event(unit: str, day: str, number: int) -> dict:
    return {
        "event_id": f"00000000-0000-4000-8000-{number:012d}",
        "unit": unit,
        "kind": "social_post",
        "occurred_at": f"{day}T12:00:00+05:30",
        "source": {"tool": "test", "producer": "cg"},
        "data": {"platform": "facebook", "posts": 1},
    }


def test_units_count_where_they_belong_on_that_day(
    deploy: Callable[..., Deployment], chhattisgarh: Registry
) -> None:
    """AC 84 has booths in three districts; AC 43 changed district and division in 2022."""
    by_district: dict[str, str] = {}
    day = chhattisgarh_day("2022-03-15")
    for code in chhattisgarh.units:
        if code.startswith("CG-AC084-B"):
            district = next(
                span.ancestor
                for span in chhattisgarh.ancestors(code, day)
                if span.level == "district"
            )
            by_district.setdefault(district, code)
    assert set(by_district) == {"CG-D-NRP", "CG-D-BST", "CG-D-KDG"}
    moved = next(
        code
        for code in chhattisgarh.units
        if code.startswith("CG-AC043-B")
        and any(
            span.ancestor == "CG-D-SBG"
            for span in chhattisgarh.ancestors(code, chhattisgarh_day("2022-10-15"))
        )
    )
    events = [event(code, "2022-03-15", number) for number, code in enumerate(by_district.values())]
    events += [
        event(moved, "2022-03-15", 10),
        event(moved, "2022-10-15", 11),
        event("CG-AC043", "2022-03-15", 12),
        event("CG-AC043", "2022-10-15", 13),
    ]
    deployment = deploy(chhattisgarh)
    with EventProducer(deployment.settings.kafka) as producer:
        for one in events:
            producer.send(one)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    posts = {
        (unit, str(on)): value
        for (on, _, unit, metric), (value, _) in deployment.rollups().items()
        if metric == "posts_facebook"
    }
    assert {district: posts[district, "2022-03-15"] for district in by_district} == {
        "CG-D-NRP": 1,
        "CG-D-BST": 1,
        "CG-D-KDG": 1,
    }
    assert posts["CG-AC084", "2022-03-15"] == 3
    assert (posts["CG-D-BBZ", "2022-03-15"], posts["CG-V-RPR", "2022-03-15"]) == (2, 2)
    assert ("CG-D-SBG", "2022-03-15") not in posts
    assert (posts["CG-D-SBG", "2022-10-15"], posts["CG-V-BSP", "2022-10-15"]) == (2, 2)
    assert ("CG-D-BBZ", "2022-10-15") not in posts
    assert ("CG-V-RPR", "2022-10-15") not in posts
    assert (posts["CG", "2022-03-15"], posts["CG", "2022-10-15"]) == (5, 2)


def chhattisgarh_day(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days
