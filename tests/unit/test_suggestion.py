"""A mapping is suggested from a table that nobody prepared, and each guess has its evidence."""

import json
import os
from datetime import date
from pathlib import Path

import openpyxl
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import tests.support
from cli.import_file import import_file
from producers.tables import ImportMapping, MappingError
from producers.tables.reader import TableFile
from producers.tables.suggestion import Suggestion, suggest_mapping
from producers.tables.suggestion_text import write_toml
from tests.support.tables import write_csv, write_workbook

TABLES = Path(tests.support.__file__).parent / "field_tables"
app = typer.Typer()
app.command("import")(import_file)
app.command("other")(lambda: None)

# Of each table its kind, and for each column where the mapping must use it. It uses no others.
EXPECTED: dict[str, tuple[str, dict[str, set[str]]]] = {
    "booth-incharges": (
        "incharge_appointed",
        {
            "विधानसभा": {"unit.assembly"},
            "बूथ क्रमांक": {"unit"},
            "पद": {"fields.role"},
            "मोबाइल नं.": {"fields.person", "entity.columns"},
            "नियुक्ति दिनांक": {"occurred_at"},
        },
    ),
    "whatsapp-groups": (
        "messaging_group",
        {
            "Booth Code": {"unit"},
            "Group Link": {"entity.columns"},
            "No. of Members": {"fields.members"},
            "Created On": {"occurred_at"},
        },
    ),
    "training-attendance": (
        "training_held",
        {
            "Date of Training": {"occurred_at", "entity.columns"},
            "Vidhan Sabha": {"unit", "entity.columns"},
            "Training Topic": {"fields.programme"},
            "Total Present": {"fields.attendees"},
            "Trainer": {"skip"},
        },
    ),
    "member-list": (
        "membership",
        {
            "Membership Form No": {"entity.columns"},
            "Mobile No": {"fields.member_keys"},
            "Assembly": {"unit.assembly"},
            "Booth No": {"unit"},
            "Date of Joining": {"occurred_at"},
        },
    ),
    "event-reports": (
        "tally",
        {
            "दिनांक": {"occurred_at", "entity.columns"},
            "विधानसभा क्षेत्र": {"unit.assembly", "entity.columns"},
            "बूथ संख्या": {"unit", "entity.columns"},
            "संपर्क किए गए घरों की संख्या": {"fields.value"},
            "रिपोर्ट करने वाले का मोबाइल": {"envelope.reporter"},
            "फोटो लिंक": {"envelope.evidence"},
        },
    ),
    "google-form": (
        "social_post",
        {
            "Timestamp": {"occurred_at", "entity.columns"},
            "आपका मोबाइल नंबर / Mobile Number": {"envelope.reporter"},
            "बूथ / Booth": {"unit", "entity.columns"},
            "Which platform did you post on?": {"fields.platform"},
            "कितनी पोस्ट की? / Number of posts": {"fields.posts"},
            "Total Reach": {"fields.reach"},
            "Screenshot (link)": {"envelope.evidence"},
        },
    ),
    "mandal-prabhari": (
        "incharge_appointed",
        {
            "Vidhansabha": {"unit.assembly"},
            "Booth Kr.": {"unit"},
            "Dayitva": {"fields.role"},
            "Mo.No.": {"fields.person", "entity.columns"},
            "Prabhar Dinank": {"occurred_at"},
        },
    ),
    "whatsapp-samooh": (
        "messaging_group",
        {
            "विधानसभा का नाम": {"unit.assembly", "entity.columns"},
            "बूथ क्र.": {"unit", "entity.columns"},
            "ग्रुप का नाम": {"entity.columns"},
            "एडमिन मो. नं.": {"skip"},
            "सदस्यों की सं.": {"fields.members"},
            "बनाने की तिथि": {"occurred_at"},
        },
    ),
    "prashikshan": (
        "training_held",
        {
            "दिनांक": {"occurred_at", "entity.columns"},
            "संभाग": {"unit.division", "entity.columns"},
            "जिले का नाम": {"unit", "entity.columns"},
            "प्रशिक्षण का विषय": {"fields.programme"},
            "कुल उपस्थिति": {"fields.attendees"},
        },
    ),
    "daily-membership": (
        "membership",
        {
            "Report Date": {"occurred_at"},
            "Vidhan Sabha": {"unit.assembly"},
            "Polling Booth": {"unit"},
            "Members Joined": {"fields.count"},
            "Membership Mode": {"fields.mode"},
            "Receipt Book No": {"entity.columns"},
        },
    ),
    "page-posts": (
        "social_post",
        {
            "Day": {"occurred_at", "entity.columns"},
            "Unit": {"unit", "entity.columns"},
            "Channel": {"fields.platform", "entity.columns"},
            "Post Count": {"fields.posts"},
            "Reach (unique)": {"fields.reach"},
            "Likes": {"fields.engagements"},
            "Shared link": {"envelope.evidence"},
        },
    ),
    "new-member-form": (
        "membership",
        {
            "Timestamp": {"occurred_at"},
            "Mobile number of new member": {"fields.member_keys", "entity.columns"},
            "Vidhan Sabha": {"unit.assembly"},
            "Booth number": {"unit"},
            "How was the member enrolled?": {"fields.mode"},
        },
    ),
}
# At the first try, before anything was added for these tables: 54 of the 55 columns and 5 of the 6
# kinds of the first six, whose headings were known when the words were collected; 42 of the 45
# columns and all kinds of the other six, which were written afterwards.


