"""A worker's health: when it is alive, when its figures are up to date, and its metrics.

One file, because rules and metrics are judged on the same generated states.
"""

import asyncio
import re
import socket
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import get_args

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pravah.listen import ListenError
from pravah.settings import ClickHouseSettings
from rollup.validation import Reason
from sinks import connection
from sinks.connection import RetryingSession
from streams.health import STALL_SECONDS, PartitionState, WorkerState, judge
from streams.health_server import check_address, serve
from streams.telemetry import CATALOGUE, Telemetry

NOW = 1_650_000_000.0
HOURS = 3_600.0


def partition(number: int = 0, **changes: object) -> PartitionState:
    """All of its records are durable; the chunk was opened a minute ago."""
    return replace(
        PartitionState(
            number, end=500, durable=500, released=400, pending_since=None, opened_at=NOW - 60
        ),
        **changes,
    )


def worker(*partitions: PartitionState, **changes: object) -> WorkerState:
    """Runs since yesterday and has just made progress."""
    state = WorkerState(
        NOW, NOW - 24 * HOURS, True, partitions, 0, NOW - 0.5, None, "00c0ffee00c0ffee"
    )
    return replace(state, **changes)


def waiting(seconds: float, number: int = 0) -> PartitionState:
    return partition(number, durable=450, pending_since=NOW - seconds)


# --- statements -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(worker(partition(), partition(1)), id="all is durable"),
        pytest.param(worker(waiting(2.5)), id="a record waits for the next flush"),
        pytest.param(
            worker(partition(opened_at=NOW - 3 * HOURS), last_progress=NOW - 3 * HOURS),
            id="an open chunk waits for its close since three hours",
        ),
        pytest.param(
            worker(partition(released=0), last_progress=NOW - 9 * HOURS),
            id="nothing was sent for nine hours",
        ),
        pytest.param(
            worker(partition(end=0, durable=None, released=None, opened_at=None)),
            id="the partition never had a record",
        ),
        pytest.param(
            worker(waiting(1), last_progress=NOW - 3 * HOURS),
            id="the first record after three idle hours has just come",
        ),
        pytest.param(worker(), id="there are more workers than partitions"),
    ],
)
def test_a_worker_is_well_when(state: WorkerState) -> None:
    health = judge(state)
    assert (health.alive, health.ready, health.reasons) == (True, True, ())


@pytest.mark.parametrize(
    ("state", "alive", "says"),
    [
        pytest.param(
            worker(partition(), clickhouse_failing=7),
            True,
            ("ClickHouse", "7 attempts", "pravah status"),
            id="ClickHouse is away",
        ),
        pytest.param(
            worker(waiting(2 * HOURS), clickhouse_failing=900, last_progress=NOW - 2 * HOURS),
            True,
            ("loses nothing",),
            id="ClickHouse is away for two hours",
        ),
        pytest.param(
            worker(waiting(9), waiting(75, 3), waiting(60, 5)),
            True,
            ("partition 3", "75 s", "partitions 3, 5", "another worker"),
            id="it works through a backlog",
        ),
        pytest.param(
            worker(waiting(3 * HOURS), started=NOW - 20, last_progress=NOW - 20),
            True,
            ("partition 0",),
            id="it has just started on an old backlog",
        ),
        pytest.param(
            worker(assigned=False),
            True,
            ("no partitions", "pravah status"),
            id="it joins its group",
        ),
        pytest.param(
            worker(partition(end=None), partition(4, end=None)),
            True,
            ("end of the log", "partitions 0, 4"),
            id="Kafka has not reported the end of the log",
        ),
        pytest.param(
            worker(waiting(90), waiting(61, 2), last_progress=NOW - 75),
            False,
            ("hangs", "partitions 0, 2", "75 s", "Restart"),
            id="it hangs",
        ),
        pytest.param(
            worker(partition(), failure="partition 0: records are missing from the log."),
            False,
            ("partition 0: records are missing from the log. Remove",),
            id="failed",
        ),
        pytest.param(
            worker(failure="a hole", clickhouse_failing=3),
            False,
            ("a hole", "3 attempts"),
            id="it failed, and ClickHouse is away too",
        ),
    ],
)
def test_a_worker_is_not_ready_when(state: WorkerState, alive: bool, says: tuple[str, ...]) -> None:
    health = judge(state)
    assert (health.alive, health.ready) == (alive, False)
    text = " ".join(health.reasons)
    assert all(words in text for words in says), text
    assert all(reason[0].isupper() and reason.endswith(".") for reason in health.reasons)


