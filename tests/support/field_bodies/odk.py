"""ODK Central: the form of producers/examples/odk, as the webhook service sends it and as OData has it."""

from typing import Any

from tests.support.field_bodies.case import GONE, Case, merged, person

HELD = "<held><day>2022-06-10</day><programme>incharge</programme><attendees>21</attendees></held>"
META = '<orx:meta xmlns:orx="http://openrosa.org/xforms"><orx:instanceID>uuid:s-1</orx:instanceID></orx:meta>'


def xml(inner: str, attributes: str = 'id="training" version="3"') -> dict[str, Any]:
    """What the hook sends."""
    text = f"<?xml version='1.0' encoding='UTF-8' ?><data {attributes}>{inner}{META}</data>"
    return {"type": "submission.create", "id": "uuid:s-1", "data": {"xml": text}}


def held(inner: str) -> dict[str, Any]:
    return xml(f"<unit>CG-AC084</unit>{HELD.replace('</held>', '')}{inner}</held>")


def instead(old: str, new: str) -> dict[str, Any]:
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
    "data": {"role": "incharge", "person": person("tel:+919000000001")},
}
SITA = "<booth>CG-AC084-B0017</booth><role>incharge</role><name>सीता नेताम</name><phone>9000000001</phone>"
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
    return merged(ROW, changes)


def system(**changes: Any) -> dict[str, Any]:
    return row({"__system": changes})


def training(changes: dict[str, Any]) -> dict[str, Any]:
    return merged(TRAINING, changes)


