"""An encrypted form is called one, in push, pull and check, with what to do about it."""

from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from operations.mapping_check import check_mapping
from producers.mapping.tools import READERS, BodyError, kobo, odk
from producers.pulls.http import ToolApi
from producers.pulls.pagination import PullError, parse_page
from tests.support import gateway_world
from tests.support.field_bodies import corpora
from tests.support.field_bodies import kobo as kobo_bodies
from tests.support.field_bodies import odk as odk_bodies

ENCRYPTED = "the submission is encrypted"
MANIFEST = (
    '<data xmlns="http://opendatakit.org/submissions" encrypted="yes" id="training" version="3">'
    "<base64EncryptedKey>sHXUut13</base64EncryptedKey>"
    '<orx:meta xmlns:orx="http://openrosa.org/xforms"><orx:instanceID>uuid:s-1</orx:instanceID>'
    "</orx:meta><encryptedXmlFile>submission.xml.enc</encryptedXmlFile></data>"
)
HOOK = {"type": "submission.create", "id": "uuid:s-1", "data": {"xml": MANIFEST}}
ONLY_ATTRIBUTE = odk_bodies.xml("<unit>x</unit>", 'id="training" version="3" encrypted="yes"')
KOBO = kobo_bodies.report(
    {"base64EncryptedKey": "sHXUut13", "encryptedXmlFile": "submission.xml.enc"}
)


def row(status: str) -> dict[str, Any]:
    return odk_bodies.ROW | {"__system": odk_bodies.ROW["__system"] | {"status": status}}


@pytest.mark.parametrize(
    ("tool", "body"),
    [("odk", HOOK), ("odk", ONLY_ATTRIBUTE), ("kobo", KOBO), ("kobo", {"fields": KOBO})],
)
def test_a_hook_names_an_encrypted_form(tool: str, body: Any) -> None:
    with pytest.raises(BodyError, match=r"encrypted.*remove the public key.*pravah import"):
        READERS[tool](orjson.dumps(body), {})


def test_a_form_that_is_not_encrypted_is_read() -> None:
    body = odk_bodies.xml(
        f"<unit>CG-AC084</unit>{odk_bodies.HELD}", 'id="training" version="3" encrypted="no"'
    )
    (submission,) = READERS["odk"](orjson.dumps(body), {})
    assert corpora.map_events("odk", submission) == [odk_bodies.TRAINING]


@pytest.mark.parametrize("status", ["notDecrypted", "missingEncryptedFormData"])
def test_a_pull_names_encrypted_rows_and_reads_the_others(status: str) -> None:
    page = parse_page(
        [row(status), odk_bodies.ROW], "__id", lambda one: odk.read_row(one, "training"), {}
    )
    assert len(page.submissions) == 1
    assert ENCRYPTED in page.unreadable[0].detail
    assert ENCRYPTED in parse_page([KOBO], "_id", kobo.read_row, {}).unreadable[0].detail


def test_a_pull_names_a_feed_that_refuses_encrypted_forms() -> None:
    answer = httpx2.Response(501, json={"message": "OData of encrypted forms is not available"})
    api = ToolApi(
        "o", "https://o.example", auth={}, transport=httpx2.MockTransport(lambda _: answer)
    )
    with pytest.raises(PullError, match=ENCRYPTED):
        api.get("/feed")


@pytest.mark.parametrize(
    "body",
    [
        orjson.dumps(HOOK),
        orjson.dumps(KOBO),
        MANIFEST.encode(),
        b'<h:html><submission base64RsaPublicKey="MIIB" method="post"/></h:html>',
    ],
    ids=["hook", "kobo", "manifest", "form"],
)
def test_a_sample_names_an_encrypted_form(tmp_path: Path, body: bytes) -> None:
    sample = tmp_path / "sample.json"
    sample.write_bytes(body)
    result = check_mapping(
        corpora.EXAMPLES / corpora.MAPPINGS["odk"],
        sample,
        tool=None,
        producer="check",
        gazetteer=corpora.gazetteer(),
        pseudonymiser=None,
    )
    assert len(result.findings) == 1
    assert ENCRYPTED in result.findings[0]


def test_the_gateway_archives_an_encrypted_submission_as_refused(tmp_path: Path) -> None:
    with gateway_world.gateway(tmp_path) as world:
        answer = gateway_world.post(world, HOOK, gateway_world.BASIC, "/v1/hooks/odk/odk-all")
        assert (answer.status_code, answer.json()["reason"]) == (422, "unreadable")
        assert ENCRYPTED in answer.json()["detail"]
        assert world.archived() == [("odk-all", "hook", "refused", "unreadable", 1)]
