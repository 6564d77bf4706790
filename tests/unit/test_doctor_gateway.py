"""The doctor on a gateway's file: each fault is found, and no longer once it is corrected."""

import fcntl
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from doctor import Check, diagnose, gather
from doctor.facts.gateway import gather_gateway
from pravah.settings import KafkaSettings, Settings
from schemas.entries import encode_entries
from schemas.registry import Registry
from sinks.deployment import REGISTRY
from tests.support import small_world
from tests.support.doctor_facts import TABLES, facts, wrong
from tests.support.gateway_world import BEARER, World, event, gateway, source, write_sources

SOURCES = {"script": source("events", "bearer"), "kobo-all": source("kobo", "header")}
MINUTE = 60.0
AWAY = KafkaSettings(bootstrap_servers="127.0.0.1:1")


class Home:
    """A home on which a gateway runs, and what the doctor finds about it."""

    def __init__(self, home: Path, world: World) -> None:
        self.world, self.sources = world, home / "gateway" / "sources"
        self.file = home / "gateway" / "gateway.sqlite"
        self.settings = Settings(home=home, gateway_sources=self.sources)

    def findings(self, **changes: object) -> list[Check]:
        gathered = gather_gateway(self.settings.model_copy(update=changes))
        fingerprint = small_world.registry().fingerprint()
        well = facts(
            settings=self.settings.model_copy(update=changes),
            gateway_or_reason=gathered,
            tables_or_reason=replace(TABLES, deployment={REGISTRY: fingerprint}),
        )
        return [
            check
            for check in wrong(diagnose(well))
            if check.area == "gateway" and check.name != "disk"  # the disk is this machine's
        ]

    def execute(self, statement: str, *parameters: object) -> None:
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute(statement, parameters)

    def set_registry(self, registry: Registry) -> None:
        entries = encode_entries(registry)
        store = self.world.ingest.store
        store.submit(lambda transaction: transaction.save_registry(entries)).result()

    def post(self, *events: object) -> None:
        answer = self.world.client.post("/v1/events", json=list(events), headers=BEARER)
        assert answer.status_code < 500
        self.world.counts()  # writes what is counted in memory


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    folder = tmp_path / "gateway"
    folder.mkdir()
    with gateway(folder, SOURCES) as world, (folder / "gateway.sqlite.forwarder").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as the relay of a running gateway holds it
        found = Home(tmp_path, world)
        found.set_registry(small_world.registry())
        yield found


def test_a_gateway_that_is_well_has_no_finding(home: Home) -> None:
    assert home.findings() == []
    home.post(event())
    assert home.findings() == []
    file = gather_gateway(home.settings).file
    assert file is not None
    assert file.status.outbox.rows == 1
    assert file.registry_fingerprint == small_world.registry().fingerprint()
    assert file.is_running


def test_a_missing_secret_is_found_until_it_is_there(home: Home) -> None:
    secret = home.sources / "one.secret"
    kept = secret.read_text(encoding="utf-8")
    secret.unlink()
    found = home.findings()
    assert [(check.name, check.verdict) for check in found] == [("sources", "failure")]
    assert "script.toml: [check]: the file one.secret cannot be read" in found[0].found
    assert kept not in repr(found)
    secret.write_text(kept, encoding="utf-8")
    assert home.findings() == []


@pytest.mark.parametrize("text", ["occurred_at = ", 'occurred_at = {field = "start"}', None])
def test_a_mapping_that_cannot_be_read_is_found_until_it_is_repaired(
    home: Home, text: str | None
) -> None:
    mapping = home.sources / "mappings" / "form.toml"
    if text is None:
        mapping.unlink()
    else:
        mapping.write_text(text, encoding="utf-8")
    [found] = home.findings()
    assert (found.name, found.verdict) == ("sources", "failure")
    assert "kobo-all.toml: " in found.found
    assert "form.toml" in found.found
    write_sources(home.sources, SOURCES)
    assert home.findings() == []


def test_a_body_that_was_refused_is_found_until_it_is_dropped(home: Home) -> None:
    home.post(event(unit="CG-AC999-B0001"))
    [found] = home.findings()
    assert (found.name, found.verdict) == ("refused bodies", "warning")
    assert found.found.startswith("1 refused bodies wait to be repaired (script 1)")
    [number] = [row[0] for row in _rows(home.file, "SELECT id FROM archive")]
    home.world.ingest.store.submit(
        lambda transaction: transaction.archive.drop(number, "")
    ).result()
    assert home.findings() == []