def office(changes: dict[str, Any]) -> dict[str, Any]:
    return merged(APPOINTED, changes)


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
        pulled=True,
        state={"name": "s-1", "changed_at": "2022-06-10T11:00:00+00:00"},
    ),
    Case("blanks and line ends around values", instead("21", "\n      21\n    "), [TRAINING]),
    Case("Devanagari digits", instead("21", "२१"), [TRAINING]),
    Case("a decimal that is whole", instead("21", "21.0"), [TRAINING]),
    Case(
        "a decimal that is whole, from OData",
        row({"held": {"attendees": 21.0}}),
        [TRAINING],
        pulled=True,
    ),
    Case(
        "an entity in XML that stands for a sign", instead("CG-AC084", "CG&#45;AC084"), [TRAINING]
    ),
    Case(
        "a number missing",
        instead("<attendees>21</attendees>", ""),
        refused="training: attendees: held/attendees is empty",
    ),
    Case(
        "a number that is an empty element",
        instead("<attendees>21</attendees>", "<attendees/>"),
        refused="training: attendees: held/attendees is empty",
    ),
    Case(
        "a number that is null in OData",
        row({"held": {"attendees": None}}),
        refused="training: attendees: held/attendees is empty",
        pulled=True,
    ),
    Case(
        "a word for a number",
        instead("21", "about 20"),
        refused="training: attendees: held/attendees is not a whole number",
    ),
    Case(
        "a field twice",
        instead("<attendees>21</attendees>", "<attendees>21</attendees><attendees>22</attendees>"),
        refused="has 2 values",
    ),
    Case(
        "a choice that the mapping does not know",
        instead("incharge", "yoga"),
        refused="programme: held/programme is not among its values: incharge, social_media",
    ),
    Case(
        "neither a day nor the phone's clock",
        instead("<day>2022-06-10</day>", ""),
        refused="occurred_at: held/day or end is empty",
    ),
    Case(
        "no day, but the phone's clock",
        xml(
            f"<unit>CG-AC084</unit><end>2022-06-10T16:30:00.000+05:30</end>{HELD.replace('<day>2022-06-10</day>', '<day/>')}"
        ),
        [training({"occurred_at": "2022-06-10T16:30:00+05:30"})],
    ),
    Case(
        "a phone set to UTC",
        row({"held": {"day": None}, "end": "2022-06-10T19:30:00.000Z"}),
        [training({"occurred_at": "2022-06-10T19:30:00+00:00"})],
        pulled=True,
    ),
    Case(
        "a phone without a zone",
        row({"held": {"day": None}, "end": "2022-06-10T16:30:00"}),
        [training({"occurred_at": "2022-06-10T16:30:00+05:30"})],
        pulled=True,
    ),
    Case(
        "a day that is none",
        instead("2022-06-10", "10 June"),
        refused="occurred_at: held/day is neither a day",
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
        pulled=True,
    ),
    Case(
        "split by OData",
        row({"held": {"booths": ["CG-AC084-B0017", "CG-AC084-B0018"]}}),
        [training({"data": {"trained_units": ["CG-AC084-B0017", "CG-AC084-B0018"]}})],
        pulled=True,
    ),
    Case(
        "a booth of another assembly",
        held("<booths>CG-AC084-B0017 CG-AC001-B0001</booths>"),
        refused="trained_units: CG-AC001-B0001 is not at or below CG-AC084 on that day",
    ),
    Case(
        "a booth that is not there",
        held("<booths>CG-AC084-B9999</booths>"),
        refused="trained_units: 'CG-AC084-B9999' is not in the registry",
    ),
    Case(
        "appointments, but no training",
        row({**NOT_HELD, "appointed": [SITA_ROW]}),
        refused="training: programme: held/programme is empty",
        pulled=True,
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
                    "data": {"person": person("राम कश्यप")},
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
        pulled=True,
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
        "nobody was named",
        xml(
            f"<unit>CG-AC084</unit>{HELD}<appointed><booth>CG-AC084-B0017</booth><role>incharge</role></appointed>"
        ),
        refused="person: phone or name is empty",
    ),
    Case(
        "approved",
        system(reviewState="approved", updatedAt="2022-06-11T05:00:00.000Z"),
        [training({"verification": "verified"})],
        pulled=True,
        state={"changed_at": "2022-06-11T05:00:00+00:00"},
    ),
    Case(
        "rejected",
        system(reviewState="rejected", updatedAt="2022-06-11T05:00:00.000Z"),
        [training({"verification": "rejected"})],
        pulled=True,
    ),
    Case(
        "has issues",
        system(reviewState="hasIssues", updatedAt="2022-06-11T05:00:00.000Z"),
        [TRAINING],
        pulled=True,
    ),
    Case(
        "edited: the version has a new name, the submission has not",
        merged(
            system(reviewState="edited", edits=1, updatedAt="2022-06-12T05:00:00.000Z"),
            {"meta": {"instanceID": "uuid:s-2"}, "held": {"attendees": 25}},
        ),
        [training({"data": {"attendees": 25}})],
        pulled=True,
        state={"name": "s-1", "changed_at": "2022-06-12T05:00:00+00:00"},
    ),
    Case(
        "deleted",
        system(deletedAt="2022-06-13T05:00:00.000Z"),
        [],
        pulled=True,
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
        refused="type: is neither submission.create nor submission.update",
    ),
    Case(
        "no XML",
        {"type": "submission.create", "id": "uuid:s-1", "data": {}},
        refused="data.xml: is missing",
    ),
    Case(
        "broken XML",
        {"type": "submission.create", "id": "uuid:s-1", "data": {"xml": "<data><unit>"}},
        refused="data.xml: is no well-formed XML",
    ),
    Case(
        "XML that multiplies itself",
        {
            "type": "submission.create",
            "id": "uuid:s-1",
            "data": {
                "xml": '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><data id="training"><unit>&b;</unit></data>'
            },
        },
        refused="data.xml: is no well-formed XML without entities",
    ),
    Case("XML that is too deep", xml("<g>" * 40 + "</g>" * 40), refused="nested more than 32 deep"),
    Case(
        "XML without the form's name",
        xml("<unit>CG-AC084</unit>", attributes='version="3"'),
        refused="data.xml: attribute @id: is missing",
    ),
    Case(
        "XML without fields",
        {"type": "submission.create", "id": "uuid:s-1", "data": {"xml": "<data/>"}},
        refused="data.xml: has no fields",
    ),
    Case(
        "no name of the submission",
        {"type": "submission.create", "data": {"xml": "<data/>"}},
        refused="id: is missing",
    ),
    Case("a row without its name", row({"__id": GONE}), refused="__id: is missing", pulled=True),
    Case(
        "a row without its times",
        row({"__system": GONE}),
        refused="__system: is missing",
        pulled=True,
    ),
    Case(
        "a row whose repeat nobody filled in, of which there is a link only",
        row({"appointed": GONE}),
        [TRAINING],
        pulled=True,
    ),
    Case(
        "a closed unit",
        row({"unit": "CG-D-MCB"}),
        refused="unit: CG-D-MCB does not exist on 2022-06-10",
        pulled=True,
    ),
]
