"""Properties of every log: the figures are the oracle's for any batches, chunks and crashes.

One file, because all properties run over the same logs and the same group.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pravah.topics import TICK_KEY
from pravah.units import routing_key
from rollup.assigned_partition import LogError
from rollup.engine import RollupEngine
from rollup.errors import StoppedError
from rollup.flush import Outgoing
from rollup.open_chunk import OpenChunk
from schemas.registry_readers import registry_from_csv
from streams.worker import Worker
from tests.support import oracle, small_world
from tests.support.memory_store import MemoryStore

REGISTRY = small_world.registry()
DICTIONARY = small_world.dictionary()
HOUR = 3_600_000
BASE = int(datetime.fromisoformat("2022-12-01T00:00:00+05:30").timestamp() * 1000)


class LogRecord(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@pytest.fixture(scope="module")
def hierarchy(tmp_path_factory: pytest.TempPathFactory) -> oracle.Hierarchy:
    return oracle.Hierarchy.read(small_world.write(tmp_path_factory.mktemp("small")))


def log_of(events: Sequence[dict], hours: Sequence[int]) -> list[LogRecord]:
    """Return one partition's log; `hours` are the hours between append times."""
    records, at = [], BASE
    for offset, (event, hour) in enumerate(zip(events, hours, strict=True)):
        at += hour * HOUR
        records.append(
            LogRecord(offset, at, routing_key(event["unit"]).encode(), json.dumps(event).encode())
        )
    return records


class Group:
    """A consumer group over one partition: its committed offset, and the records it sent."""

    def __init__(self, store: MemoryStore, chunk_size: int, registry=REGISTRY) -> None:
        self.store, self.chunk_size, self.registry = store, chunk_size, registry
        self.committed = 0
        self.sent: list[Outgoing] = []

    def worker(self, filter_bits: int = 32) -> Worker:
        async def send(outgoing: list[Outgoing]) -> None:
            self.sent += outgoing

        def commit(_partition: int, offset: int) -> None:
            assert offset > self.committed
            self.committed = offset

        engine = RollupEngine(
            self.registry,
            DICTIONARY,
            partition_of=lambda _: 0,
            max_future_hours=24,
            chunk_size=self.chunk_size,
            filter_bits=filter_bits,
            recent_entities=self.chunk_size,
        )
        return Worker(engine, storage=self.store, writer=self.store, send=send, commit=commit)

    async def read(
        self, records: Sequence[LogRecord], batches: Sequence[int], *, flush: bool
    ) -> None:
        """Let one worker read from the committed offset, then die.

        Batches have these sizes, the last of which repeats.
        """
        worker = self.worker()
        position, sizes = self.committed, list(batches)
        while position < len(records):
            size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
            await worker.process(0, records[position : position + size])
            position += size
            if flush:
                await worker.flush()
        worker.stop()


def _post() -> dict:
    return {
        "event_id": "00000000-0000-4000-8000-000000000001",
        "unit": "CG-AC001-B0001",
        "kind": "social_post",
        "occurred_at": "2022-03-05T10:00:00+05:30",
        "source": {"tool": "test", "producer": "x"},
        "data": {"platform": "facebook", "posts": 1},
    }


logs = st.lists(small_world.event(), min_size=1, max_size=25).flatmap(
    lambda events: st.tuples(
        st.just(events),
        st.lists(st.sampled_from([0, 0, 0, 1]), min_size=len(events), max_size=len(events)),
    )
)


@settings(max_examples=300, deadline=None)
@given(
    log=logs,
    batches=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    chunk_size=st.integers(1, 12),
)
def test_figures_are_the_oracles(
    hierarchy: oracle.Hierarchy, log, batches: list[int], chunk_size: int
) -> None:
    events, hours = log
    group = Group(MemoryStore(), chunk_size)
    asyncio.run(group.read(log_of(events, hours), batches, flush=True))
    assert not any(outgoing.rejected for outgoing in group.sent)
    assert group.store.figures(oracle.STOCKS) == oracle.figures(events, hierarchy)


