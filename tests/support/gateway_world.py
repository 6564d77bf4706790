"""A gateway over the small world, without Kafka: its file, its sources, and an HTTP client."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import orjson
from fastapi.testclient import TestClient

from producers.gateway.app import build
from producers.gateway.ingest import IngestService
from producers.gateway.registry import UnitChecker
from producers.gateway.sources import read_field_sources
from producers.gateway.store import Store
from producers.outbox import Bounds
from tests.support import small_world

SECRET = "a secret of a test, long enough"
OTHER = "another secret of a test as well"
BEARER = {"Authorization": f"Bearer {SECRET}"}
BASIC = {"Authorization": f"Basic {base64.b64encode(f'someone:{SECRET}'.encode()).decode()}"}

MAPPING = """
occurred_at = {field = "start"}
unit = {field = "unit"}

[[event]]
kind = "social_post"
fields = {posts = {field = "posts", type = "integer"}}
constants = {platform = "facebook"}
"""


def check(kind: str, secrets: str) -> str:
    more = {"header": 'header = "X-Secret"', "basic": 'user = "someone"'}.get(kind, "")
    return f'[check]\nkind = "{kind}"\nsecret_file = [{secrets}]\n{more}\n'


def source(
    tool: str,
    kind: str,
    *,
    unit: str = "IN",
    rate: str = "100000/second",
    more: str = "",
    secrets: str = '"one.secret", "two.secret"',
) -> str:
    forms = "" if tool == "events" else '[forms]\n"*" = "form.toml"\n'
    return (
        f'tool = "{tool}"\nunit = "{unit}"\n{check(kind, secrets)}'
        f'[limits]\nrate = "{rate}"\n{more}{forms}'
    )


SOURCES = {
    "script": source("events", "bearer"),
    "kobo-all": source("kobo", "header"),
    "kobo-a": source("kobo", "header", unit="CG-D-A"),
    "odk-all": source("odk", "basic"),
    "commcare-all": source("commcare", "basic"),
    "rapidpro-all": source("rapidpro", "header"),
    "glific-all": source("glific", "hmac"),
}


def write_sources(folder: Path, sources: dict[str, str] | None = None) -> Path:
    """Write a folder of sources, with secrets and the mapping."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "one.secret").write_text(SECRET, encoding="utf-8")
    (folder / "two.secret").write_text(OTHER + "\n", encoding="utf-8")
    for name, text in (sources or SOURCES).items():
        (folder / f"{name}.toml").write_text(
            text.replace('"form.toml"', '"mappings/form.toml"'), encoding="utf-8"
        )
    mappings = folder / "mappings"
    mappings.mkdir(exist_ok=True)
    (mappings / "form.toml").write_text(MAPPING, encoding="utf-8")
    return folder


@dataclass
class World:
    """A gateway in this process."""

    ingest: IngestService
    client: TestClient
    folder: Path

    def sent(self) -> list[dict]:
        """The events in the outbox."""
        with self.ingest.store.open_read_only() as connection:
            return [
                orjson.loads(row[0])
                for row in connection.execute("SELECT value FROM outbox ORDER BY seq")
            ]

    def archived(self) -> list[tuple]:
        """(source, kind, outcome, reason, times) of every archived body."""
        with self.ingest.store.open_read_only() as connection:
            return connection.execute(
                "SELECT source, kind, outcome, reason, times FROM archive ORDER BY id"
            ).fetchall()

    def counts(self) -> dict[tuple[str, str, str], int]:
        self.ingest.store.submit(
            lambda transaction: transaction.check_space()
        ).result()  # writes the counts in memory as well
        with self.ingest.store.open_read_only() as connection:
            return {
                row[:3]: row[3]
                for row in connection.execute("SELECT source, outcome, reason, count FROM counts")
            }


@contextmanager
def gateway(
    folder: Path,
    sources: dict[str, str] | None = None,
    bounds: Bounds | None = None,
    **options: float,
) -> Iterator[World]:
    units = UnitChecker({}, 24.0)
    units.set_registry(small_world.registry())
    with Store(folder / "gateway.sqlite", bounds, **options) as store:
        ingest = IngestService(
            store,
            read_field_sources(write_sources(folder / "sources", sources)),
            units,
            lambda _: None,
        )
        with TestClient(build(ingest), raise_server_exceptions=False) as client:
            yield World(ingest, client, folder)


def event(**changes: object) -> dict:
    return {
        "event_id": str(uuid4()),
        "unit": "CG-AC001-B0001",
        "kind": "social_post",
        "occurred_at": "2022-03-05T10:00:00+05:30",
        "source": {"tool": "test", "producer": "gateway"},
        "data": {"platform": "facebook", "posts": 3},
        **changes,
    }


def kobo(
    number: int,
    *,
    unit: str = "CG-AC001-B0001",
    posts: object = "3",
    uuid: str | None = None,
    changed: str = "2022-03-06T08:00:00",
    **changes: object,
) -> dict:
    """A submission as KoboToolbox's REST service sends it."""
    return {
        "_id": number,
        "_uuid": uuid or f"00000000-0000-4000-8000-{number:012}",
        "meta/instanceID": f"uuid:{uuid or f'00000000-0000-4000-8000-{number:012}'}",
        "meta/rootUuid": f"uuid:00000000-0000-4000-8000-{number:012}",
        "_xform_id_string": "visits",
        "__version__": "v1",
        "_submission_time": changed,
        "_submitted_by": "someone",
        "_status": "submitted_via_web",
        "_validation_status": {},
        "_attachments": [],
        "start": "2022-03-05T10:00:00.000+05:30",
        "unit": unit,
        "posts": posts,
        **changes,
    }


def post(
    world: World, body: object, headers: dict[str, str] | None = None, path: str = "/v1/events"
):
    """Send a body, authenticated as the source `script` by default."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return world.client.post(path, content=content, headers=BEARER if headers is None else headers)


def post_hook(world: World, body: object, name: str = "kobo-all", secret: str = SECRET):
    """Send a body to a hook of KoboToolbox."""
    return post(world, body, {"X-Secret": secret}, f"/v1/hooks/kobo/{name}")
