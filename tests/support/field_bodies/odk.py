"""ODK Central: the form of producers/examples/odk, from the webhook service and from OData."""

from typing import Any

from tests.support.field_bodies.case import ABSENT, Case, hash_person, merge

HELD = "<held><day>2022-06-10</day><programme>incharge</programme><attendees>21</attendees></held>"
META = '<orx:meta xmlns:orx="http://openrosa.org/xforms"><orx:instanceID>uuid:s-1</orx:instanceID></orx:meta>'


def xml(inner: str, attributes: str = 'id="training" version="3"') -> dict[str, Any]:
    """Return a hook's body."""
    text = f"<?xml version='1.0' encoding='UTF-8' ?><data {attributes}>{inner}{META}</data>"
    return {"type": "submission.create", "id": "uuid:s-1", "data": {"xml": text}}


def held(inner: str) -> dict[str, Any]:
    return xml(f"<unit>CG-AC084</unit>{HELD.replace('</held>', '')}{inner}</held>")


def replace_in_xml(old: str, new: str) -> dict[str, Any]:
    return xml(f"<unit>CG-AC084</unit>{HELD}".replace(old, new))


def appointed(*items: str) -> dict[str, Any]:
    return xml(
        "<unit>CG-AC084</unit><held><day>2022-06-10</day></held>"
        + "".join(f"<appointed>{item}</appointed>" for item in items)
    )


ROW = {
    "__id": "uuid:s-1",
    "__system": {
        "submissionDate": "2022-06-10T11:00:00.000Z",
        "updatedAt": None,
        "deletedAt": None,
        "submitterId": "23",
        "submitterName": "field phone 3",
        "attachmentsPresent": 0,
        "attachmentsExpected": 0,
        "status": None,
        "reviewState": None,
        "deviceId": "collect:abc",
        "edits": 0,
        "formVersion": "3",
    },
    "start": "2022-06-10T10:02:00.000+05:30",
    "end": "2022-06-10T16:30:00.000+05:30",
    "unit": "CG-AC084",
    "held": {"day": "2022-06-10", "programme": "incharge", "attendees": 21, "booths": None},
    "appointed@odata.navigationLink": "Submissions('uuid%3As-1')/appointed",
    "appointed": [],
    "meta": {"instanceID": "uuid:s-1", "instanceName": None},
}
TRAINING = {
    "part": "training",
    "entity": "odk:central.example.org:training:s-1:training",
    "unit": "CG-AC084",
    "kind": "training_held",
    "occurred_at": "2022-06-10T12:00:00+05:30",
    "source": {"tool": "odk", "producer": "odk-bastar"},
    "verification": "unverified",
    "data": {"programme": "incharge", "attendees": 21},
}
APPOINTED = {
    "part": "appointed/1",
    "entity": "office:CG-AC084-B0017:incharge",
    "unit": "CG-AC084-B0017",
    "kind": "incharge_appointed",
    "occurred_at": "2022-06-10T12:00:00+05:30",
    "source": {"tool": "odk", "producer": "odk-bastar"},
    "verification": "unverified",
    "data": {"role": "incharge", "person": hash_person("tel:+919000000001")},
}
SITA = (
    "<booth>CG-AC084-B0017</booth><role>incharge</role>"
    "<name>सीता नेताम</name><phone>9000000001</phone>"
)
RAM = "<booth>CG-AC084-B0018</booth><role>incharge</role><name>राम कश्यप</name><phone/>"
SITA_ROW = {
    "__id": "a" * 40,
    "__Submissions-id": "uuid:s-1",
    "booth": "CG-AC084-B0017",
    "role": "incharge",
    "name": "सीता नेताम",
    "phone": "9000000001",
    "active": None,
}
NOT_HELD = {"held": {"programme": None, "attendees": None}}


def row(changes: dict[str, Any]) -> dict[str, Any]:
    return merge(ROW, changes)


def system(**changes: Any) -> dict[str, Any]:
    return row({"__system": changes})


def training(changes: dict[str, Any]) -> dict[str, Any]:
    return merge(TRAINING, changes)


def office(changes: dict[str, Any]) -> dict[str, Any]:
    return merge(APPOINTED, changes)


FIRST = {
    "form": "training",
    "name": "s-1",
    "changed_at": "2000-01-01T00:00:00+00:00",
    "deleted": False,
}

