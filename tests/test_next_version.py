"""What many entities' next versions change, added up in columns, is what each contributes by the rules."""

import json
from typing import NamedTuple

import small_world
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.admission import Admission
from streams.bulk_admission import BulkAdmission
from streams.filter import EntityFilter, first_rows
from streams.open_chunk import OpenChunk

BULK = BulkAdmission(Admission(small_world.registry(), small_world.dictionary(), partition_of=lambda _: 0, max_future_hours=24))


class LogRecord(NamedTuple):
    offset: int
    timestamp: int
    key: bytes
    value: bytes


def folded(events: list[dict], size: int) -> OpenChunk:
    """In batches of a size, each version as its place in the log allows: first, next, or singly."""
    chunk, known = OpenChunk(0, 0, BULK.vocabulary), EntityFilter(32)
    for begin in range(0, len(events), size):
        batch = [LogRecord(begin + row, 1_655_000_000_000, b"", json.dumps(event).encode()) for row, event in enumerate(events[begin : begin + size])]
        columns = BULK.admit(0, batch).accepted
        assert columns is not None
        fingerprints = known.fingerprints(columns.checksum)
        seen, first = known.add(fingerprints), first_rows(fingerprints)
        chunk.fold(columns, ~seen & (first == range(len(columns))))
    return chunk


def counted_singly(events: list[dict]) -> OpenChunk:
    """By `streams.contribution` alone."""
    chunk = OpenChunk(0, 0, BULK.vocabulary)
    for offset, event in enumerate(events):
        columns = BULK.admit(0, [LogRecord(offset, 1_655_000_000_000, b"", json.dumps(event).encode())]).accepted
        assert columns is not None
        (entity,), (version,) = columns.entities, columns.each(BULK.vocabulary)
        if entity not in chunk.known:
            chunk.tell([entity], ())
        chunk.count(entity, version)
    return chunk


def figures(chunk: OpenChunk) -> dict:
    return {key: sums for key, sums in chunk._rollup.entries().items() if sums != [0, 0, 0]}  # noqa: SLF001


@settings(max_examples=400)
@given(events=st.lists(small_world.event(entities=2, versions=6), min_size=1, max_size=14), size=st.integers(1, 14))
def test_any_history_counts_as_by_the_rules(events: list[dict], size: int) -> None:
    chunk, expected = folded(events, size), counted_singly(events)
    assert figures(chunk) == figures(expected)
    assert (chunk.counts.accepted, chunk.counts.duplicates, chunk.counts.corrections) == (
        expected.counts.accepted,
        expected.counts.duplicates,
        expected.counts.corrections,
    )


@settings(max_examples=200)
@given(
    looks=st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 9), st.booleans(), st.sampled_from(["unverified", "unverified", "verified"])), min_size=2, max_size=8
    )
)
def test_looks_at_one_group_in_their_order_count_as_by_the_rules(looks: list) -> None:
    """The usual history of a stock: higher versions, later days, now and then verified."""
    events = [
        {
            "event_id": f"00000000-0000-4000-8000-{number:012x}",
            "entity": "group",
            "version": number + 1,
            "unit": "CG-AC001-B0002",
            "kind": "messaging_group",
            "occurred_at": f"{small_world.on(day)}T10:00:00+05:30",
            "source": {"tool": "test", "producer": "x"},
            "verification": verification,
            "data": {"group_type": "whatsapp", "members": members, "active": active},
        }
        for number, (day, members, active, verification) in enumerate(sorted(looks, key=lambda look: look[0]))
    ]
    assert figures(folded(events, 1)) == figures(counted_singly(events))
