"""What field tools tell, whatever the tool, and what a mapping makes of it. Pure words between the rooms of the gateway: tools → mapping → intake."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pravah.events import Verification


@dataclass(frozen=True)
class Submission:
    """One filled-in form as it stands at its tool after one change of it; or that it is gone.

    The same state always gives an equal `Submission`, however it arrives: by a hook, by a hook's retry, or by a pull.
    """

    form: str
    """The tool's name of the form."""
    name: str
    """Names the filled-in form for good, also when it is edited: KoboToolbox's root UUID, ODK's `__id`, CommCare's form id, RapidPro's run."""
    changed_at: datetime
    """Aware; when this state came about, by the tool's own clock. A later state replaces an earlier one."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The form's fields as the tool has them: groups as nested objects, repeats as lists of objects."""
    verification: Verification = "unverified"
    """By the tool's own review state."""
    deleted: bool = False
    """It was deleted at the tool; `fields` may be empty then."""


@dataclass(frozen=True)
class Observation:
    """One event that a submission stands for, without what the gateway adds: `event_id`, `version`, `op`."""

    part: str
    """Which of the submission's events: the mapping's name for it, and behind a slash the place in the repeat."""
    entity: str
    unit: str
    content: Mapping[str, Any]
    """The event's other fields, as JSON has them: `kind`, `occurred_at`, `source`, `data`, …"""
