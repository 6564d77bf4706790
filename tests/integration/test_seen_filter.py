"""The filter before the ledger never forgets, is bounded, and has ClickHouse's fingerprints."""

import threading
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columnar.arrays import Array
from columnar.texts import HashedTexts
from pravah.producer import EventProducer
from rollup.seen_filter import SeenFilter, first_rows
from sinks.rollup_store import RollupStore
from tests.integration.test_reconcile import post
from tests.support.deployment import Deployment


def fingerprints(known: SeenFilter, entities: Iterable[str]) -> Array:
    return known.fingerprints(HashedTexts.of(entities))


entities = st.tuples(st.text(max_size=8), st.text(max_size=30)).map("\n".join)


@given(seen=st.lists(entities), others=st.lists(entities), bits=st.integers(16, 32))
def test_what_was_seen_is_always_found(seen: list[str], others: list[str], bits: int) -> None:
    known = SeenFilter(bits)
    known.add(fingerprints(known, seen[: len(seen) // 2]))
    known.add(fingerprints(known, seen[len(seen) // 2 :]))
    found = known.contains(fingerprints(known, [*seen, *others])).tolist()
    assert all(found[: len(seen)])
    assert not any(known.contains(fingerprints(known, others))) or seen


@given(
    batches=st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=300), max_size=9),
    bits=st.integers(1, 32),
)
def test_a_fingerprint_is_found_from_then_on_however_they_are_kept(
    batches: list[list[int]], bits: int
) -> None:
    known, seen = SeenFilter(bits), set()
    for batch in batches:
        numbers = np.array([number & ((1 << bits) - 1) for number in [*batch, 0]], np.uint32)
        found = known.add(numbers).tolist()
        assert all(
            was for number, was in zip(numbers.tolist(), found, strict=True) if number in seen
        )
        assert not any(
            was
            for number, was in zip(numbers.tolist(), found, strict=True)
            if number > 1 and number not in seen
        )
        seen |= set(numbers.tolist())
        assert known.contains(np.array(sorted(seen), np.uint32)).all()
    assert len(seen) - 1 <= len(known) <= len(seen) + 1
    assert known.size <= max(256, 2**bits / 8)


@given(st.lists(entities))
def test_an_entity_that_comes_again_in_a_batch_is_not_taken_for_new(batch: list[str]) -> None:
    first = first_rows(fingerprints(SeenFilter(32), batch)).tolist()
    assert not any(first[row] == row and entity in batch[:row] for row, entity in enumerate(batch))


def test_what_was_not_seen_is_seldom_found() -> None:
    known = SeenFilter(28)
    known.add(fingerprints(known, [f"CG-AC001\nseen-{number}" for number in range(100_000)]))
    found = known.contains(
        fingerprints(known, [f"CG-AC001\nnew-{number}" for number in range(100_000)])
    )
    assert found.sum() < 200, "100,000 of 2^28: 37 are to be expected"


@pytest.mark.parametrize("bits", [16, 18])
def test_memory_is_bounded_whatever_is_put_in(bits: int) -> None:
    known = SeenFilter(bits)
    known.add(fingerprints(known, [f"CG-AC001\n{number}" for number in range(400_000)]))
    assert known.size <= 2**bits / 8
    assert len(known) > 0.7 * 2**bits


def test_clickhouse_makes_the_same_fingerprints(deployment: Deployment) -> None:
    """So that the filter of a partition can be filled from the ledger when it is assigned."""
    names = ["plain", "कोंडागाँव", "a|b\\'", "", "x" * 200]
    with EventProducer(deployment.settings.kafka) as producer:
        for number, name in enumerate(names):
            producer.send(
                {**post("CG-AC001-B0001", 3, number), **({"entity": name} if name else {})}
            )
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    stored = deployment.clickhouse.execute("SELECT key, entity, partition FROM ledger")
    assert len(stored) == len(names)
    filled = SeenFilter(28)
    store = RollupStore(deployment.settings.clickhouse, threading.Event())
    for block in store.fingerprints(stored[0][2], 0, 2**63, 28):
        filled.add(block)
    store.close()
    assert len(filled) == len(names)
    assert filled.contains(
        fingerprints(filled, [f"{key}\n{entity}" for key, entity, _ in stored])
    ).all()
