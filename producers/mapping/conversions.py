"""Conversion of a table's cell or a form's field into a value of an event.

Also the parts that the mapping files of tables and of forms share. Pure.
"""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from pravah.errors import FindingsError
from pravah.events import EARLIEST
from producers.mapping.garbled_text import (
    HALF_CHARACTER,
    explain_day,
    explain_garbled,
    explain_number_cell,
    explain_serial,
    has_half_character,
)
from producers.mapping.phones import INDIA, REGIONS, PhoneError, to_e164
from producers.mapping.placeholders import explain_placeholder, explain_template
from producers.mapping.pseudonyms import Pseudonymiser
from producers.mapping.text import (
    fold_text,
    normalise_text,
    remove_format_characters,
    strip_text,
    to_ascii_digits,
)

# A text, or the content of a spreadsheet's cell or a JSON value: number, boolean, date, None.
Cell = object

_MAX_ENTITY_LENGTH = 200
_TRUE = frozenset(
    map(
        fold_text, ["true", "yes", "y", "1", "ok", "हाँ", "हां", "हा", "जी हाँ", "जी हां", "haan", "ha"]
    )
)
_FALSE = frozenset(
    map(fold_text, ["false", "no", "n", "0", "नहीं", "नही", "जी नहीं", "ना", "nahin", "nahi"])
)
# 1204, 1,204, 1,04,204, and 12.0 as tools write numbers that could have had a fraction.
_INTEGER = re.compile(r"[+-]?(\d{1,18}|\d{1,3}(,\d{3}){1,5}|\d{1,2}(,\d{2}){1,7},\d{3})(\.0*)?")
# The calendar of units ends then (`pravah.days`).
_LATEST = datetime(2149, 6, 1, tzinfo=UTC)
# Directives of strptime that read a time of day.
_TIME_DIRECTIVES = ("%H", "%I", "%c", "%X", "%T")
# Directives of strptime that read a year.
_YEAR_DIRECTIVES = ("%Y", "%y", "%G", "%c", "%x", "%D")


class MappingError(FindingsError):
    """A mapping file that cannot be used, with all findings."""

    subject = "the mapping"


class ConversionError(ValueError):
    """The reason why a value cannot be converted.

    The message never repeats the value, since values may be personal.
    """


