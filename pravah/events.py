"""Event, version 1: what a unit reports. One pydantic model per kind, told apart by `kind`.

One event is one Kafka record: UTF-8 JSON, at most 1 MiB. `parse_event` turns bytes into a checked event or one clear error. Types are strict: a number sent as
text is refused rather than guessed at, an unknown field is refused rather than dropped (a mistyped `verification` must not pass as unverified).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from pravah.units import UNIT_CODE_PATTERN

MAX_EVENT_BYTES = 1_048_576
"""A larger record is rejected unread."""

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""No field tool reports from before this; an earlier date is a broken clock."""


_RFC_3339 = r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$"


class _Instant:
    """RFC 3339 text with an offset, from the year 2000 on. Pydantic alone would also take numbers in quotes and times without seconds."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        instant = core_schema.datetime_schema(tz_constraint="aware", ge=EARLIEST, strict=False)
        return core_schema.json_or_python_schema(
            json_schema=core_schema.chain_schema(
                [core_schema.str_schema(pattern=_RFC_3339, strict=True), instant]
            ),
            python_schema=core_schema.datetime_schema(
                tz_constraint="aware", ge=EARLIEST, strict=True
            ),
            serialization=core_schema.to_string_ser_schema(when_used="json"),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "date-time", "pattern": _RFC_3339}


UnitCode = Annotated[str, StringConstraints(pattern=UNIT_CODE_PATTERN)]
HASH_PATTERN = r"^[0-9a-fA-F]{64}$"
KeyedHash = Annotated[str, StringConstraints(pattern=HASH_PATTERN, to_lower=True)]
"""HMAC-SHA256 of a person's identifier under the installation's key, 64 hex digits; never a phone number or a name."""
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
"""A whole number of things; bounded so that 9 billion of the largest still fit a signed 64-bit sum."""
Verification = Literal["unverified", "verified", "rejected"]
Label = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^\S(.*\S)?$")]
EvidenceUrl = Annotated[str, StringConstraints(max_length=2_000, pattern=r"^https?://\S+$")]
Instant = Annotated[datetime, _Instant]
"""RFC 3339 with an offset; its day is the day in Asia/Kolkata."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Source(_Strict):
    """Which tool sent it, and which installation of that tool."""

    tool: Label
    producer: Label


class InchargeAppointedData(_Strict):
    """An office was filled. Stock `incharges`; `active: false` ends it from that day on."""

    role: Literal["head", "incharge", "committee_member"]
    person: KeyedHash
    active: bool = True


class CommitteeFormedData(_Strict):
    """A committee stands. Stocks `committees` and `committee_members`."""

    members: Annotated[int, Field(ge=1, le=1_000_000_000)]
    active: bool = True


class TrainingHeldData(_Strict):
    """A training took place. Flows `trainings` and `training_attendees`."""

    programme: Label
    attendees: Count
    trained_units: Annotated[list[UnitCode], Field(max_length=20_000)] | None = None
    """Codes at or below the reporting unit whose in-charges took part; one training covers many booths."""


class MessagingGroupData(_Strict):
    """A messaging group exists with so many members. Stocks `whatsapp_groups`, `broadcast_groups` and their `…_group_members`."""

    group_type: Literal["whatsapp", "broadcast"]
    members: Count
    active: bool = True


class SocialPostData(_Strict):
    """Posts on a channel. Flows `posts_<platform>`, `reach_<platform>`, `engagements_<platform>`."""

    platform: Literal["facebook", "twitter", "whatsapp"]
    posts: Count
    reach: Count | None = None
    engagements: Count | None = None


class MembershipData(_Strict):
    """New members. Flows `members_manual` and `members_digital`."""

    mode: Literal["manual", "digital"]
    count: Count
    member_keys: Annotated[list[KeyedHash], Field(max_length=10_000)] | None = None


class TallyData(_Strict):
    """A value of a metric that the metric dictionary declares, so a new indicator needs no code."""

    metric: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    value: Annotated[int, Field(ge=0, le=1_000_000_000_000)]
    """A whole number; an amount of money is told in paise."""


class _Envelope(_Strict):
    event_id: UUID
    """This delivery's name; the same event sent again has the same one."""
    entity: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """What the event is about, stable across its corrections. Empty: `event_id`."""
    version: Annotated[int, Field(ge=1, le=2**63 - 1)] = 1
    """A higher version of an entity replaces the lower."""
    unit: UnitCode
    """Who reports."""
    occurred_at: Instant
    reported_at: Instant | None = None
    source: Source
    reporter: KeyedHash | None = None
    evidence: EvidenceUrl | None = None
    verification: Verification = "unverified"

    @property
    def entity_name(self) -> str:
        """`entity`, or its default `event_id`."""
        return self.entity or str(self.event_id)


class _Report(_Envelope):
    op: Literal["report", "retract"] = "report"


class InchargeAppointed(_Report):
    """See `InchargeAppointedData`."""

    kind: Literal["incharge_appointed"]
    data: InchargeAppointedData


class CommitteeFormed(_Report):
    """See `CommitteeFormedData`."""

    kind: Literal["committee_formed"]
    data: CommitteeFormedData


class TrainingHeld(_Report):
    """See `TrainingHeldData`."""

    kind: Literal["training_held"]
    data: TrainingHeldData


class MessagingGroup(_Report):
    """See `MessagingGroupData`."""

    kind: Literal["messaging_group"]
    data: MessagingGroupData


class SocialPost(_Report):
    """See `SocialPostData`."""

    kind: Literal["social_post"]
    data: SocialPostData


