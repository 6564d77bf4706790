"""The unit registry: what a hierarchy must be, and what it says on which day."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from pravah.days import LAST_DAY, date_of, day_of, day_of_micros, instant_micros
from pravah.units import LEVELS, level_of, routing_key
from schemas.entries import EntryReader, decode_entries, encode_entries, encode_records
from schemas.registry import Entry, EntryParent, Registry, RegistryError
from schemas.registry_readers import registry_from_csv, registry_from_entries
from tests.support import oracle, small_world

REGISTRY = small_world.registry()
UNIT_LINES = small_world.UNITS.splitlines()
PARENT_LINES = small_world.PARENTS.splitlines()


def line(number: int) -> int:
    return day_of(small_world.FIRST_DAY) + number


def ancestors(unit: str, number: int) -> dict[str, str]:
    return {span.level: span.ancestor for span in REGISTRY.ancestors(unit, line(number))}


def test_a_booth_counts_in_its_own_district_not_its_assemblys() -> None:
    assert ancestors("CG-AC001", 5)["district"] == "CG-D-A"
    assert ancestors("CG-AC001-B0003", 5)["district"] == "CG-D-B"
    assert ancestors("CG-AC001-B0003", 5)["assembly"] == "CG-AC001"


def test_a_move_takes_effect_on_its_day() -> None:
    assert ancestors("CG-AC001-B0002", 29)["district"] == "CG-D-A"
    assert ancestors("CG-AC001-B0002", 30)["district"] == "CG-D-D"


def test_a_district_that_changes_division_takes_its_booths_along() -> None:
    assert ancestors("CG-AC001-B0003", 19)["division"] == "CG-V-N"
    assert ancestors("CG-AC001-B0003", 20)["division"] == "CG-V-S"


def test_a_closed_unit_has_no_ancestors() -> None:
    assert ancestors("CG-AC001-B0004", 40)
    assert not ancestors("CG-AC001-B0004", 41)
    assert not REGISTRY.is_open("CG-AC001-B0004", line(41))
    assert not REGISTRY.is_open("CG-AC099", line(1))


@given(st.sampled_from(sorted(REGISTRY.units)), st.integers(-100, 200))
def test_ancestors_on_any_day_are_the_oracles(unit: str, number: int) -> None:
    hierarchy = oracle_hierarchy()
    expected = hierarchy.ancestors(unit, small_world.FIRST_DAY + timedelta(days=number))
    assert ancestors(unit, number) == expected


def oracle_hierarchy() -> oracle.Hierarchy:
    units = list(csv.DictReader(UNIT_LINES))
    edges = defaultdict(list)
    for row in csv.DictReader(PARENT_LINES):
        edges[row["unit"]].append(
            (
                row["parent"],
                date.fromisoformat(row["valid_from"]) if row["valid_from"] else oracle.FIRST,
                date.fromisoformat(row["valid_to"]) if row["valid_to"] else oracle.LAST,
            )
        )
    days = {
        row["unit"]: (
            date.fromisoformat(row["valid_from"]) if row["valid_from"] else oracle.FIRST,
            date.fromisoformat(row["valid_to"]) if row["valid_to"] else oracle.LAST,
        )
        for row in units
    }
    return oracle.Hierarchy({row["unit"]: row["level"] for row in units}, days, edges)


@given(st.sampled_from(sorted(REGISTRY.units)))
def test_spans_of_one_ancestor_neither_touch_nor_overlap(unit: str) -> None:
    spans = sorted(REGISTRY.spans(unit), key=lambda span: (span.ancestor, span.first))
    for earlier, later in pairwise(spans):
        assert earlier.ancestor != later.ancestor or earlier.last + 1 < later.first


def test_a_registry_survives_the_topic() -> None:
    entries = [Entry.model_validate_json(entry.model_dump_json()) for entry in REGISTRY.entries()]
    again = registry_from_entries(reversed(entries))
    assert again.units == REGISTRY.units
    assert again.fingerprint() == REGISTRY.fingerprint()


def test_a_fingerprint_changes_with_one_date() -> None:
    parents = small_world.PARENTS.replace(
        f"CG-AC001-B0002,CG-D-A,,{small_world.on(29)}",
        f"CG-AC001-B0002,CG-D-A,,{small_world.on(28)}",
    ).replace(
        f"CG-AC001-B0002,CG-D-D,{small_world.on(30)}", f"CG-AC001-B0002,CG-D-D,{small_world.on(29)}"
    )
    # on day 29 D must exist already
    units = small_world.UNITS.replace(
        f"CG-D-D,district,D,द,{small_world.on(30)}", f"CG-D-D,district,D,द,{small_world.on(29)}"
    )
    parents = parents.replace(
        f"CG-D-D,CG-V-N,{small_world.on(30)}", f"CG-D-D,CG-V-N,{small_world.on(29)}"
    )
    other = registry_from_csv(
        {"s.units.csv": units.splitlines(), "s.parents.csv": parents.splitlines()}
    )
    assert other.fingerprint() != REGISTRY.fingerprint()


ENTRIES = [entry.model_dump_json().encode() for entry in REGISTRY.entries()]
DATES = (
    st.none()
    | st.dates(min_value=date(1969, 12, 1), max_value=date(2150, 1, 1))
    | st.sampled_from([small_world.FIRST_DAY + timedelta(days=n) for n in range(60)])
)
DEGREES = st.none() | st.floats(-180, 180)
CODES = st.sampled_from(sorted(REGISTRY.units))
PARENTS = st.builds(EntryParent, unit=CODES, valid_from=DATES, valid_to=DATES)
ANY_ENTRY = st.builds(
    Entry,
    unit=CODES | st.text(max_size=9),
    level=st.sampled_from(LEVELS),
    name_en=st.text(max_size=9),
    name_hi=st.text(max_size=9),
    valid_from=DATES,
    valid_to=DATES,
    latitude=DEGREES,
    longitude=DEGREES,
    parents=st.lists(PARENTS, max_size=3).map(tuple),
)


def fate(entries: Iterable[Entry]) -> dict[str, Any] | list[str]:
    try:
        return dict(registry_from_entries(entries).units)
    except RegistryError as error:
        return [str(finding) for finding in error.findings]


def as_model(entry: Entry) -> Entry:
    """Convert a struct to the model."""
    fields = {name: getattr(entry, name) for name in Entry.model_fields}
    return Entry(
        **{
            **fields,
            "parents": tuple(
                EntryParent(**{name: getattr(parent, name) for name in EntryParent.model_fields})
                for parent in entry.parents
            ),
        }
    )


@given(
    st.dictionaries(
        st.integers(0, len(ENTRIES) - 1), st.tuples(st.text(min_size=1), DEGREES, DATES)
    ),
    st.lists(ANY_ENTRY, max_size=2),
)
@example({}, [])
def test_entries_read_in_bulk_give_the_registry_or_the_findings_that_the_models_give(
    renamed: dict[int, tuple[str, float | None, date | None]], more: list[Entry]
) -> None:
    entries = [Entry.model_validate_json(value) for value in ENTRIES]
    for number, (name, degrees, valid_to) in renamed.items():
        entries[number] = entries[number].model_copy(
            update={"name_hi": name, "longitude": degrees, "valid_to": valid_to}
        )
    entries += more
    values, reader = [entry.model_dump_json().encode() for entry in entries], EntryReader()
    bulk = [reader.read(value) for value in values]
    assert [as_model(entry) for entry in bulk] == entries
    expected = fate(entries)
    assert fate(bulk) == fate(decode_entries(b"[" + b",".join(values) + b"]")) == expected
    if isinstance(expected, dict):
        registry = Registry(expected.values())
        assert list(encode_records(registry)) == [
            (entry.unit, entry.model_dump_json().encode()) for entry in registry.entries()
        ]
        assert [as_model(entry) for entry in decode_entries(encode_entries(registry))] == list(
            registry.entries()
        )


def model_or_refusal(read: Any, value: bytes) -> str:
    try:
        entry = read(value)
    except ValidationError:
        return "refused"
    return repr(as_model(entry))  # NaN is not equal to itself


FORMS = [
    "null",
    "1",
    "-0.0",
    "1e400",
    "12345678901234567890123",
    "NaN",
    "true",
    "[]",
    "{}",
    '""',
    '"21.5"',
    '"booth"',
    '"2022-05-01"',
    '"2022-05-01T00:00:00"',
    '"2022-05-01T10:00:00Z"',
    '"20220501"',
]
FORMS += [
    '"1651363200"',
    "1651363200",
    '"\\ud83d\\ude00"',
    '"\\ud800"',
    '"\\u0000"',
    '"0000-01-01"',
    '"2022-13-01"',
    '[{"unit": "IN"}]',
    '[{"unit": "IN", "x": 1}]',
    '[{"unit": null}]',
]


@given(
    st.sampled_from(ENTRIES),
    st.sampled_from([*Entry.model_fields, "other"]),
    st.sampled_from(FORMS),
    st.booleans(),
)
def test_an_entry_of_any_form_has_the_fate_that_the_model_gives_it(
    value: bytes, field: str, form: str, twice: bool
) -> None:
    fields = {
        name: json.dumps(given)
        for name, given in json.loads(value).items()
        if twice or name != field
    }
    bent = ", ".join(
        [*(f'"{name}": {given}' for name, given in fields.items()), f'"{field}": {form}']
    )
    assert model_or_refusal(EntryReader().read, f"{{{bent}}}".encode()) == model_or_refusal(
        Entry.model_validate_json, f"{{{bent}}}".encode()
    )


@given(st.sampled_from(ENTRIES), st.integers(0, 200), st.binary(max_size=3), st.integers(0, 3))
def test_a_bent_entry_has_the_fate_that_the_model_gives_it(
    value: bytes, at: int, put: bytes, taken: int
) -> None:
    bent = value[: at % len(value)] + put + value[at % len(value) + taken :]
    assert model_or_refusal(EntryReader().read, bent) == model_or_refusal(
        Entry.model_validate_json, bent
    )


def findings(units: list[str], parents: list[str]) -> list[str]:
    with pytest.raises(RegistryError) as caught:
        registry_from_csv(
            {"a.units.csv": [UNIT_LINES[0], *units], "a.parents.csv": [PARENT_LINES[0], *parents]}
        )
    return [str(finding) for finding in caught.value.findings]


BASE_UNITS = [row for row in UNIT_LINES[1:] if not row.startswith("CG-AC00")]
BASE_PARENTS = [row for row in PARENT_LINES[1:] if not row.startswith("CG-AC00")]


@pytest.mark.parametrize(
    ("unit", "parents", "says"),
    [
        ("CG-AC1,assembly,One,एक,,,,", [], "a.units.csv:10: 'CG-AC1' is not a unit code"),
        (
            "CG-AC001,district,One,एक,,,,",
            ["CG-AC001,CG-D-A,,"],
            (
                "a.units.csv:10: CG-AC001: level is 'district', "
                "but its code is that of a unit of level 'assembly'"
            ),
        ),
        (
            "CG-D-A,district,A,अ,,,,",
            [],
            "a.units.csv:10: CG-D-A: listed a second time; first at a.units.csv:6",
        ),
        ("CG-AC001,assembly,One,,,,,", ["CG-AC001,CG-D-A,,"], "CG-AC001: name_hi is empty"),
        (
            "CG-AC001,assembly,One,एक,2022-05-01,2022-04-01,,",
            [],
            "valid_from 2022-05-01 lies after valid_to 2022-04-01",
        ),
        ("CG-AC001,assembly,One,एक,gestern,,,", [], "Invalid isoformat string: 'gestern'"),
        ("CG-AC001,assembly,One,एक,,,,", [], "CG-AC001: an orphan: no parent of level district"),
        (
            "CG-AC001,assembly,One,एक,,,,",
            ["CG-AC001,CG-D-X,,"],
            "a.parents.csv:10: parent 'CG-D-X' is not in the registry",
        ),
        (
            "CG-AC001,assembly,One,एक,,,,",
            ["CG-AC001,CG-D-A,,2022-03-31"],
            "CG-AC001: a gap: no parent of level district from 2022-04-01 to ever",
        ),
        (
            "CG-AC001,assembly,One,एक,,,,",
            ["CG-AC001,CG-D-A,2022-03-31,"],
            "a gap: no parent of level district from the beginning to 2022-03-30",
        ),
        (
            "CG-AC001,assembly,One,एक,,,,",
            ["CG-AC001,CG-D-A,,2022-03-31", "CG-AC001,CG-D-C,2022-04-02,"],
            "a gap: no parent of level district from 2022-04-01 to 2022-04-01",
        ),
        (
            "CG-AC001,assembly,One,एक,,,,",
            ["CG-AC001,CG-D-A,,2022-04-30", "CG-AC001,CG-D-C,2022-04-02,"],
            (
                "a.parents.csv:11: CG-AC001: two parents of level 'district' "
                "from 2022-04-02 to 2022-04-30: CG-D-A and CG-D-C"
            ),
        ),
        (
            "CG-AC001,assembly,One,एक,,,,",
            ["CG-AC001,CG-D-D,,"],
            (
                "its parent CG-D-D exists only from 2022-03-31 to ever, "
                "the edge says from the beginning to ever"
            ),
        ),
        (
            "CG-AC001,assembly,One,एक,,,,",
            ["CG-AC001,CG-D-A,,", "CG-D-A,CG-AC001,,"],
            "CG-D-A: its parent CG-AC001 is of level 'assembly', which is not above 'district'",
        ),
        ("CG-AC001,assembly,One,एक,,,,", ["CG-AC001,CG-D-A,,", "CG-D-A,CG-AC001,,"], "a circle: "),
        (
            "CG-AC001-B0001,booth,B,ब,,,,",
            ["CG-AC001-B0001,CG-D-A,,"],
            "CG-AC001-B0001: an orphan: no parent of level assembly",
        ),
        (
            "CG-AC001,assembly,One,एक,,2022-04-01,,",
            ["CG-AC001,CG-D-A,,", "CG-AC001,CG-D-C,2022-05-01,"],
            "lies outside the days on which CG-AC001 exists",
        ),
    ],
)
def test_what_is_wrong_is_found_with_file_and_line(
    unit: str, parents: list[str], says: str
) -> None:
    found = findings([*BASE_UNITS, unit], [*BASE_PARENTS, *parents])
    assert any(says in finding for finding in found), found


def test_all_findings_come_at_once_in_order() -> None:
    found = findings(
        [*BASE_UNITS, "CG-AC1,assembly,One,एक,,,,", "CG-AC002,booth,,दो,,,,"],
        [*BASE_PARENTS, "CG-AC002,CG-D-X,,"],
    )
    assert len(found) >= 4
    assert found == sorted(
        found, key=lambda finding: (finding.split(":")[0], int(finding.split(":")[1]))
    )


def test_a_wrong_header_is_a_finding() -> None:
    with pytest.raises(RegistryError, match="the header must be unit,level,name_en"):
        registry_from_csv({"a.units.csv": ["code,level"], "a.parents.csv": [PARENT_LINES[0]]})


@pytest.mark.parametrize(
    ("code", "level", "key"),
    [
        ("IN", "national", "IN"),
        ("CG", "state", "CG"),
        ("CG-V-RPR", "division", "CG-V-RPR"),
        ("CG-D-NRP", "district", "CG-D-NRP"),
        ("CG-AC084", "assembly", "CG-AC084"),
        ("CG-AC084-B0017", "booth", "CG-AC084"),
    ],
)
def test_a_code_gives_its_level_and_routing_key(code: str, level: str, key: str) -> None:
    assert level_of(code) == level
    assert routing_key(code) == key


@given(
    st.datetimes(
        min_value=datetime(2000, 1, 1),
        max_value=datetime(2149, 1, 1),
        timezones=st.timezones(),
    )
)
def test_the_day_of_an_instant_is_the_day_in_kolkata(instant: datetime) -> None:
    assert (
        date_of(day_of_micros(instant_micros(instant)))
        == instant.astimezone(ZoneInfo("Asia/Kolkata")).date()
    )


def test_the_last_day_fits_clickhouse() -> None:
    assert date_of(LAST_DAY) == date(2149, 6, 6)