CASES = [
    Case("a new submission by hook", held(""), [TRAINING], state=FIRST),
    Case(
        "the same from OData, where the number is a number",
        ROW,
        [TRAINING],
        is_row=True,
        state={"name": "s-1", "changed_at": "2022-06-10T11:00:00+00:00"},
    ),
    Case(
        "blanks and line ends around values", replace_in_xml("21", "\n      21\n    "), [TRAINING]
    ),
    Case("Devanagari digits", replace_in_xml("21", "२१"), [TRAINING]),
    Case("a decimal that is whole", replace_in_xml("21", "21.0"), [TRAINING]),
    Case(
        "a decimal that is whole, from OData",
        row({"held": {"attendees": 21.0}}),
        [TRAINING],
        is_row=True,
    ),
    Case(
        "an entity in XML that stands for a sign",
        replace_in_xml("CG-AC084", "CG&#45;AC084"),
        [TRAINING],
    ),
    Case(
        "a number missing",
        replace_in_xml("<attendees>21</attendees>", ""),
        error="training: attendees: held/attendees is empty",
    ),
    Case(
        "a number that is an empty element",
        replace_in_xml("<attendees>21</attendees>", "<attendees/>"),
        error="training: attendees: held/attendees is empty",
    ),
    Case(
        "a number that is null in OData",
        row({"held": {"attendees": None}}),
        error="training: attendees: held/attendees is empty",
        is_row=True,
    ),
    Case(
        "a word for a number",
        replace_in_xml("21", "about 20"),
        error="training: attendees: held/attendees is not a whole number",
    ),
    Case(
        "a field twice",
        replace_in_xml(
            "<attendees>21</attendees>", "<attendees>21</attendees><attendees>22</attendees>"
        ),
        error="has 2 values",
    ),
    Case(
        "a choice that the mapping does not know",
        replace_in_xml("incharge", "yoga"),
        error="programme: held/programme is not among its values: incharge, social_media",
    ),
    Case(
        "neither a day nor the phone's clock",
        replace_in_xml("<day>2022-06-10</day>", ""),
        error="occurred_at: held/day or end is empty",
    ),
    Case(
        "no day, but the phone's clock",
        xml(
            "<unit>CG-AC084</unit><end>2022-06-10T16:30:00.000+05:30</end>"
            + HELD.replace("<day>2022-06-10</day>", "<day/>")
        ),
        [training({"occurred_at": "2022-06-10T16:30:00+05:30"})],
    ),
    Case(
        "a phone set to UTC",
        row({"held": {"day": None}, "end": "2022-06-10T19:30:00.000Z"}),
        [training({"occurred_at": "2022-06-10T19:30:00+00:00"})],
        is_row=True,
    ),
    Case(
        "a phone without a zone",
        row({"held": {"day": None}, "end": "2022-06-10T16:30:00"}),
        [training({"occurred_at": "2022-06-10T16:30:00+05:30"})],
        is_row=True,
    ),
    Case(
        "a day that is none",
        replace_in_xml("2022-06-10", "10 June"),
        error="occurred_at: held/day is neither a day",
    ),
    Case(
        "a select-multiple of units",
        held("<booths>cg_ac084_b0017 cg_ac084_b0018</booths>"),
        [training({"data": {"trained_units": ["CG-AC084-B0017", "CG-AC084-B0018"]}})],
    ),
    Case(
        "one choice of it",
        held("<booths>CG-AC084-B0017</booths>"),
        [training({"data": {"trained_units": ["CG-AC084-B0017"]}})],
    ),
    Case(
        "the same choice twice",
        held("<booths>CG-AC084-B0017  CG-AC084-B0017</booths>"),
        [training({"data": {"trained_units": ["CG-AC084-B0017"]}})],
    ),
    Case(
        "a select-multiple of units from OData",
        row({"held": {"booths": "CG-AC084-B0017 CG-AC084-B0018"}}),
        [training({"data": {"trained_units": ["CG-AC084-B0017", "CG-AC084-B0018"]}})],
        is_row=True,
    ),
    Case(
        "split by OData",
        row({"held": {"booths": ["CG-AC084-B0017", "CG-AC084-B0018"]}}),
        [training({"data": {"trained_units": ["CG-AC084-B0017", "CG-AC084-B0018"]}})],
        is_row=True,
    ),
    Case(
        "a booth of another assembly",
        held("<booths>CG-AC084-B0017 CG-AC001-B0001</booths>"),
        error="trained_units: CG-AC001-B0001 is not at or below CG-AC084 on that day",
    ),
    Case(
        "a booth that is not there",
        held("<booths>CG-AC084-B9999</booths>"),
        error="trained_units: 'CG-AC084-B9999' is not in the registry",
    ),
    Case(
        "appointments, but no training",
        row({**NOT_HELD, "appointed": [SITA_ROW]}),
        error="training: programme: held/programme is empty",
        is_row=True,
    ),
    Case(
        "two items of a repeat",
        xml(
            f"<unit>CG-AC084</unit>{HELD}<appointed>{SITA}</appointed><appointed>{RAM}</appointed>"
        ),
        [
            TRAINING,
            APPOINTED,
            office(
                {
                    "part": "appointed/2",
                    "entity": "office:CG-AC084-B0018:incharge",
                    "unit": "CG-AC084-B0018",
                    "data": {"person": hash_person("राम कश्यप")},
                }
            ),
        ],
    ),
    Case(
        "one item of a repeat",
        xml(f"<unit>CG-AC084</unit>{HELD}<appointed>{SITA}</appointed>"),
        [TRAINING, APPOINTED],
    ),
    Case(
        "one item of a repeat from OData",
        row({"appointed": [SITA_ROW]}),
        [TRAINING, APPOINTED],
        is_row=True,
    ),
    Case(
        "an empty item of a repeat",
        xml(f"<unit>CG-AC084</unit>{HELD}<appointed><booth/><role/></appointed>"),
        [TRAINING],
    ),
    Case(
        "a template item of a repeat between others",
        xml(f"<unit>CG-AC084</unit>{HELD}<appointed/><appointed>{SITA}</appointed>"),
        [TRAINING, APPOINTED],
    ),
    Case(
        "no is no",
        xml(f"<unit>CG-AC084</unit>{HELD}<appointed>{SITA}<active>0</active></appointed>"),
        [TRAINING, office({"data": {"active": False}})],
    ),
    Case(
        "a blank person",
        xml(
            f"<unit>CG-AC084</unit>{HELD}<appointed><booth>CG-AC084-B0017</booth><role>incharge</role></appointed>"
        ),
        error="person: phone or name is empty",
    ),
    Case(
        "approved",
        system(reviewState="approved", updatedAt="2022-06-11T05:00:00.000Z"),
        [training({"verification": "verified"})],
        is_row=True,
        state={"changed_at": "2022-06-11T05:00:00+00:00"},
    ),
    Case(
        "rejected",
        system(reviewState="rejected", updatedAt="2022-06-11T05:00:00.000Z"),
        [training({"verification": "rejected"})],
        is_row=True,
    ),
    Case(
        "has issues",
        system(reviewState="hasIssues", updatedAt="2022-06-11T05:00:00.000Z"),
        [TRAINING],
        is_row=True,
    ),
    Case(
        "edited: the version has a new name, the submission has not",
        merge(
            system(reviewState="edited", edits=1, updatedAt="2022-06-12T05:00:00.000Z"),
            {"meta": {"instanceID": "uuid:s-2"}, "held": {"attendees": 25}},
        ),
        [training({"data": {"attendees": 25}})],
        is_row=True,
        state={"name": "s-1", "changed_at": "2022-06-12T05:00:00+00:00"},
    ),
    Case(
        "deleted",
        system(deletedAt="2022-06-13T05:00:00.000Z"),
        [],
        is_row=True,
        state={"name": "s-1", "deleted": True, "changed_at": "2022-06-13T05:00:00+00:00"},
    ),
    Case(
        "a review by hook waits for the pull",
        {"type": "submission.update", "id": "uuid:s-1", "data": {"reviewState": "approved"}},
        [],
    ),
    Case(
        "an entity by hook",
        {"type": "entity.update.version", "id": "uuid:e", "data": {"name": "x"}},
        error="type: is neither submission.create nor submission.update",
    ),
    Case(
        "no XML",
        {"type": "submission.create", "id": "uuid:s-1", "data": {}},
        error="data.xml: is missing",
    ),
    Case(
        "broken XML",
        {"type": "submission.create", "id": "uuid:s-1", "data": {"xml": "<data><unit>"}},
        error="data.xml: is no well-formed XML",
    ),
    Case(
        "XML that multiplies itself",
        {
            "type": "submission.create",
            "id": "uuid:s-1",
            "data": {
                "xml": '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
                '<data id="training"><unit>&b;</unit></data>'
            },
        },
        error="data.xml: is no well-formed XML without entities",
    ),
    Case("XML that is too deep", xml("<g>" * 40 + "</g>" * 40), error="nested more than 32 deep"),
    Case(
        "XML without the form's name",
        xml("<unit>CG-AC084</unit>", attributes='version="3"'),
        error="data.xml: attribute @id: is missing",
    ),
    Case(
        "XML without fields",
        {"type": "submission.create", "id": "uuid:s-1", "data": {"xml": "<data/>"}},
        error="data.xml: has no fields",
    ),
    Case(
        "no name of the submission",
        {"type": "submission.create", "data": {"xml": "<data/>"}},
        error="id: is missing",
    ),
    Case("a row without its name", row({"__id": ABSENT}), error="__id: is missing", is_row=True),
    Case(
        "a row without its times",
        row({"__system": ABSENT}),
        error="__system: is missing",
        is_row=True,
    ),
    Case(
        "a row whose repeat nobody filled in, of which there is a link only",
        row({"appointed": ABSENT}),
        [TRAINING],
        is_row=True,
    ),
    Case(
        "a closed unit",
        row({"unit": "CG-D-MCB"}),
        error="unit: CG-D-MCB does not exist on 2022-06-10",
        is_row=True,
    ),
]
