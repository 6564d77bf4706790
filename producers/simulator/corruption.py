"""Deliveries that are no events: what broken tools, wrong clocks and human hands send."""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import orjson

Event = dict[str, Any]


class Surroundings(NamedTuple):
    """What a breakage needs to know besides the event it breaks."""

    unknown_units: tuple[str, ...]
    """Well formed codes that are not in the registry."""
    closed_unit: str | None
    """A unit that is not open when the event occurred."""


Breakage = Callable[[Event, Random, Surroundings], bytes | None]


def _with(**changes: Any) -> Breakage:
    """An event with fields of the envelope changed."""
    return lambda event, _rng, _around: orjson.dumps({**event, **changes})


def _data(**changes: Any) -> Breakage:
    """An event with data of another kind: the fields given, of which one is wrong."""
    kind = changes.pop("kind")
    return lambda event, _rng, _around: orjson.dumps({**event, "kind": kind, "data": changes})


def _without(field: str) -> Breakage:
    return lambda event, _rng, _around: orjson.dumps(
        {name: value for name, value in event.items() if name != field}
    )


def _cut(event: Event, rng: Random, _around: Surroundings) -> bytes:
    text = orjson.dumps(event)
    return text[: rng.randrange(10, len(text) - 1)]


def _python_text(event: Event, _rng: Random, _around: Surroundings) -> bytes:
    return str(event).encode()


def _devanagari_in_utf16(event: Event, _rng: Random, _around: Surroundings) -> bytes:
    return orjson.dumps(event).decode().replace("{", '{"टिप्पणी":"", ', 1).encode("utf-16")


def _latin1(event: Event, _rng: Random, _around: Surroundings) -> bytes:
    return (
        orjson.dumps({**event, "source": {"tool": "spreadsheet", "producer": "café"}})
        .decode()
        .encode("latin-1")
    )


def _nonsense(_event: Event, rng: Random, _around: Surroundings) -> bytes:
    return rng.randbytes(rng.randrange(1, 4_000))


def _unknown_unit(event: Event, rng: Random, around: Surroundings) -> bytes:
    return orjson.dumps({**event, "unit": rng.choice(around.unknown_units)})


def _closed_unit(event: Event, rng: Random, around: Surroundings) -> bytes:
    return orjson.dumps({**event, "unit": around.closed_unit or rng.choice(around.unknown_units)})


def _far_future(event: Event, rng: Random, _around: Surroundings) -> bytes:
    return orjson.dumps(
        {
            **event,
            "occurred_at": f"{rng.randrange(2080, 2140)}{event['occurred_at'][4:8]}15{event['occurred_at'][10:]}",
        }
    )


BREAKAGES: dict[str, Breakage] = {
    "empty": lambda _event, _rng, _around: b"",
    "null": lambda _event, _rng, _around: None,
    "cut off": _cut,
    "a form's text": lambda _event, _rng, _around: "Name=रमेश&booth=17&posts=3".encode(),
    "Python's notation": _python_text,
    "nonsense bytes": _nonsense,
    "long nonsense": lambda _event, rng, _around: b"x" * rng.randrange(10_000, 60_000),
    "UTF-16": _devanagari_in_utf16,
    "Latin-1": _latin1,
    "a list": lambda event, _rng, _around: orjson.dumps([event]),
    "JSON null": lambda _event, _rng, _around: b"null",
    "number as text": _data(kind="membership", mode="digital", count="12"),
    "fraction": _data(kind="social_post", platform="facebook", posts=1.5),
    "negative": _data(kind="tally", metric="doors_visited", value=-3),
    "unknown platform": _data(kind="social_post", platform="telegram", posts=2),
    "phone number for a hash": _data(kind="incharge_appointed", role="head", person="9000000000"),
    "undeclared metric": _data(kind="tally", metric="rumours_denied", value=4),
    "trained a unit elsewhere": _data(
        kind="training_held", programme="incharge", attendees=5, trained_units=["ZZ-AC999-B9999"]
    ),
    "mistyped field": _with(verfication="verified"),
    "unknown kind": _with(kind="rally_held"),
    "version 0": _with(version=0),
    "no unit code": _with(unit="Narayanpur booth 17"),
    "no offset": _with(occurred_at="2022-05-01T10:00:00"),
    "clock of 1970": _with(occurred_at="1970-01-01T00:00:12Z"),
    "without unit": _without("unit"),
    "without event_id": _without("event_id"),
    "without occurred_at": _without("occurred_at"),
    "without source": _without("source"),
    "without data": _without("data"),
    "unknown unit": _unknown_unit,
    "closed unit": _closed_unit,
    "far future": _far_future,
}
"""Name → how to break a good event (a report). Each is refused by the format or by the registry, the metric dictionary or the clock."""
