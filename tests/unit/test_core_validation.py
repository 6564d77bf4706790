"""Validation at its limits: what is accepted there, singly and in columns, and what is rejected."""

import json
from uuid import UUID

import pytest

from pravah.events import MAX_EVENT_BYTES
from pravah.topics import TICK_KEY
from rollup.batch_validation import BatchValidator
from rollup.record_batch import BatchRecord, RecordBatch
from rollup.validation import Accepted, Misrouted, Rejected, Tick, Validator, rejection_row
from tests.support import small_world

AT = 1_655_000_000_000
SINGLY = Validator(
    small_world.registry(),
    small_world.dictionary(),
    partition_of=lambda key: 1 if key == "CG-D-B" else 0,
    max_future_hours=2,
)


def event(**changes: object) -> dict:
    return {
        "event_id": "00000000-0000-4000-8000-000000000001",
        "unit": "CG-AC001-B0001",
        "kind": "social_post",
        "occurred_at": "2022-03-05T10:00:00+05:30",
        "source": {"tool": "test", "producer": "x"},
        "data": {"platform": "facebook", "posts": 1},
        **changes,
    }


def record(value: dict, offset: int = 0, timestamp: int = AT) -> BatchRecord:
    return BatchRecord(offset, timestamp, b"CG-AC001", json.dumps(value).encode())


def on(number: int, time: str = "10:00:00") -> str:
    return f"{small_world.on(number)}T{time}+05:30"


def training(unit: str, trained: list[str], **changes: object) -> dict:
    data = {"programme": "p", "attendees": 3, "trained_units": trained}
    return event(kind="training_held", unit=unit, data=data, **changes)


# The first one occurred two hours after its arrival.
AT_THE_LIMITS = [
    event(occurred_at="2022-06-12T04:13:20+00:00"),
    event(unit="CG-AC002-B0005", occurred_at=on(25, "00:00:00")),
    event(unit="CG-AC001-B0004", occurred_at=on(40, "23:59:59.999999")),
    event(unit="IN"),
    event(source={"tool": "a tool that is new", "producer": "an installation that is new"}),
    event(reported_at="2022-03-05T11:00:00+05:30", reporter="ab" * 32),
    event(entity="e", version=2, verification="verified", evidence="https://example.org/1"),
    training("CG-AC001", ["CG-AC001-B0001", "CG-AC001-B0003"]),
    training("CG", []),
]


