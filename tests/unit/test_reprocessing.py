"""What becomes of a rejected record that is looked at again."""

import json
from uuid import UUID

import pytest

from rollup.reprocessing import Reprocessor, ReprocessResult, identity_of
from rollup.validation import Accepted, Rejected
from tests.support import small_world

NOW = 1_655_000_000_000
FIRST, SECOND = (UUID(f"00000000-0000-4000-8000-{number:012x}") for number in (1, 2))


def event(event_id: UUID = FIRST, **changes: object) -> bytes:
    content = {
        "event_id": str(event_id),
        "entity": "e",
        "version": 3,
        "unit": "CG-AC001-B0001",
        "kind": "social_post",
        "occurred_at": "2022-03-05T10:00:00+05:30",
        "source": {"tool": "test", "producer": "x"},
        "data": {"platform": "facebook", "posts": 1},
    }
    return json.dumps(content | changes).encode()


@pytest.fixture
def reprocessor() -> Reprocessor:
    return Reprocessor(
        small_world.registry(), small_world.dictionary(), max_future_hours=24, now=NOW
    )


def test_an_event_that_can_be_counted_is_sent_once_under_its_routing_key(
    reprocessor: Reprocessor,
) -> None:
    decision = reprocessor.decide(event())
    assert isinstance(decision, Accepted)
    assert identity_of(decision) == ("CG-AC001", "e", 3)
    assert reprocessor.conclude(decision, {}) == ReprocessResult("send", key="CG-AC001")
    assert reprocessor.conclude(decision, {}) == ReprocessResult("repeat")


def test_an_event_in_the_ledger_is_counted_and_another_with_its_version_is_superseded(
    reprocessor: Reprocessor,
) -> None:
    decision = reprocessor.decide(event())
    assert isinstance(decision, Accepted)
    identity = identity_of(decision)
    assert reprocessor.conclude(decision, {identity: FIRST}) == ReprocessResult("counted")
    superseded = ReprocessResult(
        "superseded",
        detail=f"event {SECOND} counts as version 3 of e: give this one a higher version",
    )
    assert reprocessor.conclude(decision, {identity: SECOND}) == superseded


def test_of_two_events_with_one_version_the_first_is_sent(reprocessor: Reprocessor) -> None:
    outcomes = [
        reprocessor.conclude(reprocessor.decide(event(one)), {}).outcome for one in (FIRST, SECOND)
    ]
    assert outcomes == ["send", "superseded"]
    higher = reprocessor.decide(event(SECOND, version=4))
    assert reprocessor.conclude(higher, {}).outcome == "send"


def test_a_record_that_cannot_be_counted_keeps_its_reason_and_says_what_to_do(
    reprocessor: Reprocessor,
) -> None:
    for value, reason in (
        (None, "empty"),
        (b"{", "not_json"),
        (event(unit="CG-AC009"), "unknown_unit"),
        # the record arrives now, so the future is measured from now
        (event(occurred_at="2022-06-13T10:00:00+05:30"), "far_future"),
    ):
        decision = reprocessor.decide(value)
        assert isinstance(decision, Rejected)
        result = reprocessor.conclude(decision, {})
        assert (result.outcome, result.reason, result.detail) == (
            "rejected",
            reason,
            decision.detail,
        )
        assert result.detail
        assert not result.key
    on_time = event(occurred_at="2022-06-13T07:43:20+05:30")
    assert reprocessor.conclude(reprocessor.decide(on_time), {}).outcome == "send"
