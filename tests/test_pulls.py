"""Reconciling pulls: whatever hooks lost, repeated and mixed up, after a pull the figures are those of what stands at the tool."""

import asyncio
import json
import os
import random
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import oracle
import pytest
import small_world
from conftest import Deployment, until
from fastapi.testclient import TestClient
from memory_store import MemoryStore
from pydantic import SecretStr
from standins import Answers, Clock, CommCare, Kobo, Odk, commcare, kobo, odk, people
from standins.server import Ask, StandIn
from typer.testing import CliRunner

from producers.gateway.reception import Reception
from producers.gateway.store import Store, StoreBusyError
from producers.gateway.units import Units
from producers.outbox import open_file
from producers.pulls import schedule as schedules
from producers.pulls.pull import pull, pull_findings, walking
from producers.pulls.reconcile import reconcile, repair
from producers.pulls.schedule import Schedule
from producers.pulls.walk import PullError
from settings.field_sources import FieldSource, FieldSourcesError, field_sources
from streams.admission import Admission
from streams.worker import Worker

SEEDS, STEPS = int(os.environ.get("PULL_SEEDS", "4")), int(os.environ.get("PULL_STEPS", "60"))
"""Random histories of each tool, and what people do in each; more in a long run by hand."""

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
    "commcare": f'domain = "{commcare.DOMAIN}"\nuser = "{commcare.USER}"\nxmlns = "{commcare.XMLNS}"',
}
FORMS = {"kobo": kobo.FORM, "odk": odk.FORM, "commcare": commcare.XMLNS}
TOKENS = {"kobo": kobo.TOKEN, "odk": odk.PASSWORD, "commcare": commcare.KEY}
HOOK_SECRET = "a-secret-of-the-hook"  # noqa: S105
START: dict[str, Callable[..., StandIn]] = {"kobo": Kobo, "odk": Odk, "commcare": CommCare}


@pytest.fixture(autouse=True)
def _without_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut leaves is shown elsewhere; here the disk would be most of the time."""

    def unflushed(path: Path) -> sqlite3.Connection:
        connection = open_file(path)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    monkeypatch.setattr("producers.outbox.open_file", unflushed)


def write_source(folder: Path, tool: str, url: str, *, token: str = "", every: str = "15m") -> FieldSource:
    """A folder of sources with one of a tool, and its mapping."""
    folder.mkdir(exist_ok=True)
    (folder / "visit.toml").write_text(MAPPING, encoding="utf-8")
    (folder / "hook").write_text(HOOK_SECRET, encoding="utf-8")
    (folder / "token").write_text(token or TOKENS[tool], encoding="utf-8")
    (folder / "field.toml").unlink(missing_ok=True)
    text = f"""tool = "{tool}"
        [check]
        kind = "header"
        header = "X-Secret"
        secret_file = "hook"
        [forms]
        "{FORMS[tool]}" = "visit.toml"
        [pull]
        url = "{url}"
        every = "{every}"
        token_file = "token"
        {PULLS[tool]}
        """
    sources = folder / "sources"
    sources.mkdir(exist_ok=True)
    (sources / "field.toml").write_text(
        text.replace('"visit.toml"', '"../visit.toml"').replace('"hook"', '"../hook"').replace('"token"', '"../token"'), encoding="utf-8"
    )
    return field_sources(sources)["field"]


class Gateway:
    """The gateway's file and what works on it, without Kafka; it can be restarted."""

    def __init__(self, file: Path, source: FieldSource) -> None:
        self._file, self.source = file, source
        self.open()

    def open(self) -> None:
        self.store = Store(self._file)
        units = Units({}, max_future_hours=24)
        units.take(small_world.registry())
        self.reception = Reception(self.store, {self.source.name: self.source}, units, lambda _: None)

    def restart(self) -> None:
        self.store.close()
        self.open()

    def hook(self, body: bytes) -> int:
        """The status of the answer."""
        taken = self.reception.take_body(self.source, body, {}).result()
        assert not taken.refusals, taken.refusals
        return 200

    def pull(self, clock: Clock, **options: object):
        return pull(self.reception, self.source, sleep=clock.advance, **options)

    def reconcile(self, clock: Clock):
        return reconcile(self.reception, self.source, sleep=clock.advance)

    def events(self) -> list[dict]:
        """All that goes to Kafka, in its order."""
        with self.store.reading() as connection:
            return [json.loads(value) for (value,) in connection.execute("SELECT value FROM outbox ORDER BY seq")]


