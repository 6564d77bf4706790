"""Reconcile compares a tool with the gateway, and repairs differences that no pull can see."""

import json
import random
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from cli.main import app
from producers.gateway.app import build
from producers.gateway.ingest import IngestService
from producers.pulls.reconcile import repair
from tests.support import oracle, small_world
from tests.support.deployment import Deployment
from tests.support.pull_world import (
    HOOK_HEADERS,
    START,
    TOOLS,
    VISIT,
    at_once,
    events_of,
    known,
    open_without_flushes,
    rolled_up,
    run_stand_in,
    shown,
    totals,
    write_source,
)
from tests.support.standins import Clock, people


@pytest.fixture(autouse=True)
def _without_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Power cuts are tested elsewhere."""
    monkeypatch.setattr("producers.outbox.file.open_file", open_without_flushes)


@pytest.fixture(scope="module")
def hierarchy(tmp_path_factory: pytest.TempPathFactory) -> oracle.Hierarchy:
    return oracle.Hierarchy.read(small_world.write(tmp_path_factory.mktemp("small")))


# --- reconcile


@pytest.mark.parametrize("tool", TOOLS)
def test_reconcile_finds_missing_older_and_extra_and_a_full_pull_resolves_them(
    tool: str, tmp_path: Path
) -> None:
    with run_stand_in(tool, tmp_path) as (stand_in, gateway, clock):
        at_once(stand_in)
        same, edited, deleted = (stand_in.submit(VISIT) for _ in range(3))
        clock.advance(60)
        gateway.pull(clock)
        clock.advance(3600)
        missing = stand_in.submit(VISIT)
        stand_in.edit(edited, VISIT._replace(posts=7))
        stand_in.delete(deleted)
        clock.advance(60)
        found = gateway.reconcile(clock)
        assert {one.state for one in found.differences} == {"pending"}
        assert found.is_equal
        clock.advance(7200)
        gateway.ingest.ingest_submissions(
            "field", [], cursor=json.dumps({"since": clock.now.isoformat()})
        )  # as if a pull had skipped them
        gateway.pull(clock)
        found = gateway.reconcile(clock)
        plain = {
            one.removeprefix("uuid:"): state
            for one, state in ((missing, "missing"), (edited, "older"), (deleted, "extra"))
        }
        assert {one.name: one.state for one in found.differences} == plain
        assert not found.is_equal
        assert [(counts.at_tool, counts.here) for counts in found.days.values()] == [(3, 2)]
        assert {one.day for one in found.differences if one.state != "extra"} == {date(2022, 5, 20)}
        gateway.pull(clock, from_beginning=True)
        assert gateway.reconcile(clock).differences == []
        assert known(gateway) == {one.removeprefix("uuid:") for one in (same, edited, missing)}


DELETE_UNSEEN = {
    "kobo": lambda tool, name: tool.delete(name),
    "odk": lambda tool, name: tool.purge(name),
    "commcare": lambda tool, name: tool.erase(name),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_deletions_that_no_pull_can_see_are_found_and_repaired(
    tool: str, tmp_path: Path, hierarchy: oracle.Hierarchy
) -> None:
    """A deletion older than KoboToolbox's history, a purge in ODK, an erased form of CommCare."""
    with run_stand_in(tool, tmp_path, **({"history_days": 1} if tool == "kobo" else {})) as (
        stand_in,
        gateway,
        clock,
    ):
        at_once(stand_in)
        _, gone = stand_in.submit(VISIT), stand_in.submit(VISIT)
        clock.advance(60)
        gateway.pull(clock)
        clock.advance(3600)
        DELETE_UNSEEN[tool](stand_in, gone)
        clock.advance(5 * 86_400)
        gateway.pull(clock, from_beginning=True)
        found = gateway.reconcile(clock)
        assert [(one.state, one.name) for one in found.differences] == [
            ("extra", gone.removeprefix("uuid:"))
        ]
        repair(gateway.ingest, found)
        assert found.repaired == 1
        assert gateway.reconcile(clock).differences == []
        assert totals(rolled_up(gateway.events())) == totals(
            oracle.figures(events_of(stand_in), hierarchy)
        )


