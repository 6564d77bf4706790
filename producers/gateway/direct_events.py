"""Events sent to `/v1/events` in their final form: parsing, checks, and moves between keys."""

from datetime import datetime
from typing import NamedTuple

import orjson

from pravah.events import Event, EventError, parse_event
from producers.gateway.limits import is_deeper
from producers.gateway.registry import UnitChecker
from producers.gateway.results import (
    MAX_DETAIL_LENGTH,
    EventsResult,
    ItemResult,
    Refusal,
    redact,
)
from producers.gateway.sources import FieldSource
from producers.gateway.submission_diff import EntityState, is_current, retractions
from producers.gateway.transaction import Transaction
from producers.mapping.garbled_text import explain_garbled
from producers.mapping.open_phones import is_marked_phone
from producers.mapping.placeholders import explain_placeholder
from producers.mapping.tools.json_body import find_duplicate, to_utf8
from producers.outbox import OutboxRecord, outbox_record


class ParsedEvent(NamedTuple):
    """An event, checked as far as possible without the store."""

    event_id: str
    """Empty if the event could not be parsed."""
    event: Event | None
    value: bytes
    refusal: Refusal | None


def split_body(body: bytes, source: FieldSource) -> list[bytes]:
    """The events of a body, each as JSON; a single event keeps its bytes.

    Raises:
        EventError: the body is not JSON, too deep, or has too many events.
    """
    body = to_utf8(body)
    if is_deeper(body, source.limits.depth):
        reason = "invalid"
        raise EventError(
            reason, f"the body is nested more than {source.limits.depth} deep; no event is"
        )
    if path := find_duplicate(body):
        reason = "invalid"
        raise EventError(reason, f"{path}: stands twice with different values; send it once")
    if not is_array(body):
        return [body]
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason = "not_json"
        raise EventError(
            reason,
            f"the body is not JSON in UTF-8: {error.msg} at line {error.lineno}, "
            f"column {error.colno} (character {error.pos:,})",
        ) from None
    if len(found) > source.limits.events:
        reason = "too_many"
        raise EventError(
            reason,
            f"{len(found):,} events in one array, at most {source.limits.events:,} are allowed; "
            "send fewer at a time",
        )
    return [orjson.dumps(one) for one in found]


def is_array(body: bytes) -> bool:
    """Whether a body in UTF-8 is an array of events, not a single one."""
    return body.lstrip(b" \t\r\n").startswith(b"[")


def parse(value: bytes, source: FieldSource, units: UnitChecker) -> ParsedEvent:
    """Parse an event, and check that its source may report it.

    Raises:
        NotReadyError: no registry is known yet.
    """
    try:
        event = parse_event(value)
    except EventError as error:
        return ParsedEvent("", None, value, Refusal(error.reason, redact(error.redacted_detail)))
    refusal = _check_entity(event) or units.check_event(source.unit, event)
    return ParsedEvent(str(event.event_id), event, value, refusal)


def _check_entity(event: Event) -> Refusal | None:
    """Why the name of an entity is refused, or None.

    It means nothing, so that all such events would be one, or shows a phone number. Digits alone
    are accepted: a program's own ids may look like that, and it has no mapping that could say so.
    """
    name = event.entity or ""
    reason = (explain_placeholder(name) or explain_garbled(name)) if name else None
    if reason is None and is_marked_phone(name):
        reason = (
            "has a phone number, and an entity's name is kept for ever; send a keyed hash of it, "
            "or an id of your own"
        )
    return None if reason is None else Refusal("invalid", f"entity: {reason}")


def apply_events(
    transaction: Transaction,
    source: FieldSource,
    body: bytes,
    events: list[ParsedEvent],
    units: UnitChecker,
    archive_id: int | None,
) -> EventsResult:
    """Accept or refuse each event of a body, put the accepted ones, and archive the body.

    Args:
        transaction: everything is written in it.
        source: the sender.
        body: as it came.
        events: those of the body, in order.
        units: checks whether the source may replace an entity's stored state.
        archive_id: of the archived body that is sent again; None: it is new.
    """
    records: list[OutboxRecord] = []
    event_ids: set[bytes] = set()
    items = [_apply(transaction, source, one, units, records, event_ids) for one in events]
    transaction.put(records)
    refusals = [
        (number, item.refusal) for number, item in enumerate(items) if item.refusal is not None
    ]
    if refusals:
        details = "; ".join(f"{number}: {refusal.detail}" for number, refusal in refusals)
        refusal = Refusal(refusals[0][1].reason, details[:MAX_DETAIL_LENGTH])
        transaction.archive.record(source.name, "events", body, archive_id, refusal=refusal)
    elif records or archive_id is not None:
        transaction.archive.record(source.name, "events", body, archive_id)
    transaction.count_items(source.name, items)
    return EventsResult(items)


def refuse_events(
    transaction: Transaction,
    source: FieldSource,
    body: bytes,
    refusal: Refusal,
    archive_id: int | None,
) -> EventsResult:
    """Archive a body that could not be split into events."""
    transaction.archive.record(source.name, "events", body, archive_id, refusal=refusal)
    transaction.count(source.name, "refused", refusal.reason)
    return EventsResult([ItemResult("", "refused", refusal)])


def _apply(
    transaction: Transaction,
    source: FieldSource,
    parsed: ParsedEvent,
    units: UnitChecker,
    records: list[OutboxRecord],
    event_ids: set[bytes],
) -> ItemResult:
    """Decide on one event; appends to `records` and `event_ids`, which its batch shares."""
    event = parsed.event
    if event is None or parsed.refusal is not None:
        return ItemResult(parsed.event_id, "refused", parsed.refusal)
    if event.event_id.bytes in event_ids or transaction.has_event_id(event.event_id.bytes):
        return ItemResult(parsed.event_id, "repeated")
    state = EntityState(
        event.unit,
        event.version,
        event.kind,
        event.occurred_at.isoformat(),
        event.source.model_dump(),
    )
    known = transaction.entity_state(event.entity_name)
    if known is not None:
        # a source that may not report for a unit may not retract what was reported there either
        refusal = units.check(source.unit, known.unit, datetime.fromisoformat(known.occurred_at))
        if refusal is not None and refusal.is_forbidden:
            detail = f"its entity was reported before, and {refusal.detail}"
            return ItemResult(parsed.event_id, "refused", refusal._replace(detail=detail))
    for retraction in retractions(event.entity_name, state, known):
        value = orjson.dumps(retraction)
        records.append(outbox_record(parse_event(value), value))
    event_ids.add(event.event_id.bytes)
    if not is_current(state, known):
        return ItemResult(parsed.event_id, "superseded")
    records.append(outbox_record(event, parsed.value))
    if known is None or state.version > known.version:
        transaction.save_entity_state(event.entity_name, state)
    return ItemResult(parsed.event_id, "accepted")
