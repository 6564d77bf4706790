"""A mapping file gives the events of a submission.

A file that can never give an event is refused when it is read, with all findings.

One file, because every test reads the same mappings and bodies.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.main import app
from producers.gateway.sources import read_field_sources
from producers.mapping.conversions import ConversionError, to_boolean, to_integer
from producers.mapping.form_mapper import UnmappableError, map_submission
from producers.mapping.form_mapping import FormMapping, MappingError
from producers.mapping.gazetteer import Gazetteer
from producers.mapping.pseudonyms import Pseudonymiser
from producers.mapping.submissions import MappedEvent, Submission
from producers.mapping.tools import READERS, Tool
from tests.support import small_world
from tests.support.field_bodies import corpora

EXAMPLES = corpora.EXAMPLES
UNITS = Gazetteer(small_world.registry())

MAPPING = """
[unit]
field = "booth"

[occurred_at]
field = "day"

[[event]]
kind = "membership"

[event.constants]
mode = "digital"

[event.fields.count]
field = "count"
type = "integer"
"""
FIELDS = {"booth": "CG-AC001-B0001", "day": "2022-03-03", "count": "12"}
NESTED = """
[occurred_at]
field = "day"

[[event]]
part = "groups"
kind = "messaging_group"
repeat = ["assemblies", "booths/list"]
unit = { field = "code" }
when = [{ field = "members" }, { field = "../open", is_not = ["no"] }]

[event.constants]
group_type = "whatsapp"

[event.fields.members]
field = "members"
type = "integer"

