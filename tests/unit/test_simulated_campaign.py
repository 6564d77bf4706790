"""A campaign simulated around today: its plan, its split, its paces, and its made-up persons."""

from collections import Counter, defaultdict
from datetime import date, timedelta
from functools import cache

import orjson
import phonenumbers
import pytest

import reference
from operations.campaign import Campaign, make_campaign
from operations.registry_files import read_registry_files
from pravah.days import day_of
from producers.mapping.phones import PhoneError, to_e164
from producers.simulator import Delivery, SimulationOptions, simulate
from producers.simulator.persons import OfficeHolders
from producers.simulator.scenario import (
    USUAL,
    date_plan,
    is_around,
    is_dated_for,
    split_district,
)
from reference.defaults import default_plan
from schemas.contacts import FICTIONAL_PREFIX, Contact, contacts_from_csv, parse_responsible
from schemas.registry import Registry

TODAY = date(2026, 11, 29)
OPTIONS = SimulationOptions(first=TODAY - timedelta(days=120), last=TODAY, events=20_000)


@cache
def registry() -> Registry:
    return read_registry_files(reference.registry_files())


@cache
def campaign() -> Campaign:
    return make_campaign(split_district(registry(), "CG", OPTIONS.first, OPTIONS.last), OPTIONS)


@cache
def deliveries() -> list[Delivery]:
    made = campaign()
    return list(simulate(made.registry, made.plan, OPTIONS, made.paces))


@cache
def events() -> list[dict]:
    return [orjson.loads(one.value or b"") for one in deliveries() if one.sort == "report"]


def district(unit: str, day: str) -> str | None:
    return ancestor(unit, "district", day_of(date.fromisoformat(day[:10])))


@cache
def ancestor(unit: str, level: str, day: int) -> str | None:
    spans = campaign().registry.ancestors(unit, day)
    return next((one.ancestor for one in spans if one.level == level), None)


@pytest.mark.parametrize("days", [1, 10, 30, 60, 120, 400])
def test_its_plan_has_deadlines_behind_within_a_week_and_ahead(days: int) -> None:
    plan = date_plan(default_plan(), TODAY - timedelta(days=days), TODAY)
    assert is_around(plan, TODAY)
    assert not is_around(default_plan(), TODAY)
    ahead = [(one.deadline - TODAY).days for one in plan.milestones]
    assert ahead == sorted(ahead), "in the order of the plan"
    assert sum(one < 0 for one in ahead) == 6
    assert sum(0 <= one <= 7 for one in ahead) >= 1
    assert sum(one > 7 for one in ahead) >= 1
    if days >= 60:
        assert min(ahead) >= -days, "the campaign had begun"


def test_a_campaign_of_2022_follows_the_plan_of_2022() -> None:
    for last in (date(2022, 2, 1), date(2022, 7, 31), date(2022, 9, 30)):
        assert is_dated_for(default_plan(), last)
    options = SimulationOptions(events=1_000)
    made = make_campaign(registry(), options)
    assert (made.plan, made.paces, made.is_dated) == (default_plan(), USUAL, False)
    own = default_plan()
    assert make_campaign(registry(), OPTIONS, own).plan is own, "as given with --plan"


def test_a_district_splits_three_weeks_ago_and_its_units_report_on() -> None:
    new = set(campaign().registry.units) - set(registry().units)
    assert new == {"CG-D-RPRN"}
    unit = campaign().registry.units["CG-D-RPRN"]
    assert unit.first == day_of(TODAY) - 21
    assert "(demo)" in unit.name_en
    moved = {
        code
        for code, one in campaign().registry.units.items()
        if one != registry().units.get(code) and code not in new
    }
    before, after = unit.first - 1, unit.first
    for code in moved:
        assert ancestor(code, "district", before) == "CG-D-RPR"
        assert ancestor(code, "district", after) == "CG-D-RPRN"
        assert ancestor(code, "division", after) == "CG-V-RPR"
    found = Counter(district(one["unit"], one["occurred_at"]) for one in events())
    assert found["CG-D-RPRN"] > 50
    assert found["CG-D-RPR"] > found["CG-D-RPRN"], "what is left of it reports, too"


def test_a_short_campaign_or_a_state_without_districts_has_no_split() -> None:
    short = TODAY - timedelta(days=20)
    assert split_district(registry(), "CG", short, TODAY) is registry()
    assert split_district(registry(), "MH", OPTIONS.first, TODAY) is registry()


