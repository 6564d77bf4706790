"""Look-up of the units, metrics and milestones that a request names (`sinks/lookup.py`)."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from api.clickhouse import Reader
from api.problems import parameter_problem
from schemas.unit_names import UnknownNameError
from sinks import lookup

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


async def run(
    reader: Reader, wanted: lookup.Lookup[T], *, status: HTTPStatus = HTTPStatus.NOT_FOUND
) -> T:
    """Drive a look-up with a reader.

    Args:
        reader: of the account that may read the registry.
        wanted: the look-up.
        status: of the problem if a name does not exist.

    Raises:
        Problem: a name does not exist, or is that of several units; it says what may be meant.
    """
    rows: Sequence[Sequence[Any]] | None = None
    try:
        while True:
            query = next(wanted) if rows is None else wanted.send(rows)
            rows = await reader.rows(query.sql, query.parameters)
    except StopIteration as end:
        result: T = end.value
        return result
    except UnknownNameError as error:
        hint = "; for several values repeat the parameter" if "," in error.text else ""
        nearest = [one._asdict() for one in error.nearest]
        raise parameter_problem(
            {error.kind: error.detail + hint}, status, nearest=nearest
        ) from None
