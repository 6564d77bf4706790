"""Every hook body is a submission or one clear error; a hook and a pull of a state are equal."""

import gzip
import json
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from os import environ
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.mapping.form_mapper import UnmappableError
from producers.mapping.tools import READERS, BodyError, Tool, commcare, kobo, odk
from producers.mapping.tools.json_body import parse_json_rows
from tests.support.field_bodies import commcare as commcare_bodies
from tests.support.field_bodies import corpora
from tests.support.field_bodies import glific as glific_bodies
from tests.support.field_bodies import kobo as kobo_bodies
from tests.support.field_bodies import odk as odk_bodies
from tests.support.field_bodies import rapidpro as rapidpro_bodies

# Per property and tool; raise it for a long run.
EXAMPLES = int(environ.get("FIELD_EXAMPLES", "60"))

GOOD: dict[Tool, Any] = {
    "kobo": kobo_bodies.report(
        {
            "groups": [kobo_bodies.A1, kobo_bodies.B2],
            "_attachments": [{"download_url": "https://forms.example.org/1.jpg"}],
        }
    ),
    "odk": odk_bodies.xml(
        f"<unit>CG-AC084</unit>{odk_bodies.HELD}<appointed>{odk_bodies.SITA}</appointed>"
    ),
    "commcare": commcare_bodies.form(
        {"members": {"app": "2", "phones": "9000000001"}, "done": "doors", "doors": "40"}
    ),
    "rapidpro": rapidpro_bodies.results(volunteers=rapidpro_bodies.TWELVE),
    "glific": glific_bodies.BODY,
}
TOOLS = sorted(GOOD)

