"""The columns of what a roll-up worker writes, and in which shape they come.

Instants are integers (microseconds or milliseconds since 1970-01-01T00:00Z): clickhouse-driver takes them as they are, while a `datetime` costs a time-zone conversion.
Days are `datetime.date`.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from columnar.arrays import Array
from columnar.columns import Block, Blocks

LEDGER = (
    *(
        "key",
        "entity",
        "version",
        "partition",
        "offset",
        "event_id",
        "op",
        "unit",
        "kind",
        "occurred_at",
        "day",
        "reported_at",
        "tool",
        "producer",
    ),
    *(
        "reporter",
        "evidence",
        "verification",
        "data",
        "metrics",
        "amounts",
        "appended_at",
        "correction",
        "deleted",
    ),
)
"""`occurred_at`, `reported_at` in microseconds, `appended_at` in milliseconds; `metrics` and `amounts` are parallel lists."""

LEDGER_OUT = ("key", "entity", "version", "partition", "offset", "correction", "deleted")
"""Takes a row out: its identity, a higher `correction`, and `deleted` = 1."""

JOURNAL = (
    "level",
    "metric",
    "unit",
    "day",
    "partition",
    "chunk",
    "value",
    "verified_value",
    "reports",
    "version",
)

CHUNKS = (
    *("partition", "chunk", "attempt", "worker", "registry", "next_offset", "closed"),
    *(
        "records",
        "accepted",
        "duplicates",
        "rejected",
        "forwarded",
        "first_appended_at",
        "last_appended_at",
        "opened_at",
        "updated_at",
    ),
)
"""Everything of the chunk below `next_offset` is durable. `opened_at` and the append times in milliseconds, `updated_at` in microseconds."""


REJECTED_RECORDS = (
    "partition",
    "offset",
    "chunk",
    "attempt",
    "state",
    "reason",
    "detail",
    "appended_at",
)
"""`appended_at` in milliseconds; `detail` without anything that stood in the record."""


class StoredVersion(NamedTuple):
    """One version of an entity as the ledger has it."""

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
    """What the ledger is asked about entities of one partition."""

    partition: int
    before: int
    """Versions at this offset and later are left out."""
    entities: Sequence[str]
    """Routing key, line feed, entity."""


class StoredEntry(NamedTuple):
    """One journal entry of a chunk as the database has it."""

    level: str
    metric: str
    unit: str
    day: int
    value: int
    verified_value: int
    reports: int
    version: int


Rows = Block | Blocks | Sequence[Sequence[Any]]
"""Rows in the order of one of the column tuples above, or those columns."""


Attempt = tuple[int, int, UUID]
"""Partition, chunk, and which attempt at it."""


class StoppedError(RuntimeError):
    """A call was ended from outside, because the process stops."""


class Storage(Protocol):
    """What the worker needs of the place where figures are kept: all idempotent. `sinks.rollup_store.RollupStore` is the real one."""

    def find_versions(self, questions: Sequence[EntityLookup]) -> list[list[StoredVersion]]:
        """Accepted versions of some entities, for each question."""
        ...

    def covering_chunk(self, partition: int, offset: int) -> int | None:
        """The start of an earlier chunk that reaches to or beyond an offset."""
        ...

    def closed_offsets(self) -> dict[int, int]:
        """Partition → the offset behind its last closed chunk."""
        ...

    def active_registry(self) -> str | None:
        """The fingerprint of the registry under which chunks may be closed now; None if any."""
        ...

    def fingerprints(self, partition: int, first: int, before: int, bits: int) -> Iterable[Array]:
        """Fingerprints, as `SeenFilter` makes them, of the entities that the ledger has from an offset on, and before another one; in blocks."""
        ...

    def contested_attempts(self, attempts: Sequence[Attempt]) -> set[Attempt]:
        """Those attempts at whose chunk another one has written something."""
        ...

    def journal_entries(self, partition: int, chunk: int) -> list[StoredEntry]:
        """Every journal entry of a chunk."""
        ...

    def ledger_corrections(
        self, partition: int, first: int, last: int
    ) -> dict[tuple[str, str, int, int], tuple[int, bool]]:
        """The ledger's rows of a stretch of the log, with their last correction and whether they are taken out."""
        ...

    def write(
        self,
        *,
        opened: Rows = (),
        journal: Rows = (),
        ledger: Rows = (),
        ledger_out: Rows = (),
        rejected: Rows = (),
        chunks: Rows = (),
    ) -> None:
        """Make rows durable, in this order."""
        ...
