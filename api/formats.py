"""In which form an answer goes out: by `format`, else by `Accept`."""

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


def chosen(asked: F | None, accept: str, offered: Mapping[F, str]) -> F:
    """The format of an answer.

    Args:
        asked: the parameter `format`, which wins.
        accept: the header, as RFC 9110 has it.
        offered: format → media type; the first where any will do.

    Raises:
        Problem: 406, none of those in the header is offered.
    """
    if asked is not None:
        return asked
    wanted = sorted(filter(None, map(_weighted, accept.split(","))), key=lambda pair: -pair[0])
    types = {name: media_type.partition(";")[0] for name, media_type in offered.items()}
    for _, pattern in wanted or [(1.0, "*/*")]:
        for name, media_type in types.items():
            if pattern in {"*/*", media_type, f"{media_type.partition('/')[0]}/*"}:
                return name
    raise Problem(HTTPStatus.NOT_ACCEPTABLE, f"offered are {', '.join(types.values())}")


def _weighted(part: str) -> tuple[float, str] | None:
    media_type, *parameters = (piece.strip() for piece in part.split(";"))
    weight = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
    return (weight, media_type.lower()) if media_type and weight > 0 else None


async def begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces, with the first one in hand, so that what fails at once is an answer of its own and no broken stream."""
    first = await anext(pieces, b"")

    async def again() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return again()
