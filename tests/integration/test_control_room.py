"""The control room's queries: defaulters, silent units, and whom to call."""

import random
from datetime import date, datetime, time, timedelta

import pytest
from clickhouse_driver.errors import ServerException
from typer.testing import CliRunner

from cli.main import app
from cli.plan import defaulters_text
from schemas.contacts import ContactsError, contacts_from_csv
from sinks.connection import connect
from sinks.control_room import (
    activity,
    calls,
    defaulters,
    load_contacts,
    milestone_progress,
    reporting_rates,
)
from sinks.migrate import Schema
from tests.integration.test_plan import any_event
from tests.support import oracle, small_world
from tests.support.deployment import Deployment
from tests.support.folding import fold

PHONE = "+919876543210"
CONTACTS = f"""unit,role,name,phone,language
CG-AC001,in-charge,Asha Sahu,{PHONE},hi
CG-D-A,in-charge,Ravi Netam,+919876543211,en
"""
JULY = datetime.combine(date(2022, 7, 10), time(12), oracle.KOLKATA)


def event(unit: str, kind: str, day: int, data: dict, number: int) -> dict:
    return {
        "event_id": f"00000000-0000-4000-8000-{number:012d}",
        "unit": unit,
        "kind": kind,
        "occurred_at": f"{small_world.on(day)}T10:00:00+05:30",
        "source": {"tool": "test", "producer": "control-room"},
        "data": data,
    }


def appointed(unit: str, day: int, number: int, role: str = "incharge") -> dict:
    return event(unit, "incharge_appointed", day, {"role": role, "person": "a" * 64}, number)


def test_those_come_first_that_most_waits_for(deployment: Deployment) -> None:
    """In July everything that was not done is overdue.

    Assembly 1 has three open booths. Until it has an in-charge, its training waits, and so do
    their appointments, trainings and groups.
    """
    fold(
        deployment.settings.clickhouse,
        small_world.registry(),
        [appointed("CG-AC001-B0001", 5, 1), appointed("CG-D-A", 6, 2)],
    )
    found = defaulters(deployment.clickhouse, "CG", JULY)
    assert [one.blocks for one in found] == sorted((one.blocks for one in found), reverse=True)
    blocks = {(one.milestone, one.unit): one.blocks for one in found}
    # its own training; of booths 1, 2 and 3 three milestones each, but one is appointed already
    assert blocks["assembly_appointed", "CG-AC001"] == 1 + 3 * 3 - 1
    assert blocks["booth_appointed", "CG-AC001-B0002"] == 2
    assert blocks["booth_groups", "CG-AC001-B0001"] == 0
    assert ("booth_appointed", "CG-AC001-B0001") not in blocks
    assert ("booth_appointed", "CG-AC001-B0004") not in blocks, "it was closed in April"
    by_unit = {(one.milestone, one.unit): one for one in found}
    booth = by_unit["booth_appointed", "CG-AC001-B0002"]
    assert (booth.days_overdue, booth.responsible, booth.responsible_unit, booth.last_report) == (
        40,
        "assembly in-charge",
        "CG-AC001",
        None,
    )
    assert by_unit["booth_trained", "CG-AC001-B0001"].last_report == date.fromisoformat(
        small_world.on(5)
    )
    # district A reported; booth 2 stands in district D since day 30
    assert {
        one.unit
        for one in defaulters(deployment.clickhouse, "CG-D-A", JULY, milestone="booth_groups")
    } == {"CG-AC001-B0001"}
    assert len(defaulters(deployment.clickhouse, "CG", JULY, limit=3)) == 3
    assert defaulters(deployment.clickhouse, "CG", JULY, limit=2, offset=1) == found[1:3]


