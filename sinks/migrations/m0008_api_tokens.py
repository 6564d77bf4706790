"""Tokens of the API: who may pull what. Only hashes of random 256-bit secrets are stored."""

from sinks.migrate import Schema


def forward(schema: Schema) -> list[str]:
    """Create the table."""
    columns = """
        hash FixedString(64), name String, unit String, kinds Array(LowCardinality(String)),
        created_at DateTime64(3, 'Asia/Kolkata'), expires_at DateTime64(3, 'Asia/Kolkata'),
        revoked UInt8, updated_at DateTime64(6, 'Asia/Kolkata') DEFAULT now64(6)
    """
    return schema.create_table(
        "api_tokens", columns, engine="ReplacingMergeTree(updated_at)", order_by="hash"
    )


def backward(schema: Schema) -> list[str]:
    """Drop it: no token is valid any more."""
    return schema.drop_table("api_tokens")