class StrictModel(BaseModel):
    """A part of a mapping file. Unknown keys are refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


AnyMapping = TypeVar("AnyMapping", bound=StrictModel)
AnyValue = TypeVar("AnyValue")


def load_mapping(model: type[AnyMapping], text: str) -> AnyMapping:
    """Parse a mapping file.

    Args:
        model: the model of the file.
        text: TOML.

    Raises:
        MappingError: the text is no TOML or does not fit the model; with all findings.
    """
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise MappingError([f"not TOML: {error}"]) from None
    except ValidationError as error:
        findings = [
            f"{'.'.join(map(str, item['loc'])) or 'mapping'}: "
            f"{item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
        raise MappingError(findings) from None


# --- values --------------------------------------------------------------------------------------


def to_text(cell: Cell) -> str:
    """Return a cell's text in NFC, stripped. A spreadsheet's 12.0 becomes `12`, None is empty.

    A text of invisible characters only is empty.
    """
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return strip_text(str(cell))


def to_identifier(cell: Cell, *, may_be_day: bool = False) -> str:
    """Return the text of a cell that identifies something or names a unit.

    Blanks and invisible characters that nobody sees make no difference.

    Args:
        cell: not empty.
        may_be_day: whether the text may be a day such as 5-Mar.

    Raises:
        ConversionError: the cell has no meaning: a template that was not filled in, a word for
            nothing, or a text that was garbled on its way.
    """
    text = to_text(cell)
    reason = (
        explain_placeholder(text)
        or explain_number_cell(cell)
        or explain_garbled(text)
        or (None if may_be_day or isinstance(cell, date) else explain_day(text))
    )
    if reason is not None:
        raise ConversionError(reason)
    return normalise_text(text)


def to_integer(cell: Cell) -> int:
    """Convert a cell to a whole number. Accepts 1,204, 1,04,204, digits of any script, and 12.0.

    Raises:
        ConversionError: the cell is not a whole number.
    """
    # a spreadsheet's sign for a text is an apostrophe before it
    text = to_ascii_digits(normalise_text(to_text(cell))).removeprefix("'")
    found = None if isinstance(cell, bool) else _INTEGER.fullmatch(text)
    if found is None:
        reason = explain_placeholder(text) or explain_garbled(text) or explain_day(text)
        msg = "is not a whole number" + (f": it {reason}" if reason else "")
        raise ConversionError(msg)
    return int(found[0].split(".")[0].replace(",", ""))


def to_boolean(cell: Cell) -> bool:
    """Convert yes or no, in English or Hindi, or a tool's spelling of a boolean.

    Raises:
        ConversionError: the cell is neither yes nor no.
    """
    text = to_ascii_digits(fold_text(to_text(cell)))
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    reason = explain_placeholder(text) or explain_garbled(text)
    msg = "is neither yes nor no" + (f": it {reason}" if reason else "")
    raise ConversionError(msg)


def find_value(values: Mapping[str, AnyValue], text: str) -> AnyValue | None:
    """Return the value of a table for a text, None if the table does not have the text.

    Names are compared in NFC, without regard to case, blanks and invisible characters, unless two
    names of the table differ in these only.
    """
    if text in values:
        return values[text]
    found = [value for name, value in values.items() if fold_text(name) == fold_text(text)]
    return found[0] if len(found) == 1 else None


def check_name(name: str) -> str:
    """Check a text that a mapping file puts into the names of entities."""
    if not name.strip():
        msg = "is blank"
        raise ValueError(msg)
    if (reason := explain_template(name)) is not None:
        raise ValueError(reason)
    return name


# A text of a mapping file that is part of the names of entities.
NamePart = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(check_name)]


class Conversion(StrictModel):
    """How a cell becomes a value."""

    type: Literal["text", "integer", "boolean", "hash", "phone"] = "text"
    """`integer` accepts 1,234 and Devanagari digits; `boolean` yes/no in English and Hindi; `hash`
    makes the keyed hash of a person from a name or number; `phone` the same, but refuses a text
    that is no phone number. Both refuse a cell with several numbers, and a text that lost its
    meaning."""
    region: str = INDIA
    """With `hash` and `phone`, the country of numbers without a country code, as ISO 3166."""
    values: dict[str, str | int | bool] | None = None
    """Cell → value; any other cell is refused."""
    optional: bool = False
    """Whether an empty cell leaves the field out. Otherwise an empty cell is refused."""

    @field_validator("values")
    @classmethod
    def _check_values(
        cls, values: dict[str, str | int | bool] | None
    ) -> dict[str, str | int | bool] | None:
        return normalise_names(values)

    @field_validator("region")
    @classmethod
    def _check_region(cls, region: str) -> str:
        if region not in REGIONS:
            msg = f"{region!r} is no country of ISO 3166; expected for example IN or NP"
            raise ValueError(msg)
        return region

    @model_validator(mode="after")
    def _check_region_of_persons(self) -> "Conversion":
        if "region" in self.model_fields_set and not self.is_personal:
            msg = "region is for type = 'hash' and 'phone'"
            raise ValueError(msg)
        return self

    @property
    def is_personal(self) -> bool:
        """Whether the cell is personal data, which no message may repeat."""
        return self.type in {"hash", "phone"}

    def convert(self, cell: Cell, pseudonymiser: Pseudonymiser | None) -> str | int | bool:
        """Convert a cell that is not empty.

        Raises:
            ConversionError: the cell does not fit.
        """
        if self.values is not None:
            text = to_text(cell)
            if (value := find_value(self.values, text)) is None:
                reason = explain_placeholder(text) or explain_garbled(text)
                msg = reason or f"is not among its values: {', '.join(self.values)}"
                raise ConversionError(msg)
            return value
        match self.type:
            case "integer":
                return to_integer(cell)
            case "boolean":
                return to_boolean(cell)
            case "hash" | "phone":
                reason = explain_number_cell(cell) or _explain_person_cell(cell)
                if reason is not None:
                    raise ConversionError(reason)
                return self.hash_all([to_text(cell)], pseudonymiser)[0]
            case _:
                return _to_free_text(cell)

    def hash_all(self, texts: list[str], pseudonymiser: Pseudonymiser | None) -> list[str]:
        """Return the keyed hashes of persons, in their order.

        Raises:
            ConversionError: there is no key; a text names nobody, or more than one person; or the
                type is `phone` and a text is no phone number.
        """
        if pseudonymiser is None:
            msg = "needs the installation's key for persons: set PRAVAH_PERSON_KEY"
            raise ConversionError(msg)
        for text in texts:
            self._check_person(text)
        return pseudonymiser.hash_all(texts, self.region)

    def _check_person(self, text: str) -> None:
        """Check that a text names one person, by a phone number or otherwise."""
        try:
            to_e164(text, self.region)
        except PhoneError as error:
            reason = explain_placeholder(text)
            if reason is None and error.is_meant:
                raise ConversionError(str(error)) from None
            reason = reason or explain_garbled(text) or explain_day(text)
            if reason is not None:
                msg = f"is no phone number: it {reason}" if self.type == "phone" else reason
                raise ConversionError(msg) from None
            if self.type == "phone":
                raise ConversionError(str(error)) from None


def _explain_person_cell(cell: Cell) -> str | None:
    """Return the reason why a spreadsheet's cell can be no person, None if it may be one."""
    if isinstance(cell, date):
        return "is a date and no person; if it was a number such as 5-3, format the column as text"
    return "is yes or no and no person" if isinstance(cell, bool) else None


