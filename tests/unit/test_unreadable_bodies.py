"""Bodies that cannot be read say what is wrong and where; half an emoji loses no body."""

import gzip
import json
from pathlib import Path

import httpx2
import pytest

from operations.mapping_check import check_mapping
from producers.gateway.registry import UnitChecker
from producers.gateway.sources import read_field_sources
from producers.gateway.submissions import (
    SubmissionMapper,
    submission_from_json,
    submission_to_json,
)
from producers.mapping.gazetteer import Gazetteer
from producers.mapping.tools import READERS, BodyError, kobo
from producers.mapping.tools.json_body import parse_json, to_utf8
from producers.pulls.http import ToolApi
from producers.pulls.pagination import PullError, parse_page
from tests.support import gateway_world, small_world
from tests.support.field_bodies import corpora
from tests.support.field_bodies import kobo as kobo_bodies
from tests.support.field_bodies import odk as odk_bodies

GOOD = json.dumps(kobo_bodies.REPORT)
EMOJI = GOOD.replace('"_status": "submitted_via_web"', '"_status": "\\ud83d"')


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b'{\n "day": "x",\n "posts/count": NaN}', ["NaN", "line 3, column 17", "'posts/count'"]),
        (b'{"a": -Infinity}', ["-Infinity is no value of JSON", "line 1, column 7"]),
        (b'{"a": Infinity}', ["Infinity is no value", "send null"]),
        (GOOD[:200].encode(), ["it ends after 200 bytes", "cut off: send it again"]),
        (GOOD[:-1].encode(), ["cut off: send it again, whole"]),
        (b'{"a": 1, "a": 2}', ["a stands twice with different values"]),
        (b'{"v": {"n": "1", "n": "2"}}', ["v/n stands twice"]),
        (b"{'a': 1}", ["line 1, column 2", "double quotes"]),
        (b'{"a": 1,}', ["line 1, column 9", "after the field 'a'"]),
        (b'{"a": 1} {"a": 2}', ["follows the first object; send each on its own", "column 10"]),
        (b'{"a": 1}\n{"a": 2}\n', ["line 2, column 1", "send each on its own"]),
        (b'{"a": "\xff"}', ["line 1, column 8", "byte 0xff", "must write UTF-8"]),
        (b"a=1&b=%7B%7D", ["a web form", "application/json"]),
        (b"payload=%7B%22a%22%3A1%7D", ["a web form"]),
        (b"%7B%22a%22%3A1%7D", ["a web form"]),
        (b'"{\\"a\\": 1}"', ["is a text", "encoded the JSON twice"]),
        (b"<data/>", ["XML or a web page", "hook to JSON"]),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n', ["a form of several parts"]),
        (gzip.compress(GOOD.encode()), ["compressed (gzip)", "uncompressed"]),
        (b"", ["the body is empty"]),
        (b" \n ", ["the body is empty"]),
        (b"\xef\xbb\xbf", ["the body is empty"]),
        (b"[" * 100_000, ["nested too deep"]),
        (b"[]", ["is a list; expected a JSON object"]),
        (b'"x"', ["is a text; expected a JSON object"]),
        (b"null", ["is null; expected a JSON object"]),
    ],
)
@pytest.mark.parametrize("tool", sorted(READERS))
def test_a_body_that_is_no_json_says_what_is_wrong_and_where(
    tool: str, body: bytes, parts: list[str]
) -> None:
    with pytest.raises(BodyError) as caught:
        READERS[tool](body, {})
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.encode("utf-16"),
        GOOD.encode("utf-16-le"),
        GOOD.encode("utf-16-be"),
        EMOJI.encode(),
        GOOD.replace("submitted_via_web", "\ud83d").encode("utf-8", "surrogatepass"),
        GOOD.replace('"_id": 4711', '"_id": 4711, "n": ' + "9" * 5_000).encode(),
        GOOD.replace('"_id": 4711', '"_id": 4711, "n": 1e400').encode(),
        GOOD.replace('"_id": 4711', '"_id": 4711, "_id": 4711').encode(),
    ],
    ids=["bom", "utf-16", "utf-16-le", "utf-16-be", "escape", "raw", "long", "infinite", "twice"],
)
def test_a_body_is_read_whatever_stands_in_a_field_that_nobody_maps(body: bytes) -> None:
    (submission,) = kobo.read_hook(body, {})
    assert corpora.map_events("kobo", submission) == [kobo_bodies.POSTS]


