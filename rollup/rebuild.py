"""The journal from the ledger alone: what was accepted is folded again, chunk by chunk, by the same rule as when it came.

Nothing is decided anew: no event is admitted or refused here. A chunk keeps its name and its span, so that the figures keep their origins.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from columnar.texts import HashedTexts
from rollup.ledger_rows import entity_of, version_of
from rollup.open_chunk import OpenChunk
from rollup.seen_filter import SeenFilter
from rollup.storage import StoredVersion
from rollup.version_columns import Encodings, Entity, VersionColumns


class Span(NamedTuple):
    """A chunk of a partition, as far as it is durable."""

    start: int
    next_offset: int


class UnknownSpanError(LookupError):
    """The ledger has a version of which no chunk is known, so that its figures could have no origin."""

    def __init__(self, partition: int, offset: int) -> None:
        """Say which."""
        super().__init__(
            f"partition {partition}: the ledger has a version at offset {offset}, of which `chunks` says nothing; rebuild from the log: `pravah replay log --discard`"
        )


def rebuild_chunks(  # noqa: D417
    partition: int,
    spans: Sequence[Span],
    rows: Iterable[StoredVersion],
    earlier: Callable[[int, Sequence[Entity]], Iterable[StoredVersion]],
    *,
    encodings: Encodings,
    filter_bits: int = 32,
) -> Iterator[OpenChunk]:
    """Fold a partition's part of the ledger again; holds one chunk at a time.

    Args:
        partition: its number.
        spans: its chunks in the order of the log, without overlaps; what the last one has beyond its span is left to the worker that goes on with it.
        rows: its accepted versions in the order of their offsets.
        earlier: (offset, entities) → the ledger's versions of these entities at smaller offsets.
        vocabulary: the units and metrics to count under.
        filter_bits: see `SeenFilter`; it spares the ledger from being asked about entities that are new.

    Yields:
        Each chunk, folded to its end.

    Raises:
        UnknownSpanError: a row lies in no span.
    """
    known = SeenFilter(filter_bits)
    waiting = iter(rows)
    row = next(waiting, None)
    for span in spans:
        inside: list[StoredVersion] = []
        while row is not None and row.offset < span.next_offset:
            if row.offset < span.start:
                raise UnknownSpanError(partition, row.offset)
            inside.append(row)
            row = next(waiting, None)
        chunk = OpenChunk(partition, span.start, encodings)
        chunk.last_offset = span.next_offset - 1
        columns = VersionColumns.of(
            ((entity_of(one), version_of(one)) for one in inside), encodings
        )
        entities = chunk.unknown(columns.entities.values())
        fingerprints = known.fingerprints(HashedTexts.of(entities))
        asked = [entities[row] for row in np.flatnonzero(known.add(fingerprints)).tolist()]
        chunk.tell(
            entities,
            (
                (entity_of(one), version_of(one))
                for one in (earlier(span.start, asked) if asked else ())
            ),
        )
        chunk.count(columns, np.zeros(len(columns), bool))
        yield chunk
    if row is not None and not spans:
        raise UnknownSpanError(partition, row.offset)
