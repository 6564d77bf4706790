"""The two types between the stages of the gateway: tools → `Submission` → mapping → `MappedEvent`.

Both are independent of the field tool. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from pravah.events import Event, Verification, parse_event
from producers.mapping.delivery_ids import derive_event_id


@dataclass(frozen=True)
class Submission:
    """The state of one filled-in form at its tool after a change, or the fact that it was deleted.

    The same state always gives an equal `Submission`, whether it arrives by a hook, by a hook's
    retry, or by a pull.
    """

    form: str
    """The tool's name of the form."""
    name: str
    """Identifies the filled-in form permanently, also across edits: KoboToolbox's root UUID, ODK's
    `__id`, CommCare's form id, RapidPro's run. Where the tool does not send that, the name of the
    state before, from which the gateway finds the first one."""
    changed_at: datetime
    """Aware; when this state came about, by the tool's own clock. A later state replaces an earlier
    one."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The form's fields as the tool has them: groups as nested objects, repeats as lists of
    objects."""
    verification: Verification = "unverified"
    """The tool's own review state."""
    deleted: bool = False
    """Deleted at the tool; `fields` may be empty then."""
    state: str = field(default="", compare=False)
    """The tool's name of this state, where each edit has one; empty if it was never edited."""
    previous: str = field(default="", compare=False)
    """The tool's name of the state that this one replaced, if it says so."""
    number: str = field(default="", compare=False)
    """The tool's number of the filled-in form, which edits keep, where `name` may be only that of
    the state before."""


@dataclass(frozen=True)
class MappedEvent:
    """An event of a submission, as its mapping gives it.

    The gateway adds `event_id`, `version` and `op`.
    """

    part: str
    """Identifies the event within its submission: the mapping's name for it, followed by a slash
    and the position for an item of a repeat."""
    entity: str
    unit: str
    content: Mapping[str, Any]
    """The event's other fields, as JSON has them: `kind`, `occurred_at`, `source`, `data`, …"""

    def to_event(self) -> Event:
        """Return the event of the entity's first version.

        Raises:
            EventError: the content is not valid.
        """
        fields = {
            "event_id": derive_event_id(self.entity, 1),
            "entity": self.entity,
            "unit": self.unit,
            **self.content,
        }
        return parse_event(orjson.dumps(fields))