def test_the_limit_of_patience_is_the_callers() -> None:
    state = worker(waiting(30), last_progress=NOW - 30)
    assert judge(state).ready
    assert not judge(state, stall_seconds=30).alive


def test_a_new_partition_is_durable_up_to_its_released_offset() -> None:
    new = partition(durable=None, end=700)
    assert (new.known_durable, new.lag_records) == (400, 300)


# --- properties -----------------------------------------------------------------------------------

AGES = st.one_of(st.floats(0, 200), st.floats(0, 1e6), st.sampled_from([0.0, STALL_SECONDS]))
MOMENTS = st.one_of(AGES, st.floats(-3, 0)).map(lambda age: NOW - age)
OFFSETS = st.none() | st.integers(0, 1_000)
PARTITIONS = st.builds(
    PartitionState,
    partition=st.integers(0, 11),
    end=OFFSETS,
    durable=OFFSETS,
    released=OFFSETS,
    pending_since=st.none() | MOMENTS,
    opened_at=st.none() | MOMENTS,
)
STATES = st.builds(
    WorkerState,
    now=st.just(NOW),
    started=MOMENTS,
    assigned=st.booleans(),
    partitions=st.lists(PARTITIONS, max_size=5, unique_by=lambda one: one.partition).map(tuple),
    clickhouse_failing=st.just(0) | st.integers(0, 100),
    last_progress=MOMENTS,
    failure=st.none() | st.just("partition 3: records are missing from the log"),
    registry=st.just("00c0ffee00c0ffee"),
)


@given(STATES)
def test_a_worker_that_is_ready_is_alive_and_there_is_a_reason_for_all_else(
    state: WorkerState,
) -> None:
    health = judge(state)
    assert health.alive or not health.ready
    assert bool(health.reasons) == (not health.ready)


@given(STATES)
def test_a_worker_is_restarted_only_if_that_helps(state: WorkerState) -> None:
    """The rule again without the code.

    The worker failed; or a record waits for long, the worker had that long and made no progress
    while ClickHouse answered.
    """
    hung = (
        not state.clickhouse_failing
        and state.last_progress <= NOW - STALL_SECONDS
        and state.started <= NOW - STALL_SECONDS
        and any(
            one.pending_since is not None and one.pending_since <= NOW - STALL_SECONDS
            for one in state.partitions
        )
    )
    assert judge(state).alive == (state.failure is None and not hung)


@given(STATES)
def test_a_worker_is_ready_exactly_when_its_figures_are_up_to_date(state: WorkerState) -> None:
    up_to_date = all(
        one.end is not None
        if one.pending_since is None
        else one.pending_since > NOW - STALL_SECONDS
        for one in state.partitions
    )
    assert judge(state).ready == (
        state.assigned and state.failure is None and not state.clickhouse_failing and up_to_date
    )


@given(STATES, st.integers(1, 100))
def test_while_clickhouse_is_away_nothing_but_a_failure_calls_for_a_restart(
    state: WorkerState, failing: int
) -> None:
    health = judge(replace(state, clickhouse_failing=failing))
    assert not health.ready
    assert health.alive == (state.failure is None)


@given(STATES, st.none() | MOMENTS, OFFSETS)
def test_neither_the_age_of_open_chunks_nor_the_committed_offset_makes_a_difference(
    state: WorkerState, opened_at: float | None, released: int | None
) -> None:
    other = tuple(replace(one, opened_at=opened_at, released=released) for one in state.partitions)
    assert judge(replace(state, partitions=other)) == judge(state)


