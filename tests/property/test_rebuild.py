"""The journal that is rebuilt from the ledger is the journal that the worker wrote."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pravah.days import day_of
from rollup.open_chunk import OpenChunk
from rollup.rebuild import Span, UnknownSpanError, rebuild_chunks
from rollup.storage import JOURNAL, EntityLookup, StoredVersion
from tests.property.test_contribution import ENGINE
from tests.property.test_rollup import Group, log_of, logs
from tests.support.memory_store import MemoryStore


def rows_of(store: MemoryStore) -> list[StoredVersion]:
    names = ("key", "entity", "version", "offset", "op", "unit", "verification", "occurred_at")
    rows = [
        StoredVersion(
            *(row[name] for name in names), day_of(row["day"]), row["metrics"], row["amounts"]
        )
        for row in store.ledger.values()
        if not row["deleted"]
    ]
    return sorted(rows, key=lambda row: row.offset)


def spans_of(store: MemoryStore) -> list[Span]:
    ends: dict[int, int] = {}
    for row in store.chunks.values():
        ends[row["chunk"]] = max(row["next_offset"], ends.get(row["chunk"], 0))
    return [Span(start, ends[start]) for start in sorted(ends)]


class Ledger:
    """Looks versions up, and records the entities of each look-up."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.lookups: list[tuple[int, list[str]]] = []

    def earlier(self, offset: int, entities: Sequence[str]) -> list[StoredVersion]:
        assert entities
        self.lookups.append((offset, list(entities)))
        return self.store.find_versions([EntityLookup(0, offset, entities)])[0]


def rebuilt(store: MemoryStore, ledger: Ledger, filter_bits: int = 32) -> Iterator[OpenChunk]:
    return rebuild_chunks(
        0,
        spans_of(store),
        rows_of(store),
        ledger.earlier,
        encodings=ENGINE.encodings,
        filter_bits=filter_bits,
    )


def journal(chunk: OpenChunk) -> dict:
    """Return key → (value, verified value, reports); the version is another one."""
    block = chunk.take_unwritten().journal
    return {} if block is None else {tuple(row[:6]): tuple(row[6:9]) for row in block}


@settings(max_examples=120)
@given(log=logs, chunk_size=st.integers(1, 12), filter_bits=st.sampled_from([16, 32]))
def test_a_rebuilt_journal_is_the_workers(log, chunk_size: int, filter_bits: int) -> None:
    events, hours = log
    store = MemoryStore()
    asyncio.run(Group(store, chunk_size).read(log_of(events, hours), [4], flush=True))
    written = {
        tuple(row[name] for name in JOURNAL[:6]): tuple(row[name] for name in JOURNAL[6:9])
        for row in store.journal.values()
    }
    ledger, found, accepted = Ledger(store), {}, 0
    for chunk, span in zip(rebuilt(store, ledger, filter_bits), spans_of(store), strict=True):
        assert (chunk.partition, chunk.start, chunk.last_offset) == (
            0,
            span.start,
            span.next_offset - 1,
        )
        accepted += chunk.counts.accepted
        found |= journal(chunk)
    assert found == written
    assert accepted == len(rows_of(store))


def test_only_entities_of_earlier_chunks_are_looked_up() -> None:
    posts = [
        {
            "event_id": f"00000000-0000-4000-8000-{number:012x}",
            "entity": f"e{number % 3}",
            "version": number + 1,
            "unit": "CG-AC001-B0001",
            "kind": "social_post",
            "occurred_at": "2022-03-05T10:00:00+05:30",
            "source": {"tool": "test", "producer": "x"},
            "data": {"platform": "facebook", "posts": number},
        }
        for number in range(5)
    ]
    store = MemoryStore()
    asyncio.run(Group(store, 3).read(log_of(posts, [0] * 5), [5], flush=True))
    ledger = Ledger(store)
    assert len(list(rebuilt(store, ledger))) == 2
    assert ledger.lookups == [(3, ["CG-AC001\ne0", "CG-AC001\ne1"])]


def test_a_version_outside_every_chunk_is_refused() -> None:
    row = StoredVersion(
        "CG-AC001", "e", 1, 7, "report", "CG-AC001-B0001", "unverified", 0, 19_000, [], []
    )

    def rebuild(spans: list[Span]) -> list[OpenChunk]:
        chunks = rebuild_chunks(2, spans, [row], lambda *_: [], encodings=ENGINE.encodings)
        return list(chunks)

    for spans in ([], [Span(8, 9)], [Span(0, 4), Span(8, 9)]):
        with pytest.raises(UnknownSpanError, match=r"partition 2: .* offset 7,"):
            rebuild(spans)
    assert [chunk.counts.accepted for chunk in rebuild([Span(0, 7)])] == [0]
    assert [chunk.counts.accepted for chunk in rebuild([Span(7, 8)])] == [1]
