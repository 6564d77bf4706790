"""Figures of the situation report equal the oracle's, and stay within a reader's subtree."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from statistics import median

import pytest

from pravah.days import KOLKATA
from pravah.settings import Settings
from reports.facts import FutureDayError, OutOfScopeError, read_situation
from reports.situation import FLOWS, USUAL_DAYS, Situation
from sinks.connection import connect
from sinks.control_room import millis
from sinks.members import members
from tests.support import oracle, small_world
from tests.support.deployment import Deployment
from tests.support.report_world import DAYS, LOOKED_AT, deploy_report_world, events

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def deployment(
    services: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A deployment with random events, shared by tests that only read."""
    with deploy_report_world(services, tmp_path_factory.mktemp("report")) as made:
        yield made


@pytest.fixture(scope="module")
def hierarchy(tmp_path_factory: pytest.TempPathFactory) -> oracle.Hierarchy:
    return oracle.Hierarchy.read(small_world.write(tmp_path_factory.mktemp("units")))


@pytest.mark.parametrize(
    ("unit", "when"),
    [
        ("IN", "late"),
        ("CG", "D begins"),
        ("CG-V-N", "before B moves"),
        ("CG-V-N", "D begins"),
        ("CG-D-A", "D begins"),
        ("CG-D-D", "before B moves"),
        ("CG-AC001", "before B moves"),
        ("CG-AC001", "late"),
        ("CG-AC001-B0001", "late"),
        ("CG-AC001-B0004", "late"),
        ("CG-D-C", "before B moves"),
    ],
)
def test_every_figure_is_the_oracles(
    deployment: Deployment, hierarchy: oracle.Hierarchy, unit: str, when: str
) -> None:
    day = DAYS[when]
    found = read_situation(deployment.clickhouse, unit, day)
    assert found.open == hierarchy.is_open(unit, day)
    if not found.open:
        assert (found.milestones, found.amounts, found.children, found.defaulters) == (
            [],
            [],
            [],
            [],
        )
        return
    status = oracle.plan_status(oracle.completion_days(events()), hierarchy, day)
    yesterday = oracle.plan_status(
        oracle.completion_days(events()), hierarchy, day - timedelta(days=1)
    )
    progress = oracle.plan_progress(status, hierarchy, day)
    below = {one for one in hierarchy.levels if unit in hierarchy.ancestors(one, day).values()}
    assert {
        one.milestone: {name: getattr(one, name) for name in oracle.STATES}
        for one in found.milestones
    } == {
        milestone: counts for (milestone, ancestor), counts in progress.items() if ancestor == unit
    }
    for line in found.milestones:
        own = {
            one: state
            for (milestone, one), state in status.items()
            if milestone == line.milestone and one in below
        }
        assert line.newly_done == sum(done == day for _, done in own.values())
        became = [
            one
            for one, (now, _) in own.items()
            if now == "overdue" and yesterday.get((line.milestone, one), ("due", None))[0] == "due"
        ]
        assert line.newly_overdue == (
            len(became) if oracle.DEADLINES[line.milestone] == day - timedelta(days=1) else 0
        )
        assert line.forecast is None or line.forecast.expected == line.expected
    passed = {
        key: state
        for key, (state, _) in status.items()
        if oracle.DEADLINES[key[0]] < day or found.basis == "everything"
    }
    assert found.basis == (
        "due_by_now"
        if any(oracle.DEADLINES[one.milestone] < day for one in found.milestones)
        else "everything"
    )
    assert (found.expected, found.done) == (
        sum(key[1] in below for key in passed),
        sum(key[1] in below and state.startswith("done") for key, state in passed.items()),
    )
    for child in found.children:
        own = [
            state
            for (_, one), state in passed.items()
            if one in below and child.unit in hierarchy.ancestors(one, day).values()
        ]
        assert (child.expected, child.done, child.overdue) == (
            len(own),
            sum(one.startswith("done") for one in own),
            own.count("overdue"),
        )
    expected_children = {
        line[found.child_level]
        for one in below
        if found.child_level in (line := hierarchy.ancestors(one, day))
    }
    assert {child.unit for child in found.children} == expected_children
    assert [one.about.unit for one in found.defaulters if one.about.unit not in below] == []
    assert len(found.defaulters) + found.more_defaulters == sum(
        state == "overdue" for (_, one), (state, _) in status.items() if one in below
    )
    assert all(one.call is None for one in found.defaulters)
    assert [one.unit for one in found.above] == [
        ancestor
        for _, ancestor in sorted(
            hierarchy.ancestors(unit, day).items(),
            key=lambda pair: -oracle.LEVEL_ORDER.index(pair[0]),
        )
        if ancestor != unit
    ]
    _check_amounts(found, oracle.figures(events(), hierarchy), day)


