"""The event format, version 1: one pydantic model per kind, discriminated by `kind`.

One event is one Kafka record: UTF-8 JSON, at most 1 MiB. `parse_event` validates bytes and returns
an event or raises one `EventError`. Types are strict: a number sent as text is rejected rather than
converted, and an unknown field is rejected rather than dropped, so that a mistyped `verification`
cannot pass as unverified.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from pravah.control_characters import PATTERN, explain_control_character
from pravah.errors import PravahError
from pravah.units import UNIT_CODE_PATTERN

# A larger record is rejected without being parsed.
MAX_EVENT_BYTES = 1_048_576

# No field tool reports from before this; an earlier date means a wrong clock on the device.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

# The highest version: the year 2100 in nanoseconds. Versions are counters, or the time of a change
# in seconds, milliseconds, microseconds or nanoseconds since 1970. How far a version may lie in the
# future of its arrival is in `schemas.acceptance`.
MAX_VERSION = 4_102_444_800_000_000_000

# Append time, in milliseconds since 1970-01-01T00:00Z, from which on control characters and
# versions beyond `MAX_VERSION` are refused: 2026-11-29T00:00Z. Records that workers accepted before
# are accepted when the log is read again (docs/adr/0008-strict-events.md).
STRICTER_SINCE = 1_795_910_400_000
# The context of validation of a record that was appended earlier
_EARLIER = {"is_earlier": True}

_RFC_3339 = r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$"


class _Instant:
    """RFC 3339 text with an offset, from the year 2000 on.

    Pydantic alone would also accept numbers in quotes and times without seconds.
    """

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


_VERSION_HINT = (
    "lies beyond the year 2100, even in nanoseconds, and no correction could replace it; send a "
    "counter, or the time of the change in milliseconds, microseconds or nanoseconds"
)


def _check_text(text: str, info: ValidationInfo) -> str:
    reason = explain_control_character(text)
    if reason is not None and not info.context:
        error = "control_character"
        raise PydanticCustomError(error, "{reason}", {"reason": reason})
    return text


def _check_version(version: int, info: ValidationInfo) -> int:
    if version > MAX_VERSION and not info.context:
        error = "version_too_high"
        raise PydanticCustomError(error, _VERSION_HINT)
    return version


# A text without control characters, see `pravah.control_characters`.
_IS_PLAIN = AfterValidator(_check_text), Field(json_schema_extra={"not": {"pattern": PATTERN}})
# A whole number from 1 to `MAX_VERSION`.
_IS_BOUNDED = AfterValidator(_check_version), Field(json_schema_extra={"maximum": MAX_VERSION})
UnitCode = Annotated[str, StringConstraints(pattern=UNIT_CODE_PATTERN)]
HASH_PATTERN = r"^[0-9a-fA-F]{64}$"
# HMAC-SHA256 of a person's identifier under the installation's key, 64 hex digits; never a phone
# number or a name.
KeyedHash = Annotated[str, StringConstraints(pattern=HASH_PATTERN, to_lower=True)]
# A number of things. The bound keeps a sum of 9 billion of them within a signed 64-bit integer.
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Verification = Literal["unverified", "verified", "rejected"]
_LABEL = r"^\S(.*\S)?$"
Label = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_LABEL), *_IS_PLAIN]
_URL = r"^https?://\S+$"
EvidenceUrl = Annotated[str, StringConstraints(max_length=2_000, pattern=_URL), *_IS_PLAIN]
_METRIC = r"^[a-z][a-z0-9_]{0,63}$"
# RFC 3339 with an offset; its day is the day in Asia/Kolkata.
Instant = Annotated[datetime, _Instant]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Source(_Strict):
    """The tool that sent the event, and the installation of that tool."""

    tool: Label
    producer: Label


class InchargeAppointedData(_Strict):
    """An office was filled. Feeds the stock `incharges`.

    `active: false` ends it from that day on.
    """

    role: Literal["head", "incharge", "committee_member"]
    person: KeyedHash
    active: bool = True


class CommitteeFormedData(_Strict):
    """A committee was formed. Feeds the stocks `committees` and `committee_members`."""

    members: Annotated[int, Field(ge=1, le=1_000_000_000)]
    active: bool = True


class TrainingHeldData(_Strict):
    """A training took place. Feeds the flows `trainings` and `training_attendees`."""

    programme: Label
    attendees: Count
    trained_units: Annotated[list[UnitCode], Field(max_length=20_000)] | None = None
    """Units at or below the reporting unit whose in-charges took part.

    One training covers many booths."""


class MessagingGroupData(_Strict):
    """A messaging group and its number of members.

    Feeds the stocks `whatsapp_groups`, `broadcast_groups` and their `…_group_members`.
    """

    group_type: Literal["whatsapp", "broadcast"]
    members: Count
    active: bool = True


class SocialPostData(_Strict):
    """Posts on a channel.

    Feeds the flows `posts_<platform>`, `reach_<platform>` and `engagements_<platform>`.
    """

    platform: Literal["facebook", "twitter", "whatsapp"]
    posts: Count
    reach: Count | None = None
    engagements: Count | None = None


class MembershipData(_Strict):
    """New members. Feeds the flows `members_manual` and `members_digital`."""

    mode: Literal["manual", "digital"]
    count: Count
    member_keys: Annotated[list[KeyedHash], Field(max_length=10_000)] | None = None


class TallyData(_Strict):
    """A value of any metric in the metric dictionary, so that a new indicator needs no code."""

    metric: Annotated[str, StringConstraints(pattern=_METRIC)]
    value: Annotated[int, Field(ge=0, le=1_000_000_000_000)]
    """A whole number; amounts of money are in paise."""


class _Envelope(_Strict):
    event_id: UUID
    """Identity of this delivery; the same event sent again has the same one."""
    entity: Annotated[str, StringConstraints(min_length=1, max_length=200), *_IS_PLAIN] | None = (
        None
    )
    """Subject of the event, stable across its corrections. Default: `event_id`."""
    version: Annotated[int, Field(ge=1, le=2**63 - 1), *_IS_BOUNDED] = 1
    """A higher version of an entity replaces the lower."""
    unit: UnitCode
    """Code of the reporting unit."""
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
    """A person took or left an office of the unit."""

    kind: Literal["incharge_appointed"]
    data: InchargeAppointedData


class CommitteeFormed(_Report):
    """The unit's committee was formed, changed or dissolved."""

    kind: Literal["committee_formed"]
    data: CommitteeFormedData


