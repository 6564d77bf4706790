"""Evidence is the first attachment that lives; items with only a calculation are no events."""

import json
from typing import Any

import pytest

from producers.mapping.form_mapper import UnmappableError, map_submission
from producers.mapping.form_mapping import FormMapping
from producers.mapping.pseudonyms import Pseudonymiser
from producers.mapping.tools import READERS, commcare, kobo
from tests.support.field_bodies import commcare as commcare_bodies
from tests.support.field_bodies import corpora
from tests.support.field_bodies import kobo as kobo_bodies
from tests.support.field_bodies import odk as odk_bodies
from tests.support.field_bodies.case import KEY

DEAD = {"download_url": "https://k.example/dead.jpg", "question_xpath": "visit/photo"}
LIVE = {"download_url": "https://k.example/live.jpg", "question_xpath": "visit/photo"}
OTHER = {"download_url": "https://k.example/other.jpg", "question_xpath": "selfie"}


def evidence(attachments: Any) -> str | None:
    body = kobo_bodies.report({}) | {"_attachments": attachments}
    (event,) = map_kobo(body)
    return event.get("evidence")


def map_kobo(body: dict[str, Any], mapping: str | None = None) -> list[dict]:
    (submission,) = kobo.read_hook(json.dumps(body).encode(), {})
    if mapping is None:
        return corpora.map_events("kobo", submission)
    found = map_submission(
        FormMapping.from_toml(mapping),
        submission,
        tool="kobo",
        producer="kobo-narayanpur",
        units=corpora.gazetteer(),
        pseudonymiser=Pseudonymiser([KEY]),
    )
    return [{"part": one.part, "unit": one.unit, **one.content} for one in found]


@pytest.mark.parametrize("flag", [True, "true", "True", 1, "1", " TRUE ", "yes"])
def test_a_deleted_attachment_is_passed_over(flag: object) -> None:
    assert evidence([{**DEAD, "is_deleted": flag}, LIVE]) == LIVE["download_url"]
    assert evidence([{**DEAD, "is_deleted": flag}]) is None


@pytest.mark.parametrize("flag", [False, "false", 0, "0", None, ""])
def test_an_attachment_that_lives_is_kept(flag: object) -> None:
    assert evidence([{**LIVE, "is_deleted": flag}, OTHER]) == LIVE["download_url"]


@pytest.mark.parametrize("link", [None, "", "  ", 7])
def test_an_attachment_without_a_link_is_passed_over(link: object) -> None:
    assert evidence([{**DEAD, "download_url": link}, LIVE]) == LIVE["download_url"]
    assert evidence([{"filename": "x.jpg"}, LIVE]) == LIVE["download_url"]


@pytest.mark.parametrize("attachments", [[], None, {}, "", "x.jpg", ["x.jpg"], [None, []]])
def test_a_list_that_is_none_gives_no_evidence(attachments: object) -> None:
    assert evidence(attachments) is None


@pytest.mark.parametrize("link", ["media/17.jpg", "17.jpg", "ftp://k.example/17.jpg", "https://"])
def test_evidence_that_is_no_link_is_refused_with_the_field(link: str) -> None:
    with pytest.raises(UnmappableError, match="_attachments/0/download_url is no link"):
        evidence([{"download_url": link}])


def test_the_mapping_can_name_the_question_of_a_photo() -> None:
    mapping = """
        unit = {field = "where/booth"}
        occurred_at = {field = "day"}
        [[event]]
        part = "posts"
        kind = "social_post"
        constants = {platform = "facebook"}
        fields = {posts = {field = "posts/count", type = "integer"}}
        envelope = {evidence = {field = "_attachments_of/QUESTION/download_url", optional = true}}
        [[event]]
        part = "groups"
        kind = "messaging_group"
        repeat = "groups"
        constants = {group_type = "whatsapp"}
        fields = {members = {field = "size/members", type = "integer"}}
        envelope = {evidence = {field = "_attachments_of/in/photo/download_url", optional = true}}
        """
    body = kobo_bodies.report({"groups": [kobo_bodies.A1, {}, kobo_bodies.B2]})
    repeated = {"download_url": "https://k.example/b2.jpg", "question_xpath": "groups[3]/in/photo"}
    body["_attachments"] = [OTHER, {**DEAD, "is_deleted": True}, LIVE, repeated]
    for question, link in (("visit/photo", LIVE), ("selfie", OTHER)):
        found = map_kobo(body, mapping.replace("QUESTION", question))
        assert [one.get("evidence") for one in found] == [
            link["download_url"],
            None,
            repeated["download_url"],
        ]


