"""A consumer group over a fake log and a storage in memory, in more orders than real parts can run.

Members read, flush, die between any two inserts, are revoked in the middle of a batch, write late
(zombies), lose their commits, rewind; partitions change hands; the broker's clock jumps. In any
order: a chunk that was closed never changes again; a committed offset is where a chunk begins; in
the end the figures are the oracle's, the ledger has each version once, and every broken record was
rejected.
"""

import asyncio
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pravah.topics import TICK_KEY
from rollup.engine import RollupEngine
from rollup.flush import Outgoing
from streams.worker import Worker
from tests.property.test_rollup import BASE, DICTIONARY, HOUR, REGISTRY, LogRecord
from tests.support import oracle, small_world
from tests.support.memory_store import MemoryStore

CHUNK_SIZE = 7
PARTITIONS = 2
BROKEN = [b"hello", b"\xff\xfe", b"{}", None]
with tempfile.TemporaryDirectory() as _folder:
    HIERARCHY = oracle.Hierarchy.read(small_world.write(Path(_folder)))


def partition_of(key: str) -> int:
    return 0 if key == "CG-AC001" else 1


class Died(BaseException):
    """A process was killed here: no error handling runs after it."""


class Connection:
    """A member's connection to the storage, which breaks at a chosen call.

    Each insert of a write is a call of its own, and may break after half of its rows.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.calls = 0
        self.dies_at: int | None = None
        self.dies_after = False
        self.before: dict[int, Callable[[], None]] = {}

    def _call(self, call: Callable, *arguments: object, **rows: Sequence) -> object:
        self.calls += 1
        if hook := self.before.pop(self.calls, None):
            hook()
        dies = self.dies_at is not None and self.calls >= self.dies_at
        if dies and not self.dies_after:
            if rows:  # some of the rows arrived
                call(**{name: list(some)[: len(some) // 2] for name, some in rows.items()})
            raise Died
        result = call(*arguments, **rows)
        if dies:
            raise Died
        return result

    def write(self, **rows: Sequence) -> None:
        for name in ("opened", "journal", "ledger", "ledger_deletions", "chunks"):
            if len(rows.get(name, ())):
                self._call(self._store.write, **{name: rows[name]})

    def __getattr__(self, name: str) -> Callable:
        return lambda *arguments: self._call(getattr(self._store, name), *arguments)


class Member:
    """One worker of the group: the partitions it believes to own, and its positions."""

    def __init__(self, group: "Group") -> None:
        self.connection = Connection(group.store)
        self.position: dict[int, int] = {}
        self.dead = False
        self._group = group
        engine = RollupEngine(
            REGISTRY,
            DICTIONARY,
            partition_of=partition_of,
            max_future_hours=10**6,
            chunk_size=CHUNK_SIZE,
            filter_bits=12,
        )
        self.worker = Worker(
            engine,
            storage=self.connection,
            writer=self.connection,
            send=self._send,
            commit=self._commit,
        )

    async def _send(self, outgoing: list[Outgoing]) -> None:
        for one in outgoing:
            for rejected in one.rejected:
                self._group.rejected.add((one.partition, rejected.record.offset))
            for misrouted in one.misrouted:
                self._group.append(
                    misrouted.partition, misrouted.key.encode(), misrouted.record.value
                )

    def _commit(self, partition: int, offset: int) -> None:
        # The broker refuses commits of a member that is not the owner. A consumer that went back
        # closes chunks again; Faust commits only an offset above the last one.
        if self._group.owner.get(partition) is self:
            committable = self._group.committable
            committable[partition] = max(offset, committable[partition])

    def revoke(self, partition: int) -> None:
        """Revoke the partition; its fetched records are discarded."""
        self.worker.revoke([partition])
        self.position.pop(partition, None)

    async def read(self, partition: int, count: int) -> None:
        at = self.position[partition]
        records = self._group.log[partition][at : at + count]
        if records:
            self.position[partition] = at + len(records)
            await self.worker.process(partition, records)


class Group:
    """A consumer group, its log, and what it has written."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.store = MemoryStore()
        self.log: dict[int, list[LogRecord]] = {number: [] for number in range(PARTITIONS)}
        self.events: dict[int, list[dict]] = {number: [] for number in range(PARTITIONS)}
        """Events that count, in the order of the log."""
        self.now = BASE
        self.committable = dict.fromkeys(range(PARTITIONS), 0)
        self.committed = dict.fromkeys(range(PARTITIONS), 0)
        self.owner: dict[int, Member] = {}
        self.members: list[Member] = []
        self.rejected: set[tuple[int, int]] = set()
        self.broken: set[tuple[int, int]] = set()
        self.forwarded: set[bytes] = set()

    def append(self, partition: int, key: bytes | None, value: bytes | None) -> None:
        offset = len(self.log[partition])
        self.log[partition].append(LogRecord(offset, self.now, key, value))
        if key == TICK_KEY and value is None:
            return
        if value in BROKEN:
            self.broken.add((partition, offset))
            return
        event = json.loads(value or b"")
        if partition_of(oracle.routing_key(event["unit"])) == partition:
            self.events[partition].append(event)

    def assign(self, partition: int, member: Member, *, by_figures: bool = True) -> None:
        """Start like `streams.transport.BatchConsumer`: at the figures' end, else committed."""
        self.committable[partition] = self.committed[partition]
        self.owner[partition] = member
        member.position[partition] = (self.store.closed_offsets() if by_figures else {}).get(
            partition, self.committed[partition]
        )

    def run(self, member: Member, *work: Callable) -> None:
        """Run a member's work concurrently; it may die of it."""

        async def run_all() -> None:
            outcomes = await asyncio.gather(*(one() for one in work), return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException) and not member.dead:
                    if isinstance(outcome, Died):
                        member.dead = True
                    elif "failed before" not in str(outcome) or not member.connection.dies_at:
                        raise outcome

        self.loop.run_until_complete(run_all())
        if member.dead:
            self.bury(member)

    def bury(self, member: Member) -> None:
        member.dead = True
        member.worker.stop()
        self.members.remove(member)
        for partition in [number for number, owner in self.owner.items() if owner is member]:
            del self.owner[partition]

    def join(self) -> Member:
        self.members.append(Member(self))
        return self.members[-1]

    def close(self) -> None:
        for member in self.members:
            member.worker.stop()
        self.loop.close()

    def drain(self) -> None:
        """Let a member without faults finish the log."""
        last = self.join()
        for partition in range(PARTITIONS):
            if partition in self.owner:
                self.owner[partition].revoke(partition)
            self.assign(partition, last)
        while any(last.position[number] < len(self.log[number]) for number in self.log):
            for partition in self.log:
                self.run(last, lambda partition=partition: last.read(partition, 5))
            self.run(last, last.worker.flush)  # sends on what belongs elsewhere

    def check(self) -> None:
        events = [event for some in self.events.values() for event in some]
        assert self.store.figures(oracle.STOCKS) == oracle.figures(events, HIERARCHY)
        stored = [
            (row["key"], row["entity"], row["version"])
            for row in self.store.ledger.values()
            if not row["deleted"]
        ]
        assert len(stored) == len(set(stored))
        assert set(stored) == {
            (oracle.routing_key(event["unit"]), event["entity"], event["version"])
            for event in events
        }
        assert self.rejected == self.broken

    def closed_entries(self) -> dict[tuple, tuple]:
        closed = {
            (row["partition"], row["chunk"]) for row in self.store.chunks.values() if row["closed"]
        }
        amounts = {
            key: (row["value"], row["verified_value"], row["reports"])
            for key, row in self.store.journal.items()
            if key[-2:] in closed
        }
        return {key: some for key, some in amounts.items() if some != (0, 0, 0)}


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.group = Group()
        self.closed: dict[tuple, dict[tuple, tuple]] = {}

    @initialize()
    def begin(self) -> None:
        member = self.group.join()
        for partition in range(PARTITIONS):
            self.group.assign(partition, member)

    # --- the log ----------------------------------------------------------------------------------

    @rule(
        events=st.lists(small_world.event(entities=2), min_size=1, max_size=12),
        repeat=st.integers(0, 3),
        misrouted=st.sampled_from([False, False, False, True]),
    )
    def report(self, events: list[dict], repeat: int, misrouted: bool) -> None:
        for event in [*events, *events[:repeat]]:
            key = oracle.routing_key(event["unit"])
            home = partition_of(key)
            self.group.append(
                1 - home if misrouted else home, key.encode(), json.dumps(event).encode()
            )

    @rule(partition=st.integers(0, PARTITIONS - 1), value=st.sampled_from(BROKEN))
    def report_nonsense(self, partition: int, value: bytes | None) -> None:
        self.group.append(partition, b"CG-AC001", value)

    @rule(partition=st.integers(0, PARTITIONS - 1))
    def tick(self, partition: int) -> None:
        self.group.append(partition, TICK_KEY, None)

    @rule(hours=st.integers(-3, 3))
    def the_clock_jumps(self, hours: int) -> None:
        self.group.now += hours * HOUR

    # --- owners -----------------------------------------------------------------------------------

    @precondition(lambda self: self.group.owner)
    @rule(data=st.data(), count=st.integers(1, 9), flush=st.booleans())
    def read(self, data: st.DataObject, count: int, flush: bool) -> None:
        partition = data.draw(st.sampled_from(sorted(self.group.owner)))
        member = self.group.owner[partition]
        work = [lambda: member.read(partition, count)]
        self.group.run(member, *work, *([member.worker.flush] if flush else []))

    @precondition(lambda self: self.group.owner)
    @rule(
        data=st.data(),
        calls=st.integers(1, 14),
        after=st.booleans(),
        count=st.integers(1, 20),
        flush=st.booleans(),
    )
    def die(self, data: st.DataObject, calls: int, after: bool, count: int, flush: bool) -> None:
        """At one of the next calls of the storage: before it, in its middle or after it."""
        partition = data.draw(st.sampled_from(sorted(self.group.owner)))
        member = self.group.owner[partition]
        member.connection.dies_at, member.connection.dies_after = (
            member.connection.calls + calls,
            after,
        )
        self.group.run(
            member, lambda: member.read(partition, count), *([member.worker.flush] if flush else [])
        )
        if not member.dead:
            self.group.bury(member)

    @precondition(lambda self: self.group.owner)
    @rule(data=st.data(), calls=st.integers(1, 8), count=st.integers(1, 20))
    def lose_in_the_middle(self, data: st.DataObject, calls: int, count: int) -> None:
        """A rebalance takes the partition away while a batch is being folded."""
        partition = data.draw(st.sampled_from(sorted(self.group.owner)))
        member = self.group.owner.pop(partition)
        member.connection.before[member.connection.calls + calls] = lambda: member.worker.revoke(
            [partition]
        )
        self.group.run(member, lambda: member.read(partition, count))
        member.connection.before.clear()
        member.revoke(partition)

    @precondition(lambda self: self.group.owner)
    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        """The consumer seeks back to the figures' end; forward it goes only at an assignment."""
        partition = data.draw(st.sampled_from(sorted(self.group.owner)))
        member = self.group.owner[partition]
        if self.group.store.closed_offsets().get(partition, 0) <= member.position[partition]:
            self.group.assign(partition, member)

    @rule()
    def commit(self) -> None:
        for partition, offset in self.group.committable.items():
            if partition in self.group.owner:
                self.group.committed[partition] = max(offset, self.group.committed[partition])

    @rule(
        partition=st.integers(0, PARTITIONS - 1),
        is_revoked=st.booleans(),
        by_figures=st.booleans(),
        old=st.booleans(),
    )
    def hand_over(self, partition: int, is_revoked: bool, by_figures: bool, old: bool) -> None:
        """To a new member, or to one that had it before; the owner may not know of it."""
        before = self.group.owner.get(partition)
        if before is not None and is_revoked:
            before.revoke(partition)
        others = [member for member in self.group.members if member is not before]
        member = others[0] if old and others else self.group.join()
        member.revoke(partition)  # what Faust does with every partition before it assigns anew
        self.group.assign(partition, member, by_figures=by_figures)

    # --- zombies ----------------------------------------------------------------------------------

    @precondition(lambda self: len(self.group.members) > 1)
    @rule(data=st.data(), count=st.integers(0, 9))
    def a_zombie_goes_on(self, data: st.DataObject, count: int) -> None:
        """A former owner folds fetched records, flushes, and closes chunks that others closed."""
        member = data.draw(st.sampled_from(self.group.members))
        for partition in list(member.position):
            if self.group.owner.get(partition) is not member and count:
                self.group.run(member, lambda partition=partition: member.read(partition, count))
        self.group.run(member, member.worker.flush)

    # --- invariants -------------------------------------------------------------------------------

    @invariant()
    def what_was_closed_stays(self) -> None:
        entries = self.group.closed_entries()
        chunks = {
            (row["partition"], row["chunk"])
            for row in self.group.store.chunks.values()
            if row["closed"]
        }
        for chunk in chunks:
            mine = {key: amounts for key, amounts in entries.items() if key[-2:] == chunk}
            assert self.closed.setdefault(chunk, mine) == mine

    @invariant()
    def what_is_committed_is_counted_and_begins_a_chunk(self) -> None:
        counted = self.group.store.closed_offsets()
        for partition, offset in self.group.committed.items():
            assert offset <= counted.get(partition, 0)
            assert self.group.store.covering_chunk(partition, offset) is None

    def teardown(self) -> None:
        try:
            self.group.drain()
            self.what_was_closed_stays()
            self.group.check()
        finally:
            self.group.close()