class Membership(_Report):
    """See `MembershipData`."""

    kind: Literal["membership"]
    data: MembershipData


class Tally(_Report):
    """See `TallyData`."""

    kind: Literal["tally"]
    data: TallyData


Kind = Literal[
    "incharge_appointed",
    "committee_formed",
    "training_held",
    "messaging_group",
    "social_post",
    "membership",
    "tally",
]


class Retraction(_Envelope):
    """Takes an entity out as if it had never been reported. It needs no `data`; what it carries there is ignored."""

    op: Literal["retract"]
    kind: Kind
    data: dict[str, Any] | None = None


Report = Annotated[
    InchargeAppointed
    | CommitteeFormed
    | TrainingHeld
    | MessagingGroup
    | SocialPost
    | Membership
    | Tally,
    Field(discriminator="kind"),
]
Event = Report | Retraction

MODELS: dict[Kind, type[_Report]] = {
    "incharge_appointed": InchargeAppointed,
    "committee_formed": CommitteeFormed,
    "training_held": TrainingHeld,
    "messaging_group": MessagingGroup,
    "social_post": SocialPost,
    "membership": Membership,
    "tally": Tally,
}

_REPORT: TypeAdapter[Report] = TypeAdapter(Report)
_RETRACTION = TypeAdapter(Retraction)
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
"""The whole of event version 1, as the JSON Schema in `docs/` has it."""


class EventError(ValueError):
    """A record that is no event: a short `reason` for programs and a `detail` that tells a person what is wrong, where, and what to do.

    `told` is the same without what was given, for where it may be read by others than who sent it.
    """

    def __init__(self, reason: str, detail: str, told: str | None = None) -> None:
        """Keep them; the message is `reason: detail`. Without `told`, the detail may be read by all: it repeats codes at most."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.told = detail if told is None else told


def parse_event(raw: bytes | None) -> Event:
    """Check one record's value, UTF-8 JSON.

    Raises:
        EventError: with reason `empty`, `too_large`, `not_utf8`, `not_json` or `invalid`.
    """
    if not raw:
        reason = "empty"
        raise EventError(
            reason,
            f"the record's value is {'null' if raw is None else 'empty'}; send one JSON object per record",
        )
    if len(raw) > MAX_EVENT_BYTES:
        reason = "too_large"
        raise EventError(
            reason,
            f"the record has {len(raw):,} bytes, at most {MAX_EVENT_BYTES:,} are allowed; split the report",
        )
    try:
        return _REPORT.validate_json(raw)
    except ValidationError as error:
        return _explain(raw, error)


def _explain(raw: bytes, error: ValidationError) -> Event:
    """Tell why `raw` is no report; give back the retraction if it is one without data."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as bad:
        reason = "not_utf8"
        raise EventError(
            reason,
            f"byte {bad.start} ({raw[bad.start]:#04x}) is not UTF-8; encode the JSON as UTF-8",
        ) from None
    found = error.errors(include_url=False)
    if found[0]["type"] == "json_invalid":
        reason = "not_json"
        raise EventError(
            reason, f"{found[0]['msg']}; the text begins {text[:40]!r}", found[0]["msg"]
        ) from None
    if "retract" in text or "\\" in text:  # else it is none, however its letters may be written
        try:
            return _RETRACTION.validate_json(raw)
        except ValidationError as not_retraction:
            mistakes = not_retraction.errors(include_url=False)
            if not any(item["loc"] == ("op",) for item in mistakes):
                found = mistakes
    reason = "invalid"
    raise EventError(reason, *_describe(found)) from None


_NO_INSTANT = "must be RFC 3339 with an offset, such as 2022-03-31T18:05:00+05:30"
_INSTANT_HINTS = {
    "string_type": _NO_INSTANT,
    "greater_than_equal": "lies before the year 2000: the device's clock was wrong",
}
_HINTS = {
    UNIT_CODE_PATTERN: "is not a unit code, such as CG, CG-D-NRP, CG-AC084 or CG-AC084-B0017",
    _RFC_3339: _NO_INSTANT,
    HASH_PATTERN: "must be 64 hex digits, the keyed hash of the person: never a name or a phone number",
}
_NO_KIND = f"kind: is none of {', '.join(MODELS)}"
_SHOWN, _TOLD, _MOST = 60, 300, 5
"""So many characters are shown of what was given, and told about one field, and so many fields: a reason travels in a record's header."""


def _describe(found: Sequence[ErrorDetails]) -> tuple[str, str]:
    """What is wrong with an event, field by field, in one line a person understands: with what was given, and without. Never shows what stands where a keyed hash belongs."""
    shown_lines, told_lines = [], []
    for item in found[:_MOST]:
        # the discriminator puts the kind into the path; the reader looks for the field
        path = ".".join(str(part) for part in item["loc"] if part not in MODELS) or "event"
        pattern = item.get("ctx", {}).get("pattern", "")
        hint = _HINTS.get(pattern) or (
            _INSTANT_HINTS.get(item["type"]) if path in {"occurred_at", "reported_at"} else None
        )
        message, given = hint or item["msg"], ""
        if isinstance(item["input"], (str, int, float)) and pattern != HASH_PATTERN:
            shown = repr(item["input"])
            given = f" (given: {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '…'})"
        shown_lines.append(f"{path[:_SHOWN]}: {f'{message}{given}'[:_TOLD]}")
        told_lines.append(
            f"{path[:_SHOWN]}: {(_NO_KIND if item['type'] == 'union_tag_invalid' else message)[:_TOLD]}"
        )
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return "; ".join(shown_lines + more), "; ".join(told_lines + more)
