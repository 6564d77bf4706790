"""The plan's status in ClickHouse equals the oracle's: any corrections, date and ancestor."""

import json
import random
from collections.abc import Callable
from datetime import date, datetime, time, timedelta

import pytest
from clickhouse_driver import Client

import reference
from operations.registry_files import read_registry_files
from producers.simulator import SimulationOptions, simulate
from reference.defaults import default_plan
from schemas.plan import Plan
from sinks.migrate import Schema
from sinks.plan import load_plan, moved_deadlines
from tests.support import oracle, small_world
from tests.support.deployment import Deployment
from tests.support.folding import fold

NEVER = date(1970, 1, 1)


def end_of(day: date) -> int:
    """The last moment of a day in Asia/Kolkata, as the views take it."""
    return int(datetime.combine(day, time(23, 59, 59), oracle.KOLKATA).timestamp() * 1000)


def found_status(client: Client, on: date) -> dict:
    rows = client.execute(
        "SELECT milestone, unit, toString(state), done_at, deadline, days_overdue FROM"
        " plan_status_at(as_of = fromUnixTimestamp64Milli(%(at)s))",
        {"at": end_of(on)},
    )
    found = {}
    for milestone, unit, state, done_at, deadline, days_overdue in rows:
        assert (milestone, unit) not in found, "a unit stands twice"
        assert deadline == oracle.DEADLINES[milestone]
        assert days_overdue == ((on - deadline).days if state == "overdue" else 0)
        found[milestone, unit] = (state, done_at)
    return found


def found_progress(client: Client, on: date) -> dict:
    rows = client.execute(
        "SELECT milestone, unit, expected, done_on_time, done_late, overdue, due FROM"
        " plan_progress_at(as_of = fromUnixTimestamp64Milli(%(at)s))",
        {"at": end_of(on)},
    )
    for row in rows:
        assert row[2] == sum(row[3:]), "the four add up"
    return {row[:2]: dict(zip(oracle.STATES, row[3:], strict=True)) for row in rows}


def any_event(choose: random.Random) -> dict:
    """An event that the plan may wait for, or another, of few entities, so that versions meet."""
    key = choose.choice(sorted(small_world.KEYS))
    unit = choose.choice(small_world.KEYS[key])
    first, last = {"CG-AC001-B0004": (0, 40), "CG-AC002-B0005": (25, 60)}.get(unit, (0, 60))
    trained = choose.choice(
        [None, [one for one in small_world.KEYS[key] if one != unit and choose.random() < 0.5]]
    )
    if unit != key:
        trained = None
    kind, data = choose.choice(
        [
            (
                "incharge_appointed",
                {
                    "role": choose.choice(["head", "incharge", "committee_member"]),
                    "person": "a" * 64,
                    "active": choose.random() < 0.8,
                },
            ),
            ("committee_formed", {"members": 3, "active": choose.random() < 0.8}),
            (
                "messaging_group",
                {
                    "group_type": choose.choice(["whatsapp", "broadcast"]),
                    "members": 3,
                    "active": choose.random() < 0.8,
                },
            ),
            (
                "training_held",
                {
                    "programme": choose.choice(["incharge", "booth agents"]),
                    "attendees": 3,
                    **({"trained_units": trained} if trained else {}),
                },
            ),
            ("social_post", {"platform": "facebook", "posts": 1}),
        ]
    )
    on = choose.randrange(
        max(first, 26) if trained else first, min(last, 40) + 1 if trained else last + 1
    )
    return {
        "event_id": f"{choose.getrandbits(32):08x}-0000-4000-8000-{choose.getrandbits(48):012x}",
        "entity": f"{key}:{choose.randrange(25)}",
        "version": choose.randrange(1, 6),
        "op": "retract" if choose.random() < 0.1 else "report",
        "unit": unit,
        "kind": kind,
        "occurred_at": (
            f"{small_world.on(on)}T"
            f"{choose.choice(['00:00:00', '12:00:00', '23:59:59.999999'])}+05:30"
        ),
        "source": {"tool": "test", "producer": "plan"},
        "verification": choose.choice(["unverified", "unverified", "verified", "rejected"]),
        "data": data,
    }


@pytest.mark.parametrize("seed", range(5))
def test_versions_retractions_and_rejections_in_any_order_give_the_status_of_the_contract(
    deployment: Deployment, tmp_path, seed: int
) -> None:
    choose = random.Random(seed)
    events = [any_event(choose) for _ in range(choose.choice([60, 250]))]
    fold(deployment.settings.clickhouse, small_world.registry(), events)
    hierarchy, met = (
        oracle.Hierarchy.read(small_world.write(tmp_path)),
        oracle.completion_days(events),
    )
    assert met
    for day in (0, 10, 19, 20, 24, 25, 30, 31, 40, 41, 60, 75, 76, 100, 120, 140):
        on = small_world.FIRST_DAY + timedelta(days=day)
        expected = oracle.plan_status(met, hierarchy, on)
        assert found_status(deployment.clickhouse, on) == expected
        assert found_progress(deployment.clickhouse, on) == oracle.plan_progress(
            expected, hierarchy, on
        )