@settings(max_examples=200, deadline=None)
@given(
    log=logs,
    chunk_size=st.integers(1, 8),
    cuts=st.lists(st.tuples(st.integers(0, 25), st.booleans()), max_size=5),
)
def test_a_worker_that_dies_anywhere_changes_nothing(
    hierarchy: oracle.Hierarchy, log, chunk_size: int, cuts
) -> None:
    events, hours = log
    records = log_of(events, hours)
    group = Group(MemoryStore(), chunk_size)
    for upto, flush in cuts:  # dies after reading so far, flushed or not
        asyncio.run(group.read(records[:upto], [3], flush=flush))
    asyncio.run(group.read(records, [4], flush=True))
    assert group.store.figures(oracle.STOCKS) == oracle.figures(events, hierarchy)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), log=logs)
def test_any_order_of_arrival_gives_the_same_figures(
    hierarchy: oracle.Hierarchy, data: st.DataObject, log
) -> None:
    events = list({(event["entity"], event["version"]): event for event in log[0]}.values())
    shuffled = data.draw(st.permutations(events))
    expected = oracle.figures(events, hierarchy)
    group = Group(MemoryStore(), 5)
    asyncio.run(group.read(log_of(shuffled, [0] * len(shuffled)), [2], flush=True))
    assert group.store.figures(oracle.STOCKS) == expected


@settings(max_examples=100, deadline=None)
@given(log=logs)
def test_a_parent_is_the_sum_over_the_units_below_it_on_that_day(
    hierarchy: oracle.Hierarchy, log
) -> None:
    """If booths alone report, every figure is the sum over the booths below it on that day."""
    events = [event for event in log[0] if hierarchy.levels[event["unit"]] == "booth"]
    group = Group(MemoryStore(), 6)
    asyncio.run(group.read(log_of(events, [0] * len(events)), [5], flush=True))
    figures = group.store.figures(oracle.STOCKS)
    booths = [unit for unit, level in hierarchy.levels.items() if level == "booth"]
    for (day, level, unit, metric), value in figures.items():
        below = [booth for booth in booths if hierarchy.ancestors(booth, day).get(level) == unit]
        assert value == _sum(_on(figures, booth, metric, day) for booth in below)


def _on(figures: dict, booth: str, metric: str, day: date) -> tuple[int, int]:
    """A booth's figure on a day: a flow of that day, a stock as of that day."""
    days = [
        on
        for on, level, unit, name in figures
        if (level, unit, name) == ("booth", booth, metric) and on <= day
    ]
    last = max(days, default=None) if metric in oracle.STOCKS else day
    return figures.get((last, "booth", booth, metric), (0, 0))


def _sum(values: Iterable[tuple[int, int]]) -> tuple[int, int]:
    total = (0, 0)
    for value, verified in values:
        total = (total[0] + value, total[1] + verified)
    return total


@settings(max_examples=100, deadline=None)
@example(
    log=([{**_post(), "unit": "CG-AC001-B0003", "entity": "e"}], [0]), upto=1
)  # random events are rarely that booth's: without it a missing repair could go unnoticed
@given(log=logs, upto=st.integers(1, 25))
def test_another_registry_in_mid_chunk_is_repaired_at_its_close(
    hierarchy: oracle.Hierarchy, log, upto: int
) -> None:
    """Rows of an open chunk under an older registry, with booth 3 in district A, are repaired."""
    older = small_world.PARENTS.replace("CG-AC001-B0003,CG-D-B", "CG-AC001-B0003,CG-D-A")
    earlier = registry_from_csv(
        {"s.units.csv": small_world.UNITS.splitlines(), "s.parents.csv": older.splitlines()}
    )
    events, _ = log
    records = log_of(
        [*events, events[-1]], [0] * len(events) + [1]
    )  # the last record closes the chunk
    store = MemoryStore()
    asyncio.run(
        Group(store, 1000, earlier).read(records[: min(upto, len(events))], [3], flush=True)
    )
    asyncio.run(Group(store, 1000).read(records, [4], flush=True))
    assert store.figures(oracle.STOCKS) == oracle.figures(events, hierarchy)


