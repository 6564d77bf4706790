"""One assigned partition: what is counted, looked up and idle, and where folding may start."""

import json
from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from columnar.texts import HashedTexts
from pravah.topics import TICK_KEY
from rollup.assigned_partition import AssignedPartition, LogError
from rollup.chunks import HOUR_MS
from rollup.engine import RollupEngine
from rollup.entity_cache import EntityCache, EntityVersions
from rollup.open_chunk import Counts
from rollup.record_batch import BatchRecord
from rollup.storage import StoredVersion
from schemas.metrics import MetricDictionary
from tests.support import small_world
from tests.support.memory_store import MemoryStore

AT = 1_655_000_000_000


def engine(
    chunk_size: int = 100, recent_entities: int = 100, filter_bits: int = 32
) -> RollupEngine:
    return RollupEngine(
        small_world.registry(),
        small_world.dictionary(),
        partition_of=lambda key: 1 if key == "CG-D-B" else 0,
        max_future_hours=24,
        chunk_size=chunk_size,
        recent_entities=recent_entities,
        filter_bits=filter_bits,
    )


def post(entity: str, version: int = 1, unit: str = "CG-AC001-B0001") -> bytes:
    return json.dumps(
        {
            "event_id": f"00000000-0000-4000-8000-{version:012x}",
            "entity": entity,
            "version": version,
            "unit": unit,
            "kind": "social_post",
            "occurred_at": "2022-03-05T10:00:00+05:30",
            "source": {"tool": "test", "producer": "x"},
            "data": {"platform": "facebook", "posts": 1},
        }
    ).encode()


def log(values: Iterable[bytes | None], first: int, at: int = AT) -> list[BatchRecord]:
    """Records from an offset on; None is a tick."""
    return [
        BatchRecord(first + step, at + step, TICK_KEY if value is None else b"", value)
        for step, value in enumerate(values)
    ]


def fold(folding: RollupEngine, records: Sequence[BatchRecord]) -> tuple[AssignedPartition, list]:
    """Fold the next records as a worker does, without lookups; also the counts of each piece."""
    epoch = folding.assign(0).epoch
    batch = folding.validate(0, records, epoch)
    partition = folding.resume(0, batch)
    assert partition is not None
    counts = []
    for begins, piece in partition.cut(batch.records):
        if begins and partition.open_chunk:
            partition.complete_chunk()
        if begins:
            partition.begin_chunk(piece[0])
        counts.append(partition.fold(piece, batch.verdicts.of(piece)))
    return partition, counts


def stored(version: int, offset: int, entity: str = "e1") -> StoredVersion:
    return StoredVersion(
        *("CG-AC001", entity, version, offset, "report", "CG-AC001-B0001", "unverified"),
        *(1_646_454_600_000_000, 19_056, ["posts_facebook"], [1]),
    )


def test_what_became_of_each_record_is_counted() -> None:
    folding = engine()
    values = [
        *(post("e1"), post("e2"), post("e1"), post("e1", 2), None),
        *(post("e3", unit="CG-D-X"), post("e4", unit="CG-D-B")),
    ]
    partition, (before_tick, after_tick) = fold(folding, log(values, 7))
    assert before_tick == Counts(records=5, accepted=3, corrections=1, duplicates=1, ticks=1)
    assert after_tick == Counts(records=2, rejected=1, forwarded=1)
    assert (partition.start_offset, partition.next_offset) == (7, 14)
    _, (last,) = fold(folding, log([post("e1", 2), post("e5")], 14))
    assert last == Counts(records=2, accepted=1, duplicates=1), "of this call alone"
    attempt = partition.open_chunk
    assert attempt is not None
    assert attempt.chunk.counts == Counts(
        records=4, accepted=1, duplicates=1, rejected=1, forwarded=1
    )
    assert (attempt.chunk.start, attempt.chunk.last_offset, attempt.next_offset) == (12, 15, 16)
    assert attempt.last_record == BatchRecord(15, AT + 1, b"", post("e5"))
    assert [one.record.offset for one in attempt.rejected] == [12]
    assert [(one.record.offset, one.partition) for one in attempt.misrouted] == [(13, 1)]
    assert partition.start_offset == 7
    assert [one.chunk.start for one in partition.chunks] == [7, 12]


