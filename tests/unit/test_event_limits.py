"""Versions and texts that would do harm for ever are refused wherever an event comes in."""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import jsonschema
import pytest

from pravah.control_characters import PATTERN, RANGES, explain_control_character
from pravah.events import (
    EVENT,
    MAX_VERSION,
    STRICTER_SINCE,
    EventError,
    SocialPost,
    parse_event,
)
from pravah.producer import EventProducer
from producers.gateway.direct_events import parse
from producers.gateway.registry import UnitChecker
from producers.gateway.results import Refusal
from producers.mapping.conversions import Conversion
from rollup.batch_validation import BatchValidator
from rollup.record_batch import BatchRecord
from rollup.validation import Accepted, Rejected, Validator
from schemas.acceptance import AcceptanceRules
from tests.support import small_world

DAY_NS = 86_400 * 10**9
NOW_MS = STRICTER_SINCE + 86_400_000
SINGLY = Validator(
    small_world.registry(), small_world.dictionary(), partition_of=lambda _: 0, max_future_hours=24
)
# The texts of an event that are free
FREE_TEXTS = ("entity", "evidence", "source.tool", "source.producer", "data.programme")
HOSTILE = [
    *("a\x00b", "a\nb", "a\tb", "\x1b[2J", "a\x7f", "a\x85b", "a\x9bb"),
    *("a\u202eb", "\u2066a", "a\u200eb", "a\u2028b", "a\u2029b", "a\u200bb", "\ufeffa", "a\u061c"),
]


def event(**changes: object) -> dict:
    return {
        "event_id": "00000000-0000-4000-8000-000000000001",
        "unit": "CG-AC001-B0001",
        "kind": "training_held",
        "occurred_at": "2022-03-05T10:00:00+05:30",
        "source": {"tool": "test", "producer": "x"},
        "data": {"programme": "incharge", "attendees": 1},
        **changes,
    }


def with_text(path: str, text: str) -> dict:
    outer, _, inner = path.partition(".")
    text = f"https://example.org/{text}" if path == "evidence" else text
    return event(**{outer: {**event()[outer], inner: text} if inner else text})


def validate(value: dict, at: int, *, ensure_ascii: bool = True) -> Accepted | Rejected:
    """Validate one record singly, and assert that columns give the same."""
    raw = json.dumps(value, ensure_ascii=ensure_ascii).encode()
    record = BatchRecord(0, at, b"CG-AC001", raw)
    decision = SINGLY.validate(0, record)
    verdicts = BatchValidator(SINGLY).validate(0, [record])
    if isinstance(decision, Rejected):
        assert (verdicts.accepted, verdicts.rejected) == (None, [decision])
    else:
        assert verdicts.accepted is not None
        assert verdicts.accepted.version.tolist() == [value.get("version", 1)]
    assert isinstance(decision, Accepted | Rejected)
    return decision


