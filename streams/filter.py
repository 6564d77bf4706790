"""The filter before the ledger: which entities a partition may have seen before.

Nearly every event is about an entity that is new. The filter says so from memory, so that ClickHouse is asked only about the others. It is a set of fingerprints: an entity that
was seen is always found, one that was not is found by chance with a probability of (entities seen) / 2^bits, and then the ledger decides. So it never changes a figure.

Memory is bounded: a roaring bitmap of numbers below 2^bits takes about 2 bytes an entity, some 7 MiB besides with 32 bits (3 with 28), and never more than 2^bits / 8 bytes:
512 MiB a partition with 32 bits, which takes 268 million entities in one partition.
"""

from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from pyroaring import BitMap

from schemas import loops
from schemas.loops import Numbers
from schemas.texts import Hashed


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

    def fingerprints(self, entities: Hashed) -> Numbers:
        """Some bits of the CRC-32 of each, as `sinks.rollup_store.RollupStore.fingerprints` gives them."""
        return entities.checksums & np.uint32(self._mask)

    def add(self, fingerprints: Numbers) -> Numbers:
        """Remember entities by their fingerprints.

        Returns:
            For each whether its entity may have been seen before; if not, it was not.
        """
        coming = _bitmap(fingerprints)
        known = self._seen & coming
        self._seen |= coming
        return _among(fingerprints, known)

    def add_fingerprints(self, fingerprints: Iterable[int]) -> None:
        """Remember what the ledger has."""
        self._seen.update(fingerprints)

    def seen(self, fingerprints: Numbers) -> Numbers:
        """For each whether its entity may have been seen; if not, it was not."""
        return _among(fingerprints, self._seen & _bitmap(fingerprints))


def _bitmap(fingerprints: Numbers) -> BitMap:
    return BitMap(array("I", fingerprints.tobytes()))


def _among(fingerprints: Numbers, known: BitMap) -> Numbers:
    if not known:
        return np.zeros(len(fingerprints), bool)
    ordered = np.frombuffer(known.to_array(), np.uint32)
    among: Numbers = ordered.take(np.searchsorted(ordered, fingerprints), mode="clip") == fingerprints
    return among


def first_rows(fingerprints: Numbers) -> Numbers:
    """For each the row of the first one that is equal, its own if that is the first."""
    return loops.first_rows(fingerprints)
