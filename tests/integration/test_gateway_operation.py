"""The gateway in operation: limits, overload, the archive, status, metrics, and sources."""

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from producers.gateway.limits import is_deeper
from producers.gateway.sources import GLIFIC_DUMMY_SECRET, FieldSourcesError, read_field_sources
from producers.gateway.status import read_status
from producers.gateway.store import Store
from producers.gateway.telemetry import CATALOGUE
from producers.gateway.transaction import Transaction
from producers.outbox import Bounds
from tests.support.deployment import Deployment
from tests.support.forked import run_pravah
from tests.support.gateway_world import (
    BEARER,
    SECRET,
    SOURCES,
    World,
    event,
    gateway,
    kobo,
    post,
    post_hook,
    source,
    write_sources,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with gateway(tmp_path) as made:
        yield made


# --- limits


def test_a_body_is_read_up_to_its_limit_only(tmp_path: Path) -> None:
    with gateway(tmp_path, {"script": source("events", "bearer", more="body = 2000\n")}) as world:
        read = 0

        def pieces() -> Iterator[bytes]:
            nonlocal read
            for _ in range(1_000):
                read += 1_000
                yield b" " * 1_000

        assert post(world, b" " * 2_001).status_code == 413
        assert world.client.post("/v1/events", content=pieces(), headers=BEARER).status_code == 413
        assert post(world, event(), BEARER | {"Content-Encoding": "gzip"}).status_code == 415
        assert post(world, event(), BEARER | {"Content-Length": "9" * 30}).status_code in {400, 413}
        assert post(world, event()).status_code == 202
        assert world.client.app.state.gateway.body_budget.used == 0


def test_bodies_in_memory_are_bounded(world: World) -> None:
    budget = world.client.app.state.gateway.body_budget
    budget.used = budget.max_bytes
    answer = post(world, event())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    budget.used = 0
    assert post(world, event()).status_code == 202


def test_requests_above_the_rate_are_429_with_retry_after(tmp_path: Path) -> None:
    with gateway(
        tmp_path,
        {"script": source("events", "bearer", rate="5/hour"), "kobo-all": SOURCES["kobo-all"]},
    ) as world:
        answers = [post(world, event()) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [202] * 5 + [429] * 2
        assert int(answers[-1].headers["retry-after"]) > 0
        assert world.counts()["script", "refused", "rate"] == 2
        assert post_hook(world, kobo(1)).status_code == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
)


@given(JSON, st.integers(1, 6))
@hypothesis_settings(max_examples=100)
def test_the_depth_of_json_is_found_without_parsing_it(content: object, max_depth: int) -> None:
    def depth(one: object) -> int:
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    assert is_deeper(json.dumps(content).encode(), max_depth) == (depth(content) > max_depth)


# --- overload


def test_a_full_outbox_is_503_with_retry_after_until_there_is_space(
    tmp_path: Path,
) -> None:
    with gateway(tmp_path, bounds=Bounds(rows=3)) as world:
        one = event()
        assert [post(world, one).status_code, post(world, [event(), event()]).status_code] == [
            202,
            202,
        ]
        full = [post(world, event()), post(world, [event(), one]), post_hook(world, kobo(1))]
        assert {
            (answer.status_code, answer.headers["retry-after"], answer.headers["content-type"])
            for answer in full
        } == {(503, "10", "application/problem+json")}
        assert post(world, one).status_code == 200
        assert world.client.get("/readyz").status_code == 503
        connection = sqlite3.connect(world.folder / "gateway.sqlite")
        with connection:
            connection.execute("DELETE FROM outbox")
            connection.execute("UPDATE outbox_state SET rows = 0, bytes = 0")
        connection.close()
        assert [
            post_hook(world, kobo(1)).json()["accepted"],
            world.client.get("/readyz").status_code,
        ] == [1, 200]


def test_a_full_disk_is_503_for_every_job_of_a_commit_until_there_is_space(
    world: World,
) -> None:
    pages = world.ingest.store.submit(
        lambda transaction: transaction._connection.execute("PRAGMA page_count").fetchone()[0]
    ).result()
    world.ingest.store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with ThreadPoolExecutor(8) as threads:
        big = [
            event(
                data={"platform": "facebook", "posts": 1},
                source={"tool": "t" * 100, "producer": os.urandom(48).hex()},
            )
            for _ in range(120)
        ]
        statuses = [answer.status_code for answer in threads.map(lambda one: post(world, one), big)]
    assert set(statuses) == {202, 503}
    world.ingest.store._connection.execute("PRAGMA max_page_count = 1000000")
    stored = {one["event_id"] for one in world.sent()}
    assert stored == {
        one["event_id"] for one, code in zip(big, statuses, strict=True) if code == 202
    }
    assert {post(world, one).status_code for one in big if one["event_id"] not in stored} == {202}


def test_a_stuck_writer_is_503_and_the_gateway_is_not_alive(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.gateway.app._COMMIT_TIMEOUT_S", 0.2)
    monkeypatch.setattr("producers.gateway.app._STUCK_COMMIT_S", 0.1)
    release = threading.Event()
    held = world.ingest.store.submit(lambda _: release.wait(30))
    late = event()
    answer = post(world, late)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert [world.client.get(path).status_code for path in ("/healthz", "/readyz")] == [503, 503]
    release.set()
    held.result()
    assert [world.client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
    assert post(world, late).status_code in {
        200,
        202,
    }  # it was not acknowledged, and may have been stored all the same
    assert world.sent() == [late]


def test_a_failed_job_writes_nothing_and_the_others_of_its_commit_succeed(tmp_path: Path) -> None:
    def wrong(transaction: Transaction) -> None:
        transaction.count("wrong", "accepted")
        raise KeyError

    with Store(tmp_path / "gateway.sqlite") as store:
        release = threading.Event()
        first = store.submit(lambda _: release.wait(30))
        futures: list[Future] = [
            store.submit(
                wrong
                if number % 3 == 0
                else lambda transaction: transaction.count("right", "accepted")
            )
            for number in range(30)
        ]
        release.set()
        first.result()
        failed = [future.exception() for future in futures]
        with store.open_read_only() as connection:
            assert connection.execute("SELECT source, count FROM counts").fetchall() == [
                ("right", 20)
            ]
    assert [isinstance(error, KeyError) for error in failed] == [
        number % 3 == 0 for number in range(30)
    ]


# --- the archive


def test_the_oldest_archived_bodies_are_deleted_above_the_size_limit(tmp_path: Path) -> None:
    with gateway(tmp_path, archive_bytes=2_000) as world:
        for number in range(40):
            post_hook(world, kobo(number, note=os.urandom(40).hex()))
        world.ingest.store._pruned_at = 0.0
        world.ingest.store.submit(lambda transaction: transaction.check_space()).result()
        with world.ingest.store.open_read_only() as connection:
            size, recorded = connection.execute(
                "SELECT sum(length(body)), (SELECT bytes FROM archive_size) FROM archive"
            ).fetchone()
            assert size == recorded <= 2_000
            assert connection.execute("SELECT max(id) FROM archive").fetchone() == (40,)
        assert len(world.sent()) == 40


def test_refused_bodies_are_listed_corrected_sent_again_and_dropped_by_commands(
    deployment: Deployment, tmp_path: Path
) -> None:
    sources = {name: text for name, text in SOURCES.items() if name in {"kobo-all", "script"}}
    home = tmp_path / "home"
    with gateway(home / "gateway", sources) as world:
        post_hook(world, kobo(1, unit="CG-AC001-B0009"))
        post_hook(world, kobo(2, posts="many"))
        post(world, [event(), event(unit="CG-AC001-B0009")])
    environment = {
        **os.environ,
        "PRAVAH_HOME": str(home),
        "PRAVAH_GATEWAY_SOURCES": str(home / "gateway" / "sources"),
        "PRAVAH_KAFKA__BOOTSTRAP_SERVERS": deployment.settings.kafka.bootstrap_servers,
    }

    def run(*arguments: object) -> tuple[int, dict]:
        done = run_pravah(["gateway", *arguments], environment)
        return done.returncode, orjson.loads(done.stdout) if done.stdout.startswith("{") else {
            "text": done.stdout,
            "error": done.stderr,
        }

    code, listed = run("rejected", "list", "--json")
    assert (code, [(one["id"], one["source"], one["reason"]) for one in listed["rejected"]]) == (
        1,
        [
            (1, "kobo-all", "unmappable"),
            (2, "kobo-all", "unmappable"),
            (3, "script", "unknown_unit"),
        ],
    )
    corrected = tmp_path / "corrected.json"
    assert run("rejected", "show", 1, "--to", corrected)[0] == 0
    assert corrected.stat().st_mode & 0o077 == 0
    corrected.write_bytes(corrected.read_bytes().replace(b"B0009", b"B0001"))
    form = home / "gateway" / "sources" / "mappings" / "form.toml"
    form.write_text(
        form.read_text().replace(
            '{field = "posts", type = "integer"}',
            '{field = "posts", type = "integer", values = {3 = 3, many = 50}}',
        )
    )
    assert run("rejected", "send", 1, "--body", corrected, "--json") == (
        0,
        {"taken": 1, "refused": 0, "reasons": {}, "still_refused": []},
    )
    code, sent = run("rejected", "send", "--json")
    assert (code, sent["taken"], sent["reasons"]) == (1, 1, {"unknown_unit": 1}), sent
    assert run("rejected", "drop", 3, "--because", "no such booth")[0] == 0
    code, state = run("status", "--json")
    assert {one["name"]: one["waiting"] for one in state["sources"]}["script"] == 0
    assert (state["outbox"]["rows"], state["outbox"]["handed_over"]) == (0, 3)
    assert run("replay", "--source", "kobo-all", "--json") == (
        0,
        {"taken": 2, "refused": 0, "reasons": {}, "still_refused": []},
    )
    assert run("status", "--json")[1]["outbox"]["handed_over"] == 3


# --- status and metrics


def test_a_source_is_silent_after_its_longest_gap_and_three_usual_gaps(
    world: World,
) -> None:
    def record_deliveries(name: str, ages: list[float]) -> None:
        def job(transaction: Transaction) -> None:
            for age in ages:
                transaction.now = time.time() - age
                transaction.count(name, "accepted")

        world.ingest.store.submit(job).result()

    record_deliveries(
        "kobo-all", [3_600.0 * hours for hours in range(40, 9, -1)]
    )  # hourly, then nothing for ten hours
    record_deliveries(
        "odk-all", [3_600.0 * hours for hours in (90, 66, 65, 64, 42, 41, 40, 20)]
    )  # nights are usual
    record_deliveries("script", [3_600.0 * hours for hours in (300, 200)])
    record_deliveries(
        "rapidpro-all",
        [
            60.0 * minute + 3_600.0 * (24 * day - 10)
            for day in (3, 2, 1)
            for minute in range(500, 0, -1)
        ],
    )  # every minute by day, nothing at night
    with world.ingest.store.open_read_only() as connection:
        found = {
            one.name: one
            for one in read_status(connection, world.ingest.sources, time.time()).sources
        }
    assert {name for name, one in found.items() if one.is_silent} == {"kobo-all"}
    assert found["kobo-all"].habit is not None
    assert found["kobo-all"].habit.median == pytest.approx(3_600)
    assert (found["script"].habit, found["glific-all"].silence) == (None, None)


def test_the_metrics_are_those_of_the_catalogue_and_survive_a_restart(tmp_path: Path) -> None:
    with gateway(tmp_path) as world:
        post(world, [event(), event(unit="CG-AC001-B0009")])
        post(world, event(), {})
    with gateway(tmp_path) as world:
        post_hook(world, kobo(1))
        text = world.client.get("/metrics").text
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert {metric.name for metric in CATALOGUE} <= shown | {
        name.removesuffix("_total") for name in shown
    }
    assert 'pravah_gateway_items_total{outcome="accepted",source="script"} 1.0' in text
    assert 'pravah_gateway_refused_total{reason="unknown_unit",source="script"} 1.0' in text
    assert 'pravah_gateway_items_total{outcome="accepted",source="kobo-all"} 1.0' in text
    assert "pravah_outbox_events 2.0" in text


# --- sources


def test_every_error_in_the_folder_of_sources_is_reported_at_once(tmp_path: Path) -> None:
    folder = write_sources(tmp_path / "sources", {"good": SOURCES["script"]})
    (folder / "short.secret").write_text("short")
    (folder / "dummy.secret").write_text(GLIFIC_DUMMY_SECRET)
    (folder / "Bad Name.toml").write_text(
        SOURCES["kobo-all"].replace('"form.toml"', '"nowhere.toml"')
    )
    (folder / "no-toml.toml").write_text("tool =")
    (folder / "odd.toml").write_text(
        'tool = "excel"\nunit = 5\n[check]\nkind = "password"\n[limits]\nrate = "fast"\n'
    )
    (folder / "secrets.toml").write_text(
        'tool = "glific"\n[check]\nkind = "hmac"\n'
        'secret_file = ["short.secret", "dummy.secret", "none.secret"]\n'
        'secret_env = "PRAVAH_NOT_THERE"\n[pull]\nevery = "often"\n'
    )
    (folder / "twin.toml").write_text(SOURCES["script"])
    with pytest.raises(FieldSourcesError) as caught:
        read_field_sources(folder)
    message = str(caught.value)
    for wrong in (
        "Bad Name.toml: the name",
        "nowhere.toml is not there",
        "no-toml.toml: cannot be read",
        "odd.toml: tool",
        "odd.toml: unit",
        "odd.toml: check.kind",
        "odd.toml: limits.rate",
        "has 5 characters",
        "published fallback",
        "none.secret cannot be read",
        "PRAVAH_NOT_THERE is not set",
        "[forms]",
        "every:",
        "url:",
        "twin.toml: [check]: has a secret that good.toml has",
    ):
        assert wrong in message, message
    assert SECRET not in message
    with pytest.raises(FieldSourcesError, match="no sources"):
        read_field_sources(tmp_path / "none")


def test_secrets_are_not_in_the_repr_of_sources(tmp_path: Path) -> None:
    sources = read_field_sources(write_sources(tmp_path / "sources"))
    assert SECRET not in repr(sources)
