"""CommCare HQ: the form of producers/examples/commcare. Hook and API send the same JSON."""

from typing import Any

from tests.support.field_bodies.case import ABSENT, Case, hash_person, merge

FORM = {
    "id": "f-1",
    "domain": "bastar",
    "app_id": "0c0a8beabdc4b83bc84fd457f2b047a2",
    "archived": False,
    "received_on": "2022-05-03T14:30:12.153323Z",
    "server_modified_on": "2022-05-03T14:30:12.509392Z",
    "edited_on": None,
    "form": {
        "#type": "data",
        "@name": "Membership",
        "@uiVersion": "1",
        "@version": "53",
        "@xmlns": "http://openrosa.org/formdesigner/7C2E5B1A-0000-4000-8000-00000000C0DE",
        "where": {"assembly": "नारायणपुर", "booth": "मतदान केंद्र 17"},
        "visit_date": "03-05-2022",
        "members": {"paper": "12", "app": "", "phones": ""},
        "done": "",
        "doors": "",
        "case": {"@case_id": "c-1", "@user_id": "u-1", "update": ""},
        "meta": {
            "@xmlns": "http://openrosa.org/jr/xforms",
            "instanceID": "f-1",
            "timeStart": "2022-05-03T14:20:10.178000Z",
            "timeEnd": "2022-05-03T14:29:11.718000Z",
            "userID": "u-1",
            "username": "sita",
        },
    },
    "metadata": {"instanceID": "f-1", "userID": "u-1", "username": "sita"},
}
PAPER = {
    "part": "paper",
    "entity": "commcare:www.commcarehq.org/bastar:membership:f-1:paper",
    "unit": "CG-AC084-B0017",
    "kind": "membership",
    "occurred_at": "2022-05-03T12:00:00+05:30",
    "reported_at": "2022-05-03T14:30:12.153323+00:00",
    "source": {"tool": "commcare", "producer": "commcare-bastar"},
    "verification": "unverified",
    "data": {"mode": "manual", "count": 12},
}
APP = {
    "part": "app",
    "entity": "commcare:www.commcarehq.org/bastar:membership:f-1:app",
    "unit": "CG-AC084-B0017",
    "kind": "membership",
    "occurred_at": "2022-05-03T12:00:00+05:30",
    "source": {"tool": "commcare", "producer": "commcare-bastar"},
    "verification": "unverified",
    "data": {"mode": "digital", "count": 2},
    "reporter": hash_person("sita"),
}
DOORS = {
    "part": "doors",
    "entity": "commcare:www.commcarehq.org/bastar:membership:f-1:doors",
    "unit": "CG-AC084-B0017",
    "kind": "tally",
    "occurred_at": "2022-05-03T12:00:00+05:30",
    "source": {"tool": "commcare", "producer": "commcare-bastar"},
    "verification": "unverified",
    "data": {"metric": "doors_visited", "value": 40},
}


def form(changes: dict[str, Any], **outside: Any) -> dict[str, Any]:
    return merge(FORM, {"form": changes, **outside})


def where(**changes: Any) -> dict[str, Any]:
    return form({"where": changes})


def members(**changes: Any) -> dict[str, Any]:
    return form({"members": changes})


def paper(changes: dict[str, Any]) -> dict[str, Any]:
    return merge(PAPER, changes)


def app(changes: dict[str, Any]) -> dict[str, Any]:
    return merge(APP, changes)


TWO = [hash_person("tel:+919000000001"), hash_person("tel:+919000000002")]
ONLY_APP = {"paper": "", "app": "2"}

