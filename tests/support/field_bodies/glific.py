"""Glific: the template of producers/examples/glific. Webhooks only, no pull."""

import hashlib
import json
from typing import Any

from tests.support.field_bodies.case import ABSENT, Case, hash_person, merge

BODY = {
    "flow": "groups",
    "contact": {
        "id": 42,
        "name": "Sita Netam",
        "phone": "919000000001",
        "fields": {"booth": {"value": "CG-AC084-B0017", "label": "Booth", "type": "string"}},
    },
    "results": {
        "kind": {"input": "1", "category": "Group", "inserted_at": "2022-06-01T13:58:40.000000Z"},
        "members": {
            "input": "118",
            "category": "Number",
            "inserted_at": "2022-06-01T14:00:05.000000Z",
        },
    },
    "wa_group": {"id": 7, "label": "Booth 17 नारायणपुर", "wa_managed_phone_id": 2},
    "group_bsp_id": "120363000000000017@g.us",
    "submission_id": "s-1",
    "organization_id": 1,
}
GROUP = {
    "part": "",
    "entity": "whatsapp:120363000000000017@g.us",
    "unit": "CG-AC084-B0017",
    "kind": "messaging_group",
    "occurred_at": "2022-06-01T14:00:05+00:00",
    "source": {"tool": "glific", "producer": "glific-raipur"},
    "verification": "unverified",
    "data": {"group_type": "whatsapp", "members": 118},
    "reporter": hash_person("tel:+919000000001"),
}
SIGNED = {"X-Glific-Signature": "t=1654092010,v1=00"}


def body(**changes: Any) -> dict[str, Any]:
    return merge(BODY, changes)


def results(**changes: Any) -> dict[str, Any]:
    return merge(BODY, {"results": changes})


def group(**changes: Any) -> dict[str, Any]:
    return merge(GROUP, changes)


def members(answer: Any) -> dict[str, Any]:
    return results(members={"input": answer})


