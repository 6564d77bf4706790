"""The gateway over HTTP: authentication, limits, responses, the archive, and durable 2xx."""

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from producers.gateway.sources import GLIFIC_DUMMY_SECRET
from tests.support.gateway_world import (
    BASIC,
    OTHER,
    SECRET,
    World,
    event,
    gateway,
    kobo,
    post,
    post_hook,
    source,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with gateway(tmp_path) as made:
        yield made


# --- responses


def test_a_new_event_is_accepted_and_a_known_id_is_repeated_whatever_the_body(world: World) -> None:
    one = event()
    assert [
        post(world, one).status_code,
        post(world, one | {"verification": "verified"}).status_code,
    ] == [202, 200]
    assert post(world, one).json() == {"event_id": one["event_id"], "outcome": "repeated"}
    assert world.sent() == [one]


def test_each_event_of_an_array_is_accepted_or_refused_on_its_own(
    world: World,
) -> None:
    good, other = event(), event()
    answer = post(world, [good, event(unit="CG-AC009-B0001"), good, {"unit": "CG"}, other])
    assert answer.status_code == 207
    content = answer.json()
    assert [(item["outcome"], item.get("reason")) for item in content["items"]] == [
        ("accepted", None),
        ("refused", "unknown_unit"),
        ("repeated", None),
        ("refused", "invalid"),
        ("accepted", None),
    ]
    assert (content["accepted"], content["repeated"], content["refused"]) == (2, 1, 2)
    assert world.sent() == [good, other]
    assert [post(world, [good, other]).status_code, post(world, []).status_code] == [200, 200]
    assert post(world, [{}, {}]).status_code == 422


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"{", "not_json"),
        (b"[1, ", "not_json"),
        (b"\xff\xfe", "not_utf8"),
        (b'"text"', "invalid"),
        (orjson.dumps(event(unit="Raipur")), "invalid"),
        (orjson.dumps(event(kind="dance")), "invalid"),
        (orjson.dumps(event(occurred_at="2099-01-01T00:00:00+05:30")), "far_future"),
        (
            orjson.dumps(event(unit="CG-AC001-B0004", occurred_at="2022-05-01T00:00:00+05:30")),
            "closed_unit",
        ),
        (b"[" * 40 + b"]" * 40, "invalid"),
        (orjson.dumps([event()] * 1_001), "too_many"),
    ],
)
def test_an_invalid_event_is_refused_with_the_reason_and_archived(
    world: World, body: bytes, reason: str
) -> None:
    for _ in range(2):
        answer = post(world, body)
        assert (answer.status_code, answer.headers["content-type"], answer.json()["reason"]) == (
            422,
            "application/problem+json",
            reason,
        )
    assert world.archived() == [("script", "events", "refused", reason, 2)]
    assert world.counts()["script", "refused", reason] == 2
    assert world.sent() == []


def test_refusals_and_the_archive_list_have_no_personal_data(world: World) -> None:
    number, name = "9826012345", "Ramkumar"
    bodies = [
        event(unit=name),
        event(kind=name),
        event(reporter=number),
        event(verification=name),
        event(**{number: 1}),
        event(occurred_at=number),
        event(evidence=name),
        event(kind="incharge_appointed", data={"role": name, "person": number}),
        event(entity=name * 100),
        event(source=name),
        name,
        [name],
    ]
    for body in bodies:
        answer = post(world, body)
        assert answer.status_code == 422, body
        assert name not in answer.text
        assert number not in answer.text
    hooks = [
        kobo(1, unit="CG-AC001-B0001", posts=number + "x", phone=number),
        kobo(2, start=name),
        {name: number},
    ]
    for body in hooks:
        answer = post_hook(world, body)
        assert answer.status_code == 422, body
        assert name not in answer.text
        assert number not in answer.text
    with world.ingest.store.open_read_only() as connection:
        details = " ".join(row[0] for row in connection.execute("SELECT detail FROM archive"))
    assert name not in details
    assert number not in details