def test_only_the_state_sees_whom_to_call(deployment: Deployment) -> None:
    settings = deployment.settings.clickhouse
    load_contacts(
        deployment.clickhouse,
        Schema(settings.database),
        contacts_from_csv(CONTACTS.splitlines(), {"CG-AC001", "CG-D-A"}),
    )
    with connect(settings, "grafana") as state:
        found = defaulters(state, "CG-AC001-B0002", JULY)
        call, *_ = calls(state, found)
        assert call is not None
        assert (call.name, call.phone) == ("Asha Sahu", PHONE)
        hindi, english = (
            defaulters_text(found, calls(state, found), "CG", JULY, language)
            for language in ("hi", "en")
        )
        assert "फ़ोन करें: Asha Sahu, +919876543210" in hindi
        assert "बूथ प्रभारी नियुक्त: 40 दिन से बकाया (अंतिम तिथि 31-05-2022)" in hindi
        assert "Booth in-charge appointed: 40 days overdue (by 31-05-2022)" in english
        assert "None" not in hindi + english
    with connect(settings, "aicc") as headquarters:
        assert calls(headquarters, defaulters(headquarters, "CG-AC001-B0002", JULY)) == [
            None
        ] * len(found)
        for query in ("SELECT * FROM contacts", "SELECT * FROM merge('pravah', '^contacts$')"):
            try:
                rows = headquarters.execute(query)
            except ServerException:
                rows = []
            assert rows == []


def test_silence_is_another_thing_than_zero(deployment: Deployment) -> None:
    posts = [("CG-AC001-B0001", 20, 3), ("CG-AC001-B0002", 20, 0), ("CG-AC001-B0003", 2, 3)]
    events = [
        event(unit, "social_post", day, {"platform": "facebook", "posts": amount}, number)
        for number, (unit, day, amount) in enumerate(posts)
    ]
    fold(deployment.settings.clickhouse, small_world.registry(), events)
    on = datetime.combine(small_world.FIRST_DAY + timedelta(days=26), time(12), oracle.KOLKATA)
    states = {
        state: {
            row["unit"]: row
            for row in activity(deployment.clickhouse, "CG", on, days=14, state=state)
        }
        for state in ("silent", "zero", "active")
    }
    assert states["active"].keys() == {"CG", "CG-V-N", "CG-D-A", "CG-AC001", "CG-AC001-B0001"}
    assert states["zero"].keys() == {"CG-AC001-B0002"}
    assert states["silent"].keys() == {
        "CG-V-S",
        "CG-D-B",
        "CG-D-C",
        "CG-AC002",
        "CG-AC001-B0003",
        "CG-AC001-B0004",
        "CG-AC002-B0005",
    }
    assert states["silent"]["CG-AC001-B0003"]["days_since"] == 24
    assert states["silent"]["CG-AC002-B0005"]["last_report"] is None


def test_the_plans_command_shows_what_the_views_say(deployment: Deployment) -> None:
    fold(
        deployment.settings.clickhouse, small_world.registry(), [appointed("CG-AC001-B0001", 5, 1)]
    )
    run = CliRunner(env={**deployment.environment(), "COLUMNS": "200"})
    shown = run.invoke(app, ["plan", "status", "--unit", "CG", "--date", "2022-07-10"])
    assert shown.exit_code == 0, shown.output
    assert "Booth in-charge appointed" in shown.output
    assert "बूथ प्रभारी नियुक्त" in shown.output
    (appointment,) = [
        one
        for one in milestone_progress(deployment.clickhouse, "CG", JULY)
        if one.milestone == "booth_appointed"
    ]
    assert (appointment.expected, appointment.done_on_time, appointment.overdue) == (4, 1, 3)
    for command in (
        ["plan", "defaulters", "--json"],
        ["plan", "defaulters", "--text", "hi"],
        ["plan", "history"],
        ["plan", "check"],
        ["plan", "status", "--json"],
    ):
        result = run.invoke(app, command)
        assert result.exit_code == 0, result.output
    wrong = run.invoke(app, ["plan", "status", "--date", "30.6.2022"])
    assert wrong.exit_code == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"CG-AC999,in-charge,A,{PHONE},hi", "not in the registry"),
        ("CG-AC001,in-charge,A,98765,hi", "phone"),
        (f"CG-AC001,in-charge,A,{PHONE},fr", "language"),
        (f"CG-AC001,in-charge,,{PHONE},hi", "name"),
        (f"CG-AC001,in-charge,A,{PHONE},hi\nCG-AC001,in-charge,B,{PHONE},hi", "already"),
    ],
)
def test_a_contacts_file_is_checked_whole_and_no_number_is_repeated_in_a_message(
    line: str, said: str
) -> None:
    with pytest.raises(ContactsError, match=said) as caught:
        contacts_from_csv(["unit,role,name,phone,language", *line.splitlines()], {"CG-AC001"})
    assert PHONE not in str(caught.value)
    assert "98765" not in str(caught.value)


