"""The roll-up of one chunk: entries of all ancestors, of flows and of stocks whose unit moves."""

from datetime import date

import numpy as np
import pytest

from pravah.days import date_of, day_of
from rollup.fold import Rollup, journal_block
from rollup.version_columns import Encodings
from tests.support import small_world

MOVING, CLOSING, STAYING = "CG-AC001-B0002", "CG-AC001-B0004", "CG-AC001-B0001"
FLOW, STOCK = "posts_facebook", "whatsapp_groups"


def on(number: int) -> int:
    return day_of(date.fromisoformat(small_world.on(number)))


@pytest.fixture
def encodings() -> Encodings:
    return Encodings.of(small_world.registry(), small_world.dictionary())


def changes(encodings: Encodings, *rows: tuple) -> np.ndarray:
    """Rows of unit, metric, day, value, verified value, reports."""
    return np.array(
        [
            (encodings.hierarchy.numbers[unit], encodings.metrics.intern(metric), on(day), *sums)
            for unit, metric, day, *sums in rows
        ],
        np.int64,
    ).reshape(-1, 6)


def lines(metric: str, day: int, sums: list[int], *units: str) -> dict:
    """Entries with the same sums at several units."""
    levels = {"IN": "national", "CG": "state", "CG-V": "division", "CG-D": "district"}
    return {
        (
            levels.get(unit[:4], levels.get(unit, "booth" if "-B" in unit else "assembly")),
            metric,
            unit,
            on(day),
        ): sums
        for unit in units
    }


ABOVE = ("CG-AC001", "CG-V-N", "CG", "IN")


def test_a_flow_belongs_to_the_ancestors_of_its_day(encodings: Encodings) -> None:
    rollup = Rollup(encodings)
    rollup.add(changes(encodings, (MOVING, FLOW, 29, 5, 2, 1), (MOVING, FLOW, 30, 7, 0, 1)))
    rollup.add(changes(encodings, (STAYING, FLOW, 30, 1, 1, 1), ("CG-AC001", FLOW, 30, 2, 0, 1)))
    assert rollup.entries() == {
        **lines(FLOW, 29, [5, 2, 1], MOVING, "CG-D-A", *ABOVE),
        **lines(FLOW, 30, [7, 0, 1], MOVING, "CG-D-D"),
        **lines(FLOW, 30, [1, 1, 1], STAYING),
        **lines(FLOW, 30, [3, 1, 2], "CG-D-A"),
        **lines(FLOW, 30, [10, 1, 3], *ABOVE),
    }


def test_a_stock_follows_its_unit_and_its_reports_stay(encodings: Encodings) -> None:
    rollup = Rollup(encodings)
    rollup.add(changes(encodings, (MOVING, STOCK, 10, 5, 2, 1), (MOVING, STOCK, 10, 1, 0, 1)))
    assert rollup.entries() == {
        **lines(STOCK, 10, [6, 2, 2], MOVING, "CG-D-A", *ABOVE),
        **lines(STOCK, 30, [-6, -2, 0], "CG-D-A"),
        **lines(STOCK, 30, [6, 2, 0], "CG-D-D"),
    }
    rollup.add(changes(encodings, (MOVING, STOCK, 30, 1, 0, 0)))
    assert rollup.entries() == {
        **lines(STOCK, 10, [6, 2, 2], MOVING, "CG-D-A", *ABOVE),
        **lines(STOCK, 30, [-6, -2, 0], "CG-D-A"),
        **lines(STOCK, 30, [7, 2, 0], "CG-D-D"),
        **lines(STOCK, 30, [1, 0, 0], MOVING, *ABOVE),
    }


def test_a_stock_ends_with_its_unit_and_a_change_without_report_leaves_no_other_entry(
    encodings: Encodings,
) -> None:
    rollup = Rollup(encodings)
    rollup.add(changes(encodings, (CLOSING, STOCK, 39, 4, 4, 0)))
    units = (CLOSING, "CG-D-A", *ABOVE)
    assert rollup.entries() == {
        **lines(STOCK, 39, [4, 4, 0], *units),
        **lines(STOCK, 41, [-4, -4, 0], *units),
    }


