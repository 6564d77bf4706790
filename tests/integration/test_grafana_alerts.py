"""Alert rules, run as they are: on data that must fire and on data that must not."""

import re
from collections.abc import Callable
from datetime import datetime, time, timedelta

import pytest

from grafana.alerts import CONTROL_ROOM, OPERATIONS, RULES, AlertRule
from grafana.build import dashboards
from grafana.desired import rules
from grafana.lint import BACKEND_MACROS
from grafana.notifications import DEFAULT, NIGHT, Contacts, contact_points, mute_timing, policy
from sinks.connection import connect
from tests.support import oracle, small_world
from tests.support.deployment import Deployment, until
from tests.support.folding import fold
from tests.support.grafana_sql import as_sent

BY_UID: dict[str, AlertRule] = {rule.uid.removeprefix("pravah-"): rule for rule in RULES}


def at(day: int, hour: int = 12) -> datetime:
    return datetime.combine(small_world.FIRST_DAY + timedelta(days=day), time(hour), oracle.KOLKATA)


def fires(deployment: Deployment, name: str, when: datetime) -> dict[tuple[str, ...], float]:
    """Alerts that fire: labels of each row whose number is above the threshold.

    Queries run as the Grafana user, and must return the columns that Grafana needs.
    """
    rule = BY_UID[name]
    with connect(deployment.settings.clickhouse, "grafana") as grafana:
        rows, columns = grafana.execute(
            as_sent(rule.sql, when - timedelta(hours=1), when), with_column_types=True
        )
    numbers = [place for place, (_, kind) in enumerate(columns) if "String" not in kind]
    assert numbers == [len(columns) - 1], "one number, everything else is a label"
    assert columns[-1][1] == "Float64"
    labels = {name for name, _ in columns[:-1]}
    used = set(re.findall(r"\$labels\.(\w+)", rule.text_hi + rule.text_en + rule.link))
    assert used <= labels, "a text speaks of what the query gives"
    found = {row[:-1]: row[-1] for row in rows}
    assert len(found) == len(rows), "an instance stands once"
    return {key: value for key, value in found.items() if value > rule.threshold}


def event(unit: str, kind: str, day: int, data: dict, number: int) -> dict:
    return {
        "event_id": f"00000000-0000-4000-8000-{number:012d}",
        "unit": unit,
        "kind": kind,
        "occurred_at": f"{small_world.on(day)}T10:00:00+05:30",
        "source": {"tool": "test", "producer": "alerts"},
        "data": data,
    }


def refreshed(deployment: Deployment) -> None:
    deployment.clickhouse.execute("SYSTEM REFRESH VIEW board_done_refresh")
    until(
        lambda: (
            deployment.clickhouse.execute("SELECT count() FROM board_done")
            == deployment.clickhouse.execute("SELECT count() FROM plan_done")
        ),
        "the board",
    )


def test_a_district_whose_booths_are_overdue_fires_until_most_are_done(
    deployment: Deployment,
) -> None:
    """The booths' appointments are due on 31 May; districts A, D, B, C have booths 1, 2, 3, 5."""
    role = {"role": "incharge", "person": "a" * 64}
    fold(
        deployment.settings.clickhouse,
        small_world.registry(),
        [
            event("CG-AC001-B0001", "incharge_appointed", 90, role, 1),
            event("CG-AC001-B0003", "incharge_appointed", 99, role, 2),
        ],
    )
    refreshed(deployment)
    firing = {
        key[0]: value
        for key, value in fires(deployment, "milestone-overdue", at(95)).items()
        if key[2] == "booth_appointed"
    }
    assert firing == {"CG-D-B": 100.0, "CG-D-C": 100.0, "CG-D-D": 100.0}
    later = {
        key[0]
        for key in fires(deployment, "milestone-overdue", at(100))
        if key[2] == "booth_appointed"
    }
    assert later == {"CG-D-C", "CG-D-D"}
    assert not [
        key for key in fires(deployment, "milestone-overdue", at(91)) if key[2] == "booth_appointed"
    ], "on the last day itself nothing is overdue"
    assert not [
        key
        for key in fires(deployment, "milestone-overdue", at(140))
        if key[2] == "booth_appointed"
    ], "after six weeks it is no news any more"


