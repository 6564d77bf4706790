"""The filter before the ledger: which entities a partition may have seen before.

Nearly every event is about an entity that is new. The filter says so from memory, so that ClickHouse is asked only about the others. It is a set of fingerprints: an entity that
was seen is always found, one that was not is found by chance with a probability of (entities seen) / 2^bits, and then the ledger decides. So it never changes a figure.

Memory is bounded: a roaring bitmap of numbers below 2^bits takes about 2 bytes an entity, some 7 MiB besides with 32 bits (3 with 28), and never more than 2^bits / 8 bytes:
512 MiB a partition with 32 bits, which takes 268 million entities in one partition.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

from pyroaring import BitMap

Entity = tuple[str, str]
"""Routing key and entity."""


class EntityFilter:
    """What one partition may have seen."""

    def __init__(self, bits: int) -> None:
        """Begin empty; `bits` of the fingerprint are kept, at most 32."""
        self._mask = (1 << bits) - 1
        self._seen = BitMap()
        self.complete_to = 0
        """Every entity that the ledger has at a smaller offset is in."""

    def __len__(self) -> int:
        """How many fingerprints it holds."""
        return len(self._seen)

    @property
    def size(self) -> int:
        """Bytes, about."""
        facts: Mapping[str, Any] = self._seen.get_statistics()
        return sum(int(count) for name, count in facts.items() if name.startswith("n_bytes_"))

    def add(self, entities: Iterable[Entity]) -> None:
        """Remember entities."""
        self._seen.update(self._fingerprints(entities))

    def add_fingerprints(self, fingerprints: Iterable[int]) -> None:
        """Remember what the ledger has, as `fingerprint_sql` gives it."""
        self._seen.update(fingerprints)

    def seen(self, entities: Sequence[Entity]) -> list[Entity]:
        """Those entities that may have been seen; all others were not."""
        fingerprints = self._fingerprints(entities)
        known = self._seen & BitMap(fingerprints)
        return [entity for entity, fingerprint in zip(entities, fingerprints, strict=True) if fingerprint in known] if known else []

    def _fingerprints(self, entities: Iterable[Entity]) -> list[int]:
        mask = self._mask
        return [crc32(f"{key}\n{entity}".encode()) & mask for key, entity in entities]
