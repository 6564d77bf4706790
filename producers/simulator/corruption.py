"""Broken deliveries, as faulty tools, wrong clocks and human hands send them."""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import orjson

Event = dict[str, Any]


class CorruptionContext(NamedTuple):
    """Units that a corruption may use."""

    unknown_units: tuple[str, ...]
    """Well-formed codes that are not in the registry."""
    closed_unit: str | None
    """A unit that is not open when the event occurred, if there is one."""


Corruption = Callable[[Event, Random, CorruptionContext], bytes | None]


def _change_envelope(**changes: Any) -> Corruption:
    """Change or add fields of the envelope."""
    return lambda event, _rng, _context: orjson.dumps({**event, **changes})


def _replace_data(**changes: Any) -> Corruption:
    """Replace kind and data; one field of the data is wrong."""
    kind = changes.pop("kind")
    return lambda event, _rng, _context: orjson.dumps({**event, "kind": kind, "data": changes})


def _drop_field(field: str) -> Corruption:
    return lambda event, _rng, _context: orjson.dumps(
        {name: value for name, value in event.items() if name != field}
    )


def _truncate(event: Event, rng: Random, _context: CorruptionContext) -> bytes:
    text = orjson.dumps(event)
    return text[: rng.randrange(10, len(text) - 1)]


def _write_as_python(event: Event, _rng: Random, _context: CorruptionContext) -> bytes:
    return str(event).encode()


def _encode_as_utf16(event: Event, _rng: Random, _context: CorruptionContext) -> bytes:
    return orjson.dumps(event).decode().replace("{", '{"टिप्पणी":"", ', 1).encode("utf-16")


def _encode_as_latin1(event: Event, _rng: Random, _context: CorruptionContext) -> bytes:
    return (
        orjson.dumps({**event, "source": {"tool": "spreadsheet", "producer": "café"}})
        .decode()
        .encode("latin-1")
    )


def _draw_bytes(_event: Event, rng: Random, _context: CorruptionContext) -> bytes:
    return rng.randbytes(rng.randrange(1, 4_000))


def _set_unknown_unit(event: Event, rng: Random, context: CorruptionContext) -> bytes:
    return orjson.dumps({**event, "unit": rng.choice(context.unknown_units)})


def _set_closed_unit(event: Event, rng: Random, context: CorruptionContext) -> bytes:
    return orjson.dumps({**event, "unit": context.closed_unit or rng.choice(context.unknown_units)})


def _set_far_future(event: Event, rng: Random, _context: CorruptionContext) -> bytes:
    # the 15th exists in every month of every year
    date = f"{rng.randrange(2080, 2140)}{event['occurred_at'][4:8]}15"
    return orjson.dumps({**event, "occurred_at": date + event["occurred_at"][10:]})


# Name → function that breaks a valid report. The format, the registry, the metric dictionary or the
# clock refuses each result.
CORRUPTIONS: dict[str, Corruption] = {
    "empty": lambda _event, _rng, _context: b"",
    "null": lambda _event, _rng, _context: None,
    "cut off": _truncate,
    "a form's text": lambda _event, _rng, _context: "Name=रमेश&booth=17&posts=3".encode(),
    "Python's notation": _write_as_python,
    "nonsense bytes": _draw_bytes,
    "long nonsense": lambda _event, rng, _context: b"x" * rng.randrange(10_000, 60_000),
    "UTF-16": _encode_as_utf16,
    "Latin-1": _encode_as_latin1,
    "a list": lambda event, _rng, _context: orjson.dumps([event]),
    "JSON null": lambda _event, _rng, _context: b"null",
    "number as text": _replace_data(kind="membership", mode="digital", count="12"),
    "fraction": _replace_data(kind="social_post", platform="facebook", posts=1.5),
    "negative": _replace_data(kind="tally", metric="doors_visited", value=-3),
    "unknown platform": _replace_data(kind="social_post", platform="telegram", posts=2),
    "phone number for a hash": _replace_data(
        kind="incharge_appointed", role="head", person="9000000000"
    ),
    "undeclared metric": _replace_data(kind="tally", metric="rumours_denied", value=4),
    "trained a unit elsewhere": _replace_data(
        kind="training_held", programme="incharge", attendees=5, trained_units=["ZZ-AC999-B9999"]
    ),
    "mistyped field": _change_envelope(verfication="verified"),
    "unknown kind": _change_envelope(kind="rally_held"),
    "version 0": _change_envelope(version=0),
    "no unit code": _change_envelope(unit="Narayanpur booth 17"),
    "no offset": _change_envelope(occurred_at="2022-05-01T10:00:00"),
    "clock of 1970": _change_envelope(occurred_at="1970-01-01T00:00:12Z"),
    "without unit": _drop_field("unit"),
    "without event_id": _drop_field("event_id"),
    "without occurred_at": _drop_field("occurred_at"),
    "without source": _drop_field("source"),
    "without data": _drop_field("data"),
    "unknown unit": _set_unknown_unit,
    "closed unit": _set_closed_unit,
    "far future": _set_far_future,
}
