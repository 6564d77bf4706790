"""The registry as arrays says the same as the registry, on and beside every day of a change."""

from datetime import date

import numpy as np
import pytest

from pravah.days import FIRST_DAY, LAST_DAY, day_of
from pravah.units import LEVELS, routing_key
from rollup.hierarchy import NO_LINE, Hierarchy, Target, stock_targets
from schemas.registry import Registry
from tests.support import small_world

REGISTRY = small_world.registry()


def on(number: int) -> int:
    return day_of(date.fromisoformat(small_world.on(number)))


# Units move, open or close on days 20, 25, 30 and 41.
DAYS = [
    FIRST_DAY,
    *(on(change) + step for change in (20, 25, 30, 41) for step in (-1, 0, 1)),
    LAST_DAY,
]


@pytest.fixture
def hierarchy() -> Hierarchy:
    return Hierarchy(REGISTRY)


def open_days(hierarchy: Hierarchy) -> tuple[np.ndarray, np.ndarray]:
    """All units with all days on which they are open."""
    cases = [
        (hierarchy.numbers[code], day)
        for day in DAYS
        for code in REGISTRY.units
        if REGISTRY.is_open(code, day)
    ]
    units, days = np.array(cases, np.int32).T
    return units, days


def test_codes_levels_and_routing_keys_are_those_of_the_registry(hierarchy: Hierarchy) -> None:
    assert hierarchy.codes == list(REGISTRY.units)
    for number, (code, unit) in enumerate(REGISTRY.units.items()):
        assert hierarchy.numbers[code] == number
        assert LEVELS[hierarchy.levels[number]] == unit.level
        assert hierarchy.key_names[hierarchy.keys[number]] == routing_key(code)


def test_a_unit_is_at_or_below_another_one_on_the_days_that_the_registry_says(
    hierarchy: Hierarchy,
) -> None:
    codes = hierarchy.codes
    cases = [(unit, other, day) for day in DAYS for unit in codes for other in codes]
    units, others = (
        np.array([hierarchy.numbers[case[part]] for case in cases], np.int32) for part in (0, 1)
    )
    found = hierarchy.are_at_or_below(units, others, np.array([case[2] for case in cases]))
    assert found.tolist() == [REGISTRY.is_at_or_below(*case) for case in cases]


def test_an_unknown_unit_is_below_none(hierarchy: Hierarchy) -> None:
    numbers = np.arange(len(hierarchy.codes), dtype=np.int32)
    unknown, days = np.full_like(numbers, -1), np.full_like(numbers, on(50))
    assert not hierarchy.are_at_or_below(unknown, numbers, days).any()


def test_lines_are_the_ancestors_nearest_first(hierarchy: Hierarchy) -> None:
    units, days = open_days(hierarchy)
    for _ in range(2):  # computed, and then from memory
        lines = hierarchy.lines(units, days).tolist()
        for unit, day, number in zip(units.tolist(), days.tolist(), lines, strict=True):
            line, found = number, []
            expected = REGISTRY.line_above(hierarchy.codes[unit], day)
            while line != NO_LINE:
                found.append(hierarchy.codes[hierarchy.heads[line]])
                line = hierarchy.rests[line]
            above = []
            while expected is not None:
                above.append(expected.head)
                expected = expected.rest
            assert found == above


def test_a_unit_is_settled_from_its_last_change_on(hierarchy: Hierarchy) -> None:
    units, days = open_days(hierarchy)
    hierarchy.lines(units, days)
    for unit, day, is_settled in zip(
        units.tolist(), days.tolist(), hierarchy.are_settled(units, days).tolist(), strict=True
    ):
        last = REGISTRY.stretches(hierarchy.codes[unit])[-1]
        assert is_settled == (last.last == LAST_DAY and last.first <= day)


def test_a_unit_that_closes_before_the_last_day_is_never_settled() -> None:
    closing = [
        unit._replace(last=LAST_DAY - 1) if unit.code == "CG-AC001-B0001" else unit
        for unit in REGISTRY.units.values()
    ]
    hierarchy = Hierarchy(Registry(closing))
    units = np.array([hierarchy.numbers["CG-AC001-B0001"]])
    days = np.array([LAST_DAY - 1])
    hierarchy.lines(units, days)
    assert not hierarchy.are_settled(units, days).any()


def test_a_stock_follows_its_unit_into_another_district() -> None:
    def targets(day: int) -> set[tuple[str, int, int]]:
        return {
            (one.unit, one.day, one.sign)
            for one in stock_targets(REGISTRY, "CG-AC001-B0002", on(day))
        }

    same = ("CG-AC001-B0002", "CG-AC001", "CG-V-N", "CG", "IN")
    for day in (10, 29):
        assert targets(day) == {
            *((unit, on(day), 1) for unit in same),
            *(("CG-D-A", on(day), 1), ("CG-D-A", on(30), -1), ("CG-D-D", on(30), 1)),
        }
    assert targets(30) == {(unit, on(30), 1) for unit in (*same, "CG-D-D")}


def test_a_stock_leaves_all_ancestors_on_the_day_after_its_unit_closes() -> None:
    targets = list(stock_targets(REGISTRY, "CG-AC001-B0004", on(40)))
    assert targets[:2] == [
        Target("booth", "CG-AC001-B0004", on(40), 1),
        Target("booth", "CG-AC001-B0004", on(41), -1),
    ]
    assert sorted((one.day, one.sign) for one in targets) == 6 * [(on(40), 1)] + 6 * [(on(41), -1)]


def test_effects_of_many_stocks_are_those_of_each(hierarchy: Hierarchy) -> None:
    units, days = open_days(hierarchy)
    expected = [
        (row, hierarchy.numbers[one.unit], one.day, one.sign)
        for row, (unit, day) in enumerate(zip(units.tolist(), days.tolist(), strict=True))
        for one in stock_targets(REGISTRY, hierarchy.codes[unit], day)
    ]
    found = hierarchy.stock_targets(units, days)
    assert list(zip(*(part.tolist() for part in found), strict=True)) == expected