@given(STATES, st.randoms(use_true_random=False))
def test_the_order_of_partitions_makes_no_difference(state: WorkerState, random) -> None:
    shuffled = list(state.partitions)
    random.shuffle(shuffled)
    one, other = judge(state), judge(replace(state, partitions=tuple(shuffled)))
    assert (one.alive, one.ready) == (other.alive, other.ready)


@given(STATES, AGES)
def test_progress_never_makes_a_worker_less_well(state: WorkerState, later: float) -> None:
    before, after = (
        judge(state),
        judge(replace(state, last_progress=min(NOW, state.last_progress + later))),
    )
    assert (before.alive, before.ready) <= (after.alive, after.ready)
    assert after.alive >= before.alive
    assert after.ready == before.ready


# --- metrics --------------------------------------------------------------------------------------


def shown(telemetry: Telemetry) -> dict[str, float]:
    """Every sample as Prometheus reads it, as `name{label="value"}` → value."""
    families = text_string_to_metric_families(generate_latest(telemetry.registry).decode())
    samples = [sample for family in families for sample in family.samples]
    return {
        s.name + "".join(f'{{{label}="{value}"}}' for label, value in s.labels.items()): s.value
        for s in samples
    }


def test_the_gauges_show_the_workers_state() -> None:
    telemetry = Telemetry()
    telemetry.observe(
        worker(
            partition(3, end=520, pending_since=NOW - 7, opened_at=NOW - 90), clickhouse_failing=2
        )
    )
    samples = shown(telemetry)
    assert {
        name: samples[f'pravah_{name}{{partition="3"}}']
        for name in (
            "lag_records",
            "lag_seconds",
            "end_offset",
            "durable_offset",
            "released_offset",
        )
    } == {
        "lag_records": 20,
        "lag_seconds": 7,
        "end_offset": 520,
        "durable_offset": 500,
        "released_offset": 400,
    }
    assert samples['pravah_open_chunk_age_seconds{partition="3"}'] == 90
    assert samples["pravah_clickhouse_failing"] == 2
    assert samples['pravah_build_info{registry="00c0ffee00c0ffee"}'] == 1


def test_an_open_chunk_of_three_hours_is_no_lag() -> None:
    telemetry = Telemetry()
    telemetry.observe(worker(partition(released=0, opened_at=NOW - 3 * HOURS)))
    samples = shown(telemetry)
    assert samples['pravah_open_chunk_age_seconds{partition="0"}'] == 3 * HOURS
    assert (
        samples['pravah_lag_records{partition="0"}']
        == samples['pravah_lag_seconds{partition="0"}']
        == 0
    )


def test_what_is_not_known_has_no_value() -> None:
    telemetry = Telemetry()
    telemetry.observe(worker(partition()))
    telemetry.observe(worker(PartitionState(0, None, None, None, None, None)))
    assert not [name for name in shown(telemetry) if "partition" in name]


@given(st.lists(STATES, min_size=1, max_size=4))
def test_only_partitions_that_the_worker_has_are_shown(states: list[WorkerState]) -> None:
    telemetry = Telemetry()
    for state in states:
        for one in state.partitions:
            telemetry.filter_entries.labels(str(one.partition)).set(1)
            telemetry.filter_bytes.labels(str(one.partition)).set(2)
        telemetry.observe(state)
    samples, last = shown(telemetry), states[-1].partitions
    assert {name for name in samples if name.startswith("pravah_filter_entries")} == {
        f'pravah_filter_entries{{partition="{one.partition}"}}' for one in last
    }
    for name, known in {
        "lag_seconds": {one.partition: one.lag_seconds(NOW) for one in last},
        "lag_records": {one.partition: one.lag_records for one in last},
        "released_offset": {one.partition: one.released for one in last},
    }.items():
        expected = {
            f'pravah_{name}{{partition="{number}"}}': value
            for number, value in known.items()
            if value is not None
        }
        assert {
            sample: value
            for sample, value in samples.items()
            if sample.startswith(f"pravah_{name}")
        } == expected


@given(
    st.builds(
        replace,
        PARTITIONS.map(lambda one: replace(one, durable=0)),
        end=st.integers(0, 1_000),
        durable=st.integers(0, 1_000),
    )
)
def test_lag_is_never_negative(one: PartitionState) -> None:
    assert one.lag_records >= 0
    assert one.lag_seconds(NOW) >= 0