def test_a_hook_answers_with_counts_of_new_and_known_submissions(world: World) -> None:
    for expected in (
        {"accepted": 1, "repeated": 0, "events": 1},
        {"accepted": 0, "repeated": 1, "events": 0},
    ):
        answer = post_hook(world, kobo(1))
        assert (answer.status_code, answer.json()) == (200, expected)
    (sent,) = world.sent()
    assert (sent["kind"], sent["unit"], sent["data"]) == (
        "social_post",
        "CG-AC001-B0001",
        {"platform": "facebook", "posts": 3},
    )
    assert [row[:3] for row in world.archived()] == [("kobo-all", "hook", "accepted")]


@pytest.mark.parametrize("changed", ["2099-01-01T00:00:00", "9999-12-31T23:59:59"])
def test_a_change_in_the_future_is_refused_as_later_changes_would_look_old(
    world: World, changed: str
) -> None:
    answer = post_hook(world, kobo(1, changed=changed))
    assert (answer.status_code, answer.json()["reason"]) == (422, "far_future")
    assert post_hook(world, kobo(1)).json()["accepted"] == 1


def test_an_unknown_source_or_path_is_404(world: World) -> None:
    assert post(world, {}, {"X-Secret": SECRET}, "/v1/hooks/kobo/none").status_code == 404
    assert post(world, {}, {"X-Secret": SECRET}, "/v1/hooks/odk/kobo-all").status_code == 404
    assert post(world, {}, {"X-Secret": SECRET}, "/v1/hooks/excel/kobo-all").status_code == 404
    assert world.client.get("/nothing").headers["content-type"] == "application/problem+json"


# --- authentication


def test_a_request_without_the_secret_is_counted_and_nothing_is_stored(
    world: World,
) -> None:
    wrong = [
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": SECRET},
        {"Authorization": "Bearer é".encode("latin-1").decode("latin-1")},
        BASIC,
    ]
    for headers in wrong:
        answer = world.client.post(
            "/v1/events",
            content=orjson.dumps(event()),
            headers={k: v.encode("latin-1") for k, v in headers.items()},
        )
        assert answer.status_code == 401
        assert "www-authenticate" in answer.headers
        assert SECRET not in answer.text
    for secret in ("", "wrong", SECRET + "x", SECRET[:-1]):
        assert post_hook(world, kobo(1), secret=secret).status_code == 401
    assert world.sent() == world.archived() == []
    assert world.counts() == {
        ("script", "refused", "sender"): 5,
        ("kobo-all", "refused", "sender"): 4,
    }


def test_each_of_several_secrets_is_accepted(world: World) -> None:
    assert post_hook(world, kobo(1), secret=OTHER).status_code == 200
    assert post(world, event(), {"Authorization": f"bearer {OTHER}"}).status_code == 202
    assert post(world, {}, BASIC, "/v1/hooks/odk/odk-all").status_code == 422
    other_user = {"Authorization": f"Basic {base64.b64encode(f'other:{SECRET}'.encode()).decode()}"}
    assert post(world, {}, other_user, "/v1/hooks/odk/odk-all").status_code == 401
    assert post(world, {}, {"Authorization": "Basic ?"}, "/v1/hooks/odk/odk-all").status_code == 401


def sign(
    body: bytes, secret: str = SECRET, at: float | None = None, over: bytes | None = None
) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(
        secret.encode(), stamp.encode() + b"." + (body if over is None else over), hashlib.sha256
    ).hexdigest()
    return {"X-Glific-Signature": f"t={stamp},v1={digest}"}


