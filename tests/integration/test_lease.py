"""A lease has one holder at a time, and statements with an older token fail."""

import threading
import time
from uuid import UUID

import pytest
from clickhouse_driver.errors import ServerException

import sinks.lease
from sinks.connection import connect
from sinks.lease import (
    FIGURES,
    FencedError,
    LeaseHeldError,
    hold_lease,
    is_stale,
    read_lease,
    token_comment,
    token_condition,
    wait_for_older_statements,
)
from sinks.migrate import Schema
from sinks.rebuild import hold_figures
from sinks.rollup_store import RollupStore
from tests.support.deployment import Deployment, until


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of one second that nobody renews."""
    monkeypatch.setattr(sinks.lease, "LEASE_SECONDS", 1)
    monkeypatch.setattr(sinks.lease, "_RENEW_SECONDS", 3600.0)


def test_of_processes_that_claim_at_once_at_most_one_succeeds(deployment: Deployment) -> None:
    clickhouse, holding, tokens = deployment.settings.clickhouse, [], []

    def claim() -> None:
        for _ in range(6):
            try:
                with hold_lease(clickhouse, FIGURES, "a test") as lease:
                    holding.append(lease.token)
                    tokens.append(lease.token)
                    assert holding == [lease.token], "another one holds it, too"
                    time.sleep(0.01)
                    holding.remove(lease.token)
            except LeaseHeldError:
                time.sleep(0.01)

    threads = [threading.Thread(target=claim) for _ in range(5)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not holding
    assert len(set(tokens)) == len(tokens) > 0, "no token is given twice"
    assert read_lease(deployment.clickhouse, FIGURES).is_free


def test_a_lease_that_is_held_is_refused_to_others_and_named(deployment: Deployment) -> None:
    clickhouse = deployment.settings.clickhouse
    with hold_lease(clickhouse, FIGURES, "a rebuild from the log"):
        with (
            pytest.raises(LeaseHeldError, match="a rebuild from the log is running"),
            hold_lease(clickhouse, FIGURES, "another"),
        ):
            pass
        assert read_lease(deployment.clickhouse, FIGURES).holder == "a rebuild from the log"
    with hold_lease(clickhouse, FIGURES, "another") as lease:
        assert lease.token == 2


@pytest.mark.usefixtures("brief")
def test_a_lease_that_is_not_renewed_is_taken_over_with_what_was_left(
    deployment: Deployment,
) -> None:
    clickhouse, client = deployment.settings.clickhouse, deployment.clickhouse
    with hold_lease(clickhouse, FIGURES, "the first") as first:
        first.enter_stage("emptying")
        until(lambda: read_lease(client, FIGURES).interrupted, "it expires", 5)
        first.renew()
        assert not read_lease(client, FIGURES).interrupted, "nobody has taken it over yet"
        until(lambda: read_lease(client, FIGURES).interrupted, "it expires", 5)
        with hold_lease(clickhouse, FIGURES, "the second") as second:
            assert second.stage == "emptying"
            with pytest.raises(FencedError, match="another one has taken over"):
                first.renew()
            with pytest.raises(FencedError):
                first.check()
        assert read_lease(client, FIGURES).interrupted, "the second one has not finished either"
    with hold_lease(clickhouse, FIGURES, "the third") as third:
        third.enter_stage("")
    assert read_lease(client, FIGURES) == (third.token, None, False, "")


def test_a_store_writes_with_the_token_that_it_began_with_alone(deployment: Deployment) -> None:
    clickhouse = deployment.settings.clickhouse
    stores = [RollupStore(clickhouse, threading.Event()) for _ in range(2)]

    def rejected(offset: int) -> list[tuple]:
        now = time.time_ns() // 1_000_000
        return [(1, offset, 0, UUID(int=1), "CG", "unknown_unit", "", now)]

    stores[0].write(rejected=rejected(1))
    stores[0].closed_offsets()
    with hold_lease(clickhouse, FIGURES, "a rebuild") as lease:
        own = RollupStore(clickhouse, threading.Event(), token=lease.token)
        own.write(rejected=rejected(2))
        with pytest.raises(FencedError, match="a rebuild holds the figures"):
            stores[1].write(rejected=rejected(3))
        own.close()
    with pytest.raises(FencedError, match="the figures were rebuilt"):
        stores[0].write(rejected=rejected(4))
    with pytest.raises(FencedError, match="the figures were rebuilt"):
        stores[0].closed_offsets()
    stores[1].write(rejected=rejected(5))
    for store in stores:
        store.close()
    assert deployment.clickhouse.execute(
        "SELECT groupArray(offset) FROM (SELECT offset FROM rejected_records ORDER BY offset)"
    ) == [([1, 2, 5],)]


def test_statements_that_began_with_an_older_token_are_waited_for(deployment: Deployment) -> None:
    clickhouse = deployment.settings.clickhouse
    schema = Schema(clickhouse.database, clickhouse.cluster)
    ended: list[float] = []

    def sleep(comment: str) -> None:
        with connect(clickhouse, "writer", log_comment=comment) as client:
            client.execute("SELECT sleep(2)")
        ended.append(time.monotonic())

    mine = "SELECT count() FROM system.processes WHERE Settings['log_comment'] != ''"
    with hold_lease(clickhouse, FIGURES, "a test") as lease:
        comments = (
            token_comment(clickhouse.database, figures=0, repairs=9),
            token_comment("another", figures=0),
            token_comment(clickhouse.database, figures=lease.token),
        )
        for comment, waits in zip(comments, (True, False, False), strict=True):
            ended.clear()
            thread = threading.Thread(target=sleep, args=(comment,))
            thread.start()
            until(lambda: deployment.clickhouse.execute(mine)[0][0], "it runs", 5)
            wait_for_older_statements(deployment.clickhouse, schema, lease)
            assert bool(deployment.clickhouse.execute(mine)[0][0]) != waits, comment
            thread.join()


@pytest.mark.usefixtures("brief")
def test_a_statement_of_an_interrupted_rebuild_finds_its_tables_gone(
    deployment: Deployment,
) -> None:
    clickhouse = deployment.settings.clickhouse
    with hold_figures(clickhouse, "a rebuild") as hold:
        table = f"journal_next_{hold.lease.token}"
        hold.client.execute(hold.schema.create_table_like(table, "journal")[0])
        until(lambda: read_lease(deployment.clickhouse, FIGURES).interrupted, "it expires", 5)
        with hold_figures(clickhouse, "the next one"):
            pass
        with pytest.raises(ServerException, match="doesn't exist"):
            hold.client.execute(hold.schema.exchange_tables("journal", table))
        with pytest.raises(ServerException) as failed:
            hold.client.execute(f"SELECT 1 WHERE {token_condition(FIGURES, hold.lease.token)}")
        assert is_stale(failed.value)