def test_workers_of_one_process_count_apart() -> None:
    one, other = Telemetry(), Telemetry()
    one.corrections_total.inc(3)
    assert (shown(one)["pravah_corrections_total"], shown(other)["pravah_corrections_total"]) == (
        3,
        0,
    )


def test_the_first_reject_is_seen_as_an_increase() -> None:
    """A series that begins with its first reject has no increase in Prometheus."""
    samples = shown(Telemetry())
    assert {
        samples[f'pravah_rejected_total{{reason="{reason}"}}'] for reason in get_args(Reason)
    } == {0}
    outcomes = ("accepted", "duplicate", "rejected", "forwarded", "tick")
    assert {samples[f'pravah_records_total{{outcome="{outcome}"}}'] for outcome in outcomes} == {0}


# --- the catalogue --------------------------------------------------------------------------------


def exposed(registry: CollectorRegistry, line: str) -> dict[str, str]:
    """What follows each metric's name on its `# HELP` or `# TYPE` lines."""
    return dict(
        re.findall(
            rf"^# {line} (\w+(?<!_created)) (.*)$", generate_latest(registry).decode(), re.MULTILINE
        )
    )


def test_every_metric_of_a_worker_is_in_the_catalogue_once() -> None:
    assert [one.name for one in CATALOGUE] == sorted(
        {one.name for one in CATALOGUE}, key=[one.name for one in CATALOGUE].index
    )
    registry = Telemetry().registry
    assert {one.name: one.help for one in CATALOGUE} == exposed(registry, "HELP")
    assert {one.name: one.type.replace("info", "gauge") for one in CATALOGUE} == exposed(
        registry, "TYPE"
    )  # an info is a gauge to Prometheus


def test_every_metric_has_the_labels_of_the_catalogue() -> None:
    telemetry = Telemetry()
    for metric in CATALOGUE:
        made = getattr(telemetry, metric.name.removeprefix("pravah_"))
        if metric.labels:
            made.labels(**dict.fromkeys(metric.labels, "x"))
            assert any(
                set(metric.labels) <= set(sample.labels)
                for family in made.collect()
                for sample in family.samples
            ), metric.name
        else:
            with pytest.raises(ValueError, match="No label names"):
                made.labels("x")


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda one: one.name)
def test_a_metric_is_named_by_the_conventions_of_prometheus(metric) -> None:
    assert metric.help.endswith(".")
    assert metric.name.endswith("_total") == (metric.type == "counter")
    if metric.name.endswith("_seconds"):
        assert "econds" in metric.help, "the help names the unit"
    if metric.name.endswith("_bytes"):
        assert "bytes" in metric.help


# --- the server -----------------------------------------------------------------------------------


class Client:
    """A running server over a state that a test may change."""

    def __init__(
        self, session: aiohttp.ClientSession, port: int, telemetry: Telemetry, state: WorkerState
    ) -> None:
        self.session, self.port, self.telemetry, self.state = session, port, telemetry, state

    async def json(self, path: str) -> tuple[int, dict]:
        async with self.session.get(f"http://127.0.0.1:{self.port}{path}") as response:
            return response.status, await response.json()

    async def text(self, path: str, **headers: str) -> tuple[str, str]:
        async with self.session.get(
            f"http://127.0.0.1:{self.port}{path}", headers=headers
        ) as response:
            assert response.status == 200
            return response.headers["Content-Type"], await response.text()


def run_client(questions: Callable[[Client], Awaitable[None]], state: WorkerState) -> None:
    """Run requests against a server on a free port."""

    async def run() -> None:
        telemetry = Telemetry()
        async with aiohttp.ClientSession() as session:
            client = Client(session, 0, telemetry, state)
            server = await serve(lambda: client.state, telemetry, host="127.0.0.1", port=0)
            client.port = server.port
            try:
                await questions(client)
            finally:
                await server.stop()
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(f"http://127.0.0.1:{server.port}/healthz")
            await server.stop()  # a second time does no harm

    asyncio.run(asyncio.wait_for(run(), 30))