BODY_HASH = hashlib.blake2b(
    json.dumps(
        body(submission_id=ABSENT), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode(),
    digest_size=16,
).hexdigest()
UNTIMED = {"kind": {"inserted_at": ABSENT}, "members": {"inserted_at": ABSENT}}

CASES = [
    Case(
        "a group",
        BODY,
        [GROUP],
        state={
            "form": "groups",
            "name": "s-1",
            "changed_at": "2022-06-01T14:00:05+00:00",
            "deleted": False,
        },
    ),
    Case(
        "the group grew: another body about the same entity",
        body(
            submission_id="s-2",
            results={"members": {"input": "131", "inserted_at": "2022-06-20T14:00:05.000000Z"}},
        ),
        [group(occurred_at="2022-06-20T14:00:05+00:00", data={"members": 131})],
        state={"name": "s-2"},
    ),
    Case(
        "a body without a name names itself",
        body(submission_id=ABSENT),
        [GROUP],
        state={"name": BODY_HASH},
    ),
    Case("a name that is a number", body(submission_id=77), [GROUP], state={"name": "77"}),
    Case(
        "a broadcast list",
        results(kind={"category": "Broadcast"}),
        [group(data={"group_type": "broadcast"})],
    ),
    Case(
        "an answer that the flow did not understand",
        results(kind={"category": "Other"}),
        error="group_type: results/kind/category is not among its values: Group, Broadcast",
    ),
    Case(
        "no question for the kind",
        results(kind=ABSENT),
        error="group_type: results/kind/category is empty",
    ),
    Case("a number as number", members(118), [GROUP]),
    Case("Devanagari digits", members("११८"), [GROUP]),
    Case("blanks", members("118 "), [GROUP]),
    Case("nobody in it", members("0"), [group(data={"members": 0})]),
    Case(
        "an approximate answer",
        members("about 100"),
        error="members: results/members/input is not a whole number",
    ),
    Case(
        "a range",
        members("100-120"),
        error="members: results/members/input is not a whole number",
    ),
    Case("no answer", members(""), error="members: results/members/input is empty"),
    Case("null", members(None), error="members: results/members/input is empty"),
    Case(
        "a variable that Glific did not know stays as it was written",
        members("@results.members.input"),
        error="members: results/members/input is not a whole number",
    ),
    Case(
        "the group is still there",
        results(active={"input": "हाँ", "inserted_at": "2022-06-01T14:00:00.000000Z"}),
        [group(data={"active": True})],
    ),
    Case(
        "the group was closed",
        results(active={"input": "no", "inserted_at": "2022-06-01T14:00:00.000000Z"}),
        [group(data={"active": False})],
    ),
    Case(
        "yes in another way of writing",
        results(active={"input": "जी हां"}),
        [group(data={"active": True})],
    ),
    Case(
        "neither yes nor no",
        results(active={"input": "क्या"}),
        error="active: results/active/input is neither yes nor no",
    ),
    Case(
        "a question for the booth",
        results(booth={"input": "cg_ac084_b0018", "inserted_at": "2022-06-01T13:59:00.000000Z"}),
        [group(unit="CG-AC084-B0018")],
    ),
    Case(
        "a question for the booth, left blank: the contact's field counts",
        results(booth={"input": " "}),
        [GROUP],
    ),
    Case(
        "the contact has no fields",
        body(contact={"fields": {}})
        | {"contact": {"id": 42, "phone": "919000000001", "fields": {}}},
        error="unit: results/booth/input or contact/fields/booth/value is empty",
    ),
    Case(
        "a booth that is not there",
        results(booth={"input": "CG-AC084-B9999"}),
        error="unit: 'CG-AC084-B9999' is not in the registry",
    ),
    Case(
        "a name where a code is required",
        results(booth={"input": "Booth 17"}),
        error="unit: 'Booth 17' is not in the registry",
    ),
    Case(
        "a photo",
        results(photo={"input": "https://media.example.org/17.jpg", "category": "Media"}),
        [group(evidence="https://media.example.org/17.jpg")],
    ),
    Case("a photo that is no address", results(photo={"input": "photo.jpg"}), error="evidence"),
    Case("no photo", results(photo={"input": None}), [GROUP]),
    Case("a number with plus", body(contact={"phone": "+919000000001"}), [GROUP]),
    Case("a WhatsApp address", body(contact={"phone": "919000000001@c.us"}), [GROUP]),
    Case(
        "a contact without phone",
        body(contact={"phone": None}),
        error="reporter: contact/phone is empty",
    ),
    Case(
        "the simulator's contact",
        body(contact={"phone": "9876_simulator"}),
        error="reporter: contact/phone is no phone number",
    ),
    Case(
        "no stable name of the group",
        body(group_bsp_id=None),
        error="entity: group_bsp_id is empty",
    ),
    Case(
        "the group itself is not there: the flow runs with a contact",
        body(wa_group={}) | {"wa_group": {}},
        [GROUP],
    ),
    Case(
        "results have no times: the template's",
        body(results=UNTIMED, sent_at="2022-06-01T19:30:05+05:30"),
        [group(occurred_at="2022-06-01T19:30:05+05:30")],
        state={"changed_at": "2022-06-01T14:00:05+00:00"},
    ),
    Case(
        "the template's time without zone",
        body(results=UNTIMED, sent_at="2022-06-01 19:30:05"),
        [group(occurred_at="2022-06-01T19:30:05+05:30")],
        state={"changed_at": "2022-06-01T19:30:05+00:00"},
    ),
    Case(
        "a day as the template's time",
        body(results=UNTIMED, sent_at="2022-06-01"),
        [group(occurred_at="2022-06-01T12:00:00+05:30")],
    ),
    Case(
        "a template's time that is none",
        body(sent_at="today"),
        error="sent_at: is no date and time",
    ),
    Case(
        "a result's time that is none",
        results(members={"inserted_at": "?"}),
        error="results.members.inserted_at: is no date and time",
    ),
    Case(
        "no time anywhere",
        body(results=UNTIMED),
        error="sent_at: is missing, and no result has a time",
    ),
    Case(
        "the signature's time is no part of the body",
        body(results=UNTIMED),
        error="sent_at: is missing",
        headers=SIGNED,
    ),
    Case(
        "the flow as Glific's own object",
        body(flow={"id": 9, "name": "groups"}),
        [GROUP],
        state={"form": "groups"},
    ),
    Case("no flow", body(flow=ABSENT), [GROUP], state={"form": ""}),
    Case("no organisation", body(organization_id=ABSENT), error="organization_id: is missing"),
    Case(
        "an empty body, as a template without content sends",
        {},
        error="organization_id: is missing",
    ),
    Case(
        "results that are a text",
        body(results="@results") | {"sent_at": "2022-06-01T14:00:05Z"},
        error="results/members/input is empty",
    ),
    Case("no JSON", "contact=42", error="is not JSON in UTF-8"),
    Case("a list", [], error="the body is a list"),
]
