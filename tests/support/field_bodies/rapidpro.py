"""RapidPro and TextIt: the flow of producers/examples/rapidpro. Resthooks only, no pull."""

from typing import Any

from tests.support.field_bodies.case import ABSENT, Case, hash_person, merge

RUN = {
    "contact": {"uuid": "c-1", "name": "Sita Netam", "urn": "tel:+919000000001"},
    "flow": {"uuid": "5472a1c3-63e1-484f-8485-cc8ecb16a058", "name": "Evening", "revision": 7},
    "path": [{"arrived_on": "2022-05-03T14:00:01.000000Z", "node_uuid": "n-1"}],
    "run": {"uuid": "run-1", "created_on": "2022-05-03T14:00:00.000000Z"},
    "results": {
        "booth": {
            "name": "Booth",
            "value": "NRP 17",
            "category": "All Responses",
            "input": "NRP 17",
            "created_on": "2022-05-03T14:01:00.000000Z",
        },
        "platform": {
            "name": "Platform",
            "value": "fb",
            "category": "Facebook",
            "input": "fb",
            "created_on": "2022-05-03T14:02:00.000000Z",
        },
        "posts": {
            "name": "Posts",
            "value": "3",
            "category": "Has Number",
            "input": "3 posts",
            "created_on": "2022-05-03T14:03:00.000000Z",
        },
    },
    "input": {
        "uuid": "i-1",
        "text": "3 posts",
        "created_on": "2022-05-03T14:03:00.000000Z",
        "type": "msg",
        "attachments": [],
        "channel": None,
    },
    "channel": {"uuid": "ch-1", "name": "SMS", "address": "+12345671111"},
}
POSTS = {
    "part": "posts",
    "entity": "rapidpro:textit.com:evening:run-1:posts",
    "unit": "CG-AC084-B0017",
    "kind": "social_post",
    "occurred_at": "2022-05-03T14:03:00+00:00",
    "source": {"tool": "rapidpro", "producer": "textit-raipur"},
    "verification": "unverified",
    "data": {"platform": "facebook", "posts": 3},
    "reporter": hash_person("tel:+919000000001"),
}
VOLUNTEERS = {
    "part": "volunteers",
    "entity": "textit:volunteers:c-1",
    "unit": "CG-AC084-B0017",
    "kind": "tally",
    "occurred_at": "2022-05-03T14:03:00+00:00",
    "source": {"tool": "rapidpro", "producer": "textit-raipur"},
    "verification": "unverified",
    "data": {"metric": "volunteers", "value": 12},
}
TWELVE = {
    "name": "Volunteers",
    "value": "12",
    "category": "Has Number",
    "input": "12",
    "created_on": "2022-05-03T14:04:00.000000Z",
}
FLOW = "5472a1c3-63e1-484f-8485-cc8ecb16a058"


def run(**changes: Any) -> dict[str, Any]:
    return merge(RUN, changes)


def results(**changes: Any) -> dict[str, Any]:
    return merge(RUN, {"results": changes})


def posts(**changes: Any) -> dict[str, Any]:
    return merge(POSTS, changes)


def booth(answer: Any) -> dict[str, Any]:
    return results(booth={"value": answer, "input": answer})


def urn(text: Any) -> dict[str, Any]:
    return run(contact={"urn": text})


def in_unit(code: str) -> list[dict[str, Any]]:
    return [posts(unit=code)]


