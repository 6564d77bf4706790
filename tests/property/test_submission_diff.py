"""The gateway's events for random histories give the figures of the tools' present state.

Histories have edits, moves, deletions, repeats and late deliveries.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pravah.events import parse_event
from producers.gateway.schema import make_tables
from producers.gateway.submission_diff import EntityState, is_current, retractions
from producers.gateway.submissions import apply_submission
from producers.gateway.transaction import Transaction
from producers.mapping.submissions import MappedEvent, Submission
from producers.outbox import Bounds
from tests.support import oracle, small_world

RUNS = 150
BEGIN = datetime(2022, 6, 1, tzinfo=UTC)
# Few, so that mapped_events meet. Two of them have the same routing key, and all move.
UNIT = st.sampled_from(["CG-AC001-B0002", "CG-AC001-B0002", "CG-AC001-B0003", "CG-D-B"])
DATA = st.one_of(
    st.tuples(
        st.just("committee_formed"),
        st.builds(
            lambda m, a: {"members": m, "active": a},
            st.integers(1, 4),
            st.sampled_from([True, True, False]),
        ),
    ),
    st.tuples(st.just("committee_formed"), st.builds(lambda m: {"members": m}, st.integers(1, 4))),
    st.tuples(
        st.just("membership"),
        st.builds(lambda n: {"mode": "digital", "count": n}, st.integers(0, 4)),
    ),
    small_world.DATA,
)


@pytest.fixture(scope="module")
def hierarchy(tmp_path_factory: pytest.TempPathFactory) -> oracle.Hierarchy:
    return oracle.Hierarchy.read(small_world.write(tmp_path_factory.mktemp("units")))


@contextmanager
def gateway() -> Iterator[Transaction]:
    """The gateway's tables in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    make_tables(connection)
    transaction = Transaction(connection, Bounds(), 0.0)
    transaction.sent = lambda: [
        orjson.loads(row[0]) for row in connection.execute("SELECT value FROM outbox ORDER BY seq")
    ]
    yield transaction
    connection.close()


@st.composite
def mapped_event(draw: st.DrawFn, submission: str, number: int) -> MappedEvent:
    unit, kind, data = draw(UNIT), *draw(DATA)
    day = draw(st.sampled_from([18, 30]))
    content = {
        "kind": kind,
        "occurred_at": f"{small_world.on(day)}T12:00:00+05:30",
        "source": {"tool": "test", "producer": "small-world"},
        "verification": draw(st.sampled_from(["unverified", "unverified", "verified", "rejected"])),
        "data": data,
    }
    entity = draw(st.sampled_from([f"{submission}/{number}", "shared", "shared"]))
    return MappedEvent(str(number), entity, unit, content)


@st.composite
def edited(draw: st.DrawFn, one: MappedEvent) -> MappedEvent:
    kind, data = draw(DATA)
    return replace(one, content={**one.content, "kind": kind, "data": data})


@st.composite
def histories(
    draw: st.DrawFn,
) -> tuple[list[tuple[Submission, list[MappedEvent]]], list[tuple[Submission, list[MappedEvent]]]]:
    """All deliveries in the order of arrival, and the newest state of each submission."""
    deliveries, newest = [], []
    for submission in ("a", "b", "c"):
        instants = sorted(draw(st.sets(st.integers(0, 6), min_size=1, max_size=4)))
        states = []
        for instant in instants:
            deleted = draw(st.integers(0, 4)) == 0
            count = 0 if deleted else draw(st.integers(0, 3))
            mapped_events = [draw(mapped_event(submission, number)) for number in range(count)]
            if (
                states and not deleted and draw(st.booleans())
            ):  # an edit often leaves most mapped_events unchanged
                mapped_events = [
                    one if draw(st.booleans()) else draw(edited(one)) for one in states[-1][1]
                ]
            states.append(
                (
                    Submission(
                        "form", submission, BEGIN + timedelta(seconds=instant), {}, deleted=deleted
                    ),
                    mapped_events,
                )
            )
        newest.append(states[-1])
        lost = draw(st.sets(st.integers(0, len(states) - 1)))
        deliveries += [
            state
            for number, state in enumerate(states)
            if number not in lost or state is states[-1]
        ]
        deliveries += [draw(st.sampled_from(states)) for _ in range(draw(st.integers(0, 2)))]
    return draw(st.permutations(deliveries)), newest


