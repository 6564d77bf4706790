"""The explanation of a figure, as much of it as a token may read.

A token reads the events of units at or below its own, by the hierarchy of each event's day. Other
events that count, such as those of an assembly's booths in the neighbouring district, are summed up
in `withheld`. Chunks and repairs are those of the whole deployment, so only tokens of a state or
the nation read them, as with `/v1/freshness`.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from http import HTTPStatus
from typing import Any

from api.problems import parameter_problem, unavailable_problem
from pravah.days import day_of
from pravah.problems import Problem
from pravah.settings import Settings
from schemas.access import Scope
from sinks.connection import connect, first_line, is_retryable
from sinks.explanation import (
    Explanation,
    Origin,
    StoredEvent,
    TooManyEventsError,
    explain_figure,
    spans,
)

# Further requests for explanations wait, so that requests for figures are still served.
MAX_CONCURRENT_EXPLANATIONS = 2
MAX_EVENTS = 200_000

_NATION = "IN"
_STATE_LENGTH = len("CG")
# A keyed hash, of a person: the imports and forms that observe persons name their entities by them.
_HASH = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_MASK = "(hash)"
_DECIDED_ELSEWHERE = "replaced by a version of a unit that this token does not cover"

Spans = Mapping[str, Sequence[tuple[int, int]]]


async def explain(
    settings: Settings, holder: Scope, unit: str, metric: str, day: date, *, limit: int
) -> dict[str, Any]:
    """Explain a figure, in the form of `pravah explain --json`.

    Args:
        settings: where ClickHouse is.
        holder: scope of the request's token.
        unit: a code in the registry.
        metric: of the metric dictionary.
        day: Asia/Kolkata.
        limit: how many origins and events to list, of each kind.

    Returns:
        Besides the members of the command: `withheld`, the events that count but that the token
        does not cover, and `more`, the number of rows beyond `limit`.

    Raises:
        Problem: 403, the unit is not at or below the holder's on that day; 400, the figure has more
            than MAX_EVENTS events; 503, ClickHouse does not answer.
    """
    return await asyncio.to_thread(_read, settings, holder, unit, metric, day, limit)


def _read(
    settings: Settings, holder: Scope, unit: str, metric: str, day: date, limit: int
) -> dict[str, Any]:
    try:
        with connect(settings.clickhouse, "aicc") as client:
            within = None if holder.unit == _NATION else spans(client, holder.unit)
            _check_scope(holder, within, unit, day)
            found = explain_figure(client, unit, metric, day, max_events=MAX_EVENTS)
    except TooManyEventsError as error:
        detail = f"{error}; explain a unit below {unit}, such as a district"
        raise parameter_problem({"unit": detail}) from None
    except Exception as error:
        if is_retryable(error):
            raise unavailable_problem(first_line(error)) from error
        raise
    return _cut(apply_scope(found, holder, within), limit)


def _check_scope(holder: Scope, within: Spans | None, unit: str, day: date) -> None:
    """Check that a unit is the holder's, or below it on a day.

    Raises:
        Problem: 403.
    """
    number = day_of(day)
    if within is None or unit == holder.unit:
        return
    if not any(first <= number <= last for first, last in within.get(unit, ())):
        raise Problem(
            HTTPStatus.FORBIDDEN, f"unit: {unit} is not at or below {holder.unit} on {day}"
        )


def apply_scope(found: Explanation, holder: Scope, within: Spans | None) -> dict[str, Any]:
    """The members of an explanation that a token may read.

    Args:
        found: the whole explanation.
        holder: the token's scope.
        within: unit → the days on which it is at or below the token's unit; None: all units.
    """

    def is_readable(event: StoredEvent) -> bool:
        return within is None or any(
            first <= event.day <= last for first, last in within.get(event.unit, ())
        )

    def shown(event: StoredEvent) -> StoredEvent:
        if within is not None and event.key not in within:
            event = replace(event, key="")
        if "persons" not in holder.kinds:
            event = replace(event, entity=_HASH.sub(_MASK, event.entity))
        return event

    withheld = [one for one in found.counted if not is_readable(one.event)]
    decisive = _last_versions(found)
    shown_part = replace(
        found,
        origins=_origins(found.origins, holder),
        counted=[
            replace(one, event=shown(one.event)) for one in found.counted if is_readable(one.event)
        ],
        uncounted=[
            replace(
                one,
                event=shown(one.event),
                reason=(
                    one.reason
                    if is_readable(decisive[one.event.key, one.event.entity])
                    else _DECIDED_ELSEWHERE
                ),
            )
            for one in found.uncounted
            if is_readable(one.event)
        ],
    )
    return {
        **shown_part.as_json(),
        "agrees": found.agrees,
        "withheld": {
            "events": len(withheld),
            "value": sum(one.value for one in withheld),
            "verified_value": sum(one.verified_value for one in withheld),
        },
    }


def _last_versions(found: Explanation) -> dict[tuple[str, str], StoredEvent]:
    """(Routing key, entity) → its highest version."""
    events = [one.event for one in found.counted] + [one.event for one in found.uncounted]
    return {(one.key, one.entity): one for one in sorted(events, key=lambda event: event.version)}


def _origins(origins: Sequence[Origin], holder: Scope) -> list[Origin]:
    if holder.unit != _NATION and len(holder.unit) > _STATE_LENGTH:
        return []
    if "persons" in holder.kinds and holder.unit == _NATION:
        return list(origins)
    # the description of a repair has its author's name, and a reason in free words
    return [replace(one, description="a repair") if one.partition < 0 else one for one in origins]


def _cut(members: dict[str, Any], limit: int) -> dict[str, Any]:
    lists = ("origins", "counted", "not_counted")
    more = {name: max(len(members[name]) - limit, 0) for name in lists}
    return {**members, **{name: members[name][:limit] for name in lists}, "more": more}


def add_unit_names(members: dict[str, Any], names: Callable[[str], tuple[str, str]]) -> None:
    """Add `unit_name_en` and `unit_name_hi` to each event.

    Args:
        members: of `explain`.
        names: unit → its names in English and Hindi.
    """
    for event in (*members["counted"], *members["not_counted"]):
        event["unit_name_en"], event["unit_name_hi"] = names(event["unit"])
