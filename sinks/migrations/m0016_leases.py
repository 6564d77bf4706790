"""Leases, so that figures are rebuilt by one process alone (`docs/adr/0022`).

- `leases`: one row per claim of a lease. A claim has the next token of the lease's name; who holds
  the newest token may write. `stage` is not empty while an interrupted holder leaves work behind
  that its successor must finish.
"""

from sinks.migrate import Schema


def forward(schema: Schema) -> list[str]:
    """Create the table."""
    return schema.create_table(
        "leases",
        """
        name LowCardinality(String), token UInt64, holder String, description String,
        stage LowCardinality(String), renewal UInt64, expires_at DateTime64(3, 'UTC'),
        released UInt8
        """,
        engine="ReplacingMergeTree(renewal)",
        order_by="name, token, holder",
    )


def backward(schema: Schema) -> list[str]:
    """Drop it."""
    return schema.drop_table("leases")
