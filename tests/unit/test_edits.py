"""Edits of servers that name each state anew: one entity, with the state that was written last.

States come in any order, twice, by hook and pull. Older KoboToolbox, ODK, CommCare.
"""

import itertools
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from os import environ
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.gateway.edits import find_place
from producers.gateway.schema import make_tables
from producers.gateway.submissions import apply_submission
from producers.gateway.transaction import Transaction
from producers.mapping.submissions import MappedEvent
from producers.mapping.tools import commcare, kobo, odk
from producers.outbox import Bounds
from tests.support import gateway_world, oracle, pull_world
from tests.support.field_bodies import commcare as commcare_bodies
from tests.support.field_bodies import odk as odk_bodies
from tests.support.gateway_world import World

NUMBER = 4711
EXAMPLES = int(environ.get("FIELD_EXAMPLES", "10"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with gateway_world.gateway(tmp_path) as found:
        yield found


def state(name: str, previous: str = "", *, posts: int, **changes: Any) -> dict[str, Any]:
    """A state as a server without root names has it."""
    body = gateway_world.kobo(NUMBER, uuid=name, posts=str(posts), **changes)
    del body["meta/rootUuid"]
    if previous:
        body["meta/deprecatedID"] = f"uuid:{previous}"
    return {key: value for key, value in body.items() if value is not None}


A = state("a", posts=1)
B = state("b", "a", posts=2)
C = state("c", "b", posts=3)
D = state("d", "c", posts=4)


def send(world: World, *bodies: dict[str, Any]) -> None:
    for body in bodies:
        assert gateway_world.post_hook(world, body).status_code == 200


def pull(world: World, *rows: dict[str, Any], changed_at: datetime | None = None) -> None:
    found = [kobo.read_row(row, changed_at) for row in rows]
    result = world.ingest.ingest_submissions("kobo-all", found)
    assert not result.refused


def standing(world: World) -> dict[str, int]:
    return count(world.sent())


def count(events: list[dict]) -> dict[str, int]:
    """Entity → posts, for the entities that count: the highest version, unless it retracts."""
    newest: dict[tuple[str, str], dict] = {}
    for event in events:
        key = event["entity"], oracle.routing_key(event["unit"])
        if key not in newest or event["version"] > newest[key]["version"]:
            newest[key] = event
        else:
            assert event["version"] != newest[key]["version"]
    return {
        entity: event["data"]["posts"]
        for (entity, _), event in newest.items()
        if event["op"] == "report"
    }


def test_an_edit_without_the_root_is_the_same_entity_with_a_higher_version(world: World) -> None:
    send(world, A, B)
    first, second = world.sent()
    assert first["entity"] == second["entity"] == "kobo:kobo-all:visits:a"
    assert first["version"] < second["version"]
    assert standing(world) == {"kobo:kobo-all:visits:a": 2}


@pytest.mark.parametrize(
    "changes",
    [
        {"meta/instanceID": None},
        {"_uuid": None},
        {"_uuid": "uuid:b"},
        {"meta/deprecatedID": "a"},
        {"meta/rootUuid": "a"},
        {"meta/rootUuid": "uuid:a", "meta/deprecatedID": None},
        {"meta/rootUuid": None, "meta/instanceID": "uuid:a"},
        {"_id": None},
        {"_id": 9_999},
    ],
)
def test_names_are_found_however_the_client_writes_them(
    world: World, changes: dict[str, Any]
) -> None:
    edit = {key: value for key, value in {**B, **changes}.items() if value is not None}
    for bodies in itertools.product((A, edit), repeat=2):
        send(world, *bodies)
    assert standing(world) == {"kobo:kobo-all:visits:a": 2}


def test_names_are_found_in_a_group_that_is_an_object(world: World) -> None:
    flat = {key: value for key, value in B.items() if not key.startswith("meta/")}
    send(world, A, {**flat, "meta": {"instanceID": "uuid:b", "deprecatedID": "uuid:a"}})
    send(world, {**flat, "orx:meta/orx:instanceID": "uuid:b", "orx:meta/orx:deprecatedID": "a"})
    assert standing(world) == {"kobo:kobo-all:visits:a": 2}


@pytest.mark.parametrize("with_number", [True, False])
@pytest.mark.parametrize("order", list(itertools.permutations([A, B, C])))
def test_a_chain_of_edits_counts_once_in_every_order(
    world: World, order: tuple[dict[str, Any], ...], with_number: bool
) -> None:
    for body in (*order, *order):
        send(world, {key: value for key, value in body.items() if with_number or key != "_id"})
    assert list(standing(world).values()) == [3]


def count_in_memory(order: str, *, with_number: bool) -> list[int]:
    """The posts that count after some states, by the gateway's tables in memory."""
    states = {"A": A, "B": B, "C": C, "D": D}
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        make_tables(connection)
        transaction = Transaction(connection, Bounds(), 1.0)
        for name in order:
            row = {key: one for key, one in states[name].items() if with_number or key != "_id"}
            one = kobo.read_row(row)
            place = find_place(transaction, "s", one)
            content = {
                "kind": "social_post",
                "occurred_at": one.fields["start"],
                "source": {"tool": "kobo", "producer": "s"},
                "data": {"platform": "facebook", "posts": int(one.fields["posts"])},
            }
            mapped = MappedEvent("", f"kobo:s:{place.name}", "CG-AC001-B0001", content)
            apply_submission(transaction, "s", one, [mapped], place=place)
        rows = connection.execute("SELECT value FROM outbox ORDER BY seq")
        return sorted(count([json.loads(value) for (value,) in rows]).values())


@pytest.mark.parametrize("with_number", [True, False])
def test_each_order_of_up_to_four_states_counts_once(with_number: bool) -> None:
    for length in range(1, 5):
        for order in map("".join, itertools.product("ABCD", repeat=length)):
            counted = count_in_memory(order, with_number=with_number)
            first, last = ("ABCD".index(one) + 1 for one in (min(order), max(order)))
            if len(set(order)) == last - first + 1:
                assert counted == [last], order
            elif with_number:
                assert len(counted) == 1, order
            else:
                assert last in counted, order


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    order=st.lists(st.sampled_from("ABCD"), min_size=1, max_size=9),
    pulled=st.lists(st.booleans(), min_size=9, max_size=9),
    with_number=st.booleans(),
    with_time=st.booleans(),
)
def test_states_in_any_order_by_hook_and_pull_count_once(
    tmp_path_factory: pytest.TempPathFactory,
    order: list[str],
    pulled: list[bool],
    with_number: bool,
    with_time: bool,
) -> None:
    states = {"A": A, "B": B, "C": C, "D": D}
    with gateway_world.gateway(tmp_path_factory.mktemp("edits")) as world:
        for name, is_pulled in zip(order, pulled, strict=False):
            body = {key: one for key, one in states[name].items() if with_number or key != "_id"}
            if with_time:
                body["_last_edited"] = f"2022-03-06T1{ord(name) - ord('A')}:30:00"
            if is_pulled:
                pull(world, body)
            else:
                source = world.ingest.sources["kobo-all"]
                assert (
                    not world.ingest.ingest_body(source, json.dumps(body).encode(), {})
                    .result()
                    .refusals
                )
        counted = list(standing(world).values())
        first, last = (ord(one) - ord("A") + 1 for one in (min(order), max(order)))
        is_unbroken = len(set(order)) == last - first + 1
        if is_unbroken or (with_number and with_time):
            assert counted == [last]
        elif with_number:
            assert len(counted) == 1
        else:
            assert last in counted


def test_edits_whose_original_never_came_count_once(world: World) -> None:
    send(world, C, D, C)
    assert list(standing(world).values()) == [4]


@pytest.mark.parametrize("order", ["DBC", "DBAC", "DBDC", "DBCA", "DBBC", "CADB", "DABC", "BDC"])
def test_a_state_that_came_too_early_is_the_last_one_all_the_same(world: World, order: str) -> None:
    for name in order:
        send(world, {"A": A, "B": B, "C": C, "D": D}[name])
    assert list(standing(world).values()) == [4]


def test_a_pull_finds_the_edit_of_a_submission_that_came_by_hook(world: World) -> None:
    send(world, A)
    pull(world, D)  # two edits between them, which no hook reported
    pull(world, D)
    send(world, A)  # a retry
    assert standing(world) == {"kobo:kobo-all:visits:a": 4}


def test_two_submissions_with_one_number_are_two(world: World) -> None:
    """A server was set up anew and counts from the beginning."""
    send(world, A, state("x", posts=7))
    assert sorted(standing(world).values()) == [1, 7]
    send(world, state("y", "x", posts=8))
    assert sorted(standing(world).values()) == [1, 8]


def test_a_copy_that_kept_the_name_of_the_state_before_is_a_submission_of_its_own(
    world: World,
) -> None:
    send(world, A, B, state("copy", "a", posts=20, _id=4_712))
    send(world, state("copy-2", "copy", posts=21, _id=4_712))
    assert sorted(standing(world).values()) == [2, 21]


def test_an_edit_to_another_unit_moves_the_entity(world: World) -> None:
    send(world, A, {**B, "unit": "CG-AC002"}, A)
    assert standing(world) == {"kobo:kobo-all:visits:a": 2}


def test_a_deleted_submission_does_not_come_back_with_a_late_edit(world: World) -> None:
    send(world, A)
    gone = kobo.read_row(A, datetime(2022, 3, 9, tzinfo=UTC))
    deletion = type(gone)(gone.form, gone.name, gone.changed_at, deleted=True)
    world.ingest.ingest_submissions("kobo-all", [deletion])
    send(world, B, A)
    assert standing(world) == {}


def test_a_refused_edit_keeps_the_chain(world: World) -> None:
    send(world, A)
    wrong = {**B, "posts": "many"}
    assert gateway_world.post_hook(world, wrong).status_code == 422
    assert standing(world) == {"kobo:kobo-all:visits:a": 1}
    without = {key: value for key, value in C.items() if key != "_id"}
    send(world, without)
    assert standing(world) == {"kobo:kobo-all:visits:a": 3}
    send(world, B)  # corrected too late
    assert standing(world) == {"kobo:kobo-all:visits:a": 3}


@pytest.mark.parametrize("text", ["???? ?????", "\ufffd", "@results.id", "{{id}}", "null"])
def test_a_name_without_meaning_is_refused_and_draws_no_other_submission_to_it(
    world: World, text: str
) -> None:
    for changes in ({"meta/deprecatedID": text}, {"_uuid": text, "meta/instanceID": text}):
        assert gateway_world.post_hook(world, {**B, **changes}).status_code == 422
    assert standing(world) == {}
    send(world, A, B, state("x", posts=7))
    assert sorted(standing(world).values()) == [2, 7]


def test_a_corrected_edit_counts(world: World) -> None:
    send(world, A)
    assert gateway_world.post_hook(world, {**B, "posts": "many"}).status_code == 422
    send(world, A, B)
    assert standing(world) == {"kobo:kobo-all:visits:a": 2}


def test_a_server_that_learns_root_names_keeps_its_entities(world: World) -> None:
    send(world, C)  # stored under b, the only name of its beginning
    newer = {**D, "meta/rootUuid": "uuid:a"}
    pull(world, newer, changed_at=datetime(2022, 3, 8, tzinfo=UTC))
    send(world, A)
    assert standing(world) == {"kobo:kobo-all:visits:b": 4}
    gone = kobo.read_row(newer, datetime(2022, 3, 9, tzinfo=UTC))
    deletion = type(gone)("visits", "a", gone.changed_at, deleted=True)
    world.ingest.ingest_submissions("kobo-all", [deletion])
    assert standing(world) == {}


def test_unedited_submissions_of_a_server_with_root_names_need_no_aliases(world: World) -> None:
    send(world, gateway_world.kobo(1), gateway_world.kobo(2))
    with world.ingest.store.open_read_only() as connection:
        assert connection.execute("SELECT count(*) FROM aliases").fetchone() == (0,)


@pytest.mark.parametrize("edits", [1, 2])
def test_a_pull_and_a_comparison_agree_with_the_hook(tmp_path: Path, edits: int) -> None:
    with pull_world.run_stand_in("kobo", tmp_path) as (server, gateway, clock):
        pull_world.at_once(server)
        get = server.get
        server.get = lambda request: _without_roots(get(request))
        root = server.submit(pull_world.VISIT)
        gateway.pull(clock)
        for number in range(edits):
            clock.advance(60.0)
            server.edit(root, pull_world.VISIT._replace(posts=5 + number))
        clock.advance(300.0)
        for row in server._data({}):
            row.pop("meta/rootUuid", None)
            gateway.hook(json.dumps(row).encode())
        assert gateway.reconcile(clock).is_equal
        for _ in range(2):
            gateway.pull(clock)
            assert gateway.reconcile(clock).is_equal
        assert pull_world.known(gateway) == {root}
        assert list(count(gateway.events()).values()) == [4 + edits]


def _without_roots(answer: Any) -> Any:
    for row in answer.content.get("results", []):
        row.pop("meta/rootUuid", None)
    return answer


# --- other tools


def test_an_edit_through_odks_hook_is_the_same_submission() -> None:
    (first,) = odk.read_hook(json.dumps(odk_bodies.xml("<unit>CG-AC084</unit>")).encode(), {})
    xml = odk_bodies.xml("<unit>CG-AC084</unit>")["data"]["xml"]
    edited = xml.replace(
        "uuid:s-1</orx:instanceID>",
        "uuid:s-2</orx:instanceID><orx:deprecatedID>uuid:s-1</orx:deprecatedID>",
    )
    for kind, name in (("create", "uuid:s-2"), ("create", "uuid:s-1"), ("update", "uuid:s-1")):
        body = {"type": f"submission.{kind}", "id": name, "data": {"xml": edited}}
        (second,) = odk.read_hook(json.dumps(body).encode(), {})
        assert (second.name, second.state, second.previous) == (first.name, "s-2", "s-1")
    row = odk_bodies.ROW | {"meta": {"instanceID": "uuid:s-2"}}
    found = odk.read_row(row, "training")
    assert (found.name, found.state) == ("s-1", "s-2")


def test_the_earlier_state_that_commcare_keeps_of_an_edit_is_the_same_submission() -> None:
    form = commcare_bodies.form({}, edited_on="2022-05-05T10:00:00Z")
    now = commcare.read_row(form)
    assert now.changed_at == datetime(2022, 5, 5, 10, tzinfo=UTC)
    before = commcare.read_row(
        {
            **commcare_bodies.FORM,
            "id": "copy",
            "orig_id": "f-1",
            "doc_type": "XFormDeprecated",
            "server_modified_on": "2022-05-05T10:00:00.1Z",
        }
    )
    assert before.name == now.name == "f-1"
    assert before.changed_at < now.changed_at
