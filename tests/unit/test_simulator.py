"""The simulated campaign: reproducible, believable, with the requested shares.

Validation accepts every delivery but the broken ones.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import cache
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pravah.days import day_of, day_of_micros, instant_micros
from pravah.units import level_of, routing_key
from producers.simulator import Delivery, SimulationOptions, simulate
from producers.simulator.corruption import CORRUPTIONS, CorruptionContext
from rollup.validation import Rejected, Validator
from schemas.plan import Plan
from schemas.registry import Registry
from schemas.registry_readers import registry_from_csv
from tests.support import small_world

PLAN = """
state = "CG"

[[milestone]]
milestone = "state_appointed"
level = "state"
name_en = "State head appointed"
name_hi = "राज्य प्रमुख नियुक्त"
deadline = 2022-03-10
responsible = "AICC"
responsible_hi = "प्रभारी"
needs = [
    { kind = "incharge_appointed", where = { role = ["head"] } },
    { kind = "committee_formed" },
]

[[milestone]]
milestone = "booth_appointed"
level = "booth"
name_en = "Booth in-charges appointed"
name_hi = "बूथ प्रभारी नियुक्त"
deadline = 2022-05-31
responsible = "assembly in-charge"
responsible_hi = "प्रभारी"
needs = [{ kind = "incharge_appointed", where = { role = ["incharge", "head"] } }]

[[milestone]]
milestone = "booth_trained"
level = "booth"
name_en = "Booth in-charges trained"
name_hi = "बूथ प्रभारी प्रशिक्षित"
deadline = 2022-06-15
responsible = "assembly in-charge"
responsible_hi = "प्रभारी"
prerequisites = ["booth_appointed"]
needs = [{ kind = "training_held", where = { programme = ["incharge"] }, names_unit = true }]
"""

# On this day half of district D1's assemblies and their booths go to the new district D9, in
# another division.
SPLIT = date(2022, 6, 1)


def plan() -> Plan:
    return Plan.from_toml(PLAN)


@cache
def state() -> Registry:
    """Two divisions, four districts, one more from the split on, eight assemblies, 320 booths.

    Every tenth booth opens on 1 May, every eleventh closes on 20 June.
    """
    units = [
        "unit,level,name_en,name_hi,valid_from,valid_to,lat,lon",
        "IN,national,India,भारत,,,,",
        "CG,state,C,छ,,,,",
    ]
    parents = ["unit,parent,valid_from,valid_to", "CG,IN,,"]
    for division in "AB":
        units.append(f"CG-V-{division},division,{division},{division},,,,")
        parents.append(f"CG-V-{division},CG,,")
    for district in "1239":
        units.append(f"CG-D-D{district},district,D,D,{SPLIT if district == '9' else ''},,,")
        parents.append(f"CG-D-D{district},CG-V-{'A' if district in '12' else 'B'},,")
    for assembly in range(1, 9):
        code, district = f"CG-AC{assembly:03}", f"CG-D-D{1 + assembly % 3}"
        moves = assembly == 3
        above = (
            [(district, "", str(SPLIT - timedelta(1))), ("CG-D-D9", str(SPLIT), "")]
            if moves
            else [(district, "", "")]
        )
        units.append(f"{code},assembly,A,A,,,,")
        parents += [f"{code},{parent},{first},{last}" for parent, first, last in above]
        for number in range(1, 41):
            booth = f"{code}-B{number:04}"
            units.append(
                f"{booth},booth,B,B,{'2022-05-01' if number % 10 == 0 else ''},"
                f"{'2022-06-20' if number % 11 == 0 else ''},,"
            )
            parents += [
                f"{booth},{code},,",
                *(f"{booth},{parent},{first},{last}" for parent, first, last in above),
            ]
    return registry_from_csv({"state.units.csv": units, "state.parents.csv": parents})


def campaign(**options: Any) -> list[Delivery]:
    return list(
        simulate(
            state(),
            plan(),
            SimulationOptions(
                **{
                    "first": date(2022, 3, 1),
                    "last": date(2022, 7, 15),
                    "events": 20_000,
                    **options,
                }
            ),
        )
    )


class BrokerRecord(NamedTuple):
    """A record as the broker would hold it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def validator(registry: Registry) -> Validator:
    return Validator(
        registry, small_world.dictionary(), partition_of=lambda _: 0, max_future_hours=24.0
    )


def to_record(delivery: Delivery) -> BrokerRecord:
    return BrokerRecord(
        0,
        int(delivery.sent_at.timestamp() * 1000),
        delivery.key.encode() if delivery.key else None,
        delivery.value,
    )


def events(deliveries: Iterable[Delivery]) -> list[tuple[Delivery, dict[str, Any]]]:
    """The valid deliveries with their events, without repeats, in the order of delivery."""
    return [
        (delivery, orjson.loads(delivery.value or b""))
        for delivery in deliveries
        if delivery.sort not in {"broken", "repeat"}
    ]


def day(event: dict[str, Any]) -> int:
    return day_of_micros(instant_micros(datetime.fromisoformat(event["occurred_at"])))