def test_a_restored_submission_of_odk_which_has_no_date_is_found_and_repaired(
    tmp_path: Path, hierarchy: oracle.Hierarchy
) -> None:
    with run_stand_in("odk", tmp_path) as (stand_in, gateway, clock):
        at_once(stand_in)
        name = stand_in.submit(VISIT)
        clock.advance(60)
        stand_in.delete(name)
        clock.advance(60)
        gateway.pull(clock)
        stand_in.restore(name)
        clock.advance(3600)
        gateway.pull(clock)
        assert known(gateway) == set()
        clock.advance(3600)
        gateway.pull(clock)
        found = gateway.reconcile(clock)
        assert [one.state for one in found.differences] == ["missing"]
        repair(gateway.ingest, found)
        assert gateway.reconcile(clock).differences == []
        assert totals(rolled_up(gateway.events())) == totals(
            oracle.figures(events_of(stand_in), hierarchy)
        )


# --- with all services


def command(deployment: Deployment, tmp_path: Path, *words: str) -> tuple[int, str]:
    """Run `pravah gateway`; returns exit code and output."""
    environment = {**deployment.environment(), "PRAVAH_GATEWAY_SOURCES": str(tmp_path / "sources")}
    ran = CliRunner().invoke(app, ["gateway", *words], env=environment, catch_exceptions=False)
    return ran.exit_code, ran.output


def test_hooks_and_pulls_of_three_tools_give_their_submissions_through_kafka_and_a_worker(
    deployment: Deployment, tmp_path: Path, hierarchy: oracle.Hierarchy
) -> None:
    rng, clock = random.Random(7), Clock()
    tools = {tool: START[tool](clock, rng, hooks_dropped=0.1, page=50) for tool in TOOLS}
    settings = deployment.settings.model_copy(update={"gateway_sources": tmp_path / "sources"})
    deployment.start_worker()
    with ExitStack() as running:
        for tool, stand_in in tools.items():
            write_source(tmp_path, tool, running.enter_context(stand_in.running()), name=tool)

        def run_gateway(steps: int) -> None:
            with IngestService.open(settings) as ingest, TestClient(build(ingest)) as client:
                for _ in range(steps):
                    clock.advance(rng.choice([0.2, 40, 400]))
                    for tool, stand_in in tools.items():
                        people.act(stand_in, rng)
                        stand_in.send_hooks(
                            lambda body, tool=tool: (
                                client.post(
                                    f"/v1/hooks/{tool}/{tool}", content=body, headers=HOOK_HEADERS
                                ).status_code
                            )
                        )

        run_gateway(15)
        clock.advance(600)
        code, output = command(deployment, tmp_path, "reconcile", "kobo")
        assert (code, "--from-beginning" in output) == (1, True), output
        for tool in TOOLS:
            code, output = command(deployment, tmp_path, "pull", tool, "--json")
            assert code == 0, output
        run_gateway(15)
        clock.advance(600)
        for tool, stand_in in tools.items():
            code, output = command(deployment, tmp_path, "pull", tool)
            assert code == 0, output
            code, output = command(deployment, tmp_path, "reconcile", tool, "--json")
            assert (code, json.loads(output)["at_tool"]) == (
                0,
                len(stand_in.current_submissions()),
            ), output
        tools["odk"].purge(tools["odk"].current_submissions()[0].name)
        code, output = command(
            deployment, tmp_path, "reconcile", "odk", "--repair", "--yes", "--json"
        )
        assert (code, output.count('"state":"extra"'), "1 repaired" in output) == (0, 1, True), (
            output
        )
        code, output = command(deployment, tmp_path, "status", "--json")
        assert (code, json.loads(output)["outbox"]["rows"], set(json.loads(output)["pulls"])) == (
            0,
            0,
            set(TOOLS),
        ), output
    deployment.wait_until_rolled_up()
    expected = oracle.figures(
        [event for stand_in in tools.values() for event in events_of(stand_in)], hierarchy
    )
    assert shown(deployment.rollups()) == shown(expected)
    rows = deployment.clickhouse.execute(
        "SELECT toString(level), unit, metric, value, verified_value FROM totals"
    )
    assert {row[:3]: row[3:] for row in rows if row[3:] != (0, 0)} == totals(expected)