def test_a_new_chunk_has_no_records() -> None:
    partition = engine().assign(0)
    assert partition.chunks == []
    partition.begin_chunk(BatchRecord(7, AT, b"", b""))
    (attempt,) = partition.chunks
    assert (attempt.chunk.counts, attempt.chunk.last_offset, attempt.next_offset) == (
        Counts(),
        6,
        7,
    )
    assert attempt.first_appended_at == AT
    assert partition.seen_filter.complete_to == 7
    assert partition.progress.opened_at == attempt.opened_at


def test_complete_records_are_those_of_complete_chunks() -> None:
    folding = engine(chunk_size=3)
    partition, _ = fold(folding, log([post(f"e{number}") for number in range(7)], 0))
    assert folding.complete_records == 6
    assert [one.chunk.start for one in partition.chunks] == [0, 3, 6]
    partition.close_chunk(partition.complete_chunks[0])
    assert folding.complete_records == 3


def test_an_entity_of_an_earlier_chunk_that_is_no_longer_in_memory_is_looked_up() -> None:
    folding = engine(chunk_size=1, recent_entities=0)
    partition, _ = fold(folding, log([post("e1"), post("e2"), post("e3")], 0))
    partition.close_chunk(partition.complete_chunks[0])
    fold(folding, log([post("e4"), post("e5")], 3))  # completes two more: the first one is evicted
    assert partition.lookup() is None
    _, (counts,) = fold(folding, log([post("e1", 2)], 5))
    assert counts == Counts(records=1), "it is counted after the lookup"
    lookup = partition.lookup()
    assert lookup is not None
    assert lookup.request == (0, 1, ["CG-AC001\ne1"]), "before all chunks that are not closed"
    counts = lookup.attempt.fold_pending(lookup.request.entities, [stored(1, 0), stored(9, 0, "x")])
    assert counts == Counts(accepted=1, corrections=1)
    assert partition.lookup() is None
    assert lookup.attempt.chunk.counts == Counts(records=1, accepted=1, corrections=1)


def test_metrics_that_the_dictionary_no_longer_has_are_flows() -> None:
    """Also if the dictionary's last metric is a stock."""
    metrics = small_world.dictionary().metrics.values()
    folding = RollupEngine(
        small_world.registry(),
        MetricDictionary(sorted(metrics, key=lambda metric: metric.metric == "whatsapp_groups")),
        partition_of=lambda _: 0,
        max_future_hours=24,
        chunk_size=100,
    )
    partition = folding.assign(0)
    partition.seen_filter.add(np.array([_fingerprint(partition, "e1")], np.uint32))
    fold(folding, log([post("e1", 2)], 5))
    lookup = partition.lookup()
    assert lookup is not None
    earlier = stored(1, 0)._replace(day=19_050, metrics=["unheard", "of"], amounts=[4, 5])
    lookup.attempt.fold_pending(lookup.request.entities, [earlier])
    rollup = lookup.attempt.chunk._rollup.entries()
    booth = {key[1:]: sums for key, sums in rollup.items() if key[2] == "CG-AC001-B0001"}
    assert booth == {
        ("posts_facebook", "CG-AC001-B0001", 19_056): [1, 0, 1],
        ("unheard", "CG-AC001-B0001", 19_050): [-4, 0, 0],
        ("of", "CG-AC001-B0001", 19_050): [-5, 0, 0],
    }


def test_a_version_that_came_after_a_lookup_was_sent_waits_for_its_own() -> None:
    folding = engine()
    partition = folding.assign(0)
    for entity in ("e1", "e2"):
        partition.seen_filter.add(np.array([_fingerprint(partition, entity)], np.uint32))
    fold(folding, log([post("e1"), post("e3")], 5))
    lookup = partition.lookup()
    assert lookup is not None
    assert lookup.request == (0, 5, ["CG-AC001\ne1"]), "before the open chunk"
    fold(folding, log([post("e2"), post("e1", 3)], 7))
    assert lookup.attempt.fold_pending(lookup.request.entities, [stored(1, 0)]) == Counts(
        accepted=1, corrections=1, duplicates=1
    )
    lookup = partition.lookup()
    assert lookup is not None
    assert lookup.request.entities == ["CG-AC001\ne2"]
    assert lookup.attempt.fold_pending(lookup.request.entities, []) == Counts(accepted=1)
    assert partition.lookup() is None


