"""Accepted versions as columns, and the rows of the ledger that are made of them."""

import json
from datetime import date
from uuid import UUID

import numpy as np
import pytest

from pravah.days import day_of
from rollup.batch_validation import BatchValidator
from rollup.record_batch import BatchRecord
from rollup.storage import LEDGER
from rollup.validation import Accepted, Validator
from rollup.version_columns import Encodings, LedgerColumns, VersionColumns, columns_of
from rollup.versions import Version
from tests.support import small_world

AT = 1_655_000_000_000
DAY = day_of(date(2022, 3, 5))
MORNING = 1_646_454_600_000_000  # 2022-03-05T10:00:00+05:30 in microseconds
FULL = {
    "event_id": "7c01a43a-f6c9-5363-873c-a24a6cd9f52c",
    "entity": "group 1",
    "version": 3,
    "unit": "CG-AC001-B0002",
    "kind": "messaging_group",
    "occurred_at": "2022-03-05T10:00:00+05:30",
    "reported_at": "2022-03-05T10:00:01.5+05:30",
    "source": {"tool": "sheet", "producer": "office"},
    "reporter": "ab" * 32,
    "evidence": "https://example.org/1",
    "verification": "verified",
    "data": {"group_type": "whatsapp", "members": 8},
}
LEAST = {
    "event_id": "00000000-0000-4000-8000-000000000001",
    "unit": "CG-D-C",
    "kind": "membership",
    "occurred_at": "2022-03-05T10:00:00+05:30",
    "source": {"tool": "app", "producer": "office"},
    "data": {"mode": "digital", "count": 4},
}
RETRACTION = {**FULL, "op": "retract", "version": 4, "verification": "unverified"}
EVENTS = [FULL, LEAST, RETRACTION]


@pytest.fixture
def validator() -> Validator:
    return Validator(
        small_world.registry(),
        small_world.dictionary(),
        partition_of=lambda _: 7,
        max_future_hours=24,
    )


def records(events: list[dict], first: int = 20) -> list[BatchRecord]:
    return [
        BatchRecord(first + row, AT + row, b"", json.dumps(event).encode())
        for row, event in enumerate(events)
    ]


def singly(validator: Validator, encodings: Encodings, events: list[dict]) -> LedgerColumns:
    decisions = [validator.validate(7, one) for one in records(events)]
    accepted = [
        (one.event, one.version, one.record) for one in decisions if isinstance(one, Accepted)
    ]
    assert len(accepted) == len(events)
    return columns_of(accepted, 7, encodings)


@pytest.mark.parametrize("in_columns", [False, True])
def test_rows_of_the_ledger(validator: Validator, in_columns: bool) -> None:
    bulk = BatchValidator(validator)
    columns = (
        bulk.validate(7, records(EVENTS)).accepted
        if in_columns
        else singly(validator, bulk.encodings, EVENTS)
    )
    assert columns is not None
    full, least, retraction = (
        dict(zip(LEDGER, row, strict=True))
        for row in sorted(columns.ledger(bulk.encodings), key=lambda row: row[4])
    )
    assert full == {
        "key": "CG-AC001",
        "entity": "group 1",
        "version": 3,
        "partition": 7,
        "offset": 20,
        "event_id": UUID(FULL["event_id"]),
        "op": "report",
        "unit": "CG-AC001-B0002",
        "kind": "messaging_group",
        "occurred_at": MORNING,
        "day": date(2022, 3, 5),
        "reported_at": MORNING + 1_500_000,
        "tool": "sheet",
        "producer": "office",
        "reporter": "ab" * 32,
        "evidence": "https://example.org/1",
        "appended_at": AT,
        "verification": "verified",
        "data": full["data"],
        "amounts": [1, 8],
        "metrics": ["whatsapp_groups", "whatsapp_group_members"],
        "correction": 0,
        "deleted": 0,
    }
    assert json.loads(full["data"]) == {"group_type": "whatsapp", "members": 8, "active": True}
    expected = {"key": "CG-D-C", "entity": LEAST["event_id"], "version": 1, "offset": 21}
    expected |= {"reported_at": None, "reporter": "", "evidence": "", "verification": "unverified"}
    expected |= {"metrics": ["members_digital"], "amounts": [4], "appended_at": AT + 1}
    assert expected.items() <= least.items()
    assert json.loads(least["data"]) == {"mode": "digital", "count": 4}
    expected = {"op": "retract", "version": 4, "metrics": [], "amounts": []}
    assert expected.items() <= retraction.items()


def test_a_correction_numbers_the_rows(validator: Validator) -> None:
    encodings = Encodings.of(validator.registry, validator.dictionary)
    columns = singly(validator, encodings, EVENTS)
    rows = columns.ledger(encodings, correction=np.array([3, 0, 5]))
    assert [row[-2:] for row in rows] == [(3, 0), (0, 0), (5, 0)]


VERSIONS = [
    ("CG-AC001\ne1", Version(1, "report", "verified", "CG-AC001", 5, DAY, {"volunteers": 3})),
    ("CG-AC001\ne2", Version(2, "retract", "rejected", "CG-AC001-B0001", 6, DAY, {})),
    (
        "CG\ne3",
        Version(3, "report", "unverified", "CG", 7, DAY, {"trainings": 1, "doors_visited": 2}),
    ),
]


@pytest.fixture
def encodings(validator: Validator) -> Encodings:
    return Encodings.of(validator.registry, validator.dictionary)


def versions(columns: VersionColumns, encodings: Encodings) -> list:
    return list(zip(columns.entities.values(), columns.each(encodings), strict=True))


def test_columns_have_the_same_versions(encodings: Encodings) -> None:
    columns = VersionColumns.of(VERSIONS, encodings)
    assert len(columns) == 3
    assert versions(columns, encodings) == VERSIONS
    assert versions(columns.take(np.array([2, 0])), encodings) == [VERSIONS[2], VERSIONS[0]]
    mask = np.array([False, True, True])
    assert versions(columns.where(mask), encodings) == VERSIONS[1:]
    assert versions(VersionColumns.join([columns.where(mask), columns]), encodings) == [
        *VERSIONS[1:],
        *VERSIONS,
    ]
    assert VersionColumns.join([columns]) is columns


def test_a_unit_that_the_registry_does_not_have_is_an_error(encodings: Encodings) -> None:
    strangers = [
        (f"{unit}\ne", Version(1, "report", "verified", unit, 5, DAY, {}))
        for unit in ("CG-D-Y", "CG-D-X", "CG")
    ]
    with pytest.raises(LookupError, match="the registry has no unit CG-D-X, CG-D-Y, of which"):
        VersionColumns.of(strangers, encodings)


def test_metrics_that_the_dictionary_does_not_have_are_no_stocks(encodings: Encodings) -> None:
    unknown = encodings.metrics.intern("unheard_of")
    numbers = [encodings.metrics.intern(name) for name in ("volunteers", "doors_visited")]
    masks = encodings.are_stocks(np.array([*numbers, unknown, unknown + 1]))
    assert masks.tolist() == [True, False, False, False]
