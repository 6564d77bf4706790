"""Reconciling pulls: after a pull, the figures are those of the submissions at the tool.

Hooks are lost, repeated and out of order before.
"""

import asyncio
import json
import os
import random
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from cli.main import app
from producers.gateway.app import build
from producers.gateway.ingest import IngestService
from producers.gateway.registry import UnitChecker
from producers.gateway.sources import FieldSource, FieldSourcesError, read_field_sources
from producers.gateway.store import Store
from producers.gateway.telemetry import Telemetry
from producers.outbox import open_file
from producers.pulls import schedule as schedule_module
from producers.pulls.options import find_config_errors, open_paginator
from producers.pulls.pagination import PullError
from producers.pulls.pull import pull
from producers.pulls.reconcile import reconcile, repair
<<<<<<< HEAD
from producers.pulls.schedule import PullScheduler
from rollup.validation import Validator
=======
from producers.pulls.schedule import Schedule
from rollup.engine import RollupEngine
>>>>>>> af7dc44 (Worker: one AssignedPartition per assignment, RollupEngine as the core's entry point; prose and names of the core and the shell)
from streams.worker import Worker
from tests.support import oracle, small_world
from tests.support.deployment import Deployment, until
from tests.support.memory_store import MemoryStore
from tests.support.standins import Answers, Clock, CommCare, Kobo, Odk, commcare, kobo, odk, people
from tests.support.standins.server import Request, Response, StandIn

# Random histories per tool, and actions per history; raise them for a long run.
SEEDS, STEPS = int(os.environ.get("PULL_SEEDS", "4")), int(os.environ.get("PULL_STEPS", "60"))

TOOLS = ["kobo", "odk", "commcare"]
MAPPING = """
[unit]
field = "visit/unit"

[occurred_at]
field = "visit/at"

[[event]]
part = "posts"
kind = "social_post"
constants = { platform = "facebook" }
fields.posts = { field = "visit/posts", type = "integer" }

[[event]]
part = "volunteers"
kind = "tally"
when = { field = "visit/volunteers" }
constants = { metric = "volunteers" }
fields.value = { field = "visit/volunteers", type = "integer" }

[[event]]
part = "group"
kind = "messaging_group"
repeat = "groups"
fields.group_type = { field = "type" }
fields.members = { field = "members", type = "integer" }
"""
PULLS = {
    "kobo": f'asset = "{kobo.ASSET}"',
    "odk": f'project = {odk.PROJECT}\nuser = "{odk.USER}"',
    "commcare": (
        f'domain = "{commcare.DOMAIN}"\nuser = "{commcare.USER}"\nxmlns = "{commcare.XMLNS}"'
    ),
}
FORMS = {"kobo": kobo.FORM, "odk": odk.FORM, "commcare": commcare.XMLNS}
TOKENS = {"kobo": kobo.TOKEN, "odk": odk.PASSWORD, "commcare": commcare.KEY}
HOOK_SECRET = "a-secret-of-the-hook"
HOOK_HEADERS = {"X-Secret": HOOK_SECRET, "Content-Type": "application/json"}
START: dict[str, Callable[..., StandIn]] = {"kobo": Kobo, "odk": Odk, "commcare": CommCare}


@pytest.fixture(autouse=True)
def _without_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Power cuts are tested elsewhere; here flushes to disk would take most of the time."""

    def unflushed(path: Path) -> sqlite3.Connection:
        connection = open_file(path)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    monkeypatch.setattr("producers.outbox.file.open_file", unflushed)


def write_source(
    folder: Path, tool: str, url: str, *, name: str = "field", **changes: str
) -> FieldSource:
    """Write a source's file, with its mapping and secrets."""
    sources = folder / "sources"
    sources.mkdir(exist_ok=True)
    (folder / "visit").write_text(MAPPING, encoding="utf-8")
    (folder / "hook").write_text(HOOK_SECRET, encoding="utf-8")
    (folder / f"{name}.token").write_text(changes.get("token", TOKENS[tool]), encoding="utf-8")
    text = f"""
        tool = "{tool}"
        check = {{ kind = "header", header = "X-Secret", secret_file = "../hook" }}
        forms = {{ "{FORMS[tool]}" = "../visit" }}
        [pull]
        url = "{url}"
        every = "{changes.get("every", "15m")}"
        token_file = "../{name}.token"
        {changes.get("pull", PULLS[tool])}
        """
    (sources / f"{name}.toml").write_text(text, encoding="utf-8")
    return read_field_sources(sources)[name]


class Gateway:
    """The gateway's store and ingest service, without Kafka; it can be restarted."""

    def __init__(self, file: Path, source: FieldSource) -> None:
        self._file, self.source = file, source
        self.open()

    def open(self) -> None:
        self.store = Store(self._file)
        units = UnitChecker({}, max_future_hours=24)
        units.set_registry(small_world.registry())
        self.ingest = IngestService(
            self.store, {self.source.name: self.source}, units, lambda _: None
        )

    def restart(self) -> None:
        self.store.close()
        self.open()

    def hook(self, body: bytes) -> int:
        """Ingest a hook's body; returns the HTTP status."""
        result = self.ingest.ingest_body(self.source, body, {}).result()
        assert not result.refusals, result.refusals
        return 200

    def pull(self, clock: Clock, **options: object):
        return pull(self.ingest, self.source, sleep=clock.advance, **options)

    def reconcile(self, clock: Clock):
        return reconcile(self.ingest, self.source, sleep=clock.advance)

    def events(self) -> list[dict]:
        """The events in the outbox, in order."""
        with self.store.open_read_only() as connection:
            return [
                json.loads(value)
                for (value,) in connection.execute("SELECT value FROM outbox ORDER BY seq")
            ]


@contextmanager
def run_stand_in(
    tool: str, tmp_path: Path, **options: object
) -> Iterator[tuple[StandIn, Gateway, Clock]]:
    """Run a tool's stand-in, and a gateway with a source for it."""
    clock = Clock()
    rng = options.pop("rng", random.Random(1))
    stand_in = START[tool](clock, rng, **options)
    with stand_in.running() as url:
        gateway = Gateway(tmp_path / "gateway.sqlite", write_source(tmp_path, tool, url))
        try:
            yield stand_in, gateway, clock
        finally:
            gateway.store.close()


@pytest.fixture(scope="module")
def hierarchy(tmp_path_factory: pytest.TempPathFactory) -> oracle.Hierarchy:
    return oracle.Hierarchy.read(small_world.write(tmp_path_factory.mktemp("small")))


def events_of(stand_in: StandIn) -> list[dict]:
    """The events of the submissions at a tool, each with an entity of its own.

    They are made from the stand-in's state, by none of the gateway's code.
    """
    found = []
    for one in stand_in.current_submissions():
        unit, at, posts, volunteers, groups = one.answers
        parts = [("social_post", {"platform": "facebook", "posts": posts})]
        parts += (
            [] if volunteers is None else [("tally", {"metric": "volunteers", "value": volunteers})]
        )
        parts += [
            ("messaging_group", {"group_type": kind, "members": members})
            for kind, members in groups
        ]
        for number, (kind, data) in enumerate(parts):
            found.append(
                {
                    "event_id": "",
                    "entity": f"{one.name}/{number}",
                    "unit": unit,
                    "kind": kind,
                    "occurred_at": at,
                    "verification": one.verification,
                    "data": data,
                }
            )
    return found


def shown(figures: oracle.Figures) -> oracle.Figures:
    """Figures without rows of an empty flow or an unchanged stock.

    Such rows remain where something was reported once.
    """
    days = defaultdict(list)
    for (day, *cell), value in figures.items():
        days[tuple(cell)].append((day, value))
    found = {}
    for (level, unit, metric), values in days.items():
        before = (0, 0)
        for day, value in sorted(values):
            if value != before:
                found[day, level, unit, metric] = value
            before = value if metric in oracle.STOCKS else (0, 0)
    return found


def totals(figures: oracle.Figures) -> dict[tuple, oracle.Figure]:
    """(level, unit, metric) → figure to date, without zeros."""
    found: dict[tuple, oracle.Figure] = {}
    for (_, *cell), (value, verified) in sorted(figures.items(), key=lambda item: item[0][0]):
        before = found.get(tuple(cell), (0, 0)) if cell[2] not in oracle.STOCKS else (0, 0)
        found[tuple(cell)] = (before[0] + value, before[1] + verified)
    return {cell: figure for cell, figure in found.items() if figure != (0, 0)}


class Record:
    def __init__(self, offset: int, event: dict) -> None:
        self.offset, self.timestamp, self.key, self.value = (
            offset,
            1_700_000_000_000,
            oracle.routing_key(event["unit"]).encode(),
            json.dumps(event).encode(),
        )


def rolled_up(events: list[dict]) -> oracle.Figures:
    """The figures of a log with these events, by a worker with a store in memory."""
    store = MemoryStore()

    async def send(outgoing) -> None:
        details = [rejected.detail for one in outgoing for rejected in one.rejected]
        assert not details, details[:3]

    async def run() -> None:
        engine = RollupEngine(
            small_world.registry(),
            small_world.dictionary(),
            partition_of=lambda _: 0,
            max_future_hours=24,
            chunk_size=1000,
        )
        worker = Worker(engine, storage=store, writer=store, send=send, commit=lambda *_: None)
        records = [Record(offset, event) for offset, event in enumerate(events)]
        for first in range(0, len(records), 1000):
            await worker.process(0, records[first : first + 1000])
        await worker.flush()
        worker.stop()

    asyncio.run(run())
    return store.figures(oracle.STOCKS)


class KilledError(Exception):
    """The process was killed."""


def raise_killed(_: object) -> None:
    raise KilledError


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("tool", TOOLS)
def test_after_the_pulls_the_figures_are_those_of_the_submissions_at_the_tool(
    tool: str, seed: int, tmp_path: Path, hierarchy: oracle.Hierarchy
) -> None:
    """Random faults do not change the figures.

    A tenth of the hooks are lost, a tenth arrive twice, many late and out of order. Responses fail,
    pages are small, submissions change meanwhile, pulls are killed, the gateway restarts.
    """
    rng = random.Random(f"{tool} {seed}")
    options = {"trouble": 0.1, "hooks_lost": 0.1, "page": rng.choice([2, 5, 50])}
    with run_stand_in(tool, tmp_path, rng=rng, **options) as (stand_in, gateway, clock):

        def meanwhile(_: Request) -> None:
            if rng.random() < 0.2:
                clock.advance(rng.choice([0, 0.3, 20]))
                people.act(stand_in, rng)

        stand_in.before = meanwhile
        for _ in range(STEPS):
            clock.advance(rng.choice([0, 0, 0.2, 1, 40, 400]))
            people.act(stand_in, rng)
            if rng.random() < 0.5:
                is_down = rng.random() < 0.1
                stand_in.send_hooks(
                    lambda _: 503 if is_down else 200  # noqa: B023
                ) if is_down else stand_in.send_hooks(gateway.hook)
            if rng.random() < 0.08:
                try:
                    gateway.pull(
                        clock,
                        **rng.choice(
                            [{}, {}, {"on_progress": raise_killed}, {"from_beginning": True}]
                        ),
                    )
                except KilledError:
                    gateway.restart()
        stand_in.before = lambda _: None
        clock.advance(600)
        gateway.pull(clock)
        stand_in.send_hooks(
            gateway.hook, all_of_them=True
        )  # the last of them arrive days later, and change nothing
        expected = oracle.figures(events_of(stand_in), hierarchy)
        figures = rolled_up(gateway.events())
        assert totals(figures) == totals(expected)
        assert shown(figures) == shown(expected)
        found = gateway.reconcile(clock)
        assert found.is_equal, found.differences
        assert found.at_tool == found.here == len(stand_in.current_submissions())
        assert not any(
            TOKENS[tool] in f"{request.path}{request.query}" for request in stand_in.requests
        ), "a credential is in a URL"


# --- pagination


def at_once(stand_in: StandIn) -> None:
    """Let every change be visible at once."""
    stand_in.late = lambda: stand_in.clock.now


def known(gateway: Gateway) -> set[str]:
    return {one.name for one in gateway.store.known_submissions("field") if not one.deleted}


def names_at(stand_in: StandIn) -> set[str]:
    return {one.name.removeprefix("uuid:") for one in stand_in.current_submissions()}


VISIT = Answers("CG-AC001-B0001", f"{small_world.on(3)}T10:00:00+05:30", 1, None, ())


@pytest.mark.parametrize("tool", TOOLS)
def test_changes_between_two_pages_hide_no_submission_and_are_in_the_next_pull(
    tool: str, tmp_path: Path
) -> None:
    with run_stand_in(tool, tmp_path, page=2) as (stand_in, gateway, clock):
        at_once(stand_in)
        submitted = []
        for _ in range(7):
            clock.advance(1)
            submitted.append(stand_in.submit(VISIT))
        clock.advance(60)
        requests = []

        def meanwhile(request: Request) -> None:
            requests.append(request)
            if len(requests) == 2:  # the first page was read
                stand_in.edit(submitted[0], VISIT)
                stand_in.delete(submitted[1])
                stand_in.edit(submitted[-1], VISIT)
            clock.advance(600)  # pages are slow: a change is old when the pull ends

        stand_in.before = meanwhile
        gateway.pull(clock)
        assert known(gateway) >= names_at(stand_in)
        clock.advance(60)
        gateway.pull(clock)
        assert gateway.reconcile(clock).differences == []


def test_an_edit_in_the_second_of_its_submission_is_a_later_state_at_kobotoolbox(
    tmp_path: Path,
) -> None:
    with run_stand_in("kobo", tmp_path) as (stand_in, gateway, clock):
        at_once(stand_in)
        name = stand_in.submit(VISIT)
        stand_in.send_hooks(gateway.hook, all_of_them=True)
        clock.advance(0.2)
        stand_in.edit(name, VISIT._replace(posts=5))
        clock.advance(0.2)
        stand_in.edit(name, VISIT._replace(posts=9))
        clock.advance(60)
        gateway.pull(clock)
        assert [event["data"]["posts"] for event in gateway.events()] == [1, 9]


def test_more_forms_at_one_instant_than_a_page_of_commcare_are_all_fetched(
    tmp_path: Path,
) -> None:
    with run_stand_in("commcare", tmp_path, page=2) as (stand_in, gateway, clock):
        at_once(stand_in)
        stand_in._put = lambda name, form: stand_in._forms[name].put(
            clock.now, {**form, "modified": clock.now, "indexed": clock.now}
        )
        for _ in range(7):
            stand_in.submit(VISIT)
        clock.advance(60)
        gateway.pull(clock)
        assert known(gateway) == names_at(stand_in)


def test_a_page_token_of_odk_whose_row_was_purged_restarts_the_pull(tmp_path: Path) -> None:
    with run_stand_in("odk", tmp_path, page=2) as (stand_in, gateway, clock):
        at_once(stand_in)
        submitted = []
        for _ in range(6):
            clock.advance(1)
            submitted.append(stand_in.submit(VISIT))
        requests = []

        def meanwhile(request: Request) -> None:
            requests.append(request)
            if len(requests) == 2:  # the token names the second newest row
                stand_in.purge(submitted[-2])

        stand_in.before = meanwhile
        gateway.pull(clock)
        assert known(gateway) == names_at(stand_in) | {submitted[-2].removeprefix("uuid:")}
        assert [one.state for one in gateway.reconcile(clock).differences] == ["extra"]


def test_retry_after_is_honoured(tmp_path: Path) -> None:
    with run_stand_in("odk", tmp_path, trouble=1.0) as (stand_in, gateway, _):
        pauses = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            stand_in.trouble = 1.0 if len(pauses) < 5 else 0.0

        pull(gateway.ingest, gateway.source, sleep=sleep)
        assert {5.0, 7.0} & set(pauses), pauses
        assert len(pauses) == 5


# --- errors


PULL_ERRORS = {
    "wrong token": (
        "odk",
        {"token": "not-the-password"},
        "answers 401: the credentials are wrong; correct token_env or token_file",
    ),
    "no right to the history": (
        "kobo",
        {"token": kobo.TOKEN_WITHOUT_HISTORY},
        "/history/ answers 403: the account may not read this",
    ),
    "no such asset": (
        "kobo",
        {"pull": 'asset = "another"'},
        "answers 404: there is no such form for this account",
    ),
    "another name of the form": (
        "kobo",
        {"pull": f'asset = "{kobo.ASSET}"\nform = "other"'},
        f'say form = "{kobo.FORM}" in [pull]',
    ),
    "another server": (
        "commcare",
        {"answer": "<html>Welcome</html>"},
        "answers with no JSON object; is this the tool's API?",
    ),
    "another API": ("commcare", {"answer": "{}"}, "the answer has no 'objects'"),
    "rows without names": (
        "odk",
        {"answer": '{"value": [1]}'},
        "an object in 'value' has no '__id'",
    ),
    "it moved": ("kobo", {"status": "302"}, "answers 302: the tool is elsewhere"),
    "never well": (
        "odk",
        {"status": "503"},
        "takes no requests now: it answers 503; the next pull tries again",
    ),
    "nobody there": ("odk", {"url": "http://127.0.0.1:9"}, "cannot be reached: ConnectError"),
}


@pytest.mark.parametrize("case", PULL_ERRORS)
def test_a_failed_pull_raises_one_line_and_records_it_for_the_status(
    case: str, tmp_path: Path
) -> None:
    tool, changes, expected = PULL_ERRORS[case]
    changes = dict(changes)
    with run_stand_in(tool, tmp_path) as (stand_in, gateway, clock):
        stand_in.submit(VISIT)
        clock.advance(600)
        if {"answer", "status"} & changes.keys():
            stand_in.get = lambda _: Response(
                int(changes.get("status", 200)),
                changes.get("answer", ""),
                (("Location", "http://elsewhere.example.org/"),),
            )
        source = write_source(
            tmp_path, tool, changes.pop("url", gateway.source.pull.url), **changes
        )
        with pytest.raises(PullError) as error:
            pull(gateway.ingest, source, sleep=clock.advance)
        assert expected in str(error.value)
        assert "\n" not in str(error.value)
        assert (tmp_path / "field.token").read_text() not in str(error.value)
        assert gateway.store.pull_states()["field"].trouble == str(error.value)
        assert gateway.store.pull_states()["field"].succeeded_at is None


def test_every_error_in_pull_options_is_reported_at_once(tmp_path: Path) -> None:
    write_source(tmp_path, "kobo", "http://kf", name="a", pull='asset = "a b"\nassets = 3')
    write_source(tmp_path, "odk", "http://odk", name="b", pull="project = 0")
    sources = list(read_field_sources(tmp_path / "sources").values())
    findings = find_config_errors(sources)
    assert [finding.split(": ")[:3] for finding in findings] == [
        ["a.toml", "[pull]", "asset"],
        ["a.toml", "[pull]", "assets"],
        ["b.toml", "[pull]", "project"],
        ["b.toml", "[pull]", "user"],
    ]
    with pytest.raises(PullError, match=r"a\.toml: \[pull\]: asset"), open_paginator(sources[0]):
        pass


def test_an_unmappable_submission_is_refused_and_the_others_are_accepted(
    tmp_path: Path,
) -> None:
    with run_stand_in("kobo", tmp_path) as (stand_in, gateway, clock):
        at_once(stand_in)
        wrong = stand_in.submit(VISIT._replace(unit="CG-AC999"))
        right = stand_in.submit(VISIT)
        clock.advance(3600)
        pulled = gateway.pull(clock)
        assert (pulled.accepted, [(one.name, reason) for one, reason, _ in pulled.refused]) == (
            1,
            [(wrong, "unmappable")],
        )
        assert known(gateway) == {right}
        assert [(one.state, one.name) for one in gateway.reconcile(clock).differences] == [
            ("refused", wrong)
        ]
        stand_in.edit(wrong, VISIT)
        clock.advance(3600)
        gateway.pull(clock)
        assert gateway.reconcile(clock).is_equal


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


# --- scheduled pulls


def test_the_scheduler_pulls_at_once_then_at_intervals_and_soon_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule_module, "_RETRY_INTERVAL_S", 0.02)
    with run_stand_in("kobo", tmp_path) as (stand_in, gateway, clock):
        at_once(stand_in)
        respond = stand_in.get
        stand_in.get = lambda _: Response(401, {})
        gateway.source = write_source(tmp_path, "kobo", gateway.source.pull.url, every="1s")
        gateway.restart()
        schedule = PullScheduler(gateway.ingest)
        schedule.start()
        until(
            lambda: (state := gateway.store.pull_states().get("field")) and "401" in state.trouble,
            "the failure is recorded",
        )
        assert b'pravah_gateway_pull_trouble{source="field"} 1.0' in Telemetry().exposition(
            gateway.ingest
        )
        stand_in.get = respond
        name = stand_in.submit(VISIT)
        until(lambda: known(gateway) == {name}, "the next pull fetches it")
        until(
            lambda: (
                (state := gateway.store.pull_states()["field"]).succeeded_at and not state.trouble
            ),
            "the status has recovered",
        )
        assert b'pravah_gateway_pull_trouble{source="field"} 0.0' in Telemetry().exposition(
            gateway.ingest
        )
        with stand_in.lock:
            clock.advance(30)
            other = stand_in.submit(VISIT)
        until(lambda: known(gateway) == {name, other}, "it pulls again after the interval")
        schedule.stop()
        requests = len(stand_in.requests)
        assert not [thread for thread in threading.enumerate() if thread.name == "pull-field"]
        assert len(stand_in.requests) == requests


def test_the_scheduler_stops_during_a_retry_after(tmp_path: Path) -> None:
    with run_stand_in("kobo", tmp_path) as (stand_in, gateway, _):
        stand_in.get = lambda _: Response(429, {}, (("Retry-After", "100"),))
        schedule = PullScheduler(gateway.ingest)
        schedule.start()
        until(lambda: stand_in.requests, "it sent a request")
        schedule.stop()
        until(
            lambda: not [thread for thread in threading.enumerate() if thread.name == "pull-field"],
            "its thread ends",
            5,
        )


def test_a_gateway_does_not_start_with_invalid_pull_options(tmp_path: Path) -> None:
    with run_stand_in("kobo", tmp_path) as (_, gateway, _):
        gateway.source = write_source(tmp_path, "kobo", "http://kf", pull="")
        gateway.restart()
        with pytest.raises(
            FieldSourcesError, match=r"field\.toml: \[pull\]: asset: Field required"
        ):
            PullScheduler(gateway.ingest)


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
    tools = {tool: START[tool](clock, rng, hooks_lost=0.1, page=50) for tool in TOOLS}
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