def name(event: dict[str, Any]) -> str:
    return str(event.get("entity", event["event_id"]))


@pytest.fixture(scope="module")
def half_year() -> list[Delivery]:
    return campaign()


def test_equal_options_give_equal_bytes() -> None:
    assert campaign(events=3_000) == campaign(events=3_000)


@pytest.mark.parametrize("other", [{"seed": 2}, {"events": 3_001}, {"late": 0.03}])
def test_another_seed_or_option_gives_other_entities(
    other: dict[str, Any],
) -> None:
    one, two = (
        {name(event) for _, event in events(campaign(**options))}
        for options in ({"events": 3_000}, {"events": 3_000, **other})
    )
    assert not one & two


def test_deliveries_come_in_order_and_never_before_their_occurrence(
    half_year: list[Delivery],
) -> None:
    assert all(earlier.sent_at <= later.sent_at for earlier, later in pairwise(half_year))
    for delivery, event in events(half_year):
        reported = event.get("reported_at", event["occurred_at"])
        assert (
            datetime.fromisoformat(event["occurred_at"])
            <= datetime.fromisoformat(reported)
            <= delivery.sent_at
        )


def test_validation_rejects_exactly_the_broken_deliveries(half_year: list[Delivery]) -> None:
    check = validator(state())
    reasons = Counter[str]()
    for delivery in half_year:
        verdict = check.validate(0, to_record(delivery))
        assert isinstance(verdict, Rejected) == (delivery.sort == "broken"), (verdict, delivery)
        if isinstance(verdict, Rejected):
            reasons[verdict.reason] += 1
    assert reasons.keys() == {
        "empty",
        "not_utf8",
        "not_json",
        "invalid",
        "unknown_unit",
        "closed_unit",
        "far_future",
        "unknown_metric",
        "unknown_trained_unit",
    }


def test_the_shares_are_those_requested(half_year: list[Delivery]) -> None:
    total = len(half_year)
    assert total == pytest.approx(20_000, rel=0.02)
    sorts = Counter(delivery.sort for delivery in half_year)
    for sort, share in {
        "repeat": 0.05,
        "correction": 0.03,
        "retraction": 0.01,
        "broken": 0.01,
        "check": 0.02,
    }.items():
        assert sorts[sort] / total == pytest.approx(share, abs=0.001), sort  # type: ignore[index]
    good = events(half_year)
    late = [
        d
        for d, event in good
        if d.sort in {"report", "observation"}
        and d.sent_at - datetime.fromisoformat(event["occurred_at"]) >= timedelta(days=14)
    ]
    assert len(late) / total == pytest.approx(0.02, abs=0.001)
    assert sum(
        delivery.key != routing_key(event["unit"]) for delivery, event in good
    ) / total == pytest.approx(0.002, abs=0.0005)


def test_a_repeat_is_the_same_bytes_again_later(half_year: list[Delivery]) -> None:
    seen: dict[bytes | None, datetime] = {}
    for delivery in half_year:
        if delivery.sort == "repeat":
            assert seen[delivery.value] < delivery.sent_at
        elif delivery.sort != "broken":
            assert delivery.value not in seen
        seen.setdefault(delivery.value, delivery.sent_at)


def test_versions_of_an_entity_are_distinct_and_some_overtake_others(
    half_year: list[Delivery],
) -> None:
    versions = defaultdict[str, list[int]](list)
    names = defaultdict[str, set[str]](set)
    for _, event in events(half_year):
        versions[name(event)].append(event.get("version", 1))
        names[name(event)].add(event["event_id"])
    assert all(
        len(set(numbers)) == len(numbers) == len(names[entity])
        for entity, numbers in versions.items()
    )
    assert all(set(numbers) == set(range(1, len(numbers) + 1)) for numbers in versions.values())
    overtaken = [numbers for numbers in versions.values() if numbers != sorted(numbers)]
    assert len(overtaken) > 20


def test_an_entity_leaves_its_routing_key_only_by_a_retraction_there_and_a_higher_version_elsewhere(
    half_year: list[Delivery],
) -> None:
    by_key = defaultdict[str, dict[str, list[dict[str, Any]]]](lambda: defaultdict(list))
    for _, event in events(half_year):
        by_key[name(event)][routing_key(event["unit"])].append(event)
    moved = [keys for keys in by_key.values() if len(keys) > 1]
    assert moved
    for keys in moved:
        highest = [max(some, key=lambda event: event.get("version", 1)) for some in keys.values()]
        last = max(highest, key=lambda event: event["version"])
        left = [event for event in highest if event is not last]
        assert all(event["op"] == "retract" for event in left)
        assert all(
            event.get("version", 1) > max(e.get("version", 1) for e in left)
            for event in keys[routing_key(last["unit"])]
        )