def normalise_names(values: Mapping[str, AnyValue] | None) -> dict[str, AnyValue] | None:
    """Return a mapping file's table with its names as texts are compared; None if there is none.

    Raises:
        ValueError: it is empty, or a name stands there twice, in two Unicode forms, for different
            values.
    """
    if values is None:
        return None
    if not values:
        msg = "is empty, so every text would be refused"
        raise ValueError(msg)
    found: dict[str, AnyValue] = {}
    for name, value in values.items():
        if found.setdefault(to_text(name), value) != value:
            msg = f"{name!r} stands for two values, in two Unicode forms of the name"
            raise ValueError(msg)
    return found


def _to_free_text(cell: Cell) -> str:
    """Return a text that is read by people, or compared by the event's model.

    It keeps the joiners of Devanagari, and loses the format characters that an event may not have.
    """
    text = remove_format_characters(to_text(cell))
    reason = explain_template(text, whole=True)
    if reason is None and has_half_character(text):
        reason = HALF_CHARACTER
    if reason is not None:
        raise ConversionError(reason)
    return text


class TimeFormat(StrictModel):
    """How a day or an instant is written."""

    format: str | None = None
    """As for Python's `strptime`, such as `%d/%m/%Y`. If empty: a spreadsheet's date cell,
    `2022-03-31`, or RFC 3339."""
    zone: str = "Asia/Kolkata"
    """Time zone of values that name none."""
    time: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "12:00"
    """Time of day of values that are a day only."""

    @field_validator("zone")
    @classmethod
    def _check_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            msg = f"{zone!r} is no time zone; expected for example Asia/Kolkata"
            raise ValueError(msg) from None
        return zone

    @field_validator("format")
    @classmethod
    def _check_format(cls, form: str | None) -> str | None:
        try:
            datetime.strptime("", form or "")  # noqa: DTZ007
        except ValueError as error:
            if "directive" in str(error) or "stray %" in str(error):
                msg = f"{form!r} is no format of strptime: {error}"
                raise ValueError(msg) from None
        if form is not None and not any(directive in form for directive in _YEAR_DIRECTIVES):
            msg = f"{form!r} has no year (%Y or %y), so every day would lie in 1900"
            raise ValueError(msg)
        return form

    def parse(self, cell: Cell) -> datetime:
        """Convert a cell that is not empty to an aware instant.

        Raises:
            ConversionError: the cell is written otherwise, or lies outside 2000 to 2149.
        """
        instant = (
            cell
            if isinstance(cell, date)
            else self._parse_text(to_ascii_digits(normalise_text(to_text(cell))))
        )
        if not isinstance(instant, datetime):
            instant = datetime.combine(instant, time.fromisoformat(self.time))
        elif isinstance(cell, datetime) and instant.time() == time.min:
            # a spreadsheet stores a day as its midnight
            instant = datetime.combine(instant.date(), time.fromisoformat(self.time))
        instant = instant if instant.tzinfo else instant.replace(tzinfo=ZoneInfo(self.zone))
        if not EARLIEST <= instant <= _LATEST:
            place = "before the year 2000" if instant < EARLIEST else "after the year 2149"
            msg = f"lies {place}: the device's clock was wrong"
            raise ConversionError(msg)
        return instant

    def _parse_text(self, text: str) -> date:
        """Return a `date` for a day, a `datetime` with or without zone for an instant."""
        if self.format is None:
            try:
                return (
                    date.fromisoformat(text)
                    if len(text) == len("2022-03-31")
                    else datetime.fromisoformat(text)
                )
            except ValueError:
                msg = (
                    "is neither a day such as 2022-03-31 nor RFC 3339; "
                    "say occurred_at.format if it is written otherwise"
                )
                raise ConversionError(msg + _explain_time(text)) from None
        try:
            parsed = datetime.strptime(text, self.format)  # noqa: DTZ007
        except ValueError:
            msg = f"is not written as {self.format}{_explain_time(text)}"
            raise ConversionError(msg) from None
        has_time = any(directive in self.format for directive in _TIME_DIRECTIVES)
        return parsed if has_time else parsed.date()


def _explain_time(text: str) -> str:
    """Return a hint on a text that should be a time, to follow the reason, or nothing."""
    if (hint := explain_serial(text)) is not None:
        return f"; {hint}"
    reason = explain_placeholder(text) or explain_garbled(text)
    return "" if reason is None else f": it {reason}"


def make_entity(prefix: str, parts: list[str]) -> str:
    """Join a prefix and parts to an entity's name of at most 200 characters.

    Different parts always give different names: colons are escaped, and a name that is too long
    becomes the prefix and a hash.
    """
    entity = ":".join([prefix, *(part.replace("%", "%25").replace(":", "%3A") for part in parts)])
    return (
        entity
        if len(entity) <= _MAX_ENTITY_LENGTH
        else f"{prefix}:{hashlib.blake2b(entity.encode(), digest_size=32).hexdigest()}"
    )
