"""Content negotiation: the format of a response, by the parameter `format`, else by `Accept`."""

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Literal, TypeVar

from pravah.problems import Problem

F = TypeVar("F", bound=str)
Format = Literal["json", "ndjson", "csv", "parquet", "arrow"]

MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
CLICKHOUSE_FORMATS: dict[Format, str] = {
    "json": "JSONEachRow",
    "ndjson": "JSONEachRow",
    "csv": "CSVWithNames",
    "parquet": "Parquet",
    "arrow": "ArrowStream",
}

# A spreadsheet takes a cell that begins with one of these, or with = + - @ in full width, for a
# formula (OWASP, CSV injection).
_FORMULA = r"^[=+\\-@\\t\\r\\n\\x{FF1D}\\x{FF0B}\\x{FF0D}\\x{FF20}]"


def is_text(type_: str) -> bool:
    """Whether values of a ClickHouse type are text, or lists of it."""
    return "String" in type_ or "Enum" in type_


def escape_formula(column: str) -> str:
    """SQL of a text column, with an apostrophe before what a spreadsheet takes for a formula."""
    text = f"toString({column})"
    return f"if(match({text}, '{_FORMULA}'), concat('\\'', {text}), {text})"


def negotiate_format(requested: F | None, accept: str, offered: Mapping[F, str]) -> F:
    """Choose the format of a response.

    Args:
        requested: the parameter `format`, which takes precedence.
        accept: the header `Accept` (RFC 9110).
        offered: format → media type. The first is the default.

    Raises:
        Problem: 406, none of the media types in `accept` is offered.
    """
    if requested is not None:
        return requested
    accepted = sorted(
        filter(None, map(_parse_media_range, accept.split(","))), key=lambda pair: -pair[0]
    )
    types = {name: media_type.partition(";")[0] for name, media_type in offered.items()}
    for _, media_range in accepted or [(1.0, "*/*")]:
        for name, media_type in types.items():
            if media_range in {"*/*", media_type, f"{media_type.partition('/')[0]}/*"}:
                return name
    raise Problem(HTTPStatus.NOT_ACCEPTABLE, f"offered are {', '.join(types.values())}")


def _parse_media_range(part: str) -> tuple[float, str] | None:
    """Weight and media range of one element of `Accept`; None if it is refused or empty."""
    media_range, *parameters = (piece.strip() for piece in part.split(";"))
    weight = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
    return (weight, media_range.lower()) if media_range and weight > 0 else None


async def prefetch(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Await the first piece of a stream and return the whole stream.

    An error that occurs at once then becomes a problem response, not a broken stream.
    """
    first = await anext(pieces, b"")

    async def stream() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return stream()