def _check_amounts(found: Situation, figures: oracle.Figures, day: date) -> None:
    own = {
        (on, metric): value
        for (on, _, one, metric), value in figures.items()
        if one == found.unit and on <= day
    }
    assert {one.figure for one in found.amounts} == {
        name for name, metrics in FLOWS.items() if any(metric in metrics for _, metric in own)
    }
    for amount in found.amounts:
        metrics = FLOWS[amount.figure]
        by_day = {
            on: sum(
                value
                for (then, metric), (value, _) in own.items()
                if then == on and metric in metrics
            )
            for on in {on for on, metric in own if metric in metrics}
        }
        assert amount.today == by_day.get(day), "nothing reported is None, not zero"
        assert amount.to_date == sum(by_day.values())
        assert amount.verified_to_date == sum(
            verified for (_, metric), (_, verified) in own.items() if metric in metrics
        )
        before = [
            day - timedelta(days=number)
            for number in range(1, USUAL_DAYS + 1)
            if day - timedelta(days=number) >= min(by_day)
        ]
        assert amount.usual == (
            median(by_day.get(one, 0) for one in before) if len(before) >= 7 else None
        )
        if amount.figure == "members":
            assert {one.day: one.amount for one in found.member_days} == {
                one.day: by_day.get(one.day) for one in found.member_days
            }
            assert found.member_days[-1].day == day
            assert (found.members.members if found.members else 0) == amount.to_date
    for metric in found.metrics:
        values = {on: value for (on, name), value in own.items() if name == metric.metric}
        expected = (
            values[max(values)]
            if metric.is_stock
            else tuple(map(sum, zip(*values.values(), strict=True)))
        )
        assert (metric.to_date, metric.verified_to_date) == expected


@pytest.mark.parametrize("unit", ["IN", "CG-D-A", "CG-AC001-B0001"])
def test_what_is_read_faster_than_by_the_views_is_what_they_have(
    deployment: Deployment, unit: str
) -> None:
    client, day = deployment.clickhouse, LOOKED_AT
    found = read_situation(client, unit, day)
    with (
        connect(deployment.settings.clickhouse, "aicc") as one,
        connect(deployment.settings.clickhouse, "aicc") as other,
    ):
        beside = read_situation(one, unit, day, second=other)
    assert replace(beside, made_at=found.made_at) == found
    end = datetime.combine(day, time(23, 59, 59), KOLKATA)
    wanted = {"unit": unit, "as_of": millis(end), "day": day}
    below = (
        "unit IN (SELECT unit FROM unit_ancestors "
        "WHERE ancestor = %(unit)s AND %(day)s BETWEEN valid_from AND valid_to)"
    )
    as_of = "as_of = fromUnixTimestamp64Milli(%(as_of)s)"

    def select(query: str) -> list[tuple]:
        return client.execute(query, wanted)

    assert found.members == next((m for m in members(client, unit, end) if m.members), None)
    assert {
        (one.about.unit, one.about.milestone): one.about.blocks for one in found.defaulters
    } == {
        (of, milestone): blocks
        for of, milestone, blocks in select(
            f"SELECT unit, milestone, blocks FROM defaulters_at({as_of}) WHERE {below}"
        )
    }
    assert sum(one.about.overdue for one in found.offices) == len(found.defaulters)
    assert {one.about.unit: one.about.last_report for one in found.defaulters}.items() <= dict(
        select(f"SELECT unit, last_report FROM unit_activity({as_of}, days = 14)")
    ).items()
    states = Counter(
        dict(
            select(
                f"SELECT state, count() FROM unit_activity({as_of}, days = 14) "
                f"WHERE level = 'booth' AND {below} GROUP BY state"
            )
        )
    )
    assert found.booths is None or states == Counter(
        active=found.booths.active, zero=found.booths.zero, silent=found.booths.silent
    )
    assert {
        one.milestone: (one.forecast.outlook, one.forecast.earliest, one.forecast.latest)
        for one in found.milestones
        if one.forecast
    } == {
        name: tuple(rest)
        for name, *rest in select(
            f"SELECT milestone, outlook, earliest, latest "
            f"FROM plan_forecast_at({as_of}, share = 0.8) WHERE unit = %(unit)s"
        )
    }
    assert {(one.unit, one.metric, one.amount, one.own_z) for one in found.unusual} == {
        *select(
            "SELECT unit, metric, amount, own_z "
            f"FROM unusual_values(first = %(day)s, last = %(day)s) WHERE {below}"
        )
    }


def test_a_reader_sees_only_what_stood_in_their_subtree_that_day(
    deployment: Deployment, hierarchy: oracle.Hierarchy
) -> None:
    """Assembly 1 is in district A, its booth 3 in B; booth 2 moves to district D on day 30."""
    client, day = deployment.clickhouse, small_world.FIRST_DAY + timedelta(days=40)
    of_a = read_situation(client, "CG-AC001", LOOKED_AT, within="CG-D-A")
    assert {child.unit for child in of_a.children} == {"CG-AC001-B0001"}
    assert {one.about.unit for one in of_a.defaulters} <= {"CG-AC001", "CG-AC001-B0001"}
    assert {one.unit for one in of_a.unusual} <= {"CG-AC001", "CG-AC001-B0001"}
    of_d = read_situation(client, "CG-AC001-B0002", day, within="CG-D-D")
    begins = small_world.FIRST_DAY + timedelta(days=30)
    figures = oracle.figures(events(), hierarchy).items()
    own = [
        (on, value)
        for (on, _, unit, metric), (value, _) in figures
        if unit == "CG-AC001-B0002" and metric in FLOWS["posts"]
    ]
    (posts,) = [one.to_date for one in of_d.amounts if one.figure == "posts"]
    assert posts == sum(value for on, value in own if begins <= on <= day)
    assert posts < sum(value for on, value in own if on <= day)
    assert all(one.amount is None for one in of_d.member_days if one.day < begins)
    with pytest.raises(OutOfScopeError, match="CG-AC001-B0002"):
        read_situation(client, "CG-AC001-B0002", begins - timedelta(days=1), within="CG-D-D")
    with pytest.raises(FutureDayError):
        read_situation(client, "CG", date(2149, 1, 1))
    with pytest.raises(LookupError, match="CG-D-X"):
        read_situation(client, "CG-D-X", day)
