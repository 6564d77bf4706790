"""No worker writes while the figures are rebuilt: one that starts waits, one that was paused is
refused, and a rebuild that is interrupted anywhere locks nobody out."""

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from operations.rebuild import rebuild_from_ledger, rebuild_from_log
from sinks.lease import FIGURES, TOKEN_VARIABLE, read_lease
from sinks.rebuild import hold_figures
from tests.integration.test_rebuild import members, send, stop_workers
from tests.integration.test_reconcile import pravah
from tests.support import oracle, small_world
from tests.support.deployment import Deployment, until
from tests.support.forked import ForkedProcess
from tests.support.interrupted import interrupted

# An interrupted rebuild is taken over after so long; a test need not wait for the real time.
BRIEF = 3


def expected(events: list[dict], folder: Path) -> dict:
    """The figures of events, by the oracle."""
    folder.mkdir(exist_ok=True)
    return oracle.figures(events, oracle.Hierarchy.read(small_world.write(folder)))


def counted(deployment: Deployment, seed: int) -> list[dict]:
    """Events that a worker has counted; no worker runs any more."""
    events = send(deployment, seed)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    stop_workers(deployment)
    return events


def stopped(process: ForkedProcess) -> bool:
    """Whether a process has been stopped by a signal, not ended."""
    state = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
    return state.split()[0] == "T"


@contextmanager
def command(deployment: Deployment, output: Path, *program: str) -> Iterator[ForkedProcess]:
    """A program of Python against the deployment, killed at the end of the block."""
    process = ForkedProcess(program, deployment.environment(), output=output)
    try:
        yield process
    finally:
        process.kill()


@pytest.mark.parametrize("source", ["ledger", "log"])
def test_a_worker_that_starts_in_the_middle_waits_and_then_counts_rightly(
    deployment: Deployment, tmp_path: Path, source: str
) -> None:
    events = counted(deployment, 20)

    @contextmanager
    def in_the_middle(_total: int) -> Iterator[Callable[[int], None]]:
        deployment.start_worker()
        until(lambda: "waiting: a rebuild" in deployment.log_end(200), "it waits")
        events.extend(send(deployment, 21))
        assert len(members(deployment)) <= (source == "log"), "it would be given partitions"
        second = pravah(deployment, "rebuild", source)
        assert second.returncode == 1
        assert f"a rebuild from the {source} is running" in second.stderr
        yield lambda _done: None

    said: list[str] = []
    options = {"report": said.append, "open_progress": in_the_middle}
    if source == "ledger":
        rebuild_from_ledger(deployment.settings, **options)
    else:
        rebuild_from_log(deployment.settings, discard=True, from_what_is_left=False, **options)
    assert not said
    deployment.wait_until_rolled_up()
    assert deployment.rollups() == expected(events, tmp_path / "world")
    until(lambda: "the rebuild has ended" in deployment.log_end(1000), "the worker goes on")


def test_a_waiting_worker_is_alive_and_says_what_it_waits_for(
    deployment: Deployment, tmp_path: Path
) -> None:
    counted(deployment, 22)

    @contextmanager
    def in_the_middle(_total: int) -> Iterator[Callable[[int], None]]:
        deployment.start_worker()
        until(lambda: "waiting: a rebuild" in deployment.log_end(200), "it waits")
        address = re.findall(r"http://[\d.]+:\d+", deployment.log_end(200))[-1]
        assert httpx2.get(f"{address}/healthz").status_code == 200
        unready = httpx2.get(f"{address}/readyz")
        assert unready.status_code == 503
        assert "a rebuild from the ledger is running" in unready.text
        yield lambda _done: None

    rebuild_from_ledger(deployment.settings, report=print, open_progress=in_the_middle)


def test_a_worker_with_an_older_token_ends_when_it_is_given_partitions(
    deployment: Deployment,
) -> None:
    """It has nothing to write, and would keep partitions from the worker of a rebuild."""
    with hold_figures(deployment.settings.clickhouse, "a rebuild") as hold:
        worker = deployment.start_worker(**{TOKEN_VARIABLE: str(hold.lease.token - 1)})
        assert worker.wait(60) != 0
    assert "the figures were rebuilt while this worker ran" in deployment.log_end(10_000)


