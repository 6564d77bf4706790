"""What a partition's closed chunks knew of the entities that occurred lately.

A repeat or a correction mostly follows its entity's last version closely: an outbox sends again, a verification comes in. What the last chunks knew of these entities spares the
ledger the question. It is the ledger's own answer, carried from a closed chunk into the next one, so it never changes a figure.
"""

from collections.abc import Iterable

from streams.contribution import Version
from streams.filter import Entity

Versions = dict[int, Version]
"""An entity's versions by their number."""


class RecentEntities:
    """Of one partition, in two generations: what is found in the older one moves to the younger, and the older one goes when the younger is full."""

    def __init__(self, limit: int) -> None:
        """Begin empty; a generation has at most `limit` entities, or those of one chunk if these are more."""
        self._limit = limit
        self._young: dict[Entity, Versions] = {}
        self._old: dict[Entity, Versions] = {}

    def __len__(self) -> int:
        """How many entities it knows."""
        return len(self._young.keys() | self._old.keys())

    def keep(self, versions: dict[Entity, Versions]) -> None:
        """Take over what a chunk knew when it was closed: all versions of its entities below the offset where the next chunk begins."""
        if len(self._young) + len(versions) > self._limit:
            self._old, self._young = self._young, versions
        else:
            self._young.update(versions)

    def find(self, entities: Iterable[Entity]) -> dict[Entity, Versions]:
        """Those of these entities that it knows. The chunk that asks adds to their versions, so if it is given up, all of this must be."""
        young, old = self._young, self._old
        return {entity: known for entity in entities if (known := young.get(entity) or old.get(entity)) is not None}