def test_some_districts_are_ahead_some_behind_and_some_silent() -> None:
    paces = campaign().paces
    last: dict[str | None, str] = defaultdict(str)
    appointed: dict[str | None, set[str]] = defaultdict(set)
    for one in events():
        where = district(one["unit"], one["occurred_at"])
        last[where] = max(last[where], one["occurred_at"][:10])
        if one["kind"] == "incharge_appointed" and "-B" in one["unit"]:
            appointed[where].add(one["unit"])
    for code, since in paces.silent_from.items():
        assert day_of(date.fromisoformat(last[code])) < since
        assert day_of(TODAY) - since >= 16
    assert len(paces.silent_from) == 3
    reporting = set(last) - set(paces.silent_from) - {None}
    assert len(reporting) == 31
    week_ago = str(TODAY - timedelta(days=7))
    assert all(last[code] >= week_ago for code in reporting)
    units = campaign().registry.units.values()
    booths = Counter(district(one.code, str(TODAY)) for one in units if one.level == "booth")
    done = {code: len(appointed[code]) / booths[code] for code in reporting}
    ahead = [done[code] for code, share in paces.discipline.items() if share > 0.9 and code != "CG"]
    behind = [done[code] for code, share in paces.discipline.items() if share < 0.5]
    assert min(ahead) > 2 * max(behind), "one sees at once who is ahead"


def test_milestones_are_met_on_time_late_and_not_at_all() -> None:
    plan = {one.milestone: one for one in campaign().plan.milestones}
    met: dict[str, date] = {}
    for one in events():
        if one["kind"] == "incharge_appointed" and one["data"]["role"] in {"incharge", "head"}:
            day = date.fromisoformat(one["occurred_at"][:10])
            met[one["unit"]] = min(day, met.get(one["unit"], day))
    units = campaign().registry.units.values()
    assemblies = [one.code for one in units if one.level == "assembly"]
    deadline = plan["assembly_appointed"].deadline
    states = Counter(
        "overdue" if code not in met else "late" if met[code] > deadline else "on time"
        for code in assemblies
    )
    assert min(states["on time"], states["late"], states["overdue"]) >= 3, states
    assert states["on time"] > len(assemblies) / 2
    recent = [day for unit, day in met.items() if "-B" in unit and (TODAY - day).days < 7]
    assert len(recent) >= 5, "enough for a forecast"


@cache
def contacts() -> list[Contact]:
    holders = OfficeHolders()
    for one in deliveries():
        holders.note(one)
    return holders.make_contacts(seed=1)


def test_there_is_somebody_to_call_about_most_milestones() -> None:
    offices = {(one.unit, one.role) for one in contacts()}
    assert {("CG", "president"), ("CG", "in-charge")} <= offices
    levels = Counter(len(unit.split("-")[-1]) for unit, _ in offices)
    assert levels.total() == len(contacts()), "one person an office"
    for milestone in campaign().plan.milestones:
        known = parse_responsible(milestone.responsible)
        if known and known[0] != "national":
            assert any(role == known[1] for _, role in offices), milestone.responsible


def test_the_persons_are_marked_as_made_up_and_equal_for_equal_seeds() -> None:
    assert contacts.__wrapped__() == contacts()
    for one in contacts():
        assert one.name.endswith(("(demo)", "(डेमो)"))
        assert one.is_made_up
    assert len({one.phone for one in contacts()}) == len(contacts())
    assert {one.language for one in contacts()} == {"hi", "en"}


def test_no_number_can_be_anybodys() -> None:
    """India's numbers do not begin with 0, with or without the 0 that is dialled before them."""
    for one in contacts()[::500]:
        assert one.phone.startswith(FICTIONAL_PREFIX)
        assert len(one.phone) == len("+919000000001")
        for dialled in (one.phone, one.phone.replace("+910", "+91"), one.phone[3:]):
            number = phonenumbers.parse(dialled, "IN")
            assert not phonenumbers.is_valid_number(number), dialled
        with pytest.raises(PhoneError):  # so it counts nowhere as a person's who reports
            to_e164(one.phone)


def test_a_contacts_file_may_have_such_numbers() -> None:
    one = contacts()[0]
    line = f"{one.unit},{one.role},{one.name},{one.phone},{one.language}"
    assert contacts_from_csv(["unit,role,name,phone,language", line], {one.unit}) == [one]