@pytest.mark.parametrize(
    ("source", "point"),
    [("ledger", "before an insert"), ("ledger", "within a block"), ("log", "within a block")],
)
def test_a_worker_that_was_paused_in_the_middle_of_a_flush_cannot_write_afterwards(
    deployment: Deployment, tmp_path: Path, point: str, source: str
) -> None:
    events = send(deployment, 23)
    where = {
        "before an insert": {"before": "sinks.native:ColumnClient.insert", "call": 2},
        "within a block": {"before": "within a block"},
    }[point]
    worker = deployment.start_worker(
        *interrupted("worker", marker=tmp_path / "paused", signal="SIGSTOP", **where)
    )
    until(lambda: stopped(worker), "it is paused in the middle of its flush")
    done = pravah(deployment, "rebuild", source, *(["--discard"] if source == "log" else []))
    assert done.returncode == 0, done.stdout + done.stderr
    rebuilt = deployment.rollups()
    if source == "log":
        assert rebuilt == expected(events, tmp_path / "world")
    worker.send_signal(signal.SIGCONT)
    until(
        lambda: "the figures were rebuilt while this worker ran" in deployment.log_end(10_000),
        "it finds out",
    )
    assert deployment.rollups() == rebuilt or source == "ledger"
    events += send(deployment, 24)
    deployment.wait_until_rolled_up()
    assert worker.poll() is None, "the same process has started again"
    assert deployment.rollups() == expected(events, tmp_path / "world")


@pytest.mark.parametrize(
    ("source", "point", "call"),
    [
        ("ledger", "sinks.rebuild:JournalWriter.write", 3),
        ("ledger", "sinks.migrate:Schema.exchange_tables", 1),
        ("ledger", "sinks.rebuild:mark_rebuilt", 1),
        ("log", "sinks.rebuild:_empty", 3),
        ("log", "sinks.lag:Lag.position", 4),
    ],
)
def test_a_rebuild_that_was_killed_locks_nobody_out_and_can_be_repeated(
    deployment: Deployment, tmp_path: Path, source: str, point: str, call: int
) -> None:
    events = counted(deployment, 25)
    arguments = ("rebuild", source, *(["--discard"] if source == "log" else []))
    program = interrupted(
        *arguments,
        marker=tmp_path / "killed",
        signal="SIGKILL",
        before=point,
        call=call,
        lease_seconds=BRIEF,
    )
    with command(deployment, tmp_path / "output", *program) as process:
        assert process.wait(120) == -signal.SIGKILL
    events += send(deployment, 29)
    deployment.start_worker()
    deployment.wait_until_rolled_up()
    assert deployment.rollups() == expected(events, tmp_path / "world"), "also without a repetition"
    assert not deployment.clickhouse.execute("SHOW TABLES LIKE '%_next_%'")
    stop_workers(deployment)
    done = pravah(deployment, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert deployment.rollups() == expected(events, tmp_path / "world")


@pytest.mark.parametrize(
    ("source", "point", "call"),
    [
        ("ledger", "sinks.migrate:Schema.exchange_tables", 1),
        ("log", "sinks.migrate:Schema.replace_rows", 3),
    ],
)
def test_a_rebuild_that_was_paused_beyond_its_lease_changes_nothing_more(
    deployment: Deployment, tmp_path: Path, source: str, point: str, call: int
) -> None:
    events = counted(deployment, 26)
    program = interrupted(
        *("rebuild", source, *(["--discard"] if source == "log" else [])),
        marker=tmp_path / "paused",
        signal="SIGSTOP",
        before=point,
        call=call,
        lease_seconds=BRIEF,
    )
    with command(deployment, tmp_path / "output", *program) as process:
        until(lambda: stopped(process), "it is paused")
        events += send(deployment, 27)
        deployment.start_worker()
        deployment.wait_until_rolled_up()
        assert deployment.rollups() == expected(events, tmp_path / "world")
        process.send_signal(signal.SIGCONT)
        assert process.wait(60) == 1, (tmp_path / "output").read_text(encoding="utf-8")
    assert read_lease(deployment.clickhouse, FIGURES).is_free
    events += send(deployment, 28)
    deployment.wait_until_rolled_up()
    assert deployment.rollups() == expected(events, tmp_path / "world")
