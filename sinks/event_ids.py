"""Look up which event counts as a version of an entity."""

from collections.abc import Sequence
from uuid import UUID

from clickhouse_driver import Client


def counted_events(
    client: Client, identities: Sequence[tuple[str, str, int]]
) -> dict[tuple[str, str, int], UUID]:
    """(Routing key, entity, version) → the event that counts, of versions in the ledger."""
    if not identities:
        return {}
    data = [
        {"key": key, "entity": entity, "version": version} for key, entity, version in identities
    ]
    wanted = [
        {
            "name": "wanted",
            "structure": [("key", "String"), ("entity", "String"), ("version", "UInt64")],
            "data": data,
        }
    ]
    query = """
        SELECT key, entity, version, event_id FROM ledger FINAL
        PREWHERE (key, entity, version) IN (SELECT key, entity, version FROM wanted)
    """
    return {
        (key, entity, version): event
        for key, entity, version, event in client.execute(query, external_tables=wanted)
    }