class TrainingHeld(_Report):
    """The unit held a training."""

    kind: Literal["training_held"]
    data: TrainingHeldData


class MessagingGroup(_Report):
    """A messaging group of the unit, with its number of members."""

    kind: Literal["messaging_group"]
    data: MessagingGroupData


class SocialPost(_Report):
    """Posts of the unit on a platform, with their reach."""

    kind: Literal["social_post"]
    data: SocialPostData


class Membership(_Report):
    """Members whom the unit enrolled."""

    kind: Literal["membership"]
    data: MembershipData


class Tally(_Report):
    """A number for a metric of the metric dictionary."""

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
    """Takes an entity out as if it had never been reported. `data` is optional and ignored."""

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
# All of event version 1; the source of the JSON Schema in `docs/`.
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class EventError(PravahError, ValueError):
    """A record is not a valid event. The message is `reason: detail`."""

    def __init__(self, reason: str, detail: str, redacted_detail: str | None = None) -> None:
        """Describe the fault.

        Args:
            reason: a short code for programs, such as `invalid`.
            detail: what is wrong, where, and how to correct it; may quote the sender's values.
            redacted_detail: the same without the sender's values, for readers other than the
                sender. None if `detail` quotes nothing but codes.
        """
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.redacted_detail = detail if redacted_detail is None else redacted_detail