def test_the_campaign_of_2022_at_twenty_dates(deploy: Callable[..., Deployment]) -> None:
    """All units and milestones of Chhattisgarh around deadlines and the days of new districts."""
    registry = read_registry_files(reference.registry_files())
    deployment = deploy(registry)
    options = SimulationOptions(
        seed=5, first=date(2022, 2, 1), last=date(2022, 10, 15), events=20_000
    )
    events = [
        json.loads(one.value or b"")
        for one in simulate(registry, default_plan(), options)
        if one.sort != "broken"
    ]
    fold(deployment.settings.clickhouse, registry, events)
    hierarchy, met = (
        oracle.Hierarchy.read(reference.registry_files()[0].parent),
        oracle.completion_days(events),
    )
    splits = [
        date(2022, 9, 1),
        date(2022, 9, 2),
        date(2022, 9, 3),
        date(2022, 9, 9),
        date(2022, 9, 10),
    ]
    dates = [
        date(2022, 2, 10),
        date(2022, 2, 28),
        date(2022, 3, 1),
        date(2022, 3, 15),
        date(2022, 3, 31),
        date(2022, 4, 1),
        date(2022, 4, 15),
        date(2022, 5, 1),
    ]
    dates += [
        date(2022, 5, 15),
        date(2022, 5, 31),
        date(2022, 6, 1),
        date(2022, 6, 15),
        date(2022, 6, 30),
        date(2022, 7, 1),
        *splits,
        date(2022, 10, 15),
    ]
    assert len(dates) == 20
    for on in dates:
        expected = oracle.plan_status(met, hierarchy, on)
        if on.month in {
            6,
            9,
        }:  # every unit; the others through their ancestors, themselves included
            found = found_status(deployment.clickhouse, on)
            assert len(found) > 70_000
            assert [
                (key, expected.get(key), found.get(key))
                for key in expected.keys() | found.keys()
                if expected.get(key) != found.get(key)
            ][:5] == []
        progress = oracle.plan_progress(expected, hierarchy, on)
        assert found_progress(deployment.clickhouse, on) == progress
    assert progress["booth_groups", "IN"]["done_late"] > 0
    assert progress["booth_groups", "IN"]["done_on_time"] > 0


def test_a_moved_deadline_changes_the_status_at_once_and_the_old_one_stays_in_the_history(
    deployment: Deployment,
) -> None:
    plan, client, schema = (
        default_plan(),
        deployment.clickhouse,
        Schema(deployment.settings.clickhouse.database),
    )
    text = reference.plan_file().read_text(encoding="utf-8")
    on = date(2022, 7, 5)
    query = (
        "SELECT DISTINCT toString(state), deadline FROM plan_status_at(as_of ="
        " fromUnixTimestamp64Milli(%(at)s)) WHERE milestone = 'booth_groups'"
    )
    assert client.execute(query, {"at": end_of(on)}) == [("overdue", date(2022, 6, 30))]
    moved = Plan.from_toml(text.replace("2022-06-30", "2022-07-31"))
    assert load_plan(client, schema, moved, author="test", reason="rain")
    assert not load_plan(client, schema, moved, author="test", reason="again")
    assert client.execute(query, {"at": end_of(on)}) == [("due", date(2022, 7, 31))]
    (change,) = moved_deadlines(client)
    assert (change.milestone, change.before, change.deadline, change.author, change.reason) == (
        "booth_groups",
        date(2022, 6, 30),
        date(2022, 7, 31),
        "test",
        "rain",
    )
    assert load_plan(client, schema, plan, author="test", reason="back")
    assert [one.deadline for one in moved_deadlines(client)] == [
        date(2022, 7, 31),
        date(2022, 6, 30),
    ]


def test_a_plan_that_waits_for_another_kind_of_event_sees_those_that_came_before_it(
    deployment: Deployment,
) -> None:
    client, schema = deployment.clickhouse, Schema(deployment.settings.clickhouse.database)
    post = {
        "event_id": "7b0c1f5e-3a35-4c0e-9c5e-0e8f6b1d2a3b",
        "unit": "CG-AC001-B0001",
        "kind": "social_post",
        "occurred_at": f"{small_world.on(5)}T10:00:00+05:30",
        "source": {"tool": "test", "producer": "plan"},
        "data": {"platform": "facebook", "posts": 3},
    }
    fold(deployment.settings.clickhouse, small_world.registry(), [post])
    plan = Plan.from_toml("""
        state = "CG"
        [[milestone]]
        milestone = "booth_posted"
        level = "booth"
        name_en = "First post on Facebook"
        name_hi = "फेसबुक पर पहला पोस्ट"
        deadline = 2022-03-10
        responsible = "booth in-charge"
        responsible_hi = "बूथ प्रभारी"
        needs = [{ kind = "social_post", where = { platform = ["facebook", "twitter"] } }]
    """)
    load_plan(client, schema, plan, author="test", reason="another plan")
    rows = client.execute(
        "SELECT unit, toString(state), done_at, toDate(known_at, 'Asia/Kolkata') FROM plan_status"
        " WHERE state != 'overdue'"
    )
    assert rows == [
        (
            "CG-AC001-B0001",
            "done_on_time",
            date.fromisoformat(small_world.on(5)),
            date(2023, 11, 15),
        )
    ]
    assert client.execute(
        "SELECT done_on_time, known_late FROM plan_progress WHERE unit = 'CG'"
    ) == [(1, 1)]