def test_rows_of_an_earlier_attempt_are_no_versions_before_the_chunk_is_closed(
    hierarchy: oracle.Hierarchy,
) -> None:
    """An earlier worker still knew booth 4 and accepted the second version there.

    Its chunk is complete and not closed when the third version needs a lookup.
    """
    left = {
        name: [line for line in text.splitlines() if "B0004" not in line]
        for name, text in (
            ("s.units.csv", small_world.UNITS),
            ("s.parents.csv", small_world.PARENTS),
        )
    }
    events = [
        {**_post(), "entity": "e", "version": version, "unit": f"CG-AC001-B000{booth}"}
        for version, booth in ((1, 1), (2, 4), (3, 2))
    ]
    records = log_of([*events, {**_post(), "unit": "CG-AC001-B0003"}], [0] * 4)
    store = MemoryStore()
    asyncio.run(Group(store, 1).read(records[:2], [1], flush=True))
    later = Group(store, 1, registry_from_csv(left))
    later.committed = 1
    asyncio.run(later.read(records, [3], flush=True))
    assert [row["offset"] for row in store.ledger.values() if not row["deleted"]] == [0, 2, 3]
    assert store.figures(oracle.STOCKS) == oracle.figures(
        [
            events[0],
            events[2],
            {**_post(), "entity": _post()["event_id"], "version": 1, "unit": "CG-AC001-B0003"},
        ],
        hierarchy,
    )


def test_a_hole_in_the_log_stops_the_worker() -> None:
    group = Group(MemoryStore(), 100)
    records = log_of([_post()] * 5, [0] * 5)

    async def run() -> None:
        worker = group.worker()
        await worker.process(0, records[:2])
        await worker.process(0, records[3:])

    with pytest.raises(LogError, match="expected offset 2, got 3"):
        asyncio.run(run())


def test_a_start_in_the_middle_of_a_counted_chunk_stops_the_worker() -> None:
    store = MemoryStore()
    records = log_of([_post()] * 5, [0] * 5)
    asyncio.run(Group(store, 100).read(records, [5], flush=True))
    group = Group(store, 100)
    group.committed = 2
    with pytest.raises(LogError, match="would count twice"):
        asyncio.run(group.read(records, [5], flush=True))


def test_a_batch_that_failed_is_not_skipped() -> None:
    """The next batch of the partition must not be folded as if the failed one had been."""

    class Failing(MemoryStore):
        def closed_offsets(self) -> dict:
            msg = "ClickHouse is away, and the worker stops"
            raise StoppedError(msg)

    group = Group(Failing(), 100)
    records = log_of([_post()] * 4, [0] * 4)

    async def run() -> None:
        worker = group.worker()
        with pytest.raises(StoppedError):
            await worker.process(0, records[:2])
        with pytest.raises(LogError, match="failed before"):
            await worker.process(0, records[2:])

    asyncio.run(run())
    assert group.committed == 0
    assert not group.store.journal


@pytest.mark.parametrize(
    ("moment", "written", "committed"),
    [
        ("covering_chunk", set(), 0),
        ("find_versions", {0, 2}, 2),
        ("contested_attempts", {0, 2}, 0),
        ("write", {0, 2}, 0),
    ],
)
def test_a_revoked_partition_is_left_alone(moment: str, written: set[int], committed: int) -> None:
    """It is revoked while a batch is processed: nothing of it is folded or closed afterwards."""

    class Watched(MemoryStore):
        is_revoked = False

        def covering_chunk(self, *arguments: int) -> int | None:
            self.revoke("covering_chunk")
            return super().covering_chunk(*arguments)

        def find_versions(self, *arguments) -> list:
            self.revoke("find_versions")
            return super().find_versions(*arguments)

        def contested_attempts(self, *arguments) -> set:
            self.revoke("contested_attempts")
            return super().contested_attempts(*arguments)

        def write(self, **rows) -> None:
            super().write(**rows)
            self.revoke("write")

        def revoke(self, now: str) -> None:
            if now == moment:
                self.is_revoked = True
                worker.revoke([0])

    group = Group(Watched(), 2)
    events = [
        {**_post(), "event_id": f"00000000-0000-4000-8000-{number:012d}"}
        for number in (0, 1, 3, 4, 0, 2)
    ]  # the fifth repeats the first, which is no longer recent
    records = log_of(events, [0] * 6)

    async def run() -> None:
        nonlocal worker
        worker = group.worker()
        await worker.process(0, records[:4])
        await worker.flush()
        if not group.store.is_revoked:
            await worker.process(0, records[4:])
            await worker.flush()

    worker: Worker
    asyncio.run(run())
    assert group.store.is_revoked
    assert {row["chunk"] for row in group.store.journal.values()} == written
    assert group.committed == committed, "no longer ours to commit"


