"""What a cell of a table or a field of a form says, as what an event is to say; and the parts that all mapping files share. Pure."""

import hashlib
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pravah.errors import FindingsError
from pravah.events import EARLIEST, MODELS, Kind
from producers.mapping.pseudonyms import PersonKeys, ascii_digits, phone

Cell = object
"""A text, or what a spreadsheet's cell or JSON holds: number, boolean, date, None."""

_LONGEST_ENTITY = 200
_TRUE = frozenset({"true", "yes", "y", "1", "ok", "हाँ", "हां", "हा", "जी हाँ", "जी हां", "haan", "ha"})
_FALSE = frozenset({"false", "no", "n", "0", "नहीं", "नही", "जी नहीं", "ना", "nahin", "nahi"})
_WHOLE = re.compile(r"[+-]?(\d{1,18}|\d{1,3}(,\d{3}){1,5}|\d{1,2}(,\d{2}){1,7},\d{3})(\.0*)?")
"""1204, 1,204, 1,04,204, and 12.0 as tools write numbers that could have had a fraction."""
_LATEST = datetime(2149, 6, 1, tzinfo=UTC)
"""The calendar of units ends then (`pravah.days`)."""
_CLOCK = ("%H", "%I", "%c", "%X", "%T")


class MappingError(FindingsError):
    """A mapping that cannot be used, with everything found wrong."""

    subject = "the mapping"


class ConversionError(ValueError):
    """What is wrong with a value, without the value itself, which may be personal."""


class Strict(BaseModel):
    """A part of a mapping file: what it does not know is refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


AnyMapping = TypeVar("AnyMapping", bound=Strict)


def mapping_from_toml(model: type[AnyMapping], text: str) -> AnyMapping:
    """Read a mapping file.

    Raises:
        MappingError: with everything that is not as the model has it.
    """
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise MappingError([f"not TOML: {error}"]) from None
    except ValidationError as error:
        findings = [
            f"{'.'.join(map(str, item['loc'])) or 'mapping'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
        raise MappingError(findings) from None


# --- values -------------------------------------------------------------------------------------------------------------------------------------------------


def text_of(cell: Cell) -> str:
    """A cell as it reads, in NFC and without blanks at its ends; a spreadsheet's 12.0 reads 12."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return unicodedata.normalize("NFC", str(cell)).strip()


def integer(cell: Cell) -> int:
    """A whole number; 1,204 and 1,04,204, any script's digits and 12.0 are taken.

    Raises:
        ConversionError: it is none.
    """
    found = None if isinstance(cell, bool) else _WHOLE.fullmatch(ascii_digits(text_of(cell)))
    if found is None:
        msg = "is not a whole number"
        raise ConversionError(msg)
    return int(found[0].split(".")[0].replace(",", ""))


def boolean(cell: Cell) -> bool:
    """Yes or no, in English or Hindi, or as tools write it.

    Raises:
        ConversionError: it is neither.
    """
    text = ascii_digits(text_of(cell).casefold())
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    msg = "is neither yes nor no"
    raise ConversionError(msg)


class Conversion(Strict):
    """What a field is."""

    type: Literal["text", "integer", "boolean", "hash", "phone"] = "text"
    """`integer` takes 1,234 and Devanagari digits; `boolean` yes/no in English and Hindi; `hash` makes the keyed hash of a person from a name or number; `phone` the same,
    but refuses what is no phone number."""
    values: dict[str, str | int | bool] | None = None
    """What is given → what the event is to say; anything else is refused."""
    optional: bool = False
    """Left out if it is empty; else that is refused."""

    @field_validator("values")
    @classmethod
    def _composed(
        cls, values: dict[str, str | int | bool] | None
    ) -> dict[str, str | int | bool] | None:
        return (
            values
            if values is None
            else {unicodedata.normalize("NFC", name): value for name, value in values.items()}
        )

    @property
    def personal(self) -> bool:
        """Whether what is given must not be repeated in a message."""
        return self.type in {"hash", "phone"}

    def convert(self, cell: Cell, persons: PersonKeys | None) -> str | int | bool:
        """A filled cell as what the event is to say.

        Raises:
            ConversionError: it cannot be.
        """
        if self.values is not None:
            if (text := text_of(cell)) not in self.values:
                msg = f"is not among its values: {', '.join(self.values)}"
                raise ConversionError(msg)
            return self.values[text]
        match self.type:
            case "integer":
                return integer(cell)
            case "boolean":
                return boolean(cell)
            case "hash" | "phone":
                return self.hashes([text_of(cell)], persons)[0]
            case _:
                return text_of(cell)

    def hashes(self, texts: list[str], persons: PersonKeys | None) -> list[str]:
        """The keyed hashes of persons, in their order.

        Raises:
            ConversionError: there is no key, or something is no phone number where that is asked for.
        """
        if persons is None:
            msg = "needs the installation's key for persons: set PRAVAH_PERSON_KEY"
            raise ConversionError(msg)
        if self.type == "phone" and not all(map(phone, texts)):
            msg = "is no phone number"
            raise ConversionError(msg)
        return persons.hashes(texts)