CASES = [
    Case(
        "a run",
        RUN,
        [POSTS],
        state={
            "form": FLOW,
            "name": "run-1",
            "changed_at": "2022-05-03T14:03:00+00:00",
            "deleted": False,
        },
    ),
    Case(
        "posts and volunteers",
        results(volunteers=TWELVE),
        [POSTS, VOLUNTEERS],
        state={"name": "run-1", "changed_at": "2022-05-03T14:04:00+00:00"},
    ),
    Case("the channel is null", run(channel=None), [POSTS]),
    Case("the input is null: the flow was not started by a message", run(input=None), [POSTS]),
    Case("input and channel are left out", run(input=ABSENT, channel=ABSENT, path=ABSENT), [POSTS]),
    Case(
        "a later answer to the same question",
        results(posts={"value": "4", "created_on": "2022-05-03T15:00:00.000000Z"}),
        [posts(data={"posts": 4}, occurred_at="2022-05-03T15:00:00+00:00")],
        state={"name": "run-1", "changed_at": "2022-05-03T15:00:00+00:00"},
    ),
    Case(
        "another run of the same contact",
        run(run={"uuid": "run-2"}),
        [posts(entity="rapidpro:textit.com:evening:run-2:posts")],
    ),
    Case("a number as number", results(posts={"value": 3}), [POSTS]),
    Case("a number with a fraction of zero", results(posts={"value": "3.0"}), [POSTS]),
    Case("Devanagari digits", results(posts={"value": "३"}), [POSTS]),
    Case(
        "a word instead of a number",
        results(posts={"value": "three"}),
        error="posts: posts: results/posts/value is not a whole number",
    ),
    Case(
        "a number with a word behind it",
        results(posts={"value": "3 posts"}),
        error="posts: posts: results/posts/value is not a whole number",
    ),
    Case("no posts yet", results(posts=ABSENT), []),
    Case("a question for posts, answered with nothing", results(posts={"value": ""}), []),
    Case("a question for posts, answered with null", results(posts={"value": None}), []),
    Case("no result at all", run(results=None), error="results: is missing; expected an object"),
    Case("no result yet", merge(RUN, {"results": ABSENT}) | {"results": {}}, []),
    Case(
        "a result that is a text",
        results(posts="3"),
        error="results: holds something else than objects",
    ),
    Case("results as a list", run(results=[]), error="results: is a list; expected an object"),
    Case(
        "reach is optional",
        results(reach={"name": "Reach", "value": "1,204", "category": "Has Number"}),
        [posts(data={"reach": 1_204})],
    ),
    Case(
        "reach was skipped",
        results(reach={"name": "Reach", "value": "", "category": "Other"}),
        [POSTS],
    ),
    Case(
        "reach has no time of its own",
        results(
            reach={"name": "Reach", "value": "420", "category": "Has Number", "created_on": None}
        ),
        [posts(data={"reach": 420})],
    ),
    Case(
        "another platform",
        results(platform={"category": "WhatsApp"}),
        [posts(data={"platform": "whatsapp"})],
    ),
    Case(
        "a category that the flow did not understand",
        results(platform={"category": "Other"}),
        error="platform: results/platform/category is not among its values: "
        "Facebook, Twitter, WhatsApp",
    ),
    Case(
        "no question for the platform",
        results(platform=ABSENT),
        error="platform: results/platform/category is empty",
    ),
    Case(
        "volunteers, but no number",
        results(volunteers={**TWELVE, "value": "a dozen", "category": "Other"}),
        [POSTS],
    ),
    Case("the alias in other case", booth("nrp 17"), [POSTS]),
    Case("the alias with a hyphen and blanks", booth("  NRP - 17 "), [POSTS]),
    Case("the alias with Devanagari digits", booth("NRP १७"), [POSTS]),
    Case("the alias in Hindi", booth("नारायणपुर १७"), [POSTS]),
    Case("the alias in Hindi with other digits", booth("नारायणपुर 17"), [POSTS]),
    Case("another booth", booth("NRP 18"), in_unit("CG-AC084-B0018")),
    Case("the alias of a district", booth("narayanpur OFFICE"), in_unit("CG-D-NRP")),
    Case(
        "an alias that is only similar",
        booth("NRP 177"),
        error="'NRP 177' is in no alias file; add a line alias,unit; alike: ",
    ),
    Case("a code where aliases are required", booth("CG-AC084-B0017"), error="is in no alias file"),
    Case("no booth", results(booth=ABSENT), error="unit: results/booth/value is empty"),
    Case(
        "a phone number where the booth should stand is not repeated",
        booth("9000000001"),
        error="unit: '…' is in no alias file",
    ),
    Case(
        "the time of the result is missing: that of the run",
        results(posts={"created_on": None}),
        [posts(occurred_at="2022-05-03T14:00:00+00:00")],
    ),
    Case(
        "a time with another zone",
        results(posts={"created_on": "2022-05-03T19:33:00.000000+05:30"}),
        [posts(occurred_at="2022-05-03T19:33:00+05:30")],
        state={"changed_at": "2022-05-03T14:03:00+00:00"},
    ),
    Case(
        "a time without a zone is UTC for the version, and the mapping's zone for the day",
        results(posts={"created_on": "2022-05-03T14:03:00"}),
        [posts(occurred_at="2022-05-03T14:03:00+05:30")],
    ),
    Case(
        "a time that is none",
        results(posts={"created_on": "soon"}),
        error="results.posts.created_on: is no date and time",
    ),
    Case(
        "the run's time is missing",
        run(run={"created_on": None}),
        error="run.created_on: is missing",
    ),
    Case("the run is missing", run(run=ABSENT), error="run: is missing; expected an object"),
    Case("the flow is missing", run(flow=None), error="flow: is missing; expected an object"),
    Case("the flow has no UUID", run(flow={"uuid": ""}), error="flow.uuid: is no text"),
    Case("a WhatsApp address", urn("whatsapp:919000000001"), [POSTS]),
    Case("a number without the country", urn("tel:9000000001"), [POSTS]),
    Case(
        "an address that is no number",
        urn("telegram:3527065"),
        error="reporter: contact/urn is no phone number",
    ),
    Case("a contact without address", urn(None), error="reporter: contact/urn is empty"),
    Case("form fields instead of JSON", "run=1&values=%5B%5D", error="is not JSON in UTF-8"),
]