def test_a_batch_that_was_validated_before_a_revocation_is_not_folded() -> None:
    """It waits for the lock during a rebalance.

    If it were folded, it would be the start of the partition, and the next records after the
    partition's return would look like a hole in the log.
    """
    group = Group(MemoryStore(), 100)

    async def run() -> None:
        worker = group.worker()
        validated = await worker.validate(0, log_of([_post()], [0]))
        worker.revoke([0])
        await worker.process(0, validated)
        await worker.flush()
        assert worker.progress == {}
        await worker.process(0, log_of([_post(), _post()], [0, 0]))  # it comes back
        await worker.flush()
        worker.stop()

    asyncio.run(run())
    assert len(group.store.ledger) == 1, "the second one repeats the first"


@settings(max_examples=60)
@given(
    events=st.lists(small_world.event(entities=4), min_size=1, max_size=20),
    sizes=st.lists(st.integers(1, 8), min_size=20, max_size=20),
)
def test_entities_with_the_same_fingerprint_are_distinguished(
    events: list[dict], sizes: list[int]
) -> None:
    """With one bit there are two fingerprints for all of them."""

    async def folded(filter_bits: int) -> dict:
        group = Group(MemoryStore(), 7)
        worker, records, at = group.worker(filter_bits), log_of(events, [0] * len(events)), 0
        for size in sizes:
            if records[at : at + size]:
                await worker.process(0, records[at : at + size])
                at += size
        await worker.flush()
        worker.stop()
        return {
            key: {name: value for name, value in row.items() if name != "version"}
            for key, row in group.store.journal.items()
        }

    assert asyncio.run(folded(1)) == asyncio.run(folded(32))