def _fingerprint(partition: AssignedPartition, entity: str) -> int:
    return int(partition.seen_filter.fingerprints(HashedTexts.of([f"CG-AC001\n{entity}"]))[0])


def test_entities_with_one_fingerprint_are_distinguished() -> None:
    """With one bit there are two fingerprints."""
    folding = engine(filter_bits=1)
    partition = folding.assign(0)
    names = [f"e{number}" for number in range(9)]
    first, second, *_ = [name for name in names if _fingerprint(partition, name) == 1]
    records = log([post(first), post(second), post(second, 2), post(first)], 5)
    _, (counts,) = fold(folding, records)
    assert partition.lookup() is None, "both are new"
    assert counts == Counts(records=4, accepted=3, corrections=1, duplicates=1)

    folding = engine(filter_bits=1)
    partition = folding.assign(0)
    partition.seen_filter.add(np.array([1], np.uint32))
    _, (counts,) = fold(folding, records)
    assert counts == Counts(records=4)
    lookup = partition.lookup()
    assert lookup is not None
    assert lookup.request.entities == [f"CG-AC001\n{first}", f"CG-AC001\n{second}"]


class Chunk:
    """What the cache asks of a chunk's versions."""

    def __init__(self, size: int, *, is_in_ledger: bool = True) -> None:
        self.size, self.is_in_ledger, self.is_trimmed = size, is_in_ledger, False

    def __len__(self) -> int:
        return self.size

    def trim(self) -> None:
        self.is_trimmed = True


@pytest.mark.parametrize(
    ("chunks", "kept"),
    [
        ([Chunk(3), Chunk(2)], 2),  # as many as the limit
        ([Chunk(3), Chunk(3)], 1),
        ([Chunk(2), Chunk(2), Chunk(4)], 1),
        ([Chunk(1), Chunk(2), Chunk(3)], 2),
        ([Chunk(9)], 1),
        ([Chunk(3, is_in_ledger=False), Chunk(3)], 2),
        ([Chunk(3), Chunk(3, is_in_ledger=False), Chunk(3)], 2),
    ],
)
def test_the_oldest_chunks_that_the_ledger_has_leave_the_cache(
    chunks: list[Chunk], kept: int
) -> None:
    cache = EntityCache(5)
    for chunk in chunks:
        cache.add(chunk)  # type: ignore[arg-type]
        assert chunk.is_trimmed
    assert list(cache._chunks) == chunks[::-1][:kept]


def test_a_chunk_is_idle_when_its_hour_is_over_and_no_record_came_for_a_minute() -> None:
    hour = AT // HOUR_MS + 1
    for first, now, is_idle in (
        (hour * HOUR_MS, (hour + 1) * HOUR_MS - 1, False),
        (hour * HOUR_MS, (hour + 1) * HOUR_MS, True),
        (hour * HOUR_MS - 1, hour * HOUR_MS + 59_999, False),
        (hour * HOUR_MS - 1, hour * HOUR_MS + 60_000, True),
        (hour * HOUR_MS - 1, hour * HOUR_MS - 1, False),
    ):
        folding = engine()
        assert not folding.assign(0).is_idle(now), "nothing is open"
        partition, _ = fold(folding, log([post("e1")], 0, first))
        assert partition.is_idle(now) == is_idle
        partition.complete_chunk()
        assert not partition.is_idle(now)


class Positions(MemoryStore):
    """A storage that says where the figures stand."""

    def __init__(self, closed: dict[int, int], covering: int | None) -> None:
        super().__init__()
        self.closed, self.covering = closed, covering

    def closed_offsets(self) -> dict[int, int]:
        return self.closed

    def covering_chunk(self, partition: int, offset: int) -> int | None:
        return self.covering