def test_reporting_rates_count_who_was_open_that_day_and_never_pass_one(
    deployment: Deployment, tmp_path
) -> None:
    """Any mix of reports, repeats, versions and retractions.

    The broker appended them on day 45, which is late for most days.
    """
    choose = random.Random(21)
    events = [any_event(choose) for _ in range(500)]
    arrived = small_world.FIRST_DAY + timedelta(days=45)
    fold(
        deployment.settings.clickhouse,
        small_world.registry(),
        events,
        appended_at=int(datetime.combine(arrived, time(9), oracle.KOLKATA).timestamp() * 1000),
    )
    hierarchy = oracle.Hierarchy.read(small_world.write(tmp_path))
    first: dict[tuple, dict] = {}
    for one in events:  # of two with the same version the first one stands
        first.setdefault((oracle.routing_key(one["unit"]), one["entity"], one["version"]), one)
    reported = {
        (one["unit"], datetime.fromisoformat(one["occurred_at"]).date())
        for one in first.values()
        if one["op"] == "report"
    }
    expected: dict[tuple, list[int]] = {}
    for number in range(61):
        day = small_world.FIRST_DAY + timedelta(days=number)
        for unit, level in hierarchy.levels.items():
            if level == "booth":
                for ancestor in hierarchy.ancestors(unit, day).values():
                    counts = expected.setdefault((day, ancestor), [0, 0, 0])
                    came = (unit, day) in reported
                    counts[0] += 1
                    counts[1] += came
                    counts[2] += came and arrived <= day + timedelta(days=7)
    found = reporting_rates(
        deployment.clickhouse,
        [*hierarchy.levels],
        small_world.FIRST_DAY,
        small_world.FIRST_DAY + timedelta(days=60),
        days=7,
    )
    assert {
        (one.day, one.unit): [one.expected, one.reported, one.on_time] for one in found
    } == expected
    assert all(one.on_time <= one.reported <= one.expected for one in found)
    assert {one.reported for one in found} > {0, 1, 2}


def test_a_column_of_zeros_in_time_is_explained_by_when_the_reports_arrived(
    deployment: Deployment,
) -> None:
    arrived = small_world.FIRST_DAY + timedelta(days=45)
    fold(
        deployment.settings.clickhouse,
        small_world.registry(),
        [appointed("CG-AC001-B0001", 5, 1), appointed("CG-AC001-B0003", 9, 2)],
        appended_at=int(datetime.combine(arrived, time(9), oracle.KOLKATA).timestamp() * 1000),
    )
    run = CliRunner(env={**deployment.environment(), "PRAVAH_LANG": "both"})
    command = ["watch", "completeness", "--date", small_world.on(10), "--days", "7"]
    said = run.invoke(app, command).stdout
    assert (
        "in time is 0 on 2 of these days: all that was reported for them arrived on "
        f"{arrived}, too late for them"
    ) in said
    assert "with --late 40 it is in time" in said
    assert f"2 दिनों में समय पर 0: उनकी सारी सूचनाएँ {arrived} को आईं" in said
    as_said = run.invoke(app, [*command, "--late", "40"]).stdout
    assert "in time is 0" not in as_said, "the hint is true"
    assert "in time is 0" not in run.invoke(app, [*command, "--plain"]).stdout
    later = ["watch", "completeness", "--date", small_world.on(25), "--days", "7"]
    assert "nothing was reported for these days" in run.invoke(app, later).stdout
    below = run.invoke(app, [*command, "--unit", "CG-D-C"]).stdout
    assert "on these days no unit of this level was here" in below