# Texts that identify nothing: templates that were not filled in, words for nothing, garbled texts.
WITHOUT_MEANING = [
    "@results.group.input",
    "@contact.phone",
    "{{ name }}",
    "${booth}",
    "#REF!",
    "null",
    "undefined",
    "NaN",
    "9.19E+11",
    "???? ?????",
    "\ufffd",
    "\ud83d",
]
TEXTS = st.text(max_size=30) | st.sampled_from(
    [
        "",
        " ",
        "0",
        "१२",
        "-1",
        "1e9",
        "9" * 30,
        "CG-AC084-B0017",
        "2022-05-03",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "uuid:x",
        *WITHOUT_MEANING,
        "\u202a+91 90000 00001\u202c",
        "'9000000001",
        "90000 00001 / 90000 00002",
        "\u0921\u093c",
        "\ufeff",
        "13/05/2022",
        "2032-05-03",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70).filter(lambda n: -(2**63) <= n < 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
NUMBERS = ["9" * 400, "1e400", "-1e400", "9.19E+11", "1E-400", "0.1", "-0"]
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def corrupted(draw: st.DrawFn, good: Any) -> Any:
    """A valid body with some values replaced or removed."""
    body = deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        place: Any = body
        while True:
            keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.booleans()):
                place[key] = draw(JSON)
            else:
                del place[key]
            break
    return body


def check(tool: Tool, body: bytes) -> None:
    """Read and map a body; only the two errors may be raised, each with a message."""
    try:
        for submission in READERS[tool](body, {}):
            assert submission.changed_at.tzinfo is not None
            assert submission.name
            for event in corpora.map_events(tool, submission):
                assert 1 <= len(event["entity"]) <= 200
                assert not any(text in event["entity"].split(":") for text in WITHOUT_MEANING)
                assert "\ufffd" not in event["entity"]
    except (BodyError, UnmappableError) as error:
        assert str(error)


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_a_corrupted_body_is_mapped_or_refused(tool: Tool, data: st.DataObject) -> None:
    check(
        tool,
        json.dumps(data.draw(corrupted(GOOD[tool])), ensure_ascii=data.draw(st.booleans())).encode(
            "utf-8", "surrogatepass"
        ),
    )


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(body=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_random_bytes_are_mapped_or_refused(tool: Tool, body: bytes) -> None:
    check(tool, body)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    inner=st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [
                "<a>",
                "</a>",
                "<a/>",
                "&amp;",
                "&x;",
                "<![CDATA[",
                "]]>",
                "<?p?>",
                "<!--",
                "-->",
                "é",
                "x",
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_random_xml_is_mapped_or_refused(inner: str) -> None:
    check("odk", json.dumps(odk_bodies.xml(inner)).encode())
    check(
        "odk",
        json.dumps({"type": "submission.create", "id": "uuid:x", "data": {"xml": inner}}).encode(),
    )


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_how_a_body_is_written_makes_no_difference(tool: Tool, data: st.DataObject) -> None:
    """A byte order mark, UTF-16, escapes, and what stands in fields that nobody maps."""
    good = GOOD[tool]
    unmapped = (
        {"x": {"a note": data.draw(st.lists(SCALARS, max_size=4))}}
        if tool in {"kobo", "commcare"}
        else {}
    )
    text = json.dumps(
        {**good, **unmapped},
        ensure_ascii=data.draw(st.booleans()),
        indent=data.draw(st.sampled_from([None, 2])),
    ).replace('"a note":', f'"n": {data.draw(st.sampled_from(NUMBERS))}, "a note":')
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]))
    mark = "\ufeff" if encoding == "utf-8-sig" else ""
    body = (mark + text).encode(encoding.removesuffix("-sig"), "surrogatepass")
    (found,) = READERS[tool](body, {})
    assert corpora.map_events(tool, found) == corpora.map_events(
        tool, READERS[tool](json.dumps(good).encode(), {})[0]
    )


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_a_body_that_is_no_json_says_where(tool: Tool, data: st.DataObject) -> None:
    text = json.dumps(GOOD[tool], ensure_ascii=data.draw(st.booleans()))
    kind = data.draw(st.sampled_from(["cut", "constant", "twice", "bytes", "gzip", "form"]))
    body, parts = text.encode(), [""]
    if kind == "cut":
        body = body[: data.draw(st.integers(1, len(text) - 1))]
        parts = ["it was cut off"]
    elif kind == "constant":
        name = data.draw(st.sampled_from(["NaN", "Infinity", "-Infinity"]))
        body = f'{text[:-1]}, "z": {name}}}'.encode()
        parts = [f"after the field 'z': {name} is no value of JSON"]
    elif kind == "twice":
        key = data.draw(st.sampled_from(sorted(GOOD[tool])))
        body = f"{text[:-1]}, {json.dumps(key)}: [[7]]}}".encode()
        parts = [f"{key} stands twice with different values"]
    elif kind == "bytes":
        place = data.draw(st.integers(1, len(text) - 1))
        body = text[:place].encode() + b"\xff" + text[place:].encode()
        parts = ["must write UTF-8"]
    elif kind == "gzip":
        body, parts = gzip.compress(body), ["compressed"]
    else:
        body, parts = urlencode({"payload": text}).encode(), ["a web form"]
    with pytest.raises(BodyError) as caught:
        READERS[tool](body, {})
    assert any(part in str(caught.value) for part in parts), str(caught.value)


def test_deeply_nested_json_is_refused() -> None:
    for tool in TOOLS:
        for deep in (b"[" * 100_000, b'{"a":' * 100_000, b'{"a":' * 500 + b"1" + b"}" * 500):
            with pytest.raises(BodyError):
                READERS[tool](deep, {})


def test_an_error_contains_no_submitted_value() -> None:
    secret = "9000000001"
    for tool, good in GOOD.items():
        for key in good:
            try:
                READERS[tool](json.dumps({**good, key: {"x": [secret]}}).encode(), {})
                READERS[tool](json.dumps({**good, key: secret}).encode(), {})
            except BodyError as error:
                assert secret not in str(error), tool


# --- hook and pull

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True).filter(
    lambda name: name not in {"meta", "type", "coordinates"}
)
ANSWERS = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=8
) | st.integers(0, 10**6).map(str)