def test_folding_may_start_where_the_figures_stand() -> None:
    partition = engine().assign(0)
    for closed in ({}, {0: 7}, {0: 9}, {1: 3}):
        partition.check_start(Positions(closed, None), 7)
    with pytest.raises(LogError, match="stand at offset 5, the log begins at 7: 2 records are"):
        partition.check_start(Positions({0: 5}, None), 7)
    with pytest.raises(LogError, match="stand at offset 0, the log begins at 7: 7 records are"):
        partition.check_start(Positions({0: 0}, None), 7)
    with pytest.raises(LogError, match="offset 7 lies within the chunk that began at 0,"):
        partition.check_start(Positions({}, 0), 7)


def test_the_filter_is_filled_with_what_the_ledger_has_since() -> None:
    requests = []

    class Fingerprints(MemoryStore):
        def fingerprints(self, *arguments: int):
            requests.append(arguments)
            yield np.array([5], np.uint32)
            yield np.array([6, 7], np.uint32)

    partition = engine().assign(3)
    partition.seen_filter.complete_to = 4
    partition.fill_filter(Fingerprints(), 9)
    assert requests == [(3, 4, 9, 32)]
    assert partition.seen_filter.contains(np.array([4, 5, 6, 7, 8], np.uint32)).tolist() == [
        *(False, True, True, True, False)
    ]


def test_a_batch_is_folded_under_the_assignment_under_which_it_was_validated() -> None:
    folding = engine()
    first = folding.assign(0)
    assert not first.is_revoked
    assert folding.assign(0) is first
    batch = folding.validate(0, log([post("e1"), post("e2")], 5), first.epoch)
    assert folding.resume(0, batch) is first
    fold(folding, batch.records)
    folding.revoke([0, 1])
    assert first.is_revoked
    assert folding.resume(0, batch) is None
    again = folding.assign(0)
    assert again.epoch != first.epoch
    assert again.seen_filter is first.seen_filter
    assert folding.resume(0, batch) is None


def test_a_consumer_that_went_back_gets_a_new_state_and_a_hole_is_an_error() -> None:
    folding = engine()
    first, _ = fold(folding, log([post("e1"), post("e2")], 5))
    following = folding.validate(0, log([post("e3")], 7), first.epoch)
    assert folding.resume(0, following) is first
    with pytest.raises(LogError, match="expected offset 7, got 8"):
        folding.resume(0, folding.validate(0, log([post("e3")], 8), first.epoch))
    earlier = folding.validate(0, log([post("e2")], 6), first.epoch)
    again = folding.resume(0, earlier)
    assert again is not None
    assert again is not first
    assert first.is_revoked
    assert (again.epoch, again.is_revoked, again.next_offset) == (first.epoch, False, None)
    assert folding.resume(0, following) is again


def test_memory_that_was_reserved_for_more_entities_is_released() -> None:
    versions = EntityVersions(engine().encodings, expected=1_000)
    arrays = versions._versions, versions._amounts, versions._last
    assert [len(array.buffer) for array in arrays] == [1_000, 2_000, 1_000]
    versions.trim()
    assert [len(array.buffer) for array in arrays] == [0, 0, 0]


def test_an_entity_is_known_from_each_chunk_in_memory_with_all_its_versions() -> None:
    folding = engine(chunk_size=2)
    group = [post("e1"), post("e1", 2), post("e2"), post("e3"), post("e1", 2), post("e1", 3)]
    partition, counts = fold(folding, log([*group, post("e2", 1), post("e9")], 0))
    assert partition.lookup() is None
    assert counts == [
        Counts(records=2, accepted=2, corrections=1),
        Counts(records=2, accepted=2),
        Counts(records=2, accepted=1, corrections=1, duplicates=1),
        Counts(records=2, accepted=1, duplicates=1),
    ]


def test_of_many_versions_of_an_entity_in_one_batch_the_first_of_a_number_counts() -> None:
    _, (counts,) = fold(engine(), log([post("e", number % 7 + 1) for number in range(30)], 0))
    assert counts == Counts(records=30, accepted=7, corrections=6, duplicates=23)
