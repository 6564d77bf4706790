"""Turn outcomes of a back-check into new versions of the entities that were checked."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from operations.reconcile import author
from pravah.days import KOLKATA
from pravah.producer import EventProducer
from pravah.settings import Settings
from producers.mapping.delivery_ids import derive_event_id
from schemas.back_check import CheckedEntity
from sinks.back_checks import current_events
from sinks.connection import connect


@dataclass(frozen=True)
class OutcomeEvents:
    """What becomes of the outcomes on a sheet."""

    events: list[dict[str, Any]]
    """The next version of each entity that is still as it was drawn."""
    entered_before: int
    changed: list[CheckedEntity]
    """Entities that were changed or retracted since they were drawn."""


def outcome_events(settings: Settings, outcomes: Iterable[CheckedEntity]) -> OutcomeEvents:
    """Compare outcomes with the current versions of their entities, and build the events.

    Args:
        settings: of the deployment.
        outcomes: of a sheet that came back.
    """
    checked = list(outcomes)
    with connect(settings.clickhouse, "writer") as client:
        current = current_events(client, checked)
    events, changed, entered_before = [], [], 0
    for one in checked:
        now = current.get((one.key, one.entity))
        if now is not None and now["version"] == one.version and now["op"] != "retract":
            events.append(_next_version(one, now))
        elif (
            now is not None
            and now["version"] == one.version + 1
            and now["verification"] == one.outcome
        ):
            entered_before += 1
        else:
            changed.append(one)
    return OutcomeEvents(events, entered_before, changed)


def send_events(settings: Settings, events: Iterable[dict[str, Any]]) -> None:
    """Send events to Kafka, and wait until it has confirmed them.

    Raises:
        ProducerError: Kafka did not confirm all of them; sending them again is safe.
    """
    with EventProducer(settings.kafka) as producer:
        for event in events:
            producer.send(event)


def _next_version(checked: CheckedEntity, now: dict[str, Any]) -> dict[str, Any]:
    version = checked.version + 1
    return {
        "event_id": str(derive_event_id(f"{checked.key}:{checked.entity}", version)),
        "entity": checked.entity,
        "version": version,
        "unit": now["unit"],
        "kind": now["kind"],
        "occurred_at": now["occurred_at"].isoformat(),
        "reported_at": datetime.now(KOLKATA).isoformat(timespec="seconds"),
        "source": {"tool": "back-check", "producer": author()},
        "verification": checked.outcome,
        "data": orjson.loads(now["data"]),
        **{name: now[name] for name in ("reporter", "evidence") if now[name]},
    }
