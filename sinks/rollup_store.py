"""The worker's storage in ClickHouse.

Every write is absolute and idempotent, so it may be repeated, and interrupted anywhere.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
from clickhouse_driver.errors import ServerException
from pyroaring import BitMap

from columnar.arrays import Array
from columnar.columns import Block, Blocks
from pravah.settings import ClickHouseSettings
from rollup.storage import (
    CHUNKS,
    JOURNAL,
    LEDGER,
    LEDGER_DELETIONS,
    REJECTED_RECORDS,
    EntityLookup,
    Rows,
    StoredEntry,
    StoredVersion,
)
from sinks.connection import RetryingSession
from sinks.deployment import REGISTRY, get_fact
from sinks.lease import FIGURES, FencedError, is_stale, read_lease, token_comment, token_condition
from sinks.native import ColumnClient

T = TypeVar("T")

_WRITE = {
    "async_insert": 0,  # durable when it returns, not when the server finds time
    "insert_distributed_sync": 1,  # the same on a cluster
    "max_insert_block_size": 1_048_576,
    # No row of a block replaces another: looking for that took a quarter of an insert.
    "optimize_on_insert": 0,
    # The server gives up an insert whose client was paused in the middle. A rebuild waits for that.
    "receive_timeout": 10,
    "poll_interval": 1,
}
# First byte of the state of `groupBitmap` when it has at most 32 numbers.
_SMALL = 0


class RollupStore:
    """Ledger, journal and chunks. Waits while ClickHouse is away. Not thread-safe.

    Each write carries the token of the lease on the figures that this process began with. After a
    rebuild the token is stale, and ClickHouse refuses the write (`docs/adr/0022`).
    """

    def __init__(
        self,
        clickhouse: ClickHouseSettings,
        stop: threading.Event,
        on_insert: Callable[[str, int, float], None] = lambda *_: None,
        *,
        token: int | None = None,
    ) -> None:
        """Connect at the first call.

        Args:
            clickhouse: of the deployment.
            stop: ends the wait for a ClickHouse that is away.
            on_insert: called with table, rows and seconds after each insert.
            token: of the lease on the figures; by default the newest one at the first use. Stores
                of one worker must have the same.
        """
        self._session = RetryingSession(clickhouse, "writer", stop)
        self._database = clickhouse.database
        self._on_insert = on_insert
        self._token = token

    @property
    def consecutive_failures(self) -> int:
        """Failed attempts of the call in progress; 0 when ClickHouse answers."""
        return self._session.consecutive_failures

    @property
    def recovered_at(self) -> float:
        """Time of the last success after a failure; seconds since 1970-01-01T00:00Z."""
        return self._session.recovered_at

    def close(self) -> None:
        """Drop the connection."""
        self._session.close()

    def find_versions(self, lookups: Sequence[EntityLookup]) -> list[list[StoredVersion]]:
        """Find all accepted versions of some entities at smaller offsets, for each lookup.

        All lookups are one query, because each costs ClickHouse some tens of milliseconds.
        """
        limits = {
            (lookup.partition, entity): (number, lookup.before)
            for number, lookup in enumerate(lookups)
            for entity in lookup.entities
        }
        if not limits:
            return [[] for _ in lookups]
        wanted = [
            {
                "name": "wanted",
                "structure": [("key", "String"), ("entity", "String")],
                "data": [
                    dict(zip(("key", "entity"), entity.split("\n", 1), strict=True))
                    for _, entity in limits
                ],
            }
        ]
        query = """
            SELECT partition, key, entity, version, offset, op, unit, verification,
                   toUnixTimestamp64Micro(occurred_at), toUInt16(day), metrics, amounts,
                   correction, deleted
            FROM ledger
            PREWHERE (key, entity) IN (SELECT key, entity FROM wanted)
            WHERE partition IN %(partitions)s
        """
        partitions = tuple({lookup.partition for lookup in lookups})
        rows = self._session.run(
            lambda client: client.execute(query, {"partitions": partitions}, external_tables=wanted)
        )
        # The same as FINAL at half its cost: the last correction of each row, unless that deletes
        # it.
        newest: dict[tuple[int, str, str, int, int], tuple[Any, ...]] = {}
        for row in rows:
            known = newest.get(row[:5])
            if known is None or row[-2] >= known[-2]:
                newest[row[:5]] = row
        found: list[list[StoredVersion]] = [[] for _ in lookups]
        for partition, *row, _, is_deleted in newest.values():
            stored = StoredVersion(*row)
            number, before = limits.get((partition, f"{stored.key}\n{stored.entity}"), (0, 0))
            if not is_deleted and stored.offset < before:
                found[number].append(stored)
        return found

    def covering_chunk(self, partition: int, offset: int) -> int | None:
        """The start of an earlier chunk that covers `offset`; None if a chunk may begin there."""
        query = """
            SELECT max(chunk) FROM chunks FINAL
            WHERE partition = %(partition)s AND chunk < %(offset)s AND next_offset > %(offset)s
            HAVING count() > 0
        """
        found = self._session.run(
            lambda client: client.execute(query, {"partition": partition, "offset": offset})
        )
        return int(found[0][0]) if found else None

    def closed_offsets(self) -> dict[int, int]:
        """Partition → the offset after its last closed chunk: everything below it is final."""

        def read(client: ColumnClient, condition: str) -> list[tuple[int, int]]:
            return client.execute(  # type: ignore[no-any-return]
                f"""
                SELECT partition, max(next_offset) FROM chunks FINAL
                WHERE closed AND {condition}
                GROUP BY partition
                """
            )

        return dict(self._run_fenced(read))

    def active_registry(self) -> str | None:
        """Fingerprint of the active registry; None if none was ever loaded."""
        return self._session.run(lambda client: get_fact(client, REGISTRY))

    def fingerprints(self, partition: int, first: int, before: int, bits: int) -> list[Array]:
        """Fingerprints of a partition's entities in a range of offsets, as `SeenFilter` has them.

        ClickHouse computes the bitmap: a number for each entity took most of the time in which a
        worker begins with a large ledger.
        """
        query = """
            SELECT hex(groupBitmapState(
                toUInt32(bitAnd(CRC32(concat(key, '\n', entity)), %(mask)s))
            ))
            FROM ledger
            PREWHERE partition = %(partition)s AND offset >= %(first)s AND offset < %(before)s
        """
        wanted = {"partition": partition, "first": first, "before": before, "mask": (1 << bits) - 1}
        return [
            _numbers(
                bytes.fromhex(self._session.run(lambda client: client.execute(query, wanted))[0][0])
            )
        ]

    def contested_attempts(
        self, attempts: Sequence[tuple[int, int, UUID]]
    ) -> set[tuple[int, int, UUID]]:
        """Of some attempts (partition, chunk, attempt) those whose chunk has another attempt."""
        query = """
            SELECT DISTINCT partition, chunk, attempt FROM chunks
            WHERE (partition, chunk) IN %(chunks)s
        """
        chunks = [(partition, chunk) for partition, chunk, _ in attempts]
        stored = self._session.run(lambda client: client.execute(query, {"chunks": chunks}))
        return {
            one
            for one in attempts
            if any(other[:2] == one[:2] and other != one for other in stored)
        }

    def journal_entries(self, partition: int, chunk: int) -> list[StoredEntry]:
        """Every journal entry of a chunk, of all attempts."""
        query = """
            SELECT level, metric, unit, toUInt16(day), value, verified_value, reports, version
            FROM journal FINAL PREWHERE partition = %(partition)s AND chunk = %(chunk)s
        """
        rows = self._session.run(
            lambda client: client.execute(query, {"partition": partition, "chunk": chunk})
        )
        return [StoredEntry(*row) for row in rows]

    def ledger_corrections(
        self, partition: int, first: int, last: int
    ) -> dict[tuple[str, str, int, int], tuple[int, bool]]:
        """Rows of the ledger in a range of offsets, with their last correction.

        Returns:
            (key, entity, version, offset) → (number of the correction, whether it is deleted).
        """
        query = """
            SELECT key, entity, version, offset, max(correction), argMax(deleted, correction)
            FROM ledger WHERE partition = %(partition)s AND offset BETWEEN %(first)s AND %(last)s
            GROUP BY key, entity, version, offset
        """
        rows = self._session.run(
            lambda client: client.execute(
                query, {"partition": partition, "first": first, "last": last}
            )
        )
        return {
            (key, entity, version, offset): (correction, bool(deleted))
            for key, entity, version, offset, correction, deleted in rows
        }

    def write(
        self,
        *,
        opened: Rows = (),
        journal: Rows = (),
        ledger: Rows = (),
        ledger_deletions: Rows = (),
        rejected: Rows = (),
        chunks: Rows = (),
    ) -> None:
        """Make rows durable, in the order of the arguments.

        The attempt at a chunk is recorded before its entries, so that a later attempt knows which
        may be stray. Its progress is recorded last, so that readers of `chunks` find the figures up
        to there.

        Raises:
            FencedError: the figures were rebuilt since this process began.
        """
        self._insert("chunks", CHUNKS, opened)
        self._insert("journal", JOURNAL, journal)
        self._insert("ledger", LEDGER, ledger)
        self._insert("ledger", LEDGER_DELETIONS, ledger_deletions)
        self._insert("rejected_records", REJECTED_RECORDS, rejected)
        self._insert("chunks", CHUNKS, chunks)

    def _insert(self, table: str, columns: Sequence[str], rows: Rows) -> None:
        if not len(rows):
            return

        def insert(client: ColumnClient, condition: str) -> None:
            settings = {**_WRITE, "log_comment": self._comment}
            if isinstance(rows, Block | Blocks):
                client.insert(table, rows, settings, condition=condition)
            else:
                # The driver converts values in place: a repeat must start from the original.
                client.execute(
                    client.insert_statement(table, tuple(columns), condition),
                    [list(column) for column in zip(*rows, strict=True)],
                    columnar=True,
                    settings=settings,
                )

        began = time.monotonic()
        self._run_fenced(insert)
        self._on_insert(table, len(rows), time.monotonic() - began)

    @property
    def _comment(self) -> str:
        return token_comment(self._database, figures=self._token or 0)

    def _run_fenced(self, call: Callable[[ColumnClient, str], T]) -> T:
        """Make a call with the condition that the token is the newest one.

        Raises:
            FencedError: it is not, or a rebuild is running.
        """
        if self._token is None:
            self._token = self._session.run(_newest_token)
        condition = token_condition(FIGURES, self._token)
        try:
            return self._session.run(lambda client: call(client, condition))
        except ServerException as error:
            if not is_stale(error):
                raise
            msg = "the figures were rebuilt while this worker ran; it must start again"
            raise FencedError(msg) from error


def _newest_token(client: ColumnClient) -> int:
    state = read_lease(client, FIGURES)
    if not state.is_free:
        msg = f"{state.holder or 'a rebuild that was interrupted'} holds the figures"
        raise FencedError(msg)
    return state.token


def _numbers(state: bytes) -> Array:
    """Decode the state of ClickHouse's `groupBitmap` of UInt32.

    The first byte is the form. A small state has the count and the numbers, another one its
    length as a varint and a bitmap in Roaring's portable format.
    """
    if state[0] == _SMALL:
        # A copy: kernels are compiled for arrays that are writable and aligned.
        return np.frombuffer(state, np.uint32, offset=2).copy()
    begin = next(place for place, byte in enumerate(state[1:], start=2) if byte < 0x80)  # noqa: PLR2004
    return np.frombuffer(BitMap.deserialize(state[begin:]).to_array(), np.uint32).copy()
