"""Validation of events, and the errors for what is not an event."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pravah.events import MAX_EVENT_BYTES, EventError, Retraction, SocialPost, parse_event
from tests.support import small_world

POST = {
    "event_id": "7b0c1f5e-3a35-4c0e-9c5e-0e8f6b1d2a3b",
    "unit": "CG-AC084-B0017",
    "kind": "social_post",
    "occurred_at": "2022-03-05T10:00:00+05:30",
    "source": {"tool": "kobo", "producer": "cg-1"},
    "data": {"platform": "facebook", "posts": 3},
}


def parse(**changes: object) -> object:
    return parse_event(
        json.dumps(
            {name: value for name, value in {**POST, **changes}.items() if value is not ...}
        ).encode()
    )


def test_defaults() -> None:
    event = parse()
    assert isinstance(event, SocialPost)
    assert (event.entity_name, event.version, event.op, event.verification) == (
        POST["event_id"],
        1,
        "report",
        "unverified",
    )


@pytest.mark.parametrize(
    "data", [..., None, {}, {"platform": "facebook", "posts": 3}, {"anything": 1}]
)
def test_a_retraction_needs_no_data(data: object) -> None:
    assert parse(op="retract", data=data).op == "retract"  # type: ignore[attr-defined]


def test_a_retraction_with_broken_data_is_still_a_retraction() -> None:
    assert isinstance(parse(op="retract", data={"platform": "orkut"}), Retraction)


@pytest.mark.parametrize(
    ("raw", "reason", "detail"),
    [
        (None, "empty", "null"),
        (b"", "empty", "empty"),
        (b"{", "not_json", "begins '{'"),
        (b"hello", "not_json", "begins 'hello'"),
        (b"\xff\xfe{}", "not_utf8", "byte 0 (0xff)"),
        (b'{"unit": "\xe0\xa4"}', "not_utf8", "byte 10"),
        (b"[]", "invalid", "object"),
        (b"null", "invalid", "object"),
        (b"x" * (MAX_EVENT_BYTES + 1), "too_large", "1,048,577 bytes"),
        (b"{}", "invalid", "'kind'"),
    ],
)
def test_what_is_not_an_event(raw: bytes | None, reason: str, detail: str) -> None:
    with pytest.raises(EventError) as caught:
        parse_event(raw)
    assert caught.value.reason == reason
    assert detail in caught.value.detail


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"version": "2"}, "version", "valid integer (given: '2')"),
        ({"version": 0}, "version", "greater than or equal to 1"),
        ({"unit": "Raipur"}, "unit", "is not a unit code"),
        ({"unit": "CG-AC84"}, "unit", "CG-AC084"),
        ({"occurred_at": "2022-03-05T10:00:00"}, "occurred_at", "RFC 3339 with an offset"),
        ({"occurred_at": "2022-03-05"}, "occurred_at", "RFC 3339"),
        ({"occurred_at": "1646455555"}, "occurred_at", "RFC 3339"),
        ({"occurred_at": 1646455555}, "occurred_at", "RFC 3339"),
        ({"occurred_at": "2022-02-30T10:00:00Z"}, "occurred_at", "day value is outside"),
        ({"occurred_at": "1970-01-01T00:00:00Z"}, "occurred_at", "clock was wrong"),
        ({"event_id": "5"}, "event_id", "UUID"),
        ({"kind": "party"}, "event", "'party'"),
        ({"kind": ...}, "event", "'kind'"),
        ({"data": ...}, "data", "required"),
        ({"source": {"tool": "kobo"}}, "source.producer", "required"),
        ({"verfication": "verified"}, "verfication", "not permitted"),
        (
            {"data": {"platform": "orkut", "posts": 1}},
            "data.platform",
            "'facebook', 'twitter' or 'whatsapp'",
        ),
        (
            {"data": {"platform": "facebook", "posts": -1}},
            "data.posts",
            "greater than or equal to 0",
        ),
        ({"data": {"platform": "facebook", "posts": 1.5}}, "data.posts", "valid integer"),
        ({"data": {"platform": "facebook", "posts": True}}, "data.posts", "valid integer"),
        (
            {"data": {"platform": "facebook", "posts": 10**10}},
            "data.posts",
            "less than or equal to 1000000000",
        ),
        ({"entity": ""}, "entity", "at least 1 character"),
        ({"entity": "x" * 201}, "entity", "at most 200"),
        ({"evidence": "ftp://x"}, "evidence", "must be an address"),
    ],
)
def test_the_wrong_field_is_named(changes: dict, field: str, says: str) -> None:
    with pytest.raises(EventError) as caught:
        parse(**changes)
    assert caught.value.reason == "invalid"
    assert caught.value.detail.startswith(f"{field}: ")
    assert says in caught.value.detail


def test_a_phone_number_in_place_of_a_keyed_hash_is_not_repeated_in_the_reason() -> None:
    with pytest.raises(EventError) as caught:
        parse(reporter="+919876543210")
    assert "never a name or a phone number" in caught.value.detail
    assert "98765" not in caught.value.detail


def test_the_redacted_detail_quotes_no_value() -> None:
    for changes in (
        {"version": "secret"},
        {"unit": "secret"},
        {"kind": "secret"},
        {"data": {"platform": "secret", "posts": -1}},
        {"op": "retract", "unit": "secret"},
    ):
        with pytest.raises(EventError) as caught:
            parse(**changes)
        assert "secret" in caught.value.detail
        assert "secret" not in caught.value.redacted_detail
        assert caught.value.redacted_detail.split(":")[0] == caught.value.detail.split(":")[0]
    with pytest.raises(EventError) as caught:
        parse_event(b"secret")
    assert "secret" in caught.value.detail
    assert "secret" not in caught.value.redacted_detail


def test_a_detail_is_short_for_any_input() -> None:
    with pytest.raises(EventError) as caught:
        parse(**{"x" * 100_000: "y" * 100_000, "kind": "social_post", "unit": "z" * 100_000})
    assert len(caught.value.detail) < 2_000
    with pytest.raises(EventError) as caught:
        parse(kind="k" * 100_000)
    assert len(caught.value.detail) < 2_000


def test_several_mistakes_are_reported_at_once() -> None:
    with pytest.raises(EventError) as caught:
        parse(version=-1, unit="x", data={"platform": "facebook"})
    assert [part.split(":")[0] for part in caught.value.detail.split("; ")] == [
        "version",
        "unit",
        "data.posts",
    ]


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_parser(raw: bytes) -> None:
    try:
        parse_event(raw)
    except EventError as error:
        assert error.detail


@given(small_world.event(), st.data())
def test_no_damage_to_an_event_crashes_the_parser(event: dict, data: st.DataObject) -> None:
    raw = bytearray(json.dumps(event).encode())
    for position in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=4)):
        raw[position] = data.draw(st.integers(0, 255))
    try:
        parse_event(bytes(raw))
    except EventError as error:
        assert error.detail
