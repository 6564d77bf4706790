"""Lists with one row per person: persons are counted, and only their hashes leave the table."""

from collections import Counter, defaultdict
from pathlib import Path

import orjson
import pytest

import producers
import reference
from pravah.events import EventError, Membership
from producers.mapping.pseudonyms import Pseudonymiser
from producers.tables import Importer, ImportMapping, MappingError, open_mapped_table
from schemas.registry_readers import registry_from_csv
from tests.support import small_world
from tests.support.member_list import HEADER as LIST_HEADER
from tests.support.member_list import MAPPING as LIST_MAPPING
from tests.support.member_list import make_list
from tests.support.tables import write_csv, write_workbook

LIST = """
kind = "membership"
producer = "test-office"
unit = { column = "Booth" }
occurred_at = { column = "Date", format = "%d/%m/%Y" }
entity = { prefix = "sheet:list", columns = ["Mobile"] }
constants = { mode = "manual", count = 1 }

[fields.member_keys]
column = "Mobile"
type = "phone"
many = true
"""
COLUMNS = ["Name", "Mobile", "Booth", "Date"]
BOOTH = "CG-AC001-B0001"
KEY = Pseudonymiser([b"key of the installation"])


def how(old: str = "", new: str = "") -> ImportMapping:
    assert old in LIST
    return ImportMapping.from_toml(LIST.replace(old, new, 1))


def data(importer: Importer, number: int, mobile: object, booth: str = BOOTH) -> dict:
    row = ["Sita", mobile, booth, "03/03/2022"]
    return orjson.loads(importer.convert(number, row).value)


def findings(old: str, new: str) -> str:
    with pytest.raises(MappingError) as caught:
        how(old, new)
    return "\n".join(caught.value.findings)


def test_a_row_is_one_member_with_one_key() -> None:
    event = data(Importer(how(), COLUMNS, pseudonymiser=KEY), 2, "90000 00001")
    assert event["data"] == {
        "mode": "manual",
        "count": 1,
        "member_keys": [KEY.hash("9000000001")],
    }


def test_the_number_is_in_no_part_of_the_event_even_if_it_identifies_the_row() -> None:
    importer = Importer(how(), COLUMNS, pseudonymiser=KEY)
    event = data(importer, 2, 9000000001.0)
    assert event["entity"] == f"sheet:list:{KEY.hash('9000000001')}"
    assert b"9000000001" not in orjson.dumps(event)
    with pytest.raises(EventError, match="the same Mobile and version as row 2"):
        data(importer, 3, "+91 90000-00001")


def test_a_cell_with_several_persons_is_split() -> None:
    mapping = how('columns = ["Mobile"]', 'columns = ["Name", "Mobile"]')
    importer = Importer(mapping, COLUMNS, pseudonymiser=KEY)
    cell = "90000 00001, 9000000002 /\n+91 90000 00001; ०९००००००००३"
    keys = [KEY.hash(f"900000000{number}") for number in (1, 2, 3)]
    assert data(importer, 2, cell)["data"]["member_keys"] == keys
    comma = how("many = true", "many = true\nseparator = ' and '")
    importer = Importer(comma, COLUMNS, pseudonymiser=KEY)
    assert data(importer, 2, "9000000001 and 9000000002")["data"]["member_keys"] == keys[:2]
    with pytest.raises(EventError, match="Mobile: is no phone number"):
        data(importer, 3, "9000000001 and Sita")
    with pytest.raises(EventError, match="separators only"):
        data(Importer(how(), COLUMNS, pseudonymiser=KEY), 2, " , ")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("many = true", "", "member_keys: type = 'phone' can never be right"),
        ('type = "phone"', 'type = "text"', "it must be the keyed hash of a person"),
        ('type = "phone"', 'type = "integer"', "member_keys: type = 'integer', many can never"),
        (", count = 1", "", "count: membership needs it"),
        ('"manual"', '"TODO: manual or digital"', "constants.mode: is still to be written: man"),
        ('column = "Booth"', 'column = "Booth", level = "booth"', "are for by = 'name'"),
    ],
)
def test_a_mapping_that_can_never_work_is_refused_when_it_is_read(
    old: str, new: str, expected: str
) -> None:
    assert expected in findings(old, new)


