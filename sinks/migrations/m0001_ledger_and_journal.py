"""What the roll-up writes: the ledger of accepted versions, the journal, and the chunks of the log.

- `ledger`: one row per accepted version of an entity. Its identity is (key, entity, version):
  versions are distinct within one routing key. `offset` is part of the sorting key, so a row that
  an earlier attempt at a chunk wrote and a later one does not accept can be removed (`deleted`) by
  itself.
- `journal`: additive entries: absolute sums within one origin (partition, chunk), never increments,
  so writing them again changes nothing. `version` is the last offset folded.
- `chunks`: one row per attempt at a chunk. More than one attempt means that rows of an earlier one
  may be stray.
"""

from sinks.migrate import Schema

LEVEL = (
    "Enum8('national' = 1, 'state' = 2, 'division' = 3, 'district' = 4, 'assembly' = 5, "
    "'booth' = 6)"
)

LEDGER = """
    key LowCardinality(String), entity String CODEC(ZSTD(1)), version UInt64, partition Int32,
    offset UInt64, event_id UUID, op Enum8('report' = 1, 'retract' = 2),
    unit LowCardinality(String), kind LowCardinality(String),
    occurred_at DateTime64(6, 'Asia/Kolkata'), day Date,
    reported_at Nullable(DateTime64(6, 'Asia/Kolkata')), tool LowCardinality(String),
    producer LowCardinality(String), reporter String, evidence String,
    verification Enum8('unverified' = 1, 'verified' = 2, 'rejected' = 3),
    data String CODEC(ZSTD(1)), metrics Array(LowCardinality(String)), amounts Array(Int64),
    appended_at DateTime64(3, 'Asia/Kolkata'),
    written_at DateTime64(3, 'Asia/Kolkata') DEFAULT now64(3),
    correction UInt32 DEFAULT 0, deleted UInt8 DEFAULT 0
"""


def forward(schema: Schema) -> list[str]:
    """Create the three tables."""
    return [
        *schema.create_table(
            "ledger",
            LEDGER,
            engine="ReplacingMergeTree(correction, deleted)",
            order_by="key, entity, version, partition, offset",
            shard_by="partition",
        ),
        *schema.create_table(
            "journal",
            f"""
            level {LEVEL}, metric LowCardinality(String), unit LowCardinality(String), day Date,
            partition Int32, chunk UInt64, value Int64, verified_value Int64, reports Int64,
            version UInt64 CODEC(T64, ZSTD(1)),
            written_at DateTime64(3, 'Asia/Kolkata') DEFAULT now64(3)
            """,
            engine="ReplacingMergeTree(version)",
            order_by="level, metric, unit, day, partition, chunk",
            shard_by="partition",
        ),
        *schema.create_table(
            "chunks",
            """
            partition Int32, chunk UInt64, attempt UUID, worker String, registry String,
            next_offset UInt64, closed UInt8, records UInt64, accepted UInt64, duplicates UInt64,
            rejected UInt64, forwarded UInt64, opened_at DateTime64(3, 'Asia/Kolkata'),
            updated_at DateTime64(6, 'Asia/Kolkata')
            """,
            engine="ReplacingMergeTree(updated_at)",
            order_by="partition, chunk, attempt",
            shard_by="partition",
        ),
    ]


def backward(schema: Schema) -> list[str]:
    """Drop them, with everything that was counted."""
    return [
        statement
        for name in ("chunks", "journal", "ledger")
        for statement in schema.drop_table(name, sharded=True)
    ]