def test_liveness_says_whether_a_restart_helps() -> None:
    async def questions(client: Client) -> None:
        assert await client.json("/healthz") == (200, {"alive": True, "reasons": []})
        client.state = worker(waiting(90), clickhouse_failing=20, last_progress=NOW - 90)
        status, answer = await client.json("/healthz")
        assert (status, answer["alive"]) == (200, True)
        assert "ClickHouse" in answer["reasons"][0]
        client.state = worker(waiting(90), last_progress=NOW - 90)
        status, answer = await client.json("/healthz")
        assert (status, answer["alive"]) == (503, False)
        assert "hangs" in answer["reasons"][0]

    run_client(questions, worker(partition()))


def test_readiness_shows_each_partition_and_its_lag() -> None:
    async def questions(client: Client) -> None:
        status, answer = await client.json("/readyz")
        assert (status, answer["ready"], answer["reasons"], answer["registry"]) == (
            200,
            True,
            [],
            "00c0ffee00c0ffee",
        )
        assert [
            (one["partition"], one["lag_records"], one["lag_seconds"])
            for one in answer["partitions"]
        ] == [(0, 0, 0), (7, 50, 2.5)]
        assert answer["partitions"][0]["open_chunk_age_seconds"] == 3 * HOURS
        client.state = worker(assigned=False)
        status, answer = await client.json("/readyz")
        assert (status, answer["ready"], answer["partitions"]) == (503, False, [])
        assert len(answer["reasons"]) == 1

    run_client(questions, worker(partition(opened_at=NOW - 3 * HOURS), waiting(2.5, 7)))


def test_prometheus_reads_the_state_of_this_moment() -> None:
    async def questions(client: Client) -> None:
        client.telemetry.records_total.labels("accepted").inc(12)
        kind, text = await client.text("/metrics")
        assert kind.startswith("text/plain")
        assert 'pravah_records_total{outcome="accepted"} 12.0' in text
        assert 'pravah_lag_records{partition="0"} 50.0' in text
        client.state = worker(partition(1))
        kind, text = await client.text(
            "/metrics", Accept="application/openmetrics-text; version=1.0.0"
        )
        assert kind.startswith("application/openmetrics-text")
        assert text.endswith("# EOF\n")
        assert 'pravah_lag_records{partition="1"} 0.0' in text
        assert 'partition="0"' not in text

    run_client(questions, worker(waiting(2)))


def test_a_port_in_use_is_reported_in_one_line_with_the_setting_to_change() -> None:
    async def questions(client: Client) -> None:
        with pytest.raises(ListenError) as caught:
            await serve(lambda: client.state, Telemetry(), host="127.0.0.1", port=client.port)
        text = str(caught.value)
        assert f"127.0.0.1:{client.port}" in text
        assert "address already in use" in text
        assert "PRAVAH_WORKER_PORT" in text
        assert "\n" not in text

    run_client(questions, worker())


def test_an_address_of_another_machine_is_reported_with_the_setting_to_change() -> None:
    with pytest.raises(ListenError, match="PRAVAH_WORKER_HOST"):
        asyncio.run(
            serve(worker, Telemetry(), host="192.0.2.1", port=0)
        )  # an address for documentation, RFC 5737


def test_a_port_in_use_is_found_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match="PRAVAH_WORKER_PORT"):
            check_address("127.0.0.1", port)
    check_address("127.0.0.1", port)


def test_a_clickhouse_that_hangs_is_failing_until_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No attempt fails then: the worker would look as if it hung, and a restart would not help."""
    session = RetryingSession(ClickHouseSettings(), "writer", threading.Event())
    monkeypatch.setattr(session, "_connect", lambda: None)
    seen = []

    def call(_: object) -> int:
        seen.append(session.consecutive_failures)
        monkeypatch.setattr(
            connection, "_UNANSWERED_SECONDS", -1.0
        )  # the call takes longer than that from here on
        seen.append(session.consecutive_failures)
        return 7

    assert session.recovered_at == 0
    assert session.run(call) == 7
    assert seen == [0, 1]
    assert session.consecutive_failures == 0
    assert session.recovered_at > 0
