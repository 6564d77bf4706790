"""KoboToolbox: the form of producers/examples/kobo."""

from typing import Any

from tests.support.field_bodies.case import ABSENT, Case, hash_person, merge

REPORT = {
    "_id": 4711,
    "formhub/uuid": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "start": "2022-05-03T19:40:11.000+05:30",
    "end": "2022-05-03T19:44:30.000+05:30",
    "day": "2022-05-03",
    "where/booth": "cg_ac084_b0017",
    "posts/platform": "fb",
    "posts/count": "3",
    "__version__": "vK2bQ",
    "meta/instanceID": "uuid:r-1",
    "meta/rootUuid": "uuid:r-1",
    "_xform_id_string": "aXw7kQmPzR3tYbNcVdEfGh",
    "_uuid": "r-1",
    "_attachments": [],
    "_status": "submitted_via_web",
    "_geolocation": [None, None],
    "_submission_time": "2022-05-03T14:15:02",
    "_tags": [],
    "_notes": [],
    "_validation_status": {},
    "_submitted_by": None,
}
POSTS = {
    "part": "posts",
    "entity": "kobo:forms.example.org:daily-report:r-1:posts",
    "unit": "CG-AC084-B0017",
    "kind": "social_post",
    "occurred_at": "2022-05-03T20:00:00+05:30",
    "reported_at": "2022-05-03T14:15:02+00:00",
    "source": {"tool": "kobo", "producer": "kobo-narayanpur"},
    "verification": "unverified",
    "data": {"platform": "facebook", "posts": 3},
}
GROUP = {
    "part": "groups/1",
    "entity": "whatsapp:GroupA1",
    "unit": "CG-AC084-B0017",
    "kind": "messaging_group",
    "occurred_at": "2022-05-03T20:00:00+05:30",
    "source": {"tool": "kobo", "producer": "kobo-narayanpur"},
    "verification": "unverified",
    "data": {"group_type": "whatsapp", "members": 118},
}
A1 = {"groups/link": "GroupA1", "groups/kind": "wa", "groups/size/members": "118"}
B2 = {"groups/link": "GroupB2", "groups/kind": "bc", "groups/size/members": "64"}
NO_POSTS = {"posts/platform": ABSENT, "posts/count": ABSENT}


def report(changes: dict[str, Any]) -> dict[str, Any]:
    return merge(REPORT, changes)


def posts(changes: dict[str, Any]) -> dict[str, Any]:
    return merge(POSTS, changes)


def group(changes: dict[str, Any]) -> dict[str, Any]:
    return merge(GROUP, changes)