CASES = [
    Case(
        "a form",
        FORM,
        [PAPER],
        state={
            "name": "f-1",
            "changed_at": "2022-05-03T14:30:12.509392+00:00",
            "deleted": False,
            "form": "http://openrosa.org/formdesigner/7C2E5B1A-0000-4000-8000-00000000C0DE",
        },
    ),
    Case(
        "the same from the API, which has more fields",
        merge(FORM, {"resource_uri": "", "type": "data", "is_phone_submission": True}),
        [PAPER],
        is_row=True,
    ),
    Case("Devanagari digits", members(paper="१२"), [PAPER]),
    Case("a number as number", members(paper=12), [PAPER]),
    Case("nothing on paper", members(paper="0"), []),
    Case("nothing on paper, in Hindi", members(paper="०"), []),
    Case("left out", members(paper=ABSENT), []),
    Case("null", members(paper=None), []),
    Case("a whole group left out", form({"members": ""}), []),
    Case(
        "a word", members(paper="बारह"), error="paper: count: members/paper is not a whole number"
    ),
    Case("the name with another nasal and digits", where(booth="मतदान केन्द्र १७"), [PAPER]),
    Case("the name with a joiner and blanks", where(booth=" मतदान\u200d  केंद्र  17 "), [PAPER]),
    Case("the name in English", where(booth="Booth 17"), [PAPER]),
    Case("the name in other case, with a hyphen", where(booth="BOOTH-17"), [PAPER]),
    Case("the assembly in English", where(assembly="narayanpur"), [PAPER]),
    Case("the assembly by its code", where(assembly="CG-AC084"), [PAPER]),
    Case("the assembly by its code as a choice", where(assembly="cg_ac084"), [PAPER]),
    Case(
        "an assembly that is only similar",
        where(assembly="Narainpur"),
        error="alike: Narayanpur नारायणपुर (CG-AC084)",
    ),
    Case(
        "an assembly in Hindi that is only similar",
        where(assembly="नारायनपुर"),
        error="alike: Narayanpur नारायणपुर (CG-AC084)",
    ),
    Case(
        "a booth that is only similar",
        where(booth="Both 17"),
        error="'Both 17' is the name of no unit there on that day",
    ),
    Case(
        "a booth that the assembly does not have",
        where(booth="Booth 999"),
        error="'Booth 999' is the name of no unit there",
    ),
    Case("no assembly", where(assembly=""), error="unit.assembly: where/assembly is empty"),
    Case("no booth", where(booth=None), error="unit: where/booth is empty"),
    Case(
        "a name that many have",
        where(assembly="Booth 1"),
        error="unit: 'Booth 1' is the name of no unit",
    ),
    Case("a day in Devanagari digits", form({"visit_date": "०३-०५-२०२२"}), [PAPER]),
    Case(
        "a day as ISO where the form has another order",
        form({"visit_date": "2022-05-03"}),
        error="occurred_at: visit_date is not written as %d-%m-%Y",
    ),
    Case(
        "a day that the calendar does not have",
        form({"visit_date": "31-02-2022"}),
        error="occurred_at: visit_date is not written as %d-%m-%Y",
    ),
    Case(
        "no day: the phone's clock",
        form({"visit_date": ""}),
        [paper({"occurred_at": "2022-05-03T14:29:11.718000+00:00"})],
    ),
    Case(
        "no day, and a zone of two digits",
        form({"visit_date": "", "meta": {"timeEnd": "2022-05-03T19:59:11.718+05"}}),
        [paper({"occurred_at": "2022-05-03T19:59:11.718000+05:00"})],
    ),
    Case(
        "no day, and a clock without zone",
        form({"visit_date": "", "meta": {"timeEnd": "2022-05-03T19:59:11"}}),
        [paper({"occurred_at": "2022-05-03T19:59:11+05:30"})],
    ),
    Case(
        "neither day nor clock",
        form({"visit_date": "", "meta": {"timeEnd": None}}),
        error="occurred_at: visit_date or meta/timeEnd is empty",
    ),
    Case(
        "metadata missing", form({"meta": ABSENT, "members": ONLY_APP}), [app({"reporter": ABSENT})]
    ),
    Case("by app", members(**ONLY_APP), [APP]),
    Case("paper and app", members(app="2"), [PAPER, APP]),
    Case(
        "members' numbers one on each line",
        members(**ONLY_APP, phones="9000000001\n+91 90000 00002"),
        [app({"data": {"member_keys": TWO}})],
    ),
    Case(
        "members' numbers with commas",
        members(**ONLY_APP, phones="09000000001, 00919000000002,"),
        [app({"data": {"member_keys": TWO}})],
    ),
    Case(
        "a member twice, written in two ways",
        members(**ONLY_APP, phones="9000000001, +91-90000-00001, ९००००००००२"),
        [app({"data": {"member_keys": TWO}})],
    ),
    Case(
        "a member's number that is none",
        members(**ONLY_APP, phones="9000000001, 12"),
        error="member_keys: members/phones is no phone number",
    ),
    Case(
        "a number of another country",
        members(app="1", paper="", phones="+9779812345678"),
        [app({"data": {"count": 1, "member_keys": [hash_person("tel:+9779812345678")]}})],
    ),
    Case(
        "a choice of a select-multiple",
        form({"members": {"paper": ""}, "done": "posters doors", "doors": "40"}),
        [DOORS],
    ),
    Case(
        "another choice that begins alike",
        form({"members": {"paper": ""}, "done": "doors_asked", "doors": "40"}),
        [],
    ),
    Case(
        "the choice without its number",
        form({"members": {"paper": ""}, "done": "doors"}),
        error="doors: value: doors is empty",
    ),
    Case(
        "an edit keeps the name",
        form(
            {"members": {"paper": "14"}},
            edited_on="2022-05-05T08:00:00Z",
            server_modified_on="2022-05-05T08:00:00.5Z",
        ),
        [paper({"data": {"count": 14}})],
        state={"name": "f-1", "changed_at": "2022-05-05T08:00:00.500000+00:00"},
    ),
    Case(
        "archived is deleted",
        merge(FORM, {"archived": True, "server_modified_on": "2022-05-06T08:00:00Z"}),
        [],
        is_row=True,
        state={"deleted": True, "changed_at": "2022-05-06T08:00:00+00:00"},
    ),
    Case(
        "brought back",
        merge(FORM, {"server_modified_on": "2022-05-07T08:00:00Z"}),
        [PAPER],
        is_row=True,
        state={"deleted": False},
    ),
    Case(
        "times without a zone are the server's, UTC",
        merge(
            FORM,
            {
                "received_on": "2022-05-03T14:30:12.153323",
                "server_modified_on": "2022-05-03T14:30:12.509392",
            },
        ),
        [PAPER],
    ),
    Case(
        "no time of change: that of receipt",
        merge(FORM, {"server_modified_on": None}),
        [PAPER],
        state={"changed_at": "2022-05-03T14:30:12.153323+00:00"},
    ),
    Case(
        "no time at all",
        merge(FORM, {"server_modified_on": None, "received_on": None}),
        error="server_modified_on or received_on: is missing",
    ),
    Case("no name", merge(FORM, {"id": ""}), error="id: is no text"),
    Case(
        "a stub without questions",
        merge(FORM, {"form": ABSENT}),
        error="form: is missing; expected an object",
    ),
    Case(
        "a form without namespace and name",
        form({"@xmlns": ABSENT, "@name": ABSENT}),
        error="form.@xmlns or @name: is missing",
    ),
    Case("XML instead of JSON", "<data/>", error="is not JSON in UTF-8"),
]
