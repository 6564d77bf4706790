"""Archived bodies: finding them, sending them again, and dropping refused ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from producers.gateway.archive import ArchivedBody, archived_bodies
from producers.gateway.ingest import IngestService
from producers.gateway.results import Refusal
from producers.gateway.schema import open_read_only
from producers.gateway.sources import FieldSourcesError
from producers.gateway.store import Store
from producers.gateway.transaction import Transaction
from producers.mapping.tools import BodyError


class ArchivedBodyError(LookupError):
    """There is no such archived body, or its outcome does not allow the operation."""


@dataclass
class ResubmitResult:
    """What became of archived bodies that were sent again."""

    accepted: int = 0
    refused: dict[int, list[Refusal]] = field(default_factory=dict)
    """Archive id → why it is still refused."""


def find_body(file: Path, archive_id: int) -> ArchivedBody:
    """The archived body of an id, whatever its outcome.

    Raises:
        ArchivedBodyError: there is none.
    """
    with open_read_only(file) as connection:
        found = next(archived_bodies(connection, "id = ?", (archive_id,)), None)
    if found is None:
        msg = (
            f"no body with the number {archive_id} is archived; `pravah gateway rejected list` "
            "shows those that were refused"
        )
        raise ArchivedBodyError(msg)
    return found


def newest_refused(
    file: Path, source: str | None, reason: str | None, limit: int
) -> tuple[int, list[ArchivedBody]]:
    """How many bodies are refused, and the newest of them, oldest first.

    Args:
        file: the gateway's.
        source: only of this source.
        reason: only with this reason.
        limit: length of the list.
    """
    where, parameters = _refused(source, reason)
    with open_read_only(file) as connection:
        (total,) = connection.execute(
            f"SELECT count(*) FROM archive WHERE {where}", parameters
        ).fetchone()
        found = list(archived_bodies(connection, where, parameters, limit=limit, newest_first=True))
    return total, found[::-1]


def refused_ids(file: Path, source: str | None, reason: str | None) -> list[int]:
    """Ids of the refused bodies, oldest first; see `newest_refused`."""
    return _ids(file, *_refused(source, reason))


def received_ids(file: Path, source: str, since: float, until: float) -> list[int]:
    """Ids of the bodies of a source that are not dropped, oldest first.

    Args:
        file: the gateway's.
        source: its name.
        since: epoch seconds, inclusive.
        until: epoch seconds, exclusive.
    """
    where = "source = ? AND outcome != 'dropped' AND at >= ? AND at < ?"
    return _ids(file, where, (source, since, until))


def resubmit_bodies(
    ingest: IngestService, archive_ids: Iterable[int], body: bytes | None = None
) -> ResubmitResult:
    """Send archived bodies again, in order.

    Args:
        ingest: the gateway's service.
        archive_ids: which.
        body: the correction of the only one; None: every body as it came.

    Raises:
        ArchivedBodyError: a body is not archived.
        NotReadyError, StoreBusyError, OutboxFullError, OutboxBusyError: those before were sent.
    """
    result = ResubmitResult()
    for archive_id in archive_ids:
        archived = find_body(ingest.store.path, archive_id)
        try:
            refusals = ingest.resubmit(archived, body)
        except BodyError as error:
            refusals = [Refusal("unreadable", str(error))]
        except FieldSourcesError as error:
            refusals = [Refusal("no_source", str(error))]
        if refusals:
            result.refused[archive_id] = refusals
        else:
            result.accepted += 1
    return result


def drop_bodies(store: Store, archive_ids: Sequence[int], reason: str) -> None:
    """Exclude refused bodies from being sent again.

    Raises:
        ArchivedBodyError: some are not refused; the others are dropped.
    """
    futures = [store.submit(partial(_drop, archive_id=one, reason=reason)) for one in archive_ids]
    was_refused = [future.result() for future in futures]
    wrong = [one for one, refused in zip(archive_ids, was_refused, strict=True) if not refused]
    if wrong:
        msg = f"not among what was refused: {', '.join(map(str, wrong))}"
        raise ArchivedBodyError(msg)


def _drop(transaction: Transaction, archive_id: int, reason: str) -> bool:
    return transaction.archive.drop(archive_id, reason)


def _refused(source: str | None, reason: str | None) -> tuple[str, list[str]]:
    """A condition in SQL, and its parameters."""
    conditions = {"source = ?": source, "reason = ?": reason}
    where = ["outcome = 'refused'", *(sql for sql, value in conditions.items() if value)]
    return " AND ".join(where), [value for value in conditions.values() if value]


def _ids(file: Path, where: str, parameters: Sequence[object]) -> list[int]:
    with open_read_only(file) as connection:
        rows = connection.execute(f"SELECT id FROM archive WHERE {where} ORDER BY id", parameters)
        return [row[0] for row in rows]
