"""The kernels' changes of many entities sum to what each entity contributes by the rules."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rollup.assigned_partition import pending_lookups
from rollup.engine import RollupEngine
from rollup.fold import Rollup
from rollup.open_chunk import OpenChunk
from rollup.versions import Version
from tests.support import small_world

ENGINE = RollupEngine(
    small_world.registry(),
    small_world.dictionary(),
    partition_of=lambda _: 0,
    max_future_hours=24,
    chunk_size=1_000,
)


class LogRecord(NamedTuple):
    offset: int
    timestamp: int
    key: bytes
    value: bytes


def folded(events: list[dict], size: int) -> OpenChunk:
    """Fold in batches of a size; the ledger is empty."""
    ENGINE.revoke([0])
    ENGINE._seen_filters.clear()
    partition = ENGINE.assign(0)
    for begin in range(0, len(events), size):
        batch = ENGINE.validate(
            0,
            [
                LogRecord(begin + row, 1_655_000_000_000, b"", json.dumps(event).encode())
                for row, event in enumerate(events[begin : begin + size])
            ],
            partition.epoch,
        )
        if begin == 0:
            partition.begin_chunk(batch.records[0])
        partition.fold(batch.records, batch.verdicts)
        for lookup in pending_lookups([partition]):
            lookup.attempt.fold_pending(lookup.request.entities, ())
    assert partition.open_chunk is not None
    return partition.open_chunk.chunk


def contribution(
    versions: Collection[Version], stocks: Collection[str]
) -> dict[tuple[str, str, int], tuple[int, int]]:
    """Return an entity's contribution by the contract: (metric, unit, day) → all, verified."""
    if not versions:
        return {}
    highest = max(versions, key=lambda version: version.version)
    if highest.op == "retract" or highest.verification == "rejected":
        return {}
    cells = Counter(
        {
            (metric, highest.unit, highest.day): amount
            for metric, amount in highest.amounts.items()
            if metric not in stocks
        }
    )
    level: dict[str, int] = {}
    held_by = ""
    retracted = max((version.version for version in versions if version.op == "retract"), default=0)
    for version in sorted(
        (one for one in versions if one.version > retracted),
        key=lambda one: (one.occurred_at, one.version),
    ):
        following = {
            metric: amount for metric, amount in version.amounts.items() if metric in stocks
        }
        for metric, amount in level.items():
            cells[metric, held_by, version.day] -= amount
        for metric, amount in following.items():
            cells[metric, version.unit, version.day] += amount
        level, held_by = following, version.unit
    return {
        cell: (amount, amount if highest.verification == "verified" else 0)
        for cell, amount in cells.items()
    }


class Expected(NamedTuple):
    figures: dict
    accepted: int
    duplicates: int
    corrections: int


def by_the_rules(events: list[dict]) -> Expected:
    """Apply the rules to each entity's versions at the end."""
    encodings = ENGINE.encodings
    entities: defaultdict[str, dict[int, Version]] = defaultdict(dict)
    counts, reports = Counter(), Counter()
    for offset, event in enumerate(events):
        record = LogRecord(offset, 1_655_000_000_000, b"", json.dumps(event).encode())
        columns = ENGINE.validate(0, [record], 0).verdicts.accepted
        assert columns is not None
        (entity,), (version,) = columns.entities.values(), columns.each(encodings)
        known = entities[entity]
        if version.version in known:
            counts["duplicates"] += 1
            continue
        counts["accepted"] += 1
        counts["corrections"] += bool(known)
        known[version.version] = version
        reports.update((metric, version.unit, version.day) for metric in version.amounts)
    rollup, rows = Rollup(encodings), [(cell, (0, 0, count)) for cell, count in reports.items()]
    for known in entities.values():
        rows += [
            (cell, (*amounts, 0))
            for cell, amounts in contribution(known.values(), encodings.stocks).items()
        ]
    rollup.add(
        np.array(
            [
                (encodings.hierarchy.numbers[unit], encodings.metrics.intern(metric), day, *sums)
                for (metric, unit, day), sums in rows
            ],
            np.int64,
        ).reshape(-1, 6)
    )
    return Expected(
        rollup.entries(), counts["accepted"], counts["duplicates"], counts["corrections"]
    )


def assert_as_by_the_rules(chunk: OpenChunk, events: list[dict]) -> None:
    expected = by_the_rules(events)
    entries = chunk._rollup.entries()
    assert {
        key: sums for key, sums in entries.items() if key in expected.figures or sums != [0, 0, 0]
    } == expected.figures
    assert (chunk.counts.accepted, chunk.counts.duplicates, chunk.counts.corrections) == expected[
        1:
    ]


@settings(max_examples=400)
@given(
    events=st.lists(small_world.event(entities=2, versions=6), min_size=1, max_size=14),
    size=st.integers(1, 14),
)
def test_any_history_counts_as_by_the_rules(events: list[dict], size: int) -> None:
    assert_as_by_the_rules(folded(events, size), events)


@settings(max_examples=200)
@given(
    observed=st.lists(
        st.tuples(
            st.integers(0, 60),
            st.integers(0, 9),
            st.booleans(),
            st.sampled_from(["unverified", "unverified", "verified"]),
        ),
        min_size=2,
        max_size=8,
    )
)
def test_observations_of_one_group_in_their_order_count_as_by_the_rules(observed: list) -> None:
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
        for number, (day, members, active, verification) in enumerate(
            sorted(observed, key=lambda one: one[0])
        )
    ]
    assert_as_by_the_rules(folded(events, 1), events)