def suggest(path: Path) -> Suggestion:
    file = TableFile(path)
    rows = (row for _, row in file.iter_rows())
    return suggest_mapping(file.header.columns, rows, name=path.stem, titles=file.titles)


def find_uses(suggestion: Suggestion) -> dict[str, set[str]]:
    """The places in the mapping that use each column, lines to skip included."""
    uses = {name: set(places) for name, places in suggestion.find_column_uses().items()}
    for guess in suggestion.guesses:
        if guess.place == "skip":
            assert isinstance(guess.value, dict)
            uses.setdefault(guess.value["column"], set()).add("skip")
    return uses


def test_the_columns_of_tables_that_nobody_prepared_are_guessed_right() -> None:
    right, total, wrong = 0, 0, []
    for name, (kind, expected) in EXPECTED.items():
        suggestion = suggest(TABLES / f"{name}.csv")
        assert suggestion.guesses[0].value == kind
        uses = find_uses(suggestion)
        for column in TableFile(TABLES / f"{name}.csv").header.columns:
            total += 1
            if uses.get(column, set()) == expected.get(column, set()):
                right += 1
            else:
                wrong.append((name, column, uses.get(column)))
    assert (right, total, wrong) == (100, 100, [])


@pytest.mark.parametrize("name", EXPECTED)
def test_a_suggested_mapping_is_valid_or_says_what_a_person_must_write(name: str) -> None:
    text = write_toml(suggest(TABLES / f"{name}.csv"))
    if name == "google-form":  # no figure counts posts on Instagram
        with pytest.raises(MappingError) as caught:
            ImportMapping.from_toml(text)
        assert len(caught.value.findings) == 1
        assert "fields.platform.values.Instagram: is still to be written" in str(caught.value)
        text = "\n".join(line for line in text.splitlines() if "Instagram" not in line)
    assert ImportMapping.from_toml(text).kind == EXPECTED[name][0]


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["import", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_the_mapping_is_printed_and_the_rows_as_they_would_count_beside_it(tmp_path: Path) -> None:
    code, mapping, rows = run(TABLES / "booth-incharges.csv", "--suggest")
    assert code == 0
    assert ImportMapping.from_toml(mapping).unit.above == {"assembly": "विधानसभा"}
    assert (
        "row 4: 2022-03-05 CG-AC084-B0017 incharge_appointed: incharges 1, persons' hashes 1"
        in (rows.splitlines())
    )
    assert "would be sent: 6; rejected: 0" in rows
    output = tmp_path / "m.toml"
    code, stdout, _ = run(TABLES / "booth-incharges.csv", "--suggest", "--output", output)
    assert (code, output.read_text(encoding="utf-8")) == (0, mapping.rstrip("\n") + "\n")
    assert "row 4: 2022-03-05" in stdout
    assert run(TABLES / "booth-incharges.csv", "--suggest", "--output", output)[0] == 2


def test_the_suggestion_as_json_has_mapping_evidence_and_rows() -> None:
    code, stdout, _ = run(TABLES / "training-attendance.csv", "--suggest", "--json")
    found = json.loads(stdout)
    assert (code, found["good"], found["rejected"], found["findings"]) == (0, 5, 0, [])
    assert found["rows"][0]["amounts"] == {"trainings": 1, "training_attendees": 64}
    assert found["totals"] == {"trainings": 5, "training_attendees": 343}
    assert {guess["place"] for guess in found["guesses"]} >= {"kind", "unit.column", "skip"}


def test_a_suggestion_that_is_not_complete_says_so(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", [["Alpha", "Beta"], ["x", "1"], ["y", "2"]])
    code, stdout, stderr = run(path, "--suggest")
    assert code == 1
    assert "TODO:" in stdout
    for place in ("kind", "unit.column", "occurred_at.value"):
        assert f"{place}: is still to be written" in stderr


def test_date_cells_and_ambiguous_dates_are_said(tmp_path: Path) -> None:
    header = ["Form No", "Booth Code", "Date", "New members"]
    row = ["R1", "CG-AC084-B0017", date(2022, 5, 3), 12]
    texts = [*row[:2], "04/05/2022", 12]
    cells = suggest(write_workbook(tmp_path / "t.xlsx", [header, row]))
    assert not [guess for guess in cells.guesses if guess.place == "occurred_at.format"]
    both = suggest(write_workbook(tmp_path / "t.xlsx", [header, row, ["R2", *texts[1:]]]))
    guesses = {guess.place: guess for guess in both.guesses}
    assert "1 date cells and 1 texts" in guesses["occurred_at.date_cells"].evidence
    only = suggest(write_workbook(tmp_path / "t.xlsx", [header, texts]))
    guesses = {guess.place: guess for guess in only.guesses}
    assert "LOOK which it is" in guesses["occurred_at.format"].evidence


def find_guesses(tmp_path: Path, *rows: list[object]) -> dict[str, object]:
    return {
        guess.place: guess.value for guess in suggest(write_csv(tmp_path / "t.csv", rows)).guesses
    }


def test_of_two_columns_of_counts_a_person_must_choose(tmp_path: Path) -> None:
    guesses = find_guesses(
        tmp_path,
        ["Date", "Booth", "Members (Paper)", "Members (App)"],
        ["13/05/2022", "CG-AC084-B0017", 12, 3],
    )
    column = str(guesses["fields.count.column"])
    assert column.startswith("TODO: one of Members (Paper), Members (App);")


def test_reports_on_what_lasts_are_not_distinguished_by_forms_or_days(tmp_path: Path) -> None:
    guesses = find_guesses(
        tmp_path,
        ["Submission ID", "booth", "volunteers_today", "_submission_time"],
        ["1001", "CG-AC084-B0017", 12, "2022-05-03T12:36:00"],
        ["1002", "CG-AC084-B0018", 9, "2022-05-04T12:36:00"],
    )
    assert guesses["constants.metric"] == "volunteers"
    assert guesses["entity.columns"] == ["booth"]
    assert guesses["occurred_at.zone"] == "UTC"


def test_a_list_of_persons_without_days_is_known_by_its_headings(tmp_path: Path) -> None:
    guesses = find_guesses(
        tmp_path,
        ["अनु क्र", "विधानसभा क्रमांक", "बूथ नं", "बूथ अध्यक्ष का नाम", "मोबाइल नम्बर"],
        [1, 84, 17, "रामलाल", "9000001001"],
    )
    assert (guesses["kind"], guesses["constants.role"]) == ("incharge_appointed", "head")
    assert str(guesses["occurred_at.value"]).startswith("TODO: the day of the list")


def test_days_that_are_written_in_several_ways_are_asked_for(tmp_path: Path) -> None:
    rows: list[list[object]] = [["R1", "13/05/2022", 1], ["R2", "2022-05-14", 2], ["R3", "May", 3]]
    guesses = find_guesses(tmp_path, ["Form No", "Date", "New members"], *rows)
    assert guesses["occurred_at.column"] == "Date"
    assert str(guesses["occurred_at.format"]).startswith("TODO: how days are written")


def test_rows_with_a_link_each_are_posts(tmp_path: Path) -> None:
    guesses = find_guesses(
        tmp_path,
        ["Post URL", "Posted at", "Network", "Impressions", "AC"],
        ["https://a.example/1", "13/05/2022 18:30", "FB", "1204", "Narayanpur"],
        ["https://a.example/2", "14/05/2022 09:10", "Twitter", "800", "Narayanpur"],
    )
    assert (guesses["constants.posts"], guesses["entity.columns"]) == (1, ["Post URL"])
    assert guesses["fields.platform.column"] == "Network"


def test_the_sheet_with_the_table_is_looked_at(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["List of May"])
    for name in ("April", "May"):
        sheet = book.create_sheet(name)
        sheet.append(["Form No", "Booth Code", "Date", "New members", "Mode"])
        sheet.append([name, "CG-AC084-B0017", date(2022, 5, 3), 12, "Paper"])
    book.save(tmp_path / "t.xlsx")
    code, stdout, stderr = run(tmp_path / "t.xlsx", "--suggest")
    assert (code, ImportMapping.from_toml(stdout).sheet) == (0, None)
    assert "the sheets 'April', 'May' have the same columns: import each of them" in stderr
    del book["April"]
    book.save(tmp_path / "t.xlsx")
    code, stdout, stderr = run(tmp_path / "t.xlsx", "--suggest")
    assert (code, ImportMapping.from_toml(stdout).sheet) == (0, "May")
    assert "members_manual 12" in stderr


# How many tables are tried: 3,000 by a setting.
EXAMPLES = int(os.environ.get("FIELD_EXAMPLES", "60"))
CELLS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["03/05/2022", "CG-AC084-B0017", "9000000001", "कुल", "Total", "12", "बूथ"]),
    st.integers(),
    st.none(),
    st.dates(),
)
NAMES = st.one_of(
    st.text(min_size=1, max_size=12),
    st.sampled_from(["बूथ", "विधानसभा", "दिनांक", "मोबाइल", "Members", "पद", "Mode", "Group Link"]),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=6), st.lists(st.lists(CELLS, max_size=7), max_size=5))
def test_any_table_gives_a_mapping_that_is_valid_or_has_places_to_fill_in(
    columns: list[str], rows: list[list[object]]
) -> None:
    text = write_toml(suggest_mapping(columns, rows, name="t"))
    try:
        ImportMapping.from_toml(text)
    except MappingError as error:
        assert all("is still to be written" in str(finding) for finding in error.findings), text