def test_records_at_the_limits_are_accepted_in_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else they are accepted as well, but one by one."""
    bulk = BatchValidator(SINGLY)
    events = AT_THE_LIMITS
    assert all(isinstance(SINGLY.validate(0, record(one)), Accepted) for one in events)
    singly = []
    monkeypatch.setattr(SINGLY, "validate", lambda *arguments: singly.append(arguments))
    accepted = bulk.validate(0, [record(one, row) for row, one in enumerate(events)]).accepted
    assert singly == []
    assert accepted is not None
    assert accepted.offset.tolist() == list(range(len(events)))


def test_an_event_of_the_maximum_size_is_accepted() -> None:
    bulk = BatchValidator(SINGLY)
    text = json.dumps(event()).encode()
    for size, accepted in ((MAX_EVENT_BYTES, True), (MAX_EVENT_BYTES + 1, False)):
        padded = BatchRecord(0, AT, b"", text + b" " * (size - len(text)))
        verdicts = bulk.validate(0, [padded])
        assert (verdicts.accepted is not None) == accepted
        assert [one.reason for one in verdicts.rejected] == [] if accepted else ["too_large"]


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        (
            {"occurred_at": "2022-06-12T04:13:20.000001+00:00"},
            "far_future",
            "lies in the future of its arrival",
        ),
        (
            {"unit": "CG-AC002-B0005", "occurred_at": on(24, "23:59:59.999999")},
            "closed_unit",
            f"exists only from {small_world.on(25)}, the event occurred on {small_world.on(24)} ",
        ),
        (
            {"unit": "CG-AC001-B0004", "occurred_at": on(41, "00:00:00")},
            "closed_unit",
            f"exists only until {small_world.on(40)}, the event occurred on {small_world.on(41)} ",
        ),
        ({"unit": "CG-D-X"}, "unknown_unit", "unit: 'CG-D-X' is not in the registry"),
        (
            training("CG-AC001", ["CG-AC001-B0001", "CG-AC002-B0005"]),
            "unknown_trained_unit",
            "'CG-AC002-B0005' is no unit at or below CG-AC001 on 2022-03-05",
        ),
        (
            training("CG-AC001", ["CG-D-A"]),
            "unknown_trained_unit",
            "'CG-D-A' is no unit at or below CG-AC001 on 2022-03-05",
        ),
        ({"reporter": "x"}, "invalid", "reporter"),
        ({"evidence": "ftp://x"}, "invalid", "evidence"),
        ({"source": {"tool": " t", "producer": "p"}}, "invalid", "source.tool"),
        ({"source": {"tool": "t", "producer": "p" * 999}}, "invalid", "source.producer"),
        (
            event(kind="tally", data={"metric": "unheard_of", "value": 1}),
            "unknown_metric",
            "unheard_of",
        ),
    ],
)
def test_a_record_beyond_a_limit_is_rejected(changes: dict, reason: str, detail: str) -> None:
    rejected = SINGLY.validate(0, record(event(**changes)))
    assert isinstance(rejected, Rejected)
    assert rejected.reason == reason
    assert detail in rejected.detail
    (in_batch,) = BatchValidator(SINGLY).validate(0, [record(event(**changes))]).rejected
    assert in_batch == rejected


def test_units_of_a_retracted_training_are_compared_with_the_registry_if_its_data_is_whole() -> (
    None
):
    whole = training("CG-AC001", ["CG-AC002-B0005"], op="retract")
    partial = {**whole, "data": {"trained_units": ["CG-AC002-B0005"]}}
    bulk = BatchValidator(SINGLY)
    for retraction, is_accepted in ((whole, False), (partial, True)):
        assert isinstance(SINGLY.validate(0, record(retraction)), Accepted) == is_accepted
        assert (bulk.validate(0, [record(retraction)]).accepted is not None) == is_accepted


def test_labels_of_accepted_events_alone_are_kept() -> None:
    bulk = BatchValidator(SINGLY)
    source = {"tool": "new tool", "producer": "new installation"}
    for rejected in (event(unit="CG-D-X"), event(unit="CG-D-B"), event(data={})):
        bulk.validate(0, [record({**rejected, "source": source})])
        assert (bulk.encodings.tools.names, bulk.encodings.producers.names) == ([], [])
    for _ in range(2):
        bulk.validate(0, [record(event(source=source)), record(event(), 1)])
        assert bulk.encodings.tools.names == ["new tool", "test"]
        assert bulk.encodings.producers.names == ["new installation", "x"]


def test_an_event_belongs_to_the_partition_of_its_routing_key() -> None:
    theirs = record(event(unit="CG-D-B"))
    assert SINGLY.validate(0, theirs) == Misrouted(theirs, "CG-D-B", 1)
    assert isinstance(SINGLY.validate(1, theirs), Accepted)
    tick = BatchRecord(0, AT, TICK_KEY, None)
    assert SINGLY.validate(0, tick) == Tick(tick)


def test_amounts_are_in_the_order_of_the_dictionarys_rules() -> None:
    values = [
        event(data={"platform": "twitter", "posts": 1, "reach": 20, "engagements": 30}),
        event(data={"platform": "facebook", "posts": 4, "engagements": 60}),
        event(kind="messaging_group", data={"group_type": "broadcast", "members": 7}),
        event(
            kind="messaging_group",
            data={"group_type": "whatsapp", "members": 8, "active": False},
        ),
        event(kind="tally", data={"metric": "doors_visited", "value": 9}),
        event(kind="committee_formed", data={"members": 5}),
        event(op="retract"),
        event(kind="tally", data={"metric": "volunteers", "value": 2}),
        event(kind="membership", data={"mode": "digital", "count": 3}),
        event(kind="incharge_appointed", data={"role": "incharge", "person": "ab" * 32}),
    ]
    records = [record(one, row) for row, one in enumerate(values)]
    bulk = BatchValidator(SINGLY)
    accepted = bulk.validate(0, records).accepted
    assert accepted is not None
    found = [list(one.amounts.items()) for one in accepted.each(bulk.encodings)]
    singly = [SINGLY.validate(0, one) for one in records]
    assert found == [
        list(one.version.amounts.items()) for one in singly if isinstance(one, Accepted)
    ]
    assert found[0] == [("posts_twitter", 1), ("reach_twitter", 20), ("engagements_twitter", 30)]
    assert found[1] == [("posts_facebook", 4), ("engagements_facebook", 60)]
    assert found[3] == [("whatsapp_groups", 0), ("whatsapp_group_members", 0)]
    assert found[6] == []


def test_a_batch_of_nothing_that_is_accepted_has_no_columns() -> None:
    verdicts = BatchValidator(SINGLY).validate(0, [record(event(unit="CG-D-X"))])
    assert verdicts.accepted is None


def test_verdicts_of_some_records_are_those_from_the_first_to_the_last() -> None:
    values = [event(), event(unit="CG-D-X"), event(unit="CG-D-B")]
    records = [
        one
        for begin in (10, 20, 30)
        for one in (
            *(record(value, begin + part) for part, value in enumerate(values)),
            BatchRecord(begin + 3, AT, TICK_KEY, None),
        )
    ]
    batch = RecordBatch.of(records)
    verdicts = BatchValidator(SINGLY).validate(0, batch)

    def found(first: int, last: int) -> tuple[list[int], list[int], list[int], list[int]]:
        some = verdicts.of(batch[first : last + 1])
        return (
            [] if some.accepted is None else some.accepted.offset.tolist(),
            [one.record.offset for one in some.rejected],
            [one.record.offset for one in some.misrouted],
            some.ticks,
        )

    assert found(0, 11) == ([10, 20, 30], [11, 21, 31], [12, 22, 32], [13, 23, 33])
    assert found(4, 7) == ([20], [21], [22], [23])
    for row, expected in enumerate((20, 21, 22, 23)):
        kinds = [[], [], [], []]
        kinds[row].append(expected)
        assert found(4 + row, 4 + row) == tuple(kinds)
    assert verdicts.of(batch[5:8]).accepted is None


def test_the_results_of_single_validation_are_in_the_order_of_the_log() -> None:
    single = training("CG-AC001", ["CG-AC001-B0001"], op="retract", entity="e", version=3)
    values = [event(entity="e", version=2), single, event(entity="f"), event(entity="e")]
    bulk = BatchValidator(SINGLY)
    accepted = bulk.validate(0, [record(one, row) for row, one in enumerate(values)]).accepted
    assert accepted is not None
    assert accepted.offset.tolist() == [0, 1, 2, 3]


def test_a_row_of_a_rejected_record_has_its_state_and_not_its_content() -> None:
    attempt = UUID(int=7)

    def row(key: bytes | None, redacted: str = "why") -> tuple:
        rejected = Rejected(BatchRecord(5, AT, key, b"{"), "not_json", "content", redacted)
        return rejection_row(rejected, 3, 4, attempt)

    assert row(b"CG-AC001") == (3, 5, 4, attempt, "CG", "not_json", "why", AT)
    states = {b"CG": "CG", b"CG-D-A": "CG", None: "", b"": "", b"IN": "", b"CGX": "", b"cg": ""}
    for key, state in states.items():
        assert row(key)[4] == state
    assert row(b"", "x" * 1_001)[6] == "x" * 1_000