[event.envelope.evidence]
field = ["photo", "../photo", "/photo"]
optional = true
"""


def map_fields(
    fields: dict[str, Any],
    text: str = MAPPING,
    *,
    pseudonymiser: Pseudonymiser | None = None,
    **state: Any,
) -> list[MappedEvent]:
    submission = Submission(
        form="f", name="s", changed_at=datetime(2022, 3, 4, tzinfo=UTC), fields=fields, **state
    )
    return map_submission(
        FormMapping.from_toml(text),
        submission,
        tool="kobo",
        producer="office",
        units=UNITS,
        pseudonymiser=pseudonymiser,
    )


def findings(text: str) -> list[str]:
    with pytest.raises(MappingError) as caught:
        FormMapping.from_toml(text)
    return caught.value.findings


def catch_findings(fields: dict[str, Any], text: str = MAPPING) -> list[str]:
    with pytest.raises(UnmappableError) as caught:
        map_fields(fields, text)
    return caught.value.findings


def test_the_entity_is_tool_server_form_and_submission_and_a_part_if_it_has_one() -> None:
    def entity(text: str) -> str:
        return map_fields(FIELDS, text)[0].entity

    assert entity(MAPPING) == "kobo:office:f:s"
    assert (
        entity('server = "forms.example.org"\nform = "members"\n' + MAPPING)
        == "kobo:forms.example.org:members:s"
    )
    assert entity(MAPPING.replace('kind = "m', 'part = "new"\nkind = "m')) == "kobo:office:f:s:new"
    assert entity('server = "a:b%"\n' + MAPPING) == "kobo:a%3Ab%25:f:s"
    assert len(entity(f'server = "{"x" * 300}"\n{MAPPING}')) <= 200


def test_a_deleted_submission_gives_no_events() -> None:
    assert map_fields({}, deleted=True) == []


def test_the_tools_review_overrides_a_field_of_the_form() -> None:
    text = (
        MAPPING
        + '\n[event.envelope.verification]\nfield = "checked"\n'
        + 'values = { yes = "verified", no = "unverified" }\noptional = true\n'
    )
    found = [
        map_fields({**FIELDS, "checked": "yes"}, text, verification=by_tool)[0].content[
            "verification"
        ]
        for by_tool in ("unverified", "rejected")
    ]
    assert found == ["verified", "rejected"]


def test_each_item_of_a_repeat_within_a_repeat_is_an_event_and_sees_the_objects_around_it() -> None:
    fields = {
        "day": "2022-03-03",
        "photo": "https://x.example/all",
        "assemblies": [
            {
                "open": "yes",
                "photo": "https://x.example/first",
                "booths": {
                    "list": [
                        {
                            "code": "CG-AC001-B0001",
                            "members": "1",
                            "photo": "https://x.example/own",
                        },
                        {"code": "CG-AC001-B0002", "members": "2"},
                    ]
                },
            },
            {"open": "no", "booths": {"list": [{"code": "CG-AC001-B0003", "members": "3"}]}},
            {"open": "yes", "booths": {"list": {"code": "CG-AC001-B0003", "members": 4}}},
            {"open": "yes", "booths": {"list": [{"code": "CG-AC001-B0003"}]}},
        ],
    }
    found = [
        (one.part, one.entity, one.unit, one.content["data"]["members"], one.content["evidence"])
        for one in map_fields(fields, NESTED)
    ]
    assert found == [
        ("groups/1/1", "kobo:office:f:s:groups/1/1", "CG-AC001-B0001", 1, "https://x.example/own"),
        (
            "groups/1/2",
            "kobo:office:f:s:groups/1/2",
            "CG-AC001-B0002",
            2,
            "https://x.example/first",
        ),
        ("groups/3/1", "kobo:office:f:s:groups/3/1", "CG-AC001-B0003", 4, "https://x.example/all"),
    ]


def test_a_unit_may_be_named_by_a_table() -> None:
    text = MAPPING.replace(
        'field = "booth"', 'field = "booth"\nvalues = { "बूथ एक" = "CG-AC001-B0001" }'
    )
    assert map_fields({**FIELDS, "booth": "बूथ एक"}, text)[0].unit == "CG-AC001-B0001"
    assert catch_findings({**FIELDS, "booth": "बूथ दो"}, text) == [
        "unit: 'बूथ दो' is not among its values: बूथ एक"
    ]


def test_the_unit_is_looked_up_on_the_day_it_happened() -> None:
    text = MAPPING.replace(
        'field = "booth"', 'field = "booth"\nby = "name"\nlevel = "booth"\ndistrict = "district"'
    )
    fields = {"booth": "Booth 2", "day": small_world.on(10), "count": "1", "district": "A"}
    assert map_fields(fields, text)[0].unit == "CG-AC001-B0002"
    assert (
        "is the name of no unit there on that day"
        in catch_findings({**fields, "day": small_world.on(35)}, text)[0]
    )
    assert (
        map_fields({**fields, "day": small_world.on(35), "district": "द"}, text)[0].unit
        == "CG-AC001-B0002"
    )


def test_all_errors_of_a_submission_are_reported_at_once() -> None:
    assert catch_findings({"booth": "CG-AC009", "day": "2022-03-03", "count": ""}) == [
        "unit: 'CG-AC009' is not in the registry",
        "count: count is empty",
    ]


def test_a_list_where_one_value_is_required_is_reported() -> None:
    assert catch_findings({**FIELDS, "count": ["1", "2"]}) == [
        "count: count has 2 values; map it with `repeat` or `many`"
    ]


def test_hashes_need_a_key() -> None:
    text = MAPPING + '\n[event.envelope.reporter]\nfield = "who"\ntype = "hash"\n'
    assert catch_findings({**FIELDS, "who": "Sita"}, text) == [
        "reporter: who needs the installation's key for persons: set PRAVAH_PERSON_KEY"
    ]
    assert (
        len(
            map_fields({**FIELDS, "who": "Sita"}, text, pseudonymiser=Pseudonymiser([b"k"]))[
                0
            ].content["reporter"]
        )
        == 64
    )


def test_a_refusal_repeats_nothing_personal() -> None:
    text = MAPPING + '\n[event.envelope.reporter]\nfield = "who"\ntype = "phone"\n'
    for spoiled in (
        {"who": "Sita Netam 98"},
        {"count": "9000000001"},
        {"count": "Sita Netam"},
        {"booth": "9000000001"},
        {"day": "Sita Netam"},
    ):
        with pytest.raises(UnmappableError) as caught:
            map_fields(
                {**FIELDS, "who": "9000000001", **spoiled},
                text,
                pseudonymiser=Pseudonymiser([b"k"]),
            )
        assert "9000000001" not in str(caught.value)
        assert "Sita" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('kind = "membership"', 'kind = "rally"', "event.0.kind"),
        ('kind = "membership"', 'kind = "membership"\ncolour = "red"', "event.0.colour"),
        ('kind = "membership"', 'kind = "membership"\npart = "a/b"', "event.0.part"),
        (
            '[unit]\nfield = "booth"',
            "",
            "event 1: unit: is missing; add [unit] for all events or [event.unit]",
        ),
        ('[occurred_at]\nfield = "day"', "", "event 1: occurred_at: is missing"),
        (
            'field = "day"',
            'field = "day"\nzone = "Asia/Raipur"',
            "occurred_at.0.zone: 'Asia/Raipur' is no time zone",
        ),
        (
            'field = "day"',
            'field = "day"\nformat = "%Q"',
            "occurred_at.0.format: '%Q' is no format of strptime",
        ),
        ('field = "day"', "field = []", "occurred_at.0.field"),
        ('field = "booth"', 'field = "a//b"', "unit.field.0: 'a//b' is no path"),
        (
            'field = "booth"',
            'field = "booth"\nby = "alias"\ndistrict = "d"',
            "unit: level, assembly, district and division are for by = 'name'",
        ),
        (
            'field = "count"',
            'field = "../count"',
            "event 1: ../count: ../ is for events of a repeat",
        ),
        (
            "[event.fields.count]",
            "[event.fields.cuont]",
            "event 1: cuont: membership has no such field",
        ),
        ("[event.fields.count]", "[event.fields.cuont]", "event 1: count: membership needs it"),
        (
            'type = "integer"',
            "",
            "event 1: count: type = 'text' can never be right: Input should be a valid integer",
        ),
        (
            'type = "integer"',
            'type = "boolean"',
            "event 1: count: type = 'boolean' can never be right",
        ),
        (
            'type = "integer"',
            'type = "integer"\nmany = true',
            "event 1: count: type = 'integer', many can never be right",
        ),
        (
            'type = "integer"',
            'type = "integer"\noptional = true',
            "event 1: count: membership needs it, so it cannot be optional",
        ),
        ('type = "integer"', "values = { a = -1 }", "event 1: count: membership can never have -1"),
        (
            'mode = "digital"',
            'mode = "by hand"',
            "event 1: mode: membership can never have 'by hand'",
        ),
        (
            'mode = "digital"',
            'mode = "digital"\ncount = 1',
            "event 1: count: stands under both constants and fields",
        ),
        ("[[event]]", '[event.envelope.reporter]\nfield = "who"\n[[event]]', "not TOML"),
        ("[[event]]", "[[event]\n", "not TOML"),
    ],
)
def test_a_mapping_that_can_never_give_an_event_is_refused(
    old: str, new: str, expected: str
) -> None:
    assert old in MAPPING
    found = findings(MAPPING.replace(old, new, 1))
    assert any(expected in finding for finding in found), found


def test_a_person_must_be_hashed() -> None:
    assert any(
        "it must be the keyed hash of a person" in finding
        for finding in findings(MAPPING + '\n[event.envelope.reporter]\nfield = "who"\n')
    )
    keys = '\n[event.fields.member_keys]\nfield = "phones"\nmany = true\n'
    assert any(
        "member_keys: type = 'text', many can never be right" in finding
        for finding in findings(MAPPING + keys)
    )
    FormMapping.from_toml(MAPPING + keys + 'type = "phone"\n')


def test_events_need_different_parts() -> None:
    twice = MAPPING + MAPPING[MAPPING.index("[[event]]") :]
    assert findings(twice) == [
        "event 1: 2 events have the part ''; each needs its own, for good",
        "event 2: 2 events have the part ''; each needs its own, for good",
    ]
    assert len(map_fields(FIELDS, twice.replace("[[event]]", '[[event]]\npart = "paper"', 1))) == 2


def test_all_errors_of_a_mapping_are_reported_at_once() -> None:
    spoiled = MAPPING.replace('field = "booth"', 'field = "booth"\nlevel = "booth"').replace(
        "[event.fields.count]", "[event.fields.cuont]"
    )
    assert len(findings(spoiled.replace('mode = "digital"', 'mode = "x"'))) == 4


# --- conversions ---------------------------------------------------------------------------------


@given(st.integers(-(10**17), 10**17))
def test_a_whole_number_is_read_however_it_is_written(number: int) -> None:
    devanagari = str(number).translate({ord(str(digit)): chr(0x966 + digit) for digit in range(10)})
    assert {
        to_integer(written)
        for written in (
            number,
            str(number),
            f" {number} ",
            f"{number:,}",
            f"{number}.0",
            devanagari,
        )
    } == {number}


@pytest.mark.parametrize(
    "written",
    [
        "",
        "1.5",
        "1,5",
        "1,50",
        "12,34,5",
        ",5",
        "5,",
        "1_000",
        "1e3",
        "0x1f",
        "--1",
        "9" * 30,
        True,
        "one",
        "1 2",
        "½",
        "²",
    ],
)
def test_a_text_that_is_no_whole_number_is_refused(written: object) -> None:
    with pytest.raises(ConversionError):
        to_integer(written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (True, True),
        ("TRUE", True),
        ("Yes", True),
        ("1", True),
        (1, True),
        ("१", True),
        ("OK", True),
        ("हाँ", True),
        ("false", False),
        (0, False),
        ("No", False),
        ("नहीं", False),
        ("०", False),
    ],
)
def test_yes_and_no_are_understood(written: object, expected: bool) -> None:
    assert to_boolean(written) is expected


# --- the examples and the command ----------------------------------------------------------------

SAMPLES: dict[Tool, tuple[str, int]] = {
    "kobo": ("daily-report", 3),
    "odk": ("training", 3),
    "commcare": ("membership", 3),
    "rapidpro": ("evening", 2),
    "glific": ("groups", 1),
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples' units and those above them, so that the command need not read all units."""
    folder = tmp_path_factory.mktemp("registry")
    needed = {
        "IN",
        "CG",
        "CG-V-BST",
        "CG-D-NRP",
        "CG-D-KON",
        "CG-AC084",
        "CG-AC084-B0017",
        "CG-AC084-B0018",
    }
    units = [unit for unit in corpora.registry().units.values() if unit.code in needed]
    names = [
        "unit,level,name_en,name_hi,valid_from,valid_to,lat,lon",
        *(f"{one.code},{one.level},{one.name_en},{one.name_hi},,,," for one in units),
    ]
    edges = [f"{one.code},{edge.parent},," for one in units for edge in one.parents]
    (folder / "cut.units.csv").write_text("\n".join(names), encoding="utf-8")
    (folder / "cut.parents.csv").write_text(
        "\n".join(["unit,parent,valid_from,valid_to", *edges]), encoding="utf-8"
    )
    return folder