def test_a_version_beyond_the_year_2100_is_refused_by_the_sdk_with_what_to_do() -> None:
    for version in (MAX_VERSION + 1, 2**63 - 1, 2**63, 10**30):
        for op in ("report", "retract"):
            with pytest.raises(EventError) as caught:
                parse_event(json.dumps(event(version=version, op=op)).encode())
            assert caught.value.reason == "invalid"
            assert caught.value.detail.startswith("version: lies beyond the year 2100")
            assert "send a counter, or the time of the change" in caught.value.detail
    with pytest.raises(ValueError, match="lies beyond the year 2100"):
        SocialPost(**event(version=2**63 - 1))  # type: ignore[arg-type]
    assert datetime.fromtimestamp(MAX_VERSION // 10**9, UTC) == datetime(2100, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9], ids=["s", "ms", "us", "ns"])
def test_counters_and_times_in_every_unit_are_versions(unit: int) -> None:
    for version in (1, 1_000_000, NOW_MS * unit // 1_000):
        assert isinstance(validate(event(version=version), NOW_MS), Accepted)


def test_a_version_in_the_future_of_its_arrival_is_refused_even_in_nanoseconds() -> None:
    latest = NOW_MS * 10**6 + DAY_NS + 999
    assert isinstance(validate(event(version=latest), NOW_MS), Accepted)
    decision = validate(event(version=latest + 1), NOW_MS)
    assert isinstance(decision, Rejected)
    assert decision.reason == "far_future"
    assert decision.detail.startswith(f"version: {latest + 1} is a time in the future")
    assert "send a counter, or the time of the change" in decision.detail
    # so no version locks its entity: a day later a higher one is accepted
    assert isinstance(validate(event(version=latest + 1), NOW_MS + 86_400_000), Accepted)


def test_the_gateway_and_imports_apply_the_bound_by_their_clock() -> None:
    rules = AcceptanceRules(timedelta(hours=24))
    now = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    rules.check(parse_event(json.dumps(event(version=NOW_MS * 10**6)).encode()), now)
    late = parse_event(json.dumps(event(version=NOW_MS * 10**6 + 2 * DAY_NS)).encode())
    with pytest.raises(EventError, match="far_future: version: "):
        rules.check(late, now)


@pytest.mark.parametrize("path", FREE_TEXTS)
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_control_character_is_refused_in_every_free_text(path: str, text: str) -> None:
    value = with_text(path, text)
    with pytest.raises(EventError) as caught:
        parse_event(json.dumps(value).encode())
    assert caught.value.reason == "invalid"
    assert caught.value.detail.startswith(f"{path}: ")
    assert caught.value.detail.isprintable(), "a terminal and a header can show the reason"
    for ensure_ascii in (True, False):
        assert isinstance(validate(value, NOW_MS, ensure_ascii=ensure_ascii), Rejected)


def test_the_reason_names_the_character_and_its_place() -> None:
    with pytest.raises(EventError) as caught:
        parse_event(json.dumps(event(entity="group\u202e1")).encode())
    expected = "entity: has the invisible character U+202E at position 6; remove it"
    assert caught.value.redacted_detail == expected


def test_a_control_character_in_the_name_of_an_unknown_field_is_shown_escaped() -> None:
    with pytest.raises(EventError) as caught:
        parse_event(json.dumps(event(**{"x\u202e\n": 1})).encode())
    assert caught.value.detail.startswith(r"x\u202e\n: ")


@pytest.mark.parametrize(
    "text", ["रायपुर", "क्\u200dष", "श्री\u200cमान", "a b", "a\u00a0b", "👩\u200d🌾", "é", "–"]
)
def test_letters_joiners_and_signs_are_accepted(text: str) -> None:
    for path in FREE_TEXTS:
        if path == "evidence":
            continue
        value = with_text(path, text)
        assert isinstance(validate(value, NOW_MS, ensure_ascii=False), Accepted), path


def test_every_character_of_a_range_is_found_and_no_other() -> None:
    pattern = re.compile(PATTERN)
    listed = {code for first, last in RANGES for code in range(first, last + 1)}
    for code in range(0xD800):
        is_found = explain_control_character(f"a{chr(code)}") is not None
        assert is_found == (code in listed) == bool(pattern.search(chr(code)))


def test_what_the_log_accepted_before_folds_as_before() -> None:
    earlier = STRICTER_SINCE - 1
    for value in (event(version=2**63 - 1), event(entity="a\u202eb"), event(version=MAX_VERSION)):
        assert isinstance(validate(value, earlier, ensure_ascii=False), Accepted)
        assert isinstance(validate(value, STRICTER_SINCE, ensure_ascii=False), Rejected)
    assert datetime.fromtimestamp(STRICTER_SINCE / 1000, UTC) == datetime(2026, 11, 29, tzinfo=UTC)


def test_a_label_that_the_log_accepted_before_does_not_open_a_way_for_new_records() -> None:
    bulk = BatchValidator(SINGLY)
    raw = json.dumps(with_text("source.producer", "a\u202eb"), ensure_ascii=False).encode()
    old = bulk.validate(0, [BatchRecord(0, STRICTER_SINCE - 1, b"", raw)])
    assert old.accepted is not None
    new = bulk.validate(0, [BatchRecord(1, STRICTER_SINCE, b"", raw)])
    assert (new.accepted, len(new.rejected)) == (None, 1)


def test_the_json_schema_refuses_the_same() -> None:
    schema = EVENT.json_schema()
    jsonschema.validate(event(version=MAX_VERSION, entity="क्\u200dष"), schema)
    for value in (event(version=MAX_VERSION + 1), event(entity="a\u202eb"), event(entity="a\x85")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(value, schema)


def test_the_producer_refuses_before_anything_is_sent() -> None:
    producer = EventProducer.__new__(EventProducer)
    for value in (event(version=2**63 - 1), event(entity="a\u202eb")):
        with pytest.raises(EventError):
            producer.send(value)


def test_the_gateway_refuses_the_same_with_what_to_do() -> None:
    units = UnitChecker({}, max_future_hours=24)
    units.set_registry(small_world.registry())
    source = cast("Any", SimpleNamespace(unit="CG"))

    def refusal(**changes: object) -> Refusal | None:
        return parse(json.dumps(event(**changes)).encode(), source, units).refusal

    now_ns = time.time_ns()
    assert refusal(version=now_ns) is None
    for changes, reason, detail in (
        ({"version": 2**63 - 1}, "invalid", "version: lies beyond the year 2100"),
        ({"version": now_ns + 2 * DAY_NS}, "far_future", "version: "),
        ({"entity": "a\u202eb"}, "invalid", "entity: has the invisible character U+202E"),
    ):
        found = refusal(**changes)
        assert found is not None
        assert found.reason == reason
        assert found.detail.startswith(detail)


def test_a_form_s_text_loses_marks_that_nobody_sees_and_keeps_its_joiners() -> None:
    assert Conversion().convert("क्\u200dष\u200e \u202aa\u200bb\u2069", None) == "क्\u200dष ab"