class TimeReading(Strict):
    """How a day or an instant is written."""

    format: str | None = None
    """As for Python's `strptime`, such as `%d/%m/%Y`; empty: a spreadsheet's date cell, `2022-03-31`, or RFC 3339."""
    zone: str = "Asia/Kolkata"
    """Where the clock stood, if what is given does not say."""
    time: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "12:00"
    """The time of day, if only the day is given."""

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            msg = f"{zone!r} is no time zone; expected for example Asia/Kolkata"
            raise ValueError(msg) from None
        return zone

    @field_validator("format")
    @classmethod
    def _usable(cls, form: str | None) -> str | None:
        try:
            datetime.strptime("", form or "")  # noqa: DTZ007
        except ValueError as error:
            if "directive" in str(error) or "stray %" in str(error):
                msg = f"{form!r} is no format of strptime: {error}"
                raise ValueError(msg) from None
        return form

    def moment(self, cell: Cell) -> datetime:
        """A filled cell as an aware instant.

        Raises:
            ConversionError: it is written otherwise, or lies where no event can.
        """
        moment = cell if isinstance(cell, date) else self._parsed(ascii_digits(text_of(cell)))
        if not isinstance(moment, datetime):
            moment = datetime.combine(moment, time.fromisoformat(self.time))
        elif isinstance(cell, datetime) and moment.time() == time.min:
            moment = datetime.combine(
                moment.date(), time.fromisoformat(self.time)
            )  # a spreadsheet's day is its midnight
        moment = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(self.zone))
        if not EARLIEST <= moment <= _LATEST:
            msg = f"lies {'before the year 2000' if moment < EARLIEST else 'after the year 2149'}: the device's clock was wrong"
            raise ConversionError(msg)
        return moment

    def _parsed(self, text: str) -> date:
        """A day, or an instant with or without offset."""
        if self.format is None:
            try:
                return (
                    date.fromisoformat(text)
                    if len(text) == len("2022-03-31")
                    else datetime.fromisoformat(text)
                )
            except ValueError:
                msg = "is neither a day such as 2022-03-31 nor RFC 3339; say occurred_at.format if it is written otherwise"
                raise ConversionError(msg) from None
        try:
            parsed = datetime.strptime(text, self.format)  # noqa: DTZ007
        except ValueError:
            msg = f"is not written as {self.format}"
            raise ConversionError(msg) from None
        return parsed if any(sign in self.format for sign in _CLOCK) else parsed.date()


def entity_name(prefix: str, parts: list[str]) -> str:
    """A name of at most 200 characters that differs whenever a part does."""
    entity = ":".join([prefix, *(part.replace("%", "%25").replace(":", "%3A") for part in parts)])
    return (
        entity
        if len(entity) <= _LONGEST_ENTITY
        else f"{prefix}:{hashlib.blake2b(entity.encode(), digest_size=32).hexdigest()}"
    )


# --- what can give an event -----------------------------------------------------------------------------------------------------------------------------------


def impossible(
    kind: Kind, constants: Mapping[str, object], fields: Mapping[str, Conversion]
) -> Iterator[str]:
    """Why a mapping can never give an event of its kind, one line for each reason."""
    model: type[BaseModel] = MODELS[kind].model_fields["data"].annotation  # type: ignore[assignment]
    given: dict[str, list[object]] = {name: [value] for name, value in constants.items()}
    given |= {name: list((field.values or {}).values()) for name, field in fields.items()}
    yield from (
        f"{name}: stands under both constants and fields"
        for name in constants.keys() & fields.keys()
    )
    for name, values in given.items():
        if name not in model.model_fields:
            yield f"{name}: {kind} has no such field; it has {', '.join(model.model_fields)}"
            continue
        for value in values:
            yield from (
                f"{name}: {kind} can never have {value!r}: {message}"
                for message in refusals(model, name, value)
            )
    yield from (
        f"{name}: {kind} needs it; add [fields.{name}] or a constant"
        for name, f in model.model_fields.items()
        if f.is_required() and name not in given
    )


def refusals(model: type[BaseModel], name: str, value: object) -> Iterator[str]:
    """Why a field of a model can never have a value; nothing if it can."""
    try:
        model.model_validate({name: value})
    except ValidationError as error:  # other fields are missing here, which is no matter
        yield from (item["msg"] for item in error.errors() if item["loc"][0] == name)