def test_every_kind_level_and_verification_is_reported(half_year: list[Delivery]) -> None:
    reported = [event for _, event in events(half_year)]
    assert {event["kind"] for event in reported} == {
        "incharge_appointed",
        "committee_formed",
        "training_held",
        "messaging_group",
        "social_post",
        "membership",
        "tally",
    }
    assert {level_of(event["unit"]) for event in reported} == {
        "state",
        "division",
        "district",
        "assembly",
        "booth",
    }
    assert {event.get("verification", "unverified") for event in reported} == {
        "unverified",
        "verified",
        "rejected",
    }
    assert {event["data"].get("active", True) for event in reported if "data" in event} == {
        True,
        False,
    }


def test_appointments_gather_before_the_deadline_with_stragglers_after_it_and_some_never(
    half_year: list[Delivery],
) -> None:
    deadline = day_of(date(2022, 5, 31))
    first = dict[str, int]()
    for delivery, event in events(half_year):
        if (
            delivery.sort == "report"
            and event["kind"] == "incharge_appointed"
            and level_of(event["unit"]) == "booth"
        ):
            first[event["unit"]] = min(first.get(event["unit"], day(event)), day(event))
    booths = sum(unit.level == "booth" for unit in state().units.values())
    by_deadline = sum(done <= deadline for done in first.values())
    assert 0.5 * booths < by_deadline < len(first) < booths
    last_weeks = sum(deadline - 21 < done <= deadline for done in first.values())
    assert last_weeks > 0.6 * by_deadline


def test_booths_report_before_and_after_they_move_to_a_new_district(
    half_year: list[Delivery],
) -> None:
    days = [day(event) for _, event in events(half_year) if event["unit"].startswith("CG-AC003-")]
    assert min(days) < day_of(SPLIT) <= max(days)
    assert any(event["unit"] == "CG-D-D9" for _, event in events(half_year))


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_every_way_to_break_an_event_is_refused(corruption: str) -> None:
    good = {
        "event_id": "4da68c3e-ba54-504d-bb6f-05ef74799a76",
        "entity": "kobo:cg-1:social_post:1",
        "version": 1,
        "unit": "CG-AC001-B0001",
        "kind": "social_post",
        "occurred_at": "2022-03-05T12:00:00+05:30",
        "source": {"tool": "kobotoolbox", "producer": "kobo:cg-1"},
        "data": {"platform": "facebook", "posts": 2},
    }
    check = validator(small_world.registry())
    around = CorruptionContext(("CG-AC999",), "CG-AC002-B0005")
    for seed in range(30):
        value = CORRUPTIONS[corruption](good, Random(seed), around)
        assert isinstance(
            check.validate(0, BrokerRecord(0, 1_646_500_000_000, None, value)), Rejected
        ), value
    assert not isinstance(
        check.validate(0, BrokerRecord(0, 1_646_500_000_000, None, orjson.dumps(good))), Rejected
    )


@settings(max_examples=40, deadline=None)
@given(
    first=st.dates(date(2022, 2, 1), date(2022, 7, 1)),
    days=st.integers(0, 120),
    count=st.integers(1, 1_500),
    shares=st.fixed_dictionaries(
        {
            share: st.sampled_from([0.0, 0.02, 0.15])
            for share in (
                "repeats",
                "corrections",
                "retractions",
                "broken",
                "late",
                "wrong_key",
                "checks",
                "silent",
            )
        }
    ),
    seed=st.integers(),
)
def test_any_span_and_shares_are_met(
    first: date, days: int, count: int, shares: dict[str, float], seed: int
) -> None:
    options = SimulationOptions(
        seed=seed, first=first, last=first + timedelta(days), events=count, **shares
    )  # type: ignore[arg-type]
    deliveries = list(simulate(small_world.registry(), plan(), options))
    assert abs(len(deliveries) - count) <= 0.02 * count + 20
    check = validator(small_world.registry())
    for delivery in deliveries:
        assert isinstance(check.validate(0, to_record(delivery)), Rejected) == (
            delivery.sort == "broken"
        ), delivery
    assert all(
        day_of(first) <= day(event) <= day_of(first) + days for _, event in events(deliveries)
    )


def test_a_live_simulation_begins_at_its_instant() -> None:
    begin = datetime.fromisoformat("2022-05-10T14:07:33+05:30")
    deliveries = campaign(
        first=date(2022, 5, 10), last=date(2022, 5, 10), begin=begin, steady=True, events=2_000
    )
    occurred = [datetime.fromisoformat(event["occurred_at"]) for _, event in events(deliveries)]
    assert min(occurred) >= begin
    assert max(occurred) < datetime.fromisoformat("2022-05-11T00:00:00+05:30")


@pytest.mark.parametrize(
    "options",
    [
        {"first": date(2022, 3, 2), "last": date(2022, 3, 1)},
        {"repeats": 0.5, "corrections": 0.5},
        {"begin": datetime.fromisoformat("2022-04-01T00:00:00+05:30")},
        {"first": date(1999, 1, 1)},
        {"colour": "red"},
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SimulationOptions(**options)


def test_a_state_without_units_is_refused() -> None:
    with pytest.raises(ValueError, match="no unit of state 'MP'"):
        simulate(state(), plan(), SimulationOptions(state="MP"))