@settings(max_examples=EXAMPLES, deadline=None)
@given(answers=st.dictionaries(NAMES, ANSWERS, max_size=5), approved=st.booleans())
def test_kobos_hook_and_data_api_give_equal_submissions(
    answers: dict[str, str], approved: bool
) -> None:
    grouped = {f"g/{name}": answer for name, answer in answers.items()} | {
        "rep": [{f"rep/in/{name}": answer for name, answer in answers.items()}]
    }
    hook = kobo_bodies.report(
        grouped | {"_validation_status": {"uid": "validation_status_approved"} if approved else {}}
    )
    row = {
        name: value for name, value in hook.items() if name not in {"formhub/uuid", "__version__"}
    } | {
        "_notes": None,
        "_supplementalDetails": {},
        "_submitted_by": "",
    }
    (sent,) = kobo.read_hook(json.dumps({"fields": hook}).encode(), {})
    assert sent == kobo.read_row(row)
    edited = {
        **row,
        "_uuid": "other",
        "meta/instanceID": "uuid:other",
        "meta/deprecatedID": "uuid:r-1",
    }
    assert kobo.read_row(edited, at := datetime(2022, 6, 1, tzinfo=UTC)) == replace(
        sent, changed_at=at
    )


@st.composite
def form_contents(draw: st.DrawFn) -> dict[str, Any]:
    """The content of an ODK form: fields, groups and repeats; None is an empty field."""
    leaf = st.none() | ANSWERS | st.integers(0, 999)
    group = st.dictionaries(NAMES, leaf, max_size=4)
    return draw(st.dictionaries(NAMES, leaf | group | st.lists(group, max_size=3), max_size=4))


def elements(content: dict[str, Any]) -> str:
    """The content as a form's XML."""
    found = ""
    for name, value in content.items():
        for item in value if isinstance(value, list) else [value]:
            inner = (
                elements(item)
                if isinstance(item, dict)
                else ""
                if item is None
                else escape(str(item))
            )
            found += f"<{name}>{inner}</{name}>"
    return found


def odata(content: dict[str, Any]) -> dict[str, Any]:
    """The content as OData, in which repeats have names and links of their own."""
    found: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, list):
            found |= {
                f"{name}@odata.navigationLink": "Submissions('x')/r",
                name: [{"__id": "i", "__Submissions-id": "x", **odata(item)} for item in value],
            }
        else:
            found[name] = odata(value) if isinstance(value, dict) else value
    return found


@settings(max_examples=EXAMPLES, deadline=None)
@given(content=form_contents())
def test_odks_hook_and_odata_give_equal_submissions_except_for_the_hooks_missing_time(
    content: dict[str, Any],
) -> None:
    (sent,) = odk.read_hook(json.dumps(odk_bodies.xml(elements(content))).encode(), {})
    pulled = odk.read_row(
        {
            "__id": "uuid:s-1",
            "__system": odk_bodies.ROW["__system"],
            "meta": odk_bodies.ROW["meta"],
            **odata(content),
        },
        "training",
    )
    fields = {name: value for name, value in pulled.fields.items() if name != "__system"}
    assert sent == replace(pulled, fields=fields, changed_at=odk.HOOK_CHANGED_AT)
    assert sent.changed_at < pulled.changed_at


@settings(max_examples=EXAMPLES, deadline=None)
@given(changes=st.dictionaries(NAMES, JSON, max_size=4))
def test_commcares_forwarding_and_api_give_equal_submissions(changes: dict[str, Any]) -> None:
    form = commcare_bodies.form(changes)
    (sent,) = commcare.read_hook(json.dumps(form).encode(), {})
    row = json.dumps(form | {"resource_uri": "", "type": "data", "build_id": "b"}).encode()
    assert sent == commcare.read_row(parse_json_rows(row))


@pytest.mark.parametrize("tool", TOOLS)
def test_a_hooks_retry_gives_an_equal_submission(tool: Tool) -> None:
    once, again = (
        READERS[tool](json.dumps(GOOD[tool], indent=indent).encode(), {}) for indent in (None, 2)
    )
    assert once == again
