"""In which form an answer goes out: by `format`, else by `Accept`."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Literal

from schemas.problems import Problem

Format = Literal["json", "ndjson", "csv", "parquet", "arrow"]

MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
CLICKHOUSE_FORMATS: dict[Format, str] = {"json": "JSONEachRow", "ndjson": "JSONEachRow", "csv": "CSVWithNames", "parquet": "Parquet", "arrow": "ArrowStream"}


def chosen(asked: Format | None, accept: str) -> Format:
    """The format of an answer.

    Args:
        asked: the parameter `format`, which wins.
        accept: the header, as RFC 9110 has it.

    Raises:
        Problem: 406, none of those in the header is offered.
    """
    if asked is not None:
        return asked
    wanted = sorted(filter(None, map(_weighted, accept.split(","))), key=lambda pair: -pair[0])
    if not wanted:
        return "json"
    for _, media_type in wanted:
        if media_type in {"*/*", "application/*"}:
            return "json"
        for name, offered in MEDIA_TYPES.items():
            if media_type == offered.partition(";")[0]:
                return name
    raise Problem(HTTPStatus.NOT_ACCEPTABLE, f"offered are {', '.join(one.partition(';')[0] for one in MEDIA_TYPES.values())}")


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
