"""From a hook to the figures through gateway, outbox, Kafka, worker and ClickHouse."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from fastapi.testclient import TestClient

from producers.gateway.app import build
from producers.gateway.ingest import IngestService
from producers.mapping.submissions import Submission
from producers.mapping.tools import READERS
from tests.support import oracle, small_world
from tests.support.deployment import Deployment, until
from tests.support.gateway_world import BEARER, SECRET, SOURCES, event, kobo, write_sources


def test_every_submission_at_the_tools_is_in_the_figures_once(
    deployment: Deployment, tmp_path: Path
) -> None:
    settings = deployment.settings.model_copy(
        update={
            "home": tmp_path / "home",
            "gateway_sources": write_sources(tmp_path / "sources", SOURCES),
        }
    )
    deployment.start_worker()
    header = {"X-Secret": SECRET}
    with IngestService.open(settings) as ingest, TestClient(build(ingest)) as client:
        assert client.get("/readyz").status_code == 200
        for number in range(1, 9):
            body = orjson.dumps(kobo(number, posts=str(number)))
            assert {
                client.post("/v1/hooks/kobo/kobo-all", content=body, headers=header).status_code
                for _ in range(2)
            } == {200}
        for number in (1, 2, 3):
            assert (
                client.post(
                    "/v1/events",
                    content=orjson.dumps(
                        event(entity=f"e{number}", data={"platform": "twitter", "posts": 100})
                    ),
                    headers=BEARER,
                ).status_code
                == 202
            )
        moved = event(
            entity="e2", version=2, unit="CG-AC002", data={"platform": "twitter", "posts": 50}
        )
        assert (
            client.post(
                "/v1/events", content=orjson.dumps([moved, moved]), headers=BEARER
            ).status_code
            == 202
        )
        # only a pull fetches these: edits of the number and of the unit, a deletion, a lost hook
        later = datetime(2022, 3, 9, tzinfo=UTC)

        def pulled(number: int, **changes: object) -> Submission:
            (found,) = READERS["kobo"](orjson.dumps(kobo(number, **changes)), {})
            return Submission(
                found.form, found.name, later + timedelta(minutes=number), found.fields
            )

        gone = pulled(3)
        pages = [
            pulled(1, posts="11"),
            pulled(2, unit="CG-D-B", posts="2"),
            Submission(gone.form, gone.name, later, deleted=True),
            pulled(9, posts="9"),
        ]
        result = ingest.ingest_submissions("kobo-all", pages, cursor="page 1")
        assert (result.accepted, result.repeated, result.refused, result.events) == (4, 0, [], 5)
        assert ingest.ingest_submissions("kobo-all", pages, cursor="page 2").repeated == 4
        assert ingest.store.get_cursor("kobo-all") == "page 2"
        assert sum(known.deleted for known in ingest.store.known_submissions("kobo-all")) == 1
        assert ingest.flush(60)
        until(lambda: deployment.durable() == 8 + 3 + 3 + 5, "everything is in the figures")
    expected = [
        *(
            event(unit="CG-AC001-B0001", data={"platform": "facebook", "posts": posts})
            for posts in (11, 4, 5, 6, 7, 8, 9)
        ),
        event(unit="CG-D-B", data={"platform": "facebook", "posts": 2}),
        *(event(data={"platform": "twitter", "posts": 100}) for _ in range(2)),
        event(unit="CG-AC002", data={"platform": "twitter", "posts": 50}),
    ]
    hierarchy = oracle.Hierarchy.read(small_world.write(tmp_path))
    found = {cell: value for cell, value in deployment.rollups().items() if value != (0, 0)}
    assert found == {
        cell: value
        for cell, value in oracle.figures(expected, hierarchy).items()
        if value != (0, 0)
    }
    assert found[datetime(2022, 3, 5, tzinfo=UTC).date(), "national", "IN", "posts_facebook"] == (
        52,
        0,
    )