def truth(newest: list[tuple[Submission, list[MappedEvent]]]) -> list[dict]:
    """The newest states as events without edits; the last change decides for a shared entity."""
    ranked = sorted(newest, key=lambda state: (state[0].changed_at, state[0].name))
    standing = [one for _, mapped_events in ranked for one in mapped_events]
    return [
        {
            "event_id": f"00000000-0000-4000-8000-{number:012}",
            "entity": one.entity,
            "version": number,
            "op": "report",
            "unit": one.unit,
            **one.content,
        }
        for number, one in enumerate(standing, start=1)
    ]


def levels(figures: oracle.Figures) -> dict:
    """Every figure on every day on which any may change, without zeros."""
    rows: dict[tuple[str, str, str], dict[date, oracle.Figure]] = {}
    for (day, level, unit, metric), value in figures.items():
        rows.setdefault((level, unit, metric), {})[day] = value
    days = [small_world.FIRST_DAY + timedelta(days=number) for number in range(62)]
    found = {}
    for cell, values in rows.items():
        level = (0, 0)
        for day in days:
            level = values.get(day, level if cell[2] in oracle.STOCKS else (0, 0))
            if level != (0, 0):
                found[day, *cell] = level
    return found


@given(histories())
@hypothesis_settings(max_examples=RUNS)
def test_the_figures_are_those_of_the_newest_states(
    hierarchy: oracle.Hierarchy, history: tuple
) -> None:
    deliveries, newest = history
    with gateway() as transaction:
        for submission, mapped_events in deliveries:
            apply_submission(transaction, "tool", submission, mapped_events)
        sent = transaction.sent()
    for event in sent:
        parse_event(orjson.dumps(event))
    assert len({event["event_id"] for event in sent}) == len(sent)
    assert levels(oracle.figures(sent, hierarchy)) == levels(
        oracle.figures(truth(newest), hierarchy)
    )