CASES = [
    Case(
        "numbers are texts",
        REPORT,
        [POSTS],
        state={
            "form": "aXw7kQmPzR3tYbNcVdEfGh",
            "name": "r-1",
            "changed_at": "2022-05-03T14:15:02+00:00",
        },
    ),
    Case("numbers are numbers", report({"posts/count": 3}), [POSTS]),
    Case("a calculated number has a fraction of zero", report({"posts/count": 3.0}), [POSTS]),
    Case("the same as text", report({"posts/count": "3.0"}), [POSTS]),
    Case("Devanagari digits", report({"posts/count": "१२"}), [posts({"data": {"posts": 12}})]),
    Case(
        "blanks around a number", report({"posts/count": " 12 "}), [posts({"data": {"posts": 12}})]
    ),
    Case(
        "lakh with commas",
        report({"posts/reach": "1,04,204"}),
        [posts({"data": {"reach": 104_204}})],
    ),
    Case("an optional number", report({"posts/reach": "420"}), [posts({"data": {"reach": 420}})]),
    Case("an explicit zero", report({"posts/reach": "0"}), [posts({"data": {"reach": 0}})]),
    Case("an optional field left blank", report({"posts/reach": "  "}), [POSTS]),
    Case("an optional field that is null", report({"posts/reach": None}), [POSTS]),
    Case(
        "a fraction",
        report({"posts/count": "3.5"}),
        error="posts: posts/count is not a whole number",
    ),
    Case(
        "a decimal comma is no thousand",
        report({"posts/count": "1,5"}),
        error="posts: posts/count is not a whole number",
    ),
    Case(
        "a word for a number",
        report({"posts/count": "many"}),
        error="posts: posts/count is not a whole number",
    ),
    Case(
        "true for a number",
        report({"posts/count": True}),
        error="posts: posts/count is not a whole number",
    ),
    Case("fewer than none", report({"posts/count": "-3"}), error="data.posts"),
    Case(
        "an object for a number",
        report({"posts/count": ABSENT, "posts/count/inner": "3"}),
        error="posts/count is a group",
    ),
    Case("no posts were made, so there is no event", report(NO_POSTS), []),
    Case(
        "another platform",
        report({"posts/platform": "tw"}),
        [posts({"data": {"platform": "twitter"}})],
    ),
    Case(
        "a choice that the mapping does not know",
        report({"posts/platform": "ig"}),
        error="platform: posts/platform is not among its values: fb, tw, wa",
    ),
    Case(
        "a needed choice left out",
        report({"posts/platform": ABSENT}),
        error="platform: posts/platform is empty",
    ),
    Case(
        "several errors are reported at once",
        report({"posts/platform": "ig", "posts/count": "?", "where/booth": ABSENT}),
        error="unit: where/booth is empty; posts: ",
    ),
    Case(
        "no day: the time of submission, which is UTC",
        report({"day": ABSENT}),
        [posts({"occurred_at": "2022-05-03T14:15:02+00:00"})],
    ),
    Case(
        "a blank day: the same",
        report({"day": ""}),
        [posts({"occurred_at": "2022-05-03T14:15:02+00:00"})],
    ),
    Case("a day in Devanagari digits", report({"day": "२०२२-०५-०३"}), [POSTS]),
    Case(
        "a local time without zone",
        report({"day": "2022-05-03T18:05:00"}),
        [posts({"occurred_at": "2022-05-03T18:05:00+05:30"})],
    ),
    Case(
        "a phone that is set to another zone",
        report({"day": "2022-05-03T15:35:00.000+03:00"}),
        [posts({"occurred_at": "2022-05-03T15:35:00+03:00"})],
    ),
    Case(
        "an instant in UTC",
        report({"day": "2022-05-03T20:30:00.000Z"}),
        [posts({"occurred_at": "2022-05-03T20:30:00+00:00"})],
    ),
    Case(
        "a day written in another order",
        report({"day": "03/05/2022"}),
        error="occurred_at: day is neither a day such as 2022-03-31 nor RFC 3339",
    ),
    Case("a clock that was never set", report({"day": "1970-01-01"}), error="before the year 2000"),
    Case(
        "a clock at the beginning of all calendars",
        report({"day": "0001-01-01T00:00:00+14:00"}),
        error="occurred_at: day lies before the year 2000",
    ),
    Case(
        "a clock at the end of all calendars",
        report({"day": "9999-12-31T23:59:59-14:00"}),
        error="occurred_at: day lies after the year 2149",
    ),
    Case("a code in capitals with hyphens", report({"where/booth": "CG-AC084-B0017"}), [POSTS]),
    Case("a code with Devanagari digits", report({"where/booth": "CG-AC०८४-B००१७"}), [POSTS]),
    Case(
        "a unit that is not there",
        report({"where/booth": "cg_ac084_b9999"}),
        error="unit: 'cg_ac084_b9999' is not in the registry",
    ),
    Case(
        "a unit that was not there on that day",
        report({"where/booth": "CG-D-MCB"}),
        error="unit: CG-D-MCB does not exist on 2022-05-03",
    ),
    Case("no unit", report({"where/booth": ABSENT}), error="unit: where/booth is empty"),
    Case("a template that wraps the submission", {"fields": REPORT}, [POSTS]),
    Case(
        "a template with more around it",
        {"event": "new", "payload": {"asset": {"uid": "a"}, "submission": REPORT}},
        [POSTS],
    ),
    Case(
        "a template with two submissions",
        {"one": REPORT, "other": REPORT},
        error="holds 2 submissions",
    ),
    Case("a template with none", {"fields": {"posts/count": "3"}}, error="holds no submission"),
    Case(
        "groups that are objects already",
        report({**NO_POSTS, "posts": {"platform": "fb", "count": "3"}}),
        [POSTS],
    ),
    Case(
        "groups half joined, half objects",
        report({"posts/count": ABSENT, "posts": {"count": "3"}}),
        [POSTS],
    ),
    Case("one item of a repeat", report({**NO_POSTS, "groups": [A1]}), [GROUP]),
    Case(
        "posts and two groups",
        report({"groups": [A1, B2]}),
        [
            POSTS,
            GROUP,
            group(
                {
                    "part": "groups/2",
                    "entity": "whatsapp:GroupB2",
                    "data": {"group_type": "broadcast", "members": 64},
                }
            ),
        ],
    ),
    Case("an empty repeat", report({"groups": []}), [POSTS]),
    Case(
        "yes in Hindi",
        report({**NO_POSTS, "groups": [{**A1, "groups/active": "हाँ"}]}),
        [group({"data": {"active": True}})],
    ),
    Case(
        "a group that was closed",
        report(
            {**NO_POSTS, "groups": [{**A1, "groups/active": "नहीं", "groups/size/members": "0"}]}
        ),
        [group({"data": {"active": False, "members": 0}})],
    ),
    Case(
        "neither yes nor no",
        report({**NO_POSTS, "groups": [{**A1, "groups/active": "शायद"}]}),
        error="groups/1: active: active is neither yes nor no",
    ),
    Case(
        "one group reported twice",
        report({**NO_POSTS, "groups": [A1, A1]}),
        error="groups/2: entity: is the same at the same time as in groups/1",
    ),
    Case(
        "a group without its name",
        report({**NO_POSTS, "groups": [{**A1, "groups/link": ""}]}),
        error="groups/1: entity: link is empty",
    ),
    Case(
        "an edit has new names but the same root",
        report(
            {
                "_uuid": "r-2",
                "meta/instanceID": "uuid:r-2",
                "meta/deprecatedID": "uuid:r-1",
                "posts/count": "4",
            }
        ),
        [posts({"data": {"posts": 4}})],
        is_row=True,
        edited_at="2022-05-04T06:00:00+00:00",
        state={"name": "r-1", "changed_at": "2022-05-04T06:00:00+00:00"},
    ),
    Case(
        "approved",
        report({"_validation_status": {"uid": "validation_status_approved", "by_whom": "office"}}),
        [posts({"verification": "verified"})],
        is_row=True,
    ),
    Case(
        "not approved",
        report(
            {
                "_validation_status": {
                    "uid": "validation_status_not_approved",
                    "label": "Not Approved",
                }
            }
        ),
        [posts({"verification": "rejected"})],
        is_row=True,
    ),
    Case(
        "on hold",
        report({"_validation_status": {"uid": "validation_status_on_hold"}}),
        [POSTS],
        is_row=True,
    ),
    Case(
        "a server that knows no root names yet",
        report({"meta/rootUuid": ABSENT}),
        [POSTS],
        state={"name": "r-1"},
    ),
    Case(
        "metadata left out but for the UUID",
        report({"meta/rootUuid": ABSENT, "meta/instanceID": ABSENT}),
        [POSTS],
        state={"name": "r-1"},
    ),
    Case(
        "no name at all",
        report({"meta/rootUuid": ABSENT, "meta/instanceID": ABSENT, "_uuid": ABSENT}),
        error="meta/rootUuid or meta/instanceID or _uuid: is missing",
    ),
    Case(
        "no time of submission",
        report({"_submission_time": ABSENT}),
        error="_submission_time: is missing",
    ),
    Case(
        "a time of submission that is none",
        report({"_submission_time": "yesterday"}),
        error="_submission_time: is no date and time",
    ),
    Case(
        "a time of submission with a zone",
        report({"_submission_time": "2022-05-03T19:45:02+05:30"}),
        [POSTS],
    ),
    Case(
        "no name of the form",
        report({"_xform_id_string": None}),
        error="_xform_id_string: is missing",
    ),
    Case(
        "who reported, with blanks",
        report({"phone": "+91 90000-00001"}),
        [posts({"reporter": hash_person("tel:+919000000001")})],
    ),
    Case(
        "who reported, in Devanagari digits",
        report({"phone": "९००००००००१"}),
        [posts({"reporter": hash_person("tel:+919000000001")})],
    ),
    Case(
        "who reported, as a number",
        report({"phone": 9000000001}),
        [posts({"reporter": hash_person("tel:+919000000001")})],
    ),
    Case(
        "a phone number that is none",
        report({"phone": "90000"}),
        error="reporter: phone is no phone number",
    ),
    Case(
        "a photo is evidence",
        report(
            {
                "_attachments": [
                    {
                        "download_url": "https://forms.example.org/media/17.jpg",
                        "mimetype": "image/jpeg",
                    },
                    {"download_url": "https://x.example/2"},
                ]
            }
        ),
        [posts({"evidence": "https://forms.example.org/media/17.jpg"})],
    ),
    Case(
        "a field that is a group as well",
        report({"posts": "three"}),
        error="is the name of both a field and a group",
    ),
    Case("no JSON", "<submission/>", error="is not JSON in UTF-8"),
    Case("a list", [REPORT], error="the body is a list; expected a JSON object"),
    Case("no UTF-8", b'{"day": "\xff"}', error="is not JSON in UTF-8"),
    Case("too deep", '{"a":' * 40 + "1" + "}" * 40, error="nested more than 32 deep"),
]