def parse_event(raw: bytes | None, *, appended_at: int | None = None) -> Event:
    """Validate a record's value, UTF-8 JSON.

    Args:
        raw: the value.
        appended_at: of a record of the log, the broker's append time in milliseconds since
            1970-01-01T00:00Z. Before `STRICTER_SINCE`, control characters and any version of 63
            bits are accepted. None: a new event.

    Raises:
        EventError: with reason `empty`, `too_large`, `not_utf8`, `not_json` or `invalid`.
    """
    if not raw:
        reason = "empty"
        raise EventError(
            reason,
            f"the record's value is {'null' if raw is None else 'empty'}; "
            "send one JSON object per record",
        )
    if len(raw) > MAX_EVENT_BYTES:
        reason = "too_large"
        raise EventError(
            reason,
            f"the record has {len(raw):,} bytes, at most {MAX_EVENT_BYTES:,} are allowed; "
            "split the report",
        )
    is_earlier = appended_at is not None and appended_at < STRICTER_SINCE
    context = _EARLIER if is_earlier else None
    try:
        return _REPORT.validate_json(raw, context=context)
    except ValidationError as error:
        return _explain(raw, error, context)


def _explain(raw: bytes, error: ValidationError, context: Mapping[str, bool] | None) -> Event:
    """Raise the reason why `raw` is not a report, or return it as a retraction without data."""
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
    # A retraction contains the word, or spells it with JSON escapes.
    if "retract" in text or "\\" in text:
        try:
            return _RETRACTION.validate_json(raw, context=context)
        except ValidationError as not_retraction:
            mistakes = not_retraction.errors(include_url=False)
            if not any(item["loc"] == ("op",) for item in mistakes):
                found = mistakes
    reason = "invalid"
    raise EventError(reason, *_describe(found)) from None


_INSTANT_HINT = "must be RFC 3339 with an offset, such as 2022-03-31T18:05:00+05:30"
_INSTANT_HINTS = {
    "string_type": _INSTANT_HINT,
    "greater_than_equal": "lies before the year 2000: the device's clock was wrong",
}
_HINTS = {
    UNIT_CODE_PATTERN: "is not a unit code, such as CG, CG-D-NRP, CG-AC084 or CG-AC084-B0017",
    _RFC_3339: _INSTANT_HINT,
    HASH_PATTERN: (
        "must be 64 hex digits, the keyed hash of the person: never a name or a phone number"
    ),
    _LABEL: "must not begin or end with a space; such as kobo or kobo.state.example",
    _URL: "must be an address, such as https://example.org/photo.jpg",
    _METRIC: "is not the name of a metric, such as doors_visited",
}
_KIND_HINT = f"kind: is none of {', '.join(MODELS)}"
# Bounds of a detail, which travels in a record's header: characters of a quoted value, characters
# about one field, and fields.
_MAX_VALUE_CHARS, _MAX_FIELD_CHARS, _MAX_FIELDS = 60, 300, 5


def _describe(found: Sequence[ErrorDetails]) -> tuple[str, str]:
    """Describe validation errors field by field, in one line.

    Returns:
        The detail with the sender's values, and without. The value of a field for a keyed hash is
        in neither, because it may be a name or a phone number.
    """
    full, redacted = [], []
    for item in found[:_MAX_FIELDS]:
        # The discriminator adds the kind to the path; the reader looks for the field.
        path = ".".join(str(part) for part in item["loc"] if part not in MODELS) or "event"
        path = path if path.isprintable() else repr(path)[1:-1]
        pattern = item.get("ctx", {}).get("pattern", "")
        hint = _HINTS.get(pattern) or (
            _INSTANT_HINTS.get(item["type"]) if path in {"occurred_at", "reported_at"} else None
        )
        if (path, item["type"]) == ("version", "less_than_equal"):
            hint = _VERSION_HINT
        message, given = hint or item["msg"], ""
        if isinstance(item["input"], (str, int, float)) and pattern != HASH_PATTERN:
            value = repr(item["input"])
            if len(value) > _MAX_VALUE_CHARS:
                value = value[:_MAX_VALUE_CHARS] + "…"
            given = f" (given: {value})"
        path = path[:_MAX_VALUE_CHARS]
        full.append(f"{path}: {f'{message}{given}'[:_MAX_FIELD_CHARS]}")
        if item["type"] == "union_tag_invalid":  # pydantic's message quotes the kind
            message = _KIND_HINT
        redacted.append(f"{path}: {message[:_MAX_FIELD_CHARS]}")
    more = [f"and {len(found) - _MAX_FIELDS} more"] if len(found) > _MAX_FIELDS else []
    return "; ".join(full + more), "; ".join(redacted + more)
