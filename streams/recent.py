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
    """Of one partition."""

    def __init__(self, limit: int) -> None:
        """Begin empty; at most `limit` entities are known, or those of one chunk if these are more."""
        self._limit = limit
        self._versions: dict[Entity, Versions] = {}

    def keep(self, versions: dict[Entity, Versions]) -> None:
        """Take over what a chunk knew when it was closed: all versions of its entities below the offset where the next chunk begins. When it is too much, what was known before goes."""
        if len(self._versions) + len(versions) > self._limit:
            self._versions = versions
        else:
            self._versions.update(versions)

    def find(self, entities: Iterable[Entity]) -> dict[Entity, Versions]:
        """Those of these entities that it knows. The chunk that asks adds to their versions, so if it is given up, all of this must be."""
        known = self._versions
        return {entity: known[entity] for entity in entities if entity in known}