@pytest.mark.parametrize(
    ("note", "shown"),
    [
        ("\ud83d", "\ufffd"),
        ("&#xD83D;", "\ufffd"),
        ("&#xD83D;&#xDE00;", "😀"),
        ("&#55357;&#56832;", "😀"),
        ("a&#x1;b", "a\ufffdb"),
        ("a\x01b", "a\ufffdb"),
        ("&#x1F600;&#65;&amp;", "😀A&"),
        ("&#xD83D;&#xDE00;&#65;", "😀A"),
    ],
)
def test_the_xml_of_odk_is_read_whatever_stands_in_a_field_that_nobody_maps(
    note: str, shown: str
) -> None:
    body = odk_bodies.xml(f"<unit>CG-AC084</unit>{odk_bodies.HELD}<note>{note}</note>")
    (submission,) = READERS["odk"](json.dumps(body).encode(), {})
    assert submission.fields["note"] == shown
    assert corpora.map_events("odk", submission) == [odk_bodies.TRAINING]


def test_xml_that_is_cut_off_says_where() -> None:
    body = odk_bodies.xml("<unit>CG-AC084</unit>")
    body["data"]["xml"] = body["data"]["xml"][:120]
    with pytest.raises(BodyError, match=r"line 1, column \d+: .*; send it whole"):
        READERS["odk"](json.dumps(body).encode(), {})


def test_the_halves_of_an_emoji_that_were_written_one_by_one_are_one_emoji() -> None:
    assert parse_json(b'{"a": "\xed\xa0\xbd\xed\xb8\x80"}') == {"a": "😀"}
    assert parse_json(b'{"a": "\\ud83d\\ude00", "b": "\\ude00"}') == {"a": "😀", "b": "\ufffd"}


def test_a_number_with_lost_digits_is_shown_as_it_was_written() -> None:
    body = GOOD.replace('"posts/count": "3"', '"posts/count": "3", "phone": 9.19E+11')
    with pytest.raises(ValueError, match="reporter"):
        corpora.map_events("kobo", kobo.read_hook(body.encode(), {})[0])


def test_an_error_shows_no_value() -> None:
    for body in (b'{"phone": "9000000001" NaN}', b'{"n": "Sita Netam", "m": NaN}', b'{"n": "Sita'):
        with pytest.raises(BodyError) as caught:
            parse_json(body)
        assert "9000000001" not in str(caught.value)
        assert "Sita" not in str(caught.value)


def test_bytes_that_cannot_be_decoded_stay() -> None:
    assert to_utf8(b"\xff\xfe") == b"\xff\xfe"
    assert to_utf8(b"\xef\xbb\xbf{}") == b"{}"


def test_a_page_of_rows_is_no_hooks_body_unless_it_has_one_row() -> None:
    page = {"count": 1, "next": None, "results": [kobo_bodies.REPORT]}
    (submission,) = kobo.read_hook(json.dumps(page).encode(), {})
    assert corpora.map_events("kobo", submission) == [kobo_bodies.POSTS]
    page["results"] *= 2
    with pytest.raises(BodyError, match="holds 2 submissions; send the submission itself"):
        kobo.read_hook(json.dumps(page).encode(), {})


# --- the gateway's door


