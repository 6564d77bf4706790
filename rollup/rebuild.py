"""Rebuilds the journal from the ledger alone: folds accepted versions again, chunk by chunk.

The rules are those of the first fold, but no event is validated again. A chunk keeps its identity
and its span, so that figures keep their origins.
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
    """The durable part of a chunk: offsets from `start` to below `next_offset`."""

    start: int
    next_offset: int


class UnknownSpanError(LookupError):
    """The ledger has a version in no known chunk, so that its figures would have no origin."""

    def __init__(self, partition: int, offset: int) -> None:
        super().__init__(
            f"partition {partition}: the ledger has a version at offset {offset}, which lies in no "
            "known chunk; rebuild from the log: `pravah rebuild log --discard`"
        )


def rebuild_chunks(
    partition: int,
    spans: Sequence[Span],
    rows: Iterable[StoredVersion],
    earlier: Callable[[int, Sequence[Entity]], Iterable[StoredVersion]],
    *,
    encodings: Encodings,
    filter_bits: int = 32,
) -> Iterator[OpenChunk]:
    """Fold a partition's part of the ledger again, with one chunk in memory at a time.

    Args:
        partition: its number.
        spans: its chunks in the order of the log, without overlaps. Versions after the last span
            are left to the worker that continues that chunk.
        rows: its accepted versions in the order of their offsets.
        earlier: (offset, entities) → the ledger's versions of these entities at smaller offsets.
        encodings: the units and metrics to count under.
        filter_bits: see `SeenFilter`, which avoids lookups of new entities.

    Yields:
        Each chunk, folded to its end.

    Raises:
        UnknownSpanError: a row lies in no span.
    """
    known = SeenFilter(filter_bits)
    remaining = iter(rows)
    row = next(remaining, None)
    for span in spans:
        inside: list[StoredVersion] = []
        while row is not None and row.offset < span.next_offset:
            if row.offset < span.start:
                raise UnknownSpanError(partition, row.offset)
            inside.append(row)
            row = next(remaining, None)
        chunk = OpenChunk(partition, span.start, encodings)
        chunk.last_offset = span.next_offset - 1
        columns = VersionColumns.of(
            ((entity_of(one), version_of(one)) for one in inside), encodings
        )
        entities = chunk.unknown_entities(columns.entities.values())
        fingerprints = known.fingerprints(HashedTexts.of(entities))
        seen = [entities[row] for row in np.flatnonzero(known.add(fingerprints)).tolist()]
        chunk.add_known(
            entities,
            (
                (entity_of(one), version_of(one))
                for one in (earlier(span.start, seen) if seen else ())
            ),
        )
        chunk.fold_figures(columns, np.zeros(len(columns), bool))
        yield chunk
    if row is not None and not spans:
        raise UnknownSpanError(partition, row.offset)
