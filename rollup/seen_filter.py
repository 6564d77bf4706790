"""The filter before the ledger: which entities a partition may have seen before.

Nearly every event is about an entity that is new. The filter says so from memory, so that ClickHouse is asked only about the others. It is a set of fingerprints: an entity that
was seen is always found, one that was not is found by chance with a probability of (entities seen) / 2^bits, and then the ledger decides. So it never changes a figure.

Memory is bounded: the fingerprints stand in a table of 6 to 8 bytes for each, until a bit for each one that there can be takes less: then it is 2^bits / 8 bytes, 512 MiB a partition with 32 bits.
"""

import numpy as np

from columnar.arrays import Array
from columnar.kernels import hashing, sets
from columnar.texts import HashedTexts

_FULL = 0.75
"""So much of a table is taken at most; what is looked up in a fuller one takes longer."""
_GROWTH = 1.5


class SeenFilter:
    """What one partition may have seen."""

    def __init__(self, bits: int) -> None:
        """Begin empty; `bits` of the fingerprint are kept, at most 32."""
        self._most = 1 << bits
        self._slots = np.zeros(64, np.uint32)
        """A table of fingerprints above 0; 0 is taken for 1."""
        self._flags: Array | None = None
        """A bit for each fingerprint, instead of the table."""
        self._count = 0
        self.complete_to = 0
        """Every entity that the ledger has at a smaller offset is in."""

    def __len__(self) -> int:
        """How many fingerprints it holds."""
        return self._count

    @property
    def size(self) -> int:
        """Bytes."""
        return (self._slots if self._flags is None else self._flags).nbytes

    def fingerprints(self, entities: HashedTexts) -> Array:
        """Some bits of the CRC-32 of each, as `sinks.rollup_store.RollupStore.fingerprints` gives them."""
        return entities.checksums & np.uint32(self._most - 1)

    def add(self, fingerprints: Array) -> Array:
        """Remember entities by their fingerprints.

        Returns:
            For each whether its entity may have been seen before; if not, it was not.
        """
        seen = self.seen(fingerprints)
        self._make_room(len(fingerprints))
        self._count += (
            sets.set_insert(self._slots, fingerprints)
            if self._flags is None
            else sets.bitmap_insert(self._flags, fingerprints)
        )
        return seen

    def seen(self, fingerprints: Array) -> Array:
        """For each whether its entity may have been seen; if not, it was not."""
        return (
            sets.set_contains(self._slots, fingerprints)
            if self._flags is None
            else sets.bitmap_contains(self._flags, fingerprints)
        )

    def _make_room(self, more: int) -> None:
        needed = (self._count + more) / _FULL
        if self._flags is not None or needed <= len(self._slots):
            return
        known = self._slots[self._slots != 0]
        size = int(max(needed, _GROWTH * len(self._slots)))
        if 32 * size <= self._most:
            self._slots = np.zeros(size, np.uint32)
            sets.set_insert(self._slots, known)
            return
        self._flags, self._slots = np.zeros(max(1, self._most // 32), np.uint32), self._slots[:0]
        sets.bitmap_insert(self._flags, known)
        if 1 in known:
            sets.bitmap_insert(self._flags, np.zeros(1, np.uint32))


def first_rows(fingerprints: Array) -> Array:
    """For each the row of the first one that is equal, its own if that is the first."""
    return hashing.find_first_rows(fingerprints)