TRAINING = """
kind = "training_held"
producer = "test-office"
unit = { column = "Assembly" }
occurred_at = { value = 2022-03-05 }
entity = { prefix = "sheet:training", columns = ["Assembly"] }
constants = { programme = "incharge" }
fields.attendees = { column = "Present", type = "integer" }

[fields.trained_units]
column = "Booths"
many = true
unit = { by = "name", level = "booth", assembly = "Assembly" }
"""


def test_a_cell_with_several_units_becomes_their_codes() -> None:
    mapping = ImportMapping.from_toml(TRAINING)
    columns = ["Assembly", "Present", "Booths"]
    importer = Importer(mapping, columns, registry=small_world.registry())
    event = orjson.loads(importer.convert(2, ["CG-AC001", "12", "1, केन्द्र 2; Booth 1"]).value)
    assert event["data"]["trained_units"] == ["CG-AC001-B0001", "CG-AC001-B0002"]
    with pytest.raises(EventError, match="Booths: 'Booth 9'"):
        importer.convert(3, ["CG-AC001", "12", "1, Booth 9"])
    with pytest.raises(MappingError, match=r"trained_units\.unit\.assembly: the table has"):
        importer = Importer(
            ImportMapping.from_toml(TRAINING.replace('assembly = "Assembly"', 'assembly = "AC"')),
            columns,
            registry=small_world.registry(),
        )
    by_code = TRAINING.replace('{ by = "name", level = "booth", assembly = "Assembly" }', "{}")
    importer = Importer(ImportMapping.from_toml(by_code), columns)
    event = orjson.loads(importer.convert(2, ["CG-AC001", "12", "cg_ac001_b0001"]).value)
    assert event["data"]["trained_units"] == ["CG-AC001-B0001"]


def test_numbers_that_every_event_would_show_are_refused() -> None:
    mapping = how('type = "phone"', 'type = "phone"\noptional = true')
    mapping = mapping.model_copy(update={"fields": {}})
    importer = Importer(mapping, COLUMNS, pseudonymiser=KEY)
    with pytest.raises(EventError, match="Mobile: looks like a phone number") as caught:
        data(importer, 2, "9000000001")
    assert "9000000001" not in caught.value.detail
    importer = Importer(how(), COLUMNS, pseudonymiser=KEY)
    data(importer, 2, "9000000001")
    assert importer.notes == []


def test_a_number_that_a_spreadsheet_rounded_is_nobody_s() -> None:
    importer = Importer(how('["Mobile"]', '["Name"]'), COLUMNS, pseudonymiser=KEY)
    with pytest.raises(EventError, match="Mobile: is a number of more than 15 digits"):
        data(importer, 2, 9000000001900000002.0)


@pytest.mark.parametrize(
    "code",
    [
        "cg-ac001-b0001",
        "CG_AC001_B0001",
        "CG AC001 B0001",
        "CG-AC001-B0001\u200b",
        "CG‑AC००१–B0001",
    ],
)
def test_a_unit_code_is_found_as_people_write_it(code: str) -> None:
    importer = Importer(how(), COLUMNS, registry=small_world.registry(), pseudonymiser=KEY)
    assert data(importer, 2, "9000000001", code)["unit"] == BOOTH


def test_a_list_without_days_has_one_day_for_all_rows() -> None:
    for value in ("2022-03-05", '"2022-03-05"'):
        mapping = how('{ column = "Date", format = "%d/%m/%Y" }', f"{{ value = {value} }}")
        event = data(Importer(mapping, COLUMNS, pseudonymiser=KEY), 2, "9000000001")
        assert event["occurred_at"] == "2022-03-05T12:00:00+05:30"
    assert "lies before the year 2000" in findings(
        '{ column = "Date", format = "%d/%m/%Y" }', "{ value = 1999-12-31 }"
    )
    for wrong in ('column = "Date", value = 2022-03-05', "time = '12:00'", "value = '5 March'"):
        found = findings('{ column = "Date", format = "%d/%m/%Y" }', f"{{ {wrong} }}")
        assert "2022-05-03" in found


