"""Lookups of earlier versions in the ledger, with their metrics."""

from collections.abc import Iterable, Sequence

from rollup.assigned_partition import AssignedPartition, Lookup, pending_lookups
from rollup.ledger_rows import entity_of
from rollup.storage import Storage, StoredVersion
from streams.telemetry import Telemetry


class LedgerLookups:
    """Looks up entities that the seen filter has. Its caller decides which call runs where."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def find(self, storage: Storage, lookups: Sequence[Lookup]) -> list[list[StoredVersion]]:
        """Return what the ledger has for each lookup; one query for all."""
        requests = [one.request for one in lookups]
        with self._telemetry.ledger_lookup_seconds.time():
            found = storage.find_versions(requests)
        self._telemetry.ledger_lookups_total.inc(sum(len(one.entities) for one in requests))
        self._telemetry.ledger_found_total.inc(
            sum(len(set(map(entity_of, versions))) for versions in found)
        )
        return found

    def fold(self, lookup: Lookup, found: Iterable[StoredVersion]) -> None:
        """Fold the versions that waited for a lookup."""
        counts = lookup.attempt.fold_pending(lookup.request.entities, found)
        self._telemetry.count_records(counts)

    def run(self, storage: Storage, partitions: Iterable[AssignedPartition]) -> None:
        """Make all lookups that open chunks wait for, and fold what waited for them."""
        lookups = pending_lookups(partitions)
        if lookups:
            for lookup, found in zip(lookups, self.find(storage, lookups), strict=True):
                self.fold(lookup, found)
