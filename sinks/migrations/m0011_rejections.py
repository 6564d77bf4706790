"""Rejected records by reason, state and place, so that their growth shows, and where to look.

- `rejected_records`: one row for each rejected record and attempt at its chunk, without its
  content: the record itself is in `activity.rejected`.
- `rejections` (view): the same by the newest attempt at each chunk alone; a later one may have
  another registry, and reject other records.
"""

from sinks.migrate import Schema


def forward(schema: Schema) -> list[str]:
    """Create the table and the view."""
    database = schema.database
    return [
        *schema.create_table(
            "rejected_records",
            """
            partition Int32, offset UInt64, chunk UInt64, attempt UUID,
            state LowCardinality(String), reason LowCardinality(String),
            detail String CODEC(ZSTD(1)), appended_at DateTime64(3, 'Asia/Kolkata')
            """,
            engine="ReplacingMergeTree()",
            order_by="partition, offset, attempt",
            shard_by="partition",
            tail="TTL toDateTime(appended_at) + INTERVAL 90 DAY",
        ),
        schema.create_view(
            "rejections",
            f"""
            SELECT DISTINCT partition, offset, state, reason, detail, appended_at
            FROM {database}.rejected_records
            WHERE (partition, chunk, attempt) IN (
                SELECT partition, chunk, argMax(attempt, updated_at)
                FROM {database}.chunks
                GROUP BY partition, chunk
            )
            """,
        ),
    ]


def backward(schema: Schema) -> list[str]:
    """Drop the tables and views of this step."""
    return [schema.drop_view("rejections"), *schema.drop_table("rejected_records", sharded=True)]