@pytest.mark.parametrize(
    "question", ["", "/", "groups[9]/x", "groups[1]", "day/x", "groups/x", "a[b]", 7, None]
)
def test_a_question_that_the_form_does_not_have_changes_nothing(question: object) -> None:
    body = kobo_bodies.report({"groups": [kobo_bodies.A1]})
    body["_attachments"] = [{**LIVE, "question_xpath": question}]
    posts, group = map_kobo(body)
    assert posts["evidence"] == LIVE["download_url"]
    assert group["data"] == kobo_bodies.GROUP["data"]


def test_the_media_of_commcare_have_links() -> None:
    form = commcare_bodies.form(
        {},
        attachments={
            "form.xml": {"url": "https://c.example/form.xml"},
            "b.jpg": {"url": "https://c.example/b.jpg"},
            "a.jpg": {"url": ""},
            "c.jpg": None,
        },
    )
    listed = commcare.read_row(form).fields["@attachments"]
    assert listed == [{"url": "https://c.example/b.jpg", "name": "b.jpg"}]
    assert "@attachments" not in commcare.read_row(commcare_bodies.FORM).fields


# --- repeats

CALCULATED = [
    {"groups/no": "3"},
    {"groups/no": 3, "groups/size/total": "182"},
    {"groups/no": "3", "groups/link": "", "groups/size/members": None},
]


@pytest.mark.parametrize("item", CALCULATED)
def test_an_item_with_only_a_calculation_is_left_out(item: dict[str, Any]) -> None:
    items = [kobo_bodies.A1, item]
    assert map_kobo(kobo_bodies.report({"groups": items})) == [kobo_bodies.POSTS, kobo_bodies.GROUP]
    assert map_kobo(kobo_bodies.report({"groups": [item]})) == [kobo_bodies.POSTS]


def test_an_item_of_odk_with_only_a_calculation_is_left_out() -> None:
    body = odk_bodies.xml(
        f"<unit>CG-AC084</unit>{odk_bodies.HELD}<appointed>{odk_bodies.SITA}</appointed>"
        "<appointed><no>2</no><label>x</label></appointed>"
    )
    (submission,) = READERS["odk"](json.dumps(body).encode(), {})
    assert corpora.map_events("odk", submission) == [odk_bodies.TRAINING, odk_bodies.APPOINTED]


def test_an_item_that_lacks_only_its_name_is_refused() -> None:
    with pytest.raises(UnmappableError, match="groups/1: entity: link is empty"):
        map_kobo(kobo_bodies.report({"groups": [{"groups/kind": "wa", "groups/no": "1"}]}))


def test_without_a_condition_the_message_names_the_setting() -> None:
    text = (corpora.EXAMPLES / corpora.MAPPINGS["kobo"]).read_text(encoding="utf-8")
    mapping = "".join(
        line
        for line in text.splitlines(keepends=True)
        if not line.startswith('when = { field = ["')
    )
    assert mapping != text
    with pytest.raises(UnmappableError) as caught:
        map_kobo(kobo_bodies.report({"groups": [kobo_bodies.A1, {"groups/no": "3"}]}), mapping)
    (finding,) = caught.value.findings
    assert finding == (
        "groups/2: this item of groups has none of the fields that the mapping reads, perhaps only "
        'a calculation; to leave such items out, say when = { field = "link" } under [[event]] in '
        "the mapping"
    )


@pytest.mark.parametrize(
    "items", [None, "", " ", {}, [], [{}], [None], [[]], [{"groups/link": ""}]]
)
def test_a_repeat_without_items_gives_no_events(items: object) -> None:
    body = kobo_bodies.report({}) | {"groups": items}
    assert map_kobo(body) == [kobo_bodies.POSTS]


@pytest.mark.parametrize("items", ["3", 3, ["GroupA1"], [kobo_bodies.A1, "x"], True])
def test_a_field_where_a_repeat_should_be_is_refused(items: object) -> None:
    body = kobo_bodies.report({}) | {"groups": items}
    with pytest.raises(UnmappableError, match="groups: repeat: groups is a field, not a repeat"):
        map_kobo(body)


def test_a_repeat_of_one_item_that_is_an_object_counts() -> None:
    body = kobo_bodies.report({}) | {"groups": kobo_bodies.A1}
    assert map_kobo(body) == [kobo_bodies.POSTS, kobo_bodies.GROUP]
