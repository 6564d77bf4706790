"""What a rebuild of the journal from the ledger reads, and a second journal that takes the place of the first one when it is complete."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_driver import Client

from columnar.columns import Block
from rollup.storage import StoredVersion
from sinks.deployment import tell_rebuilt
from sinks.migrate import Schema

_NEXT = "journal_next"
_SPARING = {"max_bytes_before_external_sort": 2_000_000_000}
_BLOCK = 65_536


def chunk_spans(client: Client) -> dict[int, list[tuple[int, int]]]:
    """Partition → its chunks in the order of the log, as (first offset, offset behind the last durable record)."""
    query = "SELECT partition, chunk, if(max(closed), maxIf(next_offset, closed), max(next_offset)) FROM chunks FINAL GROUP BY partition, chunk ORDER BY partition, chunk"
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for partition, start, behind in client.execute(query):
        found[partition].append((start, behind))
    return dict(found)


def ledger_partitions(client: Client) -> dict[int, int]:
    """Partition → how many accepted versions the ledger has of it."""
    return dict(
        client.execute(
            "SELECT partition, count() FROM events GROUP BY partition ORDER BY partition"
        )
    )


def accepted_versions(client: Client, partition: int) -> Iterator[StoredVersion]:
    """A partition's accepted versions in the order of their offsets. The connection is busy until the last one was taken."""
    query = """
        SELECT key, entity, version, offset, op, unit, verification, toUnixTimestamp64Micro(occurred_at), toUInt16(day), metrics, amounts
        FROM ledger FINAL WHERE partition = %(partition)s ORDER BY offset
    """
    for row in client.execute_iter(
        query, {"partition": partition}, settings={**_SPARING, "max_block_size": _BLOCK}
    ):
        yield StoredVersion(*row)


class NextJournal:
    """A journal in the making."""

    def __init__(self, client: Client) -> None:
        """Nobody reads it yet."""
        self._client = client
        self.entries = 0

    def write(self, journal: Block | None) -> None:
        """Add entries."""
        if journal is None:
            return
        self._client.insert(_NEXT, journal, {"insert_distributed_sync": 1})
        self.entries += len(journal)


@contextmanager
def next_journal(client: Client, schema: Schema) -> Iterator[NextJournal]:
    """A journal beside the one in force. It takes that one's place, and `repairs` are forgotten, if the block ends well; else nothing has changed.

    Args:
        client: the writer's.
        schema: where the tables are.
    """
    for statement in [
        *schema.drop_table(_NEXT, sharded=True),
        *schema.create_table_like(_NEXT, "journal", shard_by="partition"),
    ]:
        client.execute(statement)
    try:
        yield NextJournal(client)
        client.execute(schema.exchange_tables("journal", _NEXT, sharded=True))
        client.execute(schema.truncate_table("repairs"))  # their entries are in no journal any more
        tell_rebuilt(client)
    finally:
        for statement in schema.drop_table(_NEXT, sharded=True):
            client.execute(statement)
