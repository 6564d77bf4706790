"""A flush: what it writes of each chunk, how far that is durable, and how chunks are repaired."""

import pytest

from rollup import flush
from rollup.chunk_attempt import ChunkAttempt
from rollup.flush import FlushSnapshot, Repair, close_chunks, repair_chunk
from rollup.storage import CHUNKS
from tests.support.memory_store import MemoryStore
from tests.unit.test_core_partition import AT, engine, fold, log, post


def positions(rows: list[tuple]) -> list[tuple[int, int, int]]:
    """Chunk, next offset and whether it is closed."""
    named = [dict(zip(CHUNKS, row, strict=True)) for row in rows]
    return [(row["chunk"], row["next_offset"], row["closed"]) for row in named]


def test_a_snapshot_says_how_far_each_chunk_is_written() -> None:
    folding = engine(chunk_size=3)
    partition, _ = fold(folding, log([post(f"e{number}") for number in range(5)], 0))
    partition.progress.unwritten_since = AT
    first = FlushSnapshot.take([partition, folding.assign(1)])
    assert positions(first._opened) == [(0, 0, 0), (3, 0, 0)], "no further than the figures reach"
    assert positions(first.chunks) == [(0, 3, 0), (3, 5, 0)]
    assert first.partitions == [partition]
    assert first.complete == [(partition, partition.complete_chunks[0])]
    assert first.outgoing == []
    assert (partition.progress.writing_since, partition.progress.unwritten_since) == (AT, None)
    first.mark_durable()
    assert (partition.progress.durable_offset, partition.progress.writing_since) == (5, None)

    second = FlushSnapshot.take([partition])
    assert (second._opened, second.chunks) == ([], []), "nothing changed"
    assert (len(second.partitions), len(second.complete)) == (1, 1)

    fold(folding, log([post("e6"), post("e7")], 5))
    third = FlushSnapshot.take([partition])
    assert positions(third._opened) == [(6, 5, 0)]
    assert positions(third.chunks) == [(3, 6, 0), (6, 7, 0)]
    third.mark_durable()
    first.mark_durable()
    assert partition.progress.durable_offset == 7, "it never goes back"
    fold(folding, log([post("e8"), post("e9"), post("e10")], 7))
    assert positions(FlushSnapshot.take([partition])._opened) == [(9, 7, 0)]


def test_a_chunk_that_begins_where_the_figures_reach_is_opened_there() -> None:
    folding = engine(chunk_size=3)
    partition, _ = fold(folding, log([post("e1"), post("e2")], 7))
    snapshot = FlushSnapshot.take([partition])
    assert positions(snapshot._opened) == [(7, 7, 0)]
    snapshot.mark_durable()
    fold(folding, log([post("e3")], 9))
    assert positions(FlushSnapshot.take([partition])._opened) == [(9, 9, 0)]


def test_the_first_record_of_a_log_is_written() -> None:
    partition, _ = fold(engine(), log([post("e1")], 0))
    snapshot = FlushSnapshot.take([partition])
    assert positions(snapshot._opened) == [(0, 0, 0)]
    assert positions(snapshot.chunks) == [(0, 1, 0)]


def test_rows_and_outgoing_records_are_taken_once() -> None:
    folding = engine()
    values = [post("e1"), post("e2", unit="CG-D-X"), post("e3", unit="CG-D-B")]
    partition, _ = fold(folding, log(values, 0))
    snapshot = FlushSnapshot.take([partition])
    rows = snapshot.rows(folding.encodings)
    (attempt,) = partition.chunks
    assert [(row[0], row[1], row[2], row[3], row[5]) for row in rows["rejected"]] == [
        (0, 1, 0, attempt.id, "unknown_unit")
    ]
    (outgoing,) = snapshot.outgoing
    assert outgoing.partition == 0
    assert [one.record.offset for one in outgoing.rejected] == [1]
    assert [one.record.offset for one in outgoing.misrouted] == [2]
    assert [row[:5] for row in rows["ledger"]] == [("CG-AC001", "e1", 1, 0, 0)]
    journal = list(rows["journal"])
    assert {row[0] for row in journal} == {
        *("booth", "assembly", "district", "division", "state", "national")
    }
    # Partition, chunk, value, verified value, reports, and the last offset as version.
    assert {row[4:] for row in journal} == {(0, 0, 1, 0, 1, 2)}
    again = FlushSnapshot.take([partition])
    empty = {"opened": [], "journal": (), "ledger": (), "rejected": []}
    assert again.rows(folding.encodings) == empty
    assert again.outgoing == []
    fold(folding, log([post("e4", unit="CG-D-B")], 3))
    (outgoing,) = FlushSnapshot.take([partition]).outgoing
    assert (len(outgoing.rejected), len(outgoing.misrouted)) == (0, 1)