TestMachine = Machine.TestCase
TestMachine.settings = hypothesis.settings(max_examples=150, stateful_step_count=40, deadline=None)


# --- every crash point ----------------------------------------------------------------------------


def some_log(group: Group) -> None:
    """Three chunks and a bit of everything.

    First versions, a correction in another chunk, a retraction, repeats, a broken record, a
    misrouted record, a tick.
    """
    base = {"unit": "CG-AC001-B0001", "source": {"tool": "test", "producer": "x"}, "op": "report"}
    for number in range(19):
        event = {
            **base,
            "event_id": f"00000000-0000-4000-8000-{number:012x}",
            "entity": f"e{number % 5}",
            "version": number // 5 + 1,
            "kind": "messaging_group" if number % 5 < 3 else "social_post",
            "data": {"group_type": "whatsapp", "members": number}
            if number % 5 < 3
            else {"platform": "facebook", "posts": number},
            "occurred_at": f"{small_world.on(number % 7)}T10:00:00+05:30",
        }
        if number == 16:
            event["op"] = "retract"
        value = json.dumps(event).encode()
        group.append(1 if number == 4 else 0, b"CG-AC001", value)
        if number % 6 == 5:
            group.append(0, b"CG-AC001", value)
        if number == 8:
            group.append(0, b"CG-AC001", b"hello")
        if number == 11:
            group.append(0, TICK_KEY, None)


def crash(group: Group, at: int, *, after: bool) -> int:
    """Let a member read everything and die at a call of the storage; return its calls."""
    member = group.join()
    for partition in range(PARTITIONS):
        group.assign(partition, member)
    member.connection.dies_at, member.connection.dies_after = at, after
    for _ in range(12):
        for partition in range(PARTITIONS):
            if not member.dead:
                group.run(member, lambda partition=partition: member.read(partition, 4))
        if not member.dead:
            group.run(member, member.worker.flush)
    if not member.dead:
        group.bury(member)
    return member.connection.calls


@pytest.mark.parametrize("after", [False, True])
def test_every_two_crash_points(after: bool) -> None:
    """One member dies at each call in turn, the next at each call of its own; a third finishes."""
    first, pairs = 0, 0
    while True:
        first, second, done = first + 1, first % 13 - 12, False
        while not done:
            second += 13
            group = Group()
            some_log(group)
            ended = crash(group, first, after=after) < first
            done = crash(group, second, after=not after) < second
            group.drain()
            group.check()
            group.close()
            pairs += 1
        if ended:
            break
    assert first > 30
    assert pairs > 120