@given(histories())
@hypothesis_settings(max_examples=RUNS // 3)
def test_a_known_state_is_repeated_and_sends_nothing(history: tuple) -> None:
    deliveries, _ = history
    with gateway() as transaction:
        for submission, mapped_events in deliveries:
            apply_submission(transaction, "tool", submission, mapped_events)
            before = len(transaction.sent())
            item, events = apply_submission(transaction, "tool", submission, mapped_events)
            assert (item.outcome, events, len(transaction.sent())) == ("repeated", 0, before)


@given(histories(), st.randoms(use_true_random=False))
@hypothesis_settings(max_examples=RUNS // 3)
def test_a_corrected_mapping_replaces_earlier_events_and_a_second_run_sends_nothing(
    hierarchy: oracle.Hierarchy, history: tuple, rng
) -> None:
    deliveries, newest = history
    corrected = [
        (submission, [one for one in mapped_events if rng.random() < 0.7])
        for submission, mapped_events in newest
    ]
    with gateway() as transaction:
        for submission, mapped_events in deliveries:
            apply_submission(transaction, "tool", submission, mapped_events)
        for submission, mapped_events in corrected:
            apply_submission(transaction, "tool", submission, mapped_events, replace_equal=True)
        sent = transaction.sent()
        again = [
            apply_submission(transaction, "tool", submission, mapped_events, replace_equal=True)[1]
            for submission, mapped_events in corrected
        ]
        assert len(transaction.sent()) == len(sent)
        assert again == [0] * len(corrected)
    assert levels(oracle.figures(sent, hierarchy)) == levels(
        oracle.figures(truth(corrected), hierarchy)
    )


def test_an_edit_without_changes_sends_nothing_and_a_new_amount_is_one_event() -> None:
    def mapped_events(posts: int) -> list[MappedEvent]:
        content = {
            "kind": "social_post",
            "occurred_at": "2022-03-05T10:00:00+05:30",
            "source": {"tool": "t", "producer": "p"},
        }
        return [
            MappedEvent(
                "",
                "t:p:f:1",
                "CG-AC001-B0001",
                content | {"data": {"platform": "facebook", "posts": posts}},
            )
        ]

    with gateway() as transaction:
        counts = [
            apply_submission(
                transaction,
                "tool",
                Submission("f", "1", BEGIN + timedelta(hours=hour)),
                mapped_events(posts),
            )[1]
            for hour, posts in enumerate([3, 3, 4])
        ]
        sent = transaction.sent()
    assert counts == [1, 0, 1]
    assert [(event["op"], event["version"], event["data"]["posts"]) for event in sent] == [
        ("report", int(BEGIN.timestamp()) * 1_000_000, 3),
        ("report", int((BEGIN + timedelta(hours=2)).timestamp()) * 1_000_000, 4),
    ]


def test_each_new_observation_of_a_shared_entity_costs_at_most_two_events() -> None:
    def mapped_events(number: int) -> list[MappedEvent]:
        content = {
            "kind": "committee_formed",
            "occurred_at": "2022-03-05T10:00:00+05:30",
            "source": {"tool": "t", "producer": "p"},
            "data": {"members": number + 1},
        }
        return [MappedEvent("", "shared", "CG-AC001-B0001", content)]

    with gateway() as transaction:
        highest = max(
            apply_submission(
                transaction,
                "tool",
                Submission("f", f"{number * 37 % 101:03}", BEGIN),
                mapped_events(number),
            )[1]
            for number in range(100)
        )
        assert highest <= 2
        assert len(transaction.sent()) <= 200


# --- events sent to /v1/events


@st.composite
def version_histories(draw: st.DrawFn) -> tuple[list[dict], list[dict]]:
    """The versions of an entity in order, and in the order of arrival with repeats."""
    versions = []
    for number in range(1, draw(st.integers(2, 7))):
        one = draw(mapped_event("", 0))
        names = {
            "event_id": f"00000000-0000-4000-8000-{number:012}",
            "entity": "e",
            "version": number,
            "op": draw(st.sampled_from(["report"] * 4 + ["retract"])),
        }
        versions.append({**names, "unit": one.unit, **one.content})
    repeated = [draw(st.sampled_from(versions)) for _ in range(draw(st.integers(0, 2)))]
    return versions, draw(st.permutations(versions + repeated))


def relayed(events: list[dict]) -> list[dict]:
    """The events that the gateway puts into the outbox."""
    known: EntityState | None = None
    sent, seen = [], set()
    for event in events:
        if event["event_id"] in seen:
            continue
        seen.add(event["event_id"])
        now = EntityState(
            event["unit"], event["version"], event["kind"], event["occurred_at"], event["source"]
        )
        sent += retractions("e", now, known)
        if is_current(now, known):
            sent.append(event)
            known = now if known is None or now.version > known.version else known
    return sent


@given(version_histories())
@hypothesis_settings(max_examples=RUNS)
def test_the_order_of_arrival_of_versions_changes_no_figure_also_across_keys(
    hierarchy: oracle.Hierarchy, history: tuple
) -> None:
    versions, arrived = history
    assert levels(oracle.figures(relayed(arrived), hierarchy)) == levels(
        oracle.figures(relayed(versions), hierarchy)
    )


@given(version_histories())
@hypothesis_settings(max_examples=RUNS // 3)
def test_a_moved_entity_counts_under_its_newest_key_only(
    hierarchy: oracle.Hierarchy, history: tuple
) -> None:
    versions, arrived = history
    key = oracle.routing_key(versions[-1]["unit"])
    since_move = next(
        (
            number
            for number in range(len(versions), 0, -1)
            if oracle.routing_key(versions[number - 1]["unit"]) != key
        ),
        0,
    )
    assert levels(oracle.figures(relayed(arrived), hierarchy)) == levels(
        oracle.figures(versions[since_move:], hierarchy)
    )