def test_rows_of_an_attempt_say_when_its_records_came_and_the_newest_row_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    partition, _ = fold(engine(), log([post("e1"), post("e2")], 4))
    (attempt,) = partition.chunks
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_000_000_000)
    rows = [attempt.row(6, closed=True), attempt.row(6, closed=False)]
    monkeypatch.setattr("time.time_ns", lambda: 1_600_000_000_000_000_000)
    rows.append(attempt.row(6, closed=False))
    first = dict(zip(CHUNKS, rows[0], strict=True))
    assert first["closed"] == 1
    assert (first["first_appended_at"], first["last_appended_at"]) == (AT, AT + 1)
    assert (first["records"], first["accepted"]) == (2, 2)
    begin = 1_700_000_000_000_000
    assert [row[-1] for row in rows] == [begin, begin + 1, begin + 2], "microseconds"


def test_a_chunk_is_opened_at_the_time_of_the_machines_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_123_456_789)
    partition, _ = fold(engine(), log([post("e1")], 4))
    assert partition.progress.opened_at == 1_700_000_000_123, "milliseconds"
    (attempt,) = partition.chunks
    attempt.last_record = None
    assert attempt.row(5, closed=False)[-4:-1] == (AT, AT, 1_700_000_000_123)


class Contested(MemoryStore):
    """A storage in which another attempt wrote at some chunks."""

    def __init__(self, *chunks: int) -> None:
        super().__init__()
        self.contested = chunks

    def contested_attempts(self, attempts: list) -> set:
        return {one for one in attempts if one[1] in self.contested}


def complete(count: int) -> list[ChunkAttempt]:
    """Complete chunks of one record each."""
    partition, _ = fold(
        engine(chunk_size=1), log([post(f"e{number}") for number in range(count + 1)], 0)
    )
    return partition.complete_chunks


def write_all(store: MemoryStore, attempts: list[ChunkAttempt]) -> None:
    for attempt in attempts:
        unwritten = attempt.chunk.take_unwritten()
        encodings = attempt.chunk._encodings
        store.write(
            journal=unwritten.journal or (),
            ledger=[row for columns in unwritten.ledger for row in columns.ledger(encodings)],
        )


def test_chunks_that_nobody_else_wrote_are_closed_without_a_repair() -> None:
    store, attempts = Contested(), complete(3)
    closed, repairs = close_chunks(store, attempts)
    assert (closed, repairs) == (attempts, [])
    assert positions([tuple(row.values()) for row in store.chunks.values()]) == [
        *((0, 1, 1), (1, 2, 1), (2, 3, 1))
    ]
    assert not store.journal


def test_a_contested_chunk_whose_rows_are_right_has_no_repair() -> None:
    store, attempts = Contested(0, 1), complete(2)
    write_all(store, attempts[:1])
    closed, repairs = close_chunks(store, attempts)
    assert closed == attempts
    assert repairs == [Repair(0, 1, 6, 1)], "nothing of the second chunk was there"


