"""What a roll-up worker reads and writes in ClickHouse. Every write is absolute and idempotent, so it may be repeated and may be cut short anywhere."""

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

    def find_versions(self, questions: Sequence[EntityLookup]) -> list[list[StoredVersion]]:
        """All accepted versions of some entities at smaller offsets of their partition, for each question.

        They are one query: it costs ClickHouse some tens of milliseconds, however little is asked.
        """
        limits = {
            (question.partition, entity): (number, question.before)
            for number, question in enumerate(questions)
            for entity in question.entities
        }
        if not limits:
            return [[] for _ in questions]
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
            SELECT partition, key, entity, version, offset, op, unit, verification, toUnixTimestamp64Micro(occurred_at), toUInt16(day), metrics, amounts, correction, deleted
            FROM ledger
            PREWHERE (key, entity) IN (SELECT key, entity FROM wanted)
            WHERE partition IN %(partitions)s
        """
        partitions = tuple({question.partition for question in questions})
        rows = self._session.run(
            lambda client: client.execute(query, {"partitions": partitions}, external_tables=wanted)
        )
        # what FINAL would do, at half its cost: of each row the last correction, if that does not take it out
        newest: dict[tuple[int, str, str, int, int], tuple[Any, ...]] = {}
        for row in rows:
            known = newest.get(row[:5])
            if known is None or row[-2] >= known[-2]:
                newest[row[:5]] = row
        answers: list[list[StoredVersion]] = [[] for _ in questions]
        for partition, *row, _, is_out in newest.values():
            stored = StoredVersion(*row)
            number, before = limits.get((partition, f"{stored.key}\n{stored.entity}"), (0, 0))
            if not is_out and stored.offset < before:
                answers[number].append(stored)
        return answers

    def covering_chunk(self, partition: int, offset: int) -> int | None:
        """The start of an earlier chunk that reaches to or beyond `offset`, if there is one: then `offset` is no place where a chunk begins."""
        query = "SELECT max(chunk) FROM chunks FINAL WHERE partition = %(partition)s AND chunk < %(offset)s AND next_offset > %(offset)s HAVING count() > 0"
        found = self._session.run(
            lambda client: client.execute(query, {"partition": partition, "offset": offset})
        )
        return int(found[0][0]) if found else None

    def closed_offsets(self) -> dict[int, int]:
        """Partition → the offset behind its last closed chunk: everything below it was counted for good."""

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
        """The fingerprint of the registry under which chunks may be closed now; None if none was ever loaded."""
        return self._session.run(lambda client: get_fact(client, REGISTRY))

    def fingerprints(self, partition: int, first: int, before: int, bits: int) -> list[Array]:
        """The fingerprints of a partition's entities from an offset on and before another one, as `rollup.seen_filter.SeenFilter` makes them.

        ClickHouse makes the bitmap: to take a number for each entity from it was most of the time that a worker needs to begin with a large ledger.
        """
        query = """
            SELECT hex(groupBitmapState(toUInt32(bitAnd(CRC32(concat(key, '\n', entity)), %(mask)s))))
            FROM ledger PREWHERE partition = %(partition)s AND offset >= %(first)s AND offset < %(before)s
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
        """Those attempts (partition, chunk, attempt) at whose chunk another one has written something."""
        query = "SELECT DISTINCT partition, chunk, attempt FROM chunks WHERE (partition, chunk) IN %(chunks)s"
        chunks = [(partition, chunk) for partition, chunk, _ in attempts]
        stored = self._session.run(lambda client: client.execute(query, {"chunks": chunks}))
        return {
            one
            for one in attempts
            if any(other[:2] == one[:2] and other != one for other in stored)
        }

    def journal_entries(self, partition: int, chunk: int) -> list[StoredEntry]:
        """Every journal entry of a chunk, whoever wrote it."""
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
        """What the ledger has of a stretch of the log: (key, entity, version, offset) → (number of its last correction, whether it is taken out)."""
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
        """Make rows durable, in this order: who attempts what, the figures, the versions behind them, what counts nowhere, how far a chunk has come.

        A chunk's attempt is known before its entries, so that a later attempt knows what may be stray. How far it has come is told last, so that whoever reads
        `chunks` finds the figures up to there.
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
    """The state of ClickHouse's `groupBitmap` of UInt32: how it is kept; then the count and the numbers, or the length in bytes as a varint and a bitmap in Roaring's portable format."""
    if state[0] == _SMALL:
        return np.frombuffer(
            state, np.uint32, offset=2
        ).copy()  # one that may be changed and begins where it should: loops are compiled for such
    begin = next(place for place, byte in enumerate(state[1:], start=2) if byte < 0x80)  # noqa: PLR2004
    return np.frombuffer(BitMap.deserialize(state[begin:]).to_array(), np.uint32).copy()
