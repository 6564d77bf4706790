"""The storage port of the roll-up worker: its interface, and the types and columns of its rows.

Instants are integers (microseconds or milliseconds since 1970-01-01T00:00Z), which
clickhouse-driver writes as they are; a `datetime` would cost a conversion of time zones. Days are
`datetime.date`.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from columnar.arrays import Array
from columnar.columns import Block, Blocks

# `occurred_at`, `reported_at` in microseconds, `appended_at` in milliseconds; `metrics` and
# `amounts` are parallel lists.
LEDGER = (
    *("key", "entity", "version", "partition", "offset", "event_id", "op", "unit", "kind"),
    *("occurred_at", "day", "reported_at", "tool", "producer", "reporter", "evidence"),
    *("verification", "data", "metrics", "amounts", "appended_at", "correction", "deleted"),
)

# Deletes a row of the ledger: its identity, a higher `correction`, and `deleted` = 1.
LEDGER_DELETIONS = ("key", "entity", "version", "partition", "offset", "correction", "deleted")

JOURNAL = (
    *("level", "metric", "unit", "day", "partition", "chunk"),
    *("value", "verified_value", "reports", "version"),
)

# All records of the chunk below `next_offset` are durable. `opened_at` and the append times in
# milliseconds, `updated_at` in microseconds.
CHUNKS = (
    *("partition", "chunk", "attempt", "worker", "registry", "next_offset", "closed"),
    *("records", "accepted", "duplicates", "rejected", "forwarded"),
    *("first_appended_at", "last_appended_at", "opened_at", "updated_at"),
)

# `appended_at` in milliseconds; `detail` without the record's content.
REJECTED_RECORDS = (
    *("partition", "offset", "chunk", "attempt", "state", "reason", "detail", "appended_at"),
)


class StoredVersion(NamedTuple):
    """One version of an entity in the ledger."""

    key: str
    entity: str
    version: int
    offset: int
    op: str
    unit: str
    verification: str
    occurred_at: int
    """Microseconds since 1970-01-01T00:00Z."""
    day: int
    """Days since 1970-01-01."""
    metrics: Sequence[str]
    amounts: Sequence[int]


class EntityLookup(NamedTuple):
    """A request for the versions of some entities of one partition."""

    partition: int
    before: int
    """Only versions at smaller offsets are returned."""
    entities: Sequence[str]
    """Routing key, line feed, entity."""


class StoredEntry(NamedTuple):
    """One entry of a chunk in the journal."""

    level: str
    metric: str
    unit: str
    day: int
    value: int
    verified_value: int
    reports: int
    version: int


# Rows in the order of one of the column tuples above, or columns with these names.
Rows = Block | Blocks | Sequence[Sequence[Any]]

# Partition, chunk (its first offset), and the attempt at it.
Attempt = tuple[int, int, UUID]


class Storage(Protocol):
    """Storage interface used by the worker. Every operation is idempotent.

    `sinks.rollup_store.RollupStore` implements it for ClickHouse. A call waits while the database
    is away. Every method may raise `StoppedError`.
    """

    def find_versions(self, lookups: Sequence[EntityLookup]) -> list[list[StoredVersion]]:
        """Return the accepted versions of some entities, one list for each lookup."""
        ...

    def covering_chunk(self, partition: int, offset: int) -> int | None:
        """Return the start of a chunk that begins before an offset and reaches beyond it, or None.

        If there is one, no chunk may begin at `offset`.
        """
        ...

    def closed_offsets(self) -> dict[int, int]:
        """Return partition → the offset after its last closed chunk: all below it is final."""
        ...

    def active_registry(self) -> str | None:
        """Return the fingerprint of the active registry; None if any registry may close chunks."""
        ...

    def fingerprints(self, partition: int, first: int, before: int, bits: int) -> Iterable[Array]:
        """Return the fingerprints of a partition's entities in the ledger, as `SeenFilter`'s.

        Args:
            partition: the partition.
            first: smallest offset.
            before: versions at this offset and later are left out.
            bits: length of a fingerprint.

        Returns:
            Blocks of fingerprints, uint32.
        """
        ...

    def contested_attempts(self, attempts: Sequence[Attempt]) -> set[Attempt]:
        """Return those attempts at whose chunk another attempt has written as well."""
        ...

    def journal_entries(self, partition: int, chunk: int) -> list[StoredEntry]:
        """Return all journal entries of a chunk, of any attempt."""
        ...

    def ledger_corrections(
        self, partition: int, first: int, last: int
    ) -> dict[tuple[str, str, int, int], tuple[int, bool]]:
        """Return the state of the ledger's rows between two offsets, both inclusive.

        Returns:
            (key, entity, version, offset) → (last correction, whether it deletes the row).
        """
        ...

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
        """Make rows durable, in this order.

        An attempt (`opened`) is known before its entries, so that a later attempt knows that there
        may be rows to repair. How far a chunk has come (`chunks`) is written last, so that its
        readers find the figures up to there.
        """
        ...
