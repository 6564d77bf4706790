"""What comes back from the ledger, in the words of the core."""

from sinks.tables import StoredVersion
from streams.accepted import Entity
from streams.contribution import Version


def entity_of(row: StoredVersion) -> Entity:
    """The entity that a version is of."""
    return f"{row.key}\n{row.entity}"


def version_of(row: StoredVersion) -> Version:
    """A version as the ledger has it."""
    amounts = dict(zip(row.metrics, row.amounts, strict=True))
    return Version(row.version, row.op, row.verification, row.unit, row.occurred_at, row.day, amounts)  # type: ignore[arg-type]