def test_a_signature_covers_the_raw_body_and_expires_after_the_window(world: World) -> None:
    body, path, now = b'{ "no": "submission" }', "/v1/hooks/glific/glific-all", time.time()
    assert (
        post(world, body, sign(body), path).status_code == 422
    )  # authenticated, but not a submission
    assert post(world, body, sign(body, OTHER, now - 290), path).status_code == 422
    assert (
        post(
            world,
            body,
            {
                "X-Glific-Signature": sign(body, "wrong")["X-Glific-Signature"]
                + ","
                + sign(body)["X-Glific-Signature"][13:]
            },
            path,
        ).status_code
        == 422
    )
    wrong = [
        sign(body, "wrong"),
        sign(body, at=now - 310),
        sign(body, at=now + 310),
        sign(body, over=b"{}"),
        {},
        {"X-Glific-Signature": "t=1,v1="},
    ]
    wrong += [
        {"X-Glific-Signature": text}
        for text in (
            "t=,v1=x",
            "v1=" + "0" * 64,
            "t=९,v1=x".encode().decode("latin-1"),
            "=" * 5_000,
            "t=" + "9" * 400 + ",v1=x",
        )
    ]
    for headers in wrong:
        assert (
            world.client.post(
                path, content=body, headers={k: v.encode("latin-1") for k, v in headers.items()}
            ).status_code
            == 401
        ), headers
    answer = post(world, body, sign(body, GLIFIC_DUMMY_SECRET), path)
    assert (answer.status_code, "fallback" in answer.json()["detail"]) == (401, True)


def test_a_source_of_one_district_reports_only_for_units_below_it_on_that_day(
    world: World,
) -> None:
    """Booth 2 is in district A until day 29 and in D from day 30 on; booth 3 is in B."""
    inside, moved, outside = (
        kobo(1, unit="CG-AC001-B0002"),
        kobo(2, unit="CG-AC001-B0002", start="2022-04-05T10:00:00+05:30"),
        kobo(3, unit="CG-AC001-B0003"),
    )
    assert [post_hook(world, body, "kobo-a").status_code for body in (inside, moved, outside)] == [
        200,
        403,
        403,
    ]
    assert [
        post_hook(world, body, "kobo-all").status_code for body in (inside, moved, outside)
    ] == [
        200,
        200,
        200,
    ]
    assert world.counts()["kobo-a", "refused", "outside"] == 2
    assert [row[2:4] for row in world.archived() if row[0] == "kobo-a"] == [
        ("accepted", ""),
        ("refused", "outside"),
        ("refused", "outside"),
    ]


def test_a_source_of_one_district_cannot_retract_what_another_source_reported(
    tmp_path: Path,
) -> None:
    with gateway(
        tmp_path,
        {
            "all": source("events", "bearer", secrets='"one.secret"'),
            "a": source("events", "bearer", unit="CG-D-A", secrets='"two.secret"'),
        },
    ) as world:
        assert post(world, event(entity="e", unit="CG-AC002")).status_code == 202
        answer = post(
            world,
            event(entity="e", version=2, unit="CG-AC001-B0001"),
            {"Authorization": f"Bearer {OTHER}"},
        )
        assert (answer.status_code, answer.json()["reason"]) == (403, "outside")
        assert len(world.sent()) == 1


def test_a_moved_entity_is_retracted_under_the_old_key_and_late_events_there_are_superseded(
    world: World,
) -> None:
    first, second = (
        event(entity="e", unit="CG-AC001-B0001"),
        event(entity="e", version=2, unit="CG-AC002"),
    )
    assert [post(world, one).status_code for one in (first, second)] == [202, 202]
    late = post(world, event(entity="e", version=2, unit="CG-AC001-B0001"))
    assert (late.status_code, late.json()["outcome"]) == (200, "superseded")
    sent = [
        (one["op"], one["unit"], one["version"])
        for one in world.sent()
        if one.get("op") == "retract"
    ]
    assert sent == [("retract", "CG-AC001-B0001", 2), ("retract", "CG-AC002", 1)]


def test_an_edit_by_hook_that_moves_the_unit_sends_a_retraction_and_a_report(
    world: World,
) -> None:
    before, after = (
        kobo(1),
        kobo(
            1,
            unit="CG-AC002",
            uuid="00000000-0000-4000-8000-00000000abcd",
            changed="2022-03-07T08:00:00",
        ),
    )
    after["meta/deprecatedID"] = before["meta/instanceID"]
    assert [post_hook(world, body).json()["events"] for body in (before, after, before)] == [
        1,
        2,
        0,
    ]
    assert [(one["op"], one["unit"]) for one in world.sent()] == [
        ("report", "CG-AC001-B0001"),
        ("retract", "CG-AC001-B0001"),
        ("report", "CG-AC002"),
    ]
