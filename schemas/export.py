"""The event format as JSON Schema and AsyncAPI, generated from the models that validate events.

`make docs` writes the files to `docs/`; a test compares them with the models.
"""

import json
from typing import Any

from pravah.events import EVENT
from pravah.topics import ALERTS, EVENTS, REJECTED, UNITS
from schemas.registry import Entry

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_schema() -> dict[str, Any]:
    """Describe events, version 1, as JSON Schema 2020-12."""
    return {"$schema": _DIALECT, "title": "Pravah event, version 1", **EVENT.json_schema()}


def entry_schema() -> dict[str, Any]:
    """Describe an entry of the unit registry as JSON Schema 2020-12."""
    return {"$schema": _DIALECT, **Entry.model_json_schema()}


def asyncapi() -> dict[str, Any]:
    """Describe the topics, their keys and messages, as AsyncAPI 3.0."""

    def channel(address: str, description: str, message: str) -> dict[str, Any]:
        return {
            "address": address,
            "description": description,
            "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        }

    def operation(action: str, name: str, summary: str) -> dict[str, Any]:
        return {"action": action, "channel": {"$ref": f"#/channels/{name}"}, "summary": summary}

    def message(summary: str, key: str, payload: dict[str, Any], **more: object) -> dict[str, Any]:
        keyed = {"kafka": {"key": {"type": "string", "description": key}}}
        return {
            "contentType": "application/json",
            "summary": summary,
            "payload": payload,
            "bindings": keyed,
            **more,
        }

    headers = {
        name: {"type": "string", "description": text} for name, text in _REJECTED_HEADERS.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Pravah",
            "version": "1",
            "description": "Activity of a party's units, from the booth to national headquarters.",
            "license": {"name": "Apache-2.0"},
        },
        "channels": {
            "events": channel(
                EVENTS,
                "Events that units report. Broker append time; delivered at least once, counted "
                "once.",
                "event",
            ),
            "rejected": channel(
                REJECTED,
                "Dead letters: records that are not counted, byte for byte. Correct them and "
                "replay them.",
                "rejected",
            ),
            "alerts": channel(ALERTS, "Matters that the control room must act on.", "alert"),
            "units": channel(UNITS, "The unit registry; compacted.", "unit"),
        },
        "operations": {
            "report": operation("receive", "events", "Field tools report; the roll-up counts."),
            "reject": operation(
                "send", "rejected", "The roll-up rejects records it cannot count, with the reason."
            ),
            "alert": operation("send", "alerts", "The roll-up alerts the control room."),
            "load": operation("receive", "units", "The registry is loaded and changed."),
        },
        "components": {
            "messages": {
                "event": message(
                    "One event",
                    "the assembly's code for booths and assemblies, else the unit's own",
                    {"$ref": "event.schema.json"},
                ),
                "rejected": {
                    "summary": "The original bytes, with headers for the reason and the origin",
                    "payload": {"description": "the bytes of the record, unchanged"},
                    "headers": {
                        "type": "object",
                        "properties": headers,
                        "required": list(headers),
                    },
                },
                "alert": message("One alert", "the unit's code", {"type": "object"}),
                "unit": message(
                    "One unit with its dated parents",
                    "the unit's code",
                    {"$ref": "registry-entry.schema.json"},
                ),
            }
        },
    }


_REJECTED_HEADERS = {
    "reason": (
        "a word for programs: empty, too_large, not_utf8, not_json, invalid, unknown_unit, "
        "closed_unit, far_future, unknown_metric, unknown_trained_unit"
    ),
    "detail": "the problem, its place, and how to correct it, in English",
    "topic": "the topic of the record",
    "partition": "its partition",
    "offset": "its offset",
}

FILES = {
    "event.schema.json": event_schema,
    "registry-entry.schema.json": entry_schema,
    "asyncapi.json": asyncapi,
}


def render(name: str) -> str:
    """Render one of `FILES` as text."""
    return json.dumps(FILES[name](), indent=2, ensure_ascii=False, sort_keys=False) + "\n"
