"""Pulls over stand-ins: sources, a gateway without Kafka, and figures to compare."""

import asyncio
import json
import random
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from producers.gateway.ingest import IngestService
from producers.gateway.registry import UnitChecker
from producers.gateway.sources import FieldSource, read_field_sources
from producers.gateway.store import Store
from producers.outbox import open_file
from producers.pulls.pull import pull
from producers.pulls.reconcile import reconcile
from rollup.engine import RollupEngine
from streams.worker import Worker
from tests.support import oracle, small_world
from tests.support.memory_store import MemoryStore
from tests.support.standins import Answers, Clock, CommCare, Kobo, Odk, commcare, kobo, odk
from tests.support.standins.server import StandIn

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


def open_without_flushes(path: Path) -> sqlite3.Connection:
    """Open an outbox file without flushes to disk, which would take most of a test's time."""
    connection = open_file(path)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


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


def at_once(stand_in: StandIn) -> None:
    """Let every change be visible at once."""
    stand_in.late = lambda: stand_in.clock.now


def known(gateway: Gateway) -> set[str]:
    return {one.name for one in gateway.store.known_submissions("field") if not one.deleted}


def names_at(stand_in: StandIn) -> set[str]:
    return {one.name.removeprefix("uuid:") for one in stand_in.current_submissions()}


VISIT = Answers("CG-AC001-B0001", f"{small_world.on(3)}T10:00:00+05:30", 1, None, ())
