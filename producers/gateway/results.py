"""Results of ingestion: what became of events, bodies and submissions."""

import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from producers.mapping.submissions import Submission

# Maximum length of a refusal's detail in the archive and in responses.
MAX_DETAIL_LENGTH = 1_000
_LONG_NUMBER = re.compile(r"\d{7,}")


class Refusal(NamedTuple):
    """Why something is refused. Contains no submitted values except units and days."""

    reason: str
    """A machine-readable reason.

    `outside`; or a worker's: `unknown_unit`, `closed_unit`, `far_future`, `invalid` …; or of a
    body: `unreadable`, `unknown_form`, `unmappable`.
    """
    detail: str

    @property
    def is_forbidden(self) -> bool:
        """Whether it is valid, but this source may not report it."""
        return self.reason == "outside"


class ItemResult(NamedTuple):
    """What became of one event or submission."""

    name: str
    """The event's id, empty if it could not be parsed; or the submission's name."""
    outcome: Literal["accepted", "repeated", "superseded", "refused"]
    """Superseded: another unit has a higher version of its entity, so it counts nowhere."""
    refusal: Refusal | None = None


@dataclass(frozen=True)
class EventsResult:
    """What became of events sent to `/v1/events`, in their order."""

    items: list[ItemResult]


@dataclass(frozen=True)
class BodyResult:
    """What became of a hook's body, which is accepted as a whole or refused."""

    items: list[ItemResult]
    events: int
    """Events put into the outbox."""
    refusals: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True)
class SubmissionsResult:
    """What became of pulled submissions, each on its own."""

    accepted: int
    repeated: int
    refused: list[tuple[Submission, str, str]]
    """(submission, reason, detail); archived, and can be corrected and sent again."""
    events: int
    """Events put into the outbox."""


def redact(detail: str) -> str:
    """A detail without long numbers: a field's name may contain a phone number."""
    return _LONG_NUMBER.sub("…", detail)