def test_a_partition_that_is_revoked_while_it_is_folded_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fold thread goes on meanwhile; once a worker failed there, and its group after it."""
    group, fold = Group(MemoryStore(), 100), OpenChunk.fold

    def revoke(self: OpenChunk, *arguments) -> None:
        worker.revoke([0])
        fold(self, *arguments)

    async def run() -> None:
        nonlocal worker
        worker = group.worker()
        await worker.process(0, log_of([_post()], [0]))
        monkeypatch.setattr(OpenChunk, "fold", revoke)
        await worker.process(
            0, log_of([_post(), _post()], [0, 0])[1:]
        )  # a repeat: the entity cache is used
        await worker.flush()

    worker: Worker
    asyncio.run(run())
    assert not group.store.journal, "the next owner folds it"
    assert worker.failure is None


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**30, -(10**30)])
    | st.floats()
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=500, deadline=None)
@example(event=None, field="data", value={"x": 10**30})
@given(
    event=small_world.event(),
    field=st.sampled_from(
        ["data", "data", "unit", "version", "entity", "reported_at", "source", "verification"]
    ),
    value=ANY_JSON,
)
def test_no_record_stops_the_worker(event: dict, field: str, value: object) -> None:
    """With any value in a field the record is counted or rejected, and the next one is counted."""
    first = {
        **(event or {**_post(), "op": "retract"}),
        "event_id": "00000000-0000-4000-8000-000000000002",
        field: value,
    }
    records = [
        LogRecord(offset, BASE, None, json.dumps(one).encode())
        for offset, one in enumerate([first, _post()])
    ]
    group = Group(MemoryStore(), 100)
    asyncio.run(group.read(records, [2], flush=True))
    accepted = {row["entity"] for row in group.store.ledger.values()}
    assert _post()["event_id"] in accepted
    assert len(accepted) + sum(len(outgoing.rejected) for outgoing in group.sent) == 2


@settings(max_examples=150, deadline=None)
@given(
    log=logs,
    ticks=st.lists(st.integers(0, 25), max_size=4),
    batches=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    cut_at=st.integers(0, 25),
)
def test_ticks_close_chunks_and_count_nowhere(
    hierarchy: oracle.Hierarchy, log, ticks: list[int], batches: list[int], cut_at: int
) -> None:
    events, hours = log
    records = log_of(events, hours)
    for place in ticks:
        at = min(place, len(records))
        records.insert(at, LogRecord(0, records[max(0, at - 1)].timestamp, TICK_KEY, None))
    records = [record._replace(offset=offset) for offset, record in enumerate(records)]
    group = Group(MemoryStore(), 6)
    asyncio.run(group.read(records[:cut_at], [3], flush=False))  # a worker that dies there
    asyncio.run(group.read(records, batches, flush=True))
    assert not any(outgoing.rejected for outgoing in group.sent)
    assert group.store.figures(oracle.STOCKS) == oracle.figures(events, hierarchy)
    for record in records:
        if record.key == TICK_KEY:
            assert group.committed > record.offset, "the chunk that a tick ends is closed at once"


@settings(max_examples=60, deadline=None)
@given(log=logs, chunk_size=st.integers(1, 6))
def test_chunks_never_claim_more_than_the_figures_have(log, chunk_size: int) -> None:
    """The figures below `next_offset` are there, even if a write ends between any two tables."""

    class Watched(MemoryStore):
        def write(self, **rows) -> None:
            for name in ("opened", "journal", "ledger", "ledger_deletions", "rejected", "chunks"):
                super().write(**{name: rows.get(name, ())})
                reach = max((row["next_offset"] for row in self.chunks.values()), default=0)
                stored = {row["offset"] for row in self.ledger.values()}
                assert all(offset in stored for offset in first_deliveries if offset < reach), name

    events, hours = log
    records, first_deliveries, seen = log_of(events, hours), set(), set()
    for record, event in zip(records, events, strict=True):
        identity = event["entity"], event["version"]
        if identity not in seen:
            first_deliveries.add(record.offset)
        seen.add(identity)
    group = Group(Watched(), chunk_size)
    asyncio.run(group.read(records, [4, 7], flush=True))


def test_an_idle_partition_gets_a_tick_once_its_hour_is_over() -> None:
    group = Group(MemoryStore(), 100)
    (record,) = log_of([_post()], [0])

    async def run() -> None:
        worker = group.worker()
        await worker.process(0, [record])
        assert worker.idle_partitions(record.timestamp + 20 * 60_000) == [], "its hour goes on"
        assert worker.idle_partitions(record.timestamp + HOUR + 60_001) == [0]
        await worker.process(0, [LogRecord(1, record.timestamp + HOUR + 60_001, TICK_KEY, None)])
        await worker.flush()
        assert group.committed == 2
        assert worker.idle_partitions(record.timestamp + 9 * HOUR) == [], "nothing is open"
        worker.stop()

    asyncio.run(run())


def test_a_chunk_is_closed_under_the_active_registry_only() -> None:
    class WithRegistry(MemoryStore):
        active: str | None = "another"

        def active_registry(self) -> str | None:
            return self.active

    group = Group(WithRegistry(), 100)
    (record,) = log_of([_post()], [0])

    async def run() -> None:
        worker = group.worker()
        processing = asyncio.ensure_future(
            worker.process(0, [record, LogRecord(1, record.timestamp, TICK_KEY, None)])
        )
        done, _ = await asyncio.wait([processing], timeout=0.5)
        assert not done, "no chunk is begun under the old registry"
        assert group.committed == 0
        group.store.active = REGISTRY.fingerprint()
        await processing
        await worker.flush()
        assert group.committed == 2
        worker.stop()

    asyncio.run(run())


def test_records_that_are_gone_before_they_were_counted_stop_the_worker() -> None:
    store = MemoryStore()
    records = log_of([_post()] * 5, [0, 0, 1, 0, 1])
    asyncio.run(Group(store, 100).read(records, [5], flush=True))
    later = [record._replace(offset=record.offset + 5) for record in records]
    group = Group(store, 100)
    with pytest.raises(
        LogError, match="the figures stand at offset 4, the log begins at 5: 1 records are gone"
    ):
        asyncio.run(group.worker().process(0, later))