def test_reported_cells_have_an_entry_even_if_their_figure_is_zero(encodings: Encodings) -> None:
    rollup = Rollup(encodings)
    rollup.add(changes(encodings, (CLOSING, STOCK, 39, 0, 0, 1)))
    rollup.add(changes(encodings, (MOVING, FLOW, 39, 0, 0, 1)))
    units = (CLOSING, "CG-D-A", *ABOVE)
    assert rollup.entries() == {
        **lines(STOCK, 39, [0, 0, 1], *units),
        **lines(STOCK, 41, [0, 0, 0], *units),
        **lines(FLOW, 39, [0, 0, 1], MOVING, "CG-D-D", *ABOVE),
    }


def test_only_entries_that_changed_are_taken_with_their_absolute_sums(encodings: Encodings) -> None:
    rollup = Rollup(encodings)

    def taken() -> dict[tuple, tuple]:
        keys, sums = rollup.take_changed()
        rows = list(rollup.journal(keys, sums, 3, 40, 50))
        assert {(*row[4:6], row[9]) for row in rows} <= {(3, 40, 50)}
        assert len(rows) == len(keys)
        return {(*row[:3], row[3]): row[6:9] for row in rows}

    assert taken() == {}
    rollup.add(changes(encodings, (STAYING, FLOW, 5, 1, 0, 1), ("CG-AC002", FLOW, 6, 2, 2, 1)))
    assert len(taken()) == 6 + 5
    assert taken() == {}
    rollup.add(changes(encodings, ("CG-D-A", FLOW, 5, 3, 1, 1), ("CG-D-C", FLOW, 7, 9, 9, 1)))
    rollup.entries()
    rollup.add(changes(encodings, ("CG", FLOW, 5, 1, 0, 1)))
    day, week = date_of(on(5)), date_of(on(7))
    assert taken() == {
        ("district", FLOW, "CG-D-A", day): (4, 1, 2),
        ("division", FLOW, "CG-V-N", day): (4, 1, 2),
        ("state", FLOW, "CG", day): (5, 1, 3),
        ("national", FLOW, "IN", day): (5, 1, 3),
        ("district", FLOW, "CG-D-C", week): (9, 9, 1),
        ("division", FLOW, "CG-V-S", week): (9, 9, 1),
        ("state", FLOW, "CG", week): (9, 9, 1),
        ("national", FLOW, "IN", week): (9, 9, 1),
    }


def test_the_last_day_and_the_last_metric_fit_into_a_cell(encodings: Encodings) -> None:
    for number in range(65_535):
        encodings.metrics.intern(f"m{number}")
    unit, metric = encodings.hierarchy.numbers["IN"], 65_535
    rollup = Rollup(encodings)
    rollup.add(np.array([[unit, metric, 65_535, 1, 0, 1]], np.int64))
    (key,) = rollup.entries()
    assert key == ("national", encodings.metrics.names[metric], "IN", 65_535)


def test_rows_of_the_journal_may_name_units_that_this_registry_does_not_have() -> None:
    assert list(journal_block([], 1, 2)) == []
    block = journal_block(
        [
            (("state", "m1", "XX", 7), (1, 2, 3), 11),
            (("booth", "m2", "XX-AC001-B0001", 8), [4, 5, 6], 12),
            (("national", "m1", "IN", 9), (7, 8, 9), 13),
        ],
        *(1, 2),
    )
    assert list(block) == [
        ("state", "m1", "XX", date_of(7), 1, 2, 1, 2, 3, 11),
        ("booth", "m2", "XX-AC001-B0001", date_of(8), 1, 2, 4, 5, 6, 12),
        ("national", "m1", "IN", date_of(9), 1, 2, 7, 8, 9, 13),
    ]
