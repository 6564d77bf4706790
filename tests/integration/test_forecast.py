"""The forecast in ClickHouse equals one computed by the formulas in docs/plan.md."""

import math
import random
from collections.abc import Callable
from datetime import date, datetime, time, timedelta

import pytest

from schemas.registry import Registry
from schemas.registry_readers import registry_from_csv
from sinks.forecast import forecasts
from tests.support import oracle, small_world
from tests.support.deployment import Deployment
from tests.support.folding import fold

FIRST = date(2022, 4, 1)
DAYS = 120
BOOTHS = 200


def wide_world() -> Registry:
    """One assembly in district A with 150 booths, one in B with 50: enough units for a pace."""
    units = [
        "unit,level,name_en,name_hi,valid_from,valid_to,lat,lon",
        "IN,national,I,I,,,,",
        "CG,state,C,C,,,,",
        "CG-V-N,division,N,N,,,,",
    ]
    parents = ["unit,parent,valid_from,valid_to", "CG,IN,,", "CG-V-N,CG,,"]
    for district, assembly in (("CG-D-A", "CG-AC001"), ("CG-D-B", "CG-AC002")):
        units += [f"{district},district,D,D,,,,", f"{assembly},assembly,A,A,,,,"]
        parents += [f"{district},CG-V-N,,", f"{assembly},{district},,"]
    for number in range(1, BOOTHS + 1):
        assembly, district = ("CG-AC001", "CG-D-A") if number <= 150 else ("CG-AC002", "CG-D-B")
        units.append(f"{assembly}-B{number:04},booth,B,B,,,,")
        parents += [
            f"{assembly}-B{number:04},{assembly},,",
            f"{assembly}-B{number:04},{district},,",
        ]
    return registry_from_csv({"wide.units.csv": units, "wide.parents.csv": parents})


def campaign(choose: random.Random) -> dict[str, int]:
    """Booth → day of its in-charge: a rush before the deadline, 31 May (day 60), then fewer."""
    days = {}
    for number in range(1, BOOTHS + 1):
        if choose.random() < 0.85:
            late = choose.random() < 0.3
            day = (
                61 + int(choose.expovariate(1 / 20))
                if late
                else 60 - int(choose.gammavariate(2, 8))
            )
            if 0 <= day < DAYS:
                days[f"CG-AC00{1 if number <= 150 else 2}-B{number:04}"] = day
    return days


def appointed(unit: str, day: int, number: int) -> dict:
    return {
        "event_id": f"00000000-0000-4000-8000-{number:012d}",
        "unit": unit,
        "kind": "incharge_appointed",
        "occurred_at": f"{FIRST + timedelta(days=day)}T10:00:00+05:30",
        "source": {"tool": "test", "producer": "forecast"},
        "data": {"role": "incharge", "person": "a" * 64},
    }


def expected_forecast(
    days: list[int], of_all: list[int], units: int, all_units: int, today: int, share: float
) -> tuple:
    """(done, recent, goal, outlook, reached, earliest, latest) by docs/plan.md; days as numbers."""
    done, recent = sum(day <= today for day in days), sum(today - 7 < day <= today for day in days)
    goal = math.ceil(share * units - 1e-6)
    missing, still = goal - done, units - done
    if missing <= 0:
        return (done, recent, goal, "reached", sorted(days)[goal - 1], None, None)
    if recent < 5:
        return (done, recent, goal, "too_little", None, None, None)
    week, before = (
        sum(today - 7 < day <= today for day in of_all),
        sum(today - 14 < day <= today - 7 for day in of_all),
    )
    all_open = all_units - sum(day <= today for day in of_all)
    trend = (
        math.log(
            ((week + 1) / (all_open + week / 2 + 1))
            / ((before + 1) / (all_open + week + before / 2 + 1))
        )
        / 7
    )
    trend = max(-0.5, min(0.5, trend / 2 if trend > 0 else trend))
    chance = recent / (7 * (still + recent / 2)) * math.exp(trend * 3.5)
    risk = math.log((still + 0.5) / (still - missing + 0.5))
    bend = 1 + trend * risk / chance
    ahead = (
        math.inf if bend <= 0 else risk / chance if abs(trend) < 1e-6 else math.log(bend) / trend
    )
    if ahead > 365:
        return (done, recent, goal, "not_in_sight", None, None, None)
    spread = 1 / recent + (1 / (still - missing + 0.5) - 1 / (still + 0.5)) / risk**2
    low, high = (
        ahead * math.exp(-1.2816 * math.sqrt(spread + 1 / 2)),
        ahead * math.exp(1.2816 * math.sqrt(spread + 9 / 4)),
    )
    return (
        done,
        recent,
        goal,
        "forecast",
        today + max(math.ceil(ahead), 1),
        today + max(math.floor(low), 1),
        today + math.ceil(high) if high <= 365 else None,
    )


def test_the_forecast_follows_its_formula_at_every_ancestor_date_and_share(
    deploy: Callable[..., Deployment],
) -> None:
    registry = wide_world()
    deployment = deploy(registry)
    met = campaign(random.Random(3))
    fold(
        deployment.settings.clickhouse,
        registry,
        [appointed(unit, day, number) for number, (unit, day) in enumerate(met.items())],
    )
    seen = set()
    for today in (20, 40, 47, 54, 60, 66, 73, 90, 119):
        as_of = datetime.combine(FIRST + timedelta(days=today), time(9), oracle.KOLKATA)
        for unit, belongs, units in (
            ("CG", "CG", 200),
            ("CG-D-A", "CG-AC001", 150),
            ("CG-AC002", "CG-AC002", 50),
        ):
            days = [day for booth, day in met.items() if booth.startswith(belongs)]
            for share in (0.5, 0.8, 1.0):
                (found,) = [
                    one
                    for one in forecasts(deployment.clickhouse, unit, as_of, share=share)
                    if one.milestone == "booth_appointed"
                ]
                dates = [
                    None if day is None else (day - FIRST).days
                    for day in (found.reached_at, found.earliest, found.latest)
                ]
                wanted = expected_forecast(days, list(met.values()), units, 200, today, share)
                assert (found.done, found.recent, found.goal, found.outlook, *dates) == wanted
                assert found.expected == units
                seen.add(found.outlook)
    assert seen == {"reached", "forecast", "not_in_sight", "too_little"}


@pytest.mark.parametrize("share", [0.01, 1.0])
def test_without_events_there_is_no_forecast(deployment: Deployment, share: float) -> None:
    found = forecasts(
        deployment.clickhouse,
        "CG",
        datetime.combine(small_world.FIRST_DAY, time(12), oracle.KOLKATA),
        share=share,
    )
    assert {one.outlook for one in found} == {"too_little"}
    assert all(one.reached_at is one.earliest is one.latest is None for one in found)
