"""Conversion of the ledger's rows to entities and versions of the core."""

from rollup.storage import StoredVersion
from rollup.version_columns import Entity
from rollup.versions import Version


def entity_of(row: StoredVersion) -> Entity:
    """Return the entity of a version."""
    return f"{row.key}\n{row.entity}"


def version_of(row: StoredVersion) -> Version:
    """Convert a row of the ledger."""
    amounts = dict(zip(row.metrics, row.amounts, strict=True))
    return Version(
        row.version,
        row.op,  # type: ignore[arg-type]
        row.verification,  # type: ignore[arg-type]
        row.unit,
        row.occurred_at,
        row.day,
        amounts,
    )