def test_a_backlog_that_is_old_is_found_until_it_was_sent(home: Home) -> None:
    home.post(event())
    home.execute("UPDATE outbox SET at = at - 300")
    home.execute("UPDATE outbox_state SET trouble = 'ProducerError: no Kafka'")
    [found] = home.findings()
    assert (found.name, found.verdict) == ("outbox", "warning")
    assert "the oldest for 5 minutes: ProducerError: no Kafka" in found.found
    home.execute("DELETE FROM outbox")  # as the relay does
    home.execute("UPDATE outbox_state SET rows = 0, bytes = 0, trouble = ''")
    assert home.findings() == []


def test_an_outbox_that_is_nearly_full_is_found_until_the_limit_is_raised(home: Home) -> None:
    home.post(*(event() for _ in range(8)))
    [found] = home.findings(outbox_rows=10)
    assert (found.name, found.verdict) == ("outbox", "warning")
    [found] = home.findings(outbox_rows=8)
    assert (found.name, found.verdict) == ("outbox", "failure")
    assert "PRAVAH_OUTBOX_ROWS" in found.remedy
    assert home.findings(outbox_rows=11) == []


def test_an_archive_at_its_limit_is_found_until_the_limit_is_raised(home: Home) -> None:
    home.post(event())
    size = gather_gateway(home.settings).file.status.archive_bytes
    assert size > 0
    [found] = home.findings(gateway_archive_bytes=size)
    assert (found.name, found.verdict) == ("archive", "warning")
    assert "PRAVAH_GATEWAY_ARCHIVE_BYTES" in found.remedy
    assert home.findings(gateway_archive_bytes=2 * size) == []


def test_a_silent_source_is_found_until_it_sends_again(home: Home) -> None:
    home.post(event())
    last = int(time.time() // MINUTE) - 500
    for number in range(8):
        minute = last - 10 * number
        home.execute("INSERT OR IGNORE INTO deliveries VALUES ('script', ?)", minute)
    home.execute("DELETE FROM deliveries WHERE minute > ?", last)
    home.execute("UPDATE counts SET at = ? WHERE source = 'script'", last * MINUTE)
    [found] = home.findings()
    assert (found.name, found.verdict) == ("silent sources", "warning")
    assert "script for 8 hours (usually every 10 minutes)" in found.found
    home.post(event())
    assert home.findings() == []


def test_a_pull_that_failed_is_found_until_one_succeeds(home: Home) -> None:
    home.execute("INSERT INTO pulls VALUES ('kobo-all', NULL, 1.0, '401 Unauthorized')")
    [found] = home.findings()
    assert (found.name, found.found) == (
        "pulls",
        "the last pull failed: kobo-all: 401 Unauthorized",
    )
    home.execute("UPDATE pulls SET succeeded_at = 2.0, trouble = ''")
    assert home.findings() == []


def test_an_outdated_registry_is_found_until_the_gateway_reads_the_one_in_force(home: Home) -> None:
    units = small_world.registry().units
    home.set_registry(Registry(unit for code, unit in units.items() if code != "CG-AC002-B0005"))
    [found] = home.findings()
    assert (found.name, found.verdict) == ("gateway's registry", "warning")
    assert f"in force is {small_world.registry().fingerprint()}" in found.found
    home.set_registry(small_world.registry())
    assert home.findings() == []


def test_a_gateway_that_does_not_run_is_found_and_a_failure_if_events_wait(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    with gateway(tmp_path / "gateway", SOURCES) as world:
        home = Home(tmp_path, world)
        home.set_registry(small_world.registry())
        [found] = home.findings()
        assert (found.name, found.verdict) == ("running", "warning")
        home.post(event())
        [found] = home.findings()
        assert (found.name, found.verdict) == ("running", "failure")
        assert "1 accepted events wait for Kafka" in found.found


def test_a_file_that_is_no_gateways_is_reported_and_not_raised(tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    folder.mkdir()
    (folder / "gateway.sqlite").write_bytes(b"not a database, but long enough to be read as one")
    found = gather(
        Settings(home=tmp_path, kafka=AWAY, gateway_sources=tmp_path / "none"), embedded=True
    ).gateway_or_reason
    assert isinstance(found, str)
    assert found.startswith("the gateway's file cannot be read")


def test_a_file_that_only_an_import_has_used_is_no_gateway(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    with gateway(tmp_path / "gateway", SOURCES):
        pass
    assert gather_gateway(Settings(home=tmp_path, gateway_sources=tmp_path / "none")).file is None


def _rows(file: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()
