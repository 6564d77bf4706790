"""The benchmarks' peers count the same figures as Pravah, so that the speeds are comparable."""

from datetime import date

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from benchmarks.peers.counting import EventCounter, Totals
from operations.registry_files import read_registry_files
from pravah.events import MODELS
from producers.simulator import Delivery, SimulationOptions, simulate
from producers.simulator.corruption import CORRUPTIONS
from reference.defaults import default_dictionary, default_plan
from schemas.registry import Registry
from tests.support import oracle


@pytest.fixture(scope="module")
def chhattisgarh() -> Registry:
    return read_registry_files(reference.registry_files())


def campaign(registry: Registry, **shares: float) -> list[Delivery]:
    """First reports alone, over days on which districts were made, but for the shares given."""
    none = dict.fromkeys(
        ("repeats", "corrections", "retractions", "broken", "checks", "wrong_key"), 0.0
    )
    options = SimulationOptions(
        seed=7, first=date(2022, 8, 20), last=date(2022, 10, 5), events=600, **{**none, **shares}
    )
    return list(simulate(registry, default_plan(), options))


def counted(counting: EventCounter, deliveries: list[Delivery]) -> dict:
    totals: Totals = {}
    counting.add([delivery.value for delivery in deliveries], totals)
    levels, units, metrics, days, values = counting.fold(totals)
    figures = dict(zip(zip(days, levels, units, metrics, strict=True), values, strict=True))
    assert len(figures) == len(values), "a figure stands twice"
    return {key: value for key, value in figures.items() if value}


def test_peers_count_first_reports_as_the_oracle_does(chhattisgarh: Registry) -> None:
    deliveries = campaign(chhattisgarh)
    hierarchy = oracle.Hierarchy.read(reference.registry_files()[0].parent)
    right = oracle.figures([orjson.loads(delivery.value) for delivery in deliveries], hierarchy)
    flows = {
        key: value for key, (value, _) in right.items() if key[3] not in oracle.STOCKS and value
    }
    found = counted(EventCounter(chhattisgarh, default_dictionary()), deliveries)
    assert {level for _, level, _, _ in flows} == set(oracle.LEVEL_ORDER)
    assert {key: value for key, value in found.items() if key[3] not in oracle.STOCKS} == flows


def test_peers_count_a_repeat_twice_and_that_is_all_they_do_about_it(
    chhattisgarh: Registry,
) -> None:
    deliveries = campaign(chhattisgarh)
    once = counted(EventCounter(chhattisgarh, default_dictionary()), deliveries)
    twice = counted(EventCounter(chhattisgarh, default_dictionary()), deliveries * 2)
    assert twice == {key: 2 * value for key, value in once.items()}


def test_totals_of_a_process_that_was_killed_are_folded_by_the_next(chhattisgarh: Registry) -> None:
    deliveries = campaign(chhattisgarh)
    totals: Totals = {}
    before = EventCounter(chhattisgarh, default_dictionary())
    before.add([delivery.value for delivery in deliveries], totals)
    rows = [
        sorted(zip(*counting.fold(totals), strict=True))
        for counting in (before, EventCounter(chhattisgarh, default_dictionary()))
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    "at",
    [
        "2022-06-21T00:15:00+05:30",
        "2022-06-20T18:45:00Z",
        "2022-06-20T13:45:00.5-05:00",
        "2022-06-21T23:59:59.999+05:30",
    ],
)
def test_the_day_is_that_in_kolkata(chhattisgarh: Registry, at: str) -> None:
    event = {
        "unit": "CG-AC084-B0017",
        "kind": "membership",
        "occurred_at": at,
        "data": {"mode": "digital", "count": 3},
    }
    found = EventCounter(chhattisgarh, default_dictionary()).read(orjson.dumps(event))
    assert found is not None
    assert found[1] == date(2022, 6, 21)


@pytest.mark.parametrize("unit", ["CG-AC999-B0001", "ZZ", "", 7, None, ["CG"], {"CG": 1}])
def test_an_event_of_no_unit_is_skipped(chhattisgarh: Registry, unit: object) -> None:
    event = {
        "unit": unit,
        "kind": "membership",
        "occurred_at": "2022-06-20T10:00:00+05:30",
        "data": {"mode": "digital", "count": 3},
    }
    assert EventCounter(chhattisgarh, default_dictionary()).read(orjson.dumps(event)) is None


def test_broken_records_end_no_peer(chhattisgarh: Registry) -> None:
    deliveries = campaign(chhattisgarh, broken=0.5)
    assert sum(delivery.sort == "broken" for delivery in deliveries) > len(CORRUPTIONS)
    counted(EventCounter(chhattisgarh, default_dictionary()), deliveries)


JUNK = (
    st.none()
    | st.booleans()
    | st.integers(0, 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.just([])
    | st.just({})
)
NAMES = (
    "platform",
    "posts",
    "reach",
    "mode",
    "count",
    "group_type",
    "members",
    "metric",
    "value",
    "attendees",
    "active",
)


@given(
    st.none()
    | st.binary(max_size=60)
    | st.recursive(JUNK, lambda inner: st.lists(inner, max_size=3), max_leaves=5).map(orjson.dumps)
)
def test_no_record_ends_a_peer(chhattisgarh: Registry, raw: bytes | None) -> None:
    assert EventCounter(chhattisgarh, default_dictionary()).read(raw) is None


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "unit": st.just("CG-AC084-B0017") | JUNK,
            "kind": st.sampled_from(sorted(MODELS)) | JUNK,
            "occurred_at": st.sampled_from(
                [
                    "2022-06-20T10:00:00+05:30",
                    "2022-06-20T10:00:00Z",
                    "2022-13-45T10:00:00+05:30",
                    "+05:30",
                ]
            )
            | JUNK,
            "data": st.dictionaries(
                st.sampled_from(NAMES),
                st.sampled_from(["facebook", "digital", "whatsapp", "volunteers"]) | JUNK,
                max_size=6,
            )
            | JUNK,
        },
    )
)
def test_no_object_ends_a_peer_or_gives_what_is_no_number(
    chhattisgarh: Registry, event: dict
) -> None:
    found = EventCounter(chhattisgarh, default_dictionary()).read(orjson.dumps(event))
    assert found is None or all(type(amount) is int for _, amount in found[3])
