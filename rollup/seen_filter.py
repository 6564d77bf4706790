"""The seen filter: which entities a partition may have seen before.

Nearly every event is about a new entity. The filter answers from memory, so that only the other
entities are looked up in the ledger. It is a set of fingerprints: an entity that was seen is always
found; one that was not is found by chance with a probability of (entities seen) / 2^bits, and then
the ledger decides. So the filter never changes a figure.

Memory is bounded. Fingerprints are kept in a hash table of 6 to 8 bytes each until a bitmap of all
possible fingerprints is smaller: 2^bits / 8 bytes, 512 MiB for a partition with 32 bits.
"""

import numpy as np

from columnar.arrays import Array
from columnar.kernels import hashing, sets
from columnar.texts import HashedTexts

# Maximum share of the table's slots that are in use; lookups in a fuller table take longer.
_MAX_LOAD = 0.75
_GROWTH = 1.5


class SeenFilter:
    """The entities that one partition may have seen."""

    def __init__(self, bits: int) -> None:
        """Begin with no entity.

        Args:
            bits: length of a fingerprint, at most 32.
        """
        self.bits = bits
        # Hash table of fingerprints above 0: fingerprint 0 is stored as 1.
        self._slots = np.zeros(64, np.uint32)
        # A bit for each possible fingerprint, instead of the table.
        self._bitmap: Array | None = None
        self._count = 0
        self.complete_to = 0
        """Every entity that the ledger has at a smaller offset is in the filter."""

    def __len__(self) -> int:
        """Return the number of fingerprints."""
        return self._count

    @property
    def size(self) -> int:
        """Memory in bytes."""
        return (self._slots if self._bitmap is None else self._bitmap).nbytes

    def fingerprints(self, entities: HashedTexts) -> Array:
        """Return the lower bits of each entity's CRC-32, as `Storage.fingerprints` does; uint32."""
        return entities.checksums & np.uint32((1 << self.bits) - 1)

    def add(self, fingerprints: Array) -> Array:
        """Add entities by their fingerprints.

        Returns:
            Mask of the entities that may have been seen before; the others were not.
        """
        seen = self.contains(fingerprints)
        self._reserve(len(fingerprints))
        self._count += (
            sets.set_insert(self._slots, fingerprints)
            if self._bitmap is None
            else sets.bitmap_insert(self._bitmap, fingerprints)
        )
        return seen

    def contains(self, fingerprints: Array) -> Array:
        """Return a mask of the entities that may have been seen; the others were not."""
        return (
            sets.set_contains(self._slots, fingerprints)
            if self._bitmap is None
            else sets.bitmap_contains(self._bitmap, fingerprints)
        )

    def _reserve(self, more: int) -> None:
        """Make the table larger, or replace it by the bitmap, if `more` entities do not fit."""
        needed = (self._count + more) / _MAX_LOAD
        if self._bitmap is not None or needed <= len(self._slots):
            return
        known = self._slots[self._slots != 0]
        size = int(max(needed, _GROWTH * len(self._slots)))
        number = 1 << self.bits
        if 32 * size <= number:
            self._slots = np.zeros(size, np.uint32)
            sets.set_insert(self._slots, known)
            return
        self._bitmap = np.zeros(max(1, number // 32), np.uint32)
        self._slots = np.empty(0, np.uint32)
        sets.bitmap_insert(self._bitmap, known)
        if 1 in known:
            sets.bitmap_insert(self._bitmap, np.zeros(1, np.uint32))


def first_rows(fingerprints: Array) -> Array:
    """Return for each fingerprint the row of the first equal one, its own if it is the first."""
    return hashing.find_first_rows(fingerprints)