def test_a_silent_district_fires_and_a_new_one_is_given_time(
    deployment: Deployment,
) -> None:
    assert fires(deployment, "silent-district", at(25)) == {}, (
        "before anything was reported at all, silence says nothing"
    )
    posts = {"platform": "facebook", "posts": 0}
    units = {"CG-AC001-B0001": 25, "CG-AC001-B0003": 22, "CG-AC002": 25}
    fold(
        deployment.settings.clickhouse,
        small_world.registry(),
        [
            event(unit, "social_post", day, posts, number)
            for number, (unit, day) in enumerate(units.items())
        ],
    )
    assert {
        key[0]: value for key, value in fires(deployment, "silent-district", at(25)).items()
    } == {"CG-D-B": 3.0}, "zero was reported elsewhere, which is no silence"
    assert {key[0] for key in fires(deployment, "silent-district", at(32))} == {
        "CG-D-A",
        "CG-D-B",
        "CG-D-C",
    }
    assert {key[0]: value for key, value in fires(deployment, "silent-district", at(33)).items()}[
        "CG-D-D"
    ] == 3.0, "district D began on day 30"


@pytest.mark.parametrize(
    ("yesterday", "direction"),
    [
        (30, None),
        (12, None),
        (100, None),
        (2, "गिरावट · drop"),
        (300, "उछाल · jump"),
        (None, "गिरावट · drop"),
    ],
)
def test_a_day_far_from_the_usual_fires(
    deployment: Deployment, yesterday: int | None, direction: str | None
) -> None:
    amounts = {day: 28 + day % 5 for day in range(20)} | (
        {20: yesterday} if yesterday is not None else {}
    )
    events = [
        event("CG-AC001-B0001", "membership", day, {"mode": "digital", "count": count}, day)
        for day, count in amounts.items()
    ]
    events += [
        event(
            "CG-AC001-B0003",
            "membership",
            day,
            {"mode": "digital", "count": 1 if day < 20 else 15},
            100 + day,
        )
        for day in amounts
    ]
    fold(deployment.settings.clickhouse, small_world.registry(), events)
    firing = fires(deployment, "sudden-change", at(21))
    assert {key[0]: key[3] for key in firing} == ({"CG-D-A": direction} if direction else {}), (
        "district B's few members may come as they like"
    )
    assert fires(deployment, "sudden-change", at(10)) == {}, (
        "ten days are too few to know what is usual"
    )


def chunk(
    partition: int,
    start: int,
    appended: datetime,
    updated: datetime,
    *,
    records: int = 0,
    rejected: int = 0,
    closed: int = 0,
) -> tuple:
    attempt = f"00000000-0000-4000-8000-{partition * 1_000_000 + start:012d}"
    return (
        partition,
        start,
        attempt,
        "w",
        "r",
        start + records,
        closed,
        records,
        records - rejected,
        0,
        rejected,
        0,
        appended,
        updated,
        appended,
        appended,
    )


@pytest.fixture
def write_chunks(deployment: Deployment) -> Callable[..., None]:
    columns = (
        "partition, chunk, attempt, worker, registry, next_offset, closed, records, accepted,"
        " duplicates, rejected, forwarded, opened_at, updated_at, first_appended_at,"
        " last_appended_at"
    )

    def write(*rows: tuple) -> None:
        deployment.clickhouse.execute("TRUNCATE TABLE chunks")
        deployment.clickhouse.execute(f"INSERT INTO chunks ({columns}) VALUES", list(rows))

    return write


def test_rejects_fire_when_their_share_rises_and_not_when_it_was_always_high(
    deployment: Deployment, write_chunks: Callable[..., None]
) -> None:
    now, earlier = at(30), at(28)
    write_chunks(
        chunk(0, 0, earlier, earlier, records=10_000, rejected=50),
        chunk(0, 10_000, now, now, records=1_000, rejected=80),
    )
    assert list(fires(deployment, "rejects-rising", now).values()) == [8.0]
    write_chunks(
        chunk(0, 0, earlier, earlier, records=10_000, rejected=800),
        chunk(0, 10_000, now, now, records=1_000, rejected=80),
    )
    assert fires(deployment, "rejects-rising", now) == {}
    write_chunks(
        chunk(0, 0, earlier, earlier, records=10_000, rejected=50),
        chunk(0, 10_000, now, now, records=40, rejected=10),
    )
    assert fires(deployment, "rejects-rising", now) == {}, "forty records are too few"
    write_chunks()


def test_lag_fires_by_partition(deployment: Deployment, write_chunks: Callable[..., None]) -> None:
    now = at(30)
    late = chunk(3, 0, now - timedelta(minutes=20), now, records=5)
    write_chunks(
        late,
        chunk(4, 0, now - timedelta(seconds=2), now, records=5),
        chunk(5, 0, now - timedelta(hours=5), now - timedelta(hours=5), records=5),
    )
    assert fires(deployment, "lag", now) == {("3",): 1200.0}, (
        "partition 5 is quiet, which is no lag"
    )