def test_the_gateway_reads_a_byte_order_mark_and_utf_16(tmp_path: Path) -> None:
    with gateway_world.gateway(tmp_path) as world:
        text = json.dumps(gateway_world.kobo(1))
        bodies = [text.encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-8")]
        answers = [gateway_world.post_hook(world, body).json() for body in bodies]
        assert [answer["accepted"] for answer in answers] == [1, 0, 0]
        event = json.dumps(gateway_world.event()).encode()
        assert gateway_world.post(world, b"\xef\xbb\xbf" + event).status_code == 202
        array = gateway_world.post(world, b"\xef\xbb\xbf[" + event + b"]")
        assert (array.status_code, array.json()["repeated"]) == (200, 1)
        assert len(world.sent()) == 2


def test_files_that_a_windows_editor_saved_are_read(tmp_path: Path) -> None:
    """A source, its secret and its mapping with a byte order mark."""
    folder = gateway_world.write_sources(tmp_path / "sources")
    for path in [folder / "kobo-all.toml", folder / "one.secret", folder / "mappings/form.toml"]:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    source = read_field_sources(folder)["kobo-all"]
    assert source.check.secrets[0].get_secret_value() == gateway_world.SECRET
    mapping = SubmissionMapper({"kobo-all": source}, UnitChecker({}, 24.0), lambda _: None)
    assert mapping is not None
    sample = tmp_path / "sample.json"
    sample.write_text(json.dumps(gateway_world.kobo(1)), encoding="utf-8-sig")
    result = check_mapping(
        folder / "mappings" / "form.toml",
        sample,
        tool=None,
        producer="check",
        gazetteer=Gazetteer(small_world.registry(), {}),
        pseudonymiser=None,
    )
    assert len(result.events) == 1


def test_a_corrected_submission_that_a_windows_editor_saved_is_read() -> None:
    submission = kobo.read_row(kobo_bodies.REPORT)
    saved = submission_to_json(submission)
    assert submission_from_json(b"\xef\xbb\xbf" + saved) == submission
    with pytest.raises(BodyError, match="cut off"):
        submission_from_json(saved[:-5])


def test_the_gateway_says_where_the_json_is_wrong(tmp_path: Path) -> None:
    with gateway_world.gateway(tmp_path) as world:
        body = json.dumps(gateway_world.kobo(1)).replace('"posts": "3"', '"posts": NaN').encode()
        for content_type in ("application/json", "text/plain", "application/octet-stream"):
            headers = {"X-Secret": gateway_world.SECRET, "Content-Type": content_type}
            answer = gateway_world.post(world, body, headers, "/v1/hooks/kobo/kobo-all")
            assert (answer.status_code, answer.json()["reason"]) == (422, "unreadable")
            assert "after the field 'posts': NaN is no value of JSON" in answer.json()["detail"]
        twice = json.dumps(gateway_world.event()).replace('"posts": 3', '"posts": 3, "posts": 30')
        for text, path in ((twice, "data/posts"), (f"[{twice}]", "0/data/posts")):
            answer = gateway_world.post(world, text.encode())
            assert (answer.status_code, answer.json()["reason"]) == (422, "invalid")
            assert f"{path}: stands twice" in answer.json()["detail"]
        number = json.dumps(gateway_world.event()).replace('"posts": 3', '"posts": NaN')
        for text, place in ((number, "data.posts"), (f"[{number}]", "line 1, column")):
            answer = gateway_world.post(world, text.encode())
            assert answer.status_code == 422
            assert place in answer.json()["detail"]
        cut = gateway_world.post(world, b'[{"event_id": 1}')
        assert (cut.status_code, cut.json()["reason"]) == (422, "not_json")
        assert "line 1, column" in cut.json()["detail"]


# --- a sample of `pravah gateway check`, and a page of a pull


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (EMOJI.replace('"posts/count": "3"', '"posts/count": NaN').encode(), "'posts/count': NaN"),
        (GOOD[:-9].encode(), "cut off"),
        (b"", "the body is empty"),
        (b"a=1", "a web form"),
    ],
)
def test_a_sample_says_the_same(tmp_path: Path, body: bytes, part: str) -> None:
    sample = tmp_path / "sample.json"
    sample.write_bytes(body)
    result = check_mapping(
        corpora.EXAMPLES / corpora.MAPPINGS["kobo"],
        sample,
        tool=None,
        producer="check",
        gazetteer=corpora.gazetteer(),
        pseudonymiser=None,
    )
    assert not result.events
    assert part in result.findings[0]
    assert result.findings[0].startswith("sample.json: ")


def test_a_row_that_is_no_json_holds_up_no_other_row() -> None:
    rows = ",".join(
        [GOOD, GOOD.replace('"posts/count": "3"', '"posts/count": NaN'), EMOJI, GOOD[:-1] + "}"]
    )

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=f'\ufeff{{"next": null, "results": [{rows}]}}'.encode())

    api = ToolApi(
        "k", "https://k.example", auth={}, transport=httpx2.MockTransport(answer), sleep=print
    )
    page = parse_page(api.get("/data").rows("results", "_id", int), "_id", kobo.read_row, {})
    assert [one.name for one in page.submissions] == ["r-1"] * 3
    assert [one.detail for one in page.unreadable] == ["posts/count: NaN is no value of JSON"]


def test_a_page_that_is_cut_off_is_an_error_of_the_pull() -> None:
    api = ToolApi(
        "k",
        "https://k.example",
        auth={},
        transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=b'{"results": [')),
        sleep=print,
    )
    with pytest.raises(PullError, match="cut off"):
        api.get("/data")