def test_units_are_found_by_name_within_the_units_that_other_columns_name() -> None:
    mapping = how(
        'column = "Booth"',
        'column = "Booth", by = "name", level = "booth", assembly = "Name"',
    )
    importer = Importer(mapping, COLUMNS, registry=small_world.registry(), pseudonymiser=KEY)
    rows = {
        2: ["एक", "9000000001", "केन्द्र १", "03/03/2022"],
        3: ["ONE", "9000000002", "booth 2", "03/03/2022"],
        4: ["One", "9000000003", "Booth 9", "03/03/2022"],
        5: ["Ten", "9000000004", "Booth 1", "03/03/2022"],
        6: ["", "9000000005", "Booth 1", "03/03/2022"],
        7: ["Two", "9000000006", "Booth 5", "03/03/2022"],
    }
    found: dict[int, str] = {}
    for number, row in rows.items():
        try:
            found[number] = importer.convert(number, row).event.unit
        except EventError as error:
            found[number] = error.detail
    assert (found[2], found[3]) == (BOOTH, "CG-AC001-B0002")
    assert "Booth: 'Booth 9' is the name of no unit there on that day" in found[4]
    assert "Name: 'Ten' is the name of no unit" in found[5]
    assert "Name: is empty; it must name the assembly of the unit" in found[6]
    assert "Booth: 'Booth 5'" in found[7]
    with pytest.raises(MappingError, match="by = 'name' or 'alias' needs the registry"):
        Importer(mapping, COLUMNS, pseudonymiser=KEY)


def test_the_example_that_comes_with_pravah_counts_members_and_persons() -> None:
    folder = Path(producers.__file__).parent / "examples"
    mapping = ImportMapping.from_toml((folder / "member-list.toml").read_text(encoding="utf-8"))
    registry = registry_from_csv(
        {file.name: file.read_text("utf-8").splitlines() for file in reference.registry_files()}
    )
    units: Counter[str] = Counter()
    persons: set[str] = set()
    with open_mapped_table(folder / "member-list.csv", mapping) as table:
        importer = Importer(mapping, table.columns, registry=registry, pseudonymiser=KEY)
        for number, row in table.rows:
            event = importer.convert(number, row).event
            assert isinstance(event, Membership)
            units[event.unit] += event.data.count
            persons.update(event.data.member_keys or ())
    assert units == {"CG-AC084-B0017": 2, "CG-AC084-B0018": 2, "CG-AC084-B0019": 1}
    assert len(persons) == 4


@pytest.mark.parametrize("suffix", [".xlsx", ".csv"])
def test_of_ten_thousand_rows_with_dirty_numbers_the_persons_are_the_oracle_s(
    tmp_path: Path, suffix: str
) -> None:
    made = make_list(10_000)
    write = write_workbook if suffix == ".xlsx" else write_csv
    path = write(tmp_path / f"list{suffix}", [LIST_HEADER, *made.rows])
    mapping = ImportMapping.from_toml(LIST_MAPPING)
    keys: dict[str, set[str]] = defaultdict(set)
    members: Counter[str] = Counter()
    with open_mapped_table(path, mapping) as table:
        importer = Importer(
            mapping, table.columns, registry=small_world.registry(), pseudonymiser=KEY
        )
        for number, row in table.rows:
            event = importer.convert(number, row).event
            assert isinstance(event, Membership)
            keys[event.unit].update(event.data.member_keys or ())
            members[event.unit] += event.data.count
    assert members == made.members
    assert {booth: len(found) for booth, found in keys.items()} == {
        booth: len(persons) for booth, persons in made.persons.items()
    }
    assert len(set().union(*keys.values())) == len(set().union(*made.persons.values()))