def test_stale_figures_fire_by_day_and_not_by_night(
    deployment: Deployment, write_chunks: Callable[..., None]
) -> None:
    write_chunks(chunk(0, 0, at(30, 8), at(30, 8), records=5))
    assert fires(deployment, "stale-data", at(30, 10)) == {}
    assert list(fires(deployment, "stale-data", at(30, 12)).values()) == [240.0]
    assert fires(deployment, "stale-data", at(31, 3)) == {}
    write_chunks()
    assert fires(deployment, "stale-data", at(30, 12)) == {}, (
        "before the first record nothing is stale"
    )


def test_a_reconcile_that_differs_fires_until_one_agrees_or_repairs(
    deployment: Deployment,
) -> None:
    assert fires(deployment, "reconcile-failed", at(30)) == {}
    columns = "at, cut, records, figures, different, repair, registry, seconds"

    def reconciled(when: datetime, different: int, repair: int) -> None:
        deployment.clickhouse.execute(
            f"INSERT INTO reconciliations ({columns}) VALUES",
            [(when, {}, 10, 10, different, repair, "r", 1.0)],
        )

    reconciled(at(29), 4, 0)
    assert list(fires(deployment, "reconcile-failed", at(30)).values()) == [4.0]
    reconciled(at(31), 0, 0)
    assert fires(deployment, "reconcile-failed", at(32)) == {}


# --- provisioning


def test_rules_speak_both_languages_use_the_servers_macros_alone_and_lead_to_a_dashboard() -> None:
    known = {
        uid: {variable["name"] for variable in one["templating"]["list"]}
        for uid, one in dashboards().items()
    }
    for rule in RULES:
        assert set(re.findall(r"\$__\w+", rule.sql)) <= BACKEND_MACROS
        assert "${" not in rule.sql, "an alert has no variables"
        assert re.search("[\u0900-\u097f]", rule.text_hi)
        assert re.search("[\u0900-\u097f]", rule.title)
        assert re.search("[a-z]{3}", rule.title)
        assert not re.search("[\u0900-\u097f]", rule.text_en)
        uid, _, chosen = rule.link.removeprefix("d/").partition("?")
        assert set(re.findall(r"var-(\w+)=", chosen)) <= known[uid]
    assert len({rule.uid for rule in RULES}) == len(RULES)
    assert all(len(rule.uid) <= 40 for rule in RULES)


def test_each_rule_is_in_one_group_with_its_condition() -> None:
    found = {}
    for team in (CONTROL_ROOM, OPERATIONS):
        for rule in rules(team)["rules"]:
            query, comparison = rule["data"]
            assert rule["condition"] == comparison["refId"] == "B"
            assert comparison["model"]["expression"] == query["refId"] == "A"
            assert comparison["model"]["conditions"][0]["evaluator"]["type"] == "gt"
            assert rule["noDataState"] == "OK", "no row is no alarm"
            found[rule["uid"]] = (
                comparison["model"]["conditions"][0]["evaluator"]["params"],
                rule["labels"]["severity"],
            )
    assert found == {rule.uid: ([rule.threshold], rule.severity) for rule in RULES}


def test_every_alert_reaches_somebody_and_only_what_can_wait_waits_for_the_morning() -> None:
    everywhere = Contacts("https://hook", "a@b", "token", "chat")
    assert everywhere.names == ["webhook", "email", "telegram"]
    assert Contacts(None, None, "token").names == [], "a bot without a chat reaches nobody"
    assert {one["type"] for one in contact_points(everywhere)} == set(everywhere.names)
    assert policy(Contacts())["receiver"] == DEFAULT
    routes = policy(everywhere)["routes"]
    for rule in RULES:
        reached = [
            route
            for route in routes
            if all(
                {"team": rule.team, "severity": rule.severity}[name] == value
                for name, _, value in route["object_matchers"]
            )
        ]
        assert len(reached) == 1
        assert reached[0]["receiver"] == "pravah"
        assert (NIGHT in reached[0].get("mute_time_intervals", [])) == (
            (rule.team, rule.severity) != (OPERATIONS, "act")
        )


def test_the_night_is_from_22_to_8_in_india() -> None:
    muted = set()
    for span in mute_timing()["time_intervals"][0]["times"]:
        first, last = (
            int(hour) * 60 + int(minute)
            for hour, minute in (span["start_time"].split(":"), span["end_time"].split(":"))
        )
        muted |= {minute for minute in range(1440) if first <= minute < last}
    midnight = datetime(2026, 1, 1, tzinfo=oracle.KOLKATA)
    utc = oracle.ZoneInfo("UTC")
    firing = {
        local
        for local in range(1440)
        if (there := (midnight + timedelta(minutes=local)).astimezone(utc)).hour * 60 + there.minute
        not in muted
    }
    assert firing == set(range(8 * 60, 22 * 60))