@contextmanager
def standing_in(tool: str, tmp_path: Path, **options: object) -> Iterator[tuple[StandIn, Gateway, Clock]]:
    """A tool's stand-in, and a gateway that knows it."""
    clock = Clock()
    choose = options.pop("choose", random.Random(1))
    stand_in = START[tool](clock, choose, **options)
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
    """What stands at the tool as the events it stands for, each of an entity of its own: from the stand-in's own state, read by none of the gateway's code."""
    found = []
    for one in stand_in.standing():
        unit, at, posts, volunteers, groups = one.answers
        parts = [("social_post", {"platform": "facebook", "posts": posts})]
        parts += [] if volunteers is None else [("tally", {"metric": "volunteers", "value": volunteers})]
        parts += [("messaging_group", {"group_type": kind, "members": members}) for kind, members in groups]
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
    """Figures without rows that say nothing: a flow of nothing, a stock as on the day before. Such rows stay where something was reported once."""
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
    """(level, unit, metric) → to date, without those that are nothing."""
    found: dict[tuple, oracle.Figure] = {}
    for (_, *cell), (value, verified) in sorted(figures.items(), key=lambda item: item[0][0]):
        before = found.get(tuple(cell), (0, 0)) if cell[2] not in oracle.STOCKS else (0, 0)
        found[tuple(cell)] = (before[0] + value, before[1] + verified)
    return {cell: figure for cell, figure in found.items() if figure != (0, 0)}


class Record:
    def __init__(self, offset: int, event: dict) -> None:
        self.offset, self.timestamp, self.key, self.value = offset, 1_700_000_000_000, oracle.routing_key(event["unit"]).encode(), json.dumps(event).encode()


def rolled_up(events: list[dict]) -> oracle.Figures:
    """The figures of a log with these events, by a real worker's fold."""
    store = MemoryStore()

    async def send(outgoing) -> None:
        assert not outgoing.rejected, [rejected.detail for rejected in outgoing.rejected][:3]

    async def run() -> None:
        admission = Admission(small_world.registry(), small_world.dictionary(), partition_of=lambda _: 0, max_future_hours=24)
        worker = Worker(store=store, writer=store, admission=admission, chunk_size=1000, send=send, release=lambda *_: None)
        records = [Record(offset, event) for offset, event in enumerate(events)]
        for first in range(0, len(records), 1000):
            await worker.take(0, records[first : first + 1000])
        await worker.flush()
        worker.stop()

    asyncio.run(run())
    return store.figures(oracle.STOCKS)


class Killed(Exception):
    """The process is gone."""


def die(_: object) -> None:
    raise Killed


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("tool", TOOLS)
def test_after_the_pulls_the_figures_are_what_stands_at_the_tool(tool: str, seed: int, tmp_path: Path, hierarchy: oracle.Hierarchy) -> None:
    """A tenth of the hooks are lost, a tenth come twice, many late and out of order; answers fail, pages are small, people go on meanwhile; pulls are killed, the gateway restarts."""
    choose = random.Random(f"{tool} {seed}")
    options = {"trouble": 0.1, "hooks_lost": 0.1, "page": choose.choice([2, 5, 50])}
    with standing_in(tool, tmp_path, choose=choose, **options) as (stand_in, gateway, clock):

        def meanwhile(_: Ask) -> None:
            if choose.random() < 0.2:
                clock.advance(choose.choice([0, 0.3, 20]))
                people.act(stand_in, choose)

        stand_in.before = meanwhile
        for _ in range(STEPS):
            clock.advance(choose.choice([0, 0, 0.2, 1, 40, 400]))
            people.act(stand_in, choose)
            if choose.random() < 0.5:
                away = choose.random() < 0.1
                stand_in.send_hooks(lambda _: 503 if away else 200) if away else stand_in.send_hooks(gateway.hook)  # noqa: B023
            if choose.random() < 0.08:
                try:
                    gateway.pull(clock, **choose.choice([{}, {}, {"tell": die}, {"from_beginning": True}]))
                except Killed:
                    gateway.restart()
        stand_in.before = lambda _: None
        clock.advance(600)
        gateway.pull(clock)
        stand_in.send_hooks(gateway.hook, all_of_them=True)  # the last of them come days later, and change nothing
        expected = oracle.figures(events_of(stand_in), hierarchy)
        figures = rolled_up(gateway.events())
        assert totals(figures) == totals(expected)
        assert shown(figures) == shown(expected)
        found = gateway.reconcile(clock)
        assert found.is_equal, found.differences
        assert found.at_tool == found.here == len(stand_in.standing())
        assert not any(TOKENS[tool] in f"{ask.path}{ask.query}" for ask in stand_in.requests), "a credential is in a URL"
