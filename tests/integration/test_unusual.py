"""Values that stand out are flagged by their own past and by their peers, and go on counting."""

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from math import copysign, log1p
from statistics import median

import pytest

from sinks.unusual import unusual_values
from tests.integration.test_forecast import wide_world
from tests.support import oracle, small_world
from tests.support.deployment import Deployment
from tests.support.folding import fold

LAST = small_world.FIRST_DAY + timedelta(days=40)


def posted(unit: str, day: int, posts: int, number: int) -> dict:
    return {
        "event_id": f"00000000-0000-4000-8000-{number:012d}",
        "unit": unit,
        "kind": "social_post",
        "occurred_at": f"{small_world.on(day)}T10:00:00+05:30",
        "source": {"tool": "test", "producer": "unusual"},
        "data": {"platform": "facebook", "posts": posts},
    }


def robust_z(amount: float, others: list[float], least: int) -> float | None:
    """Modified z-score by Iglewicz and Hoaglin on sign(v) ln(1 + |v|), 0.6745 / MAD at most 2."""
    if len(others) < least:
        return None
    scaled = [copysign(log1p(abs(value)), value) for value in others]
    middle = median(scaled)
    spread = median(abs(value - middle) for value in scaled)
    return (copysign(log1p(abs(amount)), amount) - middle) * (
        min(2.0, 0.6745 / spread) if spread else 2.0
    )


def test_what_is_unusual_is_what_the_formula_says_at_every_level(
    deploy: Callable[..., Deployment],
) -> None:
    registry, choose = wide_world(), random.Random(1)
    deployment = deploy(registry)
    booths = [code for code, unit in registry.units.items() if unit.level == "booth"][::20]
    events = []
    for day in range(41):
        for booth in booths:
            if choose.random() < 0.8:
                posts = (
                    int(choose.lognormvariate(1, 0.6))
                    if choose.random() < 0.97
                    else choose.choice([0, 300])
                )
                events.append(posted(booth, day, posts, len(events)))
    fold(deployment.settings.clickhouse, registry, events)
    amounts = {key: value for key, (value, _) in deployment.rollups().items()}
    above = {code: line for code in registry.units for line in [registry.ancestors(code, 19_100)]}
    parents = {}
    for code, line in above.items():
        levels = {span.level: span.ancestor for span in line}
        unit_level = registry.units[code].level
        upper = {
            "booth": "assembly",
            "assembly": "district",
            "district": "state",
            "division": "state",
            "state": "national",
        }.get(unit_level)
        parents[code] = levels.get(upper or "")
    peers = defaultdict(list)
    for (day, level, unit, metric), value in amounts.items():
        peers[day, level, metric, parents[unit]].append(value)
    wanted = {}
    for (day, level, unit, metric), value in amounts.items():
        if day < LAST - timedelta(days=9):
            continue
        earlier = [
            amounts[past, level, unit, metric]
            for past in (day - timedelta(days=back) for back in range(1, 29))
            if (past, level, unit, metric) in amounts
        ]
        own, other = (
            robust_z(value, earlier, 7),
            robust_z(value, peers[day, level, metric, parents[unit]], 5),
        )
        if max(abs(own or 0), abs(other or 0)) >= 3.5:
            wanted[day, level, unit] = (value, own, other)
    found = unusual_values(deployment.clickhouse, "IN", LAST - timedelta(days=9), LAST)
    assert len(wanted) > 5
    assert {
        (one.day, one.level, one.unit): (one.amount, one.own_z, one.peer_z) for one in found
    } == {key: pytest.approx(value) for key, value in wanted.items()}
    strongest = [max(abs(one.own_z or 0), abs(one.peer_z or 0)) for one in found]
    assert all(one >= other for one, other in pairwise(strongest)), (
        "those that stand out most come first"
    )
    assert {
        one.level
        for one in unusual_values(
            deployment.clickhouse, "CG-D-A", LAST - timedelta(days=9), LAST, level="booth"
        )
    } == {"booth"}
    assert deployment.rollups() == oracle_figures(events, registry), "nothing is left out for it"


def oracle_figures(events: list[dict], registry) -> dict:
    totals: dict = defaultdict(int)
    for event in events:
        day = small_world.FIRST_DAY + timedelta(
            days=(oracle.date.fromisoformat(event["occurred_at"][:10]) - small_world.FIRST_DAY).days
        )
        for span in registry.ancestors(event["unit"], 19_100):
            totals[day, span.level, span.ancestor, "posts_facebook"] += event["data"]["posts"]
    return {key: (value, 0) for key, value in totals.items()}
