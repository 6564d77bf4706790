"""What the field really sends, at the gateway's door with the mappings of `producers/examples`.

Templates that were not filled in, and texts that lost their meaning, count as nothing and nobody.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from operations.mapping_check import check_mapping
from producers.gateway.app import build
from producers.gateway.ingest import IngestService
from producers.gateway.registry import UnitChecker
from producers.gateway.sources import read_field_sources
from producers.gateway.store import Store
from producers.mapping.gazetteer import read_aliases
from producers.mapping.pseudonyms import Pseudonymiser
from tests.chaos.hooks import EXAMPLES, SAMPLES, headers, registry, sources
from tests.support.field_bodies import corpora

# Field of the sample of each tool: identity, unit, number, or person.
FIELDS = [
    ("kobo", ("where/booth",)),
    ("kobo", ("posts/count",)),
    ("kobo", ("phone",)),
    ("kobo", ("groups", 0, "groups/link")),
    ("kobo", ("groups", 1, "groups/size/members")),
    ("commcare", ("form", "where", "assembly")),
    ("commcare", ("form", "where", "booth")),
    ("commcare", ("form", "members", "paper")),
    ("commcare", ("form", "members", "phones")),
    ("commcare", ("form", "doors")),
    ("rapidpro", ("results", "booth", "value")),
    ("rapidpro", ("results", "posts", "value")),
    ("rapidpro", ("results", "volunteers", "value")),
    ("rapidpro", ("contact", "uuid")),
    ("rapidpro", ("contact", "urn")),
    ("rapidpro", ("run", "uuid")),
    ("glific", ("group_bsp_id",)),
    ("glific", ("results", "members", "input")),
    ("glific", ("contact", "phone")),
    ("glific", ("contact", "fields", "booth", "value")),
    ("glific", ("submission_id",)),
]
ODK = ["CG-AC084<", ">21<", ">CG-AC084-B0017<", ">9000000001<"]
TEMPLATES = [
    "@results.group.input",
    "@contact.fields.booth",
    "{{ group.id }}",
    "${booth}",
    "#REF!",
    "null",
    "undefined",
    "NaN",
]
GARBLED = ["????? ??????", "\ufffd\ufffd", "\ud83d", "9.19E+11"]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("faults")
    units = UnitChecker(read_aliases(EXAMPLES / "rapidpro"), 24.0)
    units.set_registry(registry())
    with Store(folder / "gateway.sqlite") as store:
        ingest = IngestService(
            store,
            read_field_sources(sources(folder / "sources")),
            units,
            lambda issued: Pseudonymiser([b"a key of a test, long enough"], issued),
        )
        with TestClient(build(ingest), raise_server_exceptions=False) as client:
            yield client


def send(client: TestClient, tool: str, body: Any) -> tuple[int, dict[str, Any]]:
    content = json.dumps(body).encode()
    answer = client.post(
        f"/v1/hooks/{tool}/{tool}-any", content=content, headers=headers(tool, content)
    )
    return answer.status_code, answer.json()


def change(tool: str, path: tuple[Any, ...], value: Any) -> Any:
    body = json.loads(SAMPLES[tool])
    place = body
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return body


def test_the_samples_themselves_are_accepted(client: TestClient) -> None:
    for tool, sample in SAMPLES.items():
        status, answer = send(client, tool, json.loads(sample))
        assert (status, answer.get("accepted")) == (200, 1), (tool, answer)


@pytest.mark.parametrize("value", [*TEMPLATES, *GARBLED])
@pytest.mark.parametrize(("tool", "path"), FIELDS)
def test_a_text_without_meaning_is_refused_in_identities_units_numbers_and_persons(
    client: TestClient, tool: str, path: tuple[Any, ...], value: str
) -> None:
    status, answer = send(client, tool, change(tool, path, value))
    assert status == 422, answer
    assert answer["reason"] == "unmappable", answer


@pytest.mark.parametrize("value", [*TEMPLATES, *GARBLED])
@pytest.mark.parametrize("text", ODK)
def test_the_same_in_the_xml_of_odk(client: TestClient, text: str, value: str) -> None:
    body = json.loads(SAMPLES["odk"])
    xml = body["data"]["xml"]
    assert text in xml
    body["data"]["xml"] = xml.replace(text.strip("<>"), value, 1)
    status, answer = send(client, "odk", body)
    assert (status, answer["reason"]) in {(422, "unmappable"), (422, "unreadable")}, answer


def test_the_message_says_that_a_template_was_not_filled_in(client: TestClient) -> None:
    for tool, path in FIELDS:
        _, answer = send(client, tool, change(tool, path, "@results.group.input"))
        assert "template" in answer["detail"], (tool, path, answer)


def test_times_of_a_template_that_was_not_filled_in_say_so(client: TestClient) -> None:
    for path, value in ((("sent_at",), "@calendar.now"), (("results",), "@results")):
        status, answer = send(client, "glific", change("glific", path, value))
        assert (status, answer["reason"]) == (422, "unreadable")
        assert "template" in answer["detail"]
    # a flow without a group leaves this one as it is, and nobody maps it
    status, answer = send(client, "glific", change("glific", ("wa_group",), "@wa_group"))
    assert status == 200, answer


@pytest.mark.parametrize("value", [True, {}, [], {"x": 1}, ["s-1"]])
def test_glifics_submission_id_is_a_text_or_a_number(client: TestClient, value: object) -> None:
    status, _ = send(client, "glific", change("glific", ("submission_id",), value))
    assert status == (422 if value else 200)


@pytest.mark.parametrize(("tool", "path"), FIELDS)
@pytest.mark.parametrize("number", [9.19e11, 1e21])
def test_a_number_that_lost_digits_is_no_person_and_no_unit(
    client: TestClient, tool: str, path: tuple[Any, ...], number: float
) -> None:
    body = json.dumps(change(tool, path, "§")).replace('"\\u00a7"', f"{number:.2E}")
    content = body.encode()
    answer = client.post(
        f"/v1/hooks/{tool}/{tool}-any", content=content, headers=headers(tool, content)
    )
    assert answer.status_code == 422, answer.json()


def test_half_an_emoji_in_a_field_that_nobody_maps_loses_no_body(client: TestClient) -> None:
    for tool, sample in SAMPLES.items():
        body = json.loads(sample)
        if tool == "odk":
            body["note"] = "\ud83d"
        else:
            body = deepcopy(body) | {"a note": "\ud83d", "\ude00": ["\ud83d"]}
        status, answer = send(client, tool, body)
        assert status == 200, (tool, answer)


def test_an_instant_in_the_far_future_is_refused(client: TestClient) -> None:
    for path in (("day",), ("_submission_time",)):
        status, answer = send(client, "kobo", change("kobo", path, "2042-05-03T10:00:00"))
        assert (status, answer["reason"]) == (422, "far_future"), answer


@pytest.mark.parametrize(
    ("field", "part"),
    [("day", "2042"), ("_submission_time", "changed on 2042-05-03")],
)
def test_the_check_of_a_sample_says_the_same(tmp_path: Path, field: str, part: str) -> None:
    sample = tmp_path / "sample.json"
    sample.write_text(json.dumps(change("kobo", (field,), "2042-05-03T10:00:00")))
    result = check_mapping(
        EXAMPLES / "kobo" / "mappings" / "daily-report.toml",
        sample,
        tool="kobo",
        producer="check",
        gazetteer=corpora.gazetteer(),
        pseudonymiser=None,
    )
    assert not result.events
    assert part in result.findings[0]


def test_the_sources_are_those_of_the_examples(tmp_path: Path) -> None:
    assert {source.tool for source in read_field_sources(sources(tmp_path)).values()} == {
        *SAMPLES,
        "events",
    }
