"""Members as reported, verified and as distinct persons, at every ancestor.

Persons are exact up to a stated size, and marked as approximate beyond it.
"""

import json
import random
from collections import defaultdict
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from sinks.members import members, named_twice
from tests.support import oracle, small_world
from tests.support.deployment import Deployment
from tests.support.folding import fold

DAYS = 61


def reported(choose: random.Random, number: int) -> dict:
    """A membership of few entities and persons; sometimes a version that is another kind."""
    key = choose.choice(sorted(small_world.KEYS))
    unit = choose.choice(small_world.KEYS[key])
    first, last = {"CG-AC001-B0004": (0, 40), "CG-AC002-B0005": (25, 60)}.get(unit, (0, 60))
    named = [f"{choose.randrange(40):064x}" for _ in range(choose.randrange(4))]
    membership = (
        "membership",
        {
            "mode": choose.choice(["manual", "digital"]),
            "count": len(named) + choose.randrange(3),
            **({"member_keys": named} if named else {}),
        },
    )
    kind, data = (
        membership
        if choose.random() < 0.9
        else ("social_post", {"platform": "facebook", "posts": 1})
    )
    return {
        "event_id": f"00000000-0000-4000-8000-{number:012d}",
        "entity": f"{key}:{choose.randrange(30)}",
        "version": choose.randrange(1, 5),
        "op": "retract" if choose.random() < 0.1 else "report",
        "unit": unit,
        "kind": kind,
        "occurred_at": f"{small_world.on(choose.randrange(first, last + 1))}T10:00:00+05:30",
        "source": {"tool": "test", "producer": "members"},
        "verification": choose.choice(["unverified", "unverified", "verified", "rejected"]),
        "data": data,
    }


def standing(events: list[dict], until: date) -> list[dict]:
    """The memberships that count by the end of a day."""
    entities: dict = defaultdict(dict)
    for event in events:
        entities[oracle.routing_key(event["unit"]), event["entity"]].setdefault(
            event["version"], event
        )
    highest = [versions[max(versions)] for versions in entities.values()]
    return [
        one
        for one in highest
        if one["op"] == "report"
        and one["verification"] != "rejected"
        and one["kind"] == "membership"
        and one["occurred_at"][:10] <= until.isoformat()
    ]


@pytest.mark.parametrize("seed", range(2))
def test_persons_are_counted_once_wherever_they_are_reported(
    deployment: Deployment, tmp_path: Path, seed: int
) -> None:
    choose = random.Random(seed)
    events = [reported(choose, number) for number in range(300)]
    fold(deployment.settings.clickhouse, small_world.registry(), events)
    hierarchy = oracle.Hierarchy.read(small_world.write(tmp_path))
    for day in (0, 15, 30, 60):
        on = small_world.FIRST_DAY + timedelta(days=day)
        as_of = datetime.combine(on, time(23), oracle.KOLKATA)
        wanted: dict = {}
        for event in standing(events, on):
            verified = event["verification"] == "verified"
            for ancestor in hierarchy.ancestors(
                event["unit"], date.fromisoformat(event["occurred_at"][:10])
            ).values():
                cell = wanted.setdefault(ancestor, [0, 0, 0, set(), set()])
                keys = event["data"].get("member_keys", [])
                cell[0] += event["data"]["count"]
                cell[1] += event["data"]["count"] * verified
                cell[2] += len(keys)
                cell[3] |= set(keys)
                cell[4] |= set(keys) if verified else set()
        for exact_up_to, method in ((1_000_000, "exact"), (0, "approximate")):
            found = members(deployment.clickhouse, "IN", as_of, below=True, exact_up_to=exact_up_to)
            for one in found:
                all_, verified, named, persons, verified_persons = wanted.get(
                    one.unit, [0, 0, 0, set(), set()]
                )
                counted = (one.members, one.verified, one.named, one.persons, one.verified_persons)
                # of so few even the approximate count is right
                assert counted == (all_, verified, named, len(persons), len(verified_persons))
                assert one.method == (method if named else "exact")
            assert {one.unit for one in found} == wanted.keys() & below(hierarchy, on)
        twice = {
            one.member_key: one.units for one in named_twice(deployment.clickhouse, "IN", as_of)
        }
        units: dict = defaultdict(list)
        for event in standing(events, on):
            for key in set(event["data"].get("member_keys", [])):
                units[key].append(event["unit"])
        assert twice == {key: sorted(set(where)) for key, where in units.items() if len(where) > 1}
    totals = dict(
        deployment.clickhouse.execute(
            "SELECT unit, sum(value) FROM totals WHERE metric IN ('members_manual',"
            " 'members_digital') GROUP BY unit HAVING sum(value) > 0"
        )
    )
    now = members(deployment.clickhouse, "IN", datetime.now(oracle.KOLKATA), below=True)
    assert {one.unit: one.members for one in now if one.members} == {
        unit: value for unit, value in totals.items() if unit in {one.unit for one in now}
    }
    in_a = named_twice(deployment.clickhouse, "CG-D-A", as_of)
    assert {unit for one in in_a for unit in one.units} <= {
        "CG-AC001",
        "CG-AC001-B0001",
        "CG-AC001-B0002",
        "CG-AC001-B0004",
        "CG-D-A",
    }, "units of other districts are not listed"


def below(hierarchy: oracle.Hierarchy, on: date) -> set[str]:
    return {unit for unit in hierarchy.levels if hierarchy.is_open(unit, on)}


def test_beyond_the_stated_size_persons_are_approximate_and_say_so(deployment: Deployment) -> None:
    choose = random.Random(9)
    events = []
    for number in range(20):
        event = reported(random.Random(1), number)
        keys = [f"{choose.getrandbits(256):064x}" for _ in range(1_000)]
        events.append(
            {
                **event,
                "entity": f"many:{number}",
                "version": 1,
                "op": "report",
                "kind": "membership",
                "verification": "unverified",
                "unit": "CG-AC001-B0001",
            }
        )
        events[-1]["data"] = {"mode": "digital", "count": 1_000, "member_keys": keys}
    fold(deployment.settings.clickhouse, small_world.registry(), events)
    now = datetime.now(oracle.KOLKATA)
    (exact,) = members(deployment.clickhouse, "CG", now)
    (about,) = members(deployment.clickhouse, "CG", now, exact_up_to=19_999)
    assert (exact.persons, exact.method) == (20_000, "exact")
    assert about.method == "approximate"
    assert about.persons == pytest.approx(20_000, rel=0.02)
    shown = CliRunner(env={**deployment.environment(), "COLUMNS": "200"}).invoke(
        app, ["watch", "members", "--unit", "CG", "--exact-up-to", "10"]
    )
    assert "≈ " in shown.output
    result = CliRunner(env=deployment.environment()).invoke(
        app, ["watch", "members", "--unit", "CG", "--json"]
    )
    assert json.loads(result.output)[0]["persons"] == 20_000
