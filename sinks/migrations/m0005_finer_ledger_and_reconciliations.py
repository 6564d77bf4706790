"""A ledger in which single entities are found quickly, and the outcomes of reconciliations.

- The ledger is sorted by entity. A look-up of one entity reads a granule of each column; with
  granules of 512 rows in small compressed blocks that is a twentieth of what it was. Ranges of the
  log are found by the least and greatest offset of each granule.
- `reconciliations`: one row per `pravah reconcile`, so that readers of figures can see when they
  were last proved.
"""

from sinks.migrate import Schema
from sinks.migrations.m0001_ledger_and_journal import LEDGER

_FINE = (
    "SETTINGS index_granularity = 512, min_compress_block_size = 4096, "
    "max_compress_block_size = 16384"
)


def forward(schema: Schema) -> list[str]:
    """Create the table, and bring the ledger into its new form."""
    return [
        *_exchanged(schema, f"{LEDGER}, INDEX offsets offset TYPE minmax GRANULARITY 1", _FINE),
        *schema.create_table(
            "reconciliations",
            """
            at DateTime64(3, 'Asia/Kolkata') DEFAULT now64(3), cut Map(Int32, UInt64),
            records UInt64, figures UInt64, different UInt64, repair UInt64, registry String,
            seconds Float64
            """,
            engine="MergeTree()",
            order_by="at",
        ),
    ]


def backward(schema: Schema) -> list[str]:
    """Back to the first form."""
    return [*schema.drop_table("reconciliations"), *_exchanged(schema, LEDGER, "")]


def _exchanged(schema: Schema, columns: str, settings: str) -> list[str]:
    """Copy the ledger into a table of another form, which then takes its place."""
    return [
        *schema.drop_table("ledger_next", sharded=True),  # left by a migration that was cut short
        *schema.create_table(
            "ledger_next",
            columns,
            engine="ReplacingMergeTree(correction, deleted)",
            order_by="key, entity, version, partition, offset",
            shard_by="partition",
            tail=settings,
        ),
        f"INSERT INTO {schema.database}.ledger_next SELECT * FROM {schema.database}.ledger",
        schema.exchange_tables("ledger", "ledger_next", sharded=True),
        *schema.drop_table("ledger_next", sharded=True),
    ]
