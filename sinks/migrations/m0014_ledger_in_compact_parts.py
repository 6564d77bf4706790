"""An insert into the ledger writes one file instead of one for each column.

A batch of 50,000 versions is 15 MB, above the 10 MB from which ClickHouse writes a part's columns
as files of their own. Below 64 MiB they now share one, which takes a quarter to a half off an
insert, and a sixth off an insert with its two feeds and the merges that follow. Larger parts are as
before: scans and look-ups of merged parts cost the same. A look-up of thousands of entities at once
costs up to twice as much in parts that are not merged yet; one of fifty costs the same there, too.
"""

from sinks.migrate import Schema

_BYTES = 64 * 2**20


def forward(schema: Schema) -> list[str]:
    """Set it for future parts."""
    return [schema.set_for_parts("ledger", "min_bytes_for_wide_part", _BYTES, sharded=True)]


def backward(schema: Schema) -> list[str]:
    """Restore the server's default."""
    return [schema.set_for_parts("ledger", "min_bytes_for_wide_part", None, sharded=True)]
