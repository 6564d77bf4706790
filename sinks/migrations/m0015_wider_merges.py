"""The ledger and its copies are merged in larger steps, so that a row is rewritten less often.

ClickHouse merges parts when their sum is so many times larger than the largest of them. Behind a
worker at full speed merges took two fifths of its processor time. With 10 instead of 5, nine
million rows in sixty inserts took ClickHouse 7.0 instead of 9.5 microseconds of processor time a
row, all merges included (`docs/adr/0019`). Meanwhile there are more parts, up to 44 instead of 33,
and a look-up of sixty entities takes a quarter longer then. Journal and dimensions, which panels
read, are merged as before.
"""

from sinks.migrate import Schema

_TABLES = ("ledger", "plan_events", "membership_events")


def forward(schema: Schema) -> list[str]:
    """Set it for future merges."""
    return [
        schema.set_for_parts(table, "merge_selector_base", 10, sharded=True) for table in _TABLES
    ]


def backward(schema: Schema) -> list[str]:
    """Restore the server's default."""
    return [
        schema.set_for_parts(table, "merge_selector_base", None, sharded=True) for table in _TABLES
    ]