def check(registry: Path, mapping: Path, sample: Path, *more: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(
        app,
        [
            "gateway",
            "check",
            str(mapping),
            str(sample),
            "--registry",
            str(registry),
            "--json",
            *more,
        ],
    )
    return done.exit_code, orjson.loads(done.stdout)


@pytest.mark.parametrize("tool", sorted(SAMPLES))
def test_the_example_of_each_tool_is_a_source_with_a_mapping_and_a_sample_that_gives_events(
    registry: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, count = SAMPLES[tool]
    folder = EXAMPLES / tool
    for line in (folder / f"{corpora.SOURCES[tool]}.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("secret_env"):
            monkeypatch.setenv(line.split('"')[1], "a secret that is long enough")
    (source,) = read_field_sources(folder).values()
    assert (source.name, source.tool) == (corpora.SOURCES[tool], tool)
    body = (folder / f"{name}.json").read_bytes()
    (submission,) = READERS[tool](body, {})
    path = source.forms[submission.form]
    code, result = check(registry, path, folder / f"{name}.json", "--source", source.name)
    assert (code, result["findings"], len(result["events"])) == (0, [], count)
    assert all(
        event["source"] == {"tool": tool, "producer": source.name} for event in result["events"]
    )


def test_the_check_shows_events_in_hindi_and_english_and_no_hash_in_full(registry: Path) -> None:
    folder = EXAMPLES / "glific"
    done = CliRunner().invoke(
        app,
        [
            "gateway",
            "check",
            str(folder / "mappings/groups.toml"),
            str(folder / "groups.json"),
            "--registry",
            str(registry),
        ],
    )
    assert done.exit_code == 0
    assert "घटना" in done.stdout
    assert "मतदान केंद्र 17" in done.stdout
    assert "Sita" not in done.output
    assert "9000000001" not in done.output


def test_the_check_reports_all_findings_and_exits_with_1(registry: Path, tmp_path: Path) -> None:
    sample = EXAMPLES / "kobo" / "daily-report.json"
    (tmp_path / "m.toml").write_text(MAPPING.replace('type = "integer"', ""), encoding="utf-8")
    code, result = check(registry, tmp_path / "m.toml", sample)
    assert (code, result["events"]) == (1, [])
    assert result["findings"][0].startswith(
        "m.toml: event 1: count: type = 'text' can never be right"
    )
    (tmp_path / "m.toml").write_text(MAPPING, encoding="utf-8")
    code, result = check(registry, tmp_path / "m.toml", sample)
    assert (code, result["findings"]) == (
        1,
        ["daily-report.json: unit: booth is empty", "daily-report.json: count: count is empty"],
    )
    (tmp_path / "other.json").write_text('{"hello": 1}', encoding="utf-8")
    code, result = check(registry, tmp_path / "m.toml", tmp_path / "other.json")
    assert (code, result["findings"]) == (
        1,
        ["other.json: this can be the body of none of the tools; say which with --tool"],
    )
    code, result = check(registry, tmp_path / "m.toml", tmp_path / "other.json", "--tool", "odk")
    assert (code, result["findings"]) == (1, ["other.json: type: is missing"])