def test_after_a_while_contested_chunks_and_those_after_them_wait_for_the_next_flush(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = complete(4)
    for times, contested, closed in (
        ([10.0, 10.0, 10.2, 10.3, 10.3], (0, 1, 2, 3), 4),
        ([10.0, 10.0, 10.2, 10.4, 10.4], (0, 1, 2, 3), 2),
        ([10.0, 11.0, 11.0, 11.0, 11.0], (2,), 2),
        ([10.0, 11.0, 11.0, 11.0, 11.0], (), 4),
    ):
        clock = iter(times)
        monkeypatch.setattr(flush.time, "monotonic", lambda clock=clock: next(clock))
        assert close_chunks(Contested(*contested), attempts)[0] == attempts[:closed]


def test_other_partitions_do_not_wait_for_a_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, last = complete(3)
    other.chunk.partition = 5
    clock = iter([10.0, 11.0, 11.0, 11.0])
    monkeypatch.setattr(flush.time, "monotonic", lambda: next(clock))
    assert close_chunks(Contested(0), [one, other, last])[0] == [other]


def test_a_repair_writes_entries_that_differ_above_the_version_that_is_there() -> None:
    store = MemoryStore()
    (attempt,) = complete(1)
    chunk = attempt.chunk
    chunk.last_offset = 20
    write_all(store, [attempt])
    entries = list(store.journal.values())
    assert {row["version"] for row in entries} == {20}
    wrong, gone = entries[0], entries[1]
    wrong.update(value=7, version=30)
    key = ("level", "metric", "unit", "day", "partition", "chunk")
    del store.journal[tuple(gone[name] for name in key)]
    stray = {**entries[2], "unit": "ZZ-UNKNOWN", "metric": "unheard_of", "version": 40}
    store.journal[tuple(stray[name] for name in key)] = stray
    verified = {**entries[3], "verified_value": 1}
    store.journal[tuple(verified[name] for name in key)] = verified
    assert repair_chunk(store, chunk) == Repair(0, 0, 4, 0)
    found = {(row["level"], row["unit"]): row for row in store.journal.values()}

    def sums(row: dict) -> tuple[int, int, int, int]:
        row = found[row["level"], row["unit"]]
        return row["value"], row["verified_value"], row["reports"], row["version"]

    assert sums(wrong) == (1, 0, 1, 31)
    assert sums(gone) == (1, 0, 1, 20)
    assert sums(stray) == (0, 0, 0, 41)
    assert sums(verified) == (1, 0, 1, 21)
    assert repair_chunk(store, chunk) is None


def test_a_repair_deletes_versions_that_are_not_accepted_now_and_inserts_missing_ones() -> None:
    store = MemoryStore()
    folding = engine()
    partition, _ = fold(folding, log([post("e1"), post("e2"), post("e3"), None], 0))
    attempt = partition.open_chunk
    assert attempt is not None
    write_all(store, [attempt])
    rows = {row["entity"]: (key, row) for key, row in store.ledger.items()}
    stray = {**rows["e1"][1], "entity": "e9", "offset": 1, "correction": 4}
    store.ledger["CG-AC001", "e9", 1, 0, 1] = stray
    deleted = {**stray, "entity": "e8", "deleted": 1}
    store.ledger["CG-AC001", "e8", 1, 0, 1] = deleted
    rows["e2"][1].update(deleted=1, correction=6)
    del store.ledger[rows["e3"][0]]
    assert repair_chunk(store, attempt.chunk) == Repair(0, 0, 0, 3)
    assert {
        row["entity"]: (row["offset"], row["correction"], row["deleted"])
        for row in store.ledger.values()
    } == {"e1": (0, 0, 0), "e2": (1, 7, 0), "e3": (2, 0, 0), "e8": (1, 4, 1), "e9": (1, 5, 1)}
    assert repair_chunk(store, attempt.chunk) is None


def test_one_version_that_differs_is_enough_for_a_repair() -> None:
    store = MemoryStore()
    partition, _ = fold(engine(), log([post("e1"), post("e2"), None], 0))
    attempt = partition.open_chunk
    assert attempt is not None
    write_all(store, [attempt])
    (key, row), _ = store.ledger.items()
    store.ledger["CG-AC001", "e9", 1, 0, 1] = {**row, "entity": "e9", "offset": 1}
    assert repair_chunk(store, attempt.chunk) == Repair(0, 0, 0, 1), "one that is not accepted"
    del store.ledger[key]
    assert repair_chunk(store, attempt.chunk) == Repair(0, 0, 0, 1), "one that is missing"
    assert repair_chunk(store, attempt.chunk) is None


def test_a_chunk_without_accepted_versions_deletes_those_of_another_attempt() -> None:
    store = MemoryStore()
    (attempt,) = complete(1)
    write_all(store, [attempt])
    partition, _ = fold(engine(), log([post("e0", unit="CG-D-X")], 0))
    (empty,) = partition.chunks
    assert repair_chunk(store, empty.chunk) == Repair(0, 0, 6, 1)
    assert [row["deleted"] for row in store.ledger.values()] == [1]
    assert {row["value"] for row in store.journal.values()} == {0}
